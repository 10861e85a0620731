/*
 * heap/model_thread_test.c - random operations of 1 to 8 threads against models.
 *
 * Each thread knows every byte pattern and size of the blocks it holds; blocks change hands through
 * mailboxes, so that they are freed, resized and looked at by others than made them. After each
 * batch the threads rest: then the walk must list exactly what the models hold, the figures must
 * agree and the check must find nothing; now and then the heap is detached and attached again, or the
 * threads end and others go on with their models.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "heap/host.h"
#include "support/test.h"

enum { THREADS_MAX = 8, SLOTS = 600, MAILBOXES = 64, BATCH_STEPS = 10000 };

typedef struct held {
    uint8_t *at; /* NULL: none */
    uint64_t bytes;
    uint64_t seed;
} held;

typedef struct worker {
    loft_test_heap *test;
    loft_test_random random;
    uint64_t steps;
    held slots[SLOTS];
} worker;

typedef struct mailbox {
    pthread_mutex_t lock;
    held block;
} mailbox;

static worker workers[THREADS_MAX];
static mailbox mailboxes[MAILBOXES];

static uint64_t held_word(const held *block, uint64_t i)
{
    return block->seed + i * 0x9e3779b97f4a7c15u;
}

/* Words at both ends and some between: an overlap of two blocks hits one of them. */
static uint64_t held_step(uint64_t words) { return words < 64 ? 1 : words / 32; }

static void held_fill(held *block, loft_test_random *random)
{
    uint64_t *at = (uint64_t *)(void *)block->at;
    const uint64_t words = block->bytes / sizeof(uint64_t);
    block->seed = loft_test_random_next(random);
    for (uint64_t i = 0; i < words; i += held_step(words)) {
        at[i] = held_word(block, i);
    }
    at[words - 1] = held_word(block, words - 1);
}

/* The first `bytes` of the block are as they were filled. */
static void held_verify(const held *block, uint64_t bytes)
{
    const uint64_t *at = (const uint64_t *)(const void *)block->at;
    const uint64_t words = block->bytes / sizeof(uint64_t);
    const uint64_t end = bytes / sizeof(uint64_t);
    for (uint64_t i = 0; i < end; i += held_step(words)) {
        LOFT_CHECK_EQ_UINT(at[i], held_word(block, i));
    }
    if (end == words) {
        LOFT_CHECK_EQ_UINT(at[words - 1], held_word(block, words - 1));
    }
}

static size_t worker_size(worker *self)
{
    const uint64_t dice = loft_test_random_below(&self->random, 1000);
    const uint64_t most = dice < 800   ? 1024
                          : dice < 990 ? 32 << 10
                          : dice < 999 ? 400 << 10
                                       : 9 << 20;
    return loft_test_random_below(&self->random, most);
}

static void worker_alloc(worker *self, held *slot)
{
    lofti_heap *heap = self->test->heap;
    const size_t bytes = worker_size(self);
    const uint64_t dice = loft_test_random_below(&self->random, 8);
    const size_t alignment = (size_t)16 << loft_test_random_below(&self->random, 12);
    slot->at = dice == 0   ? lofti_heap_calloc(heap, 1, bytes)
               : dice == 1 ? lofti_heap_aligned_alloc(heap, alignment, bytes)
                           : lofti_heap_malloc(heap, bytes);
    LOFT_CHECK_NOT_NULL(slot->at);
    LOFT_CHECK_EQ_UINT((uintptr_t)slot->at % (dice == 1 ? alignment : 16), 0);
    for (size_t i = 0; dice == 0 && i < bytes; i += i < 512 ? 1 : 1021) {
        LOFT_CHECK_EQ_UINT(slot->at[i], 0);
    }
    slot->bytes = lofti_heap_usable_size(heap, slot->at);
    LOFT_CHECK_GE_UINT(slot->bytes, bytes);
    held_fill(slot, &self->random);
}

static void worker_resize(worker *self, held *slot)
{
    const size_t bytes = worker_size(self) + 1;
    slot->at = lofti_heap_realloc(self->test->heap, slot->at, bytes);
    LOFT_CHECK_NOT_NULL(slot->at);
    held_verify(slot, bytes < slot->bytes ? bytes : slot->bytes);
    slot->bytes = lofti_heap_usable_size(self->test->heap, slot->at);
    LOFT_CHECK_GE_UINT(slot->bytes, bytes);
    held_fill(slot, &self->random);
}

static void worker_exchange(worker *self, held *slot)
{
    mailbox *box = &mailboxes[loft_test_random_below(&self->random, MAILBOXES)];
    (void)pthread_mutex_lock(&box->lock);
    const held other = box->block;
    box->block = *slot;
    *slot = other;
    (void)pthread_mutex_unlock(&box->lock);
}

