/* loft/inspect.h: runs tile the arena and agree with walk, stats and place, whatever lies in it; on damaged
 * files they end, rise and may be read. */
#include "arena/arena_world.h"

#include <stdlib.h>

#include "heap/annotate.h"
#include "loft/inspect.h"
#include "loft/pool.h"

enum { KINDS = LOFT_RUN_JOURNAL + 1, MEBIBYTE = 1 << 20 };

typedef struct survey {
    loft_arena *arena;
    uint64_t end; /* of the run before */
    uint64_t runs, stop_after;
    uint64_t bytes[KINDS], live_bytes, live_blocks;
    volatile unsigned touched; /* so that reading is not removed */
} survey;

static uint64_t live_of(const loft_run *run)
{
    uint64_t live = 0;
    for (uint32_t i = 0; i < run->block_count; i++) {
        live += (run->live[i / 64] >> (i % 64)) & 1;
    }
    return live;
}

static int look(void *context, const loft_run *run)
{
    survey *all = context;
    LOFT_CHECK_EQ_UINT(run->struct_bytes, sizeof *run);
    LOFT_CHECK_GE_UINT(run->kind, LOFT_RUN_FREE);
    LOFT_CHECK_LT_UINT(run->kind, KINDS);
    LOFT_CHECK_GE_UINT(run->offset, all->end);
    LOFT_CHECK_GT_UINT(run->bytes, 0);
    LOFT_CHECK_EQ_UINT((run->offset | run->bytes) % LOFT_PAGE_BYTES, 0);
    if (run->kind == LOFT_RUN_SLAB) {
        LOFT_CHECK_LE_UINT(run->block_count, LOFT_SLAB_BLOCKS_MAX);
        LOFT_CHECK_LE_UINT(run->block_count * run->block_bytes, run->bytes);
        LOFT_CHECK_EQ_UINT(live_of(run), run->live_count);
    } else {
        LOFT_CHECK_NULL(run->live);
    }
    if (run->offset >= LOFT_CHUNK_BYTES && run->kind < LOFT_RUN_HEADER) {
        lofti_annotate_scratch scratch; /* what is free may be read, but not by a program */
        const uint8_t *bytes = loft_at(all->arena, run->offset);
        LOFT_CHECK_NOT_NULL(bytes);
        all->touched += *(const volatile uint8_t *)lofti_annotate_read(&scratch, bytes);
        bytes += run->bytes - LOFT_PAGE_BYTES;
        all->touched += *(const volatile uint8_t *)lofti_annotate_read(&scratch, bytes);
    }
    all->end = run->offset + run->bytes;
    all->bytes[run->kind] += run->bytes;
    if (run->kind != LOFT_RUN_INTERNAL) {
        all->live_bytes += run->live_count * run->block_bytes;
        all->live_blocks += run->live_count;
    }
    return ++all->runs == all->stop_after ? 42 : 0;
}

static survey look_at(loft_arena *arena)
{
    survey all = {.arena = arena};
    LOFT_CHECK_OK(loft_arena_each_run(arena, look, &all));
    return all;
}

static uint64_t heap_bytes(const survey *all)
{
    uint64_t sum = 0;
    for (int kind = LOFT_RUN_FREE; kind <= LOFT_RUN_INTERNAL; kind++) {
        sum += all->bytes[kind];
    }
    return sum;
}

/* A bit of everything; every third block is freed. */
static void fill(loft_arena *arena)
{
    static const size_t sizes[] = {16, 48, 64, 272, 1024, 5000, 40000, 70000, 3 * MEBIBYTE};
    for (size_t i = 0; i < 900; i++) {
        void *block = loft_arena_malloc(arena, sizes[i % 9 < 8 || i < 27 ? i % 9 : 0]);
        LOFT_CHECK_NOT_NULL(block);
        if (i % 3 == 0) {
            loft_arena_free(arena, block);
        }
    }
    LOFT_CHECK_OK(loft_arena_set_root(arena, "long", loft_arena_malloc(arena, 9 * MEBIBYTE)));
    loft_pool *pool = loft_pool_create(arena, 0);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "pool", pool));
    LOFT_CHECK_NOT_NULL(loft_pool_malloc(pool, 60000));
}

