/*
 * os/window.h - where in the address space arenas are put.
 *
 * The first window takes a 1 TiB reserve plain, under AddressSanitizer (GCC, Clang) and under
 * Valgrind; ThreadSanitizer and MemorySanitizer forbid it and leave one of 512 GiB near the top.
 * Smaller address spaces (39 bits) scale both down.
 */
#ifndef LOFTI_OS_WINDOW_H
#define LOFTI_OS_WINDOW_H

#include <stdint.h>

typedef struct lofti_window {
    uint64_t low, high;     /* bases are chosen in [low, high - reserve] */
    uint64_t reserve_bytes; /* address space that an arena holds by default */
} lofti_window;

lofti_window lofti_window_default(void);

#endif /* LOFTI_OS_WINDOW_H */
