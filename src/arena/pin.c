/*
 * arena/pin.c - what the tracker cannot know, and what it is checked against.
 *
 * Pins: pages that a device writes (O_DIRECT reads, fixed buffers of io_uring). Such a store is no store of
 *   the program's and escapes every tracker; and it goes to the memory that was there when the device was
 *   given it. So a pinned page counts as changed at every commit, and its chunk is never returned to the file.
 * LOFT_VERIFY: every commit compares every page that the tracker did not report with its committed image.
 * max_dirty_bytes: the memory that commits and checkpoints would give back.
 *
 * Threads: pins from any, by pins_mutex; the rest as commit.
 */
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/misuse.h"
#include "base/status.h"
#include "heap/annotate.h"
#include "os/map.h"

/* The first table: 64 KiB, the largest page size there is. */
enum { PIN_CAPACITY_MIN = 4096 };

/* --- Pins ------------------------------------------------------------------------------------------ */

static int pins_grow(loft_arena *arena)
{
    const uint64_t capacity = lofti_arith_max(arena->pin_capacity * 2, PIN_CAPACITY_MIN);
    void *memory = NULL;
    const int error =
        lofti_map_place(capacity * sizeof *arena->pins, 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    if (error != 0) {
        return lofti_status_system(error, "pin", arena->path);
    }
    if (arena->pins != NULL) {
        memcpy(memory, arena->pins, arena->pin_count * sizeof *arena->pins);
        (void)lofti_map_release(arena->pins, arena->pin_capacity * sizeof *arena->pins);
    }
    arena->pins = memory;
    arena->pin_capacity = capacity;
    return LOFT_OK;
}

void lofti_pin_release(loft_arena *arena)
{
    if (arena->pins != NULL) {
        (void)lofti_map_release(arena->pins, arena->pin_capacity * sizeof *arena->pins);
        arena->pins = NULL;
    }
    arena->pin_count = arena->pin_capacity = 0;
}

/* The pages that hold the range. */
static int pin_range(const loft_arena *arena, const char *operation, const void *start,
                     size_t bytes, lofti_pin *out)
{
    const int code = lofti_arena_usable(arena, operation, true);
    if (code != LOFT_OK) {
        return code;
    }
    if (!arena->has_store) {
        return lofti_status_fail(LOFT_ENOTSUP, operation, NULL, "the arena has no file of its own");
    }
    const uint64_t off = (uint64_t)((uintptr_t)start - (uintptr_t)arena->base);
    if (off < LOFTI_HEAP_OFF || bytes == 0 ||
        !lofti_arith_inside(off, bytes, arena->reserve_bytes)) {
        return lofti_status_fail(LOFT_ERANGE, operation, arena->path,
                                 "%p, %zu bytes, is no range of the arena's", start, bytes);
    }
    const uint64_t first = lofti_arith_down(off, LOFTI_PAGE_BYTES);
    *out = (lofti_pin){first, lofti_arith_round_up(off + bytes, LOFTI_PAGE_BYTES) - first, false,
                       false};
    return LOFT_OK;
}

int loft_arena_pin(loft_arena *arena, const void *start, size_t bytes)
{
    lofti_pin range = {0};
    int code = pin_range(arena, "pin", start, bytes, &range);
    if (code != LOFT_OK) {
        return code;
    }
    (void)pthread_mutex_lock(&arena->pins_mutex);
    if (arena->pin_count == arena->pin_capacity) {
        code = pins_grow(arena);
    }
    if (code == LOFT_OK) {
        arena->pins[arena->pin_count++] = range;
    }
    (void)pthread_mutex_unlock(&arena->pins_mutex);
    return code;
}

int loft_arena_unpin(loft_arena *arena, const void *start, size_t bytes)
{
    lofti_pin range = {0};
    int code = pin_range(arena, "unpin", start, bytes, &range);
    if (code != LOFT_OK) {
        return code;
    }
    (void)pthread_mutex_lock(&arena->pins_mutex);
    uint64_t i = 0;
    while (i < arena->pin_count && (arena->pins[i].ended || arena->pins[i].off != range.off ||
                                    arena->pins[i].bytes != range.bytes)) {
        i++;
    }
    if (i < arena->pin_count) {
        arena->pins[i].ended = true; /* the device's last stores are in no commit yet */
    } else {
        code = lofti_status_fail(LOFT_ENOENT, "unpin", arena->path, "%p, %zu bytes, is not pinned",
                                 start, bytes);
    }
    (void)pthread_mutex_unlock(&arena->pins_mutex);
    return code;
}

bool lofti_pin_holds(loft_arena *arena, uint64_t off, uint64_t bytes)
{
    bool holds = false;
    (void)pthread_mutex_lock(&arena->pins_mutex);
    for (uint64_t i = 0; i < arena->pin_count && !holds; i++) {
        const lofti_pin *pin = &arena->pins[i];
        holds = pin->off < off + bytes && off < pin->off + pin->bytes;
    }
    (void)pthread_mutex_unlock(&arena->pins_mutex);
    return holds;
}

/* The part of a pin that is the heap's, chunk by chunk: a rollback may have taken some away. */
static int pin_report(loft_arena *arena, const lofti_pin *pin, lofti_track_fn *fn, void *context)
{
    int code = LOFT_OK;
    const uint64_t end = pin->off + pin->bytes;
    for (uint64_t off = pin->off; off < end && code == LOFT_OK;) {
        const uint64_t stop =
            lofti_arith_min(end, lofti_arith_down(off, LOFTI_CHUNK_BYTES) + LOFTI_CHUNK_BYTES);
        if (lofti_space_accessible(arena, off, stop - off)) {
            code = fn(context, off / LOFTI_PAGE_BYTES, arena->base + off,
                      (stop - off) / LOFTI_PAGE_BYTES);
        }
        off = stop;
    }
    return code;
}

int lofti_pin_each(loft_arena *arena, lofti_track_fn *fn, void *context)
{
    int code = LOFT_OK;
    (void)pthread_mutex_lock(&arena->pins_mutex);
    for (uint64_t i = 0; i < arena->pin_count && code == LOFT_OK; i++) {
        arena->pins[i].seen = arena->pins[i].ended;
        code = pin_report(arena, &arena->pins[i], fn, context);
    }
    (void)pthread_mutex_unlock(&arena->pins_mutex);
    return code;
}

void lofti_pin_settled(loft_arena *arena)
{
    (void)pthread_mutex_lock(&arena->pins_mutex);
    for (uint64_t i = arena->pin_count; i-- > 0;) {
        if (arena->pins[i].seen) {
            arena->pins[i] = arena->pins[--arena->pin_count];
        }
    }
    (void)pthread_mutex_unlock(&arena->pins_mutex);
}

/* --- Memory ---------------------------------------------------------------------------------------- */

void lofti_dirty_grown(loft_arena *arena, uint64_t bytes)
{
    const uint64_t grown = atomic_fetch_add(&arena->grown_bytes, bytes) + bytes;
    const uint64_t dirty = grown + atomic_load(&arena->kept_bytes);
    if (arena->max_dirty_bytes != 0 && dirty > arena->max_dirty_bytes && arena->dirty_fn != NULL &&
        !atomic_exchange(&arena->dirty_told, true)) {
        arena->dirty_fn(arena->dirty_context, dirty);
    }
}

bool lofti_dirty_committed(loft_arena *arena)
{
    const uint64_t kept = arena->store.index.count * LOFTI_PAGE_BYTES + arena->store.placed_bytes;
    atomic_store(&arena->grown_bytes, 0);
    atomic_store(&arena->kept_bytes, kept);
    atomic_store(&arena->dirty_told, false);
    return arena->max_dirty_bytes != 0 && kept > arena->max_dirty_bytes;
}

/* --- LOFT_VERIFY ------------------------------------------------------------------------------------- */

int lofti_verify_begin(loft_arena *arena, uint64_t frontier, lofti_verify *verify)
{
    const uint64_t pages = lofti_arith_max(frontier, lofti_space_end(arena)) / LOFTI_PAGE_BYTES;
    *verify = (lofti_verify){.arena = arena, .pages = pages};
    verify->bytes = lofti_arith_round_up(pages / 8 + 1, lofti_map_page_bytes());
    void *memory = NULL;
    const int error = lofti_map_place(verify->bytes, 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    verify->seen = memory;
    return error == 0 ? LOFT_OK : lofti_status_system(error, "commit", arena->path);
}

void lofti_verify_end(lofti_verify *verify)
{
    for (uint64_t i = 0; i < verify->missed_count; i++) {
        const loft_arena *arena = verify->arena;
        const uint64_t off = verify->missed[i] * LOFTI_PAGE_BYTES;
        lofti_misuse_report(
            LOFT_MISUSE_UNTRACKED, arena->base + off,
            "commit of '%s': the page at offset %llu changed without a store of the "
            "program's; a device that writes there needs loft_arena_pin",
            arena->path, (unsigned long long)off);
    }
    if (verify->seen != NULL) {
        (void)lofti_map_release(verify->seen, verify->bytes);
        verify->seen = NULL;
    }
}

void lofti_verify_seen(lofti_verify *verify, uint64_t page_idx, uint64_t count)
{
    for (uint64_t i = page_idx; i < page_idx + count && i < verify->pages; i++) {
        verify->seen[i / 8] |= (uint8_t)(1u << (i % 8));
    }
}

static int verify_page(lofti_verify *verify, uint64_t page_idx)
{
    loft_arena *arena = verify->arena;
    uint8_t committed[LOFTI_PAGE_BYTES] = {0};
    lofti_annotate_scratch scratch;
    const uint8_t *page = lofti_annotate_read(&scratch, arena->base + page_idx * LOFTI_PAGE_BYTES);
    if (page_idx * LOFTI_PAGE_BYTES < arena->store.frontier) {
        const int code = lofti_store_read_page(&arena->store, page_idx, committed);
        if (code != LOFT_OK) {
            return code;
        }
    }
    if (memcmp(committed, page, LOFTI_PAGE_BYTES) == 0) {
        return LOFT_OK;
    }
    atomic_fetch_add(&arena->missed_pages, 1);
    if (verify->missed_count < LOFTI_VERIFY_TOLD) {
        verify->missed[verify->missed_count++] = page_idx;
    }
    return lofti_store_page(&arena->store, page_idx, page);
}

static int verify_run(void *context, uint64_t off, uint64_t bytes, int state)
{
    lofti_verify *verify = context;
    int code = LOFT_OK;
    (void)state;
    const uint64_t end = lofti_arith_min((off + bytes) / LOFTI_PAGE_BYTES, verify->pages);
    for (uint64_t i = off / LOFTI_PAGE_BYTES; i < end && code == LOFT_OK; i++) {
        if (((unsigned)verify->seen[i / 8] >> (i % 8) & 1u) == 0) {
            code = verify_page(verify, i);
        }
    }
    return code;
}

int lofti_verify_rest(lofti_verify *verify)
{
    return lofti_space_each_run(verify->arena, verify_run, verify);
}
