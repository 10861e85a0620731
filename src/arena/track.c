/*
 * arena/track.c - which pages changed since the last commit: two trackers.
 *
 * Both begin with this: a page that the program stored to is private to this process, and the kernel tells
 * which are (os/dirty.h). Of a private page it remains to know whether it changed again.
 *
 * wp_async: the kernel notes stores to watched chunks (os/watch.h). A chunk is watched from its birth, or
 *   from the first commit that finds a private page in it; reads of clean file pages elsewhere stay cheap. What
 *   a commit took is lost if that commit fails, so until it is settled the next one looks at all.
 *
 *     FILE --first private page seen by a commit--> FILE WATCHED --checkpoint, unchanged--> FILE
 *     ANON WATCHED (from birth)                                  --checkpoint, unchanged--> FILE
 *     either, if the kernel refuses to watch: stays as it is, and all its private pages are reported
 *
 * private: works everywhere. A hash of each page's content as of the last commit is kept; a page
 *   without one counts as changed. The hash has a random seed that never leaves the process, so two contents with one
 *   hash cannot be made on purpose; by chance it is one in 2^64 for each page and commit.
 *
 * Either may report a page that did not change: the store compares it with its committed image.
 */
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/status.h"
#include "heap/annotate.h"
#include "os/dirty.h"
#include "os/sys.h"

/* What a rollback stored counts as changed. The next commit compares a few such pages (2 us each); for more of them all
 * that is watched is protected anew (2 ns for each page of the heap). */
#define TRACK_FORGET_PAGES 100u

typedef struct track_scan {
    loft_arena *arena;
    lofti_track_fn *fn;
    void *context;
    bool known;         /* pages with the hash of the last commit are passed over */
    uint64_t chunk;     /* the last one that watch_private looked at; 0: none yet */
    bool chunk_watched; /* what came of it */
    uint64_t pages;     /* that were reported or passed over */
} track_scan;

int lofti_track_start(loft_arena *arena)
{
    const char *forced = getenv("LOFT_TRACKER");
    arena->watch.handle = -1;
    arena->track_lost = true; /* pages that became private before the first commit */
    arena->tracker = LOFT_TRACKER_PRIVATE;
    lofti_cold_start(arena);
    if (forced != NULL && strcmp(forced, "private") == 0) {
        return LOFT_OK;
    }
    if (forced != NULL && forced[0] != '\0' && strcmp(forced, "wp_async") != 0) {
        return lofti_status_fail(LOFT_EINVAL, "open", arena->path,
                                 "LOFT_TRACKER is '%s', not wp_async or private", forced);
    }
    if (lofti_watch_works() && lofti_watch_open(&arena->watch) == 0) {
        arena->tracker = LOFT_TRACKER_WP_ASYNC;
    } else if (forced != NULL && forced[0] != '\0') {
        return lofti_status_fail(LOFT_ENOTSUP, "open", arena->path,
                                 "LOFT_TRACKER is wp_async, which this kernel does not offer");
    }
    return LOFT_OK;
}

void lofti_track_stop(loft_arena *arena)
{
    if (arena->tracker == LOFT_TRACKER_WP_ASYNC) {
        lofti_watch_close(&arena->watch);
    }
    arena->tracker = 0;
    lofti_index_release(&arena->known);
}

static uint64_t track_hash(const loft_arena *arena, uint64_t page_idx, const uint8_t *page)
{
    lofti_annotate_scratch scratch;
    return lofti_hash(lofti_annotate_read(&scratch, page), LOFTI_PAGE_BYTES,
                      arena->known_seed ^ page_idx);
}

static bool track_known(const loft_arena *arena, uint64_t page_idx, const uint8_t *page)
{
    const lofti_index_entry *entry = lofti_index_find(&arena->known, page_idx);
    return entry != NULL && entry->hash == track_hash(arena, page_idx, page);
}

/* A run of pages, to fn: as it is, or those of it that the hashes do not know. */
static int scan_pages(void *context, void *start, size_t bytes)
{
    track_scan *scan = context;
    uint8_t *page = start;
    uint64_t page_idx = (uint64_t)(page - scan->arena->base) / LOFTI_PAGE_BYTES;
    uint64_t left = bytes / LOFTI_PAGE_BYTES;
    scan->pages += left;
    while (left > 0) {
        uint64_t count = scan->known ? 0 : left;
        while (count < left && scan->known &&
               !track_known(scan->arena, page_idx + count, page + count * LOFTI_PAGE_BYTES)) {
            count++;
        }
        const int code = count > 0 ? scan->fn(scan->context, page_idx, page, count) : LOFT_OK;
        if (code != LOFT_OK) {
            return code;
        }
        count += count < left; /* the one that is known */
        page += count * LOFTI_PAGE_BYTES;
        page_idx += count;
        left -= count;
    }
    return LOFT_OK;
}

