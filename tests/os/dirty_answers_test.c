/* What is made of a scan's answers, right and wrong: from a table that answers what the test has
 * written down, on addresses that are never touched. Whatever goes wrong, the rest of the range
 * counts as private. */
#include <errno.h>
#include <sys/resource.h>

#include "os/dirty.h"
#include "os/map.h"
#include "support/test.h"

#define PAGE  ((uint64_t)4096)
#define START ((uint64_t)1 << 40)

enum { ANSWERS_MAX = 8, RUNS_MAX = 4 };

/* One answer of the table; pages are counted from START. */
typedef struct answer {
    int count; /* what scan returns */
    uint64_t runs[RUNS_MAX][2];
    uint64_t walked;
} answer;

static answer answers[ANSWERS_MAX];
static unsigned answers_used, opened, closed;
static int open_result;

static int fake_open(intptr_t *handle)
{
    *handle = 5;
    opened += open_result == 0;
    return open_result;
}

static void fake_close(intptr_t handle)
{
    LOFT_CHECK_EQ_INT(handle, 5);
    closed++;
}

static int fake_scan(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                     uint32_t count, uint64_t *walked)
{
    LOFT_CHECK_EQ_INT(handle, 5);
    LOFT_CHECK_LT_UINT(start, end);
    LOFT_CHECK_GE_UINT(count, RUNS_MAX);
    LOFT_CHECK_LT_UINT(answers_used, ANSWERS_MAX);
    const answer *own = &answers[answers_used++];
    for (int i = 0; i < own->count && i < RUNS_MAX; i++) {
        runs[i].start = START + own->runs[i][0] * PAGE;
        runs[i].end = START + own->runs[i][1] * PAGE;
    }
    *walked = START + own->walked * PAGE;
    return own->count;
}

static const lofti_dirty_ops fake = {fake_open, fake_scan, fake_close};

/* The runs reported for the last question, in pages from START. */
static uint64_t reported[8][2];
static unsigned reported_count;
static int stop_at_run; /* fn answers 42 then */

static int collect(void *context, void *start, size_t bytes)
{
    LOFT_CHECK_EQ_PTR(context, &fake);
    LOFT_CHECK_LT_UINT(reported_count, 8);
    const uint64_t at = (uint64_t)(uintptr_t)start;
    reported[reported_count][0] = (at - START) / PAGE;
    reported[reported_count][1] = (at + bytes - START) / PAGE;
    reported_count++;
    return (int)reported_count == stop_at_run ? 42 : 0;
}

/* Asks about 100 pages and checks the runs: pairs, as many as `count`. */
static void check_runs(unsigned count, const uint64_t (*want)[2])
{
    answers_used = opened = closed = reported_count = 0;
    LOFT_CHECK_EQ_INT(lofti_dirty_private_by(&fake, (void *)(uintptr_t)START, 100 * PAGE, collect,
                                             (void *)(uintptr_t)&fake),
                      stop_at_run != 0 ? 42 : 0);
    LOFT_CHECK_EQ_UINT(opened, closed);
    LOFT_CHECK_EQ_UINT(reported_count, count);
    for (unsigned i = 0; i < count; i++) {
        LOFT_CHECK_EQ_UINT(reported[i][0], want[i][0]);
        LOFT_CHECK_EQ_UINT(reported[i][1], want[i][1]);
    }
}

LOFT_TEST(os_dirty_answers, runs_that_touch_are_joined_across_portions)
{
    answers[0] = (answer){3, {{1, 2}, {2, 3}, {9, 10}}, 10};
    answers[1] = (answer){0, {{0}}, 11};
    answers[2] = (answer){2, {{11, 12}, {20, 40}}, 40};
    answers[3] = (answer){1, {{40, 100}}, 100};
    check_runs(4, (const uint64_t[][2]){{1, 3}, {9, 10}, {11, 12}, {20, 100}});
    answers[0] = (answer){0, {{0}}, 100};
    check_runs(0, NULL);
    answers[0] = (answer){1, {{0, 100}}, 100};
    check_runs(1, (const uint64_t[][2]){{0, 100}});
}

