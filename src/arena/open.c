/*
 * arena/open.c - loft_arena_open, _close, _abandon.
 */
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/check.h"
#include "base/misuse.h"
#include "base/status.h"
#include "loft/region.h"
#include "os/map.h"

enum {
    OPEN_PATH_BYTES_MAX = 4096, /* PATH_MAX of Linux */
    OPEN_RACE_TRIES = 8         /* how often a file may appear and vanish between open and create */
};

static const unsigned open_flags_known = LOFT_WRITE | LOFT_EXCLUSIVE | LOFT_CREATE | LOFT_RELOCATE |
                                         LOFT_VERIFY | LOFT_UNTRUSTED | LOFT_ALLOW_REMOTE;

static int options_check(const char *path, const loft_arena_options *options)
{
    if (options->durability > LOFT_ORDERED) {
        return lofti_status_fail(LOFT_EINVAL, "open", path, "unknown durability %u",
                                 options->durability);
    }
    if (options->base % LOFTI_CHUNK_BYTES != 0 ||
        (options->base != 0 &&
         (options->base < LOFTI_MAP_LOW || options->base >= LOFTI_MAP_HIGH))) {
        return lofti_status_fail(LOFT_EINVAL, "open", path,
                                 "base 0x%llx is not a multiple of 4 MiB between 4 GiB and 2^47",
                                 (unsigned long long)options->base);
    }
    if (options->reserve_bytes > LOFTI_MAP_HIGH - LOFTI_MAP_LOW) {
        return lofti_status_fail(LOFT_EINVAL, "open", path, "reserve of %llu bytes is too large",
                                 (unsigned long long)options->reserve_bytes);
    }
    if (options->dirty_fn != NULL && options->max_dirty_bytes == 0) {
        return lofti_status_fail(LOFT_EINVAL, "open", path, "dirty_fn without max_dirty_bytes");
    }
    return LOFT_OK;
}

int lofti_arena_options(const char *path, const loft_arena_options *from, loft_arena_options *to)
{
    memset(to, 0, sizeof *to);
    if (from == NULL) {
        return LOFT_OK;
    }
    if (from->struct_bytes < offsetof(loft_arena_options, base)) {
        return lofti_status_fail(LOFT_EINVAL, "open", path,
                                 "options.struct_bytes is %u; use LOFT_ARENA_OPTIONS_INIT",
                                 from->struct_bytes);
    }
    const size_t bytes = (size_t)lofti_arith_min(from->struct_bytes, sizeof *to);
    memcpy(to, from, bytes);
    const uint8_t *rest = (const uint8_t *)from;
    for (size_t i = bytes; i < from->struct_bytes; i++) {
        if (rest[i] != 0) {
            return lofti_status_fail(LOFT_EINVAL, "open", path,
                                     "options has a field that this version does not know");
        }
    }
    return LOFT_OK;
}

static int open_or_create(const char *path, unsigned flags, const loft_arena_options *options,
                          loft_arena **out)
{
    for (int i = 0; i < OPEN_RACE_TRIES; i++) {
        int code = LOFT_ENOENT;
        if ((flags & LOFT_EXCLUSIVE) == 0) {
            code = lofti_arena_attach(path, options, flags, out);
        }
        if (code != LOFT_ENOENT || (flags & LOFT_CREATE) == 0) {
            return code;
        }
        code = lofti_arena_create(path, options, flags, out);
        if (code != LOFT_EEXIST || (flags & LOFT_EXCLUSIVE) != 0) {
            return code;
        }
    }
    return lofti_status_fail(LOFT_EBUSY, "open", path, "it appears and vanishes again and again");
}

static int open_checked(const char *path, unsigned flags, const loft_arena_options *options,
                        loft_arena **out)
{
    loft_arena_options own;
    if ((flags & ~open_flags_known) != 0) {
        return lofti_status_fail(LOFT_EINVAL, "open", path, "unknown flags 0x%x",
                                 flags & ~open_flags_known);
    }
    if ((flags & LOFT_EXCLUSIVE) != 0 && (flags & LOFT_CREATE) == 0) {
        return lofti_status_fail(LOFT_EINVAL, "open", path,
                                 "LOFT_EXCLUSIVE is for LOFT_CREATE only");
    }
    int code = lofti_arena_options(path, options, &own);
    if (code == LOFT_OK) {
        code = options_check(path, &own);
    }
    if (code == LOFT_OK) {
        code = lofti_registry_start();
    }
    if (code != LOFT_OK) {
        return code;
    }
    if (path == NULL) {
        return lofti_arena_create_anonymous(&own, out);
    }
    if (path[0] == '\0' || strlen(path) >= OPEN_PATH_BYTES_MAX) {
        return lofti_status_fail(LOFT_EINVAL, "open", path, "the path is empty or too long");
    }
    if (!lofti_map_can_overlay()) {
        return lofti_status_fail(
            LOFT_ENOTSUP, "open", path,
            "arenas in files need a system that maps a file over address space "
            "that is held");
    }
    if ((flags & LOFT_CREATE) != 0) {
        flags |= LOFT_WRITE;
    }
    return open_or_create(path, flags, &own, out);
}

int loft_arena_open(const char *path, unsigned flags, const loft_arena_options *options,
                    loft_arena **out)
{
    if (out == NULL) {
        return lofti_status_fail(LOFT_EINVAL, "open", path, "no place for the handle");
    }
    *out = NULL;
    loft_arena *arena = NULL;
    const int code = open_checked(path, flags, options, &arena);
    if (code == LOFT_OK) {
        LOFTI_ASSERT(arena != NULL);
        arena->magic = LOFTI_ARENA_MAGIC;
        arena->verify = (flags & LOFT_VERIFY) != 0 && arena->has_store && arena->writable;
        lofti_registry_add(arena);
        *out = arena;
    }
    return code;
}

static void arena_release(loft_arena *arena)
{
    lofti_registry_remove(arena);
    lofti_arena_destroy(arena);
}

/* Commits and checkpoints: LOFT_OK or LOFT_EPENDING when the arena may be released. */
static int close_store(loft_arena *arena)
{
    (void)pthread_mutex_lock(&arena->commit_mutex);
    int code = lofti_commit_locked(arena, true);
    if (code == LOFT_OK) {
        code = lofti_checkpoint_locked(arena);
    }
    if (code == LOFT_OK) {
        lofti_store_tidy(&arena->store);
    }
    (void)pthread_mutex_unlock(&arena->commit_mutex);
    return code;
}

int loft_arena_close(loft_arena *arena)
{
    int code = lofti_arena_usable(arena, "close", false);
    if (code != LOFT_OK) {
        return code;
    }
    if (lofti_gate_inside(&arena->gate)) {
        lofti_misuse_report(LOFT_MISUSE_SECTION, arena,
                            "close inside the thread's own mutation section of '%s'", arena->path);
        return LOFT_EINVAL;
    }
    if (arena->has_store && arena->writable) {
        code = close_store(arena);
        if (code != LOFT_OK && code != LOFT_EPENDING) {
            return code;
        }
    }
    arena_release(arena);
    return code;
}

int loft_arena_abandon(loft_arena *arena)
{
    if (arena == NULL) {
        return lofti_status_fail(LOFT_EINVAL, "abandon", NULL, "no arena");
    }
    if (!arena->forked) {
        const int code = lofti_arena_usable(arena, "abandon", false);
        if (code != LOFT_OK) {
            return code;
        }
    }
    arena_release(arena);
    return LOFT_OK;
}
