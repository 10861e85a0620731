/*
 * arena/reach_test.c - leaks, addresses that lead out of the arena, and figures.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "loft/arena.h"
#include "loft/pool.h"
#include "loft/region.h"
#include "os/map.h"
#include "support/test.h"

typedef struct node {
    struct node *next;
    void *data;
    uint64_t number;
} node;

static loft_arena *open_new(const char *name)
{
    loft_arena *arena = NULL;
    const char *path = name != NULL ? loft_test_tmp_path(name) : NULL;
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_CREATE, NULL, &arena));
    return arena;
}

static uint64_t leaks(loft_arena *arena)
{
    uint64_t count = UINT64_MAX;
    LOFT_CHECK_OK(loft_arena_leaks(arena, NULL, NULL, &count));
    return count;
}

static node *push(loft_arena *arena, node *next, void *data)
{
    node *made = loft_arena_malloc(arena, sizeof *made);
    LOFT_CHECK_NOT_NULL(made);
    *made = (node){next, data, 1};
    return made;
}

typedef struct told {
    const void *want;
    uint64_t bytes, count;
} told;

static int tell(void *context, const loft_block *block)
{
    told *own = context;
    LOFT_CHECK_EQ_UINT(block->struct_bytes, sizeof *block);
    own->count++;
    own->bytes = block->address == own->want ? block->bytes : own->bytes;
    return 0;
}

static int stop(void *context, const loft_block *block)
{
    (void)block;
    ++*(int *)context;
    return 7;
}

LOFT_TEST(arena_reach, what_a_root_leads_to_is_no_leak)
{
    loft_arena *arena = open_new("data");
    LOFT_CHECK_EQ_UINT(leaks(arena), 0);
    node *list = NULL;
    for (uint32_t i = 0; i < 1000; i++) {
        list = push(arena, list,
                    i % 10 == 0 ? loft_arena_calloc(arena, 1, 100 + (size_t)i * 40) : NULL);
    }
    LOFT_CHECK_EQ_UINT(leaks(arena), 1100); /* no root yet */
    LOFT_CHECK_OK(loft_arena_set_root(arena, "list", list));
    LOFT_CHECK_EQ_UINT(leaks(arena), 0);
    /* Cut in the middle: all behind is lost, and told in rising order. */
    node *cut = list;
    for (uint32_t i = 0; i < 499; i++) {
        cut = cut->next;
    }
    told seen = {.want = cut->next};
    cut->next = NULL;
    uint64_t count = 0;
    LOFT_CHECK_OK(loft_arena_leaks(arena, tell, &seen, &count));
    LOFT_CHECK_EQ_UINT(count, 550);
    LOFT_CHECK_EQ_UINT(seen.count, 550);
    LOFT_CHECK_EQ_UINT(seen.bytes, 32);
    int stopped = 0;
    LOFT_CHECK_EQ_INT(loft_arena_leaks(arena, stop, &stopped, &count), 7);
    LOFT_CHECK_EQ_INT(stopped, 1);
    LOFT_CHECK_OK(loft_arena_close(arena));
}

/* By an interior address, by a ring, from inside a block longer than a chunk; by an unaligned word not. */
LOFT_TEST(arena_reach, interior_addresses_count)
{
    loft_arena *arena = open_new("data");
    uint8_t *big = loft_arena_calloc(arena, 1, (size_t)9 << 20);
    uint8_t *span = loft_arena_calloc(arena, 1, 300000);
    node *ring = push(arena, NULL, NULL);
    ring->next = push(arena, ring, NULL);
    uint8_t **at = (uint8_t **)(void *)(big + ((size_t)7 << 20));
    LOFT_CHECK_OK(loft_arena_set_root(arena, "big", big + 5000000));
    LOFT_CHECK_EQ_UINT(leaks(arena), 3);
    *at = span + 299999;
    LOFT_CHECK_EQ_UINT(leaks(arena), 2);
    *(uint64_t **)(void *)(span + 4096 * 20) = &ring->next->number;
    LOFT_CHECK_EQ_UINT(leaks(arena), 0);
    *at = NULL;
    memcpy(big + 1001, &span, sizeof span);
    LOFT_CHECK_EQ_UINT(leaks(arena), 3);
    LOFT_CHECK_OK(loft_arena_close(arena));
}

