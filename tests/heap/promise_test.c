/*
 * heap/promise_test.c - what the heap promises beside giving and taking blocks: pages it does not touch, memory
 * it does not use, memory it gives back, blocks it does not move.
 */
#include <stdio.h>
#include <sys/mman.h>

#include "format/heap_layout.h"
#include "heap/host.h"
#include "loft/arena.h"
#include "support/test.h"

/* --- Pages that are not touched ------------------------------------------------------------- */

static const size_t sizes[] = {16, 64, 200, 1000, 5000, 65536, 100000, 1 << 20, 6 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0], COUNT = 2000 };

/* Frees with the pages of all blocks beyond reach: a touch would be a fault. */
static void free_untouched(loft_test_heap *test, void *blocks[COUNT], uint32_t count, size_t bytes)
{
    uint8_t *low = blocks[0];
    uint8_t *high = blocks[0];
    for (uint32_t i = 0; i < count; i++) {
        low = (uint8_t *)blocks[i] < low ? (uint8_t *)blocks[i] : low;
        high = (uint8_t *)blocks[i] > high ? (uint8_t *)blocks[i] : high;
    }
    /* Chunk by chunk, what is not metadata: whole units that hold these blocks, or whole pages. */
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t unit = bytes > 65536 ? 4096 : 65536;
        const uint64_t off = (uint64_t)((uint8_t *)blocks[i] - test->base) & ~(unit - 1);
        const uint64_t room = bytes > unit ? (bytes + 4095) & ~UINT64_C(4095) : unit;
        LOFT_CHECK_SYS(mprotect(test->base + off, room, PROT_NONE));
    }
    for (uint32_t i = 0; i < count; i++) {
        lofti_heap_free(test->heap, blocks[i]);
    }
}

LOFT_TEST(heap_promise, free_does_not_touch_the_block)
{
    for (size_t k = 0; k < SIZES; k++) {
        static void *blocks[COUNT];
        loft_test_heap test;
        const uint32_t count = sizes[k] < 1000 ? COUNT : 30;
        loft_test_heap_make(&test, (uint64_t)1 << 30);
        for (uint32_t i = 0; i < count; i++) {
            blocks[i] = lofti_heap_malloc(test.heap, sizes[k]);
            LOFT_CHECK_NOT_NULL(blocks[i]);
        }
        free_untouched(&test, blocks, count, sizes[k]);
        LOFT_CHECK_EQ_UINT(loft_test_heap_live(&test), 0);
        loft_test_heap_check(&test);
        loft_test_heap_end(&test);
    }
}

/* --- Memory that is not used ---------------------------------------------------------------- */

/* Metadata in memory, in thousandths of the blocks' bytes, with every block live and written to. */
static uint64_t metadata_share(size_t bytes, uint64_t total_bytes)
{
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)1 << 30);
    for (uint64_t done = 0; done < total_bytes; done += bytes) {
        uint8_t *block = lofti_heap_malloc(test.heap, bytes);
        LOFT_CHECK_NOT_NULL(block);
        for (size_t at = 0; at < bytes; at += 4096) {
            block[at] = 1;
        }
        block[bytes - 1] = 1;
    }
    const uint64_t pages = loft_test_heap_pages_in(test.base, test.usable_bytes);
    loft_test_heap_end(&test);
    const uint64_t block_pages = total_bytes / 4096;
    LOFT_CHECK_GE_UINT(pages, block_pages);
    return (pages - block_pages) * 10000 / block_pages;
}

LOFT_TEST(heap_promise, metadata_is_small)
{
    /* Block size, and the most that may be in memory beside the blocks, in hundredths of a percent. */
    static const struct {
        size_t bytes;
        uint64_t most;
    } rows[] = {{64, 120}, {128, 110}, {256, 110}, {1024, 130}, {4096, 100}, {65536, 100}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const uint64_t share = metadata_share(rows[i].bytes, (uint64_t)120 << 20);
        (void)fprintf(stderr, "%zu-byte blocks: %llu.%02llu %%\n", rows[i].bytes,
                      (unsigned long long)(share / 100), (unsigned long long)(share % 100));
        LOFT_CHECK_LE_UINT(share, rows[i].most);
    }
}

