/*
 * heap/damage.h - a heap with something of everything in its image, at rest, and what a test needs to
 * damage it and to see what happens then.
 *
 * The world is built and detached in the test's process; each damage is planted in a forked child,
 * whose copy of the image dies with it.
 */
#ifndef LOFT_TESTS_HEAP_DAMAGE_H
#define LOFT_TESTS_HEAP_DAMAGE_H

#include "format/heap_layout.h"
#include "heap/host.h"
#include "support/test.h"

enum { LOFT_TEST_DAMAGE_BLOCKS = 16384 };

typedef struct loft_test_damage {
    loft_test_heap test; /* detached */
    lofti_heap_image *image;
    lofti_heap_dir *dir;
    uint32_t unit_shift;
    uint32_t block_count;
    void *blocks[LOFT_TEST_DAMAGE_BLOCKS]; /* live, but for what damage did */
    /* Chunks by what they are; UINT32_MAX where the small world has none. */
    uint32_t head;   /* has metadata and slabs, not the first */
    uint32_t big;    /* a span of 9 MiB begins there */
    uint32_t body;   /* ... and goes on there */
    uint32_t unused; /* the heap's, never touched */
    uint32_t gap;    /* not the heap's, with some of its chunks behind */
    /* Some of the live blocks. */
    uint8_t *tiny;     /* 16 bytes: of a wide slab, if units are large */
    uint8_t *line;     /* 64 bytes */
    uint8_t *odd;      /* 272 bytes: the last word of its bitmap is not full */
    uint8_t *long_one; /* in a slab of several units, NULL in the small world */
    uint8_t *span;     /* 3 pages, 20 in the large world */
    uint8_t *pool;     /* 5 pages of a pool */
    uint8_t *huge;     /* 9 MiB, NULL in the small world */
} loft_test_damage;

/* 1 GiB to grow in, with large units; or a fixed buffer of 1 MiB, with small ones. */
void loft_test_damage_make(loft_test_damage *out, bool small);

/* Parts of the image by chunk. */
void loft_test_damage_layout(const loft_test_damage *world, uint32_t idx, lofti_chunk_layout *out);
lofti_chunk_image *loft_test_damage_header(const loft_test_damage *world, uint32_t idx);
uint16_t *loft_test_damage_spans(const loft_test_damage *world, uint32_t idx);
uint8_t *loft_test_damage_classes(const loft_test_damage *world, uint32_t idx);
/* Parts of the image by block: its span's word, the class byte of its unit (which must be its slab's
 * first), the slab's bitmaps. */
uint16_t *loft_test_damage_span_of(const loft_test_damage *world, const void *block);
uint8_t *loft_test_damage_class_of(const loft_test_damage *world, const void *block);
uint64_t *loft_test_damage_local_of(const loft_test_damage *world, const void *block);
uint64_t *loft_test_damage_remote_of(const loft_test_damage *world, const void *block);
uint32_t loft_test_damage_chunk_of(const loft_test_damage *world, const void *block);
/* The first and the last page of a chunk, behind its metadata, that nothing has and nothing had. */
uint32_t loft_test_damage_free_page(const loft_test_damage *world, uint32_t idx);

/* What the check says of the image after attach. */
typedef struct loft_test_verdict {
    int attach_code;
    uint64_t faults;
    char text[8192]; /* every sentence, a line each, as far as they fit */
} loft_test_verdict;
void loft_test_damage_judge(loft_test_damage *world, loft_test_verdict *out);

/* Attaches the image, read-only and then not, and uses it in every way. Whatever its bytes, nothing
 * may crash or hang. Returns the faults that the check finds afterwards, 0 if attach refuses. */
uint64_t loft_test_damage_use(loft_test_damage *world);

#endif /* LOFT_TESTS_HEAP_DAMAGE_H */
