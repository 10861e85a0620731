/*
 * heap/span.c - blocks of whole pages.
 *
 * Invariants
 *   N1  spans[p] is stored last when a span is made and first when it ends; its pages are marked used
 *       in the volatile bitmap from before the one to after the other
 *   N2  big_pages is right whenever a span of the chunk has LOFTI_SPAN_BIG
 *   N3  a kept run has spans[p] == 0 and its pages marked used: free in the image, nobody else's here
 */
#include "heap/span.h"

#include "base/arith.h"
#include "base/status.h"
#include "heap/annotate.h"
#include "heap/chunk.h"
#include "heap/pages.h"
#include "heap/trim.h"

/* What a fresh chunk has for sure; longer or more aligned runs take the way of big spans. */
#define SPAN_CHUNK_PAGES (LOFTI_CHUNK_PAGES - 6)

static uint64_t span_page(uint64_t off) { return off >> LOFTI_PAGE_SHIFT; }
static uint32_t span_page_chunk(uint64_t page)
{
    return (uint32_t)(page >> (LOFTI_CHUNK_SHIFT - LOFTI_PAGE_SHIFT));
}
static uint32_t span_page_local(uint64_t page) { return (uint32_t)(page % LOFTI_CHUNK_PAGES); }

static uint16_t *span_word(const lofti_heap *heap, uint64_t page)
{
    return &lofti_image_spans(heap, span_page_chunk(page))[span_page_local(page)];
}

static void span_publish(const lofti_heap *heap, uint64_t page, uint32_t value)
{
    lofti_image_order();
    __atomic_store_n(span_word(heap, page), (uint16_t)value, __ATOMIC_RELEASE);
}

/* Bodies behind the first chunk of a span that begins at local page `from`. */
static uint32_t span_bodies(uint32_t from, uint64_t pages)
{
    const uint64_t here = LOFTI_CHUNK_PAGES - from;
    return pages <= here ? 0
                         : (uint32_t)((pages - here + LOFTI_CHUNK_PAGES - 1) / LOFTI_CHUNK_PAGES);
}

/* A span that leaves its first chunk; heap->lock held. */
static int span_take_big(lofti_heap *heap, uint64_t pages, uint64_t alignment, uint32_t kind,
                         uint64_t *page, bool *zero)
{
    uint64_t chunks = (pages + LOFTI_CHUNK_PAGES - 1) / LOFTI_CHUNK_PAGES;
    uint64_t from = 0;
    for (;; chunks++) {
        /* At the end of its last chunk, or as little before as the alignment wants. */
        const uint64_t base = (uint64_t)(uintptr_t)heap->base;
        const uint64_t latest =
            lofti_arith_min(chunks * LOFTI_CHUNK_PAGES - pages, LOFTI_CHUNK_PAGES - 1);
        const uint64_t start = lofti_arith_down(base + (latest << LOFTI_PAGE_SHIFT), alignment);
        from = (start - base) >> LOFTI_PAGE_SHIFT;
        if (start >= base && from >= LOFTI_CHUNK_PAGES - SPAN_CHUNK_PAGES &&
            from + pages > LOFTI_CHUNK_PAGES) {
            break;
        }
    }
    uint32_t first = 0;
    if (chunks > heap->chunk_limit) {
        return lofti_status_fail(LOFT_ENOMEM, "allocate", "arena",
                                 "%llu bytes are more than it can hold",
                                 (unsigned long long)(pages << LOFTI_PAGE_SHIFT));
    }
    const int code = lofti_chunk_take_run(heap, (uint32_t)chunks, &first, zero);
    if (code != 0) {
        return code;
    }
    *page = (uint64_t)first * LOFTI_CHUNK_PAGES + from;
    const bool taken = lofti_pages_take_at(heap, *page, (uint32_t)(LOFTI_CHUNK_PAGES - from));
    LOFTI_CHECK(taken);
    __atomic_store_n(&lofti_image_header(heap, first)->big_pages, pages, __ATOMIC_RELAXED);
    span_publish(heap, *page, LOFTI_SPAN_BIG | kind);
    return 0;
}

/* Whether a fresh chunk has such a run. Otherwise its last place for one reaches beyond it. */
static bool span_fits_chunk(const lofti_heap *heap, uint64_t pages, uint64_t alignment)
{
    const uint64_t base = (uint64_t)(uintptr_t)heap->base;
    const uint64_t first = base + ((LOFTI_CHUNK_PAGES - SPAN_CHUNK_PAGES) << LOFTI_PAGE_SHIFT);
    const uint64_t from = (lofti_arith_round_up(first, alignment) - base) >> LOFTI_PAGE_SHIFT;
    return from + pages <= LOFTI_CHUNK_PAGES;
}

