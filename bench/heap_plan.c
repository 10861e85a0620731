/*
 * heap_plan.c - the works of the heap benchmark and the rows of its table.
 *
 * The references are one run of many allocators on two cores of an AMD EPYC (Zen 4): glibc 2.36,
 * jemalloc 5.3.0, mimalloc 2.0.9, tcmalloc 2.10, and, which Debian 12 does not have, mimalloc 3.4.3,
 * rpmalloc 2.0.1 and snmalloc. Times differ from machine to machine; what carries over is their
 * ratio. So the goal of a row is loft's figure over that of the best peer, both of the reference run,
 * among the peers that are present here. Memory over live bytes does carry over: there the goal is loft's
 * figure itself.
 */
#include "heap_plan.h"

#include <string.h>

enum { SMALL_OPS = 40000, MILLION = 1000000 };

const heap_work heap_works[] = {
    {"pair-16", HEAP_PAIR, 16, 16, 0, SMALL_OPS, HEAP_SHORT_WEIGHT, 0, 0},
    {"pair-64-live", HEAP_PAIR, 64, 64, 64, SMALL_OPS, HEAP_SHORT_WEIGHT, 0, 0},
    {"pair-1k", HEAP_PAIR, 1024, 1024, 0, SMALL_OPS, HEAP_SHORT_WEIGHT, 0, 0},
    {"pair-4k", HEAP_PAIR, 4096, 4096, 0, SMALL_OPS, HEAP_SHORT_WEIGHT, 0, 0},
    {"pair-32k", HEAP_PAIR, 32768, 32768, 0, SMALL_OPS, HEAP_SHORT_WEIGHT, 0, 0},
    {"pair-1m", HEAP_PAIR, 1048576, 1048576, 0, 10000, HEAP_SHORT_WEIGHT, 0, 0},
    {"batch-order", HEAP_BATCH_ORDER, 64, 64, MILLION, MILLION, 1, 0, 0},
    {"batch-reverse", HEAP_BATCH_REVERSE, 64, 64, MILLION, MILLION, 1, 0, 0},
    {"batch-random", HEAP_BATCH_RANDOM, 64, 64, MILLION, MILLION, 1, 0, 0},
    {"replace-1k", HEAP_REPLACE, 16, 1024, MILLION, 20000, HEAP_SHORT_WEIGHT, 0, 0},
    {"replace-64k", HEAP_REPLACE, 16, 65536, 20000, 10000, HEAP_SHORT_WEIGHT, 0, 0},
    /* The parameters that this benchmark is usually run with: 8 to 1,000 bytes, 5,000 blocks a
     * thread, a new thread after 100 replacements for each. */
    {"larson", HEAP_LARSON, 8, 1000, 5000, 2000000, 1, 2, 0},
    {"pass-64", HEAP_PASS, 64, 64, 0, 1000000, 1, 0, 0},
    {"pass-1k", HEAP_PASS, 1024, 1024, 0, 1000000, 1, 0, 0},
    {"pool-16", HEAP_POOL, 16, 16, 1000, 400000, HEAP_SHORT_WEIGHT, 0, 0},
    {"pool-64", HEAP_POOL, 64, 64, 1000, 400000, HEAP_SHORT_WEIGHT, 0, 0},
};
const size_t heap_work_count = sizeof heap_works / sizeof heap_works[0];

#define REFERENCES(glibc, jemalloc, mimalloc, mimalloc3, tcmalloc, rpmalloc, snmalloc)             \
    {                                                                                              \
        {"glibc", glibc}, {"jemalloc", jemalloc}, {"mimalloc", mimalloc},                          \
            {"mimalloc 3", mimalloc3}, {"tcmalloc", tcmalloc}, {"rpmalloc", rpmalloc},             \
        {                                                                                          \
            "snmalloc", snmalloc                                                                   \
        }                                                                                          \
    }

#define NO_REFERENCES REFERENCES(0, 0, 0, 0, 0, 0, 0)

