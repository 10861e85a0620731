/* The journal's crash scenarios; see journal_world.h. */
#include <errno.h>

#include "crash/bulk_scripts.h"
#include "crash/journal_lives.h"
#include "crash/punch_scripts.h"
#include "crash/repeat_scripts.h"
#include "loft/error.h"

#define SYNC_CALLS  FAULT_MASK(FAULT_SYNC)
#define WRITE_CALLS FAULT_MASK(FAULT_PWRITE)

static void expect(int code, int want, const char *what)
{
    journal_must(code == want ? LOFT_OK : code == LOFT_OK ? LOFT_EINVAL : code, what);
}

/* --- Everything goes well ------------------------------------------------------------------------ */

static void run_first_commit(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 1);
}

/* Small deltas, half pages, full pages. */
static void run_several(journal_world *world)
{
    journal_create(world);
    for (uint32_t i = 0; i < 6; i++) {
        journal_commit_well(world, i % 4, 1 + i % 3);
    }
}

/* C2: back to what the base image holds, the newest record must still win. */
static void run_back_to_base(journal_world *world)
{
    journal_create(world);
    journal_must(journal_commit_version(world, 0, 4), "commit");
    journal_checkpoint_well(world);
    journal_must(journal_commit_version(world, 0, 7), "commit");
    journal_must(journal_commit_version(world, 0, 4), "commit");
    journal_must(journal_commit_version(world, 1, 3), "commit");
    journal_checkpoint_well(world);
    journal_must(journal_commit_version(world, 0, 6), "commit");
}

static void run_checkpoints(journal_world *world)
{
    journal_create(world);
    for (uint32_t i = 0; i < 4; i++) {
        journal_commit_well(world, i, 2);
        journal_checkpoint_well(world);
    }
    journal_commit_well(world, 1, 1);
}

static void run_long_epochs(journal_world *world)
{
    journal_create(world);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        for (uint32_t i = 0; i < 4; i++) {
            journal_commit_well(world, (epoch + i) % 4, 1);
        }
        journal_checkpoint_well(world);
    }
}

static void run_bulk(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 4);
    journal_commit_well(world, 0, 40);
    journal_checkpoint_well(world);
    journal_commit_well(world, 20, 30);
}

/* More than one frame for one commit. */
static void run_frames(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 3);
    journal_commit_well(world, 4, 300);
    journal_commit_well(world, 0, 2);
    journal_commit_well(world, 4, 300);
}

/* The first extent holds less than these commits: the journal grows in the middle of one. */
static void run_journal_grows(journal_world *world)
{
    journal_create(world);
    for (uint32_t i = 0; i < 6; i++) {
        journal_commit_well(world, i, 310);
    }
    journal_checkpoint_well(world);
    journal_commit_well(world, 0, 4);
}

/* The frame that finds no room is the last of its commit, and its only one: nothing else of that commit comes
 * after the journal has grown. */
static void run_last_frame_grows(journal_world *world)
{
    journal_create(world);
    const uint64_t before = world->store.total_bytes;
    while (world->store.total_bytes == before) {
        journal_commit_well(world, world->model.attempts % 8, 300);
    }
    journal_commit_well(world, 0, 1);
}

static void run_heap_grows(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_grow(world);
    journal_commit_well(world, JOURNAL_FAR, 2);
    journal_commit_well(world, 1, 1);
    journal_checkpoint_well(world);
    journal_commit_well(world, JOURNAL_FAR + 1, 2);
}

/* Dropped before it was committed, twice, once after an empty commit. */
static void run_rollback(journal_world *world)
{
    uint8_t bytes[LOFTI_PAGE_BYTES];
    journal_create(world);
    journal_commit_well(world, 0, 2);
    for (uint32_t i = 0; i < 2; i++) {
        journal_must(lofti_store_begin(&world->store), "begin");
        for (uint32_t page = 0; page < 300; page++) { /* a frame of it is written */
            journal_page_fill(bytes, page, 500 + page);
            journal_must(
                lofti_store_page(&world->store, journal_page_idx(&world->model, page), bytes),
                "page");
        }
        lofti_store_cancel(&world->store);
        journal_must(lofti_store_begin(&world->store), "begin");
        journal_must(lofti_store_commit(&world->store, world->frontier), "empty commit");
        journal_commit_well(world, 1, 2);
    }
}

/* --- The process dies, the machine does not ------------------------------------------------------ */

static void run_restarts(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_commit_well(world, 1, 2);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 2, 1);
    journal_must(journal_restart(world), "restart");
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 0, 1);
    journal_checkpoint_well(world);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 3, 1);
}

