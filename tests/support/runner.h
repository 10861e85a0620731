/* What a test, the checks and the two runners share. Test files include support/test.h instead.
 *
 *   test file ──LOFT_TEST──> its runner: Criterion's section, or the driver's list
 *   runner    ──loft_test_run──> the body, in a process that runs this one test
 *   body      ──loft_test_fail / loft_test_skip──> the process ends with one of the codes below
 */
#ifndef LOFT_TESTS_SUPPORT_RUNNER_H
#define LOFT_TESTS_SUPPORT_RUNNER_H

/* Exit codes of a test's process. Away from 0-2, 23 (LeakSanitizer), 66 (TSan) and 126-255. */
enum { LOFT_TEST_EXIT_FAILED = 101, LOFT_TEST_EXIT_SKIPPED = 102 };

/* Seconds a test may take before it is killed: thirty times what a usual one may need, so that it
 * catches only what hangs; sanitizers and a loaded machine slow tests down by ten. */
enum { LOFT_TEST_TIMEOUT_SECONDS = 120 };

/* A test program that had nothing to run but skipped tests; ctest knows it as "Skipped". */
enum { LOFT_TEST_EXIT_ALL_SKIPPED = 77 };

typedef struct loft_test_place {
    const char *file;
    int line;
} loft_test_place;

typedef struct loft_test {
    const char *suite;
    const char *name;
    void (*body)(void);
    struct loft_test *next; /* the driver's list, in the order of the file */
} loft_test;

/* Fails the running test: prints the sentence, where, the last loft error and the seed. */
_Noreturn void loft_test_fail(loft_test_place place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Ends the running test as skipped, with its reason. */
_Noreturn void loft_test_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Runs the body of one test in this process, and removes its folder when it passed. */
void loft_test_run(const loft_test *test);
/* Adds a test to the driver's list. */
void loft_test_register(loft_test *test);
/* The runner's part of a skip: keep the reason and end the test. */
_Noreturn void loft_test_runner_skip(const loft_test *test, const char *reason);
/* Ends this process at once, keeping what coverage has counted. */
_Noreturn void loft_test_exit(int code);

/* Before the first and after the last test of a program: the folder that holds the tests' ones. */
void loft_test_session_begin(void);
void loft_test_session_end(void);

/* Seconds a test may take: LOFT_TEST_TIMEOUT, or the default. */
unsigned loft_test_timeout_seconds(void);

#define LOFT_TEST_BODY(suite, name) loft_test_body_##suite##_##name

#ifdef LOFT_TEST_CRITERION
#include <criterion/criterion.h>
#define LOFT_TEST(suite_, name_)                                                                   \
    static void LOFT_TEST_BODY(suite_, name_)(void);                                               \
    Test(suite_, name_)                                                                            \
    {                                                                                              \
        loft_test_run(&(loft_test){#suite_, #name_, LOFT_TEST_BODY(suite_, name_), NULL});         \
    }                                                                                              \
    static void LOFT_TEST_BODY(suite_, name_)(void)
#else
#define LOFT_TEST(suite_, name_)                                                                   \
    static void LOFT_TEST_BODY(suite_, name_)(void);                                               \
    __attribute__((constructor)) static void loft_test_add_##suite_##_##name_(void)                \
    {                                                                                              \
        static loft_test test = {#suite_, #name_, LOFT_TEST_BODY(suite_, name_), 0};               \
        loft_test_register(&test);                                                                 \
    }                                                                                              \
    static void LOFT_TEST_BODY(suite_, name_)(void)
#endif

#endif
