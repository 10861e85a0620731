/*
 * arena/over.c - an arena over memory of the caller's: a buffer, a block, a raw region.
 *
 * The heap's image begins at the memory's first byte. The arena's base is put LOFTI_HEAP_OFF before it, so
 * that offsets (loft_offset, the root table's) are those of an arena file: they hold in a file made of the
 * same heap, and everything above the heap is the same code. What lies between base and the memory is not
 * the arena's and never looked at.
 *
 *   base            memory                                    memory + bytes
 *   : not there     | heap image, to its limit         | rest |
 *   : LOFTI_HEAP_OFF|<--------- offsets go on from here
 *
 * The heap cannot grow: its limit is what the memory held when it was laid out. There is no store, so
 * no commit. No memory is mapped, protected or released but the tables beside the heap.
 *
 * Invariants
 *   O1  no two open arenas have the same memory, if one of them may change it, unless one lies in a block of
 *       the other (lofti_registry_claim)
 *   O2  no byte is read beyond what the caller gave: the image's limit is judged first
 */
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/hash.h"
#include "base/status.h"
#include "format/heap_layout.h"
#include "os/map.h"

/* Blocks are so aligned, and the image's own words need half of it. */
#define OVER_ALIGNMENT 16u

/* More than an arena can be: what lies behind is not used. */
#define OVER_BYTES_MAX (((uint64_t)LOFTI_CHUNK_COUNT_MAX << LOFTI_CHUNK_SHIFT) - LOFTI_HEAP_OFF)

static const unsigned over_flags_known = LOFT_CREATE | LOFT_EXCLUSIVE | LOFT_WRITE;

static int over_check(const void *memory, size_t bytes, unsigned flags)
{
    if ((flags & ~over_flags_known) != 0) {
        return lofti_status_fail(LOFT_EINVAL, "attach", NULL, "unknown flags 0x%x",
                                 flags & ~over_flags_known);
    }
    if ((flags & LOFT_EXCLUSIVE) != 0 && (flags & LOFT_CREATE) == 0) {
        return lofti_status_fail(LOFT_EINVAL, "attach", NULL,
                                 "LOFT_EXCLUSIVE is for LOFT_CREATE only");
    }
    if (memory == NULL || (uintptr_t)memory % OVER_ALIGNMENT != 0) {
        return lofti_status_fail(LOFT_EINVAL, "attach", NULL, "%p is not a multiple of 16", memory);
    }
    if (bytes < LOFTI_HEAP_BYTES_MIN || bytes > UINTPTR_MAX - (uintptr_t)memory) {
        return lofti_status_fail(LOFT_EINVAL, "attach", NULL,
                                 "%zu bytes at %p are no memory of at least 64 KiB", bytes, memory);
    }
    return LOFT_OK;
}

/* What is wrong with the heap at `memory`, before anything rests on it. */
static int over_judge(const void *memory, uint64_t bytes)
{
    const lofti_heap_image *image = memory;
    uint64_t off = 0;
    if (image->magic == __builtin_bswap64(LOFTI_HEAP_MAGIC)) {
        return lofti_status_fail(LOFT_EVERSION, "attach", NULL,
                                 "the heap at %p is of the other byte order", memory);
    }
    if (image->magic == LOFTI_HEAP_MAGIC && image->version != LOFTI_HEAP_VERSION &&
        image->seal == lofti_hash(image, LOFTI_HEAP_SEALED_BYTES, 0)) {
        return lofti_status_fail(LOFT_EVERSION, "attach", NULL,
                                 "the heap at %p is of version %u, not %u", memory, image->version,
                                 LOFTI_HEAP_VERSION);
    }
    const char *fault = lofti_heap_layout_verify(image, &off);
    if (fault == NULL && image->limit_bytes > bytes) {
        fault = "the heap is longer than the memory";
        off = offsetof(lofti_heap_image, limit_bytes);
    }
    return fault == NULL ? LOFT_OK
                         : lofti_status_fail(LOFT_ECORRUPT, "attach", NULL,
                                             "%s, at offset %llu of the memory at %p", fault,
                                             (unsigned long long)off, memory);
}

/* The memory is claimed. */
static int over_fill(loft_arena *arena, void *memory, uint64_t bytes, unsigned flags)
{
    int code = LOFT_OK;
    if ((flags & LOFT_EXCLUSIVE) != 0 && over_judge(memory, bytes) == LOFT_OK) {
        return lofti_status_fail(LOFT_EEXIST, "attach", NULL, "there is a heap at %p", memory);
    }
    if ((flags & LOFT_CREATE) != 0) {
        code = lofti_heap_layout_used(memory, bytes);
    }
    if (code == LOFT_OK) {
        code = over_judge(memory, bytes);
    }
    if (code != LOFT_OK) {
        return code;
    }
    lofti_heap_host host = lofti_space_host(arena);
    host.grow = NULL;
    host.unused = NULL; /* the memory is the caller's, and may be anything */
    return lofti_heap_attach(memory, bytes, !arena->writable, &host, &arena->heap);
}

static int over_open(void *memory, uint64_t bytes, unsigned flags,
                     const loft_arena_options *options, loft_arena **out)
{
    loft_arena *arena = NULL;
    int code = lofti_arena_new("", options, &arena);
    if (code != LOFT_OK) {
        return code;
    }
    const uint64_t start = (uint64_t)(uintptr_t)memory;
    arena->over = true;
    arena->writable = (flags & (LOFT_WRITE | LOFT_CREATE)) != 0;
    arena->base = (uint8_t *)(uintptr_t)(start - LOFTI_HEAP_OFF);
    arena->reserve_bytes = LOFTI_HEAP_OFF + bytes;
    arena->space_end = arena->reserve_bytes;
    arena->stored_base = (options->base != 0 ? options->base : start) - LOFTI_HEAP_OFF;
    code = lofti_registry_claim(arena);
    if (code == LOFT_OK) {
        code = over_fill(arena, memory, bytes, flags);
        if (code == LOFT_OK) {
            *out = arena;
            lofti_registry_publish(arena);
            return LOFT_OK;
        }
        lofti_registry_remove(arena);
    }
    lofti_arena_destroy(arena);
    return code;
}

int loft_arena_over(void *memory, size_t bytes, unsigned flags, const loft_arena_options *options,
                    loft_arena **out)
{
    loft_arena_options own;
    if (out == NULL) {
        return lofti_status_fail(LOFT_EINVAL, "attach", NULL, "no place for the handle");
    }
    *out = NULL;
    int code = over_check(memory, bytes, flags);
    if (code == LOFT_OK) {
        code = lofti_arena_options(NULL, options, &own);
    }
    if (code == LOFT_OK) {
        code = lofti_registry_start();
    }
    return code == LOFT_OK
               ? over_open(memory, lofti_arith_min(bytes, OVER_BYTES_MAX), flags, &own, out)
               : code;
}

bool lofti_over_present(const loft_arena *arena)
{
    const uint64_t page_bytes = lofti_map_page_bytes();
    const uint64_t start = (uint64_t)(uintptr_t)arena->base + LOFTI_HEAP_OFF;
    const uint64_t from = lofti_arith_down(start, page_bytes);
    const uint64_t end = (uint64_t)(uintptr_t)arena->base + arena->reserve_bytes;
    /* Asks for nothing to be written now; the system refuses if a page is not mapped. */
    return lofti_map_sync((void *)(uintptr_t)from, lofti_arith_round_up(end - from, page_bytes),
                          false) == 0;
}