/* The journal's copy finds no room behind it: recovery extends the journal. */
static void run_recovery_extends(journal_world *world)
{
    journal_create(world);
    for (uint32_t i = 0; i < 3; i++) {
        journal_commit_well(world, i, 310);
    }
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 0, 4);
}

/* --- Calls fail ------------------------------------------------------------------------------------ */

/* The disk is full in the middle of a commit; there is room again afterwards. */
static void disk_full(journal_world *world, enum fault_action action)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_fail(world, WRITE_CALLS, action, 1, ENOSPC);
    const int code = journal_commit_pages(world, 1, 3);
    expect(code, LOFT_ENOSPC, "commit on a full disk");
    journal_go_well(world);
    journal_commit_well(world, 2, 1);
    journal_commit_well(world, 0, 1);
}

static void run_disk_full(journal_world *world) { disk_full(world, FAULT_FAIL); }
static void run_disk_full_part(journal_world *world) { disk_full(world, FAULT_PART_FAIL); }
static void run_disk_full_late(journal_world *world) { disk_full(world, FAULT_LATE_FAIL); }

/* A commit fails, and the process dies before the next one. */
static void run_disk_full_then_dies(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_fail(world, WRITE_CALLS, FAULT_PART_FAIL, 1, ENOSPC);
    expect(journal_commit_pages(world, 1, 3), LOFT_ENOSPC, "commit on a full disk");
    journal_go_well(world);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 2, 1);
}

/* Applying finds no space; commits go on over half-applied images; then all goes well. */
static void run_checkpoint_full(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_checkpoint_well(world);
    journal_commit_well(world, 1, 3);
    /* The first write is the seal, the second applies. */
    journal_fail(world, WRITE_CALLS, FAULT_PART_FAIL, 2, ENOSPC);
    expect(lofti_store_checkpoint(&world->store), LOFT_EPENDING, "checkpoint on a full disk");
    journal_go_well(world);
    journal_commit_well(world, 0, 2);
    journal_commit_well(world, 2, 1);
    journal_checkpoint_well(world);
    journal_commit_well(world, 0, 1);
}

static void run_checkpoint_full_then_dies(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_checkpoint_well(world);
    journal_commit_well(world, 1, 3);
    journal_fail(world, WRITE_CALLS, FAULT_PART_FAIL, 2, ENOSPC);
    expect(lofti_store_checkpoint(&world->store), LOFT_EPENDING, "checkpoint on a full disk");
    journal_go_well(world);
    journal_commit_well(world, 0, 2);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 2, 1);
}

/* The superblock cannot be written at the end of a checkpoint. */
static void run_super_full(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_fail(world, WRITE_CALLS, FAULT_PART_FAIL, 3, ENOSPC);
    expect(lofti_store_checkpoint(&world->store), LOFT_EPENDING, "checkpoint on a full disk");
    journal_go_well(world);
    journal_commit_well(world, 1, 1);
    journal_checkpoint_well(world);
    journal_commit_well(world, 0, 1);
}

/* A reader holds the checkpoint off. */
static void run_reader(journal_world *world)
{
    intptr_t reader = -1;
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_must(world->ops->open(world->ops, "/arena", LOFTI_OPEN_READ, 0, &reader), "open");
    journal_must(world->ops->lock(world->ops, reader, LOFTI_LOCK_SHARED, LOFTI_STORE_LOCK_READER),
                 "lock");
    expect(lofti_store_checkpoint(&world->store), LOFT_EPENDING, "checkpoint beside a reader");
    journal_commit_well(world, 1, 2);
    expect(journal_restart(world), LOFT_EPENDING, "recovery beside a reader");
    journal_commit_well(world, 0, 1);
    journal_must(world->ops->close(world->ops, reader), "close");
    journal_checkpoint_well(world);
    journal_commit_well(world, 3, 1);
}

/* The flush of a commit fails; the cache shows it to the next process all the same. */
static void run_commit_flush_fails(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_fail(world, SYNC_CALLS, FAULT_FAIL, 1, EIO);
    expect(journal_commit_pages(world, 1, 2), LOFT_EPOISONED, "commit whose flush fails");
    journal_go_well(world);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 2, 1);
    journal_checkpoint_well(world);
    journal_commit_well(world, 0, 1);
}