static void *worker_run(void *context)
{
    worker *self = context;
    for (uint64_t i = 0; i < self->steps; i++) {
        held *slot = &self->slots[loft_test_random_below(&self->random, SLOTS)];
        const uint64_t dice = loft_test_random_below(&self->random, 8);
        if (dice == 0) {
            worker_exchange(self, slot);
        } else if (slot->at == NULL) {
            worker_alloc(self, slot);
        } else if (dice == 1) {
            worker_resize(self, slot);
        } else {
            held_verify(slot, slot->bytes);
            lofti_heap_free(self->test->heap, slot->at);
            slot->at = NULL;
        }
    }
    return NULL;
}

/* --- Between batches ------------------------------------------------------------------------ */

enum { HELD_MAX = THREADS_MAX * SLOTS + MAILBOXES };
static held all[HELD_MAX];

static int held_order(const void *a, const void *b)
{
    const uint8_t *x = ((const held *)a)->at;
    const uint8_t *y = ((const held *)b)->at;
    return x < y ? -1 : x > y;
}

static uint32_t collect(void)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        for (uint32_t k = 0; k < SLOTS; k++) {
            if (workers[i].slots[k].at != NULL) {
                all[count++] = workers[i].slots[k];
            }
        }
    }
    for (uint32_t i = 0; i < MAILBOXES; i++) {
        if (mailboxes[i].block.at != NULL) {
            all[count++] = mailboxes[i].block;
        }
    }
    qsort(all, count, sizeof all[0], held_order);
    return count;
}

static void compare(loft_test_heap *test)
{
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    loft_block cursor = {.struct_bytes = sizeof cursor};
    const uint32_t count = collect();
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        LOFT_CHECK_EQ_INT(lofti_heap_next_block(test->heap, &cursor), 0);
        LOFT_CHECK_EQ_PTR(cursor.address, all[i].at);
        LOFT_CHECK_EQ_UINT(cursor.bytes, all[i].bytes);
        held_verify(&all[i], all[i].bytes);
        bytes += all[i].bytes;
    }
    LOFT_CHECK_EQ_INT(lofti_heap_next_block(test->heap, &cursor), LOFT_ENOENT);
    LOFT_CHECK_OK(lofti_heap_stats(test->heap, &stats));
    LOFT_CHECK_EQ_UINT(stats.live_blocks, count);
    LOFT_CHECK_EQ_UINT(stats.live_bytes, bytes);
    loft_test_heap_check(test);
}

static void run_batch(uint32_t threads)
{
    pthread_t ids[THREADS_MAX];
    for (uint32_t i = 1; i < threads; i++) {
        LOFT_CHECK_EQ_INT(pthread_create(&ids[i], NULL, worker_run, &workers[i]), 0);
    }
    (void)worker_run(&workers[0]); /* the main thread stays: its thread heap lives on */
    for (uint32_t i = 1; i < threads; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(ids[i], NULL), 0);
    }
}

static void run(uint64_t steps, uint32_t threads_least, uint32_t threads_most, bool drops)
{
    loft_test_random random = {loft_test_seed()};
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)16 << 30);
    test.drops = drops;
    test.gap_every = 7;
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        workers[i] = (worker){.test = &test, .random = {loft_test_random_next(&random)}};
    }
    for (uint32_t i = 0; i < MAILBOXES; i++) {
        mailboxes[i] = (mailbox){.lock = PTHREAD_MUTEX_INITIALIZER};
    }
    for (uint64_t done = 0; done < steps;) {
        const uint32_t threads = threads_least + (uint32_t)loft_test_random_below(
                                                     &random, threads_most - threads_least + 1);
        for (uint32_t i = 0; i < threads; i++) {
            workers[i].steps = BATCH_STEPS;
        }
        run_batch(threads);
        done += (uint64_t)threads * BATCH_STEPS;
        compare(&test);
        const uint64_t dice = loft_test_random_below(&random, 4);
        if (dice == 0) {
            loft_test_heap_reopen(&test, false);
        } else if (dice == 1) {
            LOFT_CHECK_OK(lofti_heap_reload(test.heap));
        }
    }
    const uint32_t count = collect();
    for (uint32_t i = 0; i < count; i++) {
        lofti_heap_free(test.heap, all[i].at);
    }
    loft_test_heap_check(&test);
    LOFT_CHECK_EQ_UINT(loft_test_heap_live(&test), 0);
    loft_test_heap_end(&test);
}

LOFT_TEST(heap_model_thread, one_to_eight_threads)
{
    run(loft_test_scale(1000000, 100000000, 1000000000), 1, THREADS_MAX, false);
}

LOFT_TEST(heap_model_thread, two_threads_and_memory_that_is_returned)
{
    run(loft_test_scale(300000, 30000000, 300000000), 2, 2, true);
}
