/*
 * preload/heap.h - the anonymous arena behind malloc, and what serves before it stands.
 *
 * The linker calls malloc before any constructor has run, so the arena is made by the first call. What making it
 * asks of malloc itself (registering fork handlers may) comes from a small static store, whose blocks are never
 * taken back.
 */
#ifndef LOFTI_PRELOAD_HEAP_H
#define LOFTI_PRELOAD_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loft/arena.h"

/* NULL until it stands. Read without order: whoever sees it sees it whole, as it was made before by this thread or is
 * published after a release fence. */
extern loft_arena *lofti_preload_arena;

/* Makes the arena; NULL: it cannot be had, or this thread is just making it. Threads: any. */
loft_arena *lofti_preload_start(void);

/* A block, 16-byte aligned and zero, before there is an arena; or NULL with errno. Makes the arena if it can. */
void *lofti_preload_early(size_t alignment, size_t bytes);

/* The static store. Each block has its size before it. */
#define LOFTI_PRELOAD_STORE_BYTES ((size_t)64 << 10)
extern _Alignas(64) unsigned char lofti_preload_store[LOFTI_PRELOAD_STORE_BYTES];

static inline bool lofti_preload_is_early(const void *block)
{
    return (uintptr_t)block - (uintptr_t)lofti_preload_store < LOFTI_PRELOAD_STORE_BYTES;
}

size_t lofti_preload_early_size(const void *block);

#endif /* LOFTI_PRELOAD_HEAP_H */
