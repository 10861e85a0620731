/*
 * heap/alloc.c - the allocator's functions: malloc, free and their kin.
 */
#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/status.h"
#include "heap/chunk.h"
#include "heap/fast.h"
#include "heap/find.h"
#include "heap/remote.h"
#include "heap/slab.h"
#include "heap/span.h"
#include "heap/thread.h"

#define ALLOC_ALIGNMENT     16u                 /* every block's; malloc's on all 64-bit systems */
#define ALLOC_ALIGNMENT_MAX (UINT64_C(2) << 20) /* a huge page; chunks hold one so aligned */

static void *alloc_too_large(uint64_t bytes)
{
    return lofti_status_null(lofti_status_fail(LOFT_ENOMEM, "allocate", "arena",
                                               "%llu bytes are more than it can hold",
                                               (unsigned long long)bytes));
}

/* A span of `bytes`; *zero as in lofti_span_alloc. */
static void *alloc_span(lofti_heap *heap, lofti_thread *thread, uint64_t bytes, uint64_t alignment,
                        bool *zero)
{
    if (bytes > heap->reach_bytes) {
        return alloc_too_large(bytes);
    }
    const uint64_t pages = lofti_arith_round_up(bytes, LOFTI_PAGE_BYTES) >> LOFTI_PAGE_SHIFT;
    int code = 0;
    void *block = lofti_span_alloc(heap, thread, pages != 0 ? pages : 1, alignment, 0, zero, &code);
    return block != NULL ? block : lofti_status_null(code);
}

static void *alloc_by_thread(lofti_heap *heap, lofti_thread *thread, size_t bytes, bool *zero)
{
    if (bytes > heap->slab_bytes_max) {
        return alloc_span(heap, thread, bytes, LOFTI_PAGE_BYTES, zero);
    }
    const uint32_t class_idx = lofti_class_of(bytes != 0 ? bytes : 1);
    lofti_cell *cell = &thread->cells[class_idx];
    if (cell->free == 0 && !lofti_small_again(cell)) {
        const int code = lofti_small_refill(heap, thread, class_idx);
        if (code != 0) {
            return lofti_status_null(code);
        }
    }
    return lofti_small_take(cell);
}

/* Any size; what the fast path leaves over. */
static __attribute__((noinline)) void *alloc_slow(lofti_heap *heap, size_t bytes, bool *zero)
{
    lofti_thread *thread = lofti_thread_get(heap);
    *zero = false;
    void *block = thread != NULL ? alloc_by_thread(heap, thread, bytes, zero)
                                 : lofti_status_null(loft_last_code());
    lofti_thread_settle();
    return block;
}

static __attribute__((noinline)) void *alloc_malloc_slow(lofti_heap *heap, size_t bytes)
{
    bool zero;
    return alloc_slow(heap, bytes, &zero);
}

void *lofti_heap_malloc(lofti_heap *heap, size_t bytes)
{
    if (lofti_thread_is_last(heap)) {
        lofti_cell *cell = lofti_fast_find(bytes);
        if (LOFTI_LIKELY(cell->free != 0)) {
            return lofti_small_take(cell);
        }
    }
    return alloc_malloc_slow(heap, bytes);
}

/* The slab block at `off`, live and exactly there: its unit; 0: it is not. Loads its chunk. */
static const lofti_unit *alloc_slab_block(lofti_heap *heap, uint64_t off, uint32_t *block_idx)
{
    const lofti_unit *entry = &heap->units[off >> heap->unit_shift];
    uint32_t size = __atomic_load_n(&entry->size, __ATOMIC_ACQUIRE);
    const uint32_t idx = lofti_chunk_of(off);
    if (size == 0) {
        if (!__atomic_load_n(&heap->chunks[idx].entered, __ATOMIC_ACQUIRE)) {
            lofti_heap_lock(heap); /* or waits for who is just looking at it */
            (void)lofti_chunk_load(heap, idx);
            lofti_heap_unlock(heap);
        }
        size = __atomic_load_n(&entry->size, __ATOMIC_ACQUIRE);
    }
    if (size == 0) {
        return NULL;
    }
    const uint32_t block = lofti_unit_index(entry, heap->base + off);
    if (block >= entry->count) {
        return NULL;
    }
    const lofti_class *shape = &heap->classes[lofti_class_of(size)];
    const uint64_t *local = &entry->bits[block / 64];
    const uint64_t *remote = &lofti_slab_remote(entry->bits, shape)[block / 64];
    const uint64_t free = lofti_word_get(local) | lofti_word_get(remote);
    *block_idx = block;
    return (free >> (block % 64)) & 1 ? NULL : entry;
}