LOFT_TEST(os_dirty_answers, an_error_makes_the_rest_private)
{
    answers[0] = (answer){-EINVAL, {{0}}, 0};
    check_runs(1, (const uint64_t[][2]){{0, 100}});
    answers[0] = (answer){1, {{3, 5}}, 50};
    answers[1] = (answer){-EFAULT, {{0}}, 100};
    check_runs(2, (const uint64_t[][2]){{3, 5}, {50, 100}});
    LOFT_CHECK_EQ_UINT(answers_used, 2); /* and is not tried again */
    answers[0] = (answer){1, {{3, 50}}, 50};
    check_runs(1, (const uint64_t[][2]){{3, 100}});
}

LOFT_TEST(os_dirty_answers, what_cannot_be_opened_is_all_private)
{
    open_result = -EMFILE;
    check_runs(1, (const uint64_t[][2]){{0, 100}});
    LOFT_CHECK_EQ_UINT(answers_used, 0);
}

LOFT_TEST(os_dirty_answers, impossible_answers_are_errors)
{
    static const answer impossible[] = {
        {0, {{0}}, 0},                   /* no progress */
        {0, {{0}}, 101},                 /* walked past the end */
        {1000, {{0}}, 100},              /* more runs than there is room */
        {1, {{5, 5}}, 100},              /* an empty run */
        {1, {{6, 5}}, 100},              /* a run backwards */
        {1, {{5, 7}}, 6},                /* a run past what was walked */
        {2, {{5, 7}, {6, 8}}, 100},      /* runs that overlap */
        {2, {{5, 7}, {1, 2}}, 100},      /* runs that fall */
        {1, {{(uint64_t)0 - 1, 7}}, 100} /* a run from before the range */
    };
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++) {
        answers[0] = impossible[i];
        check_runs(1, (const uint64_t[][2]){{0, 100}});
        answers[0] = (answer){1, {{0, 1}}, 4};
        answers[1] = impossible[i];
        if (i == 5) {
            answers[1].walked = 6;
        }
        check_runs(2, (const uint64_t[][2]){{0, 1}, {4, 100}});
    }
}

LOFT_TEST(os_dirty_answers, the_callers_answer_stops_the_scan)
{
    answers[0] = (answer){3, {{1, 2}, {4, 5}, {7, 8}}, 10};
    answers[1] = (answer){1, {{20, 30}}, 100};
    stop_at_run = 2;
    check_runs(2, (const uint64_t[][2]){{1, 2}, {4, 5}});
    LOFT_CHECK_EQ_UINT(answers_used, 1);
    stop_at_run = 4; /* the last one, told after the scan */
    check_runs(4, (const uint64_t[][2]){{1, 2}, {4, 5}, {7, 8}, {20, 30}});
}

LOFT_TEST(os_dirty_answers, an_empty_range_asks_nobody)
{
    reported_count = 0;
    LOFT_CHECK_EQ_INT(lofti_dirty_private_by(&fake, (void *)(uintptr_t)START, 0, collect, NULL), 0);
    LOFT_CHECK_EQ_UINT(opened, 0);
    LOFT_CHECK_EQ_UINT(reported_count, 0);
}

LOFT_TEST(os_dirty_answers, a_forced_way_is_used_until_it_is_taken_back)
{
    const lofti_dirty_ops *own = lofti_dirty_ops_current();
    lofti_dirty_force(&fake);
    LOFT_CHECK_EQ_PTR(lofti_dirty_ops_current(), &fake);
    answers[0] = (answer){1, {{3, 4}}, 10};
    LOFT_CHECK_EQ_INT(
        lofti_dirty_private((void *)(uintptr_t)START, 10 * PAGE, collect, (void *)(uintptr_t)&fake),
        0);
    LOFT_CHECK_EQ_UINT(reported_count, 1);
    lofti_dirty_force(NULL);
    LOFT_CHECK_EQ_PTR(lofti_dirty_ops_current(), own);
}

