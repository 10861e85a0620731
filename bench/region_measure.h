/* What the parts of the region benchmark share. */
#ifndef LOFT_BENCH_REGION_MEASURE_H
#define LOFT_BENCH_REGION_MEASURE_H

#include <time.h>

#include "harness_table.h"

double region_clock_ns(clockid_t clock);
_Noreturn void region_die(const char *what);

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            region_die(#condition);                                                                \
        }                                                                                          \
    } while (0)

/* What LOFT_RANDOM saves: bytes written for a small store; and costs: use from end to end. Both work on the file at
 * path, which is gone afterwards. */
const harness_table *region_random_stores(const char *path);
const harness_table *region_random_access(const char *path);

#endif
