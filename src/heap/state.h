/*
 * heap/state.h - the heap's volatile side: structs, locks, and how to reach the image.
 *
 * Words: the image is what persists (format/heap_layout.h). Everything here lies in memory from the
 * host, is rebuilt from the image as it is needed, and dies with the handle. A slab, a span, a chunk
 * are named by unit, page and chunk indices counted from `base`; index 0 serves as "none" for units
 * (unit 0 is always metadata), and chunk links are index + 1.
 *
 * Who may touch what
 *   thread heap         its thread; `remote_head` any thread, atomically
 *   slab with an owner  its owner, without a lock (image bits, scratch, queue links). The own-list links
 *                       and `owner` itself: the owner with heap->lock held
 *   slab without        whoever holds heap->lock
 *   remote bitmap       any thread sets bits by atomic OR; the owner takes them (heap/remote.h)
 *   OWNER_MARK          set with heap->lock held; cleared by the owner
 *   units[] entry       written with heap->lock held, while the slab has no live block or no owner;
 *                       read by anyone who was handed a block of it
 *   chunks[], image but for bitmaps and spans[]     heap->lock
 *   spans[p]            who takes the pages stores it; free takes it back by atomic exchange
 *
 * Lock order: the registry's lock (heap/thread.c), then one heap->lock, then whatever host->grow takes.
 * Nobody holds two heaps' locks. No lock is held when misuse is reported or a caller's function runs.
 */
#ifndef LOFTI_HEAP_STATE_H
#define LOFTI_HEAP_STATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/check.h"
#include "format/heap_layout.h"
#include "heap/class.h"
#include "heap/heap.h"

/* Hot: what free needs, 32 bytes per unit; every unit of a slab has the same content. All zero: not a
 * slab, or not loaded yet. */
typedef struct lofti_unit {
    uint8_t *base;    /* the slab's first byte */
    uint64_t *bits;   /* its local bitmap, in the image */
    uint32_t inverse; /* of the odd part of the size, modulo 2^32 */
    uint32_t size;    /* of a block; 0: no slab here */
    uint32_t owner;   /* a thread heap's id; 0: nobody's */
    uint16_t count;   /* blocks */
    uint8_t twos;     /* the size is its odd part shifted by this */
    uint8_t spare;
} lofti_unit;
_Static_assert(sizeof(lofti_unit) == 32, "two to a cache line");

/* The number of the block that begins at `block`, an address in the slab's units; `count` or more: none does.
 * Exact division: a product with the inverse is small only if the rest is 0 (what is left of a rest is
 * rotated to the top), so that one compare finds interior pointers and those behind the last block. */
static inline uint32_t lofti_unit_index(const lofti_unit *entry, const void *block)
{
    const uint32_t at = (uint32_t)((uintptr_t)block - (uintptr_t)entry->base);
    const uint32_t product = at * entry->inverse;
    return product >> (entry->twos & 31) | product << (-(uint32_t)entry->twos & 31);
}

enum lofti_slab_state {
    LOFTI_SLAB_NONE = 0,    /* no slab begins at this unit */
    LOFTI_SLAB_FULL = 1,    /* in no queue; the next free puts it into one */
    LOFTI_SLAB_QUEUED = 2,  /* in its owner's queue, or the heap's if it has no owner */
    LOFTI_SLAB_CURRENT = 3, /* its owner allocates from it */
    LOFTI_SLAB_STATES
};

/* Cold: the rest of a slab's volatile state, at its first unit. Links are unit indices. */
typedef struct lofti_slab {
    uint32_t next, prev;         /* the queue */
    uint32_t own_next, own_prev; /* all slabs of one owner */
    uint32_t remote_next;        /* the owner's list of slabs with remote frees */
    uint32_t remote_flag;        /* 1: on such a list */
    uint8_t state;               /* enum lofti_slab_state */
    uint8_t class_idx;
    uint8_t spare[6];
} lofti_slab;
_Static_assert(sizeof(lofti_slab) == 32, "small");

typedef struct lofti_queue {
    uint32_t head, tail;
} lofti_queue;

/* Where a thread allocates a class: a word of the current slab, and which of its bits are free. */
typedef struct lofti_cell {
    uint64_t free;  /* bits of *word that this thread may hand out; 0: refill */
    uint64_t *word; /* in the image; NULL: no current slab */
    uint8_t *first; /* the block of bit 0 */
    uint32_t size;  /* of a block */
    uint32_t again; /* with so many bits set in *word it is taken once more */
} lofti_cell;

