/* The trackers: no page is missed (oracle.h), and what happens when a store escapes one for a reason that random
 * programs do not meet. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "arena/arena.h"
#include "arena/arena_world.h"
#include "arena/oracle.h"
#include "os/map.h"
#include "support/fault_fs.h"

static uint64_t commits(void) { return loft_test_scale(10000, 500000, 5000000); }

LOFT_TEST(track, wp_async_misses_no_page) { oracle_run("wp_async", commits(), loft_test_seed()); }
LOFT_TEST(track, private_misses_no_page) { oracle_run("private", commits(), loft_test_seed()); }

static void force(const char *tracker)
{
    if (strcmp(tracker, "wp_async") == 0 && !lofti_watch_works()) {
        LOFT_SKIP("this kernel, or a sandbox, has no asynchronous write protection");
    }
    LOFT_CHECK_SYS(setenv("LOFT_TRACKER", tracker, 1));
}

/* Commits, dies, opens again: the block at root "block" is full of `want`. */
static void check_committed(loft_arena *arena, size_t bytes, int want)
{
    const char *path = loft_test_tmp_path("arena");
    LOFT_CHECK_OK(loft_arena_commit(arena));
    abandon_arena(arena);
    arena = open_arena(path, LOFT_WRITE);
    const char *block = loft_arena_root(arena, "block");
    LOFT_CHECK_NOT_NULL(block);
    for (size_t i = 0; i < bytes; i++) {
        if (block[i] != (char)want) {
            LOFT_FAIL("byte %zu is %d", i, block[i]);
        }
    }
    close_arena(arena);
}

enum { LARGE_BYTES = 9 << 20 };

static char *fill_large(loft_arena *arena, int value)
{
    char *block = loft_arena_malloc(arena, LARGE_BYTES);
    LOFT_CHECK_NOT_NULL(block);
    memset(block, value, LARGE_BYTES);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "block", block));
    return block;
}

/* A commit fails after it has noted the pages of new chunks, the chunks are given back, and the program does
 * exactly the same again: its pages look as they were noted, but were never committed. */
static void fail_and_repeat(const char *tracker)
{
    force(tracker);
    loft_arena *arena = new_arena("arena");
    fault_fs *fault = fault_fs_create(lofti_file_ops_system());
    const lofti_file_ops *own = arena->store.file.ops;
    const fault_plan plan = {.action = FAULT_FAIL,
                             .kinds = FAULT_MASK(FAULT_PWRITE),
                             .first = 5,
                             .times = 1,
                             .error = ENOSPC};
    (void)fill_large(arena, 'x');
    arena->store.file.ops = fault_fs_ops(fault);
    fault_fs_set(fault, &plan);
    LOFT_CHECK_ERR(loft_arena_commit(arena), LOFT_ENOSPC);
    arena->store.file.ops = own;
    LOFT_CHECK_OK(loft_arena_rollback(arena));
    LOFT_CHECK_NULL(loft_arena_root(arena, "block"));
    (void)fill_large(arena, 'x');
    check_committed(arena, LARGE_BYTES, 'x');
    fault_fs_destroy(fault);
}

LOFT_TEST(track, wp_async_after_failure_and_rollback) { fail_and_repeat("wp_async"); }
LOFT_TEST(track, private_after_failure_and_rollback) { fail_and_repeat("private"); }

static void commit_filled(loft_arena *arena, char *block, int value)
{
    memset(block, value, LARGE_BYTES);
    LOFT_CHECK_OK(loft_arena_commit(arena));
}

/* As daemons do that close every descriptor they do not know. */
LOFT_TEST(track, a_watch_whose_descriptor_somebody_closed)
{
    force("wp_async");
    loft_arena *arena = new_arena("arena");
    char *block = fill_large(arena, 1);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    commit_filled(arena, block, 2);
    LOFT_CHECK_SYS(close((int)arena->watch.handle));
    commit_filled(arena, block, 3);
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    memset(block, 4, LARGE_BYTES);
    check_committed(arena, LARGE_BYTES, 4);
}

/* The ranges go back to the file, and the advice that comes after mapping is refused: their watch is gone all
 * the same. */
static lofti_map_ops refusing;
static bool refuse;

static int refuse_advice(void *at, size_t bytes, int advice)
{
    return refuse && advice == LOFTI_ADVICE_DONTFORK
               ? -ENOMEM
               : lofti_map_ops_system()->advise(at, bytes, advice);
}

static void lose_advice(const char *tracker)
{
    force(tracker);
    loft_arena *arena = new_arena("arena");
    char *block = fill_large(arena, 1);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    refusing = *lofti_map_ops_system();
    refusing.advise = refuse_advice;
    lofti_map_ops_set(&refusing);
    refuse = true;
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    refuse = false;
    commit_filled(arena, block, 2);
    memset(block, 3, LARGE_BYTES);
    check_committed(arena, LARGE_BYTES, 3);
    lofti_map_ops_set(NULL);
}

LOFT_TEST(track, wp_async_when_advice_is_refused) { lose_advice("wp_async"); }
LOFT_TEST(track, private_when_advice_is_refused) { lose_advice("private"); }

LOFT_TEST(track, the_environment_chooses)
{
    loft_arena_info info = {.struct_bytes = sizeof info};
    force("private");
    loft_arena *arena = new_arena("arena");
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_EQ_UINT(info.tracker, LOFT_TRACKER_PRIVATE);
    close_arena(arena);
    LOFT_CHECK_SYS(setenv("LOFT_TRACKER", "guess", 1));
    open_must_fail(loft_test_tmp_path("arena"), LOFT_WRITE, NULL, LOFT_EINVAL, "LOFT_TRACKER");
    force("wp_async");
    arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_EQ_UINT(info.tracker, LOFT_TRACKER_WP_ASYNC);
    close_arena(arena);
}
