/*
 * heap/slab.h - slabs: making, owning, leaving, ending them.
 *
 *   made --own--> CURRENT --leave--> FULL <--free-- / --refill--> QUEUED --last free--> ended
 *   thread ends: owner 0, the same states, queues in heap->orphans; adopted again by need or by free
 */
#ifndef LOFTI_HEAP_SLAB_H
#define LOFTI_HEAP_SLAB_H

#include "heap/state.h"

/* Queues. First in, first out, so that frees gather in a slab before it is visited again: a visit costs
 * more than a block. Slabs of few, large blocks last in, first out: a visit costs little beside
 * such a block, and what lies at the bottom empties and can be cut anew. */
#define LOFTI_QUEUE_STACK_BLOCKS 16u
static inline bool lofti_queue_is_stack(const lofti_class *shape)
{
    return shape->block_count <= LOFTI_QUEUE_STACK_BLOCKS;
}

static inline const lofti_class *lofti_slab_shape(const lofti_heap *heap, uint32_t unit)
{
    return &heap->classes[heap->slabs[unit].class_idx];
}

static inline void lofti_queue_push(lofti_heap *heap, lofti_queue *queue, uint32_t unit)
{
    lofti_slab *slab = &heap->slabs[unit];
    const bool first = lofti_queue_is_stack(lofti_slab_shape(heap, unit));
    slab->prev = first ? 0 : queue->tail;
    slab->next = first ? queue->head : 0;
    if (slab->prev != 0) {
        heap->slabs[slab->prev].next = unit;
    } else {
        queue->head = unit;
    }
    if (slab->next != 0) {
        heap->slabs[slab->next].prev = unit;
    } else {
        queue->tail = unit;
    }
    slab->state = LOFTI_SLAB_QUEUED;
}

static inline void lofti_queue_remove(lofti_heap *heap, lofti_queue *queue, uint32_t unit)
{
    lofti_slab *slab = &heap->slabs[unit];
    LOFTI_ASSERT(slab->state == LOFTI_SLAB_QUEUED);
    if (slab->prev != 0) {
        heap->slabs[slab->prev].next = slab->next;
    } else {
        queue->head = slab->next;
    }
    if (slab->next != 0) {
        heap->slabs[slab->next].prev = slab->prev;
    } else {
        queue->tail = slab->prev;
    }
    slab->next = slab->prev = 0;
    slab->state = LOFTI_SLAB_NONE;
}

/* With so many free blocks, 7 of 128, a FULL slab is queued: a visit is worth its price then. What waits in slabs that
 * have fewer is about 2.5 % of them. Where room is short every block counts. */
#define LOFTI_SLAB_WORTH_128THS 7u
static inline uint32_t lofti_slab_worth(const lofti_heap *heap, const lofti_class *shape)
{
    const uint32_t worth = shape->block_count * LOFTI_SLAB_WORTH_128THS / 128;
    return heap->keeps_runs && worth != 0 ? worth : 1;
}

/* How many of its blocks are free in the local bitmap. */
uint32_t lofti_slab_count_free(const lofti_heap *heap, uint32_t unit);

/* Moves the bits of the remote bitmap into the local one. Returns how many. A stop between the two
 * stores leaves a bit in both: still one free block, and merged again later. Owner, or lock held if
 * there is none. */
uint32_t lofti_slab_merge(const lofti_heap *heap, uint32_t unit);

/* With heap->lock held: */

/* A new slab, all blocks free, owned by `thread`, state NONE. 0: no loaded chunk has the pages. */
uint32_t lofti_slab_create(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx);
/* Enters a slab that the image has, without an owner; an empty one is ended. */
void lofti_slab_load(lofti_heap *heap, uint32_t unit, uint32_t class_idx);
/* Gives back chunk `idx`'s unit of wide records if no slab uses it any more. */
void lofti_slab_drop_wide(lofti_heap *heap, uint32_t idx);
/* Makes `thread` the owner of a slab that has none, with remote frees merged; QUEUED or FULL. */
void lofti_slab_adopt(lofti_heap *heap, lofti_thread *thread, uint32_t unit);
/* Gives it up: queued with the heap, or ended if it is empty. */
void lofti_slab_disown(lofti_heap *heap, lofti_thread *thread, uint32_t unit);
/* Whatever is at `unit`: if it is a slab without an owner and remote frees came, queues or ends it. */
void lofti_slab_refresh_orphan(lofti_heap *heap, uint32_t unit);
/* Ends an empty slab that is in no queue; its owner is `thread` (NULL: none). */
void lofti_slab_end(lofti_heap *heap, lofti_thread *thread, uint32_t unit);

#endif /* LOFTI_HEAP_SLAB_H */
