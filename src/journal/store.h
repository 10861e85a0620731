/*
 * journal/store.h - the durable half of an arena: a file of pages that changes by commits only.
 *
 * The store knows pages, superblocks and the journal; it knows nothing of mappings, heaps or threads.
 * Everything that survives a crash goes through it, so the crash tests enumerate it alone.
 *
 *   begin -> page* -> commit          a commit: records, one write, one flush
 *   checkpoint                        base images catch up, the journal is rewound
 *   open -> recover                   after a crash: copy, apply, rewind
 *
 * States (store.state; lofti_store_verify holds each one's assertions):
 *
 *   state    | may go to      | by
 *   ---------+----------------+------------------------------------------------------------
 *   READ     | -              | opened read-only: scans, reads pages
 *   IDLE     | OPEN, POISONED | begin; a failed flush
 *   OPEN     | IDLE, POISONED | commit, cancel; a failed flush
 *   POISONED | -              | a flush failed: only reading is allowed
 *
 * Invariants (C1-C9 are those of docs/durability.md):
 *   S1  sequence, chain, position, frontier and the index describe exactly the newest commit that this handle
 *       wrote or read at open; durable_sequence says up to which they are flushed. As each frame is chained to the
 *       one before, what a crash leaves of those behind it is a prefix.
 *   S2  A superblock is never written over the newest good one nor over the one before it.
 *   S3  Unless super_stale, `super` is flushed in slot `slot_good`. It is stale after open (what was read
 *       may be in the cache only) and after a failed write of another; it is renewed before anything
 *       that relies on it is written, in every slot that was torn: what the next write to one leaves, torn as well, may
 *       be the whole of the elder.
 *   S4  No byte of [super.start, position) of the journal is written again before a superblock with
 *       another epoch is flushed.
 *   S5  Base images of committed pages change in checkpoint only, after every page that changes has a full image
 *       in the flushed journal. Behind the frontier: B1 to B3 in store_bulk.c. Holes of pages in nobody's use: P1,
 *       P2 in store_checkpoint.c.
 *
 * Threads: one at a time, but for claim, unclaim, space_end, figures_get and wait, which any thread may call. Functions return 0 or a LOFT_E code with its sentence set.
 */
#ifndef LOFTI_JOURNAL_STORE_H
#define LOFTI_JOURNAL_STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "format/frame.h"
#include "format/super.h"
#include "journal/index.h"
#include "os/file.h"

enum lofti_store_state {
    LOFTI_STORE_CLOSED = 0,
    LOFTI_STORE_READ,
    LOFTI_STORE_IDLE,
    LOFTI_STORE_OPEN,
    LOFTI_STORE_POISONED
};

/* How much of a new journal is written with zeros at creation. Written blocks need no change of the file's
 * metadata when a commit lands in them, which makes its flush one write instead of several; 256 KiB hold some
 * hundred small commits and keep the file of a small arena small. */
#define LOFTI_STORE_PREPARED_BYTES ((uint64_t)256 << 10)

/* Bytes of the file that carry locks; beyond any content. */
#define LOFTI_STORE_LOCK_WRITER ((uint64_t)1 << 62)
#define LOFTI_STORE_LOCK_READER (((uint64_t)1 << 62) + 1)

/* Base images that are read with one call for neighbouring pages; windows for reading records, in turns (log_near.c). */
#define LOFTI_STORE_BASES        ((uint64_t)16)
#define LOFTI_STORE_WINDOWS      4u
#define LOFTI_STORE_WINDOW_BYTES ((uint64_t)16 << 10)

/* A part of the journal that was read at once; without content, where a stream of reads has come to. */
typedef struct lofti_log_window {
    uint64_t position, end; /* end 0: unused */
    bool held;              /* it has the content */
} lofti_log_window;

/* The commit being built. */
typedef struct lofti_store_draft {
    lofti_index_entry *entries; /* records appended, not yet in the index */
    uint64_t capacity, count;
    uint64_t position;   /* where the frame in the buffer will go */
    uint64_t chain;      /* hash of the frame before it */
    uint64_t used_bytes; /* of the frame in the buffer */
    uint32_t record_count;
    uint16_t kind;
    bool first;    /* no frame of it has been written yet */
    bool written;  /* some frame may have reached the file */
    bool in_place; /* pages of it were written behind the frontier (store_bulk.c) */
    uint64_t placed_pages;
    uint64_t handed_end; /* those before this offset are handed to the device; 0: none yet */
} lofti_store_draft;

