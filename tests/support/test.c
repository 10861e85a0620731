/* The checks of test.h and what ends a test. No state but that of the one running test.
 *
 * The library's last error is looked up weakly: a test program that does not contain it (the
 * tests of this very file) has no loft failure to tell of. */
#include "support/test.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "support/folder.h"

extern const char *loft_error_name(int code) __attribute__((weak));
extern int loft_last_code(void) __attribute__((weak));
extern const char *loft_last_error(void) __attribute__((weak));
extern void __gcov_dump(void) __attribute__((weak));

static const loft_test *running;
static pid_t running_pid;
static int is_over; /* the test passed or skips: its process may exit now */
static uint64_t seed;
static int has_seed;

void loft_test_exit(int code)
{
    fflush(NULL);
    if (__gcov_dump != NULL)
        __gcov_dump();
    _exit(code);
}

static void print_last_error(void)
{
    if (loft_last_code == NULL || loft_last_error == NULL || loft_error_name == NULL)
        return;
    const int code = loft_last_code();
    if (code != 0)
        fprintf(stderr, "    last loft error: %s (%d): %s\n", loft_error_name(code), code,
                loft_last_error());
}

void loft_test_fail(loft_test_place place, const char *format, ...)
{
    fprintf(stderr, "%s:%d: ", place.file, place.line);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    print_last_error();
    if (has_seed)
        fprintf(stderr, "    seed: LOFT_SEED=%llu repeats it\n", (unsigned long long)seed);
    loft_test_exit(LOFT_TEST_EXIT_FAILED);
}

void loft_test_skip(const char *format, ...)
{
    char reason[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    loft_test_folder_remove(running);
    is_over = 1;
    loft_test_runner_skip(running, reason);
}

/* A test that calls exit(0) has not passed. Its forked children may exit as they like. */
static void at_exit(void)
{
    if (!is_over && getpid() == running_pid)
        LOFT_FAIL("%s/%s called exit before its end", running->suite, running->name);
}

void loft_test_run(const loft_test *test)
{
    running = test;
    running_pid = getpid();
    atexit(at_exit);
    test->body();
    is_over = 1;
    loft_test_folder_remove(test);
}

const char *loft_test_folder(void) { return loft_test_folder_make(running); }

const char *loft_test_tmp_path(const char *name) { return loft_test_folder_path(running, name); }

uint64_t loft_test_seed(void)
{
    if (has_seed)
        return seed;
    const char *given = getenv("LOFT_SEED");
    if (given != NULL && *given != '\0') {
        seed = strtoull(given, NULL, 0);
    } else if (getrandom(&seed, sizeof seed, 0) != (ssize_t)sizeof seed) {
        LOFT_FAIL("getrandom gave no seed");
    }
    has_seed = 1;
    fprintf(stderr, "%s/%s: LOFT_SEED=%llu\n", running->suite, running->name,
            (unsigned long long)seed);
    return seed;
}

static int is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && *value != '\0' && strcmp(value, "0") != 0;
}

static uint64_t count_for(uint64_t usual, uint64_t nightly, uint64_t release)
{
    if (is_set("LOFT_TEST_RELEASE"))
        return release;
    return is_set("LOFT_TEST_LONG") ? nightly : usual;
}

static uint64_t times_fewer(void)
{
    const char *given = getenv("LOFT_TEST_FEWER");
    const uint64_t times = given != NULL ? strtoull(given, NULL, 10) : 1;
    return times != 0 ? times : 1;
}

uint64_t loft_test_scale(uint64_t usual, uint64_t nightly, uint64_t release)
{
    const uint64_t count = count_for(usual, nightly, release);
    const uint64_t fewer = times_fewer();
    return count <= fewer ? count != 0 : count / fewer;
}

uint64_t loft_test_stride(uint64_t usual, uint64_t nightly, uint64_t release)
{
    return count_for(usual, nightly, release) * times_fewer();
}

void loft_test_null(loft_test_place place, const char *what, uintptr_t got)
{
    if (got != 0)
        loft_test_fail(place, "%s is 0x%jx, not NULL", what, (uintmax_t)got);
}

void loft_test_not_null(loft_test_place place, const char *what, uintptr_t got)
{
    if (got == 0)
        loft_test_fail(place, "%s is NULL (errno %d, %s)", what, errno, strerror(errno));
}

void loft_test_eq_str(loft_test_place place, const char *what, const char *got, const char *want)
{
    if (got == NULL || want == NULL || strcmp(got, want) != 0)
        loft_test_fail(place, "%s is \"%s\", not \"%s\"", what, got != NULL ? got : "(null)",
                       want != NULL ? want : "(null)");
}

void loft_test_contains(loft_test_place place, const char *what, const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL)
        loft_test_fail(place, "%s does not contain \"%s\" but is \"%s\"", what, part,
                       text != NULL ? text : "(null)");
}

void loft_test_eq_mem(loft_test_place place, const char *what, const void *got, const void *want,
                      size_t bytes)
{
    if (bytes == 0 || memcmp(got, want, bytes) == 0)
        return;
    const unsigned char *a = got, *b = want;
    size_t at = 0;
    while (a[at] == b[at])
        at++;
    loft_test_fail(place, "%s differs at byte %zu of %zu: 0x%02x, not 0x%02x", what, at, bytes,
                   a[at], b[at]);
}

static const char *name_of(int code)
{
    return loft_error_name != NULL ? loft_error_name(code) : "code";
}

void loft_test_ok(loft_test_place place, const char *what, int code)
{
    if (code != 0)
        loft_test_fail(place, "%s failed: %s (%d)", what, name_of(code), code);
}

void loft_test_err(loft_test_place place, const char *what, int code, const char *want_name,
                   int want)
{
    if (code != want)
        loft_test_fail(place, "%s is %s (%d), not %s (%d)", what, name_of(code), code, want_name,
                       want);
    if (code < 0 && loft_last_code != NULL && loft_last_code() != code)
        loft_test_fail(place, "%s is %s, but loft_last_code() says %s", what, name_of(code),
                       name_of(loft_last_code()));
    if (code < 0 && loft_last_error != NULL && *loft_last_error() == '\0')
        loft_test_fail(place, "%s is %s, but left no sentence", what, name_of(code));
}

void loft_test_sys(loft_test_place place, const char *what, long result)
{
    if (result == -1)
        loft_test_fail(place, "%s failed: errno %d, %s", what, errno, strerror(errno));
}

unsigned loft_test_timeout_seconds(void)
{
    const char *given = getenv("LOFT_TEST_TIMEOUT");
    const unsigned long seconds = given != NULL ? strtoul(given, NULL, 10) : 0;
    return seconds > 0 ? (unsigned)seconds : LOFT_TEST_TIMEOUT_SECONDS;
}