typedef struct lofti_supply {
    lofti_queue partly; /* own slabs with free blocks, first in, first out */
    uint32_t unit;      /* the current slab; 0: none */
    uint32_t word_idx;  /* of the cell's word in its bitmap */
} lofti_supply;

/* A freed run that its thread keeps for the next span of equal length: free in the image, withheld
 * from the others. */
typedef struct lofti_kept_run {
    uint32_t pages; /* 0: empty */
    uint32_t page;  /* counted from base */
} lofti_kept_run;
#define LOFTI_KEPT_RUNS 4u /* a few sizes in turn */
#define LOFTI_KEPT_PAGES                                                                           \
    256u /* the longest, 1 MiB: what a thread withholds is memory that no other gets */

/* Pages of blocks that ended and are still memory: given back when they are not used again soon (heap/trim.c). */
typedef struct lofti_idle_run {
    uint64_t page;  /* counted from base */
    uint64_t pages; /* 0: empty */
    uint64_t since_ns;
} lofti_idle_run;
#define LOFTI_IDLE_RUNS 32u

typedef struct lofti_thread lofti_thread;
struct lofti_thread {
    lofti_cell cells[LOFTI_CLASS_COUNT];
    lofti_supply supplies[LOFTI_CLASS_COUNT];
    uint32_t id;        /* index in heap->threads, from 1 */
    uint32_t own_head;  /* all slabs it owns */
    uint32_t kept_next; /* which kept run to replace */
    lofti_kept_run kept[LOFTI_KEPT_RUNS];
    lofti_heap *heap;    /* NULL: not in use */
    lofti_thread **list; /* where its thread's list begins */
    const void **handle; /* its thread's view's */
    lofti_thread
        *sibling; /* the same thread's other thread heaps; or the idle list, or those that left */
    _Alignas(LOFTI_LINE_BYTES) uint32_t remote_head; /* units; LOFTI_REMOTE_CLOSED: thread ended */
};
#define LOFTI_REMOTE_CLOSED UINT32_MAX

/* In units[].owner, beside the id: others have freed blocks of the slab since its owner last looked. It
 * sends the owner's frees the slow way, where a second free of such a block is seen. */
#define LOFTI_OWNER_MARK (UINT32_C(1) << 31)

enum lofti_heap_chunk_state {
    LOFTI_CHUNK_UNKNOWN = 0, /* not looked at since attach, or not the heap's */
    LOFTI_CHUNK_FREE = 1,    /* the heap's, without metadata */
    LOFTI_CHUNK_HEAD = 2,    /* has metadata; indexed by its free runs */
    LOFTI_CHUNK_BODY = 3,    /* inside a block that began in an earlier chunk */
    LOFTI_CHUNK_BAD = 4      /* damaged: left alone */
};

typedef struct lofti_chunk {
    uint32_t state; /* enum lofti_heap_chunk_state; read without the lock */
    uint16_t free_pages;
    uint16_t longest;              /* free run, pages: the list it is filed in */
    uint8_t longest_units;         /* the same for whole units */
    uint8_t wide_slabs;            /* slabs that use its wide records */
    bool zero;                     /* FREE: every byte of it is known to be zero */
    bool entered;                  /* HEAD: all its slabs are in units[]; read without the lock */
    uint32_t run_next, run_prev;   /* chunks with the same `longest`; index + 1 */
    uint32_t unit_next, unit_prev; /* with the same `longest_units` */
    uint64_t free_units;           /* large units only: bit u: all its pages are free */
    uint64_t used[LOFTI_TOUCHED_WORDS];
} lofti_chunk;

/* FREE chunks that are not given back at once: 96 MiB. */
#define LOFTI_RETAINED_CHUNKS 24u

#define LOFTI_RUN_LISTS  (LOFTI_CHUNK_PAGES + 1)
#define LOFTI_UNIT_LISTS 65u

#define LOFTI_THREAD_BATCH   16u   /* thread heaps per allocation */
#define LOFTI_THREAD_BATCHES 8192u /* so at most 131,072 threads at once */

/* In an order that lets a small heap do with two pages of it (heap.c, HEAP_PLACE_OFF): the run lists; the rest, up to the
 * first batch of threads. */
struct lofti_heap {
    uint32_t run_lists[LOFTI_RUN_LISTS]; /* under the lock */

