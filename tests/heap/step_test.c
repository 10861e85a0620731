/*
 * heap/step_test.c - stopped at any instruction, the image is whole.
 */
#include <pthread.h>
#include <semaphore.h>

#include "heap/host.h"
#include "heap/step.h"

static loft_test_step step;

static void free_all(loft_test_step *at)
{
    while (at->note->held_count > 0) {
        loft_test_step_free(at, at->note->held_count / 2);
    }
}

/* One size: the first slab, its words, frees that make it partly free, empty and full. */
static void use_class(loft_test_step *at, size_t bytes, uint32_t count)
{
    const uint32_t before = at->note->held_count;
    for (uint32_t i = 0; i < count; i++) {
        (void)loft_test_step_malloc(at, bytes);
    }
    for (uint32_t i = 0; i < count / 2; i++) {
        loft_test_step_free(at, before + i);
    }
    for (uint32_t i = 0; i < count / 4; i++) {
        (void)loft_test_step_malloc(at, bytes);
    }
    while (at->note->held_count > before) {
        loft_test_step_free(at, at->note->held_count - 1);
    }
}

static void script_small(loft_test_step *at)
{
    use_class(at, 16, 12);
    use_class(at, 40, 140); /* 85 to a slab */
    use_class(at, 700, 14);
    use_class(at, 2000, 6);
    (void)loft_test_step_calloc(at, 100);
    (void)loft_test_step_calloc(at, 5000);
    (void)loft_test_step_aligned(at, 256, 300);
    (void)loft_test_step_aligned(at, 16384, 5000);
    loft_test_step_free(at, 0);
    (void)loft_test_step_calloc(at, 90);
    (void)loft_test_step_realloc(at, 0, 3000);
    (void)loft_test_step_realloc(at, 0, 9000);
    (void)loft_test_step_realloc(at, 0, 12000);
    (void)loft_test_step_realloc(at, 0, 4500);
    (void)loft_test_step_realloc(at, 0, 30);
    free_all(at);
    /* Until there is no more. */
    while (at->note->held_count < 24) {
        (void)loft_test_step_malloc(at, 20000);
    }
    free_all(at);
}

LOFT_TEST(heap_step, a_small_buffer)
{
    loft_test_heap_untold(); /* images are copied and compared */
    step.bytes = 1 << 20;
    loft_test_step_run(&step, script_small);
}

static void script_slabs(loft_test_step *at)
{
    use_class(at, 16, 70);
    use_class(at, 48, 6);
    use_class(at, 100, 70);
    use_class(at, 1000, 70); /* 65 to a slab */
    use_class(at, 9000, 20); /* slabs of several units */
    use_class(at, 65536, 10);
    (void)loft_test_step_malloc(at, 64);
    (void)loft_test_step_calloc(at, 200);
    (void)loft_test_step_aligned(at, 4096, 100);
    (void)loft_test_step_realloc(at, 1, 600);
    (void)loft_test_step_realloc(at, 1, 700);
    (void)loft_test_step_realloc(at, 1, 40);
    (void)loft_test_step_malloc(at, 64);
    /* The thread ends with blocks in its slabs and free ones beside them. */
}

LOFT_TEST(heap_step, slabs)
{
    loft_test_heap_untold(); /* images are copied and compared */
    step.bytes = 8 * LOFTI_CHUNK_BYTES;
    loft_test_step_run(&step, script_slabs);
}

static void script_spans(loft_test_step *at)
{
    (void)loft_test_step_malloc(at, 100000);
    (void)loft_test_step_malloc(at, 300000);
    (void)loft_test_step_calloc(at, 150000);
    loft_test_step_free(at, 1);
    (void)loft_test_step_realloc(at, 0, 250000); /* in place, into the hole */
    (void)loft_test_step_realloc(at, 0, 90000);  /* shorter, in place */
    (void)loft_test_step_aligned(at, 1 << 20, 200000);
    for (uint32_t i = 0; i < 3; i++) {
        (void)loft_test_step_malloc(at, 2 << 20); /* more chunks */
    }
    free_all(at);
    (void)loft_test_step_malloc(at, 3 << 20);
    free_all(at);
}

/* Longer than a chunk. */
static void script_big(loft_test_step *at)
{
    (void)loft_test_step_malloc(at, 14 << 20);
    loft_test_step_free(at, 0);
    (void)loft_test_step_malloc(at, 5 << 20);
    (void)loft_test_step_realloc(at, 0, 9 << 20); /* in place: the chunks behind are free */
    (void)loft_test_step_malloc(at, 6 << 20);
    (void)loft_test_step_realloc(at, 0, 5 << 20);
    (void)loft_test_step_realloc(at, 0, 100000);
    loft_test_step_free(at, 0);
    (void)loft_test_step_aligned(at, 2 << 20, 9 << 20);
    (void)loft_test_step_aligned(at, 2 << 20, 3 << 20);
    free_all(at);
}

