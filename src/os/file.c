/*
 * os/file.c - the portable part of file work: the table in use, and the loops around it.
 *
 * An operation of the table is one attempt of the system's. Short counts and EINTR end here, so
 * that the layers above see only "all of it" or an errno value.
 */
#include "os/file.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"

/* Bytes of one read or write: below the 2 GiB - 4 KiB that Linux moves in a call, and a multiple
 * of every page size, so that pieces of an aligned transfer stay aligned. */
#define FILE_PIECE_BYTES ((size_t)1 << 30)

static _Atomic(const lofti_file_ops *) file_ops_chosen;

const lofti_file_ops *lofti_file_ops_current(void)
{
    const lofti_file_ops *ops = atomic_load_explicit(&file_ops_chosen, memory_order_acquire);
    return ops != NULL ? ops : lofti_file_ops_system();
}

void lofti_file_ops_set(const lofti_file_ops *ops)
{
    atomic_store_explicit(&file_ops_chosen, ops, memory_order_release);
}

int lofti_file_open(const char *path, unsigned flags, unsigned mode, lofti_file *out)
{
    const lofti_file_ops *ops = lofti_file_ops_current();
    intptr_t handle = -1;
    int rc;
    do {
        rc = ops->open(ops, path, flags, mode, &handle);
    } while (rc == -EINTR);
    out->ops = rc == 0 ? ops : NULL;
    out->handle = rc == 0 ? handle : -1;
    return rc;
}

/* No loop: the descriptor is gone whatever close answers, and its number may be another thread's
 * by now. An interrupted close is a successful one. */
int lofti_file_close(lofti_file *file)
{
    if (file->ops == NULL) {
        return 0;
    }
    const int rc = file->ops->close(file->ops, file->handle);
    file->ops = NULL;
    file->handle = -1;
    return rc == -EINTR ? 0 : rc;
}

int lofti_file_info_get(const lofti_file *file, lofti_file_info *out)
{
    int rc;
    do {
        rc = file->ops->info(file->ops, file->handle, out);
    } while (rc == -EINTR);
    return rc;
}

/* Reads until `bytes` are there or the file ends. Returns the bytes read or a negative errno. */
static int64_t file_read_some(const lofti_file *file, char *data, size_t bytes, uint64_t off)
{
    size_t done = 0;
    while (done < bytes) {
        const size_t piece = (size_t)lofti_arith_min(bytes - done, FILE_PIECE_BYTES);
        const int64_t got =
            file->ops->pread(file->ops, file->handle, data + done, piece, off + done);
        if (got == -EINTR) {
            continue;
        }
        if (got < 0) {
            return got;
        }
        if (got == 0) {
            break;
        }
        LOFTI_CHECK((uint64_t)got <= piece);
        done += (size_t)got;
    }
    return (int64_t)done;
}

int lofti_file_read(const lofti_file *file, void *data, size_t bytes, uint64_t off)
{
    const int64_t got = file_read_some(file, data, bytes, off);
    if (got < 0) {
        return (int)got;
    }
    return (uint64_t)got == bytes ? 0 : -ENODATA;
}

int lofti_file_read_padded(const lofti_file *file, void *data, size_t bytes, uint64_t off)
{
    const int64_t got = file_read_some(file, data, bytes, off);
    if (got < 0) {
        return (int)got;
    }
    if ((uint64_t)got < bytes) {
        memset((char *)data + got, 0, bytes - (size_t)got);
    }
    return 0;
}

int lofti_file_write(const lofti_file *file, const void *data, size_t bytes, uint64_t off)
{
    const char *from = data;
    size_t done = 0;
    while (done < bytes) {
        const size_t piece = (size_t)lofti_arith_min(bytes - done, FILE_PIECE_BYTES);
        const int64_t put =
            file->ops->pwrite(file->ops, file->handle, from + done, piece, off + done);
        if (put == -EINTR) {
            continue;
        }
        if (put < 0) {
            return (int)put;
        }
        if (put == 0) {
            return -EIO; /* no progress and no reason: repeating it might never end */
        }
        LOFTI_CHECK((uint64_t)put <= piece);
        done += (size_t)put;
    }
    return 0;
}

int lofti_file_resize(const lofti_file *file, uint64_t bytes)
{
    int rc;
    do {
        rc = file->ops->resize(file->ops, file->handle, bytes);
    } while (rc == -EINTR);
    return rc;
}

/* The system refuses an empty range; here it is done at once. */
int lofti_file_allocate(const lofti_file *file, uint64_t off, uint64_t bytes)
{
    int rc = 0;
    if (bytes != 0) {
        do {
            rc = file->ops->allocate(file->ops, file->handle, off, bytes);
        } while (rc == -EINTR);
    }
    return rc;
}

int lofti_file_punch(const lofti_file *file, uint64_t off, uint64_t bytes)
{
    int rc = 0;
    if (bytes != 0) {
        do {
            rc = file->ops->punch(file->ops, file->handle, off, bytes);
        } while (rc == -EINTR);
    }
    return rc;
}

int lofti_file_sync(const lofti_file *file, int kind)
{
    return file->ops->sync(file->ops, file->handle, kind);
}

int lofti_file_lock(const lofti_file *file, int kind, uint64_t off)
{
    int rc;
    do {
        rc = file->ops->lock(file->ops, file->handle, kind, off);
    } while (rc == -EINTR);
    return rc;
}

int64_t lofti_file_seek(const lofti_file *file, uint64_t off, bool hole)
{
    int64_t found;
    do {
        found = file->ops->seek(file->ops, file->handle, off, hole);
    } while (found == -EINTR);
    return found;
}

int lofti_file_clone(const lofti_file *to, const lofti_file *from)
{
    int rc;
    do {
        rc = to->ops->clone(to->ops, to->handle, from->handle);
    } while (rc == -EINTR);
    return rc;
}

int64_t lofti_file_copy_range(const lofti_file *to, uint64_t to_off, const lofti_file *from,
                              uint64_t from_off, size_t bytes)
{
    const size_t piece = (size_t)lofti_arith_min(bytes, FILE_PIECE_BYTES);
    int64_t copied;
    do {
        copied = to->ops->copy_range(to->ops, to->handle, to_off, from->handle, from_off, piece);
    } while (copied == -EINTR);
    return copied;
}

int lofti_file_link(const lofti_file *file, const char *from, const char *path)
{
    int rc;
    do {
        rc = file->ops->link(file->ops, file->handle, from, path);
    } while (rc == -EINTR);
    return rc;
}

int lofti_file_rename(const lofti_file_ops *ops, const char *from, const char *to)
{
    int rc;
    do {
        rc = ops->rename(ops, from, to);
    } while (rc == -EINTR);
    return rc;
}

int lofti_file_unlink(const lofti_file_ops *ops, const char *path)
{
    int rc;
    do {
        rc = ops->unlink(ops, path);
    } while (rc == -EINTR);
    return rc;
}

/* One attempt, as with every flush. */
int lofti_file_sync_folder(const lofti_file_ops *ops, const char *path)
{
    return ops->sync_folder(ops, path);
}

int lofti_file_drop_cache(const lofti_file *file)
{
    return file->ops->drop_cache != NULL ? file->ops->drop_cache(file->ops, file->handle) : 0;
}

void lofti_file_write_back(const lofti_file *file, uint64_t off, uint64_t bytes)
{
    if (file->ops->write_back != NULL) {
        /* A failure to begin is met again by the flush that has to come. */
        (void)file->ops->write_back(file->ops, file->handle, off, bytes);
    }
}
