/* What keeps a store from going on as usual: readers, a cut file, a failed flush, stale superblocks. */
#include <errno.h>

#include "journal/store_world.h"
#include "loft/error.h"

static store_world world;

static lofti_file reader_open(void)
{
    lofti_file reader;
    LOFT_CHECK_EQ_INT(lofti_file_open(world.path, LOFTI_OPEN_READ, 0, &reader), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&reader, LOFTI_LOCK_SHARED, LOFTI_STORE_LOCK_READER), 0);
    return reader;
}

LOFT_TEST(hold, a_reader_holds_off_a_checkpoint_and_not_the_writer)
{
    uint8_t before[WORLD_PAGE_BYTES];
    uint8_t after[WORLD_PAGE_BYTES];
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, 1, 0x101);
    LOFT_CHECK_OK(world_commit(&world));
    lofti_file reader = reader_open();
    world_read_file(&world, WORLD_FIRST_PAGE * WORLD_PAGE_BYTES, before, sizeof before);
    for (uint64_t i = 0; i < 5; i++) {
        LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPENDING);
        LOFT_CHECK_CONTAINS(loft_last_error(), "reader");
        LOFT_CHECK_TRUE(lofti_store_has_journal(&world.store));
        world_set(&world, 1, 0x102 + i);
        LOFT_CHECK_OK(world_commit(&world));
        world_check(&world);
    }
    world_read_file(&world, WORLD_FIRST_PAGE * WORLD_PAGE_BYTES, after, sizeof after);
    LOFT_CHECK_EQ_MEM(after, before, sizeof before); /* base images stand while it looks */
    LOFT_CHECK_EQ_INT(lofti_file_close(&reader), 0);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    LOFT_CHECK_FALSE(lofti_store_has_journal(&world.store));
    world_check(&world);
    world_check_image(&world);
    world_end(&world);
}

LOFT_TEST(hold, a_checkpoint_gives_its_lock_back)
{
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, 1, 0x101);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    lofti_file reader = reader_open();
    LOFT_CHECK_EQ_INT(lofti_file_close(&reader), 0);
    /* Also one that failed. */
    world_set(&world, 1, 0x202);
    LOFT_CHECK_OK(world_commit(&world));
    const fault_plan plan = {
        FAULT_FAIL, FAULT_MASK(FAULT_PWRITE), 1, UINT64_MAX, 28 /* ENOSPC */, NULL, NULL};
    fault_fs_set(world.fault, &plan);
    LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPENDING);
    LOFT_CHECK_CONTAINS(loft_last_error(), "No space left");
    fault_fs_set(world.fault, NULL);
    reader = reader_open();
    LOFT_CHECK_EQ_INT(lofti_file_close(&reader), 0);
    world_end(&world);
}

/* Recovery beside a reader copies the journal and leaves applying for later; again and again, each time on
 * top of the one before. */
LOFT_TEST(hold, recovery_beside_a_reader_goes_on_with_the_journal)
{
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, 1, 0x01);
    world_set(&world, 2, 0x202);
    LOFT_CHECK_OK(world_commit(&world));
    lofti_file reader = reader_open();
    for (uint64_t i = 0; i < 6; i++) {
        world_close(&world);
        LOFT_CHECK_OK(world_open_at(&world, world.path, true));
        LOFT_CHECK_ERR(lofti_store_recover(&world.store), LOFT_EPENDING);
        LOFT_CHECK_EQ_UINT(world.store.sequence, i + 1);
        world_check(&world);
        world_check_image(&world);
        world_set(&world, 1 + i % 3, 0x01 + i);
        world_set(&world, 5, 0x500 + i);
        LOFT_CHECK_OK(world_commit(&world));
        world_check(&world);
        world_check_image(&world);
    }
    LOFT_CHECK_EQ_INT(lofti_file_close(&reader), 0);
    world_close(&world);
    world_open(&world);
    LOFT_CHECK_FALSE(lofti_store_has_journal(&world.store));
    world_check(&world);
    world_end(&world);
}

/* C6: after recovery nothing is relied on where the last handle left it, because that may be in the page
 * cache only. Here the disk "loses" it. */
