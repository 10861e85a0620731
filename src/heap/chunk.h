/*
 * heap/chunk.h - the heap's chunks: looking at them, growing, cutting and joining them.
 *
 * All functions want heap->lock held.
 */
#ifndef LOFTI_HEAP_CHUNK_H
#define LOFTI_HEAP_CHUNK_H

#include "heap/state.h"

/* Looks at chunk `idx` if nobody has since attach: validates its metadata, builds its volatile side,
 * files its free pages and queues its partly free slabs. Returns its state; BAD has the sentence set
 * and the code LOFT_ECORRUPT, when it was found just now. */
uint32_t lofti_chunk_load(lofti_heap *heap, uint32_t idx);

/* Finds or makes more free pages: cuts a free chunk into pages, looks at chunks not yet seen, or grows.
 * 0: something may have become free, try again. Else a code, its sentence set. */
int lofti_chunk_more(lofti_heap *heap);

/* Takes `count` neighbouring chunks, growing if need be, and makes the first a HEAD with all its
 * pages free and the others BODY. *zero: all their bytes behind the first's metadata are zeros. */
int lofti_chunk_take_run(lofti_heap *heap, uint32_t count, uint32_t *first_idx, bool *zero);
/* Takes exactly the chunks [idx, idx + count) as BODY, if all are FREE, or are made so: behind the heap's end the host
 * is asked for them. */
bool lofti_chunk_take_bodies(lofti_heap *heap, uint32_t idx, uint32_t count);
/* Gives BODY chunks back. */
void lofti_chunk_release_bodies(lofti_heap *heap, uint32_t idx, uint32_t count);

/* To be called after pages of a HEAD were released: an empty chunk becomes FREE, but for one. */
void lofti_chunk_released(lofti_heap *heap, uint32_t idx);

/* Writes the metadata of a chunk that holds nothing and sets its bit in the directory. Needs no
 * volatile state: layout uses it too. */
void lofti_chunk_format(const lofti_heap *heap, uint32_t idx, bool zero);

#endif /* LOFTI_HEAP_CHUNK_H */
