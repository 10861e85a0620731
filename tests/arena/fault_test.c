/* An arena over file operations that fail: creating, committing, rolling back, closing, opening. Every failure
 * is a documented code with a sentence, leaves nothing behind, and loses nothing that was committed. */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "arena/table_model.h"
#include "base/status.h"
#include "support/fault_fs.h"
#include "support/memory_fs.h"

static memory_fs *memory;
static fault_fs *faults;
static const char *const path = "/data";

static void world_begin(void)
{
    memory = memory_fs_create();
    LOFT_CHECK_NOT_NULL(memory);
    faults = fault_fs_create(memory_fs_ops(memory));
    lofti_file_ops_set(fault_fs_ops(faults));
}

static void world_end(void)
{
    lofti_file_ops_set(NULL);
    fault_fs_destroy(faults);
    LOFT_CHECK_EQ_UINT(memory_fs_handles(memory), 0);
    memory_fs_destroy(memory);
}

static bool is_documented(int code, const fault_plan *plan)
{
    return code == lofti_status_code(plan->error) || code == LOFT_EPOISONED ||
           code == LOFT_EPENDING;
}

/* The next operation is numbered from here on. Returns whether the plan struck since it was set. */
static void faults_on(const fault_plan *plan) { fault_fs_set(faults, plan); }
static bool faults_off(void)
{
    const bool struck = fault_fs_struck(faults) != 0;
    fault_fs_set(faults, NULL);
    return struck;
}

static bool create_under(const fault_plan *plan)
{
    loft_arena *arena = NULL;
    world_begin();
    memory_fs_set_unnamed(memory, plan->times % 2 == 0); /* by a temporary name, too */
    faults_on(plan);
    const leftovers before = leftovers_before(loft_test_folder());
    const int code = loft_arena_open(path, LOFT_CREATE | LOFT_EXCLUSIVE, NULL, &arena);
    const bool struck = faults_off();
    if (code == LOFT_OK) {
        table_change(arena, table_of(arena), 1);
        close_arena(arena);
        LOFT_CHECK_EQ_UINT(memory_fs_files(memory), 1);
    } else {
        LOFT_CHECK_TRUE(is_documented(code, plan));
        LOFT_CHECK_NULL(arena);
        LOFT_CHECK_CONTAINS(loft_last_error(), "'/data': ");
        LOFT_CHECK_EQ_UINT(memory_fs_handles(memory), 0);
        leftovers_check(&before);
        if (plan->times == 1 && plan->action != FAULT_LATE_FAIL) { /* unlink works again */
            LOFT_CHECK_EQ_UINT(memory_fs_files(memory), 0);
        }
        memory_fs_set_unnamed(memory, true);
        LOFT_CHECK_FALSE(plan->times == 1 && memory_fs_exists(memory, path));
    }
    world_end();
    return struck;
}

static void sweep(bool (*scenario)(const fault_plan *plan), enum fault_action action, int error,
                  uint64_t times)
{
    fault_plan plan = {.action = action, .times = times, .error = error};
    const uint64_t step = loft_test_stride(1, 1, 1);
    for (plan.first = 1 + loft_test_seed() % step; scenario(&plan); plan.first += step) {}
    LOFT_CHECK_GT_UINT(plan.first, 8);
}

static void sweep_all(bool (*scenario)(const fault_plan *plan))
{
    sweep(scenario, FAULT_FAIL, EIO, 1);
    sweep(scenario, FAULT_FAIL, ENOSPC, 1);
    sweep(scenario, FAULT_FAIL, EINTR, 1);
    sweep(scenario, FAULT_PART_FAIL, ENOSPC, 1);
    sweep(scenario, FAULT_FAIL, EIO, UINT64_MAX - 1);
    sweep(scenario, FAULT_FAIL, ENOSPC, UINT64_MAX - 1);
}

LOFT_TEST(arena_faults, creating)
{
    close_arena(open_arena(NULL, 0)); /* warms up */
    sweep_all(create_under);
}

static table_model committed, working;

static loft_arena *prepare(uint64_t journal_limit_bytes)
{
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    loft_arena *arena = NULL;
    options.journal_limit_bytes = journal_limit_bytes;
    world_begin();
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_CREATE, &options, &arena));
    committed = (table_model){0};
    for (int i = 0; i < 12; i++) {
        table_change(arena, table_of(arena), 5);
        table_model_change(&committed, 5);
    }
    LOFT_CHECK_OK(loft_arena_commit(arena));
    working = committed;
    return arena;
}

