/* The forking driver's two halves: driver.c chooses and counts tests, and one file per system runs each in a process of
 * its own.
 *
 *   driver.c ──begin, start, wait──> driver_posix.c or driver_windows.c
 *   either   ──ended──> driver.c, once for each start, from inside wait */
#ifndef LOFT_TESTS_SUPPORT_DRIVER_H
#define LOFT_TESTS_SUPPORT_DRIVER_H

#include "support/runner.h"

enum { LOFT_DRIVER_JOBS_MAX = 64, LOFT_DRIVER_REASON_BYTES = 256 };

typedef struct loft_driver_options {
    int list, verbose;
    unsigned jobs, timeout_seconds;
    const char
        *run; /* the one test that this process is for, where a system has no fork; or NULL */
} loft_driver_options;
extern loft_driver_options loft_driver_asked;

/* How a test's process ended. */
typedef struct loft_driver_end {
    double seconds;
    int code;           /* its exit code; -1: it has none */
    int timed_out;      /* killed for that */
    const char *reason; /* why it skips; NULL or empty: it told none */
    const char *fate;   /* in words, where code is none that a test gives */
} loft_driver_end;

/* Prints and counts the verdict, and frees the place. Returns whether the test's output is to be shown. */
int loft_driver_ended(unsigned place, const loft_driver_end *end);
/* Who runs in that place; NULL: nobody. */
const loft_test *loft_driver_at(unsigned place);

/* The system's half. Failures that are not a test's end the program with 2. */
void loft_driver_begin(void);
void loft_driver_start(unsigned place, const loft_test *test);
/* Waits for one of the tests to end, or a tenth of a second, and ends those past their time. */
void loft_driver_wait(void);

#endif
