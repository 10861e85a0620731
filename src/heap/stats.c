/*
 * heap/stats.c - figures, counted from the image.
 */
#include "base/arith.h"
#include "heap/pages.h"
#include "heap/walk.h"

typedef struct stats_sum {
    loft_arena_statistics out;
    loft_class_statistics classes[LOFTI_CLASS_COUNT];
    uint64_t free_run; /* chunks: FREE ones so far without a gap */
    uint32_t body_end; /* chunks below belong to a block that began before */
} stats_sum;

static uint32_t stats_slab(const lofti_heap *heap, const lofti_slab_view *view, stats_sum *sum)
{
    loft_class_statistics *figures = &sum->classes[view->shape - heap->classes];
    const uint64_t bytes = (uint64_t)view->shape->unit_count << heap->unit_shift;
    uint64_t live = 0;
    for (uint32_t i = 0; i < view->shape->word_count; i++) {
        live += lofti_bits_count(lofti_find_live(view, i));
    }
    sum->out.live_blocks += live;
    sum->out.live_bytes += live * view->shape->size;
    sum->out.slab_bytes += bytes;
    sum->out.slab_free_bytes += bytes - live * view->shape->size;
    figures->slab_count++;
    figures->slab_bytes += bytes;
    figures->block_count += view->shape->block_count;
    figures->live_count += live;
    return view->shape->unit_count;
}

static void stats_spans(const lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout,
                        uint64_t *taken, stats_sum *sum)
{
    for (uint32_t page = layout->meta_pages; page < layout->page_count; page++) {
        const uint64_t pages = lofti_find_span(heap, idx, layout, page);
        if (pages == 0) {
            continue;
        }
        /* A block may be freed at this moment, by who has no lock. */
        const uint32_t span =
            __atomic_load_n(&lofti_image_spans(heap, idx)[page], __ATOMIC_RELAXED);
        const bool internal = (span & LOFTI_SPAN_INTERNAL) != 0;
        const uint64_t here = lofti_arith_min(pages, layout->page_count - page);
        sum->out.span_bytes += pages << LOFTI_PAGE_SHIFT;
        sum->out.live_blocks += internal ? 0 : 1;
        sum->out.live_bytes += internal ? 0 : pages << LOFTI_PAGE_SHIFT;
        lofti_pages_mark(taken, page, (uint32_t)here);
        sum->body_end =
            idx + 1 + lofti_chunk_of(((pages - here) << LOFTI_PAGE_SHIFT) + LOFTI_CHUNK_BYTES - 1);
        page += (uint32_t)here - 1;
    }
}

/* The longest run of pages that nothing has. */
static void stats_run(const lofti_chunk_layout *layout, const uint64_t *taken, stats_sum *sum)
{
    uint64_t run = 0;
    for (uint32_t page = 0; page < layout->page_count; page++) {
        run = lofti_pages_any(taken, page, 1) ? 0 : run + LOFTI_PAGE_BYTES;
        sum->out.free_run_bytes = lofti_arith_max(sum->out.free_run_bytes, run);
    }
}

static void stats_head(const lofti_heap *heap, uint32_t idx, stats_sum *sum)
{
    lofti_chunk_layout layout;
    uint64_t taken[LOFTI_TOUCHED_WORDS] = {0};
    if (!lofti_find_head(heap, idx, &layout)) {
        return;
    }
    const uint32_t unit_pages = lofti_unit_pages(heap);
    const uint32_t wide = lofti_image_header(heap, idx)->wide_unit;
    sum->out.metadata_bytes += (uint64_t)layout.meta_pages << LOFTI_PAGE_SHIFT;
    lofti_pages_mark(taken, 0, layout.meta_pages);
    if (wide != 0 && wide < layout.unit_count) {
        sum->out.metadata_bytes += (uint64_t)1 << heap->unit_shift;
        lofti_pages_mark(taken, wide * unit_pages, unit_pages);
    }
    for (uint32_t unit = 0; unit < layout.unit_count; unit++) {
        lofti_slab_view view;
        if (lofti_find_slab(heap, idx, &layout, unit, &view)) {
            const uint32_t units = stats_slab(heap, &view, sum);
            lofti_pages_mark(taken, unit * unit_pages, units * unit_pages);
            unit += units - 1;
        }
    }
    stats_spans(heap, idx, &layout, taken, sum);
    stats_run(&layout, taken, sum);
}

/* A chunk of the heap's without metadata. */
static void stats_plain(uint32_t idx, stats_sum *sum)
{
    sum->free_run = idx < sum->body_end ? 0 : sum->free_run + LOFTI_CHUNK_BYTES;
    sum->out.free_run_bytes = lofti_arith_max(sum->out.free_run_bytes, sum->free_run);
}

static void stats_count(lofti_heap *heap, stats_sum *sum)
{
    lofti_heap_lock(heap);
    for (uint32_t idx = 0; idx < heap->chunk_limit; idx++) {
        if (idx % 64 == 0 && lofti_word_get(&heap->dir[idx / 64].claimed) == 0) {
            idx |= 63; /* none of these */
            sum->free_run = 0;
        } else if (!lofti_image_claimed(heap, idx)) {
            sum->free_run = 0;
        } else if (lofti_image_is_head(heap, idx)) {
            sum->out.heap_bytes += LOFTI_CHUNK_BYTES;
            sum->free_run = 0;
            stats_head(heap, idx, sum);
        } else {
            sum->out.heap_bytes += LOFTI_CHUNK_BYTES;
            stats_plain(idx, sum);
        }
    }
    sum->out.thread_count = heap->thread_count;
    sum->out.table_bytes =
        heap->table_bytes + (uint64_t)(heap->thread_end + LOFTI_THREAD_BATCH - 1) /
                                LOFTI_THREAD_BATCH * LOFTI_THREAD_BATCH * sizeof(lofti_thread);
    lofti_heap_unlock(heap);
    /* The last chunk of a fixed heap is shorter. */
    sum->out.heap_bytes = lofti_arith_min(sum->out.heap_bytes, heap->limit_bytes);
}

int lofti_heap_stats(lofti_heap *heap, loft_arena_statistics *out)
{
    stats_sum sum = {.body_end = 0};
    stats_count(heap, &sum);
    const uint64_t taken = sum.out.metadata_bytes + sum.out.slab_bytes + sum.out.span_bytes;
    out->thread_count = sum.out.thread_count;
    out->live_blocks = sum.out.live_blocks;
    out->live_bytes = sum.out.live_bytes;
    out->heap_bytes = sum.out.heap_bytes;
    out->metadata_bytes = sum.out.metadata_bytes;
    out->slab_bytes = sum.out.slab_bytes;
    out->slab_free_bytes = sum.out.slab_free_bytes;
    out->span_bytes = sum.out.span_bytes;
    out->table_bytes = sum.out.table_bytes;
    out->free_bytes = sum.out.heap_bytes > taken ? sum.out.heap_bytes - taken : 0;
    out->free_run_bytes = lofti_arith_min(sum.out.free_run_bytes, out->free_bytes);
    return LOFT_OK;
}

int lofti_heap_classes(lofti_heap *heap, loft_class_fn *fn, void *context)
{
    stats_sum sum = {.body_end = 0};
    stats_count(heap, &sum);
    for (uint32_t i = 1; i <= heap->class_last; i++) {
        if (sum.classes[i].slab_count != 0) {
            sum.classes[i].struct_bytes = sizeof sum.classes[i];
            sum.classes[i].block_bytes = heap->classes[i].size;
            const int code = fn(context, &sum.classes[i]);
            if (code != 0) {
                return code;
            }
        }
    }
    return LOFT_OK;
}
