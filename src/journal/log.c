/*
 * journal/log.c - the journal as one row of bytes over its extents, and its growth.
 */
#include "journal/log.h"

#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/status.h"

/* A journal grows by at least a quarter of itself, so that its extents never run out. */
enum { LOG_GROWTH_DIVISOR = 4 };

uint64_t lofti_log_total_bytes(const lofti_super *super)
{
    uint64_t total_bytes = 0;
    for (uint32_t i = 0; i < super->extent_count; i++) {
        total_bytes += super->extents[i].bytes;
    }
    return total_bytes;
}

/* The part of [position, position + bytes) that lies in one extent. */
static lofti_extent log_piece(const lofti_super *super, uint64_t position, uint64_t bytes)
{
    uint32_t i = 0;
    while (position >= super->extents[i].bytes) {
        position -= super->extents[i].bytes;
        i++;
        LOFTI_CHECK(i < super->extent_count);
    }
    return (lofti_extent){super->extents[i].off + position,
                          lofti_arith_min(bytes, super->extents[i].bytes - position)};
}

uint64_t lofti_log_file_off(const lofti_super *super, uint64_t position)
{
    return position < lofti_log_total_bytes(super) ? log_piece(super, position, 1).off : 0;
}

lofti_extent lofti_store_extent_behind(const lofti_super *super, uint64_t off)
{
    lofti_extent next = {0, 0};
    for (uint32_t i = 0; i < super->extent_count; i++) {
        const lofti_extent *extent = &super->extents[i];
        if (extent->off + extent->bytes > off && (next.bytes == 0 || extent->off < next.off)) {
            next = *extent;
        }
    }
    return next;
}

int lofti_log_read(const lofti_store *store, uint64_t position, void *data, uint64_t bytes)
{
    uint8_t *to = data;
    while (bytes > 0) {
        const lofti_extent piece = log_piece(&store->super, position, bytes);
        const int error = lofti_file_read_padded(&store->file, to, piece.bytes, piece.off);
        if (error != 0) {
            return lofti_status_system(error, "read journal", store->path);
        }
        to += piece.bytes;
        position += piece.bytes;
        bytes -= piece.bytes;
    }
    return LOFT_OK;
}

int lofti_log_write(lofti_store *store, uint64_t position, const void *data, uint64_t bytes)
{
    const uint8_t *from = data;
    lofti_log_near_written(store, position, bytes);
    while (bytes > 0) {
        const lofti_extent piece = log_piece(&store->super, position, bytes);
        const int error = lofti_file_write(&store->file, from, piece.bytes, piece.off);
        if (error != 0) {
            return lofti_status_system(error, "write journal", store->path);
        }
        from += piece.bytes;
        position += piece.bytes;
        bytes -= piece.bytes;
    }
    return LOFT_OK;
}

/* Real blocks for a new extent, so that a full disk shows here and not in the middle of a commit. */
static int log_allocate(lofti_store *store, uint64_t off, uint64_t bytes)
{
    int error = lofti_file_resize(&store->file, off + bytes);
    if (error == 0) {
        error = lofti_file_allocate(&store->file, off, bytes);
        if (error != 0 && lofti_status_code(error) == LOFT_ENOTSUP) {
            error = 0; /* no preallocation on this file system: writes will tell */
        }
    }
    return error == 0 ? LOFT_OK : lofti_status_system(error, "extend journal", store->path);
}

static void log_add_extent(lofti_super *super, uint64_t off, uint64_t bytes)
{
    lofti_extent *last = &super->extents[super->extent_count - 1];
    if (super->extent_count > 1 && last->off + last->bytes == off) {
        last->bytes += bytes;
        return;
    }
    super->extents[super->extent_count++] = (lofti_extent){off, bytes};
}

int lofti_log_extend_draft(lofti_store *store, lofti_super *next, uint64_t bytes)
{
    const uint64_t wanted_bytes =
        lofti_arith_max(bytes, lofti_log_total_bytes(next) / LOG_GROWTH_DIVISOR);
    const uint64_t count =
        lofti_arith_round_up(wanted_bytes, LOFTI_CHUNK_BYTES) / LOFTI_CHUNK_BYTES;
    if (next->extent_count == LOFTI_SUPER_EXTENTS_MAX) {
        return lofti_status_fail(LOFT_ENOSPC, "extend journal", store->path,
                                 "it has %u parts already", LOFTI_SUPER_EXTENTS_MAX);
    }
    uint64_t off = 0;
    int code =
        lofti_store_claim(store, count, (uint64_t)LOFTI_CHUNK_COUNT_MAX * LOFTI_CHUNK_BYTES, &off);
    if (code != LOFT_OK) {
        return code;
    }
    const uint64_t extent_bytes = count * LOFTI_CHUNK_BYTES;
    code = log_allocate(store, off, extent_bytes);
    if (code != LOFT_OK) {
        (void)lofti_file_resize(&store->file, lofti_arith_max(store->file_bytes, off));
        lofti_store_unclaim(store, off, extent_bytes);
        return code;
    }
    log_add_extent(next, off, extent_bytes);
    next->file_bytes = lofti_arith_max(next->file_bytes, off + extent_bytes);
    return LOFT_OK;
}

