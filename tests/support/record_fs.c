/* The recording table; see record_fs.h. One mutex holds a call and its record together. */
#include "support/record_fs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "support/record_state.h"

static record_fs *self_of(const lofti_file_ops *ops) { return (record_fs *)(uintptr_t)ops; }

static int record_open(const lofti_file_ops *ops, const char *path, unsigned flags, unsigned mode,
                       intptr_t *handle)
{
    record_fs *fs = self_of(ops);
    const bool unnamed = (flags & LOFTI_OPEN_UNNAMED) != 0;
    pthread_mutex_lock(&fs->mutex);
    bool created = unnamed;
    int error = 0;
    if (!unnamed && (flags & LOFTI_OPEN_CREATE) != 0) {
        intptr_t probe;
        error = fs->inner->open(fs->inner, path, LOFTI_OPEN_READ, 0, &probe);
        created = error == -ENOENT;
        if (error == 0) {
            (void)fs->inner->close(fs->inner, probe);
        }
    }
    /* A truncating open is taken apart, so that the content before it is known. */
    error = fs->inner->open(fs->inner, path, flags & ~(unsigned)LOFTI_OPEN_TRUNCATE, mode, handle);
    if (error == 0) {
        error = record_opened(fs, path, unnamed, created, *handle);
        if (error == 0 && (flags & LOFTI_OPEN_TRUNCATE) != 0) {
            const uint64_t before = record_size_of(fs, *handle);
            error = fs->inner->resize(fs->inner, *handle, 0);
            record_size(fs, record_node_of(fs, *handle), before, record_size_of(fs, *handle));
        }
        if (error != 0) {
            record_handle *added = record_handle_find(fs, *handle);
            if (added != NULL) {
                added->used = false;
            }
            (void)fs->inner->close(fs->inner, *handle);
        }
    }
    pthread_mutex_unlock(&fs->mutex);
    return error;
}

static int record_close(const lofti_file_ops *ops, intptr_t handle)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    record_handle *found = record_handle_find(fs, handle);
    record_require(found != NULL, "close of a handle that is not open");
    found->used = false;
    const int error = fs->inner->close(fs->inner, handle);
    pthread_mutex_unlock(&fs->mutex);
    return error;
}

static int record_info(const lofti_file_ops *ops, intptr_t handle, lofti_file_info *out)
{
    const lofti_file_ops *inner = self_of(ops)->inner;
    return inner->info(inner, handle, out);
}

static int64_t record_pread(const lofti_file_ops *ops, intptr_t handle, void *data, size_t bytes,
                            uint64_t off)
{
    const lofti_file_ops *inner = self_of(ops)->inner;
    return inner->pread(inner, handle, data, bytes, off);
}

static int64_t record_pwrite(const lofti_file_ops *ops, intptr_t handle, const void *data,
                             size_t bytes, uint64_t off)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    const uint32_t node = record_node_of(fs, handle);
    const uint64_t before = record_size_of(fs, handle);
    const int64_t done = fs->inner->pwrite(fs->inner, handle, data, bytes, off);
    if (done > 0) {
        memcpy(record_data_room(&fs->log, (size_t)done), data, (size_t)done);
        record_op *op = record_append(fs, RECORD_WRITE, node);
        op->off = off;
        op->bytes = (uint64_t)done;
        op->data_off = fs->log.data_bytes;
        fs->log.data_bytes += (size_t)done;
    } else if (done < 0 && done != -EINTR) {
        record_content(fs, RECORD_WRITE, node, handle, off, bytes);
    }
    record_size(fs, node, before, record_size_of(fs, handle));
    pthread_mutex_unlock(&fs->mutex);
    return done;
}

static int record_resize(const lofti_file_ops *ops, intptr_t handle, uint64_t bytes)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    const uint64_t before = record_size_of(fs, handle);
    const int error = fs->inner->resize(fs->inner, handle, bytes);
    record_size(fs, record_node_of(fs, handle), before, record_size_of(fs, handle));
    pthread_mutex_unlock(&fs->mutex);
    return error;
}

static int record_allocate(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    const uint64_t before = record_size_of(fs, handle);
    const int error = fs->inner->allocate(fs->inner, handle, off, bytes);
    record_size(fs, record_node_of(fs, handle), before, record_size_of(fs, handle));
    pthread_mutex_unlock(&fs->mutex);
    return error;
}

static int record_punch(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    const int error = fs->inner->punch(fs->inner, handle, off, bytes);
    if (error == 0) {
        record_op *op = record_append(fs, RECORD_PUNCH, record_node_of(fs, handle));
        op->off = off;
        op->bytes = bytes;
    } else if (error != -EINTR) {
        /* It may be done, or a part of it: what is there now. */
        record_content(fs, RECORD_WRITE, record_node_of(fs, handle), handle, off, bytes);
    }
    pthread_mutex_unlock(&fs->mutex);
    return error;
}

static int record_sync(const lofti_file_ops *ops, intptr_t handle, int kind)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    const int error = fs->inner->sync(fs->inner, handle, kind);
    record_append(fs, RECORD_SYNC, record_node_of(fs, handle))->failed = error != 0;
    pthread_mutex_unlock(&fs->mutex);
    return error;
}

static int record_lock(const lofti_file_ops *ops, intptr_t handle, int kind, uint64_t off)
{
    const lofti_file_ops *inner = self_of(ops)->inner;
    return inner->lock(inner, handle, kind, off);
}