LOFT_TEST(heap_promise, a_fresh_heap_is_small)
{
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)1 << 40);
    LOFT_CHECK_LE_UINT(loft_test_heap_pages_in(test.base, test.usable_bytes), 2);
    for (size_t bytes = 16; bytes <= 256; bytes += 16) {
        memset(lofti_heap_malloc(test.heap, bytes), 1, bytes);
    }
    const uint64_t pages = loft_test_heap_pages_in(test.base, test.usable_bytes);
    (void)fprintf(stderr, "%llu KiB for 16 blocks of 16 sizes\n", (unsigned long long)pages * 4);
    LOFT_CHECK_LE_UINT(pages, 16 + 16); /* a page for each class, and 64 KiB */
    loft_test_heap_end(&test);
    loft_test_heap_make(&test, (uint64_t)1 << 40);
    for (uint32_t i = 0; i < 20; i++) {
        memset(lofti_heap_malloc(test.heap, 40), 1, 40);
    }
    const uint64_t few = loft_test_heap_pages_in(test.base, test.usable_bytes);
    (void)fprintf(stderr, "%llu KiB for 20 blocks of one size\n", (unsigned long long)few * 4);
    LOFT_CHECK_LT_UINT(few, 16);
    loft_test_heap_end(&test);
}

/* Live bytes go down, and what is in memory follows, but for what may be needed again at once: 96 MiB of
 * the heap, four spans of the thread, and the chunks that these pin. */
LOFT_TEST(heap_promise, memory_follows_the_live_set_down)
{
    enum { BIG = 500, SMALL = 60000 };
    static void *big[BIG];
    static void *small[SMALL];
    loft_arena *arena = loft_test_heap_arena((uint64_t)8 << 30);
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    const uint8_t *base = (const uint8_t *)(uintptr_t)info.mapped_at;
    for (uint32_t i = 0; i < BIG; i++) {
        big[i] = loft_arena_malloc(arena, 1 << 20);
        memset(big[i], 1, 1 << 20);
    }
    for (uint32_t i = 0; i < SMALL; i++) {
        small[i] = loft_arena_malloc(arena, 4000);
        memset(small[i], 1, 4000);
    }
    const uint64_t most = loft_test_heap_pages_in(base, (uint64_t)2 << 30);
    LOFT_CHECK_GE_UINT(most, (uint64_t)(BIG + SMALL / 256) * 256 * 9 / 10);
    for (uint32_t i = 0; i < BIG; i++) {
        loft_arena_free(arena, big[i]);
    }
    for (uint32_t i = 0; i < SMALL; i++) {
        loft_arena_free(arena, small[i]);
    }
    const uint64_t least = loft_test_heap_pages_in(base, (uint64_t)2 << 30);
    (void)fprintf(stderr, "%llu MiB, then %llu MiB\n", (unsigned long long)most / 256,
                  (unsigned long long)least / 256);
    LOFT_CHECK_LE_UINT(least, (96 + 4 + 5 * 4) * 256);
    LOFT_CHECK_OK(loft_arena_close(arena));
}

/* --- Blocks of every kind ------------------------------------------------------------------- */

LOFT_TEST(heap_promise, blocks_beyond_4_gib)
{
    loft_arena *arena = loft_test_heap_arena((uint64_t)64 << 30);
    const size_t bytes = ((size_t)5 << 30) + 12345;
    uint8_t *block = loft_arena_malloc(arena, bytes);
    LOFT_CHECK_NOT_NULL(block);
    LOFT_CHECK_GE_UINT(loft_arena_usable_size(arena, block), bytes);
    block[0] = block[(size_t)1 << 32] = block[bytes - 1] = 7;
    uint8_t *zero = loft_arena_calloc(arena, 3, (size_t)2 << 30);
    LOFT_CHECK_NOT_NULL(zero);
    LOFT_CHECK_EQ_INT(zero[0] | zero[(size_t)5 << 30], 0);
    LOFT_CHECK_EQ_PTR(loft_arena_realloc(arena, zero, (size_t)5 << 30), zero);
    LOFT_CHECK_EQ_INT(block[0] + block[(size_t)1 << 32] + block[bytes - 1], 21);
    LOFT_CHECK_OK(loft_arena_check(arena, NULL, NULL, NULL));
    loft_arena_free(arena, block);
    loft_arena_free(arena, zero);
    LOFT_CHECK_NULL(loft_arena_malloc(arena, (size_t)65 << 30));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
    LOFT_CHECK_NULL(loft_arena_malloc(arena, SIZE_MAX));
    LOFT_CHECK_NULL(loft_arena_malloc(arena, SIZE_MAX - 4095));
    LOFT_CHECK_NULL(loft_arena_calloc(arena, SIZE_MAX / 2, 3));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EOVERFLOW);
    LOFT_CHECK_OK(loft_arena_check(arena, NULL, NULL, NULL));
    LOFT_CHECK_OK(loft_arena_close(arena));
}

