/*
 * format/pool.h - what a bump pool is in the image.
 *
 * A pool's memory is a chain of spans of the kind LOFTI_SPAN_POOL. The first begins with the handle; each has
 * a header, and hands out what lies behind it.
 *
 *   first   | loft_pool | header 0 | handed out ... | left |
 *   others              | header n | handed out ... | left |
 *
 * Places are counted from the handle, modulo 2^64: nothing is an address.
 *
 * Truth, and the store that changes it
 *   L1  the pool's blocks are `newest` and what `prev` leads to, down to the first; idx falls by one each time
 *   L2  of the newest block the last `left` bytes are free; of one before it, the `prev_left` of its
 *       successor. What lies before them is handed out
 *   L3  if `room` is not 0, then `end`, `room` and `left` are the newest block's. It is 0, and then `left` too,
 *       only while the newest block changes
 * So an image of any moment is a pool: at worst with a block in it that nothing was taken from, or with one
 * span beside it that it just took or is about to give back.
 */
#ifndef LOFTI_FORMAT_POOL_H
#define LOFTI_FORMAT_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "loft/pool.h"

#define LOFTI_POOL_MAGIC       UINT64_C(0x4c4f4f5054464f4c) /* "LOFTPOOL" */
#define LOFTI_POOL_BLOCK_MAGIC UINT64_C(0x4b4c425054464f4c) /* "LOFTPBLK" */

typedef struct lofti_pool_block {
    uint64_t magic;     /* LOFTI_POOL_BLOCK_MAGIC */
    uint64_t place;     /* its own */
    uint64_t bytes;     /* of the whole span */
    uint64_t prev;      /* the place of the block before; 0: this is the first */
    uint64_t prev_left; /* what was left in it when this one was begun */
    uint64_t idx;       /* how many blocks are before it */
    uint64_t spare[2];  /* 0 */
} lofti_pool_block;

/* The first block's header stands behind the handle. */
#define LOFTI_POOL_FIRST ((uint64_t)sizeof(loft_pool))

_Static_assert(offsetof(loft_pool, left) == 0, "format");
_Static_assert(offsetof(loft_pool, end) == 8, "format");
_Static_assert(offsetof(loft_pool, room) == 16, "format");
_Static_assert(offsetof(loft_pool, newest) == 24, "format");
_Static_assert(offsetof(loft_pool, magic) == 32, "format");
_Static_assert(offsetof(loft_pool, spare) == 40, "format");
_Static_assert(sizeof(loft_pool) == 64, "one cache line");
_Static_assert(offsetof(lofti_pool_block, magic) == 0, "format");
_Static_assert(offsetof(lofti_pool_block, place) == 8, "format");
_Static_assert(offsetof(lofti_pool_block, bytes) == 16, "format");
_Static_assert(offsetof(lofti_pool_block, prev) == 24, "format");
_Static_assert(offsetof(lofti_pool_block, prev_left) == 32, "format");
_Static_assert(offsetof(lofti_pool_block, idx) == 40, "format");
_Static_assert(offsetof(lofti_pool_block, spare) == 48, "format");
_Static_assert(sizeof(lofti_pool_block) == 64, "one cache line");

#endif /* LOFTI_FORMAT_POOL_H */
