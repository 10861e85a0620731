/*
 * heap/vacant.c - pages that are free in two states of one heap.
 *
 * Now: what the volatile tables say, under the heap's lock. Then: what the other image's metadata says, read piece by
 * piece into buffers of our own, and judged as a file is: whatever does not fit makes the whole chunk used, which
 * costs space and nothing else.
 *
 *   used(now)  OR  used(then)  ->  what is 0 in both: runs
 */
#include "heap/vacant.h"

#include <string.h>

#include "base/fault.h"
#include "heap/pages.h"
#include "heap/state.h"

enum {
    /* Header, spans and classes of a chunk: 192 + 2 x 1,024 + 1,024 at most, with small units. */
    VACANT_HEAD_BYTES = 3328
};

typedef struct vacant_then {
    lofti_heap *heap;
    lofti_vacant_read_fn *read;
    void *context;
    _Alignas(8) uint8_t head[VACANT_HEAD_BYTES]; /* of the chunk under scrutiny */
    uint64_t used[LOFTI_TOUCHED_WORDS];
} vacant_then;

static void all_used(uint64_t *used)
{
    memset(used, UINT8_MAX, LOFTI_TOUCHED_WORDS * sizeof *used);
}

static int then_dir(const vacant_then *then, uint32_t idx, bool *claimed, bool *is_head)
{
    lofti_heap_dir dir;
    const uint64_t off = LOFTI_HEAP_IMAGE_BYTES + (uint64_t)(idx / 64) * sizeof dir;
    const int code = then->read(then->context, off, &dir, sizeof dir);
    *claimed = code == 0 && ((dir.claimed >> (idx % 64)) & 1) != 0;
    *is_head = *claimed && ((dir.heads >> (idx % 64)) & 1) != 0;
    return code;
}

/* Reads the metadata of a head. *whole: it is one. */
static int then_head(vacant_then *then, uint32_t idx, lofti_chunk_layout *layout, bool *whole)
{
    lofti_image_layout(then->heap, idx, layout);
    const uint64_t bytes = layout->classes_off + layout->unit_count - layout->header_off;
    *whole = false;
    if (bytes > sizeof then->head) {
        return 0;
    }
    const int code =
        then->read(then->context, lofti_chunk_off(idx) + layout->header_off, then->head, bytes);
    uint64_t off = 0;
    *whole = code == 0 && lofti_chunk_layout_verify((const lofti_chunk_image *)(void *)then->head,
                                                    layout, idx, &off) == NULL;
    return code;
}

static uint32_t then_span(const vacant_then *then, const lofti_chunk_layout *layout, uint32_t page)
{
    uint16_t span;
    memcpy(&span, then->head + (layout->spans_off - layout->header_off) + (size_t)page * 2,
           sizeof span);
    return span;
}

/* False: the pages are not the chunk's, or taken already. */
static bool then_take(vacant_then *then, uint32_t page, uint32_t count)
{
    if (count > LOFTI_CHUNK_PAGES || page > LOFTI_CHUNK_PAGES - count ||
        lofti_pages_any(then->used, page, count)) {
        return false;
    }
    lofti_pages_mark(then->used, page, count);
    return true;
}

static bool then_slabs(vacant_then *then, const lofti_chunk_layout *layout)
{
    const lofti_heap *heap = then->heap;
    const lofti_chunk_image *image = (const lofti_chunk_image *)(void *)then->head;
    const uint8_t *classes = then->head + (layout->classes_off - layout->header_off);
    const uint32_t unit_pages = lofti_unit_pages(heap);
    if (image->wide_unit != 0 && !then_take(then, image->wide_unit * unit_pages, unit_pages)) {
        return false;
    }
    for (uint32_t unit = 0; unit < layout->unit_count; unit++) {
        const uint32_t class_idx = classes[unit];
        if (class_idx > heap->class_last ||
            (class_idx != 0 && !then_take(then, unit * unit_pages,
                                          heap->classes[class_idx].unit_count * unit_pages))) {
            return false;
        }
    }
    return true;
}

static bool then_spans(vacant_then *then, const lofti_chunk_layout *layout)
{
    for (uint32_t page = 0; page < layout->page_count; page++) {
        const uint32_t span = then_span(then, layout, page);
        const uint32_t pages = (span & LOFTI_SPAN_BIG) != 0 ? (uint32_t)LOFTI_CHUNK_PAGES - page
                                                            : span & LOFTI_SPAN_PAGES;
        if (span != 0 && (pages == 0 || !then_take(then, page, pages))) {
            return false;
        }
    }
    return true;
}

