/*
 * heap/pool.c - a pool's blocks: taking, giving back, judging.
 *
 * The invariants are L1 to L3 of format/pool.h. A block joins the chain when all of its header is
 * written, and leaves it before its span ends; between the two it is a span that no pool has, which
 * lofti_pool_check reports.
 */
#include "heap/pool.h"

#include <string.h>

#include "base/arith.h"
#include "base/misuse.h"
#include "base/status.h"
#include "format/pool.h"
#include "heap/annotate.h"
#include "heap/span.h"
#include "heap/walk.h"

#define POOL_ALIGNMENT   16u /* of every block: the arena's own */
#define POOL_HEADER      sizeof(lofti_pool_block)
#define POOL_BLOCK_BYTES (UINT64_C(1) << 20) /* doubling ends here: three of them to a chunk */
#define POOL_FIRST_MARK  (LOFTI_POOL_FIRST + POOL_HEADER)

static uint64_t pool_off(const lofti_heap *heap, const loft_pool *pool)
{
    return (uint64_t)((uintptr_t)pool - (uintptr_t)heap->base);
}

/* Bytes of the pool's span that begins at `off`, which may be any number; 0: there is none. */
static uint64_t pool_span_bytes(lofti_heap *heap, uint64_t off)
{
    if (off >= heap->reach_bytes) {
        return 0;
    }
    if (!heap->read_only) {
        return lofti_span_pages(heap, off, LOFTI_SPAN_POOL) << LOFTI_PAGE_SHIFT;
    }
    lofti_place place;
    lofti_find(heap, off, &place);
    return place.kind == LOFTI_PLACE_POOL && place.off == off ? place.bytes : 0;
}

static bool pool_is(lofti_heap *heap, const loft_pool *pool)
{
    return pool_span_bytes(heap, pool_off(heap, pool)) >= POOL_FIRST_MARK &&
           pool->magic == LOFTI_POOL_MAGIC;
}

static uint64_t block_span_place(const lofti_pool_block *block)
{
    return block->place == LOFTI_POOL_FIRST ? 0 : block->place;
}

static uint64_t block_end(const lofti_pool_block *block)
{
    return block_span_place(block) + block->bytes;
}

/* What the block had to hand out. */
static uint64_t block_room(const lofti_pool_block *block)
{
    return block_end(block) - block->place - POOL_HEADER;
}

static bool block_left_fits(const lofti_pool_block *block, uint64_t left)
{
    return left <= block_room(block) && left % POOL_ALIGNMENT == 0;
}

/* The block whose header is at `place`, which may be any number; NULL: none can be there. */
static lofti_pool_block *pool_block(lofti_heap *heap, const loft_pool *pool, uint64_t place)
{
    const bool first = place == LOFTI_POOL_FIRST;
    const uint64_t span_off = pool_off(heap, pool) + (first ? 0 : place);
    const uint64_t bytes = pool_span_bytes(heap, span_off);
    if (bytes == 0) {
        return NULL;
    }
    const uint64_t off = span_off + (first ? LOFTI_POOL_FIRST : 0);
    lofti_pool_block *block = (lofti_pool_block *)(void *)(heap->base + off);
    const bool whole = block->magic == LOFTI_POOL_BLOCK_MAGIC && block->place == place &&
                       block->bytes == bytes && (block->prev == 0) == first &&
                       (block->idx == 0) == first;
    return whole ? block : NULL;
}

/* The block before; NULL: it is damaged, or there is none. */
static lofti_pool_block *pool_before(lofti_heap *heap, const loft_pool *pool,
                                     const lofti_pool_block *block)
{
    lofti_pool_block *prev = block->prev != 0 ? pool_block(heap, pool, block->prev) : NULL;
    return prev != NULL && prev->idx == block->idx - 1 && block_left_fits(prev, block->prev_left)
               ? prev
               : NULL;
}

/* The newest block, if the handle's fields fit it (L3); NULL: they are damaged. */
static lofti_pool_block *pool_newest(lofti_heap *heap, const loft_pool *pool)
{
    lofti_pool_block *block = pool_block(heap, pool, pool->newest);
    if (block == NULL) {
        return NULL;
    }
    if (pool->room == 0) {
        return pool->left == 0 ? block : NULL;
    }
    return pool->room == block_room(block) && pool->end == block_end(block) &&
                   block_left_fits(block, pool->left)
               ? block
               : NULL;
}

static int pool_damaged(const lofti_heap *heap, const loft_pool *pool, const char *operation)
{
    return lofti_status_fail(LOFT_ECORRUPT, operation, "pool",
                             "the fields of the pool at offset %llu of the heap were overwritten",
                             (unsigned long long)pool_off(heap, pool));
}

