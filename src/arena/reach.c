/*
 * arena/reach.c - leaks, and addresses that lead out of the arena: a scan of live blocks (heap/reach.h), judged.
 */
#include "heap/reach.h"

#include <stdio.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/check.h"
#include "base/status.h"
#include "os/map.h"

/* --- Leaks ---------------------------------------------------------------------------------------------- */

typedef struct reach_roots {
    const loft_arena *arena;
    lofti_reach *reach;
} reach_roots;

static int roots_one(void *context, const char *name, void *block)
{
    const reach_roots *own = context;
    const uint8_t *heap_base = own->arena->base + LOFTI_HEAP_OFF;
    (void)name;
    lofti_reach_root(own->reach, (uint64_t)((uintptr_t)block - (uintptr_t)heap_base));
    return 0;
}

int loft_arena_leaks(loft_arena *arena, loft_block_fn *fn, void *context, uint64_t *count)
{
    lofti_reach reach;
    uint64_t lost = 0;
    int code = lofti_arena_usable(arena, "leaks", false);
    if (code == LOFT_OK) {
        code = lofti_reach_open(arena->heap, arena->stored_base + LOFTI_HEAP_OFF, &reach);
    }
    if (code != LOFT_OK) {
        return code;
    }
    reach_roots roots = {arena, &reach};
    code = loft_arena_each_root(arena, roots_one, &roots);
    if (code == LOFT_OK) {
        lofti_reach_run(&reach);
        code = lofti_reach_each_lost(&reach, fn, context, &lost);
    }
    lofti_reach_close(&reach);
    if (count != NULL) {
        *count = lost;
    }
    return code;
}

/* --- Addresses of something else ---------------------------------------------------------------------- */

typedef struct foreign_range {
    uint64_t start, end;
} foreign_range;

typedef struct foreign_state {
    const loft_arena *arena;
    loft_report_fn *fn;
    void *context;
    uint64_t count;
    foreign_range *ranges; /* mappings of this process but the arena's, in rising order */
    uint64_t range_count, range_limit;
} foreign_state;

/* Where Linux puts programs and their break, and libraries, stacks and large allocations, at random: on x86-64, and
 * on aarch64. A file may come from either. */
static bool foreign_zone(uint64_t address)
{
    return (address >= UINT64_C(0x550000000000) && address < UINT64_C(0x570000000000)) ||
           (address >= UINT64_C(0x7e0000000000) && address < LOFTI_MAP_HIGH) ||
           (address >= UINT64_C(0xaaaa00000000) && address < UINT64_C(0xaaac00000000)) ||
           (address >= UINT64_C(0xfffe00000000) && address < UINT64_C(0x1000000000000));
}

static bool foreign_own(const loft_arena *arena, uint64_t address)
{
    return address - arena->stored_base < arena->reserve_bytes;
}

/* Counts beyond range_limit, and stores below it. What nobody can load (held address space, guards) is left out. */
static int foreign_area(void *context, const lofti_map_area *area)
{
    foreign_state *own = context;
    const uint64_t base = (uint64_t)(uintptr_t)own->arena->base;
    const bool of_arena =
        !own->arena->over && area->start >= base && area->end <= base + own->arena->reserve_bytes;
    if ((!area->readable && !area->writable) || of_arena) {
        return 0;
    }
    foreign_range *last =
        own->range_count != 0 && own->range_count <= own->range_limit && own->ranges != NULL
            ? &own->ranges[own->range_count - 1]
            : NULL;
    if (last != NULL && last->end == area->start) {
        last->end = area->end;
        return 0;
    }
    if (own->range_count < own->range_limit) {
        LOFTI_ASSERT(own->ranges != NULL); /* it has room for range_limit */
        own->ranges[own->range_count] = (foreign_range){area->start, area->end};
    }
    own->range_count++;
    return 0;
}

static int foreign_map(foreign_state *own, size_t *bytes)
{
    void *memory = NULL;
    const uint64_t slack = 64; /* mappings that appear between the two walks */
    const uint64_t page_bytes = lofti_map_page_bytes();
    int error = lofti_map_each(NULL, (size_t)LOFTI_MAP_HIGH, foreign_area, own);
    if (error == 0) {
        *bytes =
            lofti_arith_round_up((own->range_count + slack) * sizeof(foreign_range), page_bytes);
        error = lofti_map_place(*bytes, 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    }
    if (error == 0) {
        own->ranges = memory;
        own->range_limit = own->range_count + slack;
        own->range_count = 0;
        error = lofti_map_each(NULL, (size_t)LOFTI_MAP_HIGH, foreign_area, own);
        own->range_count = lofti_arith_min(own->range_count, own->range_limit);
    }
    if (error != 0 && memory != NULL) {
        (void)lofti_map_release(memory, *bytes);
    }
    return error == 0 ? LOFT_OK
                      : lofti_status_system(error, "look for addresses", own->arena->path);
}

static bool foreign_mapped(const foreign_state *own, uint64_t address)
{
    uint64_t low = 0;
    uint64_t high = own->range_count; /* ranges[low - 1].start <= address < ranges[high].start */
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (own->ranges[middle].start <= address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low != 0 && address < own->ranges[low - 1].end;
}

static int foreign_word(void *context, uint64_t off, uint64_t word)
{
    foreign_state *own = context;
    if (word < LOFTI_MAP_LOW || foreign_own(own->arena, word)) {
        return 0;
    }
    const bool mapped = foreign_mapped(own, word);
    if (!mapped && !foreign_zone(word)) {
        return 0;
    }
    own->count++;
    if (own->fn == NULL) {
        return 0;
    }
    char holder[160] = "";
    char text[320];
    if (mapped) {
        lofti_map_holder((const void *)(uintptr_t)word, 1, holder, sizeof holder);
    }
    (void)snprintf(text, sizeof text, "0x%llx is an address outside of the arena%s%s",
                   (unsigned long long)word,
                   mapped ? ", in " : ", of a kind that processes have for their own memory",
                   holder);
    const loft_fault fault = {sizeof fault, LOFT_ERANGE, LOFTI_HEAP_OFF + off, text};
    return own->fn(own->context, &fault);
}

int loft_arena_foreign(loft_arena *arena, loft_report_fn *fn, void *context, uint64_t *count)
{
    size_t bytes = 0;
    foreign_state own = {.arena = arena, .fn = fn, .context = context};
    int code = lofti_arena_usable(arena, "look for addresses", false);
    if (code == LOFT_OK) {
        code = foreign_map(&own, &bytes);
    }
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_reach_words(arena->heap, foreign_word, &own);
    (void)lofti_map_release(own.ranges, bytes);
    if (count != NULL) {
        *count = own.count;
    }
    return code;
}