/* A chunk without metadata is free, or inside the block that reaches out of the head before it. */
static int then_body(vacant_then *then, uint32_t idx)
{
    uint32_t head = idx;
    bool claimed = true;
    bool is_head = false;
    while (head > 0 && claimed && !is_head) {
        head--;
        const int code = then_dir(then, head, &claimed, &is_head);
        if (code != 0) {
            return code;
        }
    }
    if (!is_head) {
        memset(then->used, 0, sizeof then->used);
        return 0;
    }
    lofti_chunk_layout layout;
    bool whole = false;
    const int code = then_head(then, head, &layout, &whole);
    if (code != 0 || !whole) {
        return code;
    }
    uint64_t reach = 0; /* chunks behind the head that the block covers */
    for (uint32_t page = 0; page < layout.page_count; page++) {
        if ((then_span(then, &layout, page) & LOFTI_SPAN_BIG) != 0) {
            const lofti_chunk_image *image = (const lofti_chunk_image *)(void *)then->head;
            const uint64_t here = LOFTI_CHUNK_PAGES - page;
            const uint64_t rest = image->big_pages > here ? image->big_pages - here : 0;
            reach = rest / LOFTI_CHUNK_PAGES + (rest % LOFTI_CHUNK_PAGES != 0);
        }
    }
    if (idx - head > reach) {
        memset(then->used, 0, sizeof then->used);
    }
    return 0;
}

/* Fills in what the other image has in use of the chunk. */
static int then_used(vacant_then *then, uint32_t idx)
{
    bool claimed = false;
    bool is_head = false;
    all_used(then->used);
    int code = then_dir(then, idx, &claimed, &is_head);
    if (code != 0 || !claimed) {
        return code;
    }
    if (!is_head) {
        return then_body(then, idx);
    }
    lofti_chunk_layout layout;
    bool whole = false;
    code = then_head(then, idx, &layout, &whole);
    if (code != 0 || !whole) {
        return code;
    }
    memset(then->used, 0, sizeof then->used);
    lofti_pages_mark(then->used, 0, layout.meta_pages);
    lofti_pages_mark(then->used, layout.page_count,
                     (uint32_t)LOFTI_CHUNK_PAGES - layout.page_count);
    if (!then_slabs(then, &layout) || !then_spans(then, &layout)) {
        all_used(then->used);
    }
    return 0;
}

/* Adds what is in use now. */
static void now_used(lofti_heap *heap, uint32_t idx, uint64_t *used)
{
    (void)pthread_mutex_lock(&heap->lock);
    const lofti_chunk *chunk = &heap->chunks[idx];
    if (chunk->state == LOFTI_CHUNK_HEAD) {
        for (uint32_t i = 0; i < LOFTI_TOUCHED_WORDS; i++) {
            used[i] |= chunk->used[i];
        }
    } else if (chunk->state != LOFTI_CHUNK_FREE) {
        all_used(used);
    }
    (void)pthread_mutex_unlock(&heap->lock);
}

static bool now_any_free(lofti_heap *heap, uint32_t idx)
{
    uint64_t used[LOFTI_TOUCHED_WORDS] = {0};
    uint64_t all = UINT64_MAX;
    now_used(heap, idx, used);
    for (uint32_t i = 0; i < LOFTI_TOUCHED_WORDS; i++) {
        all &= used[i];
    }
    return all != UINT64_MAX;
}

int lofti_vacant_each(lofti_heap *heap, uint32_t idx, uint32_t least_pages,
                      lofti_vacant_read_fn *read, lofti_vacant_fn *fn, void *context)
{
    vacant_then then = {.heap = heap, .read = read, .context = context};
    if (!now_any_free(heap, idx) && !LOFTI_FAULT(PUNCH_DURABLE)) {
        return 0; /* without reading anything: most chunks of a large block come here */
    }
    int code = LOFTI_FAULT(PUNCH_LIVE) ? 0 : then_used(&then, idx);
    if (code == 0 && !LOFTI_FAULT(PUNCH_DURABLE)) {
        now_used(heap, idx, then.used);
    }
    for (uint32_t page = 0; page < LOFTI_CHUNK_PAGES && code == 0;) {
        uint32_t end = page;
        while (end < LOFTI_CHUNK_PAGES && ((then.used[end / 64] >> (end % 64)) & 1) == 0) {
            end++;
        }
        if (end - page >= least_pages) {
            code = fn(context, lofti_chunk_off(idx) + ((uint64_t)page << LOFTI_PAGE_SHIFT),
                      (uint64_t)(end - page) << LOFTI_PAGE_SHIFT);
        }
        page = end + 1;
    }
    return code;
}

uint32_t lofti_vacant_end(lofti_heap *heap)
{
    (void)pthread_mutex_lock(&heap->lock);
    const uint32_t end = heap->known_end;
    (void)pthread_mutex_unlock(&heap->lock);
    return end;
}

bool lofti_vacant_whole(lofti_heap *heap, uint32_t idx)
{
    (void)pthread_mutex_lock(&heap->lock);
    const bool whole = heap->chunks[idx].state == LOFTI_CHUNK_FREE;
    (void)pthread_mutex_unlock(&heap->lock);
    return whole;
}
