/*
 * heap/pool_test.c - pools on a plain heap: chains of blocks, images in the middle of a change, damage.
 */
#include <stdlib.h>
#include <string.h>

#include "format/pool.h"
#include "heap/host.h"
#include "heap/pool.h"
#include "support/test.h"

enum { KIBIBYTE = 1 << 10, MEBIBYTE = 1 << 20 };

static uint64_t pool_faults(loft_test_heap *test)
{
    uint64_t faults = 0;
    const int code = lofti_pool_check(test->heap, NULL, NULL, &faults);
    LOFT_CHECK_EQ_INT(code, faults == 0 ? LOFT_OK : LOFT_ECORRUPT);
    return faults;
}

static void check_all(loft_test_heap *test)
{
    loft_test_heap_check(test);
    LOFT_CHECK_EQ_UINT(pool_faults(test), 0);
}

/* From the pool as a program would, without an arena to look up. */
static void *take(loft_test_heap *test, loft_pool *pool, uint64_t bytes)
{
    const uint64_t rounded = (bytes + 15) & ~(uint64_t)15;
    return rounded <= pool->left ? loft_pool_malloc(pool, bytes)
                                 : lofti_pool_more(test->heap, pool, 16, bytes);
}

static lofti_pool_block *newest_of(loft_pool *pool)
{
    return (lofti_pool_block *)((uintptr_t)pool + (uintptr_t)pool->newest);
}

LOFT_TEST(heap_pool, blocks_double_to_a_mebibyte_and_go_back_one_by_one)
{
    loft_test_heap test;
    loft_pool_mark marks[16];
    loft_test_heap_make(&test, (uint64_t)1 << 30);
    loft_pool *pool = lofti_pool_create(test.heap, 0);
    LOFT_CHECK_NOT_NULL(pool);
    uint64_t bytes = 4096;
    for (uint64_t i = 0; i < 12; i++) {
        LOFT_CHECK_EQ_UINT(newest_of(pool)->idx, i);
        LOFT_CHECK_EQ_UINT(newest_of(pool)->bytes, bytes);
        marks[i] = loft_pool_save(pool);
        LOFT_CHECK_NOT_NULL(take(&test, pool, pool->left));
        LOFT_CHECK_EQ_UINT(pool->left, 0);
        LOFT_CHECK_NOT_NULL(take(&test, pool, 1));
        bytes = bytes < MEBIBYTE ? bytes * 2 : bytes;
        check_all(&test);
    }
    LOFT_CHECK_EQ_UINT(loft_test_heap_live(&test), 13);
    for (uint64_t i = 12; i-- > 0;) {
        LOFT_CHECK_OK(lofti_pool_rewind(test.heap, pool, marks[i]));
        LOFT_CHECK_EQ_UINT(newest_of(pool)->idx, i);
        LOFT_CHECK_EQ_UINT(loft_pool_save(pool), marks[i]);
        LOFT_CHECK_EQ_UINT(loft_test_heap_live(&test), i + 1);
        check_all(&test);
    }
    LOFT_CHECK_OK(lofti_pool_destroy(test.heap, pool));
    LOFT_CHECK_EQ_UINT(loft_test_heap_live(&test), 0);
    loft_test_heap_end(&test);
}

LOFT_TEST(heap_pool, a_small_heap_is_used_up_to_its_last_pages)
{
    loft_test_heap test;
    loft_test_heap_make_fixed(&test, 64 * KIBIBYTE);
    loft_pool *pool = lofti_pool_create(test.heap, 0);
    uint64_t taken = 0;
    while (take(&test, pool, 1000) != NULL) {
        taken += 1000;
    }
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
    check_all(&test);
    LOFT_CHECK_NULL(lofti_heap_malloc(test.heap, 5000)); /* no page is left */
    LOFT_CHECK_GT_UINT(taken, 40 * KIBIBYTE);
    LOFT_CHECK_OK(lofti_pool_reset(test.heap, pool));
    LOFT_CHECK_NOT_NULL(lofti_heap_malloc(test.heap, 5000));
    LOFT_CHECK_NULL(lofti_pool_create(test.heap, SIZE_MAX));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
    LOFT_CHECK_NULL(lofti_pool_create(test.heap, SIZE_MAX - 200));
    LOFT_CHECK_NULL(lofti_pool_create(test.heap, 60 * KIBIBYTE));
    check_all(&test);
    loft_test_heap_end(&test);
}

/* A pool of three blocks, a mark in the first and the second. */
typedef struct three {
    loft_test_heap test;
    loft_pool *pool;
    loft_pool_mark first, second;
    uint8_t *text;
} three;

