/*
 * heap/lifetime_test.c - threads, arenas and processes that come and go: nothing adds up, and the order
 * of their ends does not matter. Through the public API, on anonymous arenas.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap/host.h"
#include "loft/arena.h"
#include "os/dirty.h"
#include "support/test.h"

static loft_arena_statistics stats_of(loft_arena *arena)
{
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    return stats;
}

/* Bytes of the arena that are in memory. */
static uint64_t resident(loft_arena *arena)
{
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    return loft_test_heap_pages_in((const void *)(uintptr_t)info.mapped_at, info.reserve_bytes) *
           4096;
}

static void check_arena(loft_arena *arena)
{
    uint64_t faults = 0;
    LOFT_CHECK_OK(loft_arena_check(arena, NULL, NULL, &faults));
    LOFT_CHECK_EQ_UINT(faults, 0);
}

/* --- Threads -------------------------------------------------------------------------------- */

enum { AT_ONCE = 8, KEPT = 16, OWN = 60, ROUNDS = 1250 };

typedef struct short_life {
    loft_arena *arena;
    void *kept[KEPT]; /* made by the last thread, freed by the next one */
} short_life;

/* All threads of a round hold all their blocks at once: so every round needs as much memory as any. */
static pthread_barrier_t peak;

static void *short_run(void *context)
{
    short_life *life = context;
    void *own[OWN];
    for (uint32_t i = 0; i < OWN; i++) {
        own[i] = loft_arena_malloc(life->arena, i % 20 == 19 ? 200000 : 16 + (size_t)i * i * 10);
        LOFT_CHECK_NOT_NULL(own[i]);
        memset(own[i], 1, 16);
    }
    (void)pthread_barrier_wait(&peak);
    for (uint32_t i = 0; i < KEPT; i++) {
        loft_arena_free(life->arena, life->kept[i]);
        life->kept[i] = own[i * 3];
    }
    for (uint32_t i = 0; i < OWN; i++) {
        if (i % 3 != 0 || i / 3 >= KEPT) {
            loft_arena_free(life->arena, own[i]);
        }
    }
    return NULL;
}

static void short_round(short_life lives[AT_ONCE])
{
    pthread_t threads[AT_ONCE];
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, short_run, &lives[i]), 0);
    }
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    }
}

/* By at most a tenth of `whole`. */
static void check_grown(const char *what, uint64_t before, uint64_t after, uint64_t whole)
{
    (void)fprintf(stderr, "%s: %llu before, %llu after\n", what, (unsigned long long)before,
                  (unsigned long long)after);
    LOFT_CHECK_LE_UINT(after, before + whole / 10);
}

LOFT_TEST(heap_lifetime, ten_thousand_threads_leave_nothing)
{
    loft_arena *arena = loft_test_heap_arena((uint64_t)1 << 30);
    short_life lives[AT_ONCE] = {{.arena = NULL}};
    for (uint32_t i = 0; i < AT_ONCE; i++) {
        lives[i].arena = arena;
    }
    LOFT_CHECK_EQ_INT(pthread_barrier_init(&peak, NULL, AT_ONCE), 0);
    for (uint32_t round = 0; round < 100; round++) {
        short_round(lives);
    }
    const loft_arena_statistics before = stats_of(arena);
    const uint64_t resident_before = resident(arena);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        short_round(lives);
    }
    const loft_arena_statistics after = stats_of(arena);
    LOFT_CHECK_EQ_UINT(after.thread_count, before.thread_count);
    LOFT_CHECK_EQ_UINT(after.live_blocks, before.live_blocks);
    check_grown("heap", before.heap_bytes, after.heap_bytes, before.heap_bytes);
    check_grown("slabs", before.slab_bytes, after.slab_bytes, before.slab_bytes);
    check_grown("spans", before.span_bytes, after.span_bytes, before.span_bytes);
    /* Slabs that stay are touched at ever new places until they were touched everywhere. */
    check_grown("resident", resident_before, resident(arena), before.heap_bytes);
    check_arena(arena);
    LOFT_CHECK_OK(loft_arena_close(arena));
}

/* Destructors of other keys run before, beside and after the heap's own, and may allocate and free in the last round,
 * after which no destructor runs again. */
static pthread_key_t late_key;
static loft_arena *late_arena;

#ifdef __SANITIZE_THREAD__
enum {
    LATE_ROUNDS = 2
}; /* in the last ones the sanitizer has given up its own part of the thread */
#else
enum { LATE_ROUNDS = 4 }; /* _POSIX_THREAD_DESTRUCTOR_ITERATIONS */
#endif

