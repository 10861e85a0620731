/*
 * arena/describe.c - facts about arenas, and addresses turned into offsets and back.
 */
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/check.h"
#include "base/status.h"
#include "os/dirty.h"

/* Results go out as far as the caller's struct reaches: it may be of an older header. */
static int out_check(uint32_t struct_bytes, size_t least_bytes, const char *operation)
{
    return struct_bytes >= least_bytes
               ? LOFT_OK
               : lofti_status_fail(LOFT_EINVAL, operation, NULL, "struct_bytes is not set");
}

static void out_copy(void *out, uint32_t struct_bytes, const void *own, size_t own_bytes)
{
    const size_t head_bytes = sizeof struct_bytes; /* the caller's struct_bytes stays */
    const size_t bytes = (size_t)lofti_arith_min(struct_bytes, own_bytes);
    memcpy((uint8_t *)out + head_bytes, (const uint8_t *)own + head_bytes, bytes - head_bytes);
}

static void stats_of_store(const lofti_store *store, loft_arena_statistics *own)
{
    lofti_file_info info;
    lofti_store_figures figures; /* another thread may be committing */
    lofti_store_figures_get(store, &figures);
    own->commit_count = figures.commit_count;
    own->committed_pages = figures.committed_pages;
    own->committed_bytes = figures.committed_bytes;
    own->checkpoint_count = figures.checkpoint_count;
    own->journal_bytes = figures.journal_bytes;
    if (lofti_file_info_get(&store->file, &info) == 0) {
        own->file_bytes = info.bytes;
    }
}

static int stats_private(void *context, void *start, size_t bytes)
{
    (void)start;
    *(uint64_t *)context += bytes;
    return 0;
}

static int stats_of_run(void *context, uint64_t off, uint64_t bytes, int state)
{
    const loft_arena *arena = ((void **)context)[0];
    loft_arena_statistics *own = ((void **)context)[1];
    (void)state;
    own->mapped_bytes += bytes;
    return lofti_dirty_private(arena->base + off, bytes, stats_private, &own->private_bytes);
}

static int stats_of_space(const loft_arena *arena, loft_arena_statistics *own)
{
    loft_arena *same = (loft_arena *)(uintptr_t)arena; /* its runs are looked at only */
    void *context[] = {same, own};
    if (arena->over) {
        own->mapped_bytes = own->heap_bytes; /* whose it is only its owner knows */
        return LOFT_OK;
    }
    (void)pthread_mutex_lock(&same->grow_mutex);
    const int code = lofti_space_each_run(same, stats_of_run, context);
    (void)pthread_mutex_unlock(&same->grow_mutex);
    return code;
}

int loft_arena_stats(const loft_arena *arena, loft_arena_statistics *out)
{
    int code = lofti_arena_usable(arena, "stats", false);
    if (code == LOFT_OK) {
        code = out_check(out != NULL ? out->struct_bytes : 0,
                         offsetof(loft_arena_statistics, heap_bytes), "stats");
    }
    if (code != LOFT_OK) {
        return code;
    }
    loft_arena_statistics own = {.struct_bytes = sizeof own};
    code = lofti_heap_stats(arena->heap, &own);
    if (code == LOFT_OK) {
        code = stats_of_space(arena, &own);
    }
    if (code != LOFT_OK) {
        return code;
    }
    if (arena->has_store) {
        stats_of_store(&arena->store, &own);
    }
    own.snapshot_count = atomic_load(&arena->snapshot_count);
    own.snapshot_held_ns = atomic_load(&arena->snapshot_held_ns);
    own.pause_last_ns = atomic_load(&arena->pause_last_ns);
    own.pause_max_ns = atomic_load(&arena->pause_max_ns);
    own.pause_total_ns = atomic_load(&arena->pause_total_ns);
    own.pause_count = atomic_load(&arena->pause_count);
    own.missed_pages = atomic_load(&arena->missed_pages);
    LOFTI_ASSERT(out != NULL); /* out_check refused that */
    out_copy(out, out->struct_bytes, &own, sizeof own);
    return LOFT_OK;
}

