/*
 * gate.c - what a mutation section costs the program: loft_arena_enter and loft_arena_leave.
 *
 * A round is a loop of sections in every thread at once; figures are of one section (of all threads together, so that
 * two threads that do not disturb each other halve nothing: it is each thread's own time).
 * The cold store goes to a random cache line of a table far larger than the caches: what a full fence in
 * `enter` would have to wait for. Alone it is the floor of its row; with nothing in the section, the floor
 * is the empty loop.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness_table.h"
#include "loft/arena.h"

enum { ROUNDS = 25, ROUNDS_QUICK = 9, SECTIONS = 400000, THREADS_MAX = 2, WAYS = 4 };
#define COLD_BYTES ((size_t)256 << 20)
#define LINE_BYTES 64

static loft_arena *arena;
static unsigned char *cold; /* COLD_BYTES */
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t start;

typedef struct work {
    bool is_cold;    /* a store to a cold line in each section */
    bool is_commits; /* another thread changes a page and commits, again and again */
    size_t threads;
} work;

typedef struct runner {
    pthread_t thread;
    const work *work;
    size_t way;
    double ns; /* of one section */
} runner;

static void fail(const char *what)
{
    (void)fprintf(stderr, "gate: %s: %s\n", what, loft_last_error());
    exit(1);
}

static inline void store_cold(uint64_t *random)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    ((volatile unsigned char *)cold)[(*random >> 33) % (COLD_BYTES / LINE_BYTES) * LINE_BYTES]++;
}

/* The loop, once for each way; `before` and `after` are what is compared. */
#define DEFINE_WAY(way, before, after)                                                             \
    static void run_##way(bool is_cold, uint64_t *random)                                          \
    {                                                                                              \
        for (int i = 0; i < SECTIONS; i++) {                                                       \
            before;                                                                                \
            if (is_cold) {                                                                         \
                store_cold(random);                                                                \
            }                                                                                      \
            __asm__ volatile("" ::: "memory");                                                     \
            after;                                                                                 \
        }                                                                                          \
    }
DEFINE_WAY(nothing, (void)0, (void)0)
DEFINE_WAY(mutex, (void)pthread_mutex_lock(&mutex), (void)pthread_mutex_unlock(&mutex))
DEFINE_WAY(rwlock, (void)pthread_rwlock_rdlock(&rwlock), (void)pthread_rwlock_unlock(&rwlock))
DEFINE_WAY(loft, loft_arena_enter(arena), loft_arena_leave(arena))

typedef struct way {
    const char *name, *what;
    harness_kind kind;
    void (*run)(bool is_cold, uint64_t *random);
} way;
static const way ways[WAYS] = {
    {"floor", "the same loop without any section", HARNESS_FLOOR, run_nothing},
    {"mutex", "pthread_mutex_lock and unlock: one at a time", HARNESS_OTHER, run_mutex},
    {"rwlock", "pthread_rwlock_rdlock and unlock: many may be in", HARNESS_PEER, run_rwlock},
    {"loft", "loft_arena_enter and leave", HARNESS_LOFT, run_loft},
};

static double thread_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void *run_thread(void *argument)
{
    runner *self = argument;
    uint64_t random = (uint64_t)(uintptr_t)self;
    ways[self->way].run(self->work->is_cold, &random); /* warms up */
    (void)pthread_barrier_wait(&start);
    const double begin = thread_ns();
    ways[self->way].run(self->work->is_cold, &random);
    self->ns = (thread_ns() - begin) / SECTIONS;
    return NULL;
}

static double round_ns(const work *what, size_t way_idx)
{
    runner runners[THREADS_MAX];
    double sum = 0;
    (void)pthread_barrier_init(&start, NULL, (unsigned)what->threads);
    for (size_t i = 0; i < what->threads; i++) {
        runners[i] = (runner){.work = what, .way = way_idx};
        if (pthread_create(&runners[i].thread, NULL, run_thread, &runners[i]) != 0) {
            fail("a thread");
        }
    }
    for (size_t i = 0; i < what->threads; i++) {
        (void)pthread_join(runners[i].thread, NULL);
        sum += runners[i].ns;
    }
    (void)pthread_barrier_destroy(&start);
    return sum / (double)what->threads;
}

/* --- the thread that commits --------------------------------------------------------------------- */

static atomic_bool committer_ends;
static atomic_ulong commits;

static void *commit_on(void *argument)
{
    unsigned char *page = argument;
    while (!atomic_load(&committer_ends)) {
        loft_arena_enter(arena);
        page[0]++;
        loft_arena_leave(arena);
        if (loft_arena_commit(arena) != 0) {
            fail("commit");
        }
        (void)atomic_fetch_add(&commits, 1);
    }
    return NULL;
}

/* --- rows ---------------------------------------------------------------------------------------- */

static void measure_row(harness_row *row, const work *what, const harness_options *options,
                        unsigned char *page)
{
    pthread_t committer;
    if (what->is_commits) {
        atomic_store(&committer_ends, false);
        if (pthread_create(&committer, NULL, commit_on, page) != 0) {
            fail("a thread");
        }
    }
    for (size_t round = 0; round <= options->rounds; round++) {
        harness_progress("gate: %s, round %zu of %zu", row->title, round, options->rounds);
        for (size_t i = 0; i < WAYS; i++) {
            const double ns = round_ns(what, i);
            if (round > 0) {
                harness_series_add(&row->cells[i].series, ns);
            }
        }
    }
    if (what->is_commits) {
        atomic_store(&committer_ends, true);
        (void)pthread_join(committer, NULL);
    }
}

static harness_table table = {
    .title = "Mutation sections",
    .note =
        "Nanoseconds of one section, in the processor time of the thread that makes it: enter and leave, "
        "and what the row says in between. With commits: another thread changes a page and commits without "
        "pause, and the time that sections wait for it asleep is not in the figure.",
};

int main(int argc, char **argv)
{
    const harness_options options = harness_options_read(
        argc, argv, ROUNDS, ROUNDS_QUICK,
        "usage: gate [--quick] [--rounds N] [--json FILE] [--directory DIR]\n");
    static char path[4096];
    harness_machine machine;
    harness_machine_find(&machine);
    (void)snprintf(path, sizeof path, "%s/bench-%ld-gate.loft", options.directory, (long)getpid());
    if (loft_arena_open(path, LOFT_CREATE | LOFT_EXCLUSIVE, NULL, &arena) != 0) {
        fail(path);
    }
    (void)unlink(path);
    unsigned char *page = loft_arena_calloc(arena, 1, 4096);
    cold = mmap(NULL, COLD_BYTES, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (page == NULL || cold == MAP_FAILED) {
        fail("memory");
    }
    for (size_t i = 0; i < WAYS; i++) {
        (void)harness_table_column(&table, ways[i].name, ways[i].what, ways[i].kind);
    }
    for (int i = 0; i < 8; i++) {
        const work what = {
            .is_cold = (i & 1) != 0, .is_commits = (i & 2) != 0, .threads = (i & 4) != 0 ? 2 : 1};
        harness_row *row = harness_table_row(
            &table, "ns", "%zu thread%s, %s%s", what.threads, what.threads > 1 ? "s" : "",
            what.is_cold ? "cold store" : "empty", what.is_commits ? ", commits" : "");
        /* The goal is for a section of nothing that nobody disturbs. */
        row->goal = i == 0 ? 4.5 : 0;
        measure_row(row, &what, &options, page);
    }
    (void)loft_arena_abandon(arena);
    const harness_table *const tables[] = {&table};
    return harness_conclude("gate", &options, &machine, tables, 1);
}
