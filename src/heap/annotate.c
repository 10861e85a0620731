/*
 * heap/annotate.c - what AddressSanitizer and Valgrind are told of whole slabs and chunks.
 */
#include "heap/annotate.h"

#include "base/arith.h"
#include "heap/pages.h"
#include "heap/slab.h"

#if LOFTI_ANNOTATE

bool lofti_annotate_off;

/* Through a volatile pointer, so that no compiler makes it a call of memcpy, which the sanitizer watches. */
__attribute__((no_sanitize("address"))) static void annotate_copy(uint64_t *to,
                                                                  const volatile uint64_t *from)
{
    for (size_t i = 0; i < LOFTI_ANNOTATE_PAGE_BYTES / sizeof *to; i++) {
        to[i] = from[i];
    }
}

const uint8_t *lofti_annotate_read(lofti_annotate_scratch *scratch, const void *page)
{
#if LOFTI_ANNOTATE_ASAN
    annotate_copy((uint64_t *)(void *)scratch->page, page);
#else
    (void)VALGRIND_DISABLE_ADDR_ERROR_REPORTING_IN_RANGE(page, LOFTI_ANNOTATE_PAGE_BYTES);
    annotate_copy((uint64_t *)(void *)scratch->page, page);
    (void)VALGRIND_ENABLE_ADDR_ERROR_REPORTING_IN_RANGE(page, LOFTI_ANNOTATE_PAGE_BYTES);
    (void)VALGRIND_MAKE_MEM_DEFINED(scratch->page, LOFTI_ANNOTATE_PAGE_BYTES);
#endif
    return scratch->page;
}

void lofti_annotate_slab(lofti_heap *heap, uint32_t unit)
{
    const lofti_unit *entry = &heap->units[unit];
    const lofti_class *shape = lofti_slab_shape(heap, unit);
    const uint64_t slab_bytes = (uint64_t)shape->unit_count << heap->unit_shift;
    for (uint32_t i = 0; i < shape->block_count; i++) {
        if ((lofti_word_get(&entry->bits[i / 64]) >> (i % 64)) & 1) {
            lofti_annotate_free(entry->base + (uint64_t)i * shape->size, shape->size);
        }
    }
    const size_t end = (size_t)entry->count * entry->size;
    lofti_annotate_free(entry->base + end, slab_bytes - end);
}

void lofti_annotate_head(lofti_heap *heap, uint32_t idx)
{
    const uint8_t *base = lofti_image_chunk(heap, idx);
    for (uint32_t page = 0; page < LOFTI_CHUNK_PAGES; page++) {
        if (!lofti_pages_any(heap->chunks[idx].used, page, 1)) {
            lofti_annotate_free(base + ((uint64_t)page << LOFTI_PAGE_SHIFT), LOFTI_PAGE_BYTES);
        }
    }
}

static uint64_t annotate_chunk_bytes(const lofti_heap *heap, uint32_t idx)
{
    return lofti_arith_min(lofti_chunk_off(idx + 1), heap->limit_bytes) - lofti_chunk_off(idx);
}

void lofti_annotate_chunk(lofti_heap *heap, uint32_t idx)
{
    lofti_annotate_free(lofti_image_chunk(heap, idx), annotate_chunk_bytes(heap, idx));
}

void lofti_annotate_forget(lofti_heap *heap)
{
    for (uint32_t idx = 0; !heap->read_only && idx < heap->known_end; idx++) {
        if (heap->chunks[idx].state != LOFTI_CHUNK_UNKNOWN) {
            lofti_annotate_live(lofti_image_chunk(heap, idx), annotate_chunk_bytes(heap, idx));
        }
    }
}

#endif
