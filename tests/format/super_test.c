/* The superblock's validator: what it takes, and that it takes nothing else. */
#include "format/super.h"

#include "base/hash.h"
#include "loft/error.h"
#include "support/test.h"

enum { MEBIBYTE = 1 << 20 };
#define BASE_LOW  ((uint64_t)1 << 32)
#define BASE_HIGH ((uint64_t)1 << 47)

static void rehash(lofti_super *super)
{
    super->hash = lofti_hash(super, offsetof(lofti_super, hash), LOFTI_SUPER_SEED);
}

/* A superblock as a middle-aged arena has it: three extents, some commits. */
static lofti_super super_make(void)
{
    lofti_super super = {.generation = 9,
                         .base = 0x180000000000,
                         .created_ns = 1700000000000000000,
                         .salt = 0x1234567890abcdef,
                         .start = 8192,
                         .sequence = 41,
                         .frontier = 8 * MEBIBYTE,
                         .file_bytes = 64 * MEBIBYTE,
                         .extent_count = 3};
    super.extents[0] = (lofti_extent){LOFTI_JOURNAL_OFF, LOFTI_CHUNK_BYTES - LOFTI_JOURNAL_OFF};
    super.extents[1] = (lofti_extent){16 * MEBIBYTE, 8 * MEBIBYTE};
    super.extents[2] = (lofti_extent){12 * MEBIBYTE, 4 * MEBIBYTE};
    lofti_super_seal(&super);
    return super;
}

static int judge(const lofti_super *super, bool writing)
{
    const lofti_verdict verdict = lofti_super_validate(super, writing);
    LOFT_CHECK_EQ_INT(verdict.code == LOFT_OK, verdict.reason == NULL);
    LOFT_CHECK_LT_UINT(verdict.off, LOFTI_SUPER_BYTES);
    return verdict.code;
}

/* Whole again after a change, so that the field itself is judged and not the hash. */
static int judge_rehashed(lofti_super super)
{
    rehash(&super);
    const int code = judge(&super, true);
    LOFT_CHECK_EQ_INT(judge(&super, false), code);
    return code;
}

LOFT_TEST(super, a_sealed_one_is_accepted)
{
    const lofti_super super = super_make();
    LOFT_CHECK_EQ_INT(judge(&super, true), LOFT_OK);
    LOFT_CHECK_EQ_INT(judge(&super, false), LOFT_OK);
}

LOFT_TEST(super, no_single_bit_can_change)
{
    lofti_super super = super_make();
    uint8_t *bytes = (uint8_t *)&super;
    for (size_t bit = 0; bit < sizeof super * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (judge(&super, false) != LOFT_ECORRUPT) {
            LOFT_FAIL("bit %zu is not noticed", bit);
        }
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    LOFT_CHECK_EQ_INT(judge(&super, true), LOFT_OK);
}

LOFT_TEST(super, no_single_byte_can_change)
{
    lofti_super super = super_make();
    uint8_t *bytes = (uint8_t *)&super;
    loft_test_random random = {loft_test_seed()};
    for (size_t i = 0; i < sizeof super; i++) {
        const uint8_t was = bytes[i];
        bytes[i] = (uint8_t)(was + 1 + loft_test_random_below(&random, 255));
        if (judge(&super, false) != LOFT_ECORRUPT) {
            LOFT_FAIL("byte %zu is not noticed", i);
        }
        bytes[i] = was;
    }
}

LOFT_TEST(super, what_is_no_arena_is_told_so)
{
    static lofti_super super;
    LOFT_CHECK_CONTAINS(lofti_super_validate(&super, false).reason, "not a loft arena");
    memset(&super, 0xff, sizeof super);
    LOFT_CHECK_EQ_INT(judge(&super, false), LOFT_ECORRUPT);
    memcpy(&super, "loft\n\x1a\n", 7); /* a transfer in text mode turned \r\n into \n */
    LOFT_CHECK_EQ_INT(judge(&super, false), LOFT_ECORRUPT);
}

static void swap_bytes(void *data, size_t bytes)
{
    uint8_t *at = data;
    for (size_t i = 0; i < bytes / 2; i++) {
        const uint8_t kept = at[i];
        at[i] = at[bytes - 1 - i];
        at[bytes - 1 - i] = kept;
    }
}

LOFT_TEST(super, the_other_byte_order_is_a_version)
{
    /* What a machine of the other order writes: every field swapped but the magic, which is text. */
    lofti_super super = super_make();
    swap_bytes(&super.version, sizeof super.version);
    swap_bytes(&super.byte_order, sizeof super.byte_order);
    swap_bytes(&super.generation, sizeof super.generation);
    swap_bytes(&super.hash, sizeof super.hash);
    LOFT_CHECK_EQ_INT(judge(&super, false), LOFT_EVERSION);
    LOFT_CHECK_CONTAINS(lofti_super_validate(&super, false).reason, "byte order");
    swap_bytes(&super.magic,
               sizeof super.magic); /* and where it was written as a number, the magic too */
    LOFT_CHECK_EQ_INT(judge(&super, false), LOFT_EVERSION);
    LOFT_CHECK_CONTAINS(lofti_super_validate(&super, false).reason, "byte order");
    swap_bytes(&super.magic, sizeof super.magic);
    super.byte_order = 0x02010403;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_ECORRUPT);
}

