/*
 * os/views_windows.h - the files behind the mappings that stores reach.
 *
 * Windows flushes a file, and maps it at another length, by a handle, of which the caller of
 * os/map.h may not have one any more. So a view that stores reach keeps a handle of its own, in a table
 * by address, until it is unmapped. Thread-safe.
 */
#ifndef LOFTI_OS_VIEWS_WINDOWS_H
#define LOFTI_OS_VIEWS_WINDOWS_H

#include "os/system_windows.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct lofti_view_file {
    uint64_t at;   /* the view's first byte; 0: no view */
    uint64_t off;  /* in the file, of that byte */
    HANDLE file;   /* the table's own */
    DWORD protect; /* that the view was mapped with */
} lofti_view_file;

/* -ENOMEM. The handle is the table's from then on. */
int lofti_views_add(const lofti_view_file *view);
/* False: no view that is kept begins at `at`. */
bool lofti_views_find(uint64_t at, lofti_view_file *out);
/* Forgets the view; its handle is the caller's. */
bool lofti_views_take(uint64_t at, lofti_view_file *out);

#endif /* LOFTI_OS_VIEWS_WINDOWS_H */