static void three_make(three *out)
{
    loft_test_heap_make(&out->test, (uint64_t)64 * MEBIBYTE);
    out->pool = lofti_pool_create(out->test.heap, 0);
    out->text = take(&out->test, out->pool, 100);
    memset(out->text, 'x', 100);
    out->first = loft_pool_save(out->pool);
    LOFT_CHECK_NOT_NULL(take(&out->test, out->pool, 6000));
    out->second = loft_pool_save(out->pool);
    LOFT_CHECK_NOT_NULL(take(&out->test, out->pool, 9000));
    LOFT_CHECK_EQ_UINT(newest_of(out->pool)->idx, 2);
}

static void three_end(three *world) { loft_test_heap_end(&world->test); }

LOFT_TEST(heap_pool, an_image_in_the_middle_of_a_change_is_a_pool)
{
    /* What the stores of a growth and of a rewind leave, one after the other (pool_turn). */
    for (int step = 0; step < 4; step++) {
        three world;
        three_make(&world);
        loft_pool *pool = world.pool;
        lofti_pool_block *newest = newest_of(pool);
        pool->left = 0;
        if (step >= 1) {
            pool->room = 0;
        }
        if (step >= 2) {
            pool->newest = newest->prev;
        }
        if (step >= 3) {
            pool->end = newest_of(pool)->place + newest_of(pool)->bytes;
        }
        if (step < 2) {
            LOFT_CHECK_EQ_UINT(pool_faults(&world.test), 0);
        } else {
            LOFT_CHECK_EQ_UINT(pool_faults(&world.test), 1); /* the one block in flight */
        }
        uint8_t *next = take(&world.test, pool, 50);
        LOFT_CHECK_NOT_NULL(next);
        memset(next, 'y', 50);
        for (int i = 0; i < 100; i++) {
            LOFT_CHECK_EQ_INT(world.text[i], 'x');
        }
        LOFT_CHECK_OK(lofti_pool_rewind(world.test.heap, pool, world.first));
        LOFT_CHECK_OK(lofti_pool_destroy(world.test.heap, pool));
        loft_test_heap_check(&world.test);
        LOFT_CHECK_EQ_UINT(loft_test_heap_live(&world.test), step >= 2 ? 1 : 0);
        three_end(&world);
    }
}

/* A byte of the pool's own that is not as it was. */
typedef struct damage {
    int block; /* -1: the handle; else which block's header */
    size_t off;
    uint64_t value;
} damage;

#define HANDLE(field)     -1, offsetof(loft_pool, field)
#define BLOCK(idx, field) idx, offsetof(lofti_pool_block, field)

static const damage damages[] = {
    {HANDLE(left), 8},
    {HANDLE(left), UINT64_MAX},
    {HANDLE(left), (uint64_t)1 << 40},
    {HANDLE(end), 0},
    {HANDLE(end), UINT64_MAX},
    {HANDLE(room), 16},
    {HANDLE(room), UINT64_MAX},
    {HANDLE(newest), 0},
    {HANDLE(newest), 64},
    {HANDLE(newest), 4096},
    {HANDLE(newest), UINT64_MAX},
    {HANDLE(magic), 0},
    {HANDLE(magic), 77},
    {HANDLE(spare), 1},
    {BLOCK(0, magic), 0},
    {BLOCK(1, magic), 1},
    {BLOCK(2, magic), 2},
    {BLOCK(0, place), 0},
    {BLOCK(1, place), 64},
    {BLOCK(2, place), UINT64_MAX},
    {BLOCK(0, bytes), 0},
    {BLOCK(1, bytes), 4096},
    {BLOCK(2, bytes), UINT64_MAX},
    {BLOCK(0, prev), 64},
    {BLOCK(1, prev), 0},
    {BLOCK(1, prev), 4096},
    {BLOCK(2, prev), 64},
    {BLOCK(2, prev), UINT64_MAX},
    {BLOCK(1, prev_left), 7},
    {BLOCK(2, prev_left), UINT64_MAX},
    {BLOCK(0, idx), 1},
    {BLOCK(1, idx), 0},
    {BLOCK(2, idx), 1},
    {BLOCK(2, idx), UINT64_MAX},
};

static lofti_pool_block *block_of(loft_pool *pool, int idx)
{
    lofti_pool_block *block = newest_of(pool);
    for (int i = 2; i > idx; i--) {
        block = (lofti_pool_block *)((uintptr_t)pool + (uintptr_t)block->prev);
    }
    return block;
}

static void ignore(void *context, const loft_misuse *misuse)
{
    (void)misuse;
    ++*(int *)context;
}