LOFT_TEST(arena_reach, a_pool_is_reached_as_a_whole)
{
    loft_arena *arena = open_new("data");
    loft_pool *pool = loft_pool_create(arena, 0);
    uint8_t *early = loft_pool_calloc(pool, 1, 64);
    node *late = NULL;
    for (uint32_t i = 0; i < 200; i++) {
        late = loft_pool_calloc(pool, 1, 1000);
    }
    late->data = push(arena, NULL, NULL);
    const loft_pool_mark mark = loft_pool_save(pool);
    node *gone = loft_pool_calloc(pool, 1, sizeof *gone);
    gone->data = push(arena, NULL, NULL);
    const uint64_t spans = leaks(arena) - 2;
    LOFT_CHECK_GE_UINT(spans, 3);
    void *const ways[] = {pool, early, late, (uint8_t *)late + 999};
    for (size_t i = 0; i < 4; i++) {
        LOFT_CHECK_OK(loft_arena_set_root(arena, "way", ways[i]));
        LOFT_CHECK_EQ_UINT(leaks(arena), 0);
    }
    /* What was rewound is not in use any more, whatever its bytes say. */
    loft_pool_rewind(pool, mark);
    LOFT_CHECK_EQ_UINT(leaks(arena), 1);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "way", NULL));
    LOFT_CHECK_EQ_UINT(leaks(arena), spans + 2);
    LOFT_CHECK_OK(loft_arena_close(arena));
}

/* Read-only, elsewhere, and over moved memory: words are what they were. */
LOFT_TEST(arena_reach, stored_addresses_are_translated)
{
    enum { BYTES = 1 << 20 };
    loft_arena *first = open_new("data");
    loft_arena *second = NULL;
    node *list = push(first, push(first, push(first, NULL, NULL), NULL), NULL);
    LOFT_CHECK_OK(loft_arena_set_root(first, "list", list));
    (void)push(first, list, NULL);
    LOFT_CHECK_OK(loft_arena_commit(first));
    LOFT_CHECK_OK(loft_arena_open(loft_test_tmp_path("data"), LOFT_RELOCATE, NULL, &second));
    LOFT_CHECK_EQ_UINT(leaks(second), 1);
    LOFT_CHECK_OK(loft_arena_close(second));
    LOFT_CHECK_OK(loft_arena_close(first));
    uint8_t *from = loft_malloc(BYTES);
    uint8_t *to = loft_malloc(BYTES);
    LOFT_CHECK_OK(loft_arena_over(from, BYTES, LOFT_CREATE, NULL, &first));
    list = push(first, push(first, NULL, NULL), NULL);
    LOFT_CHECK_OK(loft_arena_set_root(first, "list", list));
    (void)push(first, NULL, NULL);
    LOFT_CHECK_OK(loft_arena_close(first));
    memcpy(to, from, BYTES);
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    options.base = (uint64_t)(uintptr_t)from;
    LOFT_CHECK_OK(loft_arena_over(to, BYTES, 0, &options, &second));
    LOFT_CHECK_EQ_UINT(leaks(second), 1);
    LOFT_CHECK_OK(loft_arena_close(second));
    loft_free(from);
    loft_free(to);
}

/* --- Random graphs against a model -------------------------------------------------------------------- */

enum { NODES = 2000, EDGES = 3 };

typedef struct graph {
    void **blocks[NODES];
    size_t edges[NODES][EDGES]; /* NODES: none */
    bool reached[NODES];
} graph;

static uint64_t graph_reach(graph *own, size_t root)
{
    static size_t stack[NODES];
    size_t depth = 0;
    uint64_t count = 1;
    memset(own->reached, 0, sizeof own->reached);
    stack[depth++] = root;
    own->reached[root] = true;
    while (depth != 0) {
        const size_t at = stack[--depth];
        for (size_t k = 0; k < EDGES; k++) {
            const size_t to = own->edges[at][k];
            if (to != NODES && !own->reached[to]) {
                own->reached[to] = true;
                stack[depth++] = to;
                count++;
            }
        }
    }
    return count;
}

static int graph_tell(void *context, const loft_block *block)
{
    const graph *own = context;
    const uint64_t number = (uint64_t)(uintptr_t)((void **)block->address)[EDGES];
    LOFT_CHECK_LT_UINT(number, NODES);
    LOFT_CHECK_EQ_PTR(own->blocks[number], block->address);
    LOFT_CHECK_FALSE(own->reached[number]);
    return 0;
}

