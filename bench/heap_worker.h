/*
 * heap_worker.h - a worker process of the heap benchmark: one allocator, one work.
 *
 * heap_worker.c serves the parent; the loops come from heap_loops.h, compiled once for each way to
 * call an allocator.
 */
#ifndef LOFT_BENCH_HEAP_WORKER_H
#define LOFT_BENCH_HEAP_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include "heap_plan.h"

/* A block that a work holds. */
typedef struct heap_slot {
    unsigned char *block;
    uint64_t bytes;
} heap_slot;

typedef struct heap_state {
    const heap_work *work;
    heap_slot *slots; /* `live` of them for each thread; not from the allocator measured */
    void **order;     /* HEAP_BATCH_*, HEAP_PASS: as many pointers */
    uint64_t random;
} heap_state;

typedef struct heap_loop {
    void (*setup)(heap_state *state); /* NULL: nothing to do */
    void (*round)(heap_state *state, double *figures);
} heap_loop;

/* What heap_loops.h and the file that includes it define. */
extern const heap_loop heap_loops[HEAP_LOOPS];
/* Makes the allocator ready; `argument` is the peer's. */
void heap_open(const char *argument);
/* What a program would leave in the heap's file is written there: then its blocks are counted. */
void heap_settle(void);
void heap_close(void);

/* Helpers for loops. */
double heap_now_ns(void);
/* Memory from the system, touched already, never given back. */
void *heap_table(size_t bytes);
void heap_shuffle(void **pointers, size_t count, uint64_t *random);
_Noreturn void heap_die(const char *what);
/* For heap_open: the file at `path`, about to be removed, is the heap's; its blocks are counted in the end. */
void heap_note_file(const char *path);
/* Binds the calling thread and those it starts to one processor, the `idx`th that the process may use,
 * counted around if there are fewer. Two threads that only wait for each other else may share one for a while. */
void heap_bind(unsigned idx);

/* xorshift64: quick, and the same sequence for every competitor. */
static inline uint64_t heap_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

static inline uint32_t heap_random_bytes(uint64_t *state, const heap_work *work)
{
    const uint64_t range = (uint64_t)work->bytes_max - work->bytes_min + 1;
    return work->bytes_min + (uint32_t)(((heap_random(state) >> 32) * range) >> 32);
}

#define HEAP_MUST(condition)                                                                       \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            heap_die(#condition);                                                                  \
        }                                                                                          \
    } while (0)

#endif
