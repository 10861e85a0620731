/*
 * heap/trim.c - giving back all free pages.
 */
#include "heap/trim.h"

#include "heap/pages.h"

/* Worth a walk over all chunks: 1 MiB, and a sixteenth of the heap, so that what stays is less than a tenth. */
#define TRIM_PAGES_MIN 256u
#define TRIM_SHARE     16u

static bool trim_tell(const lofti_heap *heap, uint64_t off, uint64_t bytes)
{
    return heap->host.unused(heap->host.context, off, bytes);
}

/* The free runs of a head chunk. False: the host keeps its memory. */
static bool trim_head(const lofti_heap *heap, uint32_t idx)
{
    const uint64_t *used = heap->chunks[idx].used;
    uint32_t page = 0;
    while (page < LOFTI_CHUNK_PAGES) {
        uint32_t end = page;
        while (end < LOFTI_CHUNK_PAGES && ((used[end / 64] >> (end % 64)) & 1) == 0) {
            end++;
        }
        if (end != page &&
            !trim_tell(heap, lofti_chunk_off(idx) + ((uint64_t)page << LOFTI_PAGE_SHIFT),
                       (uint64_t)(end - page) << LOFTI_PAGE_SHIFT)) {
            return false;
        }
        page = end + 1;
    }
    return true;
}

static void trim_all(lofti_heap *heap)
{
    for (uint32_t idx = 0; idx < heap->known_end; idx++) {
        lofti_chunk *chunk = &heap->chunks[idx];
        if (chunk->state == LOFTI_CHUNK_FREE && !chunk->zero) {
            chunk->zero = trim_tell(heap, lofti_chunk_off(idx), LOFTI_CHUNK_BYTES);
            if (!chunk->zero) {
                return;
            }
        } else if (chunk->state == LOFTI_CHUNK_HEAD && chunk->free_pages != 0 &&
                   !trim_head(heap, idx)) {
            return;
        }
    }
}

void lofti_trim_after_thread(lofti_heap *heap)
{
    const uint64_t heap_pages = (uint64_t)heap->known_end * LOFTI_CHUNK_PAGES;
    if (heap->thread_count > 1 || heap->host.unused == NULL ||
        heap->released_pages < TRIM_PAGES_MIN || heap->released_pages < heap_pages / TRIM_SHARE) {
        return;
    }
    heap->released_pages = 0;
    trim_all(heap);
}
