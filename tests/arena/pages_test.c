/* Systems with pages of 16 and 64 KiB, played by tables: mapping primitives that take whole large pages only and round
 * advice up as such kernels do, and a tracker that reports whole large pages. The file's pages stay 4 KiB. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "arena/arena_world.h"
#include "loft/region.h"
#include "os/dirty.h"
#include "os/map.h"

static uint64_t large_bytes;
static lofti_map_ops large_ops;
static lofti_dirty_ops large_dirty;
static const lofti_dirty_ops *small_dirty;

static bool is_whole(const void *at, uint64_t bytes)
{
    return (((uint64_t)(uintptr_t)at | bytes) & (large_bytes - 1)) == 0;
}

static uint64_t round_up(uint64_t bytes) { return (bytes + large_bytes - 1) & ~(large_bytes - 1); }

/* As such a kernel: lengths are rounded up, addresses and offsets must be multiples, answers are. */
static int large_map(void *at, bool fixed, size_t bytes, unsigned flags, intptr_t handle,
                     uint64_t off, void **out)
{
    const lofti_map_ops *system = lofti_map_ops_system();
    LOFT_CHECK_TRUE(is_whole(at, bytes)); /* loft asks for whole pages, always */
    if (!is_whole(NULL, off))
        return -EINVAL;
    if (at != NULL)
        return system->map(at, fixed, bytes, flags, handle, off, out);
    void *room = NULL;
    int rc = system->map(NULL, false, bytes + large_bytes, LOFTI_MAP_RESERVE | LOFTI_MAP_NORESERVE,
                         -1, 0, &room);
    if (rc != 0)
        return rc;
    char *start = room;
    char *place = (char *)(uintptr_t)round_up(
        (uint64_t)(uintptr_t)room); /* NOLINT(performance-no-int-to-ptr) */
    if (place > start)
        (void)system->unmap(start, (size_t)(place - start));
    if (start + large_bytes > place)
        (void)system->unmap(place + bytes, (size_t)(start + large_bytes - place));
    rc = system->map(place, true, bytes, flags, handle, off, out);
    if (rc != 0)
        (void)system->unmap(place, bytes);
    return rc;
}

static int large_unmap(void *at, size_t bytes)
{
    LOFT_CHECK_TRUE(is_whole(at, bytes));
    return lofti_map_ops_system()->unmap(at, bytes);
}

static int large_remap(void *at, size_t old_bytes, size_t new_bytes, bool may_move, void *to,
                       void **out)
{
    LOFT_CHECK_TRUE(is_whole(at, old_bytes | new_bytes) && is_whole(to, 0));
    return lofti_map_ops_system()->remap(at, old_bytes, new_bytes, may_move, to, out);
}

static int large_protect(void *at, size_t bytes, unsigned flags)
{
    return is_whole(at, 0) ? lofti_map_ops_system()->protect(at, round_up(bytes), flags) : -EINVAL;
}

static int large_advise(void *at, size_t bytes, int advice)
{
    return is_whole(at, 0) ? lofti_map_ops_system()->advise(at, round_up(bytes), advice) : -EINVAL;
}

static int large_sync(void *at, size_t bytes, bool wait)
{
    return is_whole(at, 0) ? lofti_map_ops_system()->sync(at, round_up(bytes), wait) : -EINVAL;
}

/* Runs of small pages, widened to whole large ones. One run at a time: the next may touch it. */
static int large_scan(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                      uint32_t count, uint64_t *walked)
{
    LOFT_CHECK_TRUE(count >= 1 && is_whole((void *)(uintptr_t)start, end));
    lofti_map_page_pretend(0);
    const int found = small_dirty->scan(handle, start, end, runs, 1, walked);
    lofti_map_page_pretend(large_bytes);
    if (found < 0)
        return found;
    if (found == 0) {
        *walked = *walked == end ? end : *walked & ~(large_bytes - 1);
        return *walked > start ? 0 : -EIO;
    }
    runs[0].start &= ~(large_bytes - 1);
    runs[0].end = round_up(runs[0].end);
    *walked = runs[0].end;
    return 1;
}

static void large_begin(uint64_t bytes)
{
    LOFT_CHECK_SYS(setenv("LOFT_TRACKER", "private", 1));
    small_dirty = lofti_dirty_ops_current(); /* tested on the system's own pages */
    large_bytes = bytes;
    large_ops = *lofti_map_ops_system();
    large_ops.map = large_map;
    large_ops.unmap = large_unmap;
    large_ops.remap = large_remap;
    large_ops.protect = large_protect;
    large_ops.advise = large_advise;
    large_ops.sync = large_sync;
    lofti_map_page_pretend(bytes);
    lofti_map_ops_set(&large_ops);
    if (small_dirty != NULL) {
        large_dirty = *small_dirty;
        large_dirty.scan = large_scan;
        lofti_dirty_force(&large_dirty);
    }
}

static void large_end(void)
{
    lofti_map_ops_set(NULL);
    lofti_map_page_pretend(0);
    lofti_dirty_force(NULL);
}

