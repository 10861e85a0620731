/*
 * heap/trim.c - giving back all free pages.
 */
#include "heap/trim.h"

#include "heap/pages.h"

/* Worth a walk over all chunks: 1 MiB, and a sixteenth of the heap, so that what stays is less than a tenth. */
#define TRIM_PAGES_MIN 256u
#define TRIM_SHARE     16u

/* How long pages of a block that ended stay memory, if nothing takes them: longer than a loop that frees and allocates
 * needs for a round, shorter than a phase of a program. */
#define TRIM_IDLE_NS        UINT64_C(10000000)
/* The shortest run that is noted: 128 KiB, for which the system call costs little beside the blocks' own use. */
#define TRIM_IDLE_PAGES_MIN 32u

static bool trim_tell(const lofti_heap *heap, uint64_t off, uint64_t bytes)
{
    return heap->host.unused(heap->host.context, off, bytes);
}

/* The free runs of a head chunk's pages [page, last). False: the host keeps its memory. */
static bool trim_head(const lofti_heap *heap, uint32_t idx, uint32_t page, uint32_t last)
{
    const uint64_t *used = heap->chunks[idx].used;
    while (page < last) {
        uint32_t end = page;
        while (end < last && ((used[end / 64] >> (end % 64)) & 1) == 0) {
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
                   !trim_head(heap, idx, 0, (uint32_t)LOFTI_CHUNK_PAGES)) {
            return;
        }
    }
}

/* The pages of one chunk that are free, of [page, last). */
static bool trim_part(lofti_heap *heap, uint32_t idx, uint32_t page, uint32_t last)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    if (chunk->state == LOFTI_CHUNK_HEAD) {
        return trim_head(heap, idx, page, last);
    }
    if (chunk->state != LOFTI_CHUNK_FREE || chunk->zero) {
        return true;
    }
    const bool told = trim_tell(heap, lofti_chunk_off(idx) + ((uint64_t)page << LOFTI_PAGE_SHIFT),
                                (uint64_t)(last - page) << LOFTI_PAGE_SHIFT);
    chunk->zero = told && last - page == LOFTI_CHUNK_PAGES;
    return told;
}

static void trim_run(lofti_heap *heap, lofti_idle_run *run)
{
    const uint64_t end = run->page + run->pages;
    for (uint64_t page = run->page; page < end;) {
        const uint32_t idx = (uint32_t)(page / LOFTI_CHUNK_PAGES);
        const uint64_t first = (uint64_t)idx * LOFTI_CHUNK_PAGES;
        const uint64_t last =
            end - first < LOFTI_CHUNK_PAGES ? end - first : (uint64_t)LOFTI_CHUNK_PAGES;
        if (!trim_part(heap, idx, (uint32_t)(page - first), (uint32_t)last)) {
            break;
        }
        page = first + last;
    }
    run->pages = 0;
}

static bool trim_can(const lofti_heap *heap)
{
    return heap->host.now_ns != NULL && heap->host.unused != NULL;
}

void lofti_trim_idle(lofti_heap *heap)
{
    if (!trim_can(heap)) {
        return;
    }
    const uint64_t now_ns = heap->host.now_ns(heap->host.context);
    for (uint32_t i = 0; i < LOFTI_IDLE_RUNS; i++) {
        lofti_idle_run *run = &heap->idle_runs[i];
        if (run->pages != 0 && now_ns - run->since_ns >= TRIM_IDLE_NS) {
            trim_run(heap, run);
        }
    }
}

/* Adds to `run` what is noted and touches it: used and freed again, or freed by pieces, it is idle from now on only. */
static void trim_join(lofti_heap *heap, lofti_idle_run *run)
{
    for (uint32_t i = 0; i < LOFTI_IDLE_RUNS; i++) {
        lofti_idle_run *old = &heap->idle_runs[i];
        const uint64_t end = run->page + run->pages;
        const uint64_t old_end = old->page + old->pages;
        if (old->pages != 0 && old->page <= end && run->page <= old_end) {
            run->page = old->page < run->page ? old->page : run->page;
            run->pages = (old_end > end ? old_end : end) - run->page;
            old->pages = 0;
        }
    }
}

void lofti_trim_note(lofti_heap *heap, uint64_t page, uint64_t pages)
{
    if (pages < TRIM_IDLE_PAGES_MIN || !trim_can(heap)) {
        return;
    }
    lofti_idle_run run = {page, pages, heap->host.now_ns(heap->host.context)};
    trim_join(heap, &run);
    lofti_idle_run *slot = &heap->idle_runs[0];
    for (uint32_t i = 0; i < LOFTI_IDLE_RUNS && slot->pages != 0; i++) {
        lofti_idle_run *other = &heap->idle_runs[i];
        if (other->pages == 0 || other->since_ns < slot->since_ns) {
            slot = other;
        }
    }
    trim_run(heap, slot); /* if all are taken, the one that waited longest */
    *slot = run;
    lofti_trim_idle(heap);
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
