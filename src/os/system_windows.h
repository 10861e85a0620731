/*
 * os/system_windows.h - what the Windows variants share: errors, and names as Windows wants them.
 *
 * For the files *_windows.c alone.
 */
#ifndef LOFTI_OS_SYSTEM_WINDOWS_H
#define LOFTI_OS_SYSTEM_WINDOWS_H

/* Windows 8: PrefetchVirtualMemory. What a later Windows has is asked for at run time. */
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0602
#endif
#define WIN32_LEAN_AND_MEAN

#include <stdbool.h>
#include <stddef.h>
#include <windows.h>

/* UTF-16 units of the longest name that is taken, with its end: more than os/file.h's callers make
 * (4,160 bytes), and 9 KiB of stack, not the 64 KiB that Windows' own limit would take. */
#define LOFTI_WIDE_UNITS 4608

typedef struct lofti_wide {
    wchar_t text[LOFTI_WIDE_UNITS];
} lofti_wide;

/* The negative errno value that says the same as a Windows error. The number is remembered for the
 * calling thread, so that lofti_reason_text can give the system's own words. */
int lofti_windows_error(DWORD error);
/* The same of GetLastError(). */
int lofti_windows_failed(void);
/* A failure that is loft's own finding: forgets the number, and returns -error. */
int lofti_windows_refuse(int error);
/* The Windows error that the calling thread's latest failure came from, if it became `error`; else, for values that
 * the C runtime has no words for, one that becomes `error`; else 0. */
DWORD lofti_windows_latest(int error);

/* A path of UTF-8 as a full wide one; those that Windows would find too long begin with "\\?\".
 * -EINVAL (not UTF-8), -ENOENT (empty), -ENAMETOOLONG. */
int lofti_wide_path(const char *path, lofti_wide *out);
/* UTF-8 of a wide name, cut to `bytes`, without the "\\?\" of full ones. */
void lofti_wide_text(const wchar_t *wide, char *out, size_t bytes);

#endif /* LOFTI_OS_SYSTEM_WINDOWS_H */
