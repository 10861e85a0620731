/* Superblocks that were lost, frames that must not count, commits behind a break: each told from what a crash leaves. */
#include <errno.h>
#include <stdlib.h>

#include "base/arith.h"
#include "journal/copy.h"
#include "journal/store_world.h"
#include "loft/error.h"

enum { LOST_LARGE = 300 }; /* pages: more than a frame */

static store_world world;

/* Commits of one block each, until the next one would begin at `position`. */
static void fill_to(uint64_t position)
{
    while (world.store.position < position) {
        world_commit_range(&world, 0, 1, 1 + world.store.sequence % 200);
    }
    LOFT_CHECK_EQ_UINT(world.store.position, position);
}

static void flip(uint64_t off)
{
    uint8_t byte = 0;
    world_read_file(&world, off, &byte, 1);
    byte ^= 0x10;
    world_write_file(&world, off, &byte, 1);
}

/* For reading and for change: `sequence` is the newest commit, and its pages are as the model says. */
static void check_opens_at(uint64_t sequence)
{
    for (int writing = 0; writing < 2; writing++) {
        LOFT_CHECK_OK(world_open_at(&world, world.path, writing != 0));
        LOFT_CHECK_EQ_UINT(world.store.sequence, sequence);
        world_check(&world);
        world_close(&world);
    }
}

static void check_is_refused(void)
{
    for (int writing = 0; writing < 2; writing++) {
        LOFT_CHECK_ERR(world_open_at(&world, world.path, writing != 0), LOFT_ECORRUPT);
        LOFT_CHECK_CONTAINS(loft_last_error(), "a superblock was lost");
    }
}

/* Every read of opening fails once (of many, the first and the last): that is said, and nothing is taken for the newest
 * commit instead. */
static void check_reads_fail(int whole)
{
    fault_plan plan = {.action = FAULT_FAIL,
                       .kinds = FAULT_MASK(FAULT_PREAD),
                       .first = UINT64_MAX,
                       .times = 1,
                       .error = EIO};
    fault_fs_set(world.fault, &plan);
    LOFT_CHECK_EQ_INT(world_open_at(&world, world.path, false), whole);
    world_close(&world);
    const uint64_t reads = fault_fs_numbered(world.fault);
    plan.first = 1;
    for (bool struck = true; struck; plan.first += plan.first == 8 && reads > 16 ? reads - 16 : 1) {
        fault_fs_set(world.fault, &plan);
        const int code = world_open_at(&world, world.path, false);
        struck = fault_fs_struck(world.fault) != 0;
        LOFT_CHECK_EQ_INT(code, struck ? LOFT_EIO : whole);
        world_close(&world);
    }
    LOFT_CHECK_GT_UINT(plan.first, 4);
    fault_fs_set(world.fault, NULL);
}

LOFT_TEST(lost, a_journal_that_is_exactly_full_is_read_to_its_last_commit)
{
    world_begin(&world, false);
    world_open(&world);
    const uint64_t total = world.store.total_bytes;
    fill_to(total);
    LOFT_CHECK_EQ_UINT(world.store.total_bytes, total);
    const uint64_t sequence = world.store.sequence;
    world_close(&world);
    check_opens_at(sequence);
    world_open(&world); /* its copy needs another extent */
    world_check(&world);
    world_commit_range(&world, 3, 5, 0x700);
    world_check_image(&world);
    world_end(&world);
}

/* The journal grew, and a frame runs from the extent that is known into the one that is not. */
LOFT_TEST(lost, an_extent_without_its_superblock_is_noticed)
{
    world_begin(&world, false);
    world_open(&world);
    fill_to(world.store.total_bytes - 2 * WORLD_PAGE_BYTES);
    const uint64_t position = world.store.position;
    const uint64_t sequence = world.store.sequence;
    world_set_range(&world, 10, 10 + LOST_LARGE, 0x900);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_EQ_UINT(world.store.super.extent_count, 2);
    world_close(&world);
    world_break_newest(&world);
    check_is_refused();
    check_reads_fail(LOFT_ECORRUPT);
    /* Was that commit torn, it never counted, nor did what only it needed. */
    flip(LOFTI_JOURNAL_OFF + position + 8);
    for (uint64_t i = 10; i < 10 + LOST_LARGE; i++) {
        world.committed[i] = 0;
    }
    check_opens_at(sequence);
    world_end(&world);
}

