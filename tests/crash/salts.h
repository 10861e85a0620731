/* Random numbers of the system that are the same in every run: the enumerator runs one recovery for all
 * images that it cannot tell apart (memo.h), which holds only if nothing else tells them apart.
 *
 * A row of numbers belongs to a number, its root. A store's salts must never come twice in one history of a file, so
 * whoever goes on from a file takes another root than who wrote it. */
#ifndef LOFT_TESTS_CRASH_SALTS_H
#define LOFT_TESTS_CRASH_SALTS_H

#include <stdint.h>

/* From here on, getrandom(2) of this process gives the row of `root` from its beginning. Until the first
 * call it gives what the system gives. */
void crash_salts_begin(uint64_t root);

#endif
