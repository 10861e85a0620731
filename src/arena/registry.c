/*
 * arena/registry.c - the open arenas of this process, and what fork does to them.
 *
 * A file arena stays with the parent: its memory is not copied to a child (space.c), or given back by the child
 * first of all where the system copies everything. The child
 * closes its copies of the descriptors at once, so that the writer's lock dies with the parent. An
 * anonymous arena forks like malloc's memory; its locks are held across the fork. One over a caller's memory
 * does the same where the child has that memory, and is lost to the child where it has not. Where the
 * process has one thread, no lock is taken and nothing is looked at anew: each page written here is copied, by the
 * parent, the child or both, and a shell forks thousands of times.
 *
 * An arena in the list whose magic is not set yet has claimed its memory and nothing else: only
 * lofti_registry_claim looks at it.
 */
#include <stdio.h>

#include "arena/arena.h"
#include "base/misuse.h"
#include "base/status.h"
#include "os/map.h"
#include "os/sys.h"

static pthread_mutex_t registry_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;
static int registry_hooked;
static loft_arena *registry_first;

typedef void registry_fn(loft_arena *arena);

static void each_anonymous(registry_fn *fn)
{
    for (loft_arena *arena = registry_first; arena != NULL; arena = arena->next) {
        if (!arena->has_store && arena->magic != 0) {
            fn(arena);
        }
    }
}

/* For reading: nobody is in the middle of a change then, and a thread that reads may fork. */
static void lock_roots(loft_arena *arena) { (void)pthread_rwlock_rdlock(&arena->roots_lock); }
static void unlock_roots(loft_arena *arena) { (void)pthread_rwlock_unlock(&arena->roots_lock); }
static void lock_grow(loft_arena *arena) { (void)pthread_mutex_lock(&arena->grow_mutex); }
static void unlock_grow(loft_arena *arena) { (void)pthread_mutex_unlock(&arena->grow_mutex); }

/* As fork_prepare found it. Stored only when it changes: see above. */
static bool fork_lone;

static void fork_prepare(void)
{
    const bool lone = lofti_sys_is_lone();
    if (fork_lone != lone) {
        fork_lone = lone;
    }
    if (lone) {
        return;
    }
    (void)pthread_mutex_lock(&registry_mutex);
    each_anonymous(lock_roots);
    lofti_heap_fork_prepare();
    each_anonymous(lock_grow);
}

static void fork_parent(void)
{
    if (fork_lone) {
        return;
    }
    each_anonymous(unlock_grow);
    lofti_heap_fork_parent();
    each_anonymous(unlock_roots);
    (void)pthread_mutex_unlock(&registry_mutex);
}

/* Other threads of the parent may have been reading: in the child they would do so for ever. */
static void renew_roots(loft_arena *arena)
{
    unlock_roots(arena);
    (void)pthread_rwlock_init(&arena->roots_lock, NULL);
}

/* The parent's other threads do not exist here: what they cached in a heap is found again in its image. */
static void forget_threads(loft_arena *arena)
{
    if (fork_lone && !arena->over) {
        return;
    }
    if (!arena->forked && (!arena->over || lofti_over_present(arena)) &&
        (arena->over ? lofti_heap_reload : lofti_heap_fork_reload)(arena->heap) == LOFT_OK) {
        return;
    }
    /* Memory of a caller's that the child does not have, or a header that was overwritten. */
    arena->forked = true;
    lofti_heap_fork_lost(arena->heap);
}

/* A snapshot that another thread of the parent was making: here it is not made. */
static void forget_snapshot(loft_arena *arena)
{
    lofti_gate_forked(&arena->gate);
    (void)pthread_mutex_init(&arena->commit_mutex, NULL);
}

/* Where the system knows no memory that a child does not get. Before anybody looks whether it is there, or could be
 * given the place. */
static void give_back_inherited(void)
{
    for (loft_arena *arena = registry_first; arena != NULL; arena = arena->next) {
        if (arena->is_inherited && !arena->forked && arena->magic != 0) {
            (void)lofti_map_release(arena->base, arena->reserve_bytes);
        }
    }
}

static void fork_child(void)
{
    give_back_inherited();
    if (!fork_lone) {
        each_anonymous(unlock_grow);
        lofti_heap_fork_child();
    }
    each_anonymous(forget_threads);
    if (!fork_lone) {
        each_anonymous(renew_roots);
        each_anonymous(forget_snapshot);
    }
    for (loft_arena *arena = registry_first; arena != NULL; arena = arena->next) {
        if (arena->has_store && !arena->forked && arena->magic != 0) {
            arena->forked = true;
            /* A commit of the parent's may have closed it: enter has no code to answer, it must not wait. */
            lofti_gate_forked(&arena->gate);
            lofti_heap_fork_lost(arena->heap);
            (void)lofti_file_close(&arena->store.file);
        }
    }
    if (!fork_lone) {
        (void)pthread_mutex_unlock(&registry_mutex);
    }
}

