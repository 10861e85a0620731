/* Every crash of the journal's scenarios: recovery finds the last commit that returned, or the one
 * in progress. */
#include <stdio.h>
#include <stdlib.h>

#include "crash/journal_world.h"
#include "crash/map_pool.h"
#include "support/test.h"

/* Each state costs several times as much there, and what is looked for is found in fewer. */
#define JOURNAL_IS_SLOW (LOFT_TEST_IS_SANITIZED || LOFT_TEST_IS_COVERED)

/* One process for each share, so that a recovery that dies or hangs is told. */
enum { JOURNAL_WORKERS = 1, JOURNAL_SHARES = 6 };

/* Distinct images that a whole run must have judged. */
static uint64_t states_wanted(void) { return loft_test_scale(2000000, 100000000, 1000000000); }
static uint64_t states_per_script(void)
{
    return JOURNAL_IS_SLOW ? loft_test_scale(6000, 60000, 600000)
                           : loft_test_scale(80000, 4000000, 40000000);
}

static crash_result result; /* large */

/* Enumerates one script. Returns: violations. */
static uint64_t enumerate(const journal_script *script, crash_options options)
{
    const char *given = getenv("LOFT_CRASH_STATES");
    const uint64_t budget = given != NULL ? strtoull(given, NULL, 10) : options.states;
    options.states = budget / script->costly;
    options.workers = JOURNAL_WORKERS;
    options.random_states = budget / 16;
    options.coarse_bytes = JOURNAL_COARSE_BYTES;
    const uint64_t violations = journal_enumerate(script, &options, &result);
    printf("%-32s %7llu states (%llu inside recovery, %llu alike), %llu again, %llu points, "
           "<= %u units, %.1f s\n%s",
           script->name, (unsigned long long)result.states, (unsigned long long)result.nested,
           (unsigned long long)result.alike, (unsigned long long)result.duplicates,
           (unsigned long long)result.points, result.most_pending, result.seconds, result.text);
    return violations;
}

static bool is_asked_for(const journal_script *script)
{
    const char *only = getenv("LOFT_CRASH_SCENARIO");
    return only == NULL || strcmp(only, script->name) == 0;
}

/* Every JOURNAL_SHARES-th script from `first` on: tests of about equal length that can run side by
 * side. LOFT_CRASH_SCENARIO names one that is to run alone, LOFT_CRASH_STATES how many states of each are
 * tried. */
static void enumerate_share(size_t first)
{
    uint64_t states = 0, violations = 0;
    size_t scenarios = 0;
    const bool whole = getenv("LOFT_CRASH_SCENARIO") == NULL &&
                       getenv("LOFT_CRASH_STATES") == NULL && !JOURNAL_IS_SLOW;
    const uint64_t wanted = whole ? states_wanted() / JOURNAL_SHARES : 0;
    map_pool_install();
    for (uint64_t round = 0; round == 0 || (states < wanted && violations == 0); round++) {
        for (size_t i = first; i < journal_script_count; i += JOURNAL_SHARES) {
            if (is_asked_for(&journal_scripts[i])) {
                /* Another round has other salts and other random subsets. */
                const crash_options options = {.states = states_per_script(),
                                               .seed = loft_test_seed() + round,
                                               .nested_every = 1999,
                                               .nested_states = 1024};
                violations += enumerate(&journal_scripts[i], options);
                states += result.states;
                scenarios += round == 0;
            }
        }
    }
    printf("%llu distinct states of %zu scenarios\n", (unsigned long long)states, scenarios);
    LOFT_CHECK_EQ_UINT(violations, 0);
    if (whole) {
        LOFT_CHECK_GE_UINT(journal_script_count, 60);
        LOFT_CHECK_GE_UINT(states, wanted);
    }
}

/* kill -9 at every call of every script, and within writes: what was done until then is there. */
LOFT_TEST(journal, survives_a_kill_at_every_call)
{
    uint64_t states = 0, violations = 0, calls = 0;
    const size_t step = loft_test_stride(1, 1, 1);
    const crash_options options = {.seed = loft_test_seed(),
                                   .workers = JOURNAL_WORKERS,
                                   .nested_every = 61,
                                   .nested_states = 64,
                                   .coarse_bytes = JOURNAL_COARSE_BYTES,
                                   .kills = true};
    map_pool_install();
    for (size_t i = options.seed % step; i < journal_script_count; i += step) {
        violations += journal_enumerate(&journal_scripts[i], &options, &result);
        states += result.states;
        calls += result.calls;
        printf("%s", result.text);
    }
    printf("%llu calls of %zu scenarios, %llu distinct states\n", (unsigned long long)calls,
           journal_script_count, (unsigned long long)states);
    LOFT_CHECK_EQ_UINT(violations, 0);
}

/* A crash, and another one in each recovery from it, not only in every 1,999th: two slots torn by different handles are
 * a state or two of one script. The usual run takes the scripts in which a handle left something unflushed. */
static void enumerate_twice(size_t first)
{
    enum { TWICE_SHARES = 2 };
    uint64_t states = 0, violations = 0;
    const bool all = loft_test_scale(0, 1, 1) != 0;
    map_pool_install();
    for (size_t i = first; i < journal_script_count; i += TWICE_SHARES) {
        const journal_script *script = &journal_scripts[i];
        if (is_asked_for(script) && (all || strstr(script->name, "flush") != NULL)) {
            const crash_options options = {.states = JOURNAL_IS_SLOW
                                                         ? loft_test_scale(100, 2000, 20000)
                                                         : loft_test_scale(2000, 20000, 200000),
                                           .seed = loft_test_seed(),
                                           .nested_every = 1,
                                           .nested_states = 64};
            violations += enumerate(script, options);
            states += result.nested;
        }
    }
    printf("%llu distinct states inside recoveries\n", (unsigned long long)states);
    LOFT_CHECK_EQ_UINT(violations, 0);
}

LOFT_TEST(journal, survives_a_crash_in_every_recovery_1) { enumerate_twice(0); }
LOFT_TEST(journal, survives_a_crash_in_every_recovery_2) { enumerate_twice(1); }

LOFT_TEST(journal, survives_every_crash_1) { enumerate_share(0); }
LOFT_TEST(journal, survives_every_crash_2) { enumerate_share(1); }
LOFT_TEST(journal, survives_every_crash_3) { enumerate_share(2); }
LOFT_TEST(journal, survives_every_crash_4) { enumerate_share(3); }
LOFT_TEST(journal, survives_every_crash_5) { enumerate_share(4); }
LOFT_TEST(journal, survives_every_crash_6) { enumerate_share(5); }
