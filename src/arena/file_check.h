/*
 * arena/file_check.h - checking an open file, for loft_file_check and loft_file_salvage.
 */
#ifndef LOFTI_ARENA_FILE_CHECK_H
#define LOFTI_ARENA_FILE_CHECK_H

#include <stdbool.h>

#include "loft/arena.h"
#include "os/file.h"

/* *usable: the heap could be attached. *file is open afterwards, unless not even its superblock could be read. Returns
 * 0, LOFT_ECORRUPT with *faults, what fn returned, or the code of a failure of its own. */
int lofti_file_check(lofti_file *file, const char *path, loft_report_fn *fn, void *context,
                     uint64_t *faults, bool *usable);

#endif /* LOFTI_ARENA_FILE_CHECK_H */
