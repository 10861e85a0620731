/*
 * arena/pool_life_test.c - bump pools over time: how they persist and roll back, and how misuse is told.
 */
#include "arena/arena_world.h"

#include "loft/pool.h"

enum { MEBIBYTE = 1 << 20 };

static int seen_count;
static int seen_kind;
static const void *seen_address;

static void remember(void *context, const loft_misuse *misuse)
{
    (void)context;
    seen_count++;
    seen_kind = misuse->kind;
    seen_address = misuse->address;
}

static void expect_misuse(int kind, const void *address)
{
    LOFT_CHECK_EQ_INT(seen_count, 1);
    LOFT_CHECK_EQ_INT(seen_kind, kind);
    LOFT_CHECK_EQ_PTR(seen_address, address);
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EINVAL);
    seen_count = 0;
}

/* --- persistence ------------------------------------------------------------------------------- */

LOFT_TEST(arena_pool, goes_on_after_the_next_open)
{
    const char *path = loft_test_tmp_path("data");
    loft_arena *arena = new_arena("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "pool", pool));
    char *text = loft_pool_strndup(pool, "kept", 10);
    loft_pool_mark marks[5];
    for (int i = 0; i < 5; i++) {
        marks[i] = loft_pool_save(pool);
        LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 7000));
        close_arena(arena);
        arena = open_arena(path, LOFT_WRITE);
        LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "pool"), pool);
        check_arena(arena);
    }
    LOFT_CHECK_GE_UINT(pool_blocks(arena), 3);
    for (int i = 5; i-- > 0;) {
        loft_pool_rewind(pool, marks[i]);
        LOFT_CHECK_EQ_UINT(loft_pool_save(pool), marks[i]);
    }
    LOFT_CHECK_EQ_UINT(pool_blocks(arena), 1);
    LOFT_CHECK_EQ_STR(text, "kept");
    close_arena(arena);
}

LOFT_TEST(arena_pool, rolls_back_like_everything_else)
{
    const char *path = loft_test_tmp_path("data");
    loft_arena *arena = new_arena("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "pool", pool));
    char *text = loft_pool_strndup(pool, "kept", 10);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    const loft_pool_mark mark = loft_pool_save(pool);
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 100; i++) {
            LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 10000));
        }
        if (round % 2 == 0) {
            loft_pool_destroy(pool);
        }
        LOFT_CHECK_NOT_NULL(loft_pool_create(arena, 100000));
        if (round < 2) {
            LOFT_CHECK_OK(loft_arena_rollback(arena));
        } else {
            abandon_arena(arena);
            arena = open_arena(path, LOFT_WRITE);
        }
        LOFT_CHECK_EQ_UINT(loft_pool_save(pool), mark);
        LOFT_CHECK_EQ_UINT(pool_blocks(arena), 1);
        LOFT_CHECK_EQ_STR(text, "kept");
        check_arena(arena);
    }
    close_arena(arena);
}

LOFT_TEST(arena_pool, a_reader_reads_it_anywhere)
{
    const char *path = loft_test_tmp_path("data");
    loft_arena *arena = new_arena("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "pool", pool));
    char *text = loft_pool_strndup(pool, "kept", 10);
    const loft_pool_mark mark = loft_pool_save(pool);
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 50000));
    const loft_pool_mark end = loft_pool_save(pool);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    loft_arena *reader = NULL; /* elsewhere: the writer has the place */
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_RELOCATE, NULL, &reader));
    loft_pool *there = loft_arena_root(reader, "pool");
    LOFT_CHECK_NE_PTR(there, pool);
    LOFT_CHECK_EQ_UINT(loft_pool_save(there), end);
    LOFT_CHECK_EQ_STR(loft_arena_resolve(reader, text), "kept");
    LOFT_CHECK_EQ_UINT(pool_blocks(reader), 2);
    check_arena(reader);
    LOFT_CHECK_NULL(loft_pool_create(reader, 0));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EREADONLY);
    loft_pool_rewind(there, mark); /* into another block, so it asks */
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EREADONLY);
    LOFT_CHECK_NULL(loft_pool_malloc(there, 20 * MEBIBYTE));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EREADONLY);
    loft_pool_reset(there);
    loft_pool_destroy(there);
    LOFT_CHECK_EQ_UINT(loft_pool_save(there), end);
    close_arena(reader);
    close_arena(arena);
}

/* --- misuse ------------------------------------------------------------------------------------ */

