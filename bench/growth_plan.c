/*
 * growth_plan.c - the works of the growth benchmark: how the cost of a heap operation grows with the number of live
 * blocks and of threads. The numbers in the works' names are the curves' x.
 *
 * A hundred million blocks of 64 bytes and the table that names them take some 10 GB for each competitor: there they
 * do not take turns but follow each other.
 */
#include <string.h>

#include "heap_plan.h"

enum { BYTES = 64, OPERATIONS = 20000, LARSON_LIVE = 5000 };

/* Two generations of threads in each line, larson's 100 replacements for each of 5,000 blocks in each; one thread
 * and two do more, so that a round is no shorter. */
#define OF_A_LINE 1000000u

#define LIVE(count, flags)                                                                         \
    {                                                                                              \
        "live-" #count, HEAP_REPLACE, BYTES, BYTES, count, OPERATIONS, 2, 0, flags                 \
    }
#define THREADS(count, more, flags)                                                                \
    {                                                                                              \
        "threads-" #count, HEAP_LARSON, 8, 1000, LARSON_LIVE, OF_A_LINE *(more), 1, count, flags   \
    }

const heap_work heap_works[] = {
    LIVE(1000, 0),
    LIVE(10000, 0),
    LIVE(100000, 0),
    LIVE(1000000, 0),
    LIVE(10000000, HEAP_FULL),
    LIVE(100000000, HEAP_FULL | HEAP_ALONE),
    THREADS(1, 4, 0),
    THREADS(2, 2, 0),
    THREADS(4, 1, HEAP_FULL),
    THREADS(8, 1, 0),
    THREADS(16, 1, HEAP_FULL),
    THREADS(32, 1, HEAP_FULL),
    THREADS(64, 1, 0),
};
const size_t heap_work_count = sizeof heap_works / sizeof heap_works[0];

#define LIVE_ROWS(title, count)                                                                    \
    {title " blocks", "live-" #count, 0, "ns", false, 0, {{NULL, 0}}},                             \
    {                                                                                              \
        "... memory over live", "live-" #count, HEAP_FIGURE_MEMORY, "ratio", false, 0,             \
        {                                                                                          \
            {                                                                                      \
                NULL, 0                                                                            \
            }                                                                                      \
        }                                                                                          \
    }
#define THREADS_ROW(title, count)                                                                  \
    {                                                                                              \
        title, "threads-" #count, 0, "Mops/s", true, 0,                                            \
        {                                                                                          \
            {                                                                                      \
                NULL, 0                                                                            \
            }                                                                                      \
        }                                                                                          \
    }

const heap_row heap_rows[] = {
    LIVE_ROWS("1,000", 1000),          LIVE_ROWS("10,000", 10000),
    LIVE_ROWS("100,000", 100000),      LIVE_ROWS("1 million", 1000000),
    LIVE_ROWS("10 million", 10000000), LIVE_ROWS("100 million", 100000000),
    THREADS_ROW("1 thread", 1),        THREADS_ROW("2 threads", 2),
    THREADS_ROW("4 threads", 4),       THREADS_ROW("8 threads", 8),
    THREADS_ROW("16 threads", 16),     THREADS_ROW("32 threads", 32),
    THREADS_ROW("64 threads", 64),
};
const size_t heap_row_count = sizeof heap_rows / sizeof heap_rows[0];

static const heap_curve curves[] = {
    {"live-", 0, "time of a replacement", "live blocks of 64 B"},
    {"live-", HEAP_FIGURE_MEMORY, "resident memory over live bytes", "live blocks of 64 B"},
    {"threads-", 0, "operations of all threads", "threads"},
};
const heap_curve *const heap_curves = curves;
const size_t heap_curve_count = sizeof curves / sizeof curves[0];

const heap_work *heap_work_named(const char *name)
{
    for (size_t i = 0; i < heap_work_count; i++) {
        if (strcmp(heap_works[i].name, name) == 0) {
            return &heap_works[i];
        }
    }
    return NULL;
}
