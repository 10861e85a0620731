/*
 * base/status.h - how a failure becomes a code and a sentence.
 *
 * A sentence reads: OPERATION 'PATH': REASON. It is kept per thread; setting it allocates
 * nothing. The functions return the code, so that a failing path is one line:
 *
 *     return lofti_status_system(err, "create", path);
 */
#ifndef LOFTI_BASE_STATUS_H
#define LOFTI_BASE_STATUS_H

#include <stddef.h>

#include "loft/error.h"

/* A failure that loft found itself. `operation` and `path` may be NULL and are then left out.
 * Returns `code`. */
int lofti_status_fail(int code, const char *operation, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A failure that the system reported. `error` is an errno value, positive or negative (the os
 * layer returns negative ones). The code is the nearest LOFT_E; the reason is the system's text.
 * Returns the code. */
int lofti_status_system(int error, const char *operation, const char *path);

/* Copies the thread's sentence out, for a caller that wants to wrap it into a longer one. */
void lofti_status_copy(char *out, size_t bytes);

/* The nearest LOFT_E of an errno value, positive or negative. */
int lofti_status_code(int error);

/* For pointer results: sets errno to match `code` (already recorded) and returns NULL. */
void *lofti_status_null(int code);

#endif /* LOFTI_BASE_STATUS_H */
