/*
 * os/file.h - the file half of the OS contract.
 *
 * All file work of loft goes through one table of operations, so that a test can put a
 * recording, failing or in-memory table in the place of the system's.
 *
 * Rules for every operation of the table:
 *   - the result is 0 (or a count of bytes) on success, or a negative errno value; nothing is
 *     printed, errno is not part of the contract, no status sentence is set (callers know the
 *     operation and the path, this layer does not);
 *   - an operation is one attempt: it may be short, it may answer -EINTR. The lofti_file_*
 *     wrappers below loop, and are what the layers above call;
 *   - on failure nothing was done, but for pwrite, resize, allocate and sync, after whose
 *     failure the state of the range, or of everything unflushed, is unknown;
 *   - offsets and sizes are bytes, 64 bits; callers have checked off + bytes against overflow;
 *   - thread-safe, except that a handle must not be closed while another thread uses it;
 *   - the context of a table that needs one is the table itself, extended behind its end.
 */
#ifndef LOFTI_OS_FILE_H
#define LOFTI_OS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lofti_file_ops lofti_file_ops;

/* An open file: a value that its owner embeds. Descriptors are close-on-exec. */
typedef struct lofti_file {
    const lofti_file_ops *ops; /* NULL: not open */
    intptr_t handle;           /* a descriptor; mappings need it, so in-memory tables use memfd */
} lofti_file;

enum lofti_open_flags {
    LOFTI_OPEN_READ = 0,
    LOFTI_OPEN_WRITE = 1u << 0,     /* read and write */
    LOFTI_OPEN_CREATE = 1u << 1,    /* make it if it is not there, with `mode` & ~umask */
    LOFTI_OPEN_EXCLUSIVE = 1u << 2, /* with CREATE: -EEXIST if it is there */
    LOFTI_OPEN_TRUNCATE = 1u << 3,
    LOFTI_OPEN_NOFOLLOW = 1u << 4, /* -ELOOP on a symbolic link as the last component */
    LOFTI_OPEN_UNNAMED = 1u << 5   /* a new file without a name in the folder that holds `path`
                                      (O_TMPFILE); lofti_file_link names it. -EOPNOTSUPP where
                                      the file system cannot */
};

enum lofti_file_type { LOFTI_TYPE_REGULAR = 1, LOFTI_TYPE_FOLDER = 2, LOFTI_TYPE_OTHER = 3 };

typedef struct lofti_file_info {
    uint64_t bytes;        /* size */
    uint64_t stored_bytes; /* what it takes on the device */
    uint64_t device, inode;
    uint32_t type; /* enum lofti_file_type */
    uint32_t mode; /* permission bits */
    bool remote;   /* on a network file system, where locks and flushes mean less */
} lofti_file_info;

enum lofti_sync_kind {
    LOFTI_SYNC_DATA = 0, /* fdatasync: the bytes, and the size if it is needed to read them */
    LOFTI_SYNC_ALL = 1   /* fsync */
};

/* Locks are of the open file description (OFD): they conflict within one process too, are
 * inherited by fork (so a child must close its copies) and die with the last descriptor. Where a system has only POSIX'
 * classic ones (os/locks_posix.c), a child inherits none, and a program that itself closes a descriptor of the file, opened
 * without this table, ends them. */
enum lofti_lock_kind { LOFTI_LOCK_NONE = 0, LOFTI_LOCK_SHARED = 1, LOFTI_LOCK_EXCLUSIVE = 2 };

