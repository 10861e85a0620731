/*
 * arena/over_test.c - arenas over memory of the caller's: every kind of memory, many in one, moved, full, read
 * only, damaged, forked.
 */
#include "arena/arena_world.h"

#include <stdlib.h>

#include "loft/pool.h"

enum { KIBIBYTE = 1 << 10, MEBIBYTE = 1 << 20 };

static loft_arena *over(void *memory, size_t bytes, unsigned flags)
{
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_over(memory, bytes, flags, NULL, &arena));
    LOFT_CHECK_NOT_NULL(arena);
    return arena;
}

static void over_must_fail(void *memory, size_t bytes, unsigned flags, int want)
{
    loft_arena *arena = (loft_arena *)(uintptr_t)8;
    (void)leftovers_before(loft_test_folder()); /* looking makes mappings of its own, once */
    const leftovers before = leftovers_before(loft_test_folder());
    LOFT_CHECK_ERR(loft_arena_over(memory, bytes, flags, NULL, &arena), want);
    LOFT_CHECK_NULL(arena);
    leftovers_check(&before);
}

/* A list with offsets for links, so that it holds wherever it lies. */
typedef struct link_node {
    uint64_t next, number;
} link_node;

static void links_push(loft_arena *arena, uint64_t number, size_t bytes)
{
    link_node *node = loft_arena_malloc(arena, sizeof *node + bytes);
    LOFT_CHECK_NOT_NULL(node);
    *node = (link_node){loft_offset(arena, loft_arena_root(arena, "links")), number};
    memset(node + 1, (int)number, bytes);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "links", node));
}

static uint64_t links_count(const loft_arena *arena)
{
    uint64_t count = 0;
    const link_node *node = loft_arena_root(arena, "links");
    for (; node != NULL; node = loft_at(arena, node->next)) {
        count++;
    }
    return count;
}

static int count_block(void *context, const loft_block *block)
{
    LOFT_CHECK_GE_UINT(block->bytes, 16);
    ++*(uint64_t *)context;
    return 0;
}

static uint64_t live_blocks(loft_arena *arena)
{
    uint64_t count = 0;
    LOFT_CHECK_OK(loft_arena_walk(arena, count_block, &count));
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    LOFT_CHECK_EQ_UINT(stats.live_blocks, count);
    return count;
}

/* Everything once: blocks, a pool, roots, offsets; closed and attached again; freed. */
static void use_all(uint8_t *memory, size_t bytes)
{
    loft_arena *arena = over(memory, bytes, LOFT_CREATE);
    for (uint64_t i = 0; i < 50; i++) {
        links_push(arena, i, i % 4 * 16); /* few classes: the smallest heap has few pages */
    }
    loft_pool *pool = loft_pool_create(arena, 0);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "pool", pool));
    char *text = loft_pool_strndup(pool, "in a pool", 20);
    void *block = loft_arena_aligned_alloc(arena, 16, 2000);
    LOFT_CHECK_EQ_PTR(loft_arena_of(block), arena);
    LOFT_CHECK_EQ_PTR(loft_at(arena, loft_offset(arena, block)), block);
    LOFT_CHECK_EQ_PTR(loft_arena_resolve(arena, block), block);
    LOFT_CHECK_TRUE((uint8_t *)block >= memory && (uint8_t *)block + 2000 <= memory + bytes);
    LOFT_CHECK_EQ_UINT(live_blocks(arena), 52);
    check_arena(arena);
    LOFT_CHECK_ERR(loft_arena_commit(arena), LOFT_ENOTSUP);
    LOFT_CHECK_ERR(loft_arena_rollback(arena), LOFT_ENOTSUP);
    LOFT_CHECK_ERR(loft_arena_checkpoint(arena), LOFT_ENOTSUP);
    loft_arena_enter(arena);
    loft_arena_leave(arena);
    if (bytes % 3 == 0) {
        abandon_arena(arena);
    } else {
        close_arena(arena);
    }
    LOFT_CHECK_NULL(loft_arena_of(block));
    arena = over(memory, bytes, LOFT_WRITE);
    LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "pool"), pool);
    LOFT_CHECK_EQ_STR(text, "in a pool");
    LOFT_CHECK_EQ_UINT(links_count(arena), 50);
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 5000));
    loft_pool_destroy(pool);
    loft_arena_free(arena, block);
    LOFT_CHECK_EQ_UINT(live_blocks(arena), 50);
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(arena_over, a_buffer_of_any_size_place_and_content)
{
    static const size_t sizes[] = {
        64 * KIBIBYTE,    100 * KIBIBYTE + 1, 256 * KIBIBYTE - 16, MEBIBYTE,
        4 * MEBIBYTE - 1, 4 * MEBIBYTE,       4 * MEBIBYTE + 4096, 9 * MEBIBYTE + 17};
    static const size_t shifts[] = {0, 16, 64, 2048, 4096, 4112, MEBIBYTE + 32};
    uint8_t *buffer = malloc(12 * MEBIBYTE);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t k = 0; k < sizeof shifts / sizeof shifts[0]; k++) {
            uint8_t *memory =
                (uint8_t *)(((uintptr_t)buffer + 4095) & ~(uintptr_t)4095) + shifts[k];
            memset(buffer, 0xa5, 12 * MEBIBYTE);
            use_all(memory, sizes[i]);
            LOFT_CHECK_EQ_INT(memory[-1], k > 0 ? 0xa5 : memory[-1]);
            LOFT_CHECK_EQ_INT(memory[sizes[i]], 0xa5);
        }
    }
    free(buffer);
}

