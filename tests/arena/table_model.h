/* A table of blocks in an arena, and a model of it in plain memory. Both follow the same changes; a change
 * follows from numbers alone, so that two processes agree on it without talking. */
#ifndef LOFT_TESTS_ARENA_TABLE_MODEL_H
#define LOFT_TESTS_ARENA_TABLE_MODEL_H

#include "arena/arena_world.h"

enum {
    TABLE_SLOTS = 64,
    TABLE_SMALL_BYTES = 20000,  /* most blocks are smaller: slabs and small spans */
    TABLE_LARGE_BYTES = 5 << 20 /* slot 0's: larger than a chunk */
};

typedef struct table_entry {
    uint64_t stamp; /* what the content follows from; 0: no block */
    uint64_t bytes;
    uint64_t tweak; /* changed alone: a small change to a page */
} table_entry;

typedef struct table_model {
    uint64_t commit; /* changes 1 .. commit were made */
    table_entry entries[TABLE_SLOTS];
} table_model;

typedef struct table_block {
    table_entry entry;
    uint64_t content[];
} table_block;

/* In the arena, at the root "table". */
typedef struct table_image {
    uint64_t commit;
    table_block *blocks[TABLE_SLOTS];
} table_image;

/* The image, made if there is none. */
table_image *table_of(loft_arena *arena);
/* Makes change number commit + 1 of the sequence that `seed` gives, to the one and to the other. */
void table_change(loft_arena *arena, table_image *image, uint64_t seed);
void table_model_change(table_model *model, uint64_t seed);
/* The image is as the model says, in every byte; no other block is live. */
void table_check(loft_arena *arena, const table_model *model);
/* The number of the last change that the image holds. */
uint64_t table_commit(loft_arena *arena);

#endif
