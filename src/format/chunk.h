/*
 * format/chunk.h - the units that the file, the heap and the journal share.
 */
#ifndef LOFTI_FORMAT_CHUNK_H
#define LOFTI_FORMAT_CHUNK_H

#include <stdint.h>

/* The unit of journal records and of change tracking, on every system: 4 KiB. Systems with larger
 * pages report several at once. Part of the format: never changes in version 1. */
#define LOFTI_PAGE_SHIFT 12u
#define LOFTI_PAGE_BYTES ((uint64_t)1 << LOFTI_PAGE_SHIFT)

/* The unit of growth: 4 MiB, a multiple of the 2 MiB that the kernel can map at once, small enough
 * that the file of a small arena stays small. Chunk boundaries are multiples of it in the file and in
 * the address space. Part of the format. */
#define LOFTI_CHUNK_SHIFT 22u
#define LOFTI_CHUNK_BYTES ((uint64_t)1 << LOFTI_CHUNK_SHIFT)
#define LOFTI_CHUNK_PAGES (LOFTI_CHUNK_BYTES >> LOFTI_PAGE_SHIFT)

/* The largest arena: 16 TiB. It bounds the heap's chunk directory (one bit a chunk). */
#define LOFTI_CHUNK_COUNT_MAX ((uint32_t)1 << 22)

#endif /* LOFTI_FORMAT_CHUNK_H */