/* Frees a live slab block the slow way. False: another thread has just freed it. */
static bool alloc_free_block(lofti_heap *heap, lofti_thread *thread, const lofti_unit *entry,
                             uint32_t block_idx)
{
    const uint32_t unit = (uint32_t)((uint64_t)(entry->base - heap->base) >> heap->unit_shift);
    if (lofti_slab_owner(heap, unit) != thread->id) {
        return lofti_remote_free(heap, thread, unit, block_idx);
    }
    lofti_small_put(thread, entry, block_idx);
    return true;
}

bool lofti_alloc_give(lofti_heap *heap, lofti_thread *thread, const void *block)
{
    const uint64_t off = (uint64_t)((uintptr_t)block - (uintptr_t)heap->base);
    if (off >= heap->reach_bytes) {
        return false;
    }
    uint32_t block_idx = 0;
    const lofti_unit *entry = alloc_slab_block(heap, off, &block_idx);
    return entry != NULL ? alloc_free_block(heap, thread, entry, block_idx)
                         : lofti_span_free(heap, thread, off, 0);
}

static __attribute__((noinline)) void alloc_free_slow(lofti_heap *heap, void *block)
{
    if (block == NULL) {
        return;
    }
    lofti_thread *thread = heap->read_only ? NULL : lofti_thread_get(heap);
    if (thread == NULL) {
        if (heap->read_only) {
            (void)lofti_status_fail(LOFT_EREADONLY, "free", "arena", "it was opened read-only");
        }
        return;
    }
    const bool given = lofti_alloc_give(heap, thread, block);
    lofti_thread_settle();
    if (!given) {
        lofti_find_blame(heap, block, "free");
    }
}

void lofti_heap_free(lofti_heap *heap, void *block)
{
    if (!lofti_thread_is_last(heap) || !lofti_small_give(&lofti_thread_last, block)) {
        alloc_free_slow(heap, block);
    }
}

/* Usable bytes of a live block; 0: it is none. */
static size_t alloc_size(lofti_heap *heap, const void *block)
{
    const uint64_t off = (uint64_t)((uintptr_t)block - (uintptr_t)heap->base);
    if (off >= heap->reach_bytes) {
        return 0;
    }
    if (heap->read_only) {
        lofti_place place;
        lofti_find(heap, off, &place);
        const bool is_block = place.kind == LOFTI_PLACE_SLAB || place.kind == LOFTI_PLACE_SPAN;
        return is_block && place.live && place.off == off ? place.bytes : 0;
    }
    uint32_t block_idx = 0;
    const lofti_unit *entry = alloc_slab_block(heap, off, &block_idx);
    return entry != NULL ? entry->size : lofti_span_pages(heap, off, 0) << LOFTI_PAGE_SHIFT;
}

size_t lofti_heap_usable_size(lofti_heap *heap, const void *block)
{
    if (block == NULL) {
        return 0;
    }
    const size_t bytes = alloc_size(heap, block);
    if (bytes == 0) {
        lofti_find_blame(heap, block, "usable size");
    }
    return bytes;
}

void *lofti_heap_calloc(lofti_heap *heap, size_t count, size_t bytes)
{
    uint64_t total = 0;
    if (!lofti_arith_mul(count, bytes, &total)) {
        return lofti_status_null(lofti_status_fail(LOFT_EOVERFLOW, "allocate", "arena",
                                                   "%zu times %zu bytes do not fit 64 bits", count,
                                                   bytes));
    }
    bool zero = false;
    void *block = total <= heap->slab_bytes_max ? lofti_heap_malloc(heap, total)
                                                : alloc_slow(heap, total, &zero);
    if (block != NULL && !zero) {
        memset(block, 0, total);
    }
    return block;
}

/* A slab block serves an alignment if all blocks of its class do. The cell may have borrowed a slab of another
 * class (small.c), of which not all do: then the next class, unless it is much too large. */
static void *alloc_aligned_slab(lofti_heap *heap, size_t alignment, size_t bytes)
{
    const uint64_t want = lofti_arith_round_up(bytes != 0 ? bytes : 1, alignment);
    if (want > heap->slab_bytes_max || alignment > (uint64_t)1 << heap->unit_shift ||
        (uintptr_t)heap->base % alignment != 0) {
        return NULL;
    }
    for (uint32_t class_idx = lofti_class_of(want); class_idx <= heap->class_last; class_idx++) {
        const uint32_t size = heap->classes[class_idx].size;
        if (size > 2 * want) {
            break;
        }
        if (size % alignment == 0) {
            void *block = lofti_heap_malloc(heap, size);
            if (block == NULL || (uintptr_t)block % alignment == 0) {
                return block;
            }
            lofti_heap_free(heap, block);
        }
    }
    return NULL;
}