LOFT_TEST(arena_reach, random_graphs)
{
    static graph own;
    loft_test_random random = {loft_test_seed()};
    loft_arena *arena = open_new(NULL);
    for (size_t i = 0; i < NODES; i++) {
        const uint64_t most = i % 20 == 0 ? 100000 : 600;
        const size_t bytes = 40 + loft_test_random_below(&random, most);
        own.blocks[i] = loft_arena_calloc(arena, 1, bytes);
        own.blocks[i][EDGES] = (void *)(uintptr_t)i;
    }
    for (uint32_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < NODES; i++) {
            for (size_t k = 0; k < EDGES; k++) {
                const size_t to = loft_test_random_below(&random, 3) == 0
                                      ? loft_test_random_below(&random, NODES)
                                      : NODES;
                own.edges[i][k] = to;
                own.blocks[i][k] = to == NODES ? NULL : (uint8_t *)own.blocks[to] + k * 8;
            }
        }
        const size_t root = loft_test_random_below(&random, NODES);
        uint64_t count = 0;
        LOFT_CHECK_OK(loft_arena_set_root(arena, "root", own.blocks[root]));
        const uint64_t reached = graph_reach(&own, root);
        LOFT_CHECK_OK(loft_arena_leaks(arena, graph_tell, &own, &count));
        LOFT_CHECK_EQ_UINT(count, NODES - reached);
    }
    LOFT_CHECK_OK(loft_arena_close(arena));
}

/* --- Addresses of something else ----------------------------------------------------------------------- */

typedef struct sentence {
    char text[256];
    uint64_t offset;
    int32_t code;
} sentence;

static int keep(void *context, const loft_fault *fault)
{
    sentence *own = context;
    (void)snprintf(own->text, sizeof own->text, "%s", fault->text);
    own->offset = fault->offset;
    own->code = fault->code;
    return 0;
}

LOFT_TEST(arena_reach, addresses_outside_are_found)
{
    static int variable;
    int local = 0;
    loft_arena *arena = open_new("data");
    loft_arena *other = open_new(NULL);
    void **block = loft_arena_calloc(arena, 1, 4096 * 40);
    loft_pool *pool = loft_pool_create(arena, 0);
    void **in_pool = loft_pool_calloc(pool, 10, sizeof *in_pool);
    uint64_t count = UINT64_MAX;
    sentence last = {.code = 0};
    char text[8] = "hello";
    memcpy(&block[1], text, sizeof text); /* 0x6f6c6c6568: in no mapping */
    block[2] = block;
    block[3] = (void *)(uintptr_t)12345;
    block[4] = (void *)(uintptr_t)UINT64_C(0x4045000000000000); /* 42.0 */
    block[5] = pool;
    if (lofti_map_ops_system()->walk == NULL) {
        LOFT_CHECK_ERR(loft_arena_foreign(arena, keep, &last, &count), LOFT_ENOTSUP);
        LOFT_SKIP("this system has no list of mappings");
    }
    LOFT_CHECK_OK(loft_arena_foreign(arena, keep, &last, &count));
    LOFT_CHECK_EQ_UINT(count, 0);
    void *const foreign[] = {
        &variable, &local, (void *)(uintptr_t)exit, loft_arena_malloc(other, 10),
        /* in no mapping, but where Linux puts programs, on one processor and another */
        (void *)(uintptr_t)UINT64_C(0x55aabbccd000), (void *)(uintptr_t)UINT64_C(0xaaaabbccd000)};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        block[20000] = foreign[i];
        LOFT_CHECK_OK(loft_arena_foreign(arena, keep, &last, &count));
        LOFT_CHECK_EQ_UINT(count, 1);
        LOFT_CHECK_EQ_INT(last.code, LOFT_ERANGE);
        LOFT_CHECK_EQ_UINT(last.offset, loft_offset(arena, &block[20000]));
        LOFT_CHECK_CONTAINS(last.text, "outside of the arena");
    }
    block[20000] = NULL;
    in_pool[9] = &variable;
    LOFT_CHECK_OK(loft_arena_foreign(arena, NULL, NULL, &count));
    LOFT_CHECK_EQ_UINT(count, 1);
    loft_pool_reset(pool);
    block[7] = &variable;
    loft_arena_free(arena, block);
    LOFT_CHECK_OK(loft_arena_foreign(arena, NULL, NULL, &count));
    LOFT_CHECK_EQ_UINT(count, 0); /* neither is in use */
    LOFT_CHECK_OK(loft_arena_close(other));
    LOFT_CHECK_OK(loft_arena_close(arena));
}

/* --- Figures ------------------------------------------------------------------------------------------- */

