/*
 * heap/thread_test.c - several threads in one heap: frees across threads, threads that end with slabs in
 * hand, thousands of short ones, thread's end and heap's end in either order.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "heap/host.h"
#include "support/test.h"

enum { THREADS = 4, SLOTS = 512 };

typedef struct worker {
    lofti_heap *heap;
    loft_test_random random;
    uint64_t steps;
    size_t max_bytes;
} worker;

/* Blocks in transit: a worker swaps one of its blocks for another's. */
static void *transit[256];

static size_t worker_size(worker *self)
{
    const uint64_t dice = loft_test_random_below(&self->random, 100);
    return 8 + loft_test_random_below(&self->random, dice < 90 ? 1000 : self->max_bytes);
}

/* A block begins with its size and ends with its complement. */
static uint64_t *worker_alloc(worker *self)
{
    const size_t bytes = (worker_size(self) + 15) & ~(size_t)7;
    uint64_t *block = lofti_heap_malloc(self->heap, bytes);
    LOFT_CHECK_NOT_NULL(block);
    block[0] = bytes;
    block[bytes / 8 - 1] = ~bytes;
    return block;
}

static void worker_free(worker *self, uint64_t *block)
{
    if (block != NULL) {
        LOFT_CHECK_EQ_UINT(block[block[0] / 8 - 1], ~block[0]);
        block[0] = 0;
        lofti_heap_free(self->heap, block);
    }
}

static void *worker_run(void *context)
{
    worker *self = context;
    uint64_t *slots[SLOTS] = {0};
    for (uint64_t i = 0; i < self->steps; i++) {
        uint64_t **slot = &slots[loft_test_random_below(&self->random, SLOTS)];
        const uint64_t dice = loft_test_random_below(&self->random, 4);
        if (dice == 0) {
            void **there = &transit[loft_test_random_below(&self->random, 256)];
            *slot = __atomic_exchange_n(there, *slot, __ATOMIC_ACQ_REL);
        } else {
            worker_free(self, *slot);
            *slot = dice == 1 ? NULL : worker_alloc(self);
        }
    }
    for (uint32_t i = 0; i < SLOTS; i++) {
        worker_free(self, slots[i]);
    }
    return NULL;
}

static void drain_transit(lofti_heap *heap)
{
    for (uint32_t i = 0; i < 256; i++) {
        lofti_heap_free(heap, transit[i]);
        transit[i] = NULL;
    }
}

static void run_workers(lofti_heap *heap, uint64_t seed, uint64_t steps, size_t max_bytes)
{
    pthread_t threads[THREADS];
    worker workers[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (worker){heap, {seed + i}, steps, max_bytes};
        LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    }
}

static void expect_empty(loft_test_heap *test)
{
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    loft_test_heap_check(test);
    LOFT_CHECK_OK(lofti_heap_stats(test->heap, &stats));
    LOFT_CHECK_EQ_UINT(stats.live_blocks, 0);
    LOFT_CHECK_EQ_UINT(loft_test_heap_live(test), 0);
}

LOFT_TEST(heap_thread, blocks_travel_between_threads)
{
    const uint64_t seed = loft_test_seed();
    const uint64_t steps = loft_test_scale(100000, 10000000, 100000000);
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)16 << 30);
    for (uint32_t round = 0; round < 4; round++) {
        run_workers(test.heap, seed + round * 100, steps, round % 2 == 0 ? 20000 : 300000);
        loft_test_heap_check(&test);
        if (round == 2) {
            loft_test_heap_reopen(&test, false);
        }
    }
    drain_transit(test.heap);
    expect_empty(&test);
    loft_test_heap_end(&test);
}

typedef struct short_life {
    lofti_heap *heap;
    void *kept[8];
} short_life;

static void *short_run(void *context)
{
    short_life *life = context;
    void *blocks[64];
    for (uint32_t i = 0; i < 64; i++) {
        blocks[i] = lofti_heap_malloc(life->heap, 16 + i * 40);
        LOFT_CHECK_NOT_NULL(blocks[i]);
    }
    for (uint32_t i = 0; i < 8; i++) {
        lofti_heap_free(life->heap, life->kept[i]);
        life->kept[i] = blocks[i * 8];
    }
    for (uint32_t i = 0; i < 64; i++) {
        if (i % 8 != 0) {
            lofti_heap_free(life->heap, blocks[i]);
        }
    }
    return NULL;
}

LOFT_TEST(heap_thread, ten_thousand_short_threads)
{
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)16 << 30);
    short_life lives[4] = {{test.heap, {0}}, {test.heap, {0}}, {test.heap, {0}}, {test.heap, {0}}};
    loft_arena_statistics last = {.struct_bytes = sizeof last};
    uint64_t tables = 0;
    for (uint32_t round = 0; round < 2500; round++) {
        pthread_t threads[4];
        for (uint32_t i = 0; i < 4; i++) {
            LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, short_run, &lives[i]), 0);
        }
        for (uint32_t i = 0; i < 4; i++) {
            LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
        }
        if (round == 100) {
            tables = test.table_bytes;
        }
    }
    LOFT_CHECK_OK(lofti_heap_stats(test.heap, &last));
    LOFT_CHECK_EQ_UINT(last.thread_count, 0);
    LOFT_CHECK_EQ_UINT(last.live_blocks, 32);
    /* Four threads with some 70 slabs each at most, however many have come and gone. */
    LOFT_CHECK_LE_UINT(last.heap_bytes, (uint64_t)32 << 20);
    /* At most a slab for every block that lives on. */
    LOFT_CHECK_LE_UINT(last.slab_bytes, (uint64_t)32 << 16);
    LOFT_CHECK_EQ_UINT(test.table_bytes, tables);
    loft_test_heap_check(&test);
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t k = 0; k < 8; k++) {
            lofti_heap_free(test.heap, lives[i].kept[k]);
        }
    }
    expect_empty(&test);
    loft_test_heap_end(&test);
}

