/*
 * os/barrier_windows.c - FlushProcessWriteBuffers: an interrupt of every processor that runs the process.
 */
#include "os/system_windows.h"

#include "os/barrier.h"

bool lofti_barrier_available(void) { return true; }

void lofti_barrier_all(void) { FlushProcessWriteBuffers(); }