/* The nth flush of a checkpoint fails: seal, apply, superblock. */
static void checkpoint_flush_fails(journal_world *world, uint64_t n)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_checkpoint_well(world);
    journal_commit_well(world, 1, 2);
    journal_commit_well(world, 0, 1);
    journal_fail(world, SYNC_CALLS, FAULT_FAIL, n, EIO);
    expect(lofti_store_checkpoint(&world->store), LOFT_EPOISONED, "checkpoint whose flush fails");
    journal_go_well(world);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 2, 1);
    journal_checkpoint_well(world);
    journal_commit_well(world, 3, 1);
}

static void run_checkpoint_flush_1(journal_world *world) { checkpoint_flush_fails(world, 1); }
static void run_checkpoint_flush_2(journal_world *world) { checkpoint_flush_fails(world, 2); }
static void run_checkpoint_flush_3(journal_world *world) { checkpoint_flush_fails(world, 3); }

/* The nth flush of a recovery fails: copy, superblock, apply, superblock; the next one goes well. */
static void recovery_flush_fails(journal_world *world, uint64_t n)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_checkpoint_well(world);
    journal_commit_well(world, 1, 2);
    journal_commit_well(world, 0, 1);
    journal_fail(world, SYNC_CALLS, FAULT_FAIL, n, EIO);
    const int code = journal_restart(world);
    journal_must(code == LOFT_EPOISONED ? LOFT_OK : code, "recovery whose flush fails");
    journal_go_well(world);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 2, 1);
    journal_checkpoint_well(world);
    journal_commit_well(world, 3, 1);
}

static void run_recovery_flush_1(journal_world *world) { recovery_flush_fails(world, 1); }
static void run_recovery_flush_2(journal_world *world) { recovery_flush_fails(world, 2); }
static void run_recovery_flush_3(journal_world *world) { recovery_flush_fails(world, 3); }
static void run_recovery_flush_4(journal_world *world) { recovery_flush_fails(world, 4); }
static void run_recovery_flush_5(journal_world *world) { recovery_flush_fails(world, 5); }

/* The flush that makes a longer journal count fails. */
static void run_growth_flush_fails(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 310);
    journal_commit_well(world, 1, 310);
    journal_commit_well(world, 2, 310);
    journal_fail(world, SYNC_CALLS, FAULT_FAIL, 1, EIO);
    expect(journal_commit_pages(world, 3, 310), LOFT_EPOISONED, "commit that extends");
    journal_go_well(world);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 0, 2);
}

/* The first write of a process renews the superblock that it found; its flush fails. */
static void run_renewal_flush_fails(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_checkpoint_well(world);
    journal_must(journal_restart(world), "restart");
    journal_fail(world, SYNC_CALLS, FAULT_FAIL, 1, EIO);
    expect(journal_commit_pages(world, 1, 1), LOFT_EPOISONED, "commit after a restart");
    journal_go_well(world);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 2, 2);
    journal_checkpoint_well(world);
    journal_commit_well(world, 0, 1);
}

/* C2: fewer bytes differ from the newest image than from the base image. */
static void run_shrinking(journal_world *world)
{
    journal_create(world);
    journal_must(journal_commit_version(world, 0, 4), "commit"); /* half the page */
    journal_checkpoint_well(world);
    journal_must(journal_commit_version(world, 0, 3), "commit"); /* 24 bytes, zeros behind */
    journal_must(journal_commit_version(world, 0, 6), "commit"); /* other 24 bytes */
    journal_must(journal_commit_version(world, 1, 3), "commit");
}

/* A commit whose write was answered as failed, and the process dies: it must not be there. */
static void run_failed_then_dies(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    const uint32_t before = world->based_on;
    journal_fail(world, WRITE_CALLS, FAULT_LATE_FAIL, 1, ENOSPC);
    expect(journal_commit_pages(world, 1, 3), LOFT_ENOSPC, "commit on a full disk");
    journal_go_well(world);
    journal_must(journal_restart(world), "restart");
    journal_must(world->based_on == before ? LOFT_OK : LOFT_EINVAL, "a failed commit is there");
    journal_commit_well(world, 2, 1);
}

/* The last of two frames is written, but answered as failed; another commit of the same shape follows. Half
 * of the one and half of the other are none. */
static void run_failed_frames(journal_world *world)
{
    journal_create(world);
    journal_grow(world);
    journal_commit_well(world, 0, 3);
    journal_fail(world, WRITE_CALLS, FAULT_LATE_FAIL, 2, ENOSPC);
    expect(journal_commit_pages(world, 0, 639), LOFT_ENOSPC, "commit on a full disk");
    journal_go_well(world);
    journal_commit_well(world, 0, 639);
}

