/*
 * arena/commit.c - commit, rollback and checkpoint of a file arena.
 *
 * Threads: one at a time, by arena->commit_mutex. The gate keeps the mutators out while pages are looked at; threads that
 * end meanwhile, outside of any section, are kept out by holding the heap.
 */
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/misuse.h"
#include "base/status.h"
#include "heap/annotate.h"
#include "os/sys.h"

/* A commit that has so much behind the frontier writes it in place. That costs one flush more (0.1 to some ms), and
 * saves writing it twice, to the journal and at the checkpoint: 2 MiB take a disk of 2 GB/s one millisecond. */
#define COMMIT_BULK_BYTES ((uint64_t)2 << 20)

typedef struct commit_capture {
    loft_arena *arena;
    bool bulk;
    lofti_verify verify;
} commit_capture;

/* Pages that are marked as nobody's cannot be read as they lie: one by one then (heap/annotate.h). */
static int capture_pages(commit_capture *capture, uint64_t page_idx, const uint8_t *pages,
                         uint64_t count)
{
    lofti_store *store = &capture->arena->store;
    int (*const take)(lofti_store *, uint64_t, const void *, uint64_t) =
        capture->bulk ? lofti_store_bulk : lofti_store_pages;
    if (!LOFTI_ANNOTATE) {
        return take(store, page_idx, pages, count);
    }
    int code = LOFT_OK;
    for (uint64_t i = 0; i < count && code == LOFT_OK; i++) {
        lofti_annotate_scratch scratch;
        code = take(store, page_idx + i,
                    lofti_annotate_read(&scratch, pages + i * LOFTI_PAGE_BYTES), 1);
    }
    return code;
}

static int capture_run(void *context, uint64_t page_idx, uint8_t *pages, uint64_t count)
{
    commit_capture *capture = context;
    if (capture->verify.seen != NULL) {
        lofti_verify_seen(&capture->verify, page_idx, count);
    }
    int code = capture_pages(capture, page_idx, pages, count);
    for (uint64_t i = 0; i < count && code == LOFT_OK; i++) {
        code = lofti_track_note(capture->arena, page_idx + i, pages + i * LOFTI_PAGE_BYTES);
    }
    return code;
}

static int gate_close(loft_arena *arena, const char *operation)
{
    arena->gate_closed_ns = lofti_sys_now_ns();
    return lofti_gate_close(&arena->gate, arena->gate_timeout_ms) == LOFT_OK
               ? LOFT_OK
               : lofti_status_fail(LOFT_EBUSY, operation, arena->path,
                                   "a thread stayed inside its mutation section for %llu ms",
                                   (unsigned long long)arena->gate_timeout_ms);
}

static void gate_open(loft_arena *arena)
{
    lofti_gate_open(&arena->gate);
    const uint64_t pause_ns = lofti_sys_now_ns() - arena->gate_closed_ns;
    atomic_store(&arena->pause_last_ns, pause_ns);
    if (pause_ns > atomic_load(&arena->pause_max_ns)) {
        atomic_store(&arena->pause_max_ns, pause_ns);
    }
    atomic_fetch_add(&arena->pause_total_ns, pause_ns);
    atomic_fetch_add(&arena->pause_count, 1);
}

/* Gate closed, heap held: into the draft goes what every page holds at this moment. */
static int commit_capture_all(commit_capture *capture, bool flush, uint64_t *frontier)
{
    loft_arena *arena = capture->arena;
    lofti_cold_drop(arena); /* before: should memory be lost in it, no commit begins */
    int code = lofti_store_begin(&arena->store);
    if (code != LOFT_OK) {
        return code;
    }
    /* Whole chunks: a heap that was saved from memory may end inside one. And what a file says never falls. */
    *frontier = lofti_arith_max(
        arena->store.frontier,
        lofti_arith_round_up(LOFTI_HEAP_OFF + lofti_heap_end_off(arena->heap), LOFTI_CHUNK_BYTES));
    capture->bulk = flush && lofti_track_many(arena, arena->store.frontier, *frontier,
                                              COMMIT_BULK_BYTES); /* B1: not without a flush */
    if (arena->verify) {
        code = lofti_verify_begin(arena, *frontier, &capture->verify);
    }
    if (code == LOFT_OK) {
        code = lofti_track_changed(arena, capture_run, capture);
    }
    if (code == LOFT_OK && arena->verify) {
        code = lofti_verify_rest(&capture->verify);
    }
    if (code != LOFT_OK && arena->store.state == LOFTI_STORE_OPEN) {
        lofti_store_cancel(&arena->store);
    }
    return code;
}

