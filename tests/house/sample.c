/* A test program that ends in every way a test can; runners.py compares what the runner says of
 * it. It is no test of loft and is not registered with ctest. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/test.h"

LOFT_TEST(sample, passes)
{
    FILE *file = fopen(loft_test_tmp_path("left behind"), "w");
    LOFT_CHECK_NOT_NULL(file);
    fclose(file);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 1u);
}

LOFT_TEST(sample, fails)
{
    FILE *file = fopen(loft_test_tmp_path("left behind"), "w");
    LOFT_CHECK_NOT_NULL(file);
    fclose(file);
    loft_test_seed();
    LOFT_CHECK_EQ_INT(2 + 2, 5);
}

LOFT_TEST(sample, skips) { LOFT_SKIP("it needs %d moons", 2); }

LOFT_TEST(sample, crashes)
{
    fprintf(stderr, "words before the crash\n");
    abort();
}

LOFT_TEST(sample, hangs)
{
    for (;;)
        pause();
}

LOFT_TEST(sample, leaves_early) { exit(0); }

static void give_up(void *arg)
{
    (void)arg;
    abort();
}

LOFT_TEST(sample, fails_in_a_child) { LOFT_CHECK_DEATH(give_up, NULL, SIGSEGV, NULL); }

static void be_killed(void *arg)
{
    (void)arg;
    fprintf(stderr, "last words");
    raise(SIGBUS);
}

LOFT_TEST(sample, sees_a_death)
{
    loft_test_child child;
    loft_test_run_child(be_killed, NULL, &child);
    LOFT_CHECK_EQ_INT(child.signal, SIGBUS);
    LOFT_CHECK_EQ_INT(child.exit_code, -1);
    LOFT_CHECK_EQ_STR(child.output, "last words");
}

static void fail_a_check(void *arg) { LOFT_CHECK_EQ_STR(*(const char **)arg, "other"); }

LOFT_TEST(sample, sees_a_failed_check)
{
    loft_test_child child;
    const char *text = "this";
    loft_test_run_child(fail_a_check, &text, &child);
    LOFT_CHECK_EQ_INT(child.exit_code, LOFT_TEST_EXIT_FAILED);
    LOFT_CHECK_CONTAINS(child.output, "\"this\", not \"other\"");
}

LOFT_TEST(sample, counts_what_it_holds)
{
    const unsigned descriptors = loft_test_descriptors();
    const int copy = dup(STDOUT_FILENO);
    LOFT_CHECK_SYS(copy);
    LOFT_CHECK_EQ_UINT(loft_test_descriptors(), descriptors + 1);
    close(copy);
    LOFT_CHECK_EQ_UINT(loft_test_descriptors(), descriptors);
}
