/*
 * heap/check.c - verifies the image: every statement of format/heap_layout.h that a byte could belie.
 *
 * Counts faults and goes on. Reads the image only, through the bounds of the handle, so that no byte
 * pattern makes it crash or loop. What it cannot know: a block's bit that was flipped while its slab
 * stayed whole.
 */
#include <string.h>

#include "base/arith.h"
#include "base/status.h"
#include "heap/pages.h"
#include "heap/report.h"
#include "heap/walk.h"

typedef struct check_state {
    const lofti_heap *heap;
    lofti_report report;
    uint32_t idx;                        /* the chunk being checked */
    lofti_chunk_layout layout;           /* its layout */
    uint64_t taken[LOFTI_TOUCHED_WORDS]; /* its pages that something has */
} check_state;

static void check_report(check_state *state, uint64_t off, const char *text)
{
    lofti_report_fault(&state->report, off, text);
}

/* Reports at `off` bytes from the start of the chunk being checked. */
static void check_chunk_report(check_state *state, uint64_t off, const char *text)
{
    check_report(state, lofti_chunk_off(state->idx) + off, text);
}

static void check_zeros(check_state *state, const void *bytes, size_t count, const char *text)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < count; i++) {
        if (at[i] != 0) {
            check_report(state, (uint64_t)(at + i - state->heap->base), text);
            return;
        }
    }
}

static void check_header(check_state *state)
{
    const lofti_heap_image *image = state->heap->image;
    uint64_t off = 0;
    const char *fault = lofti_heap_layout_verify(image, &off);
    if (fault != NULL) {
        check_report(state, off, fault);
    } else if (image->limit_bytes != state->heap->limit_bytes ||
               image->unit_shift != state->heap->unit_shift) {
        check_report(state, 0, "the heap's header changed since it was attached");
    }
    check_zeros(state, image->spare, sizeof image->spare,
                "spare bytes of the heap's header are set");
    if (!lofti_image_is_head(state->heap, 0)) {
        check_report(state, LOFTI_HEAP_IMAGE_BYTES, "the first chunk has no metadata");
    }
}

static void check_directory(check_state *state)
{
    const lofti_heap *heap = state->heap;
    const uint32_t end = heap->image->chunk_end;
    const uint32_t entries = (lofti_heap_layout_chunks(heap->limit_bytes) + 63) / 64;
    for (uint32_t i = 0; i < entries; i++) {
        const uint64_t off = LOFTI_HEAP_IMAGE_BYTES + (uint64_t)i * sizeof(lofti_heap_dir);
        const uint64_t claimed = lofti_word_get(&heap->dir[i].claimed);
        const uint64_t heads = lofti_word_get(&heap->dir[i].heads);
        const uint64_t below = end <= i * 64        ? 0
                               : end - i * 64 >= 64 ? UINT64_MAX
                                                    : lofti_bits_mask(end - i * 64);
        if ((claimed & ~below) != 0) {
            check_report(state, off, "a chunk behind the heap's end is claimed");
        }
        if ((heads & ~claimed) != 0) {
            check_report(state, off + 8, "a chunk has metadata but is not claimed");
        }
    }
    for (uint32_t idx = 0; idx < heap->chunk_limit; idx++) {
        if (heap->dir[idx / 64].claimed == 0) {
            idx |= 63; /* none of these */
        } else if (lofti_image_claimed(heap, idx) && !lofti_find_here(heap, idx)) {
            check_report(state, lofti_chunk_off(idx), "a chunk is claimed that is not the heap's");
        }
    }
}

/* Takes pages of the chunk for one thing. */
static bool check_take(check_state *state, uint32_t from, uint32_t count, uint64_t off,
                       const char *text)
{
    if (count > state->layout.page_count || from > state->layout.page_count - count ||
        lofti_pages_any(state->taken, from, count)) {
        check_chunk_report(state, off, text);
        return false;
    }
    lofti_pages_mark(state->taken, from, count);
    return true;
}

/* Bits of the last word that stand for no block. */
static void check_tail(check_state *state, const lofti_slab_view *view)
{
    const uint32_t last = view->shape->word_count - 1u;
    const uint32_t rest = view->shape->block_count % 64;
    const uint64_t beyond = rest == 0 ? 0 : ~lofti_bits_mask(rest);
    const uint8_t *base = state->heap->base;
    if ((lofti_word_get(&view->local[last]) & beyond) != 0) {
        check_report(state, (uint64_t)((const uint8_t *)&view->local[last] - base),
                     "a slab's bitmap has bits behind its last block");
    }
    if ((lofti_word_get(&view->remote[last]) & beyond) != 0) {
        check_report(state, (uint64_t)((const uint8_t *)&view->remote[last] - base),
                     "a slab's remote bitmap has bits behind its last block");
    }
}

static void check_slabs(check_state *state)
{
    const lofti_heap *heap = state->heap;
    const lofti_chunk_layout *layout = &state->layout;
    const uint8_t *classes = lofti_image_classes(heap, state->idx, layout);
    const uint32_t unit_pages = lofti_unit_pages(heap);
    for (uint32_t unit = 0; unit < layout->unit_count; unit++) {
        const uint64_t off = layout->classes_off + unit;
        const uint32_t class_idx = classes[unit];
        if (class_idx == 0) {
            continue;
        }
        if (class_idx > heap->class_last) {
            check_chunk_report(state, off, "a slab has a class that does not exist");
            continue;
        }
        lofti_slab_view view;
        const lofti_class *shape = &heap->classes[class_idx];
        if (shape->wide && lofti_image_header(heap, state->idx)->wide_unit == 0) {
            check_chunk_report(state, off, "a slab's record lies in a unit that was not set aside");
        } else if (unit + shape->unit_count > layout->unit_count) {
            check_chunk_report(state, off, "a slab reaches beyond its chunk");
        } else if (check_take(state, unit * unit_pages, shape->unit_count * unit_pages, off,
                              "a slab overlaps something else") &&
                   lofti_find_slab(heap, state->idx, layout, unit, &view)) {
            check_tail(state, &view);
        }
    }
}