static void late_run(void *block)
{
    static __thread unsigned rounds;
    loft_arena_free(late_arena, block);
    loft_arena_free(late_arena, loft_arena_aligned_alloc(late_arena, 64, 100000));
    if (++rounds < LATE_ROUNDS) {
        (void)pthread_setspecific(late_key, loft_arena_malloc(late_arena, 100));
    }
}

static void *late_thread(void *unused)
{
    (void)pthread_setspecific(late_key, loft_arena_malloc(late_arena, 100));
    return unused;
}

LOFT_TEST(heap_lifetime, threads_that_allocate_while_they_end_leave_nothing)
{
    late_arena = loft_test_heap_arena((uint64_t)1 << 30);
    const loft_arena_statistics before = stats_of(late_arena);
    LOFT_CHECK_EQ_INT(pthread_key_create(&late_key, late_run), 0);
    for (uint32_t i = 0; i < 300; i++) {
        pthread_t thread;
        LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, late_thread, NULL), 0);
        LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    }
    const loft_arena_statistics after = stats_of(late_arena);
    LOFT_CHECK_EQ_UINT(after.thread_count, before.thread_count);
    LOFT_CHECK_EQ_UINT(after.live_blocks, before.live_blocks);
    check_arena(late_arena);
    LOFT_CHECK_EQ_INT(pthread_key_delete(late_key), 0);
    LOFT_CHECK_OK(loft_arena_close(late_arena));
}

/* Memory of the whole process, which counts what else a thread costs: so the same threads are run once
 * without the arena, and only what is more than that is the arena's. */
typedef struct growth {
    bool uses_arena;
    uint64_t private_before, private_after, mapped_before, mapped_after, tables_before,
        tables_after;
    uint64_t process_before, process_after;
} growth;

enum { LIVE_BLOCKS = 16384, LIVE_BYTES = 4000, WAVES = 1250, WAVE_BLOCKS = 40 };

static uint64_t process_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_EQ_INT(fscanf(file, "%*u %llu", &pages), 1);
    (void)fclose(file);
    return pages * 4096;
}

static void *wave_run(void *context)
{
    loft_arena *arena = context;
    for (uint32_t round = 0; arena != NULL && round < 3; round++) {
        void *own[WAVE_BLOCKS];
        for (size_t i = 0; i < WAVE_BLOCKS; i++) {
            own[i] = loft_arena_calloc(arena, 1, 16 + i * i * 5);
            LOFT_CHECK_NOT_NULL(own[i]);
        }
        for (size_t i = 0; i < WAVE_BLOCKS; i++) {
            loft_arena_free(arena, own[i]);
        }
    }
    return NULL;
}

static void grow(void *context)
{
    growth *own = context;
    loft_arena *arena = loft_test_heap_arena((uint64_t)1 << 30);
    for (uint32_t i = 0; i < LIVE_BLOCKS; i++) {
        memset(loft_arena_malloc(arena, LIVE_BYTES), 1, LIVE_BYTES);
    }
    const loft_arena_statistics before = stats_of(arena);
    own->process_before = process_bytes();
    for (uint32_t wave = 0; wave < WAVES; wave++) {
        pthread_t threads[AT_ONCE];
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            void *use = own->uses_arena ? arena : NULL;
            LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, wave_run, use), 0);
        }
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
        }
    }
    own->process_after = process_bytes();
    const loft_arena_statistics after = stats_of(arena);
    own->private_before = before.private_bytes;
    own->private_after = after.private_bytes;
    own->mapped_before = before.mapped_bytes;
    own->mapped_after = after.mapped_bytes;
    own->tables_before = before.table_bytes;
    own->tables_after = after.table_bytes;
    LOFT_CHECK_EQ_UINT(after.live_bytes, before.live_bytes);
    LOFT_CHECK_EQ_UINT(after.thread_count, before.thread_count);
    check_arena(arena);
    LOFT_CHECK_OK(loft_arena_close(arena));
}

static bool process_bytes_tell(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return false; /* shadow memory grows with every address that was ever used */
#else
    return loft_test_on_valgrind() == 0;
#endif
}

