/*
 * os/barrier_linux.c - membarrier(2), private and expedited.
 */
#include "os/barrier.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"

static pthread_once_t barrier_once = PTHREAD_ONCE_INIT;
static bool barrier_works;

/* ThreadSanitizer does not know what membarrier orders; fences it does. */
#if defined(__SANITIZE_THREAD__)
#define BARRIER_FORBIDDEN 1
#endif
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BARRIER_FORBIDDEN 1
#endif
#endif
#ifndef BARRIER_FORBIDDEN
#define BARRIER_FORBIDDEN 0
#endif

static void barrier_register(void)
{
    /* Registration is the process's and is inherited by fork; a sandbox may refuse it. */
    barrier_works = !BARRIER_FORBIDDEN &&
                    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
                    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool lofti_barrier_available(void)
{
    (void)pthread_once(&barrier_once, barrier_register);
    return barrier_works;
}

void lofti_barrier_all(void)
{
    LOFTI_ASSERT(barrier_works);
    /* Registered and tried: it cannot fail, and going on without would be a silent race. */
    LOFTI_CHECK(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
}