static void change(loft_arena *arena)
{
    table_change(arena, table_of(arena), 6);
    table_model_change(&working, 6);
}

/* Opened anew it is as one of the two models says; then it works. */
static void check_reopened(bool either)
{
    loft_arena *arena = open_arena(path, LOFT_WRITE);
    const bool newer = table_commit(arena) == working.commit;
    LOFT_CHECK_TRUE(either || !newer || working.commit == committed.commit);
    table_check(arena, newer ? &working : &committed);
    table_model model = newer ? working : committed;
    table_change(arena, table_of(arena), 7);
    table_model_change(&model, 7);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    table_check(arena, &model);
    close_arena(arena);
}

static bool commit_under(const fault_plan *plan)
{
    loft_arena *arena = prepare(plan->first % 2 == 0 ? 4096 : 0); /* half of them checkpoint */
    bool poisoned = false;
    change(arena);
    faults_on(plan);
    int code = LOFT_OK;
    for (int i = 0; i < 3 && !poisoned; i++) {
        code = loft_arena_commit(arena);
        LOFT_CHECK_TRUE(code == LOFT_OK || is_documented(code, plan));
        poisoned = code == LOFT_EPOISONED;
        if (code == LOFT_OK || code == LOFT_EPENDING) {
            committed = working;
        }
        if (i < 2 && !poisoned) {
            change(arena);
        }
    }
    const bool struck = faults_off();
    table_check(arena, &working); /* memory is intact whatever failed */
    if (poisoned) {
        LOFT_CHECK_ERR(loft_arena_commit(arena), LOFT_EPOISONED);
        LOFT_CHECK_ERR(loft_arena_rollback(arena), LOFT_EPOISONED);
        LOFT_CHECK_ERR(loft_arena_checkpoint(arena), LOFT_EPOISONED);
        LOFT_CHECK_ERR(loft_arena_close(arena), LOFT_EPOISONED);
        table_check(arena, &working);
    } else {
        LOFT_CHECK_OK(loft_arena_commit(arena)); /* includes everything */
        committed = working;
    }
    abandon_arena(arena);
    check_reopened(poisoned);
    world_end();
    return struck;
}

LOFT_TEST(arena_faults, committing) { sweep_all(commit_under); }

static bool close_under(const fault_plan *plan)
{
    loft_arena *arena = prepare(0);
    change(arena);
    faults_on(plan);
    const int code = loft_arena_close(arena);
    const bool struck = faults_off();
    LOFT_CHECK_TRUE(code == LOFT_OK || is_documented(code, plan));
    if (code == LOFT_OK || code == LOFT_EPENDING) {
        committed = working;
        LOFT_CHECK_EQ_UINT(memory_fs_handles(memory), 0);
    } else { /* still open: retry or abandon */
        table_check(arena, &working);
        if (code == LOFT_EPOISONED) {
            LOFT_CHECK_ERR(loft_arena_close(arena), LOFT_EPOISONED);
            abandon_arena(arena);
        } else {
            close_arena(arena);
            committed = working;
        }
    }
    check_reopened(code == LOFT_EPOISONED);
    world_end();
    return struck;
}

LOFT_TEST(arena_faults, closing) { sweep_all(close_under); }

static bool roll_back_under(const fault_plan *plan)
{
    loft_arena *arena = prepare(0);
    change(arena);
    change(arena);
    faults_on(plan);
    const int code = loft_arena_rollback(arena);
    const bool struck = faults_off();
    if (code == LOFT_OK) {
        working = committed;
        table_check(arena, &committed);
        close_arena(arena);
    } else { /* some pages are old, some new: it must never be committed */
        LOFT_CHECK_EQ_INT(code, lofti_status_code(plan->error));
        LOFT_CHECK_ERR(loft_arena_commit(arena), LOFT_EPOISONED);
        abandon_arena(arena);
        working = committed;
    }
    check_reopened(false);
    world_end();
    return struck;
}

LOFT_TEST(arena_faults, rolling_back)
{
    fault_plan plan = {.action = FAULT_FAIL, .times = 1, .error = EIO};
    const uint64_t step = loft_test_stride(1, 1, 1);
    for (plan.first = 1 + loft_test_seed() % step; roll_back_under(&plan); plan.first += step) {}
    LOFT_CHECK_GT_UINT(plan.first, 3);
}

