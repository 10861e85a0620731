/*
 * heap/damage.c - the world of heap/damage.h.
 */
#include "heap/damage.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>

#include "heap/class.h"
#include "heap/span.h"
#include "heap/thread.h"

static void *world_keep(loft_test_damage *world, void *block)
{
    LOFT_CHECK_NOT_NULL(block);
    LOFT_CHECK_LT_UINT(world->block_count, LOFT_TEST_DAMAGE_BLOCKS);
    world->blocks[world->block_count++] = block;
    return block;
}

/* `count` blocks of which every third is freed again; the first one, which stays. */
static uint8_t *world_fill(loft_test_damage *world, uint32_t count, size_t bytes)
{
    uint8_t *first = NULL;
    for (uint32_t i = 0; i < count; i++) {
        void *block = world_keep(world, lofti_heap_malloc(world->test.heap, bytes));
        first = i == 0 ? block : first;
        if (i % 3 == 2) {
            lofti_heap_free(world->test.heap, world->blocks[--world->block_count]);
        }
    }
    return first;
}

/* A thread frees blocks of slabs that stay the main thread's: bits in remote bitmaps. */
static void *world_free_remotely(void *context)
{
    loft_test_damage *world = context;
    for (uint32_t i = 0; i < 40; i++) {
        lofti_heap_free(world->test.heap, world->blocks[--world->block_count]);
    }
    return NULL;
}

static void world_remote(loft_test_damage *world, uint32_t count, size_t bytes)
{
    pthread_t thread;
    (void)world_fill(world, count, bytes);
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, world_free_remotely, world), 0);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
}

static uint8_t *world_pool(loft_test_damage *world)
{
    bool zero = false;
    int code = 0;
    void *pool = lofti_span_alloc(world->test.heap, NULL, 5, LOFTI_PAGE_BYTES, LOFTI_SPAN_POOL,
                                  &zero, &code);
    LOFT_CHECK_OK(code);
    return pool;
}

static void world_fill_small(loft_test_damage *world)
{
    lofti_heap *heap = world->test.heap;
    world->tiny = world_fill(world, 300, 16);
    world->line = world_fill(world, 100, 64);
    world->odd = world_fill(world, 60, 272);
    (void)world_fill(world, 20, 1500);
    world->span = world_keep(world, lofti_heap_malloc(heap, 3 * 4096));
    (void)world_fill(world, 5, 20000);
    world_remote(world, 150, 96);
    world->pool = world_pool(world);
    LOFT_CHECK_NOT_NULL(lofti_heap_internal_alloc(heap, 5000));
}

static void world_fill_large(loft_test_damage *world)
{
    lofti_heap *heap = world->test.heap;
    world->test.gap_every = 2;
    world->tiny = world_fill(world, 6000, 16);
    (void)world_fill(world, 1600, 48);
    world->line = world_fill(world, 1500, 64);
    world->odd = world_fill(world, 300, 272);
    (void)world_fill(world, 40, 5000);
    world->long_one = world_fill(world, 10, 65536);
    world->span = world_keep(world, lofti_heap_malloc(heap, 20 * 4096));
    (void)world_fill(world, 8, 80000);
    world->huge = world_keep(world, lofti_heap_malloc(heap, 9 << 20));
    (void)world_fill(world, 8, 1 << 20);
    void *dropped = lofti_heap_malloc(heap, 6 << 20);
    world->pool = world_pool(world);
    LOFT_CHECK_NOT_NULL(lofti_heap_internal_alloc(heap, 5000));
    (void)world_keep(world, lofti_heap_malloc(heap, 5 << 20));
    lofti_heap_free(heap, dropped);
    (void)world_fill(world, 60, 65536);
    (void)world_fill(world, 2000, 1000);
    world_remote(world, 1500, 96);
}

static bool dir_bit(uint64_t word, uint32_t idx) { return (word >> (idx % 64)) & 1; }

static void world_find_chunks(loft_test_damage *world)
{
    world->head = world->big = world->body = world->unused = world->gap = UINT32_MAX;
    for (uint32_t idx = 1; idx < world->image->chunk_end; idx++) {
        const bool claimed = dir_bit(world->dir[idx / 64].claimed, idx);
        if (!claimed) {
            world->gap = idx;
        } else if (dir_bit(world->dir[idx / 64].heads, idx)) {
            for (uint32_t unit = 0; unit < 64; unit++) {
                world->head = loft_test_damage_classes(world, idx)[unit] != 0 ? idx : world->head;
            }
        }
    }
    world->big = loft_test_damage_chunk_of(world, world->huge);
    world->body = world->big + 1;
    LOFT_CHECK_TRUE(world->head != UINT32_MAX && world->gap != UINT32_MAX);
}

