/*
 * heap/small.h - blocks in slabs: the fast paths, inline, and what they fall back to.
 */
#ifndef LOFTI_HEAP_SMALL_H
#define LOFTI_HEAP_SMALL_H

#include "heap/annotate.h"
#include "heap/thread.h"

/* Refills the cell of a class from the thread's own slabs. False: they have no more; class 0 has none. */
bool lofti_small_own(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx);

/* The same from wherever there is something. 0, or a code with its sentence set. No lock held. */
int lofti_small_refill(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx);

/* The free that made `left` of the slab at `entry` 0: it was full, or it is empty now. */
void lofti_small_event(lofti_thread *thread, const lofti_unit *entry);

/* `count` blocks of an own slab became free by merging, not counted in `left` yet. */
void lofti_small_merged(lofti_heap *heap, lofti_thread *thread, uint32_t unit, uint32_t count);

/* A block of the cell, which has one. The image changes before the block is handed out. */
static inline void *lofti_small_take(lofti_cell *cell)
{
    const uint64_t free = cell->free;
    LOFTI_ASSERT(free != 0);
    const uint64_t rest = free & (free - 1);
    cell->free = rest;
    lofti_word_flip(cell->word, free ^ rest);
    void *block = cell->first + (size_t)((uint32_t)__builtin_ctzll(free) * cell->size);
    lofti_annotate_live(block, cell->size);
    return block;
}

/* Takes the cell's word once more, if frees have filled it well again: allocate-free pairs stay in one
 * cache line. */
static inline bool lofti_small_again(lofti_cell *cell)
{
    if (cell->word == NULL) {
        return false;
    }
    const uint64_t free = lofti_word_get(cell->word);
    if (lofti_word_count(free) < cell->again) {
        return false;
    }
    cell->free = free;
    return true;
}

/* Sets the bit of a live block of an own slab. */
static inline void lofti_small_put(lofti_thread *thread, const lofti_unit *entry, uint64_t idx)
{
    uint64_t *word = &entry->bits[idx / 64];
    uint32_t *left = lofti_slab_left(entry->bits);
    lofti_annotate_free(entry->base + idx * entry->size, entry->size);
    lofti_word_set(word, lofti_word_get(word) | (uint64_t)1 << (idx % 64));
    if (LOFTI_UNLIKELY(--*left == 0)) {
        lofti_small_event(thread, entry);
    }
}

/* Frees a live block of one of the slabs of the thread heap in `view`. False, with nothing changed, if
 * `block` is anything else. */
static inline bool lofti_small_give(const lofti_thread_view *view, const void *block)
{
    const uint64_t off = (uint64_t)((uintptr_t)block - (uintptr_t)view->base);
    if (LOFTI_UNLIKELY(off >= view->reach_bytes)) {
        return false;
    }
    const lofti_unit *entry = &view->units[off >> view->unit_shift];
    if (LOFTI_UNLIKELY(__atomic_load_n(&entry->owner, __ATOMIC_RELAXED) != view->owner)) {
        return false;
    }
    const uint32_t idx = lofti_unit_index(entry, block);
    if (LOFTI_UNLIKELY(idx >= entry->count)) {
        return false;
    }
    uint64_t *bits = entry->bits;
    uint64_t word = lofti_word_get(&bits[idx / 64]);
    if (LOFTI_UNLIKELY(lofti_word_test_set(&word, idx))) {
        return false;
    }
    lofti_annotate_free(block, entry->size);
    lofti_word_set(&bits[idx / 64], word);
    if (LOFTI_UNLIKELY(--*lofti_slab_left(bits) == 0)) {
        lofti_small_event(view->thread, entry);
    }
    return true;
}

#endif /* LOFTI_HEAP_SMALL_H */
