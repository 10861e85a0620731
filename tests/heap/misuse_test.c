/*
 * heap/misuse_test.c - every broken contract is found, named, and changes nothing.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "heap/host.h"
#include "support/test.h"

static loft_misuse seen;
static char seen_text[512];
static uint32_t seen_count;

static void remember(void *context, const loft_misuse *misuse)
{
    (void)context;
    seen = *misuse;
    seen_count++;
    (void)snprintf(seen_text, sizeof seen_text, "%s", misuse->text);
}

static loft_test_heap one;

static void start(void)
{
    loft_test_heap_make(&one, (uint64_t)1 << 30);
    loft_set_misuse_handler(remember, NULL);
    seen_count = 0;
}

/* free(block) is reported as `kind`, with the address, and no live block appears or goes. */
static void expect(void *block, int kind)
{
    const uint64_t live = loft_test_heap_live(&one);
    seen_count = 0;
    lofti_heap_free(one.heap, block);
    LOFT_CHECK_EQ_UINT(seen_count, 1);
    LOFT_CHECK_EQ_INT(seen.kind, kind);
    LOFT_CHECK_EQ_PTR(seen.address, block);
    LOFT_CHECK_EQ_UINT(seen.struct_bytes, sizeof seen);
    seen_count = 0;
    LOFT_CHECK_EQ_UINT(lofti_heap_usable_size(one.heap, block), 0);
    LOFT_CHECK_EQ_UINT(seen_count, 1);
    LOFT_CHECK_EQ_INT(seen.kind, kind);
    seen_count = 0;
    LOFT_CHECK_NULL(lofti_heap_realloc(one.heap, block, 100));
    LOFT_CHECK_EQ_UINT(seen_count, 1);
    LOFT_CHECK_EQ_INT(seen.kind, kind);
    LOFT_CHECK_EQ_UINT(loft_test_heap_live(&one), live);
    loft_test_heap_check(&one);
}

static const size_t sizes[] = {16, 48, 64, 1000, 5000, 65536, 100000, 1 << 20, 9 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

LOFT_TEST(heap_misuse, double_free_by_the_same_thread)
{
    start();
    for (size_t i = 0; i < SIZES; i++) {
        void *keep = lofti_heap_malloc(one.heap, sizes[i]);
        void *block = lofti_heap_malloc(one.heap, sizes[i]);
        lofti_heap_free(one.heap, block);
        LOFT_CHECK_EQ_UINT(seen_count, 0);
        expect(block, LOFT_MISUSE_DOUBLE_FREE);
        lofti_heap_free(one.heap, keep);
        expect(keep, LOFT_MISUSE_DOUBLE_FREE);
        seen_count = 0;
    }
    loft_test_heap_end(&one);
}

static void *free_it(void *block)
{
    lofti_heap_free(one.heap, block);
    return NULL;
}

LOFT_TEST(heap_misuse, double_free_across_threads)
{
    start();
    for (size_t i = 0; i < SIZES; i++) {
        void *blocks[2];
        pthread_t thread;
        for (size_t k = 0; k < 2; k++) {
            blocks[k] = lofti_heap_malloc(one.heap, sizes[i]);
        }
        /* Freed elsewhere, then here. */
        LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, free_it, blocks[0]), 0);
        LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
        LOFT_CHECK_EQ_UINT(seen_count, 0);
        expect(blocks[0], LOFT_MISUSE_DOUBLE_FREE);
        /* Freed here, then elsewhere. */
        seen_count = 0;
        lofti_heap_free(one.heap, blocks[1]);
        LOFT_CHECK_EQ_UINT(seen_count, 0);
        LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, free_it, blocks[1]), 0);
        LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
        LOFT_CHECK_EQ_UINT(seen_count, 1);
        LOFT_CHECK_EQ_INT(seen.kind, LOFT_MISUSE_DOUBLE_FREE);
        seen_count = 0;
    }
    loft_test_heap_end(&one);
}

