/*
 * heap_worker_malloc.c - the worker for everything that calls itself malloc: the C library's, or what
 * LD_PRELOAD puts in its place.
 */
#include <stdlib.h>

#include "heap_worker.h"

static inline void *heap_alloc(size_t bytes) { return malloc(bytes); }
static inline void heap_free(void *block) { free(block); }

#include "heap_loops.h"

void heap_open(const char *argument) { (void)argument; }
void heap_close(void) {}
