/* The proof of the crash harness: a store that is right shows no violation, one that breaks any
 * of its rules is caught. */
#include <stdio.h>

#include "crash/toy_scenario.h"
#include "support/test.h"

enum { TOY_WORKERS = 2 };

static crash_result result; /* large */

/* Runs one script with a fault and enumerates its crashes. Returns: violations. */
static uint64_t enumerate(const toy_script *script, enum toy_fault fault,
                          const crash_options *options)
{
    toy_world world;
    toy_world_begin(&world, fault);
    script->run(&world);
    const crash_scenario scenario = {
        .name = script->name, .context = &world.model, .recover = toy_recover, .go_on = toy_go_on};
    const uint64_t violations =
        crash_enumerate(record_fs_log(world.record), &scenario, options, &result);
    toy_world_end(&world);
    return violations;
}

LOFT_TEST(toy, the_right_store_survives_every_crash)
{
    const crash_options options = {.states = loft_test_scale(30000, 1000000, 20000000),
                                   .seed = loft_test_seed(),
                                   .workers = TOY_WORKERS,
                                   .nested_every = 31,
                                   .nested_states = 256};
    uint64_t states = 0, nested = 0;
    double seconds = 0;
    for (size_t i = 0; i < toy_script_count; i++) {
        const uint64_t violations = enumerate(&toy_scripts[i], TOY_RIGHT, &options);
        printf("%-26s %8llu states (%llu inside recovery), %llu again, %llu points, <= %u units\n",
               toy_scripts[i].name, (unsigned long long)result.states,
               (unsigned long long)result.nested, (unsigned long long)result.duplicates,
               (unsigned long long)result.points, result.most_pending);
        if (violations != 0) {
            LOFT_FAIL("%s", result.text);
        }
        states += result.states;
        nested += result.nested;
        seconds += result.seconds;
    }
    printf("%llu states, %llu of them inside recoveries, %.1f s\n", (unsigned long long)states,
           (unsigned long long)nested, seconds);
    LOFT_CHECK_GT_UINT(states, loft_test_scale(100000, 100000, 100000));
    LOFT_CHECK_GT_UINT(nested, loft_test_scale(10000, 10000, 10000));
}

/* The scripts are tried in turn until one shows the fault. */
static size_t catching_script(enum toy_fault fault)
{
    const crash_options options = {.states = 20000,
                                   .seed = 1,
                                   .workers = TOY_WORKERS,
                                   .nested_every = 97,
                                   .nested_states = 64};
    size_t i = 0;
    while (i < toy_script_count && enumerate(&toy_scripts[i], fault, &options) == 0) {
        i++;
    }
    return i;
}

/* Without the sequence check a stale record is still refused by its salt, which is new with every
 * rewinding of the journal; so the check is a second lock on the same door. Harmless, as long as
 * salts are right, which the fault next to it shows to be needed. */
static bool is_harmless(enum toy_fault fault) { return fault == TOY_SEQUENCE_SKIPPED; }

LOFT_TEST(toy, every_planted_fault_is_caught)
{
    unsigned missed = 0;
    for (int fault = TOY_RIGHT + 1; fault < TOY_FAULTS; fault++) {
        const size_t script = catching_script((enum toy_fault)fault);
        if (is_harmless((enum toy_fault)fault)) {
            printf("harmless  %s\n", toy_fault_name((enum toy_fault)fault));
            LOFT_CHECK_EQ_UINT(script, toy_script_count);
        } else if (script == toy_script_count) {
            printf("MISSED  %s\n", toy_fault_name((enum toy_fault)fault));
            missed++;
        } else {
            printf("caught  %s, by '%s'\n%s", toy_fault_name((enum toy_fault)fault),
                   toy_scripts[script].name, result.text);
        }
    }
    LOFT_CHECK_EQ_UINT(missed, 0);
}
