/* Clean pages leave the page table when looking at them has become dear (arena/cold.c), and nothing else changes. */
#include <fcntl.h>
#include <unistd.h>

#include "arena/arena.h"
#include "arena/arena_world.h"
#include "arena/oracle.h"
#include "os/dirty.h"
#include "os/map.h"

enum { BLOCK_BYTES = 40 << 20, ENOUGH_COMMITS = 40 };

static const char *const trackers[] = {"wp_async", "private"};

/* Pages of the range that the page table has. */
static uint64_t mapped_pages(const void *start, uint64_t bytes)
{
    uint64_t words[512], pages = 0;
    const uint64_t page_bytes = lofti_map_page_bytes();
    const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    LOFT_CHECK_SYS(fd);
    const uint64_t first = (uint64_t)(uintptr_t)start / page_bytes;
    const uint64_t count = bytes / page_bytes;
    for (uint64_t done = 0; done < count;) {
        const ssize_t got =
            pread(fd, words, sizeof words, (off_t)((first + done) * sizeof words[0]));
        LOFT_CHECK_GT_INT(got, 0);
        const uint64_t some = (uint64_t)got / sizeof words[0];
        for (uint64_t i = 0; i < some && done + i < count; i++) {
            pages += words[i] >> 63;
        }
        done += some;
    }
    LOFT_CHECK_SYS(close(fd));
    return pages;
}

static uint64_t read_all(const unsigned char *block)
{
    uint64_t sum = 0;
    for (size_t at = 0; at < BLOCK_BYTES; at += 4096) {
        sum += ((const volatile unsigned char *)block)[at];
    }
    return sum;
}

/* An arena with one large block, committed, in the file, opened again; every look of its commits is dear. */
static loft_arena *filled_arena(const char *tracker, unsigned char **block)
{
    if (!lofti_dirty_self_test(lofti_dirty_ops_pagemap())) {
        LOFT_SKIP("/proc/self/pagemap does not show this process's pages");
    }
    oracle_force(tracker);
    loft_arena *arena = new_arena("arena");
    *block = loft_arena_malloc(arena, BLOCK_BYTES);
    LOFT_CHECK_NOT_NULL(*block);
    for (size_t at = 0; at < BLOCK_BYTES; at++) {
        (*block)[at] = (unsigned char)(at >> 12);
    }
    LOFT_CHECK_OK(loft_arena_set_root(arena, "block", *block));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    close_arena(arena);
    arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    *block = loft_arena_root(arena, "block");
    arena->cold.dear_ns = arena->cold.page_ns = 0;
    return arena;
}

static void change_and_commit(loft_arena *arena, unsigned char *block)
{
    block[12345]++;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(lofti_chunk_verify(arena));
}

/* As filled_arena made it, but for the byte that changed `times`. */
static void check_content(const unsigned char *block, unsigned times)
{
    for (size_t at = 0; at < BLOCK_BYTES; at++) {
        const unsigned want = (unsigned)(at >> 12) + (at == 12345 ? times : 0);
        if (block[at] != (unsigned char)want) {
            LOFT_FAIL("byte %zu is %u, not %u", at, block[at], want & 255u);
        }
    }
}

static void leave_the_table(const char *tracker)
{
    unsigned char *block = NULL;
    loft_arena *arena = filled_arena(tracker, &block);
    (void)read_all(block);
    const uint64_t before = mapped_pages(arena->base, lofti_space_end(arena));
    LOFT_CHECK_GE_UINT(before, BLOCK_BYTES / lofti_map_page_bytes());
    for (int i = 0; i < ENOUGH_COMMITS; i++) {
        change_and_commit(arena, block);
    }
    /* What remains are the chunk that is stored to, and those with the heap's directory. */
    LOFT_CHECK_GE_UINT(before / 3, mapped_pages(arena->base, lofti_space_end(arena)));
    check_content(block, ENOUGH_COMMITS);
    LOFT_CHECK_EQ_UINT(atomic_load(&arena->missed_pages), 0);
    close_arena(arena);
    arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    check_content(loft_arena_root(arena, "block"), ENOUGH_COMMITS);
    close_arena(arena);
}

LOFT_TEST(cold, clean_pages_leave_the_table_wp_async) { leave_the_table(trackers[0]); }
LOFT_TEST(cold, clean_pages_leave_the_table_private) { leave_the_table(trackers[1]); }

