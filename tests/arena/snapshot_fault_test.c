/* Snapshots over file operations that fail, at every call: a documented code with a sentence, nothing left, the
 * source as it was; and killed before and after every call. By copying and by sharing blocks, with and without
 * unnamed files, onto a name that is free and onto one that is not. */
#include <errno.h>

#include "arena/arena_world.h"
#include "base/status.h"
#include "support/fault_fs.h"
#include "support/memory_fs.h"

typedef struct way {
    bool clone, unnamed, replace, anonymous;
} way;

static memory_fs *memory;
static fault_fs *faults;
static way present;
static const char *const path = "/data";
static const char *const target = "/copy";

enum { COMMITTED = 14, OLD_BYTES = 3 };

static void fill(loft_arena *arena)
{
    for (uint64_t i = 1; i <= COMMITTED; i++) {
        list_push(arena, i, 2000);
        if (arena != NULL && i % 3 == 0 && !present.anonymous) {
            LOFT_CHECK_OK(loft_arena_commit(arena));
        }
        if (i == COMMITTED / 2 && !present.anonymous) {
            LOFT_CHECK_OK(loft_arena_checkpoint(arena)); /* base images, and a journal to come */
        }
    }
    if (!present.anonymous) {
        LOFT_CHECK_OK(loft_arena_commit(arena));
    }
}

static loft_arena *world_begin(const way *chosen)
{
    loft_arena *arena = NULL;
    present = *chosen;
    memory = memory_fs_create();
    LOFT_CHECK_NOT_NULL(memory);
    faults = fault_fs_create(memory_fs_ops(memory));
    lofti_file_ops_set(fault_fs_ops(faults));
    LOFT_CHECK_OK(loft_arena_open(present.anonymous ? NULL : path, LOFT_CREATE, NULL, &arena));
    fill(arena);
    memory_fs_set_clone(memory, present.clone);
    memory_fs_set_unnamed(memory, present.unnamed);
    if (present.replace) {
        LOFT_CHECK_EQ_INT(memory_fs_put(memory, target, "old", OLD_BYTES), 0);
    }
    return arena;
}

static void world_end(void)
{
    lofti_file_ops_set(NULL);
    fault_fs_destroy(faults);
    LOFT_CHECK_EQ_UINT(memory_fs_handles(memory), 0);
    memory_fs_destroy(memory);
}

static bool target_is_old(void)
{
    lofti_file file = {0};
    char text[OLD_BYTES + 1] = "";
    lofti_file_info info = {0};
    LOFT_CHECK_EQ_INT(lofti_file_open(target, LOFTI_OPEN_READ, 0, &file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_info_get(&file, &info), 0);
    if (info.bytes == OLD_BYTES) {
        LOFT_CHECK_EQ_INT(lofti_file_read(&file, text, OLD_BYTES, 0), 0);
    }
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    return strcmp(text, "old") == 0;
}

static void check_copy(void)
{
    loft_arena *copy = NULL;
    LOFT_CHECK_OK(loft_file_check(target, NULL, NULL, NULL));
    LOFT_CHECK_OK(loft_arena_open(target, LOFT_RELOCATE, NULL, &copy));
    LOFT_CHECK_EQ_UINT(list_check(copy), COMMITTED);
    check_arena(copy);
    abandon_arena(copy);
}

/* Nothing of the attempt is there: the target as before, no other name. */
static void check_nothing(unsigned files)
{
    LOFT_CHECK_EQ_UINT(memory_fs_files(memory), files);
    if (present.replace) {
        LOFT_CHECK_TRUE(target_is_old());
    } else {
        LOFT_CHECK_FALSE(memory_fs_exists(memory, target));
    }
}

/* Returns whether the plan struck. */
static bool snapshot_under(const way *chosen, const fault_plan *plan)
{
    loft_arena *arena = world_begin(chosen);
    const unsigned flags = chosen->replace ? LOFT_REPLACE : 0;
    const unsigned files = memory_fs_files(memory);
    const unsigned handles = memory_fs_handles(memory);
    const leftovers before = leftovers_before(loft_test_folder());
    fault_fs_set(faults, plan);
    const int code = loft_arena_snapshot(arena, target, flags, NULL, NULL);
    const bool struck = fault_fs_struck(faults) != 0;
    fault_fs_set(faults, NULL);
    leftovers_check(&before);
    LOFT_CHECK_EQ_UINT(memory_fs_handles(memory), handles);
    if (code == LOFT_OK) {
        check_copy();
    } else {
        LOFT_CHECK_TRUE(struck);
        LOFT_CHECK_EQ_INT(code, lofti_status_code(plan->error));
        LOFT_CHECK_CONTAINS(loft_last_error(), "': ");
        /* The one thing that cannot be undone: the folder's flush after a rename. And where nothing works any
         * more, a name cannot be taken back either. */
        if (plan->times == 1 && !(chosen->replace && !target_is_old())) {
            check_nothing(files);
        } else if (memory_fs_exists(memory, target) && !(chosen->replace && target_is_old())) {
            check_copy();
        }
    }
    LOFT_CHECK_EQ_UINT(list_check(arena), COMMITTED);
    check_arena(arena);
    /* It can be done now. */
    if (code != LOFT_OK) {
        LOFT_CHECK_OK(loft_arena_snapshot(arena, target, LOFT_REPLACE, NULL, NULL));
        check_copy();
    }
    list_push(arena, COMMITTED + 1, 100);
    close_arena(arena);
    world_end();
    return struck;
}

static const way ways[] = {
    {false, true, false, false}, {true, true, false, false}, {false, false, true, false},
    {true, false, false, false}, {false, true, true, false}, {false, true, false, true},
};

static void sweep(enum fault_action action, int error, uint64_t times)
{
    fault_plan plan = {.action = action, .times = times, .error = error};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const uint64_t step = loft_test_stride(1, 1, 1);
        plan.first = 1 + loft_test_seed() % step;
        while (snapshot_under(&ways[i], &plan)) {
            plan.first += step;
        }
        LOFT_CHECK_GT_UINT(plan.first, 10);
    }
}

