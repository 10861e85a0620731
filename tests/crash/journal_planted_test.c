/* Planted protocol faults of the journal (base/fault.h): for each of them some scenario, run and recovered by
 * the faulty code, must show it: by a state that recovers wrongly, or by failing itself. Those that need not be
 * seen are listed with the reason in docs/durability.md, "Planted faults". */
#include <stdio.h>
#include <stdlib.h>

#include "base/fault.h"
#include "crash/journal_world.h"
#include "crash/map_pool.h"
#include "support/test.h"

enum { PLANTED_STATES = 3000, PLANTED_SHARES = 4 };

static const enum lofti_fault harmless[] = {
    LOFTI_FAULT_SALT_SKIPPED,    LOFTI_FAULT_SEQUENCE_SKIPPED,  LOFTI_FAULT_SUPER_HASH_SKIPPED,
    LOFTI_FAULT_GENERATION_KEPT, LOFTI_FAULT_PAGE_HASH_SKIPPED, LOFTI_FAULT_SALT_KEPT};

static bool is_harmless(enum lofti_fault fault)
{
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        if (harmless[i] == fault) {
            return true;
        }
    }
    return false;
}

static crash_result result; /* large */

/* In a child: the faulty code may abort, or leave anything behind. */
static void try_script(void *arg)
{
    const journal_script *script = arg;
    const crash_options options = {.states = PLANTED_STATES,
                                   .seed = 1,
                                   .random_states = 512,
                                   .nested_every = 97,
                                   .nested_states = 64,
                                   .coarse_bytes = JOURNAL_COARSE_BYTES};
    journal_world *world = journal_world_begin();
    script->run(world);
    const crash_scenario scenario = {.name = script->name,
                                     .context = &world->model,
                                     .recover = journal_recover,
                                     .go_on = journal_go_on};
    LOFT_CHECK_EQ_UINT(crash_enumerate(record_fs_log(world->record), &scenario, &options, &result),
                       0);
}

/* The scenario that shows the fault; NULL: none does. */
static const char *caught_by(enum lofti_fault fault, loft_test_child *child)
{
    lofti_fault_planted = fault;
    for (size_t i = 0; i < journal_script_count; i++) {
        journal_script script = journal_scripts[i];
        loft_test_run_child(try_script, &script, child);
        if (child->exit_code != 0) {
            lofti_fault_planted = LOFTI_FAULT_NONE;
            return script.name;
        }
    }
    lofti_fault_planted = LOFTI_FAULT_NONE;
    return NULL;
}

static void plant_share(int first)
{
    loft_test_child child;
    unsigned missed = 0;
    const char *only = getenv("LOFT_CRASH_FAULT"); /* names one that is to be planted alone */
    map_pool_install();
    for (int fault = 1 + first; fault < LOFTI_FAULT_SETTLED_EARLY; fault += PLANTED_SHARES) {
        if (only != NULL && strcmp(only, lofti_fault_names[fault]) != 0) {
            continue;
        }
        const char *script = caught_by((enum lofti_fault)fault, &child);
        const bool harmful = !is_harmless((enum lofti_fault)fault);
        printf("%-22s %s%s\n", lofti_fault_names[fault], script != NULL ? "caught: " : "not seen",
               script != NULL ? script : "");
        missed += harmful && script == NULL;
    }
    LOFT_CHECK_EQ_UINT(missed, 0);
}

LOFT_TEST(journal_planted, every_fault_is_seen_1) { plant_share(0); }
LOFT_TEST(journal_planted, every_fault_is_seen_2) { plant_share(1); }
LOFT_TEST(journal_planted, every_fault_is_seen_3) { plant_share(2); }
LOFT_TEST(journal_planted, every_fault_is_seen_4) { plant_share(3); }

LOFT_TEST(journal_planted, without_a_fault_nothing_is_seen)
{
    loft_test_child child;
    map_pool_install();
    const char *script = caught_by(LOFTI_FAULT_NONE, &child);
    if (script != NULL) {
        LOFT_FAIL("%s: %s", script, child.output);
    }
}
