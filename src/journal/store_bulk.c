/*
 * journal/store_bulk.c - many new pages at once: to their own places instead of through the journal (C1).
 *
 * Behind the frontier no commit has ever put anything, and nothing that a crash leaves there counts. Whoever
 * fills much of it may write it where it belongs, once, and needs no second writing at the checkpoint:
 *
 *   | committed pages ...      | frontier: pages in place ...        | new frontier
 *     (a) pages in place; flush            a crash: they lie behind the frontier, recovery takes them away
 *     (b) the commit's frames, with at least one record, and the new frontier; flush
 *
 * What lies behind the frontier reads as zeros to everybody: pages that a commit covers without a record of
 * theirs are zeros, deltas of new pages are against zeros. Therefore what a commit that failed, or a program that died,
 * has left there ("dirt") is taken away and that is flushed before the next commit can move the frontier.
 *
 * Invariants
 *   B1  A page is written in place only at or behind the frontier of the newest commit, by a commit that flushes, and
 *       when every earlier commit is flushed.
 *   B2  While dirt may lie behind the frontier, dirt_end says up to where; begin lets no commit start before it is gone
 *       and that is on the device.
 *   B3  Nothing is taken away before the superblock is trusted (S3): a slot that a crash has torn may name
 *       blocks out there, and the next write to it may complete it.
 */
#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/status.h"
#include "journal/log.h"

enum {
    /* Shorter rows of zero pages between others are written with them: a call costs as much as copying some 64 KiB. */
    BULK_GAP_PAGES = 16,
    /* One write at most: 64 MiB, to a multiple of that; so the file's pages are cached by 2 MiB wherever a commit fills
     * that much, and mapped so later. */
    BULK_WRITE_PAGES = 16384,
    /* So much is handed to the device at once. */
    BULK_WINDOW_BYTES = 8 << 20,
    /* Zeros at once where holes cannot be made; in the frame buffer. */
    BULK_ZERO_BYTES = 1 << 20
};

static bool page_is_zero(const uint8_t *page)
{
    uint64_t first;
    memcpy(&first, page, sizeof first);
    return first == 0 && memcmp(page, page + sizeof first, LOFTI_PAGE_BYTES - sizeof first) == 0;
}

/* --- Dirt ---------------------------------------------------------------------------------------- */

static uint64_t dirt_start(const lofti_store *store)
{
    return lofti_arith_max(store->frontier, LOFTI_HEAP_OFF);
}

/* The next piece of data at or behind `off` and before `end` that is not the journal's; none: an empty one. Where
 * the file system does not tell, everything is data. */
static lofti_extent dirt_next(const lofti_store *store, uint64_t off, uint64_t end)
{
    while (off < end) {
        const int64_t found = lofti_file_seek(&store->file, off, false);
        uint64_t data = off;
        if (found == -ENXIO) {
            break;
        }
        if (found > 0) {
            data = lofti_arith_max(off, lofti_arith_down((uint64_t)found, LOFTI_PAGE_BYTES));
        }
        const lofti_extent journal = lofti_store_extent_behind(&store->super, data);
        if (journal.bytes != 0 && journal.off <= data) {
            off = journal.off + journal.bytes;
            continue;
        }
        uint64_t stop = journal.bytes != 0 ? lofti_arith_min(journal.off, end) : end;
        const int64_t hole = found > 0 ? lofti_file_seek(&store->file, data, true) : -1;
        if (hole > 0) {
            stop = lofti_arith_min(stop, lofti_arith_round_up((uint64_t)hole, LOFTI_PAGE_BYTES));
        }
        return data < stop ? (lofti_extent){data, stop - data} : (lofti_extent){0, 0};
    }
    return (lofti_extent){0, 0};
}

