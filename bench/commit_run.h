/*
 * commit_run.h - the parts of the commit benchmark.
 */
#ifndef LOFT_BENCH_COMMIT_RUN_H
#define LOFT_BENCH_COMMIT_RUN_H

#include "commit_store.h"
#include "loft/arena.h"

#define COMMIT_MIB ((uint64_t)1 << 20)
#define COMMIT_GIB ((uint64_t)1 << 30)

/* The trackers that can be forced: a column of loft's for each. */
enum { COMMIT_TRACKERS = 2 };
extern const char *const commit_trackers[COMMIT_TRACKERS];

/* K random updates of a 256 MB table, all stores in turns: milliseconds and KB. */
void commit_measure_updates(harness_table *table, const harness_options *options);
/* Nothing changed; one page of a small and of a large heap. */
void commit_measure_pages(harness_table *table, const harness_options *options);
/* Rolling K pages back against committing them. */
void commit_measure_rollback(harness_table *table, const harness_options *options);
/* Gigabytes at once. */
void commit_measure_bulk(harness_table *table, const harness_options *options);

/* An arena with one tracker; NULL: it could not be opened, and why is noted in `column`. */
loft_arena *commit_open_arena(const char *path, unsigned flags, const char *tracker,
                              harness_column *column);
_Noreturn void commit_die(const char *what);
/* A step that must succeed: else the program ends with loft's sentence. */
static inline void commit_must(int code, const char *what)
{
    if (code != 0) {
        commit_die(what);
    }
}

#endif
