/* Planted faults of the arena (base/fault.h): the oracle of change tracking must see each of them. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "arena/oracle.h"
#include "arena/punch_check.h"
#include "base/fault.h"
#include "os/dirty.h"
#include "os/file.h"
#include "os/watch.h"
#include "support/test.h"

enum { PLANTED_COMMITS = 600 };

static void run_oracle(void *tracker) { oracle_run(tracker, PLANTED_COMMITS, 1); }

static bool is_seen(enum lofti_fault fault, const char *tracker)
{
    loft_test_child child;
    char name[16];
    (void)snprintf(name, sizeof name, "%s", tracker);
    lofti_fault_planted = fault;
    loft_test_run_child(run_oracle, name, &child);
    lofti_fault_planted = LOFTI_FAULT_NONE;
    return child.exit_code != 0;
}

static void plant(enum lofti_fault fault)
{
    oracle_require();
    /* What a failed commit noted matters to the tracker that keeps hashes. */
    const bool seen =
        is_seen(fault, "private") || (lofti_watch_works() && is_seen(fault, "wp_async"));
    printf("%-22s %s\n", lofti_fault_names[fault], seen ? "seen" : "not seen");
    LOFT_CHECK_TRUE(seen);
}

LOFT_TEST(arena_planted, settled_although_the_commit_failed) { plant(LOFTI_FAULT_SETTLED_EARLY); }
LOFT_TEST(arena_planted, changed_ranges_are_returned) { plant(LOFTI_FAULT_RETURN_CHANGED); }
LOFT_TEST(arena_planted, changed_ranges_are_refreshed) { plant(LOFTI_FAULT_REFRESH_CHANGED); }
LOFT_TEST(arena_planted, rollback_drops_anonymous_pages) { plant(LOFTI_FAULT_ROLLBACK_DROPS); }

LOFT_TEST(arena_planted, the_journal_is_not_overlaid) { plant(LOFTI_FAULT_OVERLAY_SKIPPED); }

static void repeat_in_child(void *tracker) { oracle_fail_and_repeat(tracker); }

LOFT_TEST(arena_planted, hashes_of_a_failed_commit_are_kept)
{
    char tracker[] = "private";
    for (int fault = 0; fault < 2; fault++) {
        loft_test_child child;
        lofti_fault_planted = fault != 0 ? LOFTI_FAULT_KNOWN_KEPT : LOFTI_FAULT_NONE;
        loft_test_run_child(repeat_in_child, tracker, &child);
        lofti_fault_planted = LOFTI_FAULT_NONE;
        LOFT_CHECK_EQ_INT(child.exit_code != 0, fault);
        (void)unlink(loft_test_tmp_path("arena"));
    }
}

static void punch_in_child(void *tracker) { punch_check(tracker); }

/* Pages that only the program, or only the newest commit, has free become holes. */
LOFT_TEST(arena_planted, holes_of_what_is_in_use)
{
    static const enum lofti_fault faults[] = {LOFTI_FAULT_NONE, LOFTI_FAULT_PUNCH_LIVE,
                                              LOFTI_FAULT_PUNCH_DURABLE};
    char tracker[] = "private";
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("hole"),
                                      LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &file),
                      0);
    const int rc = lofti_file_punch(&file, 0, 4096);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    if (rc == -EOPNOTSUPP) {
        LOFT_SKIP("no holes can be made here");
    }
    /* Where every page counts as private, memory keeps what the last one takes from the file, and commits find that. */
    const size_t count = sizeof faults / sizeof faults[0] - (lofti_dirty_ops_current() == NULL);
    for (size_t i = 0; i < count; i++) {
        loft_test_child child;
        lofti_fault_planted = faults[i];
        loft_test_run_child(punch_in_child, tracker, &child);
        lofti_fault_planted = LOFTI_FAULT_NONE;
        if ((child.exit_code != 0) != (i != 0)) {
            LOFT_FAIL("with fault %d the child ended with %d: %s", (int)faults[i], child.exit_code,
                      child.output);
        }
        (void)unlink(loft_test_tmp_path("arena"));
    }
}

LOFT_TEST(arena_planted, without_a_fault_nothing_is_seen)
{
    oracle_require();
    LOFT_CHECK_FALSE(is_seen(LOFTI_FAULT_NONE, "private"));
    LOFT_CHECK_FALSE(lofti_watch_works() && is_seen(LOFTI_FAULT_NONE, "wp_async"));
}
