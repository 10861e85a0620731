/* The worker for memkind's file-backed kind (it needs no DAX). Argument: a path, whose folder gets its file. */
#include <memkind.h>
#include <string.h>

#include "heap_worker.h"

static struct memkind *kind;

static inline void *heap_alloc(size_t bytes) { return memkind_malloc(kind, bytes); }
static inline void heap_free(void *block) { memkind_free(kind, block); }

#include "heap_loops.h"

void heap_open(const char *argument)
{
    char folder[800] = "";
    HEAP_MUST(strlen(argument) < sizeof folder);
    memcpy(folder, argument, strlen(argument) + 1);
    char *slash = strrchr(folder, '/');
    HEAP_MUST(slash != NULL);
    *slash = '\0';
    HEAP_MUST(memkind_create_pmem(folder, 0, &kind) == 0); /* 0: as large as it gets */
}

/* Its file is mapped shared: what is stored is in it. */
void heap_settle(void) {}

void heap_close(void) { (void)memkind_destroy_kind(kind); }
