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
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__NetBSD__)
#include <sys/statvfs.h>
#elif defined(__APPLE__) || defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__DragonFly__)
#include <sys/param.h>

#include <sys/mount.h>
#endif

#include "os/file.h"
#include "os/locks_posix.h"

_Static_assert(sizeof(off_t) == 8, "compile with _FILE_OFFSET_BITS=64");

/* Bytes of the longest path that is taken apart here, with its end. */
#define FILE_PATH_BYTES 4096

#if defined(F_OFD_SETLK)
#define FILE_HAS_OFD 1
#else
#define FILE_HAS_OFD 0
#endif

static int file_result(long result) { return result < 0 ? -errno : 0; }

/* Offsets are signed to the system: what does not fit is too large for any file. */
static int file_range_check(uint64_t off, uint64_t bytes)
{
    return off > INT64_MAX || bytes > INT64_MAX - off ? -EFBIG : 0;
}

/* The folder that holds `path`, as dirname would tell it, but reentrant and without changing it. */
static int file_folder_of(const char *path, char folder[FILE_PATH_BYTES])
{
    size_t length = strlen(path);
    if (length == 0) {
        return -ENOENT;
    }
    while (length > 0 && path[length - 1] == '/') {
        length--;
    }
    while (length > 0 && path[length - 1] != '/') {
        length--;
    }
    if (length >= FILE_PATH_BYTES) {
        return -ENAMETOOLONG;
    }
    memcpy(folder, path, length);
    if (length == 0) { /* no slash, or nothing but slashes */
        folder[length++] = path[0] == '/' ? '/' : '.';
    }
    folder[length] = '\0';
    return 0;
}

/* Moves a descriptor out of the places of the standard streams: a program started with those
 * closed would print into the file. */
static int file_above_standard(int fd)
{
    if (fd > STDERR_FILENO) {
        return fd;
    }
    const int moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const int error = errno;
    (void)close(fd);
    errno = error;
    return moved;
}

