/*
 * heap_pool_loop.h - the loop that times bump allocation; as heap_loops.h, for files that define pool_alloc
 * and pool_reset.
 */
#ifndef LOFT_BENCH_HEAP_POOL_LOOP_H
#define LOFT_BENCH_HEAP_POOL_LOOP_H

#include "heap_worker.h"

/* Fills the pool with `live` blocks and empties it, over and over. */
static __attribute__((noinline)) void pool_run(const heap_work *work, uint32_t count)
{
    const size_t bytes = work->bytes_min;
    for (uint32_t done = 0; done < count; done += work->live) {
        for (uint32_t i = 0; i < work->live; i++) {
            volatile unsigned char *block = pool_alloc(bytes);
            HEAP_MUST(block != NULL);
            *block = 1;
        }
        pool_reset();
    }
}

static void pool_round(heap_state *state, double *figures)
{
    const uint32_t count = state->work->operations;
    pool_run(state->work, count / 8); /* untimed: caches are cold */
    const double begin = heap_now_ns();
    pool_run(state->work, count);
    figures[0] = (heap_now_ns() - begin) / count;
}

const heap_loop heap_loops[HEAP_LOOPS] = {[HEAP_POOL] = {NULL, pool_round}};

#endif