/* Judges a handle as a caller gave it. */
static int pool_open(lofti_heap *heap, const loft_pool *pool, const char *operation,
                     lofti_pool_block **newest)
{
    if (!pool_is(heap, pool)) {
        lofti_misuse_report(LOFT_MISUSE_HANDLE, pool,
                            "%s: %p is no pool, or one that was destroyed", operation,
                            (const void *)pool);
        return LOFT_EINVAL;
    }
    *newest = pool_newest(heap, pool);
    return *newest != NULL ? LOFT_OK : pool_damaged(heap, pool, operation);
}

/* Makes `block` the newest, with `left` bytes left. At every moment a pool (L3), and one whose inline
 * functions stay inside it. */
static void pool_turn(loft_pool *pool, const lofti_pool_block *block, uint64_t left)
{
    pool->left = 0;
    lofti_image_order();
    pool->room = 0;
    lofti_image_order();
    pool->newest = block->place;
    pool->end = block_end(block);
    lofti_image_order();
    pool->room = block_room(block);
    lofti_image_order();
    pool->left = left;
    lofti_image_order();
    lofti_annotate_free((const uint8_t *)pool + (pool->end - left), left);
}

/* A span of at least `need` bytes, of `wish` if they are to be had. */
static uint8_t *pool_span(lofti_heap *heap, uint64_t need, uint64_t wish, uint64_t *bytes)
{
    int code = LOFT_ENOMEM;
    if (need > heap->reach_bytes) {
        return lofti_status_null(lofti_status_fail(code, "allocate", "pool",
                                                   "%llu bytes are more than its arena can hold",
                                                   (unsigned long long)need));
    }
    bool zero = false;
    uint64_t pages =
        lofti_arith_round_up(lofti_arith_max(need, wish), LOFTI_PAGE_BYTES) >> LOFTI_PAGE_SHIFT;
    void *span =
        lofti_span_alloc(heap, NULL, pages, LOFTI_PAGE_BYTES, LOFTI_SPAN_POOL, &zero, &code);
    if (span == NULL && code == LOFT_ENOMEM && wish > need) {
        pages = lofti_arith_round_up(need, LOFTI_PAGE_BYTES) >> LOFTI_PAGE_SHIFT;
        span = lofti_span_alloc(heap, NULL, pages, LOFTI_PAGE_BYTES, LOFTI_SPAN_POOL, &zero, &code);
    }
    *bytes = pages << LOFTI_PAGE_SHIFT;
    return span != NULL ? span : lofti_status_null(code);
}

static int pool_writable(const lofti_heap *heap, const char *operation)
{
    return heap->read_only ? lofti_status_fail(LOFT_EREADONLY, operation, "pool",
                                               "its arena was opened read-only")
                           : LOFT_OK;
}

loft_pool *lofti_pool_create(lofti_heap *heap, uint64_t first_bytes)
{
    uint64_t need = 0;
    uint64_t bytes = 0;
    const int code = pool_writable(heap, "create");
    if (code != LOFT_OK) {
        return lofti_status_null(code);
    }
    if (!lofti_arith_add(first_bytes, POOL_FIRST_MARK, &need)) {
        need = UINT64_MAX;
    }
    uint8_t *span = pool_span(heap, need, 0, &bytes);
    if (span == NULL) {
        return NULL;
    }
    loft_pool *pool = (loft_pool *)(void *)span;
    lofti_pool_block *block = (lofti_pool_block *)(void *)(span + LOFTI_POOL_FIRST);
    *block = (lofti_pool_block){
        .magic = LOFTI_POOL_BLOCK_MAGIC, .place = LOFTI_POOL_FIRST, .bytes = bytes};
    memset(pool, 0, sizeof *pool);
    pool_turn(pool, block, block_room(block));
    pool->magic = LOFTI_POOL_MAGIC;
    return pool;
}

