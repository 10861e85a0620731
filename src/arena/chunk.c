/*
 * arena/chunk.c - the states of a chunk, and what they say of the world.
 *
 *                  GROWN            ARMED
 *          NONE ----------> ANON <---------> ANON, watched
 *           | ^              |    UNARMED         |
 *    OPENED | | GIVEN UP     +---- RETURNED ------+
 *           v | (of all)     v
 *          FILE <---------> FILE, watched       FILE -- REFRESHED --> FILE
 *               ARMED, and UNARMED or RETURNED
 *
 * Invariants, each checked by lofti_chunk_verify:
 *   K1  A FILE chunk is a private mapping of a file, inside the file; ANON is anonymous memory; NONE cannot be read.
 *   K2  Up to the frontier all chunks but the journal's are mapped; the journal's never are.
 *   K3  A watched chunk has a tracker, and no private page of it escapes the kernel's watch.
 *   K4  Behind the arena's end nothing is mapped.
 *
 * What RETURNED rests on is judged where it happens (lofti_space_return): the journal is empty, so what the chunk holds
 * was applied and flushed; nothing in it changed since; no device writes to it; the gate is closed. What REFRESHED rests on
 * is in cold.c: no page of the chunk is private, no device writes to it, the gate is closed.
 */
#include <errno.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/check.h"
#include "base/status.h"
#include "os/map.h"

enum {
    NONE = LOFTI_CHUNK_NONE,
    FILED = LOFTI_CHUNK_FILE,
    FILED_WATCHED = LOFTI_CHUNK_FILE | LOFTI_CHUNK_WATCHED,
    ANON = LOFTI_CHUNK_ANON,
    ANON_WATCHED = LOFTI_CHUNK_ANON | LOFTI_CHUNK_WATCHED,
    ILL = LOFTI_CHUNK_ILLEGAL
};

enum { CHUNK_ROWS = 6 };

/* By kind and watch: the row of a state. */
static unsigned chunk_row(uint8_t state)
{
    return (unsigned)(state & LOFTI_CHUNK_KIND) << 1 | ((state & LOFTI_CHUNK_WATCHED) != 0);
}

/* clang-format off */
static const uint8_t chunk_table[CHUNK_ROWS][LOFTI_CHUNK_EVENTS] = {
    /*                  GROWN OPENED ARMED          UNARMED RETURNED REFRESHED GIVEN_UP */
    /* NONE          */ {ANON, FILED, ILL,           ILL,    ILL,     ILL,      NONE},
    /* no state      */ {ILL,  ILL,   ILL,           ILL,    ILL,     ILL,      ILL},
    /* FILE          */ {ILL,  ILL,   FILED_WATCHED, FILED,  FILED,   FILED,    NONE},
    /* FILE, watched */ {ILL,  ILL,   FILED_WATCHED, FILED,  FILED,   ILL,      NONE},
    /* ANON          */ {ILL,  ILL,   ANON_WATCHED,  ANON,   FILED,   ILL,      NONE},
    /* ANON, watched */ {ILL,  ILL,   ANON_WATCHED,  ANON,   FILED,   ILL,      NONE},
};
/* clang-format on */

static bool chunk_is_state(uint8_t state)
{
    return state == NONE || state == FILED || state == FILED_WATCHED || state == ANON ||
           state == ANON_WATCHED;
}

uint8_t lofti_chunk_next(uint8_t state, enum lofti_chunk_event event)
{
    return chunk_is_state(state) && event < LOFTI_CHUNK_EVENTS
               ? chunk_table[chunk_row(state)][event]
               : (uint8_t)LOFTI_CHUNK_ILLEGAL;
}

const char *lofti_chunk_state_name(uint8_t state)
{
    switch (state) {
    case NONE: return "NONE";
    case FILED: return "FILE";
    case FILED_WATCHED: return "FILE, watched";
    case ANON: return "ANON";
    case ANON_WATCHED: return "ANON, watched";
    default: return "no state";
    }
}

const char *lofti_chunk_event_name(enum lofti_chunk_event event)
{
    static const char *const names[LOFTI_CHUNK_EVENTS] = {
        [LOFTI_CHUNK_GROWN] = "grown",       [LOFTI_CHUNK_OPENED] = "opened",
        [LOFTI_CHUNK_ARMED] = "armed",       [LOFTI_CHUNK_UNARMED] = "unarmed",
        [LOFTI_CHUNK_RETURNED] = "returned", [LOFTI_CHUNK_REFRESHED] = "refreshed",
        [LOFTI_CHUNK_GIVEN_UP] = "given up",
    };
    return names[event];
}

