/*
 * heap/host.c - a heap on a plain range of memory.
 */
#include "heap/host.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/status.h"
#include "format/chunk.h"
#include "heap/annotate.h"
#include "support/test.h"

static int host_grow(void *context, uint32_t count, uint32_t *first_idx)
{
    loft_test_heap *test = context;
    uint64_t off = (test->usable_bytes + LOFTI_CHUNK_BYTES - 1) & ~(LOFTI_CHUNK_BYTES - 1);
    const uint64_t bytes = (uint64_t)count * LOFTI_CHUNK_BYTES;
    test->grow_calls++;
    if (test->gap_every != 0 && test->grow_calls % test->gap_every == 0 &&
        off < test->reserve_bytes) {
        const uint64_t gap = off / LOFTI_CHUNK_BYTES;
        LOFT_CHECK_LT_UINT(gap, LOFT_TEST_HEAP_GAP_WORDS * 64);
        test->gaps[gap / 64] |= (uint64_t)1 << (gap % 64);
        off += LOFTI_CHUNK_BYTES;
    }
    if (test->grow_left == 0 || off > test->reserve_bytes || bytes > test->reserve_bytes - off ||
        mprotect(test->base + off, bytes, PROT_READ | PROT_WRITE) != 0) {
        return lofti_status_fail(LOFT_ENOMEM, "grow", "test heap", "no more");
    }
    test->grow_left -= test->grow_left != UINT32_MAX;
    test->usable_bytes = off + bytes;
    *first_idx = (uint32_t)(off / LOFTI_CHUNK_BYTES);
    return 0;
}

static void *host_table_alloc(void *context, size_t bytes)
{
    loft_test_heap *test = context;
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (table == MAP_FAILED) {
        (void)lofti_status_fail(LOFT_ENOMEM, "allocate", "test table", "refused");
        return NULL;
    }
    (void)__atomic_fetch_add(&test->table_bytes, bytes, __ATOMIC_RELAXED);
    return table;
}

static void host_table_free(void *context, void *table, size_t bytes)
{
    loft_test_heap *test = context;
    (void)__atomic_fetch_sub(&test->table_bytes, bytes, __ATOMIC_RELAXED);
    LOFT_CHECK_SYS(munmap(table, bytes));
}

static bool host_unused(void *context, uint64_t off, uint64_t bytes)
{
    loft_test_heap *test = context;
    test->unused_bytes += bytes;
    return test->drops && madvise(test->base + off, bytes, MADV_DONTNEED) == 0;
}

static uint64_t host_now_ns(void *context)
{
    const loft_test_heap *test = context;
    return test->now_ns;
}

static bool host_has(void *context, uint32_t idx)
{
    const loft_test_heap *test = context;
    const bool gap =
        idx / 64 < LOFT_TEST_HEAP_GAP_WORDS && (test->gaps[idx / 64] >> (idx % 64)) & 1;
    return !gap && (uint64_t)idx * LOFTI_CHUNK_BYTES < test->usable_bytes;
}

static lofti_heap_host host_of(loft_test_heap *test)
{
    return (lofti_heap_host){.context = test,
                             .grow = test->fixed ? NULL : host_grow,
                             .table_alloc = host_table_alloc,
                             .table_free = host_table_free,
                             .unused = host_unused,
                             .now_ns = test->ticks ? host_now_ns : NULL,
                             .has = host_has};
}

static void host_make(loft_test_heap *out, uint64_t bytes, uint64_t reserve_bytes)
{
    out->reserve_bytes = reserve_bytes;
    out->usable_bytes = bytes;
    out->grow_left = UINT32_MAX;
    /* Chunk-aligned, as an arena is. */
    const uint64_t room = reserve_bytes + LOFTI_CHUNK_BYTES;
    uint8_t *at = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    LOFT_CHECK_TRUE(at != MAP_FAILED);
    const uint64_t skip = -(uint64_t)(uintptr_t)at & (LOFTI_CHUNK_BYTES - 1);
    out->base = at + skip;
    if (skip != 0) {
        LOFT_CHECK_SYS(munmap(at, skip));
    }
    if (skip != LOFTI_CHUNK_BYTES) {
        LOFT_CHECK_SYS(munmap(out->base + reserve_bytes, LOFTI_CHUNK_BYTES - skip));
    }
    LOFT_CHECK_SYS(mprotect(out->base, bytes, PROT_READ | PROT_WRITE));
    LOFT_CHECK_OK(lofti_heap_layout(out->base, bytes, reserve_bytes));
    const lofti_heap_host host = host_of(out);
    LOFT_CHECK_OK(lofti_heap_attach(out->base, bytes, false, &host, &out->heap));
}

