/*
 * os/locks_posix.c - locks of a file's bytes that are each descriptor's own, made of POSIX' classic ones.
 *
 * Classic locks are the process's: two descriptors of one process do not keep each other out, and closing any
 * descriptor of a file ends all that the process has on it. Both are made good by a list of the locks that this process set:
 *
 *   set      what another descriptor here holds is refused from the list, before the system is asked
 *   unset    the system is told when the last descriptor that shares the byte is done with it
 *   close    of a descriptor whose file is locked by another here: it stays open, `kept`, until the last lock of the
 *            file is gone. An open of the same file takes it over, so that such a file does not eat descriptors
 *
 * What is beyond the list: a descriptor that the program opened and closes itself. That ends the locks, unseen.
 *
 * Invariants
 * 1. An entry is a lock that the system has granted to this process, or a kept descriptor.
 * 2. A kept descriptor's file has a lock in the list.
 * 3. The list is its process's: a forked child inherits no lock and begins with an empty one, in whatever state
 *    the fork found it. So the guard holds the number of the process, and another's is none.
 */
#include "os/locks_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file_unix.h"

/* Locks and kept descriptors of a process: 160 KiB that is touched as far as it is used. */
enum { LOCKS_MAX = 4096 };

typedef struct locks_entry {
    dev_t device;
    ino_t inode;
    uint64_t off;
    int fd;
    int kind; /* SHARED or EXCLUSIVE; NONE: kept */
} locks_entry;

static locks_entry locks_list[LOCKS_MAX];
static unsigned locks_count;
static pid_t locks_owner;         /* whose list it is */
static _Atomic pid_t locks_guard; /* who works on it; 0: nobody */

static void locks_enter(void)
{
    const pid_t self = getpid();
    pid_t found = 0;
    while (!atomic_compare_exchange_weak_explicit(&locks_guard, &found, self, memory_order_acquire,
                                                  memory_order_relaxed)) {
        if (found == self) { /* another thread; it does not wait for anything */
            (void)sched_yield();
            found = 0;
        } /* else nobody, or a thread of the parent, which is not here: taken from it */
    }
    if (locks_owner != self) {
        for (unsigned i = 0; i < locks_count; i++) {
            if (locks_list[i].kind == LOFTI_LOCK_NONE) {
                (void)close(locks_list[i].fd);
            }
        }
        locks_count = 0;
        locks_owner = self;
    }
}

static void locks_leave(void) { atomic_store_explicit(&locks_guard, 0, memory_order_release); }

static bool locks_is_of(const locks_entry *entry, const struct stat *status)
{
    return entry->device == status->st_dev && entry->inode == status->st_ino;
}

static void locks_remove(unsigned i) { locks_list[i] = locks_list[--locks_count]; }

/* What the list has of a byte. */
typedef struct locks_byte {
    unsigned own;      /* this descriptor's entry; LOCKS_MAX: none */
    unsigned others;   /* how many other descriptors hold it */
    bool is_exclusive; /* one of these, for itself */
} locks_byte;

static locks_byte locks_find(int fd, const struct stat *status, uint64_t off)
{
    locks_byte found = {LOCKS_MAX, 0, false};
    for (unsigned i = 0; i < locks_count; i++) {
        const locks_entry *entry = &locks_list[i];
        if (entry->kind == LOFTI_LOCK_NONE || entry->off != off || !locks_is_of(entry, status)) {
            continue;
        }
        if (entry->fd == fd) {
            found.own = i;
        } else {
            found.others++;
            found.is_exclusive = found.is_exclusive || entry->kind == LOFTI_LOCK_EXCLUSIVE;
        }
    }
    return found;
}

/* When the last lock of a file is gone, so are the reasons to keep its descriptors. */
static void locks_close_kept(const struct stat *status)
{
    for (unsigned i = 0; i < locks_count; i++) {
        if (locks_list[i].kind != LOFTI_LOCK_NONE && locks_is_of(&locks_list[i], status)) {
            return;
        }
    }
    for (unsigned i = locks_count; i-- > 0;) {
        if (locks_is_of(&locks_list[i], status)) {
            (void)close(locks_list[i].fd);
            locks_remove(i);
        }
    }
}

