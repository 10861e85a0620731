/*
 * arena/pool_test.c - bump pools through the public interface: what they hand out, what they give back, how marks
 * go back.
 */
#include "arena/arena_world.h"

#include <pthread.h>
#include <stdlib.h>

#include "loft/pool.h"

enum { KIBIBYTE = 1 << 10, MEBIBYTE = 1 << 20 };

/* --- handing out ------------------------------------------------------------------------------ */

LOFT_TEST(arena_pool, blocks_are_aligned_apart_and_keep_their_content)
{
    enum { COUNT = 20000 };
    loft_arena *arena = new_arena("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    uint8_t **blocks = malloc(COUNT * sizeof *blocks);
    for (size_t i = 0; i < COUNT; i++) {
        blocks[i] = loft_pool_malloc(pool, i % 700);
        LOFT_CHECK_NOT_NULL(blocks[i]);
        LOFT_CHECK_EQ_UINT((uintptr_t)blocks[i] % 16, 0);
        LOFT_CHECK_EQ_PTR(loft_arena_of(blocks[i]), arena);
        memset(blocks[i], (int)i, i % 700);
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < i % 700; k++) {
            if (blocks[i][k] != (uint8_t)i) {
                LOFT_FAIL("block %zu was overwritten at byte %zu", i, k);
            }
        }
    }
    free(blocks);
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(arena_pool, nothing_gives_a_block_of_its_own)
{
    loft_arena *arena = open_arena(NULL, 0);
    loft_pool *pool = loft_pool_create(arena, 0);
    char *last = loft_pool_malloc(pool, 0);
    for (int i = 0; i < 1000; i++) {
        char *next = loft_pool_malloc(pool, 0);
        LOFT_CHECK_NOT_NULL(next);
        LOFT_CHECK_NE_PTR(next, last);
        last = next;
    }
    close_arena(arena);
}

LOFT_TEST(arena_pool, the_inline_functions_have_twins)
{
    /* By address, so that nothing is inlined. */
    void *(*volatile take)(loft_pool *, size_t) = loft_pool_malloc;
    loft_pool_mark (*volatile save)(const loft_pool *) = loft_pool_save;
    void (*volatile rewind_to)(loft_pool *, loft_pool_mark) = loft_pool_rewind;
    loft_arena *arena = open_arena(NULL, 0);
    loft_pool *pool = loft_pool_create(arena, 0);
    const loft_pool_mark mark = save(pool);
    LOFT_CHECK_EQ_UINT(mark, loft_pool_save(pool));
    void *one = take(pool, 40);
    rewind_to(pool, mark);
    LOFT_CHECK_EQ_PTR(loft_pool_malloc(pool, 40), one);
    loft_pool_rewind(pool, mark);
    LOFT_CHECK_EQ_PTR(take(pool, 40), one);
    close_arena(arena);
}

LOFT_TEST(arena_pool, the_first_block_is_as_large_as_asked_for)
{
    static const size_t sizes[] = {0, 1, 100, 4000, 5000, 100000, 3 * MEBIBYTE, 11 * MEBIBYTE};
    loft_arena *arena = new_arena("data");
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        loft_pool *pool = loft_pool_create(arena, sizes[i]);
        LOFT_CHECK_NOT_NULL(pool);
        for (size_t taken = 0; taken + 16 <= sizes[i]; taken += 16 * KIBIBYTE) {
            const size_t rest = sizes[i] - taken;
            LOFT_CHECK_NOT_NULL(
                loft_pool_malloc(pool, rest < 16 * KIBIBYTE ? rest : 16 * KIBIBYTE));
        }
        LOFT_CHECK_EQ_UINT(pool_blocks(arena), 1);
        check_arena(arena);
        loft_pool_destroy(pool);
        LOFT_CHECK_EQ_UINT(pool_blocks(arena), 0);
    }
    close_arena(arena);
}

