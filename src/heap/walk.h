/*
 * heap/walk.h - the live blocks of the image, in rising order of address.
 */
#ifndef LOFTI_HEAP_WALK_H
#define LOFTI_HEAP_WALK_H

#include "heap/find.h"

#define LOFTI_WALK_BATCH 64u /* blocks of one bitmap word */

/* The next few live blocks at or after `from_off`: some of one slab, or one span. Returns how many,
 * 0 at the end. `hidden`: the library's own too. Trusts no byte of the image. */
uint32_t lofti_walk_fill(const lofti_heap *heap, uint64_t from_off, bool hidden,
                         lofti_place out[LOFTI_WALK_BATCH]);

/* The same as a caller sees it. */
void lofti_walk_tell(const lofti_heap *heap, const lofti_place *place, loft_block *out);

/* The first chunk with metadata at or after `idx`; chunk_limit: none. */
uint32_t lofti_walk_head(const lofti_heap *heap, uint32_t idx);

#endif /* LOFTI_HEAP_WALK_H */
