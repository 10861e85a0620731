/*
 * region/flags.h - which flag goes with which function.
 */
#ifndef LOFTI_REGION_FLAGS_H
#define LOFTI_REGION_FLAGS_H

#include "loft/region.h"

/* The columns of the table at the head of loft/region.h. */
typedef enum lofti_flags_column {
    LOFTI_FLAGS_MAP = 0,
    LOFTI_FLAGS_CREATE,
    LOFTI_FLAGS_CREATE_FROM,
    LOFTI_FLAGS_ADOPT,
    LOFTI_FLAGS_OPEN,
    LOFTI_FLAGS_OPEN_HANDLE,
    LOFTI_FLAGS_RESIZE,
    LOFTI_FLAGS_SYNC,
    LOFTI_FLAGS_PROTECT,
    LOFTI_FLAGS_COLUMNS
} lofti_flags_column;

/* Of an existing file: what creation does with it. At most one is given. */
#define LOFTI_FLAGS_EXISTING (LOFT_TRUNCATE | LOFT_KEEP | LOFT_EXCLUSIVE | LOFT_REPLACE)

/* What a region remembers of the flags that it was made with. */
#define LOFTI_FLAGS_LASTING                                                                        \
    (LOFT_WRITE | LOFT_COPY | LOFT_GROW | LOFT_RANDOM | LOFT_SHARED | LOFT_ASYNC | LOFT_HUGE |     \
     LOFT_NORESERVE | LOFT_LOCK)

/* 0 with *flags completed by what the function implies, or LOFT_EINVAL with a sentence that names
 * the flag. `operation` and `path` are for the sentence. */
int lofti_flags_check(lofti_flags_column column, const char *operation, const char *path,
                      unsigned *flags);

#endif /* LOFTI_REGION_FLAGS_H */
