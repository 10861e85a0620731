/* The seldom turns of commit, checkpoint and recovery: a second failure on top of a first, a border met exactly. After each,
 * the store says what happened, and goes on; a copy of the file opens at a commit that was there. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "journal/store_world.h"
#include "loft/error.h"
#include "region/fault_map.h"

enum {
    SELDOM_MANY = 300, /* pages: more than a frame of whole ones */
    SELDOM_NEW = 1024  /* the first page of the second chunk */
};

static store_world world;
static bool random_fails;

/* The library's, on Linux and on POSIX, which the linker finds here first. */
ssize_t getrandom(void *data, size_t bytes, unsigned flags);
int getentropy(void *data, size_t bytes);
ssize_t getrandom(void *data, size_t bytes, unsigned flags)
{
    if (random_fails) {
        errno = ENOSYS;
        return -1;
    }
    return (ssize_t)syscall(SYS_getrandom, data, bytes, flags);
}

int getentropy(void *data, size_t bytes)
{
    return getrandom(data, bytes, 0) == (ssize_t)bytes ? 0 : -1;
}

/* All that was committed is there, another commit and a checkpoint go through, and the file says the same. */
static void check_goes_on(void)
{
    LOFT_CHECK_GT_UINT(world_heal(&world), 0);
    world_check(&world);
    world_check_image(&world);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_check(&world);
    world_check_image(&world);
    world_end(&world);
}

/* --- Commit ------------------------------------------------------------------------------------------ */

LOFT_TEST(seldom, the_first_commit_without_memory)
{
    for (uint64_t nth = 1; nth <= 2; nth++) {
        world_begin(&world, false);
        world_open(&world);
        world_set_range(&world, 0, 3, 0x300);
        fault_map_set(FAULT_MAP_MAP, nth, 1, ENOMEM, false);
        LOFT_CHECK_ERR(world_commit(&world), LOFT_ENOMEM);
        LOFT_CHECK_EQ_UINT(fault_map_clear(), 1);
        LOFT_CHECK_EQ_UINT(world.store.state, LOFTI_STORE_IDLE);
        world_check(&world);
        LOFT_CHECK_OK(world_commit(&world));
        world_check_image(&world);
        world_end(&world);
    }
}

LOFT_TEST(seldom, a_commit_that_needs_chunks_where_there_are_none)
{
    uint64_t off = 0;
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 5, 0x300);
    const uint64_t rest =
        LOFTI_CHUNK_COUNT_MAX - lofti_store_space_end(&world.store) / LOFTI_CHUNK_BYTES;
    const uint64_t limit = (uint64_t)LOFTI_CHUNK_COUNT_MAX * LOFTI_CHUNK_BYTES;
    LOFT_CHECK_OK(lofti_store_claim(&world.store, rest, limit, &off));
    world_set_range(&world, 0, WORLD_PAGES, 0x400); /* more than the journal holds */
    LOFT_CHECK_ERR(world_commit(&world), LOFT_ENOMEM);
    LOFT_CHECK_CONTAINS(loft_last_error(), "exceed");
    world_check(&world);
    lofti_store_unclaim(&world.store, off, rest * LOFTI_CHUNK_BYTES);
    world_check_image(&world);
    LOFT_CHECK_OK(world_commit(&world));
    world_check_image(&world);
    world_end(&world);
}

LOFT_TEST(seldom, a_commit_of_nothing_flushes_what_was_not)
{
    uint8_t content[WORLD_PAGE_BYTES];
    world_begin(&world, false);
    world_open(&world);
    for (int flushed = 0; flushed < 2; flushed++) {
        world_set(&world, 3, 0x777 + (uint64_t)flushed);
        world_content(3, 0x777 + (uint64_t)flushed, content);
        LOFT_CHECK_OK(lofti_store_begin(&world.store));
        LOFT_CHECK_OK(lofti_store_page(&world.store, WORLD_FIRST_PAGE + 3, content));
        LOFT_CHECK_OK(lofti_store_commit_unflushed(&world.store, world.frontier));
        memcpy(world.committed, world.working, sizeof world.committed);
        const uint64_t flushes = fault_fs_calls(world.fault, FAULT_SYNC);
        LOFT_CHECK_OK(lofti_store_begin(&world.store));
        LOFT_CHECK_OK(lofti_store_commit_unflushed(&world.store, world.frontier));
        LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_SYNC), flushes);
        LOFT_CHECK_LT_UINT(world.store.durable_sequence, world.store.sequence);
        if (flushed != 0) {
            LOFT_CHECK_OK(world_commit(&world));
            LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_SYNC), flushes + 1);
        } else { /* nothing to seal: the record is flushed all the same before it is applied */
            LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
            LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_SYNC), flushes + 3);
        }
        LOFT_CHECK_EQ_UINT(world.store.durable_sequence, world.store.sequence);
        world_check_image(&world);
    }
    world_end(&world);
}

