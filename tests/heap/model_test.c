/*
 * heap/model_test.c - random operations against a model: every block keeps its bytes, no two
 * overlap, the walk lists exactly the live ones, and the check finds nothing, also after reopening.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap/host.h"
#include "support/test.h"

enum { MODEL_SLOTS = 4096 };

typedef struct model_block {
    uint8_t *at;
    size_t bytes;
    uint8_t seed;
} model_block;

typedef struct model_state {
    loft_test_heap test;
    loft_test_random random;
    size_t max_bytes;
    uint32_t slots;
    model_block blocks[MODEL_SLOTS];
} model_state;

/* Ends and a few bytes between are enough to see an overlap; large blocks stay cheap. */
static void model_fill(model_block *block)
{
    const size_t ends = block->bytes < 64 ? block->bytes : 64;
    memset(block->at, block->seed, ends);
    memset(block->at + block->bytes - ends, block->seed, ends);
    if (block->bytes > 8192) {
        block->at[block->bytes / 2] = block->seed;
    }
}

static void model_verify(const model_block *block, size_t bytes)
{
    const size_t ends = bytes < 64 ? bytes : 64;
    for (size_t i = 0; i < ends; i++) {
        if (block->at[i] != block->seed) {
            LOFT_FAIL("byte %zu of a block of %zu at %p has changed", i, block->bytes,
                      (void *)block->at);
        }
    }
    if (bytes == block->bytes) {
        LOFT_CHECK_EQ_UINT(block->at[bytes - 1], block->seed);
    }
}

static size_t model_size(model_state *model)
{
    const uint64_t dice = loft_test_random_below(&model->random, 100);
    const size_t most = dice < 70 ? 1024 : dice < 95 ? 64 << 10 : model->max_bytes;
    return loft_test_random_below(&model->random,
                                  most < model->max_bytes ? most : model->max_bytes);
}

static void model_alloc(model_state *model, model_block *block)
{
    const size_t bytes = model_size(model);
    const uint64_t dice = loft_test_random_below(&model->random, 10);
    lofti_heap *heap = model->test.heap;
    size_t alignment = 16;
    if (dice == 0) {
        block->at = lofti_heap_calloc(heap, 1, bytes);
        for (size_t i = 0; block->at != NULL && i < bytes; i += i < 256 ? 1 : 509) {
            LOFT_CHECK_EQ_UINT(block->at[i], 0);
        }
    } else if (dice == 1) {
        alignment = (size_t)1 << loft_test_random_below(&model->random, 22);
        block->at = lofti_heap_aligned_alloc(heap, alignment, bytes);
    } else {
        block->at = lofti_heap_malloc(heap, bytes);
    }
    if (block->at == NULL) {
        LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
        return;
    }
    LOFT_CHECK_EQ_UINT((uintptr_t)block->at % (alignment < 16 ? 16 : alignment), 0);
    block->bytes = bytes;
    LOFT_CHECK_GE_UINT(lofti_heap_usable_size(heap, block->at), bytes);
    block->bytes = lofti_heap_usable_size(heap, block->at);
    block->seed = (uint8_t)loft_test_random_next(&model->random);
    model_fill(block);
}

static void model_step(model_state *model)
{
    model_block *block = &model->blocks[loft_test_random_below(&model->random, model->slots)];
    if (block->at == NULL) {
        model_alloc(model, block);
        return;
    }
    model_verify(block, block->bytes);
    if (loft_test_random_below(&model->random, 4) == 0) {
        const size_t bytes = model_size(model) + 1;
        uint8_t *at = lofti_heap_realloc(model->test.heap, block->at, bytes);
        if (at == NULL) {
            LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
            return;
        }
        const size_t kept = bytes < block->bytes ? bytes : block->bytes;
        block->at = at;
        model_verify(block, kept < 64 ? kept : 64);
        block->bytes = lofti_heap_usable_size(model->test.heap, at);
        LOFT_CHECK_GE_UINT(block->bytes, bytes);
        model_fill(block);
        return;
    }
    lofti_heap_free(model->test.heap, block->at);
    block->at = NULL;
}

