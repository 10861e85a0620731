/*
 * format/frame.c - judging journal frames. Pure: bytes in, verdict out.
 */
#include "format/frame.h"

#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/hash.h"
#include "loft/error.h"

static const lofti_verdict frame_ok = {LOFT_OK, 0, NULL};

static lofti_verdict frame_bad(uint64_t off, const char *reason)
{
    return (lofti_verdict){LOFT_ECORRUPT, off, reason};
}

/* F1: what can be said of a header on its own. */
static lofti_verdict frame_shape(const lofti_frame *frame, uint64_t room_bytes)
{
    if (frame->magic != LOFTI_FRAME_MAGIC) {
        return frame_bad(offsetof(lofti_frame, magic), "no frame");
    }
    if (frame->kind != LOFTI_FRAME_COMMIT && frame->kind != LOFTI_FRAME_SEAL) {
        return frame_bad(offsetof(lofti_frame, kind), "unknown frame kind");
    }
    if ((frame->flags & ~(LOFTI_FRAME_FIRST | LOFTI_FRAME_LAST)) != 0 || frame->reserved != 0) {
        return frame_bad(offsetof(lofti_frame, flags), "unknown frame flags");
    }
    if (frame->record_count == 0) {
        return frame_bad(offsetof(lofti_frame, record_count), "frame without records");
    }
    if (frame->frame_bytes % LOFTI_PAGE_BYTES != 0 || frame->frame_bytes > LOFTI_FRAME_SIZE_MAX ||
        frame->frame_bytes > room_bytes || frame->used_bytes < sizeof *frame ||
        frame->used_bytes > frame->frame_bytes ||
        frame->frame_bytes - frame->used_bytes >= LOFTI_PAGE_BYTES) {
        return frame_bad(offsetof(lofti_frame, frame_bytes), "impossible frame size");
    }
    if (frame->frontier % LOFTI_PAGE_BYTES != 0 || frame->file_bytes % LOFTI_CHUNK_BYTES != 0 ||
        frame->file_bytes > (uint64_t)LOFTI_CHUNK_COUNT_MAX * LOFTI_CHUNK_BYTES ||
        frame->frontier > frame->file_bytes) {
        return frame_bad(offsetof(lofti_frame, frontier), "impossible frontier or file size");
    }
    return frame_ok;
}

lofti_verdict lofti_frame_validate_header(const lofti_frame *frame,
                                          const lofti_frame_expect *expect, uint64_t room_bytes)
{
    const lofti_verdict shape = frame_shape(frame, room_bytes);
    if (shape.code != LOFT_OK) {
        return shape;
    }
    if ((frame->salt != expect->salt && !LOFTI_FAULT(SALT_SKIPPED)) ||
        frame->position != expect->position) {
        return frame_bad(offsetof(lofti_frame, salt), "frame of another epoch or place");
    }
    if (frame->chain != expect->chain && !LOFTI_FAULT(CHAIN_SKIPPED)) {
        return frame_bad(offsetof(lofti_frame, chain), "frame does not follow the one before");
    }
    const bool first = (frame->flags & LOFTI_FRAME_FIRST) != 0;
    if (first != (expect->kind == 0) || (!first && frame->kind != expect->kind)) {
        return frame_bad(offsetof(lofti_frame, flags), "frame outside its commit");
    }
    const uint64_t sequence = expect->sequence + (frame->kind == LOFTI_FRAME_COMMIT ? 1 : 0);
    if (frame->sequence != sequence && !LOFTI_FAULT(SEQUENCE_SKIPPED) &&
        !LOFTI_FAULT(EPOCH_UNTOLD)) {
        return frame_bad(offsetof(lofti_frame, sequence), "sequence does not continue");
    }
    if (frame->frontier < expect->frontier || frame->file_bytes < expect->file_bytes) {
        return frame_bad(offsetof(lofti_frame, frontier), "frontier or file size falls");
    }
    return frame_ok;
}

