/*
 * arena/space.c - address space: holding it, growing into it, mapping the file over it.
 */
#include <errno.h>
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/status.h"
#include "os/dirty.h"
#include "os/map.h"
#include "os/sys.h"
#include "os/window.h"

/* The least address space worth holding when the system refuses more. */
#define SPACE_RESERVE_MIN ((uint64_t)64 << 20)

static int space_taken(const loft_arena *arena, uint64_t base, uint64_t bytes)
{
    char holder[256];
    lofti_map_holder((const void *)(uintptr_t)base, bytes, holder, sizeof holder);
    const loft_arena *other = loft_arena_of((const void *)(uintptr_t)base);
    return lofti_status_fail(LOFT_EADDRESS, "open", arena->path,
                             "its address 0x%llx is taken by %s%s%s", (unsigned long long)base,
                             other != NULL ? "the arena " : "",
                             other != NULL ? (other->has_store ? other->path : "(anonymous)") : "",
                             other != NULL ? "" : (holder[0] != '\0' ? holder : "the system"));
}

static int reserve_at(uint64_t base, uint64_t bytes, uint8_t **out)
{
    const unsigned flags = LOFTI_MAP_RESERVE | LOFTI_MAP_NORESERVE;
    void *at = (void *)(uintptr_t)base;
    int error = 0;
    if (base != 0) {
        error = lofti_map_at(at, bytes, flags, NULL, 0);
    } else {
        error = lofti_map_place(bytes, LOFTI_CHUNK_BYTES, flags, NULL, 0, &at);
    }
    if (error == 0) {
        *out = at;
    }
    return error;
}

int lofti_space_reserve(loft_arena *arena, uint64_t base, uint64_t least_bytes)
{
    least_bytes = lofti_arith_max(least_bytes + LOFTI_CHUNK_BYTES, SPACE_RESERVE_MIN);
    uint64_t bytes = lofti_arith_max(arena->reserve_bytes, least_bytes);
    int error = reserve_at(base, bytes, &arena->base);
    while (error != 0 && bytes > least_bytes) {
        /* Refused (RLIMIT_AS, a small address space) or partly taken: less may do. */
        bytes = lofti_arith_max(lofti_arith_down(bytes / 2, LOFTI_CHUNK_BYTES), least_bytes);
        error = reserve_at(base, bytes, &arena->base);
    }
    if (error != 0 && base != 0 && base >= (uint64_t)1 << lofti_window_bits()) {
        return lofti_status_fail(LOFT_EADDRESS, "open", arena->path,
                                 "its address 0x%llx lies outside this address space of %u bits",
                                 (unsigned long long)base, lofti_window_bits());
    }
    if (error != 0 && base != 0 && lofti_status_code(error) == LOFT_EINVAL) {
        return lofti_status_fail(LOFT_EADDRESS, "open", arena->path,
                                 "its address 0x%llx leaves no room for %llu bytes",
                                 (unsigned long long)base, (unsigned long long)bytes);
    }
    if (error != 0) {
        return base != 0 && lofti_status_code(error) == LOFT_EEXIST
                   ? space_taken(arena, base, bytes)
                   : lofti_status_system(error, "reserve address space", arena->path);
    }
    arena->reserve_bytes = bytes;
    if (arena->path[0] != '\0') {
        /* A child does not have the arena, and may open it for reading at the same place. */
        arena->is_inherited =
            lofti_map_advise(arena->base, bytes, LOFTI_ADVICE_DONTFORK) == -EOPNOTSUPP;
    }
    arena->chunk_states_bytes =
        lofti_arith_round_up(bytes / LOFTI_CHUNK_BYTES, lofti_map_page_bytes());
    void *states = NULL;
    error = lofti_map_place(arena->chunk_states_bytes, 0, LOFTI_MAP_WRITE | LOFTI_MAP_NORESERVE,
                            NULL, 0, &states);
    if (error != 0) {
        lofti_space_release(arena);
        return lofti_status_system(error, "open", arena->path);
    }
    arena->chunk_states = states;
    return LOFT_OK;
}

