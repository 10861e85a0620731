/*
 * loft/pool.h - bump pools: many small blocks that end together.
 *
 * A pool hands out memory by moving a mark, which its header inlines: a subtraction and a comparison. There
 * is no single free; a pool is rewound to a saved mark, reset or destroyed. It takes its memory from
 * its arena in blocks that double up to 1 MiB; what does not fit gets a block of its own size.
 *
 * A pool is part of its arena: it persists, commits and rolls back like everything else, its handle lies
 * in the arena and may be a root (loft_arena_set_root) or be pointed to. After the next open it goes on where
 * it was. A pool created since the last commit is gone after a rollback, and so is its handle.
 *
 *     loft_pool *pool = loft_pool_create(arena, 0);
 *     loft_pool_mark mark = loft_pool_save(pool);
 *     struct node *node = loft_pool_malloc(pool, sizeof *node);
 *     loft_pool_rewind(pool, mark);                 (node is gone)
 *     loft_pool_destroy(pool);
 *
 * Rules
 *   - One thread's at a time. Other threads may use other pools of the same arena.
 *   - While another thread may commit, what changes a pool belongs inside a mutation section, like stores
 *     (loft/arena.h).
 *   - Blocks are 16-byte aligned, their content is undefined; 0 bytes give a unique block.
 *   - loft_arena_free, realloc and usable_size refuse a pool's memory and its handle as misuse
 *     (LOFT_MISUSE_POOL). loft_arena_walk shows each of its blocks as one LOFT_BLOCK_POOL, the first of which
 *     begins with the handle.
 *   - A pointer that is no pool of an open arena, or a destroyed one, is misuse (LOFT_MISUSE_HANDLE) where it can
 *     be told: at every call that leaves the fast path.
 *   - In an arena opened read-only a pool's memory traps stores like all the rest; what leaves the fast path
 *     answers LOFT_EREADONLY.
 *
 * Inline functions have exported twins of the same name. LOFT_NO_INLINE leaves only declarations, for
 * bindings.
 *
 * Source: docs/format.md "Pools".
 */
#ifndef LOFT_POOL_H
#define LOFT_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "loft/arena.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Seen by programs, whatever visibility the library itself is compiled with. */
#pragma GCC visibility push(default)

/* GNU's own inline, of before C99, would define the functions anew in every file. */
#if defined(LOFT_NO_INLINE) || defined(__GNUC_GNU_INLINE__)
#define LOFT_POOL_INLINE
#else
#define LOFT_POOL_INLINE inline
#endif

/* The handle. Part of the arena's image (docs/format.md): its fields are for the inline functions, not for
 * programs. Places are bytes from the handle, modulo 2^64, so that they hold wherever the arena lies. */
typedef struct loft_pool {
    uint64_t left;     /* bytes of the newest block that are not handed out; a multiple of 16 */
    uint64_t end;      /* the place where that block ends */
    uint64_t room;     /* the bytes it had to hand out */
    uint64_t newest;   /* the place of its header */
    uint64_t magic;    /* "LOFTPOOL"; 0: destroyed */
    uint64_t spare[3]; /* 0 */
} loft_pool;

/* A moment of a pool: what was handed out later goes when it is rewound to it. Never 0. Persists
 * with the pool. */
typedef uint64_t loft_pool_mark;

/* Makes a pool.
 * In: first_bytes, what its first block is to hold, rounded up to whole pages; 0: little (4 KiB with the handle).
 * Atomic: yes. Durable: with the next commit.
 * Returns: NULL with LOFT_ENOMEM, LOFT_EREADONLY, LOFT_EFORKED.
 * Owns: the caller, until loft_pool_destroy; the arena keeps it beyond close. Threads: any. */
loft_pool *loft_pool_create(loft_arena *arena, size_t first_bytes);

/* Allocates from the pool. calloc's content is zero. aligned_alloc: alignment is a power of two up to
 * 2 MiB; the address is aligned, so an arena that is attached elsewhere (loft_arena_over) may not keep it.
 * Atomic: yes. Durable: with the next commit.
 * Returns: NULL with LOFT_ENOMEM, LOFT_EOVERFLOW (calloc), LOFT_EREADONLY, LOFT_EINVAL (alignment),
 *   LOFT_ECORRUPT (the pool's own fields were overwritten).
 * Owns: the pool. Threads: one at a time per pool. Cost: malloc inline, some 2 ns; one allocation of the
 *   arena per block of the pool. */
LOFT_POOL_INLINE void *loft_pool_malloc(loft_pool *pool, size_t bytes);
void *loft_pool_calloc(loft_pool *pool, size_t count, size_t bytes);
void *loft_pool_aligned_alloc(loft_pool *pool, size_t alignment, size_t bytes);

/* Copies: of at most `bytes` bytes of a string, up to its NUL, with a NUL behind; of bytes. As malloc;
 * LOFT_EINVAL for NULL. */
char *loft_pool_strndup(loft_pool *pool, const char *text, size_t bytes);
void *loft_pool_memdup(loft_pool *pool, const void *data, size_t bytes);

/* The present moment. */
LOFT_POOL_INLINE loft_pool_mark loft_pool_save(const loft_pool *pool);

/* Back to a mark: everything handed out since is gone, and blocks taken since go back to the arena.
 * In: mark, of this pool, not later than now. Any other is misuse (LOFT_MISUSE_POOL) where it can be told, found
 *   before anything changes; marks saved after `mark` are void.
 * Atomic: yes. Durable: with the next commit. Threads: as malloc. Cost: inline within a block. */
LOFT_POOL_INLINE void loft_pool_rewind(loft_pool *pool, loft_pool_mark mark);

/* Back to the beginning: only the first block stays, empty. Atomic: yes. Durable: with the next
 * commit. Threads: as malloc. */
void loft_pool_reset(loft_pool *pool);

/* Gives everything back, the handle too; NULL is fine. Atomic: yes. Durable: with the next commit.
 * Threads: as malloc. */
void loft_pool_destroy(loft_pool *pool);

/* What the inline functions do when the newest block does not serve. Not for programs. */
void *loft_pool_more(loft_pool *pool, size_t bytes);
void loft_pool_rewind_far(loft_pool *pool, loft_pool_mark mark);

#if !defined(LOFT_NO_INLINE) && !defined(__GNUC_GNU_INLINE__)

/* The newest block is handed out from its start; `left` is the single store that does it. One
 * less than the bytes taken is compared, so that no size can overflow. */
LOFT_POOL_INLINE void *loft_pool_malloc(loft_pool *pool, size_t bytes)
{
    const uint64_t left = pool->left;
    const uint64_t last = ((uint64_t)bytes - (bytes != 0)) | 15;
    if (__builtin_expect(last < left, 1)) {
        pool->left = left - last - 1;
        return (void *)((uintptr_t)pool + (uintptr_t)(pool->end - left));
    }
    return loft_pool_more(pool, bytes);
}

LOFT_POOL_INLINE loft_pool_mark loft_pool_save(const loft_pool *pool)
{
    return pool->end - pool->left;
}

LOFT_POOL_INLINE void loft_pool_rewind(loft_pool *pool, loft_pool_mark mark)
{
    const uint64_t back = pool->end - mark; /* what will be left */
    if (__builtin_expect(back - pool->left <= pool->room - pool->left && (back & 15) == 0, 1)) {
        pool->left = back;
    } else {
        loft_pool_rewind_far(pool, mark);
    }
}

#endif

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* LOFT_POOL_H */
