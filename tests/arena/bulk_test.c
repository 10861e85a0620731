/* Bulk loads: many new pages go to their own places, and what is seen from outside is what any commit gives. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "arena/arena_world.h"
#include "arena/oracle.h"
#include "support/fault_fs.h"

enum { BULK_BLOCK_BYTES = 24 << 20 }; /* several chunks; far above what makes a commit bulk */

static char *bulk_fill(loft_arena *arena, int seed)
{
    uint32_t *block = loft_arena_malloc(arena, BULK_BLOCK_BYTES);
    LOFT_CHECK_TRUE(block != NULL);
    for (uint32_t i = 0; i < BULK_BLOCK_BYTES / 4; i++) {
        block[i] = (i >> 10) % 5 == 4
                       ? 0
                       : i * 0x9e3779b1u + (uint32_t)seed; /* every fifth page is zeros */
    }
    LOFT_CHECK_OK(loft_arena_set_root(arena, "bulk", block));
    return (char *)block;
}

static void bulk_check(const loft_arena *arena, int seed)
{
    const uint32_t *block = loft_arena_root(arena, "bulk");
    LOFT_CHECK_TRUE(block != NULL);
    uint64_t wrong = 0;
    for (uint32_t i = 0; i < BULK_BLOCK_BYTES / 4; i++) {
        wrong += block[i] != ((i >> 10) % 5 == 4 ? 0 : i * 0x9e3779b1u + (uint32_t)seed);
    }
    LOFT_CHECK_EQ_UINT(wrong, 0);
}

static void reopen_and_check(int seed)
{
    loft_arena *arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    bulk_check(arena, seed);
    check_arena(arena);
    close_arena(arena);
}

static loft_arena_statistics stats_of(const loft_arena *arena)
{
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    return stats;
}

static void load_once(const char *tracker)
{
    oracle_force(tracker);
    loft_arena *arena = new_arena("arena");
    char *block = bulk_fill(arena, 1);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    /* Not through the journal. */
    LOFT_CHECK_TRUE(stats_of(arena).committed_bytes < (uint64_t)1 << 20);
    LOFT_CHECK_TRUE(stats_of(arena).committed_pages >= BULK_BLOCK_BYTES / 5 * 4 / LOFTI_PAGE_BYTES);
    /* The same pages again, as any others. */
    block[100] ^= 1;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    block[100] ^= 1;
    block[BULK_BLOCK_BYTES / 2] ^= 1;
    LOFT_CHECK_OK(loft_arena_rollback(arena));
    block[100] ^= 1;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    bulk_check(arena, 1);
    abandon_arena(arena);
    reopen_and_check(1);
}

LOFT_TEST(bulk, wp_async_loads) { load_once("wp_async"); }
LOFT_TEST(bulk, private_loads) { load_once("private"); }

/* What was loaded and committed goes back to the file at the checkpoint that the load makes due. */
LOFT_TEST(bulk, memory_is_given_back)
{
    if (lofti_dirty_ops_current() == NULL) {
        LOFT_SKIP("this system, or emulator, does not tell which pages are private");
    }
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    loft_arena *arena = NULL;
    options.journal_limit_bytes = BULK_BLOCK_BYTES / 2;
    LOFT_CHECK_OK(loft_arena_open(loft_test_tmp_path("arena"), LOFT_CREATE, &options, &arena));
    const char *block = bulk_fill(arena, 3);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    const uint64_t off = loft_offset(arena, block) + LOFTI_CHUNK_BYTES;
    LOFT_CHECK_TRUE(!lofti_track_private(arena, off / LOFTI_CHUNK_BYTES * LOFTI_CHUNK_BYTES,
                                         2 * LOFTI_CHUNK_BYTES));
    bulk_check(arena, 3);
    close_arena(arena);
    reopen_and_check(3);
}

/* A commit that does not wait never writes in place; nor does the durable one that follows lose it. */
LOFT_TEST(bulk, unflushed_commits_are_journaled)
{
    loft_arena *arena = new_arena("arena");
    (void)bulk_fill(arena, 5);
    LOFT_CHECK_OK(loft_arena_commit_async(arena, NULL));
    LOFT_CHECK_TRUE(stats_of(arena).committed_bytes > BULK_BLOCK_BYTES / 2);
    (void)bulk_fill(arena, 6);
    const uint64_t before = stats_of(arena).committed_bytes;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_TRUE(stats_of(arena).committed_bytes - before < (uint64_t)1 << 20);
    abandon_arena(arena);
    reopen_and_check(6);
}

/* --- The device's part ---------------------------------------------------------------------------- */

static atomic_ullong handed_bytes;

static int count_handed(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    (void)ops;
    (void)handle;
    LOFT_CHECK_TRUE(off >= LOFTI_HEAP_OFF);
    atomic_fetch_add(&handed_bytes, bytes);
    return 0;
}

typedef struct other_thread {
    loft_arena *arena;
    pthread_barrier_t entered, done;
} other_thread;

