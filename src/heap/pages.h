/*
 * heap/pages.h - which pages are free, and taking and giving back runs of them.
 *
 * Volatile: a bitmap per chunk, rebuilt from the image when the chunk is loaded. Chunks are filed by
 * their longest free run and by their longest run of free units, so that the chunk whose longest run
 * is the shortest that suffices is found in a few steps; inside it the best fit is taken. So
 * large runs stay whole.
 *
 * All functions want heap->lock held. Pages are counted from the heap's base.
 */
#ifndef LOFTI_HEAP_PAGES_H
#define LOFTI_HEAP_PAGES_H

#include "heap/state.h"

/* Files a chunk whose `used` was just filled in and whose state is HEAD. */
void lofti_pages_file(lofti_heap *heap, uint32_t idx);
/* Takes it out of the files. */
void lofti_pages_unfile(lofti_heap *heap, uint32_t idx);

/* Takes a run of `count` <= 1023 pages whose address is a multiple of `alignment` (a power of two, at
 * least a page). *zero: whether its bytes are known to be zeros. Marks the pages touched in the
 * image. False: no loaded chunk has one. */
bool lofti_pages_take(lofti_heap *heap, uint32_t count, uint64_t alignment, uint64_t *page,
                      bool *zero);
/* The same for whole units. */
bool lofti_pages_take_units(lofti_heap *heap, uint32_t units, uint32_t *unit);
/* The same for one unit of this chunk. */
bool lofti_pages_take_unit_in(lofti_heap *heap, uint32_t idx, uint32_t *unit);
/* Takes exactly these pages of one chunk, if all are free. */
bool lofti_pages_take_at(lofti_heap *heap, uint64_t page, uint32_t count);
/* Gives a run back. */
void lofti_pages_release(lofti_heap *heap, uint64_t page, uint32_t count);

/* Bits [from, from + count) of a bitmap. */
void lofti_pages_mark(uint64_t *words, uint32_t from, uint32_t count);
void lofti_pages_clear(uint64_t *words, uint32_t from, uint32_t count);
bool lofti_pages_any(const uint64_t *words, uint32_t from, uint32_t count);

#endif /* LOFTI_HEAP_PAGES_H */
