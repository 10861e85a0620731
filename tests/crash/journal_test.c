/* Every crash of the journal's scenarios: recovery finds the last commit that returned, or the one
 * in progress. */
#include <stdio.h>
#include <stdlib.h>

#include "crash/journal_world.h"
#include "crash/map_pool.h"
#include "support/test.h"

enum { JOURNAL_WORKERS = 2 };

static crash_result result; /* large */

LOFT_TEST(journal, survives_every_crash)
{
    const char *only = getenv("LOFT_CRASH_SCENARIO");
    const uint64_t budget = loft_test_scale(20000, 1000000, 10000000);
    crash_options options = {.seed = loft_test_seed(),
                             .workers = JOURNAL_WORKERS,
                             .nested_every = 499,
                             .nested_states = 256,
                             .coarse_bytes = JOURNAL_COARSE_BYTES};
    uint64_t states = 0, failed = 0;
    map_pool_install();
    for (size_t i = 0; i < journal_script_count; i++) {
        const journal_script *script = &journal_scripts[i];
        if (only != NULL && strcmp(only, script->name) != 0) {
            continue;
        }
        journal_world *world = journal_world_begin();
        script->run(world);
        const crash_scenario scenario = {.name = script->name,
                                         .context = &world->model,
                                         .recover = journal_recover,
                                         .go_on = journal_go_on};
        options.states = budget / script->costly;
        const uint64_t violations =
            crash_enumerate(record_fs_log(world->record), &scenario, &options, &result);
        printf("%-30s %8llu states (%llu inside recovery), %llu again, %llu points, <= %u units, "
               "%.1f s\n",
               script->name, (unsigned long long)result.states, (unsigned long long)result.nested,
               (unsigned long long)result.duplicates, (unsigned long long)result.points,
               result.most_pending, result.seconds);
        journal_world_end(world);
        if (violations != 0) {
            printf("%s", result.text);
            failed++;
        }
        states += result.states;
    }
    printf("%llu states\n", (unsigned long long)states);
    LOFT_CHECK_EQ_UINT(failed, 0);
}
