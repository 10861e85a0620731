/*
 * heap/pool_check.c - verifies the pools of an image, L1 to L3 of format/pool.h.
 *
 * Each chain is followed once; its blocks name their pool and are numbered, so no two chains share one and
 * none is a ring. If the chains then have as many blocks as there are spans of pools, every span is in
 * one. So the cost is in proportion to the spans.
 */
#include "base/arith.h"
#include "base/status.h"
#include "format/pool.h"
#include "heap/pool.h"
#include "heap/report.h"
#include "heap/walk.h"

typedef struct pool_check_state {
    const lofti_heap *heap;
    lofti_report report;
    uint64_t spans;   /* of pools */
    uint64_t chained; /* blocks in chains */
} pool_check_state;

static void pool_check_report(pool_check_state *state, uint64_t off, const char *text)
{
    lofti_report_fault(&state->report, off, text);
}

/* Bytes of the pool's span that begins at `off`, from the image alone; 0: there is none. */
static uint64_t pool_check_span(const lofti_heap *heap, uint64_t off)
{
    lofti_place place;
    lofti_find(heap, off, &place);
    return place.kind == LOFTI_PLACE_POOL && place.off == off ? place.bytes : 0;
}

static const loft_pool *pool_at(const lofti_heap *heap, uint64_t off)
{
    return (const loft_pool *)(const void *)(heap->base + off);
}

static const lofti_pool_block *block_at(const lofti_heap *heap, uint64_t off)
{
    return (const lofti_pool_block *)(const void *)(heap->base + off);
}

/* The header at `place` of the pool at `off`, if it can be one. *room: what its block had. */
static const lofti_pool_block *pool_check_block(const lofti_heap *heap, uint64_t off,
                                                uint64_t place, uint64_t *room)
{
    const bool first = place == LOFTI_POOL_FIRST;
    const uint64_t span_off = first ? off : off + place;
    const uint64_t bytes = pool_check_span(heap, span_off);
    const uint64_t before = first ? LOFTI_POOL_FIRST : 0;
    if (bytes == 0) {
        return NULL;
    }
    const lofti_pool_block *block = block_at(heap, span_off + before);
    *room = bytes - before - sizeof *block;
    return block->magic == LOFTI_POOL_BLOCK_MAGIC && block->place == place &&
                   block->bytes == bytes && (block->prev == 0) == first &&
                   (block->idx == 0) == first
               ? block
               : NULL;
}

/* What is wrong with the chain; NULL: nothing. Counts its blocks. */
static const char *pool_check_chain(const lofti_heap *heap, uint64_t off, uint64_t *count)
{
    uint64_t room = 0;
    const lofti_pool_block *block = pool_check_block(heap, off, pool_at(heap, off)->newest, &room);
    if (block == NULL) {
        return "a pool's newest block is not there";
    }
    *count = 1;
    while (block->prev != 0) {
        const uint64_t left = block->prev_left;
        const uint64_t idx = block->idx;
        block = pool_check_block(heap, off, block->prev, &room);
        if (block == NULL || block->idx != idx - 1) {
            return "a pool's chain of blocks is broken";
        }
        if (left > room || left % 16 != 0) {
            return "a pool's block has more left than it ever had";
        }
        ++*count;
    }
    return NULL;
}

static const char *pool_check_fields(const lofti_heap *heap, uint64_t off)
{
    const loft_pool *pool = pool_at(heap, off);
    uint64_t room = 0;
    const lofti_pool_block *block = pool_check_block(heap, off, pool->newest, &room);
    if (block == NULL) {
        return NULL; /* reported with the chain */
    }
    if ((pool->spare[0] | pool->spare[1] | pool->spare[2]) != 0) {
        return "spare bytes of a pool are set";
    }
    if (pool->left > pool->room || pool->left % 16 != 0) {
        return "a pool has more left than it ever had";
    }
    if (pool->room != 0 &&
        (pool->room != room || pool->end != block->place + sizeof *block + room)) {
        return "a pool's fields are not those of its newest block";
    }
    return NULL;
}

static void pool_check_pool(pool_check_state *state, uint64_t off)
{
    uint64_t count = 0;
    const char *fault = pool_check_chain(state->heap, off, &count);
    if (fault != NULL) {
        pool_check_report(state, off, fault);
    }
    state->chained += count;
    fault = pool_check_fields(state->heap, off);
    if (fault != NULL) {
        pool_check_report(state, off, fault);
    }
}

/* A span that is no pool's first. */
static void pool_check_later(pool_check_state *state, uint64_t off)
{
    const lofti_heap *heap = state->heap;
    const lofti_pool_block *block = block_at(heap, off);
    if (block->magic != LOFTI_POOL_BLOCK_MAGIC) {
        pool_check_report(state, off, "memory of a pool has no header");
        return;
    }
    const uint64_t pool = off - block->place;
    if (pool_check_span(heap, pool) == 0 || pool_at(heap, pool)->magic != LOFTI_POOL_MAGIC) {
        pool_check_report(state, off, "memory of a pool that is not there");
    }
}

static void pool_check_place(pool_check_state *state, uint64_t off)
{
    state->spans++;
    if (pool_at(state->heap, off)->magic == LOFTI_POOL_MAGIC) {
        pool_check_pool(state, off);
    } else {
        pool_check_later(state, off);
    }
}

int lofti_pool_check(lofti_heap *heap, loft_report_fn *fn, void *context, uint64_t *faults)
{
    pool_check_state state = {.heap = heap, .report = {.fn = fn, .context = context}};
    lofti_place places[LOFTI_WALK_BATCH];
    uint64_t from_off = 0;
    uint32_t count = lofti_walk_fill(heap, from_off, false, places);
    while (count != 0 && state.report.stopped == 0) {
        for (uint32_t i = 0; i < count && state.report.stopped == 0; i++) {
            if (places[i].kind == LOFTI_PLACE_POOL) {
                pool_check_place(&state, places[i].off);
            }
        }
        from_off = places[count - 1].off + places[count - 1].bytes;
        count = lofti_walk_fill(heap, from_off, false, places);
    }
    if (state.report.faults == 0 && state.report.stopped == 0 && state.chained != state.spans) {
        pool_check_report(&state, 0, "memory of a pool is on no pool's chain");
    }
    return lofti_report_end(&state.report, "pools have", faults);
}
