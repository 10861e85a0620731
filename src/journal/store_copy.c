/*
 * journal/store_copy.c - a commit of a store, written as a store of its own (journal/copy.h).
 *
 * Two ways to the same file:
 *   cloned    the whole file shares its blocks with the source (reflink); then what is not this commit is taken
 *             out: superblocks, journal, everything behind the frontier; and the journal's newest images are written
 *   written   data below the frontier is read and written piece by piece, each window's pages of the journal
 *             right behind it; holes stay holes
 *
 * Writing goes in pieces that fit the processor's cache, and the device is set to work on each window while the
 * next one is copied: measured against copy_file_range in docs/decisions.md.
 *
 * Invariants
 *   V1  Nothing of the source is written.
 *   V2  Every page that has a record in the view is verified against it before it is written.
 *   V3  The superblock is written last; before, the file is no store.
 */
#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/status.h"
#include "journal/copy.h"
#include "journal/log.h"
#include "os/map.h"

enum {
    COPY_WINDOW_BYTES = 1 << 20, /* handed to the device at once: docs/decisions.md */
    COPY_REPORT_BYTES = 1 << 20  /* how often progress is told */
};

/* --- Progress ------------------------------------------------------------------------------------- */

int lofti_copy_tell(const lofti_copy *copy)
{
    const uint64_t done = lofti_arith_min(copy->done_bytes, copy->total_bytes);
    if (copy->progress == NULL ||
        copy->progress(copy->progress_context, done, copy->total_bytes) == 0) {
        return LOFT_OK;
    }
    return lofti_status_fail(LOFT_ECANCELED, "snapshot", copy->path, "canceled by the caller");
}

int lofti_copy_advance(lofti_copy *copy, uint64_t bytes)
{
    const uint64_t before = copy->done_bytes / COPY_REPORT_BYTES;
    copy->done_bytes += bytes;
    return copy->done_bytes / COPY_REPORT_BYTES == before ? LOFT_OK : lofti_copy_tell(copy);
}

int lofti_copy_failed(const lofti_copy *copy, int error)
{
    return lofti_status_system(error, "snapshot", copy->path);
}

/* What there is to copy: data below the frontier, and the journal's pages. */
static int copy_measure(const lofti_store *view, lofti_copy *copy)
{
    uint64_t off = LOFTI_HEAP_OFF;
    lofti_extent piece;
    int error = 0;
    copy->total_bytes = view->index.count * LOFTI_PAGE_BYTES;
    while (lofti_copy_next_data(view, off, view->frontier, &piece, &error)) {
        copy->total_bytes += piece.bytes;
        off = piece.off + piece.bytes;
    }
    return error == 0 ? LOFT_OK : lofti_status_system(error, "read", view->path);
}

/* --- The written way ------------------------------------------------------------------------------- */

typedef struct copy_pages {
    uint64_t *pages; /* of the view's index, rising */
    uint64_t bytes;  /* of that memory */
    uint64_t next;   /* those before are written */
} copy_pages;

/* Reads page by page what could not be read at once; tells what is lost. */
static int copy_rescue(const lofti_store *view, const lofti_copy *copy, uint64_t off,
                       uint64_t bytes)
{
    uint8_t *buffer = lofti_view_buffer(view);
    int code = LOFT_OK;
    for (uint64_t at = 0; at < bytes && code == LOFT_OK; at += LOFTI_PAGE_BYTES) {
        const int error =
            lofti_file_read_padded(&view->file, buffer + at, LOFTI_PAGE_BYTES, off + at);
        if (error != 0) {
            memset(buffer + at, 0, LOFTI_PAGE_BYTES);
            code = copy->loss(copy->loss_context, off + at, LOFTI_PAGE_BYTES,
                              "the page cannot be read");
        }
    }
    return code;
}

static int copy_piece(const lofti_store *view, lofti_copy *copy, uint64_t off, uint64_t bytes)
{
    uint8_t *buffer = lofti_view_buffer(view);
    int error = lofti_file_read_padded(&view->file, buffer, bytes, off);
    if (error != 0) {
        const int code = copy->loss == NULL ? lofti_status_system(error, "read", view->path)
                                            : copy_rescue(view, copy, off, bytes);
        if (code != LOFT_OK) {
            return code;
        }
    }
    error = lofti_file_write(copy->to, buffer, bytes, off);
    return error == 0 ? lofti_copy_advance(copy, bytes) : lofti_copy_failed(copy, error);
}