struct lofti_file_ops {
    /* Never blocks on a FIFO, never takes a terminal; whether it is a regular file is for the
     * caller to ask of info. Descriptors 0 to 2 are never handed out: a program whose standard
     * streams are closed would otherwise print into the file. */
    int (*open)(const lofti_file_ops *ops, const char *path, unsigned flags, unsigned mode,
                intptr_t *handle);
    int (*close)(const lofti_file_ops *ops, intptr_t handle); /* releases whatever it answers */
    int (*info)(const lofti_file_ops *ops, intptr_t handle, lofti_file_info *out);
    int64_t (*pread)(const lofti_file_ops *ops, intptr_t handle, void *data, size_t bytes,
                     uint64_t off); /* 0: at or past the end */
    int64_t (*pwrite)(const lofti_file_ops *ops, intptr_t handle, const void *data, size_t bytes,
                      uint64_t off);
    int (*resize)(const lofti_file_ops *ops, intptr_t handle, uint64_t bytes);
    /* Reserves blocks for the range, growing the file if it ends inside. -EOPNOTSUPP where the
     * file system cannot. */
    int (*allocate)(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes);
    /* Gives the range's blocks back; it reads as zeros, the size stays. */
    int (*punch)(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes);
    int (*sync)(const lofti_file_ops *ops, intptr_t handle, int kind);
    /* Sets one byte's lock at `off` without waiting: -EAGAIN while somebody else holds it. */
    int (*lock)(const lofti_file_ops *ops, intptr_t handle, int kind, uint64_t off);
    /* The first byte at or after `off` that is data (hole = false) or in a hole (true); the
     * end of the file counts as a hole. -ENXIO: no data from there on. */
    int64_t (*seek)(const lofti_file_ops *ops, intptr_t handle, uint64_t off, bool hole);
    /* `to`, which is empty, becomes a copy of `from` that shares its blocks. -EOPNOTSUPP, -EXDEV,
     * -EINVAL where that cannot be had. */
    int (*clone)(const lofti_file_ops *ops, intptr_t to, intptr_t from);
    /* Copies inside the kernel; may be short; the same refusals as clone. */
    int64_t (*copy_range)(const lofti_file_ops *ops, intptr_t to, uint64_t to_off, intptr_t from,
                          uint64_t from_off, size_t bytes);
    /* Names a file that is unnamed (`from` NULL), or has the temporary name `from`, which it keeps; -EEXIST if
     * the name is taken. */
    int (*link)(const lofti_file_ops *ops, intptr_t handle, const char *from, const char *path);
    int (*rename)(const lofti_file_ops *ops, const char *from, const char *to);
    int (*unlink)(const lofti_file_ops *ops, const char *path);
    /* Makes the names in the folder that holds `path` durable. */
    int (*sync_folder)(const lofti_file_ops *ops, const char *path);
    /* Drops the file's clean pages from the system's cache; a hint. A table may lack it (NULL). */
    int (*drop_cache)(const lofti_file_ops *ops, intptr_t handle);
    /* Sets the device to work on the range's dirty pages without waiting; a hint that makes nothing durable. A table
     * may lack it (NULL). */
    int (*write_back)(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes);
};

/* Whether a file can be made shorter while a part of it is mapped. Where not, resize answers
 * -ETXTBSY to that. */
bool lofti_file_cuts_mapped(void);

/* How many descriptors the system's table keeps open, though they were closed, for the sake of other locks of this
 * process (os/locks_posix.c); negative where locks are the open file description's, and nothing is kept. For tests. */
int lofti_file_locks_keep(void);

/* The table in use: the system's, unless a test has set another. */
const lofti_file_ops *lofti_file_ops_current(void);
const lofti_file_ops *lofti_file_ops_system(void);
/* For tests: NULL restores the system's. Files keep the table that they were opened with. */
void lofti_file_ops_set(const lofti_file_ops *ops);

/* --- Wrappers: what the layers above call. They repeat on EINTR. ------------------------- */

/* Opens through the current table. On failure *out is a closed file. */
int lofti_file_open(const char *path, unsigned flags, unsigned mode, lofti_file *out);
/* A file over a descriptor that somebody else opened and will close: never hand it to
 * lofti_file_close. */
static inline lofti_file lofti_file_borrow(intptr_t handle)
{
    const lofti_file file = {lofti_file_ops_current(), handle};
    return file;
}
/* Closing a file that is not open does nothing. Afterwards it is not open, whatever is answered. */
int lofti_file_close(lofti_file *file);
static inline bool lofti_file_is_open(const lofti_file *file) { return file->ops != NULL; }

int lofti_file_info_get(const lofti_file *file, lofti_file_info *out);
/* All or nothing: the end of the file inside the range answers -ENODATA. */
int lofti_file_read(const lofti_file *file, void *data, size_t bytes, uint64_t off);
/* Reads up to the end of the file and zeroes the rest of `data`. */
int lofti_file_read_padded(const lofti_file *file, void *data, size_t bytes, uint64_t off);
/* Writes all. On failure any part may have been written. Pieces are at most 1 GiB. */
int lofti_file_write(const lofti_file *file, const void *data, size_t bytes, uint64_t off);
int lofti_file_resize(const lofti_file *file, uint64_t bytes);
int lofti_file_allocate(const lofti_file *file, uint64_t off, uint64_t bytes);
int lofti_file_punch(const lofti_file *file, uint64_t off, uint64_t bytes);
int lofti_file_sync(const lofti_file *file, int kind); /* EINTR is not repeated: the outcome of an
                                                          interrupted flush is unknown */
int lofti_file_lock(const lofti_file *file, int kind, uint64_t off);
int64_t lofti_file_seek(const lofti_file *file, uint64_t off, bool hole);
int lofti_file_clone(const lofti_file *to, const lofti_file *from);
int64_t lofti_file_copy_range(const lofti_file *to, uint64_t to_off, const lofti_file *from,
                              uint64_t from_off, size_t bytes);
int lofti_file_link(const lofti_file *file, const char *from, const char *path);
int lofti_file_rename(const lofti_file_ops *ops, const char *from, const char *to);
int lofti_file_unlink(const lofti_file_ops *ops, const char *path);
int lofti_file_sync_folder(const lofti_file_ops *ops, const char *path);
int lofti_file_drop_cache(const lofti_file *file);
void lofti_file_write_back(const lofti_file *file, uint64_t off, uint64_t bytes);

#endif /* LOFTI_OS_FILE_H */
