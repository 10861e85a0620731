/* See snapshot_stall.h. */
#include "snapshot_stall.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void *stall_run(void *arg)
{
    stall *self = arg;
    uint64_t last = now_ns();
    while (atomic_load_explicit(&self->stop, memory_order_relaxed) == 0) {
        loft_arena_enter(self->arena);
        ++*self->cell;
        loft_arena_leave(self->arena);
        const uint64_t now = now_ns();
        const uint64_t took = now - last;
        last = now;
        self->buckets[63 - __builtin_clzll(took | 1)]++;
        self->longest_ns = took > self->longest_ns ? took : self->longest_ns;
        self->rounds++;
    }
    return NULL;
}

void stall_begin(stall *self, loft_arena *arena, uint64_t *cell)
{
    memset(self, 0, sizeof *self);
    self->arena = arena;
    self->cell = cell;
    if (pthread_create(&self->thread, NULL, stall_run, self) != 0) {
        abort();
    }
}

void stall_end(stall *self)
{
    atomic_store(&self->stop, 1);
    (void)pthread_join(self->thread, NULL);
}
