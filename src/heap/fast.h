/*
 * heap/fast.h - the allocator's common case, inline, so that the public function is one function: no call,
 * no stack frame.
 *
 * It is taken when the calling thread used the same heap last: `heap_id` is the id of an attached heap
 * that may be written to (lofti_heap_id), or 0, which matches nothing. That one compare stands for all
 * tests of a handle.
 */
#ifndef LOFTI_HEAP_FAST_H
#define LOFTI_HEAP_FAST_H

#include "base/arith.h"
#include "heap/small.h"
#include "heap/span.h"

/* The cell of that size; NULL: take the slow way. */
static inline lofti_cell *lofti_fast_find(uint64_t heap_id, size_t bytes)
{
    const lofti_thread_view *view = &lofti_thread_last;
    if (LOFTI_UNLIKELY(view->heap_id != heap_id)) {
        return NULL;
    }
    size_t class_idx = (bytes + 15) >> LOFTI_CLASS_STEP_SHIFT;
    if (LOFTI_UNLIKELY(bytes > LOFTI_CLASS_FINE_BYTES)) {
        if (bytes > LOFTI_CLASS_BYTES_LARGE) {
            return NULL;
        }
        class_idx = lofti_class_coarse[(bytes - 1) >> LOFTI_CLASS_COARSE_SHIFT];
    }
    return &view->thread->cells[class_idx];
}

/* It, if it has a block. */
static inline lofti_cell *lofti_fast_cell(uint64_t heap_id, size_t bytes)
{
    lofti_cell *cell = lofti_fast_find(heap_id, bytes);
    return LOFTI_LIKELY(cell != NULL) && LOFTI_LIKELY(cell->free != 0) ? cell : NULL;
}

/* The next best: a block from what else the thread has at hand, still without a lock. NULL: there is none. */
static inline void *lofti_fast_more(uint64_t heap_id, size_t bytes)
{
    lofti_thread *thread = lofti_thread_last.thread;
    lofti_cell *cell = lofti_fast_find(heap_id, bytes);
    if (cell != NULL) {
        const uint32_t class_idx = (uint32_t)(cell - thread->cells);
        const bool found =
            lofti_small_again(cell) || lofti_small_own(thread->heap, thread, class_idx);
        return found ? lofti_small_take(cell) : NULL;
    }
    if (lofti_thread_last.heap_id != heap_id || bytes > LOFTI_CHUNK_BYTES) {
        return NULL;
    }
    return lofti_span_use_kept(thread,
                               lofti_arith_round_up(bytes, LOFTI_PAGE_BYTES) >> LOFTI_PAGE_SHIFT);
}

/* Whether the block was one of the thread's own, and is free now. */
static inline bool lofti_fast_free(uint64_t heap_id, const void *block)
{
    const lofti_thread_view *view = &lofti_thread_last;
    return LOFTI_LIKELY(view->heap_id == heap_id) && LOFTI_LIKELY(lofti_small_give(view, block));
}

/* Frees any other live block. False, with nothing changed: there is none that begins there, or another thread has
 * just freed it. */
bool lofti_alloc_give(lofti_heap *heap, lofti_thread *thread, const void *block);

static inline bool lofti_fast_free_more(uint64_t heap_id, const void *block)
{
    lofti_thread *thread = lofti_thread_last.thread;
    return lofti_thread_last.heap_id == heap_id && lofti_alloc_give(thread->heap, thread, block);
}

#endif /* LOFTI_HEAP_FAST_H */
