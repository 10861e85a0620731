/* Every file operation of a store's life fails once, and from then on: the code is the documented one, the
 * previous commit stands, and everything works again afterwards unless a flush failed. */
#include "journal/store_world.h"

#include <errno.h>

#include "base/status.h"
#include "loft/error.h"

static store_world world;

/* What a crash may leave beside `committed`: a commit whose outcome is unknown. */
static uint64_t doubtful[WORLD_PAGES];
static bool in_doubt;
static bool large; /* with a commit that does not fit the journal */

static bool is_documented(int code, const fault_plan *plan)
{
    const int plain = lofti_status_code(plan->error);
    return code == plain || code == LOFT_EPOISONED || code == LOFT_EPENDING;
}

static void commit_under_faults(const fault_plan *plan)
{
    const uint64_t sequence = world.store.sequence;
    const int code = world_commit(&world);
    if (code == LOFT_OK) {
        in_doubt = false;
        return;
    }
    LOFT_CHECK_TRUE(is_documented(code, plan));
    LOFT_CHECK_NE_INT(code, LOFT_EPENDING);
    LOFT_CHECK_CONTAINS(loft_last_error(), "'/store': ");
    LOFT_CHECK_EQ_INT(code == LOFT_EPOISONED, world.store.state == LOFTI_STORE_POISONED);
    LOFT_CHECK_TRUE(world.store.sequence == sequence || code == LOFT_EPOISONED);
    /* Unknown if its flush failed, or if a whole write answered an error and so did breaking it. */
    if (!in_doubt) {
        in_doubt = true;
        memcpy(doubtful, world.working, sizeof doubtful);
    }
}

static void checkpoint_under_faults(const fault_plan *plan)
{
    const int code = lofti_store_checkpoint(&world.store);
    LOFT_CHECK_TRUE(code == LOFT_OK || is_documented(code, plan));
    if (code != LOFT_OK) {
        LOFT_CHECK_TRUE(code == LOFT_EPENDING || code == LOFT_EPOISONED);
        LOFT_CHECK_TRUE(lofti_store_has_journal(&world.store));
    }
}

static bool poisoned(void) { return world.store.state == LOFTI_STORE_POISONED; }

/* A life: small and large commits, growth of the journal, checkpoints. It ends at a failed flush. */
static void live(const fault_plan *plan)
{
    world_set_range(&world, 0, 3, 0x201);
    commit_under_faults(plan);
    world_set_range(&world, 2, 5, 0x302);
    world_set_range(&world, 100, 110, 0x400);
    commit_under_faults(plan);
    if (!poisoned()) {
        checkpoint_under_faults(plan);
    }
    if (!poisoned()) {
        world_set_range(&world, 0, 2, 0x203); /* deltas */
        commit_under_faults(plan);
    }
    if (!poisoned()) {
        world_set_range(&world, 0, 2, 0);
        world_set_range(&world, 200, large ? 1400 : 210, 0x900); /* beyond the journal's end */
        commit_under_faults(plan);
    }
    if (!poisoned()) {
        checkpoint_under_faults(plan);
    }
}

static void check_afterwards(void)
{
    LOFT_CHECK_TRUE(world_matches(&world, world.committed) ||
                    (poisoned() && in_doubt && world_matches(&world, doubtful)));
    if (!poisoned()) {
        /* Nothing is lost: the next commit includes everything. */
        LOFT_CHECK_OK(world_commit(&world));
        in_doubt = false;
        LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        world_check(&world);
        world_check_image(&world);
    }
}

