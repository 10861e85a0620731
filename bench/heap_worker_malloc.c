/*
 * heap_worker_malloc.c - the worker for everything that calls itself malloc: the C library's, or what
 * LD_PRELOAD puts in its place. Argument: "" or the library that must have come in.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "heap_worker.h"

static inline void *heap_alloc(size_t bytes) { return malloc(bytes); }
static inline void heap_free(void *block) { free(block); }

#include "heap_loops.h"

void heap_open(const char *argument)
{
    Dl_info info;
    void *function = dlsym(RTLD_DEFAULT, "malloc");
    /* The loader only warns when it cannot preload something. */
    HEAP_MUST(dladdr(function, &info) != 0);
    HEAP_MUST(argument[0] == '\0' || strcmp(info.dli_fname, argument) == 0);
}

void heap_settle(void) {}

void heap_close(void) {}
