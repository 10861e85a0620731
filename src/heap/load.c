/*
 * heap/load.c - from a chunk's image to its volatile side, at the first touch after attach.
 *
 * The bytes may be anything: every index is checked before it is used, and a chunk with the least
 * fault is left alone as a whole (LOFTI_CHUNK_BAD), so that nothing else of the heap rests on it.
 */
#include <string.h>

#include "base/status.h"
#include "heap/annotate.h"
#include "heap/chunk.h"
#include "heap/find.h"
#include "heap/pages.h"
#include "heap/slab.h"

/* Marks [from, from + count) as used; false: some page already was, or there is no such page. */
static bool load_claim(lofti_chunk *chunk, uint32_t from, uint32_t count)
{
    if (count > LOFTI_CHUNK_PAGES || from > LOFTI_CHUNK_PAGES - count ||
        lofti_pages_any(chunk->used, from, count)) {
        return false;
    }
    lofti_pages_mark(chunk->used, from, count);
    return true;
}

static const char *load_slabs(lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout,
                              uint64_t *off)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    const uint8_t *classes = lofti_image_classes(heap, idx, layout);
    const uint32_t wide_unit = lofti_image_header(heap, idx)->wide_unit;
    const uint32_t unit_pages = lofti_unit_pages(heap);
    if (wide_unit != 0 && !load_claim(chunk, wide_unit * unit_pages, unit_pages)) {
        *off = layout->header_off + offsetof(lofti_chunk_image, wide_unit);
        return "the unit of wide records is taken";
    }
    for (uint32_t unit = 0; unit < layout->unit_count; unit++) {
        const uint32_t class_idx = classes[unit];
        if (class_idx == 0) {
            continue;
        }
        *off = layout->classes_off + unit;
        if (class_idx > heap->class_last) {
            return "a slab has no such class";
        }
        const lofti_class *shape = &heap->classes[class_idx];
        if (shape->wide && wide_unit == 0) {
            return "a slab has no record";
        }
        if (!load_claim(chunk, unit * unit_pages, shape->unit_count * unit_pages)) {
            return "a slab overlaps something else";
        }
        chunk->wide_slabs = (uint8_t)(chunk->wide_slabs + (shape->wide ? 1 : 0));
    }
    return NULL;
}

/* The chunks that a big span from page `from` of chunk `idx` covers besides its first; false: it
 * cannot be. */
static bool load_big(lofti_heap *heap, uint32_t idx, uint32_t from)
{
    const uint64_t pages = lofti_image_header(heap, idx)->big_pages;
    const uint64_t here = LOFTI_CHUNK_PAGES - from;
    const uint32_t end = heap->image->chunk_end;
    if (end <= idx || end > heap->chunk_limit || pages <= here ||
        pages - here > (uint64_t)(end - idx - 1) * LOFTI_CHUNK_PAGES) {
        return false;
    }
    const uint32_t bodies = (uint32_t)((pages - here + LOFTI_CHUNK_PAGES - 1) / LOFTI_CHUNK_PAGES);
    for (uint32_t i = idx + 1; i <= idx + bodies; i++) {
        const uint32_t state = heap->chunks[i].state;
        if (!lofti_image_claimed(heap, i) || lofti_image_is_head(heap, i) ||
            state != LOFTI_CHUNK_UNKNOWN || !lofti_find_here(heap, i)) {
            return false;
        }
    }
    for (uint32_t i = idx + 1; i <= idx + bodies; i++) {
        __atomic_store_n(&heap->chunks[i].state, LOFTI_CHUNK_BODY, __ATOMIC_RELEASE);
    }
    return true;
}

static const char *load_spans(lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout,
                              uint64_t *off)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    const uint16_t *spans = lofti_image_spans(heap, idx);
    uint32_t big = 0;
    for (uint32_t page = 0; page < layout->page_count; page++) {
        const uint32_t span = spans[page];
        if (span == 0) {
            continue;
        }
        *off = layout->spans_off + page * 2;
        const uint32_t pages = span & LOFTI_SPAN_PAGES;
        const bool is_big = (span & LOFTI_SPAN_BIG) != 0;
        if ((span & ~LOFTI_SPAN_KNOWN) != 0 || is_big != (pages == 0)) {
            return "a span has an impossible length or kind";
        }
        if (!load_claim(chunk, page, is_big ? (uint32_t)LOFTI_CHUNK_PAGES - page : pages)) {
            return "a span overlaps something else";
        }
        big = is_big ? page : big;
    }
    if (big != 0) {
        *off = layout->spans_off + big * 2;
        return load_big(heap, idx, big) ? NULL : "a span reaches into chunks that it cannot have";
    }
    return NULL;
}

