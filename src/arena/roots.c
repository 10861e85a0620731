/*
 * arena/roots.c - named roots: a hash table in an internal block of the heap (format/roots.h).
 *
 * A table that is nearly full is replaced: the new one is filled, then the anchor is switched, then the
 * old one is freed. The anchor is the single store that makes the change, so that an image
 * taken between any two stores has one whole table.
 */
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/status.h"
#include "format/roots.h"

static uint8_t *heap_base(const loft_arena *arena) { return arena->base + LOFTI_HEAP_OFF; }

static uint64_t table_bytes(uint32_t capacity)
{
    return sizeof(lofti_root_table) + (uint64_t)capacity * sizeof(lofti_root_entry);
}

/* The table, judged as far as its header goes: an image from a file is not to be believed. NULL with
 * *code LOFT_OK: there is none yet. */
static lofti_root_table *table_get(const loft_arena *arena, int *code)
{
    *code = LOFT_OK;
    const uint64_t off = lofti_heap_anchor(arena->heap);
    if (off == 0) {
        return NULL;
    }
    const uint64_t end_off = lofti_heap_end_off(arena->heap);
    if (off % 16 == 0 && lofti_arith_inside(off, sizeof(lofti_root_table), end_off) &&
        lofti_space_accessible(arena, LOFTI_HEAP_OFF + off, sizeof(lofti_root_table))) {
        lofti_root_table *table = (lofti_root_table *)(void *)(heap_base(arena) + off);
        const uint32_t capacity = table->capacity;
        if (table->magic == LOFTI_ROOTS_MAGIC && capacity >= LOFTI_ROOTS_CAPACITY_MIN &&
            capacity <= LOFTI_ROOTS_CAPACITY_MAX && table->used <= capacity &&
            lofti_arith_inside(off, table_bytes(capacity), end_off) &&
            lofti_space_accessible(arena, LOFTI_HEAP_OFF + off, table_bytes(capacity))) {
            return table;
        }
    }
    *code = lofti_status_fail(LOFT_ECORRUPT, "root", arena->path,
                              "the root table at offset %llu is damaged",
                              (unsigned long long)(LOFTI_HEAP_OFF + off));
    return NULL;
}

/* The entry of `name`, else the empty place where it belongs, else NULL (a full, damaged table). */
static lofti_root_entry *table_find(lofti_root_table *table, const char *name, uint32_t name_bytes,
                                    uint64_t hash)
{
    for (uint32_t i = 0; i < table->capacity; i++) {
        lofti_root_entry *entry = &table->entries[(hash + i) % table->capacity];
        if (entry->state == LOFTI_ROOT_EMPTY) {
            return entry;
        }
        if (entry->state == LOFTI_ROOT_LIVE && entry->hash == hash &&
            entry->name_bytes == name_bytes && memcmp(entry->name, name, name_bytes) == 0) {
            return entry;
        }
    }
    return NULL;
}

static lofti_root_table *table_new(loft_arena *arena, uint32_t capacity)
{
    lofti_root_table *table = lofti_heap_internal_alloc(arena->heap, table_bytes(capacity));
    if (table != NULL) {
        memset(table, 0, table_bytes(capacity));
        table->magic = LOFTI_ROOTS_MAGIC;
        table->capacity = capacity;
    }
    return table;
}

static void entry_fill(lofti_root_table *table, lofti_root_entry *entry, const char *name,
                       uint32_t name_bytes, uint64_t hash, uint64_t offset)
{
    entry->hash = hash;
    entry->offset = offset;
    entry->name_bytes = name_bytes;
    memcpy(entry->name, name, name_bytes);
    entry->name[name_bytes] = '\0';
    entry->state = LOFTI_ROOT_LIVE;
    table->used++;
    table->live++;
}

/* A table with room for one more: the present one, or a larger that takes its place. */
static lofti_root_table *table_with_room(loft_arena *arena, lofti_root_table *table)
{
    if (table != NULL && table->used < table->capacity / 4 * 3) {
        return table;
    }
    uint32_t capacity = LOFTI_ROOTS_CAPACITY_MIN;
    while (table != NULL && capacity / 4 * 3 <= table->live) {
        capacity *= 2;
    }
    lofti_root_table *larger = table_new(arena, capacity);
    if (larger == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; table != NULL && i < table->capacity; i++) {
        const lofti_root_entry *old = &table->entries[i];
        if (old->state == LOFTI_ROOT_LIVE && old->name_bytes <= LOFTI_ROOTS_NAME_MAX) {
            lofti_root_entry *entry = table_find(larger, old->name, old->name_bytes, old->hash);
            if (entry != NULL && entry->state == LOFTI_ROOT_EMPTY) {
                entry_fill(larger, entry, old->name, old->name_bytes, old->hash, old->offset);
            }
        }
    }
    lofti_heap_set_anchor(arena->heap, (uint64_t)((uint8_t *)larger - heap_base(arena)));
    if (table != NULL) {
        lofti_heap_internal_free(arena->heap, table);
    }
    return larger;
}

