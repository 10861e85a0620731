/*
 * heap/find.h - what lies at an address, from the image alone.
 *
 * The slow but sure way: no volatile table is used or made, any bytes are survived. For misuse
 * reports, read-only heaps, walk and check.
 */
#ifndef LOFTI_HEAP_FIND_H
#define LOFTI_HEAP_FIND_H

#include "heap/state.h"

enum lofti_place_kind {
    LOFTI_PLACE_OUTSIDE = 0, /* not the heap's */
    LOFTI_PLACE_META = 1,    /* metadata */
    LOFTI_PLACE_FREE = 2,    /* pages that nothing has */
    LOFTI_PLACE_SLAB = 3,    /* a block of a slab, free or live */
    LOFTI_PLACE_SPAN = 4,
    LOFTI_PLACE_POOL = 5,
    LOFTI_PLACE_INTERNAL = 6
};

typedef struct lofti_place {
    uint32_t kind;  /* enum lofti_place_kind */
    bool live;      /* SLAB: the block is not free. Spans are */
    bool touched;   /* FREE: the page was handed out once */
    uint64_t off;   /* where the block or span begins */
    uint64_t bytes; /* how long it is */
} lofti_place;

void lofti_find(const lofti_heap *heap, uint64_t off, lofti_place *out);

/* One slab of the image. */
typedef struct lofti_slab_view {
    const lofti_class *shape;
    uint64_t off;          /* of its first block, from base */
    const uint64_t *local; /* in the image */
    const uint64_t *remote;
} lofti_slab_view;

/* The slab that begins at local unit `unit` of head chunk `idx`; false: none that can be. */
bool lofti_find_slab(const lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout,
                     uint32_t unit, lofti_slab_view *out);

/* The first unit of the slab that `unit` lies in; `unit` itself if it lies in none. */
uint32_t lofti_find_slab_start(const lofti_heap *heap, uint32_t idx,
                               const lofti_chunk_layout *layout, uint32_t unit);

/* The bits of word `word_idx` that are live blocks. */
uint64_t lofti_find_live(const lofti_slab_view *view, uint32_t word_idx);

/* Pages of the span that begins at local page `page`, 0: none that can be. Those of a big one are cut
 * to what is the heap's. */
uint64_t lofti_find_span(const lofti_heap *heap, uint32_t idx, const lofti_chunk_layout *layout,
                         uint32_t page);

/* Whether chunk `idx`, claimed or not, is memory that may be touched. */
bool lofti_find_here(const lofti_heap *heap, uint32_t idx);

/* Whether chunk `idx` has metadata that may be read. */
bool lofti_find_head(const lofti_heap *heap, uint32_t idx, lofti_chunk_layout *layout);

/* Reports the misuse that handing `block` to `call` ("free", ...) is. No lock held. */
void lofti_find_blame(const lofti_heap *heap, const void *block, const char *call);

#endif /* LOFTI_HEAP_FIND_H */
