/* A tiny write-ahead store, which the crash harness is proved with: right as it stands, wrong in
 * one chosen way for each planted fault.
 *
 *     block 0 1 2 | 3 .. 8        | 9 .. 14        | 15 .. 20
 *     superblocks | one page each | journal half A | journal half B      (blocks of 4 KiB)
 *
 * A commit is a record in a fresh block of the active half: a header and the images of the
 * changed pages, with a checksum that is seeded by the half's salt. Rules, each with its fault:
 *
 * T1. A commit has returned when its record was flushed.
 * T2. A record counts when salt, sequence and checksum are right.
 * T3. Checkpoint: flush the journal; write the pages, flush; write the oldest superblock with a
 *     new salt, flush; only then use the half from its beginning.
 * T4. A record never shares a block with an elder one.
 * T5. Recovery relies on nothing that it has only read: it writes the superblock it trusts to
 *     another slot and flushes; writes what the journal holds as one record to the other half and
 *     flushes; makes a superblock lead there and flushes; then checkpoints that.
 * T6. A new store gets its name when it is whole and flushed; then its folder is flushed.
 *
 * Three superblocks: after a failed flush the newest one may be in the cache only, and the slot
 * that is written next must not be the one that the disk then depends on. */
#ifndef LOFT_TESTS_CRASH_TOY_H
#define LOFT_TESTS_CRASH_TOY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/file.h"

enum {
    TOY_PAGES = 6,
    TOY_PAGE_BYTES = 512,
    TOY_BLOCK_BYTES = 4096,
    TOY_SLOTS = 3,
    TOY_HALF_BLOCKS = 6
};

enum toy_fault {
    TOY_RIGHT,
    TOY_COMMIT_UNFLUSHED,      /* T1 */
    TOY_COMMIT_FLUSHED_EARLY,  /* T1: flush and write swapped */
    TOY_CHECKSUM_SKIPPED,      /* T2 */
    TOY_SALT_REUSED,           /* T2, T3 */
    TOY_SEQUENCE_SKIPPED,      /* T2 */
    TOY_SUPER_UNCHECKED,       /* T3: a superblock's checksum is not looked at */
    TOY_APPLY_BEFORE_FLUSH,    /* T3: records may be unflushed when pages are written */
    TOY_APPLY_UNFLUSHED,       /* T3 */
    TOY_SUPER_BEFORE_APPLY,    /* T3: superblock and pages swapped */
    TOY_SUPER_UNFLUSHED,       /* T3: the journal is used again before */
    TOY_REWOUND_EARLY,         /* T3: the journal is used again before the superblock is written */
    TOY_SUPER_IN_PLACE,        /* T3: the newest superblock is overwritten */
    TOY_BLOCK_SHARED,          /* T4 */
    TOY_RECOVERY_TRUSTS_SUPER, /* T5: the superblock is not written again */
    TOY_RECOVERY_TRUSTS_RECORDS,  /* T5: no copy: the pages are written from what was read */
    TOY_RECOVERY_COPY_UNFLUSHED,  /* T5 */
    TOY_RECOVERY_COPY_IN_PLACE,   /* T5: the only copy is overwritten */
    TOY_RECOVERY_SUPER_UNFLUSHED, /* T5 */
    TOY_CREATE_UNFLUSHED,         /* T6: named before it is flushed */
    TOY_CREATE_NAME_UNFLUSHED,    /* T6 */
    TOY_FAULTS
};

typedef struct toy {
    const lofti_file_ops *ops;
    intptr_t handle;
    enum toy_fault fault;
    uint64_t epoch, salt; /* of the newest superblock */
    uint64_t sequence;    /* of the last commit */
    uint32_t half;        /* active */
    uint32_t used_bytes;  /* of it */
    uint32_t journaled;   /* pages with a record in it, as bits */
    uint32_t dirty;       /* pages that differ from the last commit, perhaps */
    bool unflushed;       /* records */
    bool super_due;       /* TOY_REWOUND_EARLY */
    uint8_t live[TOY_PAGES][TOY_PAGE_BYTES];
    uint8_t committed[TOY_PAGES][TOY_PAGE_BYTES];
} toy;

/* All return 0 or a negative errno. After a failed flush the store is to be closed. */

/* Makes a new store, which is commit 1: zeroed pages. */
int toy_create(const lofti_file_ops *ops, const char *path, enum toy_fault fault, toy *out);
/* Opens and recovers. -EBADMSG: no valid superblock. */
int toy_open(const lofti_file_ops *ops, const char *path, enum toy_fault fault, toy *out);
int toy_commit(toy *store, bool durable);
void toy_rollback(toy *store);
int toy_checkpoint(toy *store);
/* Neither commits nor flushes. */
int toy_close(toy *store);

static inline uint8_t *toy_page(toy *store, uint32_t page)
{
    store->dirty |= 1u << page;
    return store->live[page];
}

const char *toy_fault_name(enum toy_fault fault);

#endif
