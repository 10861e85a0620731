/*
 * os/file_windows.c - the system's table of file operations on Windows.
 *
 * A handle is a HANDLE. What the translation to the contract of os/file.h adds:
 *
 *   open     shares everything, as Unix does: others may read, write, rename and delete. Folders
 *            open too, so that "not a regular file" is for the caller to say. Handles are not inherited
 *   resize   reserves the clusters on NTFS: a full disk is told here and not at a store. A file of
 *            which a part is mapped cannot be cut: -ETXTBSY
 *   lock     LockFileEx, mandatory but for a byte that no file reaches. Locks pile up there, so an older
 *            one is given back first: to change a lock is not atomic
 *   rename   in the way of POSIX, over open files too, where Windows knows it (10, 1607), else as MoveFileEx
 *   sync     FlushFileBuffers, for both kinds
 *
 * -EOPNOTSUPP for unnamed files, holes, clones and copies in the kernel: who needs those has another way,
 * or is not to be had on Windows (arenas in files).
 */
#include "os/system_windows.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <winioctl.h>

#include "os/file.h"

/* Classes and flags of SetFileInformationByHandle that older headers lack. */
#define WINDOWS_CLASS_DISPOSITION_EX 21
#define WINDOWS_CLASS_RENAME_EX      22
#define WINDOWS_DELETE               0x1u
#define WINDOWS_DELETE_POSIX         0x2u
#define WINDOWS_DELETE_READONLY      0x10u
#define WINDOWS_RENAME_REPLACE       0x1u
#define WINDOWS_RENAME_POSIX         0x2u

typedef struct windows_rename {
    DWORD flags;
    HANDLE folder; /* NULL: the name is a full one */
    DWORD name_bytes;
    wchar_t name[LOFTI_WIDE_UNITS];
} windows_rename_info;

static HANDLE file_handle(intptr_t handle) { return (HANDLE)handle; }

static int file_result(BOOL done) { return done ? 0 : lofti_windows_failed(); }

/* Offsets are signed to the system: what does not fit is too large for any file. */
static int file_range_check(uint64_t off, uint64_t bytes)
{
    return off > INT64_MAX || bytes > INT64_MAX - off ? lofti_windows_refuse(EFBIG) : 0;
}

/* Old systems, and Wine, refuse what they do not know in one of these ways. */
static bool file_is_unknown(DWORD error)
{
    return error == ERROR_INVALID_PARAMETER || error == ERROR_INVALID_FUNCTION ||
           error == ERROR_NOT_SUPPORTED || error == ERROR_CALL_NOT_IMPLEMENTED ||
           error == ERROR_INVALID_LEVEL;
}

/* --- Names --------------------------------------------------------------------------------- */

static DWORD open_disposition(unsigned flags)
{
    const bool truncates = (flags & LOFTI_OPEN_TRUNCATE) != 0;
    if ((flags & LOFTI_OPEN_CREATE) == 0) {
        return truncates ? TRUNCATE_EXISTING : OPEN_EXISTING;
    }
    if ((flags & LOFTI_OPEN_EXCLUSIVE) != 0) {
        return CREATE_NEW;
    }
    return truncates ? CREATE_ALWAYS : OPEN_ALWAYS;
}

static bool file_is_link(HANDLE file)
{
    FILE_ATTRIBUTE_TAG_INFO tag;
    return GetFileInformationByHandleEx(file, FileAttributeTagInfo, &tag, sizeof tag) &&
           (tag.FileAttributes & FILE_ATTRIBUTE_REPARSE_POINT) != 0 &&
           tag.ReparseTag == IO_REPARSE_TAG_SYMLINK;
}

static int windows_open(const lofti_file_ops *ops, const char *path, unsigned flags, unsigned mode,
                        intptr_t *handle)
{
    (void)ops;
    if ((flags & LOFTI_OPEN_UNNAMED) != 0) {
        return lofti_windows_refuse(EOPNOTSUPP);
    }
    lofti_wide wide;
    const int rc = lofti_wide_path(path, &wide);
    if (rc != 0) {
        return rc;
    }
    const DWORD access = GENERIC_READ | ((flags & LOFTI_OPEN_WRITE) != 0 ? GENERIC_WRITE : 0);
    const DWORD share = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    const bool is_readonly = (flags & LOFTI_OPEN_CREATE) != 0 && (mode & 0222u) == 0;
    DWORD how = is_readonly ? FILE_ATTRIBUTE_READONLY : FILE_ATTRIBUTE_NORMAL;
    how |= FILE_FLAG_BACKUP_SEMANTICS; /* for folders */
    how |= (flags & LOFTI_OPEN_NOFOLLOW) != 0 ? FILE_FLAG_OPEN_REPARSE_POINT : 0;
    const HANDLE file =
        CreateFileW(wide.text, access, share, NULL, open_disposition(flags), how, NULL);
    if (file == INVALID_HANDLE_VALUE) {
        return lofti_windows_failed();
    }
    if ((flags & LOFTI_OPEN_NOFOLLOW) != 0 && file_is_link(file)) {
        (void)CloseHandle(file);
        return lofti_windows_refuse(ELOOP);
    }
    *handle = (intptr_t)file;
    return 0;
}

