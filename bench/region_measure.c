#include "region_measure.h"

#include <stdio.h>
#include <stdlib.h>

#include "loft/error.h"

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double region_median(region_series *s)
{
    qsort(s->value, (size_t)s->count, sizeof s->value[0], compare);
    return s->value[s->count / 2];
}

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
