/* The worker for Boost.Interprocess. Argument: the path of the file to make (removed at once). */
#include <stdio.h>
#include <unistd.h>

#include "boost_heap.h"
#include "heap_worker.h"

static void *heap;

static inline void *heap_alloc(size_t bytes) { return boost_heap_alloc(heap, bytes); }
static inline void heap_free(void *block) { boost_heap_free(heap, block); }

#include "heap_loops.h"

#define HEAP_FILE_BYTES ((size_t)3 << 30) /* sparse; the largest work holds 0.7 GiB */

void heap_open(const char *argument)
{
    char path[800];
    (void)snprintf(path, sizeof path, "%s.boost", argument);
    heap = boost_heap_create(path, HEAP_FILE_BYTES);
    HEAP_MUST(heap != NULL);
    heap_note_file(path);
    HEAP_MUST(unlink(path) == 0);
}

/* Its file is mapped shared: what is stored is in it. */
void heap_settle(void) {}

void heap_close(void) { boost_heap_close(heap); }
