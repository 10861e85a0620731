/* The validator of frames: headers, records, and that no bit of a frame can change. */
#include "format/frame.h"

#include <stdlib.h>

#include "base/hash.h"
#include "loft/error.h"
#include "support/test.h"

enum { MEBIBYTE = 1 << 20, PAGE = 4096, ROOM = 8 * MEBIBYTE };

static union {
    lofti_frame head;
    uint8_t bytes[LOFTI_FRAME_SIZE_MAX];
} frame;

static const lofti_super super = {
    .file_bytes = 64 * MEBIBYTE,
    .extent_count = 2,
    .extents = {{LOFTI_JOURNAL_OFF, LOFTI_CHUNK_BYTES - LOFTI_JOURNAL_OFF},
                {12 * MEBIBYTE, 8 * MEBIBYTE}}};

static const lofti_frame_expect expect = {.position = 3 * PAGE,
                                          .salt = 0xabcdef,
                                          .chain = 0x123456789,
                                          .sequence = 6,
                                          .frontier = 8 * MEBIBYTE,
                                          .file_bytes = 16 * MEBIBYTE};

static void frame_begin(void)
{
    memset(&frame, 0, sizeof frame);
    frame.head = (lofti_frame){.magic = LOFTI_FRAME_MAGIC,
                               .kind = LOFTI_FRAME_COMMIT,
                               .flags = LOFTI_FRAME_FIRST | LOFTI_FRAME_LAST,
                               .used_bytes = sizeof(lofti_frame),
                               .position = expect.position,
                               .salt = expect.salt,
                               .chain = expect.chain,
                               .sequence = expect.sequence + 1,
                               .frontier = 12 * MEBIBYTE,
                               .file_bytes = 32 * MEBIBYTE};
}

static lofti_record *frame_add(uint64_t page_idx, uint16_t kind, const void *payload,
                               uint32_t bytes)
{
    lofti_record *record = (lofti_record *)(void *)(frame.bytes + frame.head.used_bytes);
    *record = (lofti_record){.page_idx = page_idx, .kind = kind, .bytes = bytes};
    memcpy(record + 1, payload, bytes);
    frame.head.used_bytes = lofti_record_next_off(record, frame.head.used_bytes);
    frame.head.record_count++;
    return record;
}

static void frame_end(void)
{
    frame.head.frame_bytes = (frame.head.used_bytes + PAGE - 1) / PAGE * PAGE;
    frame.head.hash = lofti_frame_hash(&frame.head);
}

static const uint8_t full[PAGE] = {1, 2, 3};
static const uint8_t runs[] = {16, 0, 2, 0, 7, 7};

/* Two records: a whole page and a delta. */
static void frame_make(void)
{
    frame_begin();
    (void)frame_add(1024, LOFTI_RECORD_FULL, full, PAGE);
    (void)frame_add(2047, LOFTI_RECORD_DELTA, runs, sizeof runs);
    frame_end();
}

static int judge_header(void)
{
    const lofti_verdict verdict = lofti_frame_validate_header(&frame.head, &expect, ROOM);
    LOFT_CHECK_EQ_INT(verdict.code == LOFT_OK, verdict.reason == NULL);
    return verdict.code;
}

static int judge(void)
{
    if (judge_header() != LOFT_OK) {
        return LOFT_ECORRUPT;
    }
    const lofti_verdict verdict = lofti_frame_validate(&frame.head, &super);
    LOFT_CHECK_EQ_INT(verdict.code == LOFT_OK, verdict.reason == NULL);
    return verdict.code;
}

LOFT_TEST(frame, one_of_a_page_and_a_delta_is_accepted)
{
    frame_make();
    LOFT_CHECK_EQ_INT(judge(), LOFT_OK);
    const lofti_record *record = lofti_frame_record(&frame.head, sizeof(lofti_frame));
    LOFT_CHECK_EQ_UINT(record->page_idx, 1024);
    const uint64_t next = lofti_record_next_off(record, sizeof(lofti_frame));
    LOFT_CHECK_EQ_UINT(next, sizeof(lofti_frame) + sizeof(lofti_record) + PAGE);
    LOFT_CHECK_EQ_UINT(lofti_frame_record(&frame.head, next)->page_idx, 2047);
}