void loft_test_damage_make(loft_test_damage *out, bool small)
{
    *out = (loft_test_damage){.block_count = 0};
    loft_test_heap_untold();
    if (small) {
        loft_test_heap_make_fixed(&out->test, 1 << 20);
        world_fill_small(out);
    } else {
        loft_test_heap_make(&out->test, (uint64_t)1 << 30);
        world_fill_large(out);
    }
    out->image = (lofti_heap_image *)(void *)out->test.base;
    out->dir = (lofti_heap_dir *)(void *)(out->test.base + LOFTI_HEAP_IMAGE_BYTES);
    out->unit_shift = out->image->unit_shift;
    loft_test_heap_check(&out->test);
    if (!small) {
        world_find_chunks(out);
        /* One more chunk, never touched, and behind it memory of nobody. */
        const uint64_t off = out->test.usable_bytes;
        out->test.usable_bytes = off + 2 * LOFTI_CHUNK_BYTES;
        LOFT_CHECK_SYS(
            mprotect(out->test.base + off, 2 * LOFTI_CHUNK_BYTES, PROT_READ | PROT_WRITE));
        out->unused = (uint32_t)(off / LOFTI_CHUNK_BYTES);
        out->image->chunk_end = out->unused + 1;
        out->dir[out->unused / 64].claimed |= (uint64_t)1 << (out->unused % 64);
    }
    lofti_heap_detach(out->test.heap);
    out->test.heap = NULL;
}

void loft_test_damage_layout(const loft_test_damage *world, uint32_t idx, lofti_chunk_layout *out)
{
    lofti_heap_layout_chunk(world->test.reserve_bytes, world->unit_shift, idx, out);
}

static uint8_t *chunk_part(const loft_test_damage *world, uint32_t idx, uint32_t off)
{
    return world->test.base + ((uint64_t)idx << LOFTI_CHUNK_SHIFT) + off;
}

lofti_chunk_image *loft_test_damage_header(const loft_test_damage *world, uint32_t idx)
{
    lofti_chunk_layout layout;
    loft_test_damage_layout(world, idx, &layout);
    return (lofti_chunk_image *)(void *)chunk_part(world, idx, layout.header_off);
}

uint16_t *loft_test_damage_spans(const loft_test_damage *world, uint32_t idx)
{
    lofti_chunk_layout layout;
    loft_test_damage_layout(world, idx, &layout);
    return (uint16_t *)(void *)chunk_part(world, idx, layout.spans_off);
}

uint8_t *loft_test_damage_classes(const loft_test_damage *world, uint32_t idx)
{
    lofti_chunk_layout layout;
    loft_test_damage_layout(world, idx, &layout);
    return chunk_part(world, idx, layout.classes_off);
}

static uint64_t world_off(const loft_test_damage *world, const void *block)
{
    return (uint64_t)((const uint8_t *)block - world->test.base);
}

uint32_t loft_test_damage_chunk_of(const loft_test_damage *world, const void *block)
{
    return (uint32_t)(world_off(world, block) >> LOFTI_CHUNK_SHIFT);
}

static uint64_t world_inside(const loft_test_damage *world, const void *block)
{
    return world_off(world, block) & (LOFTI_CHUNK_BYTES - 1);
}

uint16_t *loft_test_damage_span_of(const loft_test_damage *world, const void *block)
{
    const uint32_t idx = loft_test_damage_chunk_of(world, block);
    return &loft_test_damage_spans(world, idx)[world_inside(world, block) >> LOFTI_PAGE_SHIFT];
}

uint8_t *loft_test_damage_class_of(const loft_test_damage *world, const void *block)
{
    const uint32_t idx = loft_test_damage_chunk_of(world, block);
    return &loft_test_damage_classes(world, idx)[world_inside(world, block) >> world->unit_shift];
}

uint64_t *loft_test_damage_local_of(const loft_test_damage *world, const void *block)
{
    const uint32_t idx = loft_test_damage_chunk_of(world, block);
    const uint32_t unit = (uint32_t)(world_inside(world, block) >> world->unit_shift);
    const lofti_class *classes = lofti_class_table(world->unit_shift);
    lofti_chunk_layout layout;
    loft_test_damage_layout(world, idx, &layout);
    const bool wide = classes[*loft_test_damage_class_of(world, block)].wide;
    const uint32_t wide_unit = wide ? loft_test_damage_header(world, idx)->wide_unit : 0;
    return (uint64_t *)(void *)chunk_part(
        world, idx, lofti_record_local_off(&layout, world->unit_shift, wide_unit, unit));
}

uint64_t *loft_test_damage_remote_of(const loft_test_damage *world, const void *block)
{
    const lofti_class *classes = lofti_class_table(world->unit_shift);
    const bool wide = classes[*loft_test_damage_class_of(world, block)].wide;
    return loft_test_damage_local_of(world, block) +
           lofti_record_remote_delta(world->unit_shift, wide) / sizeof(uint64_t);
}

uint32_t loft_test_damage_free_page(const loft_test_damage *world, uint32_t idx)
{
    lofti_chunk_layout layout;
    loft_test_damage_layout(world, idx, &layout);
    const lofti_chunk_image *header = loft_test_damage_header(world, idx);
    for (uint32_t page = layout.page_count; page-- > layout.meta_pages;) {
        if (!dir_bit(header->touched[page / 64], page)) {
            return page;
        }
    }
    LOFT_FAIL("chunk %u has no untouched page", idx);
}

