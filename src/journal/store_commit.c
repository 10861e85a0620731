/*
 * journal/store_commit.c - one commit: pages in, records out, one flush.
 */
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/status.h"
#include "journal/log.h"

int lofti_store_begin(lofti_store *store)
{
    const int code = lofti_store_writable(store, "commit");
    if (code != LOFT_OK) {
        return code;
    }
    if (atomic_load(&store->flush_failed)) {
        store->state = LOFTI_STORE_POISONED; /* a thread that waited found it */
        return lofti_store_writable(store, "commit");
    }
    LOFTI_CHECK(store->state == LOFTI_STORE_IDLE);
    lofti_file_info info;
    const int error = lofti_file_info_get(&store->file, &info);
    if (error != 0) {
        return lofti_status_system(error, "commit", store->path);
    }
    if (info.bytes < lofti_arith_max(store->super.file_bytes, store->placed_end)) {
        return lofti_status_fail(LOFT_ECORRUPT, "commit", store->path,
                                 "somebody cut the file to %llu bytes; nothing was written",
                                 (unsigned long long)info.bytes);
    }
    const int cleaned = lofti_store_clean(store); /* B2 */
    if (cleaned != LOFT_OK) {
        return cleaned;
    }
    lofti_append_begin(store, LOFTI_FRAME_COMMIT, store->position, store->chain);
    store->state = LOFTI_STORE_OPEN;
    return LOFT_OK;
}

void lofti_store_cancel(lofti_store *store)
{
    lofti_append_drop(store);
    if (store->state == LOFTI_STORE_OPEN) {
        store->state = LOFTI_STORE_IDLE;
    }
    lofti_store_verify(store);
}

/* The base images of `count` pages. Behind the frontier nothing was ever applied: they are zeros there. */
static int page_bases(const lofti_store *store, uint64_t page_idx, uint8_t *bases, uint64_t count)
{
    const uint64_t off = page_idx * LOFTI_PAGE_BYTES;
    const uint64_t bytes = count * LOFTI_PAGE_BYTES;
    const uint64_t below =
        off < store->frontier ? lofti_arith_min(store->frontier - off, bytes) : 0;
    memset(bases + below, 0, bytes - below);
    if (below == 0) {
        return LOFT_OK;
    }
    /* By pread, never by a load: an I/O error must be a code, not SIGBUS. */
    const int error = lofti_file_read_padded(&store->file, bases, below, off);
    return error == 0 ? LOFT_OK : lofti_status_system(error, "commit", store->path);
}

/* `base`: the page's base image; NULL: to be read, if it is needed. */
static int log_page(lofti_store *store, uint64_t page_idx, const void *page, const uint8_t *base)
{
    const uint64_t hash = lofti_frame_page_hash(page, page_idx, store->super.salt);
    const lofti_index_entry *entry = lofti_index_find(&store->index, page_idx);
    if (entry != NULL && entry->hash == hash) {
        return LOFT_OK; /* as it was committed last */
    }
    lofti_append_record record = {page_idx, hash, page, LOFTI_PAGE_BYTES, LOFTI_RECORD_FULL};
    if (entry == NULL || !store->base_torn || LOFTI_FAULT(TORN_BASE_DELTA)) {
        uint8_t *delta = store->scratch + LOFTI_PAGE_BYTES;
        if (base == NULL || LOFTI_FAULT(DELTA_AGAINST_NEWEST)) {
            const int code = LOFTI_FAULT(DELTA_AGAINST_NEWEST)
                                 ? lofti_store_read_page(store, page_idx, store->scratch)
                                 : page_bases(store, page_idx, store->scratch, 1);
            if (code != LOFT_OK) {
                return code;
            }
            base = store->scratch;
        }
        const uint32_t delta_bytes = lofti_delta_encode(base, page, delta);
        if (delta_bytes == 0 && (entry == NULL || LOFTI_FAULT(EMPTY_DELTA_DROPPED))) {
            return LOFT_OK; /* touched, not changed */
        }
        if (delta_bytes != UINT32_MAX) { /* also an empty one: C2 */
            record.payload = delta;
            record.bytes = delta_bytes;
            record.kind = LOFTI_RECORD_DELTA;
        }
    }
    if (LOFTI_FAULT(IN_PLACE)) {
        (void)lofti_file_write(&store->file, page, LOFTI_PAGE_BYTES, page_idx * LOFTI_PAGE_BYTES);
    }
    /* S3: nothing is appended under a superblock that may not be on the device. */
    const int code = lofti_store_super_trust(store);
    return code != LOFT_OK ? code
                           : lofti_append_add(store, &store->super, &record, store->sequence + 1,
                                              store->frontier);
}