const heap_row heap_rows[] = {
    {"pair 16 B", "pair-16", 0, "ns", false, 6, REFERENCES(13.0, 7.6, 12.5, 7.2, 6.3, 6.4, 6.9)},
    {"pair 64 B, 64 live", "pair-64-live", 0, "ns", false, 5.5,
     REFERENCES(13.3, 7.9, 6.7, 6.5, 6.7, 5.5, 5.9)},
    {"pair 1 KiB", "pair-1k", 0, "ns", false, 7, REFERENCES(12.3, 9.4, 16.2, 10.0, 7.2, 10.1, 7.3)},
    {"pair 4 KiB", "pair-4k", 0, "ns", false, 8,
     REFERENCES(31.7, 12.9, 25.6, 20.5, 8.2, 22.0, 9.5)},
    {"pair 32 KiB", "pair-32k", 0, "ns", false, 8,
     REFERENCES(31.6, 41.8, 25.0, 19.5, 7.5, 20.7, 8.4)},
    {"pair 1 MiB", "pair-1m", 0, "ns", false, 25,
     REFERENCES(29.6, 258, 1413, 358, 46.5, 23.9, 189)},
    {"1 M x 64 B: alloc", "batch-order", 0, "ns", false, 5,
     REFERENCES(9.4, 10.7, 7.1, 14.0, 14.1, 40.3, 13.3)},
    {"... free in order", "batch-order", 1, "ns", false, 4,
     REFERENCES(15.5, 12.3, 8.7, 10.4, 14.6, 15.5, 10.0)},
    {"... free in reverse", "batch-reverse", 1, "ns", false, 0, NO_REFERENCES},
    {"... free at random", "batch-random", 1, "ns", false, 25,
     REFERENCES(179, 62.7, 58.2, 49.6, 54.9, 39.9, 51.8)},
    {"... alloc after that", "batch-random", 0, "ns", false, 0, NO_REFERENCES},
    {"replace 16 B-1 KiB", "replace-1k", 0, "ns", false, 110,
     REFERENCES(270, 164, 180, 215, 122, 249, 176)},
    {"... memory over live", "replace-1k", HEAP_FIGURE_MEMORY, "ratio", false, 1.06,
     REFERENCES(1.07, 1.12, 1.12, 1.10, 1.11, 1.06, 1.26)},
    {"... PSS over live", "replace-1k", HEAP_FIGURE_PSS, "ratio", false, 0, NO_REFERENCES},
    {"... file over live", "replace-1k", HEAP_FIGURE_FILE, "ratio", false, 0, NO_REFERENCES},
    {"replace 16 B-64 KiB", "replace-64k", 0, "ns", false, 240,
     REFERENCES(896, 592, 387, 427, 252, 243, 393)},
    {"... memory over live", "replace-64k", HEAP_FIGURE_MEMORY, "ratio", false, 1.10,
     REFERENCES(1.04, 1.31, 1.13, 1.16, 1.13, 1.13, 1.13)},
    {"... PSS over live", "replace-64k", HEAP_FIGURE_PSS, "ratio", false, 0, NO_REFERENCES},
    {"... file over live", "replace-64k", HEAP_FIGURE_FILE, "ratio", false, 0, NO_REFERENCES},
    {"larson, 2 threads", "larson", 0, "Mops/s", true, 132,
     REFERENCES(22, 84, 91, 78, 132, 85, 97)},
    {"pass on 64 B", "pass-64", 0, "Mops/s", true, 107, REFERENCES(18, 24, 44, 58, 17, 41, 107)},
    {"pass on 1 KiB", "pass-1k", 0, "Mops/s", true, 45, REFERENCES(3, 9, 30, 40, 11, 45, 34)},
    {"pool 16 B", "pool-16", 0, "ns", false, 0, NO_REFERENCES},
    {"pool 64 B", "pool-64", 0, "ns", false, 0, NO_REFERENCES},
};
const size_t heap_row_count = sizeof heap_rows / sizeof heap_rows[0];

const heap_curve *const heap_curves = NULL;
const size_t heap_curve_count = 0;

const heap_work *heap_work_named(const char *name)
{
    for (size_t i = 0; i < heap_work_count; i++) {
        if (strcmp(heap_works[i].name, name) == 0) {
            return &heap_works[i];
        }
    }
    return NULL;
}
