/*
 * heap/pool.h - bump pools: what is not inline in loft/pool.h.
 *
 * A pool is one thread's at a time, so nothing here locks but the heap below. Handles are judged before they
 * are believed: by the image's spans first, by their own bytes then. Misuse is reported here, damage to
 * a pool's own bytes is LOFT_ECORRUPT with its sentence set.
 */
#ifndef LOFTI_HEAP_POOL_H
#define LOFTI_HEAP_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/heap.h"
#include "loft/pool.h"

/* NULL: the status is set. */
loft_pool *lofti_pool_create(lofti_heap *heap, uint64_t first_bytes);

/* `bytes` from a new block. alignment: a power of two, 16 to 2 MiB. NULL: the status is set. */
void *lofti_pool_more(lofti_heap *heap, loft_pool *pool, uint64_t alignment, uint64_t bytes);

/* 0, or a code; after misuse LOFT_EINVAL. Failed, nothing has changed. */
int lofti_pool_rewind(lofti_heap *heap, loft_pool *pool, loft_pool_mark mark);
int lofti_pool_reset(lofti_heap *heap, loft_pool *pool);
int lofti_pool_destroy(lofti_heap *heap, loft_pool *pool);

/* Verifies all pools of the image (format/pool.h): adds to *faults and reports each. Survives any bytes.
 * LOFT_OK, LOFT_ECORRUPT, or what fn returned if it stopped. */
int lofti_pool_check(lofti_heap *heap, loft_report_fn *fn, void *context, uint64_t *faults);

#endif /* LOFTI_HEAP_POOL_H */
