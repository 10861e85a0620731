/*
 * journal/store_recover.c - taking over a file whose last handle did not empty its journal (C6).
 *
 * What the scan found may be in the page cache only: if the last writer's flush failed, the kernel shows
 * what the disk lacks, and a flush now would answer 0. So nothing found is relied on where it
 * lies. It is copied behind itself, as one commit of full images in an epoch of its own:
 *
 *   | old epoch: commits ... | copy: one commit, full images, new salt |
 *
 *   (0) behind the frontier: nothing (store_bulk.c)
 *   (a) the superblock as it is, into every slot that is torn; flush: what a torn one named is free now
 *   (b) copy; flush          a crash: the old epoch counts, as before
 *   (c) superblock whose epoch begins at the copy; flush
 *   (d) apply, flush, rewind: as a checkpoint
 *
 * Recovering twice, or after a crash in any step, ends in the same images.
 */
#include "base/arith.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/status.h"
#include "journal/log.h"
#include "os/map.h"
#include "os/sys.h"

/* Bytes that the copy takes at most: full frames, and one that is not. */
static uint64_t copy_bytes(uint64_t pages)
{
    const uint64_t record_bytes = sizeof(lofti_record) + LOFTI_PAGE_BYTES;
    const uint64_t records_per_frame = LOFTI_FRAME_BYTES_MAX / record_bytes;
    return (pages / records_per_frame + 1) * LOFTI_FRAME_SIZE_MAX;
}

static int copy_pages(lofti_store *store, const lofti_super *next, const uint64_t *pages)
{
    lofti_append_begin(store, LOFTI_FRAME_COMMIT, next->start, next->salt);
    uint8_t *image = store->scratch;
    for (uint64_t i = 0; i < store->index.count; i++) {
        int code = lofti_store_read_page(store, pages[i], image);
        if (code != LOFT_OK) {
            return code;
        }
        const uint64_t hash = lofti_frame_page_hash(image, pages[i], next->salt);
        const lofti_append_record record = {pages[i], hash, image, LOFTI_PAGE_BYTES,
                                            LOFTI_RECORD_FULL};
        code = lofti_append_add(store, next, &record, store->sequence, store->frontier);
        if (code != LOFT_OK) {
            return code;
        }
    }
    const int code = lofti_append_finish(store, next, store->sequence, store->frontier);
    /* Before this flush only the old epoch counts; the superblock may name the copy after it. */
    return code != LOFT_OK || LOFTI_FAULT(COPY_UNFLUSHED) ? code
                                                          : lofti_store_flush(store, "recover");
}

/* The new epoch's superblock: it begins behind the old one, with room for the copy. */
static int copy_plan(lofti_store *store, lofti_super *next)
{
    *next = store->super;
    const int error = lofti_sys_random(&next->salt, sizeof next->salt);
    if (error != 0) {
        return lofti_status_system(error, "recover", store->path);
    }
    next->start = LOFTI_FAULT(COPY_OVER_OLD) ? store->super.start : store->position;
    next->sequence = store->sequence - 1; /* the copy is commit `sequence` */
    next->file_bytes = lofti_arith_max(next->file_bytes, store->super.file_bytes);
    const uint64_t needed_bytes = copy_bytes(store->index.count);
    const uint64_t room_bytes = store->total_bytes - store->position;
    return room_bytes >= needed_bytes
               ? LOFT_OK
               : lofti_log_extend_draft(store, next, needed_bytes - room_bytes);
}

static int copy_write(lofti_store *store, lofti_super *next)
{
    uint64_t *pages = NULL;
    uint64_t bytes = 0;
    int code = lofti_store_sorted(store, &pages, &bytes);
    if (code != LOFT_OK) {
        return code;
    }
    /* Positions beyond the old extents are written through the new row of extents. */
    const lofti_super old = store->super;
    const uint64_t old_total_bytes = store->total_bytes;
    store->super.extent_count = next->extent_count;
    for (uint32_t i = 0; i < next->extent_count; i++) {
        store->super.extents[i] = next->extents[i];
    }
    store->total_bytes = lofti_log_total_bytes(next);
    code = copy_pages(store, next, pages);
    (void)lofti_map_release(pages, bytes);
    if (code == LOFT_OK) {
        if (LOFTI_FAULT(START_KEPT)) {
            next->start = old.start;
        }
        code = lofti_store_super_write(store, next, "recover");
    }
    if (code != LOFT_OK) {
        store->super = old;
        store->total_bytes = old_total_bytes;
    }
    return code;
}

int lofti_store_recover(lofti_store *store)
{
    int code = lofti_store_writable(store, "recover");
    if (code == LOFT_OK) {
        code = lofti_store_clean_opened(store);
    }
    if (code != LOFT_OK || !lofti_store_has_journal(store)) {
        return code;
    }
    if (LOFTI_FAULT(COPY_SKIPPED)) {
        return lofti_store_checkpoint(store);
    }
    lofti_super next;
    /* A slot that a crash or a failed flush has torn may name the blocks where the copy will go, and the next write to it
     * may complete it. There may be two of them. They are overwritten first. */
    code = lofti_store_super_trust(store);
    if (code == LOFT_OK) {
        code = copy_plan(store, &next);
    }
    if (code == LOFT_OK) {
        code = copy_write(store, &next);
    }
    if (code != LOFT_OK) {
        store->draft.count = 0;
        return code;
    }
    lofti_append_accept(store); /* the same pages as before: every entry of the index is replaced */
    store->base_torn = true; /* whether the last handle died in the middle of an apply is unknown */
    store->file_bytes = lofti_arith_max(store->file_bytes, store->super.file_bytes);
    lofti_store_publish(store);
    lofti_store_verify(store);
    return lofti_store_checkpoint(store);
}