LOFT_TEST(heap_step, spans)
{
    loft_test_heap_untold(); /* images are copied and compared */
    step.bytes = 12 * LOFTI_CHUNK_BYTES;
    loft_test_step_run(&step, script_spans);
}

LOFT_TEST(heap_step, blocks_longer_than_a_chunk)
{
    loft_test_heap_untold(); /* images are copied and compared */
    step.bytes = 16 * LOFTI_CHUNK_BYTES;
    loft_test_step_run(&step, script_big);
}

LOFT_TEST(heap_step, blocks_longer_than_a_chunk_in_memory_that_is_returned)
{
    loft_test_heap_untold(); /* images are copied and compared */
    step.bytes = 16 * LOFTI_CHUNK_BYTES;
    step.returns = true;
    loft_test_step_run(&step, script_big);
}

/* --- With another thread, which is not traced ----------------------------------------------- */

enum { SHARED_BLOCKS = 24 };

static struct {
    sem_t go, done;
    void *blocks[SHARED_BLOCKS];
} shared;

/* Makes blocks, waits, frees the first half of what it finds there, and waits for its end. */
static void *other_thread(void *context)
{
    loft_test_step *at = context;
    for (uint32_t i = 0; i < SHARED_BLOCKS; i++) {
        shared.blocks[i] = lofti_heap_malloc(at->heap, i % 2 == 0 ? 48 : 200);
    }
    LOFT_CHECK_EQ_INT(sem_post(&shared.done), 0);
    LOFT_CHECK_EQ_INT(sem_wait(&shared.go), 0);
    for (uint32_t i = 0; i < SHARED_BLOCKS; i++) {
        lofti_heap_free(at->heap, shared.blocks[i]);
    }
    LOFT_CHECK_EQ_INT(sem_post(&shared.done), 0);
    LOFT_CHECK_EQ_INT(sem_wait(&shared.go), 0);
    return NULL;
}

static void script_shared(loft_test_step *at)
{
    pthread_t other;
    LOFT_CHECK_EQ_INT(sem_init(&shared.go, 0, 0), 0);
    LOFT_CHECK_EQ_INT(sem_init(&shared.done, 0, 0), 0);
    at->note->loose = 1;
    LOFT_CHECK_EQ_INT(pthread_create(&other, NULL, other_thread, at), 0);
    LOFT_CHECK_EQ_INT(sem_wait(&shared.done), 0);
    for (uint32_t i = 0; i < SHARED_BLOCKS; i++) {
        loft_test_step_hold(at, shared.blocks[i], i % 2 == 0 ? 48 : 200);
    }
    at->note->loose = 0;
    /* Remote frees: of another's slabs. */
    while (at->note->held_count > 0) {
        loft_test_step_free(at, 0);
    }
    for (uint32_t i = 0; i < 120; i++) {
        (void)loft_test_step_malloc(at, i % 2 == 0 ? 64 : 1000);
    }
    /* The other frees some of this thread's; they are merged when this one runs out of words. */
    at->note->loose = 1;
    for (uint32_t i = 0; i < SHARED_BLOCKS; i++) {
        shared.blocks[i] = loft_test_step_drop(at, i);
    }
    LOFT_CHECK_EQ_INT(sem_post(&shared.go), 0);
    LOFT_CHECK_EQ_INT(sem_wait(&shared.done), 0);
    at->note->loose = 0;
    for (uint32_t i = 0; i < 40; i++) {
        (void)loft_test_step_malloc(at, 1000);
    }
    /* The other ends; its slabs are adopted. */
    at->note->loose = 1;
    LOFT_CHECK_EQ_INT(sem_post(&shared.go), 0);
    LOFT_CHECK_EQ_INT(pthread_join(other, NULL), 0);
    at->note->loose = 0;
    for (uint32_t i = 0; i < 10; i++) {
        (void)loft_test_step_malloc(at, i % 2 == 0 ? 48 : 200);
    }
}

LOFT_TEST(heap_step, frees_across_threads)
{
    loft_test_heap_untold(); /* images are copied and compared */
    step.bytes = 4 * LOFTI_CHUNK_BYTES;
    loft_test_step_run(&step, script_shared);
}
