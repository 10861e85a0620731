/* The store: commits, deltas, checkpoints, recovery, growth of the journal. */
#include "journal/store_world.h"

#include "base/arith.h"
#include "loft/error.h"

static store_world world;

/* Writes and flushes since the last call. */
static uint64_t writes_seen, flushes_seen;

static void count(uint64_t writes, uint64_t flushes)
{
    const uint64_t all_writes = fault_fs_calls(world.fault, FAULT_PWRITE);
    const uint64_t all_flushes = fault_fs_calls(world.fault, FAULT_SYNC);
    LOFT_CHECK_EQ_UINT(all_writes - writes_seen, writes);
    LOFT_CHECK_EQ_UINT(all_flushes - flushes_seen, flushes);
    writes_seen = all_writes;
    flushes_seen = all_flushes;
}

static void count_reset(void)
{
    writes_seen = fault_fs_calls(world.fault, FAULT_PWRITE);
    flushes_seen = fault_fs_calls(world.fault, FAULT_SYNC);
}

LOFT_TEST(store, a_new_one_is_empty)
{
    world_begin(&world, false);
    LOFT_CHECK_EQ_UINT(world_file_bytes(&world), LOFTI_CHUNK_BYTES);
    LOFT_CHECK_OK(world_open_at(&world, world.path, true));
    LOFT_CHECK_EQ_UINT(world.store.state, LOFTI_STORE_IDLE);
    LOFT_CHECK_EQ_UINT(world.store.sequence, 0);
    LOFT_CHECK_EQ_UINT(world.store.super.base, WORLD_BASE);
    LOFT_CHECK_FALSE(lofti_store_has_journal(&world.store));
    LOFT_CHECK_EQ_UINT(lofti_store_journal_bytes(&world.store), 0);
    count_reset();
    LOFT_CHECK_OK(lofti_store_recover(&world.store));    /* nothing to do, nothing written */
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store)); /* the same */
    count(0, 0);
    world_check(&world);
    world_end(&world);
}

LOFT_TEST(store, a_small_commit_is_one_write_and_one_flush)
{
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, 3, 0x101);
    count_reset();
    LOFT_CHECK_OK(world_commit(&world));
    count(2, 2); /* the first of a handle renews the superblock (S3) */
    for (uint64_t i = 0; i < 5; i++) {
        world_set(&world, 3 + i, 0x102 + i);
        LOFT_CHECK_OK(world_commit(&world));
        count(1, 1);
        LOFT_CHECK_EQ_UINT(world.store.sequence, i + 2);
    }
    world_check(&world);
    world_check_image(&world);
    LOFT_CHECK_EQ_UINT(world.store.commit_count, 6);
    world_end(&world);
}

LOFT_TEST(store, a_commit_of_nothing_writes_nothing)
{
    world_begin(&world, false);
    world_open(&world);
    count_reset();
    LOFT_CHECK_OK(world_commit_with(&world, 0, 50)); /* touched, still zeros */
    count(0, 0);
    world_set(&world, 3, 0x101);
    LOFT_CHECK_OK(world_commit(&world));
    count_reset();
    LOFT_CHECK_OK(world_commit_with(&world, 0, 50)); /* page 3 as in the journal */
    count(0, 0);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    count_reset();
    LOFT_CHECK_OK(world_commit_with(&world, 0, 50)); /* page 3 as in the file */
    count(0, 0);
    LOFT_CHECK_EQ_UINT(world.store.sequence, 1);
    LOFT_CHECK_EQ_UINT(world.store.commit_count, 1);
    world_end(&world);
}

