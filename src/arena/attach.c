/*
 * arena/attach.c - opening an arena that exists.
 *
 * Order: open, is it a regular local file, lock, is it still the file of that name, superblock and
 * journal, recover (writer), hold address space, map, overlay what could not be applied, attach the heap.
 */
#include <errno.h>
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/check.h"
#include "base/status.h"
#include "os/sys.h"

enum {
    ATTACH_RACE_TRIES = 8,     /* how often a name may come to mean another file while we lock */
    ATTACH_READER_TRIES = 2000 /* milliseconds that a reader waits for a checkpoint to end */
};
#define ATTACH_READER_PAUSE_NS ((uint64_t)1000000)

int lofti_arena_local(const lofti_file *file, const char *path, unsigned flags)
{
    lofti_file_info info;
    const int error = lofti_file_info_get(file, &info);
    if (error != 0) {
        return lofti_status_system(error, "open", path);
    }
    if (info.type != LOFTI_TYPE_REGULAR) {
        return lofti_status_fail(LOFT_EINVAL, "open", path, "not a regular file");
    }
    if (info.remote && (flags & LOFT_ALLOW_REMOTE) == 0) {
        return lofti_status_fail(LOFT_ENOTSUP, "open", path,
                                 "on a network file system, where locks and flushes promise less "
                                 "(LOFT_ALLOW_REMOTE accepts that)");
    }
    return LOFT_OK;
}

static int attach_lock_writer(const lofti_file *file, const char *path)
{
    const int error = lofti_file_lock(file, LOFTI_LOCK_EXCLUSIVE, LOFTI_STORE_LOCK_WRITER);
    if (error == 0) {
        return LOFT_OK;
    }
    if (lofti_status_code(error) == LOFT_EBUSY || lofti_status_code(error) == LOFT_EACCES) {
        return lofti_status_fail(LOFT_EBUSY, "open", path, "another writer has it open");
    }
    return lofti_status_system(error, "lock", path);
}

/* Readers share a lock that a checkpoint needs alone; a checkpoint is short. */
static int attach_lock_reader(const lofti_file *file, const char *path)
{
    int error = 0;
    for (int i = 0; i < ATTACH_READER_TRIES; i++) {
        error = lofti_file_lock(file, LOFTI_LOCK_SHARED, LOFTI_STORE_LOCK_READER);
        if (error == 0) {
            return LOFT_OK;
        }
        if (lofti_status_code(error) != LOFT_EBUSY && lofti_status_code(error) != LOFT_EACCES) {
            return lofti_status_system(error, "lock", path);
        }
        lofti_sys_sleep_ns(ATTACH_READER_PAUSE_NS);
    }
    return lofti_status_fail(LOFT_EBUSY, "open", path, "a checkpoint holds it");
}

/* Whether `path` still names the opened file: it may have been replaced before the lock was had. */
static int attach_same(const lofti_file *file, const char *path, bool *same)
{
    lofti_file again = {0};
    lofti_file_info here;
    lofti_file_info there;
    *same = false;
    int error = lofti_file_open(path, LOFTI_OPEN_NOFOLLOW, 0, &again);
    if (error != 0) {
        return lofti_status_code(error) == LOFT_ENOENT ? LOFT_OK
                                                       : lofti_status_system(error, "open", path);
    }
    error = lofti_file_info_get(file, &here);
    if (error == 0) {
        error = lofti_file_info_get(&again, &there);
    }
    (void)lofti_file_close(&again);
    if (error != 0) {
        return lofti_status_system(error, "open", path);
    }
    *same = here.device == there.device && here.inode == there.inode;
    return LOFT_OK;
}

int lofti_attach_refused(int error, const char *operation, const char *path)
{
    if (error == -ELOOP) { /* the system's sentence, too many links, would send the reader astray */
        return lofti_status_fail(
            LOFT_EINVAL, operation, path,
            "a symbolic link leads there, or in a circle; give the file's own path");
    }
    return lofti_status_system(error, operation, path);
}

static int attach_open_once(const char *path, unsigned flags, lofti_file *file, bool *same)
{
    const bool writing = (flags & LOFT_WRITE) != 0;
    const int error = lofti_file_open(
        path, LOFTI_OPEN_NOFOLLOW | (writing ? (unsigned)LOFTI_OPEN_WRITE : 0), 0, file);
    if (error != 0) {
        return lofti_attach_refused(error, "open", path);
    }
    int code = lofti_arena_local(file, path, flags);
    if (code == LOFT_OK) {
        code = writing ? attach_lock_writer(file, path) : attach_lock_reader(file, path);
    }
    if (code == LOFT_OK) {
        code = attach_same(file, path, same);
    }
    if (code != LOFT_OK || !*same) {
        (void)lofti_file_close(file);
    }
    return code;
}

