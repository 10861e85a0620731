/* See bulk_scripts.h. */
#include "crash/bulk_scripts.h"

#include <errno.h>

#include "loft/error.h"

#define SYNC_CALLS  FAULT_MASK(FAULT_SYNC)
#define WRITE_CALLS FAULT_MASK(FAULT_PWRITE)

/* One committed chunk, and a second one that no commit has covered. */
static void begin_grown(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_grow(world);
}

static void bulk_well(journal_world *world, uint32_t first, uint32_t count)
{
    journal_must(journal_commit_bulk(world, first, count), "bulk commit");
}

static void must_fail(int code, int want, const char *what)
{
    journal_must(code == want ? LOFT_OK : LOFT_EINVAL, what);
}

/* Opens anew. A chunk that no commit covered is nobody's again, and given out again. */
static void restart_grown(journal_world *world)
{
    journal_must(journal_restart(world), "restart");
    if (lofti_store_space_end(&world->store) < world->frontier) {
        uint64_t off = 0;
        journal_must(lofti_store_claim(&world->store, 1, world->frontier, &off), "claim");
        must_fail(off == world->model.chunk_off[1] ? LOFT_OK : LOFT_ERANGE, LOFT_OK, "same place");
    }
}

void bulk_script_first(journal_world *world)
{
    begin_grown(world);
    bulk_well(world, JOURNAL_FAR, 8); /* no page below: one of them gets a record */
    journal_commit_well(world, JOURNAL_FAR + 9, 2);
}

void bulk_script_changed(journal_world *world)
{
    begin_grown(world);
    bulk_well(world, JOURNAL_FAR - 2, 10);
    journal_commit_well(world, JOURNAL_FAR + 2, 3);
    journal_must(journal_commit_version(world, JOURNAL_FAR + 3, 0), "commit");
    journal_checkpoint_well(world);
    journal_commit_well(world, JOURNAL_FAR + 3, 1);
}

void bulk_script_async(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_must(journal_commit_async(world, 1, 2), "commit");
    journal_must(journal_commit_async(world, 0, 1), "commit");
    journal_grow(world); /* now, so that the two before do not cover it */
    bulk_well(world, JOURNAL_FAR, 3);
}

/* A few pages of a failed attempt lie there; the next commit covers them without a word of them. */
void bulk_script_full(journal_world *world)
{
    begin_grown(world);
    journal_fail(world, WRITE_CALLS, FAULT_PART_FAIL, 1, ENOSPC);
    must_fail(journal_commit_bulk(world, JOURNAL_FAR - 1, 16), LOFT_ENOSPC, "bulk, disk full");
    journal_go_well(world);
    journal_commit_well(world, JOURNAL_FAR + 1, 1);
    journal_commit_well(world, JOURNAL_FAR + 2, 1);
}

void bulk_script_full_then_dies(journal_world *world)
{
    begin_grown(world);
    journal_fail(world, WRITE_CALLS, FAULT_PART_FAIL, 1, ENOSPC);
    must_fail(journal_commit_bulk(world, JOURNAL_FAR - 1, 16), LOFT_ENOSPC, "bulk, disk full");
    journal_go_well(world);
    restart_grown(world);
    journal_commit_well(world, JOURNAL_FAR + 1, 1);
}

/* The frame is whole in the cache, and so may its breaking be or not. */
void bulk_script_late(journal_world *world)
{
    begin_grown(world);
    journal_fail(world, WRITE_CALLS, FAULT_LATE_FAIL, 2, EIO);
    must_fail(journal_commit_bulk(world, JOURNAL_FAR - 1, 6), LOFT_EIO, "bulk, answered as failed");
    journal_go_well(world);
    journal_commit_well(world, JOURNAL_FAR + 1, 1);
}

static void flush_fails(journal_world *world, uint64_t n)
{
    begin_grown(world);
    journal_fail(world, SYNC_CALLS, FAULT_FAIL, n, EIO);
    must_fail(journal_commit_bulk(world, JOURNAL_FAR - 1, 6), LOFT_EPOISONED, "bulk, flush fails");
    journal_go_well(world);
    restart_grown(world);
    journal_commit_well(world, JOURNAL_FAR + 1, 1);
    journal_must(journal_restart(world), "restart");
}

void bulk_script_flush_1(journal_world *world) { flush_fails(world, 1); }
void bulk_script_flush_2(journal_world *world) { flush_fails(world, 2); }

/* In the same epoch: the second time the pages are not new. */
void bulk_script_twice(journal_world *world)
{
    begin_grown(world);
    bulk_well(world, JOURNAL_FAR, 6);
    bulk_well(world, JOURNAL_FAR, 6);
    journal_checkpoint_well(world);
    bulk_well(world, JOURNAL_FAR + 1, 2);
}

void bulk_script_restarts(journal_world *world)
{
    begin_grown(world);
    bulk_well(world, JOURNAL_FAR - 1, 8);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, JOURNAL_FAR + 1, 2);
    journal_must(journal_restart(world), "restart");
    journal_must(journal_restart(world), "restart");
}
