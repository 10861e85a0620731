/*
 * os/area_windows.h - the address space as Windows describes it, and mapping at one place of it.
 *
 * For os/map_windows.c alone. The rules of os/map.h.
 */
#ifndef LOFTI_OS_AREA_WINDOWS_H
#define LOFTI_OS_AREA_WINDOWS_H

#include "os/system_windows.h"

#include <stdbool.h>
#include <stdint.h>

#include "os/map.h"

static inline uint64_t lofti_area_number(const void *at) { return (uint64_t)(uintptr_t)at; }
static inline void *lofti_area_address(uint64_t number) { return (void *)(uintptr_t)number; }

/* A run of pages that are the same in all that VirtualQuery tells. */
typedef struct lofti_area {
    uint64_t start, end; /* of the run, cut to begin at the address that was asked for */
    uint64_t base;       /* of the allocation that it belongs to; 0: free */
    DWORD state;         /* MEM_FREE, MEM_RESERVE, MEM_COMMIT */
    DWORD type;          /* MEM_PRIVATE, MEM_MAPPED, MEM_IMAGE */
    DWORD protect;       /* of committed pages */
    DWORD first_protect; /* what the allocation was made with */
} lofti_area;

/* False: the address is above all that a program may have. */
bool lofti_area_at(uint64_t at, lofti_area *out);
/* Where the allocation that begins at `base` ends. */
uint64_t lofti_area_allocation_end(uint64_t base);
/* Calls fn for every run of the process, in rising order; the walk of os/map.h. */
int lofti_area_walk(lofti_map_area_fn *fn, void *context);

/* What is to be mapped. */
typedef struct lofti_area_request {
    size_t bytes;
    unsigned flags; /* enum lofti_map_flags */
    HANDLE file;    /* NULL: anonymous */
    uint64_t off;
    DWORD protect; /* of a file's view; 0: as the flags say */
} lofti_area_request;

/* At exactly `at`, a multiple of 64 KiB; -EEXIST where something is there. */
int lofti_area_map_at(const lofti_area_request *request, uint64_t at);
/* At a place that is found with VirtualQuery, in [LOW, HIGH). */
int lofti_area_map(const lofti_area_request *request, void **out);

/* The protection for flags; is_copy: of a view whose stores stay private. */
DWORD lofti_area_protection(unsigned flags, bool is_copy);
bool lofti_area_is_writable(DWORD protect);

#endif /* LOFTI_OS_AREA_WINDOWS_H */
