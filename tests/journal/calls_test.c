/* Every call that pages in place, copies and checks of a store make to the system fails once, and from then on, and
 * memory is refused to them: the code is a documented one, and what was committed stands. */
#include <errno.h>

#include "base/status.h"
#include "journal/copy.h"
#include "journal/store_world.h"
#include "loft/error.h"
#include "region/fault_map.h"

enum { CALLS_BULK_FIRST = 1020, CALLS_BULK_PAGES = 40 }; /* over the border of two chunks */

static store_world world;

static bool is_documented(int code, int error)
{
    return code == LOFT_OK || code == lofti_status_code(error) || code == LOFT_EPOISONED ||
           code == LOFT_EPENDING;
}

static void set_range(uint64_t first, uint64_t end, uint64_t stamp)
{
    for (uint64_t i = first; i < end; i++) {
        world_set(&world, i, i % 5 == 4 ? 0 : stamp + i % 8 * 256);
    }
}

static int commit_bulk(void)
{
    return world_commit_bulk(&world, CALLS_BULK_FIRST, CALLS_BULK_PAGES);
}

/* A first chunk that is committed, and `pending` commits that are not flushed; the second chunk is new. */
static void begin_bulk(bool pending)
{
    world_begin(&world, false);
    world_open(&world);
    const uint64_t frontier = world.frontier;
    world.frontier = LOFTI_HEAP_OFF + LOFTI_CHUNK_BYTES;
    set_range(0, 10, 0x100);
    LOFT_CHECK_OK(world_commit(&world));
    if (pending) {
        uint8_t content[WORLD_PAGE_BYTES];
        world_set(&world, 3, 0x777);
        world_content(3, 0x777, content);
        LOFT_CHECK_OK(lofti_store_begin(&world.store));
        LOFT_CHECK_OK(lofti_store_page(&world.store, WORLD_FIRST_PAGE + 3, content));
        LOFT_CHECK_OK(lofti_store_commit_unflushed(&world.store, world.frontier));
        memcpy(world.committed, world.working, sizeof world.committed);
    }
    world.frontier = frontier;
}

/* Fails twice in a row, at most; then all goes well. Returns: whether a call was struck. */
static bool bulk_under(const fault_plan *plan, bool pending)
{
    uint64_t doubtful[WORLD_PAGES];
    begin_bulk(pending);
    set_range(0, 2, 0x203);
    set_range(CALLS_BULK_FIRST, CALLS_BULK_FIRST + CALLS_BULK_PAGES, 0x300);
    memcpy(doubtful, world.working, sizeof doubtful);
    fault_fs_set(world.fault, plan);
    int code = commit_bulk();
    LOFT_CHECK_TRUE(is_documented(code, plan->error));
    for (int i = 0; i < 2 && code != LOFT_OK && code != LOFT_EPOISONED; i++) {
        code = commit_bulk(); /* what it left is taken away first, which may fail, too */
        LOFT_CHECK_TRUE(is_documented(code, plan->error));
    }
    const bool struck = fault_fs_struck(world.fault) != 0;
    fault_fs_set(world.fault, NULL);
    if (world.store.state == LOFTI_STORE_POISONED) {
        /* Only opening for change takes away what lies behind the frontier. */
        world_close(&world);
        world_open(&world);
        LOFT_CHECK_TRUE(world_matches(&world, world.committed) || world_matches(&world, doubtful));
    } else {
        LOFT_CHECK_OK(commit_bulk());
        world_check(&world);
        LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        world_check_image(&world);
    }
    world_end(&world);
    return struck;
}

static void sweep_bulk(enum fault_action action, int error, uint64_t times, unsigned kinds)
{
    fault_plan plan = {.action = action, .kinds = kinds, .times = times, .error = error};
    for (int pending = 0; pending < 2; pending++) {
        for (plan.first = 1; bulk_under(&plan, pending != 0); plan.first++) {}
        LOFT_CHECK_GT_UINT(plan.first, 1);
    }
}

LOFT_TEST(calls, pages_in_place_fail_once)
{
    sweep_bulk(FAULT_FAIL, EIO, 1, 0);
    sweep_bulk(FAULT_FAIL, ENOSPC, 1, 0);
    sweep_bulk(FAULT_FAIL, EINTR, 1, 0);
    sweep_bulk(FAULT_PART_FAIL, ENOSPC, 1, 0);
    sweep_bulk(FAULT_LATE_FAIL, EIO, 1, 0);
}

LOFT_TEST(calls, pages_in_place_fail_twice)
{
    sweep_bulk(FAULT_FAIL, ENOSPC, 2, 0);
    sweep_bulk(FAULT_PART_FAIL, EIO, 2, FAULT_MASK_CHANGES);
    sweep_bulk(FAULT_PART_FAIL, EIO, 3, FAULT_MASK_CHANGES);
}

LOFT_TEST(calls, pages_in_place_fail_from_then_on)
{
    sweep_bulk(FAULT_FAIL, EIO, UINT64_MAX, 0);
    sweep_bulk(FAULT_PART_FAIL, ENOSPC, UINT64_MAX, FAULT_MASK_CHANGES);
}

