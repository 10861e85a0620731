/*
 * cli/grid.c - runs into cells.
 */
#include "grid.h"

#include <stdlib.h>
#include <string.h>

enum { GRID_CLASSES_MAX = 256 }; /* the heap has 112 */

/* What of each kind and of each size a cell has, while runs are put into it. */
typedef struct grid_mix {
    uint64_t bytes[LOFT_RUN_JOURNAL + 1];
    struct {
        uint64_t block_bytes, bytes;
    } classes[GRID_CLASSES_MAX];
    unsigned class_count;
    uint64_t class_bytes; /* of the size that has most */
} grid_mix;

/* How many of a run's bytes in [off, off + bytes) lie in changed pages. */
static uint64_t grid_changed(const lofti_survey *survey, const lofti_survey_run *run, uint64_t off,
                             uint64_t bytes)
{
    if (run->changes != LOFTI_SURVEY_SOME) {
        return run->changes == LOFTI_SURVEY_ALL ? bytes : 0;
    }
    const uint64_t *words = survey->words + run->changed_word;
    const uint64_t first = (off - run->offset) / LOFT_PAGE_BYTES;
    uint64_t sum = 0;
    for (uint64_t page = first; page < first + bytes / LOFT_PAGE_BYTES; page++) {
        sum += (words[page / 64] >> (page % 64)) & 1;
    }
    return sum * LOFT_PAGE_BYTES;
}

/* A cell's size is that which most of its bytes are of, be they many short slabs. */
static void grid_put_slab(lofti_grid_cell *cell, grid_mix *mix, uint64_t block_bytes,
                          uint64_t bytes)
{
    unsigned i = 0;
    while (i < mix->class_count && mix->classes[i].block_bytes != block_bytes) {
        i++;
    }
    if (i == GRID_CLASSES_MAX) {
        return;
    }
    if (i == mix->class_count) {
        mix->classes[i].block_bytes = block_bytes;
        mix->classes[i].bytes = 0;
        mix->class_count++;
    }
    mix->classes[i].bytes += bytes;
    if (mix->classes[i].bytes > mix->class_bytes) {
        mix->class_bytes = mix->classes[i].bytes;
        cell->block_bytes = block_bytes;
    }
}

/* The next of a run's bytes that are in `cell`, which is the first that they may be in. */
static void grid_put(lofti_grid_cell *cell, grid_mix *mix, const lofti_survey_run *run,
                     uint64_t bytes, uint64_t changed_bytes)
{
    const double part = (double)bytes / (double)run->bytes;
    cell->bytes += bytes;
    cell->live_bytes += (uint64_t)(part * (double)(run->live_count * run->block_bytes));
    cell->changed_bytes += changed_bytes;
    mix->bytes[run->kind] += bytes;
    if (mix->bytes[run->kind] > mix->bytes[cell->kind] || cell->kind == LOFT_RUN_NONE) {
        cell->kind = run->kind;
    }
    if (run->kind == LOFT_RUN_SLAB) {
        grid_put_slab(cell, mix, run->block_bytes, bytes);
    }
}

/* Fills cells, or only counts them if there are none. Returns how many. */
static uint64_t grid_fill(const lofti_survey *survey, uint64_t cell_bytes, lofti_grid_cell *cells)
{
    grid_mix mix = {.class_count = 0};
    uint64_t count = 0;
    uint64_t last = UINT64_MAX; /* which cell, counted from offset 0 */
    for (uint64_t i = 0; i < survey->run_count; i++) {
        const lofti_survey_run *run = &survey->runs[i];
        for (uint64_t off = run->offset; off < run->offset + run->bytes;) {
            const uint64_t which = off / cell_bytes;
            const uint64_t rest = (which + 1) * cell_bytes - off;
            const uint64_t left = run->offset + run->bytes - off;
            if (which != last) {
                last = which;
                count++;
                memset(mix.bytes, 0, sizeof mix.bytes);
                mix.class_count = 0;
                mix.class_bytes = 0;
                if (cells != NULL) {
                    cells[count - 1] = (lofti_grid_cell){.offset = which * cell_bytes};
                }
            }
            if (cells != NULL) {
                const uint64_t bytes = left < rest ? left : rest;
                grid_put(&cells[count - 1], &mix, run, bytes,
                         grid_changed(survey, run, off, bytes));
            }
            off += left < rest ? left : rest;
        }
    }
    return count;
}

bool lofti_grid_make(lofti_grid *grid, const lofti_survey *survey, uint64_t most)
{
    uint64_t bytes = 0;
    *grid = (lofti_grid){.cell_bytes = LOFT_PAGE_BYTES};
    for (uint64_t i = 0; i < survey->run_count; i++) {
        bytes += survey->runs[i].bytes;
    }
    while (bytes / grid->cell_bytes > most) {
        grid->cell_bytes *= 2;
    }
    for (;;) {
        grid->count = grid_fill(survey, grid->cell_bytes, NULL);
        if (grid->count <= most || grid->cell_bytes >= (uint64_t)1 << 44) {
            break;
        }
        grid->cell_bytes *= 2;
    }
    grid->cells = calloc(grid->count != 0 ? grid->count : 1, sizeof grid->cells[0]);
    if (grid->cells == NULL) {
        return false;
    }
    (void)grid_fill(survey, grid->cell_bytes, grid->cells);
    return true;
}

void lofti_grid_end(lofti_grid *grid)
{
    free(grid->cells);
    grid->cells = NULL;
}

int lofti_grid_by(const char *text)
{
    static const char *const names[] = {"occupancy", "class", "changes"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(text, names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

unsigned lofti_grid_level(const lofti_grid_cell *cell, int by)
{
    const uint64_t part = by == LOFTI_GRID_CHANGES ? cell->changed_bytes : cell->live_bytes;
    if (part == 0 || cell->bytes == 0) {
        return 0;
    }
    const uint64_t tenths = part * 10 / cell->bytes;
    return tenths >= 9 ? 10 : (unsigned)tenths + 1;
}

unsigned lofti_grid_doubling(uint64_t block_bytes)
{
    unsigned doubling = 0;
    while (doubling + 1 < LOFTI_GRID_DOUBLINGS && (uint64_t)16 << doubling < block_bytes) {
        doubling++;
    }
    return doubling;
}
