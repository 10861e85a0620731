/* Single cases of change tracking, each made by hand: see oracle.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "arena/arena_world.h"
#include "arena/oracle.h"
#include "support/fault_fs.h"

void oracle_force(const char *tracker)
{
    if (strcmp(tracker, "wp_async") == 0 && !lofti_watch_works()) {
        LOFT_SKIP("this kernel, or a sandbox, has no asynchronous write protection");
    }
    LOFT_CHECK_SYS(setenv("LOFT_TRACKER", tracker, 1));
}

/* Commits, dies, opens again: the block at root "block" is full of `want`. */
void oracle_check_committed(loft_arena *arena, size_t bytes, int want)
{
    const char *path = loft_test_tmp_path("arena");
    LOFT_CHECK_OK(loft_arena_commit(arena));
    abandon_arena(arena);
    arena = open_arena(path, LOFT_WRITE);
    const char *block = loft_arena_root(arena, "block");
    LOFT_CHECK_NOT_NULL(block);
    for (size_t i = 0; i < bytes; i++) {
        if (block[i] != (char)want) {
            LOFT_FAIL("byte %zu is %d", i, block[i]);
        }
    }
    close_arena(arena);
}

char *oracle_fill_large(loft_arena *arena, int value)
{
    char *block = loft_arena_malloc(arena, ORACLE_LARGE_BYTES);
    LOFT_CHECK_NOT_NULL(block);
    memset(block, value, ORACLE_LARGE_BYTES);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "block", block));
    return block;
}

/* A commit fails after it has noted the pages of new chunks, the chunks are given back, and the program does
 * exactly the same again: its pages look as they were noted, but were never committed. */
void oracle_fail_and_repeat(const char *tracker)
{
    oracle_force(tracker);
    loft_arena *arena = new_arena("arena");
    fault_fs *fault = fault_fs_create(lofti_file_ops_system());
    const lofti_file_ops *own = arena->store.file.ops;
    const fault_plan plan = {.action = FAULT_FAIL,
                             .kinds = FAULT_MASK(FAULT_PWRITE),
                             .first = 3, /* before the journal takes chunks behind the heap's */
                             .times = 1,
                             .error = ENOSPC};
    (void)oracle_fill_large(arena, 'x');
    arena->store.file.ops = fault_fs_ops(fault);
    fault_fs_set(fault, &plan);
    LOFT_CHECK_ERR(loft_arena_commit(arena), LOFT_ENOSPC);
    arena->store.file.ops = own;
    LOFT_CHECK_OK(loft_arena_rollback(arena));
    LOFT_CHECK_NULL(loft_arena_root(arena, "block"));
    (void)oracle_fill_large(arena, 'x');
    oracle_check_committed(arena, ORACLE_LARGE_BYTES, 'x');
    fault_fs_destroy(fault);
}
