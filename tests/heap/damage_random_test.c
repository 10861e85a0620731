/*
 * heap/damage_random_test.c - random damage: bits, bytes and lines anywhere in the metadata.
 *
 * Whatever lies there, attach, check, walk, stats, malloc and free survive. And the check speaks true:
 * where it finds nothing, the heap works on that image and keeps it whole.
 */
#include <stdio.h>
#include <unistd.h>

#include "heap/damage.h"

enum {
    HITS_MAX = 8,
    LINE_BYTES = 64,
    PATIENCE_SECONDS = 60, /* for one image; it needs a hundredth of a second */
    EXIT_REFUSED = 11,
    EXIT_FOUND = 12,
    EXIT_CLEAN = 13
};

static loft_test_damage world;

typedef struct hit_range {
    uint64_t off, bytes;
} hit_range;

/* A part of the metadata; small parts are hit as often as large ones. */
static hit_range hit_part(loft_test_random *random)
{
    lofti_chunk_layout layout;
    uint32_t idx = 0;
    do {
        idx = (uint32_t)loft_test_random_below(random, world.image->chunk_end);
    } while (((world.dir[idx / 64].heads >> (idx % 64)) & 1) == 0);
    loft_test_damage_layout(&world, idx, &layout);
    const uint64_t chunk = (uint64_t)idx << LOFTI_CHUNK_SHIFT;
    const uint32_t wide = loft_test_damage_header(&world, idx)->wide_unit;
    const hit_range parts[] = {
        {0, 64},
        {LOFTI_HEAP_IMAGE_BYTES, 64},
        {0, layout.header_off != 0 ? layout.header_off : 1},
        {chunk + layout.header_off, LOFTI_CHUNK_IMAGE_BYTES},
        {chunk + layout.spans_off, (uint64_t)layout.page_count * 2},
        {chunk + layout.classes_off, layout.unit_count},
        {chunk + layout.records_off,
         ((uint64_t)layout.meta_pages << LOFTI_PAGE_SHIFT) - layout.records_off},
        {chunk + ((uint64_t)wide << world.unit_shift), wide != 0 ? 65536 : LINE_BYTES}};
    return parts[loft_test_random_below(random, sizeof parts / sizeof parts[0])];
}

static void hit(loft_test_random *random, hit_range part)
{
    uint8_t *at = world.test.base + part.off + loft_test_random_below(random, part.bytes);
    uint8_t *line = world.test.base + ((uint64_t)(at - world.test.base) & ~UINT64_C(63));
    const uint64_t value = loft_test_random_next(random);
    switch (loft_test_random_below(random, 8)) {
    case 0:
    case 1:
    case 2: *at ^= (uint8_t)(1u << (value % 8)); break;
    case 3: *at = (uint8_t)value; break;
    case 4: memset(line, 0, LINE_BYTES); break;
    case 5: memset(line, 0xff, LINE_BYTES); break;
    case 6: memcpy(line, line + LINE_BYTES, LINE_BYTES); break;
    default:
        for (uint32_t i = 0; i < LINE_BYTES; i++) {
            line[i] = (uint8_t)loft_test_random_next(random);
        }
    }
}

static void hit_and_use(void *context)
{
    loft_test_random random = {*(const uint64_t *)context};
    (void)alarm(PATIENCE_SECONDS);
    const uint64_t hits = 1 + loft_test_random_below(&random, HITS_MAX);
    hit_range parts[HITS_MAX]; /* found while the image is whole */
    for (uint64_t i = 0; i < hits; i++) {
        parts[i] = hit_part(&random);
    }
    for (uint64_t i = 0; i < hits; i++) {
        hit(&random, parts[i]);
    }
    loft_test_verdict verdict;
    loft_test_damage_judge(&world, &verdict);
    const uint64_t after = loft_test_damage_use(&world);
    if (verdict.attach_code != 0) {
        LOFT_CHECK_EQ_INT(verdict.attach_code, LOFT_ECORRUPT);
        _exit(EXIT_REFUSED);
    }
    if (verdict.faults != 0) {
        _exit(EXIT_FOUND);
    }
    LOFT_CHECK_EQ_UINT(after, 0);
    _exit(EXIT_CLEAN);
}

static void hit_many(uint64_t images)
{
    loft_test_random random = {loft_test_seed()};
    uint64_t counts[3] = {0};
    for (uint64_t i = 0; i < images; i++) {
        uint64_t seed = loft_test_random_next(&random);
        loft_test_child child;
        loft_test_run_child(hit_and_use, &seed, &child);
        if (child.exit_code < EXIT_REFUSED || child.exit_code > EXIT_CLEAN) {
            LOFT_FAIL("image %llu, random state 0x%llx, ended with code %d, signal %d:\n%s",
                      (unsigned long long)i, (unsigned long long)seed, child.exit_code,
                      child.signal, child.output);
        }
        counts[child.exit_code - EXIT_REFUSED]++;
    }
    (void)fprintf(stderr, "%llu refused, %llu found, %llu legal\n", (unsigned long long)counts[0],
                  (unsigned long long)counts[1], (unsigned long long)counts[2]);
    for (uint32_t i = 0; i < 3; i++) {
        LOFT_CHECK_GT_UINT(counts[i], 0);
    }
}

LOFT_TEST(heap_damage_random, a_heap_of_chunks)
{
    loft_test_damage_make(&world, false);
    hit_many(loft_test_scale(700, 20000, 200000));
}

LOFT_TEST(heap_damage_random, a_small_buffer)
{
    loft_test_damage_make(&world, true);
    hit_many(loft_test_scale(1000, 50000, 500000));
}
