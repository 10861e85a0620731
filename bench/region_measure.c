/* The region benchmark's clock and its end. */
#include "region_measure.h"

#include <stdio.h>
#include <stdlib.h>

#include "loft/error.h"

double region_clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

void region_die(const char *what)
{
    (void)fprintf(stderr, "region: %s: %s\n", what, loft_last_error());
    perror("region");
    exit(2);
}
