/*
 * arena/cold.c - clean pages that commits need not look at.
 *
 * A page of the file that a program has read stays in the process's page table, and the look for private
 * pages that no watch covers meets it at every commit: 8 ms for each GiB that is mapped by 4 KiB. Mapping the file afresh over
 * a chunk without private pages takes them out of the table; whoever reads them again pays one fault for many.
 *
 * When, as one who hires or buys decides: a look that takes long (dear) is put up with `patience` times in a row, then a pass
 * over the arena begins, as much of it in each commit as takes about what the look took. If looks are dear again behind it,
 * the program reads all the time, and the patience doubles; it falls back once so many looks in a row were calm.
 *
 * Invariant: only a chunk that shows nothing but the file is mapped afresh, while nobody stores to it (chunk.h,
 * REFRESHED). Its pages that have a record in the journal are private, as memory shows the record; so it has none.
 */
#include "arena/arena.h"
#include "base/arith.h"
#include "base/fault.h"
#include "os/sys.h"

enum {
    COLD_DEAR_NS = 150000, /* less is not worth a pass */
    COLD_PAGE_NS = 4000, /* what a private page in the look may cost: it is hashed, or committed */
    COLD_PATIENCE = 4,
    COLD_PATIENCE_MAX = 1024,
    COLD_RUN_CHUNKS = 16 /* mapped by one call, and between two looks at the clock */
};

void lofti_cold_start(loft_arena *arena)
{
    arena->cold =
        (lofti_cold){.dear_ns = COLD_DEAR_NS, .page_ns = COLD_PAGE_NS, .patience = COLD_PATIENCE};
}

void lofti_cold_looked(loft_arena *arena, uint64_t ns, uint64_t private_pages)
{
    lofti_cold *cold = &arena->cold;
    cold->look_ns = ns;
    if (ns <= cold->dear_ns + private_pages * cold->page_ns) {
        cold->dear = 0;
        cold->next_off = 0;
        if (++cold->calm >= cold->patience) {
            cold->patience = COLD_PATIENCE;
        }
        return;
    }
    cold->calm = 0;
    if (cold->next_off == 0 && ++cold->dear >= cold->patience) {
        cold->next_off = LOFTI_HEAP_OFF;
    }
}

static bool is_candidate(loft_arena *arena, uint64_t off)
{
    return arena->chunk_states[off / LOFTI_CHUNK_BYTES] == LOFTI_CHUNK_FILE &&
           !lofti_pin_holds(arena, off, LOFTI_CHUNK_BYTES);
}

static bool is_clean(loft_arena *arena, uint64_t off, uint64_t bytes)
{
    return !lofti_track_private(arena, off, bytes) || LOFTI_FAULT(REFRESH_CHANGED);
}

/* A run of candidates, at most COLD_RUN_CHUNKS: all of it if all is clean (most are), else those chunks that are. Returns:
 * where to go on. */
static uint64_t drop_run(loft_arena *arena, uint64_t off, uint64_t end)
{
    const uint64_t limit = lofti_arith_min(end, off + COLD_RUN_CHUNKS * LOFTI_CHUNK_BYTES);
    uint64_t next = off;
    while (next < limit && is_candidate(arena, next)) {
        next += LOFTI_CHUNK_BYTES;
    }
    if (next == off) {
        return off + LOFTI_CHUNK_BYTES;
    }
    if (is_clean(arena, off, next - off)) {
        lofti_space_file_over(arena, off, next - off, LOFTI_CHUNK_REFRESHED);
        return next;
    }
    for (uint64_t at = off; at < next; at += LOFTI_CHUNK_BYTES) {
        if (is_clean(arena, at, LOFTI_CHUNK_BYTES)) {
            lofti_space_file_over(arena, at, LOFTI_CHUNK_BYTES, LOFTI_CHUNK_REFRESHED);
        }
    }
    return next;
}

void lofti_cold_drop(loft_arena *arena)
{
    lofti_cold *cold = &arena->cold;
    if (cold->next_off == 0 || arena->store.state == LOFTI_STORE_POISONED) {
        return;
    }
    const uint64_t begin_ns = lofti_sys_now_ns();
    const uint64_t end = lofti_arith_min(lofti_space_end(arena), arena->reserve_bytes);
    do {
        cold->next_off = drop_run(arena, cold->next_off, end);
    } while (cold->next_off < end && lofti_sys_now_ns() - begin_ns < cold->look_ns);
    if (cold->next_off >= end) {
        cold->next_off = 0;
        cold->dear = 0;
        cold->patience = lofti_arith_min(cold->patience * 2, COLD_PATIENCE_MAX);
    }
}
