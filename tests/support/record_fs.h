/* A table of file operations that writes down every call that changes something.
 *
 *     code under test ──> record_fs ──> inner table (memory_fs, fault_fs over it, an image)
 *                             │
 *                             └──> record_log: what was changed, with its bytes, in order
 *
 * The log holds effects, not intentions: a short write is logged as short, a failed one as what it
 * changed nonetheless (read back from the inner table), a clone as the bytes it produced. So the
 * log, replayed from nothing, is what the inner table shows at its end; which part of it a power
 * loss leaves is the enumerator's business.
 *
 * Files are nodes, numbered in the order in which they were first met. A file that was there
 * before is met with RECORD_BASE (its content) and RECORD_BASE_NAME, both durable.
 *
 * Marks are the scenario's: from here on a recovery must find a commit in [low, high]. */
#ifndef LOFT_TESTS_SUPPORT_RECORD_FS_H
#define LOFT_TESTS_SUPPORT_RECORD_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/file.h"

enum record_kind {
    RECORD_BASE,        /* node was there, `bytes` long, content at data_off */
    RECORD_BASE_NAME,   /* name led to node already */
    RECORD_CREATE,      /* node is new and empty; name RECORD_NO_NAME: unnamed */
    RECORD_WRITE,       /* `bytes` at `off`, content at data_off */
    RECORD_PUNCH,       /* `bytes` at `off` are zeros now */
    RECORD_SIZE,        /* from `off` to `bytes`, by resize, allocate or a write past the end */
    RECORD_SYNC,        /* flush of node; failed or not */
    RECORD_LINK,        /* name leads to node */
    RECORD_RENAME,      /* name no longer, other does lead to node */
    RECORD_UNLINK,      /* name is gone */
    RECORD_SYNC_FOLDER, /* flush of the folder `name`; failed or not */
    RECORD_MARK         /* commits in [off, bytes] from here on */
};

#define RECORD_NO_NAME UINT32_MAX
#define RECORD_NO_NODE UINT32_MAX

typedef struct record_op {
    uint32_t kind; /* enum record_kind */
    bool failed;
    uint32_t node;
    uint32_t name, other; /* indices of log->names */
    uint64_t off, bytes;
    size_t data_off; /* into log->data */
} record_op;

typedef struct record_log {
    record_op *ops;
    size_t count, room;
    uint8_t *data;
    size_t data_bytes, data_room;
    char **names; /* each once, so equal names have equal indices */
    uint32_t name_count, node_count;
} record_log;

typedef struct record_fs record_fs;

/* Aborts when memory is refused: these are test tools, and their tests are not about that. */
record_fs *record_fs_create(const lofti_file_ops *inner);
void record_fs_destroy(record_fs *fs);
const lofti_file_ops *record_fs_ops(record_fs *fs);

/* A recovery from now on must find a commit in [low, high]. */
void record_fs_mark(record_fs *fs, uint64_t low, uint64_t high);
/* Commit n begins: it may be found. Commit n has returned: it must be found. */
void record_fs_begun(record_fs *fs, uint64_t commit);
void record_fs_returned(record_fs *fs, uint64_t commit);

/* Owns: the fs. Threads: none may be recording. */
const record_log *record_fs_log(const record_fs *fs);

/* The folder part of a path: its bytes before the last '/', which are 0 if it has none. */
size_t record_folder_bytes(const char *path);

#endif