static const uint64_t sizes[] = {16384, 65536};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* Commits, rollback, a checkpoint, growth, frees; then the file on the system's own pages. */
static void life(const char *path)
{
    loft_arena *arena = open_arena(path, LOFT_CREATE);
    uint64_t count = 0;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 40; i++) {
            count++;
            list_push(arena, count, count * 131 % 30000);
        }
        LOFT_CHECK_OK(loft_arena_commit(arena));
        for (uint64_t i = 1; i <= 10; i++)
            list_push(arena, count + i, 5000);
        void *large = loft_arena_malloc(arena, (size_t)6 << 20);
        LOFT_CHECK_NOT_NULL(large);
        memset(large, round, (size_t)6 << 20);
        LOFT_CHECK_OK(loft_arena_rollback(arena));
        LOFT_CHECK_EQ_UINT(list_check(arena), count);
        if (round % 2 == 1)
            LOFT_CHECK_OK(loft_arena_checkpoint(arena));
        check_arena(arena);
    }
    close_arena(arena);
    arena = open_arena(path, 0);
    LOFT_CHECK_EQ_UINT(list_check(arena), count);
    close_arena(arena);
}

LOFT_TEST(pages, an_arena_lives_on_large_pages_and_moves_to_small_ones)
{
    for (int i = 0; i < SIZES; i++) {
        const char *path = loft_test_tmp_path(i == 0 ? "16" : "64");
        if (large_bytes == 0 && loft_page_bytes() > 4096)
            LOFT_SKIP("pages are large here anyway");
        large_begin(sizes[i]);
        LOFT_CHECK_EQ_UINT(loft_page_bytes(), sizes[i]);
        life(path);
        large_end();
        loft_arena *arena = open_arena(path, LOFT_WRITE);
        LOFT_CHECK_EQ_UINT(list_check(arena), 200);
        list_push(arena, 201, 10);
        LOFT_CHECK_OK(loft_arena_commit(arena));
        close_arena(arena);
        large_begin(sizes[i]);
        arena = open_arena(path, LOFT_WRITE);
        LOFT_CHECK_EQ_UINT(list_check(arena), 201);
        close_arena(arena);
        large_end();
    }
}

enum { BLOCK_BYTES = 1 << 20 };

/* The heap counts in pages of 4 KiB; the system rounds what it is told to drop up to its own. */
LOFT_TEST(pages, memory_given_back_takes_no_live_neighbour_along)
{
    for (int i = 0; i < SIZES; i++) {
        large_begin(sizes[i]);
        loft_arena *arena = NULL;
        LOFT_CHECK_OK(loft_arena_open(NULL, 0, NULL, &arena));
        const lofti_heap_host host = lofti_space_host(arena);
        unsigned char *block = loft_arena_malloc(arena, BLOCK_BYTES);
        memset(block, 1, BLOCK_BYTES);
        unsigned char *whole = block + (-(uintptr_t)block & (sizes[i] - 1)) + 2 * sizes[i];
        const uint64_t off = (uint64_t)(whole - (arena->base + LOFTI_HEAP_OFF));
        LOFT_CHECK_TRUE(host.unused(host.context, off, 4096));
        LOFT_CHECK_TRUE(host.unused(host.context, off - 4096, 8192));
        for (int at = 0; at < BLOCK_BYTES; at++)
            LOFT_CHECK_EQ_INT(block[at], 1); /* less than a page of the system's: all stays */
        LOFT_CHECK_TRUE(host.unused(host.context, off - 4096, sizes[i] + 8192));
        for (int at = 0; at < BLOCK_BYTES; at++)
            LOFT_CHECK_EQ_INT(block[at], block + at < whole || block + at >= whole + sizes[i]);
        close_arena(arena);
        large_end();
    }
}

LOFT_TEST(pages, regions_are_made_of_large_pages)
{
    const char *path = loft_test_tmp_path("data");
    for (int i = 0; i < SIZES; i++) {
        large_begin(sizes[i]);
        char *memory = loft_malloc(100);
        LOFT_CHECK_NOT_NULL(memory);
        LOFT_CHECK_EQ_UINT((uintptr_t)memory % sizes[i], 0);
        memory[99] = 1;
        memory = loft_resize(memory, 5 * sizes[i] + 1, 0);
        LOFT_CHECK_NOT_NULL(memory);
        LOFT_CHECK_EQ_INT(memory[99], 1);
        LOFT_CHECK_OK(loft_free(memory));
        char *file = loft_create(path, 300000, LOFT_TRUNCATE);
        LOFT_CHECK_NOT_NULL(file);
        for (int k = 0; k < 300000; k++)
            file[k] = (char)(k % 127);
        LOFT_CHECK_OK(loft_sync(file, 5000, 100, 0));
        LOFT_CHECK_OK(loft_close(file));
        static const uint64_t offsets[] = {0, 1, 4096, 16384, 65535, 65536, 200001};
        for (size_t k = 0; k < sizeof offsets / sizeof offsets[0]; k++) {
            size_t bytes = 0;
            const char *part = loft_open(path, 0, offsets[k], 0, &bytes);
            LOFT_CHECK_NOT_NULL(part);
            LOFT_CHECK_EQ_UINT(bytes, 300000 - offsets[k]);
            LOFT_CHECK_EQ_INT(part[0], (int)(offsets[k] % 127));
            LOFT_CHECK_EQ_INT(part[bytes - 1], 299999 % 127);
            LOFT_CHECK_OK(loft_close((void *)(uintptr_t)part));
        }
        large_end();
    }
}