    /* Read on every call, never written after attach. */
    _Alignas(LOFTI_LINE_BYTES) uint8_t *base;
    uint64_t id; /* unique in the process, so that a stale thread-local entry never matches */
    uint64_t reach_bytes; /* addresses from base to here are the heap's or nobody's */
    lofti_unit *units;
    lofti_slab *slabs;
    lofti_chunk *chunks;
    lofti_heap_image *image;
    lofti_heap_dir *dir;
    const lofti_class *classes;
    uint32_t unit_shift;
    uint32_t class_last;
    uint64_t limit_bytes;    /* the image's, of which the layout follows; at least reach_bytes */
    uint64_t slab_bytes_max; /* larger blocks are spans */
    uint64_t accessible_bytes;
    uint32_t chunk_limit;
    bool read_only;
    bool keeps_runs;                 /* threads may withhold freed runs and empty slabs */
    lofti_chunk_layout layout_first; /* of chunk 0 */
    lofti_heap_host host;
    size_t table_bytes;
    lofti_heap *registry_next; /* heap/thread.c's list of all heaps */

    /* Under the lock. */
    _Alignas(LOFTI_LINE_BYTES) pthread_mutex_t lock;
    uint32_t scan_idx;    /* chunks below were looked at, ... */
    uint32_t scan_end;    /* ... these and above are known since they were made */
    uint32_t known_end;   /* chunks at and above were never touched: their tables are zeros */
    uint32_t spare_chunk; /* an empty HEAD kept as one; index + 1 */
    uint32_t retained[LOFTI_RETAINED_CHUNKS]; /* FREE chunks not given back yet; index + 1 */
    uint32_t retained_next;
    uint64_t released_pages; /* since the last lofti_trim_after_thread that gave any back */
    uint64_t *free_map;      /* bit c: chunk c is in state FREE; lofti_free_word */
    uint32_t wide_chunk;     /* where the last wide slab was made; index + 1 */
    bool fork_lone; /* in a forked child: no other thread of the parent's had a part of it */
    uint32_t thread_count;
    uint32_t thread_end; /* ids given so far */
    lofti_thread *idle;  /* thread heaps without a thread */
    lofti_thread *left;  /* of threads that ended while defers_ends */
    bool defers_ends;
    lofti_queue orphans[LOFTI_CLASS_COUNT];
    uint64_t run_map[LOFTI_RUN_LISTS / 64 + 1];
    uint32_t unit_lists[LOFTI_UNIT_LISTS];
    uint64_t unit_map[2];
    lofti_thread *threads[LOFTI_THREAD_BATCHES];
    lofti_idle_run idle_runs[LOFTI_IDLE_RUNS];
};

/* The word of the free map for chunks [64 * i, 64 * i + 64). It grows downwards from where chunks[] begins, so that a
 * small heap's part of both is one page. */
static inline uint64_t *lofti_free_word(const lofti_heap *heap, uint32_t i)
{
    return heap->free_map - i;
}

/* Indices. */
static inline uint32_t lofti_chunk_of(uint64_t off) { return (uint32_t)(off >> LOFTI_CHUNK_SHIFT); }
static inline uint64_t lofti_chunk_off(uint32_t idx) { return (uint64_t)idx << LOFTI_CHUNK_SHIFT; }
static inline uint32_t lofti_unit_shift_in_chunk(const lofti_heap *heap)
{
    return LOFTI_CHUNK_SHIFT - heap->unit_shift;
}
static inline uint32_t lofti_unit_chunk(const lofti_heap *heap, uint32_t unit)
{
    return unit >> lofti_unit_shift_in_chunk(heap);
}
static inline uint32_t lofti_unit_local(const lofti_heap *heap, uint32_t unit)
{
    return unit & ((1u << lofti_unit_shift_in_chunk(heap)) - 1);
}
static inline uint32_t lofti_unit_pages(const lofti_heap *heap)
{
    return 1u << (heap->unit_shift - LOFTI_PAGE_SHIFT);
}

