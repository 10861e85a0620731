/* The driver: runs every test in a process of its own, on any system and under any sanitizer. This half is the
 * same everywhere; driver.h has the other.
 *
 *     PROGRAM [--list] [--filter GLOB]... [--jobs N] [--timeout SECONDS] [--verbose]
 *     PROGRAM --run SUITE/NAME      what it starts itself as, where there is no fork
 *
 * Output is shown for tests that failed.
 * Exit code: 0 all passed, 1 something failed, 2 wrong arguments, 77 all were skipped. */
#include "support/driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/folder.h"

enum { FILTERS_MAX = 16 };

loft_driver_options loft_driver_asked = {.jobs = 1};

static unsigned filters;
static const char *filter[FILTERS_MAX];

static struct {
    unsigned passed, failed, skipped;
} counts;

static loft_test *first, **last = &first;
static const loft_test *running[LOFT_DRIVER_JOBS_MAX]; /* NULL: this place is free */

void loft_test_register(loft_test *test)
{
    *last = test;
    last = &test->next;
}

const loft_test *loft_driver_at(unsigned place) { return running[place]; }

/* * and ? as shells take them. */
static int is_match(const char *glob, const char *text)
{
    for (; *glob != '\0'; glob++, text++) {
        if (*glob == '*') {
            while (*text != '\0' && !is_match(glob + 1, text))
                text++;
            return is_match(glob + 1, text);
        }
        if (*text == '\0' || (*glob != '?' && *glob != *text))
            return 0;
    }
    return *text == '\0';
}

static int is_wanted(const loft_test *test)
{
    char name[256];
    snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
    for (unsigned i = 0; i < filters; i++)
        if (is_match(filter[i], name))
            return 1;
    return filters == 0;
}

int loft_driver_ended(unsigned place, const loft_driver_end *end)
{
    const loft_test *test = running[place];
    int show = loft_driver_asked.verbose;
    running[place] = NULL;
    if (end->code == 0 && !end->timed_out) {
        counts.passed++;
        printf("pass %s/%s (%.2f s)\n", test->suite, test->name, end->seconds);
    } else if (end->code == LOFT_TEST_EXIT_SKIPPED && end->reason != NULL && *end->reason != '\0') {
        counts.skipped++;
        printf("skip %s/%s: %s\n", test->suite, test->name, end->reason);
    } else {
        counts.failed++;
        show = 1;
        printf("FAIL %s/%s (%.2f s): ", test->suite, test->name, end->seconds);
        if (end->timed_out)
            printf("timed out after %u s\n", loft_driver_asked.timeout_seconds);
        else if (end->code == LOFT_TEST_EXIT_FAILED)
            printf("a check failed\n");
        else
            printf("%s\n", end->fate);
    }
    return show;
}

/* A free place, waiting for one if there is none. */
static unsigned free_place(void)
{
    for (;;) {
        for (unsigned i = 0; i < loft_driver_asked.jobs; i++)
            if (running[i] == NULL)
                return i;
        loft_driver_wait();
    }
}

static int is_busy(void)
{
    for (unsigned i = 0; i < loft_driver_asked.jobs; i++)
        if (running[i] != NULL)
            return 1;
    return 0;
}

static void run_all(void)
{
    for (const loft_test *test = first; test != NULL; test = test->next) {
        if (!is_wanted(test))
            continue;
        const unsigned place = free_place();
        running[place] = test;
        loft_driver_start(place, test);
    }
    while (is_busy())
        loft_driver_wait();
}

/* In a test's process. A crash must not lose what was printed before it. */
static int run_one(const char *wanted)
{
    char name[256];
    setvbuf(stdout, NULL, _IONBF, 0);
    for (const loft_test *test = first; test != NULL; test = test->next) {
        snprintf(name, sizeof name, "%s/%s", test->suite, test->name);
        if (strcmp(name, wanted) == 0) {
            loft_test_run(test);
            return 0;
        }
    }
    fprintf(stderr, "there is no test %s\n", wanted);
    return 2;
}

static int list_all(void)
{
    for (const loft_test *test = first; test != NULL; test = test->next)
        if (is_wanted(test))
            printf("%s/%s\n", test->suite, test->name);
    return 0;
}

_Noreturn static void usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--list] [--filter GLOB]... [--jobs N] [--timeout SECONDS] [--verbose]\n",
            program);
    exit(2);
}

static unsigned number(const char *text, unsigned least, unsigned most, const char *program)
{
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value < least || value > most)
        usage(program);
    return (unsigned)value;
}

static void read_arguments(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        const char *name = arguments[i];
        if (strcmp(name, "--list") == 0) {
            loft_driver_asked.list = 1;
        } else if (strcmp(name, "--verbose") == 0) {
            loft_driver_asked.verbose = 1;
        } else if (i + 1 == count) {
            usage(arguments[0]);
        } else if (strcmp(name, "--run") == 0) {
            loft_driver_asked.run = arguments[++i];
        } else if (strcmp(name, "--filter") == 0 && filters < FILTERS_MAX) {
            filter[filters++] = arguments[++i];
        } else if (strcmp(name, "--jobs") == 0) {
            loft_driver_asked.jobs = number(arguments[++i], 1, LOFT_DRIVER_JOBS_MAX, arguments[0]);
        } else if (strcmp(name, "--timeout") == 0) {
            loft_driver_asked.timeout_seconds = number(arguments[++i], 1, 1000000, arguments[0]);
        } else {
            usage(arguments[0]);
        }
    }
}

int main(int count, char **arguments)
{
    loft_driver_asked.timeout_seconds = loft_test_timeout_seconds();
    read_arguments(count, arguments);
    loft_driver_begin();
    if (loft_driver_asked.run != NULL)
        return run_one(loft_driver_asked.run);
    if (loft_driver_asked.list)
        return list_all();
    loft_test_session_begin();
    run_all();
    loft_test_session_end();
    printf("%u passed, %u failed, %u skipped\n", counts.passed, counts.failed, counts.skipped);
    if (counts.passed + counts.failed + counts.skipped == 0) {
        fprintf(stderr, "%s: no test has such a name\n", arguments[0]);
        return 2;
    }
    if (counts.failed > 0)
        return 1;
    return counts.passed > 0 ? 0 : LOFT_TEST_EXIT_ALL_SKIPPED;
}