LOFT_TEST(hold, recovery_does_not_need_the_journal_that_it_read)
{
    static const uint8_t lost[WORLD_PAGE_BYTES] = {0xde, 0xad};
    world_begin(&world, false);
    world_open(&world);
    for (uint64_t i = 0; i < 40; i++) {
        world_set(&world, i, 0x1000 + i * 130);
        LOFT_CHECK_OK(world_commit(&world));
    }
    const uint64_t end = world.store.position;
    world_close(&world);
    lofti_file reader = reader_open();
    LOFT_CHECK_OK(world_open_at(&world, world.path, true));
    LOFT_CHECK_ERR(lofti_store_recover(&world.store), LOFT_EPENDING);
    for (uint64_t off = 0; off < end; off += sizeof lost) {
        world_write_file(&world, LOFTI_JOURNAL_OFF + off, lost, sizeof lost);
    }
    world_check(&world);
    world_check_image(&world);
    LOFT_CHECK_EQ_INT(lofti_file_close(&reader), 0);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_check_image(&world);
    world_end(&world);
}

static void cut_file(uint64_t bytes)
{
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(world.path, LOFTI_OPEN_WRITE, 0, &file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, bytes), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(hold, a_cut_file_is_refused_at_open)
{
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, WORLD_PAGES - 1, 0x2202);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_close(&world);
    const uint64_t bytes = world_file_bytes(&world);
    for (uint64_t cut = 1; cut <= bytes; cut = cut < 4096 ? cut * 2 : cut + 1048576 + 4096) {
        cut_file(bytes - cut);
        LOFT_CHECK_ERR(world_open_at(&world, world.path, true), LOFT_ECORRUPT);
        LOFT_CHECK_ERR(world_open_at(&world, world.path, false), LOFT_ECORRUPT);
        LOFT_CHECK_CONTAINS(loft_last_error(), "open '/store': ");
    }
    cut_file(0);
    LOFT_CHECK_ERR(world_open_at(&world, world.path, false), LOFT_ECORRUPT);
    LOFT_CHECK_EQ_UINT(memory_fs_handles(world.memory), 0);
    world_end(&world);
}

LOFT_TEST(hold, a_file_cut_under_its_writer_is_noticed_before_anything_is_written)
{
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, 1, 0x101);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    const uint64_t writes = fault_fs_calls(world.fault, FAULT_PWRITE);
    cut_file(LOFTI_CHUNK_BYTES);
    world_set(&world, 1, 0x102);
    LOFT_CHECK_ERR(world_commit(&world), LOFT_ECORRUPT);
    LOFT_CHECK_CONTAINS(loft_last_error(), "cut");
    LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_PWRITE), writes);
    LOFT_CHECK_EQ_UINT(world.store.state, LOFTI_STORE_IDLE);
    world_end(&world);
}

static void fail_sync(uint64_t nth)
{
    const fault_plan plan = {FAULT_FAIL, FAULT_MASK(FAULT_SYNC), nth, 1, 5 /* EIO */, NULL, NULL};
    fault_fs_set(world.fault, &plan);
}

LOFT_TEST(hold, a_failed_flush_poisons_for_good)
{
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, 1, 0x101);
    LOFT_CHECK_OK(world_commit(&world));
    fail_sync(1);
    world_set(&world, 1, 0x202);
    LOFT_CHECK_ERR(world_commit(&world), LOFT_EPOISONED);
    LOFT_CHECK_CONTAINS(loft_last_error(), "unknown");
    LOFT_CHECK_EQ_UINT(world.store.state, LOFTI_STORE_POISONED);
    const uint64_t writes = fault_fs_calls(world.fault, FAULT_PWRITE);
    const uint64_t flushes = fault_fs_calls(world.fault, FAULT_SYNC);
    for (int i = 0; i < 3; i++) { /* the next flush would answer 0, and lie */
        LOFT_CHECK_ERR(lofti_store_begin(&world.store), LOFT_EPOISONED);
        LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPOISONED);
        LOFT_CHECK_ERR(lofti_store_recover(&world.store), LOFT_EPOISONED);
    }
    LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_PWRITE), writes);
    LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_SYNC), flushes);
    LOFT_CHECK_TRUE(world_matches(&world, world.committed)); /* reading goes on */
    world_close(&world);
    world_open(&world); /* what the cache shows, copied to where it is safe */
    LOFT_CHECK_TRUE(world_matches(&world, world.working) || world_matches(&world, world.committed));
    world_end(&world);
}

