/*
 * heap/heap.h - a malloc/free heap inside plain memory, whose metadata is part of the image.
 *
 * The heap knows nothing of files or mappings. Its image begins at `base` and consists of chunks
 * of LOFTI_CHUNK_BYTES; some chunk indices may belong to somebody else (the journal) and are then
 * never touched. Everything in the image is offsets from `base`, so that it may lie anywhere.
 * What must persist is in the image and true at every instant; what is volatile (owners, caches,
 * tables) lies in memory that the host gives, and is rebuilt lazily after attach.
 *
 * The host is the arena (or a test): the small interface below is all that the heap asks of it.
 */
#ifndef LOFTI_HEAP_HEAP_H
#define LOFTI_HEAP_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loft/arena.h"

typedef struct lofti_heap lofti_heap;

typedef struct lofti_heap_host {
    void *context;
    /* Makes `count` neighbouring chunks usable: zeroed, writable memory at base + index * chunk.
     * *first_idx: the first of them. 0 or a LOFT_E code with its sentence set. Called with the
     * heap's growth lock held, by any thread. NULL: the heap cannot grow. */
    int (*grow)(void *context, uint32_t count, uint32_t *first_idx);
    /* Volatile memory: zeroed, page-aligned, counted lazily by the system (untouched parts cost
     * nothing). NULL with a sentence set when there is none. */
    void *(*table_alloc)(void *context, size_t bytes);
    void (*table_free)(void *context, void *table, size_t bytes);
    /* Optional hint: [off, off + bytes), whole pages, holds nothing live any more. An anonymous
     * host may drop its content (it must read as zeros or as before afterwards); a file host
     * returns it at a checkpoint. The heap does not rely on either. Returns true if the range reads
     * as zeros now, but for what shares a page of the system with its surroundings: no part of a chunk
     * does so with another one. */
    bool (*unused)(void *context, uint64_t off, uint64_t bytes);
    /* Optional, with `unused`: a clock that only rises. Pages of large blocks are then told to be unused soon after
     * these ended. Without it they are when threads end, and when many chunks are free. */
    uint64_t (*now_ns)(void *context);
    /* Optional: whether chunk `idx` is memory that the host made the heap's, by grow or before attach. Damage
     * can claim any other; so the heap asks before it looks into a chunk. Any thread, any time. NULL: all
     * that begin below accessible_bytes are. */
    bool (*has)(void *context, uint32_t idx);
    /* How far from base the heap can grow in this process, however far its limit is: it bounds the
     * volatile tables. 0: the limit. */
    uint64_t reach_bytes;
} lofti_heap_host;

/* Lays out a new heap in zeroed memory of `bytes` at `base` (its first chunk or chunks; less than a
 * chunk is allowed for a heap over a small buffer) that may grow to `limit_bytes`. */
int lofti_heap_layout(void *base, uint64_t bytes, uint64_t limit_bytes);

/* The same in memory of any content, which the heap can never outgrow. Failed, nothing was touched. `base` is
 * 16-byte aligned; where it is not page-aligned, blocks have no more alignment than it has. */
int lofti_heap_layout_used(void *base, uint64_t bytes);

/* Makes a handle for the image at `base`. O(1) in the heap's size; validates what it touches:
 * LOFT_ECORRUPT. `accessible_bytes`: how far from base memory may be read. A read-only heap answers
 * walk, check, stats and usable_size; allocation fails with LOFT_EREADONLY. Keeps *host's content,
 * not its address. */
int lofti_heap_attach(void *base, uint64_t accessible_bytes, bool read_only,
                      const lofti_heap_host *host, lofti_heap **out);
void lofti_heap_detach(lofti_heap *heap);

/* Around fork. prepare takes all locks of all heaps of the process, parent and child give them back; so
 * take before it what is taken outside heap calls, and after it what host->grow takes. In the child,
 * call next: lofti_heap_fork_reload for every heap whose memory came along (its other threads are gone,
 * whatever they were doing; the image is whole. If it had none, nothing is to be done: no page is touched), lofti_heap_fork_lost
 * for the others: all that may follow is lofti_heap_detach, and neither looks at that memory. */
void lofti_heap_fork_prepare(void);
void lofti_heap_fork_parent(void);
void lofti_heap_fork_child(void);
void lofti_heap_fork_lost(lofti_heap *heap);

int lofti_heap_fork_reload(lofti_heap *heap);

/* The image was replaced under the heap (rollback): forgets all that is volatile.
 * The caller guarantees that no other thread is inside the heap. */
int lofti_heap_reload(lofti_heap *heap);

/* The allocator; meanings as in loft/arena.h. Failures set the status sentence and errno, except that
 * free and usable_size report misuse. Thread-safe. `label` in sentences is "arena". */
void *lofti_heap_malloc(lofti_heap *heap, size_t bytes);
void *lofti_heap_calloc(lofti_heap *heap, size_t count, size_t bytes);
void *lofti_heap_realloc(lofti_heap *heap, void *block, size_t bytes);
void *lofti_heap_aligned_alloc(lofti_heap *heap, size_t alignment, size_t bytes);
void lofti_heap_free(lofti_heap *heap, void *block);
size_t lofti_heap_usable_size(lofti_heap *heap, const void *block);

/* Blocks of the library's own (the root table): like malloc/free, but hidden from walk and not a
 * block in the caller's eyes (freeing one by loft_arena_free is misuse). Whole pages. */
void *lofti_heap_internal_alloc(lofti_heap *heap, size_t bytes);
void lofti_heap_internal_free(lofti_heap *heap, void *block);

/* Until it lets go no thread's end changes the heap: what a thread leaves is given back at its end, inside no mutation
 * section. Meanwhile the caller neither allocates nor frees, calls nothing here but what reads, or replaces the image,
 * and no function of the program's; threads that need the heap's lock wait. */
void lofti_heap_hold(lofti_heap *heap);
void lofti_heap_let_go(lofti_heap *heap);
/* The same for longer, and for callers that go on using the heap: nothing waits, what threads leave is given back when
 * ends are resumed. One caller at a time. */
void lofti_heap_defer_ends(lofti_heap *heap);
void lofti_heap_resume_ends(lofti_heap *heap);

/* One 64-bit word in the heap's header for the arena's use (the offset of its root table, 0 at
 * layout). It is part of the image. */
uint64_t lofti_heap_anchor(const lofti_heap *heap);
void lofti_heap_set_anchor(lofti_heap *heap, uint64_t value);

/* The end of the last chunk in use, from base. */
uint64_t lofti_heap_end_off(const lofti_heap *heap);
/* Whether the heap has claimed this chunk index. */
bool lofti_heap_has_chunk(const lofti_heap *heap, uint32_t idx);

int lofti_heap_walk(lofti_heap *heap, loft_block_fn *fn, void *context);
int lofti_heap_next_block(lofti_heap *heap, loft_block *cursor);
/* Counts faults into *faults and reports each; never crashes on any image. */
int lofti_heap_check(lofti_heap *heap, loft_report_fn *fn, void *context, uint64_t *faults);
/* Adds what the heap knows to *out (other fields are left alone). */
int lofti_heap_stats(lofti_heap *heap, loft_arena_statistics *out);
int lofti_heap_classes(lofti_heap *heap, loft_class_fn *fn, void *context);

#endif /* LOFTI_HEAP_HEAP_H */
