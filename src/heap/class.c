/*
 * heap/class.c - the table of size classes, computed once per unit size.
 */
#include "heap/class.h"

#include <pthread.h>

#include "base/check.h"
#include "format/heap_layout.h"

/* A slab grows until it holds so many blocks, so that setting it up is shared by as many, ... */
#define CLASS_BLOCKS_LARGE 8u
#define CLASS_BLOCKS_SMALL 4u /* heaps with small units have little room */
/* ... and until its rest is at most this part of it (as a shift: 1/64). */
#define CLASS_WASTE_SHIFT  6u
/* No slab is longer, in units. */
#define CLASS_UNITS_MAX    16u

uint8_t lofti_class_coarse[LOFTI_CLASS_COARSE_COUNT];

static lofti_class class_large[LOFTI_CLASS_COUNT];
static lofti_class class_small[LOFTI_CLASS_COUNT];
static pthread_once_t class_once = PTHREAD_ONCE_INIT;
static pthread_once_t class_small_once = PTHREAD_ONCE_INIT;

static uint32_t class_size(uint32_t idx)
{
    if (idx <= LOFTI_CLASS_FINE) {
        return idx << LOFTI_CLASS_STEP_SHIFT;
    }
    const uint32_t above = idx - LOFTI_CLASS_FINE - 1;
    return (9 + above % 8) << (7 + above / 8);
}

/* Each step doubles the bits that are right; an odd number is its own inverse in the lowest three. */
static uint32_t class_inverse(uint32_t odd)
{
    uint32_t inverse = odd;
    for (uint32_t bits = 3; bits < 32; bits *= 2) {
        inverse *= 2 - odd * inverse;
    }
    return inverse;
}

static void class_shape(lofti_class *out, uint32_t size, uint32_t unit_shift)
{
    const bool large = unit_shift == LOFTI_UNIT_SHIFT_LARGE;
    const uint32_t wanted = large ? CLASS_BLOCKS_LARGE : CLASS_BLOCKS_SMALL;
    uint32_t units = 1;
    for (; units < CLASS_UNITS_MAX; units++) {
        const uint32_t bytes = units << unit_shift;
        if (bytes / size >= wanted && bytes % size <= bytes >> CLASS_WASTE_SHIFT) {
            break;
        }
    }
    out->size = size;
    out->twos = (uint8_t)lofti_bits_lowest(size);
    out->inverse = class_inverse(size >> out->twos);
    out->wide = large && size < LOFTI_WIDE_BELOW_BYTES;
    out->remote_delta = lofti_record_remote_delta(unit_shift, out->wide);
    out->unit_count = (uint8_t)units;
    out->block_count = (uint16_t)((units << unit_shift) / size);
    out->word_count = (uint16_t)((out->block_count + 63) / 64);
    LOFTI_CHECK(out->block_count >= 2);
    LOFTI_CHECK(out->block_count <= (out->wide ? LOFTI_WIDE_BLOCKS_MAX
                                     : large   ? LOFTI_NARROW_LARGE_BLOCKS
                                               : LOFTI_NARROW_SMALL_BLOCKS));
}

static void class_fill(void)
{
    for (uint32_t idx = 1; idx <= LOFTI_CLASS_LAST; idx++) {
        class_shape(&class_large[idx], class_size(idx), LOFTI_UNIT_SHIFT_LARGE);
    }
    for (uint32_t i = 0, idx = 1; i < LOFTI_CLASS_COARSE_COUNT; i++) {
        while (class_size(idx) < (i + 1) << LOFTI_CLASS_COARSE_SHIFT) {
            idx++;
        }
        lofti_class_coarse[i] = (uint8_t)idx;
    }
}

/* Beside it: few programs have such a heap, and all start. */
static void class_fill_small(void)
{
    const uint32_t last = lofti_class_of(LOFTI_CLASS_BYTES_SMALL);
    for (uint32_t idx = 1; idx <= last; idx++) {
        class_shape(&class_small[idx], class_size(idx), LOFTI_UNIT_SHIFT_SMALL);
    }
}

const lofti_class *lofti_class_table(uint32_t unit_shift)
{
    (void)pthread_once(&class_once, class_fill);
    if (unit_shift == LOFTI_UNIT_SHIFT_LARGE) {
        return class_large;
    }
    (void)pthread_once(&class_small_once, class_fill_small);
    return class_small;
}

uint32_t lofti_class_last(uint32_t unit_shift)
{
    return unit_shift == LOFTI_UNIT_SHIFT_LARGE ? LOFTI_CLASS_LAST
                                                : lofti_class_of(LOFTI_CLASS_BYTES_SMALL);
}
