/*
 * arena/punch.c - after a checkpoint: the file gives back the space of pages that are free.
 *
 * Free in the newest commit, which the checkpoint has just made the base images, and free now. The gate is closed, so now
 * stays now. Such a page becomes a hole of the file and its memory is dropped: both read as zeros, and as nobody
 * has the page in use nobody can tell. When it is used again it is an old page like any other (C1): logged
 * against its base image, which is zeros.
 *
 *   checkpoint: superblock flushed, journal empty
 *     gate closed: holes; memory dropped
 *     gate open:   flush (P2, store_checkpoint.c)
 *
 * It is a saving, never a duty: what cannot be had is left, without a word. Looked at are only chunks that the checkpoint
 * changed, for in no other can a page have become free, and chunks that are free as a whole.
 */
#include <errno.h>

#include "arena/arena.h"
#include "base/arith.h"
#include "heap/vacant.h"
#include "os/map.h"

/* Shorter runs stay: a hole splits the file's extents, and 64 KiB is what most devices read ahead at least. */
enum { PUNCH_PAGES_MIN = 16 };

int lofti_punch_note(loft_arena *arena, lofti_punch *punch)
{
    const lofti_index *index = &arena->store.index;
    const uint64_t chunks = arena->store.frontier / LOFTI_CHUNK_BYTES + 1;
    *punch = (lofti_punch){.bytes = lofti_arith_round_up(chunks, lofti_map_page_bytes())};
    void *changed = NULL;
    if (lofti_map_place(punch->bytes, 0, LOFTI_MAP_WRITE, NULL, 0, &changed) != 0) {
        return LOFT_ENOMEM;
    }
    punch->changed = changed;
    for (uint64_t i = 0; i < index->capacity; i++) {
        const uint64_t chunk = index->entries[i].page_idx * LOFTI_PAGE_BYTES / LOFTI_CHUNK_BYTES;
        if (index->entries[i].page_idx != 0 && chunk < chunks) {
            punch->changed[chunk] = 1;
        }
    }
    return LOFT_OK;
}

void lofti_punch_end(lofti_punch *punch)
{
    if (punch->changed != NULL) {
        (void)lofti_map_release(punch->changed, punch->bytes);
        punch->changed = NULL;
    }
}

static int punch_read(void *context, uint64_t off, void *data, uint64_t bytes)
{
    const loft_arena *arena = context;
    return lofti_file_read_padded(&arena->store.file, data, bytes, LOFTI_HEAP_OFF + off);
}

/* Whether the file has anything of [off, off + bytes). Where it does not tell, everything is data. */
static bool has_data(const loft_arena *arena, uint64_t off, uint64_t bytes)
{
    const int64_t data = lofti_file_seek(&arena->store.file, off, false);
    return data >= 0 ? (uint64_t)data < off + bytes : data != -ENXIO;
}

static int punch_run(void *context, uint64_t off, uint64_t bytes)
{
    loft_arena *arena = context;
    const uint64_t at = LOFTI_HEAP_OFF + off;
    if (!has_data(arena, at, bytes)) {
        return 0; /* a hole already: no flush for nothing */
    }
    const int error = lofti_store_punch(&arena->store, at, bytes);
    if (error == 0) {
        /* As in the file now. Memory that stays has other bytes, in pages that are nobody's. */
        (void)lofti_map_advise(arena->base + at, bytes, LOFTI_ADVICE_DONTNEED);
    }
    return error;
}

void lofti_punch_free(loft_arena *arena, const lofti_punch *punch)
{
    const uint64_t end = lofti_arith_min(arena->store.frontier, arena->reserve_bytes);
    const uint32_t known = lofti_vacant_end(arena->heap);
    int error = 0;
    for (uint32_t idx = 0; idx < known && error == 0; idx++) {
        const uint64_t off = LOFTI_HEAP_OFF + (uint64_t)idx * LOFTI_CHUNK_BYTES;
        if (off + LOFTI_CHUNK_BYTES > end) {
            break;
        }
        const bool candidate =
            punch->changed[off / LOFTI_CHUNK_BYTES] != 0 ||
            (lofti_vacant_whole(arena->heap, idx) && has_data(arena, off, LOFTI_CHUNK_BYTES));
        if (candidate && lofti_space_accessible(arena, off, LOFTI_CHUNK_BYTES) &&
            !lofti_pin_holds(arena, off, LOFTI_CHUNK_BYTES)) {
            error =
                lofti_vacant_each(arena->heap, idx, PUNCH_PAGES_MIN, punch_read, punch_run, arena);
        }
    }
}
