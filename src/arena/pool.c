/*
 * arena/pool.c - the pools' public face, and the twins of its inline functions.
 *
 * A pool does not know its arena, which is another one's handle in every process: it is looked up by
 * address, whenever a call leaves the fast path.
 */
#include "heap/annotate.h"
#if LOFTI_ANNOTATE
#define LOFT_NO_INLINE /* what marks a pool's bytes must be called: src/CMakeLists.txt tells programs */
#endif
#include "loft/pool.h"

#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/misuse.h"
#include "base/status.h"
#include "heap/pool.h"

#define POOL_ALIGNMENT_MAX (UINT64_C(2) << 20) /* a huge page, as in loft_arena_aligned_alloc */
#define POOL_ALIGNMENT_MIN 16u                 /* of every block */

/* The heap that a pool lies in, if it may be changed. NULL: reported, or the status is set. */
static lofti_heap *pool_heap(const loft_pool *pool, const char *operation)
{
    const loft_arena *arena = loft_arena_of(pool);
    if (arena == NULL) {
        lofti_misuse_report(LOFT_MISUSE_HANDLE, pool, "%s: %p is in no open arena", operation,
                            (const void *)pool);
        return NULL;
    }
    return lofti_arena_usable(arena, operation, true) == LOFT_OK ? arena->heap : NULL;
}

loft_pool *loft_pool_create(loft_arena *arena, size_t first_bytes)
{
    const int code = lofti_arena_usable(arena, "create pool", true);
    return code == LOFT_OK ? lofti_pool_create(arena->heap, first_bytes) : lofti_status_null(code);
}

static void *pool_more(loft_pool *pool, size_t alignment, size_t bytes)
{
    lofti_heap *heap = pool_heap(pool, "pool allocate");
    return heap != NULL ? lofti_pool_more(heap, pool, alignment, bytes)
                        : lofti_status_null(loft_last_code());
}

void *loft_pool_more(loft_pool *pool, size_t bytes)
{
    return pool_more(pool, POOL_ALIGNMENT_MIN, bytes);
}

void *loft_pool_calloc(loft_pool *pool, size_t count, size_t bytes)
{
    uint64_t total = 0;
    if (!lofti_arith_mul(count, bytes, &total)) {
        return lofti_status_null(lofti_status_fail(LOFT_EOVERFLOW, "pool allocate", NULL,
                                                   "%zu times %zu bytes do not fit 64 bits", count,
                                                   bytes));
    }
    void *block = loft_pool_malloc(pool, total);
    if (block != NULL) {
        memset(block, 0, total);
    }
    return block;
}

/* Any alignment, and told to the tools (heap/annotate.h). */
static void *pool_aligned(loft_pool *pool, size_t alignment, size_t bytes)
{
    const uint64_t left = pool->left;
    const uint64_t next = (uint64_t)(uintptr_t)pool + (pool->end - left);
    const uint64_t skip = -next & (alignment - 1);
    if (skip < left && bytes <= left - skip) {
        /* The skipped bytes and the block are taken at once. */
        const uint64_t taken = lofti_arith_round_up(lofti_arith_max(bytes, 1), POOL_ALIGNMENT_MIN);
        void *block = (void *)(uintptr_t)(next + skip);
        pool->left = left - skip - taken;
        lofti_annotate_live(block, taken);
        return block;
    }
    return pool_more(pool, alignment, bytes);
}

#if LOFTI_ANNOTATE
void *loft_pool_malloc(loft_pool *pool, size_t bytes)
{
    return pool_aligned(pool, POOL_ALIGNMENT_MIN, bytes);
}
loft_pool_mark loft_pool_save(const loft_pool *pool) { return pool->end - pool->left; }
void loft_pool_rewind(loft_pool *pool, loft_pool_mark mark) { loft_pool_rewind_far(pool, mark); }
#else
extern LOFT_POOL_INLINE void *loft_pool_malloc(loft_pool *pool, size_t bytes);
extern LOFT_POOL_INLINE loft_pool_mark loft_pool_save(const loft_pool *pool);
extern LOFT_POOL_INLINE void loft_pool_rewind(loft_pool *pool, loft_pool_mark mark);
#endif

void *loft_pool_aligned_alloc(loft_pool *pool, size_t alignment, size_t bytes)
{
    if (!lofti_arith_is_pow2(alignment) || alignment > POOL_ALIGNMENT_MAX) {
        return lofti_status_null(
            lofti_status_fail(LOFT_EINVAL, "pool allocate", NULL,
                              "alignment %zu is not a power of two up to 2 MiB", alignment));
    }
    if (alignment <= POOL_ALIGNMENT_MIN) {
        return loft_pool_malloc(pool, bytes);
    }
    return pool_aligned(pool, alignment, bytes);
}

char *loft_pool_strndup(loft_pool *pool, const char *text, size_t bytes)
{
    if (text == NULL) {
        return lofti_status_null(lofti_status_fail(LOFT_EINVAL, "pool strndup", NULL, "no text"));
    }
    const size_t length = strnlen(text, bytes);
    char *copy = loft_pool_malloc(pool, length + 1);
    if (copy != NULL) {
        memcpy(copy, text, length);
        copy[length] = '\0';
    }
    return copy;
}

void *loft_pool_memdup(loft_pool *pool, const void *data, size_t bytes)
{
    if (data == NULL && bytes != 0) {
        return lofti_status_null(lofti_status_fail(LOFT_EINVAL, "pool memdup", NULL, "no data"));
    }
    void *copy = loft_pool_malloc(pool, bytes);
    if (copy != NULL && bytes != 0) {
        memcpy(copy, data, bytes);
    }
    return copy;
}

void loft_pool_rewind_far(loft_pool *pool, loft_pool_mark mark)
{
    lofti_heap *heap = pool_heap(pool, "pool rewind");
    if (heap != NULL) {
        (void)lofti_pool_rewind(heap, pool, mark);
    }
}

void loft_pool_reset(loft_pool *pool)
{
    lofti_heap *heap = pool_heap(pool, "pool reset");
    if (heap != NULL) {
        (void)lofti_pool_reset(heap, pool);
    }
}

void loft_pool_destroy(loft_pool *pool)
{
    lofti_heap *heap = pool != NULL ? pool_heap(pool, "pool destroy") : NULL;
    if (heap != NULL) {
        (void)lofti_pool_destroy(heap, pool);
    }
}