LOFT_TEST(arena_pool, blocks_larger_than_a_chunk)
{
    loft_arena *arena = new_arena("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    char *small = loft_pool_malloc(pool, 100);
    memset(small, 's', 100);
    const loft_pool_mark mark = loft_pool_save(pool);
    for (size_t i = 1; i < 6; i++) {
        const size_t bytes = i * 3 * MEBIBYTE + i;
        char *large = loft_pool_malloc(pool, bytes);
        LOFT_CHECK_NOT_NULL(large);
        memset(large, 'l', bytes);
        LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 10));
    }
    check_arena(arena);
    LOFT_CHECK_GE_UINT(pool_blocks(arena), 6);
    loft_pool_rewind(pool, mark);
    LOFT_CHECK_EQ_UINT(pool_blocks(arena), 1);
    for (int i = 0; i < 100; i++) {
        LOFT_CHECK_EQ_INT(small[i], 's');
    }
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(arena_pool, every_alignment)
{
    loft_arena *arena = open_arena(NULL, 0);
    loft_pool *pool = loft_pool_create(arena, 0);
    for (size_t round = 0; round < 40; round++) {
        for (size_t alignment = 1; alignment <= 2 * MEBIBYTE; alignment *= 2) {
            uint8_t *block = loft_pool_aligned_alloc(pool, alignment, round * 37);
            LOFT_CHECK_NOT_NULL(block);
            LOFT_CHECK_EQ_UINT((uintptr_t)block % alignment, 0);
            memset(block, 0xff, round * 37);
        }
        check_arena(arena);
        if (round % 7 == 0) {
            loft_pool_reset(pool);
        }
    }
    static const size_t bad[] = {0, 3, 24, 4 * MEBIBYTE, SIZE_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        LOFT_CHECK_NULL(loft_pool_aligned_alloc(pool, bad[i], 10));
        LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EINVAL);
    }
    close_arena(arena);
}

LOFT_TEST(arena_pool, copies)
{
    loft_arena *arena = open_arena(NULL, 0);
    loft_pool *pool = loft_pool_create(arena, 0);
    LOFT_CHECK_EQ_STR(loft_pool_strndup(pool, "arena", 100), "arena");
    LOFT_CHECK_EQ_STR(loft_pool_strndup(pool, "arena", 5), "arena");
    LOFT_CHECK_EQ_STR(loft_pool_strndup(pool, "arena", 3), "are");
    LOFT_CHECK_EQ_STR(loft_pool_strndup(pool, "arena", 0), "");
    const char open_end[3] = {'a', 'b', 'c'};
    LOFT_CHECK_EQ_STR(loft_pool_strndup(pool, open_end, 3), "abc");
    LOFT_CHECK_EQ_MEM(loft_pool_memdup(pool, open_end, 3), open_end, 3);
    LOFT_CHECK_NOT_NULL(loft_pool_memdup(pool, NULL, 0));
    memset(loft_pool_malloc(pool, 2000), 0xff, 2000);
    loft_pool_reset(pool);
    const uint8_t zeros[1500] = {0};
    LOFT_CHECK_EQ_MEM(loft_pool_calloc(pool, 15, 100), zeros, sizeof zeros);
    LOFT_CHECK_NULL(loft_pool_strndup(pool, NULL, 3));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EINVAL);
    LOFT_CHECK_NULL(loft_pool_memdup(pool, NULL, 3));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EINVAL);
    close_arena(arena);
}

LOFT_TEST(arena_pool, sizes_that_cannot_be)
{
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    options.reserve_bytes = 64 * MEBIBYTE;
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_open(loft_test_tmp_path("data"), LOFT_CREATE, &options, &arena));
    loft_pool *pool = loft_pool_create(arena, 0);
    volatile size_t huge = SIZE_MAX;
    for (size_t i = 0; i < 70; i++) {
        LOFT_CHECK_NULL(loft_pool_malloc(pool, huge - i));
        LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
        LOFT_CHECK_NULL(loft_pool_aligned_alloc(pool, 4096, huge - i));
    }
    LOFT_CHECK_NULL(loft_pool_malloc(pool, huge / 2));
    LOFT_CHECK_NULL(loft_pool_calloc(pool, huge, 2));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EOVERFLOW);
    LOFT_CHECK_NULL(loft_pool_create(arena, huge));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
    uint64_t count = 0;
    while (loft_pool_malloc(pool, 10000) != NULL) {
        LOFT_CHECK_LT_UINT(++count, 64 * MEBIBYTE / 10000);
    }
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
    LOFT_CHECK_GT_UINT(count, 50 * MEBIBYTE / 10000);
    check_arena(arena);
    loft_pool_reset(pool);
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 10 * MEBIBYTE));
    check_arena(arena);
    close_arena(arena);
}

