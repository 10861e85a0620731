/*
 * os/window.c - the arenas' part of the address space.
 */
#include "os/window.h"

#include "os/map.h"

#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define WINDOW_HIGH_ONLY 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define WINDOW_HIGH_ONLY 1
#endif

/* In a smaller space an arena may reserve a larger part of it: the reserve is what an arena can grow to. */
#define WINDOW_RESERVE_SHARE 4u

lofti_window lofti_window_of(unsigned bits)
{
    const unsigned less = LOFTI_MAP_BITS_MAX - bits;
    lofti_window window = {0x180000000000 >> less, 0x540000000000 >> less, (uint64_t)1 << 40};
    if (less != 0) {
        window.reserve_bytes = (window.reserve_bytes >> less) * WINDOW_RESERVE_SHARE;
    }
    return window;
}

unsigned lofti_window_bits(void)
{
#ifdef WINDOW_HIGH_ONLY
    return LOFTI_MAP_BITS_MAX; /* trying elsewhere ends the program */
#else
    return lofti_map_bits();
#endif
}

lofti_window lofti_window_default(void)
{
#ifdef WINDOW_HIGH_ONLY
    /* 512 GiB in all: room for eight arenas. */
    return (lofti_window){0x7e8000000000, 0x7f0000000000, (uint64_t)64 << 30};
#else
    return lofti_window_of(lofti_window_bits());
#endif
}

bool lofti_window_holds(uint64_t base)
{
    const lofti_window own = lofti_window_default();
    bool holds = base >= own.low && base < own.high;
    for (unsigned bits = LOFTI_MAP_BITS_MIN; bits <= LOFTI_MAP_BITS_MAX && !holds; bits++) {
        const lofti_window window = lofti_window_of(bits);
        holds = base >= window.low && base < window.high;
    }
    return holds;
}