LOFT_TEST(heap_misuse, double_free_after_reopening)
{
    start();
    for (size_t i = 0; i < SIZES; i++) {
        void *keep = lofti_heap_malloc(one.heap, sizes[i]);
        void *block = lofti_heap_malloc(one.heap, sizes[i]);
        lofti_heap_free(one.heap, block);
        loft_test_heap_reopen(&one, false);
        expect(block, LOFT_MISUSE_DOUBLE_FREE);
        seen_count = 0;
        lofti_heap_free(one.heap, keep);
        LOFT_CHECK_EQ_UINT(seen_count, 0);
        loft_test_heap_reopen(&one, false);
        expect(keep, LOFT_MISUSE_DOUBLE_FREE);
    }
    loft_test_heap_end(&one);
}

LOFT_TEST(heap_misuse, interior_and_unaligned_pointers)
{
    start();
    for (size_t i = 0; i < SIZES; i++) {
        char *block = lofti_heap_malloc(one.heap, sizes[i]);
        const size_t usable = lofti_heap_usable_size(one.heap, block);
        const size_t offsets[] = {1, 8, usable / 2, usable - 1, 16, 4096, 1 << 16, 5 << 20};
        for (size_t k = 0; k < sizeof offsets / sizeof offsets[0]; k++) {
            if (offsets[k] < usable) {
                expect(block + offsets[k], LOFT_MISUSE_INTERIOR);
                LOFT_CHECK_CONTAINS(seen_text, "inside");
            }
        }
        loft_test_heap_reopen(&one, false);
        expect(block + usable / 2, LOFT_MISUSE_INTERIOR);
        seen_count = 0;
        lofti_heap_free(one.heap, block);
        LOFT_CHECK_EQ_UINT(seen_count, 0);
    }
    loft_test_heap_end(&one);
}

LOFT_TEST(heap_misuse, foreign_pointers)
{
    start();
    int local = 0;
    static int global;
    char *block = lofti_heap_malloc(one.heap, 100);
    expect(&local, LOFT_MISUSE_FOREIGN);
    expect(&global, LOFT_MISUSE_FOREIGN);
    expect(one.base - 16, LOFT_MISUSE_FOREIGN);
    expect(one.base + one.reserve_bytes, LOFT_MISUSE_FOREIGN);
    expect(one.base + one.reserve_bytes - 16, LOFT_MISUSE_FOREIGN);
    expect((void *)(uintptr_t)16, LOFT_MISUSE_FOREIGN);
    expect((void *)UINTPTR_MAX, LOFT_MISUSE_FOREIGN);
    expect(one.base, LOFT_MISUSE_FOREIGN);
    expect(one.base + 4096, LOFT_MISUSE_FOREIGN);
    /* Memory of the heap that never was a block. */
    expect(one.base + (3 << 20), LOFT_MISUSE_FOREIGN);
    void *internal = lofti_heap_internal_alloc(one.heap, 5000);
    LOFT_CHECK_NOT_NULL(internal);
    expect(internal, LOFT_MISUSE_FOREIGN);
    LOFT_CHECK_CONTAINS(seen_text, "own");
    seen_count = 0;
    lofti_heap_internal_free(one.heap, internal);
    lofti_heap_free(one.heap, block);
    LOFT_CHECK_EQ_UINT(seen_count, 0);
    loft_test_heap_end(&one);
}

LOFT_TEST(heap_misuse, pointers_of_another_heap)
{
    start();
    loft_test_heap other;
    loft_test_heap_make(&other, (uint64_t)1 << 30);
    for (size_t i = 0; i < SIZES; i++) {
        void *block = lofti_heap_malloc(other.heap, sizes[i]);
        expect(block, LOFT_MISUSE_WRONG_ARENA);
        seen_count = 0;
        lofti_heap_free(other.heap, block);
        LOFT_CHECK_EQ_UINT(seen_count, 0);
    }
    loft_test_heap_end(&other);
    loft_test_heap_end(&one);
}

static void free_twice(void *block)
{
    loft_set_misuse_handler(NULL, NULL);
    lofti_heap_free(one.heap, block);
    lofti_heap_free(one.heap, block);
}

LOFT_TEST(heap_misuse, the_default_handler_says_it_and_aborts)
{
    start();
    for (size_t i = 0; i < SIZES; i++) {
        void *block = lofti_heap_malloc(one.heap, sizes[i]);
        LOFT_CHECK_DEATH(free_twice, block, 6, "loft: misuse: free of 0x");
    }
    loft_test_heap_end(&one);
}
