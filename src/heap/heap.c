/*
 * heap/heap.c - laying out, attaching, detaching, reloading.
 */
#include "heap/heap.h"

#include <string.h>

#include "base/arith.h"
#include "base/hash.h"
#include "base/status.h"
#include "heap/annotate.h"
#include "heap/chunk.h"
#include "heap/find.h"
#include "heap/thread.h"

static uint32_t heap_unit_shift(uint64_t limit)
{
    return limit <= LOFTI_CHUNK_BYTES ? LOFTI_UNIT_SHIFT_SMALL : LOFTI_UNIT_SHIFT_LARGE;
}

/* Whether a heap can be laid out so; its first chunk's layout. */
static int heap_plan(uint64_t bytes, uint64_t limit_bytes, lofti_chunk_layout *layout)
{
    const uint64_t limit = lofti_arith_down(limit_bytes, LOFTI_PAGE_BYTES);
    if (limit < LOFTI_HEAP_BYTES_MIN || bytes > limit_bytes ||
        limit > (uint64_t)LOFTI_CHUNK_COUNT_MAX << LOFTI_CHUNK_SHIFT) {
        return lofti_status_fail(LOFT_EINVAL, "lay out", "heap",
                                 "a limit of %llu bytes is too small or too large",
                                 (unsigned long long)limit_bytes);
    }
    if (bytes < limit && bytes % LOFTI_CHUNK_BYTES != 0) {
        return lofti_status_fail(LOFT_EINVAL, "lay out", "heap",
                                 "%llu bytes are no whole chunks, so it could not grow",
                                 (unsigned long long)bytes);
    }
    const uint32_t shift = heap_unit_shift(limit);
    lofti_heap_layout_chunk(limit, shift, 0, layout);
    if (bytes < (uint64_t)(layout->first_unit + 1) << shift) {
        return lofti_status_fail(LOFT_EINVAL, "lay out", "heap",
                                 "%llu bytes have no room for its metadata",
                                 (unsigned long long)bytes);
    }
    return LOFT_OK;
}

int lofti_heap_layout(void *base, uint64_t bytes, uint64_t limit_bytes)
{
    const uint64_t limit = lofti_arith_down(limit_bytes, LOFTI_PAGE_BYTES);
    const uint32_t shift = heap_unit_shift(limit);
    lofti_chunk_layout layout;
    const int code = heap_plan(bytes, limit_bytes, &layout);
    if (code != LOFT_OK) {
        return code;
    }
    lofti_heap_image *image = base;
    lofti_heap heap = {0};
    heap.base = base;
    heap.limit_bytes = limit;
    heap.unit_shift = shift;
    heap.layout_first = layout;
    heap.dir = (lofti_heap_dir *)(void *)((uint8_t *)base + LOFTI_HEAP_IMAGE_BYTES);
    const uint32_t chunks = lofti_heap_layout_chunks(lofti_arith_min(bytes, limit));
    for (uint32_t idx = 0; idx < chunks; idx++) {
        heap.dir[idx / 64].claimed |= (uint64_t)1 << (idx % 64);
    }
    lofti_chunk_format(&heap, 0, true);
    image->version = LOFTI_HEAP_VERSION;
    image->unit_shift = shift;
    image->limit_bytes = limit;
    image->chunk_end = chunks;
    image->magic = LOFTI_HEAP_MAGIC;
    image->seal = lofti_hash(image, LOFTI_HEAP_SEALED_BYTES, 0);
    return 0;
}

int lofti_heap_layout_used(void *base, uint64_t bytes)
{
    const uint64_t limit = lofti_arith_down(bytes, LOFTI_PAGE_BYTES);
    lofti_chunk_layout layout = {0};
    int code = heap_plan(limit, limit, &layout);
    if (code != LOFT_OK) {
        return code;
    }
    memset(base, 0, (size_t)layout.meta_pages << LOFTI_PAGE_SHIFT);
    code = lofti_heap_layout(base, limit, limit);
    /* T7: no page of it is known to be zeros. */
    lofti_chunk_image *first = (lofti_chunk_image *)(void *)((uint8_t *)base + layout.header_off);
    memset(first->touched, 0xff, sizeof first->touched);
    return code;
}

static uint64_t heap_end_off(const lofti_heap_image *image)
{
    return lofti_arith_min(lofti_chunk_off(image->chunk_end), image->limit_bytes);
}

