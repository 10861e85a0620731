/*
 * heap/find.c - what lies at an address.
 */
#include "heap/find.h"

#include "base/arith.h"
#include "base/misuse.h"
#include "heap/thread.h"

bool lofti_find_here(const lofti_heap *heap, uint32_t idx)
{
    const uint64_t end = lofti_arith_min(lofti_chunk_off(idx + 1), heap->limit_bytes);
    return end <= heap->accessible_bytes &&
           (heap->host.has == NULL || heap->host.has(heap->host.context, idx));
}

bool lofti_find_head(const lofti_heap *heap, uint32_t idx, lofti_chunk_layout *layout)
{
    if (!lofti_image_is_head(heap, idx) || !lofti_find_here(heap, idx)) {
        return false;
    }
    lofti_image_layout(heap, idx, layout);
    return true;
}

bool lofti_find_slab(const lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout,
                     uint32_t unit, lofti_slab_view *out)
{
    const uint32_t class_idx =
        __atomic_load_n(&lofti_image_classes(heap, idx, layout)[unit], __ATOMIC_ACQUIRE);
    if (class_idx == 0 || class_idx > heap->class_last || unit < layout->first_unit) {
        return false;
    }
    const lofti_class *shape = &heap->classes[class_idx];
    uint32_t wide = 0;
    if (shape->wide) {
        wide = __atomic_load_n(&lofti_image_header(heap, idx)->wide_unit, __ATOMIC_RELAXED);
        if (wide < layout->first_unit || wide >= layout->unit_count || wide == unit) {
            return false;
        }
    }
    if (unit + shape->unit_count > layout->unit_count) {
        return false;
    }
    const uint8_t *chunk = lofti_image_chunk(heap, idx);
    out->shape = shape;
    out->off = lofti_chunk_off(idx) + ((uint64_t)unit << heap->unit_shift);
    out->local =
        (const uint64_t *)(const void *)(chunk + lofti_record_local_off(layout, heap->unit_shift,
                                                                        wide, unit));
    out->remote =
        (const uint64_t *)(const void *)((const uint8_t *)out->local + shape->remote_delta);
    return true;
}

uint64_t lofti_find_live(const lofti_slab_view *view, uint32_t word_idx)
{
    const uint32_t blocks = view->shape->block_count;
    const uint32_t rest = blocks - word_idx * 64;
    const uint64_t valid = lofti_bits_mask(rest < 64 ? rest : 64);
    return valid & ~lofti_word_get(&view->local[word_idx]) &
           ~lofti_word_get(&view->remote[word_idx]);
}

uint64_t lofti_find_span(const lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout,
                         uint32_t page)
{
    const uint32_t value = __atomic_load_n(&lofti_image_spans(heap, idx)[page], __ATOMIC_ACQUIRE);
    if (value == 0 || (value & ~LOFTI_SPAN_KNOWN) != 0 || page < layout->meta_pages) {
        return 0;
    }
    uint64_t pages = value & LOFTI_SPAN_PAGES;
    if ((value & LOFTI_SPAN_BIG) == 0) {
        return page + pages <= layout->page_count ? pages : 0;
    }
    pages = lofti_word_get(&lofti_image_header(heap, idx)->big_pages);
    const uint64_t end = lofti_arith_min(
        (uint64_t)__atomic_load_n(&heap->image->chunk_end, __ATOMIC_RELAXED) << LOFTI_CHUNK_SHIFT,
        heap->accessible_bytes);
    const uint64_t off = lofti_chunk_off(idx) + ((uint64_t)page << LOFTI_PAGE_SHIFT);
    return off >= end ? 0 : lofti_arith_min(pages, (end - off) >> LOFTI_PAGE_SHIFT);
}

static void find_in_slab(const lofti_slab_view *view, uint64_t off, lofti_place *out)
{
    const uint64_t block = (off - view->off) / view->shape->size;
    if (block >= view->shape->block_count) {
        return; /* the rest behind the last block */
    }
    out->kind = LOFTI_PLACE_SLAB;
    out->off = view->off + block * view->shape->size;
    out->bytes = view->shape->size;
    out->live = (lofti_find_live(view, (uint32_t)(block / 64)) >> (block % 64)) & 1;
}

/* In head chunk `idx`. `page` may be its last, for an address in a later chunk. */
static void find_in_spans(const lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout,
                          uint32_t page, uint64_t off, lofti_place *out)
{
    for (uint32_t from = page + 1; from-- > layout->meta_pages;) {
        const uint32_t value =
            __atomic_load_n(&lofti_image_spans(heap, idx)[from], __ATOMIC_RELAXED);
        if (value == 0) {
            continue;
        }
        const uint64_t pages = lofti_find_span(heap, idx, layout, from);
        const uint64_t start = lofti_chunk_off(idx) + ((uint64_t)from << LOFTI_PAGE_SHIFT);
        if (off - start < pages << LOFTI_PAGE_SHIFT) {
            out->kind = (value & LOFTI_SPAN_INTERNAL) != 0 ? LOFTI_PLACE_INTERNAL
                        : (value & LOFTI_SPAN_POOL) != 0   ? LOFTI_PLACE_POOL
                                                           : LOFTI_PLACE_SPAN;
            out->off = start;
            out->bytes = pages << LOFTI_PAGE_SHIFT;
            out->live = true;
        }
        return;
    }
}

