/* Figures of an arena are asked for, and roots are read, while other threads change it and commit: what is told is of
 * one moment and never falls. ThreadSanitizer looks for the rest. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "arena/arena_world.h"
#include "os/watch.h"

enum { MUTATORS = 2, ASKERS = 2, BLOCKS = 64 };

typedef struct stats_world {
    loft_arena *arena;
    atomic_int stop;
    atomic_uint_fast64_t asked;
} stats_world;

static stats_world world;

/* Whoever commits needs a processor, and the locks, too. */
static void nap(void)
{
    const struct timespec while_others_run = {0, 300000};
    nanosleep(&while_others_run, NULL);
}

static void *mutate(void *arg)
{
    loft_test_random random = {(uint64_t)(uintptr_t)arg};
    char *blocks[BLOCKS] = {0};
    while (atomic_load(&world.stop) == 0) {
        const uint64_t at = loft_test_random_below(&random, BLOCKS);
        const size_t bytes = (size_t)loft_test_random_below(&random, 200000) + 1;
        loft_arena_enter(world.arena);
        loft_arena_free(world.arena, blocks[at]);
        blocks[at] = loft_arena_malloc(world.arena, bytes);
        if (blocks[at] != NULL) {
            memset(blocks[at], (int)bytes, bytes < 9000 ? bytes : 9000);
        }
        loft_arena_leave(world.arena);
        nap();
    }
    return NULL;
}

static void *ask(void *arg)
{
    uint64_t commits = 0;
    uint64_t checkpoints = 0;
    uint64_t sequence = 0;
    (void)arg;
    while (atomic_load(&world.stop) == 0) {
        loft_arena_statistics stats = {.struct_bytes = sizeof stats};
        loft_arena_info info = {.struct_bytes = sizeof info};
        LOFT_CHECK_OK(loft_arena_stats(world.arena, &stats));
        LOFT_CHECK_OK(loft_arena_describe(world.arena, &info));
        LOFT_CHECK_GE_UINT(stats.commit_count, commits);
        LOFT_CHECK_GE_UINT(stats.checkpoint_count, checkpoints);
        LOFT_CHECK_GE_UINT(info.sequence, sequence);
        LOFT_CHECK_GE_UINT(info.sequence, stats.commit_count); /* asked later, and never less */
        LOFT_CHECK_LE_UINT(stats.private_bytes, stats.mapped_bytes);
        LOFT_CHECK_NOT_NULL(loft_arena_root(world.arena, "fixed"));
        commits = stats.commit_count;
        checkpoints = stats.checkpoint_count;
        sequence = info.sequence;
        atomic_fetch_add(&world.asked, 1);
        nap();
    }
    return NULL;
}

static void run_beside(const char *tracker)
{
    pthread_t threads[MUTATORS + ASKERS];
    const loft_arena_options options = {.struct_bytes = sizeof options,
                                        .reserve_bytes = (uint64_t)256 << 20,
                                        .journal_limit_bytes = 2 << 20};
    LOFT_CHECK_SYS(setenv("LOFT_TRACKER", tracker, 1));
    LOFT_CHECK_OK(
        loft_arena_open(loft_test_tmp_path("arena"), LOFT_CREATE, &options, &world.arena));
    LOFT_CHECK_OK(loft_arena_set_root(world.arena, "fixed", loft_arena_malloc(world.arena, 100)));
    for (uintptr_t i = 0; i < MUTATORS + ASKERS; i++) {
        LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, i < MUTATORS ? mutate : ask,
                                         (void *)(i + 1)), /* NOLINT(performance-no-int-to-ptr) */
                          0);
    }
    const uint64_t rounds = loft_test_scale(60, 3000, 30000);
    for (uint64_t i = 0; i < rounds || atomic_load(&world.asked) < 50; i++) {
        LOFT_CHECK_OK(i % 5 == 0 ? loft_arena_commit_async(world.arena, NULL)
                                 : loft_arena_commit(world.arena));
        if (i % 40 == 7) {
            LOFT_CHECK_OK(loft_arena_checkpoint(world.arena));
        }
    }
    atomic_store(&world.stop, 1);
    for (int i = 0; i < MUTATORS + ASKERS; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    }
    printf("%s: asked %ju times\n", tracker, (uintmax_t)atomic_load(&world.asked));
    check_arena(world.arena);
    close_arena(world.arena);
}

LOFT_TEST(stats, beside_commits_private) { run_beside("private"); }

LOFT_TEST(stats, beside_commits_wp_async)
{
    if (!lofti_watch_works()) {
        LOFT_SKIP("the kernel does not note stores");
    }
    run_beside("wp_async");
}
