/*
 * heap/walk.c - enumerating live blocks.
 *
 * The lock is held for each batch, so that no chunk turns from metadata into a block's bytes meanwhile;
 * never while the caller's function runs. Blocks that other threads allocate or free may be seen or not.
 */
#include "heap/walk.h"

#include "base/arith.h"
#include "base/status.h"

uint32_t lofti_walk_head(const lofti_heap *heap, uint32_t idx)
{
    while (idx < heap->chunk_limit) {
        const lofti_heap_dir *entry = &heap->dir[idx / 64];
        const uint64_t heads = lofti_word_get(&entry->claimed) & lofti_word_get(&entry->heads) &
                               (UINT64_MAX << (idx % 64));
        if (heads != 0) {
            const uint32_t found = idx / 64 * 64 + lofti_bits_lowest(heads);
            return found < heap->chunk_limit ? found : heap->chunk_limit;
        }
        idx = idx / 64 * 64 + 64;
    }
    return heap->chunk_limit;
}

/* The live blocks of the first word at or after `from_off` that has any. */
static uint32_t walk_slab(const lofti_slab_view *view, uint64_t from_off, lofti_place *out)
{
    const uint32_t size = view->shape->size;
    const uint64_t first = from_off <= view->off ? 0 : (from_off - view->off + size - 1) / size;
    if (first >= view->shape->block_count) {
        return 0;
    }
    uint64_t keep = UINT64_MAX << (first % 64);
    for (uint32_t i = (uint32_t)first / 64; i < view->shape->word_count; i++) {
        uint64_t live = lofti_find_live(view, i) & keep;
        keep = UINT64_MAX;
        uint32_t count = 0;
        for (; live != 0; live &= live - 1) {
            const uint64_t block = (uint64_t)i * 64 + lofti_bits_lowest(live);
            out[count++] =
                (lofti_place){LOFTI_PLACE_SLAB, true, true, view->off + block * size, size};
        }
        if (count != 0) {
            return count;
        }
    }
    return 0;
}

/* The first span at or after `from` among pages [first, end) of a chunk. */
static uint32_t walk_spans(const lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout,
                           uint32_t first, uint32_t end, bool hidden, lofti_place *out)
{
    for (uint32_t page = first; page < end; page++) {
        const uint64_t pages = lofti_find_span(heap, idx, layout, page);
        const uint32_t value = pages == 0 ? 0 : lofti_image_spans(heap, idx)[page];
        const bool internal = (value & LOFTI_SPAN_INTERNAL) != 0;
        if (pages != 0 && (hidden || !internal)) {
            *out = (lofti_place){internal                         ? LOFTI_PLACE_INTERNAL
                                 : (value & LOFTI_SPAN_POOL) != 0 ? LOFTI_PLACE_POOL
                                                                  : LOFTI_PLACE_SPAN,
                                 true, true,
                                 lofti_chunk_off(idx) + ((uint64_t)page << LOFTI_PAGE_SHIFT),
                                 pages << LOFTI_PAGE_SHIFT};
            return 1;
        }
    }
    return 0;
}

/* From byte `inside` of head chunk `idx` on. */
static uint32_t walk_chunk(const lofti_heap *heap, uint32_t idx, uint64_t inside, bool hidden,
                           lofti_place *out)
{
    lofti_chunk_layout layout;
    if (!lofti_find_head(heap, idx, &layout)) {
        return 0;
    }
    const uint64_t from_off = lofti_chunk_off(idx) + inside;
    const uint32_t unit_pages = lofti_unit_pages(heap);
    uint32_t unit =
        lofti_find_slab_start(heap, idx, &layout, (uint32_t)(inside >> heap->unit_shift));
    while (unit << heap->unit_shift < layout.page_count << LOFTI_PAGE_SHIFT) {
        lofti_slab_view view;
        uint32_t count = 0;
        uint32_t next = unit + 1;
        if (unit < layout.unit_count && lofti_find_slab(heap, idx, &layout, unit, &view)) {
            count = walk_slab(&view, from_off, out);
            next = unit + view.shape->unit_count;
        } else {
            const uint64_t page = (inside + LOFTI_PAGE_BYTES - 1) >> LOFTI_PAGE_SHIFT;
            count = walk_spans(
                heap, idx, &layout, (uint32_t)lofti_arith_max(page, (uint64_t)unit * unit_pages),
                (uint32_t)lofti_arith_min(layout.page_count, (uint64_t)(unit + 1) * unit_pages),
                hidden, out);
        }
        if (count != 0) {
            return count;
        }
        unit = next;
    }
    return 0;
}

uint32_t lofti_walk_fill(const lofti_heap *heap, uint64_t from_off, bool hidden,
                         lofti_place out[LOFTI_WALK_BATCH])
{
    if (from_off >= heap->limit_bytes) {
        return 0;
    }
    const uint32_t start = lofti_chunk_of(from_off);
    for (uint32_t idx = lofti_walk_head(heap, start); idx < heap->chunk_limit;
         idx = lofti_walk_head(heap, idx + 1)) {
        const uint64_t inside = idx == start ? from_off - lofti_chunk_off(idx) : 0;
        const uint32_t count = walk_chunk(heap, idx, inside, hidden, out);
        if (count != 0) {
            return count;
        }
    }
    return 0;
}

static uint32_t walk_locked(lofti_heap *heap, uint64_t from_off, lofti_place *out)
{
    lofti_heap_lock(heap);
    const uint32_t count = lofti_walk_fill(heap, from_off, false, out);
    lofti_heap_unlock(heap);
    return count;
}

void lofti_walk_tell(const lofti_heap *heap, const lofti_place *place, loft_block *out)
{
    out->kind = place->kind == LOFTI_PLACE_SLAB   ? LOFT_BLOCK_SLAB
                : place->kind == LOFTI_PLACE_POOL ? LOFT_BLOCK_POOL
                                                  : LOFT_BLOCK_SPAN;
    out->address = heap->base + place->off;
    out->bytes = place->bytes;
}

int lofti_heap_walk(lofti_heap *heap, loft_block_fn *fn, void *context)
{
    lofti_place places[LOFTI_WALK_BATCH];
    uint64_t from_off = 0;
    for (;;) {
        const uint32_t count = walk_locked(heap, from_off, places);
        if (count == 0) {
            return LOFT_OK;
        }
        for (uint32_t i = 0; i < count; i++) {
            loft_block block = {.struct_bytes = sizeof block};
            lofti_walk_tell(heap, &places[i], &block);
            const int code = fn(context, &block);
            if (code != 0) {
                return code;
            }
        }
        from_off = places[count - 1].off + places[count - 1].bytes;
    }
}

int lofti_heap_next_block(lofti_heap *heap, loft_block *cursor)
{
    lofti_place places[LOFTI_WALK_BATCH];
    uint64_t from_off = 0;
    if (cursor->kind != LOFT_BLOCK_NONE) {
        const uint64_t off = (uint64_t)((uintptr_t)cursor->address - (uintptr_t)heap->base);
        if (!lofti_arith_inside(off, cursor->bytes, heap->limit_bytes)) {
            return lofti_status_fail(LOFT_EINVAL, "walk", "arena",
                                     "the cursor is not of this arena");
        }
        from_off = off + cursor->bytes;
    }
    if (walk_locked(heap, from_off, places) == 0) {
        return LOFT_ENOENT;
    }
    lofti_walk_tell(heap, &places[0], cursor);
    return LOFT_OK;
}
