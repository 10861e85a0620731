/*
 * os/file_linux.c - the system's table of file operations on Linux.
 *
 * Every function is one attempt of one system call, translated to the contract of os/file.h; the
 * table has no context, so `ops` is not looked at. What the translation adds:
 *
 *   open         O_CLOEXEC, O_NOCTTY and O_NONBLOCK always: a pipe without a writer must not hang
 *                what opens it. To a regular file O_NONBLOCK means nothing, so it stays
 *   lock         the open file description's lock: classic ones vanish at any close of the inode
 *                in the process, flock has no byte ranges
 *   link         an unnamed file is named through /proc/self/fd, which needs no privilege
 *   sync_folder  a file system that knows no flush of folders (EINVAL) writes names at once
 *   -EOPNOTSUPP  is the one answer for "this file system cannot", whatever it called it
 *
 * Rests on: O_TMPFILE 3.11, OFD locks 3.15, copy_file_range 4.5, and on tests/probe.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "os/file_unix.h"

/* What fstatfs calls the file systems whose bytes are on another machine, or on a host. FUSE is
 * not among them: what is behind it cannot be told, and most of it is local. */
static const uint32_t file_remote_magics[] = {
    0x00006969u, /* NFS */
    0x0000517bu, /* SMB */
    0xff534d42u, /* CIFS */
    0xfe534d42u, /* SMB 2 and later */
    0x01021997u, /* 9P */
    0x00c36400u, /* Ceph */
    0x5346414fu, /* AFS (OpenAFS and the kernel's) */
    0x6b414653u, /* AFS (older kernels) */
    0x73757245u, /* Coda */
    0x0000564cu, /* NCP */
    0x0bd00bd0u, /* Lustre */
    0x47504653u, /* GPFS */
    0x19830326u, /* BeeGFS */
    0xaad7aaeau, /* PanFS */
    0x20030528u, /* OrangeFS */
    0x786f4256u, /* folders of a VirtualBox host */
    0xbacbacbcu, /* folders of a VMware host */
    0x7c7c6673u, /* folders of a Parallels host */
};

/* The same for calls that file systems refuse in several ways. */
static int file_optional_result(long result)
{
    if (result >= 0) {
        return 0;
    }
    return errno == ENOSYS || errno == ENOTTY ? -EOPNOTSUPP : -errno;
}

static int linux_open_unnamed(const char *path, int flags, mode_t mode)
{
    char folder[LOFTI_FILE_UNIX_PATH_BYTES];
    const int rc = lofti_file_unix_folder(path, folder);
    if (rc != 0) {
        errno = -rc;
        return -1;
    }
    /* NOFOLLOW is about the last component of `path`, which does not exist yet. */
    const int fd = openat(AT_FDCWD, folder, (flags & ~O_NOFOLLOW) | O_TMPFILE | O_RDWR, mode);
    /* EISDIR: what a system says that does not know O_TMPFILE. EPERM: ext4 in a folder that was removed, where a
     * try by a name is told more, ENOENT. */
    if (fd < 0 && (errno == EISDIR || errno == EPERM)) {
        errno = EOPNOTSUPP;
    }
    return fd;
}

static int linux_open(const lofti_file_ops *ops, const char *path, unsigned flags, unsigned mode,
                      intptr_t *handle)
{
    (void)ops;
    const int how = lofti_file_unix_open_flags(flags);
    int fd;
    if ((flags & LOFTI_OPEN_UNNAMED) != 0) {
        fd = linux_open_unnamed(path, how & ~(O_CREAT | O_EXCL | O_TRUNC | O_ACCMODE), mode);
    } else {
        fd = openat(AT_FDCWD, path, how, (mode_t)mode);
    }
    if (fd < 0 || (fd = lofti_file_unix_above_standard(fd)) < 0) {
        return -errno;
    }
    *handle = fd;
    return 0;
}

static int linux_close(const lofti_file_ops *ops, intptr_t handle)
{
    (void)ops;
    return lofti_file_unix_result(close((int)handle));
}

/* A network file system has no device of its own: only one of the unnamed devices, whose major
 * number is 0, needs the second call. */
static bool file_is_remote(int fd, dev_t device)
{
    struct statfs status;
    if (major(device) != 0 || fstatfs(fd, &status) != 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof file_remote_magics / sizeof file_remote_magics[0]; i++) {
        if ((uint32_t)status.f_type == file_remote_magics[i]) {
            return true;
        }
    }
    return false;
}

static int linux_info(const lofti_file_ops *ops, intptr_t handle, lofti_file_info *out)
{
    (void)ops;
    const int rc = lofti_file_unix_info((int)handle, out);
    if (rc == 0) {
        out->remote = file_is_remote((int)handle, (dev_t)out->device);
    }
    return rc;
}

