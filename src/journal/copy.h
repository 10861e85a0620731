/*
 * journal/copy.h - one commit of a store, read while the store goes on, and written as a store of its own.
 *
 * A view is the newest commit at the moment of lofti_view_begin: the superblock, the frontier and the index of that
 * moment. It stays readable as long as no base image below its frontier and no frame of its journal changes, that is:
 * as long as no checkpoint runs and the file is open. Who holds checkpoints off is the caller's
 * business (arena/snapshot.c; for a reader its lock).
 *
 *   source   | super | journal | base images ... | frontier : anything
 *                          \         |
 *   copy     | super |     empty     | newest images ...   : nothing
 *
 * Functions return 0 or a LOFT_E code with its sentence set.
 */
#ifndef LOFTI_JOURNAL_COPY_H
#define LOFTI_JOURNAL_COPY_H

#include "journal/store.h"

/* Tells how far it is; non-0 cancels: LOFT_ECANCELED. */
typedef int lofti_copy_progress_fn(void *context, uint64_t done, uint64_t total);
/* Hears of bytes that could not be read, or not be proved, and are zeros in the copy; non-0 stops and is returned. */
typedef int lofti_copy_loss_fn(void *context, uint64_t off, uint64_t bytes, const char *reason);

/* How a copy was made; for statistics and tests. */
enum lofti_copy_way { LOFTI_COPY_WRITTEN = 0, LOFTI_COPY_CLONED = 1 };

typedef struct lofti_copy {
    const lofti_file *to; /* new and empty */
    const char *path;     /* its future name, for sentences */
    lofti_store_identity identity;
    lofti_copy_progress_fn *progress; /* NULL: none */
    void *progress_context;
    lofti_copy_loss_fn *loss; /* NULL: what cannot be read or proved fails the copy */
    void *loss_context;
    bool may_clone; /* blocks may be shared with the source, where the file system can */
    /* Out. */
    uint32_t way;
    uint64_t done_bytes, total_bytes;
} lofti_copy;

/* Takes the view. Nobody changes the store meanwhile (the commit's lock). The store's file stays its own. */
int lofti_view_begin(const lofti_store *store, lofti_store *view);
void lofti_view_end(lofti_store *view);

/* Writes the view's commit as a new store with an empty journal. Not flushed. */
int lofti_copy_store(lofti_store *view, lofti_copy *copy);

/* The same from memory: a heap image of `bytes`, whole pages, at `image`. Pages of zeros stay holes. */
typedef const uint8_t *lofti_copy_page_fn(void *context, uint64_t off, uint8_t *scratch);
int lofti_copy_memory(uint64_t bytes, lofti_copy_page_fn *page, void *context, lofti_copy *copy);

/* --- Checking (store_check.c) ------------------------------------------------------------------------
 *
 * Nothing is changed. fn hears of each fault; non-0 stops and is returned. Else 0, or a LOFT_E code if the check itself
 * fails. */

typedef int lofti_check_fn(void *context, int code, uint64_t off, const char *text);
/* The superblocks and what must be zeros behind them. Before the store is opened. */
int lofti_check_head(const lofti_file *file, const char *path, lofti_check_fn *fn, void *context);
/* Commits that a break of the journal hides. */
int lofti_check_journal(lofti_store *store, lofti_check_fn *fn, void *context);
/* Every page of the journal, against its hash. */
int lofti_check_pages(lofti_store *store, lofti_check_fn *fn, void *context);
/* That all data below the frontier can be read. */
int lofti_check_data(lofti_store *store, lofti_check_fn *fn, void *context);

/* --- Between the files of this: ------------------------------------------------------------------- */

/* Bytes of a view's buffer, which are read and written at once: they fit a small second-level cache. */
enum { LOFTI_COPY_PIECE_BYTES = 128 << 10 };
uint8_t *lofti_view_buffer(const lofti_store *view);
/* Tells the progress; LOFT_ECANCELED. advance: at times, as it goes on. */
int lofti_copy_tell(const lofti_copy *copy);
int lofti_copy_advance(lofti_copy *copy, uint64_t bytes);
/* A failure of the copy's own file. */
int lofti_copy_failed(const lofti_copy *copy, int error);
/* Size, an empty journal and, last, the superblock. */
int lofti_copy_head(const lofti_copy *copy, uint64_t sequence, uint64_t frontier);

/* The next stretch of data at or behind `off` and before `end`, whole pages, that is heap: neither a hole
 * nor the journal's. False: none, or *error. */
bool lofti_copy_next_data(const lofti_store *view, uint64_t off, uint64_t end, lofti_extent *out,
                          int *error);

#endif /* LOFTI_JOURNAL_COPY_H */
