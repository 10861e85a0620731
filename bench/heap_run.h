/*
 * heap_run.h - what the parts of the heap benchmark's parent share.
 */
#ifndef LOFT_BENCH_HEAP_RUN_H
#define LOFT_BENCH_HEAP_RUN_H

#include "harness.h"
#include "heap_peer.h"
#include "heap_plan.h"

enum { HEAP_COMPETITORS = 24 };

typedef struct heap_options {
    const char *filter;    /* part of works' names; NULL: all */
    const char *json_path; /* NULL: none */
    const char *directory; /* where the file arena lies */
    size_t rounds;
    bool quick;
} heap_options;

typedef struct heap_competitor {
    const heap_peer *peer;
    char library[256]; /* preloaded; "": none */
    char version[96];
    char absent[320];          /* why it does not take part; "": it does */
    double cold[HEAP_FIGURES]; /* of the work at hand: its first round */
    harness_series series[HEAP_FIGURES_ALL];
    harness_worker worker;
} heap_competitor;

typedef struct heap_run {
    const heap_options *options;
    char workers[512]; /* folder of the worker programs */
    heap_competitor competitors[HEAP_COMPETITORS];
    size_t count;
    size_t rounds_asked, rounds_disturbed; /* of works with one thread */
} heap_run;

/* What a row comes to. Ratios: above 1 loft is worse, whichever way the unit goes. */
typedef struct heap_verdict {
    const heap_competitor *best; /* of the peers; NULL: none took part */
    double best_value;
    double goal; /* 0: the row has none, or none of its reference's peers is here */
} heap_verdict;

/* heap_peers.c: finds out who takes part. */
void heap_find_peers(heap_run *run);

/* heap_measure.c: runs one work for all; fills series. */
bool heap_takes_part(const heap_competitor *one, const heap_work *work);
void heap_measure(heap_run *run, const heap_work *work, size_t done, size_t of);

/* heap_report.c: verdicts and reports. A ratio says how much worse than `best`. */
heap_verdict heap_judge(const heap_run *run, const heap_row *row);
double heap_ratio(const heap_row *row, double value, double best);
void heap_print_head(const heap_run *run, const harness_machine *machine);
/* Heads the columns of those who do works of this kind. */
void heap_print_columns(const heap_run *run, const heap_work *work);
void heap_print_rows(const heap_run *run, const heap_work *work);
void heap_json_head(harness_json *json, const heap_run *run, const harness_machine *machine);
void heap_json_rows(harness_json *json, const heap_run *run, const heap_work *work);

#endif