static int linux_allocate(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    (void)ops;
    if (lofti_file_unix_range(off, bytes) != 0 ||
        lofti_file_unix_limits_growth((int)handle, off + bytes)) {
        return -EFBIG;
    }
    return file_optional_result(fallocate((int)handle, 0, (off_t)off, (off_t)bytes));
}

static int linux_punch(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    (void)ops;
    const int rc = lofti_file_unix_range(off, bytes);
    const int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
    return rc != 0 ? rc
                   : file_optional_result(fallocate((int)handle, mode, (off_t)off, (off_t)bytes));
}

static int linux_sync(const lofti_file_ops *ops, intptr_t handle, int kind)
{
    (void)ops;
    return lofti_file_unix_result(kind == LOFTI_SYNC_DATA ? fdatasync((int)handle)
                                                          : fsync((int)handle));
}

static int linux_lock(const lofti_file_ops *ops, intptr_t handle, int kind, uint64_t off)
{
    (void)ops;
    return lofti_file_unix_lock((int)handle, F_OFD_SETLK, kind, off);
}

static int64_t linux_seek(const lofti_file_ops *ops, intptr_t handle, uint64_t off, bool hole)
{
    (void)ops;
    if (off > INT64_MAX) {
        return -ENXIO; /* no file reaches so far */
    }
    const off_t found = lseek((int)handle, (off_t)off, hole ? SEEK_HOLE : SEEK_DATA);
    return found < 0 ? -errno : found;
}

static int linux_clone(const lofti_file_ops *ops, intptr_t to, intptr_t from)
{
    (void)ops;
    return file_optional_result(ioctl((int)to, FICLONE, (int)from));
}

static int64_t linux_copy_range(const lofti_file_ops *ops, intptr_t to, uint64_t to_off,
                                intptr_t from, uint64_t from_off, size_t bytes)
{
    (void)ops;
    if (lofti_file_unix_range(from_off, bytes) != 0 || lofti_file_unix_range(to_off, bytes) != 0) {
        return -EFBIG;
    }
    off_t in = (off_t)from_off;
    off_t out = (off_t)to_off;
    const ssize_t copied = copy_file_range((int)from, &in, (int)to, &out, bytes, 0);
    return copied < 0 ? file_optional_result(copied) : copied;
}

static int linux_link(const lofti_file_ops *ops, intptr_t handle, const char *from,
                      const char *path)
{
    (void)ops;
    (void)from;   /* the same way leads to a file with a name */
    char own[32]; /* "/proc/self/fd/" and ten digits */
    (void)snprintf(own, sizeof own, "/proc/self/fd/%d", (int)handle);
    if (linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0) {
        return 0;
    }
    if (errno != ENOENT) {
        return -errno;
    }
    /* Either the folder is missing or /proc is: this way needs no /proc, but a right that a
     * usual process lacks before Linux 6.10. Its ENOENT is then the truth in both cases. */
    return lofti_file_unix_result(linkat((int)handle, "", AT_FDCWD, path, AT_EMPTY_PATH));
}

static int linux_drop_cache(const lofti_file_ops *ops, intptr_t handle)
{
    (void)ops;
    return -posix_fadvise((int)handle, 0, 0, POSIX_FADV_DONTNEED); /* answers the error itself */
}

static int linux_write_back(const lofti_file_ops *ops, intptr_t handle, uint64_t off,
                            uint64_t bytes)
{
    (void)ops;
    const int rc = lofti_file_unix_range(off, bytes);
    return rc != 0 ? rc
                   : lofti_file_unix_result(sync_file_range((int)handle, (off_t)off, (off_t)bytes,
                                                            SYNC_FILE_RANGE_WRITE));
}

bool lofti_file_cuts_mapped(void) { return true; }

int lofti_file_locks_keep(void) { return -1; }

const lofti_file_ops *lofti_file_ops_system(void)
{
    static const lofti_file_ops table = {
        .open = linux_open,
        .close = linux_close,
        .info = linux_info,
        .pread = lofti_file_unix_pread,
        .pwrite = lofti_file_unix_pwrite,
        .resize = lofti_file_unix_resize,
        .allocate = linux_allocate,
        .punch = linux_punch,
        .sync = linux_sync,
        .lock = linux_lock,
        .seek = linux_seek,
        .clone = linux_clone,
        .copy_range = linux_copy_range,
        .link = linux_link,
        .rename = lofti_file_unix_rename,
        .unlink = lofti_file_unix_unlink,
        .sync_folder = lofti_file_unix_sync_folder,
        .drop_cache = linux_drop_cache,
        .write_back = linux_write_back,
    };
    return &table;
}
