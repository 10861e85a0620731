/*
 * heap/small.c - blocks in slabs: refilling cells, and what a free can set off.
 *
 * A cell hands out the free bits of one word of the thread's current slab. When they are used up it
 * takes, in this order: the same word, if frees have filled it well again (allocate-free pairs stay in one
 * cache line); the next words of the slab; the slab that has waited longest in the thread's queue; what other
 * threads have freed; a slab without an owner; a new slab.
 */
#include "heap/small.h"

#include "heap/chunk.h"
#include "heap/remote.h"
#include "heap/slab.h"

/* A word is taken again when at least one in so many of its blocks is free. */
#define SMALL_AGAIN 4u

static void small_set_word(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx,
                           uint32_t unit, uint32_t word_idx, uint64_t free)
{
    const lofti_unit *entry = &heap->units[unit];
    lofti_cell *cell = &thread->cells[class_idx];
    lofti_supply *supply = &thread->supplies[class_idx];
    cell->word = &entry->bits[word_idx];
    cell->first = entry->base + (uint64_t)word_idx * 64 * entry->size;
    cell->size = entry->size;
    const uint32_t blocks = heap->classes[class_idx].block_count;
    cell->again = ((blocks < 64 ? blocks : 64) + SMALL_AGAIN - 1) / SMALL_AGAIN;
    cell->free = free;
    supply->unit = unit;
    supply->word_idx = word_idx;
    *lofti_slab_left(entry->bits) = LOFTI_LEFT_NEVER;
}

/* Makes the first word of the slab at or after `word_idx` that has free bits the cell's. */
static bool small_use_slab(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx,
                           uint32_t unit, uint32_t word_idx)
{
    const uint32_t words = heap->classes[class_idx].word_count;
    const uint64_t *bits = heap->units[unit].bits;
    for (; word_idx < words; word_idx++) {
        const uint64_t free = lofti_word_get(&bits[word_idx]);
        if (free != 0) {
            small_set_word(heap, thread, class_idx, unit, word_idx, free);
            return true;
        }
    }
    return false;
}

/* An own slab becomes empty: ended, unless it is all that its class has in reserve. */
static void small_emptied(lofti_heap *heap, lofti_thread *thread, uint32_t unit)
{
    lofti_slab *slab = &heap->slabs[unit];
    lofti_queue *queue = &thread->supplies[slab->class_idx].partly;
    if (heap->keeps_runs && queue->head == unit && queue->tail == unit) {
        *lofti_slab_left(heap->units[unit].bits) = LOFTI_LEFT_NEVER;
        return;
    }
    lofti_queue_remove(heap, queue, unit);
    lofti_heap_lock(heap);
    lofti_slab_end(heap, thread, unit);
    lofti_heap_unlock(heap);
}

/* The current slab has no more words to give: FULL, or to the end of the queue. */
static void small_leave(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx)
{
    lofti_supply *supply = &thread->supplies[class_idx];
    const uint32_t unit = supply->unit;
    if (unit == 0) {
        return;
    }
    supply->unit = 0;
    thread->cells[class_idx].free = 0;
    thread->cells[class_idx].word = NULL;
    const uint32_t free = lofti_slab_count_free(heap, unit);
    uint32_t *left = lofti_slab_left(heap->units[unit].bits);
    const uint32_t worth = lofti_slab_worth(heap, &heap->classes[class_idx]);
    if (free < worth) {
        heap->slabs[unit].state = LOFTI_SLAB_FULL;
        *left = worth - free;
        return;
    }
    const uint32_t blocks = heap->classes[class_idx].block_count;
    lofti_queue_push(heap, &supply->partly, unit);
    *left = blocks - free;
    if (free == blocks) {
        small_emptied(heap, thread, unit);
    }
}

void lofti_small_event(lofti_thread *thread, const lofti_unit *entry)
{
    lofti_heap *heap = thread->heap;
    const uint32_t unit = (uint32_t)((uint64_t)(entry->base - heap->base) >> heap->unit_shift);
    lofti_slab *slab = &heap->slabs[unit];
    uint32_t *left = lofti_slab_left(entry->bits);
    if (slab->state == LOFTI_SLAB_FULL) {
        lofti_queue_push(heap, &thread->supplies[slab->class_idx].partly, unit);
        const lofti_class *shape = lofti_slab_shape(heap, unit);
        *left = shape->block_count - lofti_slab_worth(heap, shape);
    } else if (slab->state == LOFTI_SLAB_QUEUED) {
        small_emptied(heap, thread, unit);
    } else {
        *left = LOFTI_LEFT_NEVER;
    }
}