/* --- marks -------------------------------------------------------------------------------------- */

/* A stack of marks beside what was handed out, as it must be. */
typedef struct shadow {
    struct {
        uint8_t *at;
        size_t bytes;
    } blocks[4096];
    struct {
        loft_pool_mark mark;
        size_t count;
    } marks[64];
    size_t block_count, mark_count;
} shadow;

static void shadow_check(const shadow *model)
{
    for (size_t i = 0; i < model->block_count; i++) {
        for (size_t k = 0; k < model->blocks[i].bytes; k += 61) {
            if (model->blocks[i].at[k] != (uint8_t)(i * 7 + k)) {
                LOFT_FAIL("block %zu of %zu was overwritten", i, model->block_count);
            }
        }
    }
}

static void shadow_take(shadow *model, loft_pool *pool, loft_test_random *random)
{
    const uint64_t kind = loft_test_random_below(random, 100);
    const size_t bytes = loft_test_random_below(random, kind < 80   ? 200
                                                        : kind < 98 ? 9000
                                                                    : 3 * MEBIBYTE);
    if (model->block_count == 4096) {
        return;
    }
    uint8_t *at =
        kind % 5 == 0
            ? loft_pool_aligned_alloc(pool, (size_t)1 << loft_test_random_below(random, 14), bytes)
            : loft_pool_malloc(pool, bytes);
    LOFT_CHECK_NOT_NULL(at);
    for (size_t k = 0; k < bytes; k++) {
        at[k] = (uint8_t)(model->block_count * 7 + k);
    }
    model->blocks[model->block_count].at = at;
    model->blocks[model->block_count++].bytes = bytes;
}

static void shadow_step(shadow *model, loft_pool *pool, loft_test_random *random)
{
    const uint64_t kind = loft_test_random_below(random, 200);
    if (kind == 0) {
        loft_pool_reset(pool);
        model->block_count = model->mark_count = 0;
    } else if (kind < 12 && model->mark_count < 64) {
        model->marks[model->mark_count].mark = loft_pool_save(pool);
        model->marks[model->mark_count++].count = model->block_count;
    } else if (kind < 20 && model->mark_count > 0) {
        /* Not always the last: those behind it are void then. */
        model->mark_count -= 1 + loft_test_random_below(random, (model->mark_count + 3) / 4);
        loft_pool_rewind(pool, model->marks[model->mark_count].mark);
        model->block_count = model->marks[model->mark_count].count;
    } else {
        shadow_take(model, pool, random);
    }
}

LOFT_TEST(arena_pool, random_marks_against_a_model)
{
    enum { POOLS = 5 };
    loft_test_random random = {loft_test_seed()};
    const uint64_t steps = loft_test_scale(20000, 2000000, 200000);
    const char *path = loft_test_tmp_path("data");
    shadow *models = calloc(POOLS, sizeof *models);
    loft_pool *pools[POOLS];
    loft_arena *arena = new_arena("data");
    for (size_t i = 0; i < POOLS; i++) {
        pools[i] = loft_pool_create(arena, i * 3000);
        char name[] = {(char)('0' + i), '\0'};
        LOFT_CHECK_OK(loft_arena_set_root(arena, name, pools[i]));
    }
    for (uint64_t step = 1; step <= steps; step++) {
        const size_t i = loft_test_random_below(&random, POOLS);
        shadow_step(&models[i], pools[i], &random);
        if (step % (steps / 20) == 0) {
            for (size_t k = 0; k < POOLS; k++) {
                shadow_check(&models[k]);
            }
            check_arena(arena);
        }
        if (step % (steps / 4) == 0) {
            close_arena(arena);
            arena = open_arena(path, LOFT_WRITE);
            LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "2"), pools[2]);
        }
    }
    for (size_t i = 0; i < POOLS; i++) {
        loft_pool_destroy(pools[i]);
    }
    LOFT_CHECK_EQ_UINT(pool_blocks(arena), 0);
    check_arena(arena);
    free(models);
    close_arena(arena);
}