LOFT_TEST(heap_lifetime, memory_returns_to_the_start)
{
    growth *runs =
        mmap(NULL, 2 * sizeof *runs, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LOFT_CHECK_TRUE(runs != MAP_FAILED);
    for (uint32_t i = 0; i < 2; i++) {
        loft_test_child child;
        runs[i].uses_arena = i == 1;
        loft_test_run_child(grow, &runs[i], &child);
        if (child.exit_code != 0) {
            LOFT_FAIL("run %u: code %d, signal %d:\n%s", i, child.exit_code, child.signal,
                      child.output);
        }
    }
    const growth *with = &runs[1];
    if (lofti_dirty_ops_current() != NULL) { /* else all that is mapped counts as private */
        check_grown("memory of the arena", with->private_before, with->private_after,
                    with->private_before);
    }
    /* Address space is kept for the next threads: no more than one wave needed, a slab for each block. */
    LOFT_CHECK_LE_UINT(with->mapped_after,
                       with->mapped_before + (uint64_t)AT_ONCE * WAVE_BLOCKS * (128 << 10));
    check_grown("tables", with->tables_before, with->tables_after, with->tables_before);
    if (process_bytes_tell()) {
        const uint64_t without = runs[0].process_after - runs[0].process_before;
        (void)fprintf(stderr, "threads alone: %llu\n", (unsigned long long)without);
        check_grown("process", with->process_before + without, with->process_after,
                    with->process_before);
    }
    LOFT_CHECK_SYS(munmap(runs, 2 * sizeof *runs));
}

static pthread_barrier_t meeting;

typedef struct meeting_life {
    loft_arena *arenas[3];
    bool frees;
} meeting_life;

static void *use_and_meet(void *context)
{
    meeting_life *life = context;
    for (uint32_t i = 0; i < 3; i++) {
        for (size_t bytes = 16; bytes < 300000; bytes *= 3) {
            void *block = loft_arena_malloc(life->arenas[i], bytes);
            LOFT_CHECK_NOT_NULL(block);
            if (life->frees) {
                loft_arena_free(life->arenas[i], block);
            }
        }
    }
    (void)pthread_barrier_wait(&meeting); /* used them */
    (void)pthread_barrier_wait(&meeting); /* some may have ended */
    return NULL;
}

LOFT_TEST(heap_lifetime, arenas_and_threads_end_in_either_order)
{
    for (uint32_t round = 0; round < 60; round++) {
        pthread_t threads[AT_ONCE];
        meeting_life life = {.frees = round % 2 == 0};
        for (uint32_t i = 0; i < 3; i++) {
            life.arenas[i] = loft_test_heap_arena(64 << 20);
        }
        LOFT_CHECK_EQ_INT(pthread_barrier_init(&meeting, NULL, AT_ONCE + 1), 0);
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, use_and_meet, &life), 0);
        }
        (void)pthread_barrier_wait(&meeting);
        /* The first ends before the threads, the second while they end, the third after them. */
        LOFT_CHECK_OK(loft_arena_close(life.arenas[0]));
        (void)pthread_barrier_wait(&meeting);
        LOFT_CHECK_OK(loft_arena_close(life.arenas[1]));
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
        }
        check_arena(life.arenas[2]);
        LOFT_CHECK_EQ_UINT(stats_of(life.arenas[2]).thread_count, 0);
        LOFT_CHECK_OK(loft_arena_close(life.arenas[2]));
        (void)pthread_barrier_destroy(&meeting);
    }
}

/* --- Arenas --------------------------------------------------------------------------------- */

enum { ARENAS = 300, ARENA_BLOCKS = 8 };

LOFT_TEST(heap_lifetime, hundreds_of_arenas_in_one_thread)
{
    static loft_arena *arenas[ARENAS];
    static uint64_t *blocks[ARENAS][ARENA_BLOCKS];
    loft_test_random random = {loft_test_seed()};
    for (uint32_t i = 0; i < ARENAS; i++) {
        arenas[i] = loft_test_heap_arena(16 << 20);
    }
    for (uint32_t step = 0; step < 60000; step++) {
        const uint32_t i = (uint32_t)loft_test_random_below(&random, ARENAS);
        uint64_t **block = &blocks[i][loft_test_random_below(&random, ARENA_BLOCKS)];
        if (*block != NULL) {
            LOFT_CHECK_EQ_UINT(**block, i);
            LOFT_CHECK_EQ_PTR(loft_arena_of(*block), arenas[i]);
            loft_arena_free(arenas[i], *block);
            *block = NULL;
        } else {
            *block = loft_arena_malloc(arenas[i], 8 + loft_test_random_below(&random, 3000));
            LOFT_CHECK_NOT_NULL(*block);
            **block = i;
        }
        if (step % 1000 == 999) { /* one ends, another begins */
            LOFT_CHECK_OK(loft_arena_close(arenas[i]));
            arenas[i] = loft_test_heap_arena(16 << 20);
            memset(blocks[i], 0, sizeof blocks[i]);
        }
    }
    for (uint32_t i = 0; i < ARENAS; i++) {
        check_arena(arenas[i]);
        LOFT_CHECK_OK(loft_arena_close(arenas[i]));
    }
}