static int root_remove(const loft_arena *arena, lofti_root_table *table, const char *name,
                       uint32_t name_bytes, uint64_t hash)
{
    lofti_root_entry *entry = table != NULL ? table_find(table, name, name_bytes, hash) : NULL;
    if (entry == NULL || entry->state != LOFTI_ROOT_LIVE) {
        return lofti_status_fail(LOFT_ENOENT, "set root", arena->path, "there is no root '%s'",
                                 name);
    }
    entry->state = LOFTI_ROOT_REMOVED;
    table->live--;
    return LOFT_OK;
}

static int root_put(loft_arena *arena, lofti_root_table *table, const char *name,
                    uint32_t name_bytes, uint64_t offset)
{
    const uint64_t hash = lofti_hash(name, name_bytes, LOFTI_ROOTS_SEED);
    lofti_root_entry *entry = table != NULL ? table_find(table, name, name_bytes, hash) : NULL;
    if (entry != NULL && entry->state == LOFTI_ROOT_LIVE) {
        entry->offset = offset;
        return LOFT_OK;
    }
    table = table_with_room(arena, table);
    if (table == NULL) {
        return loft_last_code();
    }
    entry = table_find(table, name, name_bytes, hash);
    if (entry == NULL) {
        return lofti_status_fail(LOFT_ECORRUPT, "set root", arena->path,
                                 "the root table is damaged: full, but not counted so");
    }
    entry_fill(table, entry, name, name_bytes, hash, offset);
    return LOFT_OK;
}

static int root_name_check(const loft_arena *arena, const char *name, uint32_t *name_bytes)
{
    const size_t bytes = name != NULL ? strnlen(name, LOFTI_ROOTS_NAME_MAX + 1) : 0;
    if (bytes == 0 || bytes > LOFTI_ROOTS_NAME_MAX) {
        return lofti_status_fail(LOFT_EINVAL, "root", arena->path, "a name has 1 to %u bytes",
                                 LOFTI_ROOTS_NAME_MAX);
    }
    *name_bytes = (uint32_t)bytes;
    return LOFT_OK;
}

static int set_root_locked(loft_arena *arena, const char *name, uint32_t name_bytes,
                           const void *block)
{
    int code = LOFT_OK;
    lofti_root_table *table = table_get(arena, &code);
    if (code != LOFT_OK) {
        return code;
    }
    if (block == NULL) {
        const uint64_t hash = lofti_hash(name, name_bytes, LOFTI_ROOTS_SEED);
        return root_remove(arena, table, name, name_bytes, hash);
    }
    return root_put(arena, table, name, name_bytes,
                    (uint64_t)((const uint8_t *)block - arena->base));
}

int loft_arena_set_root(loft_arena *arena, const char *name, void *block)
{
    uint32_t name_bytes = 0;
    int code = lofti_arena_usable(arena, "set root", true);
    if (code == LOFT_OK) {
        code = root_name_check(arena, name, &name_bytes);
    }
    if (code != LOFT_OK) {
        return code;
    }
    if (block != NULL && loft_offset(arena, block) == 0) {
        return LOFT_ERANGE; /* loft_offset said so */
    }
    (void)pthread_rwlock_wrlock(&arena->roots_lock);
    code = set_root_locked(arena, name, name_bytes, block);
    (void)pthread_rwlock_unlock(&arena->roots_lock);
    return code;
}

static pthread_rwlock_t *roots_lock_of(const loft_arena *arena)
{
    /* Locking a handle that the caller promises not to change: the lock is not part of that promise. */
    return (pthread_rwlock_t *)(uintptr_t)&arena->roots_lock;
}

static int root_lookup(const loft_arena *arena, const char *name, uint32_t name_bytes,
                       uint64_t *offset)
{
    int code = LOFT_OK;
    lofti_root_table *table = table_get(arena, &code);
    if (code != LOFT_OK) {
        return code;
    }
    const uint64_t hash = lofti_hash(name, name_bytes, LOFTI_ROOTS_SEED);
    const lofti_root_entry *entry =
        table != NULL ? table_find(table, name, name_bytes, hash) : NULL;
    if (entry == NULL || entry->state != LOFTI_ROOT_LIVE) {
        return lofti_status_fail(LOFT_ENOENT, "root", arena->path, "there is no root '%s'", name);
    }
    *offset = entry->offset;
    return LOFT_OK;
}