static const char *load_head(lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout,
                             uint64_t *off)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    const lofti_chunk_image *header = lofti_image_header(heap, idx);
    const char *fault = lofti_chunk_layout_verify(header, layout, idx, off);
    *off += layout->header_off;
    if (fault == NULL && header->wide_unit != 0 && heap->unit_shift != LOFTI_UNIT_SHIFT_LARGE) {
        fault = "a heap of small units has no wide records";
    }
    if (fault != NULL) {
        return fault;
    }
    memset(chunk->used, 0, sizeof chunk->used);
    chunk->free_units = 0;
    chunk->wide_slabs = 0;
    lofti_pages_mark(chunk->used, 0, layout->meta_pages);
    lofti_pages_mark(chunk->used, layout->page_count,
                     (uint32_t)LOFTI_CHUNK_PAGES - layout->page_count);
    fault = load_slabs(heap, idx, layout, off);
    return fault != NULL ? fault : load_spans(heap, idx, layout, off);
}

static void load_register(lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout)
{
    const uint8_t *classes = lofti_image_classes(heap, idx, layout);
    const uint32_t first = idx << lofti_unit_shift_in_chunk(heap);
    lofti_annotate_head(heap, idx);
    __atomic_store_n(&heap->chunks[idx].state, LOFTI_CHUNK_HEAD, __ATOMIC_RELEASE);
    lofti_pages_file(heap, idx);
    for (uint32_t unit = 0; unit < layout->unit_count; unit++) {
        if (classes[unit] != 0) {
            lofti_slab_load(heap, first + unit, classes[unit]);
        }
    }
    lofti_slab_drop_wide(heap, idx);
    __atomic_store_n(&heap->chunks[idx].entered, true, __ATOMIC_RELEASE);
}

uint32_t lofti_chunk_load(lofti_heap *heap, uint32_t idx)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    if (chunk->state != LOFTI_CHUNK_UNKNOWN || !lofti_image_claimed(heap, idx)) {
        return chunk->state;
    }
    if (!lofti_find_here(heap, idx)) {
        __atomic_store_n(&chunk->state, LOFTI_CHUNK_BAD, __ATOMIC_RELEASE);
        (void)lofti_status_fail(LOFT_ECORRUPT, "read", "arena",
                                "chunk %u is said to be the heap's and is not", idx);
        return LOFTI_CHUNK_BAD;
    }
    if (!lofti_image_is_head(heap, idx)) {
        /* Whether it is inside a block only that block's first chunk knows. */
        uint32_t head = idx;
        while (head > 0 && lofti_image_claimed(heap, head) && !lofti_image_is_head(heap, head)) {
            head--;
        }
        if (head != idx && lofti_image_is_head(heap, head)) {
            (void)lofti_chunk_load(heap, head);
        }
        if (chunk->state == LOFTI_CHUNK_UNKNOWN && heap->chunks[head].state == LOFTI_CHUNK_BAD) {
            __atomic_store_n(&chunk->state, LOFTI_CHUNK_BAD, __ATOMIC_RELEASE);
        } else if (chunk->state == LOFTI_CHUNK_UNKNOWN) {
            __atomic_store_n(&chunk->state, LOFTI_CHUNK_FREE, __ATOMIC_RELEASE);
            *lofti_free_word(heap, idx / 64) |= (uint64_t)1 << (idx % 64);
        }
        return chunk->state;
    }
    lofti_chunk_layout layout;
    lofti_image_layout(heap, idx, &layout);
    uint64_t off = 0;
    const char *fault = load_head(heap, idx, &layout, &off);
    if (fault != NULL) {
        __atomic_store_n(&chunk->state, LOFTI_CHUNK_BAD, __ATOMIC_RELEASE);
        (void)lofti_status_fail(LOFT_ECORRUPT, "read", "arena", "%s, at offset %llu", fault,
                                (unsigned long long)(lofti_chunk_off(idx) + off));
        return LOFTI_CHUNK_BAD;
    }
    load_register(heap, idx, &layout);
    return LOFTI_CHUNK_HEAD;
}
