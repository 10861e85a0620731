/*
 * heap/remote.h - frees by a thread that does not own the slab.
 *
 * The freeing thread sets the block's bit in the slab's remote bitmap by an atomic OR and, unless that
 * was done, flags the slab and puts it on its owner's list. The owner takes the list when its own
 * runs dry, clears each flag and only then reads the bits: a free that comes between finds the
 * flag clear and puts the slab on the list again. Going on the list happens with heap->lock held: it is
 * rare (once per slab and visit of its owner), and owners then neither come nor go. So no free is lost and each slab is on at most one
 * list. A slab may be ended and made anew while on a list: whoever takes the list looks at what is
 * there now, and hands on what is not its own.
 */
#ifndef LOFTI_HEAP_REMOTE_H
#define LOFTI_HEAP_REMOTE_H

#include "heap/state.h"

/* Frees block `block_idx`, live so far, of the slab at `unit`. False: another has just done so.
 * Tells its owner; if it has none, `thread` adopts it. No lock held. */
bool lofti_remote_free(lofti_heap *heap, lofti_thread *thread, uint32_t unit, uint32_t block_idx);

/* Merges what others have freed of this thread's slabs. Returns whether there was any. No lock held. */
bool lofti_remote_drain(lofti_heap *heap, lofti_thread *thread);

/* Closes the thread's list for good and merges what is on it. heap->lock held. */
void lofti_remote_close(lofti_heap *heap, lofti_thread *thread);

#endif /* LOFTI_HEAP_REMOTE_H */
