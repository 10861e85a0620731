/*
 * heap/chunk.c - the life of a chunk.
 *
 *     not ours --grow--> FREE --format--> HEAD --emptied--> FREE
 *                        FREE --part of a big span--> BODY --span freed--> FREE
 *
 * Invariants
 *   K1  bit c of free_map is set exactly if chunks[c].state is FREE
 *   K2  a chunk is never BODY and a head in the image at once: its head bit goes before the span that
 *       covers it is published, and comes after that span's end
 *   K3  a FREE or BODY chunk has only zeros in units[] and slabs[]
 */
#include "heap/chunk.h"

#include <string.h>

#include "base/status.h"
#include "heap/annotate.h"
#include "heap/pages.h"
#include "heap/slab.h"
#include "heap/trim.h"

/* How many unseen chunks one shortage looks at: bounds the pause after open (some 10 us a chunk). */
#define CHUNK_SCAN_STEP 16u

static void chunk_set_free(lofti_heap *heap, uint32_t idx, bool zero)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    lofti_annotate_chunk(heap, idx);
    chunk->zero = zero;
    __atomic_store_n(&chunk->state, LOFTI_CHUNK_FREE, __ATOMIC_RELEASE);
    *lofti_free_word(heap, idx / 64) |= (uint64_t)1 << (idx % 64);
}

/* In use again: its next retirement counts anew. */
static void chunk_unretain(lofti_heap *heap, uint32_t idx)
{
    for (uint32_t i = 0; i < LOFTI_RETAINED_CHUNKS; i++) {
        if (heap->retained[i] == idx + 1) {
            heap->retained[i] = 0;
        }
    }
}

static void chunk_unset_free(lofti_heap *heap, uint32_t idx, uint32_t state)
{
    chunk_unretain(heap, idx);
    __atomic_store_n(&heap->chunks[idx].state, state, __ATOMIC_RELEASE);
    *lofti_free_word(heap, idx / 64) &= ~((uint64_t)1 << (idx % 64));
}

static void dir_set(uint64_t *word, uint32_t idx, bool value)
{
    const uint64_t bit = (uint64_t)1 << (idx % 64);
    const uint64_t old = lofti_word_get(word);
    lofti_word_set(word, value ? old | bit : old & ~bit);
}

void lofti_chunk_format(const lofti_heap *heap, uint32_t idx, bool zero)
{
    lofti_chunk_layout layout;
    lofti_image_layout(heap, idx, &layout);
    lofti_chunk_image *header = lofti_image_header(heap, idx);
    if (!zero) {
        memset(header, 0, ((size_t)layout.meta_pages << LOFTI_PAGE_SHIFT) - layout.header_off);
        memset(header->touched, 0xff, sizeof header->touched);
    }
    header->magic = LOFTI_CHUNK_MAGIC;
    header->idx = idx;
    header->page_count = (uint16_t)layout.page_count;
    lofti_image_order();
    dir_set(&heap->dir[idx / 64].heads, idx, true);
}

/* FREE to HEAD. */
static void chunk_open(lofti_heap *heap, uint32_t idx)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    lofti_chunk_layout layout;
    lofti_image_layout(heap, idx, &layout);
    lofti_annotate_chunk(heap, idx);
    lofti_annotate_live(lofti_image_chunk(heap, idx),
                        (size_t)layout.meta_pages << LOFTI_PAGE_SHIFT);
    lofti_chunk_format(heap, idx, chunk->zero);
    memset(chunk->used, 0, sizeof chunk->used);
    chunk->free_units = 0;
    chunk->wide_slabs = 0;
    __atomic_store_n(&chunk->entered, true, __ATOMIC_RELEASE); /* it has none yet */
    lofti_pages_mark(chunk->used, 0, layout.meta_pages);
    lofti_pages_mark(chunk->used, layout.page_count,
                     (uint32_t)LOFTI_CHUNK_PAGES - layout.page_count);
    chunk_unset_free(heap, idx, LOFTI_CHUNK_HEAD);
    lofti_pages_file(heap, idx);
}

/* Tells the host that nobody needs the bytes of these FREE chunks. */
static void chunk_drop(lofti_heap *heap, uint32_t idx, uint32_t count)
{
    const bool zero =
        heap->host.unused != NULL && heap->host.unused(heap->host.context, lofti_chunk_off(idx),
                                                       (uint64_t)count << LOFTI_CHUNK_SHIFT);
    for (uint32_t i = idx; i < idx + count; i++) {
        heap->chunks[i].zero = zero;
    }
}