/* --- Without holes --------------------------------------------------------------------------------- */

static void fail_next(enum fault_kind kind, uint64_t first, int error)
{
    const fault_plan plan = {.action = FAULT_PART_FAIL,
                             .kinds = FAULT_MASK(kind),
                             .first = first,
                             .times = 1,
                             .error = error};
    fault_fs_set(world.fault, &plan);
}

/* A bulk commit stops half-way; the file system can neither make holes nor tell them, or one of the two. */
static void clear_without_holes(unsigned kinds, int strike)
{
    begin_bulk(false);
    set_range(CALLS_BULK_FIRST, CALLS_BULK_FIRST + CALLS_BULK_PAGES, 0x300);
    fail_next(FAULT_PWRITE, 1, ENOSPC);
    LOFT_CHECK_ERR(commit_bulk(), LOFT_ENOSPC);
    fault_plan plan = {
        .action = FAULT_FAIL, .kinds = kinds, .first = 1, .times = UINT64_MAX, .error = strike};
    fault_fs_set(world.fault, &plan);
    world_drop(&world);
    set_range(CALLS_BULK_FIRST + 8, CALLS_BULK_FIRST + 9, 0x500);
    LOFT_CHECK_OK(world_commit(&world)); /* it covers the others without a word of them */
    fault_fs_set(world.fault, NULL);
    world_check(&world);
    world_check_image(&world);
    world_end(&world);
}

LOFT_TEST(calls, what_failed_is_cleared_where_there_are_no_holes)
{
    clear_without_holes(FAULT_MASK(FAULT_PUNCH), EOPNOTSUPP);
    clear_without_holes(FAULT_MASK(FAULT_SEEK), EINVAL);
    clear_without_holes(FAULT_MASK(FAULT_PUNCH) | FAULT_MASK(FAULT_SEEK), EOPNOTSUPP);
}

LOFT_TEST(calls, clearing_by_zeros_may_fail_too)
{
    begin_bulk(false);
    set_range(CALLS_BULK_FIRST, CALLS_BULK_FIRST + CALLS_BULK_PAGES, 0x300);
    fail_next(FAULT_PWRITE, 1, ENOSPC);
    LOFT_CHECK_ERR(commit_bulk(), LOFT_ENOSPC);
    const fault_plan plan = {.action = FAULT_FAIL,
                             .kinds = FAULT_MASK(FAULT_PUNCH) | FAULT_MASK(FAULT_PWRITE),
                             .first = 1,
                             .times = 2,
                             .error = EOPNOTSUPP};
    fault_fs_set(world.fault, &plan);
    LOFT_CHECK_ERR(commit_bulk(), LOFT_ENOTSUP);
    fault_fs_set(world.fault, NULL);
    LOFT_CHECK_OK(commit_bulk());
    world_check_image(&world);
    world_end(&world);
}

/* --- Copies and checks -------------------------------------------------------------------------------- */

typedef struct calls_lost {
    uint64_t count, stop_at;
} calls_lost;

static int lose(void *context, uint64_t off, uint64_t bytes, const char *reason)
{
    calls_lost *lost = context;
    (void)off;
    (void)bytes;
    LOFT_CHECK_NOT_NULL(reason);
    return ++lost->count == lost->stop_at ? LOFT_ECANCELED : LOFT_OK;
}

static int hear(void *context, int code, uint64_t off, const char *text)
{
    (void)off;
    LOFT_CHECK_NE_INT(code, LOFT_OK);
    return lose(context, 0, 0, text);
}

/* Base images with a hole in them, a journal of two extents with deltas and whole pages. */
static void begin_copied(void)
{
    world_begin(&world, false);
    world_open(&world);
    set_range(0, 20, 0x100);
    set_range(900, 930, 0x200);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_OK(lofti_log_extend(&world.store, 1));
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    set_range(0, 5, 0x102);
    set_range(1100, 1110, 0x700);
    LOFT_CHECK_OK(world_commit(&world));
}

/* Opens the copy and compares it. */
static void compare_copy(void)
{
    lofti_file file;
    uint8_t want[WORLD_PAGE_BYTES];
    uint8_t got[WORLD_PAGE_BYTES];
    lofti_store store;
    LOFT_CHECK_EQ_INT(lofti_file_open("/copy", LOFTI_OPEN_READ, 0, &file), 0);
    LOFT_CHECK_OK(lofti_store_open(&store, &file, "/copy", false));
    for (uint64_t i = 0; i < WORLD_PAGES; i++) {
        world_content(i, world.committed[i], want);
        LOFT_CHECK_OK(lofti_store_read_page(&store, WORLD_FIRST_PAGE + i, got));
        LOFT_CHECK_EQ_MEM(got, want, sizeof got);
    }
    lofti_store_close(&store);
}

