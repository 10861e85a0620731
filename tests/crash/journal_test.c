/* Every crash of the journal's scenarios: recovery finds the last commit that returned, or the one
 * in progress. */
#include <stdio.h>
#include <stdlib.h>

#include "crash/journal_world.h"
#include "crash/map_pool.h"
#include "support/test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define JOURNAL_SANITIZED 1
#else
#define JOURNAL_SANITIZED 0
#endif

/* One process for each share, so that a recovery that dies or hangs is told. */
enum { JOURNAL_WORKERS = 1, JOURNAL_SHARES = 6 };

/* Distinct images that a whole run must have judged. Sanitizers look for other things, in fewer. */
static uint64_t states_wanted(void) { return loft_test_scale(2000000, 100000000, 1000000000); }
static uint64_t states_per_script(void)
{
    return JOURNAL_SANITIZED ? loft_test_scale(6000, 60000, 600000)
                             : loft_test_scale(80000, 4000000, 40000000);
}

static crash_result result; /* large */

/* Enumerates one script; another round has other salts and other random subsets. Returns: violations. */
static uint64_t enumerate(const journal_script *script, uint64_t round)
{
    const char *given = getenv("LOFT_CRASH_STATES");
    const uint64_t budget = given != NULL ? strtoull(given, NULL, 10) : states_per_script();
    const crash_options options = {.states = budget / script->costly,
                                   .seed = loft_test_seed() + round,
                                   .workers = JOURNAL_WORKERS,
                                   .random_states = budget / 16,
                                   .nested_every = 1999,
                                   .nested_states = 1024,
                                   .coarse_bytes = JOURNAL_COARSE_BYTES};
    const uint64_t violations = journal_enumerate(script, &options, &result);
    printf("%-32s %7llu states (%llu inside recovery, %llu alike), %llu again, %llu points, "
           "<= %u units, %.1f s\n%s",
           script->name, (unsigned long long)result.states, (unsigned long long)result.nested,
           (unsigned long long)result.alike, (unsigned long long)result.duplicates,
           (unsigned long long)result.points, result.most_pending, result.seconds, result.text);
    return violations;
}

/* Every JOURNAL_SHARES-th script from `first` on: tests of about equal length that can run side by
 * side. LOFT_CRASH_SCENARIO names one that is to run alone, LOFT_CRASH_STATES how many states of each are
 * tried. */
static void enumerate_share(size_t first)
{
    const char *only = getenv("LOFT_CRASH_SCENARIO");
    uint64_t states = 0, violations = 0;
    size_t scenarios = 0;
    const bool whole = only == NULL && getenv("LOFT_CRASH_STATES") == NULL && !JOURNAL_SANITIZED;
    const uint64_t wanted = whole ? states_wanted() / JOURNAL_SHARES : 0;
    map_pool_install();
    for (uint64_t round = 0; round == 0 || (states < wanted && violations == 0); round++) {
        for (size_t i = first; i < journal_script_count; i += JOURNAL_SHARES) {
            if (only == NULL || strcmp(only, journal_scripts[i].name) == 0) {
                violations += enumerate(&journal_scripts[i], round);
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

LOFT_TEST(journal, survives_every_crash_1) { enumerate_share(0); }
LOFT_TEST(journal, survives_every_crash_2) { enumerate_share(1); }
LOFT_TEST(journal, survives_every_crash_3) { enumerate_share(2); }
LOFT_TEST(journal, survives_every_crash_4) { enumerate_share(3); }
LOFT_TEST(journal, survives_every_crash_5) { enumerate_share(4); }
LOFT_TEST(journal, survives_every_crash_6) { enumerate_share(5); }