LOFT_TEST(frame, no_single_bit_can_change)
{
    frame_begin();
    (void)frame_add(1024, LOFTI_RECORD_DELTA, runs, sizeof runs);
    (void)frame_add(1025, LOFTI_RECORD_DELTA, runs, 0);
    frame_end();
    LOFT_CHECK_EQ_INT(judge(), LOFT_OK);
    for (size_t bit = 0; bit < frame.head.frame_bytes * 8; bit++) {
        frame.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (judge() == LOFT_OK) {
            LOFT_FAIL("bit %zu is not noticed", bit);
        }
        frame.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    LOFT_CHECK_EQ_INT(judge(), LOFT_OK);
}

/* Breaks one field, makes the hash fit again, and judges the header. */
#define CHECK_FIELD(field, value, want)                                                            \
    do {                                                                                           \
        frame_make();                                                                              \
        frame.head.field = (value);                                                                \
        LOFT_CHECK_EQ_INT(judge_header(), want);                                                   \
    } while (0)

LOFT_TEST(frame, every_field_of_the_header_is_judged)
{
    const uint64_t used = sizeof(lofti_frame) + 2 * sizeof(lofti_record) + PAGE + 8;
    CHECK_FIELD(magic, 0, LOFT_ECORRUPT);
    CHECK_FIELD(magic, LOFTI_FRAME_MAGIC + 1, LOFT_ECORRUPT);
    CHECK_FIELD(kind, 0, LOFT_ECORRUPT);
    CHECK_FIELD(kind, 3, LOFT_ECORRUPT);
    CHECK_FIELD(flags, LOFTI_FRAME_FIRST, LOFT_OK);
    CHECK_FIELD(flags, LOFTI_FRAME_LAST, LOFT_ECORRUPT); /* nothing to continue */
    CHECK_FIELD(flags, 4 | LOFTI_FRAME_FIRST, LOFT_ECORRUPT);
    CHECK_FIELD(flags, 0x8000 | LOFTI_FRAME_FIRST, LOFT_ECORRUPT);
    CHECK_FIELD(reserved, 1, LOFT_ECORRUPT);
    CHECK_FIELD(frame_bytes, 0, LOFT_ECORRUPT);
    CHECK_FIELD(frame_bytes, 2 * PAGE - 1, LOFT_ECORRUPT);
    CHECK_FIELD(frame_bytes, PAGE, LOFT_ECORRUPT);     /* used reaches behind it */
    CHECK_FIELD(frame_bytes, 3 * PAGE, LOFT_ECORRUPT); /* a block too many */
    CHECK_FIELD(frame_bytes, UINT64_MAX - PAGE + 1, LOFT_ECORRUPT);
    CHECK_FIELD(used_bytes, 0, LOFT_ECORRUPT);
    CHECK_FIELD(used_bytes, sizeof(lofti_frame) - 1, LOFT_ECORRUPT);
    CHECK_FIELD(used_bytes, 2 * PAGE + 1, LOFT_ECORRUPT);
    CHECK_FIELD(used_bytes, UINT64_MAX, LOFT_ECORRUPT);
    CHECK_FIELD(used_bytes, used, LOFT_OK);
    CHECK_FIELD(position, expect.position + PAGE, LOFT_ECORRUPT);
    CHECK_FIELD(salt, expect.salt ^ 1, LOFT_ECORRUPT);
    CHECK_FIELD(chain, expect.chain + 1, LOFT_ECORRUPT);
    CHECK_FIELD(sequence, expect.sequence, LOFT_ECORRUPT);
    CHECK_FIELD(sequence, expect.sequence + 2, LOFT_ECORRUPT);
    CHECK_FIELD(sequence, 0, LOFT_ECORRUPT);
    CHECK_FIELD(frontier, expect.frontier, LOFT_OK);
    CHECK_FIELD(frontier, expect.frontier - PAGE, LOFT_ECORRUPT);
    CHECK_FIELD(frontier, 12 * MEBIBYTE + 1, LOFT_ECORRUPT);
    CHECK_FIELD(frontier, 32 * MEBIBYTE + PAGE, LOFT_ECORRUPT);
    CHECK_FIELD(file_bytes, 12 * MEBIBYTE, LOFT_ECORRUPT); /* less than before */
    CHECK_FIELD(file_bytes, 32 * MEBIBYTE + PAGE, LOFT_ECORRUPT);
    CHECK_FIELD(file_bytes, ((uint64_t)LOFTI_CHUNK_COUNT_MAX + 1) * LOFTI_CHUNK_BYTES,
                LOFT_ECORRUPT);
}

LOFT_TEST(frame, it_must_fit_what_is_left_of_the_journal)
{
    frame_make();
    LOFT_CHECK_EQ_INT(lofti_frame_validate_header(&frame.head, &expect, 2 * PAGE).code, LOFT_OK);
    LOFT_CHECK_EQ_INT(lofti_frame_validate_header(&frame.head, &expect, 2 * PAGE - 1).code,
                      LOFT_ECORRUPT);
}

LOFT_TEST(frame, one_that_continues_a_commit_is_of_its_kind_and_not_first)
{
    lofti_frame_expect middle = expect;
    middle.kind = LOFTI_FRAME_COMMIT;
    frame_make();
    LOFT_CHECK_NE_INT(lofti_frame_validate_header(&frame.head, &middle, ROOM).code, LOFT_OK);
    frame.head.flags = 0;
    LOFT_CHECK_EQ_INT(lofti_frame_validate_header(&frame.head, &middle, ROOM).code, LOFT_OK);
    frame.head.kind = LOFTI_FRAME_SEAL;
    LOFT_CHECK_NE_INT(lofti_frame_validate_header(&frame.head, &middle, ROOM).code, LOFT_OK);
}

LOFT_TEST(frame, a_seal_carries_the_newest_sequence_and_whole_pages_only)
{
    frame_begin();
    frame.head.kind = LOFTI_FRAME_SEAL;
    (void)frame_add(1024, LOFTI_RECORD_FULL, full, PAGE);
    frame_end();
    LOFT_CHECK_NE_INT(judge(), LOFT_OK);
    frame.head.sequence = expect.sequence;
    frame_end();
    LOFT_CHECK_EQ_INT(judge(), LOFT_OK);
    (void)frame_add(1025, LOFTI_RECORD_DELTA, runs, sizeof runs);
    frame_end();
    LOFT_CHECK_NE_INT(judge(), LOFT_OK);
}

static int judge_page(uint64_t page_idx)
{
    frame_begin();
    (void)frame_add(page_idx, LOFTI_RECORD_FULL, full, PAGE);
    frame_end();
    return judge();
}

LOFT_TEST(frame, a_record_s_page_lies_in_the_heap)
{
    const uint64_t chunk_pages = LOFTI_CHUNK_PAGES;
    LOFT_CHECK_EQ_INT(judge_page(chunk_pages), LOFT_OK);
    LOFT_CHECK_EQ_INT(judge_page(0), LOFT_ECORRUPT); /* a superblock */
    LOFT_CHECK_EQ_INT(judge_page(LOFTI_JOURNAL_OFF / PAGE), LOFT_ECORRUPT);
    LOFT_CHECK_EQ_INT(judge_page(chunk_pages - 1), LOFT_ECORRUPT);
    LOFT_CHECK_EQ_INT(judge_page(3 * chunk_pages - 1), LOFT_OK);
    LOFT_CHECK_EQ_INT(judge_page(3 * chunk_pages), LOFT_ECORRUPT); /* the second extent */
    LOFT_CHECK_EQ_INT(judge_page(5 * chunk_pages - 1), LOFT_ECORRUPT);
    LOFT_CHECK_EQ_INT(judge_page(5 * chunk_pages), LOFT_OK);
    LOFT_CHECK_EQ_INT(judge_page(8 * chunk_pages - 1), LOFT_OK);
    LOFT_CHECK_EQ_INT(judge_page(8 * chunk_pages), LOFT_ECORRUPT); /* behind file_bytes */
    LOFT_CHECK_EQ_INT(judge_page(UINT64_MAX), LOFT_ECORRUPT);
    LOFT_CHECK_EQ_INT(judge_page((UINT64_MAX >> 12) + 1 + chunk_pages), LOFT_ECORRUPT);
}

/* Breaks the first record of a frame whose hash then fits again. */
#define CHECK_RECORD(field, value)                                                                 \
    do {                                                                                           \
        frame_make();                                                                              \
        ((lofti_record *)(void *)(frame.bytes + sizeof(lofti_frame)))->field = (value);            \
        frame_end();                                                                               \
        LOFT_CHECK_EQ_INT(judge(), LOFT_ECORRUPT);                                                 \
    } while (0)

LOFT_TEST(frame, every_field_of_a_record_is_judged)
{
    CHECK_RECORD(kind, 0);
    CHECK_RECORD(kind, 3);
    CHECK_RECORD(kind, LOFTI_RECORD_DELTA); /* a page is no row of runs */
    CHECK_RECORD(reserved, 1);
    CHECK_RECORD(bytes, 0);
    CHECK_RECORD(bytes, PAGE - 8);
    CHECK_RECORD(bytes, PAGE + 8);
    CHECK_RECORD(bytes, 1u << 31);
    CHECK_RECORD(bytes, UINT32_MAX);
    CHECK_RECORD(bytes, UINT32_MAX - 6);
}

LOFT_TEST(frame, records_are_counted)
{
    const uint32_t counts[] = {0, 1, 3, 1000, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        frame_make();
        frame.head.record_count = counts[i];
        frame_end();
        LOFT_CHECK_EQ_INT(judge(), LOFT_ECORRUPT);
    }
}

/* The padding of the last record is behind the end, and so would be the next record. */
LOFT_TEST(frame, a_record_behind_one_whose_padding_is_cut_is_refused)
{
    static const uint8_t run[] = {16, 0, 1, 0, 7};
    frame_begin();
    (void)frame_add(1024, LOFTI_RECORD_DELTA, run, sizeof run);
    frame.head.used_bytes = sizeof(lofti_frame) + sizeof(lofti_record) + sizeof run;
    for (uint32_t records = 1; records <= 2; records++) {
        frame.head.record_count = records;
        frame_end();
        LOFT_CHECK_EQ_INT(judge_header(), LOFT_OK);
        const lofti_verdict verdict = lofti_frame_validate(&frame.head, &super);
        LOFT_CHECK_EQ_INT(verdict.code, LOFT_ECORRUPT);
        LOFT_CHECK_EQ_STR(verdict.reason, records == 1 ? "bytes behind the last record"
                                                       : "fewer records than counted");
    }
}

LOFT_TEST(frame, one_without_records_says_nothing_and_is_refused)
{
    frame_begin();
    frame_end();
    LOFT_CHECK_EQ_INT(judge(), LOFT_ECORRUPT);
}

LOFT_TEST(frame, bytes_behind_the_last_record_are_refused)
{
    frame_make();
    frame.head.used_bytes += 8;
    frame_end();
    LOFT_CHECK_EQ_INT(judge(), LOFT_ECORRUPT);
    frame_make();
    frame.head.used_bytes -= 8;
    frame_end();
    LOFT_CHECK_EQ_INT(judge(), LOFT_ECORRUPT);
}

LOFT_TEST(frame, the_largest_frame_is_accepted_and_a_larger_is_not)
{
    frame_begin();
    while (frame.head.used_bytes < LOFTI_FRAME_BYTES_MAX) {
        (void)frame_add(1024 + frame.head.record_count, LOFTI_RECORD_FULL, full, PAGE);
    }
    frame_end();
    LOFT_CHECK_LE_UINT(frame.head.frame_bytes, LOFTI_FRAME_SIZE_MAX);
    LOFT_CHECK_EQ_INT(judge(), LOFT_OK);
    frame.head.frame_bytes = LOFTI_FRAME_SIZE_MAX + PAGE;
    frame.head.used_bytes = frame.head.frame_bytes;
    LOFT_CHECK_EQ_INT(judge_header(), LOFT_ECORRUPT);
}

LOFT_TEST(frame, a_page_s_hash_depends_on_content_place_and_epoch)
{
    static uint8_t page[PAGE];
    const uint64_t hash = lofti_frame_page_hash(page, 5, 9);
    LOFT_CHECK_EQ_UINT(lofti_frame_page_hash(page, 5, 9), hash);
    LOFT_CHECK_NE_UINT(lofti_frame_page_hash(page, 6, 9), hash);
    LOFT_CHECK_NE_UINT(lofti_frame_page_hash(page, 5, 8), hash);
    page[PAGE - 1] = 1;
    LOFT_CHECK_NE_UINT(lofti_frame_page_hash(page, 5, 9), hash);
}

/* A frame of random records, mutated at random and hashed anew: whatever the verdict, nothing outside the
 * frame is read (the sanitizers watch), and what is accepted names heap pages only. */
static void check_accepted(void)
{
    uint64_t off = sizeof(lofti_frame);
    for (uint32_t i = 0; i < frame.head.record_count; i++) {
        const lofti_record *record = lofti_frame_record(&frame.head, off);
        LOFT_CHECK_GE_UINT(record->page_idx, LOFTI_CHUNK_PAGES);
        LOFT_CHECK_LE_UINT(off + sizeof *record + record->bytes, frame.head.used_bytes);
        off = lofti_record_next_off(record, off);
    }
    LOFT_CHECK_EQ_UINT(off, frame.head.used_bytes);
}

/* Judges a copy behind which nothing may be read. */
static int judge_alone(void)
{
    lofti_frame *copy = malloc(frame.head.frame_bytes);
    LOFT_CHECK_NOT_NULL(copy);
    memcpy(copy, &frame, frame.head.frame_bytes);
    const int code = lofti_frame_validate(copy, &super).code;
    free(copy);
    return code;
}

LOFT_TEST(frame, random_mutations_are_judged_without_harm)
{
    loft_test_random random = {loft_test_seed()};
    uint64_t accepted = 0;
    for (int i = 0; i < 20000; i++) {
        frame_begin();
        const uint64_t records = 1 + loft_test_random_below(&random, 12);
        for (uint64_t k = 0; k < records; k++) {
            (void)frame_add(1024 + loft_test_random_below(&random, 1024), LOFTI_RECORD_DELTA, runs,
                            loft_test_random_below(&random, 2) == 0 ? 0 : sizeof runs);
        }
        frame_end();
        const uint64_t mutations = loft_test_random_below(&random, 3);
        const uint64_t used_bytes = frame.head.used_bytes;
        for (uint64_t k = 0; k < mutations; k++) {
            const uint64_t at = loft_test_random_below(&random, used_bytes);
            frame.bytes[at] = (uint8_t)(loft_test_random_next(&random) >> (at % 8));
        }
        if (judge_header() == LOFT_OK) {
            frame.head.hash = lofti_frame_hash(&frame.head);
            if (judge_alone() == LOFT_OK) {
                accepted++;
                check_accepted();
            }
        }
    }
    LOFT_CHECK_GT_UINT(accepted, 1000);
    LOFT_CHECK_LT_UINT(accepted, 20000);
}

/* A mark ends the journal as zeros do, and no bit of its header can change. */
LOFT_TEST(frame, a_mark_counts_for_nothing_and_is_known)
{
    lofti_super named = super;
    named.salt = expect.salt;
    named.sequence = 6;
    memset(&frame, 0, sizeof frame);
    LOFT_CHECK_FALSE(lofti_frame_is_mark(&frame.head));
    lofti_frame_mark(&frame.head, &named);
    LOFT_CHECK_TRUE(lofti_frame_is_mark(&frame.head));
    LOFT_CHECK_EQ_UINT(frame.head.sequence, 6);
    const lofti_frame_expect first = {
        .salt = named.salt, .chain = named.salt, .sequence = named.sequence};
    const lofti_verdict verdict = lofti_frame_validate_header(&frame.head, &first, ROOM);
    LOFT_CHECK_EQ_INT(verdict.code, LOFT_ECORRUPT);
    LOFT_CHECK_EQ_STR(verdict.reason, "unknown frame kind");
    for (size_t bit = 0; bit < sizeof frame.head * 8; bit++) {
        frame.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        LOFT_CHECK_FALSE(lofti_frame_is_mark(&frame.head));
        frame.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
