/*
 * heap/fast.h - the allocator's common case, inline, so that the public function is one function: no call,
 * no stack frame.
 *
 * It is taken when the calling thread used the same heap last, which the caller finds out first: by the handle that
 * it was given (lofti_thread_is_handle), or by the heap (lofti_thread_is_last). That one compare stands for all
 * tests of a handle: it is attached, it may be written to, it is not NULL.
 */
#ifndef LOFTI_HEAP_FAST_H
#define LOFTI_HEAP_FAST_H

#include "base/arith.h"
#include "heap/small.h"
#include "heap/span.h"

/* The cell of that size; what is too large for one is sent to class 0, which never has a block. */
static inline lofti_cell *lofti_fast_find(size_t bytes)
{
    size_t class_idx = (bytes + 15) >> LOFTI_CLASS_STEP_SHIFT;
    if (LOFTI_UNLIKELY(bytes > LOFTI_CLASS_FINE_BYTES)) {
        class_idx = bytes > LOFTI_CLASS_BYTES_LARGE
                        ? 0
                        : lofti_class_coarse[(bytes - 1) >> LOFTI_CLASS_COARSE_SHIFT];
    }
    return &lofti_thread_last.thread->cells[class_idx];
}

/* The next best: a block from what else the thread has at hand, still without a lock. NULL: there is none. */
static inline void *lofti_fast_more(size_t bytes)
{
    lofti_thread *thread = lofti_thread_last.thread;
    if (bytes <= LOFTI_CLASS_BYTES_LARGE) {
        lofti_cell *cell = lofti_fast_find(bytes);
        const uint32_t class_idx = (uint32_t)(cell - thread->cells);
        const bool found =
            lofti_small_again(cell) || lofti_small_own(thread->heap, thread, class_idx);
        return found ? lofti_small_take(cell) : NULL;
    }
    if (bytes > LOFTI_CHUNK_BYTES) {
        return NULL;
    }
    return lofti_span_use_kept(thread,
                               lofti_arith_round_up(bytes, LOFTI_PAGE_BYTES) >> LOFTI_PAGE_SHIFT);
}

/* Frees any other live block. False, with nothing changed: there is none that begins there, or another thread has
 * just freed it. */
bool lofti_alloc_give(lofti_heap *heap, lofti_thread *thread, const void *block);

static inline bool lofti_fast_free_more(const void *block)
{
    lofti_thread *thread = lofti_thread_last.thread;
    return lofti_span_keep(thread, block) || lofti_alloc_give(thread->heap, thread, block);
}

#endif /* LOFTI_HEAP_FAST_H */
