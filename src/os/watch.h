/*
 * os/watch.h - which private pages were stored to since they were last asked for: userfaultfd's
 * asynchronous write protection, read by PAGEMAP_SCAN.
 *
 * The same rules as os/map.h. A watched range is registered once; each take reports its private pages
 * that were stored to since the take before, and protects them again, in one step for each page. A store into a
 * protected page costs a fault that the kernel resolves by itself (1.1 us), once between two takes.
 * A page of a watched range that was only read may be reported by a take, too, once.
 *
 * What a take reports is forgotten by the kernel: a caller whose commit fails must treat every
 * private page as stored to. So does the take itself on any error: it reports all that it did not
 * see, and is never repeated. Mapping over a range, moving it or forking it ends its watch.
 */
#ifndef LOFTI_OS_WATCH_H
#define LOFTI_OS_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/dirty.h"

typedef struct lofti_watch {
    intptr_t handle; /* of the userfaultfd */
} lofti_watch;

/* Decided once per process, by a self-test on scratch mappings, never by version. */
bool lofti_watch_works(void);

int lofti_watch_open(lofti_watch *out);
void lofti_watch_close(lofti_watch *watch);

/* Watches a range from now on; its pages that are private already count as stored to until the first take.
 * -ENOMEM at the limit of mappings, among others; then the range is not watched. */
int lofti_watch_add(const lofti_watch *watch, void *start, size_t bytes);

/* Calls fn for every run of private pages in a watched range that were stored to since the last take, and
 * protects them. Non-zero stops it and is its result; pages behind may then be protected that were not reported.
 * A range that is not watched is passed over in silence: ask lofti_watch_missed first. */
int lofti_watch_take(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context);
/* The same without protecting: the next take reports them again. While nobody stores to the range. */
int lofti_watch_look(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context);
/* Protects without reporting: what was stored until now counts no longer. Where that fails, it still does. */
void lofti_watch_forget(void *start, size_t bytes);
/* As look, and none that is not private. */
int lofti_watch_peek(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context);
/* Calls fn for every run of private pages that no watch covers: it never began, or it was lost (somebody
 * closed the descriptor, mapped over the range). What is watched costs this nothing. */
int lofti_watch_missed(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context);

#endif /* LOFTI_OS_WATCH_H */
