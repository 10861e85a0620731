/*
 * arena/create.c - making arenas.
 *
 * A new file has no name until it is a whole, committed arena: it is built as an unnamed file (or,
 * where the file system has none, under a temporary name beside its target) and linked at the end. The
 * writer's lock is held from the start, so nobody ever opens a half-made one.
 */
#include <stdio.h>
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "os/map.h"
#include "os/sys.h"
#include "os/window.h"

enum {
    CREATE_MODE = 0600,
    CREATE_BASE_TRIES = 64,          /* places tried when a chosen one is taken */
    CREATE_BASE_TRIES_COARSE = 8,    /* of them: multiples of CREATE_BASE_UNIT */
    CREATE_GATE_TIMEOUT_MS = 10000,  /* the default of options.gate_timeout_ms */
    CREATE_JOURNAL_LIMIT = 64 << 20, /* bytes: the default of options.journal_limit_bytes */
    CREATE_TEMPORARY_TRIES = 8,      /* names tried where unnamed files cannot be had */
    CREATE_SUFFIX_BYTES = 24         /* ".loft-" and 16 hex digits */
};

/* Bases are multiples of this: the same page tables' top levels serve neighbouring arenas. */
#define CREATE_BASE_UNIT      ((uint64_t)4 << 30)
/* Of this in later tries: hundreds of small arenas find room in a small window too. */
#define CREATE_BASE_UNIT_FINE ((uint64_t)64 << 20)