/* Remembers a chunk that became FREE, and drops the one remembered longest when there are too many:
 * what is needed again at once need not be fetched anew, and what is not goes back soon. */
static void chunk_retain(lofti_heap *heap, uint32_t idx)
{
    uint32_t *slot = &heap->retained[heap->retained_next++ % LOFTI_RETAINED_CHUNKS];
    const uint32_t old = *slot;
    *slot = idx + 1;
    if (old != 0 && old != idx + 1 && heap->chunks[old - 1].state == LOFTI_CHUNK_FREE &&
        !heap->chunks[old - 1].zero) {
        chunk_drop(heap, old - 1, 1);
    }
}

/* HEAD, empty, to FREE. */
static void chunk_dissolve(lofti_heap *heap, uint32_t idx)
{
    lofti_pages_unfile(heap, idx);
    dir_set(&heap->dir[idx / 64].heads, idx, false);
    lofti_image_order();
    chunk_set_free(heap, idx, false);
    chunk_retain(heap, idx);
}

static bool chunk_is_empty(const lofti_heap *heap, uint32_t idx)
{
    lofti_chunk_layout layout;
    lofti_image_layout(heap, idx, &layout);
    return heap->chunks[idx].free_pages == layout.page_count - layout.meta_pages;
}

void lofti_chunk_released(lofti_heap *heap, uint32_t idx)
{
    const lofti_chunk *chunk = &heap->chunks[idx];
    if (idx == 0 || chunk->free_pages < LOFTI_CHUNK_PAGES / 2 || !chunk_is_empty(heap, idx) ||
        heap->spare_chunk == idx + 1) {
        return;
    }
    const uint32_t spare = heap->spare_chunk;
    heap->spare_chunk = idx + 1;
    if (spare != 0 && heap->chunks[spare - 1].state == LOFTI_CHUNK_HEAD &&
        chunk_is_empty(heap, spare - 1)) {
        chunk_dissolve(heap, spare - 1);
    }
}

static int chunk_full(const lofti_heap *heap)
{
    return lofti_status_fail(LOFT_ENOMEM, "grow", "arena", "its limit of %llu bytes is used up",
                             (unsigned long long)heap->reach_bytes);
}

/* Adds `count` neighbouring FREE chunks. */
static int chunk_grow(lofti_heap *heap, uint32_t count)
{
    uint32_t first = 0;
    if (heap->host.grow == NULL) {
        return chunk_full(heap);
    }
    const int code = heap->host.grow(heap->host.context, count, &first);
    if (code != 0) {
        return code;
    }
    if (first >= heap->chunk_limit || count > heap->chunk_limit - first) {
        return chunk_full(heap);
    }
    for (uint32_t idx = first; idx < first + count; idx++) {
        chunk_set_free(heap, idx, true);
    }
    heap->known_end = first + count > heap->known_end ? first + count : heap->known_end;
    if (lofti_chunk_off(first + count) > heap->accessible_bytes) {
        heap->accessible_bytes = lofti_chunk_off(first + count);
    }
    if (first + count > heap->image->chunk_end) {
        __atomic_store_n(&heap->image->chunk_end, first + count, __ATOMIC_RELAXED);
        lofti_image_order();
    }
    for (uint32_t idx = first; idx < first + count; idx++) {
        dir_set(&heap->dir[idx / 64].claimed, idx, true);
    }
    return 0;
}

/* The lowest FREE chunk; chunk_limit: none. */
static uint32_t chunk_find_free(const lofti_heap *heap)
{
    const uint32_t words = (heap->image->chunk_end + 63) / 64;
    for (uint32_t i = 0; i < words; i++) {
        const uint64_t word = *lofti_free_word(heap, i);
        if (word != 0) {
            return i * 64 + lofti_bits_lowest(word);
        }
    }
    return heap->chunk_limit;
}