LOFT_TEST(arena_pool, a_rewind_gives_later_blocks_back)
{
    loft_arena *arena = new_arena("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    const loft_pool_mark empty = loft_pool_save(pool);
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 3000));
    const loft_pool_mark mark = loft_pool_save(pool);
    void *next = loft_pool_malloc(pool, 500);
    loft_arena_statistics before = {.struct_bytes = sizeof before};
    loft_arena_statistics after = {.struct_bytes = sizeof after};
    LOFT_CHECK_OK(loft_arena_stats(arena, &before));
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 3000; i++) {
            LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 1000));
        }
        loft_pool_rewind(pool, mark);
        LOFT_CHECK_OK(loft_arena_stats(arena, &after));
        LOFT_CHECK_EQ_UINT(after.span_bytes, before.span_bytes);
        LOFT_CHECK_EQ_UINT(after.live_blocks, before.live_blocks);
        LOFT_CHECK_EQ_PTR(loft_pool_malloc(pool, 500), next); /* where it went on before */
    }
    loft_pool_rewind(pool, empty);
    loft_pool_reset(pool);
    LOFT_CHECK_EQ_UINT(loft_pool_save(pool), empty);
    LOFT_CHECK_EQ_UINT(pool_blocks(arena), 1);
    close_arena(arena);
}

LOFT_TEST(arena_pool, a_thousand_at_once)
{
    enum { COUNT = 1000 };
    loft_arena *arena = new_arena("data");
    loft_pool *pools[COUNT];
    uint64_t *first[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        pools[i] = loft_pool_create(arena, 0);
        first[i] = loft_pool_malloc(pools[i], sizeof *first[i]);
        *first[i] = i;
    }
    for (uint64_t round = 0; round < 30; round++) {
        for (uint64_t i = 0; i < COUNT; i++) {
            memset(loft_pool_malloc(pools[i], i), 0x55, i);
        }
    }
    check_arena(arena);
    for (uint64_t i = 0; i < COUNT; i++) {
        LOFT_CHECK_EQ_UINT(*first[i], i);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        loft_pool_destroy(pools[(i * 7) % COUNT]);
    }
    LOFT_CHECK_EQ_UINT(pool_blocks(arena), 0);
    check_arena(arena);
    close_arena(arena);
}

static void *work(void *context)
{
    loft_arena *arena = context;
    for (int round = 0; round < 20; round++) {
        loft_pool *pool = loft_pool_create(arena, 0);
        uint64_t *last = NULL;
        const loft_pool_mark mark = loft_pool_save(pool);
        for (uint64_t i = 0; i < 2000; i++) {
            uint64_t *next = loft_pool_malloc(pool, 8 + i % 300);
            LOFT_CHECK_NOT_NULL(next);
            *next = i;
            LOFT_CHECK_TRUE(last == NULL || *last == i - 1);
            last = next;
            loft_arena_free(arena, loft_arena_malloc(arena, i));
        }
        loft_pool_rewind(pool, mark);
        loft_pool_destroy(pool);
    }
    return NULL;
}

LOFT_TEST(arena_pool, each_thread_has_its_own)
{
    pthread_t threads[4];
    loft_arena *arena = new_arena("data");
    for (int i = 0; i < 4; i++) {
        LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, work, arena), 0);
    }
    for (int i = 0; i < 4; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    }
    LOFT_CHECK_EQ_UINT(pool_blocks(arena), 0);
    check_arena(arena);
    close_arena(arena);
}
