/*
 * loft/inspect.h - what every part of an arena is, for tools: maps, tables, dumps.
 *
 * An arena's file (or memory) is a row of runs: superblocks, journal, the heap's metadata, slabs of equal
 * blocks, spans, pool memory, free pages. Between runs lies what nobody has: holes in the file, held
 * address space in the process. loft_arena_each_run tells them one by one, loft_arena_place tells what lies at
 * an address.
 *
 * Both trust no byte of the arena: whatever a damaged file holds, they end, and the runs that they tell rise,
 * do not overlap and may be read. Whether they are right is loft_arena_check's question. Where damage lets
 * two things claim the same pages, the lower one is told.
 *
 * Conventions as in loft/arena.h. Offsets are bytes from the arena's base, which is where the bytes lie in the
 * file, too; loft_at turns those of the heap into addresses.
 */
#ifndef LOFT_INSPECT_H
#define LOFT_INSPECT_H

#include <stddef.h>
#include <stdint.h>

#include "loft/arena.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Seen by programs, whatever visibility the library itself is compiled with. */
#pragma GCC visibility push(default)

/* Constants of the file format, bytes. */
enum loft_grain {
    LOFT_PAGE_BYTES = 4 << 10, /* every run is whole pages */
    LOFT_CHUNK_BYTES =
        4 << 20, /* the unit of growth; all but long spans and the journal lie in one chunk */
    LOFT_SLAB_BLOCKS_MAX = 4096 /* no slab has more blocks */
};

enum loft_run_kind {
    LOFT_RUN_NONE = 0,
    LOFT_RUN_FREE = 1,     /* pages of the heap that nothing has */
    LOFT_RUN_META = 2,     /* the heap's descriptors and bitmaps */
    LOFT_RUN_SLAB = 3,     /* equal blocks, some of them live */
    LOFT_RUN_SPAN = 4,     /* one block of whole pages */
    LOFT_RUN_POOL = 5,     /* memory of a bump pool; its first run begins with the handle */
    LOFT_RUN_INTERNAL = 6, /* the library's own: the table of roots */
    LOFT_RUN_HEADER = 7,   /* superblocks, and what lies before the journal */
    LOFT_RUN_JOURNAL = 8   /* an extent of the journal */
};

typedef struct loft_run {
    uint32_t struct_bytes; /* sizeof(loft_run), set by loft */
    uint32_t kind;         /* enum loft_run_kind */
    uint64_t offset;       /* its first byte */
    uint64_t bytes;        /* its length; whole pages */
    uint64_t block_bytes;  /* SLAB: of one block; SPAN, POOL, INTERNAL: as bytes; else 0 */
    uint32_t block_count;  /* SLAB: its blocks; SPAN, POOL, INTERNAL: 1; else 0 */
    uint32_t live_count;   /* of them, live ones */
    const uint64_t *live; /* SLAB: bit i % 64 of word i / 64 is set if block i is live; valid during
                              the call. Else NULL */
} loft_run;

typedef int loft_run_fn(void *context, const loft_run *run); /* non-0 stops */

/* What lies at an address. */
typedef struct loft_place {
    uint32_t struct_bytes; /* sizeof(loft_place), set by the caller */
    uint32_t kind;         /* enum loft_run_kind; LOFT_RUN_NONE: nobody's */
    uint64_t offset;       /* of the block or span; else of the address itself */
    uint64_t bytes;        /* of the block or span; else 0 */
    uint32_t live;         /* 1: a block that is allocated */
    uint32_t reserved;     /* 0 */
} loft_place;

/* Calls fn for every run, in rising order of offset. An arena over memory has neither header nor journal.
 * Returns: 0, what fn returned, or a failure. fn must not allocate, free or commit.
 * Threads: any, but not inside one's own mutation section (misuse); waits for a commit that is under
 * way. Runs that others change meanwhile may be told as before or as after.
 * Cost: a visit to every slab's bitmaps. */
int loft_arena_each_run(loft_arena *arena, loft_run_fn *fn, void *context);

/* What lies at `address`, inside a block or at its start.
 * In: address, anywhere inside the arena; out->struct_bytes. Out: *out.
 * Returns: 0, LOFT_ERANGE (outside the arena), LOFT_EINVAL. Threads: as loft_arena_each_run. */
int loft_arena_place(loft_arena *arena, const void *address, loft_place *out);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* LOFT_INSPECT_H */
