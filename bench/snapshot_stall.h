/* How long a mutator waits: one thread that enters a section, stores and leaves, all the time, and the times from
 * one round to the next. */
#ifndef LOFT_BENCH_SNAPSHOT_STALL_H
#define LOFT_BENCH_SNAPSHOT_STALL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "loft/arena.h"

enum { STALL_BUCKETS = 40 }; /* bucket i: [2^i, 2^(i+1)) ns */

typedef struct stall {
    loft_arena *arena;
    uint64_t *cell; /* what it stores to */
    pthread_t thread;
    atomic_int stop;
    uint64_t rounds, longest_ns;
    uint64_t buckets[STALL_BUCKETS];
} stall;

void stall_begin(stall *self, loft_arena *arena, uint64_t *cell);
void stall_end(stall *self);

#endif
