/* Headers of heaps and chunks of which one field is wrong: each is told, with its place. */
#include "format/heap_layout.h"

#include <string.h>

#include "base/hash.h"
#include "support/test.h"

#define LIMIT_LARGE ((uint64_t)1 << 40)

static lofti_heap_image heap_of(uint64_t limit_bytes, uint32_t unit_shift)
{
    return (lofti_heap_image){.magic = LOFTI_HEAP_MAGIC,
                              .version = LOFTI_HEAP_VERSION,
                              .unit_shift = unit_shift,
                              .limit_bytes = limit_bytes,
                              .chunk_end = 1};
}

/* Seals it, so that it is the field that is found. NULL: nothing is wrong. */
static const char *judge(lofti_heap_image image, uint64_t *off)
{
    image.seal = lofti_hash(&image, LOFTI_HEAP_SEALED_BYTES, 0);
    return lofti_heap_layout_verify(&image, off);
}

static void expect(lofti_heap_image image, size_t want_off, const char *words)
{
    uint64_t off = UINT64_MAX;
    const char *fault = judge(image, &off);
    LOFT_CHECK_NOT_NULL(fault);
    LOFT_CHECK_CONTAINS(fault, words);
    LOFT_CHECK_EQ_UINT(off, want_off);
}

LOFT_TEST(heap_layout, whole_headers_are_accepted)
{
    uint64_t off = 0;
    LOFT_CHECK_TRUE(judge(heap_of(LIMIT_LARGE, LOFTI_UNIT_SHIFT_LARGE), &off) == NULL);
    LOFT_CHECK_TRUE(judge(heap_of(LOFTI_CHUNK_BYTES, LOFTI_UNIT_SHIFT_SMALL), &off) == NULL);
    LOFT_CHECK_TRUE(judge(heap_of(LOFTI_HEAP_BYTES_MIN, LOFTI_UNIT_SHIFT_SMALL), &off) == NULL);
}

LOFT_TEST(heap_layout, a_heap_of_which_a_field_is_wrong)
{
    const lofti_heap_image whole = heap_of(LIMIT_LARGE, LOFTI_UNIT_SHIFT_LARGE);
    lofti_heap_image image = whole;
    image.magic++;
    expect(image, 0, "no heap begins");
    image = whole;
    image.version++;
    expect(image, offsetof(lofti_heap_image, version), "version");
    uint64_t off = 0;
    image = whole; /* not sealed */
    LOFT_CHECK_CONTAINS(lofti_heap_layout_verify(&image, &off), "seal");
    LOFT_CHECK_EQ_UINT(off, offsetof(lofti_heap_image, seal));
    expect(heap_of(LIMIT_LARGE, LOFTI_UNIT_SHIFT_SMALL), offsetof(lofti_heap_image, unit_shift),
           "unit size");
    expect(heap_of(LOFTI_CHUNK_BYTES, LOFTI_UNIT_SHIFT_LARGE),
           offsetof(lofti_heap_image, unit_shift), "unit size");
    const size_t limit_off = offsetof(lofti_heap_image, limit_bytes);
    expect(heap_of(LOFTI_HEAP_BYTES_MIN - LOFTI_PAGE_BYTES, LOFTI_UNIT_SHIFT_SMALL), limit_off,
           "limit");
    expect(heap_of(LIMIT_LARGE + 1, LOFTI_UNIT_SHIFT_LARGE), limit_off, "limit");
    expect(heap_of(((uint64_t)LOFTI_CHUNK_COUNT_MAX << LOFTI_CHUNK_SHIFT) + LOFTI_PAGE_BYTES,
                   LOFTI_UNIT_SHIFT_LARGE),
           limit_off, "limit");
    image = whole;
    image.chunk_end = 0;
    expect(image, offsetof(lofti_heap_image, chunk_end), "end");
    image.chunk_end = lofti_heap_layout_chunks(LIMIT_LARGE) + 1;
    expect(image, offsetof(lofti_heap_image, chunk_end), "end");
}

LOFT_TEST(heap_layout, a_chunk_of_which_a_field_is_wrong)
{
    lofti_chunk_layout layout;
    uint64_t off = 0;
    lofti_heap_layout_chunk(LIMIT_LARGE, LOFTI_UNIT_SHIFT_LARGE, 3, &layout);
    const lofti_chunk_image whole = {
        .magic = LOFTI_CHUNK_MAGIC, .idx = 3, .page_count = (uint16_t)layout.page_count};
    lofti_chunk_image image = whole;
    LOFT_CHECK_TRUE(lofti_chunk_layout_verify(&image, &layout, 3, &off) == NULL);
    image.wide_unit = (uint8_t)layout.first_unit;
    LOFT_CHECK_TRUE(lofti_chunk_layout_verify(&image, &layout, 3, &off) == NULL);
    image.wide_unit = (uint8_t)layout.unit_count;
    LOFT_CHECK_CONTAINS(lofti_chunk_layout_verify(&image, &layout, 3, &off), "wide");
    LOFT_CHECK_EQ_UINT(off, offsetof(lofti_chunk_image, wide_unit));
    layout.first_unit = 2; /* as where the metadata is longer */
    image.wide_unit = 1;
    LOFT_CHECK_CONTAINS(lofti_chunk_layout_verify(&image, &layout, 3, &off), "wide");
    image = whole;
    image.magic = 0;
    LOFT_CHECK_CONTAINS(lofti_chunk_layout_verify(&image, &layout, 3, &off), "magic");
    image = whole;
    LOFT_CHECK_CONTAINS(lofti_chunk_layout_verify(&image, &layout, 4, &off), "another chunk");
    LOFT_CHECK_EQ_UINT(off, offsetof(lofti_chunk_image, idx));
    image.page_count--;
    LOFT_CHECK_CONTAINS(lofti_chunk_layout_verify(&image, &layout, 3, &off), "page count");
    LOFT_CHECK_EQ_UINT(off, offsetof(lofti_chunk_image, page_count));
}