/* A checkpoint and a commit behind it, which is torn; the superblock between them is damaged later. */
LOFT_TEST(lost, an_epoch_is_betrayed_by_a_torn_commit_as_well)
{
    for (uint64_t torn = 0; torn < 2; torn++) {
        world_begin(&world, false);
        world_open(&world);
        world_commit_range(&world, 0, 5, 0x300);
        LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        world_set_range(&world, 2, 7, 0x400);
        LOFT_CHECK_OK(world_commit(&world));
        world_close(&world);
        if (torn != 0) {
            flip(LOFTI_JOURNAL_OFF + (uint64_t)3 * WORLD_PAGE_BYTES);
            world_set_range(&world, 2, 5, 0x300);
            world_set_range(&world, 5, 7, 0);
            memcpy(world.committed, world.working, sizeof world.committed);
        }
        check_opens_at(torn != 0 ? 1 : 2);
        world_break_newest(&world);
        check_is_refused();
        check_reads_fail(LOFT_ECORRUPT);
        world_end(&world);
    }
}

LOFT_TEST(lost, an_epoch_is_betrayed_by_a_commit_that_failed)
{
    const fault_plan plan = {.action = FAULT_PART_FAIL,
                             .kinds = FAULT_MASK(FAULT_PWRITE),
                             .first = 1,
                             .times = 1,
                             .error = ENOSPC};
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 5, 0x300);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_set_range(&world, 2, 7, 0x400);
    fault_fs_set(world.fault, &plan);
    LOFT_CHECK_ERR(world_commit(&world), LOFT_ENOSPC);
    fault_fs_set(world.fault, NULL);
    world_close(&world);
    check_opens_at(1);
    world_break_newest(&world);
    check_is_refused();
    world_end(&world);
}

/* Recovery's epoch begins with a copy of more than one frame; a commit follows. */
LOFT_TEST(lost, an_epoch_that_recovery_began_is_noticed)
{
    lofti_file reader;
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, LOST_LARGE, 0x300);
    world_close(&world);
    LOFT_CHECK_EQ_INT(lofti_file_open(world.path, LOFTI_OPEN_READ, 0, &reader), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&reader, LOFTI_LOCK_SHARED, LOFTI_STORE_LOCK_READER), 0);
    LOFT_CHECK_OK(world_open_at(&world, world.path, true));
    LOFT_CHECK_ERR(lofti_store_recover(&world.store), LOFT_EPENDING);
    LOFT_CHECK_EQ_INT(lofti_file_close(&reader), 0);
    world_commit_range(&world, 2, 7, 0x400);
    world_close(&world);
    check_opens_at(2);
    world_break_newest(&world);
    check_is_refused();
    check_reads_fail(LOFT_ECORRUPT);
    world_end(&world);
}

/* Only two slots were ever written: that the third is empty says nothing. */
LOFT_TEST(lost, a_commit_torn_behind_its_first_frame_is_no_lost_superblock)
{
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 5, 0x300);
    world_set_range(&world, 2, 2 + 2 * LOST_LARGE, 0x400);
    uint64_t kept[WORLD_PAGES];
    memcpy(kept, world.committed, sizeof kept);
    LOFT_CHECK_OK(world_commit(&world));
    const uint64_t end = world.store.position;
    world_close(&world);
    check_opens_at(2);
    flip(LOFTI_JOURNAL_OFF + end - WORLD_PAGE_BYTES);
    memcpy(world.committed, kept, sizeof kept);
    check_opens_at(1);
    check_reads_fail(LOFT_OK);
    world_end(&world);
}