static bool open_under(const fault_plan *plan)
{
    loft_arena *arena = prepare(0);
    change(arena);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    committed = working;
    abandon_arena(arena); /* with a journal: opening recovers */
    const bool writing = plan->first % 2 == 0;
    const leftovers before = leftovers_before(loft_test_folder());
    fault_plan own = *plan;
    own.first = (plan->first + 1) / 2; /* each point for reading and for writing */
    faults_on(&own);
    arena = NULL;
    const int code = loft_arena_open(path, writing ? LOFT_WRITE : 0, NULL, &arena);
    const bool struck = faults_off();
    if (code == LOFT_OK) {
        table_check(arena, &committed);
        abandon_arena(arena);
    } else {
        LOFT_CHECK_TRUE(is_documented(code, plan));
        LOFT_CHECK_NULL(arena);
        LOFT_CHECK_CONTAINS(loft_last_error(), "'/data': ");
    }
    leftovers_check(&before);
    LOFT_CHECK_EQ_UINT(memory_fs_handles(memory), 0);
    check_reopened(false);
    world_end();
    return struck || (!writing && plan->first < 200);
}

LOFT_TEST(arena_faults, opening) { sweep_all(open_under); }

/* --- Disks that are full ---------------------------------------------------------------------------- */

LOFT_TEST(arena_faults, a_disk_that_is_full_at_any_moment)
{
    for (uint64_t blocks = 0; blocks < 130; blocks += blocks < 100 ? 3 : 10) {
        loft_arena *arena = NULL;
        world_begin();
        memory_fs_set_quota(memory, blocks);
        const int code = loft_arena_open(path, LOFT_CREATE, NULL, &arena);
        if (code != LOFT_OK) {
            LOFT_CHECK_ERR(code, LOFT_ENOSPC);
            LOFT_CHECK_CONTAINS(loft_last_error(), "No space left");
            LOFT_CHECK_EQ_UINT(memory_fs_files(memory), 0);
            LOFT_CHECK_EQ_UINT(memory_fs_used_blocks(memory), 0);
            world_end();
            continue;
        }
        committed = working = (table_model){0};
        for (int i = 0; i < 20; i++) {
            change(arena);
            const int commit_code = loft_arena_commit(arena);
            LOFT_CHECK_TRUE(commit_code == LOFT_OK || commit_code == LOFT_ENOSPC);
            if (commit_code == LOFT_OK) {
                committed = working;
            }
        }
        table_check(arena, &working);
        memory_fs_set_quota(memory, UINT64_MAX);
        if (blocks % 2 == 0) {
            close_arena(arena); /* works again once there is space */
            committed = working;
        } else {
            abandon_arena(arena);
        }
        check_reopened(false);
        world_end();
    }
}

typedef struct limited {
    const char *path;
    rlim_t bytes;
} limited;

static void grow_against_a_limit(void *arg)
{
    const limited *own = arg;
    const struct rlimit limit = {own->bytes, own->bytes};
    loft_arena *arena = NULL;
    LOFT_CHECK_SYS(setrlimit(RLIMIT_FSIZE, &limit));
    const int code = loft_arena_open(own->path, LOFT_CREATE, NULL, &arena);
    if (code != LOFT_OK) {
        LOFT_CHECK_ERR(code, LOFT_ENOSPC);
        LOFT_CHECK_CONTAINS(loft_last_error(), "File too large");
        LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
        return;
    }
    uint64_t count = 0;
    int last = LOFT_OK;
    for (uint64_t i = 0; i < 10; i++) {
        list_push(arena, i, 3 << 20);
        last = loft_arena_commit(arena);
        LOFT_CHECK_TRUE(last == LOFT_OK || last == LOFT_ENOSPC);
        count = last == LOFT_OK ? i + 1 : count;
    }
    LOFT_CHECK_EQ_INT(last, LOFT_ENOSPC);
    LOFT_CHECK_EQ_UINT(list_check(arena), 10);
    abandon_arena(arena);
    arena = open_arena(own->path, 0);
    LOFT_CHECK_EQ_UINT(list_check(arena), count);
    check_arena(arena);
    close_arena(arena);
}

/* The system would kill the process by SIGXFSZ; the answer must be a code all the same. */
LOFT_TEST(arena_faults, a_limit_on_the_size_of_files)
{
    const rlim_t limits[] = {4096, 1 << 20, 4 << 20, 8 << 20, 14 << 20};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        char name[16] = "data0";
        name[4] = (char)('0' + i);
        limited own = {loft_test_tmp_path(name), limits[i]};
        loft_test_child child;
        loft_test_run_child(grow_against_a_limit, &own, &child);
        LOFT_CHECK_EQ_STR(child.output, "");
        LOFT_CHECK_EQ_INT(child.signal, 0);
        LOFT_CHECK_EQ_INT(child.exit_code, 0);
    }
}
