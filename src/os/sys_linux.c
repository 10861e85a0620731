/*
 * os/sys_linux.c - random bytes on Linux.
 */
#include "os/sys.h"

#include <errno.h>
#include <sys/random.h>
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

bool lofti_sys_is_lone(void)
{
#ifdef SYS_TELLS_LONE
    return __libc_single_threaded != 0;
#else
    return false;
#endif
}
