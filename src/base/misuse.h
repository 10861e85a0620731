/*
 * base/misuse.h - reporting that a caller broke a contract.
 */
#ifndef LOFTI_BASE_MISUSE_H
#define LOFTI_BASE_MISUSE_H

#include "loft/error.h"

/* Formats the sentence, records it as the thread's last error (LOFT_EINVAL) and calls the
 * handler. Returns only if the handler does; the caller then does nothing. Nothing may have been
 * changed before the call, and no lock of loft's may be held during it. */
void lofti_misuse_report(int kind, const void *address, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif /* LOFTI_BASE_MISUSE_H */