static int scan_private(void *context, uint64_t off, uint64_t bytes, int state)
{
    track_scan *scan = context;
    (void)state;
    return lofti_dirty_private(scan->arena->base + off, bytes, scan_pages, scan);
}

/* --- wp_async ---------------------------------------------------------------------------------- */

static bool chunk_watch(loft_arena *arena, uint64_t chunk)
{
    const uint64_t off = chunk * LOFTI_CHUNK_BYTES;
    if ((arena->chunk_states[chunk] & LOFTI_CHUNK_WATCHED) == 0 &&
        lofti_watch_add(&arena->watch, arena->base + off, LOFTI_CHUNK_BYTES) == 0) {
        lofti_chunk_move(arena, off, LOFTI_CHUNK_BYTES, LOFTI_CHUNK_ARMED);
    }
    return (arena->chunk_states[chunk] & LOFTI_CHUNK_WATCHED) != 0;
}

void lofti_track_fresh(loft_arena *arena, uint64_t off, uint64_t bytes)
{
    if (arena->tracker == LOFT_TRACKER_WP_ASYNC) {
        for (uint64_t at = off; at < off + bytes; at += LOFTI_CHUNK_BYTES) {
            (void)chunk_watch(arena, at / LOFTI_CHUNK_BYTES);
        }
    }
}

/* A run of private pages that no watch covers: watches their chunks, so that the take that follows reports the
 * pages; where the kernel refuses, reports them here. A chunk that was thought to be watched has lost it
 * (somebody closed the descriptor): it is like any other. */
static int watch_private(void *context, void *start, size_t bytes)
{
    track_scan *scan = context;
    uint8_t *at = start;
    for (const uint8_t *end = at + bytes; at < end;) {
        const uint64_t chunk = (uint64_t)(at - scan->arena->base) / LOFTI_CHUNK_BYTES;
        uint8_t *chunk_end = scan->arena->base + (chunk + 1) * LOFTI_CHUNK_BYTES;
        const size_t part = (size_t)((chunk_end < end ? chunk_end : end) - at);
        if (chunk != scan->chunk) { /* once for each chunk, not for each of its runs */
            lofti_chunk_move(scan->arena, chunk * LOFTI_CHUNK_BYTES, LOFTI_CHUNK_BYTES,
                             LOFTI_CHUNK_UNARMED);
            scan->chunk = chunk;
            scan->chunk_watched = chunk_watch(scan->arena, chunk);
        }
        if (!scan->chunk_watched) {
            const int code = scan_pages(scan, at, part);
            if (code != 0) {
                return code;
            }
        }
        at += part;
    }
    return LOFT_OK;
}

static int scan_missed(void *context, uint64_t off, uint64_t bytes, int state)
{
    track_scan *scan = context;
    (void)state;
    return lofti_watch_missed(scan->arena->base + off, bytes, watch_private, scan);
}

/* Chunks that are not watched are passed over by the kernel. */
static int scan_watched(void *context, uint64_t off, uint64_t bytes, int state)
{
    track_scan *scan = context;
    (void)state;
    return lofti_watch_take(scan->arena->base + off, bytes, scan_pages, scan);
}

/* The same, and what is reported stays as it is. */
static int look_watched(void *context, uint64_t off, uint64_t bytes, int state)
{
    track_scan *scan = context;
    (void)state;
    return lofti_watch_look(scan->arena->base + off, bytes, scan_pages, scan);
}

/* Arms watched pages without reporting them. */
static int arm_watched(void *context, uint64_t off, uint64_t bytes, int state)
{
    const track_scan *scan = context;
    (void)state;
    lofti_watch_forget(scan->arena->base + off, bytes);
    return LOFT_OK;
}

/* All that is mapped, by `fn`; a commit's look at what no watch covers is timed. */
static int scan_all(track_scan *scan, lofti_space_run_fn *fn, bool timed)
{
    const uint64_t begin_ns = timed ? lofti_sys_now_ns() : 0;
    const int code = lofti_space_each_span(scan->arena, fn, scan);
    if (timed) {
        lofti_cold_looked(scan->arena, lofti_sys_now_ns() - begin_ns, scan->pages);
    }
    return code;
}

/* For a rollback nothing needs to be armed: it stores to all that is reported. */
static int changed_wp_async(track_scan *scan, bool arm)
{
    loft_arena *arena = scan->arena;
    int code = LOFT_OK;
    if (arena->track_lost) {
        code = arm ? scan_all(scan, arm_watched, false) : LOFT_OK;
        return code == LOFT_OK ? scan_all(scan, scan_private, false) : code;
    }
    arena->track_lost = true; /* until settled: what the take reports is forgotten by the kernel */
    code = scan_all(scan, scan_missed, arm);
    return code == LOFT_OK ? scan_all(scan, arm ? scan_watched : look_watched, false) : code;
}

/* --- Both ---------------------------------------------------------------------------------------- */