/* --- Superblocks ---------------------------------------------------------------------------------- */

static lofti_super slots[LOFTI_SUPER_SLOTS];

/* The slot with the highest generation; the others are older or empty. */
static uint32_t slots_read(void)
{
    uint32_t newest = UINT32_MAX;
    world_read_file(&world, 0, slots, sizeof slots);
    LOFT_CHECK_EQ_INT(lofti_super_choose(slots, true, &newest).code, LOFT_OK);
    return newest;
}

LOFT_TEST(hold, superblocks_go_round_and_spare_the_two_newest)
{
    world_begin(&world, false);
    LOFT_CHECK_EQ_UINT(slots_read(), 0);
    uint64_t generation = 1;
    world_open(&world);
    for (uint64_t i = 0; i < 12; i++) {
        static lofti_super before[LOFTI_SUPER_SLOTS];
        const uint32_t was = slots_read();
        memcpy(before, slots, sizeof before);
        world_set(&world, 1, 0x101 + i);
        LOFT_CHECK_OK(world_commit(&world));
        LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        const uint32_t is = slots_read();
        LOFT_CHECK_NE_UINT(is, was);
        LOFT_CHECK_GT_UINT(slots[is].generation, generation);
        generation = slots[is].generation;
        LOFT_CHECK_EQ_MEM(&slots[was], &before[was], sizeof slots[was]);
        LOFT_CHECK_EQ_UINT(slots[is].sequence, i + 1);
    }
    world_end(&world);
}

/* S3: what a new handle read may be in the cache only, so it is written anew, elsewhere, before the
 * first record. */
LOFT_TEST(hold, a_new_handle_renews_the_superblock_first)
{
    static lofti_super before[LOFTI_SUPER_SLOTS];
    world_begin(&world, false);
    world_open(&world);
    for (uint64_t i = 0; i < 4; i++) {
        world_set(&world, 1, 0x101 + i);
        LOFT_CHECK_OK(world_commit(&world));
        LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        world_close(&world);
        const uint32_t was = slots_read();
        memcpy(before, slots, sizeof before);
        world_open(&world);
        LOFT_CHECK_EQ_UINT(slots_read(), was); /* opening alone writes nothing */
        LOFT_CHECK_EQ_MEM(slots, before, sizeof slots);
        world_set(&world, 2, 0x101 + i);
        LOFT_CHECK_OK(world_commit(&world));
        const uint32_t is = slots_read();
        LOFT_CHECK_NE_UINT(is, was);
        LOFT_CHECK_EQ_UINT(slots[is].generation, before[was].generation + 1);
        LOFT_CHECK_EQ_UINT(slots[is].salt, before[was].salt);
        LOFT_CHECK_EQ_UINT(slots[is].sequence, before[was].sequence);
        const uint32_t third = LOFTI_SUPER_SLOTS - is - was;
        LOFT_CHECK_EQ_MEM(&slots[was], &before[was], sizeof slots[was]);
        LOFT_CHECK_EQ_MEM(&slots[third], &before[third], sizeof slots[third]);
    }
    world_end(&world);
}

/* A superblock whose write failed may yet reach the disk whole, so a newer one must precede any record. */
LOFT_TEST(hold, a_superblock_that_failed_is_outdone_before_the_next_record)
{
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, 1, 0x101);
    LOFT_CHECK_OK(world_commit(&world));
    world_set(&world, 2, 0x202);
    LOFT_CHECK_OK(world_commit(&world));
    /* The checkpoint's writes: pages 1 and 2 in one, then the superblock: done, but answered EIO. */
    const fault_plan plan = {
        FAULT_LATE_FAIL, FAULT_MASK(FAULT_PWRITE), 2, 1, 5 /* EIO */, NULL, NULL};
    fault_fs_set(world.fault, &plan);
    LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPENDING);
    LOFT_CHECK_EQ_UINT(fault_fs_struck(world.fault), 1);
    const uint64_t salt = world.store.super.salt;
    LOFT_CHECK_NE_UINT(slots[slots_read()].salt, salt); /* it is there */
    world_check_image(&world);
    world_set(&world, 3, 0x303);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_EQ_UINT(slots[slots_read()].salt, salt);
    world_check(&world);
    world_check_image(&world);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_check_image(&world);
    world_end(&world);
}

