/*
 * journal/store_view.c - what a copy reads: the newest commit of a moment, and where in the file its data lies
 * (journal/copy.h).
 *
 * A view looks like a store that was opened for reading, so that lofti_store_read_page serves it. It has its own index
 * and buffers; descriptor and path are the store's.
 */
#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/status.h"
#include "journal/copy.h"
#include "journal/log.h"
#include "os/map.h"

enum {
    VIEW_SCRATCH_BYTES = 16 << 10, /* a base image and a delta, and whole pages of any system */
    /* Piece and scratch, rounded to the largest page size there is, 64 KiB. */
    VIEW_BUFFER_BYTES = LOFTI_COPY_PIECE_BYTES + (64 << 10)
};
_Static_assert(VIEW_SCRATCH_BYTES >= 2 * LOFTI_PAGE_BYTES, "scratch");
_Static_assert(VIEW_BUFFER_BYTES >= LOFTI_COPY_PIECE_BYTES + VIEW_SCRATCH_BYTES, "buffer");

/* --- Views ---------------------------------------------------------------------------------------- */

static int view_index(const lofti_store *store, lofti_store *view)
{
    if (store->index.count == 0) {
        return LOFT_OK;
    }
    const int code = lofti_index_reserve(&view->index, store->index.count);
    if (code != LOFT_OK) {
        return lofti_status_fail(code, "snapshot", store->path, "no memory for the page index");
    }
    for (uint64_t i = 0; i < store->index.capacity; i++) {
        if (store->index.entries[i].page_idx != 0) {
            lofti_index_put(&view->index, &store->index.entries[i]);
        }
    }
    return LOFT_OK;
}

int lofti_view_begin(const lofti_store *store, lofti_store *view)
{
    memset(view, 0, sizeof *view);
    void *memory = NULL;
    const int error = lofti_map_place(VIEW_BUFFER_BYTES, 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    if (error != 0) {
        return lofti_status_system(error, "snapshot", store->path);
    }
    view->scratch = (uint8_t *)memory + LOFTI_COPY_PIECE_BYTES;
    view->file = store->file;
    view->path = store->path;
    view->state = LOFTI_STORE_READ;
    view->super = store->super;
    view->total_bytes = store->total_bytes;
    view->position = store->position;
    view->chain = store->chain;
    view->sequence = store->sequence;
    view->frontier = store->frontier;
    view->file_bytes = store->file_bytes;
    const int code = view_index(store, view);
    if (code != LOFT_OK) {
        lofti_view_end(view);
    }
    return code;
}

uint8_t *lofti_view_buffer(const lofti_store *view)
{
    return view->scratch - LOFTI_COPY_PIECE_BYTES;
}

void lofti_view_end(lofti_store *view)
{
    if (view->scratch != NULL) {
        (void)lofti_map_release(lofti_view_buffer(view), VIEW_BUFFER_BYTES);
    }
    lofti_index_release(&view->index);
    memset(view, 0, sizeof *view);
}

/* --- Data and holes -------------------------------------------------------------------------------- */

/* Where data begins at or behind `off`: `off` itself where the file system does not tell. UINT64_MAX: nowhere. */
static uint64_t data_start(const lofti_file *file, uint64_t off, int *error)
{
    const int64_t found = lofti_file_seek(file, off, false);
    if (found == -ENXIO) {
        return UINT64_MAX;
    }
    if (found == -EIO) {
        *error = (int)found;
        return UINT64_MAX;
    }
    return found < 0 ? off
                     : lofti_arith_max(off, lofti_arith_down((uint64_t)found, LOFTI_PAGE_BYTES));
}

bool lofti_copy_next_data(const lofti_store *view, uint64_t off, uint64_t end, lofti_extent *out,
                          int *error)
{
    *error = 0;
    while (off < end) {
        const uint64_t data = data_start(&view->file, off, error);
        if (data >= end) {
            return false;
        }
        const lofti_extent journal = lofti_store_extent_behind(&view->super, data);
        if (journal.bytes != 0 && journal.off <= data) {
            off = journal.off + journal.bytes;
            continue;
        }
        uint64_t stop = journal.bytes != 0 ? lofti_arith_min(journal.off, end) : end;
        const int64_t hole = lofti_file_seek(&view->file, data, true);
        if (hole > (int64_t)data) {
            stop = lofti_arith_min(stop, lofti_arith_round_up((uint64_t)hole, LOFTI_PAGE_BYTES));
        }
        *out = (lofti_extent){data, stop - data};
        return true;
    }
    return false;
}
