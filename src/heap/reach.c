/*
 * heap/reach.c - the scan of live blocks.
 */
#include "heap/reach.h"

#include "base/arith.h"
#include "base/status.h"
#include "format/pool.h"
#include "heap/annotate.h"
#include "heap/walk.h"

#define REACH_GRAIN_SHIFT 4u /* blocks begin at multiples of 16 bytes */
#define REACH_WORD_SHIFT  6u

/* --- Words of a range ------------------------------------------------------------------------------- */

/* Range [off, end) of the heap, both multiples of 8. */
static int reach_range(const lofti_heap *heap, uint64_t off, uint64_t end, lofti_reach_word_fn *fn,
                       void *context)
{
    lofti_annotate_scratch scratch;
    while (off < end) {
        const uint64_t start = lofti_arith_down(off, LOFTI_PAGE_BYTES);
        const uint64_t stop = lofti_arith_min(end, start + LOFTI_PAGE_BYTES);
        const uint8_t *page = lofti_annotate_read(&scratch, heap->base + start);
        for (; off < stop; off += sizeof(uint64_t)) {
            const uint64_t *word = (const uint64_t *)(const void *)(page + (off - start));
            const int code = fn(context, off, __atomic_load_n(word, __ATOMIC_RELAXED));
            if (code != 0) {
                return code;
            }
        }
    }
    return 0;
}

/* The span of a pool that begins at `off`, which may be any number; its bytes, 0: there is none. */
static uint64_t reach_pool_span(const lofti_heap *heap, uint64_t off)
{
    lofti_place place;
    lofti_find(heap, off, &place);
    return place.kind == LOFTI_PLACE_POOL && place.off == off ? place.bytes : 0;
}

static const loft_pool *reach_pool_at(const lofti_heap *heap, uint64_t off)
{
    return (const loft_pool *)(const void *)(heap->base + off);
}

/* What the pool whose handle is at `off` has handed out; `span_fn`, if there is one, is called for each of its spans
 * first. A damaged chain is followed as far as it is whole: numbers of blocks fall, so it ends. */
typedef void reach_span_fn(void *context, uint64_t off);
static int reach_pool(const lofti_heap *heap, uint64_t off, reach_span_fn *span_fn,
                      lofti_reach_word_fn *fn, void *context)
{
    const loft_pool *pool = reach_pool_at(heap, off);
    uint64_t place = pool->newest;
    uint64_t left = pool->left;
    uint64_t above = UINT64_MAX;
    for (;;) {
        const bool first = place == LOFTI_POOL_FIRST;
        const uint64_t span_off = off + (first ? 0 : place);
        const uint64_t bytes = reach_pool_span(heap, span_off);
        const uint64_t from = span_off + (first ? LOFTI_POOL_FIRST : 0) + sizeof(lofti_pool_block);
        if (bytes == 0) {
            return 0;
        }
        const lofti_pool_block *block =
            (const lofti_pool_block *)(const void *)(heap->base + from) - 1;
        if (block->magic != LOFTI_POOL_BLOCK_MAGIC || block->idx >= above) {
            return 0;
        }
        if (span_fn != NULL) {
            span_fn(context, span_off);
        }
        const uint64_t room = span_off + bytes - from;
        const uint64_t rest = left <= room ? lofti_arith_round_up(left, sizeof(uint64_t)) : 0;
        const int code = reach_range(heap, from, span_off + bytes - rest, fn, context);
        if (code != 0 || first) {
            return code;
        }
        above = block->idx;
        place = block->prev;
        left = block->prev_left;
    }
}

int lofti_reach_words(lofti_heap *heap, lofti_reach_word_fn *fn, void *context)
{
    lofti_place places[LOFTI_WALK_BATCH];
    uint64_t from_off = 0;
    int code = 0;
    for (;;) {
        const uint32_t count = lofti_walk_fill(heap, from_off, false, places);
        for (uint32_t i = 0; i < count && code == 0; i++) {
            const uint64_t off = places[i].off;
            if (places[i].kind != LOFTI_PLACE_POOL) {
                code = reach_range(heap, off, off + places[i].bytes, fn, context);
            } else if (reach_pool_at(heap, off)->magic == LOFTI_POOL_MAGIC) {
                code = reach_pool(heap, off, NULL, fn, context); /* its other spans too */
            }
        }
        if (count == 0 || code != 0) {
            return code;
        }
        from_off = places[count - 1].off + places[count - 1].bytes;
    }
}

/* --- Marks -------------------------------------------------------------------------------------------- */

static bool bit_set(uint64_t *words, uint64_t bit)
{
    uint64_t *word = &words[bit >> REACH_WORD_SHIFT];
    const uint64_t mask = (uint64_t)1 << (bit % 64);
    const bool was = (*word & mask) != 0;
    *word |= mask;
    return was;
}

static uint64_t reach_level_words(uint64_t bits) { return (bits + 63) >> REACH_WORD_SHIFT; }

