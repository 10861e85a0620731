/* Threads that end, in no section, while an arena without a file is saved: what they leave is given back afterwards, and
 * nobody waits. */
#include <pthread.h>
#include <semaphore.h>

#include "arena/arena_world.h"
#include "loft/inspect.h"

enum { NODES = 50, LEAVERS = 24, LEAVER_BLOCKS = 600 };

typedef struct leaver {
    loft_arena *arena;
    pthread_t thread;
    sem_t has_blocks, may_end;
    loft_test_random random;
} leaver;

/* What it leaves is given back when it ends, in no section. */
static void *leaver_run(void *arg)
{
    leaver *own = arg;
    void *blocks[LEAVER_BLOCKS];
    loft_arena_enter(own->arena);
    for (unsigned i = 0; i < LEAVER_BLOCKS; i++) {
        blocks[i] = loft_arena_malloc(own->arena, loft_test_random_below(&own->random, 3000) + 1);
        LOFT_CHECK_NOT_NULL(blocks[i]);
    }
    for (unsigned i = 0; i < LEAVER_BLOCKS; i++) {
        loft_arena_free(own->arena, blocks[i]);
    }
    loft_arena_leave(own->arena);
    LOFT_CHECK_SYS(sem_post(&own->has_blocks));
    while (sem_wait(&own->may_end) != 0) {}
    return NULL;
}

typedef struct farewell {
    leaver *leavers;
    unsigned ended;
    bool joins; /* and uses the arena: nothing waits for the copy */
} farewell;

/* Each call, one thread ends. */
static int let_one_end(void *context, uint64_t done, uint64_t total)
{
    farewell *all = context;
    (void)done;
    (void)total;
    if (all->ended < LEAVERS) {
        leaver *one = &all->leavers[all->ended++];
        LOFT_CHECK_SYS(sem_post(&one->may_end));
        if (all->joins) {
            loft_arena_statistics stats = {.struct_bytes = sizeof stats};
            LOFT_CHECK_EQ_INT(pthread_join(one->thread, NULL), 0);
            LOFT_CHECK_OK(loft_arena_stats(one->arena, &stats));
        }
    }
    return 0;
}

static void check_copy(const char *path)
{
    LOFT_CHECK_OK(loft_file_check(path, NULL, NULL, NULL));
    loft_arena *copy = open_arena(path, LOFT_RELOCATE);
    LOFT_CHECK_EQ_UINT(list_check(copy), NODES);
    check_arena(copy);
    abandon_arena(copy);
}

/* Without joins ThreadSanitizer sees whether an end changes what is being copied. */
static void check_ends_beside_snapshot(bool joins)
{
    static leaver leavers[LEAVERS];
    loft_arena *arena = open_arena(NULL, 0);
    const char *path = loft_test_tmp_path("copy");
    const uint64_t seed = loft_test_seed();
    farewell all = {leavers, 0, joins};
    for (uint64_t i = 1; i <= NODES; i++) {
        list_push(arena, i, 1 << 20); /* a call for each MiB */
    }
    loft_arena_statistics before = {.struct_bytes = sizeof before};
    loft_arena_statistics after = {.struct_bytes = sizeof after};
    for (uint64_t i = 0; i < LEAVERS; i++) {
        leavers[i] = (leaver){.arena = arena, .random = {seed + i}};
        LOFT_CHECK_SYS(sem_init(&leavers[i].has_blocks, 0, 0));
        LOFT_CHECK_SYS(sem_init(&leavers[i].may_end, 0, 0));
        LOFT_CHECK_EQ_INT(pthread_create(&leavers[i].thread, NULL, leaver_run, &leavers[i]), 0);
    }
    for (unsigned i = 0; i < LEAVERS; i++) {
        while (sem_wait(&leavers[i].has_blocks) != 0) {}
    }
    LOFT_CHECK_OK(loft_arena_stats(arena, &before));
    LOFT_CHECK_OK(loft_arena_snapshot(arena, path, 0, let_one_end, &all));
    LOFT_CHECK_EQ_UINT(all.ended, LEAVERS);
    for (unsigned i = 0; i < LEAVERS && !joins; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(leavers[i].thread, NULL), 0);
    }
    check_copy(path);
    LOFT_CHECK_OK(loft_arena_stats(arena, &after));
    LOFT_CHECK_EQ_UINT(after.thread_count + LEAVERS, before.thread_count);
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(arena_snapshot_ends, threads_end_while_an_anonymous_arena_is_saved)
{
    check_ends_beside_snapshot(false);
}

LOFT_TEST(arena_snapshot_ends, threads_that_end_do_not_wait_for_the_snapshot)
{
    check_ends_beside_snapshot(true);
}