/* What any thread may ask of a store while another one commits: as of the newest commit or checkpoint. */
typedef struct lofti_store_figures {
    uint64_t commit_count, committed_pages, committed_bytes, checkpoint_count;
    uint64_t journal_bytes, sequence, frontier, base;
    uint8_t uuid[16];
    uint64_t version;
    uint64_t has_journal; /* 0 or 1 */
} lofti_store_figures;

typedef struct lofti_store {
    lofti_file file;
    const char *path; /* the owner's, for sentences */
    uint32_t state;
    uint32_t slot_good, slot_before; /* newest good superblock, the one before it */
    uint64_t generation;             /* the highest that was tried */
    lofti_super super;
    bool super_stale; /* S3 */
    bool slots_whole; /* as read at open: all three held superblocks */
    int slots_torn;   /* slots with half a superblock from an earlier handle */
    bool lenient;     /* lofti_store_open_lenient */
    bool lost;        /* then: a superblock newer than the one that counts is missing */

    uint64_t total_bytes; /* of the journal's extents */
    uint64_t position;    /* where the next commit begins */
    uint64_t high;        /* the journal may have content up to here */
    uint64_t chain, sequence, frontier;
    _Atomic uint64_t durable_sequence; /* commits up to it are flushed */
    _Atomic bool flush_failed;         /* POISONED is due, found by a thread that only waited */
    pthread_mutex_t flush_mutex; /* one flush at a time, so that a failure is nobody's success */
    uint64_t file_bytes;         /* as of the newest commit or extension */
    /* Guards space_end and figures: a heap grows, and asks, while a commit is written. */
    pthread_mutex_t space_mutex;
    lofti_store_figures figures;
    uint64_t space_end; /* chunks from here on belong to nobody */
    bool base_torn;     /* an apply failed half-way: pages in the index are logged in full (S5) */
    uint64_t
        dirt_end; /* behind the frontier something may lie up to here; 0: nothing (store_bulk.c) */
    bool
        dirt_framed; /* a frame that says it counts may be in the file, unflushed or broken unflushed */
    uint64_t placed_end;   /* the file must reach here: committed pages lie in place */
    uint64_t placed_bytes; /* written in place since the last checkpoint */
    /* The owner's wish: the device works on pages in place while the next ones are written. The commit is over sooner,
     * and lofti_store_bulk waits for the device. */
    bool writes_back;
    bool punched; /* P2: base images became holes, which is not flushed */
    lofti_index index;

    lofti_store_draft draft;
    lofti_frame *frame;     /* one frame under construction or scrutiny, LOFTI_FRAME_SIZE_MAX */
    uint8_t *scratch;       /* a base image and a delta: two pages */
    uint8_t *bases;         /* base images of the neighbouring pages that are being logged */
    uint8_t *window_memory; /* NULL in a view: it reads without windows */
    lofti_log_window windows[LOFTI_STORE_WINDOWS];
    uint32_t window_next;     /* the next to give up */
    lofti_super super_buffer; /* the superblock being written */

    uint64_t commit_count, committed_pages, committed_bytes, checkpoint_count;
} lofti_store;

typedef struct lofti_store_identity {
    uint8_t uuid[16];
    uint64_t base;
    uint64_t created_ns;
    uint64_t salt;
} lofti_store_identity;

/* Writes a new, empty store into an empty file and flushes it: 1 flush. */
int lofti_store_format(const lofti_file *file, const char *path,
                       const lofti_store_identity *identity);

/* Takes over `file` (also on failure, when it is closed), reads superblock and journal. Holds the locks
 * as the caller set them. The journal is not applied. */
int lofti_store_open(lofti_store *store, lofti_file *file, const char *path, bool writing);
/* The same for reading a damaged file: the newest superblock that is whole counts, even if a newer one seems to be
 * lost, and the file may have been cut. */
int lofti_store_open_lenient(lofti_store *store, lofti_file *file, const char *path);
void lofti_store_close(lofti_store *store);

/* After open for change: copies the journal to a fresh epoch, flushes, then applies it like a checkpoint.
 * LOFT_EPENDING: copied, but a reader or a full disk held applying off; commits may go on. */
