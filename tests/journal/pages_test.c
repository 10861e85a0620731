/* Neighbouring pages logged and read together, and the windows through which records are read. */
#include <errno.h>

#include "journal/store_world.h"
#include "loft/error.h"

enum { RUN_MAX = 40 }; /* more than the base images that are read at once */

static store_world world;

static void begin(void)
{
    world_begin(&world, false);
    world_open(&world);
}

/* Every run of pages that changed goes in at once. */
static int commit_runs(void)
{
    static uint8_t pages[RUN_MAX][WORLD_PAGE_BYTES];
    int code = lofti_store_begin(&world.store);
    for (uint64_t at = 0; at < WORLD_PAGES && code == LOFT_OK;) {
        uint64_t count = 0;
        while (count < RUN_MAX && at + count < WORLD_PAGES &&
               world.working[at + count] != world.committed[at + count]) {
            world_content(at + count, world.working[at + count], pages[count]);
            count++;
        }
        if (count > 0) {
            code = lofti_store_pages(&world.store, WORLD_FIRST_PAGE + at, pages, count);
        }
        at += count + 1;
        if (count == RUN_MAX) {
            at--;
        }
    }
    if (code == LOFT_OK) {
        code = lofti_store_commit(&world.store, world.frontier);
    }
    if (code == LOFT_OK) {
        memcpy(world.committed, world.working, sizeof world.committed);
    }
    lofti_store_verify(&world.store);
    LOFT_CHECK_NE_INT(world.store.state, LOFTI_STORE_OPEN);
    return code;
}

static void check_runs(uint64_t run)
{
    static uint8_t pages[RUN_MAX][WORLD_PAGE_BYTES];
    uint8_t content[WORLD_PAGE_BYTES];
    for (uint64_t at = 0; at + run <= WORLD_PAGES; at += run) {
        LOFT_CHECK_OK(lofti_store_read_pages(&world.store, WORLD_FIRST_PAGE + at, pages, run));
        for (uint64_t i = 0; i < run; i++) {
            world_content(at + i, world.committed[at + i], content);
            LOFT_CHECK_EQ_INT(memcmp(pages[i], content, sizeof content), 0);
        }
    }
}

LOFT_TEST(store_pages, random_runs_are_what_single_pages_are)
{
    loft_test_random random = {loft_test_seed()};
    const uint64_t rounds = loft_test_scale(60, 300, 5000);
    begin();
    for (uint64_t round = 0; round < rounds; round++) {
        for (uint64_t i = loft_test_random_below(&random, 12); i-- > 0;) {
            const uint64_t first = loft_test_random_below(&random, WORLD_PAGES - 100);
            const uint64_t pages = 1 + loft_test_random_below(&random, 100);
            /* Whole pages seldom: mostly a few bytes, and so deltas. */
            const uint64_t pattern = loft_test_random_below(&random, 8) == 0 ? round : 1;
            world_set_range(&world, first, first + pages,
                            pattern << 8 | loft_test_random_below(&random, 200));
        }
        LOFT_CHECK_OK(commit_runs());
        if (loft_test_random_below(&random, 10) == 0) {
            LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        }
        if (loft_test_random_below(&random, 10) == 0) {
            world_close(&world);
            world_open(&world);
        }
        check_runs(1 + loft_test_random_below(&random, RUN_MAX));
        world_check(&world);
    }
    world_check_image(&world);
    world_end(&world);
}

/* A window that was filled to where the journal ended holds what the next commit writes over. */
LOFT_TEST(store_pages, a_window_does_not_outlive_what_it_holds)
{
    begin();
    for (uint64_t round = 1; round < 40; round++) {
        world_set_range(&world, round * 7, round * 7 + 20, 0x100 + round);
        LOFT_CHECK_OK(commit_runs());
        check_runs(1);
        check_runs(16);
        if (round % 13 == 0) {
            LOFT_CHECK_OK(lofti_store_checkpoint(&world.store)); /* the same positions again */
            check_runs(1);
        }
    }
    world_check_image(&world);
    world_end(&world);
}

/* Records of several commits by turns, more of them than there are windows, and farther apart than one. */
LOFT_TEST(store_pages, streams_that_take_turns)
{
    begin();
    world_set_range(&world, 0, WORLD_PAGES, 0x100);
    LOFT_CHECK_OK(commit_runs());
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    for (uint64_t commit = 0; commit < 2 * LOFTI_STORE_WINDOWS; commit++) {
        for (uint64_t i = commit; i < WORLD_PAGES; i += 2 * LOFTI_STORE_WINDOWS) {
            world_set(&world, i, 0x101 + commit + i % 8 * 256);
        }
        LOFT_CHECK_OK(commit_runs());
    }
    check_runs(1);
    check_runs(RUN_MAX);
    world_end(&world);
}

LOFT_TEST(store_pages, base_images_that_cannot_be_read_end_the_commit)
{
    begin();
    world_set_range(&world, 10, 30, 0x100);
    LOFT_CHECK_OK(commit_runs());
    world_set_range(&world, 10, 30, 0x101);
    world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PREAD), 1, 1, EIO);
    LOFT_CHECK_ERR(commit_runs(), LOFT_EIO);
    LOFT_CHECK_EQ_UINT(world_heal(&world), 1);
    check_runs(8);
    LOFT_CHECK_OK(commit_runs());
    check_runs(8);
    world_check_image(&world);
    world_end(&world);
}

LOFT_TEST(store_pages, what_cannot_be_read_is_told_and_read_the_next_time)
{
    static uint8_t pages[16][WORLD_PAGE_BYTES];
    for (uint64_t nth = 1; nth <= 4; nth++) { /* base images, the first record alone, windows */
        begin();
        world_set_range(&world, 0, WORLD_PAGES, 0x100);
        LOFT_CHECK_OK(commit_runs());
        LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        world_set_range(&world, 0, WORLD_PAGES, 0x101);
        LOFT_CHECK_OK(commit_runs());
        world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PREAD), nth, 1, EIO);
        int code = LOFT_OK;
        for (uint64_t at = 0; at < WORLD_PAGES && code == LOFT_OK; at += 16) {
            code = lofti_store_read_pages(&world.store, WORLD_FIRST_PAGE + at, pages, 16);
        }
        LOFT_CHECK_ERR(code, LOFT_EIO);
        LOFT_CHECK_EQ_UINT(world_heal(&world), 1);
        check_runs(16);
        world_end(&world);
    }
}
