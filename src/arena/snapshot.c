/*
 * arena/snapshot.c - loft_arena_snapshot: an arena's last commit, as a file of its own.
 *
 * A file arena: base images and journal below the frontier of a commit do not change between checkpoints, so
 * a thread may copy them while mutators and commits go on. The gate is not closed. What holds a checkpoint off is
 * the number of running snapshots; what keeps snapshots from holding it off for ever is the turn:
 *
 *   commit      journal over its limit -> postponed, checkpoint_due         snapshots running: 2
 *   snapshot    begins -> waits while one is due and others still run
 *   snapshot    the last one ends -> does the checkpoint, checkpoint_turn + 1, those that wait begin
 *
 * A snapshot waits for one turn at most, so neither starves the other.
 *
 * An anonymous arena, or one over a caller's memory, has no commit: its memory is copied as it is, with the gate
 * closed.
 *
 * Lock order: commit_mutex (held while the view is taken, or for the whole copy of memory), then the gate.
 */
#include <string.h>

#include "arena/arena.h"
#include "arena/target.h"
#include "base/arith.h"
#include "base/misuse.h"
#include "base/status.h"
#include "heap/annotate.h"
#include "journal/copy.h"
#include "os/sys.h"

static const unsigned snapshot_flags_known = LOFT_REPLACE | LOFT_ALLOW_REMOTE;

bool lofti_snapshot_postpones(loft_arena *arena)
{
    if (arena->snapshots == 0) {
        return false;
    }
    arena->checkpoint_due = true;
    return true;
}

/* --- A file arena: its last commit ---------------------------------------------------------------------- */

static int view_take(loft_arena *arena, lofti_store *view, bool *may_clone)
{
    (void)pthread_mutex_lock(&arena->commit_mutex);
    const uint64_t turn = arena->checkpoint_turn;
    while (arena->checkpoint_due && arena->snapshots > 0 && arena->checkpoint_turn == turn) {
        (void)pthread_cond_wait(&arena->snapshot_turn, &arena->commit_mutex);
    }
    const int code = lofti_view_begin(&arena->store, view);
    if (code == LOFT_OK) {
        arena->snapshots++;
        /* A source whose flush failed is not to be flushed again, which sharing its blocks begins with. */
        *may_clone = arena->store.state != LOFTI_STORE_POISONED;
    }
    (void)pthread_mutex_unlock(&arena->commit_mutex);
    return code;
}

/* `well`: the snapshot has not failed; if it has, its sentence must stay, and a commit does the checkpoint. */
static void view_drop(loft_arena *arena, lofti_store *view, bool well)
{
    lofti_view_end(view);
    (void)pthread_mutex_lock(&arena->commit_mutex);
    if (--arena->snapshots == 0 && arena->checkpoint_due) {
        if (well) {
            /* Whatever it answers: held off by a reader, it is as it would be without snapshots. */
            (void)lofti_checkpoint_locked(arena);
        }
        arena->checkpoint_due = false;
        arena->checkpoint_turn++;
        (void)pthread_cond_broadcast(&arena->snapshot_turn);
    }
    (void)pthread_mutex_unlock(&arena->commit_mutex);
}

static int snapshot_store(loft_arena *arena, lofti_copy *copy)
{
    lofti_store view;
    int code = view_take(arena, &view, &copy->may_clone);
    if (code != LOFT_OK) {
        return code;
    }
    copy->identity.base = view.super.base;
    code = lofti_copy_store(&view, copy);
    view_drop(arena, &view, code == LOFT_OK);
    return code;
}

/* --- An arena without a file: its memory -------------------------------------------------------------- */

static const uint8_t *memory_page(void *context, uint64_t off, uint8_t *scratch)
{
    const loft_arena *arena = context;
    const uint8_t *page = arena->base + LOFTI_HEAP_OFF + off;
    if (!LOFTI_ANNOTATE) {
        return page;
    }
    lofti_annotate_scratch copied;
    memcpy(scratch, lofti_annotate_read(&copied, page), LOFTI_PAGE_BYTES);
    return scratch;
}