static void *enter_once(void *context)
{
    other_thread *other = context;
    loft_arena_enter(other->arena);
    loft_arena_leave(other->arena);
    (void)pthread_barrier_wait(&other->entered);
    (void)pthread_barrier_wait(&other->done);
    return NULL;
}

static uint64_t handed_by_a_load(loft_arena *arena)
{
    atomic_store(&handed_bytes, 0);
    (void)bulk_fill(arena, 1);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    return atomic_load(&handed_bytes);
}

/* The device begins while a load is still being written, unless threads would wait for it at the gate. */
LOFT_TEST(bulk, is_handed_to_the_device_early_unless_others_would_wait)
{
    enum { LEFT_OVER_BYTES = 9 << 20 }; /* less than a window, and what the journal took */
    static lofti_file_ops counting;
    counting = *lofti_file_ops_system();
    counting.write_back = count_handed;
    lofti_file_ops_set(&counting);
    other_thread other = {.arena = new_arena("arena")};
    LOFT_CHECK_GT_UINT(handed_by_a_load(other.arena), BULK_BLOCK_BYTES - LEFT_OVER_BYTES);
    loft_arena_enter(other.arena); /* the thread that commits is no other */
    loft_arena_leave(other.arena);
    LOFT_CHECK_GT_UINT(handed_by_a_load(other.arena), BULK_BLOCK_BYTES - LEFT_OVER_BYTES);
    pthread_t thread;
    LOFT_CHECK_EQ_INT(pthread_barrier_init(&other.entered, NULL, 2), 0);
    LOFT_CHECK_EQ_INT(pthread_barrier_init(&other.done, NULL, 2), 0);
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, enter_once, &other), 0);
    (void)pthread_barrier_wait(&other.entered);
    LOFT_CHECK_EQ_UINT(handed_by_a_load(other.arena), 0);
    (void)pthread_barrier_wait(&other.done);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    LOFT_CHECK_GT_UINT(handed_by_a_load(other.arena), BULK_BLOCK_BYTES - LEFT_OVER_BYTES);
    close_arena(other.arena);
    lofti_file_ops_set(NULL);
    reopen_and_check(1);
}

/* --- Failures ---------------------------------------------------------------------------------------- */

/* The disk fills in the middle of a load. The memory stays, and either way on is right. */
static void fail_half_way(bool roll_back)
{
    fault_fs *fault = fault_fs_create(lofti_file_ops_system());
    LOFT_CHECK_TRUE(fault != NULL);
    lofti_file_ops_set(fault_fs_ops(fault));
    loft_arena *arena = new_arena("arena");
    (void)bulk_fill(arena, 7);
    const fault_plan plan = {.action = FAULT_PART_FAIL,
                             .kinds = FAULT_MASK(FAULT_PWRITE),
                             .first = 2,
                             .times = 1,
                             .error = ENOSPC};
    fault_fs_set(fault, &plan);
    LOFT_CHECK_EQ_INT(loft_arena_commit(arena), LOFT_ENOSPC);
    fault_fs_set(fault, NULL);
    if (roll_back) {
        LOFT_CHECK_OK(loft_arena_rollback(arena));
        /* The same place, and hardly a page of it: the rest must be zeros, not what the failure left. */
        char *block = loft_arena_calloc(arena, 1, BULK_BLOCK_BYTES);
        LOFT_CHECK_TRUE(block != NULL);
        block[BULK_BLOCK_BYTES - 1] = 1;
        LOFT_CHECK_OK(loft_arena_set_root(arena, "sparse", block));
        LOFT_CHECK_OK(loft_arena_commit(arena));
    } else {
        LOFT_CHECK_OK(loft_arena_commit(arena));
    }
    abandon_arena(arena);
    lofti_file_ops_set(NULL);
    fault_fs_destroy(fault);
    if (!roll_back) {
        reopen_and_check(7);
        return;
    }
    arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    const char *block = loft_arena_root(arena, "sparse");
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < BULK_BLOCK_BYTES; i++) {
        wrong += block[i] != (i == BULK_BLOCK_BYTES - 1);
    }
    LOFT_CHECK_EQ_UINT(wrong, 0);
    close_arena(arena);
}

LOFT_TEST(bulk, disk_full_half_way_then_again) { fail_half_way(false); }
LOFT_TEST(bulk, disk_full_half_way_then_rollback) { fail_half_way(true); }

/* What a load that was never committed left in the file is not there after the next open. */
LOFT_TEST(bulk, leftovers_are_cut_off)
{
    loft_arena *arena = new_arena("arena");
    list_push(arena, 1, 100);
    close_arena(arena);
    const char *path = loft_test_tmp_path("arena");
    const uint64_t bytes = file_bytes(path);
    const char stray[] = "stray";
    file_patch(path, bytes + (5 << 20), stray, sizeof stray);
    arena = open_arena(path, LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(file_bytes(path), bytes);
    (void)bulk_fill(arena, 9);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    abandon_arena(arena);
    reopen_and_check(9);
}