LOFT_TEST(arena_snapshot_faults, an_error_at_any_call)
{
    sweep(FAULT_FAIL, EIO, 1);
    sweep(FAULT_FAIL, ENOSPC, 1);
}

LOFT_TEST(arena_snapshot_faults, a_short_write_or_an_interrupted_call_anywhere)
{
    sweep(FAULT_PART_FAIL, ENOSPC, 1);
    sweep(FAULT_FAIL, EINTR, 1);
    sweep(FAULT_PART, 0, 1);
}

LOFT_TEST(arena_snapshot_faults, errors_from_any_call_on)
{
    sweep(FAULT_FAIL, EIO, UINT64_MAX - 1);
    sweep(FAULT_FAIL, ENOSPC, UINT64_MAX - 1);
}

LOFT_TEST(arena_snapshot_faults, a_disk_that_is_full_half_way)
{
    for (uint64_t more = 0; more < 200; more += 7) {
        loft_arena *arena = world_begin(&ways[0]);
        const uint64_t used = memory_fs_used_blocks(memory);
        memory_fs_set_quota(memory, used + more);
        const int code = loft_arena_snapshot(arena, target, 0, NULL, NULL);
        if (code != LOFT_OK) {
            LOFT_CHECK_ERR(code, LOFT_ENOSPC);
            LOFT_CHECK_CONTAINS(loft_last_error(), "snapshot '/copy'");
            check_nothing(1);
            LOFT_CHECK_EQ_UINT(memory_fs_used_blocks(memory), used);
        } else {
            check_copy();
            LOFT_CHECK_GT_UINT(more, 60);
        }
        memory_fs_set_quota(memory, UINT64_MAX);
        close_arena(arena);
        world_end();
    }
}