enum slot_kind { SLOT_WHOLE, SLOT_TORN, SLOT_ZEROS };

/* S3: two slots were torn, by a failed flush and by a crash. What the next write to such a slot leaves, torn in turn, may
 * be the whole of the elder, so both are written anew before what that one named may be overwritten. The
 * slots are those behind the newest, in their order. */
static void check_torn_slots_go_first(enum slot_kind first, enum slot_kind second)
{
    const enum slot_kind kinds[] = {SLOT_WHOLE, first, second};
    const uint32_t torn = (first == SLOT_TORN) + (second == SLOT_TORN);
    world_begin(&world, false);
    world_open(&world);
    for (uint64_t i = 0; i < 4; i++) { /* every slot was in use */
        world_set(&world, 1, 0x101 + i);
        LOFT_CHECK_OK(world_commit(&world));
        LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    }
    world_set(&world, 2, 0x202);
    LOFT_CHECK_OK(world_commit(&world));
    world_close(&world);
    const uint32_t newest = slots_read();
    const uint64_t salt = slots[newest].salt;
    const uint64_t generation = slots[newest].generation;
    for (uint32_t i = 1; i < LOFTI_SUPER_SLOTS; i++) {
        lofti_super *slot = &slots[(newest + i) % LOFTI_SUPER_SLOTS];
        slot->hash += kinds[i] == SLOT_TORN;
        if (kinds[i] == SLOT_ZEROS) {
            memset(slot, 0, sizeof *slot);
        }
    }
    world_write_file(&world, 0, slots, sizeof slots);
    LOFT_CHECK_OK(world_open_at(&world, world.path, true));
    const uint64_t flushes = fault_fs_calls(world.fault, FAULT_SYNC);
    world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PWRITE), torn + 1, 1, EIO); /* the copy (C6) */
    LOFT_CHECK_ERR(lofti_store_recover(&world.store), LOFT_EIO);
    LOFT_CHECK_EQ_UINT(world_heal(&world), 1);
    LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_SYNC) - flushes, torn);
    LOFT_CHECK_EQ_UINT(slots[slots_read()].generation, generation + torn);
    for (uint32_t i = 0; i < LOFTI_SUPER_SLOTS; i++) {
        const lofti_super *slot = &slots[(newest + i) % LOFTI_SUPER_SLOTS];
        if (kinds[i] == SLOT_ZEROS) {
            LOFT_CHECK_EQ_UINT(slot->magic, 0);
        } else {
            LOFT_CHECK_EQ_INT(lofti_super_validate(slot, true).code, LOFT_OK);
            LOFT_CHECK_TRUE(slot->salt == salt || (i != 0 && kinds[i] == SLOT_WHOLE));
        }
    }
    LOFT_CHECK_OK(lofti_store_recover(&world.store));
    world_check(&world);
    world_check_image(&world);
    world_end(&world);
}

LOFT_TEST(hold, a_torn_slot_is_written_anew_first)
{
    check_torn_slots_go_first(SLOT_TORN, SLOT_WHOLE);
    check_torn_slots_go_first(SLOT_WHOLE, SLOT_TORN);
}

/* In a file that is new, not every slot was written. */
LOFT_TEST(hold, a_torn_slot_beside_zeros_is_written_anew_first)
{
    check_torn_slots_go_first(SLOT_TORN, SLOT_ZEROS);
    check_torn_slots_go_first(SLOT_ZEROS, SLOT_TORN);
}

LOFT_TEST(hold, two_torn_slots_are_written_anew_first)
{
    check_torn_slots_go_first(SLOT_TORN, SLOT_TORN);
}