/* Makes it a hole, or zeros where there are no holes. */
static int dirt_remove(lofti_store *store, const lofti_extent *piece)
{
    int error = lofti_file_punch(&store->file, piece->off, piece->bytes);
    if (error == 0 || lofti_status_code(error) != LOFT_ENOTSUP) {
        return error;
    }
    memset(store->frame, 0, BULK_ZERO_BYTES);
    error = 0;
    for (uint64_t done = 0; done < piece->bytes && error == 0; done += BULK_ZERO_BYTES) {
        error = lofti_file_write(&store->file, store->frame,
                                 lofti_arith_min(BULK_ZERO_BYTES, piece->bytes - done),
                                 piece->off + done);
    }
    return error;
}

/* The failed commit's last frame may be on the device, whole: it was broken, but in the cache only, or not even that. It
 * must not count once its pages are gone. */
static int dirt_disown(lofti_store *store)
{
    if (!store->dirt_framed || LOFTI_FAULT(DIRT_FRAMED)) {
        return LOFT_OK;
    }
    const int error = lofti_append_break(store);
    if (error != 0) {
        return lofti_status_system(error, "clear", store->path);
    }
    /* Before: the commit that failed may count, with its pages. After: it cannot, and they may go. */
    const int code = lofti_store_flush(store, "clear");
    store->dirt_framed = code != LOFT_OK;
    return code;
}

int lofti_store_clean(lofti_store *store)
{
    if (store->dirt_end == 0) {
        return LOFT_OK;
    }
    int code = lofti_store_super_trust(store); /* B3 */
    if (code == LOFT_OK) {
        code = dirt_disown(store);
    }
    if (code != LOFT_OK) {
        return code;
    }
    int error = 0;
    lofti_extent piece = dirt_next(store, dirt_start(store), store->dirt_end);
    while (piece.bytes != 0 && error == 0 && !LOFTI_FAULT(DIRT_KEPT)) {
        error = dirt_remove(store, &piece);
        piece = dirt_next(store, piece.off + piece.bytes, store->dirt_end);
    }
    if (error != 0) {
        return lofti_status_system(error, "clear", store->path);
    }
    store->dirt_end = 0;
    /* Before this flush a commit that covers the pages would bring the dirt back; after it they are zeros. */
    return LOFTI_FAULT(DIRT_UNFLUSHED) ? LOFT_OK : lofti_store_flush(store, "clear");
}

int lofti_store_clean_opened(lofti_store *store)
{
    lofti_file_info info;
    int error = lofti_file_info_get(&store->file, &info);
    if (error != 0) {
        return lofti_status_system(error, "open", store->path);
    }
    const bool longer = info.bytes > store->file_bytes;
    if (LOFTI_FAULT(LEFTOVER_KEPT) ||
        (!longer && dirt_next(store, dirt_start(store), info.bytes).bytes == 0)) {
        return LOFT_OK;
    }
    const int code = lofti_store_super_trust(store); /* B3 */
    if (code != LOFT_OK) {
        return code;
    }
    if (longer) {
        /* Nobody's: no superblock and no commit says that the file is so long. */
        error = lofti_file_resize(&store->file, store->file_bytes);
        if (error != 0) {
            return lofti_status_system(error, "open", store->path);
        }
        store->space_end = store->file_bytes;
    }
    store->dirt_end = store->file_bytes;
    return lofti_store_clean(store);
}

/* --- Writing --------------------------------------------------------------------------------------- */

/* Before the first page of a commit goes to its place: B1, and a file that reaches to the end of the chunk. */
static int bulk_prepare(lofti_store *store, uint64_t end)
{
    store->draft.in_place = true;
    int code = lofti_store_super_trust(store);
    if (code == LOFT_OK && atomic_load(&store->durable_sequence) < store->sequence) {
        code = lofti_store_flush(store, "commit");
    }
    if (code != LOFT_OK) {
        return code;
    }
    /* From now on something may lie there (B2). */
    const uint64_t file_end = lofti_arith_round_up(end, LOFTI_CHUNK_BYTES);
    store->dirt_end = lofti_arith_max(store->dirt_end, file_end);
    lofti_file_info info;
    int error = lofti_file_info_get(&store->file, &info);
    if (error == 0 && info.bytes < file_end) {
        error = lofti_file_resize(&store->file, file_end);
    }
    return error == 0 ? LOFT_OK : lofti_status_system(error, "commit", store->path);
}