static void describe_store(const lofti_store *store, loft_arena_info *own)
{
    lofti_file_info info;
    lofti_store_figures figures;
    lofti_store_figures_get(store, &figures);
    own->format_version = (uint32_t)figures.version;
    memcpy(own->uuid, figures.uuid, sizeof own->uuid);
    own->base = figures.base;
    own->sequence = figures.sequence;
    own->journal_bytes = figures.has_journal != 0 ? figures.journal_bytes : 0;
    own->frontier = figures.frontier;
    if (lofti_file_info_get(&store->file, &info) == 0) {
        own->file_bytes = info.bytes;
        own->stored_bytes = info.stored_bytes;
    }
}

int loft_arena_describe(const loft_arena *arena, loft_arena_info *out)
{
    int code = lofti_arena_usable(arena, "describe", false);
    if (code == LOFT_OK) {
        code = out_check(out != NULL ? out->struct_bytes : 0, offsetof(loft_arena_info, mapped_at),
                         "describe");
    }
    if (code != LOFT_OK) {
        return code;
    }
    loft_arena_info own = {.struct_bytes = sizeof own};
    if (arena->has_store) {
        describe_store(&arena->store, &own);
    } else {
        own.format_version = LOFTI_SUPER_VERSION;
        memcpy(own.uuid, arena->uuid, sizeof own.uuid);
        own.base = arena->stored_base;
    }
    own.mapped_at = (uint64_t)(uintptr_t)arena->base;
    own.reserve_bytes = arena->reserve_bytes;
    own.tracker = arena->tracker;
    LOFTI_ASSERT(out != NULL); /* out_check refused that */
    out_copy(out, out->struct_bytes, &own, sizeof own);
    return LOFT_OK;
}

int loft_file_describe(const char *path, loft_arena_info *out)
{
    if (path == NULL) {
        return lofti_status_fail(LOFT_EINVAL, "describe", NULL, "no path");
    }
    int code = out_check(out != NULL ? out->struct_bytes : 0, offsetof(loft_arena_info, mapped_at),
                         "describe");
    if (code != LOFT_OK) {
        return code;
    }
    lofti_file file = {0};
    const int error = lofti_file_open(path, LOFTI_OPEN_NOFOLLOW, 0, &file);
    if (error != 0) {
        return lofti_attach_refused(error, "describe", path);
    }
    code = lofti_arena_local(&file, path, LOFT_ALLOW_REMOTE);
    if (code != LOFT_OK) {
        (void)lofti_file_close(&file);
        return code;
    }
    lofti_store store;
    code = lofti_store_open(&store, &file, path, false);
    if (code != LOFT_OK) {
        return code;
    }
    loft_arena_info own = {.struct_bytes = sizeof own};
    describe_store(&store, &own);
    lofti_store_close(&store);
    LOFTI_ASSERT(out != NULL); /* out_check refused that */
    out_copy(out, out->struct_bytes, &own, sizeof own);
    return LOFT_OK;
}

uint64_t loft_offset(const loft_arena *arena, const void *address)
{
    if (address == NULL || lofti_arena_usable(arena, "offset", false) != LOFT_OK) {
        return 0;
    }
    const uint64_t offset = (uint64_t)((uintptr_t)address - (uintptr_t)arena->base);
    if (offset < LOFTI_HEAP_OFF || offset >= arena->reserve_bytes) {
        (void)lofti_status_fail(LOFT_ERANGE, "offset", arena->path, "%p lies outside the arena",
                                address);
        return 0;
    }
    return offset;
}

void *loft_at(const loft_arena *arena, uint64_t offset)
{
    if (offset == 0) {
        return NULL;
    }
    int code = lofti_arena_usable(arena, "address", false);
    if (code == LOFT_OK && (offset < LOFTI_HEAP_OFF || offset >= arena->reserve_bytes)) {
        code = lofti_status_fail(LOFT_ERANGE, "address", arena->path,
                                 "offset %llu lies outside the arena", (unsigned long long)offset);
    }
    return code == LOFT_OK ? arena->base + offset : lofti_status_null(code);
}

void *loft_arena_resolve(const loft_arena *arena, const void *stored)
{
    void *unchanged = (void *)(uintptr_t)stored;
    if (stored == NULL || lofti_arena_usable(arena, "resolve", false) != LOFT_OK) {
        return unchanged;
    }
    const uint64_t offset = (uint64_t)(uintptr_t)stored - arena->stored_base;
    const bool inside = offset >= LOFTI_HEAP_OFF && offset < arena->reserve_bytes;
    return inside ? arena->base + offset : unchanged;
}