/* One open, above the standard streams; -1 with errno. */
static int file_open_one(const char *path, int how, unsigned mode)
{
    const int fd = openat(AT_FDCWD, path, how, (mode_t)mode);
    return fd < 0 ? fd : file_above_standard(fd);
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
    int how = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    how |= (flags & LOFTI_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY;
    how |= (flags & LOFTI_OPEN_CREATE) != 0 ? O_CREAT : 0;
    how |= (flags & LOFTI_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0;
    how |= (flags & LOFTI_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0;
    how |= (flags & LOFTI_OPEN_NOFOLLOW) != 0 ? O_NOFOLLOW : 0;
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
    return file_result(close((int)handle));
#else
    return file_result(lofti_locks_close((int)handle));
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
    struct stat status;
    if (fstat((int)handle, &status) != 0) {
        return -errno;
    }
    out->bytes = (uint64_t)status.st_size;
    out->stored_bytes =
        (uint64_t)status.st_blocks * 512u; /* st_blocks' unit, whatever the device */
    out->device = (uint64_t)status.st_dev;
    out->inode = (uint64_t)status.st_ino;
    out->type = LOFTI_TYPE_OTHER;
    if (S_ISREG(status.st_mode)) {
        out->type = LOFTI_TYPE_REGULAR;
    } else if (S_ISDIR(status.st_mode)) {
        out->type = LOFTI_TYPE_FOLDER;
    }
    out->mode = (uint32_t)status.st_mode & 07777u;
    out->remote = file_is_remote((int)handle);
    return 0;
}

static int64_t unix_pread(const lofti_file_ops *ops, intptr_t handle, void *data, size_t bytes,
                          uint64_t off)
{
    (void)ops;
    if (file_range_check(off, bytes) != 0) {
        return -EFBIG;
    }
    const ssize_t got = pread((int)handle, data, bytes, (off_t)off);
    return got < 0 ? -errno : got;
}

/* The system tells a write past the process's limit on file sizes by a signal that kills. So the
 * limit is asked first; what lies below it is written, as the system would. */
static bool file_is_limited(uint64_t bytes)
{
    struct rlimit limit;
    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           bytes > limit.rlim_cur;
}

/* The same for a new size: only growing is limited. */
static bool file_is_growth_limited(int fd, uint64_t bytes)
{
    struct stat status;
    return file_is_limited(bytes) && fstat(fd, &status) == 0 && bytes > (uint64_t)status.st_size;
}

static int64_t unix_pwrite(const lofti_file_ops *ops, intptr_t handle, const void *data,
                           size_t bytes, uint64_t off)
{
    (void)ops;
    if (file_range_check(off, bytes) != 0 || (bytes != 0 && file_is_limited(off + 1))) {
        return -EFBIG;
    }
    const ssize_t put = pwrite((int)handle, data, bytes, (off_t)off);
    return put < 0 ? -errno : put;
}

static int unix_resize(const lofti_file_ops *ops, intptr_t handle, uint64_t bytes)
{
    (void)ops;
    if (file_range_check(bytes, 0) != 0 || file_is_growth_limited((int)handle, bytes)) {
        return -EFBIG;
    }
    return file_result(ftruncate((int)handle, (off_t)bytes));
}

static int unix_allocate(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    (void)ops;
    if (file_range_check(off, bytes) != 0 || file_is_growth_limited((int)handle, off + bytes)) {
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
    const int rc = file_range_check(off, bytes);
    return rc != 0 ? rc : -EOPNOTSUPP;
}

static int unix_sync(const lofti_file_ops *ops, intptr_t handle, int kind)
{
    (void)ops;
    const int fd = (int)handle;
#if defined(F_FULLFSYNC)
    (void)kind;
    const int rc = file_result(fcntl(fd, F_FULLFSYNC));
    /* Where the file system does not know it, there is nothing better than fsync. */
    return rc == -ENOTSUP || rc == -EINVAL || rc == -ENOTTY ? file_result(fsync(fd)) : rc;
#else
    return file_result(kind == LOFTI_SYNC_DATA ? fdatasync(fd) : fsync(fd));
#endif
}

static int unix_lock(const lofti_file_ops *ops, intptr_t handle, int kind, uint64_t off)
{
    (void)ops;
    const int rc = file_range_check(off, 1);
    if (rc != 0) {
        return rc;
    }
#if FILE_HAS_OFD
    struct flock lock = {
        .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = (off_t)off, .l_len = 1};
    if (kind != LOFTI_LOCK_NONE) {
        lock.l_type = kind == LOFTI_LOCK_SHARED ? F_RDLCK : F_WRLCK;
    }
    const int locked = file_result(fcntl((int)handle, F_OFD_SETLK, &lock));
    return locked == -EACCES ? -EAGAIN : locked; /* POSIX lets a held lock be either */
#else
    return lofti_locks_set((int)handle, kind, off);
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
        file_range_check(from_off, bytes) == 0 && file_range_check(to_off, bytes) == 0;
    return fits ? -EOPNOTSUPP : -EFBIG;
}

static int unix_link(const lofti_file_ops *ops, intptr_t handle, const char *from, const char *path)
{
    (void)ops;
    (void)handle;
    return from != NULL ? file_result(link(from, path)) : -EOPNOTSUPP; /* none is unnamed */
}

static int unix_rename(const lofti_file_ops *ops, const char *from, const char *to)
{
    (void)ops;
    return file_result(rename(from, to));
}

static int unix_unlink(const lofti_file_ops *ops, const char *path)
{
    (void)ops;
    return file_result(unlink(path));
}

static int unix_sync_folder(const lofti_file_ops *ops, const char *path)
{
    (void)ops;
    char folder[FILE_PATH_BYTES];
    int rc = file_folder_of(path, folder);
    if (rc != 0) {
        return rc;
    }
    const int fd = openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    rc = file_result(fsync(fd));
    (void)close(fd);
    return rc == -EINVAL ? 0 : rc;
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
        .pread = unix_pread,
        .pwrite = unix_pwrite,
        .resize = unix_resize,
        .allocate = unix_allocate,
        .punch = unix_punch,
        .sync = unix_sync,
        .lock = unix_lock,
        .seek = unix_seek,
        .clone = unix_clone,
        .copy_range = unix_copy_range,
        .link = unix_link,
        .rename = unix_rename,
        .unlink = unix_unlink,
        .sync_folder = unix_sync_folder,
#if _POSIX_ADVISORY_INFO > 0
        .drop_cache = unix_drop_cache,
#endif
    };
    return &table;
}