/* The page lies in the heap's part of the file: not in the header chunk, not in the journal. */
static bool frame_page_valid(uint64_t page_idx, const lofti_frame *frame, const lofti_super *super)
{
    if (page_idx < LOFTI_HEAP_OFF / LOFTI_PAGE_BYTES ||
        page_idx >= frame->file_bytes / LOFTI_PAGE_BYTES) {
        return false;
    }
    const uint64_t off = page_idx * LOFTI_PAGE_BYTES;
    for (uint32_t i = 0; i < super->extent_count; i++) {
        const lofti_extent *extent = &super->extents[i];
        if (off >= extent->off && off - extent->off < extent->bytes) {
            return false;
        }
    }
    return true;
}

static lofti_verdict record_validate(const lofti_frame *frame, uint64_t off,
                                     const lofti_super *super)
{
    const lofti_record *record = lofti_frame_record(frame, off);
    const uint64_t room_bytes = frame->used_bytes - off - sizeof *record;
    if (record->bytes > room_bytes || record->reserved != 0) {
        return frame_bad(off, "record is longer than its frame");
    }
    if (!frame_page_valid(record->page_idx, frame, super)) {
        return frame_bad(off, "record of an impossible page");
    }
    if (record->kind == LOFTI_RECORD_FULL) {
        return record->bytes == LOFTI_PAGE_BYTES ? frame_ok : frame_bad(off, "cut page");
    }
    const uint8_t *payload = (const uint8_t *)(record + 1);
    if (record->kind != LOFTI_RECORD_DELTA || frame->kind != LOFTI_FRAME_COMMIT) {
        return frame_bad(off, "unknown record kind");
    }
    return lofti_delta_valid(payload, record->bytes) ? frame_ok
                                                     : frame_bad(off, "impossible delta");
}

lofti_verdict lofti_frame_validate(const lofti_frame *frame, const lofti_super *super)
{
    if (frame->hash != lofti_frame_hash(frame) && !LOFTI_FAULT(HASH_SKIPPED)) {
        return frame_bad(offsetof(lofti_frame, hash), "frame checksum does not match");
    }
    uint64_t off = sizeof *frame;
    for (uint32_t i = 0; i < frame->record_count; i++) {
        if (off > frame->used_bytes || frame->used_bytes - off < sizeof(lofti_record)) {
            return frame_bad(off, "fewer records than counted");
        }
        const lofti_verdict verdict = record_validate(frame, off, super);
        if (verdict.code != LOFT_OK) {
            return verdict;
        }
        off = lofti_record_next_off(lofti_frame_record(frame, off), off);
    }
    if (off != frame->used_bytes) {
        return frame_bad(off, "bytes behind the last record");
    }
    return frame_ok;
}

void lofti_frame_mark(lofti_frame *block, const lofti_super *super)
{
    block->magic = LOFTI_FRAME_MAGIC;
    block->kind = LOFTI_FRAME_MARK;
    block->frame_bytes = LOFTI_PAGE_BYTES;
    block->used_bytes = sizeof *block;
    block->salt = super->salt;
    block->chain = super->salt;
    block->sequence = super->sequence;
    block->frontier = super->frontier;
    block->file_bytes = super->file_bytes;
    block->hash = lofti_frame_hash(block);
}

bool lofti_frame_is_mark(const lofti_frame *block)
{
    return block->magic == LOFTI_FRAME_MAGIC && block->kind == LOFTI_FRAME_MARK &&
           block->frame_bytes == LOFTI_PAGE_BYTES && block->hash == lofti_frame_hash(block);
}

uint64_t lofti_frame_hash(const lofti_frame *frame)
{
    const uint8_t *bytes = (const uint8_t *)frame;
    const size_t skip_bytes = sizeof frame->hash;
    return lofti_hash(bytes + skip_bytes, frame->frame_bytes - skip_bytes, frame->chain);
}

uint64_t lofti_frame_page_hash(const void *page, uint64_t page_idx, uint64_t salt)
{
    return lofti_hash(page, LOFTI_PAGE_BYTES, salt ^ page_idx);
}

const lofti_record *lofti_frame_record(const lofti_frame *frame, uint64_t off)
{
    LOFTI_ASSERT(off % LOFTI_RECORD_ALIGNMENT == 0);
    return (const lofti_record *)(const void *)((const uint8_t *)frame + off);
}

uint64_t lofti_record_next_off(const lofti_record *record, uint64_t off)
{
    return off + sizeof *record + lofti_arith_round_up(record->bytes, LOFTI_RECORD_ALIGNMENT);
}