int lofti_attach_open(const char *path, unsigned flags, lofti_file *file)
{
    bool same = false;
    for (int i = 0; i < ATTACH_RACE_TRIES; i++) {
        const int code = attach_open_once(path, flags, file, &same);
        if (code != LOFT_OK || same) {
            return code;
        }
    }
    return lofti_status_fail(LOFT_EBUSY, "open", path, "it is being replaced again and again");
}

/* Holds the stored place, or with LOFT_RELOCATE, if that is taken, any. */
static int attach_reserve(loft_arena *arena, unsigned flags)
{
    const uint64_t least_bytes = arena->store.space_end;
    if ((flags & LOFT_UNTRUSTED) != 0 && !lofti_window_holds(arena->stored_base)) {
        return lofti_status_fail(LOFT_ECORRUPT, "open", arena->path,
                                 "it asks for the address 0x%llx, where no arena is put",
                                 (unsigned long long)arena->stored_base);
    }
    const int code = lofti_space_reserve(arena, arena->stored_base, least_bytes);
    if (code != LOFT_EADDRESS || (flags & LOFT_RELOCATE) == 0) {
        return code;
    }
    return lofti_space_reserve(arena, 0, least_bytes);
}

int lofti_attach_map(loft_arena *arena)
{
    if (arena->store.frontier <= LOFTI_HEAP_OFF) {
        return lofti_status_fail(LOFT_ECORRUPT, "open", arena->path,
                                 "it has no heap: its creation was never committed (superblock at "
                                 "offset %llu)",
                                 (unsigned long long)arena->store.slot_good * LOFTI_SUPER_BYTES);
    }
    int code = lofti_space_map_file(arena, arena->store.frontier);
    if (code == LOFT_OK && lofti_store_has_journal(&arena->store)) {
        code = lofti_space_overlay(arena);
    }
    if (code == LOFT_OK && !arena->writable) {
        code = lofti_space_protect(arena);
    }
    if (code != LOFT_OK) {
        return code;
    }
    const lofti_heap_host host = lofti_space_host(arena);
    code = lofti_heap_attach(arena->base + LOFTI_HEAP_OFF, arena->store.frontier - LOFTI_HEAP_OFF,
                             !arena->writable, &host, &arena->heap);
    if (code == LOFT_ECORRUPT) { /* the heap does not know whose it is */
        char reason[256];
        lofti_status_copy(reason, sizeof reason);
        return lofti_status_fail(code, "open", arena->path, "%s", reason);
    }
    return code;
}

static int attach_store(loft_arena *arena, lofti_file *file, unsigned flags)
{
    arena->writable = (flags & LOFT_WRITE) != 0;
    int code = lofti_store_open(&arena->store, file, arena->path, arena->writable);
    if (code != LOFT_OK) {
        return code;
    }
    arena->has_store = true;
    arena->stored_base = arena->store.super.base;
    memcpy(arena->uuid, arena->store.super.uuid, sizeof arena->uuid);
    if (arena->writable) {
        code = lofti_track_start(arena);
    }
    if (code == LOFT_OK && arena->writable) {
        code = lofti_store_recover(&arena->store);
        if (code == LOFT_EPENDING) {
            code = LOFT_OK; /* a reader or a full disk: the journal is overlaid and applied later */
        }
    }
    return code;
}

/* The first fault of a file that is not trusted. */
static int attach_blame(void *context, const loft_fault *fault)
{
    const loft_arena *arena = context;
    return lofti_status_fail(LOFT_ECORRUPT, "open", arena->path, "%s, at offset %llu", fault->text,
                             (unsigned long long)fault->offset);
}

static int attach_with(const char *path, const loft_arena_options *options, unsigned flags,
                       loft_arena **out)
{
    loft_arena *arena = NULL;
    lofti_file file = {0};
    int code = lofti_arena_new(path, options, &arena);
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_attach_open(path, flags, &file);
    if (code == LOFT_OK) {
        code = attach_store(arena, &file, flags);
    }
    if (code == LOFT_OK) {
        code = attach_reserve(arena, flags);
    }
    if (code == LOFT_OK) {
        code = lofti_attach_map(arena);
    }
    if (code == LOFT_OK && (flags & LOFT_UNTRUSTED) != 0) {
        uint64_t faults = 0;
        code = lofti_arena_check(arena, attach_blame, arena, &faults);
    }
    if (code != LOFT_OK) {
        lofti_arena_destroy(arena);
        return code;
    }
    *out = arena;
    return LOFT_OK;
}

int lofti_arena_attach(const char *path, const loft_arena_options *options, unsigned flags,
                       loft_arena **out)
{
    int code = attach_with(path, options, flags, out);
    if (code == LOFT_OK && (flags & LOFT_WRITE) != 0 &&
        (uint64_t)(uintptr_t)(*out)->base != (*out)->stored_base) {
        /* Pointers stored now would be wrong at the arena's own place: read-only from here on. */
        lofti_arena_destroy(*out);
        *out = NULL;
        code = attach_with(path, options, flags & ~(unsigned)LOFT_WRITE, out);
    }
    return code;
}
