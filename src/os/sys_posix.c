/*
 * os/sys_posix.c - random bytes on POSIX.
 */
#include "os/sys.h"

#include <errno.h>
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

bool lofti_sys_is_lone(void) { return false; } /* POSIX does not tell */
