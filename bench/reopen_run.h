/*
 * reopen_run.h - the parts of the reopen benchmark.
 */
#ifndef LOFT_BENCH_REOPEN_RUN_H
#define LOFT_BENCH_REOPEN_RUN_H

#include "reopen_peer.h"

extern harness_table reopen_opening, reopen_by_blocks, reopen_by_size;

/* Fills the three. */
void reopen_measure_opening(const harness_options *options);
/* reopen --make PEER SHAPE PATH: makes a file in a process of its own. Returns the exit code. */
int reopen_make(char **argv);
/* The path of a benchmark's file. */
void reopen_path(char *out, size_t out_bytes, const harness_options *options, size_t number);

#endif
