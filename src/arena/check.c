/*
 * arena/check.c - whether an arena's metadata is whole, and its blocks and classes one by one: what the heap, the pools and
 * the roots say, at the arena's own offsets.
 */
#include "arena/arena.h"
#include "base/status.h"
#include "heap/pool.h"

typedef struct heap_report {
    loft_report_fn *fn;
    void *context;
} heap_report;

/* The heap counts from its own start, a fault from the arena's base. */
static int report_of_heap(void *context, const loft_fault *fault)
{
    const heap_report *report = context;
    loft_fault moved = *fault;
    moved.offset += LOFTI_HEAP_OFF;
    return report->fn != NULL ? report->fn(report->context, &moved) : LOFT_OK;
}

int lofti_arena_check(loft_arena *arena, loft_report_fn *fn, void *context, uint64_t *faults)
{
    heap_report report = {fn, context};
    int code = lofti_heap_check(arena->heap, report_of_heap, &report, faults);
    if (code == LOFT_OK || code == LOFT_ECORRUPT) {
        const int pools_code = lofti_pool_check(arena->heap, report_of_heap, &report, faults);
        code = pools_code != LOFT_OK ? pools_code : code;
    }
    if (code == LOFT_OK || code == LOFT_ECORRUPT) {
        const int roots_code = lofti_roots_check(arena, fn, context, faults);
        code = roots_code != LOFT_OK ? roots_code : code;
    }
    return code;
}

int loft_arena_check(loft_arena *arena, loft_report_fn *fn, void *context, uint64_t *faults)
{
    int code = lofti_arena_usable(arena, "check", false);
    if (code != LOFT_OK) {
        return code;
    }
    uint64_t count = 0;
    code = lofti_arena_check(arena, fn, context, &count);
    if (faults != NULL) {
        *faults = count;
    }
    return code;
}

int loft_arena_classes(const loft_arena *arena, loft_class_fn *fn, void *context)
{
    if (fn == NULL) {
        return lofti_status_fail(LOFT_EINVAL, "classes", NULL, "no function");
    }
    const int code = lofti_arena_usable(arena, "classes", false);
    return code == LOFT_OK ? lofti_heap_classes(arena->heap, fn, context) : code;
}

int loft_arena_walk(loft_arena *arena, loft_block_fn *fn, void *context)
{
    if (fn == NULL) {
        return lofti_status_fail(LOFT_EINVAL, "walk", NULL, "no function");
    }
    const int code = lofti_arena_usable(arena, "walk", false);
    return code == LOFT_OK ? lofti_heap_walk(arena->heap, fn, context) : code;
}

int loft_arena_next_block(loft_arena *arena, loft_block *cursor)
{
    if (cursor == NULL || cursor->struct_bytes < sizeof *cursor) {
        return lofti_status_fail(LOFT_EINVAL, "next block", NULL,
                                 "the cursor's struct_bytes is not set");
    }
    const int code = lofti_arena_usable(arena, "walk", false);
    return code == LOFT_OK ? lofti_heap_next_block(arena->heap, cursor) : code;
}
