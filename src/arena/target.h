/*
 * arena/target.h - a new arena file on its way to its name: for snapshots and salvage.
 *
 * The file has no name until it is whole and on the device (an unnamed file; where the file system has none, a
 * temporary name beside the target). So a crash or a kill at any moment leaves the target as it was or whole.
 *
 *   begin ... write to target.file ... publish        or, at any step, cancel
 *
 * LOFT_REPLACE: a link never replaces a name, so the whole file is linked under a temporary name, which is then
 * renamed over the target. A kill just between the two leaves that name, PATH.loft-0123456789abcdef.
 */
#ifndef LOFTI_ARENA_TARGET_H
#define LOFTI_ARENA_TARGET_H

#include <stdbool.h>

#include "os/file.h"

#define LOFTI_TARGET_PATH_BYTES 4160 /* a path of 4,096 and the suffix of a temporary name */

typedef struct lofti_target {
    const char *operation; /* for sentences */
    const char *path;
    unsigned flags; /* LOFT_REPLACE, LOFT_ALLOW_REMOTE */
    const lofti_file_ops *ops;
    lofti_file file;
    char temporary[LOFTI_TARGET_PATH_BYTES]; /* "": it has none */
} lofti_target;

/* Judges the target and opens the new file, readable to no more than `source` is (which may be NULL), and to its owner
 * alone. LOFT_EEXIST unless LOFT_REPLACE; LOFT_EINVAL if the target is the source itself or not a regular file;
 * LOFT_EBUSY if it is an arena that a writer has open. */
int lofti_target_begin(lofti_target *target, const char *operation, const char *path,
                       unsigned flags, const lofti_file *source);
/* Flushes the file, names it, flushes the folder, closes it. On failure it is as after cancel; with LOFT_REPLACE
 * (Partial:) the name may lead to the new file if the folder's flush failed. */
int lofti_target_publish(lofti_target *target);
/* Undoes it. The last error stays as it is. */
void lofti_target_cancel(lofti_target *target);

#endif /* LOFTI_ARENA_TARGET_H */
