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
    HEAP_FIGURE_MEMORY = 2, /* of the whole work: resident memory over live bytes */
    HEAP_FIGURE_PSS = 3,    /* ... the same, pages shared with other processes in parts */
    HEAP_FIGURE_FILE = 4,   /* ... blocks of the file over live bytes, once all of it is in there */
    HEAP_FIGURES_ALL = 5,   /* both kinds */
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
    HEAP_LARSON,        /* the same in `lines` threads, which hand their blocks on when they end */
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
    uint32_t lines;                /* HEAP_LARSON: threads at a time */
    unsigned flags;                /* of enum heap_work_flag */
} heap_work;

enum heap_work_flag {
    HEAP_ALONE = 1, /* memory holds one competitor at a time: they do not take turns */
    HEAP_FULL = 2,  /* not in a quick run */
};

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

/* Rows of one figure, of works whose names begin alike and end in a number, are points of a curve. */
typedef struct heap_curve {
    const char *works; /* how their names begin; the number follows, and is x */
    uint32_t figure;
    const char *plot, *plot_x; /* what it shows, over what */
} heap_curve;

extern const heap_curve *const heap_curves; /* NULL: none */
extern const size_t heap_curve_count;
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
    /* FINISH: bytes that the work added over its live bytes, resident and in the file; 0: none. */
    double memory, pss, file;
    double stolen; /* ROUND: part of the time in which a thread of it did not have a processor */
} heap_reply;

#endif