/* --- Commits without a flush ------------------------------------------------------------------------ */

static void run_async(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 1);
    for (uint32_t i = 0; i < 3; i++) {
        journal_must(journal_commit_async(world, i, 1), "commit");
    }
    journal_must(journal_wait(world), "wait");
    journal_must(journal_commit_async(world, 2, 2), "commit");
    journal_commit_well(world, 0, 1);
}

/* The checkpoint's first flush makes them durable. */
static void run_async_checkpoint(journal_world *world)
{
    journal_create(world);
    for (uint32_t i = 0; i < 3; i++) {
        journal_must(journal_commit_async(world, i % 2, 2), "commit");
    }
    journal_checkpoint_well(world);
    journal_must(journal_commit_async(world, 1, 1), "commit");
    journal_commit_well(world, 3, 1);
}

static void run_async_then_dies(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_must(journal_commit_async(world, 1, 2), "commit");
    journal_must(journal_commit_async(world, 0, 1), "commit");
    journal_must(journal_restart(world), "restart");
    journal_must(journal_commit_async(world, 2, 1), "commit");
    journal_must(journal_wait(world), "wait");
}

static void run_async_flush_fails(journal_world *world)
{
    journal_create(world);
    journal_commit_well(world, 0, 2);
    journal_must(journal_commit_async(world, 1, 2), "commit");
    journal_fail(world, SYNC_CALLS, FAULT_FAIL, 1, EIO);
    expect(journal_wait(world), LOFT_EPOISONED, "wait whose flush fails");
    journal_go_well(world);
    expect(journal_commit_pages(world, 1, 1), LOFT_EPOISONED, "commit after it");
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 2, 1);
}

const journal_script journal_scripts[] = {
    {"first commit", run_first_commit, 1},
    {"several commits", run_several, 1},
    {"back to the base image", run_back_to_base, 1},
    {"checkpoints", run_checkpoints, 1},
    {"long epochs", run_long_epochs, 1},
    {"bulk", run_bulk, 3},
    {"several frames", run_frames, 10},
    {"journal grows", run_journal_grows, 10},
    {"last frame makes the journal grow", run_last_frame_grows, 10},
    {"heap grows", run_heap_grows, 1},
    {"rollback", run_rollback, 2},
    {"restarts", run_restarts, 1},
    {"recovery extends the journal", run_recovery_extends, 25},
    {"disk full", run_disk_full, 1},
    {"disk full half-way", run_disk_full_part, 1},
    {"write done, answered as failed", run_disk_full_late, 1},
    {"disk full, then death", run_disk_full_then_dies, 1},
    {"checkpoint on a full disk", run_checkpoint_full, 1},
    {"the same, then death", run_checkpoint_full_then_dies, 1},
    {"superblock on a full disk", run_super_full, 1},
    {"reader holds off", run_reader, 1},
    {"commit's flush fails", run_commit_flush_fails, 1},
    {"seal's flush fails", run_checkpoint_flush_1, 1},
    {"apply's flush fails", run_checkpoint_flush_2, 1},
    {"rewinding's flush fails", run_checkpoint_flush_3, 1},
    {"recovery's flush 1 fails", run_recovery_flush_1, 1},
    {"recovery's flush 2 fails", run_recovery_flush_2, 1},
    {"recovery's flush 3 fails", run_recovery_flush_3, 1},
    {"recovery's flush 4 fails", run_recovery_flush_4, 1},
    {"recovery's flush 5 fails", run_recovery_flush_5, 1},
    {"growth's flush fails", run_growth_flush_fails, 15},
    {"renewal's flush fails", run_renewal_flush_fails, 1},
    {"shrinking changes", run_shrinking, 1},
    {"failed commit, then death", run_failed_then_dies, 1},
    {"failed commit of several frames", run_failed_frames, 10},
    {"commits without a flush", run_async, 1},
    {"the same, then a checkpoint", run_async_checkpoint, 1},
    {"the same, then death", run_async_then_dies, 1},
    {"the same, and the flush fails", run_async_flush_fails, 1},
    BULK_SCRIPTS(BULK_SCRIPT_ENTRY) REPEAT_SCRIPTS(REPEAT_SCRIPT_ENTRY)
        PUNCH_SCRIPTS(PUNCH_SCRIPT_ENTRY) JOURNAL_LIVES(JOURNAL_LIFE_SCRIPTS)};
const size_t journal_script_count = sizeof journal_scripts / sizeof journal_scripts[0];
