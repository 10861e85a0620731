/*
 * region/draft.c - a file on its way to become a region.
 *
 * What is in the folder while a file is made:
 *
 *     new, EXCLUSIVE     `path`, from the start, opened with O_EXCL; unlinked if a step fails
 *     TRUNCATE, KEEP     the old file, changed as late as can be
 *     REPLACE            nothing (an unnamed file), or where the file system cannot do that a
 *                        temporary name; at the end: flush the file, link it to the temporary
 *                        name, rename that over `path`, flush the folder
 *
 * Why REPLACE links before it renames: a link never replaces a name.
 */
#include "region/draft.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/status.h"
#include "os/sys.h"
#include "region/flags.h"
#include "region/view.h"

enum {
    DRAFT_MODE = 0644, /* & ~umask: as what the ancestor, and most programs' data files, have */
    DRAFT_TRIES = 16   /* for a name that comes and goes meanwhile, and for random names */
};

/* The byte of LOFT_LOCK: the last one that a lock can be put on, so that whoever locks the whole
 * file the usual way ("from 0 to infinity") meets it, and whoever locks what is data does not. */
#define DRAFT_LOCK_OFF ((uint64_t)INT64_MAX - 1)

static int draft_fail(const lofti_draft *draft, int error)
{
    return lofti_status_system(error, draft->operation, draft->path);
}

static void draft_init(lofti_draft *draft, const char *operation, const char *path, unsigned flags)
{
    memset(draft, 0, offsetof(lofti_draft, temporary));
    draft->temporary[0] = '\0';
    draft->operation = operation;
    draft->path = path;
    draft->flags = flags;
}

/* The name that a new file has in the folder now. */
static const char *draft_name(const lofti_draft *draft)
{
    return draft->temporary[0] != '\0' ? draft->temporary : draft->path;
}

/* --- Beginning ----------------------------------------------------------------------------- */

/* Sorts out what is no regular file, and locks. The file is open. */
static int draft_examine(lofti_draft *draft)
{
    int rc = lofti_file_info_get(&draft->file, &draft->info);
    if (rc != 0) {
        return rc == -EBADF ? lofti_status_fail(LOFT_EINVAL, draft->operation, draft->path,
                                                "not an open file")
                            : draft_fail(draft, rc);
    }
    if (draft->info.type != LOFTI_TYPE_REGULAR) {
        return lofti_status_fail(LOFT_EINVAL, draft->operation, draft->path,
                                 draft->info.type == LOFTI_TYPE_FOLDER
                                     ? "is a folder, not a regular file"
                                     : "not a regular file");
    }
    draft->old_bytes = draft->info.bytes;
    if ((draft->flags & LOFT_LOCK) == 0) {
        return 0;
    }
    const bool writes = (draft->flags & LOFT_WRITE) != 0;
    rc = lofti_file_lock(&draft->file, writes ? LOFTI_LOCK_EXCLUSIVE : LOFTI_LOCK_SHARED,
                         DRAFT_LOCK_OFF);
    if (rc == -EAGAIN) {
        return lofti_status_fail(LOFT_EBUSY, draft->operation, draft->path,
                                 "locked by another region or process");
    }
    return rc != 0 ? draft_fail(draft, rc) : 0;
}

static int draft_examine_or_cancel(lofti_draft *draft)
{
    const int code = draft_examine(draft);
    if (code != 0) {
        lofti_draft_cancel(draft);
    }
    return code;
}

int lofti_draft_begin_open(lofti_draft *draft, const char *operation, const char *path,
                           unsigned flags)
{
    draft_init(draft, operation, path, flags);
    const unsigned how = (flags & LOFT_WRITE) != 0 ? LOFTI_OPEN_WRITE : LOFTI_OPEN_READ;
    const int rc = lofti_file_open(path, how, 0, &draft->file);
    return rc != 0 ? draft_fail(draft, rc) : draft_examine_or_cancel(draft);
}

