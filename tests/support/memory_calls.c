/* The in-memory file system's table of operations; see memory_fs.h. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "support/memory_state.h"

static memory_fs *self_of(const lofti_file_ops *ops) { return (memory_fs *)(uintptr_t)ops; }

/* The node that `path` leads to, or a new one, as `flags` say. */
static int node_for(memory_fs *fs, const char *path, unsigned flags, unsigned mode)
{
    memory_state *state = fs->state;
    if (!memory_names_folder_exists(&state->names, path)) {
        return -ENOENT;
    }
    if ((flags & LOFTI_OPEN_UNNAMED) != 0) {
        return state->no_unnamed ? -EOPNOTSUPP : memory_node_add(fs, mode);
    }
    const int found = memory_names_find(&state->names, path);
    if (found >= 0) {
        const unsigned both = LOFTI_OPEN_CREATE | LOFTI_OPEN_EXCLUSIVE;
        return (flags & both) == both ? -EEXIST : found;
    }
    if (found != -ENOENT || (flags & LOFTI_OPEN_CREATE) == 0) {
        return found;
    }
    const int node = memory_node_add(fs, mode);
    if (node >= 0) {
        const int error = memory_names_add(&state->names, path, node);
        if (error != 0) {
            state->nodes[node].used = false;
            return error;
        }
    }
    return node;
}

static int memory_open(const lofti_file_ops *ops, const char *path, unsigned flags, unsigned mode,
                       intptr_t *handle)
{
    memory_fs *fs = self_of(ops);
    (void)memory_state_lock(fs);
    int result = node_for(fs, path, flags, mode);
    if (result >= 0) {
        const int node = result;
        result = memory_handle_add(fs, node, (flags & LOFTI_OPEN_WRITE) != 0, handle);
        if (result == 0 && (flags & LOFTI_OPEN_TRUNCATE) != 0) {
            result = memory_node_resize(fs, node, 0);
        }
        if (result != 0) {
            memory_node_release_if_unused(fs, node);
        }
    }
    memory_state_unlock(fs);
    return result;
}

static int memory_close(const lofti_file_ops *ops, intptr_t handle)
{
    memory_fs *fs = self_of(ops);
    const int node = memory_node_of(fs, handle);
    if (node < 0) {
        return -EBADF;
    }
    (void)memory_state_lock(fs);
    fs->node_of[handle] = -1;
    close((int)handle);
    fs->state->nodes[node].handles--;
    memory_node_release_if_unused(fs, node);
    memory_state_unlock(fs);
    return 0;
}

static int memory_info(const lofti_file_ops *ops, intptr_t handle, lofti_file_info *out)
{
    memory_fs *fs = self_of(ops);
    const int node = memory_node_of(fs, handle);
    if (node < 0) {
        return -EBADF;
    }
    const memory_node *file = &memory_state_lock(fs)->nodes[node];
    *out = (lofti_file_info){
        .bytes = file->bytes,
        .stored_bytes = file->stored_blocks * MEMORY_FS_BLOCK_BYTES,
        .device = (uint64_t)(uintptr_t)fs->state,
        .inode = file->inode,
        .type = LOFTI_TYPE_REGULAR,
        .mode = file->mode,
    };
    memory_state_unlock(fs);
    return 0;
}

static int64_t memory_pread(const lofti_file_ops *ops, intptr_t handle, void *data, size_t bytes,
                            uint64_t off)
{
    if (memory_node_of(self_of(ops), handle) < 0) {
        return -EBADF;
    }
    const ssize_t got = pread((int)handle, data, bytes, (off_t)off);
    return got < 0 ? -errno : got;
}

static int64_t memory_pwrite(const lofti_file_ops *ops, intptr_t handle, const void *data,
                             size_t bytes, uint64_t off)
{
    memory_fs *fs = self_of(ops);
    const int node = memory_node_of(fs, handle);
    if (node < 0) {
        return -EBADF;
    }
    if (off > MEMORY_FS_FILE_BYTES || bytes > MEMORY_FS_FILE_BYTES - off) {
        return -EFBIG;
    }
    if (bytes == 0) {
        return 0;
    }
    memory_state *state = memory_state_lock(fs);
    const uint64_t end = memory_blocks_ceil(off + bytes);
    const uint64_t stored = memory_blocks_store(fs, node, off / MEMORY_FS_BLOCK_BYTES, end, true);
    int64_t result = -ENOSPC;
    if (stored == end || stored * MEMORY_FS_BLOCK_BYTES > off) {
        const size_t fits = stored == end ? bytes : (size_t)(stored * MEMORY_FS_BLOCK_BYTES - off);
        const ssize_t done = pwrite((int)handle, data, fits, (off_t)off);
        result = done < 0 ? -errno : done;
        if (done > 0 && off + (uint64_t)done > state->nodes[node].bytes) {
            state->nodes[node].bytes = off + (uint64_t)done;
        }
    }
    memory_state_unlock(fs);
    return result;
}