LOFT_TEST(store, small_changes_are_logged_as_deltas)
{
    world_begin(&world, false);
    world_open(&world);
    for (uint64_t i = 0; i < 100; i++) {
        world_set(&world, i, 0x70001);
    }
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_GT_UINT(lofti_store_journal_bytes(&world.store), 100 * WORLD_PAGE_BYTES);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    for (uint64_t i = 0; i < 70; i++) {
        world_set(&world, i, 0x70002);
    }
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_EQ_UINT(lofti_store_journal_bytes(&world.store), WORLD_PAGE_BYTES);
    world_check(&world);
    world_check_image(&world);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store)); /* deltas are sealed first */
    world_check(&world);
    world_check_image(&world);
    world_end(&world);
}

/* C2: a page that came back to its base image is logged all the same. */
LOFT_TEST(store, what_was_undone_does_not_rise_again)
{
    const uint64_t pairs[][2] = {{0, 0x101}, {0x101, 0}, {0x101, 0x102}, {0x101, 0x201}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        world_begin(&world, false);
        world_open(&world);
        world_set(&world, 9, 0x333); /* something that stays */
        world_set(&world, 7, pairs[i][0]);
        LOFT_CHECK_OK(world_commit(&world));
        LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        for (int round = 0; round < 3; round++) {
            world_set(&world, 7, pairs[i][1]);
            LOFT_CHECK_OK(world_commit(&world));
            world_check_image(&world);
            world_set(&world, 7, pairs[i][0]);
            LOFT_CHECK_OK(world_commit(&world));
            world_check(&world);
            world_check_image(&world);
        }
        LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        world_check_image(&world);
        world_end(&world);
    }
}

LOFT_TEST(store, a_cancelled_commit_leaves_no_trace)
{
    uint8_t content[WORLD_PAGE_BYTES];
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, 1, 0x101);
    LOFT_CHECK_OK(world_commit(&world));
    count_reset();
    LOFT_CHECK_OK(lofti_store_begin(&world.store));
    world_content(1, 0x102, content);
    LOFT_CHECK_OK(lofti_store_page(&world.store, WORLD_FIRST_PAGE + 1, content));
    lofti_store_cancel(&world.store);
    count(0, 0);
    world_check(&world);
    world_set(&world, 2, 0x103);
    LOFT_CHECK_OK(world_commit(&world));
    world_check_image(&world);
    LOFT_CHECK_EQ_UINT(world.store.sequence, 2);
    world_end(&world);
}

LOFT_TEST(store, a_commit_of_many_frames_grows_the_journal)
{
    world_begin(&world, false);
    world_open(&world);
    for (uint64_t i = 0; i < WORLD_PAGES; i++) {
        world_set(&world, i, 0x10000 + i * 256);
    }
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_GT_UINT(lofti_store_journal_bytes(&world.store), WORLD_PAGES * WORLD_PAGE_BYTES);
    LOFT_CHECK_EQ_UINT(world.store.super.extent_count, 2);
    LOFT_CHECK_EQ_UINT(world.store.super.extents[1].off,
                       LOFTI_HEAP_OFF + WORLD_CHUNKS * LOFTI_CHUNK_BYTES);
    world_check(&world);
    world_check_image(&world);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_check_image(&world);
    LOFT_CHECK_EQ_UINT(world.store.super.extent_count, 2); /* kept for the next one */
    world_end(&world);
}

/* The heap and the journal take turns in claiming chunks, so that the journal is in many pieces, and
 * commits of all sizes cross the borders between them. */
LOFT_TEST(store, frames_cross_the_borders_of_extents)
{
    loft_test_random random = {loft_test_seed()};
    world_begin(&world, false);
    world_open(&world);
    /* How fast the journal grows depends on the seed: some need a few commits more. */
    for (int i = 0; i < 24 || world.store.super.extent_count <= 3; i++) {
        LOFT_CHECK_TRUE(i < 1000);
        const uint64_t pages = 1 + loft_test_random_below(&random, 400);
        for (uint64_t k = 0; k < pages; k++) {
            world_set(&world, loft_test_random_below(&random, WORLD_PAGES),
                      loft_test_random_next(&random) >> 16);
        }
        LOFT_CHECK_OK(world_commit(&world));
        uint64_t off = 0;
        LOFT_CHECK_OK(lofti_store_claim(&world.store, 1, UINT64_MAX / 2, &off));
        if (i % 4 == 0) {
            world_check_image(&world);
        }
    }
    world_check(&world);
    world_check_image(&world);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_check(&world);
    world_check_image(&world);
    world_end(&world);
}

