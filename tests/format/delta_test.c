/* Deltas: what is encoded comes back, and what nobody encoded is refused. */
#include "format/frame.h"
#include "support/test.h"

enum { PAGE = 4096, DELTA_MAX = PAGE * 3 / 4 };

static uint8_t base[PAGE], page[PAGE], delta[PAGE], again[PAGE];

static void fill(uint8_t *bytes, uint64_t seed)
{
    loft_test_random random = {seed};
    for (size_t i = 0; i < PAGE; i += 8) {
        const uint64_t word = loft_test_random_next(&random);
        memcpy(bytes + i, &word, 8);
    }
}

/* Encodes `page` against `base`; what comes out must be valid and must give `page` again. */
static uint32_t round_trip(void)
{
    memset(delta, 0xee, sizeof delta);
    const uint32_t bytes = lofti_delta_encode(base, page, delta);
    if (bytes == UINT32_MAX) {
        return bytes;
    }
    LOFT_CHECK_LE_UINT(bytes, DELTA_MAX);
    LOFT_CHECK_TRUE(lofti_delta_valid(delta, bytes));
    LOFT_CHECK_EQ_INT(bytes == 0, memcmp(base, page, PAGE) == 0);
    memcpy(again, base, PAGE);
    lofti_delta_apply(again, delta, bytes);
    LOFT_CHECK_EQ_MEM(again, page, PAGE);
    return bytes;
}

LOFT_TEST(delta, equal_pages_give_an_empty_one)
{
    fill(base, 1);
    memcpy(page, base, PAGE);
    LOFT_CHECK_EQ_UINT(round_trip(), 0);
}

LOFT_TEST(delta, pages_without_a_common_byte_are_not_worth_one)
{
    fill(base, 1);
    for (size_t i = 0; i < PAGE; i++) {
        page[i] = (uint8_t)~base[i];
    }
    LOFT_CHECK_EQ_UINT(round_trip(), UINT32_MAX);
}

LOFT_TEST(delta, every_single_byte_costs_five)
{
    fill(base, 2);
    for (size_t i = 0; i < PAGE; i++) {
        memcpy(page, base, PAGE);
        page[i] ^= 0x40;
        LOFT_CHECK_EQ_UINT(round_trip(), 5);
    }
}

LOFT_TEST(delta, every_run_at_both_ends_and_every_length_up_to_the_limit)
{
    fill(base, 3);
    for (uint32_t bytes = 1; bytes <= PAGE; bytes++) {
        for (int at_end = 0; at_end < 2; at_end++) {
            memcpy(page, base, PAGE);
            for (uint32_t i = 0; i < bytes; i++) {
                page[at_end ? PAGE - 1 - i : i] ^= 0x5a;
            }
            LOFT_CHECK_EQ_UINT(round_trip(), bytes + 4 <= DELTA_MAX ? bytes + 4 : UINT32_MAX);
        }
    }
}

LOFT_TEST(delta, near_runs_are_one_and_far_ones_are_two)
{
    fill(base, 4);
    for (uint32_t gap = 1; gap < 64; gap++) {
        for (uint32_t off = 0; off < 16; off++) {
            memcpy(page, base, PAGE);
            page[off] ^= 1;
            page[off + gap + 1] ^= 1;
            const uint32_t bytes = round_trip();
            LOFT_CHECK_EQ_UINT(bytes, gap <= 4 ? 4 + gap + 2 : 10);
        }
    }
}

LOFT_TEST(delta, random_changes_come_back)
{
    loft_test_random random = {loft_test_seed()};
    uint64_t encoded = 0;
    for (int i = 0; i < 20000; i++) {
        fill(base, loft_test_random_next(&random) % 64);
        memcpy(page, base, PAGE);
        const uint64_t runs = loft_test_random_below(&random, 40);
        for (uint64_t run = 0; run < runs; run++) {
            const uint64_t off = loft_test_random_below(&random, PAGE);
            uint64_t bytes =
                1 + loft_test_random_below(&random, 1u << loft_test_random_below(&random, 10));
            bytes = bytes < PAGE - off ? bytes : PAGE - off;
            memset(page + off, (int)loft_test_random_below(&random, 256), bytes);
        }
        encoded += round_trip() != UINT32_MAX;
    }
    LOFT_CHECK_GT_UINT(encoded, 10000);
}

