/* Crash scenarios of commits of several frames that fail and are repeated as they were; entries of
 * journal_scripts. */
#ifndef LOFT_TESTS_CRASH_REPEAT_SCRIPTS_H
#define LOFT_TESTS_CRASH_REPEAT_SCRIPTS_H

#include "crash/journal_world.h"

#define REPEAT_SCRIPTS(X)                                                                          \
    X("three frames, first fails, again", repeat_script_first, 10)                                 \
    X("three frames, second half-way, again", repeat_script_middle, 10)                            \
    X("three frames, last denied, again", repeat_script_last, 10)                                  \
    X("three frames, twice denied, again", repeat_script_twice, 10)                                \
    X("three frames, denied, death, again", repeat_script_dies, 10)

#define REPEAT_SCRIPT_DECLARE(name, run, costly) void run(journal_world *world);
REPEAT_SCRIPTS(REPEAT_SCRIPT_DECLARE)

/* For the table of journal_scripts. */
#define REPEAT_SCRIPT_ENTRY(name, run, costly) {name, run, costly},

#endif