void lofti_chunk_move(loft_arena *arena, uint64_t off, uint64_t bytes, enum lofti_chunk_event event)
{
    const uint64_t end = (off + bytes) / LOFTI_CHUNK_BYTES;
    for (uint64_t chunk = off / LOFTI_CHUNK_BYTES; chunk < end; chunk++) {
        _Atomic uint8_t *state = &arena->chunk_states[chunk];
        const uint8_t next =
            lofti_chunk_next(atomic_load_explicit(state, memory_order_relaxed), event);
        LOFTI_CHECK(next != LOFTI_CHUNK_ILLEGAL);
        atomic_store_explicit(state, next, memory_order_relaxed);
    }
}

void lofti_chunk_hold(loft_arena *arena, uint64_t chunk)
{
    arena->chunk_states[chunk] |= LOFTI_CHUNK_HELD;
}

bool lofti_chunk_unhold(loft_arena *arena, uint64_t chunk)
{
    const uint8_t unheld = (uint8_t)~LOFTI_CHUNK_HELD;
    return (atomic_fetch_and(&arena->chunk_states[chunk], unheld) & LOFTI_CHUNK_HELD) != 0;
}

/* --- The checker ---------------------------------------------------------------------------------- */

typedef struct chunk_walk {
    const loft_arena *arena;
    uint64_t count;    /* of chunks up to the arena's end */
    uint64_t expected; /* the next byte that a mapping must begin at or before */
    uint64_t gap;      /* the first held chunk that is in no mapping; UINT64_MAX: none */
    uint64_t wrong;    /* a place that is not as it must be, and why */
    const char *why;
} chunk_walk;

static int chunk_wrong(const loft_arena *arena, uint64_t off, const char *why)
{
    const uint64_t chunk = off / LOFTI_CHUNK_BYTES;
    return lofti_status_fail(LOFT_ECORRUPT, "check the mappings of", arena->path,
                             "the chunk at offset %llu is %s, but %s", (unsigned long long)off,
                             lofti_chunk_state_name(arena->chunk_states[chunk]), why);
}

/* What is wrong with a mapping that covers (some of) a chunk in `state`; NULL: nothing. */
static const char *area_fault(const loft_arena *arena, uint8_t state, const lofti_map_area *area)
{
    if ((state & LOFTI_CHUNK_KIND) == LOFTI_CHUNK_NONE) {
        return area->readable ? "memory lies there" : NULL; /* K1, K4 */
    }
    if (!area->readable || area->writable != arena->writable || area->shared) {
        return "its memory has other rights";
    }
    const bool file = (state & LOFTI_CHUNK_KIND) == LOFTI_CHUNK_FILE;
    return area->file == file ? NULL : file ? "no file lies there" : "a file lies there"; /* K1 */
}

static uint8_t walk_state(const chunk_walk *walk, uint64_t chunk)
{
    return chunk < walk->count ? walk->arena->chunk_states[chunk] : (uint8_t)NONE;
}

/* [from, to) is in no mapping. Address space that is only held may be missing in the list. */
static int gap_check(chunk_walk *walk, uint64_t from, uint64_t to)
{
    const uint64_t last = lofti_arith_min((to - 1) / LOFTI_CHUNK_BYTES, walk->count);
    for (uint64_t chunk = from / LOFTI_CHUNK_BYTES; chunk <= last; chunk++) {
        if (walk_state(walk, chunk) != NONE) {
            walk->wrong = chunk * LOFTI_CHUNK_BYTES;
            walk->why = "nothing is mapped there";
            return 1;
        }
    }
    walk->gap = lofti_arith_min(walk->gap, lofti_arith_down(from, LOFTI_CHUNK_BYTES));
    return 0;
}