void loft_test_heap_untold(void)
{
#if LOFTI_ANNOTATE
    lofti_annotate_off = true;
#endif
}

void loft_test_heap_make(loft_test_heap *out, uint64_t reserve_bytes)
{
    *out = (loft_test_heap){0};
    host_make(out, LOFTI_CHUNK_BYTES, reserve_bytes);
}

void loft_test_heap_make_fixed(loft_test_heap *out, uint64_t bytes)
{
    *out = (loft_test_heap){.fixed = true};
    host_make(out, bytes, bytes);
}

int loft_test_heap_attach(loft_test_heap *test, bool read_only)
{
    const lofti_heap_host host = host_of(test);
    return lofti_heap_attach(test->base, test->usable_bytes, read_only, &host, &test->heap);
}

void loft_test_heap_reopen(loft_test_heap *test, bool read_only)
{
    lofti_heap_detach(test->heap);
    LOFT_CHECK_EQ_UINT(test->table_bytes, 0);
    LOFT_CHECK_OK(loft_test_heap_attach(test, read_only));
}

static int host_print(void *context, const loft_fault *fault)
{
    if (*(bool *)context) {
        (void)fprintf(stderr, "fault at 0x%llx: %s\n", (unsigned long long)fault->offset,
                      fault->text);
    }
    return 0;
}

uint64_t loft_test_heap_faults(loft_test_heap *test, bool loud)
{
    uint64_t faults = 0;
    const int code = lofti_heap_check(test->heap, host_print, &loud, &faults);
    LOFT_CHECK_EQ_INT(code, faults == 0 ? LOFT_OK : LOFT_ECORRUPT);
    return faults;
}

void loft_test_heap_check(loft_test_heap *test)
{
    LOFT_CHECK_EQ_UINT(loft_test_heap_faults(test, true), 0);
}

static int host_count(void *context, const loft_block *block)
{
    (void)block;
    ++*(uint64_t *)context;
    return 0;
}

uint64_t loft_test_heap_live(loft_test_heap *test)
{
    uint64_t count = 0;
    LOFT_CHECK_EQ_INT(lofti_heap_walk(test->heap, host_count, &count), 0);
    return count;
}

void loft_test_heap_end(loft_test_heap *test)
{
    lofti_heap_detach(test->heap);
    LOFT_CHECK_EQ_UINT(test->table_bytes, 0);
    LOFT_CHECK_SYS(munmap(test->base, test->reserve_bytes));
}

loft_arena *loft_test_heap_arena(uint64_t reserve_bytes)
{
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    loft_arena *arena = NULL;
    options.reserve_bytes = reserve_bytes;
    LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, &options, &arena));
    return arena;
}

/* Where a system tells nothing of address space that is only held (ENOMEM), the part is looked at by halves, down to what
 * is given rights in one piece everywhere: what cannot be asked for has no pages. */
static uint64_t pages_in_part(const uint8_t *from, uint64_t bytes)
{
    static unsigned char there[1 << 18];
    enum { PIECE_BYTES = 64 << 10 };
    if (mincore((void *)(uintptr_t)from, bytes, there) != 0) {
        if (errno != ENOMEM) {
            LOFT_FAIL("mincore failed: %s", strerror(errno));
        }
        const uint64_t half = bytes / 2 / PIECE_BYTES * PIECE_BYTES;
        return half == 0 ? 0 : pages_in_part(from, half) + pages_in_part(from + half, bytes - half);
    }
    uint64_t pages = 0;
    for (uint64_t i = 0; i < bytes / 4096; i++) {
        pages += there[i] & 1;
    }
    return pages;
}

uint64_t loft_test_heap_pages_in(const void *at, uint64_t bytes)
{
    const uint64_t most = (uint64_t)1 << 30;
    uint64_t pages = 0;
    for (uint64_t off = 0; off < bytes; off += most) {
        pages += pages_in_part((const uint8_t *)at + off, bytes - off < most ? bytes - off : most);
    }
    return pages;
}
