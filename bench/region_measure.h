/* What the parts of the region benchmark share. */
#ifndef LOFT_BENCH_REGION_MEASURE_H
#define LOFT_BENCH_REGION_MEASURE_H

#include <time.h>

enum { REGION_ROUNDS_MAX = 41 };

/* The values of one competitor. */
typedef struct region_series {
    double value[REGION_ROUNDS_MAX];
    int count;
} region_series;

/* Sorts the values: least first, most last. */
double region_median(region_series *s);
double region_clock_ns(clockid_t clock);
_Noreturn void region_die(const char *what);

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            region_die(#condition);                                                                \
        }                                                                                          \
    } while (0)

/* What LOFT_RANDOM saves and costs; works on the file at path, which is gone afterwards. */
void region_random(const char *path);

#endif
