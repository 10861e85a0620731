/*
 * arena/alloc.c - the allocator's public face.
 */
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/status.h"

void *loft_arena_malloc(loft_arena *arena, size_t bytes)
{
    const int code = lofti_arena_usable(arena, "allocate", true);
    return code == LOFT_OK ? lofti_heap_malloc(arena->heap, bytes) : lofti_status_null(code);
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

void *loft_arena_aligned_alloc(loft_arena *arena, size_t alignment, size_t bytes)
{
    const int code = lofti_arena_usable(arena, "allocate", true);
    return code == LOFT_OK ? lofti_heap_aligned_alloc(arena->heap, alignment, bytes)
                           : lofti_status_null(code);
}

void loft_arena_free(loft_arena *arena, void *block)
{
    if (block != NULL && lofti_arena_usable(arena, "free", true) == LOFT_OK) {
        lofti_heap_free(arena->heap, block);
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

int loft_arena_check(loft_arena *arena, loft_report_fn *fn, void *context, uint64_t *faults)
{
    int code = lofti_arena_usable(arena, "check", false);
    if (code != LOFT_OK) {
        return code;
    }
    uint64_t count = 0;
    code = lofti_heap_check(arena->heap, fn, context, &count);
    if (code == LOFT_OK || code == LOFT_ECORRUPT) {
        const int roots_code = lofti_roots_check(arena, fn, context, &count);
        code = roots_code != LOFT_OK ? roots_code : code;
    }
    if (faults != NULL) {
        *faults = count;
    }
    return code;
}

int loft_arena_walk(loft_arena *arena, loft_block_fn *fn, void *context)
{
    if (fn == NULL) {
        return lofti_status_fail(LOFT_EINVAL, "walk", NULL, "no function");
    }
    const int code = lofti_arena_usable(arena, "walk", false);
    return code == LOFT_OK ? lofti_heap_walk(arena->heap, fn, context) : code;
}

int loft_arena_next_block(loft_arena *arena, loft_block *cursor)
{
    if (cursor == NULL || cursor->struct_bytes < sizeof *cursor) {
        return lofti_status_fail(LOFT_EINVAL, "next block", NULL,
                                 "the cursor's struct_bytes is not set");
    }
    const int code = lofti_arena_usable(arena, "walk", false);
    return code == LOFT_OK ? lofti_heap_next_block(arena->heap, cursor) : code;
}