LOFT_TEST(super, other_versions_are_refused_and_told_apart_from_damage)
{
    lofti_super super = super_make();
    const uint32_t versions[] = {0, 2, 3, UINT32_MAX};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        super.version = versions[i];
        LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_EVERSION);
    }
    super = super_make();
    super.super_bytes = 8192;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_EVERSION);
    super = super_make();
    super.page_shift = 14;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_EVERSION);
    super = super_make();
    super.chunk_shift = 21;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_EVERSION);
}

LOFT_TEST(super, feature_bits_forbid_what_they_should)
{
    for (uint32_t bit = 0; bit < 64; bit++) {
        lofti_super super = super_make();
        super.incompatible = (uint64_t)1 << bit;
        LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_EVERSION);
        super = super_make();
        super.compatible = (uint64_t)1 << bit;
        LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_OK);
        super = super_make();
        super.write_incompatible = (uint64_t)1 << bit;
        rehash(&super);
        LOFT_CHECK_EQ_INT(judge(&super, true), LOFT_EVERSION);
        LOFT_CHECK_EQ_INT(judge(&super, false), LOFT_OK);
    }
}

LOFT_TEST(super, a_base_outside_the_address_space_is_refused)
{
    const uint64_t bad[] = {0,
                            LOFTI_CHUNK_BYTES,
                            BASE_LOW - LOFTI_CHUNK_BYTES,
                            BASE_HIGH,
                            BASE_LOW + 4096,
                            BASE_LOW + LOFTI_CHUNK_BYTES / 2,
                            UINT64_MAX - LOFTI_CHUNK_BYTES + 1,
                            UINT64_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        lofti_super super = super_make();
        super.base = bad[i];
        LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_ECORRUPT);
    }
    lofti_super super = super_make();
    super.base = BASE_LOW;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_OK);
    super.base = BASE_HIGH - LOFTI_CHUNK_BYTES;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_OK);
}

LOFT_TEST(super, sizes_outside_the_file_are_refused)
{
    const uint64_t limit = (uint64_t)LOFTI_CHUNK_COUNT_MAX * LOFTI_CHUNK_BYTES;
    const uint64_t sizes[] = {0,
                              1,
                              LOFTI_CHUNK_BYTES - 4096,
                              64 * MEBIBYTE + 4096,
                              limit * 2,
                              limit + LOFTI_CHUNK_BYTES,
                              UINT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        lofti_super super = super_make();
        super.file_bytes = sizes[i];
        LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_ECORRUPT);
    }
    lofti_super super = super_make();
    super.file_bytes = limit;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_OK);
    super.frontier = limit;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_OK);
    super = super_make();
    super.frontier += 1;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_ECORRUPT);
    super.frontier = super.file_bytes + 4096;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_ECORRUPT);
}

LOFT_TEST(super, a_start_outside_the_journal_is_refused)
{
    const uint64_t total = LOFTI_CHUNK_BYTES - LOFTI_JOURNAL_OFF + 12 * MEBIBYTE;
    lofti_super super = super_make();
    super.start = total; /* an epoch that begins where an extension will */
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_OK);
    const uint64_t bad[] = {1, 4095, total + 4096, UINT64_MAX - 4095, UINT64_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        super.start = bad[i];
        LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_ECORRUPT);
    }
}

static void check_extent(uint32_t idx, uint64_t off, uint64_t bytes, int want)
{
    lofti_super super = super_make();
    super.extents[idx] = (lofti_extent){off, bytes};
    super.start = 0;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), want);
}

