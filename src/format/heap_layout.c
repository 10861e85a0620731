/*
 * format/heap_layout.c - where the parts of the heap's image lie, and whether its headers are whole.
 *
 * Pure: bytes in, verdict out.
 */
#include "format/heap_layout.h"

#include "base/arith.h"
#include "base/hash.h"

uint32_t lofti_heap_layout_chunks(uint64_t limit_bytes)
{
    const uint64_t whole = limit_bytes >> LOFTI_CHUNK_SHIFT;
    const uint64_t rest = limit_bytes & (LOFTI_CHUNK_BYTES - 1);
    return (uint32_t)(whole + (rest >= LOFTI_HEAP_BYTES_MIN ? 1 : 0));
}

void lofti_heap_layout_chunk(uint64_t limit_bytes, uint32_t unit_shift, uint32_t idx,
                             lofti_chunk_layout *out)
{
    const bool large = unit_shift == LOFTI_UNIT_SHIFT_LARGE;
    const uint64_t bytes =
        lofti_arith_min(LOFTI_CHUNK_BYTES, limit_bytes - ((uint64_t)idx << LOFTI_CHUNK_SHIFT));
    uint64_t off = 0;
    if (idx == 0) {
        const uint64_t entries = ((uint64_t)lofti_heap_layout_chunks(limit_bytes) + 63) / 64;
        off = LOFTI_HEAP_IMAGE_BYTES + entries * sizeof(lofti_heap_dir);
        off = lofti_arith_round_up(off, LOFTI_LINE_BYTES);
    }
    out->page_count = (uint32_t)(bytes >> LOFTI_PAGE_SHIFT);
    out->unit_count = (uint32_t)(bytes >> unit_shift);
    out->header_off = (uint32_t)off;
    out->spans_off = out->header_off + LOFTI_CHUNK_IMAGE_BYTES;
    out->classes_off = out->spans_off + (uint32_t)lofti_arith_round_up(
                                            (uint64_t)out->page_count * 2, LOFTI_LINE_BYTES);
    out->records_off =
        out->classes_off + (uint32_t)lofti_arith_round_up(out->unit_count, LOFTI_LINE_BYTES);
    if (large) {
        out->records_off += idx % LOFTI_COLOUR_COUNT * LOFTI_LINE_BYTES;
    }
    const uint32_t stride = large ? LOFTI_NARROW_LARGE_BYTES : LOFTI_NARROW_SMALL_BYTES;
    const uint64_t end = out->records_off + (uint64_t)out->unit_count * stride;
    out->meta_pages = (uint32_t)(lofti_arith_round_up(end, LOFTI_PAGE_BYTES) >> LOFTI_PAGE_SHIFT);
    const uint64_t unit_bytes = (uint64_t)1 << unit_shift;
    out->first_unit = (uint32_t)(lofti_arith_round_up(end, unit_bytes) >> unit_shift);
}

const char *lofti_heap_layout_verify(const lofti_heap_image *image, uint64_t *off)
{
    *off = 0;
    if (image->magic != LOFTI_HEAP_MAGIC) {
        return "no heap begins here";
    }
    *off = offsetof(lofti_heap_image, version);
    if (image->version != LOFTI_HEAP_VERSION) {
        return "the heap's version is not known";
    }
    *off = offsetof(lofti_heap_image, seal);
    if (image->seal != lofti_hash(image, LOFTI_HEAP_SEALED_BYTES, 0)) {
        return "the heap's header does not match its seal";
    }
    *off = offsetof(lofti_heap_image, unit_shift);
    const bool small = image->limit_bytes <= LOFTI_CHUNK_BYTES;
    if (image->unit_shift != (small ? LOFTI_UNIT_SHIFT_SMALL : LOFTI_UNIT_SHIFT_LARGE)) {
        return "the heap's unit size is impossible";
    }
    *off = offsetof(lofti_heap_image, limit_bytes);
    if (image->limit_bytes < LOFTI_HEAP_BYTES_MIN || image->limit_bytes % LOFTI_PAGE_BYTES != 0 ||
        image->limit_bytes > (uint64_t)LOFTI_CHUNK_COUNT_MAX << LOFTI_CHUNK_SHIFT) {
        return "the heap's limit is impossible";
    }
    *off = offsetof(lofti_heap_image, chunk_end);
    if (image->chunk_end == 0 || image->chunk_end > lofti_heap_layout_chunks(image->limit_bytes)) {
        return "the heap's end is impossible";
    }
    return NULL;
}

const char *lofti_chunk_layout_verify(const lofti_chunk_image *image,
                                      const lofti_chunk_layout *layout, uint32_t idx, uint64_t *off)
{
    *off = 0;
    if (image->magic != LOFTI_CHUNK_MAGIC) {
        return "a chunk's metadata has no magic number";
    }
    *off = offsetof(lofti_chunk_image, idx);
    if (image->idx != idx) {
        return "a chunk's metadata belongs to another chunk";
    }
    *off = offsetof(lofti_chunk_image, page_count);
    if (image->page_count != layout->page_count) {
        return "a chunk's page count is wrong";
    }
    *off = offsetof(lofti_chunk_image, wide_unit);
    if (image->wide_unit != 0 &&
        (image->wide_unit < layout->first_unit || image->wide_unit >= layout->unit_count)) {
        return "a chunk's unit of wide records lies outside";
    }
    return NULL;
}
