/* An address space that exists only on paper, as a table of mapping primitives: it answers high,
 * low or beyond every bound, has any size, ignores MAP_FIXED_NOREPLACE as old kernels do, refuses
 * at a chosen call, drops what lay under a fixed mapping that failed, and lets "another thread"
 * take the place at once. Nothing is mapped; its addresses must not be touched.
 *
 * There is one, since primitives have no context. */
#ifndef LOFT_TESTS_OS_SPACE_H
#define LOFT_TESTS_OS_SPACE_H

#include "os/map.h"

enum { SPACE_AREAS_MAX = 512 };

typedef struct space_area {
    uint64_t start, end, off;
    unsigned flags; /* enum lofti_map_flags */
    intptr_t handle;
    bool theirs; /* mapped by "another thread" */
} space_area;

typedef struct space {
    /* What it is like; set after space_begin. */
    uint64_t limit;         /* addresses end here */
    uint64_t lowest;        /* answers without a hint start here, rising; 0: they fall from limit */
    bool ignores_noreplace; /* a taken hint is answered as if there were none */
    bool moves_hints;       /* every hint is, and every fixed mapping */
    bool hides;             /* the list of mappings cannot be read */
    unsigned refuse_from, refuse_count; /* calls of map and remap, counted from 1, that fail */
    bool drops;                         /* a refused fixed call has removed what was there */
    bool steals;                        /* and another thread maps there at once */
    unsigned stuck_from, stuck_count;   /* calls of unmap that fail */
    /* What happened. */
    unsigned maps, unmaps, populates;
    unsigned count;
    space_area areas[SPACE_AREAS_MAX]; /* rising */
} space;

/* Makes an empty space of 47 bits the current one. */
space *space_begin(void);
/* Somebody else's mapping; it must be free. */
void space_occupy(uint64_t start, uint64_t end);
/* Bytes mapped that are not theirs; and theirs. */
uint64_t space_ours(void);
uint64_t space_theirs(void);
/* The mapping that holds this address, or NULL. */
const space_area *space_at(uint64_t address);

#endif
