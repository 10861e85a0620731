/* A file system in memory, as a table of file operations.
 *
 * Files are memfd files and every handle is a real descriptor with a description of its own, so
 * handles can be mapped, OFD locks are the kernel's, and both survive a fork as they should.
 * What the kernel would account differently is kept here: which 4 KiB blocks are stored (a load
 * through a mapping stores a block in a memfd), the quota, names and folders. That state and the
 * files lie in shared memory: when a child that works on the file system is killed, the parent
 * finds what the next process on a machine that stayed up would find.
 *
 *     names ──> nodes (a memfd, its blocks) <── handles (descriptors)
 *
 * A node without names and handles is gone. A flush does nothing: what it would have saved is the
 * enumerator's to tell, from a log of record_fs. */
#ifndef LOFT_TESTS_SUPPORT_MEMORY_FS_H
#define LOFT_TESTS_SUPPORT_MEMORY_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/file.h"

enum {
    MEMORY_FS_BLOCK_BYTES = 4096, /* what the quota counts */
    MEMORY_FS_NODES = 24,         /* files at one time; their memfds are made beforehand */
    MEMORY_FS_NAMES = 64,         /* names and folders */
    MEMORY_FS_PATH_BYTES = 256
};
#define MEMORY_FS_FILE_BYTES ((uint64_t)1 << 36) /* largest file: 64 GiB */

typedef struct memory_fs memory_fs;

/* An empty file system with the folders "" (paths without '/') and "/". NULL, with errno, when
 * the system refuses memory, descriptors or /proc. */
memory_fs *memory_fs_create(void);
void memory_fs_destroy(memory_fs *fs);
const lofti_file_ops *memory_fs_ops(memory_fs *fs);
/* Files can be made in folders only. -EEXIST, -ENOSPC. */
int memory_fs_add_folder(memory_fs *fs, const char *path);

/* Blocks that may be stored in all; UINT64_MAX (at first): no limit. */
void memory_fs_set_quota(memory_fs *fs, uint64_t blocks);
uint64_t memory_fs_used_blocks(const memory_fs *fs);
/* A copy-on-write file system: overwriting a stored block needs a free one for a moment. */
void memory_fs_set_copy_on_write(memory_fs *fs, bool on);
/* Without: open unnamed, clone, allocate answer -EOPNOTSUPP. */
void memory_fs_set_unnamed(memory_fs *fs, bool on);
void memory_fs_set_clone(memory_fs *fs, bool on);
void memory_fs_set_allocate(memory_fs *fs, bool on);

/* After a process that used the file system was killed: its handles are forgotten, files that
 * only they held are gone. The caller has no handle open. */
void memory_fs_forget_handles(memory_fs *fs);

/* Stores a whole file under `path`, replacing what is there, without the quota; for images that
 * an enumerator hands over. 0 or a negative errno. */
int memory_fs_put(memory_fs *fs, const char *path, const void *data, size_t bytes);
/* Files, handles, names that exist now: for tests that a failing call leaves nothing behind. */
unsigned memory_fs_files(const memory_fs *fs);
unsigned memory_fs_handles(const memory_fs *fs);
bool memory_fs_exists(const memory_fs *fs, const char *path);

#endif
