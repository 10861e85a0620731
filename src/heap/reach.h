/*
 * heap/reach.h - which live blocks can be reached, and what the words in live blocks are.
 *
 * A conservative scan: every 8-byte aligned word of a live block that is the address of a byte of another, its first
 * or one inside, reaches that block. A pool is reached as a whole: by its handle or by any byte of any of its
 * blocks; of its memory what is handed out is scanned.
 *
 *   marked    a bit for every 16 bytes of the heap: the block that begins there is reached
 *   pending   the same: and is not scanned yet. Above it lie summaries, each a bit for a word of the one
 *             below, so that the next pending block is found in a few steps
 *
 *     level 2   |1|                          a block is pushed: its bits are set, upward until one was
 *     level 1   |1000100...|                 a block is popped: the lowest bits are followed down, and cleared
 *     level 0   |0010...|....|1001...|       where a word becomes 0
 *
 * Memory: 1/63 of the heap's length, of the host, of which only what is touched counts. Time: in proportion to the
 * words of the blocks that are reached. The image is trusted no more than by find.h.
 */
#ifndef LOFTI_HEAP_REACH_H
#define LOFTI_HEAP_REACH_H

#include "heap/heap.h"

#define LOFTI_REACH_LEVELS 7u /* 16 TiB / 16 bytes are 2^40 bits: 64^7 */

typedef struct lofti_reach {
    lofti_heap *heap;
    uint64_t stored_base; /* a stored pointer to the heap's first byte has this value */
    uint64_t end_off;     /* of the heap when it was opened */
    uint64_t *marked;
    uint64_t *levels[LOFTI_REACH_LEVELS];
    uint32_t level_count;
    size_t bytes; /* of the memory, which begins at `marked` */
} lofti_reach;

/* 0 or a code with its sentence set. The other threads are quiet until close. */
int lofti_reach_open(lofti_heap *heap, uint64_t stored_base, lofti_reach *out);
void lofti_reach_close(lofti_reach *reach);

/* What lies at `off`, which may be any number, is reached, and all that follows from it once run is called. */
void lofti_reach_root(lofti_reach *reach, uint64_t off);
void lofti_reach_run(lofti_reach *reach);

/* Calls fn for every live block that is not reached, in rising order of address, and counts them. 0, or what fn
 * returned if it stopped. */
int lofti_reach_each_lost(lofti_reach *reach, loft_block_fn *fn, void *context, uint64_t *count);

/* Calls fn for every aligned word in use: of live blocks, of what pools have handed out. Non-0 stops and
 * is the result. */
typedef int lofti_reach_word_fn(void *context, uint64_t off, uint64_t word);
int lofti_reach_words(lofti_heap *heap, lofti_reach_word_fn *fn, void *context);

#endif /* LOFTI_HEAP_REACH_H */
