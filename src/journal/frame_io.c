/*
 * journal/frame_io.c - building frames and writing them; reading them back.
 *
 * A draft is built in one buffer. A frame that is full is written when the next record comes, so that
 * the last one is never empty and carries the mark that makes the whole count.
 */
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/status.h"
#include "journal/log.h"
#include "os/map.h"

enum { DRAFT_CAPACITY_MIN = 2048 }; /* records: 64 KiB, the largest page size there is */

void lofti_append_begin(lofti_store *store, uint16_t kind, uint64_t position, uint64_t chain)
{
    lofti_store_draft *draft = &store->draft;
    draft->count = 0;
    draft->position = position;
    draft->chain = chain;
    draft->used_bytes = sizeof(lofti_frame);
    draft->record_count = 0;
    draft->kind = kind;
    draft->first = true;
    draft->written = false;
    draft->in_place = false;
    draft->placed_pages = 0;
    draft->handed_end = 0;
}

static int draft_grow(lofti_store *store)
{
    lofti_store_draft *draft = &store->draft;
    const uint64_t capacity = lofti_arith_max(draft->capacity * 2, DRAFT_CAPACITY_MIN);
    void *memory = NULL;
    const int error =
        lofti_map_place(capacity * sizeof *draft->entries, 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    if (error != 0) {
        return lofti_status_system(error, "commit", store->path);
    }
    if (draft->entries != NULL) {
        memcpy(memory, draft->entries, draft->count * sizeof *draft->entries);
        (void)lofti_map_release(draft->entries, draft->capacity * sizeof *draft->entries);
    }
    draft->entries = memory;
    draft->capacity = capacity;
    return LOFT_OK;
}

/* Fills in the header of the frame in the buffer and writes it at draft->position. */
static int draft_write_frame(lofti_store *store, const lofti_super *super, uint16_t flags,
                             uint64_t sequence, uint64_t frontier)
{
    lofti_store_draft *draft = &store->draft;
    lofti_frame *frame = store->frame;
    const uint64_t frame_bytes = lofti_arith_round_up(draft->used_bytes, LOFTI_PAGE_BYTES);
    memset((uint8_t *)frame + draft->used_bytes, 0, frame_bytes - draft->used_bytes);
    if (draft->position + frame_bytes > store->total_bytes) {
        const int code =
            lofti_log_extend(store, draft->position + frame_bytes - store->total_bytes);
        if (code != LOFT_OK) {
            return code;
        }
    }
    *frame = (lofti_frame){
        .magic = LOFTI_FRAME_MAGIC,
        .kind = draft->kind,
        .flags = (uint16_t)(flags | (draft->first ? LOFTI_FRAME_FIRST : 0) |
                            (LOFTI_FAULT(LAST_EARLY) ? LOFTI_FRAME_LAST : 0)),
        .frame_bytes = frame_bytes,
        .used_bytes = draft->used_bytes,
        .position = draft->position,
        .salt = super->salt,
        .chain = draft->chain,
        .sequence = sequence,
        .frontier = frontier,
        .file_bytes = lofti_arith_max(lofti_store_space_end(store), store->file_bytes),
        .record_count = draft->record_count,
    };
    frame->hash = lofti_frame_hash(frame);
    draft->written = true; /* also if it fails: any part may be in the file */
    store->high = lofti_arith_max(store->high, draft->position + frame_bytes);
    if (LOFTI_FAULT(FRAME_UNALIGNED) && draft->position > store->super.start) {
        /* The frame shares its first block with the end of the one before: that is written again. */
        static uint8_t block[LOFTI_PAGE_BYTES];
        (void)lofti_log_read(store, draft->position - LOFTI_PAGE_BYTES, block, sizeof block);
        (void)lofti_log_write(store, draft->position - LOFTI_PAGE_BYTES, block, sizeof block);
    }
    const int code = lofti_log_write(store, draft->position, frame, frame_bytes);
    if (code == LOFT_OK) {
        draft->first = false;
        draft->chain = frame->hash;
        draft->position += frame_bytes;
        draft->used_bytes = sizeof *frame;
        draft->record_count = 0;
    }
    return code;
}

int lofti_append_add(lofti_store *store, const lofti_super *super,
                     const lofti_append_record *record, uint64_t sequence, uint64_t frontier)
{
    lofti_store_draft *draft = &store->draft;
    int code = LOFT_OK;
    if (draft->count == draft->capacity) {
        code = draft_grow(store);
    }
    if (code == LOFT_OK && draft->used_bytes >= LOFTI_FRAME_BYTES_MAX) {
        code = draft_write_frame(store, super, 0, sequence, frontier);
    }
    if (code != LOFT_OK) {
        return code;
    }
    uint8_t *to = (uint8_t *)store->frame + draft->used_bytes;
    const lofti_record header = {.page_idx = record->page_idx,
                                 .kind = record->kind,
                                 .bytes = record->bytes,
                                 .page_hash = record->page_hash};
    memcpy(to, &header, sizeof header);
    memcpy(to + sizeof header, record->payload, record->bytes);
    const uint64_t next_off = lofti_record_next_off(&header, draft->used_bytes);
    LOFTI_CHECK(next_off <= LOFTI_FRAME_SIZE_MAX);
    const uint64_t end_off = draft->used_bytes + sizeof header + record->bytes;
    memset((uint8_t *)store->frame + end_off, 0, next_off - end_off);
    draft->entries[draft->count++] =
        (lofti_index_entry){record->page_idx, draft->position + draft->used_bytes + sizeof header,
                            record->page_hash, record->bytes, record->kind};
    draft->used_bytes = next_off;
    draft->record_count++;
    return LOFT_OK;
}

int lofti_append_finish(lofti_store *store, const lofti_super *super, uint64_t sequence,
                        uint64_t frontier)
{
    LOFTI_CHECK(store->draft.record_count > 0);
    /* Room in the index first: once the frame is written, nothing may fail but the flush. */
    const int code = lofti_index_reserve(&store->index, store->draft.count);
    if (code != LOFT_OK) {
        return lofti_status_fail(code, "commit", store->path, "no memory for the page index");
    }
    return draft_write_frame(store, super, LOFTI_FRAME_LAST, sequence, frontier);
}

void lofti_append_accept(lofti_store *store)
{
    lofti_store_draft *draft = &store->draft;
    for (uint64_t i = 0; i < draft->count; i++) {
        lofti_index_put(&store->index, &draft->entries[i]);
    }
    store->position = draft->position;
    store->chain = draft->chain;
    draft->count = 0;
}

int lofti_append_break(lofti_store *store)
{
    const uint64_t off = lofti_log_file_off(&store->super, store->position);
    if (off == 0) {
        return 0; /* the journal is full: nothing lies behind it */
    }
    memset(store->frame, 0, LOFTI_PAGE_BYTES);
    if (store->position == 0) {
        lofti_frame_mark(store->frame, &store->super); /* what an older epoch had here is gone */
    }
    return lofti_file_write(&store->file, store->frame, LOFTI_PAGE_BYTES, off);
}

void lofti_append_drop(lofti_store *store)
{
    lofti_store_draft *draft = &store->draft;
    if (draft->written && store->state != LOFTI_STORE_POISONED && !LOFTI_FAULT(DRAFT_NOT_BROKEN)) {
        /* A write that answered an error may be whole in the cache. Break its first block, so that no
         * later flush makes a commit count that was reported as failed. If that fails too, the next
         * commit's frames take the same place. */
        (void)lofti_append_break(store);
    }
    store->dirt_framed = store->dirt_framed || (draft->written && store->dirt_end != 0);
    draft->count = 0;
    draft->written = false;
}

/* --- Reading ------------------------------------------------------------------------------------ */

/* Puts the records of a frame that was judged whole into the draft. */
static int scan_collect(lofti_store *store, const lofti_frame *frame, uint64_t position)
{
    lofti_store_draft *draft = &store->draft;
    uint64_t off = sizeof *frame;
    for (uint32_t i = 0; i < frame->record_count; i++) {
        if (draft->count == draft->capacity) {
            const int code = draft_grow(store);
            if (code != LOFT_OK) {
                return code;
            }
        }
        const lofti_record *record = lofti_frame_record(frame, off);
        draft->entries[draft->count++] =
            (lofti_index_entry){record->page_idx, position + off + sizeof *record,
                                record->page_hash, record->bytes, record->kind};
        off = lofti_record_next_off(record, off);
    }
    return LOFT_OK;
}

/* Reads and judges the frame at `expect->position` into the buffer. *valid: it continues the journal. */
static int scan_frame(lofti_store *store, const lofti_frame_expect *expect, bool *valid)
{
    *valid = false;
    const uint64_t room_bytes = store->total_bytes - expect->position;
    if (room_bytes < LOFTI_PAGE_BYTES) {
        return LOFT_OK;
    }
    lofti_frame *frame = store->frame;
    int code = lofti_log_read(store, expect->position, frame, LOFTI_PAGE_BYTES);
    if (code != LOFT_OK || lofti_frame_validate_header(frame, expect, room_bytes).code != LOFT_OK) {
        return code;
    }
    const uint64_t rest_bytes = frame->frame_bytes - LOFTI_PAGE_BYTES;
    code = lofti_log_read(store, expect->position + LOFTI_PAGE_BYTES,
                          (uint8_t *)frame + LOFTI_PAGE_BYTES, rest_bytes);
    *valid = code == LOFT_OK && lofti_frame_validate(frame, &store->super).code == LOFT_OK;
    return code;
}

/* What a LAST frame makes true. */
static int scan_accept(lofti_store *store)
{
    const int code = lofti_index_reserve(&store->index, store->draft.count);
    if (code != LOFT_OK) {
        return lofti_status_fail(code, "open", store->path, "no memory for the page index");
    }
    lofti_append_accept(store);
    store->sequence = store->frame->sequence;
    store->frontier = store->frame->frontier;
    store->file_bytes = lofti_arith_max(store->file_bytes, store->frame->file_bytes);
    return LOFT_OK;
}

int lofti_store_scan(lofti_store *store)
{
    lofti_frame_expect expect = {store->super.start,
                                 store->super.salt,
                                 store->super.salt,
                                 store->super.sequence,
                                 store->super.frontier,
                                 0,
                                 0};
    lofti_append_begin(store, LOFTI_FRAME_COMMIT, expect.position, expect.chain);
    for (;;) {
        bool valid = false;
        int code = scan_frame(store, &expect, &valid);
        if (code != LOFT_OK || !valid) {
            store->draft.count = 0;
            return code;
        }
        const lofti_frame *frame = store->frame;
        if (frame->kind == LOFTI_FRAME_SEAL && store->index.count == 0) {
            store->draft.count = 0; /* it seals no commit of this epoch: nobody wrote that */
            return LOFT_OK;
        }
        code = scan_collect(store, frame, expect.position);
        if (code != LOFT_OK) {
            return code;
        }
        expect.position += frame->frame_bytes;
        expect.chain = frame->hash;
        expect.kind = frame->kind;
        if ((frame->flags & LOFTI_FRAME_LAST) != 0) {
            store->draft.position = expect.position;
            store->draft.chain = expect.chain;
            code = scan_accept(store);
            if (code != LOFT_OK) {
                return code;
            }
            expect.sequence = store->sequence;
            expect.frontier = store->frontier;
            expect.file_bytes = frame->file_bytes;
            expect.kind = 0;
        }
    }
}

/* --- Superblocks that were lost --------------------------------------------------------------------
 *
 * A slot that holds no superblock was never written, was torn by a crash, or was damaged later. Torn, it
 * never counted, and the newest of the others describes the file. Damaged, it may have begun an epoch, or
 * added an extent, whose commits the others do not know. Frames betray it: none is written before the
 * superblock of its epoch and extent is on the device. So does the mark of an epoch that is still empty. */

/* Follows the frames of one epoch from `position`. `copy`: its first commit is recovery's copy, which is there
 * before its superblock is (and, if an earlier flush failed, holds commits that the old epoch lacks on the
 * device): only what follows it tells. */
static int lost_walk(lofti_store *store, uint64_t position, uint64_t salt, uint64_t chain,
                     bool copy, bool *lost)
{
    lofti_frame *frame = store->frame;
    while (store->total_bytes - position >= LOFTI_PAGE_BYTES) {
        const uint64_t room_bytes = store->total_bytes - position;
        int code = lofti_log_read(store, position, frame, LOFTI_PAGE_BYTES);
        if (code != LOFT_OK) {
            return code;
        }
        const bool first = (frame->flags & LOFTI_FRAME_FIRST) != 0;
        const uint64_t sequence = frame->sequence - (frame->kind == LOFTI_FRAME_COMMIT ? 1 : 0);
        const lofti_frame_expect expect = {
            position, salt, chain, sequence, 0, 0, first ? 0 : frame->kind};
        if (lofti_frame_validate_header(frame, &expect, UINT64_MAX).code != LOFT_OK) {
            return LOFT_OK;
        }
        const bool newer = !copy && frame->sequence > store->sequence;
        if (frame->frame_bytes > room_bytes || (newer && salt != store->super.salt)) {
            *lost = newer; /* it ends in an extent, or is of an epoch, that nobody names */
            return LOFT_OK;
        }
        code =
            lofti_log_read(store, position + LOFTI_PAGE_BYTES, (uint8_t *)frame + LOFTI_PAGE_BYTES,
                           frame->frame_bytes - LOFTI_PAGE_BYTES);
        if (code != LOFT_OK || frame->hash != lofti_frame_hash(frame)) {
            return code;
        }
        if (newer && (frame->flags & LOFTI_FRAME_LAST) != 0) {
            *lost = true;
            return LOFT_OK;
        }
        copy = copy && (frame->flags & LOFTI_FRAME_LAST) == 0;
        chain = frame->hash;
        position += frame->frame_bytes;
    }
    return LOFT_OK;
}

/* The same for another epoch, if one begins at `position`. */
static int lost_epoch(lofti_store *store, uint64_t position, bool copy, bool *lost)
{
    if (*lost || store->total_bytes - position < LOFTI_PAGE_BYTES) {
        return LOFT_OK;
    }
    const int code = lofti_log_read(store, position, store->frame, LOFTI_PAGE_BYTES);
    const uint64_t salt = store->frame->salt;
    if (code != LOFT_OK || salt == store->super.salt) {
        return code;
    }
    if (lofti_frame_is_mark(store->frame)) {
        *lost = store->frame->sequence > store->sequence;
        return LOFT_OK;
    }
    return lost_walk(store, position, salt, salt, copy, lost);
}

int lofti_store_scan_lost(lofti_store *store, bool *lost)
{
    *lost = false;
    if (store->slots_whole) {
        return LOFT_OK;
    }
    int code = lost_walk(store, store->position, store->super.salt, store->chain, false, lost);
    if (code == LOFT_OK) {
        code = lost_epoch(store, 0, false, lost); /* where a checkpoint begins an epoch */
    }
    if (code == LOFT_OK) {
        code = lost_epoch(store, store->position, true, lost); /* where recovery begins one */
    }
    return code;
}
