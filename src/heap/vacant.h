/*
 * heap/vacant.h - pages that are free in two states of one heap: as it is now, and as another image has it.
 *
 * The file of an arena can give back only what neither its last commit nor the running program has in use: a page that the
 * program freed since is still the commit's, one that it allocated since holds what the next commit will need.
 */
#ifndef LOFTI_HEAP_VACANT_H
#define LOFTI_HEAP_VACANT_H

#include "heap/heap.h"

/* Copies [off, off + bytes) of the other image, of which nothing is trusted. 0, or a code that ends the search. */
typedef int lofti_vacant_read_fn(void *context, uint64_t off, void *data, uint64_t bytes);
/* Hears of a run of pages. Non-0 ends the search. */
typedef int lofti_vacant_fn(void *context, uint64_t off, uint64_t bytes);

/* Calls fn for every run of at least `least_pages` pages of chunk `idx` that are free in both. No other thread changes
 * the heap until it returns. A chunk that was not looked at since attach has none. */
int lofti_vacant_each(lofti_heap *heap, uint32_t idx, uint32_t least_pages,
                      lofti_vacant_read_fn *read, lofti_vacant_fn *fn, void *context);

/* Chunks at and behind it were never touched since attach. */
uint32_t lofti_vacant_end(lofti_heap *heap);
/* Whether the chunk is free as a whole: no metadata in it. */
bool lofti_vacant_whole(lofti_heap *heap, uint32_t idx);

#endif /* LOFTI_HEAP_VACANT_H */