LOFT_TEST(arena_over, a_static_buffer)
{
    static _Alignas(16) uint8_t memory[128 * KIBIBYTE];
    use_all(memory, sizeof memory);
}

LOFT_TEST(arena_over, a_buffer_on_the_stack)
{
    _Alignas(16) uint8_t memory[256 * KIBIBYTE + 16];
    use_all(memory, sizeof memory - 16);
    use_all(memory + 16, sizeof memory - 16);
}

LOFT_TEST(arena_over, a_region_in_memory)
{
    uint8_t *region = loft_malloc(20 * MEBIBYTE + 5);
    use_all(region, 20 * MEBIBYTE + 5);
    LOFT_CHECK_OK(loft_free(region)); /* the arena left it alone */
}

LOFT_TEST(arena_over, a_region_of_a_file)
{
    const char *path = loft_test_tmp_path("region");
    const size_t bytes = 10 * MEBIBYTE;
    uint8_t *region = loft_create(path, bytes, 0);
    loft_arena *arena = over(region, bytes, LOFT_CREATE);
    for (uint64_t i = 0; i < 1000; i++) {
        links_push(arena, i, 1000);
    }
    close_arena(arena);
    LOFT_CHECK_OK(loft_close(region));
    size_t mapped = 0;
    region = loft_open(path, 0, 0, 0, &mapped); /* read-only, and so is the arena */
    LOFT_CHECK_EQ_UINT(mapped, bytes);
    arena = over(region, bytes, 0);
    LOFT_CHECK_EQ_UINT(links_count(arena), 1000);
    LOFT_CHECK_EQ_UINT(live_blocks(arena), 1000);
    LOFT_CHECK_NULL(loft_arena_malloc(arena, 10));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EREADONLY);
    LOFT_CHECK_ERR(loft_arena_set_root(arena, "links", NULL), LOFT_EREADONLY);
    LOFT_CHECK_NULL(loft_pool_create(arena, 0));
    LOFT_CHECK_GE_UINT(loft_arena_usable_size(arena, loft_arena_root(arena, "links")), 1016);
    check_arena(arena);
    loft_arena *again = over(region, bytes, 0); /* readers do not mind each other */
    LOFT_CHECK_EQ_UINT(links_count(again), 1000);
    close_arena(again);
    close_arena(arena);
    LOFT_CHECK_OK(loft_close(region));
    region = loft_open(path, LOFT_COPY, 0, 0, &mapped); /* changed in memory alone */
    arena = over(region, bytes, LOFT_WRITE);
    links_push(arena, 1000, 1000);
    LOFT_CHECK_EQ_UINT(links_count(arena), 1001);
    close_arena(arena);
    LOFT_CHECK_OK(loft_close(region));
    region = loft_open(path, LOFT_WRITE, 0, 0, &mapped);
    arena = over(region, bytes, LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(links_count(arena), 1000);
    check_arena(arena);
    close_arena(arena);
    LOFT_CHECK_OK(loft_close(region));
}