int lofti_reach_open(lofti_heap *heap, uint64_t stored_base, lofti_reach *out)
{
    *out = (lofti_reach){.heap = heap, .stored_base = stored_base};
    out->end_off = lofti_heap_end_off(heap);
    uint64_t words = reach_level_words(out->end_off >> REACH_GRAIN_SHIFT);
    uint64_t starts[LOFTI_REACH_LEVELS];
    uint64_t total = words; /* `marked` */
    for (;;) {
        starts[out->level_count++] = total;
        total += words;
        if (words == 1 || out->level_count == LOFTI_REACH_LEVELS) {
            break;
        }
        words = reach_level_words(words);
    }
    out->bytes = lofti_arith_round_up(total * sizeof(uint64_t), LOFTI_PAGE_BYTES);
    out->marked = heap->host.table_alloc(heap->host.context, out->bytes);
    if (out->marked == NULL) {
        return loft_last_code();
    }
    for (uint32_t i = 0; i < out->level_count; i++) {
        out->levels[i] = out->marked + starts[i];
    }
    return LOFT_OK;
}

void lofti_reach_close(lofti_reach *reach)
{
    reach->heap->host.table_free(reach->heap->host.context, reach->marked, reach->bytes);
    reach->marked = NULL;
}

static void reach_push(lofti_reach *reach, uint64_t off)
{
    uint64_t bit = off >> REACH_GRAIN_SHIFT;
    if (bit_set(reach->marked, bit)) {
        return;
    }
    for (uint32_t i = 0; i < reach->level_count && !bit_set(reach->levels[i], bit); i++) {
        bit >>= REACH_WORD_SHIFT;
    }
}

/* Takes a pending block; false: there is none. */
static bool reach_pop(lofti_reach *reach, uint64_t *off)
{
    uint64_t bit = 0;
    for (uint32_t i = reach->level_count; i-- > 0;) {
        const uint64_t word = reach->levels[i][bit];
        if (word == 0) {
            return false; /* at the top only */
        }
        bit = bit << REACH_WORD_SHIFT | lofti_bits_lowest(word);
    }
    *off = bit << REACH_GRAIN_SHIFT;
    for (uint32_t i = 0; i < reach->level_count; i++) {
        uint64_t *word = &reach->levels[i][bit >> REACH_WORD_SHIFT];
        *word &= ~((uint64_t)1 << (bit % 64));
        if (*word != 0) {
            break;
        }
        bit >>= REACH_WORD_SHIFT;
    }
    return true;
}

void lofti_reach_root(lofti_reach *reach, uint64_t off)
{
    lofti_place place;
    if (off >= reach->end_off) {
        return;
    }
    lofti_find(reach->heap, off, &place);
    const bool block = place.kind == LOFTI_PLACE_SLAB || place.kind == LOFTI_PLACE_SPAN ||
                       place.kind == LOFTI_PLACE_POOL;
    if (block && place.live) {
        reach_push(reach, place.off);
    }
}

static int reach_word(void *context, uint64_t off, uint64_t word)
{
    lofti_reach *reach = context;
    (void)off;
    lofti_reach_root(reach, word - reach->stored_base);
    return 0;
}

/* A span of a pool that was reached: it is scanned with its pool. */
static void reach_mark_span(void *context, uint64_t off)
{
    const lofti_reach *reach = context;
    (void)bit_set(reach->marked, off >> REACH_GRAIN_SHIFT);
}

static void reach_scan_pool(lofti_reach *reach, uint64_t off)
{
    const lofti_heap *heap = reach->heap;
    if (reach_pool_at(heap, off)->magic == LOFTI_POOL_MAGIC) {
        (void)reach_pool(heap, off, reach_mark_span, reach_word, reach);
        return;
    }
    const lofti_pool_block *block = (const lofti_pool_block *)(const void *)(heap->base + off);
    if (block->magic == LOFTI_POOL_BLOCK_MAGIC) {
        lofti_reach_root(reach, off - block->place); /* the handle, if it is one */
    }
}

void lofti_reach_run(lofti_reach *reach)
{
    uint64_t off = 0;
    while (reach_pop(reach, &off)) {
        lofti_place place;
        lofti_find(reach->heap, off, &place);
        if (place.kind == LOFTI_PLACE_POOL) {
            reach_scan_pool(reach, off);
        } else {
            (void)reach_range(reach->heap, off, off + place.bytes, reach_word, reach);
        }
    }
}

int lofti_reach_each_lost(lofti_reach *reach, loft_block_fn *fn, void *context, uint64_t *count)
{
    lofti_place places[LOFTI_WALK_BATCH];
    uint64_t from_off = 0;
    for (;;) {
        const uint32_t found = lofti_walk_fill(reach->heap, from_off, false, places);
        for (uint32_t i = 0; i < found; i++) {
            const uint64_t bit = places[i].off >> REACH_GRAIN_SHIFT;
            if ((reach->marked[bit >> REACH_WORD_SHIFT] >> (bit % 64)) & 1) {
                continue;
            }
            loft_block block = {.struct_bytes = sizeof block};
            lofti_walk_tell(reach->heap, &places[i], &block);
            ++*count;
            const int code = fn != NULL ? fn(context, &block) : 0;
            if (code != 0) {
                return code;
            }
        }
        if (found == 0) {
            return LOFT_OK;
        }
        from_off = places[found - 1].off + places[found - 1].bytes;
    }
}
