/*
 * journal/log.h - what the files of the journal layer share: the log as one row of bytes over its
 * extents, frames, superblocks.
 */
#ifndef LOFTI_JOURNAL_LOG_H
#define LOFTI_JOURNAL_LOG_H

#include "journal/store.h"

/* --- The log: positions 0 .. total_bytes over the extents (log.c) -------------------------- */

uint64_t lofti_log_total_bytes(const lofti_super *super);
/* Where a position lies in the file; for sentences. */
uint64_t lofti_log_file_off(const lofti_super *super, uint64_t position);
/* What lies behind the end of the file reads as zeros. */
int lofti_log_read(const lofti_store *store, uint64_t position, void *data, uint64_t bytes);
/* The same for a piece inside the journal, where others near it are likely to be read next (log_near.c). */
int lofti_log_read_near(lofti_store *store, uint64_t position, void *data, uint64_t bytes);
/* What windows hold of it counts no longer. */
void lofti_log_near_written(lofti_store *store, uint64_t position, uint64_t bytes);
int lofti_log_write(lofti_store *store, uint64_t position, const void *data, uint64_t bytes);
/* Adds at least `bytes` to the journal and makes that durable in the superblock. */
int lofti_log_extend(lofti_store *store, uint64_t bytes);
/* The same in a superblock that is not written yet (recovery switches epoch with it). */
int lofti_log_extend_draft(lofti_store *store, lofti_super *next, uint64_t bytes);

/* Gives the blocks of an empty journal behind position `keep_bytes` back to the file system. */
void lofti_log_trim(lofti_store *store, uint64_t keep_bytes);

/* --- Superblocks and flushes (super_io.c) --------------------------------------------------- */

/* Reads the slots, chooses, fills in super, slots and generation. */
int lofti_store_super_read(lofti_store *store, bool writing);
/* Writes `next` as the newest superblock and flushes (S2, S3). On success it is store->super. */
int lofti_store_super_write(lofti_store *store, const lofti_super *next, const char *operation);
/* Renews a stale superblock (S3). */
int lofti_store_super_trust(lofti_store *store);
/* Flushes the file; a failure poisons the store. */
int lofti_store_flush(lofti_store *store, const char *operation);

/* --- Frames (frame_io.c) ---------------------------------------------------------------------- */

/* Starts a draft of `kind` at `position` after `chain`. */
void lofti_append_begin(lofti_store *store, uint16_t kind, uint64_t position, uint64_t chain);
/* Appends a record. `super` is the one whose epoch the record belongs to. */
typedef struct lofti_append_record {
    uint64_t page_idx;
    uint64_t page_hash;
    const void *payload;
    uint32_t bytes;
    uint16_t kind;
} lofti_append_record;
int lofti_append_add(lofti_store *store, const lofti_super *super,
                     const lofti_append_record *record, uint64_t sequence, uint64_t frontier);
/* Writes the frame that makes the draft count. Not flushed. */
int lofti_append_finish(lofti_store *store, const lofti_super *super, uint64_t sequence,
                        uint64_t frontier);
/* Moves the draft's records into the index; its room was reserved, so this cannot fail. */
void lofti_append_accept(lofti_store *store);
/* Writes a block that is no frame of a commit where the next one will begin. 0 or a negative errno value. */
int lofti_append_break(lofti_store *store);
/* Forgets the draft, and makes sure that what was written of it never counts. */
void lofti_append_drop(lofti_store *store);

/* Reads the journal from super.start on and fills the index; stops at the first frame that is not
 * valid. Sets position, chain, sequence, frontier, file_bytes. */
int lofti_store_scan(lofti_store *store);
/* After the scan: whether the journal goes on in a way that only a superblock which is not there explains. */
int lofti_store_scan_lost(lofti_store *store, bool *lost);

/* After a commit, a checkpoint, an open: what lofti_store_figures_get tells from now on. */
void lofti_store_publish(lofti_store *store);

/* --- Commit ----------------------------------------------------------------------------------------- */

/* Logs those of neighbouring pages that differ from their newest committed images. */
int lofti_store_log_pages(lofti_store *store, uint64_t page_idx, const void *pages, uint64_t count);
/* Takes away what lies behind the frontier since a commit failed; flushes. */
int lofti_store_clean(lofti_store *store);
/* The same for what an earlier program left there. Before anything is claimed. */
int lofti_store_clean_opened(lofti_store *store);

/* --- Checkpoint ----------------------------------------------------------------------------------- */

/* Writes the full images of all pages of the index to their places and flushes; then a superblock with
 * a fresh epoch. Every page must have a full image in the flushed journal (S5). */
int lofti_store_apply(lofti_store *store);

/* All page numbers of the index in rising order, in mapped memory to be released by the caller. */
int lofti_store_sorted(const lofti_store *store, uint64_t **out, uint64_t *bytes);

#endif /* LOFTI_JOURNAL_LOG_H */
