/* See salts.h. The library asks the C library's getrandom, on POSIX getentropy, which the linker finds here first. */
#include "crash/salts.h"

#include <stdbool.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crash/plan.h"

static bool begun;
static uint64_t salts_state;

void crash_salts_begin(uint64_t root)
{
    begun = true;
    salts_state = crash_mix(root ^ 0x5a17);
}

ssize_t getrandom(void *data, size_t bytes, unsigned flags)
{
    if (!begun) {
        return (ssize_t)syscall(SYS_getrandom, data, bytes, flags);
    }
    for (size_t done = 0; done < bytes; done += sizeof salts_state) {
        const uint64_t word = crash_mix(salts_state += 0x9e3779b97f4a7c15u);
        const size_t part = bytes - done < sizeof word ? bytes - done : sizeof word;
        memcpy((char *)data + done, &word, part);
    }
    return (ssize_t)bytes;
}

int getentropy(void *data, size_t bytes)
{
    return getrandom(data, bytes, 0) == (ssize_t)bytes ? 0 : -1;
}
