/* Random bytes, clocks and the functions around fork. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#include "os/map.h"
#include "os/sys.h"
#include "support/test.h"

static bool is_zero(const unsigned char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != 0) {
            return false;
        }
    }
    return true;
}

LOFT_TEST(os_sys, random_bytes_fill_the_whole_buffer_and_differ)
{
    unsigned char guard[34] = {0};
    unsigned char other[32];
    LOFT_CHECK_EQ_INT(lofti_sys_random(guard + 1, 32), 0);
    LOFT_CHECK_EQ_INT(lofti_sys_random(other, 32), 0);
    LOFT_CHECK_EQ_INT(guard[0], 0);
    LOFT_CHECK_EQ_INT(guard[33], 0);
    LOFT_CHECK_NE_INT(memcmp(guard + 1, other, 32), 0);
    LOFT_CHECK_EQ_INT(lofti_sys_random(NULL, 0), 0);
}

static volatile sig_atomic_t alarms;
static void on_alarm(int signal)
{
    (void)signal;
    alarms++;
}

/* Requests above 256 bytes are cut short by signals; none may be lost. */
LOFT_TEST(os_sys, random_bytes_are_never_short_under_signals)
{
    const size_t bytes = (size_t)16 << 20;
    unsigned char *data = calloc(1, bytes);
    LOFT_CHECK_NOT_NULL(data);
    struct sigaction action = {.sa_handler = on_alarm}; /* without SA_RESTART */
    LOFT_CHECK_SYS(sigaction(SIGALRM, &action, NULL));
    const struct itimerval often = {{0, 500}, {0, 500}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    LOFT_CHECK_SYS(setitimer(ITIMER_REAL, &often, NULL));
    int rc = 0;
    for (int i = 0; i < 50 && rc == 0 && alarms < 3; i++) {
        memset(data, 0, bytes);
        rc = lofti_sys_random(data, bytes);
    }
    LOFT_CHECK_SYS(setitimer(ITIMER_REAL, &never, NULL));
    LOFT_CHECK_EQ_INT(rc, 0);
    LOFT_CHECK_GE_INT(alarms, 1);
    for (size_t i = 0; i < bytes; i += 64) { /* 64 zeros come by chance once in 2^512 */
        LOFT_CHECK_FALSE(is_zero(data + i, 64));
    }
    free(data);
}

LOFT_TEST(os_sys, random_bytes_for_a_bad_address_are_an_error)
{
    void *at;
    const size_t bytes = lofti_map_page_bytes();
    LOFT_CHECK_EQ_INT(lofti_map_place(bytes, 0, LOFTI_MAP_READ, NULL, 0, &at), 0);
    LOFT_CHECK_EQ_INT(lofti_sys_random(at, bytes), -EFAULT);
}

LOFT_TEST(os_sys, the_clocks_go_on_and_mean_what_they_say)
{
    const uint64_t begin = lofti_sys_now_ns();
    const uint64_t wall = lofti_sys_wall_ns();
    lofti_sys_sleep_ns(20000000);
    const uint64_t spent = lofti_sys_now_ns() - begin;
    LOFT_CHECK_GE_UINT(spent, 20000000);
    LOFT_CHECK_LT_UINT(spent, 60000000000u);
    const uint64_t second = 1000000000u;
    LOFT_CHECK_GT_UINT(wall, 1577836800u * second); /* the year 2020 */
    const uint64_t now = (uint64_t)time(NULL);
    LOFT_CHECK_GE_UINT(now + 2, wall / second);
    LOFT_CHECK_LE_UINT(now, wall / second + 60);
}

/* Signals wake a sleeper; it goes on sleeping. */
LOFT_TEST(os_sys, a_sleep_is_never_short_under_signals)
{
    struct sigaction action = {.sa_handler = on_alarm};
    LOFT_CHECK_SYS(sigaction(SIGALRM, &action, NULL));
    const struct itimerval often = {{0, 2000}, {0, 2000}};
    const struct itimerval never = {{0, 0}, {0, 0}};
    LOFT_CHECK_SYS(setitimer(ITIMER_REAL, &often, NULL));
    const uint64_t begin = lofti_sys_now_ns();
    lofti_sys_sleep_ns(30000000);
    const uint64_t spent = lofti_sys_now_ns() - begin;
    LOFT_CHECK_SYS(setitimer(ITIMER_REAL, &never, NULL));
    LOFT_CHECK_GE_UINT(spent, 30000000);
    LOFT_CHECK_GE_INT(alarms, 1);
    lofti_sys_sleep_ns(0);
}

static char calls[16];
static void note(char what) { calls[strlen(calls)] = what; }
static void prepare_first(void) { note('p'); }
static void parent_first(void) { note('a'); }
static void child_first(void) { note('c'); }
static void prepare_second(void) { note('P'); }
static void parent_second(void) { note('A'); }
static void child_second(void) { note('C'); }

static void check_child_calls(void *arg)
{
    (void)arg;
    LOFT_CHECK_EQ_STR(calls, "PpcC");
}

LOFT_TEST(os_sys, functions_around_fork_run_in_their_order)
{
    LOFT_CHECK_EQ_INT(lofti_sys_at_fork(prepare_first, parent_first, child_first), 0);
    LOFT_CHECK_EQ_INT(lofti_sys_at_fork(NULL, NULL, NULL), 0);
    LOFT_CHECK_EQ_INT(lofti_sys_at_fork(prepare_second, parent_second, child_second), 0);
    loft_test_child child;
    loft_test_run_child(check_child_calls, NULL, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
    LOFT_CHECK_EQ_STR(calls, "PpaA");
}
