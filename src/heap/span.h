/*
 * heap/span.h - blocks of whole pages.
 *
 * A span shorter than a chunk lies inside one. A longer one begins in a chunk's last pages and fills the
 * chunks behind it, so that only address space between its end and its last chunk's end is lost.
 */
#ifndef LOFTI_HEAP_SPAN_H
#define LOFTI_HEAP_SPAN_H

#include "heap/state.h"

/* Pages at `alignment` (a power of two, a page to 2 MiB). kind: 0, LOFTI_SPAN_POOL or
 * LOFTI_SPAN_INTERNAL. thread: whose kept runs may serve; NULL: none. *zero: the bytes are zeros.
 * NULL with *code and the sentence set. No lock held. */
void *lofti_span_alloc(lofti_heap *heap, lofti_thread *thread, uint64_t pages, uint64_t alignment,
                       uint32_t kind, bool *zero, int *code);

/* Such a span of kind 0 from the runs that the thread keeps; `pages` is not 0. NULL: none is as long. No lock. */
void *lofti_span_use_kept(lofti_thread *thread, uint64_t pages);

/* Frees a live span and keeps its run for that, if the thread has a slot empty. False, with nothing changed: take
 * lofti_alloc_give's way. No lock. */
bool lofti_span_keep(lofti_thread *thread, const void *block);

/* Frees the span of this kind that begins at `off`. False, with nothing changed: there is none. */
bool lofti_span_free(lofti_heap *heap, lofti_thread *thread, uint64_t off, uint32_t kind);

/* Pages of the live span that begins at `off`; 0: there is none of this kind. */
uint64_t lofti_span_pages(lofti_heap *heap, uint64_t off, uint32_t kind);

/* Makes it longer or shorter where it is. False, with nothing changed: there is no room. */
bool lofti_span_resize(lofti_heap *heap, uint64_t off, uint64_t pages);

/* Gives back what the thread keeps. heap->lock held. */
void lofti_span_drop_kept(lofti_heap *heap, lofti_thread *thread);

#endif /* LOFTI_HEAP_SPAN_H */