/* --- Processes ------------------------------------------------------------------------------ */

enum { FORK_BLOCKS = 2000, CHURN_THREADS = 3, FORKS = 25 };

static uint64_t *fork_blocks[FORK_BLOCKS];

static void fork_fill(loft_arena *arena, uint64_t salt)
{
    for (uint64_t i = 0; i < FORK_BLOCKS; i++) {
        fork_blocks[i] = loft_arena_malloc(arena, 16 + i * 7 % 3000 + (i % 97 == 0 ? 100000 : 0));
        LOFT_CHECK_NOT_NULL(fork_blocks[i]);
        *fork_blocks[i] = i + salt;
    }
}

static void fork_free(loft_arena *arena, uint64_t salt)
{
    for (uint64_t i = 0; i < FORK_BLOCKS; i++) {
        LOFT_CHECK_EQ_UINT(*fork_blocks[i], i + salt);
        loft_arena_free(arena, fork_blocks[i]);
    }
}

/* In the child: what the parent made is there and can be freed; new blocks can be had. */
static void fork_child(loft_arena *arena, uint64_t salt)
{
    (void)alarm(60);
    check_arena(arena);
    fork_free(arena, salt);
    fork_fill(arena, salt + 1);
    check_arena(arena);
    fork_free(arena, salt + 1);
    check_arena(arena);
    LOFT_CHECK_OK(loft_arena_close(arena));
    loft_test_exit(0);
}

static void fork_wait(pid_t child)
{
    int status = 0;
    LOFT_CHECK_EQ_INT(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        LOFT_FAIL("the child ended with status 0x%x", (unsigned)status);
    }
}

LOFT_TEST(heap_lifetime, a_forked_process_has_its_own)
{
    loft_arena *arena = loft_test_heap_arena((uint64_t)1 << 30);
    for (uint64_t round = 0; round < 5; round++) {
        fork_fill(arena, round);
        const pid_t child = fork();
        LOFT_CHECK_SYS(child);
        if (child == 0) {
            fork_child(arena, round);
        }
        fork_free(arena, round); /* both at once: each its own */
        check_arena(arena);
        fork_wait(child);
        LOFT_CHECK_EQ_UINT(stats_of(arena).live_blocks, 0);
    }
    LOFT_CHECK_OK(loft_arena_close(arena));
}

static uint32_t churn_stop;

static void *churn(void *context)
{
    loft_arena *arena = context;
    void *blocks[100] = {0};
    loft_test_random random = {(uint64_t)(uintptr_t)&random};
    while (__atomic_load_n(&churn_stop, __ATOMIC_RELAXED) == 0) {
        void **block = &blocks[loft_test_random_below(&random, 100)];
        loft_arena_free(arena, *block);
        *block = loft_arena_malloc(arena, loft_test_random_below(&random, 5000));
        LOFT_CHECK_NOT_NULL(*block);
    }
    for (uint32_t i = 0; i < 100; i++) {
        loft_arena_free(arena, blocks[i]);
    }
    return NULL;
}

LOFT_TEST(heap_lifetime, a_fork_amid_busy_threads)
{
    pthread_t threads[CHURN_THREADS];
    loft_arena *arena = loft_test_heap_arena((uint64_t)1 << 30);
    for (uint32_t i = 0; i < CHURN_THREADS; i++) {
        LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, churn, arena), 0);
    }
    for (uint64_t round = 0; round < FORKS; round++) {
        fork_fill(arena, round);
        const pid_t child = fork();
        LOFT_CHECK_SYS(child);
        if (child == 0) {
            fork_child(arena, round);
        }
        fork_free(arena, round);
        fork_wait(child);
    }
    __atomic_store_n(&churn_stop, 1, __ATOMIC_RELAXED);
    for (uint32_t i = 0; i < CHURN_THREADS; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    }
    check_arena(arena);
    LOFT_CHECK_EQ_UINT(stats_of(arena).live_blocks, 0);
    LOFT_CHECK_OK(loft_arena_close(arena));
}
