/*
 * os/file_posix.c - the system's table of file operations on POSIX: macOS, the BSDs.
 *
 * Every function is one attempt, translated to the contract of os/file.h; the table has no context, so `ops` is not
 * looked at. What POSIX has not, and what stands for it:
 *
 *   open        unnamed files are -EOPNOTSUPP: callers take a temporary name. O_NONBLOCK always: a pipe without a
 *               writer must not hang what opens it
 *   lock        of the open file description where the headers have it (POSIX of 2024), else os/locks_posix.c.
 *               flock is no choice: it has no bytes, and a file needs a writer's lock and a reader's beside it
 *   sync        on macOS fsync leaves the bytes in the device's cache; F_FULLFSYNC does not
 *   allocate    posix_fallocate, where there is one
 *   seek        where the system does not tell holes, all of a file is data
 *   link        of the temporary name, as there is no other way to a file
 *   punch, clone, copy_range    -EOPNOTSUPP
 *
 * Whether a file system is another machine's is told by the BSDs and macOS; where it is not, it counts as local.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__NetBSD__)
#include <sys/statvfs.h>
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
#include <sys/param.h>

#include <sys/mount.h>
#endif

#include "os/file_unix.h"
#include "os/locks_posix.h"

#if defined(F_OFD_SETLK)
#define FILE_HAS_OFD 1
#else
#define FILE_HAS_OFD 0
#endif

/* One open, above the standard streams; -1 with errno. */
static int file_open_one(const char *path, int how, unsigned mode)
{
    const int fd = openat(AT_FDCWD, path, how, (mode_t)mode);
    return fd < 0 ? fd : lofti_file_unix_above_standard(fd);
}

/* What systems call the refusal of a symbolic link. */
static int file_open_error(unsigned flags)
{
    const int error = errno;
    if ((flags & LOFTI_OPEN_NOFOLLOW) == 0) {
        return -error;
    }
#if defined(EFTYPE)
    if (error == EFTYPE) { /* NetBSD */
        return -ELOOP;
    }
#endif
    return error == EMLINK ? -ELOOP : -error; /* FreeBSD */
}

static int unix_open(const lofti_file_ops *ops, const char *path, unsigned flags, unsigned mode,
                     intptr_t *handle)
{
    (void)ops;
    const int how = lofti_file_unix_open_flags(flags);
    if ((flags & LOFTI_OPEN_UNNAMED) != 0) {
        return -EOPNOTSUPP;
    }
#if !FILE_HAS_OFD
    int fd = (how & O_CREAT) == 0 && (how & O_TRUNC) == 0 ? lofti_locks_reuse(path, how) : -1;
    fd = fd < 0 ? file_open_one(path, how, mode) : fd;
#else
    const int fd = file_open_one(path, how, mode);
#endif
    if (fd < 0) {
        return file_open_error(flags);
    }
    *handle = fd;
    return 0;
}

static int unix_close(const lofti_file_ops *ops, intptr_t handle)
{
    (void)ops;
#if FILE_HAS_OFD
    return lofti_file_unix_result(close((int)handle));
#else
    return lofti_file_unix_result(lofti_locks_close((int)handle));
#endif
}

static bool file_is_remote(int fd)
{
#if defined(__NetBSD__)
    struct statvfs status;
    return fstatvfs(fd, &status) == 0 && (status.f_flag & ST_LOCAL) == 0;
#elif defined(MNT_LOCAL)
    struct statfs status;
    return fstatfs(fd, &status) == 0 && (status.f_flags & MNT_LOCAL) == 0;
#else
    (void)fd;
    return false;
#endif
}

static int unix_info(const lofti_file_ops *ops, intptr_t handle, lofti_file_info *out)
{
    (void)ops;
    const int rc = lofti_file_unix_info((int)handle, out);
    if (rc == 0) {
        out->remote = file_is_remote((int)handle);
    }
    return rc;
}

static int unix_allocate(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    (void)ops;
    if (lofti_file_unix_range(off, bytes) != 0 ||
        lofti_file_unix_limits_growth((int)handle, off + bytes)) {
        return -EFBIG;
    }
#if _POSIX_ADVISORY_INFO > 0
    const int error = posix_fallocate((int)handle, (off_t)off, (off_t)bytes);
    /* EINVAL: ZFS' word for what it cannot promise. The range is right, or was never. */
    return error == ENOSYS || (error == EINVAL && bytes != 0) ? -EOPNOTSUPP : -error;
#else
    return -EOPNOTSUPP;
#endif
}

