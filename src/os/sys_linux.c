/*
 * os/sys_linux.c - random bytes, clocks and fork on Linux.
 */
#include "os/sys.h"

#include <errno.h>
#include <pthread.h>
#include <sys/random.h>
#include <time.h>
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h> /* glibc */
#define SYS_TELLS_LONE 1
#endif

int lofti_sys_random(void *data, size_t bytes)
{
    char *to = data;
    size_t done = 0;
    while (done < bytes) { /* above 256 bytes a signal may make an answer short */
        const ssize_t got = getrandom(to + done, bytes - done, 0);
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0 || errno != EINTR) {
            return got == 0 ? -EIO : -errno;
        }
    }
    return 0;
}

static uint64_t sys_clock_ns(clockid_t clock)
{
    struct timespec now = {0, 0};
    /* Both clocks exist in every kernel, and the address is right: it cannot fail. */
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

bool lofti_sys_is_lone(void)
{
#ifdef SYS_TELLS_LONE
    return __libc_single_threaded != 0;
#else
    return false;
#endif
}

int lofti_sys_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return -pthread_atfork(prepare, parent, child);
}