LOFT_TEST(arena_over, a_window_of_a_file)
{
    const char *path = loft_test_tmp_path("region");
    const size_t bytes = 300 * KIBIBYTE;
    const uint64_t off = 123456; /* a multiple of 16, of no page */
    uint8_t *region = loft_create(path, MEBIBYTE, 0);
    memset(region, 0x5a, MEBIBYTE);
    LOFT_CHECK_OK(loft_close(region));
    size_t mapped = 0;
    uint8_t *window = loft_open(path, LOFT_WRITE, off, bytes, &mapped);
    LOFT_CHECK_EQ_UINT(mapped, bytes);
    use_all(window, bytes);
    LOFT_CHECK_OK(loft_close(window));
    region = loft_open(path, 0, 0, 0, &mapped);
    LOFT_CHECK_EQ_INT(region[off - 1], 0x5a);
    LOFT_CHECK_EQ_INT(region[off + bytes], 0x5a);
    loft_arena *arena = over(region + off, bytes, 0);
    LOFT_CHECK_EQ_UINT(links_count(arena), 50);
    close_arena(arena);
    LOFT_CHECK_OK(loft_close(region));
}

LOFT_TEST(arena_over, many_in_one_region)
{
    enum { COUNT = 100, EACH = 128 * KIBIBYTE };
    uint8_t *region = loft_malloc((size_t)COUNT * EACH);
    loft_arena *arenas[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        arenas[i] = over(region + i * EACH, EACH, LOFT_CREATE);
    }
    for (uint64_t round = 0; round < 40; round++) {
        for (uint64_t i = 0; i < COUNT; i++) {
            links_push(arenas[i], i, (round * i) % 5 * 48);
        }
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        LOFT_CHECK_EQ_UINT(links_count(arenas[i]), 40);
        LOFT_CHECK_EQ_PTR(loft_arena_of(loft_arena_root(arenas[i], "links")), arenas[i]);
        check_arena(arenas[i]);
        close_arena(arenas[(i * 7) % COUNT]);
        arenas[(i * 7) % COUNT] = over(region + (i * 7) % COUNT * EACH, EACH, LOFT_WRITE);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        close_arena(arenas[i]);
    }
    LOFT_CHECK_OK(loft_free(region));
}

LOFT_TEST(arena_over, an_arena_in_an_arena_in_an_arena)
{
    loft_test_needs_posix("arenas in files");
    loft_arena *outer = new_arena("data");
    uint8_t *memory = loft_arena_malloc(outer, 2 * MEBIBYTE);
    loft_arena *middle = over(memory, 2 * MEBIBYTE, LOFT_CREATE);
    uint8_t *part = loft_arena_malloc(middle, 256 * KIBIBYTE);
    loft_arena *inner = over(part, 256 * KIBIBYTE, LOFT_CREATE);
    void *block = loft_arena_malloc(inner, 100);
    LOFT_CHECK_EQ_PTR(loft_arena_of(block), inner);
    LOFT_CHECK_EQ_PTR(loft_arena_of(part - 1), middle);
    LOFT_CHECK_EQ_PTR(loft_arena_of(memory - 1), outer);
    loft_pool *pool = loft_pool_create(inner, 0);
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 10000)); /* finds its own */
    check_arena(inner);
    check_arena(middle);
    check_arena(outer);
    close_arena(inner);
    close_arena(middle);
    close_arena(outer);
}

