/*
 * heap_worker_loft.c - the worker for loft's arenas. Argument: "" for an anonymous arena, else the path of
 * the file to make (which is removed at once; the arena lives on in it until the end).
 */
#include <unistd.h>

#include "heap_worker.h"
#include "loft/arena.h"

static loft_arena *arena;
static bool on_file;

static inline void *heap_alloc(size_t bytes) { return loft_arena_malloc(arena, bytes); }
static inline void heap_free(void *block) { loft_arena_free(arena, block); }

#include "heap_loops.h"

void heap_open(const char *argument)
{
    const char *path = argument[0] != '\0' ? argument : NULL;
    const unsigned flags = path != NULL ? LOFT_CREATE | LOFT_EXCLUSIVE : LOFT_CREATE;
    if (loft_arena_open(path, flags, NULL, &arena) != 0) {
        heap_die(loft_last_error());
    }
    HEAP_MUST(path == NULL || unlink(path) == 0);
    on_file = path != NULL;
}

void heap_settle(void)
{
    HEAP_MUST(!on_file || (loft_arena_commit(arena) == 0 && loft_arena_checkpoint(arena) == 0));
}

void heap_close(void) { (void)loft_arena_abandon(arena); }
