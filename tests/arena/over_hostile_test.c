/*
 * arena/over_hostile_test.c - arenas over memory whose bytes are anything, is cut off, belongs to a child.
 */
#include "arena/arena_world.h"

#include <signal.h>
#include <stdlib.h>

#include "base/hash.h"
#include "format/heap_layout.h"
#include "heap/host.h"
#include "loft/pool.h"

enum { KIBIBYTE = 1 << 10, MEBIBYTE = 1 << 20 };

static loft_arena *over(void *memory, size_t bytes, unsigned flags)
{
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_over(memory, bytes, flags, NULL, &arena));
    return arena;
}

static void attach_must_fail(void *memory, size_t bytes, int want, const char *part)
{
    loft_arena *arena = (loft_arena *)(uintptr_t)8;
    (void)leftovers_before(loft_test_folder()); /* looking makes mappings of its own, once */
    const leftovers before = leftovers_before(loft_test_folder());
    LOFT_CHECK_ERR(loft_arena_over(memory, bytes, LOFT_WRITE, NULL, &arena), want);
    LOFT_CHECK_NULL(arena);
    LOFT_CHECK_CONTAINS(loft_last_error(), part);
    LOFT_CHECK_ERR(loft_arena_over(memory, bytes, 0, NULL, &arena), want);
    leftovers_check(&before);
}

/* Blocks of a few sizes, a pool and a root. */
static void fill(loft_arena *arena)
{
    for (uint64_t i = 0; i < 60; i++) {
        void *block = loft_arena_malloc(arena, 10 + i % 4 * 37 + i / 59 * 5000);
        LOFT_CHECK_NOT_NULL(block);
        if (i % 3 == 0) {
            loft_arena_free(arena, block);
        }
    }
    loft_pool *pool = loft_pool_create(arena, 0);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "pool", pool));
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 6000));
}

LOFT_TEST(arena_over_hostile, foreign_bytes_are_no_heap)
{
    uint8_t *memory = loft_malloc(MEBIBYTE);
    attach_must_fail(memory, MEBIBYTE, LOFT_ECORRUPT, "offset 0");
    memset(memory, 0xff, MEBIBYTE);
    attach_must_fail(memory, MEBIBYTE, LOFT_ECORRUPT, "no heap begins here");
    loft_test_random random = {loft_test_seed()};
    for (size_t i = 0; i < MEBIBYTE / 8; i++) {
        ((uint64_t *)(void *)memory)[i] = loft_test_random_next(&random);
    }
    attach_must_fail(memory, MEBIBYTE, LOFT_ECORRUPT, "no heap begins here");
    LOFT_CHECK_OK(loft_free(memory));
}

LOFT_TEST(arena_over_hostile, other_versions_are_told)
{
    uint8_t *memory = loft_malloc(MEBIBYTE);
    close_arena(over(memory, MEBIBYTE, LOFT_CREATE));
    lofti_heap_image *image = (lofti_heap_image *)(void *)memory;
    image->version = LOFTI_HEAP_VERSION + 1;
    attach_must_fail(memory, MEBIBYTE, LOFT_ECORRUPT, "version"); /* not sealed so: damage */
    image->seal = lofti_hash(image, LOFTI_HEAP_SEALED_BYTES, 0);
    attach_must_fail(memory, MEBIBYTE, LOFT_EVERSION, "version 2");
    image->magic = __builtin_bswap64(image->magic);
    attach_must_fail(memory, MEBIBYTE, LOFT_EVERSION, "byte order");
    LOFT_CHECK_OK(loft_free(memory));
}

LOFT_TEST(arena_over_hostile, a_heap_that_is_cut_off_is_refused)
{
    static const size_t sizes[] = {128 * KIBIBYTE, 9 * MEBIBYTE};
    for (size_t i = 0; i < 2; i++) {
        uint8_t *memory = loft_malloc(sizes[i]);
        close_arena(over(memory, sizes[i], LOFT_CREATE));
        attach_must_fail(memory, sizes[i] - 4096, LOFT_ECORRUPT, "longer than the memory");
        attach_must_fail(memory, 64 * KIBIBYTE, LOFT_ECORRUPT, "longer than the memory");
        LOFT_CHECK_OK(loft_free(memory));
    }
}

static int nothing(void *context, const loft_block *block)
{
    *(uint64_t *)context += block->bytes;
    return 0;
}