void lofti_space_release(loft_arena *arena)
{
    if (arena->chunk_states != NULL) {
        (void)lofti_map_release(arena->chunk_states, arena->chunk_states_bytes);
        arena->chunk_states = NULL;
    }
    if (arena->base != NULL) {
        /* A forked child never had it: the range may be somebody else's there by now. */
        if (!arena->forked && !arena->over) {
            (void)lofti_map_release(arena->base, arena->reserve_bytes);
        }
        arena->base = NULL;
    }
}

uint64_t lofti_space_end(const loft_arena *arena)
{
    return arena->has_store ? lofti_store_space_end(&arena->store) : arena->space_end;
}

bool lofti_space_accessible(const loft_arena *arena, uint64_t off, uint64_t bytes)
{
    if (bytes == 0 || !lofti_arith_inside(off, bytes, arena->reserve_bytes)) {
        return false;
    }
    if (arena->over) {
        return off >= LOFTI_HEAP_OFF;
    }
    for (uint64_t chunk = off / LOFTI_CHUNK_BYTES; chunk <= (off + bytes - 1) / LOFTI_CHUNK_BYTES;
         chunk++) {
        if (arena->chunk_states[chunk] == LOFTI_CHUNK_NONE) {
            return false;
        }
    }
    return true;
}

/* Maps [off, off + bytes), whole chunks, as the event asks for. */
static int space_map(loft_arena *arena, uint64_t off, uint64_t bytes, enum lofti_chunk_event event)
{
    const bool filed = event == LOFTI_CHUNK_OPENED || event == LOFTI_CHUNK_RETURNED ||
                       event == LOFTI_CHUNK_REFRESHED;
    const unsigned flags =
        LOFTI_MAP_NORESERVE |
        (event == LOFTI_CHUNK_GIVEN_UP ? (unsigned)LOFTI_MAP_RESERVE : (unsigned)LOFTI_MAP_WRITE);
    const lofti_file *file = filed ? &arena->store.file : NULL;
    uint8_t *at = arena->base + off;
    int error = lofti_map_over(at, bytes, flags, file, file != NULL ? off : 0);
    if (error == 0) {
        /* Before anything else can fail: what it was, and its watch, are gone. */
        lofti_chunk_move(arena, off, bytes, event);
    }
    if (error == 0 && arena->has_store && !arena->is_inherited) {
        /* A child must neither see pages that follow the file nor pay for copying a huge heap. */
        error = lofti_map_advise(at, bytes, LOFTI_ADVICE_DONTFORK);
    }
    if (error != 0) {
        return lofti_status_system(error, "map", arena->path);
    }
    return LOFT_OK;
}

static int map_heap_run(loft_arena *arena, uint64_t off, uint64_t end_off, uint64_t file_end_off)
{
    const uint64_t middle = lofti_arith_max(off, lofti_arith_min(end_off, file_end_off));
    int code = LOFT_OK;
    if (middle > off) {
        code = space_map(arena, off, middle - off, LOFTI_CHUNK_OPENED);
    }
    if (code == LOFT_OK && end_off > middle) {
        code = space_map(arena, middle, end_off - middle, LOFTI_CHUNK_GROWN);
    }
    return code;
}

int lofti_space_map_file(loft_arena *arena, uint64_t end_off)
{
    lofti_file_info info;
    const int error = lofti_file_info_get(&arena->store.file, &info);
    if (error != 0) {
        return lofti_status_system(error, "map", arena->path);
    }
    const uint64_t file_end_off = lofti_arith_down(info.bytes, LOFTI_CHUNK_BYTES);
    uint64_t off = LOFTI_HEAP_OFF;
    while (off < end_off) {
        const lofti_extent journal = lofti_store_extent_behind(&arena->store.super, off);
        const uint64_t run_end =
            journal.bytes != 0 ? lofti_arith_min(journal.off, end_off) : end_off;
        if (run_end > off) {
            const int code = map_heap_run(arena, off, run_end, file_end_off);
            if (code != LOFT_OK) {
                return code;
            }
        }
        off = run_end + journal.bytes;
    }
    return LOFT_OK;
}