LOFT_TEST(seldom, a_commit_after_a_wait_that_failed_is_refused)
{
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 3, 0x300);
    world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_SYNC), 1, 1, EIO);
    const uint64_t next = world.store.sequence + 1;
    LOFT_CHECK_ERR(lofti_store_wait(&world.store, next, next), LOFT_EPOISONED);
    LOFT_CHECK_EQ_UINT(world_heal(&world), 1);
    LOFT_CHECK_ERR(lofti_store_begin(&world.store), LOFT_EPOISONED);
    LOFT_CHECK_EQ_UINT(world.store.state, LOFTI_STORE_POISONED);
    world_check(&world);
    world_check_image(&world);
    world_end(&world);
}

/* --- Pages in place -------------------------------------------------------------------------------------- */

/* Without the second chunk. */
static void commit_below(uint64_t first, uint64_t end, uint64_t stamp)
{
    const uint64_t frontier = world.frontier;
    world.frontier = LOFTI_HEAP_OFF + LOFTI_CHUNK_BYTES;
    world_commit_range(&world, first, end, stamp);
    world.frontier = frontier;
}

/* A first chunk that is committed; the second is new. */
static void begin_bulk(void)
{
    world_begin(&world, false);
    world_open(&world);
    commit_below(0, 10, 0x300);
}

/* What lies behind the frontier is nobody's: only who opens for change, or commits, takes it away. */
static void check_recovers(void)
{
    static store_world other;
    other.memory = world.memory;
    other.fault = world.fault;
    world_copy(&world, "/other");
    LOFT_CHECK_OK(world_open_at(&other, "/other", true));
    LOFT_CHECK_OK(lofti_store_recover(&other.store));
    LOFT_CHECK_EQ_UINT(other.store.sequence, world.store.sequence);
    LOFT_CHECK_TRUE(world_matches(&other, world.committed));
    world_close(&other);
    LOFT_CHECK_EQ_INT(lofti_file_unlink(world_ops(&world), "/other"), 0);
}

static void check_clears(void)
{
    uint64_t wanted[WORLD_PAGES];
    LOFT_CHECK_GT_UINT(world_heal(&world), 0);
    check_recovers();
    memcpy(wanted, world.working, sizeof wanted);
    world_drop(&world);
    world_set(&world, 7, 0x111); /* its frontier covers all that was left */
    LOFT_CHECK_OK(world_commit(&world));
    world_check(&world);
    world_check_image(&world);
    memcpy(world.working, wanted, sizeof wanted);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_check(&world);
    world_check_image(&world);
    world_end(&world);
}

static void fail_bulk(enum fault_action action, unsigned kinds, uint64_t first, int error)
{
    world_fail(&world, action, kinds, first, 1, error);
    const int code = world_commit_bulk(&world, SELDOM_NEW, 100);
    LOFT_CHECK_TRUE(code == LOFT_EIO || code == LOFT_ENOSPC);
    LOFT_CHECK_EQ_UINT(world_heal(&world), 1);
    LOFT_CHECK_NE_UINT(world.store.dirt_end, 0);
}

LOFT_TEST(seldom, pages_in_place_come_first_in_a_new_handle)
{
    for (uint64_t nth = 1; nth <= 3; nth++) { /* superblock, pages, frame */
        begin_bulk();
        LOFT_CHECK_OK(
            lofti_store_checkpoint(&world.store)); /* else recovery renews the superblock */
        world_close(&world);
        world_open(&world);
        world_set_range(&world, SELDOM_NEW, SELDOM_NEW + 100, 0x500);
        world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PWRITE), nth, 1, EIO);
        LOFT_CHECK_ERR(world_commit_bulk(&world, SELDOM_NEW, 100), LOFT_EIO);
        check_clears();
    }
}

/* Two stretches of them, and the first cannot be taken away. */
LOFT_TEST(seldom, clearing_stops_at_the_first_failure)
{
    begin_bulk();
    world_set_range(&world, SELDOM_NEW, SELDOM_NEW + 4, 0x500);
    world_set_range(&world, SELDOM_NEW + 60, SELDOM_NEW + 64, 0x500);
    fail_bulk(FAULT_FAIL, FAULT_MASK(FAULT_PWRITE), 3, ENOSPC);
    const uint64_t punches = fault_fs_calls(world.fault, FAULT_PUNCH);
    world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PUNCH), 1, 1, EIO);
    LOFT_CHECK_ERR(world_commit_bulk(&world, SELDOM_NEW, 100), LOFT_EIO);
    LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_PUNCH), punches + 1);
    check_clears();
}