LOFT_TEST(store, a_checkpoint_brings_the_pages_to_their_places)
{
    uint8_t got[WORLD_PAGE_BYTES];
    uint8_t content[WORLD_PAGE_BYTES];
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, 0, 0x05); /* a delta: it needs sealing */
    world_set(&world, WORLD_PAGES - 1, 0x2202);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_EQ_UINT(world_file_bytes(&world),
                       LOFTI_CHUNK_BYTES); /* commits stay in the journal */
    const uint64_t salt = world.store.super.salt;
    count_reset();
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_SYNC) - flushes_seen, 3);
    LOFT_CHECK_NE_UINT(world.store.super.salt, salt);
    LOFT_CHECK_FALSE(lofti_store_has_journal(&world.store));
    LOFT_CHECK_EQ_UINT(lofti_store_journal_bytes(&world.store), 0);
    LOFT_CHECK_EQ_UINT(world_file_bytes(&world), world.frontier);
    for (uint64_t i = 0; i < WORLD_PAGES; i++) {
        world_content(i, world.committed[i], content);
        world_read_file(&world, (WORLD_FIRST_PAGE + i) * WORLD_PAGE_BYTES, got, sizeof got);
        LOFT_CHECK_EQ_MEM(got, content, sizeof got);
    }
    LOFT_CHECK_EQ_UINT(world.store.checkpoint_count, 1);
    world_end(&world);
}

typedef struct pages_seen {
    uint64_t last, pages;
} pages_seen;

static int see_page(void *context, uint64_t page_idx, const void *page)
{
    pages_seen *seen = context;
    uint8_t content[WORLD_PAGE_BYTES];
    LOFT_CHECK_GT_UINT(page_idx, seen->last);
    seen->last = page_idx;
    seen->pages++;
    world_content(page_idx - WORLD_FIRST_PAGE, world.committed[page_idx - WORLD_FIRST_PAGE],
                  content);
    LOFT_CHECK_EQ_MEM(page, content, sizeof content);
    return LOFT_OK;
}

static int stop_here(void *context, uint64_t page_idx, const void *page)
{
    pages_seen *seen = context;
    (void)page_idx;
    (void)page;
    return ++seen->pages == 3 ? LOFT_ECANCELED : LOFT_OK;
}

LOFT_TEST(store, each_page_gives_the_newest_image_of_every_page_once)
{
    world_begin(&world, false);
    world_open(&world);
    for (uint64_t i = 0; i < 500; i++) {
        world_set(&world, i * 7 % WORLD_PAGES, 0x10100 + i * 256);
        if (i % 100 == 99) {
            LOFT_CHECK_OK(world_commit(&world));
        }
    }
    world_set(&world, 0, 0x10101);
    LOFT_CHECK_OK(world_commit(&world));
    pages_seen seen = {0, 0};
    LOFT_CHECK_OK(lofti_store_each_page(&world.store, see_page, &seen));
    LOFT_CHECK_EQ_UINT(seen.pages, 500);
    seen.pages = 0;
    LOFT_CHECK_EQ_INT(lofti_store_each_page(&world.store, stop_here, &seen), LOFT_ECANCELED);
    LOFT_CHECK_EQ_UINT(seen.pages, 3);
    world_end(&world);
}

