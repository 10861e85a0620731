/*
 * preload/malloc.c - malloc and its relatives over one anonymous arena.
 *
 * With LD_PRELOAD these take the place of libc's. What is built upon them follows by itself: strdup and its kin,
 * getline, C++'s new and delete in every form call them.
 *
 * Blocks are loft_arena's: a block freed twice, or an address that malloc never gave, ends the program with a
 * sentence. As of POSIX: 16-byte alignment, malloc(0) is a block of its own, realloc(block, 0) frees it, failure is
 * NULL with ENOMEM, free keeps errno.
 *
 * Threads, fork, signals: as libc's. A child goes on with a copy of the heap, whatever the parent's other threads
 * did at that moment; no function here may be called in a signal handler.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "loft/region.h"

#define LIKELY(x) __builtin_expect(!!(x), 1)

/* Parameters are called what libc's headers call them. */

/* Visible, when all else is hidden. Beside glibc's own declarations, some of which warn of NULL at compile time. */
#pragma GCC visibility push(default)

static bool is_pow2(size_t number) { return number != 0 && (number & (number - 1)) == 0; }

/* NULL of any cause is ENOMEM to who calls malloc. */
static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

void *malloc(size_t size)
{
    loft_arena *arena = lofti_preload_arena;
    return LIKELY(arena != NULL) ? loft_arena_malloc(arena, size) : lofti_preload_early(1, size);
}

void free(void *ptr)
{
    loft_arena *arena = lofti_preload_arena;
    /* Without an arena every block is early, and those stay. */
    if (LIKELY(arena != NULL && !lofti_preload_is_early(ptr))) {
        loft_arena_free(arena, ptr);
    }
}

void *calloc(size_t nmemb, size_t size)
{
    loft_arena *arena = lofti_preload_arena;
    size_t total = 0;
    if (__builtin_mul_overflow(nmemb, size, &total)) {
        return no_memory();
    }
    /* The store's blocks are zero, and are handed out once. */
    if (arena == NULL && (arena = lofti_preload_start()) == NULL) {
        return lofti_preload_early(1, total);
    }
    return loft_arena_calloc(arena, 1, total);
}

static void *realloc_early(void *block, size_t bytes)
{
    void *moved = malloc(bytes);
    if (moved != NULL) {
        const size_t old = lofti_preload_early_size(block);
        memcpy(moved, block, old < bytes ? old : bytes);
    }
    return moved;
}

void *realloc(void *ptr, size_t size)
{
    loft_arena *arena = lofti_preload_arena;
    if (ptr == NULL) {
        return malloc(size);
    }
    if (lofti_preload_is_early(ptr)) {
        return size != 0 ? realloc_early(ptr, size) : NULL;
    }
    return loft_arena_realloc(arena, ptr, size);
}

void *reallocarray(void *ptr, size_t nmemb, size_t size)
{
    size_t total = 0;
    return __builtin_mul_overflow(nmemb, size, &total) ? no_memory() : realloc(ptr, total);
}

/* Alignments above 2 MiB cannot be had. */
static void *aligned(size_t alignment, size_t bytes)
{
    loft_arena *arena = lofti_preload_arena;
    void *block = arena != NULL ? loft_arena_aligned_alloc(arena, alignment, bytes)
                                : lofti_preload_early(alignment, bytes);
    return block != NULL ? block : no_memory();
}

int posix_memalign(void **memptr, size_t alignment, size_t size)
{
    if (alignment % sizeof(void *) != 0 || !is_pow2(alignment)) {
        return EINVAL;
    }
    const int saved = errno;
    void *block = aligned(alignment, size);
    errno = saved;
    if (block == NULL) {
        return ENOMEM;
    }
    *memptr = block;
    return 0;
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (!is_pow2(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    return aligned(alignment, size);
}

/* As glibc's: what is no power of two is taken for the next one. */
void *memalign(size_t alignment, size_t size)
{
    size_t power = 1;
    while (power < alignment && power <= SIZE_MAX / 2) {
        power *= 2;
    }
    return aligned(power, size);
}

void *valloc(size_t size) { return aligned(loft_page_bytes(), size); }

void *pvalloc(size_t size)
{
    const size_t page_bytes = loft_page_bytes();
    if (size > SIZE_MAX - page_bytes) {
        return no_memory();
    }
    const size_t pages = (size + page_bytes - 1) / page_bytes;
    return aligned(page_bytes, (pages != 0 ? pages : 1) * page_bytes);
}

size_t malloc_usable_size(void *ptr)
{
    if (ptr == NULL) {
        return 0;
    }
    return lofti_preload_is_early(ptr) ? lofti_preload_early_size(ptr)
                                       : loft_arena_usable_size(lofti_preload_arena, ptr);
}

/* glibc's would look at its own heap, which is empty. */
int malloc_trim(size_t pad)
{
    (void)pad;
    return 0; /* free memory goes back by itself */
}