static int area_check(void *context, const lofti_map_area *area)
{
    chunk_walk *walk = context;
    const uint64_t base = (uint64_t)(uintptr_t)walk->arena->base;
    const uint64_t from = lofti_arith_max(area->start, base) - base;
    const uint64_t to = lofti_arith_min(area->end, base + walk->arena->reserve_bytes) - base;
    if (from > walk->expected && gap_check(walk, walk->expected, from) != 0) {
        return 1;
    }
    walk->expected = to;
    /* Behind the arena's end all chunks are NONE: one look for all of them. */
    const uint64_t first = lofti_arith_min(from / LOFTI_CHUNK_BYTES, walk->count);
    const uint64_t last = lofti_arith_min((to - 1) / LOFTI_CHUNK_BYTES, walk->count);
    for (uint64_t chunk = first; chunk <= last; chunk++) {
        walk->why = area_fault(walk->arena, walk_state(walk, chunk), area);
        if (walk->why != NULL) {
            walk->wrong = lofti_arith_max(chunk * LOFTI_CHUNK_BYTES,
                                          lofti_arith_down(from, LOFTI_CHUNK_BYTES));
            return 1;
        }
    }
    return 0;
}

/* K3 */
static int watched_check(const loft_arena *arena, uint64_t off)
{
    if (arena->tracker != LOFT_TRACKER_WP_ASYNC) {
        return chunk_wrong(arena, off, "nothing watches");
    }
    return lofti_track_missed(arena, off, LOFTI_CHUNK_BYTES)
               ? chunk_wrong(arena, off, "the kernel does not watch it")
               : LOFT_OK;
}

/* K1, K2: what the file and its journal say. */
static const char *store_fault(const loft_arena *arena, uint8_t state, uint64_t off,
                               uint64_t file_bytes)
{
    const lofti_extent journal = lofti_store_extent_behind(&arena->store.super, off);
    if (journal.bytes != 0 && journal.off <= off) {
        return state == NONE ? NULL : "the journal lies there";
    }
    if (state == NONE) {
        return off < arena->store.frontier ? "the heap lies there" : NULL;
    }
    return (state & LOFTI_CHUNK_KIND) == LOFTI_CHUNK_FILE && off + LOFTI_CHUNK_BYTES > file_bytes
               ? "the file is shorter"
               : NULL;
}

static int state_check(const loft_arena *arena, uint64_t off, uint64_t file_bytes)
{
    const uint8_t state = arena->chunk_states[off / LOFTI_CHUNK_BYTES];
    if (!chunk_is_state(state)) {
        return chunk_wrong(arena, off, "that is none");
    }
    if (off < LOFTI_HEAP_OFF) {
        return state == NONE ? LOFT_OK : chunk_wrong(arena, off, "the heap begins behind it");
    }
    const char *why = arena->has_store ? store_fault(arena, state, off, file_bytes) : NULL;
    if (why != NULL) {
        return chunk_wrong(arena, off, why);
    }
    return (state & LOFTI_CHUNK_WATCHED) != 0 ? watched_check(arena, off) : LOFT_OK;
}

int lofti_chunk_verify(loft_arena *arena)
{
    if (arena->over || arena->forked || arena->store.state == LOFTI_STORE_POISONED) {
        return LOFT_OK; /* no memory of its own, or none that counts */
    }
    lofti_file_info info = {0};
    const int error = arena->has_store ? lofti_file_info_get(&arena->store.file, &info) : 0;
    if (error != 0) {
        return lofti_status_system(error, "check the mappings of", arena->path);
    }
    const uint64_t end = lofti_arith_min(lofti_space_end(arena), arena->reserve_bytes);
    chunk_walk walk = {arena, end / LOFTI_CHUNK_BYTES, 0, UINT64_MAX, 0, NULL};
    int code = LOFT_OK;
    for (uint64_t chunk = 0; chunk < walk.count && code == LOFT_OK; chunk++) {
        code = state_check(arena, chunk * LOFTI_CHUNK_BYTES, info.bytes);
    }
    if (code != LOFT_OK) {
        return code;
    }
    const int found = lofti_map_each(arena->base, arena->reserve_bytes, area_check, &walk);
    if (found == -ENOTSUP) {
        return LOFT_OK; /* what there is to compare was compared */
    }
    if (found < 0) {
        return lofti_status_system(found, "check the mappings of", arena->path);
    }
    if (found == 0 && walk.expected < arena->reserve_bytes) {
        (void)gap_check(&walk, walk.expected, arena->reserve_bytes);
    }
    if (walk.why == NULL && walk.gap != UINT64_MAX && lofti_map_lists_held()) {
        walk.wrong = walk.gap;
        walk.why = "nothing is mapped there";
    }
    return walk.why == NULL ? LOFT_OK : chunk_wrong(arena, walk.wrong, walk.why);
}