LOFT_TEST(store, one_opened_for_reading_cannot_be_changed)
{
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, 4, 0x4404);
    LOFT_CHECK_OK(world_commit(&world));
    world_close(&world);
    count_reset();
    LOFT_CHECK_OK(world_open_at(&world, world.path, false));
    LOFT_CHECK_ERR(lofti_store_begin(&world.store), LOFT_EREADONLY);
    LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EREADONLY);
    LOFT_CHECK_ERR(lofti_store_recover(&world.store), LOFT_EREADONLY);
    LOFT_CHECK_CONTAINS(loft_last_error(), "recover '/store': opened read-only");
    world_check(&world);
    count(0, 0);
    world_end(&world);
}

LOFT_TEST(store, a_frontier_is_kept_and_survives)
{
    world_begin(&world, false);
    world_open(&world);
    world.frontier = LOFTI_HEAP_OFF + LOFTI_CHUNK_BYTES;
    world_set(&world, 1, 0x101);
    LOFT_CHECK_OK(world_commit(&world));
    world.frontier += LOFTI_CHUNK_BYTES;
    world_set(&world, 1, 0x102);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_EQ_UINT(world.store.frontier, world.frontier);
    world_close(&world);
    LOFT_CHECK_OK(world_open_at(&world, world.path, false));
    LOFT_CHECK_EQ_UINT(world.store.frontier, world.frontier);
    world_close(&world);
    world_open(&world);
    LOFT_CHECK_EQ_UINT(world.store.frontier, world.frontier);
    LOFT_CHECK_EQ_UINT(world.store.super.frontier, world.frontier);
    LOFT_CHECK_GE_UINT(world.store.space_end, world.frontier);
    world_end(&world);
}

LOFT_TEST(store, claims_beyond_the_limit_are_refused)
{
    uint64_t off = 77;
    world_begin(&world, false);
    world_open(&world);
    const uint64_t end = world.store.space_end;
    LOFT_CHECK_ERR(lofti_store_claim(&world.store, 1, end, &off), LOFT_ENOMEM);
    LOFT_CHECK_ERR(lofti_store_claim(&world.store, UINT64_MAX, UINT64_MAX, &off), LOFT_ENOMEM);
    LOFT_CHECK_ERR(
        lofti_store_claim(&world.store, UINT64_MAX / LOFTI_CHUNK_BYTES, UINT64_MAX, &off),
        LOFT_ENOMEM);
    LOFT_CHECK_EQ_UINT(off, 77);
    LOFT_CHECK_EQ_UINT(world.store.space_end, end);
    LOFT_CHECK_OK(lofti_store_claim(&world.store, 1, end + LOFTI_CHUNK_BYTES, &off));
    LOFT_CHECK_EQ_UINT(off, end);
    world_end(&world);
}

/* Random commits, checkpoints, reopenings; after each step the file as it stands is a whole store. */
static void random_walk(bool real, uint64_t steps)
{
    loft_test_random random = {loft_test_seed()};
    world_begin(&world, real);
    world_open(&world);
    for (uint64_t i = 0; i < steps; i++) {
        const uint64_t what = loft_test_random_below(&random, 10);
        if (what == 0) {
            LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        } else if (what == 1) {
            world_close(&world);
            world_open(&world);
        } else {
            const uint64_t pages =
                loft_test_random_below(&random, 1u << loft_test_random_below(&random, 8));
            for (uint64_t k = 0; k < pages; k++) {
                world_set(&world, loft_test_random_below(&random, WORLD_PAGES),
                          loft_test_random_below(&random, 8) * 0x123);
            }
            const uint64_t again = loft_test_random_below(&random, WORLD_PAGES);
            LOFT_CHECK_OK(world_commit_with(&world, again, again + 3));
        }
        if (i % 8 == 0) {
            world_check(&world);
            world_check_image(&world);
        }
    }
    world_close(&world);
    world_open(&world);
    world_check(&world);
    world_end(&world);
}

LOFT_TEST(store, a_random_walk_in_memory) { random_walk(false, loft_test_scale(200, 4000, 20000)); }
LOFT_TEST(store, a_random_walk_in_files) { random_walk(true, loft_test_scale(60, 1000, 5000)); }
