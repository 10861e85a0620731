/* kill -9 at random moments of a program that changes and commits: opening gives exactly the last commit that
 * returned, or the one in progress.
 *
 *   child    open (and recover), { change, commit } ..., told by two counters in shared memory: begun, returned
 *   parent   kills it, opens the file, compares every byte with the model at the commit that it finds
 *
 * Rounds go on with the same file, so recoveries are killed too, and killed recoveries recovered. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena/table_model.h"

typedef struct progress {
    _Atomic uint64_t begun, returned, opened;
} progress;

enum {
    MOMENTS_MAX = 50, /* times as long as usual a kill waits at most */
    ROUNDS_MORE = 250 /* for a first commit, and one that was caught in the act */
};

typedef struct kill_run {
    const char *path;
    uint64_t seed;
    progress *shared;
    loft_test_random random;
    table_model model;
    uint64_t in_progress, in_open; /* what the kills met */
} kill_run;

static loft_arena_options limits(const kill_run *run, uint64_t round)
{
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    /* Most rounds checkpoint every few commits, some never. */
    options.journal_limit_bytes = (run->seed + round) % 4 == 0 ? 0 : (uint64_t)16384 << (round % 4);
    return options;
}

/* Changes that are rolled back must leave no trace, in whatever commit follows. */
static void change_and_roll_back(loft_arena *arena, uint64_t seed)
{
    table_image *image = table_of(arena);
    for (int i = 0; i < 3; i++) {
        table_change(arena, image, seed + 99);
    }
    LOFT_CHECK_OK(loft_arena_rollback(arena));
}

/* Until it is killed. */
_Noreturn static void child_runs(kill_run *run, uint64_t round)
{
    loft_arena *arena = NULL;
    const loft_arena_options options = limits(run, round);
    LOFT_CHECK_OK(loft_arena_open(run->path, LOFT_WRITE, &options, &arena));
    atomic_store(&run->shared->opened, 1);
    for (;;) {
        const uint64_t next = table_commit(arena) + 1;
        if (next % 16 == 5) {
            change_and_roll_back(arena, run->seed);
        }
        table_change(arena, table_of(arena), run->seed);
        atomic_store(&run->shared->begun, next);
        LOFT_CHECK_OK(loft_arena_commit(arena));
        atomic_store(&run->shared->returned, next);
        if (next % 32 == 7) {
            LOFT_CHECK_OK(loft_arena_checkpoint(arena));
        }
    }
}

/* Some kills come while the file is opened, some at any time within the first commits, some later. */
static void wait_a_moment(kill_run *run, uint64_t moments)
{
    const uint64_t kind = loft_test_random_below(&run->random, 8);
    while (kind != 0 && atomic_load(&run->shared->opened) == 0) {
        const struct timespec pause = {0, 50000};
        (void)nanosleep(&pause, NULL);
        LOFT_CHECK_EQ_INT(waitpid(-1, NULL, WNOHANG), 0); /* it must not end by itself */
    }
    const uint64_t nanoseconds =
        moments * loft_test_random_below(&run->random, kind < 6 ? 4000000 : 12000000);
    const struct timespec pause = {0, (long)nanoseconds};
    (void)nanosleep(&pause, NULL);
}

static void compare(kill_run *run, bool writing)
{
    loft_arena *arena = open_arena(run->path, writing ? LOFT_WRITE : 0);
    const uint64_t found = table_commit(arena);
    const uint64_t returned = atomic_load(&run->shared->returned);
    const uint64_t begun = atomic_load(&run->shared->begun);
    if (found != returned && found != begun) {
        LOFT_FAIL("commit %ju is there; %ju had returned, %ju was begun", (uintmax_t)found,
                  (uintmax_t)returned, (uintmax_t)begun);
    }
    while (run->model.commit < found) {
        table_model_change(&run->model, run->seed);
    }
    table_check(arena, &run->model);
    run->in_progress += begun != returned;
    run->in_open += atomic_load(&run->shared->opened) == 0;
    abandon_arena(arena);
    atomic_store(&run->shared->begun, found);
    atomic_store(&run->shared->returned, found);
}

static void one_round(kill_run *run, uint64_t round)
{
    /* Where a flush takes longer than the longest moment no round gets to its first commit: moments grow until one
     * does, to 0.6 s. */
    const uint64_t few = loft_test_scale(50, 50, 50);
    const uint64_t grown = round / few < MOMENTS_MAX ? 1 + round / few : MOMENTS_MAX;
    atomic_store(&run->shared->opened, 0);
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        child_runs(run, round);
    }
    wait_a_moment(run, run->model.commit == 0 ? grown : 1);
    int status = 0;
    LOFT_CHECK_SYS(kill(child, SIGKILL));
    LOFT_CHECK_EQ_INT(waitpid(child, &status, 0), child);
    LOFT_CHECK_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    /* Read-only mostly: then it is the next child that recovers, and may be killed in it. */
    compare(run, loft_test_random_below(&run->random, 8) == 0);
}

static void kill_often(uint64_t rounds, uint64_t part)
{
    kill_run run = {.path = loft_test_tmp_path("data"), .seed = loft_test_seed() + part};
    run.random.state = run.seed;
    run.shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LOFT_CHECK_TRUE(run.shared != MAP_FAILED);
    close_arena(new_arena("data"));
    for (uint64_t round = 0; round < rounds + ROUNDS_MORE; round++) {
        if (round >= rounds && run.model.commit > 0 && run.in_progress > 0) {
            break;
        }
        one_round(&run, round);
    }
    printf("%ju rounds, %ju commits; killed in %ju commits and %ju openings\n", (uintmax_t)rounds,
           (uintmax_t)run.model.commit, (uintmax_t)run.in_progress, (uintmax_t)run.in_open);
    LOFT_CHECK_GT_UINT(run.model.commit, 0);
    LOFT_CHECK_GT_UINT(run.in_progress, 0); /* it was caught in the act */
}

/* Four of them, so that runners which go through tests side by side can. 1,000 in all. */
LOFT_TEST(kill, at_random_moments_one) { kill_often(loft_test_scale(250, 2500, 250000), 1); }
LOFT_TEST(kill, at_random_moments_two) { kill_often(loft_test_scale(250, 2500, 250000), 2); }
LOFT_TEST(kill, at_random_moments_three) { kill_often(loft_test_scale(250, 2500, 250000), 3); }
LOFT_TEST(kill, at_random_moments_four) { kill_often(loft_test_scale(250, 2500, 250000), 4); }
