/*
 * journal/store_checkpoint.c - the base images catch up with the journal (C4, C5).
 *
 *   (a) full images of all pages whose newest record is a delta, and the frame that seals them;
 *       flush, which also covers every earlier record
 *   (b) the images to their places; flush
 *   (c) a superblock with a new epoch; flush
 *   (d) only now is the journal written from its beginning again
 *
 * A crash before (a) is flushed: the commits stand as they did. Between (a) and (c): base images may be
 * torn, but each of them has a full image in the journal. After (c): the journal is empty.
 *
 * Readers hold a shared lock while they rely on base images; (b) needs it alone.
 *
 * Then pages that nobody has in use may become holes (lofti_store_punch):
 *   P1  A base image becomes a hole only while the journal is empty and its superblock flushed, and only of a page that
 *       the newest commit has free: recovery, whatever a crash leaves of the hole, shows nobody the page.
 *   P2  That is flushed before the next commit begins. Its delta of such a page is against zeros; found with the old
 *       image below it, it would not match its hash.
 */
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/status.h"
#include "journal/log.h"
#include "os/map.h"
#include "os/sys.h"

/* How much of the journal keeps its blocks when it is rewound; the rest goes back to the file system. */
enum { CHECKPOINT_KEEP_BYTES = 64 << 20 };

static int seal_pages(lofti_store *store, const uint64_t *pages)
{
    lofti_append_begin(store, LOFTI_FRAME_SEAL, store->position, store->chain);
    if (LOFTI_FAULT(SEAL_SKIPPED)) {
        return lofti_store_flush(store, "checkpoint");
    }
    uint8_t *image = store->scratch;
    for (uint64_t i = 0; i < store->index.count; i++) {
        const lofti_index_entry *entry = lofti_index_find(&store->index, pages[i]);
        if (entry->kind == LOFTI_RECORD_FULL) {
            continue;
        }
        int code = lofti_store_read_page(store, pages[i], image);
        if (code != LOFT_OK) {
            return code;
        }
        const lofti_append_record record = {pages[i], entry->hash, image, LOFTI_PAGE_BYTES,
                                            LOFTI_RECORD_FULL};
        code = lofti_append_add(store, &store->super, &record, store->sequence, store->frontier);
        if (code != LOFT_OK) {
            return code;
        }
    }
    if (store->draft.count == 0 && atomic_load(&store->durable_sequence) >= store->sequence) {
        return LOFT_OK; /* every newest record is full and flushed already */
    }
    const int code =
        store->draft.count == 0
            ? LOFT_OK
            : lofti_append_finish(store, &store->super, store->sequence, store->frontier);
    /* Before this flush the base images are what deltas need; after it nobody needs them. */
    return code != LOFT_OK || LOFTI_FAULT(SEAL_UNFLUSHED) ? code
                                                          : lofti_store_flush(store, "checkpoint");
}

static int checkpoint_seal(lofti_store *store)
{
    uint64_t *pages = NULL;
    uint64_t bytes = 0;
    int code = lofti_store_super_trust(store);
    if (code == LOFT_OK) {
        code = lofti_store_sorted(store, &pages, &bytes);
    }
    if (code != LOFT_OK) {
        return code;
    }
    code = seal_pages(store, pages);
    (void)lofti_map_release(pages, bytes);
    if (code != LOFT_OK) {
        lofti_append_drop(store);
        return code;
    }
    if (store->draft.count > 0) {
        lofti_append_accept(store);
    }
    return LOFT_OK;
}

/* Neighbouring pages go out in one write; the frame buffer gathers them. */
typedef struct apply_run {
    uint64_t first_idx;
    uint64_t count;
} apply_run;

static int apply_flush_run(lofti_store *store, apply_run *run)
{
    LOFTI_CHECK(run->count > 0); /* there is a journal, so there are pages */
    const int error = lofti_file_write(&store->file, store->frame, run->count * LOFTI_PAGE_BYTES,
                                       run->first_idx * LOFTI_PAGE_BYTES);
    run->count = 0;
    return error == 0 ? LOFT_OK : lofti_status_system(error, "checkpoint", store->path);
}

static int apply_pages(lofti_store *store, const uint64_t *pages)
{
    apply_run run = {0, 0};
    int code = LOFT_OK;
    for (uint64_t i = 0; i < store->index.count && code == LOFT_OK; i++) {
        if (run.count == LOFTI_FRAME_BYTES_MAX / LOFTI_PAGE_BYTES ||
            (run.count > 0 && pages[i] != run.first_idx + run.count)) {
            code = apply_flush_run(store, &run);
        }
        if (code == LOFT_OK) {
            LOFTI_CHECK(lofti_index_find(&store->index, pages[i])->kind == LOFTI_RECORD_FULL ||
                        LOFTI_FAULT(SEAL_SKIPPED)); /* S5 */
            uint8_t *to = (uint8_t *)store->frame + run.count * LOFTI_PAGE_BYTES;
            code = lofti_store_read_page(store, pages[i], to);
        }
        if (code == LOFT_OK) {
            if (run.count == 0) {
                run.first_idx = pages[i];
            }
            run.count++;
        }
    }
    return code == LOFT_OK ? apply_flush_run(store, &run) : code;
}

/* Makes the file long enough. If it is already, although no durable superblock says so, its size may be in the
 * cache only, where a failed flush left it: no later flush would write it. It is changed once more. */