static int memory_resize(const lofti_file_ops *ops, intptr_t handle, uint64_t bytes)
{
    memory_fs *fs = self_of(ops);
    const int node = memory_node_of(fs, handle);
    if (node < 0) {
        return -EBADF;
    }
    (void)memory_state_lock(fs);
    const int error = memory_node_resize(fs, node, bytes);
    memory_state_unlock(fs);
    return error;
}

static int memory_allocate(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    memory_fs *fs = self_of(ops);
    const int node = memory_node_of(fs, handle);
    if (node < 0) {
        return -EBADF;
    }
    if (off > MEMORY_FS_FILE_BYTES || bytes > MEMORY_FS_FILE_BYTES - off) {
        return -EFBIG;
    }
    memory_state *state = memory_state_lock(fs);
    const uint64_t first = off / MEMORY_FS_BLOCK_BYTES, end = memory_blocks_ceil(off + bytes);
    int error = 0;
    if (state->no_allocate) {
        error = -EOPNOTSUPP;
    } else if (state->used_blocks > state->quota_blocks ||
               memory_blocks_missing(fs, node, first, end) >
                   state->quota_blocks - state->used_blocks) {
        error = -ENOSPC;
    } else if (off + bytes > state->nodes[node].bytes) {
        error = memory_node_resize(fs, node, off + bytes);
    }
    if (error == 0) {
        (void)memory_blocks_store(fs, node, first, end, false);
    }
    memory_state_unlock(fs);
    return error;
}

static int memory_punch(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    memory_fs *fs = self_of(ops);
    const int node = memory_node_of(fs, handle);
    if (node < 0) {
        return -EBADF;
    }
    const memory_state *state = memory_state_lock(fs);
    const uint64_t size = state->nodes[node].bytes;
    int error = 0;
    if (off < size && bytes > 0) {
        const uint64_t end = bytes < size - off ? off + bytes : size;
        if (fallocate((int)handle, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
                      (off_t)(end - off)) != 0) {
            error = -errno;
        } else {
            const uint64_t last =
                end == size ? memory_blocks_ceil(end) : end / MEMORY_FS_BLOCK_BYTES;
            memory_blocks_free(fs, node, memory_blocks_ceil(off), last);
        }
    }
    memory_state_unlock(fs);
    return error;
}

static int memory_sync(const lofti_file_ops *ops, intptr_t handle, int kind)
{
    (void)kind;
    return memory_node_of(self_of(ops), handle) < 0 ? -EBADF : 0;
}

static int memory_lock(const lofti_file_ops *ops, intptr_t handle, int kind, uint64_t off)
{
    if (memory_node_of(self_of(ops), handle) < 0) {
        return -EBADF;
    }
    const int type = kind == LOFTI_LOCK_NONE     ? F_UNLCK
                     : kind == LOFTI_LOCK_SHARED ? F_RDLCK
                                                 : F_WRLCK;
    struct flock lock = {
        .l_type = (short)type, .l_whence = SEEK_SET, .l_start = (off_t)off, .l_len = 1};
    if (fcntl((int)handle, F_OFD_SETLK, &lock) != 0) {
        return errno == EACCES ? -EAGAIN : -errno;
    }
    return 0;
}

static int64_t memory_seek(const lofti_file_ops *ops, intptr_t handle, uint64_t off, bool hole)
{
    memory_fs *fs = self_of(ops);
    const int node = memory_node_of(fs, handle);
    if (node < 0) {
        return -EBADF;
    }
    const memory_state *state = memory_state_lock(fs);
    const uint64_t size = state->nodes[node].bytes;
    int64_t result = hole && off < size ? (int64_t)size : -ENXIO;
    for (uint64_t block = off / MEMORY_FS_BLOCK_BYTES; block < memory_blocks_ceil(size); block++) {
        if (off < size && memory_block_is_stored(fs, node, block) != hole) {
            const uint64_t start = block * MEMORY_FS_BLOCK_BYTES;
            result = (int64_t)(start > off ? start : off);
            break;
        }
    }
    memory_state_unlock(fs);
    return result;
}

