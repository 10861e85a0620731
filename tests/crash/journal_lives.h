/* Scenarios that are one life of a store each, in which the nth write, or the nth flush, fails once. */
#ifndef LOFT_TESTS_CRASH_JOURNAL_LIVES_H
#define LOFT_TESTS_CRASH_JOURNAL_LIVES_H

#include "crash/journal_world.h"

#define JOURNAL_LIVES(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12)

#define JOURNAL_LIFE(n)                                                                            \
    void journal_life_write_##n(journal_world *world);                                             \
    void journal_life_flush_##n(journal_world *world);
JOURNAL_LIVES(JOURNAL_LIFE)
#undef JOURNAL_LIFE

/* Their lines in the table of scripts. */
#define JOURNAL_LIFE_SCRIPTS(n)                                                                    \
    {"write " #n " of a life fails", journal_life_write_##n, 1},                                   \
        {"flush " #n " of a life fails", journal_life_flush_##n, 1},

#endif