static void scenario(void *context, fault_fs *fs, const fault_plan *plan)
{
    (void)context;
    (void)fs;
    world_end(&world);
    world_begin(&world, false);
    world_open(&world);
    world_set_range(&world, 0, 10, 0x100);
    LOFT_CHECK_OK(world_commit(&world));
    in_doubt = false;
    fault_fs_set(world.fault, plan);
    live(plan);
    const uint64_t struck = fault_fs_struck(world.fault);
    fault_fs_set(world.fault, NULL);
    LOFT_CHECK_TRUE(world_image_matches(&world, world.committed) ||
                    (in_doubt && (poisoned() || plan->action == FAULT_LATE_FAIL) &&
                     world_image_matches(&world, doubtful)));
    check_afterwards();
    fault_fs_set(world.fault, plan); /* for the sweep: was this run struck? */
    if (struck != 0) {
        world.frontier = UINT64_MAX;
    }
}

/* As fault_sweep, over the world's own table. Returns the number of runs that were struck. */
static uint64_t sweep(fault_plan plan)
{
    world_begin(&world, false);
    const uint64_t step = loft_test_stride(1, 1, 1);
    for (plan.first = 1 + loft_test_seed() % step;; plan.first += step) {
        scenario(NULL, world.fault, &plan);
        if (world.frontier != UINT64_MAX) {
            world_end(&world);
            return plan.first - 1;
        }
    }
}

static void sweep_action(enum fault_action action, int error, uint64_t times)
{
    fault_plan plan = {.action = action,
                       .kinds =
                           FAULT_MASK_CHANGES | FAULT_MASK(FAULT_INFO) | FAULT_MASK(FAULT_LOCK),
                       .times = times,
                       .error = error};
    large = true;
    LOFT_CHECK_GT_UINT(sweep(plan), 20);
    large = false; /* every page is read: without the many, a sweep over reads stays short */
    plan.kinds = FAULT_MASK(FAULT_PREAD);
    LOFT_CHECK_GT_UINT(sweep(plan), 20);
}

LOFT_TEST(faults, once_enospc) { sweep_action(FAULT_FAIL, ENOSPC, 1); }
LOFT_TEST(faults, once_eio) { sweep_action(FAULT_FAIL, EIO, 1); }
LOFT_TEST(faults, once_interrupted) { sweep_action(FAULT_FAIL, EINTR, 1); }
LOFT_TEST(faults, once_half_done) { sweep_action(FAULT_PART_FAIL, EIO, 1); }
LOFT_TEST(faults, once_done_and_denied) { sweep_action(FAULT_LATE_FAIL, EIO, 1); }
LOFT_TEST(faults, from_then_on_enospc) { sweep_action(FAULT_FAIL, ENOSPC, UINT64_MAX); }
LOFT_TEST(faults, from_then_on_eio) { sweep_action(FAULT_FAIL, EIO, UINT64_MAX); }
LOFT_TEST(faults, from_then_on_half_done) { sweep_action(FAULT_PART_FAIL, ENOSPC, UINT64_MAX); }
LOFT_TEST(faults, from_then_on_done_and_denied) { sweep_action(FAULT_LATE_FAIL, EIO, UINT64_MAX); }

LOFT_TEST(faults, short_reads_and_writes_change_nothing)
{
    const fault_plan plan = {.action = FAULT_PART, .first = 1, .times = UINT64_MAX, .error = EIO};
    world_begin(&world, false);
    world_open(&world);
    world_set_range(&world, 0, 10, 0x100);
    fault_fs_set(world.fault, &plan);
    LOFT_CHECK_OK(world_commit(&world));
    world_set_range(&world, 0, 600, 0x500);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_check(&world);
    fault_fs_set(world.fault, NULL);
    world_check_image(&world);
    world_end(&world);
}

/* --- Opening under faults ------------------------------------------------------------------------- */

static void prepare_journal(void)
{
    world_begin(&world, false);
    world_open(&world);
    world_set_range(&world, 0, 10, 0x100);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_set_range(&world, 0, 5, 0x102);
    world_set_range(&world, 300, 320, 0x700);
    LOFT_CHECK_OK(world_commit(&world));
    world_close(&world);
}

