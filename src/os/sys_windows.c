/*
 * os/sys_windows.c - random bytes and clocks on Windows. There is no fork.
 */
#include "os/system_windows.h"

#include <bcrypt.h>
#include <errno.h>

#include "base/arith.h"
#include "os/sys.h"

#define SYS_NS_PER_SECOND UINT64_C(1000000000)
/* FILETIME counts 100 ns since 1601; 1970 is so many of them later. */
#define SYS_TICK_NS       100u
#define SYS_EPOCH_TICKS   UINT64_C(116444736000000000)

int lofti_sys_random(void *data, size_t bytes)
{
    uint8_t *to = data;
    while (bytes != 0) {
        const ULONG piece = (ULONG)lofti_arith_min(bytes, (uint64_t)1 << 30);
        if (BCryptGenRandom(NULL, to, piece, BCRYPT_USE_SYSTEM_PREFERRED_RNG) < 0) {
            return lofti_windows_refuse(EIO);
        }
        to += piece;
        bytes -= piece;
    }
    return 0;
}

uint64_t lofti_sys_now_ns(void)
{
    LARGE_INTEGER count;
    LARGE_INTEGER frequency;
    (void)QueryPerformanceCounter(&count); /* neither fails since Windows XP */
    (void)QueryPerformanceFrequency(&frequency);
    const uint64_t ticks = (uint64_t)count.QuadPart;
    const uint64_t each = (uint64_t)frequency.QuadPart;
    return ticks / each * SYS_NS_PER_SECOND + ticks % each * SYS_NS_PER_SECOND / each;
}

uint64_t lofti_sys_wall_ns(void)
{
    FILETIME now;
    GetSystemTimeAsFileTime(&now);
    const uint64_t ticks = ((uint64_t)now.dwHighDateTime << 32) | now.dwLowDateTime;
    return (ticks - SYS_EPOCH_TICKS) * SYS_TICK_NS;
}

void lofti_sys_sleep_ns(uint64_t ns)
{
    const uint64_t until = lofti_sys_now_ns() + ns;
    for (uint64_t now = lofti_sys_now_ns(); now < until; now = lofti_sys_now_ns()) {
        /* Rounded up; an hour at most, as one number means for ever. */
        Sleep((DWORD)lofti_arith_min((until - now + 999999u) / 1000000u, 3600000u));
    }
}

bool lofti_sys_is_lone(void) { return false; } /* the system does not tell */

int lofti_sys_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    (void)prepare;
    (void)parent;
    (void)child;
    return 0;
}
