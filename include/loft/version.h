/*
 * loft/version.h - the library's version, at compile time and at run time.
 *
 * Semantic versioning: the major number changes when compiled programs must be rebuilt or
 * changed; the file format has a version of its own (docs/format.md).
 */
#ifndef LOFT_VERSION_H
#define LOFT_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

/* Seen by programs, whatever visibility the library itself is compiled with. */
#pragma GCC visibility push(default)

#define LOFT_VERSION_MAJOR 0
#define LOFT_VERSION_MINOR 1
#define LOFT_VERSION_PATCH 0
#define LOFT_VERSION_TEXT  "0.1.0"

/* The version of the library that is running, "0.1.0". Owns: a constant. Threads: any. */
const char *loft_version(void);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* LOFT_VERSION_H */