/* Neither holes nor their places: the whole chunk is to be written with zeros, which fails at once. */
LOFT_TEST(seldom, clearing_by_zeros_stops_at_the_first_failure)
{
    begin_bulk();
    world_set_range(&world, SELDOM_NEW, SELDOM_NEW + 4, 0x500);
    fail_bulk(FAULT_PART_FAIL, FAULT_MASK(FAULT_PWRITE), 1, ENOSPC);
    const uint64_t writes = fault_fs_calls(world.fault, FAULT_PWRITE);
    world_fail(&world, FAULT_FAIL,
               FAULT_MASK(FAULT_PUNCH) | FAULT_MASK(FAULT_SEEK) | FAULT_MASK(FAULT_PWRITE), 1,
               UINT64_MAX, EOPNOTSUPP);
    LOFT_CHECK_ERR(world_commit_bulk(&world, SELDOM_NEW, 100), LOFT_ENOTSUP);
    LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_PWRITE), writes + 1);
    check_clears();
}

/* Somebody else's bytes behind what the failed commit left stay where they are until the file is opened. */
LOFT_TEST(seldom, clearing_ends_where_the_commit_could_have_written)
{
    const uint8_t stray = 0x77;
    uint8_t got = 0;
    begin_bulk();
    world_set_range(&world, SELDOM_NEW, SELDOM_NEW + 4, 0x500);
    fail_bulk(FAULT_FAIL, FAULT_MASK(FAULT_PWRITE), 1, ENOSPC); /* before any page is written */
    const uint64_t off = world.store.dirt_end + LOFTI_CHUNK_BYTES;
    world_write_file(&world, off, &stray, 1);
    LOFT_CHECK_OK(world_commit(&world));
    world_read_file(&world, off, &got, 1);
    LOFT_CHECK_EQ_UINT(got, stray);
    world_check_image(&world);
    world_close(&world);
    world_open(&world);
    LOFT_CHECK_LE_UINT(world_file_bytes(&world), off);
    world_check(&world);
    world_end(&world);
}

/* The failed commit's frame may be on the device. Then a checkpoint fails twice: at its seal, and at its superblock. */
LOFT_TEST(seldom, a_checkpoint_fails_between_a_failed_commit_and_its_clearing)
{
    begin_bulk();
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    commit_below(2, 3, 0x301); /* a delta: to be sealed */
    world_set_range(&world, SELDOM_NEW, SELDOM_NEW + 40, 0x500);
    fail_bulk(FAULT_LATE_FAIL, FAULT_MASK(FAULT_PWRITE), 2, EIO);
    LOFT_CHECK_TRUE(world.store.dirt_framed);
    world_fail(&world, FAULT_PART_FAIL, FAULT_MASK(FAULT_PWRITE), 1, 1, ENOSPC);
    LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPENDING);
    LOFT_CHECK_EQ_UINT(world_heal(&world), 1);
    LOFT_CHECK_TRUE(world.store.dirt_framed);
    check_recovers();
    world_fail(&world, FAULT_LATE_FAIL, FAULT_MASK(FAULT_PWRITE), 3, 1, EIO);
    LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPENDING);
    LOFT_CHECK_EQ_UINT(world_heal(&world), 1);
    LOFT_CHECK_TRUE(world.store.super_stale);
    check_recovers();
    world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PWRITE), 1, 1,
               EIO); /* and so does its renewal */
    LOFT_CHECK_ERR(world_commit(&world), LOFT_EIO);
    check_clears();
}

/* The same, and the seal ends exactly where the journal does: nothing lies behind it that could be broken. */
LOFT_TEST(seldom, a_failed_commit_is_cleared_in_a_journal_that_is_full)
{
    begin_bulk();
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    const uint64_t total = world.store.total_bytes;
    while (world.store.position < total - 2 * WORLD_PAGE_BYTES) {
        commit_below(2, 3, 0x301 + world.store.sequence % 200);
    }
    world_set_range(&world, SELDOM_NEW, SELDOM_NEW + 40, 0x500);
    fail_bulk(FAULT_LATE_FAIL, FAULT_MASK(FAULT_PWRITE), 2, EIO);
    world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PWRITE), 2, 1,
               ENOSPC); /* sealed, not applied */
    LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPENDING);
    LOFT_CHECK_EQ_UINT(world.store.position, total);
    LOFT_CHECK_EQ_UINT(world.store.total_bytes, total);
    LOFT_CHECK_TRUE(world.store.dirt_framed);
    check_clears();
}