static int commit_take(loft_arena *arena, bool flush, uint64_t *frontier)
{
    commit_capture capture = {.arena = arena};
    /* Mutators that wait at the gate must not wait for the device too. Asked before the heap is held: a thread that
     * forks takes the lock behind this first, and the heaps' then. */
    arena->store.writes_back = !lofti_gate_shared(&arena->gate);
    lofti_heap_hold(arena->heap);
    const int code = commit_capture_all(&capture, flush, frontier);
    lofti_heap_let_go(arena->heap);
    lofti_verify_end(&capture.verify);
    return code;
}

int lofti_commit_locked(loft_arena *arena, bool flush)
{
    uint64_t frontier = 0;
    int code = gate_close(arena, "commit");
    if (code != LOFT_OK) {
        return code;
    }
    code = commit_take(arena, flush, &frontier);
    gate_open(arena);
    if (code == LOFT_OK) {
        code = flush ? lofti_store_commit(&arena->store, frontier)
                     : lofti_store_commit_unflushed(&arena->store, frontier);
    }
    if (code == LOFT_OK || LOFTI_FAULT(SETTLED_EARLY)) {
        lofti_track_settled(arena); /* C7: only now; a failed commit's pages are looked at again */
    }
    return code;
}

int lofti_checkpoint_locked(loft_arena *arena)
{
    if (!lofti_store_has_journal(&arena->store)) {
        return lofti_store_writable(&arena->store, "checkpoint");
    }
    if (lofti_snapshot_postpones(arena)) {
        return lofti_status_fail(LOFT_EPENDING, "checkpoint", arena->path,
                                 "held off by a snapshot, which will do it at its end");
    }
    lofti_punch punch;
    const bool punches = lofti_punch_note(arena, &punch) == LOFT_OK;
    int code = lofti_store_checkpoint(&arena->store);
    if (code == LOFT_OK && gate_close(arena, "checkpoint") == LOFT_OK) {
        /* Returning memory is a saving: where the gate cannot be closed it waits for the next time. */
        if (punches) {
            lofti_punch_free(arena, &punch);
        }
        lofti_heap_hold(arena->heap);
        lofti_space_return(arena);
        lofti_heap_let_go(arena->heap);
        gate_open(arena);
    }
    lofti_punch_end(&punch);
    code = code == LOFT_OK ? lofti_store_punched(&arena->store) : code;
    if (code == LOFT_OK) {
        lofti_track_trim(arena);
        (void)lofti_dirty_committed(arena);
    }
    return code;
}

/* Common to the three: the handle, the kind, the lock. */
static int commit_enter(loft_arena *arena, const char *operation)
{
    const int code = lofti_arena_usable(arena, operation, false);
    if (code != LOFT_OK) {
        return code;
    }
    LOFTI_ASSERT(arena != NULL); /* usable */
    if (!arena->has_store) {
        return lofti_status_fail(LOFT_ENOTSUP, operation, NULL, "the arena has no file of its own");
    }
    if (!arena->writable) {
        return lofti_status_fail(LOFT_EREADONLY, operation, arena->path, "opened read-only");
    }
    if (lofti_gate_inside(&arena->gate)) {
        lofti_misuse_report(LOFT_MISUSE_SECTION, arena,
                            "%s inside the thread's own mutation section of '%s'", operation,
                            arena->path);
        return LOFT_EINVAL;
    }
    (void)pthread_mutex_lock(&arena->commit_mutex);
    return LOFT_OK;
}

static int commit_and_limit(loft_arena *arena, bool wait, uint64_t *sequence)
{
    int code = commit_enter(arena, "commit");
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_commit_locked(arena, wait && arena->durability != LOFT_ORDERED);
    *sequence = arena->store.sequence;
    const bool full = code == LOFT_OK && lofti_dirty_committed(arena);
    if (code == LOFT_OK &&
        (full || lofti_store_pending_bytes(&arena->store) > arena->journal_limit_bytes) &&
        !lofti_snapshot_postpones(arena)) {
        code = lofti_checkpoint_locked(arena);
    }
    (void)pthread_mutex_unlock(&arena->commit_mutex);
    return code;
}

int loft_arena_commit(loft_arena *arena)
{
    uint64_t sequence = 0;
    return commit_and_limit(arena, true, &sequence);
}

int loft_arena_commit_async(loft_arena *arena, uint64_t *sequence)
{
    uint64_t own = 0;
    const int code = commit_and_limit(arena, false, &own);
    if (sequence != NULL) {
        *sequence = own;
    }
    return code;
}

