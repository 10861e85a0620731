/*
 * arena/track.c - which pages changed since the last commit: the `private` tracker.
 *
 * A page that the program stored to is private to this process, and the kernel tells which are. Of a
 * private page it remains to know whether it changed again since it was committed: its content's hash as
 * of the last commit is kept. A page without a hash counts as changed, and the store compares it with
 * its committed image.
 *
 * The hash has a random seed that never leaves the process, so two contents with one hash cannot be made on
 * purpose; by chance it is one in 2^64 for each page and commit.
 */
#include "arena/arena.h"
#include "base/hash.h"
#include "base/status.h"
#include "os/dirty.h"

typedef struct track_scan {
    loft_arena *arena;
    lofti_track_fn *fn;
    void *context;
} track_scan;

static uint64_t track_hash(const loft_arena *arena, uint64_t page_idx, const uint8_t *page)
{
    return lofti_hash(page, LOFTI_PAGE_BYTES, arena->known_seed ^ page_idx);
}

static bool track_known(const loft_arena *arena, uint64_t page_idx, const uint8_t *page)
{
    const lofti_index_entry *entry = lofti_index_find(&arena->known, page_idx);
    return entry != NULL && entry->hash == track_hash(arena, page_idx, page);
}

static int scan_private_run(void *context, void *start, size_t bytes)
{
    const track_scan *scan = context;
    uint8_t *page = start;
    uint64_t page_idx = (uint64_t)(page - scan->arena->base) / LOFTI_PAGE_BYTES;
    for (const uint8_t *end = page + bytes; page < end; page += LOFTI_PAGE_BYTES, page_idx++) {
        if (!track_known(scan->arena, page_idx, page)) {
            const int code = scan->fn(scan->context, page_idx, page);
            if (code != 0) {
                return code;
            }
        }
    }
    return LOFT_OK;
}

static int scan_chunk_run(void *context, uint64_t off, uint64_t bytes, int state)
{
    track_scan *scan = context;
    (void)state;
    return lofti_dirty_private(scan->arena->base + off, bytes, scan_private_run, scan);
}

int lofti_track_changed(loft_arena *arena, lofti_track_fn *fn, void *context)
{
    track_scan scan = {arena, fn, context};
    return lofti_space_each_run(arena, scan_chunk_run, &scan);
}

static int stop_at_first(void *context, uint64_t page_idx, uint8_t *page)
{
    (void)context;
    (void)page_idx;
    (void)page;
    return 1;
}

bool lofti_track_any(loft_arena *arena, uint64_t off, uint64_t bytes)
{
    track_scan scan = {arena, stop_at_first, NULL};
    return lofti_dirty_private(arena->base + off, bytes, scan_private_run, &scan) != 0;
}

static int stop_at_run(void *context, void *start, size_t bytes)
{
    (void)context;
    (void)start;
    (void)bytes;
    return 1;
}

bool lofti_track_private(loft_arena *arena, uint64_t off, uint64_t bytes)
{
    return lofti_dirty_private(arena->base + off, bytes, stop_at_run, NULL) != 0;
}

int lofti_track_note(loft_arena *arena, uint64_t page_idx, const uint8_t *page)
{
    const int code = lofti_index_reserve(&arena->known, 1);
    if (code != LOFT_OK) {
        return lofti_status_fail(code, "commit", arena->path, "no memory for the page hashes");
    }
    const lofti_index_entry entry = {
        .page_idx = page_idx, .hash = track_hash(arena, page_idx, page), .kind = 0};
    lofti_index_put(&arena->known, &entry);
    return LOFT_OK;
}

void lofti_track_forget_all(loft_arena *arena) { lofti_index_clear(&arena->known); }
