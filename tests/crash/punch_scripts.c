/* See punch_scripts.h. */
#include "crash/punch_scripts.h"

#include <errno.h>

#include "loft/error.h"

/* Pages 0 to PUNCH_FIRST - 1 stay in use. */
enum { PUNCH_FIRST = 4, PUNCH_PAGES = 16 };

static void must_be(int code, int want, const char *what)
{
    journal_must(code == want ? LOFT_OK : LOFT_EINVAL, what);
}

/* Pages with content in their base images are nobody's, and the journal is empty: holes may be made. */
static void free_pages(journal_world *world)
{
    journal_create(world);
    journal_must(journal_commit_whole(world, 0, PUNCH_FIRST + PUNCH_PAGES), "commit");
    journal_checkpoint_well(world);
    journal_commit_free(world, PUNCH_FIRST, PUNCH_PAGES);
    journal_checkpoint_well(world);
}

/* The holes alone: the flush that follows is the caller's. Returns: the code. */
static int punch_unflushed(journal_world *world)
{
    const uint64_t off = journal_page_idx(&world->model, PUNCH_FIRST) * LOFTI_PAGE_BYTES;
    return lofti_store_punch(&world->store, off, (uint64_t)PUNCH_PAGES * LOFTI_PAGE_BYTES);
}

static void punch_pages(journal_world *world)
{
    journal_must(journal_punch(world, PUNCH_FIRST, PUNCH_PAGES), "punch");
}

/* A few bytes in a page of zeros, half a page, all of a page, the first one back to zeros: one commit each. */
static void use_again(journal_world *world)
{
    for (uint32_t i = 0; i < 3; i++) {
        journal_must(journal_commit_version(world, PUNCH_FIRST + i, 300 + i), "commit");
    }
    journal_must(journal_commit_version(world, PUNCH_FIRST, 0), "commit");
}

/* Used again: deltas against zeros, and zeros. */
void punch_script_used(journal_world *world)
{
    free_pages(world);
    punch_pages(world);
    journal_must(journal_commit_version(world, PUNCH_FIRST, 303), "commit");
    journal_must(journal_commit_version(world, PUNCH_FIRST, 304), "commit");
    journal_must(journal_commit_version(world, PUNCH_FIRST, 0), "commit");
    journal_checkpoint_well(world);
    journal_commit_well(world, 1, 1);
}

void punch_script_dies(journal_world *world)
{
    free_pages(world);
    punch_pages(world);
    journal_must(journal_restart(world), "restart");
    journal_must(journal_commit_version(world, PUNCH_FIRST + 2, 306), "commit");
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 0, 1);
}

/* Whether the holes are there then is not known; docs/durability.md says what is assumed of them. */
void punch_script_flush(journal_world *world)
{
    journal_create(world);
    journal_must(journal_commit_whole(world, 0, PUNCH_FIRST + PUNCH_PAGES), "commit");
    journal_commit_free(world, PUNCH_FIRST, PUNCH_PAGES);
    journal_checkpoint_well(world);
    journal_fail(world, FAULT_MASK(FAULT_SYNC), FAULT_FAIL, 1, EIO);
    must_be(journal_punch(world, PUNCH_FIRST, PUNCH_PAGES), LOFT_EPOISONED, "flush of the holes");
    journal_go_well(world);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, 0, 1);
    journal_checkpoint_well(world);
    journal_commit_well(world, 0, 1);
}

/* The next handle's deltas are against zeros that its device may not have yet. */
void punch_script_unflushed(journal_world *world)
{
    free_pages(world);
    must_be(punch_unflushed(world), 0, "punch");
    journal_must(journal_restart(world), "restart");
    use_again(world);
    journal_checkpoint_well(world);
    journal_commit_well(world, 1, 1);
}

/* It cannot apply, so it has recovery's copy of such deltas, too. */
void punch_script_reader(journal_world *world)
{
    intptr_t reader = -1;
    free_pages(world);
    must_be(punch_unflushed(world), 0, "punch");
    journal_must(world->ops->open(world->ops, "/arena", LOFTI_OPEN_READ, 0, &reader), "open");
    journal_must(world->ops->lock(world->ops, reader, LOFTI_LOCK_SHARED, LOFTI_STORE_LOCK_READER),
                 "lock");
    journal_must(journal_restart(world), "restart with an empty journal");
    journal_must(journal_commit_version(world, PUNCH_FIRST, 303), "commit");
    must_be(journal_restart(world), LOFT_EPENDING, "recovery beside a reader");
    journal_must(journal_commit_version(world, PUNCH_FIRST, 306), "commit");
    journal_must(world->ops->close(world->ops, reader), "close");
    journal_checkpoint_well(world);
}