LOFT_TEST(super, hostile_extents_are_refused)
{
    const uint64_t chunk = LOFTI_CHUNK_BYTES;
    check_extent(0, LOFTI_JOURNAL_OFF, 4096, LOFT_OK);
    check_extent(0, chunk - 4096, 4096, LOFT_OK);
    check_extent(0, LOFTI_JOURNAL_OFF, 0, LOFT_ECORRUPT); /* empty */
    check_extent(0, 0, 4096, LOFT_ECORRUPT);              /* over the superblocks */
    check_extent(0, LOFTI_JOURNAL_OFF - 4096, 8192, LOFT_ECORRUPT);
    check_extent(0, LOFTI_JOURNAL_OFF, chunk, LOFT_ECORRUPT);    /* into the heap */
    check_extent(0, chunk, chunk, LOFT_ECORRUPT);                /* not in chunk 0 */
    check_extent(0, LOFTI_JOURNAL_OFF + 1, 4096, LOFT_ECORRUPT); /* not on a page */
    check_extent(0, LOFTI_JOURNAL_OFF, 4097, LOFT_ECORRUPT);
    check_extent(1, 16 * MEBIBYTE, 0, LOFT_ECORRUPT);
    check_extent(1, 0, chunk, LOFT_ECORRUPT);
    check_extent(1, 16 * MEBIBYTE + 4096, chunk, LOFT_ECORRUPT); /* not whole chunks */
    check_extent(1, 16 * MEBIBYTE, chunk + 4096, LOFT_ECORRUPT);
    check_extent(1, 12 * MEBIBYTE, chunk, LOFT_ECORRUPT);        /* the same as extent 2 */
    check_extent(1, 8 * MEBIBYTE, 2 * chunk, LOFT_ECORRUPT);     /* overlaps its beginning */
    check_extent(1, 8 * MEBIBYTE, 16 * MEBIBYTE, LOFT_ECORRUPT); /* holds it */
    check_extent(1, 64 * MEBIBYTE, chunk, LOFT_ECORRUPT);        /* behind the file */
    check_extent(1, 60 * MEBIBYTE, 2 * chunk, LOFT_ECORRUPT);    /* reaches behind it */
    check_extent(1, 60 * MEBIBYTE, chunk, LOFT_OK);
    check_extent(1, UINT64_MAX - chunk + 1, chunk, LOFT_ECORRUPT); /* wraps */
    check_extent(1, 16 * MEBIBYTE, UINT64_MAX - chunk + 1, LOFT_ECORRUPT);
    check_extent(2, UINT64_MAX - chunk + 1, UINT64_MAX - chunk + 1, LOFT_ECORRUPT);
}

LOFT_TEST(super, impossible_extent_counts_are_refused)
{
    const uint32_t counts[] = {
        0, 4, LOFTI_SUPER_EXTENTS_MAX, LOFTI_SUPER_EXTENTS_MAX + 1, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        lofti_super super = super_make();
        super.extent_count = counts[i]; /* those within the limit name zeroed extents */
        LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_ECORRUPT);
    }
}

LOFT_TEST(super, as_many_extents_as_there_can_be_are_accepted)
{
    lofti_super super = super_make();
    super.extent_count = LOFTI_SUPER_EXTENTS_MAX;
    super.file_bytes = (LOFTI_SUPER_EXTENTS_MAX + 1) * LOFTI_CHUNK_BYTES;
    for (uint32_t i = 1; i < LOFTI_SUPER_EXTENTS_MAX; i++) {
        super.extents[i] = (lofti_extent){(i + 1) * LOFTI_CHUNK_BYTES, LOFTI_CHUNK_BYTES};
    }
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_OK);
    super.extents[LOFTI_SUPER_EXTENTS_MAX - 1].off = 2 * LOFTI_CHUNK_BYTES;
    LOFT_CHECK_EQ_INT(judge_rehashed(super), LOFT_ECORRUPT);
}

/* --- Choosing -------------------------------------------------------------------------------- */

static lofti_super slots[LOFTI_SUPER_SLOTS];

static void slots_fill(uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t generations[] = {a, b, c};
    for (uint32_t i = 0; i < LOFTI_SUPER_SLOTS; i++) {
        slots[i] = super_make();
        slots[i].generation = generations[i];
        rehash(&slots[i]);
    }
}

