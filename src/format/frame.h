/*
 * format/frame.h - the journal's frames and records.
 *
 * The journal is the concatenation of its extents; a position counts bytes in it. A commit is one or
 * more frames, the first beginning on a fresh 4 KiB block (C3), so that appending never touches a
 * block that holds an earlier commit.
 *
 *   | frame header, 88 | record 24 + payload | record ... | zeros to the next 4 KiB |
 *
 * A frame is valid if and only if
 *   F1 its magic, kind, flags, sizes and position are possible and its reserved fields are zero,
 *   F2 its salt is the epoch's,
 *   F3 its chain is the hash of the frame before it (of the epoch's first: the salt),
 *   F4 its sequence continues the commit before it,
 *   F5 its hash, over everything behind the hash field and seeded with the chain, matches.
 * A commit counts if and only if all its frames are valid, up to one flagged LAST.
 */
#ifndef LOFTI_FORMAT_FRAME_H
#define LOFTI_FORMAT_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "format/super.h"

#define LOFTI_FRAME_MAGIC     0x314d5246u /* "FRM1" */
/* The payload that a frame may hold: bounds the memory of writer and reader. A frame takes one
 * more record than fits, so its largest size is this plus a page, rounded. */
#define LOFTI_FRAME_BYTES_MAX ((uint64_t)1 << 20)

enum lofti_frame_kind {
    LOFTI_FRAME_COMMIT = 1, /* pages of a commit */
    LOFTI_FRAME_SEAL = 2,   /* full images of all pages whose newest record is a delta (C4) */
    LOFTI_FRAME_MARK = 3    /* counts for nothing: where an empty epoch began */
};

enum lofti_frame_flags {
    LOFTI_FRAME_FIRST = 1, /* of its commit or seal */
    LOFTI_FRAME_LAST = 2   /* makes it count */
};

typedef struct lofti_frame {
    uint64_t hash; /* XXH3 of bytes 8 .. frame_bytes, seed: chain */
    uint32_t magic;
    uint16_t kind;
    uint16_t flags;
    uint64_t frame_bytes; /* multiple of 4 KiB, header included */
    uint64_t used_bytes;  /* header and records; zeros follow */
    uint64_t position;    /* its own, in the journal */
    uint64_t salt;
    uint64_t chain;      /* hash of the frame before */
    uint64_t sequence;   /* of the commit; a seal carries that of the newest commit */
    uint64_t frontier;   /* as of this commit */
    uint64_t file_bytes; /* the file must be at least this long to hold its pages */
    uint32_t record_count;
    uint32_t reserved;
} lofti_frame;

enum lofti_record_kind {
    LOFTI_RECORD_FULL = 1, /* the page */
    LOFTI_RECORD_DELTA = 2 /* runs against the base image: { u16 off, u16 bytes, bytes } ... */
};

typedef struct lofti_record {
    uint64_t page_idx; /* file offset / 4 KiB */
    uint16_t kind;
    uint16_t reserved;
    uint32_t bytes;     /* of payload; followed by zeros to a multiple of 8 */
    uint64_t page_hash; /* of the resulting page: XXH3, seed: salt ^ page_idx */
} lofti_record;

_Static_assert(offsetof(lofti_frame, hash) == 0, "format");
_Static_assert(offsetof(lofti_frame, magic) == 8, "format");
_Static_assert(offsetof(lofti_frame, kind) == 12, "format");
_Static_assert(offsetof(lofti_frame, flags) == 14, "format");
_Static_assert(offsetof(lofti_frame, frame_bytes) == 16, "format");
_Static_assert(offsetof(lofti_frame, used_bytes) == 24, "format");
_Static_assert(offsetof(lofti_frame, position) == 32, "format");
_Static_assert(offsetof(lofti_frame, salt) == 40, "format");
_Static_assert(offsetof(lofti_frame, chain) == 48, "format");
_Static_assert(offsetof(lofti_frame, sequence) == 56, "format");
_Static_assert(offsetof(lofti_frame, frontier) == 64, "format");
_Static_assert(offsetof(lofti_frame, file_bytes) == 72, "format");
_Static_assert(offsetof(lofti_frame, record_count) == 80, "format");
_Static_assert(offsetof(lofti_frame, reserved) == 84, "format");
_Static_assert(sizeof(lofti_frame) == 88, "format");
_Static_assert(offsetof(lofti_record, page_idx) == 0, "format");
_Static_assert(offsetof(lofti_record, kind) == 8, "format");
_Static_assert(offsetof(lofti_record, reserved) == 10, "format");
_Static_assert(offsetof(lofti_record, bytes) == 12, "format");
_Static_assert(offsetof(lofti_record, page_hash) == 16, "format");
_Static_assert(sizeof(lofti_record) == 24, "format");

#define LOFTI_RECORD_ALIGNMENT 8u
#define LOFTI_FRAME_SIZE_MAX                                                                       \
    (LOFTI_FRAME_BYTES_MAX + 2 * LOFTI_PAGE_BYTES) /* of a whole frame, padding included */

/* What a frame must continue. */
typedef struct lofti_frame_expect {
    uint64_t position, salt, chain;
    uint64_t sequence;             /* of the newest whole commit */
    uint64_t frontier, file_bytes; /* of the newest whole commit: they never fall */
    uint16_t kind; /* of the unfinished commit or seal that it must continue; 0: none */
} lofti_frame_expect;

/* Judges a header before the rest is read: F1 to F4. `room_bytes`: what is left of the journal. */
lofti_verdict lofti_frame_validate_header(const lofti_frame *frame,
                                          const lofti_frame_expect *expect, uint64_t room_bytes);

/* Judges the whole frame, whose header was judged: F5 and every record. `super` tells which pages are
 * the journal's own and must not be written. */
lofti_verdict lofti_frame_validate(const lofti_frame *frame, const lofti_super *super);

/* A mark is one block at position 0 that ends the journal like zeros, and tells whoever finds another epoch's superblock
 * that a newer one was there. `block`: LOFTI_PAGE_BYTES of zeros. */
void lofti_frame_mark(lofti_frame *block, const lofti_super *super);
bool lofti_frame_is_mark(const lofti_frame *block);

/* Hash of a frame that is complete in memory but for its hash field. */
uint64_t lofti_frame_hash(const lofti_frame *frame);
uint64_t lofti_frame_page_hash(const void *page, uint64_t page_idx, uint64_t salt);

/* Walks records: `off` is where the record lies in the frame; the next one's offset is returned. The
 * frame was judged. */
const lofti_record *lofti_frame_record(const lofti_frame *frame, uint64_t off);
uint64_t lofti_record_next_off(const lofti_record *record, uint64_t off);

/* Encodes `page` against `base` as runs into `out` (of LOFTI_PAGE_BYTES); returns the bytes used, or
 * UINT32_MAX if a full record would be no larger. 0: the pages are equal. */
uint32_t lofti_delta_encode(const uint8_t *base, const uint8_t *page, uint8_t *out);
/* True if the runs are inside the page, rising and not empty. */
int lofti_delta_valid(const uint8_t *delta, uint32_t bytes);
/* Changes `page`, which holds the base image, by runs that were judged valid. */
void lofti_delta_apply(uint8_t *page, const uint8_t *delta, uint32_t bytes);

#endif /* LOFTI_FORMAT_FRAME_H */
