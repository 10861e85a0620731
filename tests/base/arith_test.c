/* Checked arithmetic at its borders and against 128-bit arithmetic; words of bits; the hash. */
#include "base/arith.h"

#include "base/bits.h"
#include "base/hash.h"
#include "support/test.h"

__extension__ typedef unsigned __int128 wide;

static const uint64_t borders[] = {0,
                                   1,
                                   2,
                                   7,
                                   8,
                                   4095,
                                   4096,
                                   4097,
                                   UINT32_MAX,
                                   (uint64_t)UINT32_MAX + 1,
                                   INT64_MAX,
                                   (uint64_t)INT64_MAX + 1,
                                   UINT64_MAX - 4096,
                                   UINT64_MAX - 4095,
                                   UINT64_MAX - 1,
                                   UINT64_MAX};

enum { BORDERS = sizeof borders / sizeof borders[0] };

static void check_pair(uint64_t a, uint64_t b)
{
    uint64_t out = 77;
    const bool add_fits = (wide)a + b <= UINT64_MAX;
    LOFT_CHECK_EQ_INT(lofti_arith_add(a, b, &out), add_fits);
    LOFT_CHECK_EQ_UINT(out, add_fits ? a + b : 77); /* left alone on overflow */
    out = 77;
    const bool mul_fits = (wide)a * b <= UINT64_MAX;
    LOFT_CHECK_EQ_INT(lofti_arith_mul(a, b, &out), mul_fits);
    LOFT_CHECK_EQ_UINT(out, mul_fits ? a * b : 77);
    LOFT_CHECK_EQ_UINT(lofti_arith_min(a, b), a < b ? a : b);
    LOFT_CHECK_EQ_UINT(lofti_arith_max(a, b), a < b ? b : a);
}

static void check_inside(uint64_t off, uint64_t bytes, uint64_t limit)
{
    LOFT_CHECK_EQ_INT(lofti_arith_inside(off, bytes, limit), (wide)off + bytes <= limit);
}

LOFT_TEST(arith, borders_agree_with_wide_arithmetic)
{
    for (int i = 0; i < BORDERS; i++) {
        for (int k = 0; k < BORDERS; k++) {
            check_pair(borders[i], borders[k]);
            for (int l = 0; l < BORDERS; l++) {
                check_inside(borders[i], borders[k], borders[l]);
            }
        }
    }
}

LOFT_TEST(arith, random_numbers_agree_with_wide_arithmetic)
{
    loft_test_random random = {loft_test_seed()};
    for (int i = 0; i < 200000; i++) {
        const uint64_t a = loft_test_random_next(&random) >> loft_test_random_below(&random, 64);
        const uint64_t b = loft_test_random_next(&random) >> loft_test_random_below(&random, 64);
        const uint64_t c = loft_test_random_next(&random) >> loft_test_random_below(&random, 64);
        check_pair(a, b);
        check_inside(a, b, c);
    }
}

LOFT_TEST(arith, rounding)
{
    uint64_t out = 77;
    LOFT_CHECK_TRUE(lofti_arith_up(0, 4096, &out));
    LOFT_CHECK_EQ_UINT(out, 0);
    LOFT_CHECK_TRUE(lofti_arith_up(1, 4096, &out));
    LOFT_CHECK_EQ_UINT(out, 4096);
    LOFT_CHECK_TRUE(lofti_arith_up(4096, 4096, &out));
    LOFT_CHECK_EQ_UINT(out, 4096);
    LOFT_CHECK_TRUE(lofti_arith_up(UINT64_MAX, 1, &out));
    LOFT_CHECK_EQ_UINT(out, UINT64_MAX);
    LOFT_CHECK_TRUE(lofti_arith_up(UINT64_MAX - 4095, 4096, &out));
    LOFT_CHECK_EQ_UINT(out, UINT64_MAX - 4095);
    out = 77;
    LOFT_CHECK_FALSE(lofti_arith_up(UINT64_MAX - 4094, 4096, &out));
    LOFT_CHECK_FALSE(lofti_arith_up(UINT64_MAX, 2, &out));
    LOFT_CHECK_EQ_UINT(out, 77);
    LOFT_CHECK_EQ_UINT(lofti_arith_down(UINT64_MAX, 4096), UINT64_MAX - 4095);
    LOFT_CHECK_EQ_UINT(lofti_arith_down(4095, 4096), 0);
    LOFT_CHECK_EQ_UINT(lofti_arith_round_up(4097, 4096), 8192);
}

LOFT_TEST(arith, powers_of_two)
{
    LOFT_CHECK_FALSE(lofti_arith_is_pow2(0));
    for (uint32_t i = 0; i < 64; i++) {
        const uint64_t power = (uint64_t)1 << i;
        LOFT_CHECK_TRUE(lofti_arith_is_pow2(power));
        LOFT_CHECK_EQ_INT(lofti_arith_is_pow2(power + 1), power == 1);
        LOFT_CHECK_EQ_INT(lofti_arith_is_pow2(power - 1), power == 2);
    }
}

LOFT_TEST(bits, masks_counts_and_ends)
{
    LOFT_CHECK_EQ_UINT(lofti_bits_mask(0), 0);
    LOFT_CHECK_EQ_UINT(lofti_bits_mask(64), UINT64_MAX);
    for (uint32_t i = 0; i < 64; i++) {
        const uint64_t bit = (uint64_t)1 << i;
        LOFT_CHECK_EQ_UINT(lofti_bits_mask(i), bit - 1);
        LOFT_CHECK_EQ_UINT(lofti_bits_count(bit - 1), i);
        LOFT_CHECK_EQ_UINT(lofti_bits_lowest(bit), i);
        LOFT_CHECK_EQ_UINT(lofti_bits_highest(bit), i);
        LOFT_CHECK_EQ_UINT(lofti_bits_lowest(UINT64_MAX << i), i);
        LOFT_CHECK_EQ_UINT(lofti_bits_highest(UINT64_MAX >> i), 63 - i);
    }
}

LOFT_TEST(hash, it_is_xxh3_with_a_seed)
{
    /* The format rests on these values; they are those of xxHash 0.8. */
    LOFT_CHECK_EQ_UINT(lofti_hash("", 0, 0), 0x2d06800538d394c2u);
    uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 31);
    }
    const uint64_t hash = lofti_hash(bytes, sizeof bytes, 5);
    LOFT_CHECK_NE_UINT(hash, lofti_hash(bytes, sizeof bytes, 6));
    LOFT_CHECK_NE_UINT(hash, lofti_hash(bytes, sizeof bytes - 1, 5));
    for (size_t i = 0; i < sizeof bytes * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        LOFT_CHECK_NE_UINT(lofti_hash(bytes, sizeof bytes, 5), hash);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    LOFT_CHECK_EQ_UINT(lofti_hash(bytes, sizeof bytes, 5), hash);
}
