/*
 * format/heap_layout.h - the heap's image: what lies where in the memory that persists.
 *
 * Everything is an offset, an index or a bit; nothing is an address. All numbers are in the
 * machine's byte order (the arena's superblock refuses the other one; so does the magic).
 *
 *   heap     | chunk 0                   | chunk 1       | not ours | chunk 3 ...
 *   chunk 0  | heap header | directory | chunk metadata | pages ...
 *   chunk n  | chunk metadata | pages ...
 *   body     | pages of a block that began in an earlier chunk, nothing else
 *
 *   chunk metadata, from its start (byte 0 of the chunk; behind the directory in chunk 0):
 *   | header 64 | touched 128 | spans 2 x pages | classes 1 x units | colour | records | to page end
 *
 * A chunk is cut into pages (4 KiB) and units (64 KiB; 4 KiB in a heap of at most one chunk, where
 * 64 KiB would be too coarse). A unit belongs to a slab or to nobody's slab; then its pages belong to
 * spans or are free.
 *
 * Truth, and the single store that changes it:
 *   T1  chunk c is the heap's               bit c of the directory's `claimed`
 *   T2  chunk c has metadata                bit c of the directory's `heads`; only if claimed
 *   T3  a slab begins at unit u             classes[u] != 0: its class
 *   T4  a block of a slab is free           its bit in `local` or in `remote` is 1
 *   T5  a span begins at page p             spans[p] != 0: its pages and its kind
 *   T6  a span reaches into the next chunks spans[p] has LOFTI_SPAN_BIG; its pages are in big_pages
 *   T7  a page was never handed out         its bit in `touched` is 0, and then the page is zeros
 *   T8  unit w holds the wide records       wide_unit == w, not 0
 * What is not claimed by T3, T5, T8 or the metadata is free. What is claimed twice is damage.
 * Nothing else is stored about free space: free runs, counts and owners are found again from this.
 *
 * Record of a slab (what T4 speaks of), found from its first unit:
 *   narrow, up to 1,024 blocks, one per unit beside the header:
 *     | scratch 8 | local words | ... line end | remote words |
 *   wide, up to 4,096 blocks (classes below 64 bytes, 64 KiB units), in the unit that wide_unit names:
 *     | spare 24 | scratch 8 | local 64 words | remote 64 words |
 * `scratch` is the owner's counter. It is beside the bits because both change together; any value
 * is right, none is ever believed after attach.
 * The stride of narrow records is an odd number of lines and the first begins at a line that depends
 * on the chunk: records of equal units in chunks a power of two apart else meet in the same cache sets.
 */
#ifndef LOFTI_FORMAT_HEAP_LAYOUT_H
#define LOFTI_FORMAT_HEAP_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/chunk.h"

#define LOFTI_LINE_BYTES                                                                           \
    64u /* a cache line of every machine we know to be common; part of the format */

#define LOFTI_HEAP_MAGIC   UINT64_C(0x5041454854464f4c) /* "LOFTHEAP" */
#define LOFTI_CHUNK_MAGIC  UINT64_C(0x4b4e484354464f4c) /* "LOFTCHNK" */
#define LOFTI_HEAP_VERSION 1u

/* Units: 64 KiB, so that a volatile table entry per unit stays small and a slab of small blocks
 * is worth its set-up; 4 KiB where the whole heap is no larger than a chunk. */
#define LOFTI_UNIT_SHIFT_LARGE 16u
#define LOFTI_UNIT_SHIFT_SMALL 12u
/* The smallest heap: room for the metadata and a few slabs. */
#define LOFTI_HEAP_BYTES_MIN   (UINT64_C(64) << 10)

/* The heap's header, at byte 0 of its image. */
typedef struct lofti_heap_image {
    uint64_t magic;       /* LOFTI_HEAP_MAGIC */
    uint32_t version;     /* LOFTI_HEAP_VERSION */
    uint32_t unit_shift;  /* LOFTI_UNIT_SHIFT_LARGE or _SMALL */
    uint64_t limit_bytes; /* how far it may grow; whole pages */
    uint64_t seal;        /* lofti_hash of the 24 bytes before, so that damage to them is found */
    uint64_t anchor;      /* the arena's word */
    uint32_t chunk_end;   /* every claimed chunk lies below it */
    uint32_t spare[53];   /* zeros */
} lofti_heap_image;

#define LOFTI_HEAP_IMAGE_BYTES  256u
#define LOFTI_HEAP_SEALED_BYTES 24u
_Static_assert(sizeof(lofti_heap_image) == LOFTI_HEAP_IMAGE_BYTES, "heap header");
_Static_assert(offsetof(lofti_heap_image, seal) == LOFTI_HEAP_SEALED_BYTES, "sealed part");
_Static_assert(offsetof(lofti_heap_image, anchor) == 32, "anchor");
_Static_assert(offsetof(lofti_heap_image, chunk_end) == 40, "chunk_end");

/* The directory follows: one entry for 64 chunks, so that one page serves the first 60 GiB. */
typedef struct lofti_heap_dir {
    uint64_t claimed;
    uint64_t heads;
} lofti_heap_dir;
_Static_assert(sizeof(lofti_heap_dir) == 16, "directory entry");

#define LOFTI_TOUCHED_WORDS (LOFTI_CHUNK_PAGES / 64)

typedef struct lofti_chunk_image {
    uint64_t magic; /* LOFTI_CHUNK_MAGIC */
    uint32_t idx;   /* its own index */
    uint16_t
        page_count; /* its pages, metadata included; fewer only in the last chunk of a fixed heap */
    uint8_t wide_unit; /* T8; 0: none */
    uint8_t spare8;
    uint64_t big_pages; /* T6: pages of the span that reaches beyond the chunk */
    uint64_t spare[5];  /* zeros */
    uint64_t touched[LOFTI_TOUCHED_WORDS];
} lofti_chunk_image;