LOFT_TEST(heap_promise, every_alignment_up_to_2_mib)
{
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)4 << 30);
    for (size_t alignment = 1; alignment <= (size_t)2 << 20; alignment *= 2) {
        static const size_t wanted[] = {0, 1, 24, 100, 5000, 65536, 300000, 3 << 20, 5 << 20};
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            uint8_t *block = lofti_heap_aligned_alloc(test.heap, alignment, wanted[i]);
            LOFT_CHECK_NOT_NULL(block);
            LOFT_CHECK_EQ_UINT((uintptr_t)block % (alignment < 16 ? 16 : alignment), 0);
            LOFT_CHECK_GE_UINT(lofti_heap_usable_size(test.heap, block), wanted[i]);
            memset(block, 1, wanted[i]);
        }
    }
    LOFT_CHECK_NULL(lofti_heap_aligned_alloc(test.heap, (size_t)4 << 20, 1));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EINVAL);
    LOFT_CHECK_NULL(lofti_heap_aligned_alloc(test.heap, 48, 1));
    LOFT_CHECK_NULL(lofti_heap_aligned_alloc(test.heap, 0, 1));
    loft_test_heap_check(&test);
    loft_test_heap_end(&test);
}

/* Fills a slab of such blocks and frees every other of the first few: it waits in the thread's queue. */
static void leave_partly_free(lofti_heap *heap, size_t bytes, uint32_t count)
{
    static uint8_t *blocks[200];
    for (uint32_t i = 0; i < count; i++) {
        blocks[i] = lofti_heap_malloc(heap, bytes);
        LOFT_CHECK_NOT_NULL(blocks[i]);
    }
    for (uint32_t i = 1; i < 16; i += 2) {
        lofti_heap_free(heap, blocks[i]);
    }
}

/* A slab of the next class serves before a new one is made. Not all of its blocks are as aligned as those of the class
 * that was asked for: multiples of 1,152 beside multiples of 1,024. */
LOFT_TEST(heap_promise, a_borrowed_block_is_aligned_too)
{
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)1 << 30);
    leave_partly_free(test.heap, 1152, 65536 / 1152 + 1);
    uint8_t *borrowed = lofti_heap_malloc(test.heap, 1024);
    LOFT_CHECK_EQ_UINT(lofti_heap_usable_size(test.heap, borrowed), 1152);
    LOFT_CHECK_GT_UINT((uintptr_t)borrowed % 256, 0); /* as the next one of that slab would be */
    for (uint32_t i = 0; i < 40; i++) {
        uint8_t *block = lofti_heap_aligned_alloc(test.heap, 256, 1000);
        LOFT_CHECK_NOT_NULL(block);
        LOFT_CHECK_EQ_UINT((uintptr_t)block % 256, 0);
        LOFT_CHECK_GE_UINT(lofti_heap_usable_size(test.heap, block), 1000);
    }
    loft_test_heap_check(&test);
    loft_test_heap_end(&test);
}

LOFT_TEST(heap_promise, nothing_much_larger_is_borrowed)
{
    static const size_t pairs[][2] = {
        {1024, 2048}, {960, 1408}, {512, 640}, {1152, 1536}, {4096, 6144}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        loft_test_heap test;
        loft_test_heap_make(&test, (uint64_t)1 << 30);
        leave_partly_free(test.heap, pairs[i][1], 130);
        void *block = lofti_heap_malloc(test.heap, pairs[i][0]);
        LOFT_CHECK_EQ_UINT(lofti_heap_usable_size(test.heap, block), pairs[i][0]);
        loft_test_heap_end(&test);
    }
}