int lofti_arena_new(const char *path, const loft_arena_options *options, loft_arena **out)
{
    const size_t path_bytes = strlen(path) + 1;
    const uint64_t bytes =
        lofti_arith_round_up(sizeof(loft_arena) + path_bytes, lofti_map_page_bytes());
    void *memory = NULL;
    int error = lofti_map_place(bytes, 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    if (error != 0) {
        return lofti_status_system(error, "open", path);
    }
    loft_arena *arena = memory;
    arena->self_bytes = bytes;
    memcpy(arena->path, path, path_bytes);
    arena->reserve_bytes =
        options->reserve_bytes != 0 ? options->reserve_bytes : lofti_window_default().reserve_bytes;
    arena->reserve_bytes = lofti_arith_down(arena->reserve_bytes, LOFTI_CHUNK_BYTES);
    arena->journal_limit_bytes =
        options->journal_limit_bytes != 0 ? options->journal_limit_bytes : CREATE_JOURNAL_LIMIT;
    arena->durability = options->durability != 0 ? options->durability : LOFT_DURABLE;
    arena->gate_timeout_ms =
        options->gate_timeout_ms != 0 ? options->gate_timeout_ms : CREATE_GATE_TIMEOUT_MS;
    (void)pthread_mutex_init(&arena->commit_mutex, NULL);
    (void)pthread_cond_init(&arena->snapshot_turn, NULL);
    (void)pthread_mutex_init(&arena->grow_mutex, NULL);
    (void)pthread_mutex_init(&arena->pins_mutex, NULL);
    arena->max_dirty_bytes = options->max_dirty_bytes;
    arena->dirty_fn = options->dirty_fn;
    arena->dirty_context = options->dirty_context;
    (void)pthread_rwlock_init(&arena->roots_lock, NULL);
    error = lofti_sys_random(&arena->known_seed, sizeof arena->known_seed);
    const int code =
        error == 0 ? lofti_gate_init(&arena->gate) : lofti_status_system(error, "open", path);
    if (code != LOFT_OK) {
        lofti_arena_destroy(arena);
        return code;
    }
    *out = arena;
    return LOFT_OK;
}

void lofti_arena_destroy(loft_arena *arena)
{
    arena->magic = 0;
    if (arena->heap != NULL) {
        lofti_heap_detach(arena->heap);
    }
    lofti_space_release(arena);
    lofti_track_stop(arena);
    if (arena->store.state != LOFTI_STORE_CLOSED) {
        lofti_store_close(&arena->store); /* the locks go with the descriptor */
    }
    if (arena->gate.id != 0) {
        lofti_gate_destroy(&arena->gate);
    }
    (void)pthread_mutex_destroy(&arena->commit_mutex);
    (void)pthread_cond_destroy(&arena->snapshot_turn);
    (void)pthread_mutex_destroy(&arena->grow_mutex);
    (void)pthread_mutex_destroy(&arena->pins_mutex);
    lofti_pin_release(arena);
    (void)pthread_rwlock_destroy(&arena->roots_lock);
    (void)lofti_map_release(arena, arena->self_bytes);
}

void lofti_arena_uuid(uint8_t uuid[16])
{
    uuid[6] = (uint8_t)((uuid[6] & 0x0f) | 0x40); /* version 4: random */
    uuid[8] = (uint8_t)((uuid[8] & 0x3f) | 0x80);
}

uint64_t lofti_arena_base_choose(const uint8_t uuid[16], uint64_t reserve_bytes, uint64_t i)
{
    const lofti_window window = lofti_window_default();
    const uint64_t unit_bytes =
        i < CREATE_BASE_TRIES_COARSE ? CREATE_BASE_UNIT : CREATE_BASE_UNIT_FINE;
    const uint64_t room_bytes = window.high - window.low;
    const uint64_t span_bytes = lofti_arith_min(reserve_bytes, room_bytes);
    const uint64_t places = (room_bytes - span_bytes) / unit_bytes + 1;
    return window.low + lofti_hash(uuid, 16, i) % places * unit_bytes;
}

/* Holds address space at options->base, or at a place that the UUID chooses. */
static int create_reserve(loft_arena *arena, const loft_arena_options *options)
{
    if (options->base != 0) {
        return lofti_space_reserve(arena, options->base, LOFTI_HEAP_OFF);
    }
    int code = LOFT_OK;
    for (uint64_t i = 0; i < CREATE_BASE_TRIES; i++) {
        const uint64_t base = lofti_arena_base_choose(arena->uuid, arena->reserve_bytes, i);
        code = lofti_space_reserve(arena, base, LOFTI_HEAP_OFF);
        if (code != LOFT_EADDRESS) {
            break;
        }
    }
    return code;
}

/* The first chunk of the heap, laid out and attached. */
static int create_heap(loft_arena *arena)
{
    const lofti_heap_host host = lofti_space_host(arena);
    uint32_t first_idx = 0;
    int code = host.grow(host.context, 1, &first_idx);
    if (code != LOFT_OK) {
        return code;
    }
    LOFTI_CHECK(first_idx == 0);
    uint8_t *base = arena->base + LOFTI_HEAP_OFF;
    const uint64_t limit_bytes =
        (uint64_t)LOFTI_CHUNK_COUNT_MAX * LOFTI_CHUNK_BYTES - LOFTI_HEAP_OFF;
    code = lofti_heap_layout(base, LOFTI_CHUNK_BYTES, limit_bytes);
    if (code != LOFT_OK) {
        return code;
    }
    return lofti_heap_attach(base, LOFTI_CHUNK_BYTES, false, &host, &arena->heap);
}

/* Everything but the name. */
static int create_build(loft_arena *arena, const loft_arena_options *options, lofti_file *file)
{
    lofti_store_identity identity = {.created_ns = lofti_sys_wall_ns()};
    memcpy(identity.uuid, arena->uuid, sizeof identity.uuid);
    int code = create_reserve(arena, options);
    if (code != LOFT_OK) {
        return code;
    }
    arena->stored_base = (uint64_t)(uintptr_t)arena->base;
    identity.base = arena->stored_base;
    const int error = lofti_sys_random(&identity.salt, sizeof identity.salt);
    if (error != 0) {
        return lofti_status_system(error, "create", arena->path);
    }
    code = lofti_store_format(file, arena->path, &identity);
    if (code == LOFT_OK) {
        code = lofti_store_open(&arena->store, file, arena->path, true);
    }
    if (code != LOFT_OK) {
        return code;
    }
    arena->has_store = true;
    arena->writable = true;
    code = lofti_track_start(arena);
    if (code == LOFT_OK) {
        code = create_heap(arena);
    }
    return code == LOFT_OK ? lofti_commit_locked(arena, true) : code;
}

/* An open new file that has no name, or a temporary one, which is then in `temporary`. */
static int create_file(const char *path, lofti_file *file, char *temporary, size_t temporary_bytes)
{
    temporary[0] = '\0';
    const unsigned flags = LOFTI_OPEN_WRITE | LOFTI_OPEN_NOFOLLOW;
    int error = lofti_file_open(path, flags | LOFTI_OPEN_UNNAMED, CREATE_MODE, file);
    for (int i = 0; i < CREATE_TEMPORARY_TRIES; i++) {
        if (error == 0 || (lofti_status_code(error) != LOFT_ENOTSUP && i == 0)) {
            break;
        }
        uint64_t random = 0;
        error = lofti_sys_random(&random, sizeof random);
        if (error != 0) {
            break;
        }
        (void)snprintf(temporary, temporary_bytes, "%s.loft-%016llx", path,
                       (unsigned long long)random);
        error = lofti_file_open(temporary, flags | LOFTI_OPEN_CREATE | LOFTI_OPEN_EXCLUSIVE,
                                CREATE_MODE, file);
        if (error == 0 || lofti_status_code(error) != LOFT_EEXIST) {
            break;
        }
    }
    return error == 0 ? LOFT_OK : lofti_status_system(error, "create", path);
}

/* Gives the arena its name and makes that durable. */
static int create_link(const loft_arena *arena, const char *temporary)
{
    const lofti_file *file = &arena->store.file;
    int error = lofti_file_link(file, temporary[0] != '\0' ? temporary : NULL, arena->path);
    if (error == 0) {
        /* Before: the content was flushed by the commit. After: the name leads to it. */
        error = lofti_file_sync_folder(file->ops, arena->path);
        if (error != 0) {
            (void)lofti_file_unlink(file->ops, arena->path);
        }
    }
    if (temporary[0] != '\0') {
        (void)lofti_file_unlink(file->ops, temporary);
    }
    return error == 0 ? LOFT_OK : lofti_status_system(error, "create", arena->path);
}

static int create_in(loft_arena *arena, const loft_arena_options *options, unsigned flags,
                     lofti_file *file, const char *temporary)
{
    int code = lofti_arena_local(file, arena->path, flags);
    if (code == LOFT_OK) {
        const int error = lofti_file_lock(file, LOFTI_LOCK_EXCLUSIVE, LOFTI_STORE_LOCK_WRITER);
        code = error == 0 ? create_build(arena, options, file)
                          : lofti_status_system(error, "lock", arena->path);
    }
    if (code == LOFT_OK) {
        return create_link(arena, temporary);
    }
    if (temporary[0] != '\0') {
        const lofti_file_ops *ops = lofti_file_is_open(file) ? file->ops : lofti_file_ops_current();
        (void)lofti_file_unlink(ops, temporary);
    }
    return code;
}

int lofti_arena_create(const char *path, const loft_arena_options *options, unsigned flags,
                       loft_arena **out)
{
    char temporary[4096 + CREATE_SUFFIX_BYTES] = "";
    loft_arena *arena = NULL;
    int code = lofti_arena_new(path, options, &arena);
    if (code != LOFT_OK) {
        return code;
    }
    LOFTI_ASSERT(arena != NULL);
    int error = lofti_sys_random(arena->uuid, sizeof arena->uuid);
    lofti_arena_uuid(arena->uuid);
    lofti_file file = {0};
    code = error == 0 ? create_file(path, &file, temporary, sizeof temporary)
                      : lofti_status_system(error, "create", path);
    if (code == LOFT_OK) {
        code = create_in(arena, options, flags, &file, temporary);
    }
    if (code != LOFT_OK) {
        (void)lofti_file_close(&file);
        lofti_arena_destroy(arena);
        return code;
    }
    *out = arena;
    return LOFT_OK;
}

int lofti_arena_create_anonymous(const loft_arena_options *options, loft_arena **out)
{
    loft_arena *arena = NULL;
    int code = lofti_arena_new("", options, &arena);
    if (code != LOFT_OK) {
        return code;
    }
    LOFTI_ASSERT(arena != NULL);
    const int error = lofti_sys_random(arena->uuid, sizeof arena->uuid);
    lofti_arena_uuid(arena->uuid);
    arena->writable = true;
    arena->space_end = LOFTI_HEAP_OFF;
    code = error == 0 ? create_reserve(arena, options) : lofti_status_system(error, "open", NULL);
    if (code == LOFT_OK) {
        arena->stored_base = (uint64_t)(uintptr_t)arena->base;
        code = create_heap(arena);
    }
    if (code != LOFT_OK) {
        lofti_arena_destroy(arena);
        return code;
    }
    *out = arena;
    return LOFT_OK;
}
