/* The oracle of change tracking: a program that stores at random, through every road that a store can
 * take, commits, and then compares every page of the heap with its committed image. A page that the
 * tracker missed differs from it. Also used with planted faults, to prove that it sees what it should. */
#ifndef LOFT_TESTS_ARENA_ORACLE_H
#define LOFT_TESTS_ARENA_ORACLE_H

#include <stdint.h>

/* Runs until `commits` are done, with LOFT_TRACKER=`tracker`; skips the test where the system lacks it. */
void oracle_run(const char *tracker, uint64_t commits, uint64_t seed);

#endif
