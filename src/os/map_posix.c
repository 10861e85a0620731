/*
 * os/map_posix.c - the primitive calls of mapping on POSIX: macOS, the BSDs.
 *
 * What POSIX has not, and what stands for it:
 *
 *   map     an address is a hint; an answer elsewhere is given back and is -EEXIST. A mapping that must not
 *           replace another therefore never does, on any system, and needs no flag of one of them
 *   remap   only cuts. A longer one is -EOPNOTSUPP, and os/map.c maps it anew
 *   advise  DONTNEED is -EOPNOTSUPP: the content may stay or go, as the system likes, where os/map.h wants it gone.
 *           DONTFORK by minherit, else -EOPNOTSUPP. What else is but a hint is passed over
 *   walk    there is no list of mappings
 *
 * POPULATE touches anonymous memory and asks for read-ahead of a file's: to touch a file's pages could be SIGBUS.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/map_unix.h"

/* What the headers of Linux have for programs that ask for more than POSIX only; numbers of x86 and ARM. */
#if defined(__linux__)
#ifndef MAP_ANON
#define MAP_ANON 0x20
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0x4000
#endif
#endif
#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

/* minherit(2) has the same names for its answers under two prefixes. */
#if defined(INHERIT_NONE)
#define MAP_CHILD_NONE INHERIT_NONE
#define MAP_CHILD_COPY INHERIT_COPY
#elif defined(MAP_INHERIT_NONE)
#define MAP_CHILD_NONE MAP_INHERIT_NONE
#define MAP_CHILD_COPY MAP_INHERIT_COPY
#elif defined(VM_INHERIT_NONE)
#define MAP_CHILD_NONE VM_INHERIT_NONE
#define MAP_CHILD_COPY VM_INHERIT_COPY
#endif

static void unix_populate(void *at, size_t bytes, unsigned flags, intptr_t handle)
{
    if (handle >= 0 || (flags & LOFTI_MAP_WRITE) == 0) {
        (void)posix_madvise(at, bytes, POSIX_MADV_WILLNEED);
        return;
    }
    for (size_t off = 0; off < bytes; off += lofti_map_page_bytes()) {
        ((volatile char *)at)[off] = 0; /* new: it is zero, and nobody else knows it */
    }
}

static int unix_map(void *at, bool fixed, size_t bytes, unsigned flags, intptr_t handle,
                    uint64_t off, void **out)
{
    int how = (flags & LOFTI_MAP_SHARED) != 0 ? MAP_SHARED : MAP_PRIVATE;
    how |= handle < 0 ? MAP_ANON : 0;
    how |= (flags & LOFTI_MAP_NORESERVE) != 0 ? MAP_NORESERVE : 0;
    how |= fixed ? MAP_FIXED : 0;
    if (off > INT64_MAX) {
        return -EOVERFLOW;
    }
    void *got = mmap(at, bytes, lofti_map_unix_protection(flags), how, (int)handle, (off_t)off);
    if (got == MAP_FAILED) {
        return -errno;
    }
    if (at != NULL && got != at) {
        (void)munmap(got, bytes);
        return -EEXIST;
    }
    if ((flags & LOFTI_MAP_POPULATE) != 0) {
        unix_populate(got, bytes, flags, handle);
    }
    *out = got;
    return 0;
}

static int unix_remap(void *at, size_t old_bytes, size_t new_bytes, bool may_move, void *to,
                      void **out)
{
    (void)may_move;
    (void)to;
    if (new_bytes > old_bytes) {
        return -EOPNOTSUPP;
    }
    const int rc = new_bytes < old_bytes
                       ? lofti_map_unix_unmap((char *)at + new_bytes, old_bytes - new_bytes)
                       : 0;
    if (rc == 0) {
        *out = at;
    }
    return rc;
}

static int unix_inherit(void *at, size_t bytes, bool on)
{
#if defined(MAP_CHILD_NONE)
    return lofti_map_unix_result(minherit(at, bytes, on ? MAP_CHILD_COPY : MAP_CHILD_NONE));
#else
    (void)at;
    (void)bytes;
    return on ? 0 : -EOPNOTSUPP;      /* a child gets all */
#endif
}

static int unix_hint(void *at, size_t bytes, int advice)
{
    return -posix_madvise(at, bytes, advice); /* answers the error itself */
}

static int unix_advise(void *at, size_t bytes, int advice)
{
    switch (advice) {
    case LOFTI_ADVICE_NORMAL: return unix_hint(at, bytes, POSIX_MADV_NORMAL);
    case LOFTI_ADVICE_RANDOM: return unix_hint(at, bytes, POSIX_MADV_RANDOM);
    case LOFTI_ADVICE_SEQUENTIAL: return unix_hint(at, bytes, POSIX_MADV_SEQUENTIAL);
    case LOFTI_ADVICE_WILLNEED: return unix_hint(at, bytes, POSIX_MADV_WILLNEED);
    case LOFTI_ADVICE_DONTNEED: return -EOPNOTSUPP;
    case LOFTI_ADVICE_DONTFORK: return unix_inherit(at, bytes, false);
    case LOFTI_ADVICE_DOFORK: return unix_inherit(at, bytes, true);
#if defined(MADV_FREE)
    case LOFTI_ADVICE_FREE: return lofti_map_unix_result(madvise(at, bytes, MADV_FREE));
#else
    case LOFTI_ADVICE_FREE: return 0; /* may be dropped, or may not */
#endif
    case LOFTI_ADVICE_NOHUGE: return 0; /* none are asked for */
    default: return -EINVAL;
    }
}

const lofti_map_ops *lofti_map_ops_system(void)
{
    static const lofti_map_ops table = {
        .map = unix_map,
        .unmap = lofti_map_unix_unmap,
        .remap = unix_remap,
        .protect = lofti_map_unix_protect,
        .advise = unix_advise,
        .sync = lofti_map_unix_sync,
        .lock = lofti_map_unix_lock,
        .walk = NULL,
    };
    return &table;
}