static int overlay_page(void *context, uint64_t page_idx, const void *page)
{
    loft_arena *arena = context;
    const uint64_t off = page_idx * LOFTI_PAGE_BYTES;
    const uint64_t chunk = off / LOFTI_CHUNK_BYTES;
    /* The scan bounded the page by the frame's file size, which may exceed what is mapped. */
    if (off >= arena->reserve_bytes || arena->chunk_states[chunk] == LOFTI_CHUNK_NONE) {
        return lofti_status_fail(LOFT_ECORRUPT, "open", arena->path,
                                 "journal has a page at offset %llu, outside the heap",
                                 (unsigned long long)off);
    }
    if (!LOFTI_FAULT(OVERLAY_SKIPPED)) {
        memcpy(arena->base + off, page, LOFTI_PAGE_BYTES);
    }
    return LOFT_OK;
}

int lofti_space_overlay(loft_arena *arena)
{
    return lofti_store_each_page(&arena->store, overlay_page, arena);
}

/* A chunk's state, seen through `mask`. */
static int each_masked(loft_arena *arena, unsigned mask, lofti_space_run_fn *fn, void *context)
{
    const uint64_t end = lofti_arith_min(lofti_space_end(arena), arena->reserve_bytes);
    const uint64_t count = end / LOFTI_CHUNK_BYTES;
    for (uint64_t first = 0, next = 0; first < count; first = next) {
        const bool mapped = arena->chunk_states[first] != LOFTI_CHUNK_NONE;
        const unsigned state = arena->chunk_states[first] & mask;
        for (next = first + 1; next < count && (arena->chunk_states[next] & mask) == state &&
                               (arena->chunk_states[next] != LOFTI_CHUNK_NONE) == mapped;
             next++) {}
        if (mapped) {
            const int code = fn(context, first * LOFTI_CHUNK_BYTES,
                                (next - first) * LOFTI_CHUNK_BYTES, (int)state);
            if (code != LOFT_OK) {
                return code;
            }
        }
    }
    return LOFT_OK;
}

int lofti_space_each_run(loft_arena *arena, lofti_space_run_fn *fn, void *context)
{
    return each_masked(arena, UINT8_MAX, fn, context);
}

int lofti_space_each_span(loft_arena *arena, lofti_space_run_fn *fn, void *context)
{
    return each_masked(arena, 0, fn, context);
}

static int protect_run(void *context, uint64_t off, uint64_t bytes, int state)
{
    loft_arena *arena = context;
    (void)state;
    const int error = lofti_map_protect(arena->base + off, bytes, LOFTI_MAP_READ);
    return error == 0 ? LOFT_OK : lofti_status_system(error, "open", arena->path);
}

int lofti_space_protect(loft_arena *arena)
{
    return lofti_space_each_run(arena, protect_run, arena);
}

/* Notes which chunks of a run hold private pages. */
static int note_private(void *context, void *start, size_t bytes)
{
    loft_arena *arena = context;
    const uint64_t off = (uint64_t)((uint8_t *)start - arena->base);
    const uint64_t last = (off + bytes - 1) / LOFTI_CHUNK_BYTES;
    for (uint64_t chunk = off / LOFTI_CHUNK_BYTES; chunk <= last; chunk++) {
        lofti_chunk_hold(arena, chunk);
    }
    return LOFT_OK;
}

static int note_span(void *context, uint64_t off, uint64_t bytes, int state)
{
    loft_arena *arena = context;
    (void)state;
    return lofti_dirty_private(arena->base + off, bytes, note_private, arena);
}

/* Whether a checkpoint may put the file in the place of the chunk's memory: nothing in it changed since. */
static bool chunk_returns(loft_arena *arena, uint64_t off)
{
    return !lofti_pin_holds(arena, off, LOFTI_CHUNK_BYTES) &&
           (!lofti_track_any(arena, off, LOFTI_CHUNK_BYTES) || LOFTI_FAULT(RETURN_CHANGED));
}

static int count_mapped(void *context, const lofti_map_area *area)
{
    uint64_t *range = context; /* start, end, bytes found */
    if (area->readable) {
        range[2] += lofti_arith_min(area->end, range[1]) - lofti_arith_max(area->start, range[0]);
    }
    return 0;
}

/* The system may drop the old mapping before it finds that it cannot make the new one (os/map.h). What was there is
 * in the file, so the same is tried once more; a chunk that stays without memory must never be committed. */
