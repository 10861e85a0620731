/*
 * os/map_unix.c - the calls of mapping that Linux and POSIX have in common.
 */
#include "os/map_unix.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int lofti_map_unix_result(long result) { return result < 0 ? -errno : 0; }

int lofti_map_unix_protection(unsigned flags)
{
    if ((flags & LOFTI_MAP_RESERVE) != 0) {
        return PROT_NONE;
    }
    return (flags & LOFTI_MAP_WRITE) != 0 ? PROT_READ | PROT_WRITE : PROT_READ;
}

int lofti_map_unix_unmap(void *at, size_t bytes)
{
    return lofti_map_unix_result(munmap(at, bytes));
}

int lofti_map_unix_protect(void *at, size_t bytes, unsigned flags)
{
    return lofti_map_unix_result(mprotect(at, bytes, lofti_map_unix_protection(flags)));
}

int lofti_map_unix_sync(void *at, size_t bytes, bool wait)
{
    return lofti_map_unix_result(msync(at, bytes, wait ? MS_SYNC : MS_ASYNC));
}

int lofti_map_unix_lock(void *at, size_t bytes, bool on)
{
    return lofti_map_unix_result(on ? mlock(at, bytes) : munlock(at, bytes));
}

/* Cannot fail: every POSIX system has one. */
size_t lofti_map_system_page_bytes(void) { return (size_t)sysconf(_SC_PAGESIZE); }

size_t lofti_map_system_granule_bytes(void) { return lofti_map_system_page_bytes(); }

bool lofti_map_can_overlay(void) { return true; }
