/* Crash scenarios of pages in place (src/journal/store_bulk.c); entries of journal_scripts. */
#ifndef LOFT_TESTS_CRASH_BULK_SCRIPTS_H
#define LOFT_TESTS_CRASH_BULK_SCRIPTS_H

#include "crash/journal_world.h"

#define BULK_SCRIPTS(X)                                                                            \
    X("pages in place", bulk_script_first)                                                         \
    X("pages in place, changed, checkpoint", bulk_script_changed)                                  \
    X("pages in place after unflushed commits", bulk_script_async)                                 \
    X("pages in place, disk full", bulk_script_full)                                               \
    X("pages in place, disk full, then death", bulk_script_full_then_dies)                         \
    X("pages in place, frame answered as failed", bulk_script_late)                                \
    X("pages in place, their flush fails", bulk_script_flush_1)                                    \
    X("pages in place, the frame's flush fails", bulk_script_flush_2)                              \
    X("pages in place, twice in a life", bulk_script_twice)                                        \
    X("pages in place, death, recovery dies", bulk_script_restarts)

#define BULK_SCRIPT_DECLARE(name, run) void run(journal_world *world);
BULK_SCRIPTS(BULK_SCRIPT_DECLARE)

/* For the table of journal_scripts. */
#define BULK_SCRIPT_ENTRY(name, run) {name, run, 1},

#endif