void lofti_log_trim(lofti_store *store, uint64_t keep_bytes)
{
    uint64_t position = 0;
    for (uint32_t i = 0; i < store->super.extent_count; i++) {
        const lofti_extent *extent = &store->super.extents[i];
        const uint64_t skip_bytes =
            lofti_arith_min(extent->bytes, keep_bytes - lofti_arith_min(keep_bytes, position));
        if (skip_bytes < extent->bytes && position + skip_bytes < store->high) {
            (void)lofti_file_punch(&store->file, extent->off + skip_bytes,
                                   extent->bytes - skip_bytes);
        }
        position += extent->bytes;
    }
    store->high = lofti_arith_min(store->high, keep_bytes);
}

void lofti_store_tidy(lofti_store *store)
{
    if (store->state != LOFTI_STORE_IDLE || lofti_store_has_journal(store) ||
        store->checkpoint_count == 0) {
        return; /* in use, or not touched by this handle */
    }
    lofti_log_trim(store, LOFTI_STORE_PREPARED_BYTES);
    if (store->high > 0) {
        memset(store->frame, 0, LOFTI_STORE_PREPARED_BYTES);
        /* The epoch before is no longer there to be found instead of this one if this superblock is damaged. */
        lofti_frame_mark(store->frame, &store->super);
        (void)lofti_log_write(store, 0, store->frame, store->high);
    }
    store->high = 0;
}

int lofti_log_extend(lofti_store *store, uint64_t bytes)
{
    lofti_super next = store->super;
    int code = lofti_log_extend_draft(store, &next, bytes);
    if (code == LOFT_OK && !LOFTI_FAULT(EXTEND_UNFLUSHED)) {
        /* Before: the file may still be short. After: a superblock may say how long it is. */
        code = lofti_store_flush(store, "extend journal");
    }
    if (code != LOFT_OK) {
        return code;
    }
    /* C5: the flush inside makes the extent durable before the first record in it can count. */
    if (LOFTI_FAULT(EXTEND_UNNAMED)) {
        store->super = next;
        store->super_stale = true;
    } else {
        code = lofti_store_super_write(store, &next, "extend journal");
    }
    if (code == LOFT_OK) {
        store->total_bytes = lofti_log_total_bytes(&store->super);
        store->file_bytes = lofti_arith_max(store->file_bytes, store->super.file_bytes);
    }
    return code;
}

static pthread_mutex_t *space_mutex_of(const lofti_store *store)
{
    /* Locking is not a change in the sense of a reader's promise. */
    return (pthread_mutex_t *)(uintptr_t)&store->space_mutex;
}

int lofti_store_claim(lofti_store *store, uint64_t count, uint64_t limit_bytes, uint64_t *off)
{
    uint64_t bytes;
    (void)pthread_mutex_lock(&store->space_mutex);
    const bool fits = lofti_arith_mul(count, LOFTI_CHUNK_BYTES, &bytes) &&
                      lofti_arith_inside(store->space_end, bytes, limit_bytes);
    if (fits) {
        *off = store->space_end;
        store->space_end += bytes;
    }
    (void)pthread_mutex_unlock(&store->space_mutex);
    return fits ? LOFT_OK
                : lofti_status_fail(LOFT_ENOMEM, "grow", store->path,
                                    "%llu chunks more exceed the reserve of %llu bytes",
                                    (unsigned long long)count, (unsigned long long)limit_bytes);
}

void lofti_store_unclaim(lofti_store *store, uint64_t off, uint64_t bytes)
{
    (void)pthread_mutex_lock(&store->space_mutex);
    if (store->space_end == off + bytes) {
        store->space_end = off;
    }
    (void)pthread_mutex_unlock(&store->space_mutex);
}

void lofti_store_publish(lofti_store *store)
{
    (void)pthread_mutex_lock(&store->space_mutex);
    lofti_store_figures *figures = &store->figures;
    figures->commit_count = store->commit_count;
    figures->committed_pages = store->committed_pages;
    figures->committed_bytes = store->committed_bytes;
    figures->checkpoint_count = store->checkpoint_count;
    figures->journal_bytes = lofti_store_journal_bytes(store);
    figures->sequence = store->sequence;
    figures->frontier = store->frontier;
    figures->base = store->super.base;
    memcpy(figures->uuid, store->super.uuid, sizeof figures->uuid);
    figures->version = store->super.version;
    figures->has_journal = lofti_store_has_journal(store);
    (void)pthread_mutex_unlock(&store->space_mutex);
}

void lofti_store_figures_get(const lofti_store *store, lofti_store_figures *out)
{
    (void)pthread_mutex_lock(space_mutex_of(store));
    *out = store->figures;
    (void)pthread_mutex_unlock(space_mutex_of(store));
}

uint64_t lofti_store_space_end(const lofti_store *store)
{
    (void)pthread_mutex_lock(space_mutex_of(store));
    const uint64_t end = store->space_end;
    (void)pthread_mutex_unlock(space_mutex_of(store));
    return end;
}
