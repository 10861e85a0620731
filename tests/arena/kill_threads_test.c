/* kill -9 at random moments of a program with four threads that change the heap while a fifth commits: what opening
 * finds is the last commit that returned or the one in progress, and in it every thread's work up to one of its
 * steps, whole, and not less than what it had done when that commit began.
 *
 *   thread t    enter, step k of its own row: free, allocate, fill, leave; done[t] = k
 *   committer   floor[t] = done[t] for all t; begun = n; commit; returned = n
 *   parent      kills, opens, replays each thread's steps in plain memory, compares every word
 *
 * A row follows from seed, thread and step alone. Rounds go on with the same file. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena/arena_world.h"

enum {
    THREADS = 4,
    SLOTS = 48,
    WORDS_MAX = 1500,
    PAUSE_MAX_NS = 15000000,
    PAUSE_HALVINGS = 8,
    MOMENTS_MAX = 50,
    ROUNDS_MORE = 2500 /* for one that meets a commit */
};

/* Of each of the four tests below. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { USUAL_SECONDS = 4 };
#else
enum { USUAL_SECONDS = 30 };
#endif

typedef struct slot {
    uint64_t stamp, words; /* stamp 0: empty */
} slot;

typedef struct row { /* in plain memory: what a thread's steps lead to */
    uint64_t step;
    slot slots[SLOTS];
} row;

typedef struct stored_row { /* the same in the arena */
    uint64_t step;
    slot slots[SLOTS];
    uint64_t *blocks[SLOTS];
} stored_row;

typedef struct stored { /* at the root "rows" */
    uint64_t commit;
    stored_row rows[THREADS];
} stored;

typedef struct progress { /* shared with the child that is killed */
    _Atomic uint64_t begun, returned;
    _Atomic uint64_t done[THREADS];
    uint64_t floor[2][THREADS]; /* of commit n: floor[n % 2] */
} progress;

typedef struct world {
    const char *path;
    uint64_t seed;
    progress *shared;
    row rows[THREADS]; /* as of the last comparison */
    uint64_t rounds, in_commit;
    uint64_t moments; /* times as long as usual a kill waits at most */
} world;

typedef struct worker {
    loft_arena *arena;
    stored_row *row;
    _Atomic uint64_t *done;
    uint64_t seed;
} worker;

/* What step `step` does to which slot. */
static uint32_t step_make(uint64_t seed, uint64_t step, slot *out)
{
    loft_test_random random = {seed * 0x10001 + step};
    const uint32_t at = (uint32_t)loft_test_random_below(&random, SLOTS);
    out->stamp = loft_test_random_below(&random, 5) == 0 ? 0 : loft_test_random_next(&random) | 1;
    out->words =
        loft_test_random_below(&random, WORDS_MAX >> loft_test_random_below(&random, 9)) + 1;
    return at;
}

static uint64_t word_of(uint64_t stamp, uint64_t i) { return (stamp + i) * 0x9e3779b97f4a7c15u; }

static void step_store(const worker *own)
{
    slot next;
    const uint32_t at = step_make(own->seed, own->row->step + 1, &next);
    stored_row *to = own->row;
    loft_arena_free(own->arena, to->blocks[at]);
    to->blocks[at] = NULL;
    if (next.stamp != 0) {
        to->blocks[at] = loft_arena_malloc(own->arena, next.words * sizeof(uint64_t));
        LOFT_CHECK_NOT_NULL(to->blocks[at]);
        for (uint64_t i = 0; i < next.words; i++) {
            to->blocks[at][i] = word_of(next.stamp, i);
        }
    }
    to->slots[at] = next;
    to->step++;
}

static void *worker_run(void *arg)
{
    const worker *own = arg;
    for (;;) {
        loft_arena_enter(own->arena);
        step_store(own);
        const uint64_t step = own->row->step;
        loft_arena_leave(own->arena);
        atomic_store(own->done, step);
        const struct timespec nap = {0, 20000};
        (void)nanosleep(&nap, NULL);
    }
    return NULL;
}

static loft_arena *rows_open(const char *path, uint64_t round)
{
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    loft_arena *arena = NULL;
    options.journal_limit_bytes = round % 4 == 0 ? 0 : (uint64_t)32768 << (round % 4);
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_WRITE, &options, &arena));
    return arena;
}

/* Until it is killed. */
_Noreturn static void child_runs(world *own, uint64_t round)
{
    static worker workers[THREADS];
    pthread_t thread;
    loft_arena *arena = rows_open(own->path, round);
    stored *rows = loft_arena_root(arena, "rows");
    LOFT_CHECK_NOT_NULL(rows);
    for (int t = 0; t < THREADS; t++) {
        workers[t] = (worker){.arena = arena,
                              .row = &rows->rows[t],
                              .done = &own->shared->done[t],
                              .seed = own->seed + (uint64_t)t};
        LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, worker_run, &workers[t]), 0);
    }
    for (;;) {
        const uint64_t next = rows->commit + 1;
        for (int t = 0; t < THREADS; t++) {
            own->shared->floor[next % 2][t] = atomic_load(&own->shared->done[t]);
        }
        loft_arena_enter(arena);
        rows->commit = next;
        loft_arena_leave(arena);
        atomic_store(&own->shared->begun, next);
        LOFT_CHECK_OK(loft_arena_commit(arena));
        atomic_store(&own->shared->returned, next);
        if (next % 32 == 7) {
            const int code = loft_arena_checkpoint(arena);
            LOFT_CHECK_TRUE(code == LOFT_OK || code == LOFT_EPENDING);
        }
    }
}