void lofti_small_merged(lofti_heap *heap, lofti_thread *thread, uint32_t unit, uint32_t count)
{
    lofti_slab *slab = &heap->slabs[unit];
    uint32_t *left = lofti_slab_left(heap->units[unit].bits);
    const lofti_class *shape = lofti_slab_shape(heap, unit);
    if (slab->state == LOFTI_SLAB_FULL && *left > count) {
        *left -= count;
    } else if (slab->state == LOFTI_SLAB_FULL) {
        const uint32_t free = lofti_slab_worth(heap, shape) - *left + count;
        lofti_queue_push(heap, &thread->supplies[slab->class_idx].partly, unit);
        *left = shape->block_count - free;
    } else if (slab->state == LOFTI_SLAB_QUEUED) {
        *left -= count;
    }
    if (slab->state == LOFTI_SLAB_QUEUED && *left == 0) {
        small_emptied(heap, thread, unit);
    }
}

static bool small_use_queue(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx)
{
    lofti_queue *queue = &thread->supplies[class_idx].partly;
    const uint32_t unit = queue->head;
    if (unit == 0) {
        return false;
    }
    lofti_queue_remove(heap, queue, unit);
    heap->slabs[unit].state = LOFTI_SLAB_CURRENT;
    const bool found = small_use_slab(heap, thread, class_idx, unit, 0);
    LOFTI_ASSERT(found); /* S4: a queued slab has a free block, and only its owner takes any */
    return found;
}

/* A slab from the heap: one without an owner, else a new one, else after looking at or adding chunks. */
static int small_use_heap(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx)
{
    int code = 0;
    uint32_t made = 0;
    bool adopted = false;
    lofti_heap_lock(heap);
    do {
        const uint32_t orphan = heap->orphans[class_idx].head;
        if (orphan != 0) {
            lofti_slab_adopt(heap, thread, orphan);
            adopted = true;
            break;
        }
        made = lofti_slab_create(heap, thread, class_idx);
        code = made == 0 ? lofti_chunk_more(heap) : 0;
    } while (made == 0 && code == 0);
    lofti_heap_unlock(heap);
    if (adopted) {
        (void)small_use_queue(heap, thread, class_idx);
    } else if (made != 0) {
        heap->slabs[made].state = LOFTI_SLAB_CURRENT;
        (void)small_use_slab(heap, thread, class_idx, made, 0);
    }
    return code;
}

/* Queues the thread's slabs that were not worth a visit: there is nothing else left. */
static bool small_use_rest(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx)
{
    const lofti_class *shape = &heap->classes[class_idx];
    const uint32_t worth = lofti_slab_worth(heap, shape);
    for (uint32_t unit = thread->own_head; unit != 0; unit = heap->slabs[unit].own_next) {
        const lofti_slab *slab = &heap->slabs[unit];
        uint32_t *left = lofti_slab_left(heap->units[unit].bits);
        if (slab->class_idx == class_idx && slab->state == LOFTI_SLAB_FULL && *left < worth) {
            const uint32_t free = worth - *left;
            lofti_queue_push(heap, &thread->supplies[class_idx].partly, unit);
            *left = shape->block_count - free;
        }
    }
    return small_use_queue(heap, thread, class_idx);
}

int lofti_small_refill(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx)
{
    const lofti_supply *supply = &thread->supplies[class_idx];
    if (supply->unit != 0) {
        if (small_use_slab(heap, thread, class_idx, supply->unit, supply->word_idx + 1)) {
            return 0;
        }
        small_leave(heap, thread, class_idx);
    }
    if (small_use_queue(heap, thread, class_idx)) {
        return 0;
    }
    if (lofti_remote_drain(heap, thread) && small_use_queue(heap, thread, class_idx)) {
        return 0;
    }
    const int code = small_use_heap(heap, thread, class_idx);
    return code != 0 && small_use_rest(heap, thread, class_idx) ? 0 : code;
}
