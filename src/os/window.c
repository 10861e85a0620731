/*
 * os/window.c - the arenas' part of the address space.
 */
#include "os/window.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define WINDOW_HIGH_ONLY 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WINDOW_HIGH_ONLY 1
#endif

lofti_window lofti_window_default(void)
{
#ifdef WINDOW_HIGH_ONLY
    /* 512 GiB in all: room for eight arenas. */
    return (lofti_window){0x7e8000000000, 0x7f0000000000, (uint64_t)64 << 30};
#else
    return (lofti_window){0x180000000000, 0x540000000000, (uint64_t)1 << 40};
#endif
}
