/*
 * heap/trim.h - free memory goes back to the host when a heap's threads have ended.
 *
 * Free chunks are given back as others follow them (chunk.c), for a heap at work needs them again at once. When all
 * threads but one have ended, the work may be over: then every free page goes back, if enough was
 * released since the last time, so that the price of a thread's end stays in proportion to what it did.
 */
#ifndef LOFTI_HEAP_TRIM_H
#define LOFTI_HEAP_TRIM_H

#include "heap/state.h"

/* Pages of a block that ended, or of the rest of one that became shorter; they are free by now. A program mostly
 * allocates again what it has just freed; what it has not after some time it does not need, and a heap that holds on to it
 * is larger than its peak of live blocks. heap->lock held, by both. */
void lofti_trim_note(lofti_heap *heap, uint64_t page, uint64_t pages);
/* Gives back what was noted long enough ago and is free. */
void lofti_trim_idle(lofti_heap *heap);

/* To be called after a thread heap was given up. heap->lock held. */
void lofti_trim_after_thread(lofti_heap *heap);

#endif /* LOFTI_HEAP_TRIM_H */