LOFT_TEST(heap_pool, every_damage_is_found_and_none_is_followed)
{
    int misuses = 0;
    loft_test_heap_untold();
    loft_set_misuse_handler(ignore, &misuses);
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        three world;
        three_make(&world);
        loft_pool *pool = world.pool;
        lofti_heap *heap = world.test.heap;
        const damage *what = &damages[i];
        uint8_t *at = what->block < 0 ? (uint8_t *)pool : (uint8_t *)block_of(pool, what->block);
        uint64_t value = what->value;
        memcpy(at + what->off, &value, sizeof value);
        if (pool_faults(&world.test) == 0) {
            LOFT_FAIL("damage %zu goes unseen", i);
        }
        uint8_t *image = malloc(64 * MEBIBYTE);
        const size_t bytes = (size_t)world.test.usable_bytes;
        memcpy(image, world.test.base, bytes);
        misuses = 0;
        const uint64_t live = loft_test_heap_live(&world.test);
        /* Each goes as far as what it looks at is whole; never further. */
        const int codes[] = {lofti_pool_rewind(heap, pool, world.first),
                             lofti_pool_rewind(heap, pool, 12345), lofti_pool_reset(heap, pool),
                             lofti_pool_destroy(heap, pool)};
        for (size_t k = 0; k < 4; k++) {
            LOFT_CHECK_TRUE(codes[k] == LOFT_OK || codes[k] == LOFT_EINVAL ||
                            codes[k] == LOFT_ECORRUPT);
        }
        if (codes[0] != LOFT_OK && codes[2] != LOFT_OK && codes[3] != LOFT_OK) {
            LOFT_CHECK_EQ_MEM(world.test.base, image, bytes); /* nothing was changed */
            LOFT_CHECK_EQ_UINT(loft_test_heap_live(&world.test), live);
        }
        loft_test_heap_check(&world.test);
        free(image);
        three_end(&world);
    }
}

LOFT_TEST(heap_pool, spans_that_no_pool_has_are_reported)
{
    three one;
    three_make(&one);
    /* A handle that has lost its last block, and one whose memory went. */
    lofti_pool_block *last = newest_of(one.pool);
    lofti_pool_block *prev = block_of(one.pool, 1);
    one.pool->room = prev->bytes - sizeof *prev;
    one.pool->newest = prev->place;
    one.pool->end = prev->place + prev->bytes;
    one.pool->left = 0;
    LOFT_CHECK_EQ_UINT(pool_faults(&one.test), 1);
    last->magic = 0;
    LOFT_CHECK_EQ_UINT(pool_faults(&one.test), 1);
    one.pool->magic = 0; /* now all three lack their pool */
    LOFT_CHECK_EQ_UINT(pool_faults(&one.test), 3);
    three_end(&one);
}

LOFT_TEST(heap_pool, the_image_may_lie_anywhere)
{
    loft_test_heap_untold();
    three world;
    three_make(&world);
    const uint64_t off = (uint64_t)((uint8_t *)world.pool - world.test.base);
    const uint64_t text_off = (uint64_t)(world.text - world.test.base);
    loft_test_heap anchor;
    loft_test_heap_make(&anchor, (uint64_t)64 * MEBIBYTE);
    LOFT_CHECK_EQ_UINT(anchor.usable_bytes, world.test.usable_bytes);
    memcpy(anchor.base, world.test.base, (size_t)anchor.usable_bytes);
    three_end(&world);
    loft_test_heap_reopen(&anchor, false);
    loft_pool *pool = (loft_pool *)(void *)(anchor.base + off);
    LOFT_CHECK_EQ_INT(anchor.base[text_off + 99], 'x');
    check_all(&anchor);
    LOFT_CHECK_NOT_NULL(take(&anchor, pool, 100000));
    LOFT_CHECK_OK(lofti_pool_rewind(anchor.heap, pool, world.second));
    LOFT_CHECK_OK(lofti_pool_rewind(anchor.heap, pool, world.first));
    check_all(&anchor);
    LOFT_CHECK_OK(lofti_pool_destroy(anchor.heap, pool));
    LOFT_CHECK_EQ_UINT(loft_test_heap_live(&anchor), 0);
    loft_test_heap_end(&anchor);
}

LOFT_TEST(heap_pool, a_read_only_heap_checks_and_refuses)
{
    three world;
    three_make(&world);
    loft_test_heap_reopen(&world.test, true);
    LOFT_CHECK_EQ_UINT(pool_faults(&world.test), 0);
    LOFT_CHECK_NULL(lofti_pool_create(world.test.heap, 0));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EREADONLY);
    LOFT_CHECK_NULL(lofti_pool_more(world.test.heap, world.pool, 16, 9000));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EREADONLY);
    LOFT_CHECK_ERR(lofti_pool_rewind(world.test.heap, world.pool, world.first), LOFT_EREADONLY);
    LOFT_CHECK_ERR(lofti_pool_reset(world.test.heap, world.pool), LOFT_EREADONLY);
    LOFT_CHECK_ERR(lofti_pool_destroy(world.test.heap, world.pool), LOFT_EREADONLY);
    three_end(&world);
}
