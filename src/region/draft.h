/*
 * region/draft.h - a file on its way to become a region: opened, made or borrowed, sized, filled,
 * named; and undone if any step fails.
 *
 * Functions answer a LOFT_E code with its sentence set. After begin succeeded, exactly one of
 * finish and cancel ends a draft.
 */
#ifndef LOFTI_REGION_DRAFT_H
#define LOFTI_REGION_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "os/file.h"

/* Bytes of the longest path that a temporary name is made beside; longer ones the system refuses.
 * */
#define LOFTI_DRAFT_PATH_BYTES 4160

typedef struct lofti_draft {
    const char *operation; /* for sentences */
    const char *path;      /* NULL: a borrowed handle */
    unsigned flags;        /* of the public call, completed */
    lofti_file file;
    lofti_file_info info;                   /* info.bytes is kept up to date */
    uint64_t old_bytes;                     /* what undoing a growth goes back to */
    bool is_new;                            /* the file is ours alone: nothing in it must survive */
    bool is_named;                          /* of a new file: `name` is in the folder */
    bool is_borrowed;                       /* the handle is the caller's */
    bool is_emptied;                        /* old content was dropped: there is no way back */
    char temporary[LOFTI_DRAFT_PATH_BYTES]; /* LOFT_REPLACE: the name until the end, or "" */
} lofti_draft;

/* Creates as LOFT_TRUNCATE, KEEP, EXCLUSIVE, REPLACE in flags say. */
int lofti_draft_begin_create(lofti_draft *draft, const char *operation, const char *path,
                             unsigned flags);
int lofti_draft_begin_open(lofti_draft *draft, const char *operation, const char *path,
                           unsigned flags);
int lofti_draft_begin_borrow(lofti_draft *draft, const char *operation, intptr_t handle,
                             unsigned flags);

/* The file reaches to `end` at least. */
int lofti_draft_grow(lofti_draft *draft, uint64_t end);
/* LOFT_TRUNCATE of an existing file: drops its content; it is then `bytes` zeros. */
int lofti_draft_empty(lofti_draft *draft, uint64_t bytes);
/* LOFT_PREALLOCATE of a range. */
int lofti_draft_allocate(lofti_draft *draft, uint64_t off, uint64_t bytes);
int lofti_draft_write(lofti_draft *draft, const void *data, uint64_t bytes);
/* LOFT_RANDOM: leaves no large folio of the file in the page cache, which sync would write whole.
 * */
int lofti_draft_settle(lofti_draft *draft);
/* LOFT_REPLACE: gives the new file its name. Partial: the folder's flush may fail after that. */
int lofti_draft_publish(lofti_draft *draft);

/* Ends it well: *kept is the open file if LOFT_GROW or LOFT_LOCK need it, else closed. */
void lofti_draft_finish(lofti_draft *draft, lofti_file *kept);
/* Undoes it: a new file is gone, an old one has its old size. The last error stays as it is. */
void lofti_draft_cancel(lofti_draft *draft);

#endif /* LOFTI_REGION_DRAFT_H */