/* What a thread that has ended left behind is used again by others. */
static void *leave_half(void *context)
{
    short_life *life = context;
    void *blocks[1024];
    for (uint32_t i = 0; i < 1024; i++) {
        blocks[i] = lofti_heap_malloc(life->heap, 64);
    }
    for (uint32_t i = 0; i < 1024; i += 2) {
        lofti_heap_free(life->heap, blocks[i]);
    }
    return NULL;
}

LOFT_TEST(heap_thread, slabs_of_ended_threads_are_used_again)
{
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)1 << 30);
    short_life life = {test.heap, {0}};
    pthread_t thread;
    for (uint32_t i = 0; i < 200; i++) {
        LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, leave_half, &life), 0);
        LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    }
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    LOFT_CHECK_OK(lofti_heap_stats(test.heap, &stats));
    LOFT_CHECK_EQ_UINT(stats.live_blocks, 200 * 512);
    /* 100 slabs' worth are live; half-empty ones would make twice as many. */
    LOFT_CHECK_LE_UINT(stats.slab_bytes, 105 * 65536);
    loft_test_heap_check(&test);
    loft_test_heap_end(&test);
}

enum { HEAPS = 100 };
static loft_test_heap many[HEAPS];

static void *use_many(void *context)
{
    void *blocks[HEAPS];
    (void)context;
    for (uint32_t round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < HEAPS; i++) {
            blocks[i] = lofti_heap_malloc(many[i].heap, 100);
            LOFT_CHECK_NOT_NULL(blocks[i]);
        }
        for (uint32_t i = 0; i < HEAPS; i++) {
            lofti_heap_free(many[i].heap, blocks[i]);
        }
    }
    return NULL;
}

LOFT_TEST(heap_thread, many_heaps_in_many_threads)
{
    pthread_t threads[THREADS];
    for (uint32_t i = 0; i < HEAPS; i++) {
        loft_test_heap_make(&many[i], (uint64_t)256 << 20);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, use_many, NULL), 0);
    }
    (void)use_many(NULL);
    for (uint32_t i = 0; i < THREADS; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    }
    for (uint32_t i = 0; i < HEAPS; i++) {
        expect_empty(&many[i]);
        loft_test_heap_end(&many[i]);
    }
}

static pthread_barrier_t meeting;

static void *outlive(void *context)
{
    loft_test_heap *test = context;
    lofti_heap_free(test->heap, lofti_heap_malloc(test->heap, 50));
    (void)lofti_heap_malloc(test->heap, 50);
    (void)pthread_barrier_wait(&meeting); /* used it */
    (void)pthread_barrier_wait(&meeting); /* it has ended */
    return NULL;
}

LOFT_TEST(heap_thread, a_heap_may_end_before_its_threads)
{
    for (uint32_t round = 0; round < 50; round++) {
        pthread_t threads[THREADS];
        loft_test_heap test;
        loft_test_heap_make(&test, (uint64_t)256 << 20);
        LOFT_CHECK_EQ_INT(pthread_barrier_init(&meeting, NULL, THREADS + 1), 0);
        for (uint32_t i = 0; i < THREADS; i++) {
            LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, outlive, &test), 0);
        }
        (void)pthread_barrier_wait(&meeting);
        LOFT_CHECK_EQ_UINT(loft_test_heap_live(&test), THREADS);
        loft_test_heap_end(&test);
        (void)pthread_barrier_wait(&meeting);
        for (uint32_t i = 0; i < THREADS; i++) {
            LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
        }
        (void)pthread_barrier_destroy(&meeting);
    }
}

/* --- A chunk that several threads meet first ------------------------------------------------- */

/* Blocks of 16 bytes in three chunks: many to enter, so that a chunk takes long to look at. */
enum { FIRST_BLOCKS = 600000 };

typedef struct first_met {
    lofti_heap *heap;
    void **blocks;
    uint32_t count;
} first_met;

static void *free_all(void *context)
{
    const first_met *self = context;
    lofti_heap_free(self->heap, self->blocks[0]); /* in the first chunk; the thread is known now */
    (void)pthread_barrier_wait(&meeting);
    for (uint32_t i = self->count; i-- > 1;) { /* the slabs that are entered last come first */
        lofti_heap_free(self->heap, self->blocks[i]);
    }
    return NULL;
}

LOFT_TEST(heap_thread, a_chunk_may_be_met_by_many_at_once)
{
    static void *blocks[THREADS][FIRST_BLOCKS / THREADS];
    const uint64_t rounds = loft_test_scale(20, 200, 2000);
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)1 << 30);
    LOFT_CHECK_EQ_INT(pthread_barrier_init(&meeting, NULL, THREADS), 0);
    for (uint64_t round = 0; round < rounds; round++) {
        pthread_t threads[THREADS];
        first_met each[THREADS];
        for (uint32_t i = 0; i < FIRST_BLOCKS; i++) {
            blocks[i % THREADS][i / THREADS] = lofti_heap_malloc(test.heap, 16);
        }
        /* Nobody has looked at the chunk now; the first to free does, and the others must wait. */
        LOFT_CHECK_OK(lofti_heap_reload(test.heap));
        for (uint32_t i = 0; i < THREADS; i++) {
            each[i] = (first_met){test.heap, blocks[i], FIRST_BLOCKS / THREADS};
            LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, free_all, &each[i]), 0);
        }
        for (uint32_t i = 0; i < THREADS; i++) {
            LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
        }
        expect_empty(&test);
    }
    (void)pthread_barrier_destroy(&meeting);
    loft_test_heap_end(&test);
}
