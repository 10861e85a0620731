/*
 * heap_worker_bump.c - the worker for the least that a bump allocator can do: round up, compare, add.
 */
#include "heap_worker.h"

#define BUMP_BYTES ((size_t)1 << 20)

typedef struct bump {
    unsigned char *at, *end, *begin;
} bump;

static bump area;

static inline void *pool_alloc(size_t bytes)
{
    const size_t rounded = (bytes + 15) & ~(size_t)15;
    unsigned char *block = area.at;
    if (rounded > (size_t)(area.end - block)) {
        return NULL;
    }
    area.at = block + rounded;
    return block;
}

static inline void pool_reset(void) { area.at = area.begin; }

#include "heap_pool_loop.h"

void heap_open(const char *argument)
{
    (void)argument;
    area.begin = heap_table(BUMP_BYTES);
    area.at = area.begin;
    area.end = area.begin + BUMP_BYTES;
}

void heap_settle(void) {}

void heap_close(void) {}