static int span_take(lofti_heap *heap, uint64_t pages, uint64_t alignment, uint32_t kind,
                     uint64_t *page, bool *zero)
{
    const bool fits = span_fits_chunk(heap, pages, alignment);
    if (pages < LOFTI_CHUNK_PAGES) {
        while (!lofti_pages_take(heap, (uint32_t)pages, alignment, page, zero)) {
            const int code = fits ? lofti_chunk_more(heap) : 0;
            if (code != 0) {
                return code;
            }
            if (!fits) {
                return span_take_big(heap, pages, alignment, kind, page, zero);
            }
        }
        span_publish(heap, *page, (uint32_t)pages | kind);
        return 0;
    }
    return span_take_big(heap, pages, alignment, kind, page, zero);
}

void *lofti_span_use_kept(lofti_thread *thread, uint64_t pages)
{
    const lofti_heap *heap = thread->heap;
    uint32_t at = thread->kept_next;
    for (uint32_t i = 0; i < LOFTI_KEPT_RUNS; i++) {
        at = (at - 1) % LOFTI_KEPT_RUNS; /* the latest first */
        if (thread->kept[at].pages == pages) {
            const uint64_t page = thread->kept[at].page;
            void *block = heap->base + (page << LOFTI_PAGE_SHIFT);
            thread->kept[at].pages = 0;
            thread->kept_next = at; /* the next one may go here */
            span_publish(heap, page, (uint32_t)pages);
            lofti_annotate_live(block, pages << LOFTI_PAGE_SHIFT);
            return block;
        }
    }
    return NULL;
}