/* The systems' own ways, asked for what they cannot answer. */
LOFT_TEST(os_dirty_answers, the_systems_errors_are_errors)
{
    lofti_dirty_run run;
    uint64_t walked = START;
    const lofti_dirty_ops *const ways[] = {lofti_dirty_ops_scan(), lofti_dirty_ops_pagemap()};
    for (int i = 0; i < 2; i++) {
        const int rc = ways[i]->scan(-1, START, START + PAGE, &run, 1, &walked);
        LOFT_CHECK_TRUE(rc == -EBADF || (rc == -ENOSYS && loft_test_on_qemu()));
        /* Beyond every address. */
        reported_count = 0;
        const uint64_t beyond = (uint64_t)1 << 60;
        LOFT_CHECK_EQ_INT(lofti_dirty_private_by(ways[i], (void *)(uintptr_t)beyond, PAGE, collect,
                                                 (void *)(uintptr_t)&fake),
                          0);
        LOFT_CHECK_EQ_UINT(reported_count, 1);
        LOFT_CHECK_EQ_UINT(reported[0][1] - reported[0][0], 1);
    }
}

/* --- The self-test: ways that work but for one thing -------------------------------------- */

static unsigned fault; /* which */
enum { FAULT_NONE, FAULT_MISSES, FAULT_MORE, FAULT_STUCK, FAULT_ERROR, FAULT_STRAYS, FAULTS };

static int faulty_scan(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                       uint32_t count, uint64_t *walked)
{
    const int found = lofti_dirty_ops_pagemap()->scan(handle, start, end, runs, count, walked);
    switch (fault) {
    case FAULT_MISSES: return *walked == end ? 0 : found;
    case FAULT_MORE:
        if (found > 0) {
            runs[0].start = start;
        }
        return found;
    case FAULT_STUCK: *walked = start; return found;
    case FAULT_ERROR: return *walked == end ? -EIO : found;
    case FAULT_STRAYS:
        if (found > 0) {
            runs[0].end = end + PAGE;
        }
        return found;
    default: return found;
    }
}

LOFT_TEST(os_dirty_answers, the_self_test_finds_every_fault)
{
    lofti_dirty_ops faulty = *lofti_dirty_ops_pagemap();
    faulty.scan = faulty_scan;
    if (!lofti_dirty_self_test(&faulty)) {
        LOFT_SKIP("/proc/self/pagemap does not show this process's pages");
    }
    for (fault = FAULT_NONE + 1; fault < FAULTS; fault++) {
        if (lofti_dirty_self_test(&faulty)) {
            LOFT_FAIL("fault %u is not seen", fault);
        }
    }
    open_result = -EACCES;
    LOFT_CHECK_FALSE(lofti_dirty_self_test(&fake));
}

static int refuse_all_maps(void *at, bool fixed, size_t bytes, unsigned flags, intptr_t handle,
                           uint64_t off, void **out)
{
    (void)at, (void)fixed, (void)bytes, (void)flags, (void)handle, (void)off, (void)out;
    return -ENOMEM;
}

LOFT_TEST(os_dirty_answers, the_self_test_does_not_ask_a_tests_table_for_memory)
{
    const bool before = lofti_dirty_self_test(lofti_dirty_ops_pagemap());
    lofti_map_ops refusing = *lofti_map_ops_system();
    refusing.map = refuse_all_maps;
    lofti_map_ops_set(&refusing);
    const bool after = lofti_dirty_self_test(lofti_dirty_ops_pagemap());
    lofti_map_ops_set(NULL);
    LOFT_CHECK_EQ_INT(after, before);
}

static void without_descriptors(void *arg)
{
    (void)arg;
    const struct rlimit limit = {0, 0};
    LOFT_CHECK_SYS(setrlimit(RLIMIT_NOFILE, &limit));
    LOFT_CHECK_NULL(lofti_dirty_ops_current());
    LOFT_CHECK_EQ_INT(
        lofti_dirty_private((void *)(uintptr_t)START, 7 * PAGE, collect, (void *)(uintptr_t)&fake),
        0);
    LOFT_CHECK_EQ_UINT(reported_count, 1);
    LOFT_CHECK_EQ_UINT(reported[0][1], 7);
}

LOFT_TEST(os_dirty_answers, where_no_way_works_everything_is_private)
{
    loft_test_child child;
    loft_test_run_child(without_descriptors, NULL, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
}