void lofti_space_file_over(loft_arena *arena, uint64_t off, uint64_t bytes,
                           enum lofti_chunk_event event)
{
    uint64_t range[3] = {(uint64_t)(uintptr_t)arena->base + off, 0, 0};
    range[1] = range[0] + bytes;
    if (space_map(arena, off, bytes, event) == LOFT_OK ||
        (lofti_map_each(arena->base + off, bytes, count_mapped, range) == 0 && range[2] == bytes) ||
        space_map(arena, off, bytes, event) == LOFT_OK) {
        return;
    }
    lofti_chunk_move(arena, off, bytes, LOFTI_CHUNK_GIVEN_UP);
    arena->store.state = LOFTI_STORE_POISONED;
}

void lofti_space_return(loft_arena *arena)
{
    lofti_file_info info;
    if (lofti_file_info_get(&arena->store.file, &info) != 0) {
        return; /* returning memory is a saving, never a duty */
    }
    LOFTI_CHECK(!lofti_store_has_journal(&arena->store)); /* what the chunks hold is in the file */
    const uint64_t end_off =
        lofti_arith_min(lofti_arith_down(info.bytes, LOFTI_CHUNK_BYTES), arena->store.frontier);
    /* One look at all, then at the few that have something. */
    (void)lofti_space_each_span(arena, note_span, arena);
    for (uint64_t off = LOFTI_HEAP_OFF; off < arena->reserve_bytes; off += LOFTI_CHUNK_BYTES) {
        const uint64_t chunk = off / LOFTI_CHUNK_BYTES;
        const bool held = lofti_chunk_unhold(arena, chunk);
        if (off >= lofti_space_end(arena)) {
            break;
        }
        if (off < end_off &&
            (held || (arena->chunk_states[chunk] & LOFTI_CHUNK_KIND) == LOFTI_CHUNK_ANON) &&
            chunk_returns(arena, off)) {
            lofti_space_file_over(arena, off, LOFTI_CHUNK_BYTES, LOFTI_CHUNK_RETURNED);
        }
    }
}

int lofti_space_shrink(loft_arena *arena, uint64_t end_off)
{
    const uint64_t from = lofti_arith_max(end_off, LOFTI_HEAP_OFF);
    const uint64_t to = lofti_space_end(arena);
    /* Journal chunks among them are held address space already, or lie behind the reserve. */
    const uint64_t map_to = lofti_arith_min(to, arena->reserve_bytes);
    if (from >= map_to) {
        return LOFT_OK;
    }
    const int code = space_map(arena, from, map_to - from, LOFTI_CHUNK_GIVEN_UP);
    if (code == LOFT_OK) {
        const uint64_t keep = lofti_arith_max(arena->store.file_bytes, from);
        lofti_store_unclaim(&arena->store, keep, to - keep);
    }
    return code;
}

/* --- The heap's host ------------------------------------------------------------------------ */

static int claim_chunks(loft_arena *arena, uint32_t count, uint64_t *off)
{
    if (arena->has_store) {
        return lofti_store_claim(&arena->store, count, arena->reserve_bytes, off);
    }
    const uint64_t bytes = (uint64_t)count * LOFTI_CHUNK_BYTES;
    if (!lofti_arith_inside(arena->space_end, bytes, arena->reserve_bytes)) {
        return lofti_status_fail(LOFT_ENOMEM, "grow", "(anonymous arena)",
                                 "%u chunks more exceed the reserve of %llu bytes", count,
                                 (unsigned long long)arena->reserve_bytes);
    }
    *off = arena->space_end;
    arena->space_end += bytes;
    return LOFT_OK;
}

/* Where an anonymous heap's huge pages begin, in bytes from its start. Behind it one more is at most a thirtieth of the
 * heap; a small program's second chunk would cost it 2 MiB, and the time to clear them, for a few pages of
 * metadata. Chunks that come several together are for one block, of which a program may touch little, or take it and
 * free it again and again. */
#define SPACE_HUGE_FROM_BYTES ((uint64_t)64 << 20)

/* Huge pages make new chunks cheap to fill and nearly free to scan, and spare a large heap most of its TLB misses;
 * a watched one is split at the first store after a commit, so that it reports single pages. Where every private page
 * is hashed, single ones are cheaper; and the first chunk of a small arena should not take megabytes. A
 * refusal costs time only. */
