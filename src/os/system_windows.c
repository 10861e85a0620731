/*
 * os/system_windows.c - Windows' errors as errno values, and its names.
 *
 * The layers above know errno values alone. A Windows error becomes the nearest one; which it was
 * is kept beside it for the thread, so that the sentence of a failure has Windows' own text, as
 * long as nothing else failed in between.
 */
#include "os/system_windows.h"

#include <errno.h>
#include <string.h>

/* ERROR_DISK_QUOTA_EXCEEDED, which older headers lack. */
#define WINDOWS_QUOTA_EXCEEDED 1295

/* The lowest errno value that the C runtime has no words for. */
#define WINDOWS_TEXTLESS 100

typedef struct error_pair {
    DWORD windows;
    int error;
} error_pair;

/* What is in no line is EIO: the system would not do it. */
static const error_pair error_pairs[] = {
    {ERROR_FILE_NOT_FOUND, ENOENT},
    {ERROR_PATH_NOT_FOUND, ENOENT},
    {ERROR_INVALID_DRIVE, ENOENT},
    {ERROR_INVALID_NAME, ENOENT},
    {ERROR_BAD_PATHNAME, ENOENT},
    {ERROR_BAD_NETPATH, ENOENT},
    {ERROR_BAD_NET_NAME, ENOENT},
    {ERROR_NO_MORE_FILES, ENOENT},
    {ERROR_FILE_EXISTS, EEXIST},
    {ERROR_ALREADY_EXISTS, EEXIST},
    {ERROR_ACCESS_DENIED, EACCES},
    {ERROR_PRIVILEGE_NOT_HELD, EACCES},
    {ERROR_NETWORK_ACCESS_DENIED, EACCES},
    {ERROR_CANNOT_MAKE, EACCES},
    {ERROR_WRITE_PROTECT, EROFS},
    {ERROR_SHARING_VIOLATION, EBUSY},
    {ERROR_DELETE_PENDING, EBUSY},
    {ERROR_USER_MAPPED_FILE, ETXTBSY},
    {ERROR_LOCK_VIOLATION, EAGAIN},
    {ERROR_INVALID_HANDLE, EBADF},
    {ERROR_INVALID_PARAMETER, EINVAL},
    {ERROR_NEGATIVE_SEEK, EINVAL},
    {ERROR_FILE_INVALID, EINVAL},
    {ERROR_DIRECTORY, EINVAL},
    {ERROR_NO_UNICODE_TRANSLATION, EINVAL},
    {ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
    {ERROR_OUTOFMEMORY, ENOMEM},
    {ERROR_COMMITMENT_LIMIT, ENOMEM},
    {ERROR_COMMITMENT_MINIMUM, ENOMEM},
    {ERROR_PAGEFILE_QUOTA, ENOMEM},
    {ERROR_WORKING_SET_QUOTA, ENOMEM},
    {ERROR_NO_SYSTEM_RESOURCES, ENOMEM},
    {ERROR_INVALID_ADDRESS, EEXIST}, /* of a wished address: something is there */
    {ERROR_MAPPED_ALIGNMENT, EINVAL},
    {ERROR_NOACCESS, EFAULT},
    {ERROR_INVALID_USER_BUFFER, EFAULT},
    {ERROR_DISK_FULL, ENOSPC},
    {ERROR_HANDLE_DISK_FULL, ENOSPC},
    {WINDOWS_QUOTA_EXCEEDED, ENOSPC},
    {ERROR_FILE_TOO_LARGE, EFBIG},
    {ERROR_FILENAME_EXCED_RANGE, ENAMETOOLONG},
    {ERROR_BUFFER_OVERFLOW, ENAMETOOLONG},
    {ERROR_TOO_MANY_OPEN_FILES, EMFILE},
    {ERROR_NOT_SUPPORTED, EOPNOTSUPP},
    {ERROR_INVALID_FUNCTION, EOPNOTSUPP},
    {ERROR_CALL_NOT_IMPLEMENTED, EOPNOTSUPP},
    {ERROR_NOT_SAME_DEVICE, EXDEV},
    {ERROR_ARITHMETIC_OVERFLOW, EOVERFLOW},
    {ERROR_HANDLE_EOF, ENODATA},
    {ERROR_OPERATION_ABORTED, ECANCELED},
    {ERROR_CANT_RESOLVE_FILENAME, ELOOP},
};

static __thread struct {
    DWORD windows; /* 0: none */
    int error;     /* what it became */
} error_latest __attribute__((tls_model("global-dynamic")));

int lofti_windows_error(DWORD error)
{
    error_latest.windows = error;
    error_latest.error = EIO;
    for (size_t i = 0; i < sizeof error_pairs / sizeof error_pairs[0]; i++) {
        if (error_pairs[i].windows == error) {
            error_latest.error = error_pairs[i].error;
            break;
        }
    }
    return -error_latest.error;
}

int lofti_windows_failed(void) { return lofti_windows_error(GetLastError()); }

int lofti_windows_refuse(int error)
{
    error_latest.windows = 0;
    return -error;
}

DWORD lofti_windows_latest(int error)
{
    if (error_latest.error == error && error_latest.windows != 0) {
        return error_latest.windows;
    }
    for (size_t i = 0; error >= WINDOWS_TEXTLESS && i < sizeof error_pairs / sizeof error_pairs[0];
         i++) {
        if (error_pairs[i].error == error) {
            return error_pairs[i].windows;
        }
    }
    return 0;
}

/* --- Names --------------------------------------------------------------------------------- */

/* Windows takes names of up to 259 units as they are, folders of up to 247; longer ones need this
 * prefix, before a full name. */
#define WIDE_PLAIN_UNITS 240
static const wchar_t wide_prefix[] = L"\\\\?\\";
static const wchar_t wide_prefix_native[] = L"\\??\\";      /* the kernel's own, which Wine tells */
static const wchar_t wide_prefix_share[] = L"\\\\?\\UNC\\"; /* in the place of "\\" */

int lofti_wide_path(const char *path, lofti_wide *out)
{
    lofti_wide given;
    if (path[0] == '\0') {
        return lofti_windows_refuse(ENOENT);
    }
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, given.text,
                            LOFTI_WIDE_UNITS) == 0) {
        return GetLastError() == ERROR_INSUFFICIENT_BUFFER ? lofti_windows_refuse(ENAMETOOLONG)
                                                           : lofti_windows_failed();
    }
    /* Room is left before it for the longer prefix. */
    const DWORD room = sizeof wide_prefix_share / sizeof wide_prefix_share[0];
    wchar_t *full = out->text + room;
    const DWORD length = GetFullPathNameW(given.text, LOFTI_WIDE_UNITS - room, full, NULL);
    if (length == 0) {
        return lofti_windows_failed();
    }
    if (length >= LOFTI_WIDE_UNITS - room) {
        return lofti_windows_refuse(ENAMETOOLONG);
    }
    const bool has_prefix = full[0] == L'\\' && full[1] == L'\\' &&
                            (full[2] == L'?' || full[2] == L'.') && full[3] == L'\\';
    const wchar_t *prefix = L"";
    if (length >= WIDE_PLAIN_UNITS && !has_prefix) {
        const bool is_share = full[0] == L'\\' && full[1] == L'\\';
        prefix = is_share ? wide_prefix_share : wide_prefix;
        full += is_share ? 2 : 0;
    }
    const size_t prefix_units = wcslen(prefix);
    memmove(out->text + prefix_units, full, (wcslen(full) + 1) * sizeof(wchar_t));
    memcpy(out->text, prefix, prefix_units * sizeof(wchar_t));
    return 0;
}

void lofti_wide_text(const wchar_t *wide, char *out, size_t bytes)
{
    if (bytes > 1 && wcsncmp(wide, wide_prefix_share, 8) == 0) {
        *out++ = '\\'; /* "\\?\UNC\server" is "\\server" */
        bytes--;
        wide += 7;
    } else if (wcsncmp(wide, wide_prefix, 4) == 0 || wcsncmp(wide, wide_prefix_native, 4) == 0) {
        wide += 4;
    }
    if (bytes == 0) {
        return;
    }
    /* Nothing is written when it does not fit whole: then a unit less is tried. */
    size_t units = wcslen(wide);
    int length = 0;
    while (units > 0 && length == 0) {
        length = WideCharToMultiByte(CP_UTF8, 0, wide, (int)units, out, (int)bytes - 1, NULL, NULL);
        units = length == 0 ? units - 1 : units;
    }
    out[length] = '\0';
}