/* Stores into many chunks at once, some of which are then rolled back: whatever is private stays as it is. */
static void keep_what_is_private(const char *tracker)
{
    unsigned char *block = NULL;
    loft_arena *arena = filled_arena(tracker, &block);
    arena->cold.patience = 1;
    for (unsigned round = 0; round < ENOUGH_COMMITS; round++) {
        (void)read_all(block);
        const size_t off = (size_t)round * BLOCK_BYTES / ENOUGH_COMMITS;
        block[off]++;
        LOFT_CHECK_OK(loft_arena_commit(arena));
        block[off + 1]++;
        LOFT_CHECK_OK(loft_arena_rollback(arena));
        LOFT_CHECK_OK(lofti_chunk_verify(arena));
        block[off]--;
    }
    LOFT_CHECK_OK(loft_arena_commit(arena));
    check_content(block, 0);
    abandon_arena(arena);
    arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    check_content(loft_arena_root(arena, "block"), 0);
    close_arena(arena);
}

LOFT_TEST(cold, private_pages_stay_wp_async) { keep_what_is_private(trackers[0]); }
LOFT_TEST(cold, private_pages_stay_private) { keep_what_is_private(trackers[1]); }

LOFT_TEST(cold, a_program_that_reads_on_is_left_alone_more_and_more)
{
    unsigned char *block = NULL;
    loft_arena *arena = filled_arena("private", &block);
    const uint64_t first = arena->cold.patience;
    for (int i = 0; i < 5 * ENOUGH_COMMITS; i++) {
        (void)read_all(block);
        change_and_commit(arena, block);
    }
    LOFT_CHECK_GE_UINT(arena->cold.patience, 4 * first);
    /* Nothing is dear any more: in as many commits as the patience is long it falls back. */
    arena->cold.dear_ns = UINT64_MAX;
    for (uint64_t i = arena->cold.patience; i > 0; i--) {
        change_and_commit(arena, block);
    }
    LOFT_CHECK_EQ_UINT(arena->cold.patience, first);
    close_arena(arena);
}

/* A page that a device may write to at any time keeps the memory that it has. */
LOFT_TEST(cold, pinned_pages_stay)
{
    unsigned char *block = NULL;
    loft_arena *arena = filled_arena("private", &block);
    unsigned char *pinned = block + BLOCK_BYTES / 2;
    LOFT_CHECK_OK(loft_arena_pin(arena, pinned, 4096));
    (void)read_all(block);
    arena->cold.next_off = LOFTI_HEAP_OFF;
    arena->cold.look_ns = UINT64_MAX;
    lofti_cold_drop(arena);
    LOFT_CHECK_EQ_UINT(arena->cold.next_off, 0);
    LOFT_CHECK_EQ_UINT(mapped_pages(pinned, lofti_map_page_bytes()), 1);
    /* It was looked at, two chunks before it nobody's page is left. */
    LOFT_CHECK_EQ_UINT(mapped_pages(pinned - 2 * LOFTI_CHUNK_BYTES, lofti_map_page_bytes()), 0);
    LOFT_CHECK_OK(loft_arena_unpin(arena, pinned, 4096));
    close_arena(arena);
}

/* --- The mapping is refused ---------------------------------------------------------------------- */

/* `refused`: how many calls in a row. Returns: what the commit answers. */
static int commit_refused(loft_arena *arena, unsigned refused)
{
    refuse_file_mappings(refused);
    arena->cold.next_off = LOFTI_HEAP_OFF;
    arena->cold.look_ns = UINT64_MAX;
    const int code = loft_arena_commit(arena);
    allow_file_mappings();
    return code;
}

LOFT_TEST(cold, a_range_that_is_lost_once_is_mapped_again)
{
    unsigned char *block = NULL;
    loft_arena *arena = filled_arena("private", &block);
    LOFT_CHECK_OK(commit_refused(arena, 1));
    check_content(block, 0);
    change_and_commit(arena, block);
    close_arena(arena);
}

LOFT_TEST(cold, a_range_that_stays_lost_is_never_committed)
{
    unsigned char *block = NULL;
    loft_arena *arena = filled_arena("private", &block);
    block[12345]++;
    LOFT_CHECK_ERR(commit_refused(arena, 2), LOFT_EPOISONED);
    abandon_arena(arena);
    arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    check_content(loft_arena_root(arena, "block"), 0);
    close_arena(arena);
}