int lofti_store_log_pages(lofti_store *store, uint64_t page_idx, const void *pages, uint64_t count)
{
    const uint8_t *page = pages;
    int code = LOFT_OK;
    while (count > 0 && code == LOFT_OK) {
        const uint64_t some = lofti_arith_min(count, LOFTI_STORE_BASES);
        code = some > 1 ? page_bases(store, page_idx, store->bases, some) : LOFT_OK;
        for (uint64_t i = 0; i < some && code == LOFT_OK; i++) {
            code = log_page(store, page_idx + i, page + i * LOFTI_PAGE_BYTES,
                            some > 1 ? store->bases + i * LOFTI_PAGE_BYTES : NULL);
        }
        page_idx += some;
        page += some * LOFTI_PAGE_BYTES;
        count -= some;
    }
    return code;
}

int lofti_store_pages(lofti_store *store, uint64_t page_idx, const void *pages, uint64_t count)
{
    LOFTI_CHECK(store->state == LOFTI_STORE_OPEN);
    const int code = lofti_store_log_pages(store, page_idx, pages, count);
    if (code != LOFT_OK) {
        lofti_store_cancel(store);
    }
    return code;
}

int lofti_store_page(lofti_store *store, uint64_t page_idx, const void *page)
{
    return lofti_store_pages(store, page_idx, page, 1);
}

/* Writes the frame that makes the draft count; with `flush` also makes it durable. */
static int commit_write(lofti_store *store, uint64_t frontier, bool flush)
{
    int code = LOFT_OK;
    LOFTI_CHECK(flush || !store->draft.in_place); /* B1 */
    if (store->draft.in_place && !LOFTI_FAULT(BULK_UNFLUSHED)) {
        /* Before: what lies behind the frontier may be in the cache only, and nobody relies on it. After: a
         * frame may say that it counts. */
        code = lofti_store_flush(store, "commit");
    }
    if (code == LOFT_OK) {
        code = lofti_append_finish(store, &store->super, store->sequence + 1, frontier);
    }
    if (code != LOFT_OK || !flush || LOFTI_FAULT(DURABLE_EARLY)) {
        return code;
    }
    /* Before this flush nothing of the commit counts; after it all of it does. */
    return lofti_store_flush(store, "commit");
}

static void commit_accept(lofti_store *store, uint64_t frontier)
{
    store->commit_count++;
    store->committed_pages += store->draft.count;
    store->committed_bytes += store->draft.position - store->position;
    if (store->draft.in_place) {
        LOFTI_CHECK(store->dirt_end <= lofti_arith_round_up(frontier, LOFTI_CHUNK_BYTES));
        store->placed_end = store->dirt_end;
        store->dirt_end = 0; /* all of it counts now */
        store->placed_bytes += store->draft.placed_pages * LOFTI_PAGE_BYTES;
        store->committed_pages += store->draft.placed_pages;
    }
    lofti_append_accept(store);
    store->sequence++;
    store->frontier = frontier;
    store->file_bytes = lofti_arith_max(store->file_bytes, lofti_store_space_end(store));
    store->state = LOFTI_STORE_IDLE;
    lofti_store_publish(store);
}

static int commit_as(lofti_store *store, uint64_t frontier, bool flush)
{
    LOFTI_CHECK(store->state == LOFTI_STORE_OPEN);
    LOFTI_CHECK(frontier >= store->frontier && frontier <= lofti_store_space_end(store));
    if (store->draft.count == 0) {
        lofti_store_cancel(store);
        /* Nothing new, but earlier commits may wait for their flush. */
        return flush && atomic_load(&store->durable_sequence) < store->sequence
                   ? lofti_store_flush(store, "commit")
                   : LOFT_OK;
    }
    const int code = commit_write(store, frontier, flush);
    if (code != LOFT_OK) {
        lofti_store_cancel(store);
        return code;
    }
    commit_accept(store, frontier);
    if (flush) {
        atomic_store(&store->durable_sequence, store->sequence);
    }
    lofti_store_verify(store);
    return LOFT_OK;
}

int lofti_store_commit(lofti_store *store, uint64_t frontier)
{
    return commit_as(store, frontier, true);
}

int lofti_store_commit_unflushed(lofti_store *store, uint64_t frontier)
{
    return commit_as(store, frontier, false);
}
