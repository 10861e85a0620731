/*
 * os/dirty.h - what the kernel knows about pages that a program stored to.
 *
 * The same rules as os/map.h. A "private" page is one that this process has a copy of its own of:
 * in a private file mapping a page stored to since it was mapped, in anonymous memory a page
 * touched. Swapped-out pages count.
 */
#ifndef LOFTI_OS_DIRTY_H
#define LOFTI_OS_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A maximal run of private pages. Non-zero stops the scan and is its result. */
typedef int lofti_dirty_run_fn(void *context, void *start, size_t bytes);

/* Calls fn for every run of private pages in [start, start + bytes), in rising order; both are
 * multiples of the page size. Uses PAGEMAP_SCAN where a self-test finds it working, else
 * /proc/self/pagemap. It may report more than is private, never less: any error of the scan
 * answers with the whole rest of the range as one run. */
int lofti_dirty_private(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context);

/* --- The ways to ask, for the implementation and its tests. ------------------------------ */

typedef struct lofti_dirty_run {
    uint64_t start, end;
} lofti_dirty_run;

/* One scan is: open, scan until *walked is `end`, close. */
typedef struct lofti_dirty_ops {
    int (*open)(intptr_t *handle);
    /* Fills `runs`, which holds `count` >= 1, with private runs of [start, end) in rising order,
     * and tells how far it looked: what lies below *walked and in no run is not private. Returns
     * the number of runs, or a negative errno value. */
    int (*scan)(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                uint32_t count, uint64_t *walked);
    void (*close)(intptr_t handle);
} lofti_dirty_ops;

/* NULL where the platform has no such way. */
const lofti_dirty_ops *lofti_dirty_ops_scan(void);    /* PAGEMAP_SCAN */
const lofti_dirty_ops *lofti_dirty_ops_pagemap(void); /* /proc/self/pagemap */
/* lofti_dirty_private by a way of the caller's choice. `ops` NULL: all of the range is one run. */
int lofti_dirty_private_by(const lofti_dirty_ops *ops, void *start, size_t bytes,
                           lofti_dirty_run_fn *fn, void *context);
/* Stores to pages of a scratch mapping of a file and tells whether `ops` finds exactly those. */
bool lofti_dirty_self_test(const lofti_dirty_ops *ops);
/* What lofti_dirty_private uses: decided by the self-test at the first call. NULL: no way works,
 * every range counts as private. */
const lofti_dirty_ops *lofti_dirty_ops_current(void);
/* For tests: NULL restores the decision of the self-test. */
void lofti_dirty_force(const lofti_dirty_ops *ops);

#endif /* LOFTI_OS_DIRTY_H */
