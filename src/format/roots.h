/*
 * format/roots.h - the table of named roots inside the heap image.
 *
 * One internal block of the heap holds it; the heap's anchor is the block's offset from the heap's
 * first byte (0: no table yet). It is an open hash table that is at most three quarters full; a larger one
 * replaces it before that. Removed entries keep their place as tombstones until then.
 */
#ifndef LOFTI_FORMAT_ROOTS_H
#define LOFTI_FORMAT_ROOTS_H

#include <stddef.h>
#include <stdint.h>

#define LOFTI_ROOTS_MAGIC        0x53544f4fu /* "OOTS" */
#define LOFTI_ROOTS_CAPACITY_MIN 12u         /* fits the first page together with the header */
#define LOFTI_ROOTS_CAPACITY_MAX (1u << 24)
#define LOFTI_ROOTS_NAME_MAX     255u
#define LOFTI_ROOTS_SEED         0x6c6f66742d726f6fULL

enum lofti_root_state { LOFTI_ROOT_EMPTY = 0, LOFTI_ROOT_LIVE = 1, LOFTI_ROOT_REMOVED = 2 };

typedef struct lofti_root_entry {
    uint64_t hash;   /* XXH3 of the name, seed LOFTI_ROOTS_SEED */
    uint64_t offset; /* of the block, from the arena's base */
    uint32_t state;  /* enum lofti_root_state */
    uint32_t name_bytes;
    char name[256]; /* NUL-terminated */
} lofti_root_entry;

typedef struct lofti_root_table {
    uint32_t magic;
    uint32_t capacity; /* entries */
    uint32_t used;     /* not EMPTY */
    uint32_t live;
    lofti_root_entry entries[];
} lofti_root_table;

_Static_assert(offsetof(lofti_root_entry, hash) == 0, "format");
_Static_assert(offsetof(lofti_root_entry, offset) == 8, "format");
_Static_assert(offsetof(lofti_root_entry, state) == 16, "format");
_Static_assert(offsetof(lofti_root_entry, name_bytes) == 20, "format");
_Static_assert(offsetof(lofti_root_entry, name) == 24, "format");
_Static_assert(sizeof(lofti_root_entry) == 280, "format");
_Static_assert(offsetof(lofti_root_table, magic) == 0, "format");
_Static_assert(offsetof(lofti_root_table, capacity) == 4, "format");
_Static_assert(offsetof(lofti_root_table, used) == 8, "format");
_Static_assert(offsetof(lofti_root_table, live) == 12, "format");
_Static_assert(offsetof(lofti_root_table, entries) == 16, "format");
_Static_assert(sizeof(lofti_root_table) + LOFTI_ROOTS_CAPACITY_MIN * sizeof(lofti_root_entry) <=
                   4096,
               "the first table is one page");

#endif /* LOFTI_FORMAT_ROOTS_H */