LOFT_TEST(arena_pool, its_memory_is_not_for_free)
{
    loft_arena *arena = new_arena("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    char *blocks[] = {(char *)pool,
                      loft_pool_malloc(pool, 10),
                      loft_pool_malloc(pool, 100000),
                      loft_pool_malloc(pool, 9 * MEBIBYTE),
                      (char *)loft_pool_malloc(pool, 9 * MEBIBYTE) + 4096,
                      (char *)loft_pool_aligned_alloc(pool, 4096, 100) + 7};
    loft_set_misuse_handler(remember, NULL);
    const loft_pool_mark mark = loft_pool_save(pool);
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        loft_arena_free(arena, blocks[i]);
        expect_misuse(LOFT_MISUSE_POOL, blocks[i]);
        LOFT_CHECK_NULL(loft_arena_realloc(arena, blocks[i], 10));
        expect_misuse(LOFT_MISUSE_POOL, blocks[i]);
        LOFT_CHECK_EQ_UINT(loft_arena_usable_size(arena, blocks[i]), 0);
        expect_misuse(LOFT_MISUSE_POOL, blocks[i]);
    }
    LOFT_CHECK_EQ_UINT(loft_pool_save(pool), mark);
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(arena_pool, a_destroyed_pool_is_told)
{
    loft_arena *arena = new_arena("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 10));
    const loft_pool_mark mark = loft_pool_save(pool);
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 10000));
    loft_pool_destroy(pool);
    loft_pool_destroy(NULL);
    loft_set_misuse_handler(remember, NULL);
    LOFT_CHECK_NULL(loft_pool_malloc(pool, 10));
    expect_misuse(LOFT_MISUSE_HANDLE, pool);
    LOFT_CHECK_NULL(loft_pool_aligned_alloc(pool, 64, 10));
    expect_misuse(LOFT_MISUSE_HANDLE, pool);
    loft_pool_rewind(pool, mark);
    expect_misuse(LOFT_MISUSE_HANDLE, pool);
    loft_pool_reset(pool);
    expect_misuse(LOFT_MISUSE_HANDLE, pool);
    loft_pool_destroy(pool);
    expect_misuse(LOFT_MISUSE_HANDLE, pool);
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(arena_pool, what_is_no_pool_is_told)
{
    loft_arena *arena = new_arena("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    char *inner = loft_pool_malloc(pool, 200);
    char *block = loft_arena_calloc(arena, 1, 200);
    char *span = loft_arena_calloc(arena, 1, 300000);
    loft_pool outside = {0};
    memset(inner, 0, 200);
    void *const foreign[] = {&outside, inner, block, span, (char *)pool + 16, &seen_count};
    loft_set_misuse_handler(remember, NULL);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        loft_pool_reset(foreign[i]);
        expect_misuse(LOFT_MISUSE_HANDLE, foreign[i]);
        loft_pool_destroy(foreign[i]);
        expect_misuse(LOFT_MISUSE_HANDLE, foreign[i]);
    }
    LOFT_CHECK_NULL(loft_pool_malloc(&outside, 10));
    expect_misuse(LOFT_MISUSE_HANDLE, &outside);
    LOFT_CHECK_NULL(loft_pool_create(NULL, 0));
    expect_misuse(LOFT_MISUSE_HANDLE, NULL);
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(arena_pool, a_mark_that_it_does_not_have_is_told)
{
    loft_arena *arena = new_arena("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    loft_pool *other = loft_pool_create(arena, 100000);
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 100));
    const loft_pool_mark early = loft_pool_save(pool);
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 500));
    const loft_pool_mark late = loft_pool_save(pool);
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 10000));
    const loft_pool_mark gone = loft_pool_save(pool);
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(other, 70000));
    const loft_pool_mark foreign = loft_pool_save(other);
    loft_pool_rewind(pool, early);
    const loft_pool_mark wrong[] = {late, gone, foreign, early + 1, early + 8, 0, 64, UINT64_MAX};
    loft_set_misuse_handler(remember, NULL);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        loft_pool_rewind(pool, wrong[i]);
        expect_misuse(LOFT_MISUSE_POOL, pool);
        LOFT_CHECK_EQ_UINT(loft_pool_save(pool), early);
    }
    check_arena(arena);
    close_arena(arena);
}

static int name_fault(void *context, const loft_fault *fault)
{
    *(loft_fault *)context = *fault;
    return 0;
}

LOFT_TEST(arena_pool, an_overwritten_one_is_damage)
{
    loft_arena *arena = new_arena("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    char *small = loft_pool_malloc(pool, 100);
    memset(pool, 'x', (size_t)(small - (char *)pool)); /* a program ran out of a block before it */
    pool->magic = UINT64_C(0x4c4f4f5054464f4c);
    pool->left = 0;
    loft_fault fault = {0};
    uint64_t faults = 0;
    LOFT_CHECK_ERR(loft_arena_check(arena, name_fault, &fault, &faults), LOFT_ECORRUPT);
    LOFT_CHECK_GE_UINT(faults, 1);
    LOFT_CHECK_EQ_UINT(fault.offset, loft_offset(arena, pool));
    LOFT_CHECK_NULL(loft_pool_malloc(pool, 100));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ECORRUPT);
    loft_pool_reset(pool);
    loft_pool_destroy(pool);
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ECORRUPT);
    LOFT_CHECK_EQ_UINT(pool_blocks(arena), 1);
    abandon_arena(arena);
}
