/*
 * os/file_unix.h - what the tables of file operations of Linux and of POSIX have in common.
 */
#ifndef LOFTI_OS_FILE_UNIX_H
#define LOFTI_OS_FILE_UNIX_H

#include "os/file.h"

/* Bytes of the longest path that is taken apart, with its end. */
#define LOFTI_FILE_UNIX_PATH_BYTES 4096

/* 0 or -errno, of a call that answers less than 0 where it fails. */
int lofti_file_unix_result(long result);
/* Offsets are signed to the system: what does not fit is too large for any file, -EFBIG. */
int lofti_file_unix_range(uint64_t off, uint64_t bytes);
/* The folder that holds `path`, as dirname would tell it, but reentrant and without changing it. */
int lofti_file_unix_folder(const char *path, char folder[LOFTI_FILE_UNIX_PATH_BYTES]);
/* Moves a descriptor out of the places of the standard streams: a program started with those closed would print into
 * the file. -1 with errno, and the descriptor closed. */
int lofti_file_unix_above_standard(int fd);
/* LOFTI_OPEN flags as open(2) takes them, but for UNNAMED. O_NONBLOCK always: a pipe without a writer must not hang what
 * opens it; to a regular file it means nothing, so it stays. */
int lofti_file_unix_open_flags(unsigned flags);
/* All but `remote`. */
int lofti_file_unix_info(int fd, lofti_file_info *out);
/* Whether the process may not let a file grow to that size; it may keep one that is so large. */
bool lofti_file_unix_limits_growth(int fd, uint64_t bytes);
/* One byte, by F_SETLK or F_OFD_SETLK. */
int lofti_file_unix_lock(int fd, int command, int kind, uint64_t off);

/* As in lofti_file_ops. */
int64_t lofti_file_unix_pread(const lofti_file_ops *ops, intptr_t handle, void *data, size_t bytes,
                              uint64_t off);
int64_t lofti_file_unix_pwrite(const lofti_file_ops *ops, intptr_t handle, const void *data,
                               size_t bytes, uint64_t off);
int lofti_file_unix_resize(const lofti_file_ops *ops, intptr_t handle, uint64_t bytes);
int lofti_file_unix_rename(const lofti_file_ops *ops, const char *from, const char *to);
int lofti_file_unix_unlink(const lofti_file_ops *ops, const char *path);
int lofti_file_unix_sync_folder(const lofti_file_ops *ops, const char *path);

#endif /* LOFTI_OS_FILE_UNIX_H */
