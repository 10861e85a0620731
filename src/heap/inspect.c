/*
 * heap/inspect.c - the heap as a row of runs, for loft/inspect.h.
 *
 * A cursor: each step finds what begins at an offset, from the image alone (heap/find.h), and the end of that
 * is the next step's offset. So steps rise whatever the bytes say, and each looks at its own chunk only
 * (a long span: at the directory's bits of the chunks that it covers, which the next step then passes).
 * The lock is held for a step, so that a chunk does not turn from metadata into a block's bytes meanwhile.
 */
#include "heap/inspect.h"

#include "base/arith.h"
#include "heap/walk.h"

_Static_assert(LOFT_SLAB_BLOCKS_MAX == LOFTI_WIDE_BLOCKS_MAX, "the public name of it");
_Static_assert(LOFT_PAGE_BYTES == LOFTI_PAGE_BYTES, "the public name of it");
_Static_assert(LOFT_CHUNK_BYTES == LOFTI_CHUNK_BYTES, "the public name of it");

/* The first claimed chunk at or behind `idx` that may be read; chunk_limit: none. */
static uint32_t inspect_chunk_next(const lofti_heap *heap, uint32_t idx)
{
    while (idx < heap->chunk_limit) {
        const uint64_t claimed =
            lofti_word_get(&heap->dir[idx / 64].claimed) & (UINT64_MAX << (idx % 64));
        if (claimed == 0) {
            idx = idx / 64 * 64 + 64;
            continue;
        }
        idx = idx / 64 * 64 + lofti_bits_lowest(claimed);
        if (idx < heap->chunk_limit && lofti_find_here(heap, idx)) {
            return idx;
        }
        idx++;
    }
    return heap->chunk_limit;
}

static void inspect_fill(loft_run *out, uint32_t kind, uint64_t off, uint64_t bytes)
{
    const bool block = kind == LOFT_RUN_SPAN || kind == LOFT_RUN_POOL || kind == LOFT_RUN_INTERNAL;
    out->kind = kind;
    out->offset = off;
    out->bytes = bytes;
    out->block_bytes = block ? bytes : 0;
    out->block_count = block ? 1 : 0;
    out->live_count = block ? 1 : 0;
    out->live = NULL;
}

static void inspect_slab(const lofti_heap *heap, const lofti_slab_view *view, loft_run *out,
                         uint64_t *words)
{
    inspect_fill(out, LOFT_RUN_SLAB, view->off,
                 (uint64_t)view->shape->unit_count << heap->unit_shift);
    out->block_bytes = view->shape->size;
    out->block_count = view->shape->block_count;
    out->live = words;
    for (uint32_t i = 0; i < view->shape->word_count; i++) {
        words[i] = lofti_find_live(view, i);
        out->live_count += lofti_bits_count(words[i]);
    }
}

/* How many of `pages`, from page `page` of head chunk `idx` on, can be one span's: those of its chunk and
 * of the claimed chunks behind it that have no metadata. */
static uint64_t inspect_reach(const lofti_heap *heap, uint32_t idx,
                              const lofti_chunk_layout *layout, uint32_t page, uint64_t pages)
{
    uint64_t reach = layout->page_count - page;
    for (uint32_t i = idx + 1; reach < pages; i++) {
        if (!lofti_image_claimed(heap, i) || lofti_image_is_head(heap, i) ||
            !lofti_find_here(heap, i)) {
            return reach;
        }
        reach += lofti_arith_min(LOFTI_CHUNK_BYTES, heap->limit_bytes - lofti_chunk_off(i)) >>
                 LOFTI_PAGE_SHIFT;
    }
    return pages;
}

static uint32_t inspect_span_kind(const lofti_heap *heap, uint32_t idx, uint32_t page)
{
    const uint32_t value = lofti_image_spans(heap, idx)[page];
    return (value & LOFTI_SPAN_INTERNAL) != 0 ? LOFT_RUN_INTERNAL
           : (value & LOFTI_SPAN_POOL) != 0   ? LOFT_RUN_POOL
                                              : LOFT_RUN_SPAN;
}

