/* Crash scenarios of holes in the place of free pages: what happens before the next commit, in it, and instead of it;
 * entries of journal_scripts. */
#ifndef LOFT_TESTS_CRASH_PUNCH_SCRIPTS_H
#define LOFT_TESTS_CRASH_PUNCH_SCRIPTS_H

#include "crash/journal_world.h"

#define PUNCH_SCRIPTS(X)                                                                           \
    X("holes of free pages", punch_script_used, 1)                                                 \
    X("holes of free pages, then death", punch_script_dies, 1)                                     \
    X("holes of free pages, flush fails", punch_script_flush, 1)                                   \
    X("holes not flushed, death, used again", punch_script_unflushed, 1)                           \
    X("the same, beside a reader", punch_script_reader, 1)                                         \
    X("holes, then rollback", punch_script_rollback, 2)                                            \
    X("holes, then a full disk", punch_script_full, 1)                                             \
    X("holes, a full disk, then death", punch_script_full_dies, 1)                                 \
    X("holes, then commits without a flush", punch_script_async, 1)                                \
    X("holes, then the heap grows in place", punch_script_grows, 1)                                \
    X("holes, then the journal grows", punch_script_wraps, 10)                                     \
    X("holes of the same pages, epoch by epoch", punch_script_epochs, 1)                           \
    X("a hole fails half-way", punch_script_fails, 1)

#define PUNCH_SCRIPT_DECLARE(name, run, costly) void run(journal_world *world);
PUNCH_SCRIPTS(PUNCH_SCRIPT_DECLARE)

/* For the table of journal_scripts. */
#define PUNCH_SCRIPT_ENTRY(name, run, costly) {name, run, costly},

#endif