/* What was begun over the holes is dropped, a frame of it written. */
void punch_script_rollback(journal_world *world)
{
    uint8_t bytes[LOFTI_PAGE_BYTES];
    free_pages(world);
    punch_pages(world);
    journal_must(lofti_store_begin(&world->store), "begin");
    for (uint32_t page = 0; page < 300; page++) {
        journal_page_fill(bytes, page, 500 + page);
        journal_must(lofti_store_page(&world->store, journal_page_idx(&world->model, page), bytes),
                     "page");
    }
    lofti_store_cancel(&world->store);
    use_again(world);
    journal_must(journal_restart(world), "restart");
    journal_commit_well(world, PUNCH_FIRST, 2);
}

static void fill_disk(journal_world *world)
{
    free_pages(world);
    punch_pages(world);
    journal_fail(world, FAULT_MASK(FAULT_PWRITE), FAULT_PART_FAIL, 1, ENOSPC);
    must_be(journal_commit_pages(world, PUNCH_FIRST, 4), LOFT_ENOSPC, "commit on a full disk");
    journal_go_well(world);
}

void punch_script_full(journal_world *world)
{
    fill_disk(world);
    use_again(world);
    journal_checkpoint_well(world);
}

void punch_script_full_dies(journal_world *world)
{
    fill_disk(world);
    journal_must(journal_restart(world), "restart");
    use_again(world);
}

void punch_script_async(journal_world *world)
{
    free_pages(world);
    punch_pages(world);
    for (uint32_t i = 0; i < 3; i++) {
        journal_must(journal_commit_async(world, PUNCH_FIRST + i, 2), "commit");
    }
    journal_must(journal_wait(world), "wait");
    journal_must(journal_commit_async(world, PUNCH_FIRST, 1), "commit");
    journal_checkpoint_well(world);
    journal_commit_well(world, PUNCH_FIRST + 1, 1);
}

/* The pages before the frontier are holes, those behind it go to their places, in one commit. */
void punch_script_grows(journal_world *world)
{
    const uint32_t first = JOURNAL_FAR - 6;
    journal_create(world);
    journal_must(journal_commit_whole(world, 0, 2), "commit");
    journal_must(journal_commit_whole(world, first, 6), "commit");
    journal_checkpoint_well(world);
    journal_commit_free(world, first, 6);
    journal_checkpoint_well(world);
    must_be(journal_punch(world, first, 6), LOFT_OK, "punch");
    journal_grow(world);
    journal_must(journal_commit_bulk(world, first, 12), "bulk commit");
    journal_commit_well(world, first + 4, 4);
    journal_checkpoint_well(world);
    journal_commit_well(world, first, 1);
}

/* The journal is written from its beginning, and beyond its old end, by commits that use the pages again. */
void punch_script_wraps(journal_world *world)
{
    free_pages(world);
    punch_pages(world);
    const uint64_t before = world->store.total_bytes;
    use_again(world);
    while (world->store.total_bytes == before) {
        journal_must(journal_commit_whole(world, PUNCH_FIRST - 2, 290), "commit");
    }
    journal_checkpoint_well(world);
    journal_commit_well(world, PUNCH_FIRST, 2);
}

void punch_script_epochs(journal_world *world)
{
    free_pages(world);
    for (uint32_t epoch = 0; epoch < 3; epoch++) {
        punch_pages(world);
        journal_must(journal_commit_whole(world, PUNCH_FIRST, 3), "commit");
        journal_checkpoint_well(world);
        journal_commit_free(world, PUNCH_FIRST, PUNCH_PAGES);
        journal_checkpoint_well(world);
    }
    journal_commit_well(world, PUNCH_FIRST, 1);
}

/* Some of it may be done: the flush is due all the same. */
void punch_script_fails(journal_world *world)
{
    free_pages(world);
    journal_fail(world, FAULT_MASK(FAULT_PUNCH), FAULT_LATE_FAIL, 1, EIO);
    must_be(punch_unflushed(world), -EIO, "a hole");
    journal_go_well(world);
    journal_must(lofti_store_punched(&world->store), "flush");
    use_again(world);
    journal_checkpoint_well(world);
}
