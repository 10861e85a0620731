/*
 * preload/report.h - the line of figures, and what a saved heap is looked at from.
 */
#ifndef LOFTI_PRELOAD_REPORT_H
#define LOFTI_PRELOAD_REPORT_H

#include <stdbool.h>

/* The value of LOFT_MALLOC_SNAPSHOT: a copy, as programs that set their title (redis-server, perl) write over the
 * environment. */
#define LOFTI_PRELOAD_PATH_BYTES 4096u
extern char lofti_preload_path[LOFTI_PRELOAD_PATH_BYTES];

/* Writes the heap's figures to standard error, in one line. Without an arena: nothing. */
void lofti_preload_report_stats(void);

/* Makes what the program's own memory leads to reachable from the root "outside". False: it is not. For a
 * process that only saves its heap and ends. */
bool lofti_preload_roots_note(void);

#endif /* LOFTI_PRELOAD_REPORT_H */