/* Names the file of a handle once more: for files that have a temporary name. */
static int windows_link(const lofti_file_ops *ops, intptr_t handle, const char *from,
                        const char *path)
{
    (void)ops;
    (void)from;
    lofti_wide wide;
    lofti_wide own;
    const int rc = lofti_wide_path(path, &wide);
    if (rc != 0) {
        return rc;
    }
    const DWORD length = GetFinalPathNameByHandleW(file_handle(handle), own.text, LOFTI_WIDE_UNITS,
                                                   FILE_NAME_NORMALIZED | VOLUME_NAME_DOS);
    if (length == 0 || length >= LOFTI_WIDE_UNITS) {
        return length == 0 ? lofti_windows_failed() : lofti_windows_refuse(ENAMETOOLONG);
    }
    return file_result(CreateHardLinkW(wide.text, own.text, NULL));
}

/* A handle that may rename or delete what has the name. INVALID_HANDLE_VALUE: GetLastError tells. */
static HANDLE file_open_for_name(const wchar_t *name)
{
    return CreateFileW(name, DELETE | SYNCHRONIZE,
                       FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING,
                       FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OPEN_REPARSE_POINT, NULL);
}

/* Over whatever has the name, open or not, at once. False with GetLastError. */
static bool rename_posix(const wchar_t *from, const wchar_t *to)
{
    windows_rename_info info;
    info.flags = WINDOWS_RENAME_REPLACE | WINDOWS_RENAME_POSIX;
    info.folder = NULL;
    info.name_bytes = (DWORD)(wcslen(to) * sizeof(wchar_t));
    memcpy(info.name, to, info.name_bytes + sizeof(wchar_t));
    const HANDLE file = file_open_for_name(from);
    if (file == INVALID_HANDLE_VALUE) {
        return false;
    }
    const BOOL done = SetFileInformationByHandle(
        file, (FILE_INFO_BY_HANDLE_CLASS)WINDOWS_CLASS_RENAME_EX, &info, sizeof info);
    const DWORD error = GetLastError();
    (void)CloseHandle(file);
    SetLastError(error);
    return done != 0;
}

static int windows_rename(const lofti_file_ops *ops, const char *from, const char *to)
{
    (void)ops;
    lofti_wide wide_from;
    lofti_wide wide_to;
    int rc = lofti_wide_path(from, &wide_from);
    if (rc == 0) {
        rc = lofti_wide_path(to, &wide_to);
    }
    if (rc != 0 || rename_posix(wide_from.text, wide_to.text)) {
        return rc;
    }
    if (!file_is_unknown(GetLastError())) {
        return lofti_windows_failed();
    }
    return file_result(MoveFileExW(wide_from.text, wide_to.text,
                                   MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH));
}

static int windows_unlink(const lofti_file_ops *ops, const char *path)
{
    (void)ops;
    lofti_wide wide;
    const int rc = lofti_wide_path(path, &wide);
    if (rc != 0) {
        return rc;
    }
    const HANDLE file = file_open_for_name(wide.text);
    if (file == INVALID_HANDLE_VALUE) {
        return lofti_windows_failed();
    }
    DWORD how = WINDOWS_DELETE | WINDOWS_DELETE_POSIX | WINDOWS_DELETE_READONLY;
    const BOOL done = SetFileInformationByHandle(
        file, (FILE_INFO_BY_HANDLE_CLASS)WINDOWS_CLASS_DISPOSITION_EX, &how, sizeof how);
    const DWORD error = GetLastError();
    (void)CloseHandle(file);
    if (done || !file_is_unknown(error)) {
        return done ? 0 : lofti_windows_error(error);
    }
    return file_result(DeleteFileW(wide.text));
}

