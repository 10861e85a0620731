/*
 * heap_plan.h - what the heap benchmark measures: works, and the rows of its table.
 *
 * A work is what a worker process does over and over; each round gives up to HEAP_FIGURES figures.
 * A row of the table is one figure of one work, with what is known of it from elsewhere: the
 * figures of a reference run, from which the goal follows (heap_plan.c).
 */
#ifndef LOFT_BENCH_HEAP_PLAN_H
#define LOFT_BENCH_HEAP_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    HEAP_FIGURES = 2,       /* of a round */
    HEAP_FIGURE_MEMORY = 2, /* of the whole work: memory over live bytes */
    HEAP_FIGURES_ALL = 3,   /* both kinds */
    HEAP_SHORT_WEIGHT = 4,  /* short rounds are taken so many times as often */
    HEAP_REFERENCES = 8     /* peers that a reference run had */
};

/* How a work goes about it (heap_loops.h). */
enum heap_loop_kind {
    HEAP_PAIR,          /* allocate, store one byte, free; with `live` blocks around */
    HEAP_BATCH_ORDER,   /* `live` blocks allocated, then freed first to last */
    HEAP_BATCH_REVERSE, /* ... last to first */
    HEAP_BATCH_RANDOM,  /* ... in random order */
    HEAP_REPLACE,       /* one of `live` blocks, at random, is freed and another allocated */
    HEAP_LARSON,        /* the same in two threads, which hand their blocks on when they end */
    HEAP_PASS,          /* one thread allocates, another one frees */
    HEAP_POOL,          /* `live` blocks are allocated, then all freed at once */
    HEAP_LOOPS
};

typedef struct heap_work {
    const char *name;
    enum heap_loop_kind loop;
    uint32_t bytes_min, bytes_max; /* of a block, uniformly distributed */
    uint32_t live;                 /* blocks; per thread for HEAP_LARSON */
    uint32_t operations;           /* of a round: short ones are seldom disturbed */
    uint32_t weight;               /* so many times as many rounds as usual */
} heap_work;

typedef struct heap_reference {
    const char *peer; /* as in heap_peer.name */
    double value;
} heap_reference;

typedef struct heap_row {
    const char *title;
    const char *work;
    uint32_t figure;  /* which of the work's */
    const char *unit; /* "ns", "Mops/s", "ratio" */
    bool more_is_better;
    double loft; /* the reference run's figure for loft, at most (or least); 0: no goal */
    heap_reference references[HEAP_REFERENCES];
} heap_row;

extern const heap_work heap_works[];
extern const size_t heap_work_count;
extern const heap_row heap_rows[];
extern const size_t heap_row_count;

const heap_work *heap_work_named(const char *name);

/* What the parent asks of a worker, a byte on its standard input, and the answer on its standard
 * output. */
enum heap_request {
    HEAP_REQUEST_ROUND = 'r',
    HEAP_REQUEST_FINISH = 'f' /* the figures of the whole work */
};
typedef struct heap_reply {
    double figure[HEAP_FIGURES];
    double memory; /* FINISH: resident bytes that the work added, over its live bytes; 0: none */
    double stolen; /* ROUND: part of the time in which a thread of it did not have a processor */
} heap_reply;

#endif
