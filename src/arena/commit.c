/*
 * arena/commit.c - commit, rollback and checkpoint of a file arena.
 *
 * Threads: one at a time, by arena->commit_mutex. The gate keeps the mutators out while pages are looked at.
 */
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/misuse.h"
#include "base/status.h"

static int commit_page(void *context, uint64_t page_idx, uint8_t *page)
{
    loft_arena *arena = context;
    const int code = lofti_store_page(&arena->store, page_idx, page);
    return code == LOFT_OK ? lofti_track_note(arena, page_idx, page) : code;
}

static int gate_close(loft_arena *arena, const char *operation)
{
    return lofti_gate_close(&arena->gate, arena->gate_timeout_ms) == LOFT_OK
               ? LOFT_OK
               : lofti_status_fail(LOFT_EBUSY, operation, arena->path,
                                   "a thread stayed inside its mutation section for %llu ms",
                                   (unsigned long long)arena->gate_timeout_ms);
}

/* Gate closed: into the draft goes what every page holds at this moment. */
static int commit_capture(loft_arena *arena, uint64_t *frontier)
{
    int code = lofti_store_begin(&arena->store);
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_track_changed(arena, commit_page, arena);
    if (code != LOFT_OK && arena->store.state == LOFTI_STORE_OPEN) {
        lofti_store_cancel(&arena->store);
    }
    *frontier = LOFTI_HEAP_OFF + lofti_heap_end_off(arena->heap);
    return code;
}

int lofti_commit_locked(loft_arena *arena, bool flush)
{
    uint64_t frontier = 0;
    int code = gate_close(arena, "commit");
    if (code != LOFT_OK) {
        return code;
    }
    code = commit_capture(arena, &frontier);
    lofti_gate_open(&arena->gate);
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
    const int code = lofti_store_checkpoint(&arena->store);
    if (code == LOFT_OK && lofti_gate_close(&arena->gate, arena->gate_timeout_ms) == LOFT_OK) {
        /* Returning memory is a saving: where the gate cannot be closed it waits for the next time. */
        lofti_space_return(arena);
        lofti_gate_open(&arena->gate);
    }
    if (code == LOFT_OK) {
        lofti_track_trim(arena);
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
    if (code == LOFT_OK && lofti_store_journal_bytes(&arena->store) > arena->journal_limit_bytes) {
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

static int restore_page(void *context, uint64_t page_idx, uint8_t *page)
{
    loft_arena *arena = context;
    if (page_idx * LOFTI_PAGE_BYTES >= arena->store.frontier) {
        return LOFT_OK; /* its chunk is given back as a whole */
    }
    if (LOFTI_FAULT(ROLLBACK_DROPS) &&
        (arena->chunk_states[page_idx * LOFTI_PAGE_BYTES / LOFTI_CHUNK_BYTES] & LOFTI_CHUNK_KIND) ==
            LOFTI_CHUNK_ANON) {
        memset(page, 0, LOFTI_PAGE_BYTES);
        return LOFT_OK;
    }
    /* C9: from base image and newest record, whatever kind of memory it is now. */
    const int code = lofti_store_read_page(&arena->store, page_idx, page);
    return code == LOFT_OK ? lofti_track_note(arena, page_idx, page) : code;
}

static int rollback_locked(loft_arena *arena)
{
    int code = lofti_store_writable(&arena->store, "rollback");
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_track_changed(arena, restore_page, arena);
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
    lofti_track_settled(arena);
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
        code = rollback_locked(arena);
        (void)pthread_rwlock_unlock(&arena->roots_lock);
        lofti_gate_open(&arena->gate);
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

void loft_arena_leave(loft_arena *arena)
{
    if (!lofti_gate_leave(&arena->gate)) {
        lofti_misuse_report(LOFT_MISUSE_SECTION, arena,
                            "leave without enter in this thread, arena '%s'", arena->path);
    }
}