static int apply_size(const lofti_store *store)
{
    lofti_file_info info;
    int error = lofti_file_info_get(&store->file, &info);
    if (error != 0 || store->file_bytes <= store->super.file_bytes) {
        return error;
    }
    if (info.bytes < store->file_bytes) {
        return lofti_file_resize(&store->file, store->file_bytes);
    }
    error = lofti_file_resize(&store->file, info.bytes + LOFTI_PAGE_BYTES);
    return error == 0 ? lofti_file_resize(&store->file, info.bytes) : error;
}

static int apply_images(lofti_store *store)
{
    uint64_t *pages = NULL;
    uint64_t bytes = 0;
    int code = lofti_store_sorted(store, &pages, &bytes);
    if (code != LOFT_OK) {
        return code;
    }
    const int error = apply_size(store);
    code = error == 0 ? apply_pages(store, pages)
                      : lofti_status_system(error, "checkpoint", store->path);
    (void)lofti_map_release(pages, bytes);
    return code;
}

static int apply_rewind(lofti_store *store)
{
    lofti_super next = store->super;
    const int error = lofti_sys_random(&next.salt, sizeof next.salt);
    if (error != 0) {
        return lofti_status_system(error, "checkpoint", store->path);
    }
    if (LOFTI_FAULT(SALT_KEPT) || LOFTI_FAULT(EPOCH_UNTOLD)) {
        next.salt = store->super.salt;
    }
    next.start = 0;
    next.sequence = store->sequence;
    next.frontier = store->frontier;
    next.file_bytes = store->file_bytes;
    const int code = lofti_store_super_write(store, &next, "checkpoint");
    if (code != LOFT_OK) {
        return code;
    }
    store->position = 0;
    store->chain = next.salt;
    lofti_index_clear(&store->index);
    store->base_torn = false;
    store->placed_bytes = 0;
    store->placed_end = 0; /* the superblock says it */
    store->checkpoint_count++;
    lofti_store_publish(store);
    lofti_log_trim(store, CHECKPOINT_KEEP_BYTES);
    return LOFT_OK;
}

int lofti_store_apply(lofti_store *store)
{
    store->base_torn = true; /* until it has gone through: a failure leaves any mix */
    int code = apply_images(store);
    if (code == LOFT_OK && !LOFTI_FAULT(APPLY_UNFLUSHED)) {
        /* Before: the journal is the truth. After: the base images are as well. */
        code = lofti_store_flush(store, "checkpoint");
    }
    return code == LOFT_OK ? apply_rewind(store) : code;
}

/* A failure that leaves everything as it was committed is not the caller's: it is still to be done. */
static int checkpoint_pending(const lofti_store *store, int code)
{
    if (code == LOFT_OK || store->state == LOFTI_STORE_POISONED || code == LOFT_ECORRUPT) {
        return code;
    }
    char reason[256];
    lofti_status_copy(reason, sizeof reason);
    return lofti_status_fail(LOFT_EPENDING, "checkpoint", store->path,
                             "committed, but the journal could not be applied: %s", reason);
}

static int checkpoint_locked(lofti_store *store)
{
    const int code = checkpoint_seal(store);
    return code == LOFT_OK ? lofti_store_apply(store) : code;
}

int lofti_store_checkpoint(lofti_store *store)
{
    int code = lofti_store_writable(store, "checkpoint");
    if (code != LOFT_OK || !lofti_store_has_journal(store)) {
        return code;
    }
    if (atomic_load(&store->flush_failed)) {
        store->state = LOFTI_STORE_POISONED; /* a thread that waited found it */
        return lofti_store_writable(store, "checkpoint");
    }
    LOFTI_CHECK(store->state == LOFTI_STORE_IDLE);
    const int error =
        LOFTI_FAULT(LOCK_SKIPPED)
            ? 0
            : lofti_file_lock(&store->file, LOFTI_LOCK_EXCLUSIVE, LOFTI_STORE_LOCK_READER);
    if (error != 0) {
        return lofti_status_fail(LOFT_EPENDING, "checkpoint", store->path,
                                 "held off by a reader; the journal is kept");
    }
    code = checkpoint_pending(store, checkpoint_locked(store));
    (void)lofti_file_lock(&store->file, LOFTI_LOCK_NONE, LOFTI_STORE_LOCK_READER);
    lofti_store_verify(store);
    return code;
}

int lofti_store_punch(lofti_store *store, uint64_t off, uint64_t bytes)
{
    LOFTI_CHECK(store->state == LOFTI_STORE_IDLE && !lofti_store_has_journal(store) &&
                !store->super_stale); /* P1 */
    LOFTI_CHECK(off >= LOFTI_HEAP_OFF && lofti_arith_inside(off, bytes, store->frontier));
    store->punched = true; /* also if it fails: some of it may be done */
    return lofti_file_punch(&store->file, off, bytes);
}

int lofti_store_punched(lofti_store *store)
{
    if (!store->punched) {
        return LOFT_OK;
    }
    store->punched = false;
    /* Before: pages that nobody uses are their old images or zeros. After: zeros, and deltas may say so. */
    return LOFTI_FAULT(PUNCH_UNFLUSHED) ? LOFT_OK : lofti_store_flush(store, "checkpoint");
}
