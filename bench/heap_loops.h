/*
 * heap_loops.h - the loops that are timed, for any allocator.
 *
 * Included once by each file that defines heap_alloc and heap_free, so that every competitor is
 * called exactly as a program would call it: malloc(bytes) or loft_arena_malloc(arena, bytes), direct
 * calls into a shared library. A table of function pointers would need an adapter for one of the two
 * forms, which costs as much as a tenth of the fastest pairs.
 *
 * Compile without the compiler's knowledge of malloc (-fno-builtin), else pairs are removed.
 */
#ifndef LOFT_BENCH_HEAP_LOOPS_H
#define LOFT_BENCH_HEAP_LOOPS_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "heap_worker.h"

/* Before each timed part so much of it is done untimed: processes take turns, caches are cold. */
#define LOOP_WARM 8u

static inline unsigned char *loop_alloc(size_t bytes)
{
    unsigned char *block = heap_alloc(bytes);
    HEAP_MUST(block != NULL);
    *(volatile unsigned char *)block = 1;
    return block;
}

/* --- pairs ----------------------------------------------------------------------------------- */

static __attribute__((noinline)) void pair_run(size_t bytes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        heap_free(loop_alloc(bytes));
    }
}

/* With a ring of live blocks, the oldest of which goes. */
static __attribute__((noinline)) void ring_run(heap_state *state, uint32_t count)
{
    const uint32_t live = state->work->live;
    const size_t bytes = state->work->bytes_min;
    void **ring = state->order;
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        void *block = loop_alloc(bytes);
        heap_free(ring[at]);
        ring[at] = block;
        at = at + 1 < live ? at + 1 : 0;
    }
}

static void pair_setup(heap_state *state)
{
    for (uint32_t i = 0; i < state->work->live; i++) {
        state->order[i] = loop_alloc(state->work->bytes_min);
    }
}

static void pair_count(heap_state *state, uint32_t count)
{
    if (state->work->live != 0) {
        ring_run(state, count);
    } else {
        pair_run(state->work->bytes_min, count);
    }
}

static void pair_round(heap_state *state, double *figures)
{
    const uint32_t count = state->work->operations;
    pair_count(state, count / LOOP_WARM);
    const double begin = heap_now_ns();
    pair_count(state, count);
    figures[0] = (heap_now_ns() - begin) / count;
}

/* --- batches: figure 0 allocation, figure 1 freeing -------------------------------------------- */

static void batch_arrange(heap_state *state, size_t count)
{
    if (state->work->loop == HEAP_BATCH_RANDOM) {
        heap_shuffle(state->order, count, &state->random);
    } else if (state->work->loop == HEAP_BATCH_REVERSE) {
        for (size_t i = 0; i < count / 2; i++) {
            void *const other = state->order[i];
            state->order[i] = state->order[count - 1 - i];
            state->order[count - 1 - i] = other;
        }
    }
}

static void batch_round(heap_state *state, double *figures)
{
    const size_t count = state->work->live;
    const size_t bytes = state->work->bytes_min;
    void **order = state->order;
    const double begin = heap_now_ns();
    for (size_t i = 0; i < count; i++) {
        order[i] = loop_alloc(bytes);
    }
    const double allocated = heap_now_ns();
    batch_arrange(state, count);
    const double arranged = heap_now_ns();
    for (size_t i = 0; i < count; i++) {
        heap_free(order[i]);
    }
    figures[0] = (allocated - begin) / (double)count;
    figures[1] = (heap_now_ns() - arranged) / (double)count;
}

/* --- random replacement ------------------------------------------------------------------------ */

#define REPLACE_AGE     4u        /* replacements for each block before the first round */
#define REPLACE_AGE_MAX 10000000u /* ... in all: some seconds */

static void replace_run(const heap_work *work, heap_slot *slots, uint64_t *random, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        heap_slot *slot = &slots[((heap_random(random) >> 32) * work->live) >> 32];
        heap_free(slot->block);
        slot->bytes = heap_random_bytes(random, work);
        slot->block = loop_alloc(slot->bytes);
    }
}

static void replace_setup(heap_state *state)
{
    for (size_t i = 0; i < state->work->live; i++) {
        heap_slot *slot = &state->slots[i];
        slot->bytes = heap_random_bytes(&state->random, state->work);
        slot->block = loop_alloc(slot->bytes);
        memset(slot->block, 1, slot->bytes);
    }
    /* What is timed is the long run: memory is torn only after every block was replaced some times. */
    const uint64_t age = (uint64_t)state->work->live * REPLACE_AGE;
    replace_run(state->work, state->slots, &state->random,
                age < REPLACE_AGE_MAX ? (uint32_t)age : REPLACE_AGE_MAX);
}

static void replace_round(heap_state *state, double *figures)
{
    const uint32_t count = state->work->operations;
    replace_run(state->work, state->slots, &state->random, count / LOOP_WARM);
    const double begin = heap_now_ns();
    replace_run(state->work, state->slots, &state->random, count);
    figures[0] = (heap_now_ns() - begin) / count;
}

/* --- larson: lines of threads, each thread inherits the blocks of the one before -------------- */

#define LARSON_LINES_MAX    64u
#define LARSON_REPLACEMENTS 100u /* for each block, before a thread ends */

/* Lines are changed by their own threads all the time: cache lines of their own, or one line's threads
 * slow down the other's. */
typedef struct larson_line {
    _Alignas(128) const heap_work *work;
    heap_slot *slots;
    uint64_t random;
    unsigned idx;
    pthread_barrier_t *start;
} larson_line;

