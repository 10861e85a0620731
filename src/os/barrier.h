/*
 * os/barrier.h - a memory barrier that the rare side pays for.
 *
 * Two sides of a handshake each store a flag and then load the other's. Normally both need a full
 * fence between. Where the kernel can make every running thread of the process execute one (membarrier),
 * the frequent side gets by with a compiler barrier.
 */
#ifndef LOFTI_OS_BARRIER_H
#define LOFTI_OS_BARRIER_H

#include <stdbool.h>

/* True if lofti_barrier_all works in this process; decided once. Then the frequent side may leave its
 * fence out. Where it is false, both sides use atomic_thread_fence. */
bool lofti_barrier_available(void);

/* A full memory barrier on every thread of the process, this one included. Only if available. */
void lofti_barrier_all(void);

#endif /* LOFTI_OS_BARRIER_H */
