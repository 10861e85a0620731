/*
 * os/sys_unix.c - clocks and fork, which Linux and POSIX have in common.
 */
#include "os/sys.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

static uint64_t sys_clock_ns(clockid_t clock)
{
    struct timespec now = {0, 0};
    /* Both clocks exist wherever this is compiled, and the address is right: it cannot fail. */
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t lofti_sys_now_ns(void) { return sys_clock_ns(CLOCK_MONOTONIC); }

uint64_t lofti_sys_wall_ns(void) { return sys_clock_ns(CLOCK_REALTIME); }

void lofti_sys_sleep_ns(uint64_t ns)
{
    struct timespec left = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

int lofti_sys_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return -pthread_atfork(prepare, parent, child);
}
