/*
 * os/map_linux.c - the primitive calls of mapping on Linux, and its list of mappings.
 *
 * Rests on: MAP_FIXED_NOREPLACE 4.17 (older kernels take it as a hint, which os/map.c notices),
 * MADV_POPULATE_WRITE 5.14 (else -EINVAL).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/map_unix.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

/* Bytes of a line of /proc/self/maps that are kept: a longest path, with room for the numbers
 * before it. Newlines in names come as four bytes, so a line may be longer: it is cut. */
#define MAP_LINE_BYTES 4608

static int linux_map(void *at, bool fixed, size_t bytes, unsigned flags, intptr_t handle,
                     uint64_t off, void **out)
{
    int how = (flags & LOFTI_MAP_SHARED) != 0 ? MAP_SHARED : MAP_PRIVATE;
    how |= handle < 0 ? MAP_ANONYMOUS : 0;
    how |= (flags & LOFTI_MAP_NORESERVE) != 0 ? MAP_NORESERVE : 0;
    how |= (flags & LOFTI_MAP_POPULATE) != 0 ? MAP_POPULATE : 0;
    if (fixed) {
        how |= MAP_FIXED;
    } else if (at != NULL) {
        how |= MAP_FIXED_NOREPLACE;
    }
    if (off > INT64_MAX) {
        return -EOVERFLOW;
    }
    void *got = mmap(at, bytes, lofti_map_unix_protection(flags), how, (int)handle, (off_t)off);
    if (got == MAP_FAILED) {
        return -errno;
    }
    *out = got;
    return 0;
}

static int linux_remap(void *at, size_t old_bytes, size_t new_bytes, bool may_move, void *to,
                       void **out)
{
    const int how = (may_move ? MREMAP_MAYMOVE : 0) | (to != NULL ? MREMAP_FIXED : 0);
    void *got = mremap(at, old_bytes, new_bytes, how, to);
    if (got == MAP_FAILED) {
        return -errno;
    }
    *out = got;
    return 0;
}

static int linux_advise(void *at, size_t bytes, int advice)
{
    static const int table[] = {
        [LOFTI_ADVICE_NORMAL] = MADV_NORMAL,
        [LOFTI_ADVICE_RANDOM] = MADV_RANDOM,
        [LOFTI_ADVICE_SEQUENTIAL] = MADV_SEQUENTIAL,
        [LOFTI_ADVICE_WILLNEED] = MADV_WILLNEED,
        [LOFTI_ADVICE_DONTNEED] = MADV_DONTNEED,
        [LOFTI_ADVICE_HUGE] = MADV_HUGEPAGE,
        [LOFTI_ADVICE_NOHUGE] = MADV_NOHUGEPAGE,
        [LOFTI_ADVICE_DONTFORK] = MADV_DONTFORK,
        [LOFTI_ADVICE_DOFORK] = MADV_DOFORK,
        [LOFTI_ADVICE_DONTDUMP] = MADV_DONTDUMP,
        [LOFTI_ADVICE_FREE] = MADV_FREE,
        [LOFTI_ADVICE_POPULATE_WRITE] = MADV_POPULATE_WRITE,
    };
    if (advice < 0 || (size_t)advice >= sizeof table / sizeof table[0]) {
        return -EINVAL;
    }
    return lofti_map_unix_result(madvise(at, bytes, table[advice]));
}

/* --- /proc/self/maps: "start-end rwxp offset major:minor inode    name", numbers in hex ---- */

/* Parses a line, which it may change. False: it is not of that form. */
static bool maps_parse(char *line, lofti_map_area *area)
{
    char *at;
    area->start = strtoull(line, &at, 16);
    if (*at != '-') {
        return false;
    }
    area->end = strtoull(at + 1, &at, 16);
    if (*at != ' ' || strlen(at) < 6) {
        return false;
    }
    area->readable = at[1] == 'r';
    area->writable = at[2] == 'w';
    area->executable = at[3] == 'x';
    area->shared = at[4] == 's';
    at += 5;
    (void)strtoull(at, &at, 16); /* offset */
    (void)strtoull(at, &at, 16); /* device, major */
    if (*at != ':') {
        return false;
    }
    (void)strtoull(at + 1, &at, 16);
    area->file = strtoull(at, &at, 10) != 0; /* inode */
    area->name = at + strspn(at, " ");
    return area->start < area->end;
}

/* Lines are gathered from reads that end anywhere. */
typedef struct maps_reader {
    char line[MAP_LINE_BYTES];
    size_t length;
    lofti_map_area_fn *fn;
    void *context;
} maps_reader;

/* Takes one block; returns what ends the walk, or 0. */
static int maps_take(maps_reader *reader, const char *block, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (block[i] != '\n') {
            if (reader->length < sizeof reader->line - 1) {
                reader->line[reader->length++] = block[i];
            }
            continue;
        }
        reader->line[reader->length] = '\0';
        reader->length = 0;
        lofti_map_area area;
        if (!maps_parse(reader->line, &area)) {
            return -EPROTO;
        }
        const int stop = reader->fn(reader->context, &area);
        if (stop != 0) {
            return stop;
        }
    }
    return 0;
}

static int linux_walk(lofti_map_area_fn *fn, void *context)
{
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    maps_reader reader = {.fn = fn, .context = context};
    char block[4096]; /* the kernel gives at most a page at a time */
    int rc = 0;
    while (rc == 0) {
        const ssize_t got = read(fd, block, sizeof block);
        if (got > 0) {
            rc = maps_take(&reader, block, (size_t)got);
        } else if (got == 0) {
            break;
        } else if (errno != EINTR) {
            rc = -errno;
        }
    }
    (void)close(fd);
    return rc;
}

const lofti_map_ops *lofti_map_ops_system(void)
{
    static const lofti_map_ops table = {
        .map = linux_map,
        .unmap = lofti_map_unix_unmap,
        .remap = linux_remap,
        .protect = lofti_map_unix_protect,
        .advise = linux_advise,
        .sync = lofti_map_unix_sync,
        .lock = lofti_map_unix_lock,
        .walk = linux_walk,
    };
    return &table;
}