/* --- The comparison ------------------------------------------------------------------------------- */

static void row_check(const stored_row *found, row *model, uint64_t seed, uint64_t floor)
{
    LOFT_CHECK_GE_UINT(found->step, floor);
    LOFT_CHECK_GE_UINT(found->step, model->step);
    while (model->step < found->step) {
        slot next;
        const uint32_t at = step_make(seed, ++model->step, &next);
        model->slots[at] = next;
    }
    for (int i = 0; i < SLOTS; i++) {
        const slot *want = &model->slots[i];
        LOFT_CHECK_EQ_UINT(found->slots[i].stamp, want->stamp);
        LOFT_CHECK_EQ_INT(found->blocks[i] != NULL, want->stamp != 0);
        for (uint64_t w = 0; want->stamp != 0 && w < want->words; w++) {
            if (found->blocks[i][w] != word_of(want->stamp, w)) {
                LOFT_FAIL("slot %d: word %ju of %ju", i, (uintmax_t)w, (uintmax_t)want->words);
            }
        }
    }
}

static void compare(world *own)
{
    loft_arena *arena = rows_open(own->path, 1);
    const stored *rows = loft_arena_root(arena, "rows");
    const uint64_t returned = atomic_load(&own->shared->returned);
    const uint64_t begun = atomic_load(&own->shared->begun);
    LOFT_CHECK_NOT_NULL(rows);
    if (rows->commit != returned && rows->commit != begun) {
        LOFT_FAIL("commit %ju is there; %ju had returned, %ju was begun", (uintmax_t)rows->commit,
                  (uintmax_t)returned, (uintmax_t)begun);
    }
    for (int t = 0; t < THREADS; t++) {
        row_check(&rows->rows[t], &own->rows[t], own->seed + (uint64_t)t,
                  own->shared->floor[rows->commit % 2][t]);
        atomic_store(&own->shared->done[t], rows->rows[t].step);
        own->shared->floor[rows->commit % 2][t] = rows->rows[t].step;
    }
    own->in_commit += begun != returned;
    atomic_store(&own->shared->begun, rows->commit);
    atomic_store(&own->shared->returned, rows->commit);
    check_arena(arena);
    abandon_arena(arena);
}

static void one_round(world *own, loft_test_random *random)
{
    fflush(NULL);
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        child_runs(own, own->rounds);
    }
    /* Where opening takes longer than the longest moment none meets a commit: moments grow until one does, to 0.75 s. */
    const uint64_t grown = 1 + own->rounds / loft_test_scale(50, 50, 50);
    if (own->in_commit == 0 && grown <= MOMENTS_MAX) {
        own->moments = grown;
    }
    /* As likely within any power of two: most kills meet the opening, the threads' start and the first commits. */
    const uint64_t longest = PAUSE_MAX_NS >> loft_test_random_below(random, PAUSE_HALVINGS);
    const struct timespec pause = {0,
                                   (long)(own->moments * loft_test_random_below(random, longest))};
    (void)nanosleep(&pause, NULL);
    int status = 0;
    LOFT_CHECK_SYS(kill(child, SIGKILL));
    LOFT_CHECK_EQ_INT(waitpid(child, &status, 0), child);
    LOFT_CHECK_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    compare(own);
    own->rounds++;
}

static void kill_often(uint64_t part)
{
    static world own; /* large */
    own.path = loft_test_tmp_path("data");
    own.seed = loft_test_seed() + part;
    loft_test_random random = {own.seed};
    own.shared =
        mmap(NULL, sizeof *own.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LOFT_CHECK_TRUE(own.shared != MAP_FAILED);
    loft_arena *arena = new_arena("data");
    LOFT_CHECK_OK(loft_arena_set_root(arena, "rows", loft_arena_calloc(arena, 1, sizeof(stored))));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    close_arena(arena);
    const uint64_t rounds = loft_test_scale(0, 0, 250000);
    const uint64_t seconds = loft_test_scale(USUAL_SECONDS, 300, 0);
    for (const time_t begun = time(NULL);
         own.rounds < rounds || (uint64_t)(time(NULL) - begun) < seconds ||
         (own.in_commit == 0 && own.rounds < rounds + ROUNDS_MORE);) {
        one_round(&own, &random);
    }
    printf("%ju rounds, %ju commits, killed in %ju of them\n", (uintmax_t)own.rounds,
           (uintmax_t)atomic_load(&own.shared->returned), (uintmax_t)own.in_commit);
    LOFT_CHECK_GT_UINT(own.in_commit, 0);
}

/* Four, so that runners which go through tests side by side can. 120 s in all; 1,000,000 rounds before a release. */
LOFT_TEST(kill_threads, at_random_moments_one) { kill_often(1); }
LOFT_TEST(kill_threads, at_random_moments_two) { kill_often(2); }
LOFT_TEST(kill_threads, at_random_moments_three) { kill_often(3); }
LOFT_TEST(kill_threads, at_random_moments_four) { kill_often(4); }
