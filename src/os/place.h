/*
 * os/place.h - where a mapping lies: the searching behind os/map.h, for os/map.c alone.
 *
 * Sizes and offsets are whole pages, sizes not 0 and at most HIGH - LOW, as os/map.c has checked.
 * 0 or a negative errno value; on failure nothing is mapped that was not before.
 */
#ifndef LOFTI_OS_PLACE_H
#define LOFTI_OS_PLACE_H

#include "base/arith.h"
#include "os/map.h"

/* What is to be mapped, and through which table. */
typedef struct lofti_place_request {
    const lofti_map_ops *ops;
    size_t bytes;
    unsigned flags;
    intptr_t handle; /* -1: anonymous */
    uint64_t off;
} lofti_place_request;

/* Addresses are compared and computed as numbers: they need not point to anything yet. */
static inline uint64_t lofti_place_number(const void *at) { return (uint64_t)(uintptr_t)at; }

static inline void *lofti_place_address(uint64_t number)
{
    return (void *)(uintptr_t)number; /* NOLINT(performance-no-int-to-ptr): what mmap is about */
}

/* [start, start + bytes) lies in [LOW, HIGH). */
static inline bool lofti_place_is_inside(uint64_t start, uint64_t bytes)
{
    return start >= LOFTI_MAP_LOW && lofti_arith_inside(start, bytes, LOFTI_MAP_HIGH);
}

/* Anywhere in [LOW, HIGH). */
int lofti_place_anywhere(const lofti_place_request *request, void **out);
/* The same at a multiple of `alignment`, a power of two above the page size. */
int lofti_place_aligned(const lofti_place_request *request, size_t alignment, void **out);
/* At `at`, where nothing may be: -EEXIST. */
int lofti_place_exactly(const lofti_place_request *request, uint64_t at);
/* Over what is at `at`, which is the caller's. On failure it may be gone. */
int lofti_place_over(const lofti_place_request *request, uint64_t at);

/* A request for address space alone. */
lofti_place_request lofti_place_reservation(const lofti_map_ops *ops, size_t bytes);
/* Unmaps a reservation of the caller's over which something fixed was tried and failed. */
void lofti_place_give_up(const lofti_map_ops *ops, uint64_t at, size_t bytes);
/* Forgets where the last search ended: the table, and so the address space, is another one. */
void lofti_place_forget(void);

#endif /* LOFTI_OS_PLACE_H */
