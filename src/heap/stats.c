/*
 * heap/stats.c - figures, counted from the image.
 */
#include "heap/walk.h"

static void stats_slab(const lofti_heap *heap, const lofti_slab_view *view,
                       loft_arena_statistics *out)
{
    uint64_t live = 0;
    for (uint32_t i = 0; i < view->shape->word_count; i++) {
        live += lofti_bits_count(lofti_find_live(view, i));
    }
    out->live_blocks += live;
    out->live_bytes += live * view->shape->size;
    out->slab_bytes += (uint64_t)view->shape->unit_count << heap->unit_shift;
}

static void stats_chunk(const lofti_heap *heap, uint32_t idx, loft_arena_statistics *out)
{
    lofti_chunk_layout layout;
    if (!lofti_find_head(heap, idx, &layout)) {
        return;
    }
    out->metadata_bytes += (uint64_t)layout.meta_pages << LOFTI_PAGE_SHIFT;
    if (lofti_image_header(heap, idx)->wide_unit != 0) {
        out->metadata_bytes += (uint64_t)1 << heap->unit_shift;
    }
    for (uint32_t unit = 0; unit < layout.unit_count; unit++) {
        lofti_slab_view view;
        if (lofti_find_slab(heap, idx, &layout, unit, &view)) {
            stats_slab(heap, &view, out);
            unit += view.shape->unit_count - 1u;
        }
    }
    for (uint32_t page = layout.meta_pages; page < layout.page_count; page++) {
        const uint64_t pages = lofti_find_span(heap, idx, &layout, page);
        if (pages != 0) {
            const bool internal = (lofti_image_spans(heap, idx)[page] & LOFTI_SPAN_INTERNAL) != 0;
            out->span_bytes += pages << LOFTI_PAGE_SHIFT;
            out->live_blocks += internal ? 0 : 1;
            out->live_bytes += internal ? 0 : pages << LOFTI_PAGE_SHIFT;
        }
    }
}

int lofti_heap_stats(lofti_heap *heap, loft_arena_statistics *out)
{
    loft_arena_statistics sum = {0};
    lofti_heap_lock(heap);
    for (uint32_t i = 0; i * 64 < heap->chunk_limit; i++) {
        sum.heap_bytes += (uint64_t)lofti_bits_count(lofti_word_get(&heap->dir[i].claimed))
                          << LOFTI_CHUNK_SHIFT;
        if (lofti_word_get(&heap->dir[i].heads) != 0) {
            for (uint32_t idx = lofti_walk_head(heap, i * 64);
                 idx < (i + 1) * 64 && idx < heap->chunk_limit;
                 idx = lofti_walk_head(heap, idx + 1)) {
                stats_chunk(heap, idx, &sum);
            }
        }
    }
    out->thread_count = heap->thread_count;
    lofti_heap_unlock(heap);
    if (sum.heap_bytes > heap->limit_bytes) {
        sum.heap_bytes = heap->limit_bytes; /* the last chunk of a fixed heap is shorter */
    }
    const uint64_t taken = sum.metadata_bytes + sum.slab_bytes + sum.span_bytes;
    out->live_blocks = sum.live_blocks;
    out->live_bytes = sum.live_bytes;
    out->heap_bytes = sum.heap_bytes;
    out->metadata_bytes = sum.metadata_bytes;
    out->slab_bytes = sum.slab_bytes;
    out->span_bytes = sum.span_bytes;
    out->free_bytes = sum.heap_bytes > taken ? sum.heap_bytes - taken : 0;
    return LOFT_OK;
}
