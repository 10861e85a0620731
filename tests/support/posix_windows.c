/* What the tests use of POSIX, on Windows; see windows/posix.h. */
#define _CRT_RAND_S
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdarg.h>
#include <stdlib.h>
#include <windows.h>

#include "support/test.h"
#include "support/windows/posix.h"
#include "support/windows/unistd.h"

int loft_posix_lacks(const char *what) { LOFT_SKIP("Windows has no %s", what); }

int pipe(int ends[2])
{
    (void)ends;
    loft_posix_lacks("POSIX pipes");
}

int symlink(const char *from, const char *to)
{
    (void)from;
    (void)to;
    loft_posix_lacks("symbolic links without privilege");
}

int link(const char *from, const char *to)
{
    (void)from;
    (void)to;
    loft_posix_lacks("link");
}

static int failed(int error)
{
    errno = error;
    return -1;
}

static HANDLE handle_of(int fd) { return (HANDLE)_get_osfhandle(fd); }

static HANDLE open_path(const char *path, DWORD access)
{
    wchar_t wide[MAX_PATH];
    if (MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, MAX_PATH) == 0)
        return INVALID_HANDLE_VALUE;
    return CreateFileW(wide, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                       OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
}

/* --- Memory -------------------------------------------------------------------------------- */

static DWORD protection_of(int protection)
{
    if (protection == PROT_NONE)
        return PAGE_NOACCESS;
    return (protection & PROT_WRITE) != 0 ? PAGE_READWRITE : PAGE_READONLY;
}

void *loft_posix_mmap(void *at, size_t bytes, int protection, int flags, int fd, int64_t off)
{
    (void)off;
    if (fd >= 0 || (flags & MAP_ANONYMOUS) == 0)
        loft_posix_lacks("mmap of files");
    if ((flags & MAP_FIXED) != 0)
        VirtualFree(at, 0, MEM_RELEASE);
    void *got = VirtualAlloc(at, bytes, MEM_RESERVE | MEM_COMMIT, protection_of(protection));
    if (got == NULL || (at != NULL && got != at)) {
        failed(ENOMEM);
        return MAP_FAILED;
    }
    return got;
}

int loft_posix_munmap(void *at, size_t bytes)
{
    (void)bytes;
    return VirtualFree(at, 0, MEM_RELEASE) ? 0 : failed(EINVAL);
}

int loft_posix_mprotect(void *at, size_t bytes, int protection)
{
    DWORD old;
    return VirtualProtect(at, bytes, protection_of(protection), &old) ? 0 : failed(ENOMEM);
}

/* --- Files --------------------------------------------------------------------------------- */

