/*
 * base/reason.h - what base must ask of the system about an errno value.
 *
 * Declared here and defined in src/os, one variant for each platform: base includes nothing, but how a
 * system words its errors, and which values only it has, is the system's to say.
 */
#ifndef LOFTI_BASE_REASON_H
#define LOFTI_BASE_REASON_H

#include <stddef.h>

/* The system's text for an errno value, in `buffer` or a constant. It may be more exact than the
 * value: of the calling thread's latest failed system call, if that became this value. */
const char *lofti_reason_text(int error, char *buffer, size_t bytes);

/* The nearest errno value that every system has, of one that only this one has; else the same. */
int lofti_reason_plain(int error);

#endif /* LOFTI_BASE_REASON_H */
