/*
 * heap_worker_pool.c - the worker for loft's bump pools, in an anonymous arena.
 */
#include "heap_worker.h"
#include "loft/pool.h"

#define POOL_FIRST_BYTES ((size_t)1 << 20) /* holds what a work fills it with: no growth is timed */

static loft_arena *arena;
static loft_pool *pool;

static inline void *pool_alloc(size_t bytes) { return loft_pool_malloc(pool, bytes); }
static inline void pool_reset(void) { loft_pool_reset(pool); }

#include "heap_pool_loop.h"

void heap_open(const char *argument)
{
    (void)argument;
    if (loft_arena_open(NULL, LOFT_CREATE, NULL, &arena) != 0 ||
        (pool = loft_pool_create(arena, POOL_FIRST_BYTES)) == NULL) {
        heap_die(loft_last_error());
    }
}

void heap_settle(void) {}

void heap_close(void) { (void)loft_arena_abandon(arena); }
