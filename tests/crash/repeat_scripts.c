/* See repeat_scripts.h. */
#include "crash/repeat_scripts.h"

#include <errno.h>

#include "loft/error.h"

/* Whole pages: three frames. */
enum { REPEAT_PAGES = 560 };

static void must_be(int code, int want, const char *what)
{
    journal_must(code == want ? LOFT_OK : LOFT_EINVAL, what);
}

/* --- The same again: its frames are, byte for byte, those that may be there already ----------------- */

static void fail_frame(journal_world *world, enum fault_action action, uint64_t n)
{
    journal_create(world);
    journal_grow(world);
    journal_commit_well(world, 0, 3);
    journal_fail(world, FAULT_MASK(FAULT_PWRITE), action, n, ENOSPC);
    must_be(journal_commit_whole(world, 0, REPEAT_PAGES), LOFT_ENOSPC, "commit on a full disk");
    journal_go_well(world);
}

static void repeat(journal_world *world)
{
    journal_must(journal_commit_again(world, 0, REPEAT_PAGES), "the same again");
    journal_commit_well(world, 1, 1);
}

void repeat_script_first(journal_world *world)
{
    fail_frame(world, FAULT_PART_FAIL, 1);
    repeat(world);
}

void repeat_script_middle(journal_world *world)
{
    fail_frame(world, FAULT_PART_FAIL, 2);
    repeat(world);
}

void repeat_script_last(journal_world *world)
{
    fail_frame(world, FAULT_LATE_FAIL, 3);
    repeat(world);
}

void repeat_script_twice(journal_world *world)
{
    fail_frame(world, FAULT_LATE_FAIL, 3);
    journal_fail(world, FAULT_MASK(FAULT_PWRITE), FAULT_LATE_FAIL, 2, EIO);
    must_be(journal_commit_again(world, 0, REPEAT_PAGES), LOFT_EIO, "the same, denied");
    journal_go_well(world);
    repeat(world);
}

void repeat_script_dies(journal_world *world)
{
    fail_frame(world, FAULT_LATE_FAIL, 3);
    const uint32_t before = world->based_on;
    journal_must(journal_restart(world), "restart");
    must_be((int)world->based_on, (int)before, "a failed commit is there");
    journal_must(journal_commit_whole(world, 0, REPEAT_PAGES), "commit");
}