static int track_scanned(loft_arena *arena, bool arm, lofti_track_fn *fn, void *context)
{
    track_scan scan = {.arena = arena, .fn = fn, .context = context};
    if (arena->tracker == LOFT_TRACKER_WP_ASYNC) {
        return changed_wp_async(&scan, arm);
    }
    scan.known = !arena->track_lost;
    if (arena->track_lost && !LOFTI_FAULT(KNOWN_KEPT)) {
        /* Hashes that a failed commit noted are of contents that were never committed. Pages that a rollback
         * gives back are not reported again: their hashes must not outlive them. */
        lofti_index_clear(&arena->known);
    }
    arena->track_lost = true;
    return scan_all(&scan, scan_private, arm && scan.known);
}

int lofti_track_changed(loft_arena *arena, lofti_track_fn *fn, void *context)
{
    const int code = track_scanned(arena, true, fn, context);
    return code == LOFT_OK ? lofti_pin_each(arena, fn, context) : code;
}

int lofti_track_undo(loft_arena *arena, lofti_track_fn *fn, void *context)
{
    const int code = track_scanned(arena, false, fn, context);
    return code == LOFT_OK ? lofti_pin_each(arena, fn, context) : code;
}

int lofti_track_note(loft_arena *arena, uint64_t page_idx, const uint8_t *page)
{
    if (arena->tracker != LOFT_TRACKER_PRIVATE) {
        return LOFT_OK;
    }
    const int code = lofti_index_reserve(&arena->known, 1);
    if (code != LOFT_OK) {
        return lofti_status_fail(code, "commit", arena->path, "no memory for the page hashes");
    }
    const lofti_index_entry entry = {.page_idx = page_idx,
                                     .hash = track_hash(arena, page_idx, page)};
    lofti_index_put(&arena->known, &entry);
    return LOFT_OK;
}

void lofti_track_settled(loft_arena *arena)
{
    arena->track_lost = false;
    lofti_pin_settled(arena);
}

void lofti_track_undone(loft_arena *arena, uint64_t count)
{
    track_scan scan = {.arena = arena};
    if (arena->tracker == LOFT_TRACKER_WP_ASYNC && count >= TRACK_FORGET_PAGES) {
        (void)lofti_space_each_span(arena, arm_watched, &scan);
    }
    lofti_track_settled(arena);
}

static int stop_at_page(void *context, uint64_t page_idx, uint8_t *pages, uint64_t count)
{
    (void)context;
    (void)page_idx;
    (void)pages;
    (void)count;
    return 1;
}

static int stop_at_run(void *context, void *start, size_t bytes)
{
    (void)context;
    (void)start;
    (void)bytes;
    return 1;
}

bool lofti_track_missed(const loft_arena *arena, uint64_t off, uint64_t bytes)
{
    return lofti_watch_missed(arena->base + off, bytes, stop_at_run, NULL) != 0;
}

typedef struct track_count {
    loft_arena *arena;
    uint64_t off, end;
    uint64_t least_bytes, bytes;
} track_count;

static int count_bytes(void *context, void *start, size_t bytes)
{
    track_count *count = context;
    (void)start;
    count->bytes += bytes;
    return count->bytes >= count->least_bytes;
}

static int count_run(void *context, uint64_t off, uint64_t bytes, int state)
{
    track_count *count = context;
    (void)state;
    const uint64_t from = lofti_arith_max(off, count->off);
    const uint64_t to = lofti_arith_min(off + bytes, count->end);
    return from < to ? lofti_dirty_private(count->arena->base + from, to - from, count_bytes, count)
                     : 0;
}

bool lofti_track_many(loft_arena *arena, uint64_t off, uint64_t end, uint64_t least_bytes)
{
    track_count count = {arena, off, end, least_bytes, 0};
    return off < end && end - off >= least_bytes &&
           lofti_space_each_span(arena, count_run, &count) != 0;
}

bool lofti_track_any(loft_arena *arena, uint64_t off, uint64_t bytes)
{
    uint8_t *start = arena->base + off;
    if (arena->track_lost) {
        return lofti_track_private(arena, off, bytes);
    }
    if ((arena->chunk_states[off / LOFTI_CHUNK_BYTES] & LOFTI_CHUNK_WATCHED) != 0) {
        return lofti_watch_peek(start, bytes, stop_at_run, NULL) != 0;
    }
    /* Without hashes (wp_async, not watched) every private page may have changed. */
    track_scan scan = {.arena = arena, .fn = stop_at_page, .known = true};
    return lofti_dirty_private(start, bytes, scan_pages, &scan) != 0;
}

bool lofti_track_private(loft_arena *arena, uint64_t off, uint64_t bytes)
{
    return lofti_dirty_private(arena->base + off, bytes, stop_at_run, NULL) != 0;
}

void lofti_track_trim(loft_arena *arena) { lofti_index_clear(&arena->known); }