static int heap_verify(const void *base, uint64_t accessible_bytes)
{
    const lofti_heap_image *image = base;
    uint64_t off = 0;
    const char *fault = "the heap is cut off";
    if (accessible_bytes >= LOFTI_HEAP_IMAGE_BYTES) {
        fault = lofti_heap_layout_verify(image, &off);
        if (fault == NULL) {
            lofti_chunk_layout layout;
            lofti_heap_layout_chunk(image->limit_bytes, image->unit_shift, 0, &layout);
            const uint64_t meta = (uint64_t)layout.meta_pages << LOFTI_PAGE_SHIFT;
            fault = meta > accessible_bytes ? "the heap is cut off" : NULL;
            if (fault == NULL) {
                const void *first = (const uint8_t *)base + layout.header_off;
                fault = lofti_chunk_layout_verify(first, &layout, 0, &off);
                off += layout.header_off;
            }
            if (fault == NULL && heap_end_off(image) > accessible_bytes) {
                off = offsetof(lofti_heap_image, chunk_end);
                fault = "the heap's end lies behind its memory";
            }
        }
    }
    if (fault == NULL) {
        return 0;
    }
    return lofti_status_fail(LOFT_ECORRUPT, "attach", "heap", "%s, at offset %llu", fault,
                             (unsigned long long)off);
}

/* Where the struct begins in the host's memory: what every heap touches of it besides its run lists is then in the
 * second page. */
#define HEAP_PLACE_OFF 2048u
_Static_assert(offsetof(lofti_heap, base) + HEAP_PLACE_OFF >= LOFTI_PAGE_BYTES &&
                   offsetof(lofti_heap, threads) + HEAP_PLACE_OFF < 2 * LOFTI_PAGE_BYTES - 8,
               "from the hot words to the first threads: one page");

/* Where the tables lie behind the struct, in one piece of the host's memory. */
typedef struct heap_tables {
    size_t free_map; /* where it begins: it grows downwards */
    size_t chunks, units, slabs, end;
} heap_tables;

static size_t heap_table_part(size_t *end, uint64_t count, size_t bytes)
{
    const size_t start = *end;
    *end = lofti_arith_round_up(start + count * bytes, LOFTI_LINE_BYTES);
    return start;
}

static uint64_t heap_reach(const lofti_heap_image *image, const lofti_heap_host *host)
{
    const uint64_t wanted = host->reach_bytes != 0 ? host->reach_bytes : image->limit_bytes;
    const uint64_t least = lofti_arith_max(wanted, lofti_chunk_off(image->chunk_end));
    return lofti_arith_min(lofti_arith_down(least, LOFTI_PAGE_BYTES), image->limit_bytes);
}

static void heap_place_tables(const lofti_heap_image *image, uint64_t reach_bytes, bool read_only,
                              heap_tables *out)
{
    const uint64_t chunks = (uint64_t)lofti_heap_layout_chunks(reach_bytes) + 1;
    const uint64_t units = (reach_bytes >> image->unit_shift) + 1;
    out->end = lofti_arith_round_up(HEAP_PLACE_OFF + sizeof(lofti_heap), LOFTI_LINE_BYTES);
    (void)heap_table_part(&out->end, read_only ? 1 : chunks / 64 + 1, sizeof(uint64_t));
    out->free_map = out->end - sizeof(uint64_t);
    out->chunks = heap_table_part(&out->end, read_only ? 0 : chunks, sizeof(lofti_chunk));
    out->units = heap_table_part(&out->end, read_only ? 0 : units, sizeof(lofti_unit));
    out->slabs = heap_table_part(&out->end, read_only ? 0 : units, sizeof(lofti_slab));
    out->end = lofti_arith_round_up(out->end, LOFTI_PAGE_BYTES);
}

/* Below: no withheld runs, so that a small heap's last bytes can be had by any thread. */
#define HEAP_KEEPS_BYTES (UINT64_C(256) << 20)

static void heap_fill(lofti_heap *heap, uint8_t *base, uint64_t accessible_bytes, bool read_only)
{
    const lofti_heap_image *image = (const lofti_heap_image *)(const void *)base;
    heap->base = base;
    heap->limit_bytes = image->limit_bytes;
    heap->image = (lofti_heap_image *)(void *)base;
    heap->dir = (lofti_heap_dir *)(void *)(base + LOFTI_HEAP_IMAGE_BYTES);
    heap->unit_shift = image->unit_shift;
    heap->classes = lofti_class_table(heap->unit_shift);
    heap->class_last = lofti_class_last(heap->unit_shift);
    heap->slab_bytes_max = heap->classes[heap->class_last].size;
    heap->accessible_bytes = accessible_bytes;
    heap->chunk_limit = lofti_heap_layout_chunks(heap->reach_bytes);
    heap->read_only = read_only;
    heap->keeps_runs = heap->reach_bytes >= HEAP_KEEPS_BYTES;
    heap->scan_end = image->chunk_end;
    heap->known_end = image->chunk_end;
    lofti_image_layout(heap, 0, &heap->layout_first);
}