/* NTFS keeps its names in a journal; a folder's flush, where it is allowed, writes that out. */
static int windows_sync_folder(const lofti_file_ops *ops, const char *path)
{
    (void)ops;
    lofti_wide wide;
    const int rc = lofti_wide_path(path, &wide);
    if (rc != 0) {
        return rc;
    }
    wchar_t *end = wcsrchr(wide.text, L'\\');
    if (end == NULL) {
        return lofti_windows_refuse(ENOENT);
    }
    end[1] = L'\0';
    const HANDLE folder = CreateFileW(wide.text, FILE_ADD_FILE | FILE_WRITE_ATTRIBUTES,
                                      FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                                      OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, NULL);
    if (folder == INVALID_HANDLE_VALUE) {
        return lofti_windows_failed();
    }
    const BOOL done = FlushFileBuffers(folder);
    const DWORD error = GetLastError();
    (void)CloseHandle(folder);
    const bool is_refused = !done && (error == ERROR_ACCESS_DENIED ||
                                      error == ERROR_INVALID_HANDLE || file_is_unknown(error));
    return done || is_refused ? 0 : lofti_windows_error(error);
}

/* --- Content ------------------------------------------------------------------------------- */

static int windows_close(const lofti_file_ops *ops, intptr_t handle)
{
    (void)ops;
    return file_result(CloseHandle(file_handle(handle)));
}