static void registry_hook(void)
{
    registry_hooked = lofti_sys_at_fork(fork_prepare, fork_parent, fork_child);
}

int lofti_registry_start(void)
{
    (void)pthread_once(&registry_once, registry_hook);
    return registry_hooked == 0 ? LOFT_OK : lofti_status_system(registry_hooked, "open", NULL);
}

void lofti_registry_add(loft_arena *arena)
{
    (void)pthread_mutex_lock(&registry_mutex);
    arena->next = registry_first;
    registry_first = arena;
    (void)pthread_mutex_unlock(&registry_mutex);
}

void lofti_registry_remove(loft_arena *arena)
{
    (void)pthread_mutex_lock(&registry_mutex);
    for (loft_arena **link = &registry_first; *link != NULL; link = &(*link)->next) {
        if (*link == arena) {
            *link = arena->next;
            break;
        }
    }
    (void)pthread_mutex_unlock(&registry_mutex);
}

/* Whether two arenas over memory cannot both be open: they share bytes, of which one may change, and
 * the new one does not lie inside a block of the other. */
static bool claims_meet(const loft_arena *arena, const loft_arena *other)
{
    const uintptr_t start = (uintptr_t)arena->base + LOFTI_HEAP_OFF;
    const uintptr_t end = (uintptr_t)arena->base + arena->reserve_bytes;
    const uintptr_t other_start = (uintptr_t)other->base + LOFTI_HEAP_OFF;
    const uintptr_t other_end = (uintptr_t)other->base + other->reserve_bytes;
    const bool inside = start > other_start && end <= other_end;
    return start < other_end && other_start < end && !inside &&
           (arena->writable || other->writable);
}

int lofti_registry_claim(loft_arena *arena)
{
    (void)pthread_mutex_lock(&registry_mutex);
    const loft_arena *other = registry_first;
    while (other != NULL && (!other->over || other->forked || !claims_meet(arena, other))) {
        other = other->next;
    }
    if (other == NULL) {
        arena->next = registry_first;
        registry_first = arena;
    }
    (void)pthread_mutex_unlock(&registry_mutex);
    return other == NULL ? LOFT_OK
                         : lofti_status_fail(LOFT_EBUSY, "attach", NULL,
                                             "another arena is open over the same memory");
}

void lofti_registry_publish(loft_arena *arena)
{
    (void)pthread_mutex_lock(&registry_mutex);
    arena->magic = LOFTI_ARENA_MAGIC;
    (void)pthread_mutex_unlock(&registry_mutex);
}

static bool arena_holds(const loft_arena *arena, const void *address)
{
    const uint64_t off = (uint64_t)((uintptr_t)address - (uintptr_t)arena->base);
    /* Before a caller's memory is whatever is there, not the superblock. */
    return off < arena->reserve_bytes && (!arena->over || off >= LOFTI_HEAP_OFF);
}

loft_arena *loft_arena_of(const void *address)
{
    loft_arena *found = NULL;
    (void)pthread_mutex_lock(&registry_mutex);
    for (loft_arena *arena = registry_first; arena != NULL; arena = arena->next) {
        /* The innermost: an arena may lie over a block of another. */
        if (arena->magic != 0 && !arena->forked && arena_holds(arena, address) &&
            (found == NULL || arena->reserve_bytes < found->reserve_bytes)) {
            found = arena;
        }
    }
    (void)pthread_mutex_unlock(&registry_mutex);
    return found;
}

int lofti_registry_classify(const loft_arena *arena, const void *address, char *text,
                            size_t text_bytes)
{
    int kind = LOFT_MISUSE_FOREIGN;
    text[0] = '\0';
    (void)pthread_mutex_lock(&registry_mutex);
    for (loft_arena *other = registry_first; other != NULL; other = other->next) {
        if (other != arena && !other->forked && arena_holds(other, address)) {
            kind = LOFT_MISUSE_WRONG_ARENA;
            (void)snprintf(text, text_bytes, "it belongs to the arena '%s'",
                           other->has_store ? other->path : "(anonymous)");
            break;
        }
    }
    (void)pthread_mutex_unlock(&registry_mutex);
    return kind;
}

int lofti_arena_usable(const loft_arena *arena, const char *operation, bool writing)
{
    if (arena == NULL || arena->magic != LOFTI_ARENA_MAGIC) {
        lofti_misuse_report(LOFT_MISUSE_HANDLE, arena, "%s: %p is not an open arena", operation,
                            (const void *)arena);
        return LOFT_EINVAL;
    }
    if (arena->forked) {
        return lofti_status_fail(LOFT_EFORKED, operation, arena->path,
                                 "the arena belongs to the parent process");
    }
    if (writing && !arena->writable) {
        return lofti_status_fail(LOFT_EREADONLY, operation, arena->path, "opened read-only");
    }
    return LOFT_OK;
}
