/*
 * arena/inspect.c - loft/inspect.h: the heap's runs, with those of the superblocks and the journal between
 * them.
 */
#include "loft/inspect.h"

#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "base/check.h"
#include "base/misuse.h"
#include "base/status.h"
#include "heap/inspect.h"

/* The journal's extents as of one moment, rising. */
typedef struct inspect_journal {
    uint32_t count;
    lofti_extent extents[LOFTI_SUPER_EXTENTS_MAX];
} inspect_journal;

static int inspect_by_offset(const void *left, const void *right)
{
    const lofti_extent *a = left;
    const lofti_extent *b = right;
    return a->off < b->off ? -1 : a->off > b->off;
}

/* A commit lengthens the journal under this mutex; it also waits for sections while it holds it. */
static int inspect_extents(loft_arena *arena, inspect_journal *out)
{
    out->count = 0;
    if (lofti_gate_inside(&arena->gate)) {
        lofti_misuse_report(LOFT_MISUSE_SECTION, arena,
                            "inspection inside the thread's own mutation section of '%s'",
                            arena->path);
        return LOFT_EINVAL;
    }
    if (!arena->has_store) {
        return LOFT_OK;
    }
    (void)pthread_mutex_lock(&arena->commit_mutex);
    out->count =
        (uint32_t)lofti_arith_min(arena->store.super.extent_count, LOFTI_SUPER_EXTENTS_MAX);
    memcpy(out->extents, arena->store.super.extents, out->count * sizeof out->extents[0]);
    (void)pthread_mutex_unlock(&arena->commit_mutex);
    qsort(out->extents, out->count, sizeof out->extents[0], inspect_by_offset);
    return LOFT_OK;
}

/* What lies before the heap: the superblocks, and the journal's first extent behind them. */
static int inspect_plain(uint32_t kind, uint64_t off, uint64_t bytes, loft_run_fn *fn,
                         void *context)
{
    const loft_run run = {.struct_bytes = sizeof run, .kind = kind, .offset = off, .bytes = bytes};
    return fn(context, &run);
}

/* The extents before `end_off` that were not told yet. */
static int inspect_tell_extents(const inspect_journal *journal, uint32_t *told, uint64_t end_off,
                                loft_run_fn *fn, void *context)
{
    while (*told < journal->count && journal->extents[*told].off < end_off) {
        const lofti_extent *extent = &journal->extents[(*told)++];
        const int code = inspect_plain(LOFT_RUN_JOURNAL, extent->off, extent->bytes, fn, context);
        if (code != 0) {
            return code;
        }
    }
    return 0;
}

int loft_arena_each_run(loft_arena *arena, loft_run_fn *fn, void *context)
{
    inspect_journal journal;
    int code = lofti_arena_usable(arena, "inspect", false);
    if (code == LOFT_OK && fn == NULL) {
        code = lofti_status_fail(LOFT_EINVAL, "inspect", arena->path, "no function to call");
    }
    if (code == LOFT_OK) {
        code = inspect_extents(arena, &journal);
    }
    if (code != LOFT_OK) {
        return code;
    }
    LOFTI_ASSERT(fn != NULL); /* refused above */
    uint32_t told = 0;
    if (journal.count > 0) {
        code = inspect_plain(LOFT_RUN_HEADER, 0, journal.extents[0].off, fn, context);
    }
    uint64_t words[LOFTI_INSPECT_WORDS];
    uint64_t from_off = 0;
    loft_run run = {.struct_bytes = sizeof run};
    while (code == 0 && lofti_inspect_next(arena->heap, from_off, &run, words)) {
        from_off = run.offset + run.bytes;
        run.offset += LOFTI_HEAP_OFF;
        code = inspect_tell_extents(&journal, &told, run.offset, fn, context);
        if (code == 0) {
            code = fn(context, &run);
        }
    }
    return code != 0 ? code : inspect_tell_extents(&journal, &told, UINT64_MAX, fn, context);
}

/* An offset before the heap, or in a chunk that is not the heap's. */
static void inspect_outside(const inspect_journal *journal, uint64_t off, loft_place *out)
{
    if (journal->count > 0 && off < journal->extents[0].off) {
        out->kind = LOFT_RUN_HEADER;
    }
    for (uint32_t i = 0; i < journal->count; i++) {
        if (off - journal->extents[i].off < journal->extents[i].bytes) {
            out->kind = LOFT_RUN_JOURNAL;
        }
    }
}

int loft_arena_place(loft_arena *arena, const void *address, loft_place *out)
{
    inspect_journal journal;
    int code = lofti_arena_usable(arena, "place", false);
    if (code == LOFT_OK && (out == NULL || out->struct_bytes < sizeof *out)) {
        code = lofti_status_fail(LOFT_EINVAL, "place", arena->path, "struct_bytes is not set");
    }
    if (code == LOFT_OK) {
        code = inspect_extents(arena, &journal);
    }
    if (code != LOFT_OK) {
        return code;
    }
    const uint64_t off = (uint64_t)((uintptr_t)address - (uintptr_t)arena->base);
    if (off >= arena->reserve_bytes) {
        return lofti_status_fail(LOFT_ERANGE, "place", arena->path, "%p lies outside the arena",
                                 address);
    }
    LOFTI_ASSERT(out != NULL); /* refused above */
    loft_place own = {.struct_bytes = out->struct_bytes, .kind = LOFT_RUN_NONE, .offset = off};
    if (off >= LOFTI_HEAP_OFF) {
        lofti_inspect_place(arena->heap, off - LOFTI_HEAP_OFF, &own);
        own.offset += LOFTI_HEAP_OFF;
    }
    if (own.kind == LOFT_RUN_NONE) {
        inspect_outside(&journal, off, &own);
    }
    *out = own;
    return LOFT_OK;
}
