/* The trackers: no page is missed (oracle.h), and what happens when a store escapes one for a reason that random
 * programs do not meet. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "arena/arena.h"
#include "arena/arena_world.h"
#include "arena/oracle.h"
#include "os/map.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static uint64_t commits(void) { return loft_test_scale(4000, 100000, 1000000); }
#else
static uint64_t commits(void) { return loft_test_scale(20000, 500000, 5000000); }
#endif

LOFT_TEST(track, wp_async_misses_no_page) { oracle_run("wp_async", commits(), loft_test_seed()); }
LOFT_TEST(track, private_misses_no_page) { oracle_run("private", commits(), loft_test_seed()); }

LOFT_TEST(track, wp_async_after_failure_and_rollback) { oracle_fail_and_repeat("wp_async"); }
LOFT_TEST(track, private_after_failure_and_rollback) { oracle_fail_and_repeat("private"); }

static void commit_filled(loft_arena *arena, char *block, int value)
{
    memset(block, value, ORACLE_LARGE_BYTES);
    LOFT_CHECK_OK(loft_arena_commit(arena));
}

/* As daemons do that close every descriptor they do not know. */
LOFT_TEST(track, a_watch_whose_descriptor_somebody_closed)
{
    oracle_force("wp_async");
    loft_arena *arena = new_arena("arena");
    char *block = oracle_fill_large(arena, 1);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    commit_filled(arena, block, 2);
    LOFT_CHECK_SYS(close((int)arena->watch.handle));
    commit_filled(arena, block, 3);
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    memset(block, 4, ORACLE_LARGE_BYTES);
    oracle_check_committed(arena, ORACLE_LARGE_BYTES, 4);
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
    oracle_force(tracker);
    loft_arena *arena = new_arena("arena");
    char *block = oracle_fill_large(arena, 1);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    refusing = *lofti_map_ops_system();
    refusing.advise = refuse_advice;
    lofti_map_ops_set(&refusing);
    refuse = true;
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    refuse = false;
    commit_filled(arena, block, 2);
    memset(block, 3, ORACLE_LARGE_BYTES);
    oracle_check_committed(arena, ORACLE_LARGE_BYTES, 3);
    lofti_map_ops_set(NULL);
}

LOFT_TEST(track, wp_async_when_advice_is_refused) { lose_advice("wp_async"); }
LOFT_TEST(track, private_when_advice_is_refused) { lose_advice("private"); }

LOFT_TEST(track, the_environment_chooses)
{
    loft_arena_info info = {.struct_bytes = sizeof info};
    oracle_force("private");
    loft_arena *arena = new_arena("arena");
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_EQ_UINT(info.tracker, LOFT_TRACKER_PRIVATE);
    close_arena(arena);
    LOFT_CHECK_SYS(setenv("LOFT_TRACKER", "guess", 1));
    open_must_fail(loft_test_tmp_path("arena"), LOFT_WRITE, NULL, LOFT_EINVAL, "LOFT_TRACKER");
    oracle_force("wp_async");
    arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_EQ_UINT(info.tracker, LOFT_TRACKER_WP_ASYNC);
    close_arena(arena);
}

/* The ranges go back to the file, and the system drops the old mapping before it refuses the new one. */
static void drop_mappings(unsigned times, int want)
{
    loft_arena *arena = new_arena("arena");
    char *block = oracle_fill_large(arena, 1);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    refuse_file_mappings(times);
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    allow_file_mappings();
    if (want == LOFT_OK) {
        LOFT_CHECK_EQ_INT(block[ORACLE_LARGE_BYTES - 1], 1);
        commit_filled(arena, block, 2);
    }
    LOFT_CHECK_EQ_INT(loft_arena_commit(arena), want);
    abandon_arena(arena);
    arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    block = loft_arena_root(arena, "block");
    LOFT_CHECK_NOT_NULL(block);
    LOFT_CHECK_EQ_INT(block[ORACLE_LARGE_BYTES - 1], want == LOFT_OK ? 2 : 1);
    close_arena(arena);
}

LOFT_TEST(track, a_range_that_is_lost_once_is_mapped_again) { drop_mappings(1, LOFT_OK); }
LOFT_TEST(track, a_range_that_stays_lost_is_never_committed) { drop_mappings(2, LOFT_EPOISONED); }
