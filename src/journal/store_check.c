/*
 * journal/store_check.c - what is wrong with a store, without changing it.
 *
 * lofti_store_open judges what it needs and takes the newest that is whole. Here everything is looked at that a reader
 * need not: slots that do not count, bytes that must be zeros, commits behind a break of the journal.
 */
#include <stdio.h>
#include <string.h>

#include "base/arith.h"
#include "base/status.h"
#include "journal/copy.h"
#include "journal/log.h"
#include "os/map.h"

enum {
    CHECK_TEXT_BYTES = 256,
    CHECK_READ_BYTES = 1 << 20 /* data read at once */
};

static bool bytes_are_zero(const uint8_t *bytes, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        if (bytes[i] != 0) {
            return false;
        }
    }
    return true;
}

static int check_slots(const uint8_t *head, lofti_check_fn *fn, void *context)
{
    int stop = 0;
    for (uint32_t i = 0; i < LOFTI_SUPER_SLOTS && stop == 0; i++) {
        const uint64_t off = (uint64_t)i * LOFTI_SUPER_BYTES;
        const lofti_verdict verdict =
            lofti_super_validate((const lofti_super *)(const void *)(head + off), false);
        if (verdict.code == LOFT_OK || bytes_are_zero(head + off, LOFTI_SUPER_BYTES)) {
            continue; /* whole, or never written */
        }
        char text[CHECK_TEXT_BYTES];
        (void)snprintf(text, sizeof text,
                       "superblock %u does not count: %s; torn by a crash, or damaged", i,
                       verdict.reason);
        stop = fn(context, verdict.code, off + verdict.off, text);
    }
    return stop;
}

