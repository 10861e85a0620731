/* Planted protocol faults of the journal (base/fault.h): for each of them a scenario, run and recovered by the
 * faulty code, shows it: by a state that recovers wrongly, or by failing itself. The usual run tries each fault with
 * the scenario that is known to show it; the nightly one tries those that need not be seen with all of them, too.
 * What each breaks, and why some are harmless: docs/durability.md, "Planted faults". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "crash/journal_world.h"
#include "crash/map_pool.h"
#include "support/test.h"

enum { PLANTED_STATES = 3000, PLANTED_SHARES = 2 };

/* What shows each fault; NULL: nothing, and the page says why. */
static const char *const shown_by[LOFTI_FAULT_SETTLED_EARLY] = {
    [LOFTI_FAULT_HASH_SKIPPED] = "first commit",
    [LOFTI_FAULT_CHAIN_SKIPPED] = "commits without a flush",
    [LOFTI_FAULT_SALT_SKIPPED] = NULL,
    [LOFTI_FAULT_SEQUENCE_SKIPPED] = NULL,
    [LOFTI_FAULT_SUPER_HASH_SKIPPED] = NULL,
    [LOFTI_FAULT_SUPER_OVER_NEWEST] = "first commit",
    [LOFTI_FAULT_SUPER_OVER_BEFORE] = "rewinding's flush fails",
    [LOFTI_FAULT_GENERATION_KEPT] = NULL,
    [LOFTI_FAULT_TRUST_SKIPPED] = "rewinding's flush fails",
    [LOFTI_FAULT_TORN_SLOT_KEPT] = "recovery's flush 3 fails",
    [LOFTI_FAULT_POISON_SKIPPED] = "commit's flush fails",
    [LOFTI_FAULT_IN_PLACE] = "several commits",
    [LOFTI_FAULT_EMPTY_DELTA_DROPPED] = "back to the base image",
    [LOFTI_FAULT_DELTA_AGAINST_NEWEST] = "shrinking changes",
    [LOFTI_FAULT_TORN_BASE_DELTA] = "checkpoint on a full disk",
    [LOFTI_FAULT_DURABLE_EARLY] = "first commit",
    [LOFTI_FAULT_FRAME_UNALIGNED] = "disk full",
    [LOFTI_FAULT_LAST_EARLY] = "several frames",
    [LOFTI_FAULT_DRAFT_NOT_BROKEN] = "failed commit, then death",
    [LOFTI_FAULT_BULK_UNFLUSHED] = "pages in place",
    [LOFTI_FAULT_BULK_TWICE] = "pages in place, changed, checkpoint",
    [LOFTI_FAULT_DIRT_KEPT] = "pages in place, disk full",
    [LOFTI_FAULT_DIRT_UNFLUSHED] = "pages in place, disk full",
    [LOFTI_FAULT_DIRT_FRAMED] = "pages in place, frame answered as failed",
    [LOFTI_FAULT_LEFTOVER_KEPT] = "pages in place, disk full, then death",
    [LOFTI_FAULT_EXTEND_UNFLUSHED] = "journal grows",
    [LOFTI_FAULT_EXTEND_UNNAMED] = "last frame makes the journal grow",
    [LOFTI_FAULT_SEAL_SKIPPED] = "back to the base image",
    [LOFTI_FAULT_SEAL_UNFLUSHED] = "back to the base image",
    [LOFTI_FAULT_APPLY_UNFLUSHED] = "back to the base image",
    [LOFTI_FAULT_REWIND_EARLY] = "back to the base image",
    [LOFTI_FAULT_SALT_KEPT] = NULL,
    [LOFTI_FAULT_EPOCH_UNTOLD] = "long epochs",
    [LOFTI_FAULT_LOCK_SKIPPED] = "reader holds off",
    [LOFTI_FAULT_PUNCH_UNFLUSHED] = "holes of free pages",
    [LOFTI_FAULT_COPY_SKIPPED] = "commit's flush fails",
    [LOFTI_FAULT_COPY_OVER_OLD] = "several commits",
    [LOFTI_FAULT_COPY_UNFLUSHED] = "restarts",
    [LOFTI_FAULT_START_KEPT] = "several commits",
    [LOFTI_FAULT_PAGE_HASH_SKIPPED] = NULL};

static crash_result result; /* large */

/* In a child: the faulty code may abort, or leave anything behind. */
static void try_script(void *arg)
{
    const journal_script *script = arg;
    /* Few states show this one: a recovery that was interrupted, of a crash after a failed flush. */
    const bool nested = lofti_fault_planted == LOFTI_FAULT_TORN_SLOT_KEPT;
    const crash_options options = {.states = PLANTED_STATES,
                                   .seed = 1,
                                   .random_states = 512,
                                   .nested_every = nested ? 1 : 97,
                                   .nested_states = 64,
                                   .coarse_bytes = JOURNAL_COARSE_BYTES};
    LOFT_CHECK_EQ_UINT(journal_enumerate(script, &options, &result), 0);
}

static bool shows(const journal_script *script, enum lofti_fault fault, loft_test_child *child)
{
    journal_script copy = *script;
    lofti_fault_planted = fault;
    loft_test_run_child(try_script, &copy, child);
    lofti_fault_planted = LOFTI_FAULT_NONE;
    return child->exit_code != 0;
}

/* The first scenario that shows the fault, among those called `only` (NULL: among all); NULL: none does. */
static const char *caught_by(enum lofti_fault fault, const char *only, loft_test_child *child)
{
    for (size_t i = 0; i < journal_script_count; i++) {
        const journal_script *script = &journal_scripts[i];
        if ((only == NULL || strcmp(only, script->name) == 0) && shows(script, fault, child)) {
            return script->name;
        }
    }
    return NULL;
}

/* LOFT_CRASH_FAULT names a fault that is planted alone, into all scenarios. */
static void plant_share(int first)
{
    loft_test_child child;
    const char *alone = getenv("LOFT_CRASH_FAULT");
    const bool all = loft_test_scale(0, 1, 1) != 0 || alone != NULL;
    unsigned wrong = 0;
    map_pool_install();
    for (int fault = 1 + first; fault < LOFTI_FAULT_SETTLED_EARLY; fault += PLANTED_SHARES) {
        if ((alone != NULL && strcmp(alone, lofti_fault_names[fault]) != 0) ||
            (shown_by[fault] == NULL && !all)) {
            continue;
        }
        const char *script =
            caught_by((enum lofti_fault)fault, alone != NULL ? NULL : shown_by[fault], &child);
        printf("%-22s %s%s\n", lofti_fault_names[fault], script != NULL ? "caught: " : "not seen",
               script != NULL ? script : "");
        wrong += (script != NULL) != (shown_by[fault] != NULL);
    }
    LOFT_CHECK_EQ_UINT(wrong, 0);
}

LOFT_TEST(journal_planted, every_fault_is_seen_1) { plant_share(0); }
LOFT_TEST(journal_planted, every_fault_is_seen_2) { plant_share(1); }

/* None of the scenarios that show faults shows anything without. */
LOFT_TEST(journal_planted, without_a_fault_nothing_is_seen)
{
    loft_test_child child;
    map_pool_install();
    for (int fault = 1; fault < LOFTI_FAULT_SETTLED_EARLY; fault++) {
        const char *script =
            shown_by[fault] != NULL ? caught_by(LOFTI_FAULT_NONE, shown_by[fault], &child) : NULL;
        if (script != NULL) {
            LOFT_FAIL("%s: %s", script, child.output);
        }
    }
}