LOFT_TEST(arena_over, moved_it_goes_on)
{
    static const size_t sizes[] = {64 * KIBIBYTE, 9 * MEBIBYTE};
    static const size_t shifts[] = {0, 16, 4096, 70000 / 16 * 16};
    for (size_t i = 0; i < 2; i++) {
        uint8_t *from = loft_malloc(sizes[i]);
        loft_arena *arena = over(from, sizes[i], LOFT_CREATE);
        for (uint64_t k = 0; k < 50; k++) {
            links_push(arena, k, 100);
        }
        link_node *last = loft_arena_root(arena, "links");
        loft_pool *pool = loft_pool_create(arena, 0);
        LOFT_CHECK_OK(loft_arena_set_root(arena, "pool", pool));
        const loft_pool_mark mark = loft_pool_save(pool);
        LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 6000));
        const uint64_t offset = loft_offset(arena, last);
        close_arena(arena);
        for (size_t k = 0; k < sizeof shifts / sizeof shifts[0]; k++) {
            uint8_t *region = loft_malloc(sizes[i] + 100000);
            uint8_t *to = region + shifts[k];
            memcpy(to, from, sizes[i]);
            loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
            options.base = (uint64_t)(uintptr_t)from;
            LOFT_CHECK_OK(loft_arena_over(to, sizes[i], LOFT_WRITE, &options, &arena));
            LOFT_CHECK_EQ_UINT(links_count(arena), 50);
            LOFT_CHECK_EQ_UINT(loft_offset(arena, loft_arena_root(arena, "links")), offset);
            LOFT_CHECK_EQ_PTR(loft_arena_resolve(arena, last), loft_arena_root(arena, "links"));
            LOFT_CHECK_EQ_PTR(loft_arena_resolve(arena, from - 8), from - 8);
            LOFT_CHECK_EQ_PTR(loft_arena_resolve(arena, &options), &options);
            links_push(arena, 50, 100);
            loft_pool *there = loft_arena_root(arena, "pool");
            LOFT_CHECK_NOT_NULL(loft_pool_malloc(there, 9000));
            loft_pool_rewind(there, mark);
            LOFT_CHECK_EQ_UINT(live_blocks(arena), 52);
            check_arena(arena);
            close_arena(arena);
            LOFT_CHECK_OK(loft_free(region));
        }
        LOFT_CHECK_OK(loft_free(from));
    }
}

LOFT_TEST(arena_over, used_up_to_the_last_page)
{
    static const size_t sizes[] = {64 * KIBIBYTE,       200 * KIBIBYTE,
                                   4 * MEBIBYTE,        4 * MEBIBYTE + 100 * KIBIBYTE,
                                   8 * MEBIBYTE - 4096, 8 * MEBIBYTE + 63 * KIBIBYTE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t block_bytes = 16; block_bytes <= 16 * KIBIBYTE; block_bytes *= 4) {
            uint8_t *memory = loft_malloc(sizes[i]);
            loft_arena *arena = over(memory, sizes[i], LOFT_CREATE);
            for (int round = 0; round < 2; round++) {
                uint64_t count = 0;
                uint64_t *first = NULL;
                for (;; count++) {
                    uint64_t **next = loft_arena_malloc(arena, block_bytes);
                    if (next == NULL) {
                        break;
                    }
                    memset(next, (int)count, block_bytes);
                    *next = first;
                    first = (uint64_t *)next;
                }
                LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
                check_arena(arena);
                LOFT_CHECK_EQ_UINT(live_blocks(arena), count);
                /* What is not used is less than a quarter: metadata, and a rest behind the last chunk. */
                LOFT_CHECK_GT_UINT(count * block_bytes, sizes[i] / 4 * 3 - 20 * KIBIBYTE);
                while (first != NULL) {
                    uint64_t *next = *(uint64_t **)(void *)first;
                    loft_arena_free(arena, first);
                    first = next;
                }
                LOFT_CHECK_EQ_UINT(live_blocks(arena), 0);
            }
            close_arena(arena);
            LOFT_CHECK_OK(loft_free(memory));
        }
    }
}

