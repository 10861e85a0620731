/*
 * heap/class.h - size classes and the shape of their slabs.
 *
 * Sizes: 16-byte steps to 1 KiB (classes 1..64), then eight per doubling (65..112, to 64 KiB). Class 0
 * is no class: 0 in the image means "no slab". The table is part of the format: it says how many
 * blocks a slab has.
 */
#ifndef LOFTI_HEAP_CLASS_H
#define LOFTI_HEAP_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"

#define LOFTI_CLASS_STEP_SHIFT 4u    /* 16 bytes: malloc's alignment, and so the finest step */
#define LOFTI_CLASS_FINE_BYTES 1024u /* above, eight per doubling waste at most a ninth */
#define LOFTI_CLASS_FINE       64u   /* LOFTI_CLASS_FINE_BYTES in steps */
#define LOFTI_CLASS_LAST       112u
#define LOFTI_CLASS_COUNT      (LOFTI_CLASS_LAST + 1)

/* The largest block in slabs: beyond it pages waste less. In heaps with small units a slab of larger
 * blocks would take too much of the heap. */
#define LOFTI_CLASS_BYTES_LARGE (UINT32_C(64) << 10)
#define LOFTI_CLASS_BYTES_SMALL (UINT32_C(2) << 10)

typedef struct lofti_class {
    uint32_t size;         /* of a block, bytes */
    uint32_t inverse;      /* of the size's odd part: inverse * (size >> twos) == 1 modulo 2^32 */
    uint32_t remote_delta; /* bytes from the local bitmap to the remote one */
    uint16_t block_count;
    uint16_t word_count; /* of each bitmap */
    uint8_t unit_count;
    uint8_t twos; /* the lowest bit of the size */
    bool wide;
} lofti_class;

/* Classes above LOFTI_CLASS_FINE_BYTES differ by at least this much: one entry each. A look-up costs less than
 * finding the highest bit, which is slow on many processors. */
#define LOFTI_CLASS_COARSE_SHIFT 7u
#define LOFTI_CLASS_COARSE_COUNT (LOFTI_CLASS_BYTES_LARGE >> LOFTI_CLASS_COARSE_SHIFT)
extern uint8_t lofti_class_coarse[LOFTI_CLASS_COARSE_COUNT] __attribute__((visibility("hidden")));

/* The class of `bytes` in 1..64 KiB; 0 gives 0. After the first lofti_class_table. */
static inline uint32_t lofti_class_of(size_t bytes)
{
    if (bytes <= LOFTI_CLASS_FINE_BYTES) {
        return (uint32_t)((bytes + 15) >> LOFTI_CLASS_STEP_SHIFT);
    }
    return lofti_class_coarse[(bytes - 1) >> LOFTI_CLASS_COARSE_SHIFT];
}

/* The table for a unit size; a constant of the process. */
const lofti_class *lofti_class_table(uint32_t unit_shift);

/* The last class that has slabs. */
uint32_t lofti_class_last(uint32_t unit_shift);

#endif /* LOFTI_HEAP_CLASS_H */
