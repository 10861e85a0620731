/*
 * arena/alloc.c - the allocator's public face.
 */
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/status.h"
#include "heap/fast.h"

/* The short ways are two and three lines of code; begun anywhere they take one more, which shows. */
#define LOFTI_LINE_ALIGNED __attribute__((aligned(64)))

/* Out of line, so that the short way needs no stack frame. */
static __attribute__((noinline)) void *alloc_malloc_slow(loft_arena *arena, size_t bytes)
{
    void *block = lofti_thread_is_handle(arena) ? lofti_fast_more(bytes) : NULL;
    if (block != NULL) {
        return block;
    }
    const int code = lofti_arena_usable(arena, "allocate", true);
    return code == LOFT_OK ? lofti_heap_malloc(arena->heap, bytes) : lofti_status_null(code);
}

LOFTI_LINE_ALIGNED void *loft_arena_malloc(loft_arena *arena, size_t bytes)
{
    if (lofti_thread_is_handle(arena)) {
        lofti_cell *cell = lofti_fast_find(bytes);
        if (LOFTI_LIKELY(cell->free != 0)) {
            return lofti_small_take(cell);
        }
    }
    return alloc_malloc_slow(arena, bytes);
}

void *loft_arena_calloc(loft_arena *arena, size_t count, size_t bytes)
{
    const int code = lofti_arena_usable(arena, "allocate", true);
    return code == LOFT_OK ? lofti_heap_calloc(arena->heap, count, bytes) : lofti_status_null(code);
}

void *loft_arena_realloc(loft_arena *arena, void *block, size_t bytes)
{
    const int code = lofti_arena_usable(arena, "reallocate", true);
    return code == LOFT_OK ? lofti_heap_realloc(arena->heap, block, bytes)
                           : lofti_status_null(code);
}

/* The heap aligns inside its pages, and pages by whole ones: over memory that is not page-aligned blocks are no
 * better aligned than that. */
static bool align_can(const loft_arena *arena, size_t alignment)
{
    const size_t in_page = alignment < LOFTI_PAGE_BYTES ? alignment : LOFTI_PAGE_BYTES;
    return !lofti_arith_is_pow2(alignment) || (uintptr_t)arena->base % in_page == 0;
}

void *loft_arena_aligned_alloc(loft_arena *arena, size_t alignment, size_t bytes)
{
    int code = lofti_arena_usable(arena, "allocate", true);
    if (code == LOFT_OK && !align_can(arena, alignment)) {
        code = lofti_status_fail(LOFT_EINVAL, "allocate", arena->path,
                                 "alignment %zu is more than that of the memory that the arena "
                                 "lies over",
                                 alignment);
    }
    return code == LOFT_OK ? lofti_heap_aligned_alloc(arena->heap, alignment, bytes)
                           : lofti_status_null(code);
}

static __attribute__((noinline)) void alloc_free_slow(loft_arena *arena, void *block)
{
    if (lofti_thread_is_handle(arena) && lofti_fast_free_more(block)) {
        return;
    }
    if (block != NULL && lofti_arena_usable(arena, "free", true) == LOFT_OK) {
        lofti_heap_free(arena->heap, block);
    }
}

LOFTI_LINE_ALIGNED void loft_arena_free(loft_arena *arena, void *block)
{
    if (!lofti_thread_is_handle(arena) ||
        LOFTI_UNLIKELY(!lofti_small_give(&lofti_thread_last, block))) {
        alloc_free_slow(arena, block);
    }
}

size_t loft_arena_usable_size(const loft_arena *arena, const void *block)
{
    if (block == NULL || lofti_arena_usable(arena, "usable size", false) != LOFT_OK) {
        return 0;
    }
    return lofti_heap_usable_size(arena->heap, block);
}

char *loft_arena_strdup(loft_arena *arena, const char *text)
{
    if (text == NULL) {
        return lofti_status_null(lofti_status_fail(LOFT_EINVAL, "strdup", NULL, "no text"));
    }
    return loft_arena_memdup(arena, text, strlen(text) + 1);
}

void *loft_arena_memdup(loft_arena *arena, const void *data, size_t bytes)
{
    if (data == NULL && bytes != 0) {
        return lofti_status_null(lofti_status_fail(LOFT_EINVAL, "memdup", NULL, "no data"));
    }
    void *block = loft_arena_malloc(arena, bytes);
    if (block != NULL && bytes != 0) {
        memcpy(block, data, bytes);
    }
    return block;
}