static int no_root(void *context, const char *name, void *block)
{
    (void)block;
    *(uint64_t *)context += strlen(name);
    return 0;
}

static void ignore(void *context, const loft_misuse *misuse)
{
    (void)context;
    (void)misuse;
}

/* What a program might do with a heap whose metadata is anything. It may fail; it may not crash. Blocks are not
 * written to: where damage says they lie is not the heap's fault. */
static void exercise(uint8_t *memory, size_t bytes, unsigned flags, uint64_t *attached)
{
    uint64_t sum = 0;
    uint64_t faults = 0;
    loft_arena *arena = NULL;
    const int code = loft_arena_over(memory, bytes, flags, NULL, &arena);
    if (code != LOFT_OK) {
        LOFT_CHECK_TRUE(code == LOFT_ECORRUPT || code == LOFT_EVERSION);
        return;
    }
    ++*attached;
    (void)loft_arena_check(arena, NULL, NULL, &faults);
    (void)loft_arena_walk(arena, nothing, &sum);
    (void)loft_arena_each_root(arena, no_root, &sum);
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    (void)loft_arena_stats(arena, &stats);
    void *pool = loft_arena_root(arena, "pool");
    for (size_t at = 16; at < bytes; at += bytes / 97 / 16 * 16) {
        (void)loft_arena_usable_size(arena, memory + at);
    }
    if ((flags & LOFT_WRITE) != 0) {
        if (pool != NULL) {
            loft_pool_reset(pool);
            loft_pool_destroy(pool);
        }
        void *blocks[64];
        for (size_t i = 0; i < 64; i++) {
            blocks[i] = loft_arena_malloc(arena, i * i * 3);
        }
        for (size_t i = 0; i < 64; i++) {
            loft_arena_free(arena, blocks[i]);
        }
    }
    abandon_arena(arena);
}

LOFT_TEST(arena_over_hostile, damaged_metadata_crashes_nothing)
{
    static const size_t sizes[] = {64 * KIBIBYTE, 256 * KIBIBYTE, 4 * MEBIBYTE + 128 * KIBIBYTE};
    loft_test_random random = {loft_test_seed()};
    const uint64_t rounds = loft_test_scale(300, 30000, 3000);
    loft_test_heap_untold();
    loft_set_misuse_handler(ignore, NULL);
    for (size_t i = 0; i < 3; i++) {
        uint64_t attached = 0;
        uint8_t *good = malloc(sizes[i]);
        uint8_t *memory = loft_malloc(sizes[i]);
        loft_arena *arena = over(memory, sizes[i], LOFT_CREATE);
        fill(arena);
        close_arena(arena);
        memcpy(good, memory, sizes[i]);
        for (uint64_t round = 0; round < rounds; round++) {
            memcpy(memory, good, sizes[i]);
            const uint64_t hits = 1 + loft_test_random_below(&random, 8);
            const size_t reach = round % 3 == 0 ? 512 : round % 3 == 1 ? 8192 : sizes[i];
            for (uint64_t k = 0; k < hits; k++) {
                const size_t at = loft_test_random_below(&random, reach);
                const uint64_t value = loft_test_random_next(&random);
                memory[at] = (uint8_t)(round % 2 == 0 ? memory[at] ^ 1u << round % 8 : value);
            }
            exercise(memory, sizes[i], round % 5 == 0 ? 0 : LOFT_WRITE, &attached);
        }
        LOFT_CHECK_GT_UINT(attached, rounds / 4);
        free(good);
        LOFT_CHECK_OK(loft_free(memory));
    }
}

/* --- fork -------------------------------------------------------------------------------------- */

typedef struct family {
    uint8_t *memory;
    size_t bytes;
    loft_arena *arena;
} family;

static void as_child(void *arg)
{
    const family *world = arg;
    LOFT_CHECK_NOT_NULL(loft_arena_root(world->arena, "pool"));
    fill(world->arena);
    check_arena(world->arena);
    close_arena(world->arena);
}