static int status_of(HANDLE file, struct loft_posix_stat *out)
{
    BY_HANDLE_FILE_INFORMATION info;
    FILE_STANDARD_INFO standard;
    if (!GetFileInformationByHandle(file, &info) ||
        !GetFileInformationByHandleEx(file, FileStandardInfo, &standard, sizeof standard))
        return failed(EBADF);
    memset(out, 0, sizeof *out);
    out->st_dev = info.dwVolumeSerialNumber;
    out->st_ino = ((uint64_t)info.nFileIndexHigh << 32) | info.nFileIndexLow;
    out->st_nlink = info.nNumberOfLinks;
    out->st_size = (int64_t)(((uint64_t)info.nFileSizeHigh << 32) | info.nFileSizeLow);
    out->st_blocks = standard.AllocationSize.QuadPart / 512;
    const int is_folder = (info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    const int is_readonly = (info.dwFileAttributes & FILE_ATTRIBUTE_READONLY) != 0;
    out->st_mode = (is_folder ? 0040000u : 0100000u) | (is_readonly ? 0444u : 0644u);
    return 0;
}

int loft_posix_stat(const char *path, struct loft_posix_stat *out)
{
    const HANDLE file = open_path(path, FILE_READ_ATTRIBUTES);
    if (file == INVALID_HANDLE_VALUE)
        return failed(ENOENT);
    const int result = status_of(file, out);
    CloseHandle(file);
    return result;
}

int loft_posix_fstat(int fd, struct loft_posix_stat *out) { return status_of(handle_of(fd), out); }

static int resize(HANDLE file, int64_t bytes)
{
    FILE_END_OF_FILE_INFO end;
    end.EndOfFile.QuadPart = bytes;
    if (SetFileInformationByHandle(file, FileEndOfFileInfo, &end, sizeof end))
        return 0;
    if (GetLastError() == ERROR_USER_MAPPED_FILE)
        loft_posix_lacks("way to cut a file that is mapped");
    return failed(EIO);
}

int loft_posix_truncate(const char *path, int64_t bytes)
{
    const HANDLE file = open_path(path, GENERIC_READ | GENERIC_WRITE);
    if (file == INVALID_HANDLE_VALUE)
        return failed(ENOENT);
    const int result = resize(file, bytes);
    CloseHandle(file);
    return result;
}

int loft_posix_ftruncate(int fd, int64_t bytes) { return resize(handle_of(fd), bytes); }

/* Binary, shared as POSIX's are. */
int loft_posix_open(const char *path, int flags, ...)
{
    wchar_t wide[MAX_PATH];
    if (MultiByteToWideChar(CP_UTF8, 0, path, -1, wide, MAX_PATH) == 0)
        return failed(EINVAL);
    DWORD access = GENERIC_READ, how = OPEN_EXISTING;
    if ((flags & (O_WRONLY | O_RDWR)) != 0)
        access |= GENERIC_WRITE;
    if ((flags & O_CREAT) != 0)
        how = (flags & O_EXCL) != 0 ? CREATE_NEW : OPEN_ALWAYS;
    if ((flags & O_TRUNC) != 0)
        how = (flags & O_CREAT) != 0 ? CREATE_ALWAYS : TRUNCATE_EXISTING;
    const HANDLE file =
        CreateFileW(wide, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, how,
                    FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (file == INVALID_HANDLE_VALUE)
        return failed(ENOENT);
    return _open_osfhandle((intptr_t)file, O_BINARY | (flags & (O_WRONLY | O_RDWR)));
}

static OVERLAPPED at_offset(int64_t off)
{
    OVERLAPPED at;
    memset(&at, 0, sizeof at);
    at.Offset = (DWORD)off;
    at.OffsetHigh = (DWORD)((uint64_t)off >> 32);
    return at;
}

int64_t pread(int fd, void *data, size_t bytes, int64_t off)
{
    OVERLAPPED at = at_offset(off);
    DWORD got = 0;
    if (!ReadFile(handle_of(fd), data, (DWORD)bytes, &got, &at))
        return GetLastError() == ERROR_HANDLE_EOF ? 0 : failed(EIO);
    return got;
}

int64_t pwrite(int fd, const void *data, size_t bytes, int64_t off)
{
    OVERLAPPED at = at_offset(off);
    DWORD put = 0;
    return WriteFile(handle_of(fd), data, (DWORD)bytes, &put, &at) ? (int64_t)put : failed(EIO);
}

int loft_posix_fcntl(int fd, int command, ...)
{
    DWORD flags;
    if (command != F_GETFD)
        return 0;
    return GetHandleInformation(handle_of(fd), &flags) ? (flags & HANDLE_FLAG_INHERIT) == 0
                                                       : failed(EBADF);
}

int loft_posix_mkdir(const char *path, unsigned mode)
{
    (void)mode;
    return CreateDirectoryA(path, NULL) ? 0 : failed(EEXIST);
}

long loft_posix_page_bytes(void)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return (long)info.dwPageSize;
}

int64_t loft_posix_getrandom(void *data, size_t bytes, unsigned flags)
{
    (void)flags;
    for (size_t i = 0; i < bytes; i++) {
        unsigned value;
        if (rand_s(&value) != 0)
            return failed(EIO);
        ((unsigned char *)data)[i] = (unsigned char)value;
    }
    return (int64_t)bytes;
}