/* No slab is longer, in units (heap/class.c). */
#define FIND_UNITS_MAX 16u

uint32_t lofti_find_slab_start(const lofti_heap *heap, uint32_t idx,
                               const lofti_chunk_layout *layout, uint32_t unit)
{
    lofti_slab_view view;
    for (uint32_t back = 0; back < FIND_UNITS_MAX && back <= unit; back++) {
        if (unit - back < layout->unit_count &&
            lofti_find_slab(heap, idx, layout, unit - back, &view)) {
            return back < view.shape->unit_count ? unit - back : unit;
        }
    }
    return unit;
}

void lofti_find(const lofti_heap *heap, uint64_t off, lofti_place *out)
{
    *out = (lofti_place){LOFTI_PLACE_OUTSIDE, false, false, off, 0};
    const uint32_t idx = lofti_chunk_of(off);
    if (off >= heap->reach_bytes || !lofti_image_claimed(heap, idx)) {
        return;
    }
    lofti_chunk_layout layout;
    uint32_t head = idx;
    while (head > 0 && lofti_image_claimed(heap, head) && !lofti_image_is_head(heap, head)) {
        head--;
    }
    out->kind = LOFTI_PLACE_FREE;
    out->touched = true;
    if (!lofti_find_head(heap, head, &layout)) {
        return;
    }
    if (head != idx) {
        find_in_spans(heap, head, &layout, layout.page_count - 1, off, out);
        return;
    }
    const uint64_t inside = off - lofti_chunk_off(idx);
    const uint32_t page = (uint32_t)(inside >> LOFTI_PAGE_SHIFT);
    const uint32_t unit = (uint32_t)(inside >> heap->unit_shift);
    const lofti_chunk_image *header = lofti_image_header(heap, idx);
    if (page < layout.meta_pages || (header->wide_unit != 0 && header->wide_unit == unit)) {
        out->kind = LOFTI_PLACE_META;
        return;
    }
    if (page >= layout.page_count) {
        out->kind = LOFTI_PLACE_OUTSIDE;
        return;
    }
    lofti_slab_view view;
    const uint32_t start = lofti_find_slab_start(heap, idx, &layout, unit);
    if (start < layout.unit_count && lofti_find_slab(heap, idx, &layout, start, &view)) {
        find_in_slab(&view, off, out);
        return;
    }
    out->touched = (lofti_word_get(&header->touched[page / 64]) >> (page % 64)) & 1;
    find_in_spans(heap, idx, &layout, page, off, out);
}

static void blame_outside(const lofti_heap *heap, const void *block, const char *call)
{
    if (lofti_thread_foreign(heap, block)) {
        lofti_misuse_report(LOFT_MISUSE_WRONG_ARENA, block,
                            "%s of %p: it belongs to another open arena", call, block);
        return;
    }
    lofti_misuse_report(LOFT_MISUSE_FOREIGN, block, "%s of %p: it is not in this arena's heap",
                        call, block);
}

static void blame_free(const lofti_place *place, const void *block, const char *call)
{
    if (place->touched && (uintptr_t)block % 16 == 0) {
        lofti_misuse_report(LOFT_MISUSE_DOUBLE_FREE, block, "%s of %p: its pages are free already",
                            call, block);
        return;
    }
    lofti_misuse_report(LOFT_MISUSE_FOREIGN, block, "%s of %p: no block was ever there", call,
                        block);
}

void lofti_find_blame(const lofti_heap *heap, const void *block, const char *call)
{
    const uint64_t off = (uint64_t)((uintptr_t)block - (uintptr_t)heap->base);
    lofti_place place;
    lofti_find(heap, off, &place);
    const char *what = place.kind == LOFTI_PLACE_SLAB ? "slab block" : "span";
    switch (place.kind) {
    case LOFTI_PLACE_OUTSIDE: blame_outside(heap, block, call); return;
    case LOFTI_PLACE_FREE: blame_free(&place, block, call); return;
    case LOFTI_PLACE_META:
        lofti_misuse_report(LOFT_MISUSE_FOREIGN, block, "%s of %p: the heap's metadata is there",
                            call, block);
        return;
    case LOFTI_PLACE_INTERNAL:
        lofti_misuse_report(LOFT_MISUSE_FOREIGN, block,
                            "%s of %p: memory of the arena's own is there", call, block);
        return;
    case LOFTI_PLACE_POOL:
        lofti_misuse_report(LOFT_MISUSE_POOL, block, "%s of %p: it is memory of a pool", call,
                            block);
        return;
    default: break;
    }
    if (place.off != off) {
        lofti_misuse_report(LOFT_MISUSE_INTERIOR, block,
                            "%s of %p: it is %llu bytes inside a %s of %llu bytes", call, block,
                            (unsigned long long)(off - place.off), what,
                            (unsigned long long)place.bytes);
        return;
    }
    /* A live block here would mean that another thread freed or allocated it at this moment. */
    lofti_misuse_report(LOFT_MISUSE_DOUBLE_FREE, block,
                        "%s of %p: this %s of %llu bytes is free already", call, block, what,
                        (unsigned long long)place.bytes);
}