static int64_t record_seek(const lofti_file_ops *ops, intptr_t handle, uint64_t off, bool hole)
{
    const lofti_file_ops *inner = self_of(ops)->inner;
    return inner->seek(inner, handle, off, hole);
}

static int record_clone(const lofti_file_ops *ops, intptr_t to, intptr_t from)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    const uint32_t node = record_node_of(fs, to);
    const uint64_t before = record_size_of(fs, to);
    const int error = fs->inner->clone(fs->inner, to, from);
    const uint64_t after = record_size_of(fs, to);
    if (error == 0) {
        record_content(fs, RECORD_WRITE, node, to, 0, after);
    }
    record_size(fs, node, before, after);
    pthread_mutex_unlock(&fs->mutex);
    return error;
}

static int64_t record_copy_range(const lofti_file_ops *ops, intptr_t to, uint64_t to_off,
                                 intptr_t from, uint64_t from_off, size_t bytes)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    const uint32_t node = record_node_of(fs, to);
    const uint64_t before = record_size_of(fs, to);
    const int64_t done = fs->inner->copy_range(fs->inner, to, to_off, from, from_off, bytes);
    if (done > 0) {
        record_content(fs, RECORD_WRITE, node, to, to_off, (uint64_t)done);
    }
    record_size(fs, node, before, record_size_of(fs, to));
    pthread_mutex_unlock(&fs->mutex);
    return done;
}

static int record_link(const lofti_file_ops *ops, intptr_t handle, const char *from,
                       const char *path)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    const int error = fs->inner->link(fs->inner, handle, from, path);
    if (error == 0) {
        record_op *op = record_append(fs, RECORD_LINK, record_node_of(fs, handle));
        op->name = record_name_index(fs, path);
        record_bind(fs, op->name, op->node);
    }
    pthread_mutex_unlock(&fs->mutex);
    return error;
}

static int record_rename(const lofti_file_ops *ops, const char *from, const char *to)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    record_meet(fs, from);
    record_meet(fs, to);
    const int error = fs->inner->rename(fs->inner, from, to);
    if (error == 0) {
        const uint32_t name = record_name_index(fs, from);
        const record_binding *binding = record_binding_of(fs, name);
        record_require(binding != NULL, "rename of an unknown file");
        record_op *op = record_append(fs, RECORD_RENAME, binding->node);
        op->name = name;
        op->other = record_name_index(fs, to);
        record_unbind(fs, name);
        record_bind(fs, op->other, op->node);
    }
    pthread_mutex_unlock(&fs->mutex);
    return error;
}

static int record_unlink(const lofti_file_ops *ops, const char *path)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    record_meet(fs, path);
    const int error = fs->inner->unlink(fs->inner, path);
    if (error == 0) {
        const uint32_t name = record_name_index(fs, path);
        record_append(fs, RECORD_UNLINK, RECORD_NO_NODE)->name = name;
        record_unbind(fs, name);
    }
    pthread_mutex_unlock(&fs->mutex);
    return error;
}

static int record_sync_folder(const lofti_file_ops *ops, const char *path)
{
    record_fs *fs = self_of(ops);
    pthread_mutex_lock(&fs->mutex);
    const int error = fs->inner->sync_folder(fs->inner, path);
    const uint32_t folder = record_folder_index(fs, path);
    record_op *op = record_append(fs, RECORD_SYNC_FOLDER, RECORD_NO_NODE);
    op->name = folder;
    op->failed = error != 0;
    pthread_mutex_unlock(&fs->mutex);
    return error;
}

void record_fs_mark(record_fs *fs, uint64_t low, uint64_t high)
{
    pthread_mutex_lock(&fs->mutex);
    fs->low = low;
    fs->high = high;
    record_op *op = record_append(fs, RECORD_MARK, RECORD_NO_NODE);
    op->off = low;
    op->bytes = high;
    pthread_mutex_unlock(&fs->mutex);
}

void record_fs_begun(record_fs *fs, uint64_t commit) { record_fs_mark(fs, fs->low, commit); }

void record_fs_returned(record_fs *fs, uint64_t commit) { record_fs_mark(fs, commit, fs->high); }

const record_log *record_fs_log(const record_fs *fs) { return &fs->log; }

const lofti_file_ops *record_fs_ops(record_fs *fs) { return &fs->ops; }

record_fs *record_fs_create(const lofti_file_ops *inner)
{
    record_fs *fs = calloc(1, sizeof *fs);
    record_require(fs != NULL, "out of memory");
    fs->inner = inner;
    pthread_mutex_init(&fs->mutex, NULL);
    fs->ops = (lofti_file_ops){
        .open = record_open,
        .close = record_close,
        .info = record_info,
        .pread = record_pread,
        .pwrite = record_pwrite,
        .resize = record_resize,
        .allocate = record_allocate,
        .punch = record_punch,
        .sync = record_sync,
        .lock = record_lock,
        .seek = record_seek,
        .clone = record_clone,
        .copy_range = record_copy_range,
        .link = record_link,
        .rename = record_rename,
        .unlink = record_unlink,
        .sync_folder = record_sync_folder,
    };
    return fs;
}

void record_fs_destroy(record_fs *fs)
{
    if (fs != NULL) {
        for (uint32_t i = 0; i < fs->log.name_count; i++) {
            free(fs->log.names[i]);
        }
        free(fs->log.names);
        free(fs->log.ops);
        free(fs->log.data);
        pthread_mutex_destroy(&fs->mutex);
        free(fs);
    }
}