/* Pages of large blocks go back when nothing has taken them for some time, and not before. */
LOFT_TEST(heap_promise, idle_pages_go_back)
{
    const size_t bytes = (size_t)3 << 20;
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)1 << 30);
    test.drops = test.ticks = true;
    loft_test_heap_reopen(&test, false);
    uint8_t *block = lofti_heap_malloc(test.heap, bytes);
    for (uint32_t i = 0; i < 20;
         i++) { /* taken again each time, by another size too: 100 ms in all */
        memset(block, 1, bytes - 20 * 4096);
        lofti_heap_free(test.heap, block);
        test.now_ns += 5000000;
        block = lofti_heap_malloc(test.heap, bytes - i * 4096);
    }
    LOFT_CHECK_EQ_UINT(test.unused_bytes, 0);
    uint8_t *other = lofti_heap_malloc(test.heap, bytes);
    lofti_heap_free(test.heap, block);
    test.now_ns += 5000000;
    lofti_heap_free(test.heap, other);
    LOFT_CHECK_EQ_UINT(test.unused_bytes, 0);
    test.now_ns += 1000000000;
    lofti_heap_free(test.heap, lofti_heap_malloc(test.heap, 2 * bytes));
    LOFT_CHECK_GE_UINT(test.unused_bytes, bytes);
    loft_test_heap_check(&test);
    loft_test_heap_end(&test);
}

/* A class whose blocks are all free does not keep its slab while the heap grows. */
LOFT_TEST(heap_promise, empty_slabs_serve_other_classes)
{
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)1 << 30);
    uint8_t *held = lofti_heap_malloc(test.heap, 64);
    memset(held, 7, 64);
    for (uint32_t round = 0; round < 3; round++) {
        for (size_t bytes = 4096; bytes <= 65536; bytes += bytes / 8) {
            lofti_heap_free(test.heap, lofti_heap_malloc(test.heap, bytes));
        }
    }
    LOFT_CHECK_LE_UINT(lofti_heap_end_off(test.heap), LOFTI_CHUNK_BYTES);
    for (size_t bytes = 4096; bytes <= 65536; bytes += bytes / 8) { /* cells that lost theirs */
        uint8_t *block = lofti_heap_malloc(test.heap, bytes);
        LOFT_CHECK_GE_UINT(lofti_heap_usable_size(test.heap, block), bytes);
        memset(block, 1, bytes);
    }
    LOFT_CHECK_EQ_UINT(held[63], 7);
    loft_test_heap_check(&test);
    loft_test_heap_end(&test);
}

/* Where there is room, a block is not moved. */
LOFT_TEST(heap_promise, realloc_in_place)
{
    loft_test_heap test;
    loft_test_heap_make(&test, (uint64_t)4 << 30);
    lofti_heap *heap = test.heap;
    void *small = lofti_heap_malloc(heap, 100);
    LOFT_CHECK_EQ_PTR(lofti_heap_realloc(heap, small, 112), small); /* its class's slack */
    LOFT_CHECK_EQ_PTR(lofti_heap_realloc(heap, small, 60), small);  /* more than half of it */
    uint8_t *span = lofti_heap_malloc(heap, 100000);
    span[99999] = 5;
    LOFT_CHECK_EQ_PTR(lofti_heap_realloc(heap, span, 900000), span); /* free pages behind */
    LOFT_CHECK_EQ_UINT(span[99999], 5);
    LOFT_CHECK_EQ_PTR(lofti_heap_realloc(heap, span, 80000), span);
    LOFT_CHECK_EQ_UINT(lofti_heap_usable_size(heap, span), 20 * 4096);
    uint8_t *next = lofti_heap_malloc(heap, 70000); /* what was given back is used again */
    LOFT_CHECK_TRUE(next > span && next < span + 900000);
    /* Beyond a chunk, into free chunks behind. */
    uint8_t *huge = lofti_heap_malloc(heap, 30 << 20);
    lofti_heap_free(heap, huge);
    huge = lofti_heap_malloc(heap, 6 << 20);
    huge[(6 << 20) - 1] = 9;
    LOFT_CHECK_EQ_PTR(lofti_heap_realloc(heap, huge, 20 << 20), huge);
    LOFT_CHECK_EQ_UINT(huge[(6 << 20) - 1], 9);
    LOFT_CHECK_EQ_PTR(lofti_heap_realloc(heap, huge, 5 << 20), huge);
    LOFT_CHECK_EQ_PTR(lofti_heap_realloc(heap, huge, 100000), huge);
    loft_test_heap_check(&test);
    LOFT_CHECK_EQ_UINT(loft_test_heap_live(&test), 4);
    loft_test_heap_end(&test);
}