/* What begins at page `page` >= meta_pages of a head chunk. False: nothing does. */
static bool inspect_begins(const lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout,
                           uint32_t page, loft_run *out, uint64_t *words)
{
    const uint64_t off = lofti_chunk_off(idx) + ((uint64_t)page << LOFTI_PAGE_SHIFT);
    const uint32_t unit_pages = lofti_unit_pages(heap);
    const uint32_t unit = page / unit_pages;
    if (page % unit_pages == 0 && unit < layout->unit_count) {
        lofti_slab_view view;
        if (unit >= layout->first_unit && unit == lofti_image_header(heap, idx)->wide_unit) {
            inspect_fill(out, LOFT_RUN_META, off, (uint64_t)1 << heap->unit_shift);
            return true;
        }
        if (lofti_find_slab(heap, idx, layout, unit, &view)) {
            inspect_slab(heap, &view, out, words);
            return true;
        }
    }
    const uint64_t pages = lofti_find_span(heap, idx, layout, page);
    if (pages == 0) {
        return false;
    }
    inspect_fill(out, inspect_span_kind(heap, idx, page), off,
                 inspect_reach(heap, idx, layout, page, pages) << LOFTI_PAGE_SHIFT);
    return true;
}

/* The run at byte `inside` of a claimed chunk; false: the chunk ends before it. */
static bool inspect_chunk(const lofti_heap *heap, uint32_t idx, uint64_t inside, loft_run *out,
                          uint64_t *words)
{
    lofti_chunk_layout layout;
    const uint64_t chunk_off = lofti_chunk_off(idx);
    if (!lofti_find_head(heap, idx, &layout)) {
        const uint64_t bytes = lofti_arith_down(
            lofti_arith_min(LOFTI_CHUNK_BYTES, heap->limit_bytes - chunk_off), LOFTI_PAGE_BYTES);
        if (inside >= bytes) {
            return false;
        }
        inspect_fill(out, LOFT_RUN_FREE, chunk_off + inside, bytes - inside);
        return true;
    }
    const uint32_t page = (uint32_t)(inside >> LOFTI_PAGE_SHIFT);
    if (page >= layout.page_count) {
        return false;
    }
    if (page < layout.meta_pages) {
        inspect_fill(out, LOFT_RUN_META, chunk_off + inside,
                     (uint64_t)(layout.meta_pages - page) << LOFTI_PAGE_SHIFT);
        return true;
    }
    if (inspect_begins(heap, idx, &layout, page, out, words)) {
        return true;
    }
    loft_run next;
    uint32_t end = page + 1;
    while (end < layout.page_count && !inspect_begins(heap, idx, &layout, end, &next, words)) {
        end++;
    }
    inspect_fill(out, LOFT_RUN_FREE, chunk_off + inside,
                 (uint64_t)(end - page) << LOFTI_PAGE_SHIFT);
    return true;
}

bool lofti_inspect_next(lofti_heap *heap, uint64_t from_off, loft_run *out,
                        uint64_t words[LOFTI_INSPECT_WORDS])
{
    bool found = false;
    if (from_off >= heap->limit_bytes) {
        return false;
    }
    const uint32_t start = lofti_chunk_of(from_off);
    lofti_heap_lock(heap);
    for (uint32_t idx = inspect_chunk_next(heap, start); !found && idx < heap->chunk_limit;
         idx = inspect_chunk_next(heap, idx + 1)) {
        const uint64_t inside = idx == start ? from_off - lofti_chunk_off(idx) : 0;
        found = inspect_chunk(heap, idx, inside, out, words);
    }
    lofti_heap_unlock(heap);
    return found;
}

void lofti_inspect_place(lofti_heap *heap, uint64_t off, loft_place *out)
{
    static const uint8_t kinds[] = {
        [LOFTI_PLACE_OUTSIDE] = LOFT_RUN_NONE,     [LOFTI_PLACE_META] = LOFT_RUN_META,
        [LOFTI_PLACE_FREE] = LOFT_RUN_FREE,        [LOFTI_PLACE_SLAB] = LOFT_RUN_SLAB,
        [LOFTI_PLACE_SPAN] = LOFT_RUN_SPAN,        [LOFTI_PLACE_POOL] = LOFT_RUN_POOL,
        [LOFTI_PLACE_INTERNAL] = LOFT_RUN_INTERNAL};
    lofti_place place;
    lofti_heap_lock(heap);
    lofti_find(heap, off, &place);
    lofti_heap_unlock(heap);
    out->kind = kinds[place.kind];
    out->offset = place.off;
    out->bytes = place.bytes;
    out->live = place.live ? 1 : 0;
    out->reserved = 0;
}
