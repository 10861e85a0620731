/*
 * os/sys_posix.c - random bytes, clocks and fork on POSIX.
 */
#include "os/sys.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

/* POSIX has it since 2024, and these systems had it before: macOS in another header, Linux for programs that ask for more
 * than POSIX only. */
#if defined(__APPLE__)
#include <sys/random.h>
#elif defined(__linux__)
int getentropy(void *data, size_t bytes);
#endif

/* As much as one call of getentropy gives. */
enum { SYS_RANDOM_BYTES = 256 };

int lofti_sys_random(void *data, size_t bytes)
{
    char *to = data;
    while (bytes > 0) {
        const size_t piece = bytes < SYS_RANDOM_BYTES ? bytes : SYS_RANDOM_BYTES;
        if (getentropy(to, piece) != 0) {
            return -errno;
        }
        to += piece;
        bytes -= piece;
    }
    return 0;
}

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

bool lofti_sys_is_lone(void) { return false; } /* POSIX does not tell */

int lofti_sys_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    return -pthread_atfork(prepare, parent, child);
}