static int copy_into(const lofti_file *to, bool may_clone, calls_lost *lost)
{
    lofti_store view;
    int code = lofti_view_begin(&world.store, &view);
    if (code != LOFT_OK) {
        return code;
    }
    lofti_copy copy = {.to = to,
                       .path = "/copy",
                       .identity = {.base = WORLD_BASE, .salt = 7},
                       .loss = lost != NULL ? lose : NULL,
                       .loss_context = lost,
                       .may_clone = may_clone};
    code = lofti_copy_store(&view, &copy);
    lofti_view_end(&view);
    return code;
}

static bool copy_under(const fault_plan *plan, bool may_clone, calls_lost *lost)
{
    lofti_file to;
    const unsigned flags = LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE | LOFTI_OPEN_TRUNCATE;
    LOFT_CHECK_EQ_INT(lofti_file_open("/copy", flags, 0600, &to), 0);
    fault_fs_set(world.fault, plan);
    const int code = copy_into(&to, may_clone, lost);
    const bool struck = fault_fs_struck(world.fault) != 0;
    fault_fs_set(world.fault, NULL);
    LOFT_CHECK_TRUE(is_documented(code, plan->error) || (lost != NULL && code == LOFT_ECANCELED));
    LOFT_CHECK_EQ_INT(lofti_file_close(&to), 0);
    if (code == LOFT_OK && (lost == NULL || lost->count == 0)) {
        compare_copy();
    }
    return struck;
}

static void sweep_copy(int error, uint64_t times, unsigned kinds, uint64_t stop_at)
{
    for (int way = 0; way < 4; way++) {
        fault_plan plan = {.action = FAULT_FAIL, .kinds = kinds, .times = times, .error = error};
        bool more = true;
        begin_copied();
        for (plan.first = 1; more; plan.first++) {
            calls_lost lost = {.stop_at = stop_at};
            more = copy_under(&plan, way % 2 != 0, way >= 2 ? &lost : NULL);
        }
        world_check(&world); /* whatever happened to the copies */
        world_end(&world);
    }
}

LOFT_TEST(calls, a_copy_fails_at_every_call)
{
    sweep_copy(EIO, 1, 0, 0);
    sweep_copy(EIO, UINT64_MAX, 0, 3);
    sweep_copy(EOPNOTSUPP, 1, 0, 1);
    sweep_copy(EOPNOTSUPP, UINT64_MAX, FAULT_MASK(FAULT_SEEK) | FAULT_MASK(FAULT_PUNCH), 0);
    sweep_copy(EOPNOTSUPP, 2, FAULT_MASK(FAULT_PUNCH) | FAULT_MASK(FAULT_PWRITE), 0);
}

static int check_all(calls_lost *lost)
{
    int code = lofti_check_head(&world.store.file, world.path, hear, lost);
    code = code == LOFT_OK ? lofti_check_journal(&world.store, hear, lost) : code;
    code = code == LOFT_OK ? lofti_check_pages(&world.store, hear, lost) : code;
    return code == LOFT_OK ? lofti_check_data(&world.store, hear, lost) : code;
}

static void sweep_check(int error, uint64_t times, uint64_t stop_at)
{
    fault_plan plan = {.action = FAULT_FAIL, .times = times, .error = error};
    begin_copied();
    world_close(&world);
    LOFT_CHECK_OK(world_open_at(&world, world.path, false));
    bool more = true;
    /* Behind the journal's end every block is read alike. */
    for (plan.first = 1; more; plan.first += plan.first < 100 ? 1 : 41) {
        calls_lost lost = {.stop_at = stop_at};
        fault_fs_set(world.fault, &plan);
        const int code = check_all(&lost);
        more = fault_fs_struck(world.fault) != 0;
        LOFT_CHECK_TRUE(is_documented(code, error) || code == LOFT_ECANCELED);
        LOFT_CHECK_TRUE(more || (code == LOFT_OK && lost.count == 0));
    }
    LOFT_CHECK_GT_UINT(plan.first, 20);
    world_end(&world);
}

LOFT_TEST(calls, a_check_fails_at_every_call)
{
    sweep_check(EIO, 1, 0);
    sweep_check(EIO, UINT64_MAX, 1);
    sweep_check(EIO, UINT64_MAX, 0);
    sweep_check(ENOSPC, 1, 0);
}

/* --- Memory ------------------------------------------------------------------------------------------- */

LOFT_TEST(calls, copies_and_checks_without_memory)
{
    bool struck = true;
    begin_copied();
    for (uint64_t nth = 1; struck; nth++) {
        lofti_file to;
        calls_lost lost = {0};
        LOFT_CHECK_EQ_INT(lofti_file_open("/copy", LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &to),
                          0);
        fault_map_set(FAULT_MAP_MAP, nth, 1, ENOMEM, false);
        int code = copy_into(&to, false, NULL);
        code = code == LOFT_OK ? check_all(&lost) : code;
        struck = fault_map_clear() != 0;
        LOFT_CHECK_EQ_INT(code, struck ? LOFT_ENOMEM : LOFT_OK);
        LOFT_CHECK_EQ_INT(lofti_file_close(&to), 0);
    }
    compare_copy();
    world_end(&world);
}