/* The newest image of a page; one that cannot be proved is lost. */
static int copy_page(lofti_store *view, lofti_copy *copy, uint64_t page_idx, uint8_t *out)
{
    int code = lofti_store_read_page(view, page_idx, out);
    if (code != LOFT_OK && copy->loss != NULL) {
        char reason[256];
        lofti_status_copy(reason, sizeof reason);
        memset(out, 0, LOFTI_PAGE_BYTES);
        code =
            copy->loss(copy->loss_context, page_idx * LOFTI_PAGE_BYTES, LOFTI_PAGE_BYTES, reason);
    }
    return code;
}

/* The journal's pages before `end`; neighbours go out in one write. Not one behind it, whose base image would be written
 * over it next. */
static int copy_journal(lofti_store *view, lofti_copy *copy, copy_pages *queue, uint64_t end)
{
    uint8_t *buffer = lofti_view_buffer(view);
    int code = LOFT_OK;
    while (code == LOFT_OK && queue->next < view->index.count &&
           queue->pages[queue->next] * LOFTI_PAGE_BYTES < end) {
        const uint64_t first = queue->pages[queue->next];
        uint64_t count = 0;
        do {
            code = copy_page(view, copy, first + count, buffer + count * LOFTI_PAGE_BYTES);
            count++;
            queue->next++;
        } while (code == LOFT_OK && count < LOFTI_COPY_PIECE_BYTES / LOFTI_PAGE_BYTES &&
                 queue->next < view->index.count && queue->pages[queue->next] == first + count &&
                 (first + count) * LOFTI_PAGE_BYTES < end);
        if (code == LOFT_OK) {
            const int error = lofti_file_write(copy->to, buffer, count * LOFTI_PAGE_BYTES,
                                               first * LOFTI_PAGE_BYTES);
            code = error == 0 ? lofti_copy_advance(copy, count * LOFTI_PAGE_BYTES)
                              : lofti_copy_failed(copy, error);
        }
    }
    return code;
}

static int copy_base(lofti_store *view, lofti_copy *copy, copy_pages *queue)
{
    uint64_t off = LOFTI_HEAP_OFF;
    uint64_t window = off; /* what lies before is on its way to the device */
    lofti_extent data;
    int error = 0;
    int code = LOFT_OK;
    while (code == LOFT_OK && lofti_copy_next_data(view, off, view->frontier, &data, &error)) {
        const uint64_t bytes = lofti_arith_min(data.bytes, LOFTI_COPY_PIECE_BYTES);
        code = copy_piece(view, copy, data.off, bytes);
        off = data.off + bytes;
        while (code == LOFT_OK && off < data.off + data.bytes && off - window < COPY_WINDOW_BYTES) {
            const uint64_t more =
                lofti_arith_min(data.off + data.bytes - off, LOFTI_COPY_PIECE_BYTES);
            code = copy_piece(view, copy, off, more);
            off += more;
        }
        if (code == LOFT_OK && off - window >= COPY_WINDOW_BYTES) {
            code = copy_journal(view, copy, queue, off);
            lofti_file_write_back(copy->to, window, off - window);
            window = off;
        }
    }
    return code == LOFT_OK && error != 0 ? lofti_status_system(error, "read", view->path) : code;
}

/* --- The cloned way -------------------------------------------------------------------------------- */

/* Makes [off, off + bytes) read as zeros. */
static int clone_clear(const lofti_store *view, const lofti_copy *copy, uint64_t off,
                       uint64_t bytes)
{
    int error = lofti_file_punch(copy->to, off, bytes);
    if (error == 0 || lofti_status_code(error) != LOFT_ENOTSUP) {
        return error;
    }
    uint8_t *zeros = lofti_view_buffer(view);
    memset(zeros, 0, LOFTI_COPY_PIECE_BYTES);
    error = 0;
    for (uint64_t done = 0; done < bytes && error == 0; done += LOFTI_COPY_PIECE_BYTES) {
        error = lofti_file_write(copy->to, zeros,
                                 lofti_arith_min(LOFTI_COPY_PIECE_BYTES, bytes - done), off + done);
    }
    return error;
}