int lofti_draft_begin_borrow(lofti_draft *draft, const char *operation, intptr_t handle,
                             unsigned flags)
{
    draft_init(draft, operation, NULL, flags);
    draft->is_borrowed = true;
    draft->file = (lofti_file){lofti_file_ops_current(), handle};
    return draft_examine_or_cancel(draft);
}

/* Opens `path` as a new file, or with TRUNCATE or KEEP as the old one. Negative errno. */
static int draft_open_named(lofti_draft *draft)
{
    const unsigned how = LOFTI_OPEN_WRITE | LOFTI_OPEN_NOFOLLOW;
    int rc = -EEXIST;
    for (int i = 0; i < DRAFT_TRIES; i++) {
        rc = lofti_file_open(draft->path, how | LOFTI_OPEN_CREATE | LOFTI_OPEN_EXCLUSIVE,
                             DRAFT_MODE, &draft->file);
        if (rc == 0) {
            draft->is_new = true;
            draft->is_named = true;
            return 0;
        }
        if (rc != -EEXIST || (draft->flags & (LOFT_TRUNCATE | LOFT_KEEP)) == 0) {
            return rc;
        }
        rc = lofti_file_open(draft->path, how, 0, &draft->file);
        if (rc != -ENOENT) {
            return rc;
        }
        /* Removed between the two calls: once more. */
    }
    return rc;
}

/* Makes up a name beside `path` that nobody has: PATH.loft-0123456789abcdef. Negative errno. */
static int draft_make_temporary(lofti_draft *draft)
{
    uint64_t mark;
    const int rc = lofti_sys_random(&mark, sizeof mark);
    if (rc != 0) {
        return rc;
    }
    const int length = snprintf(draft->temporary, sizeof draft->temporary, "%s.loft-%016" PRIx64,
                                draft->path, mark);
    if (length < 0 || (size_t)length >= sizeof draft->temporary) {
        draft->temporary[0] = '\0';
        return -ENAMETOOLONG;
    }
    return 0;
}

/* Opens a file that is not at `path` yet. Negative errno. */
static int draft_open_replacement(lofti_draft *draft)
{
    int rc = lofti_file_open(draft->path, LOFTI_OPEN_UNNAMED | LOFTI_OPEN_WRITE, DRAFT_MODE,
                             &draft->file);
    if (rc == -EOPNOTSUPP) {
        rc = -EEXIST;
        for (int i = 0; i < DRAFT_TRIES && rc == -EEXIST; i++) {
            rc = draft_make_temporary(draft);
            if (rc == 0) {
                rc = lofti_file_open(draft->temporary,
                                     LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE | LOFTI_OPEN_EXCLUSIVE |
                                         LOFTI_OPEN_NOFOLLOW,
                                     DRAFT_MODE, &draft->file);
            }
        }
        draft->is_named = rc == 0;
    }
    draft->is_new = rc == 0;
    return rc;
}

int lofti_draft_begin_create(lofti_draft *draft, const char *operation, const char *path,
                             unsigned flags)
{
    draft_init(draft, operation, path, flags);
    const int rc =
        (flags & LOFT_REPLACE) != 0 ? draft_open_replacement(draft) : draft_open_named(draft);
    if (rc == -ELOOP) {
        return lofti_status_fail(LOFT_EINVAL, operation, path, "is a symbolic link");
    }
    return rc != 0 ? draft_fail(draft, rc) : draft_examine_or_cancel(draft);
}

/* --- Steps --------------------------------------------------------------------------------- */

int lofti_draft_grow(lofti_draft *draft, uint64_t end)
{
    if (end <= draft->info.bytes) {
        return 0;
    }
    const int rc = lofti_file_resize(&draft->file, end);
    if (rc != 0) {
        return lofti_view_fail(rc, draft->operation, draft->path, end);
    }
    draft->info.bytes = end;
    return 0;
}

int lofti_draft_empty(lofti_draft *draft, uint64_t bytes)
{
    int rc = lofti_file_resize(&draft->file, 0);
    if (rc == 0) {
        draft->is_emptied = true;
        draft->info.bytes = 0;
        rc = lofti_file_resize(&draft->file, bytes);
    }
    if (rc != 0) {
        return lofti_view_fail(rc, draft->operation, draft->path, bytes);
    }
    draft->info.bytes = bytes;
    return 0;
}