int lofti_heap_attach(void *base, uint64_t accessible_bytes, bool read_only,
                      const lofti_heap_host *host, lofti_heap **out)
{
    *out = NULL;
    const int code = heap_verify(base, accessible_bytes);
    if (code != 0) {
        return code;
    }
    heap_tables tables;
    const uint64_t reach_bytes = heap_reach(base, host);
    heap_place_tables(base, reach_bytes, read_only, &tables);
    uint8_t *memory = host->table_alloc(host->context, tables.end);
    if (memory == NULL) {
        return loft_last_code();
    }
    lofti_heap *heap = (lofti_heap *)(void *)(memory + HEAP_PLACE_OFF);
    heap->chunks = (lofti_chunk *)(void *)(memory + tables.chunks);
    heap->free_map = (uint64_t *)(void *)(memory + tables.free_map);
    /* A page that is read before it is written is faulted in twice. */
    *heap->free_map = 0;
    heap->run_lists[0] = 0;
    heap->units = (lofti_unit *)(void *)(memory + tables.units);
    heap->slabs = (lofti_slab *)(void *)(memory + tables.slabs);
    heap->table_bytes = tables.end;
    heap->host = *host;
    heap->reach_bytes = reach_bytes;
    heap_fill(heap, base, accessible_bytes, read_only);
    (void)pthread_mutex_init(&heap->lock, NULL);
    lofti_thread_register(heap);
    *out = heap;
    return 0;
}

void lofti_heap_detach(lofti_heap *heap)
{
    const lofti_heap_host host = heap->host;
    lofti_thread_unregister(heap);
    lofti_annotate_forget(heap);
    (void)pthread_mutex_destroy(&heap->lock);
    for (uint32_t i = 0; i < LOFTI_THREAD_BATCHES && heap->threads[i] != NULL; i++) {
        host.table_free(host.context, heap->threads[i], LOFTI_THREAD_BATCH * sizeof(lofti_thread));
    }
    host.table_free(host.context, (uint8_t *)heap - HEAP_PLACE_OFF, heap->table_bytes);
}

/* The tables' entries of every chunk that was ever looked at or made. */
static void heap_clear_tables(lofti_heap *heap)
{
    const uint32_t units = 1u << lofti_unit_shift_in_chunk(heap);
    lofti_annotate_forget(heap);
    for (uint32_t idx = 0; idx < heap->known_end; idx++) {
        if (heap->chunks[idx].state != LOFTI_CHUNK_UNKNOWN) {
            const uint64_t first = (uint64_t)idx * units;
            const uint64_t end = (heap->reach_bytes >> heap->unit_shift) + 1;
            const uint64_t count = lofti_arith_min(units, end - first);
            memset(&heap->units[first], 0, count * sizeof(lofti_unit));
            memset(&heap->slabs[first], 0, count * sizeof(lofti_slab));
            memset(&heap->chunks[idx], 0, sizeof(lofti_chunk));
        }
    }
    memset(lofti_free_word(heap, heap->known_end / 64), 0,
           (heap->known_end / 64 + 1) * sizeof(uint64_t));
    memset(heap->orphans, 0, sizeof heap->orphans);
    memset(heap->run_lists, 0, sizeof heap->run_lists);
    memset(heap->run_map, 0, sizeof heap->run_map);
    memset(heap->unit_lists, 0, sizeof heap->unit_lists);
    memset(heap->unit_map, 0, sizeof heap->unit_map);
    heap->scan_idx = 0;
    heap->spare_chunk = 0;
    memset(heap->retained, 0, sizeof heap->retained);
    memset(heap->idle_runs, 0, sizeof heap->idle_runs);
    heap->wide_chunk = 0;
}

int lofti_heap_reload(lofti_heap *heap)
{
    const int code = heap_verify(heap->base, heap->accessible_bytes);
    if (code != 0) {
        return code;
    }
    if (!heap->read_only) {
        lofti_thread_forget(heap);
        heap_clear_tables(heap);
    }
    heap_fill(heap, heap->base, heap->accessible_bytes, heap->read_only);
    return 0;
}

int lofti_heap_fork_reload(lofti_heap *heap)
{
    return heap->fork_lone ? 0 : lofti_heap_reload(heap);
}

void lofti_heap_hold(lofti_heap *heap) { lofti_heap_lock(heap); }

void lofti_heap_let_go(lofti_heap *heap) { lofti_heap_unlock(heap); }

uint64_t lofti_heap_anchor(const lofti_heap *heap)
{
    return __atomic_load_n(&heap->image->anchor, __ATOMIC_ACQUIRE);
}

void lofti_heap_set_anchor(lofti_heap *heap, uint64_t value)
{
    __atomic_store_n(&heap->image->anchor, value, __ATOMIC_RELEASE);
}

uint64_t lofti_heap_end_off(const lofti_heap *heap)
{
    const uint32_t end = __atomic_load_n(&heap->image->chunk_end, __ATOMIC_RELAXED);
    return lofti_arith_min(lofti_chunk_off(end), heap->limit_bytes);
}

bool lofti_heap_has_chunk(const lofti_heap *heap, uint32_t idx)
{
    return lofti_image_claimed(heap, idx);
}