static uint32_t chosen(void)
{
    uint32_t slot = UINT32_MAX;
    LOFT_CHECK_EQ_INT(lofti_super_choose(slots, true, &slot).code, LOFT_OK);
    return slot;
}

LOFT_TEST(super, the_newest_whole_slot_is_chosen)
{
    slots_fill(7, 8, 6);
    LOFT_CHECK_EQ_UINT(chosen(), 1);
    slots_fill(7, 5, 6);
    LOFT_CHECK_EQ_UINT(chosen(), 0);
    slots_fill(1, 2, UINT64_MAX);
    LOFT_CHECK_EQ_UINT(chosen(), 2);
    slots[2].sequence++; /* its hash no longer fits: a torn write */
    LOFT_CHECK_EQ_UINT(chosen(), 1);
    memset(&slots[1], 0, sizeof slots[1]);
    LOFT_CHECK_EQ_UINT(chosen(), 0);
}

LOFT_TEST(super, without_a_whole_slot_the_damage_is_named_with_its_place)
{
    uint32_t slot = UINT32_MAX;
    memset(slots, 0, sizeof slots);
    lofti_verdict verdict = lofti_super_choose(slots, false, &slot);
    LOFT_CHECK_EQ_INT(verdict.code, LOFT_ECORRUPT);
    LOFT_CHECK_CONTAINS(verdict.reason, "not a loft arena");
    slots_fill(1, 2, 3);
    for (uint32_t i = 0; i < LOFTI_SUPER_SLOTS; i++) {
        slots[i].padding[5] ^= 1;
    }
    verdict = lofti_super_choose(slots, false, &slot);
    LOFT_CHECK_EQ_INT(verdict.code, LOFT_ECORRUPT);
    LOFT_CHECK_CONTAINS(verdict.reason, "checksum");
    LOFT_CHECK_EQ_UINT(verdict.off, offsetof(lofti_super, hash));
    LOFT_CHECK_EQ_UINT(slot, UINT32_MAX);
}

LOFT_TEST(super, an_unknown_version_in_any_slot_outranks_the_others)
{
    /* A newer version has written it: an older slot beside it describes a state that is gone. */
    for (uint32_t newer = 0; newer < LOFTI_SUPER_SLOTS; newer++) {
        uint32_t slot = UINT32_MAX;
        slots_fill(1, 2, 3);
        slots[newer].version = 2;
        rehash(&slots[newer]);
        slots[(newer + 1) % LOFTI_SUPER_SLOTS].hash ^= 1;
        const lofti_verdict verdict = lofti_super_choose(slots, false, &slot);
        LOFT_CHECK_EQ_INT(verdict.code, LOFT_EVERSION);
        LOFT_CHECK_EQ_UINT(verdict.off / LOFTI_SUPER_BYTES, newer);
    }
}

LOFT_TEST(super, features_that_only_newer_versions_write_allow_reading)
{
    uint32_t slot = UINT32_MAX;
    slots_fill(1, 2, 3);
    slots[2].write_incompatible = 4;
    rehash(&slots[2]);
    LOFT_CHECK_EQ_INT(lofti_super_choose(slots, true, &slot).code, LOFT_EVERSION);
    LOFT_CHECK_EQ_INT(lofti_super_choose(slots, false, &slot).code, LOFT_OK);
    LOFT_CHECK_EQ_UINT(slot, 2);
}

LOFT_TEST(super, random_bytes_never_pass)
{
    loft_test_random random = {loft_test_seed()};
    lofti_super super;
    for (int i = 0; i < 20000; i++) {
        uint64_t words[sizeof super / 8];
        for (size_t k = 0; k < sizeof words / 8; k++) {
            words[k] = loft_test_random_next(&random) >> loft_test_random_below(&random, 64);
        }
        memcpy(&super, words, sizeof super);
        if (i % 2 != 0) { /* past the first gates, so that the rest is reached */
            lofti_super_seal(&super);
            super.extent_count %= LOFTI_SUPER_EXTENTS_MAX + 2;
            super.incompatible = 0;
            super.file_bytes = lofti_hash(&i, sizeof i, 0) % 4096 * LOFTI_CHUNK_BYTES;
            super.base = BASE_LOW;
            super.frontier = 0;
            rehash(&super);
        }
        LOFT_CHECK_NE_INT(judge(&super, false), LOFT_OK);
    }
}