void *lofti_pool_more(lofti_heap *heap, loft_pool *pool, uint64_t alignment, uint64_t bytes)
{
    lofti_pool_block *newest = NULL;
    int code = pool_writable(heap, "allocate");
    if (code == LOFT_OK) {
        code = pool_open(heap, pool, "allocate", &newest);
    }
    if (code != LOFT_OK) {
        return lofti_status_null(code);
    }
    uint64_t need = UINT64_MAX;
    const uint64_t slack = alignment - POOL_ALIGNMENT;
    if (bytes <= heap->reach_bytes) {
        bytes = lofti_arith_round_up(lofti_arith_max(bytes, 1), POOL_ALIGNMENT);
        need = POOL_HEADER + bytes + slack;
    }
    const uint64_t wish = lofti_arith_min(newest->bytes, POOL_BLOCK_BYTES / 2) * 2;
    uint64_t span_bytes = 0;
    uint8_t *span = pool_span(heap, need, wish, &span_bytes);
    if (span == NULL) {
        return NULL;
    }
    lofti_pool_block *block = (lofti_pool_block *)(void *)span;
    *block = (lofti_pool_block){.magic = LOFTI_POOL_BLOCK_MAGIC,
                                .place = (uint64_t)((uintptr_t)span - (uintptr_t)pool),
                                .bytes = span_bytes,
                                .prev = newest->place,
                                .prev_left = pool->left,
                                .idx = newest->idx + 1};
    lofti_image_order();
    uint8_t *start = span + POOL_HEADER;
    const uint64_t skip = -(uint64_t)(uintptr_t)start & (alignment - 1);
    pool_turn(pool, block, block_room(block) - skip - bytes);
    return start + skip;
}

/* Gives the newest block back. `prev` is the one before it. */
static void pool_pop(lofti_heap *heap, loft_pool *pool, const lofti_pool_block *newest,
                     const lofti_pool_block *prev)
{
    const uint64_t off = pool_off(heap, pool) + newest->place;
    pool_turn(pool, prev, newest->prev_left);
    (void)lofti_span_free(heap, NULL, off, LOFTI_SPAN_POOL);
}

/* The block that a mark lies in, among `newest` and those before it. *code: 0, LOFT_ENOENT: in none; or
 * LOFT_ECORRUPT. `mark` 0, which is nobody's, has all of them looked at. */
static lofti_pool_block *pool_find_mark(lofti_heap *heap, const loft_pool *pool,
                                        lofti_pool_block *newest, loft_pool_mark mark, int *code)
{
    uint64_t left = pool->left;
    lofti_pool_block *block = newest;
    for (;;) {
        const uint64_t back = block_end(block) - mark;
        if (mark != 0 && back >= left && block_left_fits(block, back)) {
            *code = LOFT_OK;
            return block;
        }
        if (block->prev == 0) {
            *code = LOFT_ENOENT;
            return NULL;
        }
        left = block->prev_left;
        block = pool_before(heap, pool, block);
        if (block == NULL) {
            *code = LOFT_ECORRUPT;
            return NULL;
        }
    }
}

static int pool_back_to(lofti_heap *heap, loft_pool *pool, loft_pool_mark mark,
                        const char *operation)
{
    lofti_pool_block *newest = NULL;
    int code = pool_writable(heap, operation);
    if (code == LOFT_OK) {
        code = pool_open(heap, pool, operation, &newest);
    }
    if (code != LOFT_OK) {
        return code;
    }
    const lofti_pool_block *target = pool_find_mark(heap, pool, newest, mark, &code);
    if (code == LOFT_ENOENT) {
        lofti_misuse_report(LOFT_MISUSE_POOL, pool,
                            "%s: the pool at %p has no mark 0x%llx, or left it behind by an "
                            "earlier rewind",
                            operation, (void *)pool, (unsigned long long)mark);
        return LOFT_EINVAL;
    }
    if (target == NULL) {
        return pool_damaged(heap, pool, operation);
    }
    while (newest != target) {
        lofti_pool_block *prev = pool_before(heap, pool, newest);
        LOFTI_CHECK(prev != NULL); /* pool_find_mark came by */
        pool_pop(heap, pool, newest, prev);
        newest = prev;
    }
    pool_turn(pool, target, block_end(target) - mark);
    return LOFT_OK;
}

int lofti_pool_rewind(lofti_heap *heap, loft_pool *pool, loft_pool_mark mark)
{
    return pool_back_to(heap, pool, mark, "rewind");
}

int lofti_pool_reset(lofti_heap *heap, loft_pool *pool)
{
    return pool_back_to(heap, pool, POOL_FIRST_MARK, "reset");
}

int lofti_pool_destroy(lofti_heap *heap, loft_pool *pool)
{
    const int code = pool_back_to(heap, pool, POOL_FIRST_MARK, "destroy");
    if (code != LOFT_OK) {
        return code;
    }
    /* A later call on the handle finds nothing left, and then, while nothing else lies there, no magic. */
    memset(pool, 0, sizeof *pool);
    lofti_image_order();
    (void)lofti_span_free(heap, NULL, pool_off(heap, pool), LOFTI_SPAN_POOL);
    lofti_annotate_live(pool, sizeof *pool); /* a later call may look for the magic */
    return LOFT_OK;
}