/* The chunks behind the one being checked that its last span reaches into. */
static void check_big(check_state *state, uint32_t page)
{
    const lofti_heap *heap = state->heap;
    const uint64_t off = state->layout.header_off + offsetof(lofti_chunk_image, big_pages);
    const uint64_t pages = lofti_image_header(heap, state->idx)->big_pages;
    const uint64_t here = state->layout.page_count - page;
    const uint32_t end = heap->image->chunk_end;
    if (state->layout.page_count != LOFTI_CHUNK_PAGES || pages <= here) {
        check_chunk_report(state, off, "a span is said to leave its chunk and does not");
        return;
    }
    if (end <= state->idx + 1 || end > heap->chunk_limit ||
        pages - here > (uint64_t)(end - state->idx - 1) * LOFTI_CHUNK_PAGES) {
        check_chunk_report(state, off, "a span reaches beyond the heap's end");
        return;
    }
    const uint32_t bodies = (uint32_t)((pages - here + LOFTI_CHUNK_PAGES - 1) / LOFTI_CHUNK_PAGES);
    for (uint32_t i = state->idx + 1; i <= state->idx + bodies; i++) {
        if (!lofti_image_claimed(heap, i) || lofti_image_is_head(heap, i)) {
            check_chunk_report(state, off, "a span reaches into a chunk that it cannot have");
            return;
        }
    }
}

static void check_spans(check_state *state)
{
    const lofti_chunk_layout *layout = &state->layout;
    const uint16_t *spans = lofti_image_spans(state->heap, state->idx);
    for (uint32_t page = 0; page < layout->page_count; page++) {
        const uint32_t value = spans[page];
        const uint32_t pages = value & LOFTI_SPAN_PAGES;
        const bool big = (value & LOFTI_SPAN_BIG) != 0;
        const uint64_t off = layout->spans_off + (uint64_t)page * 2;
        if (value == 0) {
            continue;
        }
        if ((value & ~LOFTI_SPAN_KNOWN) != 0 ||
            (value & LOFTI_SPAN_POOL && value & LOFTI_SPAN_INTERNAL)) {
            check_chunk_report(state, off, "a span is of an unknown kind");
        } else if (big != (pages == 0)) {
            check_chunk_report(state, off, "a span has an impossible length");
        } else if (!big && pages > layout->page_count - page) {
            check_chunk_report(state, off, "a span reaches beyond its chunk");
        } else if (check_take(state, page, big ? layout->page_count - page : pages, off,
                              "a span overlaps something else") &&
                   big) {
            check_big(state, page);
        }
    }
}

/* T7: what is in use was handed out. */
static void check_touched(check_state *state)
{
    const lofti_chunk_image *header = lofti_image_header(state->heap, state->idx);
    uint64_t meta[LOFTI_TOUCHED_WORDS] = {0};
    lofti_pages_mark(meta, 0, state->layout.meta_pages);
    for (uint32_t i = 0; i < LOFTI_TOUCHED_WORDS; i++) {
        if ((state->taken[i] & ~meta[i] & ~lofti_word_get(&header->touched[i])) != 0) {
            check_chunk_report(state,
                               state->layout.header_off + offsetof(lofti_chunk_image, touched) +
                                   i * sizeof(uint64_t),
                               "a page in use is said to be untouched");
        }
    }
}

static void check_chunk(check_state *state, uint32_t idx)
{
    const lofti_heap *heap = state->heap;
    state->idx = idx;
    if (!lofti_find_head(heap, idx, &state->layout)) {
        return; /* reported with the directory */
    }
    const lofti_chunk_image *header = lofti_image_header(heap, idx);
    uint64_t off = 0;
    const char *fault = lofti_chunk_layout_verify(header, &state->layout, idx, &off);
    if (fault != NULL) {
        check_chunk_report(state, state->layout.header_off + off, fault);
    }
    check_zeros(state, header->spare, sizeof header->spare,
                "spare bytes of a chunk's header are set");
    check_zeros(state, &header->spare8, 1, "a spare byte of a chunk's header is set");
    memset(state->taken, 0, sizeof state->taken);
    lofti_pages_mark(state->taken, 0, state->layout.meta_pages);
    const uint32_t unit_pages = lofti_unit_pages(heap);
    off = state->layout.header_off + offsetof(lofti_chunk_image, wide_unit);
    if (header->wide_unit != 0 && heap->unit_shift != LOFTI_UNIT_SHIFT_LARGE) {
        check_chunk_report(state, off, "a heap of small units has a unit of wide records");
    } else if (header->wide_unit != 0) {
        (void)check_take(state, header->wide_unit * unit_pages, unit_pages, off,
                         "the unit of wide records overlaps something else");
    }
    check_slabs(state);
    check_spans(state);
    check_touched(state);
}

int lofti_heap_check(lofti_heap *heap, loft_report_fn *fn, void *context, uint64_t *faults)
{
    check_state state = {.heap = heap, .report = {.fn = fn, .context = context}};
    check_header(&state);
    check_directory(&state);
    for (uint32_t idx = lofti_walk_head(heap, 0);
         idx < heap->chunk_limit && state.report.stopped == 0;
         idx = lofti_walk_head(heap, idx + 1)) {
        check_chunk(&state, idx);
    }
    return lofti_report_end(&state.report, "heap has", faults);
}