int lofti_store_recover(lofti_store *store);

/* LOFT_EPOISONED or LOFT_EREADONLY unless the store can be changed. */
int lofti_store_writable(const lofti_store *store, const char *operation);

/* True while the journal holds records that the base images lack. */
bool lofti_store_has_journal(const lofti_store *store);
uint64_t lofti_store_journal_bytes(const lofti_store *store);
/* The same and what was written in place since: what a checkpoint would take out of memory. */
uint64_t lofti_store_pending_bytes(const lofti_store *store);

/* A commit. page: logs it if it differs from its newest committed image. After a failure of page or commit
 * the draft is gone and the store is IDLE (or POISONED): nothing was committed. commit without any
 * logged page writes nothing. `frontier` is the end of the heap, it never falls. */
int lofti_store_begin(lofti_store *store);
int lofti_store_page(lofti_store *store, uint64_t page_idx, const void *page);
/* The same for neighbouring pages, whose base images are read together. */
int lofti_store_pages(lofti_store *store, uint64_t page_idx, const void *pages, uint64_t count);
int lofti_store_commit(lofti_store *store, uint64_t frontier);
/* Many neighbouring pages at once: those behind the frontier are not journaled but written to their own places.
 * Such a commit costs one flush more, and cannot be an unflushed one. Otherwise as page. */
int lofti_store_bulk(lofti_store *store, uint64_t page_idx, const void *pages, uint64_t count);
/* The same without its flush: it is durable after lofti_store_wait, or with the next flush of any kind. */
int lofti_store_commit_unflushed(lofti_store *store, uint64_t frontier);
void lofti_store_cancel(lofti_store *store);

/* Flushes unless commits up to `sequence` are durable. `newest`: the sequence of the newest commit that had
 * returned before the call. */
int lofti_store_wait(lofti_store *store, uint64_t sequence, uint64_t newest);

/* Applies and rewinds. LOFT_EPENDING: held off by a reader, or no space; everything stands. */
int lofti_store_checkpoint(lofti_store *store);

/* Directly after a checkpoint: [off, off + bytes), whole pages below the frontier that nobody has in use in the newest
 * commit, becomes a hole; they read as zeros from now on. 0 or a negative errno value. */
int lofti_store_punch(lofti_store *store, uint64_t off, uint64_t bytes);
/* After the last of them, before the next commit: flushes what they did. */
int lofti_store_punched(lofti_store *store);

/* Leaves no content in an empty journal, but the mark of its epoch, and no more blocks than a new file has. For a clean close; does nothing
 * while the journal is in use. Not flushed, and failing costs space only. */
void lofti_store_tidy(lofti_store *store);

/* The newest committed image of a page, verified. */
int lofti_store_read_page(lofti_store *store, uint64_t page_idx, void *out);
/* The same of neighbouring pages; after a failure `out` holds some of them. */
int lofti_store_read_pages(lofti_store *store, uint64_t page_idx, void *out, uint64_t count);

/* Calls fn with the newest image of every page in the journal, in rising order. */
typedef int lofti_store_page_fn(void *context, uint64_t page_idx, const void *page);
int lofti_store_each_page(lofti_store *store, lofti_store_page_fn *fn, void *context);

/* The journal's first extent that ends behind `off` in the file; a zero one if there is none. */
lofti_extent lofti_store_extent_behind(const lofti_super *super, uint64_t off);
/* Takes `count` neighbouring chunks of file and address space that belong to nobody, below `limit_bytes`. */
int lofti_store_claim(lofti_store *store, uint64_t count, uint64_t limit_bytes, uint64_t *off);
/* Gives [off, off + bytes) back if nothing was claimed behind it; else it stays unused until the next open. */
void lofti_store_unclaim(lofti_store *store, uint64_t off, uint64_t bytes);
/* Chunks from here on belong to nobody. */
uint64_t lofti_store_space_end(const lofti_store *store);
/* The figures of the newest commit or checkpoint, all of one moment. */
void lofti_store_figures_get(const lofti_store *store, lofti_store_figures *out);

/* Asserts the invariants of the present state. */
void lofti_store_verify(const lofti_store *store);

#endif /* LOFTI_JOURNAL_STORE_H */
