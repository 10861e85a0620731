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

/* To be called after a thread heap was given up. heap->lock held. */
void lofti_trim_after_thread(lofti_heap *heap);

#endif /* LOFTI_HEAP_TRIM_H */
