/* The state of the recording table, for its two halves: record_fs.c (the table) and record_log.c
 * (the log, names and nodes). Everything needs the mutex held. */
#ifndef LOFT_TESTS_SUPPORT_RECORD_STATE_H
#define LOFT_TESTS_SUPPORT_RECORD_STATE_H

#include <pthread.h>

#include "support/record_fs.h"

enum { RECORD_NODES = 256, RECORD_HANDLES = 512, RECORD_BOUND_NAMES = 256 };

typedef struct record_handle {
    intptr_t handle;
    uint32_t node;
    bool used;
} record_handle;

typedef struct record_binding { /* what the inner table's names lead to now */
    uint32_t name, node;
} record_binding;

struct record_fs {
    lofti_file_ops ops; /* first: the table is the context */
    const lofti_file_ops *inner;
    pthread_mutex_t mutex;
    record_log log;
    uint64_t low, high;
    record_handle handles[RECORD_HANDLES];
    uint64_t device[RECORD_NODES], inode[RECORD_NODES];
    record_binding bindings[RECORD_BOUND_NAMES];
    size_t binding_count;
};

_Noreturn void record_fail(const char *what);
/* Aborts, with the reason, unless the condition holds. */
static inline void record_require(bool condition, const char *what)
{
    if (!condition) {
        record_fail(what);
    }
}

record_op *record_append(record_fs *fs, uint32_t kind, uint32_t node);
/* Room for `bytes` more at the end of the log's data. */
uint8_t *record_data_room(record_log *log, size_t bytes);
/* Logs [off, off + bytes) as the inner table shows it, as far as the file reaches. */
void record_content(record_fs *fs, uint32_t kind, uint32_t node, intptr_t handle, uint64_t off,
                    uint64_t bytes);
/* Logs a change of size, if it is one. */
void record_size(record_fs *fs, uint32_t node, uint64_t before, uint64_t after);
uint64_t record_size_of(record_fs *fs, intptr_t handle);

uint32_t record_name_index(record_fs *fs, const char *path);
/* Of the folder that holds `path`. */
uint32_t record_folder_index(record_fs *fs, const char *path);
/* NULL: nothing is known to have that name. */
record_binding *record_binding_of(record_fs *fs, uint32_t name);
void record_bind(record_fs *fs, uint32_t name, uint32_t node);
void record_unbind(record_fs *fs, uint32_t name);
/* A name that no open has met yet is met now. */
void record_meet(record_fs *fs, const char *path);

/* What an open has met: a new file, an old one for the first time, or one that is known. */
int record_opened(record_fs *fs, const char *path, bool unnamed, bool created, intptr_t handle);
/* NULL: not open. */
record_handle *record_handle_find(record_fs *fs, intptr_t handle);
uint32_t record_node_of(record_fs *fs, intptr_t handle);

#endif