static void agrees(loft_arena *arena)
{
    const survey all = look_at(arena);
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    LOFT_CHECK_EQ_UINT(all.live_blocks, stats.live_blocks);
    LOFT_CHECK_EQ_UINT(all.live_bytes, stats.live_bytes);
    LOFT_CHECK_EQ_UINT(heap_bytes(&all), stats.heap_bytes);
    LOFT_CHECK_EQ_UINT(all.bytes[LOFT_RUN_META], stats.metadata_bytes);
    LOFT_CHECK_EQ_UINT(all.bytes[LOFT_RUN_SLAB], stats.slab_bytes);
    LOFT_CHECK_EQ_UINT(all.bytes[LOFT_RUN_SPAN] + all.bytes[LOFT_RUN_POOL] +
                           all.bytes[LOFT_RUN_INTERNAL],
                       stats.span_bytes);
    LOFT_CHECK_EQ_UINT(all.bytes[LOFT_RUN_FREE], stats.free_bytes);
}

static int block_has_its_place(void *context, const loft_block *block)
{
    static const uint32_t kinds[] = {LOFT_RUN_NONE, LOFT_RUN_SLAB, LOFT_RUN_SPAN, LOFT_RUN_POOL};
    loft_arena *arena = context;
    for (uint64_t inside = 0; inside < block->bytes; inside += block->bytes - 1) {
        loft_place place = {.struct_bytes = sizeof place};
        LOFT_CHECK_OK(loft_arena_place(arena, (uint8_t *)block->address + inside, &place));
        LOFT_CHECK_EQ_UINT(place.kind, kinds[block->kind]);
        LOFT_CHECK_EQ_UINT(place.offset, loft_offset(arena, block->address));
        LOFT_CHECK_EQ_UINT(place.bytes, block->bytes);
        LOFT_CHECK_EQ_UINT(place.live, 1);
    }
    return 0;
}

LOFT_TEST(arena_inspect, runs_agree_with_stats_and_walk)
{
    loft_arena *arena = new_arena("data");
    agrees(arena);
    fill(arena);
    agrees(arena);
    LOFT_CHECK_OK(loft_arena_walk(arena, block_has_its_place, arena));
    const survey all = look_at(arena);
    for (int kind = LOFT_RUN_FREE; kind < KINDS; kind++) {
        LOFT_CHECK_GT_UINT(all.bytes[kind], 0); /* the filling had something of each */
    }
    close_arena(arena);
    arena = open_arena(loft_test_tmp_path("data"), 0);
    agrees(arena);
    LOFT_CHECK_OK(loft_arena_walk(arena, block_has_its_place, arena));
    close_arena(arena);
}

LOFT_TEST(arena_inspect, arenas_without_a_file)
{
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, NULL, &arena));
    fill(arena);
    agrees(arena);
    LOFT_CHECK_EQ_UINT(look_at(arena).bytes[LOFT_RUN_JOURNAL], 0);
    close_arena(arena);
    /* Small units; and a last chunk that is not whole. */
    static const size_t sizes[] = {MEBIBYTE, 9 * MEBIBYTE + 65536};
    for (size_t i = 0; i < 2; i++) {
        void *memory = loft_malloc(sizes[i]);
        LOFT_CHECK_OK(loft_arena_over(memory, sizes[i], LOFT_CREATE, NULL, &arena));
        for (size_t bytes = 16; bytes < 9000; bytes += bytes / 2) {
            LOFT_CHECK_NOT_NULL(loft_arena_malloc(arena, bytes));
        }
        agrees(arena);
        LOFT_CHECK_OK(loft_arena_walk(arena, block_has_its_place, arena));
        close_arena(arena);
        LOFT_CHECK_OK(loft_free(memory));
    }
}

LOFT_TEST(arena_inspect, places_that_are_no_blocks)
{
    loft_arena *arena = new_arena("data");
    uint8_t *block = loft_arena_malloc(arena, 64);
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    uint8_t *base = (uint8_t *)(uintptr_t)info.mapped_at;
    loft_place place = {.struct_bytes = sizeof place};
    LOFT_CHECK_OK(loft_arena_place(arena, block, &place));
    LOFT_CHECK_EQ_UINT(place.live, 1);
    loft_arena_free(arena, block);
    LOFT_CHECK_OK(loft_arena_place(arena, block + 5, &place));
    LOFT_CHECK_EQ_UINT(place.kind, LOFT_RUN_SLAB);
    LOFT_CHECK_EQ_UINT(place.live, 0);
    LOFT_CHECK_EQ_UINT(place.offset, loft_offset(arena, block));
    LOFT_CHECK_OK(loft_arena_place(arena, base, &place));
    LOFT_CHECK_EQ_UINT(place.kind, LOFT_RUN_HEADER);
    LOFT_CHECK_OK(loft_arena_place(arena, base + 65536, &place));
    LOFT_CHECK_EQ_UINT(place.kind, LOFT_RUN_JOURNAL);
    LOFT_CHECK_OK(loft_arena_place(arena, base + LOFT_CHUNK_BYTES, &place));
    LOFT_CHECK_EQ_UINT(place.kind, LOFT_RUN_META);
    LOFT_CHECK_OK(loft_arena_place(arena, base + LOFT_CHUNK_BYTES * 2 - 1, &place));
    LOFT_CHECK_EQ_UINT(place.kind, LOFT_RUN_FREE);
    LOFT_CHECK_OK(loft_arena_place(arena, base + info.reserve_bytes - 1, &place));
    LOFT_CHECK_EQ_UINT(place.kind, LOFT_RUN_NONE);
    LOFT_CHECK_ERR(loft_arena_place(arena, base + info.reserve_bytes, &place), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_arena_place(arena, NULL, &place), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_arena_place(arena, base, NULL), LOFT_EINVAL);
    place.struct_bytes = 8;
    LOFT_CHECK_ERR(loft_arena_place(arena, base, &place), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_arena_each_run(arena, NULL, NULL), LOFT_EINVAL);
    close_arena(arena);
}