LOFT_TEST(arena_over, fresh_blocks_of_calloc_are_zeros_in_dirty_memory)
{
    uint8_t *memory = malloc(9 * MEBIBYTE);
    memset(memory, 0xff, 9 * MEBIBYTE);
    loft_arena *arena = over(memory, 9 * MEBIBYTE, LOFT_CREATE);
    static const size_t sizes[] = {16, 1000, 5000, 100000, 3 * MEBIBYTE, 4 * MEBIBYTE};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const uint8_t *block = loft_arena_calloc(arena, 1, sizes[i]);
        LOFT_CHECK_TRUE(block != NULL || sizes[i] == 4 * MEBIBYTE);
        for (size_t k = 0; block != NULL && k < sizes[i]; k++) {
            LOFT_CHECK_EQ_UINT(block[k], 0);
        }
    }
    close_arena(arena);
    free(memory);
}

LOFT_TEST(arena_over, alignment_is_that_of_the_memory)
{
    uint8_t *region = loft_malloc(9 * MEBIBYTE);
    for (size_t shift = 16; shift <= 4096; shift *= 2) {
        loft_arena *arena = over(region + shift, 8 * MEBIBYTE, LOFT_CREATE);
        for (size_t alignment = 16; alignment <= 2 * MEBIBYTE; alignment *= 2) {
            for (size_t bytes = 0; bytes < 100000; bytes = bytes * 3 + 1) {
                void *block = loft_arena_aligned_alloc(arena, alignment, bytes);
                if (alignment <= shift || shift == 4096) {
                    LOFT_CHECK_NOT_NULL(block);
                    LOFT_CHECK_EQ_UINT((uintptr_t)block % alignment, 0);
                } else {
                    LOFT_CHECK_NULL(block);
                    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EINVAL);
                }
                loft_arena_free(arena, block);
            }
        }
        check_arena(arena);
        close_arena(arena);
    }
    LOFT_CHECK_OK(loft_free(region));
}

LOFT_TEST(arena_over, what_cannot_be_is_refused)
{
    uint8_t *memory = loft_malloc(MEBIBYTE);
    loft_arena *arena = over(memory, MEBIBYTE, LOFT_CREATE);
    over_must_fail(memory, MEBIBYTE, LOFT_WRITE, LOFT_EBUSY);
    over_must_fail(memory, MEBIBYTE, 0, LOFT_EBUSY);
    over_must_fail(memory, MEBIBYTE / 2, LOFT_CREATE, LOFT_EBUSY);
    close_arena(arena);
    arena = over(memory + MEBIBYTE / 2, MEBIBYTE / 2, LOFT_CREATE);
    over_must_fail(memory, MEBIBYTE, LOFT_CREATE, LOFT_EBUSY); /* it would cover that one */
    over_must_fail(memory, MEBIBYTE / 2 + 16, LOFT_CREATE, LOFT_EBUSY);
    close_arena(over(memory, MEBIBYTE / 2, LOFT_CREATE)); /* beside it there is room */
    close_arena(arena);
    over_must_fail(memory, MEBIBYTE / 2, LOFT_CREATE | LOFT_EXCLUSIVE, LOFT_EEXIST);
    close_arena(over(memory + 4096, MEBIBYTE / 2, LOFT_CREATE | LOFT_EXCLUSIVE));
    over_must_fail(NULL, MEBIBYTE, LOFT_CREATE, LOFT_EINVAL);
    over_must_fail(memory + 8, MEBIBYTE / 2, LOFT_CREATE, LOFT_EINVAL);
    over_must_fail(memory, 64 * KIBIBYTE - 1, LOFT_CREATE, LOFT_EINVAL);
    over_must_fail(memory, 0, 0, LOFT_EINVAL);
    over_must_fail(memory, SIZE_MAX, LOFT_CREATE, LOFT_EINVAL);
    over_must_fail(memory, MEBIBYTE, LOFT_EXCLUSIVE, LOFT_EINVAL);
    over_must_fail(memory, MEBIBYTE, LOFT_RELOCATE, LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_arena_over(memory, MEBIBYTE, LOFT_CREATE, NULL, NULL), LOFT_EINVAL);
    LOFT_CHECK_OK(loft_free(memory));
}
