/*
 * heap/annotate.h - what AddressSanitizer and Valgrind are told: which bytes of the heap are somebody's.
 *
 * In a library built for one of them every byte that no block holds is marked, so that a use after free and a
 * store from one block into a free neighbour are reported where they happen. In all other builds nothing
 * here is code. Built for: AddressSanitizer, if the compiler says so; Valgrind, if LOFTI_VALGRIND is 1 (the
 * option LOFT_VALGRIND).
 *
 *   live        a block's usable bytes, a span's pages, what a pool has handed out, pool headers, metadata
 *   nobody's    everything else in a chunk that this process has looked at
 *
 * Rules
 *   A1  a block is marked nobody's before its bit says so, and live after: nobody can have it in between
 *   A2  chunks that were not looked at yet, or whose volatile side was forgotten, are live as a whole: what
 *       another process, or this one before a rollback, left there is not known
 *   A3  detached, a heap leaves all its memory as live: a caller's buffer comes back as it was given
 *   A4  who reads whole pages (commit, snapshots, scans) reads by lofti_annotate_read
 *   A5  metadata is live always; so check and walk need nothing
 *
 * Valgrind takes all content as defined: it persists, and what is committed are bytes.
 */
#ifndef LOFTI_HEAP_ANNOTATE_H
#define LOFTI_HEAP_ANNOTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/heap.h"

#if defined(__SANITIZE_ADDRESS__)
#define LOFTI_ANNOTATE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LOFTI_ANNOTATE_ASAN 1
#endif
#endif
#ifndef LOFTI_ANNOTATE_ASAN
#define LOFTI_ANNOTATE_ASAN 0
#endif
#ifndef LOFTI_VALGRIND
#define LOFTI_VALGRIND 0
#endif
#define LOFTI_ANNOTATE (LOFTI_ANNOTATE_ASAN || LOFTI_VALGRIND)

#if LOFTI_ANNOTATE_ASAN
#include <sanitizer/asan_interface.h>
#elif LOFTI_VALGRIND
#include <valgrind/memcheck.h>
#endif

#if LOFTI_ANNOTATE
/* For tests that damage images or copy them byte by byte: true before the first heap, and nothing is told. */
extern bool lofti_annotate_off;
#endif

/* [at, at + bytes) is nobody's from now on; somebody's. 8-byte aligned, as all of a heap is. */
static inline void lofti_annotate_free(const void *at, size_t bytes)
{
#if LOFTI_ANNOTATE_ASAN
    if (!lofti_annotate_off) {
        __asan_poison_memory_region(at, bytes);
    }
#elif LOFTI_VALGRIND
    if (!lofti_annotate_off) {
        (void)VALGRIND_MAKE_MEM_NOACCESS(at, bytes);
    }
#else
    (void)at;
    (void)bytes;
#endif
}

static inline void lofti_annotate_live(const void *at, size_t bytes)
{
#if LOFTI_ANNOTATE_ASAN
    __asan_unpoison_memory_region(at, bytes);
#elif LOFTI_VALGRIND
    (void)VALGRIND_MAKE_MEM_DEFINED(at, bytes);
#else
    (void)at;
    (void)bytes;
#endif
}

#define LOFTI_ANNOTATE_PAGE_BYTES 4096u /* what lofti_annotate_read copies */

/* Room for a page, in builds that need it. */
typedef struct lofti_annotate_scratch {
    _Alignas(8) uint8_t page[LOFTI_ANNOTATE ? LOFTI_ANNOTATE_PAGE_BYTES : 8];
} lofti_annotate_scratch;

#if LOFTI_ANNOTATE
/* The content of a page, 4 KiB, whatever is marked in it: a copy in *scratch. */
const uint8_t *lofti_annotate_read(lofti_annotate_scratch *scratch, const void *page);
/* The free blocks of a slab that was just entered are nobody's. heap->lock held. */
void lofti_annotate_slab(lofti_heap *heap, uint32_t unit);
/* The free pages of a head chunk that was just entered are nobody's. heap->lock held. */
void lofti_annotate_head(lofti_heap *heap, uint32_t idx);
/* A chunk as a whole is nobody's. */
void lofti_annotate_chunk(lofti_heap *heap, uint32_t idx);
/* Everything is live again (A2, A3). Touches no byte of the image. */
void lofti_annotate_forget(lofti_heap *heap);
#else
static inline const uint8_t *lofti_annotate_read(lofti_annotate_scratch *scratch, const void *page)
{
    (void)scratch;
    return page;
}
static inline void lofti_annotate_slab(lofti_heap *heap, uint32_t unit)
{
    (void)heap;
    (void)unit;
}
static inline void lofti_annotate_head(lofti_heap *heap, uint32_t idx)
{
    (void)heap;
    (void)idx;
}
static inline void lofti_annotate_chunk(lofti_heap *heap, uint32_t idx)
{
    (void)heap;
    (void)idx;
}
static inline void lofti_annotate_forget(lofti_heap *heap) { (void)heap; }
#endif

#endif /* LOFTI_HEAP_ANNOTATE_H */
