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

/* A word is taken again when at least one in so many of its blocks is free; if the slab has few, at
 * the first: it would be the next in the queue anyway. */
#define SMALL_AGAIN 4u

/* So many of a word's free blocks are called into the cache when the cell takes the word. In a large heap the first
 * store to a block is what allocation costs, and so the misses overlap. A prefetch neither faults nor
 * dirties a page. */
#define SMALL_AHEAD 6u

/* A cell may use blocks that are larger by so small a part, above LOFTI_CLASS_FINE_BYTES that is two classes. */
#define SMALL_BORROW_FINE   8u
#define SMALL_BORROW_COARSE 4u

/* Below so many chunks (64 MiB) empty slabs are looked for before the heap grows. */
#define SMALL_GATHER_CHUNKS 16u

static uint32_t small_again(const lofti_class *shape)
{
    const uint32_t blocks = shape->block_count < 64 ? shape->block_count : 64;
    return lofti_queue_is_stack(shape) ? 1 : (blocks + SMALL_AGAIN - 1) / SMALL_AGAIN;
}

static void small_ahead(const uint8_t *first, uint32_t size, uint64_t free)
{
    for (uint32_t i = 0; i < SMALL_AHEAD && free != 0; i++, free &= free - 1) {
        __builtin_prefetch(first + (size_t)((uint32_t)__builtin_ctzll(free) * size), 1);
    }
}

/* Makes a word of the slab, with these free bits, the cell's. The slab is of the cell's class or of one above. */
static void small_set_word(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx,
                           uint32_t unit, uint32_t word_idx, uint64_t free)
{
    const lofti_unit *entry = &heap->units[unit];
    lofti_cell *cell = &thread->cells[class_idx];
    lofti_supply *supply = &thread->supplies[class_idx];
    cell->word = &entry->bits[word_idx];
    cell->first = entry->base + (uint64_t)word_idx * 64 * entry->size;
    cell->size = entry->size;
    cell->again = small_again(lofti_slab_shape(heap, unit));
    cell->free = free;
    supply->unit = unit;
    supply->word_idx = word_idx;
    *lofti_slab_left(entry->bits) = LOFTI_LEFT_NEVER;
}

/* Makes the first word of the slab at or after `word_idx` that has free bits the cell's. */
static bool small_use_slab(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx,
                           uint32_t unit, uint32_t word_idx)
{
    const lofti_unit *entry = &heap->units[unit];
    const uint32_t words = lofti_slab_shape(heap, unit)->word_count;
    for (; word_idx < words; word_idx++) {
        const uint64_t free = lofti_word_get(&entry->bits[word_idx]);
        if (free != 0) {
            small_set_word(heap, thread, class_idx, unit, word_idx, free);
            small_ahead(thread->cells[class_idx].first, entry->size, free);
            return true;
        }
    }
    return false;
}

/* Whether an empty slab may be kept for its class: one chunk's worth of such reserves in a heap of 64 is little, and all
 * classes of a small heap have a slab that was used once. */
static bool small_reserves(const lofti_heap *heap, const lofti_class *shape)
{
    return heap->keeps_runs &&
           shape->unit_count <= __atomic_load_n(&heap->image->chunk_end, __ATOMIC_RELAXED);
}