LOFT_TEST(arena_over_hostile, both_sides_of_a_fork_have_theirs)
{
    loft_test_child child;
    family world = {loft_malloc(MEBIBYTE), MEBIBYTE, NULL};
    world.arena = over(world.memory, world.bytes, LOFT_CREATE);
    fill(world.arena);
    loft_arena_statistics before = {.struct_bytes = sizeof before};
    loft_arena_statistics after = {.struct_bytes = sizeof after};
    LOFT_CHECK_OK(loft_arena_stats(world.arena, &before));
    loft_test_run_child(as_child, &world, &child);
    if (child.exit_code != 0) {
        LOFT_FAIL("the child: %s", child.output);
    }
    LOFT_CHECK_OK(loft_arena_stats(world.arena, &after));
    LOFT_CHECK_EQ_UINT(after.live_blocks, before.live_blocks);
    fill(world.arena);
    check_arena(world.arena);
    close_arena(world.arena);
    LOFT_CHECK_OK(loft_free(world.memory));
}

static void as_heir_of_shared_memory(void *arg)
{
    family *world = arg;
    fill(world->arena); /* the parent waits */
    LOFT_CHECK_OK(loft_arena_abandon(world->arena));
}

LOFT_TEST(arena_over_hostile, shared_memory_goes_on_with_one_of_them)
{
    loft_test_child child;
    family world = {loft_map(MEBIBYTE, LOFT_SHARED), MEBIBYTE, NULL};
    world.arena = over(world.memory, world.bytes, LOFT_CREATE);
    fill(world.arena);
    close_arena(world.arena);
    world.arena = over(world.memory, world.bytes, LOFT_WRITE);
    loft_test_run_child(as_heir_of_shared_memory, &world, &child);
    if (child.exit_code != 0) {
        LOFT_FAIL("the child: %s", child.output);
    }
    abandon_arena(world.arena); /* what it remembers is out of date */
    world.arena = over(world.memory, world.bytes, LOFT_WRITE);
    check_arena(world.arena);
    fill(world.arena);
    close_arena(world.arena);
    LOFT_CHECK_OK(loft_free(world.memory));
}

static void as_disinherited(void *arg)
{
    const family *world = arg;
    LOFT_CHECK_NULL(loft_arena_malloc(world->arena, 10));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EFORKED);
    LOFT_CHECK_NULL(loft_arena_of(world->memory));
    LOFT_CHECK_ERR(loft_arena_set_root(world->arena, "a", world->memory), LOFT_EFORKED);
    LOFT_CHECK_OK(loft_arena_abandon(world->arena));
}

LOFT_TEST(arena_over_hostile, a_child_without_the_memory_has_no_arena)
{
    need_dontfork();
    loft_test_child child;
    family world = {loft_malloc(MEBIBYTE), MEBIBYTE, NULL};
    world.arena = over(world.memory, world.bytes, LOFT_CREATE);
    fill(world.arena);
    const int code = loft_advise(world.memory, 0, 0, LOFT_ADVICE_DONTFORK);
    if (code != LOFT_ENOTSUP) { /* a system that gives a child all memory */
        LOFT_CHECK_OK(code);
        loft_test_run_child(as_disinherited, &world, &child);
        if (child.exit_code != 0) {
            LOFT_FAIL("the child: %d %s", child.signal, child.output);
        }
    }
    check_arena(world.arena);
    close_arena(world.arena);
    LOFT_CHECK_OK(loft_free(world.memory));
    loft_arena *file = new_arena("data"); /* its memory stays with the parent */
    world.memory = loft_arena_malloc(file, MEBIBYTE);
    world.arena = over(world.memory, MEBIBYTE, LOFT_CREATE);
    fill(world.arena);
    loft_test_run_child(as_disinherited, &world, &child);
    if (child.exit_code != 0) {
        LOFT_FAIL("the child: %d %s", child.signal, child.output);
    }
    fill(world.arena);
    check_arena(world.arena);
    close_arena(world.arena);
    close_arena(file);
}

static void store_through_a_reader(void *arg)
{
    const family *world = arg;
    loft_arena *arena = over(world->memory, world->bytes, 0);
    check_arena(arena);
    loft_pool *pool = loft_arena_root(arena, "pool");
    (void)loft_pool_malloc(pool, 16);
}

LOFT_TEST(arena_over_hostile, read_only_memory_traps_stores)
{
    family world = {loft_malloc(MEBIBYTE), MEBIBYTE, NULL};
    loft_arena *arena = over(world.memory, world.bytes, LOFT_CREATE);
    fill(arena);
    close_arena(arena);
    LOFT_CHECK_OK(loft_protect(world.memory, 0, 0, LOFT_READ));
    LOFT_CHECK_DEATH(store_through_a_reader, &world, SIGSEGV, NULL);
    LOFT_CHECK_OK(loft_free(world.memory));
}
