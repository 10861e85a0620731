/* Every crash of the journal's scenarios: recovery finds the last commit that returned, or the one
 * in progress. */
#include <stdio.h>
#include <stdlib.h>

#include "crash/journal_world.h"
#include "crash/map_pool.h"
#include "support/test.h"

enum { JOURNAL_WORKERS = 2, JOURNAL_SHARES = 6 };

static crash_result result; /* large */

/* Enumerates one script. Returns: violations. */
static uint64_t enumerate(const journal_script *script)
{
    const uint64_t budget = loft_test_scale(12000, 2000000, 20000000);
    const crash_options options = {.states = budget / script->costly,
                                   .seed = loft_test_seed(),
                                   .workers = JOURNAL_WORKERS,
                                   .nested_every = 499,
                                   .nested_states = 256,
                                   .coarse_bytes = JOURNAL_COARSE_BYTES};
    journal_world *world = journal_world_begin();
    script->run(world);
    const crash_scenario scenario = {.name = script->name,
                                     .context = &world->model,
                                     .recover = journal_recover,
                                     .go_on = journal_go_on};
    const uint64_t violations =
        crash_enumerate(record_fs_log(world->record), &scenario, &options, &result);
    printf("%-32s %7llu states (%llu inside recovery), %llu again, %llu points, <= %u units, "
           "%.1f s\n%s",
           script->name, (unsigned long long)result.states, (unsigned long long)result.nested,
           (unsigned long long)result.duplicates, (unsigned long long)result.points,
           result.most_pending, result.seconds, result.text);
    journal_world_end(world);
    return violations;
}

/* Every JOURNAL_SHARES-th script from `first` on: tests of about equal length that can run side by
 * side. LOFT_CRASH_SCENARIO names one that is to run alone. */
static void enumerate_share(size_t first)
{
    const char *only = getenv("LOFT_CRASH_SCENARIO");
    uint64_t states = 0, violations = 0;
    map_pool_install();
    for (size_t i = first; i < journal_script_count; i += JOURNAL_SHARES) {
        if (only == NULL || strcmp(only, journal_scripts[i].name) == 0) {
            violations += enumerate(&journal_scripts[i]);
            states += result.states;
        }
    }
    printf("%llu states\n", (unsigned long long)states);
    LOFT_CHECK_EQ_UINT(violations, 0);
}

LOFT_TEST(journal, survives_every_crash_1) { enumerate_share(0); }
LOFT_TEST(journal, survives_every_crash_2) { enumerate_share(1); }
LOFT_TEST(journal, survives_every_crash_3) { enumerate_share(2); }
LOFT_TEST(journal, survives_every_crash_4) { enumerate_share(3); }
LOFT_TEST(journal, survives_every_crash_5) { enumerate_share(4); }
LOFT_TEST(journal, survives_every_crash_6) { enumerate_share(5); }
