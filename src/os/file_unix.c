/*
 * os/file_unix.c - what the tables of file operations of Linux and of POSIX have in common.
 *
 * Every function is one attempt, translated to the contract of os/file.h; the tables have no context, so `ops` is not
 * looked at. Nothing here needs more than POSIX.1-2008.
 */
#include "os/file_unix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8, "compile with _FILE_OFFSET_BITS=64");

int lofti_file_unix_result(long result) { return result < 0 ? -errno : 0; }

int lofti_file_unix_range(uint64_t off, uint64_t bytes)
{
    return off > INT64_MAX || bytes > INT64_MAX - off ? -EFBIG : 0;
}

int lofti_file_unix_folder(const char *path, char folder[LOFTI_FILE_UNIX_PATH_BYTES])
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
    if (length >= LOFTI_FILE_UNIX_PATH_BYTES) {
        return -ENAMETOOLONG;
    }
    memcpy(folder, path, length);
    if (length == 0) { /* no slash, or nothing but slashes */
        folder[length++] = path[0] == '/' ? '/' : '.';
    }
    folder[length] = '\0';
    return 0;
}

int lofti_file_unix_above_standard(int fd)
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

int lofti_file_unix_open_flags(unsigned flags)
{
    int how = O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    how |= (flags & LOFTI_OPEN_WRITE) != 0 ? O_RDWR : O_RDONLY;
    how |= (flags & LOFTI_OPEN_CREATE) != 0 ? O_CREAT : 0;
    how |= (flags & LOFTI_OPEN_EXCLUSIVE) != 0 ? O_EXCL : 0;
    how |= (flags & LOFTI_OPEN_TRUNCATE) != 0 ? O_TRUNC : 0;
    how |= (flags & LOFTI_OPEN_NOFOLLOW) != 0 ? O_NOFOLLOW : 0;
    return how;
}

int lofti_file_unix_info(int fd, lofti_file_info *out)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
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
    return 0;
}

int64_t lofti_file_unix_pread(const lofti_file_ops *ops, intptr_t handle, void *data, size_t bytes,
                              uint64_t off)
{
    (void)ops;
    if (lofti_file_unix_range(off, bytes) != 0) {
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

bool lofti_file_unix_limits_growth(int fd, uint64_t bytes)
{
    struct stat status;
    return file_is_limited(bytes) && fstat(fd, &status) == 0 && bytes > (uint64_t)status.st_size;
}

int64_t lofti_file_unix_pwrite(const lofti_file_ops *ops, intptr_t handle, const void *data,
                               size_t bytes, uint64_t off)
{
    (void)ops;
    if (lofti_file_unix_range(off, bytes) != 0 || (bytes != 0 && file_is_limited(off + 1))) {
        return -EFBIG;
    }
    const ssize_t put = pwrite((int)handle, data, bytes, (off_t)off);
    return put < 0 ? -errno : put;
}

int lofti_file_unix_resize(const lofti_file_ops *ops, intptr_t handle, uint64_t bytes)
{
    (void)ops;
    if (lofti_file_unix_range(bytes, 0) != 0 || lofti_file_unix_limits_growth((int)handle, bytes)) {
        return -EFBIG;
    }
    return lofti_file_unix_result(ftruncate((int)handle, (off_t)bytes));
}

int lofti_file_unix_lock(int fd, int command, int kind, uint64_t off)
{
    const int rc = lofti_file_unix_range(off, 1);
    if (rc != 0) {
        return rc;
    }
    struct flock lock = {
        .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = (off_t)off, .l_len = 1, .l_pid = 0};
    if (kind != LOFTI_LOCK_NONE) {
        lock.l_type = kind == LOFTI_LOCK_SHARED ? F_RDLCK : F_WRLCK;
    }
    const int locked = lofti_file_unix_result(fcntl(fd, command, &lock));
    return locked == -EACCES ? -EAGAIN : locked; /* POSIX lets a held lock be either */
}

int lofti_file_unix_rename(const lofti_file_ops *ops, const char *from, const char *to)
{
    (void)ops;
    return lofti_file_unix_result(rename(from, to));
}

int lofti_file_unix_unlink(const lofti_file_ops *ops, const char *path)
{
    (void)ops;
    return lofti_file_unix_result(unlink(path));
}

int lofti_file_unix_sync_folder(const lofti_file_ops *ops, const char *path)
{
    (void)ops;
    char folder[LOFTI_FILE_UNIX_PATH_BYTES];
    int rc = lofti_file_unix_folder(path, folder);
    if (rc != 0) {
        return rc;
    }
    const int fd = openat(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    rc = lofti_file_unix_result(fsync(fd));
    (void)close(fd);
    return rc == -EINVAL ? 0 : rc;
}