/* One attempt at opening with recovery; nothing stays open after a failure. */
static bool open_under(const fault_plan *plan, bool writing)
{
    prepare_journal();
    fault_fs_set(world.fault, plan);
    int code = world_open_at(&world, world.path, writing);
    if (code == LOFT_OK && writing) {
        code = lofti_store_recover(&world.store);
    }
    const bool struck = fault_fs_struck(world.fault) != 0;
    fault_fs_set(world.fault, NULL);
    LOFT_CHECK_TRUE(code == LOFT_OK || is_documented(code, plan));
    if (code == LOFT_OK || code == LOFT_EPENDING) {
        world_check(&world);
    }
    world_close(&world);
    LOFT_CHECK_EQ_UINT(memory_fs_handles(world.memory), 0);
    world_check_image(&world);
    world_open(&world);
    world_check(&world);
    world_set_range(&world, 5, 6, 0x900);
    LOFT_CHECK_OK(world_commit(&world));
    world_check_image(&world);
    world_end(&world);
    return struck;
}

static void sweep_open(enum fault_action action, int error, uint64_t times)
{
    fault_plan plan = {.action = action, .times = times, .error = error};
    for (int writing = 0; writing < 2; writing++) {
        const uint64_t step = loft_test_stride(1, 1, 1);
        plan.first = 1 + loft_test_seed() % step;
        while (open_under(&plan, writing != 0)) {
            plan.first += step;
        }
        LOFT_CHECK_GT_UINT(plan.first, 4);
    }
}

LOFT_TEST(faults, opening_once)
{
    sweep_open(FAULT_FAIL, EIO, 1);
    sweep_open(FAULT_FAIL, ENOSPC, 1);
    sweep_open(FAULT_FAIL, EINTR, 1);
    sweep_open(FAULT_PART_FAIL, ENOSPC, 1);
    sweep_open(FAULT_LATE_FAIL, EIO, 1);
}

LOFT_TEST(faults, opening_from_then_on)
{
    sweep_open(FAULT_FAIL, EIO, UINT64_MAX);
    sweep_open(FAULT_FAIL, ENOSPC, UINT64_MAX);
    sweep_open(FAULT_PART_FAIL, ENOSPC, UINT64_MAX);
    sweep_open(FAULT_LATE_FAIL, EIO, UINT64_MAX);
}

/* --- A disk that is full for real ------------------------------------------------------------------- */

/* Every fill level from nothing left to more than enough, through commits and a checkpoint. */
static void fill_level(uint64_t blocks, bool copy_on_write)
{
    world_begin(&world, false);
    memory_fs_set_copy_on_write(world.memory, copy_on_write);
    world_open(&world);
    world_set_range(&world, 0, 10, 0x100);
    LOFT_CHECK_OK(world_commit(&world));
    memory_fs_set_quota(world.memory, memory_fs_used_blocks(world.memory) + blocks);
    for (uint64_t i = 0; i < 3; i++) {
        world_set_range(&world, i * 40, i * 40 + 60, 0x300 + i);
        const int code = world_commit(&world);
        LOFT_CHECK_TRUE(code == LOFT_OK || code == LOFT_ENOSPC);
        const int later = lofti_store_checkpoint(&world.store);
        LOFT_CHECK_TRUE(later == LOFT_OK || later == LOFT_EPENDING);
        world_check(&world);
    }
    memory_fs_set_quota(world.memory, UINT64_MAX);
    world_check_image(&world);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_check_image(&world);
    world_end(&world);
}

LOFT_TEST(faults, a_full_disk_at_every_level)
{
    const uint64_t step = loft_test_stride(1, 1, 1);
    for (uint64_t blocks = loft_test_seed() % step; blocks < 240;
         blocks += blocks < 80 ? step : 16) {
        fill_level(blocks, false);
    }
}

LOFT_TEST(faults, a_full_disk_that_copies_on_write)
{
    const uint64_t step = loft_test_stride(1, 1, 1);
    for (uint64_t blocks = loft_test_seed() % step; blocks < 240;
         blocks += blocks < 40 ? step : 16) {
        fill_level(blocks, true);
    }
}