bool lofti_span_keep(lofti_thread *thread, const void *block)
{
    const lofti_heap *heap = thread->heap;
    const uint64_t off = (uint64_t)((uintptr_t)block - (uintptr_t)heap->base);
    lofti_kept_run *slot = &thread->kept[thread->kept_next];
    if (off % LOFTI_PAGE_BYTES != 0 || off >= heap->reach_bytes || slot->pages != 0 ||
        !heap->keeps_runs ||
        __atomic_load_n(&heap->chunks[lofti_chunk_of(off)].state, __ATOMIC_ACQUIRE) !=
            LOFTI_CHUNK_HEAD) {
        return false;
    }
    const uint64_t page = span_page(off);
    uint16_t *word = span_word(heap, page);
    uint16_t value = __atomic_load_n(word, __ATOMIC_ACQUIRE);
    if (value == 0 || value > LOFTI_KEPT_PAGES ||
        !__atomic_compare_exchange_n(word, &value, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        return false;
    }
    lofti_annotate_free(heap->base + off, (uint64_t)value << LOFTI_PAGE_SHIFT);
    *slot = (lofti_kept_run){value, (uint32_t)page};
    thread->kept_next = (thread->kept_next + 1) % LOFTI_KEPT_RUNS;
    return true;
}

void *lofti_span_alloc(lofti_heap *heap, lofti_thread *thread, uint64_t pages, uint64_t alignment,
                       uint32_t kind, bool *zero, int *code)
{
    uint64_t page = 0;
    if (thread != NULL && alignment == LOFTI_PAGE_BYTES && kind == 0) {
        void *block = lofti_span_use_kept(thread, pages);
        if (block != NULL) {
            *zero = false;
            return block;
        }
    }
    lofti_heap_lock(heap);
    *code = span_take(heap, pages, alignment, kind, &page, zero);
    lofti_heap_unlock(heap);
    if (*code != 0) {
        return NULL;
    }
    lofti_annotate_live(heap->base + (page << LOFTI_PAGE_SHIFT), pages << LOFTI_PAGE_SHIFT);
    return heap->base + (page << LOFTI_PAGE_SHIFT);
}

/* spans[] of the page at `off`, if a chunk with metadata holds it; loads the chunk. */
static uint16_t *span_look(lofti_heap *heap, uint64_t off)
{
    const uint32_t idx = lofti_chunk_of(off);
    if (off % LOFTI_PAGE_BYTES != 0 || idx >= heap->chunk_limit) {
        return NULL;
    }
    uint32_t state = __atomic_load_n(&heap->chunks[idx].state, __ATOMIC_ACQUIRE);
    if (state == LOFTI_CHUNK_UNKNOWN) {
        lofti_heap_lock(heap);
        state = lofti_chunk_load(heap, idx);
        lofti_heap_unlock(heap);
    }
    return state == LOFTI_CHUNK_HEAD ? span_word(heap, span_page(off)) : NULL;
}

static uint64_t span_pages_of(const lofti_heap *heap, uint64_t page, uint32_t value)
{
    if ((value & LOFTI_SPAN_BIG) == 0) {
        return value & LOFTI_SPAN_PAGES;
    }
    return lofti_word_get(&lofti_image_header(heap, span_page_chunk(page))->big_pages);
}

uint64_t lofti_span_pages(lofti_heap *heap, uint64_t off, uint32_t kind)
{
    const uint16_t *word = span_look(heap, off);
    const uint32_t value = word == NULL ? 0 : __atomic_load_n(word, __ATOMIC_ACQUIRE);
    if (value == 0 || (value & (LOFTI_SPAN_POOL | LOFTI_SPAN_INTERNAL)) != kind) {
        return 0;
    }
    return span_pages_of(heap, span_page(off), value);
}

/* heap->lock held; the span's word is 0 already. */
static void span_release(lofti_heap *heap, uint64_t page, uint64_t pages)
{
    const uint32_t idx = span_page_chunk(page);
    const uint32_t from = span_page_local(page);
    const uint32_t bodies = span_bodies(from, pages);
    lofti_chunk_release_bodies(heap, idx + 1, bodies);
    lofti_pages_release(heap, page,
                        bodies != 0 ? (uint32_t)LOFTI_CHUNK_PAGES - from : (uint32_t)pages);
    lofti_chunk_released(heap, idx);
    lofti_trim_note(heap, page, pages);
}

void lofti_span_drop_kept(lofti_heap *heap, lofti_thread *thread)
{
    for (uint32_t i = 0; i < LOFTI_KEPT_RUNS; i++) {
        if (thread->kept[i].pages != 0) {
            span_release(heap, thread->kept[i].page, thread->kept[i].pages);
            thread->kept[i].pages = 0;
        }
    }
}

bool lofti_span_free(lofti_heap *heap, lofti_thread *thread, uint64_t off, uint32_t kind)
{
    uint16_t *word = span_look(heap, off);
    uint16_t value = word == NULL ? 0 : __atomic_load_n(word, __ATOMIC_ACQUIRE);
    if (value == 0 || (value & (LOFTI_SPAN_POOL | LOFTI_SPAN_INTERNAL)) != kind) {
        return false;
    }
    const uint64_t page = span_page(off);
    uint64_t pages = span_pages_of(heap, page, value);
    if (!__atomic_compare_exchange_n(word, &value, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        return false; /* another thread frees it at this moment */
    }
    lofti_annotate_free(heap->base + off, pages << LOFTI_PAGE_SHIFT);
    uint64_t released = page;
    if (thread != NULL && heap->keeps_runs && pages <= LOFTI_KEPT_PAGES && kind == 0) {
        lofti_kept_run *slot = &thread->kept[thread->kept_next];
        thread->kept_next = (thread->kept_next + 1) % LOFTI_KEPT_RUNS;
        const lofti_kept_run old = *slot;
        *slot = (lofti_kept_run){(uint32_t)pages, (uint32_t)page};
        released = old.page;
        pages = old.pages;
    }
    if (pages != 0) {
        lofti_heap_lock(heap);
        span_release(heap, released, pages);
        lofti_heap_unlock(heap);
    }
    return true;
}

/* heap->lock held. The span at `page` leaves its chunk now, or does so already. */
static bool span_resize_big(lofti_heap *heap, uint64_t page, uint64_t old, uint64_t pages)
{
    const uint32_t idx = span_page_chunk(page);
    const uint32_t from = span_page_local(page);
    const uint32_t had = span_bodies(from, old);
    const uint32_t wants = span_bodies(from, pages);
    if (had == 0 || (wants > had && !lofti_chunk_take_bodies(heap, idx + 1 + had, wants - had))) {
        return false;
    }
    if (wants == 0) {
        const uint32_t value = *span_word(heap, page);
        span_publish(heap, page, (uint32_t)pages | (value & ~LOFTI_SPAN_BIG));
        const uint64_t here = LOFTI_CHUNK_PAGES - from;
        if (here > pages) {
            lofti_pages_release(heap, page + pages, (uint32_t)(here - pages));
        }
    } else {
        __atomic_store_n(&lofti_image_header(heap, idx)->big_pages, pages, __ATOMIC_RELEASE);
    }
    if (wants < had) {
        lofti_chunk_release_bodies(heap, idx + 1 + wants, had - wants);
    }
    if (pages < old) {
        lofti_trim_note(heap, page + pages, old - pages);
    }
    return true;
}

bool lofti_span_resize(lofti_heap *heap, uint64_t off, uint64_t pages)
{
    const uint64_t page = span_page(off);
    const uint32_t value = *span_word(heap, page);
    const uint64_t old = span_pages_of(heap, page, value);
    bool done = true;
    if (pages == old) {
        return true;
    }
    lofti_heap_lock(heap);
    if ((value & LOFTI_SPAN_BIG) != 0 || span_page_local(page) + pages > LOFTI_CHUNK_PAGES) {
        done = span_resize_big(heap, page, old, pages);
    } else if (pages < old) {
        span_publish(heap, page, (uint32_t)pages | (value & ~LOFTI_SPAN_PAGES));
        lofti_pages_release(heap, page + pages, (uint32_t)(old - pages));
        lofti_trim_note(heap, page + pages, old - pages);
    } else {
        done = lofti_pages_take_at(heap, page + old, (uint32_t)(pages - old));
        if (done) {
            span_publish(heap, page, (uint32_t)pages | (value & ~LOFTI_SPAN_PAGES));
        }
    }
    if (done && pages > old) {
        lofti_annotate_live(heap->base + off, pages << LOFTI_PAGE_SHIFT);
    } else if (done) {
        lofti_annotate_free(heap->base + off + (pages << LOFTI_PAGE_SHIFT),
                            (old - pages) << LOFTI_PAGE_SHIFT);
    }
    lofti_heap_unlock(heap);
    return done;
}