static int windows_info(const lofti_file_ops *ops, intptr_t handle, lofti_file_info *out)
{
    (void)ops;
    const HANDLE file = file_handle(handle);
    memset(out, 0, sizeof *out);
    SetLastError(NO_ERROR);
    const DWORD type = GetFileType(file);
    if (type == FILE_TYPE_UNKNOWN && GetLastError() != NO_ERROR) {
        return lofti_windows_failed();
    }
    out->type = LOFTI_TYPE_OTHER;
    if (type != FILE_TYPE_DISK) {
        return 0;
    }
    BY_HANDLE_FILE_INFORMATION info;
    if (!GetFileInformationByHandle(file, &info)) {
        return lofti_windows_failed();
    }
    FILE_STANDARD_INFO standard;
    out->bytes = ((uint64_t)info.nFileSizeHigh << 32) | info.nFileSizeLow;
    out->stored_bytes =
        GetFileInformationByHandleEx(file, FileStandardInfo, &standard, sizeof standard)
            ? (uint64_t)standard.AllocationSize.QuadPart
            : out->bytes;
    out->device = info.dwVolumeSerialNumber;
    out->inode = ((uint64_t)info.nFileIndexHigh << 32) | info.nFileIndexLow;
    const bool is_folder = (info.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
    out->type = is_folder ? LOFTI_TYPE_FOLDER : LOFTI_TYPE_REGULAR;
    out->mode = (info.dwFileAttributes & FILE_ATTRIBUTE_READONLY) != 0 ? 0444u : 0644u;
    FILE_REMOTE_PROTOCOL_INFO remote;
    out->remote =
        GetFileInformationByHandleEx(file, FileRemoteProtocolInfo, &remote, sizeof remote) != 0;
    return 0;
}

static OVERLAPPED file_at(uint64_t off)
{
    OVERLAPPED at;
    memset(&at, 0, sizeof at);
    at.Offset = (DWORD)off;
    at.OffsetHigh = (DWORD)(off >> 32);
    return at;
}

static int64_t windows_pread(const lofti_file_ops *ops, intptr_t handle, void *data, size_t bytes,
                             uint64_t off)
{
    (void)ops;
    const DWORD piece = bytes < MAXDWORD ? (DWORD)bytes : MAXDWORD;
    DWORD got = 0;
    OVERLAPPED at = file_at(off);
    if (file_range_check(off, bytes) != 0) {
        return -EFBIG;
    }
    if (!ReadFile(file_handle(handle), data, piece, &got, &at)) {
        return GetLastError() == ERROR_HANDLE_EOF ? 0 : lofti_windows_failed();
    }
    return got;
}

static int64_t windows_pwrite(const lofti_file_ops *ops, intptr_t handle, const void *data,
                              size_t bytes, uint64_t off)
{
    (void)ops;
    const DWORD piece = bytes < MAXDWORD ? (DWORD)bytes : MAXDWORD;
    DWORD put = 0;
    OVERLAPPED at = file_at(off);
    if (file_range_check(off, bytes) != 0) {
        return -EFBIG;
    }
    if (!WriteFile(file_handle(handle), data, piece, &put, &at)) {
        return lofti_windows_failed();
    }
    return put;
}

static int windows_resize(const lofti_file_ops *ops, intptr_t handle, uint64_t bytes)
{
    (void)ops;
    const int rc = file_range_check(bytes, 0);
    FILE_END_OF_FILE_INFO end;
    end.EndOfFile.QuadPart = (LONGLONG)bytes;
    return rc != 0 ? rc
                   : file_result(SetFileInformationByHandle(file_handle(handle), FileEndOfFileInfo,
                                                            &end, sizeof end));
}

/* A file has all its clusters from its end's setting on, but for a sparse one, which loft does not make. */
static int windows_allocate(const lofti_file_ops *ops, intptr_t handle, uint64_t off,
                            uint64_t bytes)
{
    lofti_file_info info;
    int rc = file_range_check(off, bytes);
    if (rc == 0) {
        rc = windows_info(ops, handle, &info);
    }
    if (rc != 0) {
        return rc;
    }
    if (off + bytes > info.bytes) {
        return windows_resize(ops, handle, off + bytes);
    }
    if (info.stored_bytes >= info.bytes) {
        return 0;
    }
    /* Sparse or compressed, or on a system that leaves holes: the end is the least to ask for, as less cuts. */
    FILE_ALLOCATION_INFO allocation;
    allocation.AllocationSize.QuadPart = (LONGLONG)info.bytes;
    if (SetFileInformationByHandle(file_handle(handle), FileAllocationInfo, &allocation,
                                   sizeof allocation)) {
        return 0;
    }
    return file_is_unknown(GetLastError()) ? lofti_windows_refuse(EOPNOTSUPP)
                                           : lofti_windows_failed();
}

static int windows_punch(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    (void)ops;
    (void)handle;
    (void)off;
    (void)bytes;
    return lofti_windows_refuse(EOPNOTSUPP);
}

static int windows_sync(const lofti_file_ops *ops, intptr_t handle, int kind)
{
    (void)ops;
    (void)kind;
    return file_result(FlushFileBuffers(file_handle(handle)));
}

static int windows_lock(const lofti_file_ops *ops, intptr_t handle, int kind, uint64_t off)
{
    (void)ops;
    const int rc = file_range_check(off, 1);
    OVERLAPPED at = file_at(off);
    if (rc != 0) {
        return rc;
    }
    if (!UnlockFileEx(file_handle(handle), 0, 1, 0, &at)) {
        const DWORD error = GetLastError();
        if (error != ERROR_NOT_LOCKED && error != ERROR_LOCK_VIOLATION) { /* Wine's word for it */
            return lofti_windows_error(error);
        }
    }
    if (kind == LOFTI_LOCK_NONE) {
        return 0;
    }
    const DWORD how =
        LOCKFILE_FAIL_IMMEDIATELY | (kind == LOFTI_LOCK_EXCLUSIVE ? LOCKFILE_EXCLUSIVE_LOCK : 0);
    at = file_at(off);
    return file_result(LockFileEx(file_handle(handle), how, 0, 1, 0, &at));
}

static int64_t windows_seek(const lofti_file_ops *ops, intptr_t handle, uint64_t off, bool hole)
{
    (void)ops;
    (void)handle;
    (void)off;
    (void)hole;
    return lofti_windows_refuse(EOPNOTSUPP);
}

static int windows_clone(const lofti_file_ops *ops, intptr_t to, intptr_t from)
{
    (void)ops;
    (void)to;
    (void)from;
    return lofti_windows_refuse(EOPNOTSUPP);
}

static int64_t windows_copy_range(const lofti_file_ops *ops, intptr_t to, uint64_t to_off,
                                  intptr_t from, uint64_t from_off, size_t bytes)
{
    (void)ops;
    (void)to;
    (void)to_off;
    (void)from;
    (void)from_off;
    (void)bytes;
    return lofti_windows_refuse(EOPNOTSUPP);
}

bool lofti_file_cuts_mapped(void) { return false; }

int lofti_file_locks_keep(void) { return -1; }

const lofti_file_ops *lofti_file_ops_system(void)
{
    static const lofti_file_ops table = {
        .open = windows_open,
        .close = windows_close,
        .info = windows_info,
        .pread = windows_pread,
        .pwrite = windows_pwrite,
        .resize = windows_resize,
        .allocate = windows_allocate,
        .punch = windows_punch,
        .sync = windows_sync,
        .lock = windows_lock,
        .seek = windows_seek,
        .clone = windows_clone,
        .copy_range = windows_copy_range,
        .link = windows_link,
        .rename = windows_rename,
        .unlink = windows_unlink,
        .sync_folder = windows_sync_folder,
    };
    return &table;
}
