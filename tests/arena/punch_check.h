/* What must hold of an arena whose checkpoints make holes of free pages; for the tests and for planted faults. */
#ifndef LOFT_TESTS_ARENA_PUNCH_CHECK_H
#define LOFT_TESTS_ARENA_PUNCH_CHECK_H

/* Freed after the commit that the file has: the block is found again. Freed before it and taken again since: what
 * was stored stays. In the test's folder, with LOFT_TRACKER=`tracker`. */
void punch_check(const char *tracker);

#endif