/* The last block of the heap grows into what the host gives; not where that lies elsewhere, or is refused. */
LOFT_TEST(heap_promise, realloc_asks_the_host_for_more)
{
    for (uint32_t way = 0; way < 4; way++) {
        loft_test_heap test;
        loft_test_heap_make(&test, (uint64_t)512 << 20);
        uint8_t *block = lofti_heap_malloc(test.heap, 6 << 20);
        block[0] = block[(6 << 20) - 1] = 9;
        test.gap_every = way == 1 ? test.grow_calls + 1 : 0;
        test.grow_left = way == 2 ? 0 : UINT32_MAX;
        const size_t bytes = way == 3 ? (size_t)600 << 20 : (size_t)200 << 20;
        uint8_t *grown = lofti_heap_realloc(test.heap, block, bytes);
        if (way < 2) {
            LOFT_CHECK_NOT_NULL(grown);
            LOFT_CHECK_EQ_INT(grown == block, way == 0);
            LOFT_CHECK_GE_UINT(lofti_heap_usable_size(test.heap, grown), bytes);
            grown[bytes - 1] = 1;
        } else {
            LOFT_CHECK_NULL(grown);
            LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
            grown = block;
        }
        LOFT_CHECK_EQ_INT(grown[0] + grown[(6 << 20) - 1], 18);
        loft_test_heap_check(&test);
        LOFT_CHECK_EQ_UINT(loft_test_heap_live(&test), 1);
        lofti_heap_free(test.heap, grown);
        loft_test_heap_check(&test);
        loft_test_heap_end(&test);
    }
}

/* Everything is filled, freed and asked for again as zeros. */
LOFT_TEST(heap_promise, calloc_of_used_memory_is_zero)
{
    for (uint32_t drops = 0; drops < 2; drops++) {
        loft_test_heap test;
        loft_test_heap_make(&test, (uint64_t)1 << 30);
        test.drops = drops != 0;
        for (size_t k = 0; k < SIZES; k++) {
            static uint8_t *blocks[20];
            for (uint32_t round = 0; round < 3; round++) {
                for (uint32_t i = 0; i < 20; i++) {
                    blocks[i] = lofti_heap_calloc(test.heap, 1, sizes[k]);
                    LOFT_CHECK_NOT_NULL(blocks[i]);
                    LOFT_CHECK_EQ_UINT(blocks[i][0], 0);
                    LOFT_CHECK_EQ_MEM(blocks[i], blocks[i] + 1, sizes[k] - 1);
                    memset(blocks[i], 0xee, sizes[k]);
                }
                for (uint32_t i = 0; i < 20; i++) {
                    lofti_heap_free(test.heap, blocks[i]);
                }
            }
        }
        loft_test_heap_end(&test);
    }
}

LOFT_TEST(heap_promise, less_than_a_chunk_is_used_to_the_last_page)
{
    for (uint64_t bytes = LOFTI_HEAP_BYTES_MIN; bytes < LOFTI_CHUNK_BYTES; bytes += 300 << 10) {
        loft_test_heap test;
        uint64_t pages = 0;
        loft_test_heap_make_fixed(&test, bytes);
        lofti_chunk_layout layout;
        lofti_heap_layout_chunk(bytes, LOFTI_UNIT_SHIFT_SMALL, 0, &layout);
        while (lofti_heap_malloc(test.heap, 4096) != NULL) {
            pages++;
        }
        LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
        LOFT_CHECK_EQ_UINT(pages, layout.page_count - layout.meta_pages);
        /* An eighth at most is not for blocks, in the smallest of them. */
        LOFT_CHECK_LE_UINT(layout.meta_pages, layout.page_count / 8);
        loft_test_heap_check(&test);
        loft_test_heap_end(&test);
    }
}