static int unix_punch(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    (void)ops;
    (void)handle;
    const int rc = lofti_file_unix_range(off, bytes);
    return rc != 0 ? rc : -EOPNOTSUPP;
}

static int unix_sync(const lofti_file_ops *ops, intptr_t handle, int kind)
{
    (void)ops;
    const int fd = (int)handle;
#if defined(F_FULLFSYNC)
    (void)kind;
    const int rc = lofti_file_unix_result(fcntl(fd, F_FULLFSYNC));
    /* Where the file system does not know it, there is nothing better than fsync. */
    return rc == -ENOTSUP || rc == -EINVAL || rc == -ENOTTY ? lofti_file_unix_result(fsync(fd))
                                                            : rc;
#else
    return lofti_file_unix_result(kind == LOFTI_SYNC_DATA ? fdatasync(fd) : fsync(fd));
#endif
}

static int unix_lock(const lofti_file_ops *ops, intptr_t handle, int kind, uint64_t off)
{
    (void)ops;
#if FILE_HAS_OFD
    return lofti_file_unix_lock((int)handle, F_OFD_SETLK, kind, off);
#else
    const int rc = lofti_file_unix_range(off, 1);
    return rc != 0 ? rc : lofti_locks_set((int)handle, kind, off);
#endif
}

static int64_t unix_seek(const lofti_file_ops *ops, intptr_t handle, uint64_t off, bool hole)
{
    (void)ops;
    if (off > INT64_MAX) {
        return -ENXIO; /* no file reaches so far */
    }
#if defined(SEEK_HOLE) && defined(SEEK_DATA)
    const off_t found = lseek((int)handle, (off_t)off, hole ? SEEK_HOLE : SEEK_DATA);
    return found < 0 ? -errno : found;
#else
    struct stat status;
    if (fstat((int)handle, &status) != 0) {
        return -errno;
    }
    if ((off_t)off >= status.st_size) {
        return -ENXIO;
    }
    return hole ? status.st_size : (int64_t)off;
#endif
}

static int unix_clone(const lofti_file_ops *ops, intptr_t to, intptr_t from)
{
    (void)ops;
    (void)to;
    (void)from;
    return -EOPNOTSUPP;
}

static int64_t unix_copy_range(const lofti_file_ops *ops, intptr_t to, uint64_t to_off,
                               intptr_t from, uint64_t from_off, size_t bytes)
{
    (void)ops;
    (void)to;
    (void)from;
    const bool fits =
        lofti_file_unix_range(from_off, bytes) == 0 && lofti_file_unix_range(to_off, bytes) == 0;
    return fits ? -EOPNOTSUPP : -EFBIG;
}

static int unix_link(const lofti_file_ops *ops, intptr_t handle, const char *from, const char *path)
{
    (void)ops;
    (void)handle;
    return from != NULL ? lofti_file_unix_result(link(from, path))
                        : -EOPNOTSUPP; /* none is unnamed */
}

#if _POSIX_ADVISORY_INFO > 0
static int unix_drop_cache(const lofti_file_ops *ops, intptr_t handle)
{
    (void)ops;
    return -posix_fadvise((int)handle, 0, 0, POSIX_FADV_DONTNEED); /* answers the error */
}
#endif

bool lofti_file_cuts_mapped(void) { return true; }

#if FILE_HAS_OFD
int lofti_file_locks_keep(void) { return -1; }
#else
int lofti_file_locks_keep(void) { return lofti_locks_kept(); }
#endif

const lofti_file_ops *lofti_file_ops_system(void)
{
    static const lofti_file_ops table = {
        .open = unix_open,
        .close = unix_close,
        .info = unix_info,
        .pread = lofti_file_unix_pread,
        .pwrite = lofti_file_unix_pwrite,
        .resize = lofti_file_unix_resize,
        .allocate = unix_allocate,
        .punch = unix_punch,
        .sync = unix_sync,
        .lock = unix_lock,
        .seek = unix_seek,
        .clone = unix_clone,
        .copy_range = unix_copy_range,
        .link = unix_link,
        .rename = lofti_file_unix_rename,
        .unlink = lofti_file_unix_unlink,
        .sync_folder = lofti_file_unix_sync_folder,
#if _POSIX_ADVISORY_INFO > 0
        .drop_cache = unix_drop_cache,
#endif
    };
    return &table;
}
