/*
 * format/super.h - the superblock: what a file is and where its journal lies.
 *
 * Three slots of 4 KiB at the file's start hold superblocks; the whole one with the highest
 * generation counts. All fields are little-endian; docs/format.md has the same table in words.
 *
 *   file   0        4 KiB    8 KiB    12 KiB      64 KiB                4 MiB
 *          | slot 0 | slot 1 | slot 2 | zeros ... | first journal extent | heap image and, in chunks
 *                                                                          of their own, more journal
 *
 * Why three slots: a new handle cannot know whether the newest superblock that it reads is on
 * the device or only in the page cache (its writer's flush may have failed). So it must not overwrite
 * that one, nor the one before it, which may be the only one on the device.
 */
#ifndef LOFTI_FORMAT_SUPER_H
#define LOFTI_FORMAT_SUPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/chunk.h"

#define LOFTI_SUPER_MAGIC       0x0a1a0a0d74666f6cULL /* "loft\r\n\x1a\n": text-mode transfers break it */
#define LOFTI_SUPER_VERSION     1u
#define LOFTI_SUPER_BYTE_ORDER  0x01020304u
#define LOFTI_SUPER_BYTES       4096u /* one device block: a torn slot harms no other */
#define LOFTI_SUPER_SLOTS       3u
#define LOFTI_SUPER_EXTENTS_MAX 120u /* growth by at least a quarter: 120 are beyond any disk */
#define LOFTI_SUPER_SEED        0x6c6f66742d737570ULL
#define LOFTI_JOURNAL_OFF       ((uint64_t)64 << 10) /* where the first extent begins */
#define LOFTI_HEAP_OFF          LOFTI_CHUNK_BYTES    /* where the heap image begins: chunk 1 */

/* Features that a reader must know to read, and a writer to write. None are defined in version 1. */
#define LOFTI_SUPER_INCOMPATIBLE_KNOWN 0u
#define LOFTI_SUPER_WRITE_KNOWN        0u

/* A run of the file that belongs to the journal; both fields are multiples of 4 KiB. */
typedef struct lofti_extent {
    uint64_t off;
    uint64_t bytes;
} lofti_extent;

typedef struct lofti_super {
    uint64_t magic;
    uint32_t version;
    uint32_t byte_order;
    uint32_t super_bytes; /* LOFTI_SUPER_BYTES */
    uint32_t page_shift;
    uint32_t chunk_shift;
    uint32_t reserved0;
    uint64_t incompatible;       /* feature bits: unknown ones forbid opening */
    uint64_t write_incompatible; /* unknown ones forbid opening for change */
    uint64_t compatible;         /* unknown ones are harmless */
    uint8_t uuid[16];
    uint64_t generation; /* rises by one with every superblock written */
    uint64_t base;       /* the arena's address */
    uint64_t created_ns; /* since 1970, UTC */
    /* The journal's present epoch. */
    uint64_t salt;       /* random; frames of other epochs do not have it */
    uint64_t start;      /* logical journal position of the epoch's first frame */
    uint64_t sequence;   /* the commit that the base images hold; 0: none yet */
    uint64_t frontier;   /* end of all pages that commits up to it have covered */
    uint64_t file_bytes; /* the file is at least this long */
    uint32_t extent_count;
    uint32_t reserved1;
    lofti_extent extents[LOFTI_SUPER_EXTENTS_MAX]; /* in logical order; unused ones are zero */
    uint8_t padding[2024];
    uint64_t hash; /* XXH3 of all bytes before, seed LOFTI_SUPER_SEED */
} lofti_super;

_Static_assert(offsetof(lofti_super, magic) == 0, "format");
_Static_assert(offsetof(lofti_super, version) == 8, "format");
_Static_assert(offsetof(lofti_super, byte_order) == 12, "format");
_Static_assert(offsetof(lofti_super, super_bytes) == 16, "format");
_Static_assert(offsetof(lofti_super, page_shift) == 20, "format");
_Static_assert(offsetof(lofti_super, chunk_shift) == 24, "format");
_Static_assert(offsetof(lofti_super, reserved0) == 28, "format");
_Static_assert(offsetof(lofti_super, incompatible) == 32, "format");
_Static_assert(offsetof(lofti_super, write_incompatible) == 40, "format");
_Static_assert(offsetof(lofti_super, compatible) == 48, "format");
_Static_assert(offsetof(lofti_super, uuid) == 56, "format");
_Static_assert(offsetof(lofti_super, generation) == 72, "format");
_Static_assert(offsetof(lofti_super, base) == 80, "format");
_Static_assert(offsetof(lofti_super, created_ns) == 88, "format");
_Static_assert(offsetof(lofti_super, salt) == 96, "format");
_Static_assert(offsetof(lofti_super, start) == 104, "format");
_Static_assert(offsetof(lofti_super, sequence) == 112, "format");
_Static_assert(offsetof(lofti_super, frontier) == 120, "format");
_Static_assert(offsetof(lofti_super, file_bytes) == 128, "format");
_Static_assert(offsetof(lofti_super, extent_count) == 136, "format");
_Static_assert(offsetof(lofti_super, reserved1) == 140, "format");
_Static_assert(offsetof(lofti_super, extents) == 144, "format");
_Static_assert(sizeof(lofti_extent) == 16, "format");
_Static_assert(offsetof(lofti_super, padding) == 2064, "format");
_Static_assert(offsetof(lofti_super, hash) == 4088, "format");
_Static_assert(sizeof(lofti_super) == LOFTI_SUPER_BYTES, "format");

/* What a validator found; `reason` is NULL when all is well, else a constant text. */
typedef struct lofti_verdict {
    int code;     /* LOFT_OK, LOFT_ECORRUPT, LOFT_EVERSION */
    uint64_t off; /* of the offending field, from the start of what was judged */
    const char *reason;
} lofti_verdict;

/* Judges one slot's bytes. LOFT_ECORRUPT: not a whole superblock. LOFT_EVERSION: whole, but of a
 * format, byte order or feature that this version does not know (`writing`: for change). */
lofti_verdict lofti_super_validate(const lofti_super *super, bool writing);

/* The newest valid slot of the three (slots[i] are LOFTI_SUPER_BYTES each), or the verdict on why
 * there is none: a version it does not know outranks damage. *slot is set on LOFT_OK. */
lofti_verdict lofti_super_choose(const lofti_super slots[LOFTI_SUPER_SLOTS], bool writing,
                                 uint32_t *slot);

/* Fills in the constant fields and the hash, before writing. */
void lofti_super_seal(lofti_super *super);

#endif /* LOFTI_FORMAT_SUPER_H */
