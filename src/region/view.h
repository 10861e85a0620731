/*
 * region/view.h - the geometry of a mapping, and failures told in sentences.
 */
#ifndef LOFTI_REGION_VIEW_H
#define LOFTI_REGION_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/file.h"
#include "region/table.h"

/* Bytes: no mapping can be larger than the address space that is handed out. */
#define LOFTI_VIEW_BYTES_MAX ((uint64_t)1 << 47)

static inline uint64_t lofti_view_number(const void *address)
{
    return (uint64_t)(uintptr_t)address;
}

static inline void *lofti_view_pointer(uint64_t address)
{
    return (void *)(uintptr_t)address; /* NOLINT(performance-no-int-to-ptr): the registry's key */
}

/* The whole pages that hold `bytes` behind the `skipped` ones between the mapping's and the
 * region's first byte; at least one. `skipped` is below a granule, bytes at most LOFTI_VIEW_BYTES_MAX. */
uint64_t lofti_view_pages(uint64_t skipped, uint64_t bytes);

/* LOFT_EOVERFLOW if [off, off + bytes) is no range of any file, LOFT_ENOMEM if it is larger than
 * the address space; with a sentence. */
int lofti_view_check(const char *operation, const char *path, uint64_t off, uint64_t bytes);

/* Maps as facts->bytes, file_off, flags and kind say, and fills in address, map_at and map_bytes.
 * `file` is NULL for memory. populate: also map the pages now. Negative errno. */
int lofti_view_map(lofti_facts *facts, const lofti_file *file, bool populate);

/* The flags of os/map.h for a region that is not empty. */
unsigned lofti_view_map_flags(const lofti_facts *facts);

/* Applies what LOFT_RANDOM and LOFT_HUGE ask for, before the first touch. Negative errno. */
int lofti_view_advise(const lofti_facts *facts);

/* Makes every page writable now. -ENOSPC if a file has no room for them. */
int lofti_view_populate(const lofti_facts *facts);

/* A failure of the system, with a reason that a size explains. Returns the code. */
int lofti_view_fail(int error, const char *operation, const char *path, uint64_t bytes);

/* A failure of the system about a region: names its file, if it has one and it can be known. */
int lofti_view_fail_region(int error, const char *operation, const lofti_facts *facts);

/* LOFT_ENOENT or LOFT_EBUSY, as the table's functions answer. */
int lofti_view_fail_lookup(int error, const char *operation, const void *address);

#endif /* LOFTI_REGION_VIEW_H */