static void space_advise(const loft_arena *arena, uint64_t off, uint64_t bytes)
{
    const bool huge =
        arena->has_store
            ? arena->tracker == LOFT_TRACKER_WP_ASYNC && off > LOFTI_HEAP_OFF
            : off >= LOFTI_HEAP_OFF + SPACE_HUGE_FROM_BYTES && bytes == LOFTI_CHUNK_BYTES;
    if (huge) {
        (void)lofti_map_advise(arena->base + off, bytes, LOFTI_ADVICE_HUGE);
    } else if (arena->has_store) {
        (void)lofti_map_advise(arena->base + off, bytes, LOFTI_ADVICE_NOHUGE);
    }
}

static int host_grow(void *context, uint32_t count, uint32_t *first_idx)
{
    loft_arena *arena = context;
    (void)pthread_mutex_lock(&arena->grow_mutex);
    uint64_t off = 0;
    int code = claim_chunks(arena, count, &off);
    if (code == LOFT_OK) {
        const uint64_t bytes = (uint64_t)count * LOFTI_CHUNK_BYTES;
        code = space_map(arena, off, bytes, LOFTI_CHUNK_GROWN);
        if (code == LOFT_OK) {
            space_advise(arena, off, bytes);
            lofti_track_fresh(arena, off, bytes);
        } else {
            /* Give the claim back: nobody can have claimed behind it under this mutex. */
            if (arena->has_store) {
                lofti_store_unclaim(&arena->store, off, bytes);
            } else {
                arena->space_end = off;
            }
        }
    }
    (void)pthread_mutex_unlock(&arena->grow_mutex);
    if (code == LOFT_OK) {
        lofti_dirty_grown(arena, (uint64_t)count * LOFTI_CHUNK_BYTES);
        *first_idx = (uint32_t)((off - LOFTI_HEAP_OFF) / LOFTI_CHUNK_BYTES);
    }
    return code;
}

static void *host_table_alloc(void *context, size_t bytes)
{
    const loft_arena *arena = context;
    void *table = NULL;
    const int error = lofti_map_place(lofti_arith_round_up(bytes, lofti_map_page_bytes()), 0,
                                      LOFTI_MAP_WRITE | LOFTI_MAP_NORESERVE, NULL, 0, &table);
    if (error != 0) {
        (void)lofti_status_system(error, "allocate a table", arena->path);
        return NULL;
    }
    return table;
}

static void host_table_free(void *context, void *table, size_t bytes)
{
    (void)context;
    (void)lofti_map_release(table, lofti_arith_round_up(bytes, lofti_map_page_bytes()));
}

/* Anonymous arenas give memory back at once; a file's is returned by checkpoints. Only whole pages of the system's: it
 * would take the rest of the last one too. */
static bool host_unused(void *context, uint64_t off, uint64_t bytes)
{
    loft_arena *arena = context;
    const uint64_t page_bytes = lofti_map_page_bytes();
    const uint64_t from = lofti_arith_round_up(off, page_bytes);
    const uint64_t end = lofti_arith_down(off + bytes, page_bytes);
    return !arena->has_store &&
           (from >= end || lofti_map_drop(arena->base + LOFTI_HEAP_OFF + from, end - from,
                                          LOFTI_MAP_WRITE | LOFTI_MAP_NORESERVE) == 0);
}

static uint64_t host_now_ns(void *context)
{
    (void)context;
    return lofti_sys_now_ns();
}

static bool host_has(void *context, uint32_t idx)
{
    loft_arena *arena = context;
    (void)pthread_mutex_lock(&arena->grow_mutex);
    const bool has =
        lofti_space_accessible(arena, LOFTI_HEAP_OFF + (uint64_t)idx * LOFTI_CHUNK_BYTES, 1);
    (void)pthread_mutex_unlock(&arena->grow_mutex);
    return has;
}

lofti_heap_host lofti_space_host(loft_arena *arena)
{
    return (lofti_heap_host){.context = arena,
                             .reach_bytes = arena->reserve_bytes - LOFTI_HEAP_OFF,
                             .grow = host_grow,
                             .table_alloc = host_table_alloc,
                             .table_free = host_table_free,
                             .unused = host_unused,
                             .now_ns = arena->has_store ? NULL : host_now_ns,
                             .has = host_has};
}