/* What a program that died had written in place, and a file longer than anybody says, are taken away at open. */
static bool open_with_leftovers(fault_plan *plan)
{
    const uint8_t stray = 0x77;
    begin_bulk();
    world_set_range(&world, SELDOM_NEW, SELDOM_NEW + 40, 0x500);
    fail_bulk(FAULT_FAIL, FAULT_MASK(FAULT_PWRITE), 2, ENOSPC);
    const uint64_t bytes = world.store.file_bytes;
    world_write_file(&world, bytes + LOFTI_CHUNK_BYTES, &stray, 1);
    world_close(&world);
    world_drop(&world);
    LOFT_CHECK_OK(world_open_at(&world, world.path, true));
    fault_fs_set(world.fault, plan);
    const int code = lofti_store_recover(&world.store);
    const bool struck = world_heal(&world) != 0;
    LOFT_CHECK_TRUE(code == LOFT_OK || (struck && (code == LOFT_EIO || code == LOFT_EPOISONED ||
                                                   code == LOFT_EPENDING)));
    world_close(&world);
    world_open(&world);
    world_check(&world);
    LOFT_CHECK_EQ_UINT(world_file_bytes(&world), bytes);
    LOFT_CHECK_FALSE(lofti_store_has_journal(&world.store));
    LOFT_CHECK_OK(
        world_commit_bulk(&world, SELDOM_NEW, 100)); /* covers them by nothing but zeros */
    world_check(&world);
    world_commit_range(&world, 3, 4, 0x900);
    world_check_image(&world);
    world_end(&world);
    return struck;
}

LOFT_TEST(seldom, what_a_dead_program_left_is_taken_away_at_open)
{
    fault_plan plan = {
        .action = FAULT_FAIL, .kinds = FAULT_MASK_CHANGES, .first = 1, .times = 1, .error = EIO};
    while (open_with_leftovers(&plan)) {
        plan.first++;
    }
    LOFT_CHECK_GT_UINT(plan.first, 6);
}

/* --- Checkpoint and recovery --------------------------------------------------------------------------- */

/* Many pages, and each of them with a newest record that is a delta. */
static void begin_deltas(void)
{
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, SELDOM_MANY, 0x300);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_commit_range(&world, 0, SELDOM_MANY, 0x301);
}

LOFT_TEST(seldom, a_checkpoint_of_several_frames_fails_at_every_write)
{
    for (uint64_t nth = 1; nth <= 5; nth++) { /* two frames, two stretches of pages, superblock */
        begin_deltas();
        world_fail(&world, FAULT_PART_FAIL, FAULT_MASK(FAULT_PWRITE), nth, 1, ENOSPC);
        LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPENDING);
        LOFT_CHECK_TRUE(lofti_store_has_journal(&world.store));
        check_goes_on();
    }
}

LOFT_TEST(seldom, recovery_of_several_frames_fails_at_every_write)
{
    begin_deltas();
    for (uint64_t nth = 1; nth <= 4; nth++) { /* superblock, two frames, superblock */
        world_close(&world);
        LOFT_CHECK_OK(world_open_at(&world, world.path, true));
        world_fail(&world, FAULT_PART_FAIL, FAULT_MASK(FAULT_PWRITE), nth, 1, ENOSPC);
        LOFT_CHECK_ERR(lofti_store_recover(&world.store), LOFT_ENOSPC);
        LOFT_CHECK_EQ_UINT(world_heal(&world), 1);
        world_check(&world);
        world_check_image(&world);
    }
    world_close(&world);
    world_open(&world);
    LOFT_CHECK_FALSE(lofti_store_has_journal(&world.store));
    world_check(&world);
    world_end(&world);
}

LOFT_TEST(seldom, neither_checkpoint_nor_recovery_without_random_numbers)
{
    begin_deltas();
    const uint64_t salt = world.store.super.salt;
    random_fails = true;
    LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPENDING);
    random_fails = false;
    LOFT_CHECK_EQ_UINT(world.store.super.salt, salt);
    world_check_image(&world);
    world_commit_range(&world, 5, 9, 0x302);
    world_close(&world);
    LOFT_CHECK_OK(world_open_at(&world, world.path, true));
    random_fails = true;
    LOFT_CHECK_EQ_INT(lofti_store_recover(&world.store), LOFT_ENOTSUP);
    random_fails = false;
    world_check(&world);
    world_check_image(&world);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    LOFT_CHECK_NE_UINT(world.store.super.salt, salt);
    world_check_image(&world);
    world_end(&world);
}

/* A checkpoint made the file long enough and failed; the next one cannot be sure of that length, and fails setting it. */
LOFT_TEST(seldom, the_length_of_the_file_is_set_again_and_that_fails)
{
    for (uint64_t nth = 1; nth <= 2; nth++) {
        world_begin(&world, false);
        world_open(&world);
        world_commit_range(&world, 0, 5, 0x300);
        world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PWRITE), 1, 1, ENOSPC); /* the pages */
        LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPENDING);
        const uint64_t bytes = world_file_bytes(&world);
        LOFT_CHECK_EQ_UINT(bytes, world.store.file_bytes);
        world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_RESIZE), nth, 1, EIO);
        LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPENDING);
        LOFT_CHECK_GE_UINT(world_file_bytes(&world), bytes);
        check_goes_on();
    }
}