static int64_t copy_bytes(const lofti_file_ops *ops, intptr_t to, uint64_t to_off, intptr_t from,
                          uint64_t from_off, size_t bytes)
{
    char buffer[64 * 1024];
    const int64_t got =
        memory_pread(ops, from, buffer, bytes < sizeof buffer ? bytes : sizeof buffer, from_off);
    return got <= 0 ? got : memory_pwrite(ops, to, buffer, (size_t)got, to_off);
}

static int memory_clone(const lofti_file_ops *ops, intptr_t to, intptr_t from)
{
    memory_fs *fs = self_of(ops);
    if (memory_node_of(fs, to) < 0 || memory_node_of(fs, from) < 0) {
        return -EBADF;
    }
    if (fs->state->no_clone) {
        return -EOPNOTSUPP;
    }
    const uint64_t bytes = fs->state->nodes[memory_node_of(fs, from)].bytes;
    int error = memory_resize(ops, to, 0);
    for (int64_t data = 0; error == 0;) {
        data = memory_seek(ops, from, (uint64_t)data, false);
        if (data < 0) {
            break;
        }
        const int64_t end = memory_seek(ops, from, (uint64_t)data, true);
        while (error == 0 && data < end) {
            const int64_t done =
                copy_bytes(ops, to, (uint64_t)data, from, (uint64_t)data, (size_t)(end - data));
            error = done <= 0 ? (done < 0 ? (int)done : -EIO) : 0;
            data += done;
        }
    }
    if (error == 0) {
        error = memory_resize(ops, to, bytes);
    } else {
        (void)memory_resize(ops, to, 0);
    }
    return error;
}

static int64_t memory_copy_range(const lofti_file_ops *ops, intptr_t to, uint64_t to_off,
                                 intptr_t from, uint64_t from_off, size_t bytes)
{
    memory_fs *fs = self_of(ops);
    if (memory_node_of(fs, to) < 0 || memory_node_of(fs, from) < 0) {
        return -EBADF;
    }
    return fs->state->no_clone ? -EOPNOTSUPP : copy_bytes(ops, to, to_off, from, from_off, bytes);
}

static int memory_link(const lofti_file_ops *ops, intptr_t handle, const char *from,
                       const char *path)
{
    (void)from;
    memory_fs *fs = self_of(ops);
    const int node = memory_node_of(fs, handle);
    if (node < 0) {
        return -EBADF;
    }
    const int error = memory_names_add(&memory_state_lock(fs)->names, path, node);
    memory_state_unlock(fs);
    return error;
}

static int memory_rename(const lofti_file_ops *ops, const char *from, const char *to)
{
    memory_fs *fs = self_of(ops);
    int replaced = -1;
    const int error = memory_names_rename(&memory_state_lock(fs)->names, from, to, &replaced);
    if (error == 0 && replaced >= 0) {
        memory_node_release_if_unused(fs, replaced);
    }
    memory_state_unlock(fs);
    return error;
}

static int memory_unlink(const lofti_file_ops *ops, const char *path)
{
    memory_fs *fs = self_of(ops);
    const int node = memory_names_remove(&memory_state_lock(fs)->names, path);
    if (node >= 0) {
        memory_node_release_if_unused(fs, node);
    }
    memory_state_unlock(fs);
    return node < 0 ? node : 0;
}

static int memory_sync_folder(const lofti_file_ops *ops, const char *path)
{
    memory_fs *fs = self_of(ops);
    const bool exists = memory_names_folder_exists(&memory_state_lock(fs)->names, path);
    memory_state_unlock(fs);
    return exists ? 0 : -ENOENT;
}

const lofti_file_ops memory_calls = {
    .open = memory_open,
    .close = memory_close,
    .info = memory_info,
    .pread = memory_pread,
    .pwrite = memory_pwrite,
    .resize = memory_resize,
    .allocate = memory_allocate,
    .punch = memory_punch,
    .sync = memory_sync,
    .lock = memory_lock,
    .seek = memory_seek,
    .clone = memory_clone,
    .copy_range = memory_copy_range,
    .link = memory_link,
    .rename = memory_rename,
    .unlink = memory_unlink,
    .sync_folder = memory_sync_folder,
};