/* The image. Nothing here looks at its bytes. */
static inline void lofti_image_layout(const lofti_heap *heap, uint32_t idx, lofti_chunk_layout *out)
{
    lofti_heap_layout_chunk(heap->limit_bytes, heap->unit_shift, idx, out);
}
static inline uint8_t *lofti_image_chunk(const lofti_heap *heap, uint32_t idx)
{
    return heap->base + lofti_chunk_off(idx);
}
static inline lofti_chunk_image *lofti_image_header(const lofti_heap *heap, uint32_t idx)
{
    const uint32_t off = idx == 0 ? heap->layout_first.header_off : 0;
    return (lofti_chunk_image *)(void *)(lofti_image_chunk(heap, idx) + off);
}
static inline uint16_t *lofti_image_spans(const lofti_heap *heap, uint32_t idx)
{
    return (uint16_t *)(void *)((uint8_t *)lofti_image_header(heap, idx) + LOFTI_CHUNK_IMAGE_BYTES);
}
static inline uint8_t *lofti_image_classes(const lofti_heap *heap, uint32_t idx,
                                           const lofti_chunk_layout *layout)
{
    return lofti_image_chunk(heap, idx) + layout->classes_off;
}
static inline bool lofti_image_claimed(const lofti_heap *heap, uint32_t idx)
{
    return idx < heap->chunk_limit &&
           ((__atomic_load_n(&heap->dir[idx / 64].claimed, __ATOMIC_RELAXED) >> (idx % 64)) & 1);
}
static inline bool lofti_image_is_head(const lofti_heap *heap, uint32_t idx)
{
    return lofti_image_claimed(heap, idx) &&
           ((__atomic_load_n(&heap->dir[idx / 64].heads, __ATOMIC_RELAXED) >> (idx % 64)) & 1);
}

#if defined(__x86_64__) && defined(__GCC_ASM_FLAG_OUTPUTS__) && !defined(__SANITIZE_THREAD__)
#define LOFTI_WORD_ASM 1
#else
#define LOFTI_WORD_ASM 0
#endif

/* Words of bitmaps are read by others while their owner changes them; on every machine that loft
 * runs on these are plain loads and stores. */
static inline uint64_t lofti_word_get(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}
static inline void lofti_word_set(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

/* Owner only. One instruction where the processor has it: a compiler makes a load, the operation and a store of
 * what is atomic, relaxed or not. */
static inline void lofti_word_flip(uint64_t *word, uint64_t bits)
{
#if LOFTI_WORD_ASM
    __asm__("xorq %1, %0" : "+m"(*word) : "r"(bits));
#else
    lofti_word_set(word, lofti_word_get(word) ^ bits);
#endif
}

/* Sets bit idx % 64 of *word, a copy. Returns whether it was set. */
static inline bool lofti_word_test_set(uint64_t *word, uint64_t idx)
{
#if LOFTI_WORD_ASM
    bool was;
    __asm__("btsq %2, %0" : "+r"(*word), "=@ccc"(was) : "r"(idx));
    return was;
#else
    const uint64_t bit = (uint64_t)1 << (idx % 64);
    const bool was = (*word & bit) != 0;
    *word |= bit;
    return was;
#endif
}

/* How many bits are set; without the processor's instruction, which not all x86-64 have. */
static inline uint32_t lofti_word_count(uint64_t word)
{
    word -= (word >> 1) & UINT64_C(0x5555555555555555);
    word = (word & UINT64_C(0x3333333333333333)) + ((word >> 2) & UINT64_C(0x3333333333333333));
    word = (word + (word >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return (uint32_t)((word * UINT64_C(0x0101010101010101)) >> 56);
}

/* Nothing before may be stored after it: orders the image's stores as a commit or a debugger sees
 * them (one thread's own order; no fence instruction is needed for that). */
static inline void lofti_image_order(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

/* The owner's counter, beside the bits. */
static inline uint32_t *lofti_slab_left(uint64_t *bits) { return (uint32_t *)(void *)(bits - 1); }
#define LOFTI_LEFT_NEVER (UINT32_C(1) << 31) /* more frees than can happen before it is set again */

static inline uint64_t *lofti_slab_remote(uint64_t *bits, const lofti_class *shape)
{
    return (uint64_t *)(void *)((uint8_t *)bits + shape->remote_delta);
}

/* The id of the slab's owner at this moment; 0: none. */
static inline uint32_t lofti_slab_owner(const lofti_heap *heap, uint32_t unit)
{
    return __atomic_load_n(&heap->units[unit].owner, __ATOMIC_ACQUIRE) & ~LOFTI_OWNER_MARK;
}

static inline lofti_thread *lofti_heap_thread(const lofti_heap *heap, uint32_t id)
{
    lofti_thread *batch =
        __atomic_load_n(&heap->threads[(id - 1) / LOFTI_THREAD_BATCH], __ATOMIC_RELAXED);
    return batch + (id - 1) % LOFTI_THREAD_BATCH;
}

static inline void lofti_heap_lock(lofti_heap *heap) { (void)pthread_mutex_lock(&heap->lock); }
static inline void lofti_heap_unlock(lofti_heap *heap) { (void)pthread_mutex_unlock(&heap->lock); }

#endif /* LOFTI_HEAP_STATE_H */