int loft_arena_wait(loft_arena *arena, uint64_t sequence)
{
    const int code = commit_enter(arena, "wait");
    if (code != LOFT_OK) {
        return code;
    }
    const uint64_t newest = arena->store.sequence;
    (void)pthread_mutex_unlock(&arena->commit_mutex);
    /* Outside of the lock: other threads go on committing, and their commits share the next flush. */
    return lofti_store_wait(&arena->store, sequence < newest ? sequence : newest, newest);
}

int loft_arena_checkpoint(loft_arena *arena)
{
    int code = commit_enter(arena, "checkpoint");
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_checkpoint_locked(arena);
    (void)pthread_mutex_unlock(&arena->commit_mutex);
    return code;
}

/* --- Rollback ------------------------------------------------------------------------------- */

typedef struct rollback_run {
    loft_arena *arena;
    uint64_t restored; /* pages */
} rollback_run;

static int restore_run(void *context, uint64_t page_idx, uint8_t *pages, uint64_t count)
{
    rollback_run *run = context;
    loft_arena *arena = run->arena;
    const uint64_t end_idx = arena->store.frontier / LOFTI_PAGE_BYTES;
    if (page_idx >= end_idx) {
        return LOFT_OK; /* chunks behind the frontier are given back as a whole */
    }
    count = lofti_arith_min(count, end_idx - page_idx);
    run->restored += count;
    if (LOFTI_FAULT(ROLLBACK_DROPS) &&
        (arena->chunk_states[page_idx * LOFTI_PAGE_BYTES / LOFTI_CHUNK_BYTES] & LOFTI_CHUNK_KIND) ==
            LOFTI_CHUNK_ANON) {
        memset(pages, 0, count * LOFTI_PAGE_BYTES);
        return LOFT_OK;
    }
    /* C9: from base images and newest records, whatever kind of memory it is now. */
    int code = lofti_store_read_pages(&arena->store, page_idx, pages, count);
    for (uint64_t i = 0; i < count && code == LOFT_OK; i++) {
        code = lofti_track_note(arena, page_idx + i, pages + i * LOFTI_PAGE_BYTES);
    }
    return code;
}

static int rollback_locked(loft_arena *arena)
{
    int code = lofti_store_writable(&arena->store, "rollback");
    if (code != LOFT_OK) {
        return code;
    }
    lofti_annotate_forget(arena->heap); /* pages are read and written as a whole */
    rollback_run run = {arena, 0};
    code = lofti_track_undo(arena, restore_run, &run);
    if (code == LOFT_OK) {
        code = lofti_space_shrink(arena, arena->store.frontier);
    }
    if (code == LOFT_OK) {
        code = lofti_heap_reload(arena->heap);
    }
    if (code != LOFT_OK) {
        /* Some pages are old, some new: this memory must never be committed. */
        arena->store.state = LOFTI_STORE_POISONED;
        return code;
    }
    lofti_track_undone(arena, run.restored);
    return LOFT_OK;
}

int loft_arena_rollback(loft_arena *arena)
{
    int code = commit_enter(arena, "rollback");
    if (code != LOFT_OK) {
        return code;
    }
    code = gate_close(arena, "rollback");
    if (code == LOFT_OK) {
        (void)pthread_rwlock_wrlock(&arena->roots_lock);
        lofti_heap_hold(arena->heap);
        code = rollback_locked(arena);
        lofti_heap_let_go(arena->heap);
        (void)pthread_rwlock_unlock(&arena->roots_lock);
        gate_open(arena);
    }
    (void)pthread_mutex_unlock(&arena->commit_mutex);
    return code;
}

/* --- Mutation sections ------------------------------------------------------------------------ */

void loft_arena_enter(loft_arena *arena)
{
    /* Without a slot (no memory) the thread is not inside, and its leave reports that. */
    (void)lofti_gate_enter(&arena->gate);
}

/* Not inlined: leave keeps no register for it. */
static __attribute__((noinline)) void section_leave(loft_arena *arena)
{
    if (!lofti_gate_leave(&arena->gate)) {
        lofti_misuse_report(LOFT_MISUSE_SECTION, arena,
                            "leave without enter in this thread, arena '%s'", arena->path);
    }
}

void loft_arena_leave(loft_arena *arena)
{
    if (LOFTI_UNLIKELY(!lofti_gate_leave_last(&arena->gate))) {
        section_leave(arena);
    }
}