LOFT_TEST(arena_inspect, the_caller_stops_it)
{
    loft_arena *arena = new_arena("data");
    fill(arena);
    for (uint64_t after = 1; after < 6; after++) {
        survey all = {.arena = arena, .stop_after = after};
        LOFT_CHECK_EQ_INT(loft_arena_each_run(arena, look, &all), 42);
        LOFT_CHECK_EQ_UINT(all.runs, after);
    }
    close_arena(arena);
}

static void count_misuse(void *context, const loft_misuse *misuse)
{
    LOFT_CHECK_EQ_INT(misuse->kind, LOFT_MISUSE_SECTION);
    ++*(int *)context;
}

LOFT_TEST(arena_inspect, not_inside_a_section)
{
    loft_arena *arena = new_arena("data");
    int misuses = 0;
    loft_set_misuse_handler(count_misuse, &misuses);
    loft_arena_enter(arena);
    survey all = {.arena = arena};
    LOFT_CHECK_EQ_INT(loft_arena_each_run(arena, look, &all), LOFT_EINVAL);
    LOFT_CHECK_EQ_UINT(all.runs, 0);
    LOFT_CHECK_EQ_INT(misuses, 1);
    loft_arena_leave(arena);
    close_arena(arena);
}

/* Offsets of all metadata, so that damage meets it. */
typedef struct targets {
    uint64_t count, offsets[4096];
} targets;

static int collect_targets(void *context, const loft_run *run)
{
    targets *all = context;
    if (run->kind == LOFT_RUN_META || run->kind == LOFT_RUN_INTERNAL) {
        for (uint64_t at = 0; at < run->bytes && all->count < 4096; at += LOFT_PAGE_BYTES) {
            all->offsets[all->count++] = run->offset + at;
        }
    }
    return 0;
}

LOFT_TEST(arena_inspect, damaged_metadata_is_survived)
{
    static targets all;
    const char *path = loft_test_tmp_path("data");
    loft_arena *arena = new_arena("data");
    fill(arena);
    LOFT_CHECK_OK(loft_arena_each_run(arena, collect_targets, &all));
    close_arena(arena);
    size_t bytes = 0;
    uint8_t *whole = file_read(path, &bytes);
    loft_test_random random = {loft_test_seed()};
    const uint64_t rounds = loft_test_scale(300, 3000, 20000);
    for (uint64_t round = 0; round < rounds; round++) {
        uint64_t places[8];
        const uint64_t count = 1 + loft_test_random_next(&random) % 8;
        for (uint64_t i = 0; i < count; i++) {
            const uint64_t value = loft_test_random_next(&random);
            places[i] = all.offsets[loft_test_random_next(&random) % all.count] +
                        loft_test_random_next(&random) % (LOFT_PAGE_BYTES / 8) * 8;
            file_patch(path, places[i], &value, round % 2 == 0 ? 8 : 1);
        }
        if (loft_arena_open(path, 0, NULL, &arena) == LOFT_OK) {
            (void)look_at(arena);
            loft_place place = {.struct_bytes = sizeof place};
            for (uint64_t at = LOFT_CHUNK_BYTES; at < bytes; at += 999 * 16) {
                LOFT_CHECK_OK(loft_arena_place(arena, loft_at(arena, at), &place));
            }
            abandon_arena(arena);
        }
        for (uint64_t i = 0; i < count; i++) {
            file_patch(path, places[i], whole + places[i], 8);
        }
    }
    free(whole);
}
