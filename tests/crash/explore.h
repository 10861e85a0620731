/* Inside the enumerator: the states of one plan (explore.c) and the verdict on one state
 * (verdict.c). Workers share what is in crash_shared. */
#ifndef LOFT_TESTS_CRASH_EXPLORE_H
#define LOFT_TESTS_CRASH_EXPLORE_H

#include <stdatomic.h>

#include "crash/enumerate.h"
#include "crash/memo.h"
#include "crash/walk.h"

enum { CRASH_WORKERS = 32, CRASH_TORN = 4 };

typedef struct crash_status { /* of a worker, for its parent */
    _Atomic uint64_t beats;   /* states begun */
    uint32_t point;
    uint64_t ordinal; /* of the state at its point */
} crash_status;

typedef struct crash_shared {
    _Atomic uint64_t states, nested, alike, duplicates, violations;
    _Atomic uint32_t next_point;
    _Atomic int reporting; /* the first to set it writes the text */
    crash_status status[CRASH_WORKERS];
    char text[CRASH_TEXT_BYTES];
    uint64_t set_mask;
    _Atomic uint64_t set[]; /* keys of images that were checked; 0: free */
} crash_shared;

typedef struct crash_torn {
    uint32_t index; /* pending unit */
    enum crash_tear tear;
} crash_torn;

typedef struct crash_explorer {
    const crash_scenario *scenario;
    const crash_options *options;
    crash_shared *shared;
    crash_status *status;
    crash_walk *walk;
    crash_memo *memo; /* NULL: every image goes through all of recovery */
    const crash_point *point;
    uint64_t low, high;
    uint64_t salt;   /* of the keys: nested explorers share the set */
    uint64_t limit;  /* states at this point */
    uint64_t tried;  /* of them, duplicates included */
    uint64_t random; /* state of the generator */
    crash_torn torn[CRASH_TORN];
    uint32_t torn_count;
    bool nested;
    bool alike;    /* the last image was known by all that recovery reads */
    bool stopped;  /* a violation was found */
    bool reported; /* and is the one that the text is about */
} crash_explorer;

/* Tries the states at one point of the walk's plan. */
void crash_explore_point(crash_explorer *explorer, uint32_t point_idx, uint64_t limit);
/* The process is killed at every operation of the log: before it, and in a write after each 4 KiB. The system lives
 * on, so whatever was done until then is there. */
void crash_explore_kills(crash_explorer *explorer);
/* States that a point with so many units asks for. */
uint64_t crash_explore_need(const crash_options *options, uint32_t pending);

/* Checks the state that the walk stands at, with its torn units, unless an equal one was checked;
 * shrinks and reports a violation. */
void crash_verdict_try(crash_explorer *explorer);

static inline uint64_t crash_random(crash_explorer *explorer)
{
    return crash_mix(explorer->random += 0x9e3779b97f4a7c15u);
}

#endif
