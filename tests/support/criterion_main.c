/* The Criterion runner: Criterion finds the tests, isolates and times them; this program gives
 * them a session folder, the project's time limit, and the closing line both runners share.
 *
 * Criterion runs tests in children that are this program started anew with the same environment:
 * the folder goes to them by that road. It judges a child by its exit code, so a failed check
 * needs no call into Criterion; a skip does, and must come from the test's own thread. */
#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <criterion/options.h>
#include <stdio.h>

#include "support/runner.h"

static size_t passed, failed, skipped;

/* What the linker makes of all LOFT_TESTs of this program. */
extern struct criterion_test *__start_cr_tst[], *__stop_cr_tst[];

/* Criterion 2.4.1 takes --timeout and does nothing with it; only a test's own limit counts. */
static void set_timeouts(void)
{
    for (struct criterion_test **test = __start_cr_tst; test < __stop_cr_tst; test++)
        if (*test != NULL)
            (*test)->data->timeout = loft_test_timeout_seconds();
}

/* Tests that --filter leaves out are "disabled", which Criterion counts as skipped. */
ReportHook(POST_ALL)(struct criterion_global_stats *stats)
{
    passed = stats->tests_passed;
    failed = stats->tests_failed; /* with those that crashed */
    for (struct criterion_suite_stats *suite = stats->suites; suite != NULL; suite = suite->next)
        for (struct criterion_test_stats *test = suite->tests; test != NULL; test = test->next)
            skipped += test->test_status == CR_STATUS_SKIPPED && !test->test->data->disabled;
}

void loft_test_register(loft_test *test) { (void)test; /* Criterion keeps its own list */ }

void loft_test_runner_skip(const loft_test *test, const char *reason)
{
    fprintf(stderr, "skip %s/%s: %s\n", test->suite, test->name, reason);
    cr_skip_test("%s", reason);
    loft_test_exit(LOFT_TEST_EXIT_SKIPPED); /* never reached: the line above jumps */
}

int main(int count, char **arguments)
{
    struct criterion_test_set *tests = criterion_initialize();
    criterion_options.jobs = 1;
    set_timeouts();
    int succeeded = 1;
    if (criterion_handle_args(count, arguments, true)) {
        loft_test_session_begin();
        succeeded = criterion_run_all_tests(tests);
        loft_test_session_end();
        printf("%zu passed, %zu failed, %zu skipped\n", passed, failed, skipped);
    }
    criterion_finalize(tests);
    if (!succeeded || failed > 0)
        return 1;
    return passed == 0 && skipped > 0 ? LOFT_TEST_EXIT_ALL_SKIPPED : 0;
}