static int model_by_address(const void *a, const void *b)
{
    const model_block *x = a;
    const model_block *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* The walk is the model, in order. */
static void model_compare(model_state *model)
{
    loft_block cursor = {.struct_bytes = sizeof cursor};
    qsort(model->blocks, model->slots, sizeof model->blocks[0], model_by_address);
    uint64_t live_bytes = 0;
    uint64_t live = 0;
    for (uint32_t i = 0; i < model->slots; i++) {
        const model_block *block = &model->blocks[i];
        if (block->at != NULL) {
            LOFT_CHECK_EQ_INT(lofti_heap_next_block(model->test.heap, &cursor), 0);
            LOFT_CHECK_EQ_PTR(cursor.address, block->at);
            LOFT_CHECK_EQ_UINT(cursor.bytes, block->bytes);
            model_verify(block, block->bytes);
            live++;
            live_bytes += block->bytes;
        }
    }
    LOFT_CHECK_EQ_INT(lofti_heap_next_block(model->test.heap, &cursor), LOFT_ENOENT);
    LOFT_CHECK_EQ_UINT(loft_test_heap_live(&model->test), live);
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    LOFT_CHECK_OK(lofti_heap_stats(model->test.heap, &stats));
    LOFT_CHECK_EQ_UINT(stats.live_blocks, live);
    LOFT_CHECK_EQ_UINT(stats.live_bytes, live_bytes);
    LOFT_CHECK_EQ_UINT(stats.heap_bytes, stats.metadata_bytes + stats.slab_bytes +
                                             stats.span_bytes + stats.free_bytes);
    loft_test_heap_check(&model->test);
}

static void model_run(model_state *model, uint64_t steps)
{
    for (uint64_t i = 0; i < steps; i++) {
        model_step(model);
        if (i % 20000 == 19999) {
            model_compare(model);
            const uint64_t dice = loft_test_random_below(&model->random, 3);
            if (dice == 0) {
                loft_test_heap_reopen(&model->test, false);
            } else if (dice == 1) {
                LOFT_CHECK_OK(lofti_heap_reload(model->test.heap));
            }
        }
    }
    model_compare(model);
    for (uint32_t i = 0; i < model->slots; i++) {
        lofti_heap_free(model->test.heap, model->blocks[i].at);
        model->blocks[i].at = NULL;
    }
    model_compare(model);
    loft_test_heap_end(&model->test);
}

static model_state one;

LOFT_TEST(heap_model, a_growing_heap)
{
    one.random.state = loft_test_seed();
    one.max_bytes = 12 << 20;
    one.slots = 512;
    loft_test_heap_make(&one.test, (uint64_t)16 << 30);
    one.test.gap_every = 5;
    model_run(&one, loft_test_scale(400000, 40000000, 400000000));
}

LOFT_TEST(heap_model, a_growing_heap_that_returns_memory)
{
    one.random.state = loft_test_seed();
    one.max_bytes = 12 << 20;
    one.slots = MODEL_SLOTS;
    loft_test_heap_make(&one.test, (uint64_t)16 << 30);
    one.test.drops = true;
    model_run(&one, loft_test_scale(400000, 40000000, 400000000));
}

LOFT_TEST(heap_model, a_small_buffer)
{
    one.random.state = loft_test_seed();
    one.max_bytes = 40000;
    one.slots = 400;
    loft_test_heap_make_fixed(&one.test, 1 << 20);
    model_run(&one, loft_test_scale(200000, 20000000, 200000000));
}

LOFT_TEST(heap_model, the_smallest_buffer)
{
    one.random.state = loft_test_seed();
    one.max_bytes = 5000;
    one.slots = 60;
    loft_test_heap_make_fixed(&one.test, 64 << 10);
    model_run(&one, loft_test_scale(200000, 20000000, 200000000));
}

LOFT_TEST(heap_model, a_buffer_of_chunks_and_a_half)
{
    one.random.state = loft_test_seed();
    one.max_bytes = 6 << 20;
    one.slots = 1000;
    loft_test_heap_make_fixed(&one.test, (10 << 20) + (512 << 10) + 4096);
    model_run(&one, loft_test_scale(200000, 20000000, 200000000));
}