static void *larson_thread(void *context)
{
    larson_line *line = context;
    replace_run(line->work, line->slots, &line->random, line->work->live * LARSON_REPLACEMENTS);
    return NULL;
}

/* Starts the line's threads, one after the other. */
static void *larson_head(void *context)
{
    larson_line *line = context;
    const uint32_t each = line->work->live * LARSON_REPLACEMENTS;
    heap_bind(line->idx);
    (void)pthread_barrier_wait(line->start);
    for (uint32_t done = 0; done < line->work->operations; done += each) {
        pthread_t thread;
        HEAP_MUST(pthread_create(&thread, NULL, larson_thread, line) == 0);
        HEAP_MUST(pthread_join(thread, NULL) == 0);
    }
    return NULL;
}

static void larson_setup(heap_state *state)
{
    for (size_t i = 0; i < (size_t)state->work->live * state->work->lines; i++) {
        state->slots[i].bytes = heap_random_bytes(&state->random, state->work);
        state->slots[i].block = loop_alloc(state->slots[i].bytes);
    }
}

static void larson_round(heap_state *state, double *figures)
{
    pthread_barrier_t start;
    pthread_t heads[LARSON_LINES_MAX];
    static larson_line lines[LARSON_LINES_MAX];
    const uint32_t count = state->work->lines;
    HEAP_MUST(count <= LARSON_LINES_MAX);
    HEAP_MUST(pthread_barrier_init(&start, NULL, count + 1) == 0);
    for (size_t i = 0; i < count; i++) {
        lines[i] = (larson_line){state->work, state->slots + i * state->work->live,
                                 heap_random(&state->random), (unsigned)i, &start};
        HEAP_MUST(pthread_create(&heads[i], NULL, larson_head, &lines[i]) == 0);
    }
    (void)pthread_barrier_wait(&start);
    const double begin = heap_now_ns();
    for (size_t i = 0; i < count; i++) {
        HEAP_MUST(pthread_join(heads[i], NULL) == 0);
    }
    figures[0] = (double)state->work->operations * count / (heap_now_ns() - begin) * 1e3;
    (void)pthread_barrier_destroy(&start);
}

/* --- passing on: one thread allocates, the other frees; a ring of pointers between them ------------ */

#define PASS_RING 4096u /* pointers under way at most */
#define PASS_BATCH                                                                                 \
    64u /* pointers handed over at once: what is timed is the allocator, not the ring */

typedef struct pass_ring {
    const heap_work *work;
    pthread_barrier_t *start;
    _Alignas(128) _Atomic uint32_t put;
    _Alignas(128) _Atomic uint32_t taken;
    _Alignas(128) void *block[PASS_RING];
} pass_ring;

/* Waits until the difference of the two ends is not `hopeless`; lets others run meanwhile. */
static void pass_wait(const pass_ring *ring, uint32_t hopeless)
{
    for (uint32_t tries = 1;; tries++) {
        const uint32_t taken = atomic_load_explicit(&ring->taken, memory_order_acquire);
        if (atomic_load_explicit(&ring->put, memory_order_acquire) - taken != hopeless) {
            return;
        }
        if (tries % 1024 == 0) {
            (void)sched_yield();
        }
    }
}

static void *pass_consumer(void *context)
{
    pass_ring *ring = context;
    heap_bind(1);
    (void)pthread_barrier_wait(ring->start);
    for (uint32_t at = 0; at < ring->work->operations; at += PASS_BATCH) {
        pass_wait(ring, 0);
        for (uint32_t i = at; i < at + PASS_BATCH; i++) {
            heap_free(ring->block[i % PASS_RING]);
        }
        atomic_store_explicit(&ring->taken, at + PASS_BATCH, memory_order_release);
    }
    return NULL;
}

/* The calling thread, so that its heap lives from round to round. */
static void pass_produce(pass_ring *ring)
{
    const size_t bytes = ring->work->bytes_min;
    for (uint32_t at = 0; at < ring->work->operations; at += PASS_BATCH) {
        pass_wait(ring, PASS_RING);
        for (uint32_t i = at; i < at + PASS_BATCH; i++) {
            ring->block[i % PASS_RING] = loop_alloc(bytes);
        }
        atomic_store_explicit(&ring->put, at + PASS_BATCH, memory_order_release);
    }
}

static void pass_round(heap_state *state, double *figures)
{
    static pass_ring ring;
    pthread_barrier_t start;
    pthread_t consumer;
    HEAP_MUST(pthread_barrier_init(&start, NULL, 2) == 0);
    heap_bind(0);
    ring.work = state->work;
    ring.start = &start;
    atomic_store(&ring.put, 0);
    atomic_store(&ring.taken, 0);
    HEAP_MUST(pthread_create(&consumer, NULL, pass_consumer, &ring) == 0);
    (void)pthread_barrier_wait(&start);
    const double begin = heap_now_ns();
    pass_produce(&ring);
    HEAP_MUST(pthread_join(consumer, NULL) == 0);
    figures[0] = (double)state->work->operations / (heap_now_ns() - begin) * 1e3;
    (void)pthread_barrier_destroy(&start);
}

const heap_loop heap_loops[HEAP_LOOPS] = {
    [HEAP_PAIR] = {pair_setup, pair_round},
    [HEAP_BATCH_ORDER] = {NULL, batch_round},
    [HEAP_BATCH_REVERSE] = {NULL, batch_round},
    [HEAP_BATCH_RANDOM] = {NULL, batch_round},
    [HEAP_REPLACE] = {replace_setup, replace_round},
    [HEAP_LARSON] = {larson_setup, larson_round},
    [HEAP_PASS] = {NULL, pass_round},
};

#endif
