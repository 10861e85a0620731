/*
 * os/barrier_none.c - for systems that cannot make another thread execute a barrier (POSIX): both sides use fences.
 */
#include "os/barrier.h"

#include "base/check.h"

bool lofti_barrier_available(void) { return false; }

void lofti_barrier_all(void) { LOFTI_CHECK(!"a barrier is asked for that is not available"); }