static int sum_classes(void *context, const loft_class_statistics *figures)
{
    loft_class_statistics *sum = context;
    LOFT_CHECK_EQ_UINT(figures->struct_bytes, sizeof *figures);
    LOFT_CHECK_GT_UINT(figures->block_bytes, sum->block_bytes); /* rising */
    LOFT_CHECK_GE_UINT(figures->slab_bytes, figures->block_count * figures->block_bytes);
    LOFT_CHECK_GE_UINT(figures->block_count, figures->live_count);
    LOFT_CHECK_GE_UINT(figures->block_count, figures->slab_count);
    sum->block_bytes = figures->block_bytes;
    sum->slab_count += figures->slab_count;
    sum->slab_bytes += figures->slab_bytes;
    sum->block_count += figures->live_count * figures->block_bytes; /* live bytes */
    sum->live_count += figures->live_count;
    return 0;
}

static loft_arena_statistics figures_of(const loft_arena *arena)
{
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    LOFT_CHECK_EQ_UINT(stats.metadata_bytes + stats.slab_bytes + stats.span_bytes +
                           stats.free_bytes,
                       stats.heap_bytes);
    LOFT_CHECK_LE_UINT(stats.free_run_bytes, stats.free_bytes);
    LOFT_CHECK_LE_UINT(stats.slab_free_bytes, stats.slab_bytes);
    return stats;
}

LOFT_TEST(arena_reach, figures_agree)
{
    loft_arena *arena = open_new(NULL);
    void *blocks[300];
    uint64_t slab_live = 0;
    for (uint32_t i = 0; i < 300; i++) {
        blocks[i] = loft_arena_calloc(arena, 1, 1 + (size_t)i * 37);
        slab_live += loft_arena_usable_size(arena, blocks[i]);
    }
    void *span = loft_arena_malloc(arena, 1000000);
    loft_arena_statistics stats = figures_of(arena);
    loft_class_statistics sum = {.block_bytes = 0};
    LOFT_CHECK_OK(loft_arena_classes(arena, sum_classes, &sum));
    LOFT_CHECK_EQ_UINT(sum.live_count, 300);
    LOFT_CHECK_EQ_UINT(sum.block_count, slab_live);
    LOFT_CHECK_EQ_UINT(sum.slab_bytes, stats.slab_bytes);
    LOFT_CHECK_EQ_UINT(stats.slab_free_bytes, stats.slab_bytes - slab_live);
    LOFT_CHECK_EQ_UINT(stats.live_blocks, 301);
    LOFT_CHECK_EQ_UINT(stats.thread_count, 1);
    LOFT_CHECK_GE_UINT(stats.mapped_bytes, stats.heap_bytes);
    LOFT_CHECK_LE_UINT(stats.private_bytes, stats.mapped_bytes);
    LOFT_CHECK_GE_UINT(stats.private_bytes, slab_live); /* calloc wrote them */
    LOFT_CHECK_GT_UINT(stats.table_bytes, 0);
    loft_arena_free(arena, span);
    for (uint32_t i = 0; i < 300; i++) {
        loft_arena_free(arena, blocks[i]);
    }
    LOFT_CHECK_EQ_UINT(figures_of(arena).live_bytes, 0);
    LOFT_CHECK_OK(loft_arena_close(arena));
}

LOFT_TEST(arena_reach, the_longest_run_is_what_fits)
{
    enum { BYTES = 3 << 20 };
    static _Alignas(4096) uint8_t buffer[BYTES];
    loft_arena *arena = NULL;
    loft_test_random random = {loft_test_seed()};
    void *blocks[60];
    for (uint32_t round = 0; round < 50; round++) {
        LOFT_CHECK_OK(loft_arena_over(buffer, sizeof buffer, LOFT_CREATE, NULL, &arena));
        for (uint32_t i = 0; i < 60; i++) {
            blocks[i] = loft_arena_malloc(arena, loft_test_random_below(&random, 100000));
        }
        for (uint32_t i = 0; i < 60; i++) {
            if (loft_test_random_below(&random, 2) == 0) {
                loft_arena_free(arena, blocks[i]);
            }
        }
        const uint64_t run = figures_of(arena).free_run_bytes;
        LOFT_CHECK_NULL(loft_arena_malloc(arena, (size_t)run + 1));
        LOFT_CHECK_NOT_NULL(loft_arena_malloc(arena, (size_t)run));
        LOFT_CHECK_OK(loft_arena_close(arena));
    }
}