void *lofti_heap_aligned_alloc(lofti_heap *heap, size_t alignment, size_t bytes)
{
    if (!lofti_arith_is_pow2(alignment) || alignment > ALLOC_ALIGNMENT_MAX) {
        return lofti_status_null(
            lofti_status_fail(LOFT_EINVAL, "allocate", "arena",
                              "alignment %zu is not a power of two up to 2 MiB", alignment));
    }
    if (alignment <= ALLOC_ALIGNMENT) {
        return lofti_heap_malloc(heap, bytes);
    }
    if (bytes > heap->reach_bytes) {
        return alloc_too_large(bytes);
    }
    void *block = lofti_arith_round_up(bytes, alignment) <= heap->slab_bytes_max
                      ? alloc_aligned_slab(heap, alignment, bytes)
                      : NULL;
    if (block != NULL) {
        return block;
    }
    lofti_thread *thread = lofti_thread_get(heap);
    if (thread == NULL) {
        return lofti_status_null(loft_last_code());
    }
    bool zero = false;
    block = alloc_span(heap, thread, bytes, lofti_arith_max(alignment, LOFTI_PAGE_BYTES), &zero);
    lofti_thread_settle();
    return block;
}

/* Whether a block of `old` usable bytes can serve `bytes` where it is; resizes spans. */
static bool alloc_in_place(lofti_heap *heap, void *block, size_t old, size_t bytes)
{
    const bool was_slab =
        old <= heap->slab_bytes_max &&
        heap->units[((uintptr_t)block - (uintptr_t)heap->base) >> heap->unit_shift].size != 0;
    if (was_slab) {
        /* Shrinking by less than half is not worth a copy. */
        return bytes <= old && (bytes > old / 2 || lofti_class_of(bytes) == lofti_class_of(old));
    }
    if (bytes <= heap->slab_bytes_max || bytes > heap->reach_bytes) {
        return false;
    }
    const uint64_t pages = lofti_arith_round_up(bytes, LOFTI_PAGE_BYTES) >> LOFTI_PAGE_SHIFT;
    return lofti_span_resize(heap, (uint64_t)((uintptr_t)block - (uintptr_t)heap->base), pages);
}

void *lofti_heap_realloc(lofti_heap *heap, void *block, size_t bytes)
{
    if (block == NULL) {
        return lofti_heap_malloc(heap, bytes);
    }
    if (bytes == 0) {
        lofti_heap_free(heap, block);
        return NULL;
    }
    if (heap->read_only) {
        return lofti_status_null(
            lofti_status_fail(LOFT_EREADONLY, "reallocate", "arena", "it was opened read-only"));
    }
    const size_t old = alloc_size(heap, block);
    if (old == 0) {
        lofti_find_blame(heap, block, "realloc");
        errno = EINVAL;
        return NULL;
    }
    if (alloc_in_place(heap, block, old, bytes)) {
        return block;
    }
    void *moved = lofti_heap_malloc(heap, bytes);
    if (moved != NULL) {
        memcpy(moved, block, bytes < old ? bytes : old);
        lofti_heap_free(heap, block);
    }
    return moved;
}

void *lofti_heap_internal_alloc(lofti_heap *heap, size_t bytes)
{
    if (heap->read_only) {
        return lofti_status_null(
            lofti_status_fail(LOFT_EREADONLY, "allocate", "arena", "it was opened read-only"));
    }
    if (bytes > heap->reach_bytes) {
        return alloc_too_large(bytes);
    }
    const uint64_t pages = lofti_arith_round_up(bytes, LOFTI_PAGE_BYTES) >> LOFTI_PAGE_SHIFT;
    bool zero = false;
    int code = 0;
    void *block = lofti_span_alloc(heap, NULL, pages != 0 ? pages : 1, LOFTI_PAGE_BYTES,
                                   LOFTI_SPAN_INTERNAL, &zero, &code);
    return block != NULL ? block : lofti_status_null(code);
}

void lofti_heap_internal_free(lofti_heap *heap, void *block)
{
    const uint64_t off = (uint64_t)((uintptr_t)block - (uintptr_t)heap->base);
    if (block != NULL && !heap->read_only &&
        !lofti_span_free(heap, NULL, off, LOFTI_SPAN_INTERNAL)) {
        lofti_find_blame(heap, block, "internal free");
    }
}