static int verdict_add(void *context, const loft_fault *fault)
{
    loft_test_verdict *out = context;
    const size_t at = strlen(out->text);
    (void)snprintf(out->text + at, sizeof out->text - at, "%s\n", fault->text);
    return 0;
}

void loft_test_damage_judge(loft_test_damage *world, loft_test_verdict *out)
{
    *out = (loft_test_verdict){.faults = 0};
    out->attach_code = loft_test_heap_attach(&world->test, true);
    if (out->attach_code != 0) {
        (void)snprintf(out->text, sizeof out->text, "%s\n", loft_last_error());
        return;
    }
    const int code = lofti_heap_check(world->test.heap, verdict_add, out, &out->faults);
    LOFT_CHECK_EQ_INT(code, out->faults == 0 ? LOFT_OK : LOFT_ECORRUPT);
    lofti_heap_detach(world->test.heap);
}

static void use_ignore(void *context, const loft_misuse *misuse)
{
    (void)context;
    LOFT_CHECK_NOT_NULL(misuse->text);
}

/* What asks and changes nothing. */
static void use_read(loft_test_damage *world)
{
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    loft_block cursor = {.struct_bytes = sizeof cursor};
    LOFT_CHECK_OK(lofti_heap_stats(world->test.heap, &stats));
    (void)loft_test_heap_live(&world->test);
    (void)loft_test_heap_faults(&world->test, false);
    const uint8_t *last = NULL;
    while (lofti_heap_next_block(world->test.heap, &cursor) == 0) {
        LOFT_CHECK_TRUE((const uint8_t *)cursor.address > last);
        last = cursor.address;
    }
    for (uint32_t i = 0; i < world->block_count; i += 7) {
        (void)lofti_heap_usable_size(world->test.heap, world->blocks[i]);
        (void)lofti_heap_usable_size(world->test.heap, (uint8_t *)world->blocks[i] + 16);
    }
    (void)lofti_heap_end_off(world->test.heap);
}

static const size_t use_sizes[] = {1,    16,   48,    64,    96,    272,     1000,    1500,
                                   5000, 9000, 20000, 65536, 80000, 1 << 20, 5 << 20, 9 << 20};
enum { USE_SIZES = sizeof use_sizes / sizeof use_sizes[0], USE_ROUNDS = 40 };

/* Memory that was handed out is there. */
static void *use_touch(void *block, size_t bytes)
{
    if (block != NULL) {
        *(uint8_t *)block = 1;
        ((uint8_t *)block)[bytes - 1] = 1;
    }
    return block;
}

static void use_write(loft_test_damage *world)
{
    static void *fresh[USE_ROUNDS][USE_SIZES];
    lofti_heap *heap = world->test.heap;
    for (uint32_t round = 0; round < USE_ROUNDS; round++) {
        for (uint32_t i = 0; i < USE_SIZES; i++) {
            const bool some = use_sizes[i] < 1 << 20 || round < 2;
            fresh[round][i] = !some            ? NULL
                              : round % 8 == 7 ? lofti_heap_aligned_alloc(heap, 4096, use_sizes[i])
                                               : lofti_heap_malloc(heap, use_sizes[i]);
            (void)use_touch(fresh[round][i], use_sizes[i]);
        }
    }
    for (uint32_t i = 0; i < world->block_count; i++) {
        if (i % 17 == 0) {
            void *moved = lofti_heap_realloc(heap, world->blocks[i], use_sizes[i % USE_SIZES]);
            world->blocks[i] =
                moved != NULL ? use_touch(moved, use_sizes[i % USE_SIZES]) : world->blocks[i];
        }
        if (i % 2 == 0) {
            lofti_heap_free(heap, world->blocks[i]);
        }
    }
    lofti_heap_internal_free(heap, lofti_heap_internal_alloc(heap, 9000));
    for (uint32_t round = 0; round < USE_ROUNDS; round++) {
        for (uint32_t i = 0; i < USE_SIZES; i++) {
            lofti_heap_free(heap, fresh[round][i]);
        }
    }
    lofti_heap_set_anchor(heap, lofti_heap_anchor(heap));
}

uint64_t loft_test_damage_use(loft_test_damage *world)
{
    loft_set_misuse_handler(use_ignore, NULL);
    if (loft_test_heap_attach(&world->test, true) != 0) {
        return 0;
    }
    use_read(world);
    lofti_heap_detach(world->test.heap);
    LOFT_CHECK_OK(loft_test_heap_attach(&world->test, false));
    use_read(world);
    use_write(world);
    use_read(world);
    const uint64_t faults = loft_test_heap_faults(&world->test, false);
    lofti_heap_detach(world->test.heap);
    LOFT_CHECK_OK(loft_test_heap_attach(&world->test, false));
    use_write(world);
    lofti_heap_detach(world->test.heap);
    return faults;
}
