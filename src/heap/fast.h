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

#include "heap/small.h"

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

/* The next best: a cell whose word has blocks again. */
static inline lofti_cell *lofti_fast_again(uint64_t heap_id, size_t bytes)
{
    lofti_cell *cell = lofti_fast_find(heap_id, bytes);
    return cell != NULL && cell->free == 0 && lofti_small_again(cell) ? cell : NULL;
}

/* Whether the block was one of the thread's own, and is free now. */
static inline bool lofti_fast_free(uint64_t heap_id, const void *block)
{
    const lofti_thread_view *view = &lofti_thread_last;
    return LOFTI_LIKELY(view->heap_id == heap_id) && LOFTI_LIKELY(lofti_small_give(view, block));
}

#endif /* LOFTI_HEAP_FAST_H */
