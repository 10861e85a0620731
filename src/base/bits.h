/*
 * base/bits.h - words of bits.
 *
 * The counting functions need a word that is not zero where the result would be undefined.
 */
#ifndef LOFTI_BASE_BITS_H
#define LOFTI_BASE_BITS_H

#include <stdint.h>

#include "base/check.h"

/* The index of the lowest set bit. */
static inline uint32_t lofti_bits_lowest(uint64_t word)
{
    LOFTI_ASSERT(word != 0);
    return (uint32_t)__builtin_ctzll(word);
}

/* The index of the highest set bit: floor(log2(word)). */
static inline uint32_t lofti_bits_highest(uint64_t word)
{
    LOFTI_ASSERT(word != 0);
    return 63u - (uint32_t)__builtin_clzll(word);
}

static inline uint32_t lofti_bits_count(uint64_t word)
{
    return (uint32_t)__builtin_popcountll(word);
}

/* A word whose lowest `count` bits are set; count is 0..64. */
static inline uint64_t lofti_bits_mask(uint32_t count)
{
    LOFTI_ASSERT(count <= 64);
    return count == 64 ? UINT64_MAX : ((uint64_t)1 << count) - 1;
}

#endif /* LOFTI_BASE_BITS_H */
