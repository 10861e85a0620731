/*
 * cli/grid.h - an arena as a row of equal cells, for pictures that must fit: the terminal's and the SVG's.
 *
 * A cell stands for a number of pages that is a power of two and a part of a chunk, or several chunks. Only
 * chunks in which anything lies have cells; where others were left out, the next cell's offset tells.
 */
#ifndef LOFTI_CLI_GRID_H
#define LOFTI_CLI_GRID_H

#include "survey.h"

enum lofti_grid_by { LOFTI_GRID_OCCUPANCY = 0, LOFTI_GRID_CLASS = 1, LOFTI_GRID_CHANGES = 2 };

typedef struct lofti_grid_cell {
    uint64_t offset;
    uint64_t bytes;         /* of runs in it */
    uint64_t live_bytes;    /* of them, in live blocks */
    uint64_t changed_bytes; /* of them, in changed pages */
    uint64_t block_bytes;   /* of the kind of slab that has most of it; 0: none */
    uint32_t kind;          /* the kind that has most of it, enum loft_run_kind */
} lofti_grid_cell;

typedef struct lofti_grid {
    lofti_grid_cell *cells;
    uint64_t count, cell_bytes;
} lofti_grid;

/* At most `most` cells. False: there is no memory. */
bool lofti_grid_make(lofti_grid *grid, const lofti_survey *survey, uint64_t most);
void lofti_grid_end(lofti_grid *grid);

/* "occupancy", "class", "changes"; -1: none of them. */
int lofti_grid_by(const char *text);

/* What to draw: 0 nothing much (free), 1 to 10 a tenth each, of what `by` asks for. */
unsigned lofti_grid_level(const lofti_grid_cell *cell, int by);
/* Which doubling of sizes a block belongs to: 0 to 12, up to 16 bytes to 64 KiB. */
unsigned lofti_grid_doubling(uint64_t block_bytes);
enum { LOFTI_GRID_LEVELS = 11, LOFTI_GRID_DOUBLINGS = 13 };

#endif /* LOFTI_CLI_GRID_H */