void *loft_arena_root(const loft_arena *arena, const char *name)
{
    uint32_t name_bytes = 0;
    uint64_t offset = 0;
    int code = lofti_arena_usable(arena, "root", false);
    if (code == LOFT_OK) {
        code = root_name_check(arena, name, &name_bytes);
    }
    if (code == LOFT_OK) {
        (void)pthread_rwlock_rdlock(roots_lock_of(arena));
        code = root_lookup(arena, name, name_bytes, &offset);
        (void)pthread_rwlock_unlock(roots_lock_of(arena));
    }
    return code == LOFT_OK ? loft_at(arena, offset) : lofti_status_null(code);
}

/* What is wrong with an entry; NULL if nothing. */
static const char *entry_fault(const loft_arena *arena, const lofti_root_entry *entry)
{
    if (entry->state == LOFTI_ROOT_EMPTY || entry->state == LOFTI_ROOT_REMOVED) {
        return NULL;
    }
    if (entry->state != LOFTI_ROOT_LIVE) {
        return "root in an impossible state";
    }
    if (entry->name_bytes == 0 || entry->name_bytes > LOFTI_ROOTS_NAME_MAX ||
        entry->name[entry->name_bytes] != '\0' ||
        entry->hash != lofti_hash(entry->name, entry->name_bytes, LOFTI_ROOTS_SEED)) {
        return "root with a damaged name";
    }
    if (entry->offset < LOFTI_HEAP_OFF || entry->offset >= arena->reserve_bytes) {
        return "root that points outside the arena";
    }
    return NULL;
}

static int each_root_locked(const loft_arena *arena, loft_root_fn *fn, void *context)
{
    int code = LOFT_OK;
    const lofti_root_table *table = table_get(arena, &code);
    if (code != LOFT_OK || table == NULL) {
        return code;
    }
    for (uint32_t i = 0; i < table->capacity && code == LOFT_OK; i++) {
        const lofti_root_entry *entry = &table->entries[i];
        const char *fault = entry_fault(arena, entry);
        if (fault != NULL) {
            code = lofti_status_fail(LOFT_ECORRUPT, "root", arena->path, "%s", fault);
        } else if (entry->state == LOFTI_ROOT_LIVE) {
            LOFTI_ASSERT(fn != NULL); /* the caller refused that */
            code = fn(context, entry->name, loft_at(arena, entry->offset));
        }
    }
    return code;
}

int loft_arena_each_root(loft_arena *arena, loft_root_fn *fn, void *context)
{
    int code = lofti_arena_usable(arena, "roots", false);
    if (code == LOFT_OK && fn == NULL) {
        code = lofti_status_fail(LOFT_EINVAL, "roots", arena->path, "no function");
    }
    if (code != LOFT_OK) {
        return code;
    }
    (void)pthread_rwlock_rdlock(&arena->roots_lock);
    code = each_root_locked(arena, fn, context);
    (void)pthread_rwlock_unlock(&arena->roots_lock);
    return code;
}

static int roots_report(loft_report_fn *fn, void *context, uint64_t off, const char *text,
                        uint64_t *faults)
{
    const loft_fault fault = {sizeof fault, LOFT_ECORRUPT, off, text};
    ++*faults;
    return fn != NULL ? fn(context, &fault) : LOFT_OK;
}

/* Not loft_offset: the handle may be one that is looked at before it is anybody's. */
static uint64_t roots_off(const loft_arena *arena, const void *part)
{
    return (uint64_t)((uintptr_t)part - (uintptr_t)arena->base);
}

int lofti_roots_check(loft_arena *arena, loft_report_fn *fn, void *context, uint64_t *faults)
{
    int code = LOFT_OK;
    const uint64_t before = *faults;
    const lofti_root_table *table = table_get(arena, &code);
    if (code != LOFT_OK) {
        code = roots_report(fn, context, LOFTI_HEAP_OFF + lofti_heap_anchor(arena->heap),
                            "the root table is damaged", faults);
        return code != LOFT_OK ? code : LOFT_ECORRUPT;
    }
    uint32_t used = 0;
    uint32_t live = 0;
    for (uint32_t i = 0; table != NULL && i < table->capacity && code == LOFT_OK; i++) {
        const lofti_root_entry *entry = &table->entries[i];
        const char *fault = entry_fault(arena, entry);
        used += entry->state != LOFTI_ROOT_EMPTY;
        live += entry->state == LOFTI_ROOT_LIVE;
        if (fault != NULL) {
            code = roots_report(fn, context, roots_off(arena, entry), fault, faults);
        }
    }
    if (code == LOFT_OK && table != NULL && (used != table->used || live != table->live)) {
        code = roots_report(fn, context, roots_off(arena, table),
                            "the root table's counts are wrong", faults);
    }
    if (code == LOFT_OK && *faults != before) {
        code = lofti_status_fail(LOFT_ECORRUPT, "check", arena->path, "%llu faults",
                                 (unsigned long long)*faults);
    }
    return code;
}