/* --- Frames that nobody writes ------------------------------------------------------------------------ */

static union {
    lofti_frame head;
    uint8_t bytes[3 * WORLD_PAGE_BYTES];
} crafted;

static void crafted_read(uint64_t position, uint64_t bytes)
{
    world_read_file(&world, LOFTI_JOURNAL_OFF + position, &crafted, bytes);
    LOFT_CHECK_EQ_UINT(crafted.head.magic, LOFTI_FRAME_MAGIC);
    LOFT_CHECK_EQ_UINT(crafted.head.frame_bytes, bytes);
}

static void crafted_write(uint64_t position, bool hashed)
{
    const uint64_t bytes = lofti_arith_min(crafted.head.frame_bytes, sizeof crafted);
    if (hashed) {
        crafted.head.hash = lofti_frame_hash(&crafted.head);
    }
    world_write_file(&world, LOFTI_JOURNAL_OFF + position, &crafted, bytes);
}

LOFT_TEST(lost, a_whole_frame_with_an_impossible_record_is_refused)
{
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 5, 0x300);
    const uint64_t position = world.store.position;
    world_commit_range(&world, 7, 8, 0x400);
    world_close(&world);
    crafted_read(position, 2 * WORLD_PAGE_BYTES);
    lofti_record *record = (lofti_record *)(void *)(crafted.bytes + sizeof crafted.head);
    record->page_idx = 1; /* a superblock */
    crafted_write(position, true);
    LOFT_CHECK_ERR(world_open_at(&world, world.path, true), LOFT_ECORRUPT);
    world_end(&world);
}

/* A seal where no commit of its epoch is before it. */
LOFT_TEST(lost, a_seal_of_nothing_does_not_count)
{
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 5, 0x300);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_set(&world, 3, 0x999);
    LOFT_CHECK_OK(world_commit(&world));
    world_close(&world);
    crafted_read(0, 2 * WORLD_PAGE_BYTES);
    crafted.head.kind = LOFTI_FRAME_SEAL;
    crafted.head.sequence--;
    crafted_write(0, true);
    world_set_range(&world, 3, 4, 0x300);
    memcpy(world.committed, world.working, sizeof world.committed);
    check_opens_at(1);
    world_open(&world);
    LOFT_CHECK_FALSE(lofti_store_has_journal(&world.store));
    world_commit_range(&world, 4, 6, 0x500);
    world_check_image(&world);
    world_end(&world);
}

/* --- Commits behind a break ------------------------------------------------------------------------------ */

static int hear(void *context, int code, uint64_t off, const char *text)
{
    uint64_t *heard = context;
    LOFT_CHECK_EQ_INT(code, LOFT_ECORRUPT);
    LOFT_CHECK_GE_UINT(off, LOFTI_JOURNAL_OFF);
    LOFT_CHECK_CONTAINS(text, "breaks off");
    *heard += 1;
    return LOFT_OK;
}

static uint64_t heard_of(lofti_store *store)
{
    uint64_t heard = 0;
    LOFT_CHECK_OK(lofti_check_journal(store, hear, &heard));
    return heard;
}

static uint64_t break_position, last_position;

/* Three commits of two blocks each; the one in the middle is damaged `at` bytes behind its beginning. */
static void begin_broken(uint64_t at)
{
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 1, 2, 0x300);
    break_position = world.store.position;
    world_commit_range(&world, 2, 3, 0x300);
    last_position = world.store.position;
    world_commit_range(&world, 3, 4, 0x300);
    world_close(&world);
    flip(LOFTI_JOURNAL_OFF + break_position + at);
    LOFT_CHECK_OK(world_open_at(&world, world.path, false));
    LOFT_CHECK_EQ_UINT(world.store.sequence, 1);
}