/* Takes out of the clone what is not this commit's: it was taken while commits went on. */
static int clone_trim(const lofti_store *view, const lofti_copy *copy)
{
    int error = lofti_file_resize(copy->to, lofti_arith_max(view->frontier, LOFTI_HEAP_OFF));
    if (error == 0) {
        error = clone_clear(view, copy, 0, LOFTI_HEAP_OFF);
    }
    for (uint32_t i = 0; i < view->super.extent_count && error == 0; i++) {
        const lofti_extent *extent = &view->super.extents[i];
        if (extent->off >= LOFTI_HEAP_OFF && extent->off < view->frontier) {
            error = clone_clear(view, copy, extent->off,
                                lofti_arith_min(extent->bytes, view->frontier - extent->off));
        }
    }
    return error;
}

/* True: copy->to is a clone, trimmed. False: it is empty, as before; or *code. */
static bool copy_clone(const lofti_store *view, lofti_copy *copy, int *code)
{
    *code = LOFT_OK;
    if (!copy->may_clone || lofti_file_clone(copy->to, &view->file) != 0) {
        return false; /* whatever the reason: the other way meets it again, if it is the source's */
    }
    int error = clone_trim(view, copy);
    if (error == 0) {
        copy->way = LOFTI_COPY_CLONED;
        return true;
    }
    error = lofti_file_resize(copy->to, 0);
    if (error != 0) {
        *code = lofti_copy_failed(copy, error);
    }
    return false;
}

/* --- Both ------------------------------------------------------------------------------------------- */

/* Size, an empty journal, and at last the superblock. `zeros`: as many bytes of them as a new journal has. */
int lofti_copy_head(const lofti_copy *copy, uint64_t sequence, uint64_t frontier)
{
    void *memory = NULL;
    int error = lofti_map_place(LOFTI_STORE_PREPARED_BYTES, 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    if (error != 0) {
        return lofti_copy_failed(copy, error);
    }
    const uint64_t file_bytes =
        lofti_arith_max(lofti_arith_round_up(frontier, LOFTI_CHUNK_BYTES), LOFTI_CHUNK_BYTES);
    error = lofti_file_resize(copy->to, file_bytes);
    if (error == 0) {
        error = lofti_file_write(copy->to, memory, LOFTI_STORE_PREPARED_BYTES, LOFTI_JOURNAL_OFF);
    }
    if (error == 0) {
        lofti_super *super = memory;
        memcpy(super->uuid, copy->identity.uuid, sizeof super->uuid);
        super->generation = 1;
        super->base = copy->identity.base;
        super->created_ns = copy->identity.created_ns;
        super->salt = copy->identity.salt;
        super->sequence = sequence;
        super->frontier = frontier;
        super->file_bytes = file_bytes;
        super->extent_count = 1;
        super->extents[0] =
            (lofti_extent){LOFTI_JOURNAL_OFF, LOFTI_CHUNK_BYTES - LOFTI_JOURNAL_OFF};
        lofti_super_seal(super);
        error = lofti_file_write(copy->to, super, sizeof *super, 0); /* V3 */
    }
    (void)lofti_map_release(memory, LOFTI_STORE_PREPARED_BYTES);
    return error == 0 ? LOFT_OK : lofti_copy_failed(copy, error);
}

static int copy_content(lofti_store *view, lofti_copy *copy, copy_pages *queue)
{
    int code = LOFT_OK;
    if (copy_clone(view, copy, &code)) {
        copy->done_bytes = copy->total_bytes - view->index.count * LOFTI_PAGE_BYTES;
        code = lofti_copy_tell(copy);
    } else if (code == LOFT_OK) {
        code = copy_base(view, copy, queue);
    }
    return code == LOFT_OK ? copy_journal(view, copy, queue, UINT64_MAX) : code;
}

int lofti_copy_store(lofti_store *view, lofti_copy *copy)
{
    copy->way = LOFTI_COPY_WRITTEN;
    copy->done_bytes = 0;
    int code = copy_measure(view, copy);
    if (code == LOFT_OK) {
        code = lofti_copy_tell(copy);
    }
    copy_pages queue = {0};
    if (code == LOFT_OK) {
        code = lofti_store_sorted(view, &queue.pages, &queue.bytes);
    }
    if (code != LOFT_OK) {
        return code;
    }
    code = copy_content(view, copy, &queue);
    (void)lofti_map_release(queue.pages, queue.bytes);
    if (code == LOFT_OK) {
        code = lofti_copy_head(copy, view->sequence, view->frontier);
    }
    if (code == LOFT_OK) {
        copy->done_bytes = copy->total_bytes;
        code = lofti_copy_tell(copy);
    }
    return code;
}