int lofti_check_head(const lofti_file *file, const char *path, lofti_check_fn *fn, void *context)
{
    void *memory = NULL;
    int error = lofti_map_place(LOFTI_JOURNAL_OFF, 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    if (error != 0) {
        return lofti_status_system(error, "check", path);
    }
    const uint8_t *head = memory;
    error = lofti_file_read_padded(file, memory, LOFTI_JOURNAL_OFF, 0);
    int code =
        error == 0 ? check_slots(head, fn, context) : lofti_status_system(error, "check", path);
    const uint64_t slots_end = (uint64_t)LOFTI_SUPER_SLOTS * LOFTI_SUPER_BYTES;
    for (uint64_t off = slots_end; code == 0 && off < LOFTI_JOURNAL_OFF; off++) {
        if (head[off] != 0) {
            code = fn(context, LOFT_ECORRUPT, off, "bytes behind the superblocks are set");
            break;
        }
    }
    (void)lofti_map_release(memory, LOFTI_JOURNAL_OFF);
    return code;
}

/* --- The journal behind its end ------------------------------------------------------------------ */

/* Reads the frame at `position`; whether it is whole, of this epoch, and makes a commit count that the store does not
 * have. */
static int beyond_frame(lofti_store *store, uint64_t position, bool *found)
{
    lofti_frame *frame = store->frame;
    *found = false;
    int code = lofti_log_read(store, position, frame, LOFTI_PAGE_BYTES);
    if (code != LOFT_OK || frame->magic != LOFTI_FRAME_MAGIC || frame->salt != store->super.salt ||
        frame->position != position || frame->sequence <= store->sequence ||
        (frame->flags & LOFTI_FRAME_LAST) == 0 || frame->frame_bytes < LOFTI_PAGE_BYTES ||
        frame->frame_bytes > LOFTI_FRAME_SIZE_MAX || frame->frame_bytes % LOFTI_PAGE_BYTES != 0 ||
        frame->frame_bytes > store->total_bytes - position) {
        return code;
    }
    code = lofti_log_read(store, position + LOFTI_PAGE_BYTES, (uint8_t *)frame + LOFTI_PAGE_BYTES,
                          frame->frame_bytes - LOFTI_PAGE_BYTES);
    *found = code == LOFT_OK && frame->hash == lofti_frame_hash(frame);
    return code;
}

/* Whether the journal goes on where it ended when it was read: a writer is at work. */
static int beyond_continues(lofti_store *store, bool *continues)
{
    lofti_frame *frame = store->frame;
    const uint64_t room_bytes = store->total_bytes - store->position;
    int code = lofti_log_read(store, store->position, frame, LOFTI_PAGE_BYTES);
    const lofti_frame_expect expect = {store->position,
                                       store->super.salt,
                                       store->chain,
                                       store->sequence,
                                       store->frontier,
                                       store->file_bytes,
                                       0};
    *continues = false;
    if (code != LOFT_OK ||
        lofti_frame_validate_header(frame, &expect, room_bytes).code != LOFT_OK) {
        return code;
    }
    code =
        lofti_log_read(store, store->position + LOFTI_PAGE_BYTES,
                       (uint8_t *)frame + LOFTI_PAGE_BYTES, frame->frame_bytes - LOFTI_PAGE_BYTES);
    *continues = code == LOFT_OK && frame->hash == lofti_frame_hash(frame);
    return code;
}

int lofti_check_journal(lofti_store *store, lofti_check_fn *fn, void *context)
{
    uint64_t position = store->position;
    while (store->total_bytes - position >= LOFTI_PAGE_BYTES) {
        bool found = false;
        bool continues = false;
        int code = beyond_frame(store, position, &found);
        const uint64_t sequence = store->frame->sequence;
        if (code == LOFT_OK && found) {
            /* Frames are written in order: if a commit was appended meanwhile, its first one is there by now. */
            code = beyond_continues(store, &continues);
        }
        if (code != LOFT_OK || continues) {
            return code;
        }
        if (found) {
            char text[CHECK_TEXT_BYTES];
            (void)snprintf(text, sizeof text,
                           "the journal breaks off here, behind commit %llu, but commit %llu lies "
                           "behind the break: a crash before its flush, or damage",
                           (unsigned long long)store->sequence, (unsigned long long)sequence);
            return fn(context, LOFT_ECORRUPT, lofti_log_file_off(&store->super, store->position),
                      text);
        }
        position += LOFTI_PAGE_BYTES;
    }
    return LOFT_OK;
}

/* --- Pages -------------------------------------------------------------------------------------------- */

static int check_records(lofti_store *store, const uint64_t *pages, lofti_check_fn *fn,
                         void *context)
{
    int code = LOFT_OK;
    for (uint64_t i = 0; i < store->index.count && code == LOFT_OK; i++) {
        code = lofti_store_read_page(store, pages[i], store->scratch);
        if (code == LOFT_ECORRUPT || code == LOFT_EIO) {
            char text[CHECK_TEXT_BYTES];
            lofti_status_copy(text, sizeof text);
            code = fn(context, code, pages[i] * LOFTI_PAGE_BYTES, text);
        }
    }
    return code;
}

int lofti_check_pages(lofti_store *store, lofti_check_fn *fn, void *context)
{
    uint64_t *pages = NULL;
    uint64_t bytes = 0;
    int code = lofti_store_sorted(store, &pages, &bytes);
    if (code == LOFT_OK) {
        code = check_records(store, pages, fn, context);
        (void)lofti_map_release(pages, bytes);
    }
    return code;
}

int lofti_check_data(lofti_store *store, lofti_check_fn *fn, void *context)
{
    uint64_t off = LOFTI_HEAP_OFF;
    lofti_extent data;
    int error = 0;
    int code = LOFT_OK;
    while (code == LOFT_OK && lofti_copy_next_data(store, off, store->frontier, &data, &error)) {
        const uint64_t bytes = lofti_arith_min(data.bytes, CHECK_READ_BYTES);
        const int failed = lofti_file_read_padded(&store->file, store->frame, bytes, data.off);
        if (failed != 0) {
            code = fn(context, lofti_status_code(failed), data.off, "pages that cannot be read");
        }
        off = data.off + bytes;
    }
    return code == LOFT_OK && error != 0 ? lofti_status_system(error, "check", store->path) : code;
}