static int snapshot_memory(loft_arena *arena, lofti_copy *copy)
{
    (void)pthread_mutex_lock(&arena->commit_mutex);
    const uint64_t start_ns = lofti_sys_now_ns();
    int code = lofti_gate_close(&arena->gate, arena->gate_timeout_ms);
    if (code == LOFT_OK) {
        copy->identity.base = arena->over
                                  ? lofti_arena_base_choose(copy->identity.uuid,
                                                            lofti_window_default().reserve_bytes, 0)
                                  : arena->stored_base;
        lofti_heap_defer_ends(arena->heap); /* of threads outside of all sections */
        (void)pthread_rwlock_rdlock(&arena->roots_lock);
        const uint64_t bytes =
            lofti_arith_round_up(lofti_heap_end_off(arena->heap), LOFTI_PAGE_BYTES);
        code = lofti_copy_memory(bytes, memory_page, arena, copy);
        (void)pthread_rwlock_unlock(&arena->roots_lock);
        lofti_heap_resume_ends(arena->heap);
        lofti_gate_open(&arena->gate);
        atomic_store(
            &arena->snapshot_held_ns,
            lofti_arith_max(atomic_load(&arena->snapshot_held_ns), lofti_sys_now_ns() - start_ns));
    } else {
        code = lofti_status_fail(LOFT_EBUSY, "snapshot", copy->path,
                                 "a thread stayed inside its mutation section for %llu ms",
                                 (unsigned long long)arena->gate_timeout_ms);
    }
    (void)pthread_mutex_unlock(&arena->commit_mutex);
    return code;
}

/* --- Both ------------------------------------------------------------------------------------------------- */

static int snapshot_check(loft_arena *arena, const char *path, unsigned flags)
{
    const int code = lofti_arena_usable(arena, "snapshot", false);
    if (code != LOFT_OK) {
        return code;
    }
    if ((flags & ~snapshot_flags_known) != 0) {
        return lofti_status_fail(LOFT_EINVAL, "snapshot", path, "unknown flags 0x%x",
                                 flags & ~snapshot_flags_known);
    }
    if (lofti_gate_inside(&arena->gate)) {
        lofti_misuse_report(LOFT_MISUSE_SECTION, arena,
                            "snapshot inside the thread's own mutation section of '%s'",
                            arena->path);
        return LOFT_EINVAL;
    }
    return LOFT_OK;
}

int lofti_snapshot_identity(lofti_store_identity *identity)
{
    int error = lofti_sys_random(identity->uuid, sizeof identity->uuid);
    if (error == 0) {
        error = lofti_sys_random(&identity->salt, sizeof identity->salt);
    }
    lofti_arena_uuid(identity->uuid);
    identity->created_ns = lofti_sys_wall_ns();
    return error;
}

static int snapshot_write(loft_arena *arena, lofti_target *target, loft_progress_fn *fn,
                          void *context)
{
    lofti_copy copy = {
        .to = &target->file, .path = target->path, .progress = fn, .progress_context = context};
    const int error = lofti_snapshot_identity(&copy.identity);
    if (error != 0) {
        return lofti_status_system(error, "snapshot", target->path);
    }
    return arena->has_store ? snapshot_store(arena, &copy) : snapshot_memory(arena, &copy);
}

int loft_arena_snapshot(loft_arena *arena, const char *path, unsigned flags, loft_progress_fn *fn,
                        void *context)
{
    int code = snapshot_check(arena, path, flags);
    if (code != LOFT_OK) {
        return code;
    }
    lofti_target target;
    code = lofti_target_begin(&target, "snapshot", path, flags,
                              arena->has_store ? &arena->store.file : NULL);
    if (code != LOFT_OK) {
        return code;
    }
    code = snapshot_write(arena, &target, fn, context);
    if (code != LOFT_OK) {
        lofti_target_cancel(&target);
        return code;
    }
    code = lofti_target_publish(&target);
    if (code == LOFT_OK) {
        atomic_fetch_add(&arena->snapshot_count, 1);
    }
    return code;
}
