/*
 * os/window.h - where in the address space arenas are put.
 *
 * The first window takes a 1 TiB reserve plain, under AddressSanitizer (GCC, Clang) and under
 * Valgrind; ThreadSanitizer and MemorySanitizer forbid it and leave one of 512 GiB near the top.
 * Smaller address spaces (39 bits on many ARM systems, 38 on some RISC-V ones, 42 with old 64 KiB pages) scale the
 * window down with them, and the reserve less:
 *
 *     bits   window of bases                      reserve
 *       47   0x1800_0000_0000-0x5400_0000_0000    1 TiB
 *       42     0xc0_0000_0000-0x2a0_0000_0000     128 GiB
 *       39     0x18_0000_0000-0x54_0000_0000      16 GiB
 *       36      0x3_0000_0000-0xa_8000_0000       2 GiB
 *
 * A file made in a larger address space than it is opened in lies outside: LOFT_EADDRESS.
 */
#ifndef LOFTI_OS_WINDOW_H
#define LOFTI_OS_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

typedef struct lofti_window {
    uint64_t low, high;     /* bases are chosen in [low, high - reserve] */
    uint64_t reserve_bytes; /* address space that an arena holds by default */
} lofti_window;

/* Of an address space of so many bits, LOFTI_MAP_BITS_MIN to LOFTI_MAP_BITS_MAX. */
lofti_window lofti_window_of(unsigned bits);
/* The bits of this process's address space (lofti_map_bits), as far as arenas are concerned. */
unsigned lofti_window_bits(void);
/* Of this process. */
lofti_window lofti_window_default(void);
/* Whether a base lies in the window of some address space: where an arena of this or another system may be. */
bool lofti_window_holds(uint64_t base);

#endif /* LOFTI_OS_WINDOW_H */