static int valid_run(uint32_t off, uint32_t run_bytes, uint32_t bytes)
{
    const uint8_t header[4] = {(uint8_t)off, (uint8_t)(off >> 8), (uint8_t)run_bytes,
                               (uint8_t)(run_bytes >> 8)};
    memset(delta, 0, sizeof delta);
    memcpy(delta, header, sizeof header);
    return lofti_delta_valid(delta, bytes);
}

LOFT_TEST(delta, impossible_runs_are_refused)
{
    LOFT_CHECK_TRUE(valid_run(0, 1, 5));
    LOFT_CHECK_TRUE(valid_run(PAGE - 1, 1, 5));
    LOFT_CHECK_TRUE(valid_run(PAGE - 3068, 3068, DELTA_MAX));
    LOFT_CHECK_TRUE(lofti_delta_valid(delta, 0));
    LOFT_CHECK_FALSE(valid_run(0, 0, 4));            /* empty */
    LOFT_CHECK_FALSE(valid_run(0, 1, 4));            /* cut */
    LOFT_CHECK_FALSE(valid_run(0, 1, 3));            /* cut header */
    LOFT_CHECK_FALSE(valid_run(0, 1, 6));            /* a byte left over */
    LOFT_CHECK_FALSE(valid_run(PAGE, 1, 5));         /* behind the page */
    LOFT_CHECK_FALSE(valid_run(PAGE - 1, 2, 6));     /* across its end */
    LOFT_CHECK_FALSE(valid_run(65535, 65535, 3072)); /* wraps nothing, reaches far */
    LOFT_CHECK_FALSE(valid_run(0, 3069, 3073));      /* longer than a delta may be */
    LOFT_CHECK_FALSE(lofti_delta_valid(delta, UINT32_MAX));
}

LOFT_TEST(delta, runs_must_rise)
{
    const uint8_t rising[] = {10, 0, 2, 0, 1, 1, 12, 0, 1, 0, 1};
    const uint8_t overlapping[] = {10, 0, 2, 0, 1, 1, 11, 0, 1, 0, 1};
    const uint8_t falling[] = {10, 0, 2, 0, 1, 1, 3, 0, 1, 0, 1};
    LOFT_CHECK_TRUE(lofti_delta_valid(rising, sizeof rising));
    LOFT_CHECK_FALSE(lofti_delta_valid(overlapping, sizeof overlapping));
    LOFT_CHECK_FALSE(lofti_delta_valid(falling, sizeof falling));
}

LOFT_TEST(delta, random_bytes_are_judged_without_harm)
{
    /* What is judged valid can be applied and stays inside the page, whatever it is. */
    loft_test_random random = {loft_test_seed()};
    uint8_t guarded[PAGE + 64];
    uint64_t valid = 0;
    for (int i = 0; i < 200000; i++) {
        const uint32_t bytes = (uint32_t)loft_test_random_below(&random, 48);
        for (uint32_t k = 0; k < bytes; k++) {
            const uint64_t kind = loft_test_random_below(&random, 4);
            delta[k] = kind == 0 ? (uint8_t)loft_test_random_next(&random) : (uint8_t)(kind - 1);
        }
        if (lofti_delta_valid(delta, bytes)) {
            valid++;
            memset(guarded, 0x77, sizeof guarded);
            lofti_delta_apply(guarded, delta, bytes);
            for (size_t k = PAGE; k < sizeof guarded; k++) {
                LOFT_CHECK_EQ_UINT(guarded[k], 0x77);
            }
        }
    }
    LOFT_CHECK_GT_UINT(valid, 100);
}