/* [off, end) was written. Neighbours that fill a window go to the device; what is left over waits for the flush. */
static void bulk_hand_over(lofti_store *store, uint64_t off, uint64_t end)
{
    lofti_store_draft *draft = &store->draft;
    if (!store->writes_back) {
        return;
    }
    if (draft->handed_end == 0) {
        draft->handed_end = off;
    }
    if (end >= draft->handed_end + BULK_WINDOW_BYTES) {
        lofti_file_write_back(&store->file, draft->handed_end, end - draft->handed_end);
        draft->handed_end = end;
    }
}

static int bulk_write(lofti_store *store, uint64_t page_idx, const uint8_t *pages, uint64_t count)
{
    const int error = lofti_file_write(&store->file, pages, count * LOFTI_PAGE_BYTES,
                                       page_idx * LOFTI_PAGE_BYTES);
    if (error != 0) {
        return lofti_status_system(error, "commit", store->path);
    }
    store->draft.placed_pages += count;
    bulk_hand_over(store, page_idx * LOFTI_PAGE_BYTES, (page_idx + count) * LOFTI_PAGE_BYTES);
    return LOFT_OK;
}

/* The end of the stretch that begins with the page `at`, not a zero one, and is written at once. `pages` begin with the
 * file's page `page_idx`. */
static uint64_t bulk_stretch(uint64_t page_idx, const uint8_t *pages, uint64_t at, uint64_t count)
{
    const uint64_t stop = lofti_arith_down(page_idx + at, BULK_WRITE_PAGES) + BULK_WRITE_PAGES;
    const uint64_t limit = lofti_arith_min(count, stop - page_idx);
    uint64_t end = at + 1;
    for (uint64_t i = end; i < limit && i - end < BULK_GAP_PAGES; i++) {
        if (!page_is_zero(pages + i * LOFTI_PAGE_BYTES)) {
            end = i + 1;
        }
    }
    return end;
}

static int bulk_place(lofti_store *store, uint64_t page_idx, const uint8_t *pages, uint64_t count)
{
    int code = bulk_prepare(store, (page_idx + count) * LOFTI_PAGE_BYTES);
    for (uint64_t at = 0; at < count && code == LOFT_OK;) {
        if (page_is_zero(pages + at * LOFTI_PAGE_BYTES)) {
            at++; /* it lies behind the frontier: a hole already */
            continue;
        }
        if (store->draft.count == 0) {
            /* A commit has at least one record: the journal is empty or has commits, nothing between. */
            code = lofti_store_log_pages(store, page_idx + at, pages + at * LOFTI_PAGE_BYTES, 1);
            at++;
            continue;
        }
        const uint64_t end = bulk_stretch(page_idx, pages, at, count);
        code = bulk_write(store, page_idx + at, pages + at * LOFTI_PAGE_BYTES, end - at);
        at = end;
    }
    return code;
}

int lofti_store_bulk(lofti_store *store, uint64_t page_idx, const void *pages, uint64_t count)
{
    LOFTI_CHECK(store->state == LOFTI_STORE_OPEN);
    const uint8_t *at = pages;
    const uint64_t frontier = LOFTI_FAULT(BULK_TWICE) ? store->super.frontier : store->frontier;
    const uint64_t first_new = lofti_arith_max(frontier, LOFTI_HEAP_OFF) / LOFTI_PAGE_BYTES;
    const uint64_t old = page_idx < first_new ? lofti_arith_min(count, first_new - page_idx) : 0;
    int code = lofti_store_log_pages(store, page_idx, at, old);
    if (code == LOFT_OK && count > old) {
        code = bulk_place(store, page_idx + old, at + old * LOFTI_PAGE_BYTES, count - old);
    }
    if (code != LOFT_OK) {
        lofti_store_cancel(store);
    }
    return code;
}
