/* See journal_lives.h. */
#include "crash/journal_lives.h"

#include <errno.h>

#include "loft/error.h"

/* Does it until it is done; a poisoned store is opened anew. */
static void persist(journal_world *world, int (*step)(journal_world *world))
{
    int code = step(world);
    for (int tries = 0; tries < 4 && code != LOFT_OK && code != LOFT_EPENDING; tries++) {
        if (!world->open || world->store.state == LOFTI_STORE_POISONED) {
            code = journal_restart(world);
        } else {
            code = step(world);
        }
    }
    journal_must(code == LOFT_EPENDING ? LOFT_OK : code, "a life goes on");
}

static int step_commit(journal_world *world) { return journal_commit_pages(world, 0, 2); }
static int step_other(journal_world *world) { return journal_commit_pages(world, 1, 2); }
static int step_async(journal_world *world) { return journal_commit_async(world, 3, 1); }
static int step_checkpoint(journal_world *world) { return lofti_store_checkpoint(&world->store); }

static void life(journal_world *world, unsigned kinds, enum fault_action action, uint64_t n,
                 int error)
{
    static int (*const steps[])(journal_world *) = {
        step_commit,     step_async, step_other, step_checkpoint, step_commit,
        journal_restart, step_other, step_async, step_checkpoint, step_commit};
    journal_create(world);
    journal_commit_well(world, 0, 1);
    journal_fail(world, kinds, action, n, error);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        persist(world, steps[i]);
    }
    journal_go_well(world);
}

#define LIFE(n)                                                                                    \
    void journal_life_write_##n(journal_world *world)                                              \
    {                                                                                              \
        life(world, FAULT_MASK(FAULT_PWRITE), (n) % 2 == 0 ? FAULT_PART_FAIL : FAULT_LATE_FAIL, n, \
             EIO);                                                                                 \
    }                                                                                              \
    void journal_life_flush_##n(journal_world *world)                                              \
    {                                                                                              \
        life(world, FAULT_MASK(FAULT_SYNC), FAULT_FAIL, n, EIO);                                   \
    }
JOURNAL_LIVES(LIFE)
