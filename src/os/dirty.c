/*
 * os/dirty.c - the portable part of finding private pages: what is made of a scan's answers.
 *
 * A scan answers in portions, as many runs as its buffer holds. Here they are joined into maximal
 * runs and checked.
 *
 * Invariants
 * 1. Never less than is private: whatever fails, answers out of order or makes no progress turns
 *    the rest of the range into one private run. A scan is not repeated after an error: what the
 *    first one changed is not known.
 * 2. fn gets runs in rising order, not touching each other, inside the range.
 */
#include "os/dirty.h"

#include <stdatomic.h>

/* Runs of one portion: 2 KiB of stack, and a system call per 128 runs (about 1 us) is nothing
 * against looking at 128 runs of pages. */
#define DIRTY_PORTION_RUNS 128u

/* Of a run's beginning: a page, by cache lines. */
enum { DIRTY_FETCH_BYTES = 4096, DIRTY_LINE_BYTES = 64 };

typedef struct dirty_joiner {
    uint64_t start, end; /* the run that may still grow; empty: none */
    lofti_dirty_run_fn *fn;
    void *context;
} dirty_joiner;

static int dirty_flush(dirty_joiner *joiner)
{
    const uint64_t start = joiner->start;
    const uint64_t end = joiner->end;
    joiner->start = joiner->end = 0;
    if (start == end) {
        return 0;
    }
    void *at = (void *)(uintptr_t)start; /* NOLINT(performance-no-int-to-ptr): an address */
    return joiner->fn(joiner->context, at, (size_t)(end - start));
}

static int dirty_join(dirty_joiner *joiner, uint64_t start, uint64_t end)
{
    if (start == joiner->end) {
        joiner->end = end;
        return 0;
    }
    const int rc = dirty_flush(joiner);
    joiner->start = start;
    joiner->end = end;
    return rc;
}

/* Whoever asked reads the pages, and they lie far apart: the next one comes from memory while he is busy with the
 * one before. Never a fault, whatever lies there. */
static void dirty_fetch(const lofti_dirty_run *run)
{
    for (uint64_t at = run->start; at < run->end && at < run->start + DIRTY_FETCH_BYTES;
         at += DIRTY_LINE_BYTES) {
        __builtin_prefetch((const void *)(uintptr_t)at); /* NOLINT(performance-no-int-to-ptr) */
    }
}

static bool dirty_is_portion_sound(const lofti_dirty_run *runs, int count, uint64_t from,
                                   uint64_t walked, uint64_t end)
{
    if (count < 0 || (uint32_t)count > DIRTY_PORTION_RUNS || walked <= from || walked > end) {
        return false;
    }
    uint64_t low = from;
    for (int i = 0; i < count; i++) {
        if (runs[i].start < low || runs[i].end <= runs[i].start || runs[i].end > walked) {
            return false;
        }
        low = runs[i].end;
    }
    return true;
}

static int dirty_scan(const lofti_dirty_ops *ops, intptr_t handle, uint64_t from, uint64_t end,
                      dirty_joiner *joiner)
{
    int rc = 0;
    while (rc == 0 && from < end) {
        lofti_dirty_run runs[DIRTY_PORTION_RUNS] = {{0, 0}};
        uint64_t walked = from;
        const int count = ops->scan(handle, from, end, runs, DIRTY_PORTION_RUNS, &walked);
        if (!dirty_is_portion_sound(runs, count, from, walked, end)) {
            rc = dirty_join(joiner, from, end);
            break;
        }
        for (int i = 0; rc == 0 && i < count; i++) {
            dirty_fetch(&runs[i]);
            rc = dirty_join(joiner, runs[i].start, runs[i].end); /* calls fn for the one before */
        }
        from = walked;
    }
    return rc != 0 ? rc : dirty_flush(joiner);
}

int lofti_dirty_private_by(const lofti_dirty_ops *ops, void *start, size_t bytes,
                           lofti_dirty_run_fn *fn, void *context)
{
    intptr_t handle = -1;
    if (bytes == 0) {
        return 0;
    }
    if (ops == NULL || ops->open(&handle) != 0) {
        return fn(context, start, bytes);
    }
    dirty_joiner joiner = {0, 0, fn, context};
    const uint64_t from = (uint64_t)(uintptr_t)start;
    const int rc = dirty_scan(ops, handle, from, from + bytes, &joiner);
    ops->close(handle);
    return rc;
}

/* --- Which way --------------------------------------------------------------------------- */

/* Not a pthread_once: a fork while another thread is inside one would leave the child waiting for
 * ever. Threads that come first together all test, and find the same. */
enum { DIRTY_UNDECIDED = 0, DIRTY_BY_SCAN, DIRTY_BY_PAGEMAP, DIRTY_BY_NOTHING };
static atomic_int dirty_decision = DIRTY_UNDECIDED;
static _Atomic(const lofti_dirty_ops *) dirty_forced;

static int dirty_decide(void)
{
    if (lofti_dirty_self_test(lofti_dirty_ops_scan())) {
        return DIRTY_BY_SCAN;
    }
    return lofti_dirty_self_test(lofti_dirty_ops_pagemap()) ? DIRTY_BY_PAGEMAP : DIRTY_BY_NOTHING;
}

const lofti_dirty_ops *lofti_dirty_ops_current(void)
{
    const lofti_dirty_ops *forced = atomic_load_explicit(&dirty_forced, memory_order_acquire);
    if (forced != NULL) {
        return forced;
    }
    int decision = atomic_load_explicit(&dirty_decision, memory_order_acquire);
    if (decision == DIRTY_UNDECIDED) {
        decision = dirty_decide();
        atomic_store_explicit(&dirty_decision, decision, memory_order_release);
    }
    switch (decision) {
    case DIRTY_BY_SCAN: return lofti_dirty_ops_scan();
    case DIRTY_BY_PAGEMAP: return lofti_dirty_ops_pagemap();
    default: return NULL;
    }
}

void lofti_dirty_force(const lofti_dirty_ops *ops)
{
    atomic_store_explicit(&dirty_forced, ops, memory_order_release);
}

int lofti_dirty_private(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context)
{
    return lofti_dirty_private_by(lofti_dirty_ops_current(), start, bytes, fn, context);
}
