/*
 * base/arith.h - checked arithmetic and alignment.
 *
 * Every count * size and offset + length that a caller or a file can influence goes through
 * these; they return false on overflow and then leave *out alone.
 */
#ifndef LOFTI_BASE_ARITH_H
#define LOFTI_BASE_ARITH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool lofti_arith_add(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

static inline bool lofti_arith_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *out = product;
    return true;
}

static inline bool lofti_arith_is_pow2(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* `alignment` is a power of two, in both. */
static inline uint64_t lofti_arith_down(uint64_t value, uint64_t alignment)
{
    return value & ~(alignment - 1);
}

/* False when the next multiple does not fit 64 bits. */
static inline bool lofti_arith_up(uint64_t value, uint64_t alignment, uint64_t *out)
{
    uint64_t sum;
    if (!lofti_arith_add(value, alignment - 1, &sum)) {
        return false;
    }
    *out = lofti_arith_down(sum, alignment);
    return true;
}

/* For values known to be far from the top of the range: sizes that were already checked. */
static inline uint64_t lofti_arith_round_up(uint64_t value, uint64_t alignment)
{
    return lofti_arith_down(value + (alignment - 1), alignment);
}

static inline uint64_t lofti_arith_min(uint64_t a, uint64_t b) { return a < b ? a : b; }
static inline uint64_t lofti_arith_max(uint64_t a, uint64_t b) { return a > b ? a : b; }

/* [off, off + bytes) lies inside [0, limit); by subtraction, so that nothing can wrap. */
static inline bool lofti_arith_inside(uint64_t off, uint64_t bytes, uint64_t limit)
{
    return off <= limit && bytes <= limit - off;
}

#endif /* LOFTI_BASE_ARITH_H */