int lofti_chunk_more(lofti_heap *heap)
{
    uint32_t idx = chunk_find_free(heap);
    if (idx == heap->chunk_limit && heap->scan_idx < heap->scan_end) {
        for (uint32_t i = 0; i < CHUNK_SCAN_STEP && heap->scan_idx < heap->scan_end; i++) {
            if (lofti_chunk_load(heap, heap->scan_idx++) == LOFTI_CHUNK_BAD) {
                return LOFT_ECORRUPT;
            }
        }
        return 0;
    }
    if (idx == heap->chunk_limit) {
        lofti_trim_idle(heap);
        const int code = chunk_grow(heap, 1);
        if (code != 0) {
            return code;
        }
        idx = chunk_find_free(heap);
    }
    chunk_open(heap, idx);
    return 0;
}

/* The first of `count` neighbouring chunks that are FREE; chunk_limit: none. */
static uint32_t chunk_find_run(const lofti_heap *heap, uint32_t count)
{
    const uint32_t end = heap->image->chunk_end;
    uint32_t run = 0;
    for (uint32_t idx = 0; idx < end; idx++) {
        const uint64_t word = *lofti_free_word(heap, idx / 64);
        if (idx % 64 == 0 && word == 0) {
            run = 0;
            idx += 63;
            continue;
        }
        run = word >> (idx % 64) & 1 ? run + 1 : 0;
        /* Only whole chunks: the last of a fixed heap may be shorter. */
        if (run == count && lofti_chunk_off(idx + 1) <= heap->limit_bytes) {
            return idx + 1 - count;
        }
    }
    return heap->chunk_limit;
}

int lofti_chunk_take_run(lofti_heap *heap, uint32_t count, uint32_t *first_idx, bool *zero)
{
    const uint32_t spare = heap->spare_chunk;
    if (spare != 0 && heap->chunks[spare - 1].state == LOFTI_CHUNK_HEAD &&
        chunk_is_empty(heap, spare - 1)) {
        chunk_dissolve(heap, spare - 1);
    }
    heap->spare_chunk = 0;
    uint32_t first = chunk_find_run(heap, count);
    while (first == heap->chunk_limit && heap->scan_idx < heap->scan_end) {
        if (lofti_chunk_load(heap, heap->scan_idx++) == LOFTI_CHUNK_BAD) {
            return LOFT_ECORRUPT;
        }
        if (heap->scan_idx % CHUNK_SCAN_STEP == 0 || heap->scan_idx == heap->scan_end) {
            first = chunk_find_run(heap, count);
        }
    }
    if (first == heap->chunk_limit) {
        lofti_trim_idle(heap);
        const int code = chunk_grow(heap, count);
        if (code != 0) {
            return code;
        }
        first = chunk_find_run(heap, count);
        if (first == heap->chunk_limit) {
            return chunk_full(heap);
        }
    }
    *zero = true;
    for (uint32_t idx = first; idx < first + count; idx++) {
        *zero = *zero && heap->chunks[idx].zero;
    }
    chunk_open(heap, first);
    for (uint32_t idx = first + 1; idx < first + count; idx++) {
        chunk_unset_free(heap, idx, LOFTI_CHUNK_BODY);
    }
    *first_idx = first;
    return 0;
}

bool lofti_chunk_take_bodies(lofti_heap *heap, uint32_t idx, uint32_t count)
{
    if (idx + count > heap->chunk_limit || lofti_chunk_off(idx + count) > heap->limit_bytes) {
        return false;
    }
    for (uint32_t i = idx; i < idx + count; i++) {
        if (i == heap->image->chunk_end && chunk_grow(heap, idx + count - i) != 0) {
            return false;
        }
        /* Grown chunks may lie elsewhere, and serve the copy that is made instead. */
        if (heap->chunks[i].state != LOFTI_CHUNK_FREE) {
            return false;
        }
    }
    for (uint32_t i = idx; i < idx + count; i++) {
        chunk_unset_free(heap, i, LOFTI_CHUNK_BODY);
    }
    return true;
}

void lofti_chunk_release_bodies(lofti_heap *heap, uint32_t idx, uint32_t count)
{
    heap->released_pages += (uint64_t)count * LOFTI_CHUNK_PAGES;
    for (uint32_t i = idx; i < idx + count; i++) {
        chunk_set_free(heap, i, false);
        if (count <= LOFTI_RETAINED_CHUNKS) {
            chunk_retain(heap, i);
        }
    }
    if (count > LOFTI_RETAINED_CHUNKS) {
        chunk_drop(heap, idx, count);
    }
}