#define LOFTI_CHUNK_IMAGE_BYTES 192u
_Static_assert(sizeof(lofti_chunk_image) == LOFTI_CHUNK_IMAGE_BYTES, "chunk header");
_Static_assert(offsetof(lofti_chunk_image, idx) == 8, "idx");
_Static_assert(offsetof(lofti_chunk_image, page_count) == 12, "page_count");
_Static_assert(offsetof(lofti_chunk_image, wide_unit) == 14, "wide_unit");
_Static_assert(offsetof(lofti_chunk_image, big_pages) == 16, "big_pages");
_Static_assert(offsetof(lofti_chunk_image, touched) == 64, "touched");

/* spans[p]: */
#define LOFTI_SPAN_PAGES    0x07ffu /* how many; 1..1023 */
#define LOFTI_SPAN_BIG      0x0800u /* the pages are in big_pages instead, these bits are 0 */
#define LOFTI_SPAN_POOL     0x4000u /* of a bump pool */
#define LOFTI_SPAN_INTERNAL 0x8000u /* the library's own, hidden */
#define LOFTI_SPAN_KNOWN    (LOFTI_SPAN_PAGES | LOFTI_SPAN_BIG | LOFTI_SPAN_POOL | LOFTI_SPAN_INTERNAL)

/* Records. */
#define LOFTI_WIDE_BYTES              1056u /* 62 of them fill a unit: all others but the chunk's first */
#define LOFTI_WIDE_LOCAL_OFF          32u
#define LOFTI_WIDE_REMOTE_OFF         544u
#define LOFTI_WIDE_BLOCKS_MAX         4096u
#define LOFTI_WIDE_BELOW_BYTES        64u /* block sizes below it need a wide record, with large units */
#define LOFTI_NARROW_LOCAL_OFF        8u
#define LOFTI_NARROW_LARGE_BYTES      320u /* 5 lines: 3 for scratch and 16 words, 2 for 16 words */
#define LOFTI_NARROW_LARGE_REMOTE_OFF 192u
#define LOFTI_NARROW_LARGE_BLOCKS     1024u
#define LOFTI_NARROW_SMALL_BYTES      128u /* a line for scratch and 4 words, a line for 4 words */
#define LOFTI_NARROW_SMALL_REMOTE_OFF 64u
#define LOFTI_NARROW_SMALL_BLOCKS     256u
/* Lines of colour: what is left of the six pages of a full chunk's metadata, and one. */
#define LOFTI_COLOUR_COUNT            29u

/* Where the parts of one chunk's metadata lie, from the chunk's first byte. */
typedef struct lofti_chunk_layout {
    uint32_t header_off;
    uint32_t spans_off;
    uint32_t classes_off;
    uint32_t records_off;
    uint32_t page_count;
    uint32_t unit_count;
    uint32_t meta_pages; /* pages [0, meta_pages) are metadata */
    uint32_t first_unit; /* the first unit that holds none */
} lofti_chunk_layout;

/* How many chunks `limit_bytes` has, the last perhaps in part. A rest smaller than the smallest
 * heap is not used, except as the only one. */
uint32_t lofti_heap_layout_chunks(uint64_t limit_bytes);

/* The layout of chunk `idx` < lofti_heap_layout_chunks(limit_bytes). */
void lofti_heap_layout_chunk(uint64_t limit_bytes, uint32_t unit_shift, uint32_t idx,
                             lofti_chunk_layout *out);

/* What is wrong with a heap header: NULL if nothing, else a sentence; *off its byte. Reads the
 * header only. */
const char *lofti_heap_layout_verify(const lofti_heap_image *image, uint64_t *off);
const char *lofti_chunk_layout_verify(const lofti_chunk_image *image,
                                      const lofti_chunk_layout *layout, uint32_t idx,
                                      uint64_t *off);

/* Offsets of unit `unit`'s record parts from the chunk's first byte. `wide_unit` 0: narrow. */
static inline uint32_t lofti_record_local_off(const lofti_chunk_layout *layout, uint32_t unit_shift,
                                              uint32_t wide_unit, uint32_t unit)
{
    if (wide_unit != 0) {
        const uint32_t slot = unit < wide_unit ? unit - 1 : unit - 2;
        return (wide_unit << LOFTI_UNIT_SHIFT_LARGE) + slot * LOFTI_WIDE_BYTES +
               LOFTI_WIDE_LOCAL_OFF;
    }
    const uint32_t stride =
        unit_shift == LOFTI_UNIT_SHIFT_LARGE ? LOFTI_NARROW_LARGE_BYTES : LOFTI_NARROW_SMALL_BYTES;
    return layout->records_off + unit * stride + LOFTI_NARROW_LOCAL_OFF;
}

/* From the first local word to the first remote word, bytes. */
static inline uint32_t lofti_record_remote_delta(uint32_t unit_shift, bool wide)
{
    if (wide) {
        return LOFTI_WIDE_REMOTE_OFF - LOFTI_WIDE_LOCAL_OFF;
    }
    return (unit_shift == LOFTI_UNIT_SHIFT_LARGE ? LOFTI_NARROW_LARGE_REMOTE_OFF
                                                 : LOFTI_NARROW_SMALL_REMOTE_OFF) -
           LOFTI_NARROW_LOCAL_OFF;
}

#endif /* LOFTI_FORMAT_HEAP_LAYOUT_H */