static int locks_unset(int fd, const struct stat *status, uint64_t off)
{
    const locks_byte found = locks_find(fd, status, off);
    if (found.own == LOCKS_MAX) {
        return 0;
    }
    const int rc = found.others == 0 ? lofti_file_unix_lock(fd, F_SETLK, LOFTI_LOCK_NONE, off) : 0;
    if (rc == 0) {
        locks_remove(found.own);
        locks_close_kept(status);
    }
    return rc;
}

static int locks_set(int fd, int kind, const struct stat *status, uint64_t off)
{
    const locks_byte found = locks_find(fd, status, off);
    if (found.is_exclusive || (kind == LOFTI_LOCK_EXCLUSIVE && found.others != 0)) {
        return -EAGAIN;
    }
    if (found.own == LOCKS_MAX && locks_count == LOCKS_MAX) {
        return -ENOLCK;
    }
    const int rc = lofti_file_unix_lock(fd, F_SETLK, kind, off);
    if (rc != 0) {
        return rc;
    }
    const unsigned at = found.own != LOCKS_MAX ? found.own : locks_count++;
    locks_list[at] = (locks_entry){status->st_dev, status->st_ino, off, fd, kind};
    return 0;
}

int lofti_locks_set(int fd, int kind, uint64_t off)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return -errno;
    }
    locks_enter();
    const int rc =
        kind == LOFTI_LOCK_NONE ? locks_unset(fd, &status, off) : locks_set(fd, kind, &status, off);
    locks_leave();
    return rc;
}

/* Ends what this descriptor holds; true: others here hold something of the file. */
static bool locks_end(int fd, const struct stat *status)
{
    bool is_locked = false;
    for (unsigned i = locks_count; i-- > 0;) {
        const locks_entry entry = locks_list[i];
        if (entry.kind == LOFTI_LOCK_NONE || !locks_is_of(&entry, status)) {
            continue;
        }
        if (entry.fd != fd) {
            is_locked = true;
            continue;
        }
        if (locks_find(fd, status, entry.off).others == 0) {
            (void)lofti_file_unix_lock(fd, F_SETLK, LOFTI_LOCK_NONE, entry.off);
        }
        locks_remove(i);
    }
    return is_locked;
}

int lofti_locks_close(int fd)
{
    struct stat status;
    locks_enter();
    if (locks_count == 0 || fstat(fd, &status) != 0) {
        locks_leave();
        return close(fd);
    }
    int rc = 0;
    if (!locks_end(fd, &status)) {
        rc = close(fd);
        locks_close_kept(&status);
    } else if (locks_count < LOCKS_MAX) {
        locks_list[locks_count++] =
            (locks_entry){status.st_dev, status.st_ino, 0, fd, LOFTI_LOCK_NONE};
    } /* else it stays open for good: rather that than a lost lock */
    locks_leave();
    return rc;
}

int lofti_locks_reuse(const char *path, int how)
{
    struct stat status;
    int fd = -1;
    locks_enter();
    if (locks_count != 0 &&
        ((how & O_NOFOLLOW) != 0 ? lstat(path, &status) : stat(path, &status)) == 0) {
        for (unsigned i = 0; fd < 0 && i < locks_count; i++) {
            const locks_entry *entry = &locks_list[i];
            if (entry->kind == LOFTI_LOCK_NONE && locks_is_of(entry, &status) &&
                (fcntl(entry->fd, F_GETFL) & O_ACCMODE) == (how & O_ACCMODE)) {
                fd = entry->fd;
                locks_remove(i);
            }
        }
    }
    locks_leave();
    return fd;
}

int lofti_locks_kept(void)
{
    int kept = 0;
    locks_enter();
    for (unsigned i = 0; i < locks_count; i++) {
        kept += locks_list[i].kind == LOFTI_LOCK_NONE;
    }
    locks_leave();
    return kept;
}
