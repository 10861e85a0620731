/* The oracle of change tracking: a program that stores at random, through every road that a store can
 * take, commits, and then compares every page of the heap with its committed image. A page that the
 * tracker missed differs from it. Also used with planted faults, to prove that it sees what it should. */
#ifndef LOFT_TESTS_ARENA_ORACLE_H
#define LOFT_TESTS_ARENA_ORACLE_H

#include <stddef.h>
#include <stdint.h>

#include "loft/arena.h"

/* Runs until `commits` are done, with LOFT_TRACKER=`tracker`; skips the test where the system lacks it. */
void oracle_run(const char *tracker, uint64_t commits, uint64_t seed);

/* Skips the test where the oracle has nothing to compare by. Before a child runs it: a child cannot skip. */
void oracle_require(void);

/* Sets LOFT_TRACKER; skips the test where the system lacks it. */
void oracle_force(const char *tracker);

enum { ORACLE_LARGE_BYTES = 9 << 20 }; /* more than two chunks */

/* A block so large, full of `value`, at root "block". */
char *oracle_fill_large(loft_arena *arena, int value);
/* Commits, dies, opens the test's file "arena" again: the block at root "block" is full of `want`. */
void oracle_check_committed(loft_arena *arena, size_t bytes, int want);
/* A commit fails, is rolled back, and the same is done again. */
void oracle_fail_and_repeat(const char *tracker);

#endif