LOFT_TEST(lost, only_a_later_commit_that_is_whole_proves_a_break)
{
    begin_broken(offsetof(lofti_frame, magic));
    LOFT_CHECK_EQ_UINT(heard_of(&world.store), 1);
    crafted_read(last_position, 2 * WORLD_PAGE_BYTES);
    const lofti_frame was = crafted.head;
    const uint64_t beyond = world.store.total_bytes - WORLD_PAGE_BYTES;
    const struct {
        uint64_t off, value, bytes;
        bool hashed;
    } changes[] = {
        {offsetof(lofti_frame, salt), was.salt + 1, 8, true},
        {offsetof(lofti_frame, position), was.position + WORLD_PAGE_BYTES, 8, true},
        {offsetof(lofti_frame, sequence), 1, 8, true},
        {offsetof(lofti_frame, flags), LOFTI_FRAME_FIRST, 2, true},
        {offsetof(lofti_frame, frame_bytes), 512, 8, false},
        {offsetof(lofti_frame, frame_bytes), LOFTI_FRAME_SIZE_MAX + WORLD_PAGE_BYTES, 8, false},
        {offsetof(lofti_frame, frame_bytes), 2 * WORLD_PAGE_BYTES + 8, 8, false},
        {offsetof(lofti_frame, frontier), was.frontier + WORLD_PAGE_BYTES, 8, false},
    };
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        crafted.head = was;
        memcpy(crafted.bytes + changes[i].off, &changes[i].value, changes[i].bytes);
        crafted_write(last_position, changes[i].hashed);
        LOFT_CHECK_EQ_UINT(heard_of(&world.store), 0);
    }
    crafted.head = was; /* one that would run beyond the journal's end */
    crafted.head.position = beyond;
    crafted.head.hash = lofti_frame_hash(&crafted.head);
    world_write_file(&world, LOFTI_JOURNAL_OFF + beyond, &crafted, WORLD_PAGE_BYTES);
    LOFT_CHECK_EQ_UINT(heard_of(&world.store), 0);
    crafted.head = was;
    crafted_write(last_position, false);
    LOFT_CHECK_EQ_UINT(heard_of(&world.store), 1);
    world_end(&world);
}

/* The damaged commit's header goes on from the one before, as that of a commit would that is just being written. */
LOFT_TEST(lost, a_commit_that_is_there_by_its_header_only_is_a_break)
{
    begin_broken(WORLD_PAGE_BYTES + 100);
    LOFT_CHECK_EQ_UINT(heard_of(&world.store), 1);
    fault_plan plan = {.action = FAULT_FAIL,
                       .kinds = FAULT_MASK(FAULT_PREAD),
                       .first = 1,
                       .times = 1,
                       .error = EIO};
    for (; plan.first <= 8; plan.first++) {
        uint64_t heard = 0;
        fault_fs_set(world.fault, &plan);
        const int code = lofti_check_journal(&world.store, hear, &heard);
        LOFT_CHECK_EQ_INT(code, fault_fs_struck(world.fault) != 0 ? LOFT_EIO : LOFT_OK);
        LOFT_CHECK_EQ_UINT(heard, code == LOFT_OK);
    }
    fault_fs_set(world.fault, NULL);
    world_end(&world);
}

LOFT_TEST(lost, a_writer_at_work_is_no_break)
{
    lofti_store reader;
    lofti_file file;
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 1, 2, 0x300);
    LOFT_CHECK_EQ_INT(lofti_file_open(world.path, LOFTI_OPEN_READ, 0, &file), 0);
    LOFT_CHECK_OK(lofti_store_open(&reader, &file, world.path, false));
    LOFT_CHECK_EQ_UINT(heard_of(&reader), 0);
    world_commit_range(&world, 2, 3, 0x300);
    world_commit_range(&world, 3, 4, 0x300);
    LOFT_CHECK_EQ_UINT(heard_of(&reader), 0);
    LOFT_CHECK_EQ_UINT(reader.sequence, 1);
    lofti_store_close(&reader);
    world_end(&world);
}