int lofti_draft_allocate(lofti_draft *draft, uint64_t off, uint64_t bytes)
{
    if (bytes == 0) {
        return 0;
    }
    const int rc = lofti_file_allocate(&draft->file, off, bytes);
    return rc != 0 ? lofti_view_fail(rc, draft->operation, draft->path, bytes) : 0;
}

int lofti_draft_write(lofti_draft *draft, const void *data, uint64_t bytes)
{
    const int rc = lofti_file_write(&draft->file, data, bytes, 0);
    if (rc == -EFAULT) {
        return lofti_status_fail(LOFT_EINVAL, draft->operation, draft->path,
                                 "cannot read %" PRIu64 " bytes at %p", bytes, data);
    }
    return rc != 0 ? lofti_view_fail(rc, draft->operation, draft->path, bytes) : 0;
}

int lofti_draft_settle(lofti_draft *draft)
{
    /* Only clean pages can be dropped. */
    const int rc = lofti_file_sync(&draft->file, LOFTI_SYNC_DATA);
    if (rc != 0) {
        return draft_fail(draft, rc);
    }
    (void)lofti_file_drop_cache(&draft->file); /* a hint: the content is the same either way */
    return 0;
}

/* Gives an unnamed file a temporary name. Negative errno. */
static int draft_link_temporary(lofti_draft *draft)
{
    int rc = -EEXIST;
    for (int i = 0; i < DRAFT_TRIES && rc == -EEXIST; i++) {
        rc = draft_make_temporary(draft);
        if (rc == 0) {
            rc = lofti_file_link(&draft->file, NULL, draft->temporary);
        }
    }
    draft->is_named = rc == 0;
    return rc;
}

int lofti_draft_publish(lofti_draft *draft)
{
    if ((draft->flags & LOFT_REPLACE) == 0) {
        return 0;
    }
    const bool waits = (draft->flags & LOFT_ASYNC) == 0;
    /* Before the name: content and size must be on disk, or a crash could leave the name with an
     * empty file. After it: the folder, so that the name is durable. */
    int rc = waits ? lofti_file_sync(&draft->file, LOFTI_SYNC_ALL) : 0;
    if (rc == 0 && !draft->is_named) {
        rc = draft_link_temporary(draft);
    }
    if (rc == 0) {
        rc = lofti_file_rename(draft->file.ops, draft->temporary, draft->path);
    }
    if (rc == 0) {
        draft->is_new = false; /* it is the file now: no undoing */
        rc = waits ? lofti_file_sync_folder(draft->file.ops, draft->path) : 0;
    }
    return rc != 0 ? draft_fail(draft, rc) : 0;
}

/* --- Ending -------------------------------------------------------------------------------- */

void lofti_draft_finish(lofti_draft *draft, lofti_file *kept)
{
    *kept = (lofti_file){NULL, 0};
    if (draft->is_borrowed) {
        return;
    }
    if ((draft->flags & (LOFT_GROW | LOFT_LOCK)) != 0) {
        *kept = draft->file;
    } else {
        /* Nothing was written through it that closing could fail to write. */
        (void)lofti_file_close(&draft->file);
    }
}

void lofti_draft_cancel(lofti_draft *draft)
{
    /* What cannot be undone is not worth a second error: the first one is told. */
    if (draft->is_new && draft->is_named) {
        (void)lofti_file_unlink(draft->file.ops, draft_name(draft));
    }
    const bool is_grown = draft->info.bytes > draft->old_bytes;
    if (!draft->is_new && !draft->is_emptied && is_grown && (draft->flags & LOFT_REPLACE) == 0) {
        (void)lofti_file_resize(&draft->file, draft->old_bytes);
    }
    if (!draft->is_borrowed) {
        (void)lofti_file_close(&draft->file);
    }
}