/* An own slab becomes empty: ended, unless it is all that its class has in reserve. */
static void small_emptied(lofti_heap *heap, lofti_thread *thread, uint32_t unit)
{
    lofti_slab *slab = &heap->slabs[unit];
    lofti_queue *queue = &thread->supplies[slab->class_idx].partly;
    if (queue->head == unit && queue->tail == unit &&
        small_reserves(heap, lofti_slab_shape(heap, unit))) {
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
    lofti_slab *slab = &heap->slabs[unit];
    const lofti_class *shape = lofti_slab_shape(heap, unit);
    uint32_t *left = lofti_slab_left(heap->units[unit].bits);
    const uint32_t free = lofti_slab_count_free(heap, unit);
    const uint32_t worth = lofti_slab_worth(heap, shape);
    if (free < worth) {
        slab->state = LOFTI_SLAB_FULL;
        *left = worth - free;
        return;
    }
    lofti_queue_push(heap, &thread->supplies[slab->class_idx].partly, unit);
    *left = shape->block_count - free;
    if (free == shape->block_count) {
        small_emptied(heap, thread, unit);
    }
}

/* Whether the current slab has no other word to look at and none of its blocks is free. */
static bool small_is_used_up(const lofti_heap *heap, const lofti_cell *cell, uint32_t unit)
{
    return lofti_slab_shape(heap, unit)->word_count == 1 && lofti_word_get(cell->word) == 0;
}

/* The current slab, used up, becomes FULL. As small_leave, shorter: with blocks of 1 KiB and more that is nearly
 * every refill. */
static void small_leave_used_up(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx)
{
    lofti_supply *supply = &thread->supplies[class_idx];
    lofti_cell *cell = &thread->cells[class_idx];
    const uint32_t unit = supply->unit;
    heap->slabs[unit].state = LOFTI_SLAB_FULL;
    *lofti_slab_left(cell->word) = lofti_slab_worth(heap, lofti_slab_shape(heap, unit));
    supply->unit = 0;
    cell->word = NULL;
}

/* A slab of few blocks that got its first free one is what its class's cell would take next: if that is used up it
 * does so now, and the next allocation takes the short way. */
static bool small_use_freed(lofti_heap *heap, lofti_thread *thread, uint32_t unit)
{
    const uint32_t class_idx = heap->slabs[unit].class_idx;
    const lofti_cell *cell = &thread->cells[class_idx];
    const uint32_t current = thread->supplies[class_idx].unit;
    if (cell->free != 0 || (current != 0 && !small_is_used_up(heap, cell, current))) {
        return false;
    }
    if (current != 0) {
        small_leave_used_up(heap, thread, class_idx);
    }
    heap->slabs[unit].state = LOFTI_SLAB_CURRENT;
    return small_use_slab(heap, thread, class_idx, unit, 0);
}

void lofti_small_event(lofti_thread *thread, const lofti_unit *entry)
{
    lofti_heap *heap = thread->heap;
    const uint32_t unit = (uint32_t)((uint64_t)(entry->base - heap->base) >> heap->unit_shift);
    lofti_slab *slab = &heap->slabs[unit];
    uint32_t *left = lofti_slab_left(entry->bits);
    if (slab->state == LOFTI_SLAB_FULL) {
        const lofti_class *shape = lofti_slab_shape(heap, unit);
        if (lofti_queue_is_stack(shape) && small_use_freed(heap, thread, unit)) {
            return;
        }
        lofti_queue_push(heap, &thread->supplies[slab->class_idx].partly, unit);
        *left = shape->block_count - lofti_slab_worth(heap, shape);
        if (lofti_queue_is_stack(shape)) {
            small_ahead(entry->base, entry->size, lofti_word_get(entry->bits)); /* used next */
        }
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

/* Takes the next slab from the thread's queue of the class `from`, class_idx or one above. */
static bool small_use_queue(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx,
                            uint32_t from)
{
    lofti_queue *queue = &thread->supplies[from].partly;
    const uint32_t unit = queue->head;
    if (unit == 0) {
        return false;
    }
    lofti_queue_remove(heap, queue, unit);
    heap->slabs[unit].state = LOFTI_SLAB_CURRENT;
    if (queue->head != 0) {
        __builtin_prefetch(heap->units[queue->head].bits, 1);
    }
    const bool found = small_use_slab(heap, thread, class_idx, unit, 0);
    LOFTI_ASSERT(found); /* S4: a queued slab has a free block, and only its owner takes any */
    return found;
}

/* From slabs of the next classes, which wait for use as they are: blocks that are a little too large cost less memory
 * than another slab of which most blocks stay free, as the numbers of blocks of a size go up and down. */
static bool small_borrow(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx)
{
    const uint32_t size = heap->classes[class_idx].size;
    const uint32_t part = class_idx <= LOFTI_CLASS_FINE ? SMALL_BORROW_FINE : SMALL_BORROW_COARSE;
    const uint32_t most = size + size / part;
    for (uint32_t from = class_idx + 1;
         from <= heap->class_last && heap->classes[from].size <= most; from++) {
        if (small_use_queue(heap, thread, class_idx, from)) {
            return true;
        }
    }
    return false;
}

/* Ends the thread's slabs that are empty: those it allocates from, and those it keeps in reserve. A class that was used
 * once else holds its slab for ever, which in a small heap is most of it. heap->lock held. */
static bool small_end_empty(lofti_heap *heap, lofti_thread *thread)
{
    bool ended = false;
    uint32_t next = 0;
    for (uint32_t unit = thread->own_head; unit != 0; unit = next) {
        lofti_slab *slab = &heap->slabs[unit];
        next = slab->own_next;
        if (slab->state == LOFTI_SLAB_FULL ||
            __atomic_load_n(&slab->remote_flag, __ATOMIC_RELAXED) != 0 ||
            lofti_slab_count_free(heap, unit) != lofti_slab_shape(heap, unit)->block_count) {
            continue;
        }
        if (slab->state == LOFTI_SLAB_QUEUED) {
            lofti_queue_remove(heap, &thread->supplies[slab->class_idx].partly, unit);
        }
        for (uint32_t i = 1; slab->state == LOFTI_SLAB_CURRENT && i <= heap->class_last; i++) {
            if (thread->supplies[i].unit == unit) { /* a cell may use a slab of another class */
                thread->supplies[i].unit = 0;
                thread->cells[i].free = 0;
                thread->cells[i].word = NULL;
                slab->state = LOFTI_SLAB_NONE;
            }
        }
        lofti_slab_end(heap, thread, unit);
        ended = true;
    }
    return ended;
}

/* Whether a new slab should rather have the pages of empty ones than a new chunk: while a chunk is much of the heap.
 * heap->lock held. */
static bool small_gather(lofti_heap *heap, lofti_thread *thread, bool *gathered)
{
    const bool first = !*gathered && heap->keeps_runs && heap->known_end < SMALL_GATHER_CHUNKS;
    *gathered = true;
    return first && small_end_empty(heap, thread);
}

/* A slab from the heap: one without an owner, else a new one, else after looking at or adding chunks. */
static int small_use_heap(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx)
{
    int code = 0;
    uint32_t made = 0;
    bool adopted = false;
    bool gathered = false;
    lofti_heap_lock(heap);
    do {
        const uint32_t orphan = heap->orphans[class_idx].head;
        if (orphan != 0) {
            lofti_slab_adopt(heap, thread, orphan);
            adopted = true;
            break;
        }
        made = lofti_slab_create(heap, thread, class_idx);
        code = made != 0 || small_gather(heap, thread, &gathered) ? 0 : lofti_chunk_more(heap);
    } while (made == 0 && code == 0);
    lofti_heap_unlock(heap);
    if (adopted) {
        (void)small_use_queue(heap, thread, class_idx, class_idx);
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
    return small_use_queue(heap, thread, class_idx, class_idx);
}

bool lofti_small_own(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx)
{
    lofti_supply *supply = &thread->supplies[class_idx];
    lofti_cell *cell = &thread->cells[class_idx];
    const uint32_t unit = supply->unit;
    if (unit != 0 && small_is_used_up(heap, cell, unit)) {
        small_leave_used_up(heap, thread, class_idx);
    } else if (unit != 0) {
        if (small_use_slab(heap, thread, class_idx, unit, supply->word_idx + 1)) {
            return true;
        }
        small_leave(heap, thread, class_idx);
    }
    return small_use_queue(heap, thread, class_idx, class_idx);
}

int lofti_small_refill(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx)
{
    if (lofti_small_own(heap, thread, class_idx)) {
        return 0;
    }
    if (lofti_remote_drain(heap, thread) && small_use_queue(heap, thread, class_idx, class_idx)) {
        return 0;
    }
    if (small_borrow(heap, thread, class_idx)) {
        return 0;
    }
    const int code = small_use_heap(heap, thread, class_idx);
    return code != 0 && small_use_rest(heap, thread, class_idx) ? 0 : code;
}