/* A journal that was changed on the disk under an open arena: found by the page's hash. */
LOFT_TEST(arena_snapshot_faults, a_source_that_is_damaged_meanwhile)
{
    loft_arena *arena = world_begin(&ways[0]);
    lofti_file file = {0};
    uint64_t refused = 0;
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_EQ_INT(lofti_file_open(path, LOFTI_OPEN_WRITE, 0, &file), 0);
    for (uint64_t off = 64 << 10; off < (64 << 10) + info.journal_bytes; off += 211) {
        uint8_t byte = 0;
        LOFT_CHECK_EQ_INT(lofti_file_read(&file, &byte, 1, off), 0);
        byte ^= 4;
        LOFT_CHECK_EQ_INT(lofti_file_write(&file, &byte, 1, off), 0);
        const int code = loft_arena_snapshot(arena, target, LOFT_REPLACE, NULL, NULL);
        if (code != LOFT_OK) {
            LOFT_CHECK_ERR(code, LOFT_ECORRUPT);
            LOFT_CHECK_CONTAINS(loft_last_error(), "'/data'");
            LOFT_CHECK_EQ_UINT(memory_fs_files(memory), 1);
            refused++;
        } else { /* a record that is not the newest of its page, or padding */
            check_copy();
            LOFT_CHECK_EQ_INT(lofti_file_unlink(file.ops, target), 0);
        }
        byte ^= 4;
        LOFT_CHECK_EQ_INT(lofti_file_write(&file, &byte, 1, off), 0);
    }
    LOFT_CHECK_GT_UINT(refused, 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    close_arena(arena);
    world_end();
}

/* A flush of the arena failed: it can still be saved elsewhere, as of its last commit that returned. */
LOFT_TEST(arena_snapshot_faults, a_poisoned_arena_can_be_saved)
{
    for (size_t i = 0; i < 2; i++) {
        loft_arena *arena = world_begin(&ways[i]);
        const fault_plan plan = {.action = FAULT_FAIL,
                                 .kinds = FAULT_MASK(FAULT_SYNC),
                                 .first = 1,
                                 .times = 1,
                                 .error = EIO};
        fault_fs_set(faults, &plan);
        list_push(arena, COMMITTED + 1, 100);
        LOFT_CHECK_ERR(loft_arena_commit(arena), LOFT_EPOISONED);
        fault_fs_set(faults, NULL);
        LOFT_CHECK_OK(loft_arena_snapshot(arena, target, 0, NULL, NULL));
        check_copy();
        abandon_arena(arena);
        world_end();
    }
}

/* --- Kills ------------------------------------------------------------------------------------------------ */

static void kill_work(void *context)
{
    const way *chosen = context;
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_open(path, 0, NULL, &arena));
    LOFT_CHECK_OK(
        loft_arena_snapshot(arena, target, chosen->replace ? LOFT_REPLACE : 0, NULL, NULL));
    LOFT_CHECK_OK(loft_arena_abandon(arena));
}

/* Files beside source and target that kills have left. */
static unsigned left_over;

static void kill_verify(void *context)
{
    const way *chosen = context;
    memory_fs_forget_handles(memory);
    const bool there = memory_fs_exists(memory, target) && !(chosen->replace && target_is_old());
    if (there) {
        check_copy();
        LOFT_CHECK_EQ_INT(lofti_file_unlink(memory_fs_ops(memory), target), 0);
        if (chosen->replace) {
            LOFT_CHECK_EQ_INT(memory_fs_put(memory, target, "old", OLD_BYTES), 0);
        }
    }
    const unsigned others = memory_fs_files(memory) - (chosen->replace ? 2 : 1);
    if (chosen->unnamed && !chosen->replace) {
        LOFT_CHECK_EQ_UINT(others, 0); /* nothing visible, whenever it was */
    }
    left_over = others;
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_open(path, 0, NULL, &arena));
    LOFT_CHECK_EQ_UINT(list_check(arena), COMMITTED);
    LOFT_CHECK_OK(loft_arena_abandon(arena));
}

static void kill_everywhere(const way *chosen, bool late)
{
    left_over = 0;
    abandon_arena(world_begin(chosen));
    const int64_t kills = fault_kill_sweep(faults, FAULT_MASK_ALL, late, kill_work, kill_verify,
                                           (void *)(uintptr_t)chosen);
    LOFT_CHECK_GT_INT(kills, 10);
    /* Replacing: between the link and the rename, once, there is another name. */
    LOFT_CHECK_LE_UINT(left_over, chosen->unnamed && chosen->replace ? 1 : 0);
    world_end();
}

LOFT_TEST(arena_snapshot_faults, killed_before_any_call)
{
    kill_everywhere(&ways[0], false);
    kill_everywhere(&ways[1], false);
    kill_everywhere(&ways[4], false);
}

LOFT_TEST(arena_snapshot_faults, killed_after_any_call)
{
    kill_everywhere(&ways[0], true);
    kill_everywhere(&ways[4], true);
}
