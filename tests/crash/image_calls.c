/* Crash images: the table of operations; see image.h. */
#include <errno.h>
#include <string.h>

#include "crash/image_state.h"

static image *self_of(const lofti_file_ops *ops) { return (image *)(uintptr_t)ops; }

static image_name *name_of(image *self, const char *path)
{
    for (uint32_t i = 0; i < self->name_count; i++) {
        if (strcmp(self->names[i].path, path) == 0) {
            return &self->names[i];
        }
    }
    return NULL;
}

static image_node *node_of(image *self, intptr_t handle)
{
    const bool open = handle >= 0 && handle < IMAGE_HANDLES && self->handles[handle].used;
    return open ? &self->nodes[self->handles[handle].node] : NULL;
}

static uint32_t index_of(const image *self, const image_node *node)
{
    return (uint32_t)(node - self->nodes);
}

static int name_store(image *self, const char *path, uint32_t node)
{
    if (strlen(path) >= IMAGE_PATH_BYTES) {
        return -ENAMETOOLONG;
    }
    if (self->name_count == IMAGE_NAMES) {
        return -ENOSPC;
    }
    image_save_names(self);
    image_name *name = &self->names[self->name_count++];
    memcpy(name->path, path, strlen(path) + 1);
    name->node = node;
    return 0;
}

/* Makes the file `bytes` long; what comes into sight is zeroed. */
static void resize_to(image *self, image_node *node, uint64_t bytes)
{
    const uint32_t index = index_of(self, node);
    if (bytes > node->bytes) {
        image_zero_range(self, index, node->bytes, bytes - node->bytes);
    }
    if (bytes != node->bytes) {
        image_save_size(self, index);
        node->bytes = bytes;
    }
}

static int node_for(image *self, const char *path, unsigned flags)
{
    if ((flags & LOFTI_OPEN_UNNAMED) == 0) {
        const image_name *name = name_of(self, path);
        const unsigned both = LOFTI_OPEN_CREATE | LOFTI_OPEN_EXCLUSIVE;
        if (name != NULL) {
            return (flags & both) == both ? -EEXIST : (int)name->node;
        }
        if ((flags & LOFTI_OPEN_CREATE) == 0) {
            return -ENOENT;
        }
    }
    const uint32_t node = image_node_add(self);
    if (node == IMAGE_NODES) {
        return -ENOSPC;
    }
    self->changes++;
    const int error = (flags & LOFTI_OPEN_UNNAMED) == 0 ? name_store(self, path, node) : 0;
    return error != 0 ? error : (int)node;
}

static int call_open(const lofti_file_ops *ops, const char *path, unsigned flags, unsigned mode,
                     intptr_t *handle)
{
    image *self = self_of(ops);
    (void)mode;
    const int node = node_for(self, path, flags);
    if (node < 0) {
        return node;
    }
    for (intptr_t i = 0; i < IMAGE_HANDLES; i++) {
        if (!self->handles[i].used) {
            self->handles[i] = (image_handle){
                .used = true, .writable = (flags & LOFTI_OPEN_WRITE) != 0, .node = (uint32_t)node};
            if ((flags & LOFTI_OPEN_TRUNCATE) != 0) {
                self->changes++;
                resize_to(self, &self->nodes[node], 0);
            }
            *handle = i;
            return 0;
        }
    }
    return -EMFILE;
}

static int call_close(const lofti_file_ops *ops, intptr_t handle)
{
    image *self = self_of(ops);
    if (node_of(self, handle) == NULL) {
        return -EBADF;
    }
    self->handles[handle].used = false;
    for (int i = 0; i < IMAGE_LOCKS; i++) {
        if (self->locks[i].kind != LOFTI_LOCK_NONE && self->locks[i].handle == handle) {
            self->locks[i].kind = LOFTI_LOCK_NONE;
        }
    }
    return 0;
}

static int call_info(const lofti_file_ops *ops, intptr_t handle, lofti_file_info *out)
{
    image *self = self_of(ops);
    const image_node *node = node_of(self, handle);
    if (node == NULL) {
        return -EBADF;
    }
    *out = (lofti_file_info){.bytes = node->bytes,
                             .stored_bytes = node->bytes,
                             .device = 1,
                             .inode = (uint64_t)index_of(self, node) + 1,
                             .type = LOFTI_TYPE_REGULAR,
                             .mode = 0600};
    return 0;
}

static int64_t call_pread(const lofti_file_ops *ops, intptr_t handle, void *data, size_t bytes,
                          uint64_t off)
{
    image *self = self_of(ops);
    const image_node *node = node_of(self, handle);
    if (node == NULL) {
        return -EBADF;
    }
    if (off >= node->bytes) {
        return 0;
    }
    const size_t got = bytes < node->bytes - off ? bytes : (size_t)(node->bytes - off);
    image_trace_read(self, index_of(self, node), off, got);
    memcpy(data, node->data + off, got);
    return (int64_t)got;
}

/* The node of a handle that may write, or NULL with the reason. */
static image_node *writable_of(image *self, intptr_t handle, int *error)
{
    image_node *node = node_of(self, handle);
    if (node == NULL || !self->handles[handle].writable) {
        *error = -EBADF;
        return NULL;
    }
    self->changes++;
    return node;
}

static int64_t call_pwrite(const lofti_file_ops *ops, intptr_t handle, const void *data,
                           size_t bytes, uint64_t off)
{
    image *self = self_of(ops);
    int error = 0;
    image_node *node = writable_of(self, handle, &error);
    if (node == NULL) {
        return error;
    }
    if (off > self->room_bytes || bytes > self->room_bytes - off) {
        return -EFBIG;
    }
    if (off > node->bytes) {
        resize_to(self, node, off);
    }
    image_trace_write(self, index_of(self, node), off, bytes);
    image_save_range(self, index_of(self, node), off, bytes);
    image_touch(node, off, bytes);
    memcpy(node->data + off, data, bytes);
    if (bytes > 0 && off + bytes > node->bytes) {
        image_save_size(self, index_of(self, node));
        node->bytes = off + bytes;
    }
    return (int64_t)bytes;
}

static int call_resize(const lofti_file_ops *ops, intptr_t handle, uint64_t bytes)
{
    image *self = self_of(ops);
    int error = 0;
    image_node *node = writable_of(self, handle, &error);
    if (node == NULL) {
        return error;
    }
    if (bytes > self->room_bytes) {
        return -EFBIG;
    }
    resize_to(self, node, bytes);
    return 0;
}

static int call_allocate(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    image *self = self_of(ops);
    int error = 0;
    image_node *node = writable_of(self, handle, &error);
    if (node == NULL) {
        return error;
    }
    if (off > self->room_bytes || bytes > self->room_bytes - off) {
        return -EFBIG;
    }
    if (off + bytes > node->bytes) {
        resize_to(self, node, off + bytes);
    }
    return 0;
}

static int call_punch(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    image *self = self_of(ops);
    int error = 0;
    image_node *node = writable_of(self, handle, &error);
    if (node == NULL) {
        return error;
    }
    if (off < node->bytes) {
        const uint64_t seen = node->bytes - off;
        image_zero_range(self, index_of(self, node), off, bytes < seen ? bytes : seen);
    }
    return 0;
}

static int call_sync(const lofti_file_ops *ops, intptr_t handle, int kind)
{
    (void)kind;
    return node_of(self_of(ops), handle) == NULL ? -EBADF : 0;
}

static int call_lock(const lofti_file_ops *ops, intptr_t handle, int kind, uint64_t off)
{
    image *self = self_of(ops);
    const image_node *node = node_of(self, handle);
    if (node == NULL) {
        return -EBADF;
    }
    const uint32_t index = index_of(self, node);
    image_lock *place = NULL;
    for (int i = 0; i < IMAGE_LOCKS; i++) {
        image_lock *lock = &self->locks[i];
        if (lock->kind == LOFTI_LOCK_NONE) {
            place = place == NULL || place->kind == LOFTI_LOCK_NONE ? lock : place;
        } else if (lock->node == index && lock->off == off) {
            if (lock->handle == handle) {
                place = lock;
            } else if (kind == LOFTI_LOCK_EXCLUSIVE ||
                       (kind == LOFTI_LOCK_SHARED && lock->kind == LOFTI_LOCK_EXCLUSIVE)) {
                return -EAGAIN;
            }
        }
    }
    if (place == NULL) {
        return -ENOLCK;
    }
    *place = (image_lock){.kind = kind, .handle = handle, .node = index, .off = off};
    return 0;
}

static int64_t call_seek(const lofti_file_ops *ops, intptr_t handle, uint64_t off, bool hole)
{
    const image_node *node = node_of(self_of(ops), handle);
    if (node == NULL) {
        return -EBADF;
    }
    /* An image has no holes but the one at its end. */
    return off >= node->bytes ? -ENXIO : (int64_t)(hole ? node->bytes : off);
}

static int64_t call_copy_range(const lofti_file_ops *ops, intptr_t to, uint64_t to_off,
                               intptr_t from, uint64_t from_off, size_t bytes)
{
    image *self = self_of(ops);
    const image_node *node = node_of(self, from);
    if (node == NULL) {
        return -EBADF;
    }
    if (from_off >= node->bytes) {
        return 0;
    }
    const uint64_t room = node->bytes - from_off;
    const size_t part = (size_t)(bytes < room ? bytes : room);
    image_trace_read(self, index_of(self, node), from_off, part);
    return call_pwrite(ops, to, node->data + from_off, part, to_off);
}

static int call_clone(const lofti_file_ops *ops, intptr_t to, intptr_t from)
{
    image *self = self_of(ops);
    const image_node *node = node_of(self, from);
    if (node == NULL) {
        return -EBADF;
    }
    const int64_t done = call_copy_range(ops, to, 0, from, 0, (size_t)node->bytes);
    return done < 0 ? (int)done : 0;
}

static int call_link(const lofti_file_ops *ops, intptr_t handle, const char *from, const char *path)
{
    (void)from;
    image *self = self_of(ops);
    const image_node *node = node_of(self, handle);
    if (node == NULL) {
        return -EBADF;
    }
    if (name_of(self, path) != NULL) {
        return -EEXIST;
    }
    self->changes++;
    return name_store(self, path, index_of(self, node));
}

static int call_unlink(const lofti_file_ops *ops, const char *path)
{
    image *self = self_of(ops);
    image_name *name = name_of(self, path);
    if (name == NULL) {
        return -ENOENT;
    }
    self->changes++;
    image_save_names(self);
    *name = self->names[--self->name_count];
    return 0;
}

static int call_rename(const lofti_file_ops *ops, const char *from, const char *to)
{
    image *self = self_of(ops);
    image_name *source = name_of(self, from);
    if (source == NULL) {
        return -ENOENT;
    }
    if (strlen(to) >= IMAGE_PATH_BYTES) {
        return -ENAMETOOLONG;
    }
    self->changes++;
    image_save_names(self);
    image_name *target = name_of(self, to);
    if (target == NULL) {
        memcpy(source->path, to, strlen(to) + 1);
    } else if (target->node != source->node) {
        target->node = source->node;
        *source = self->names[--self->name_count];
    }
    return 0;
}

static int call_sync_folder(const lofti_file_ops *ops, const char *path)
{
    (void)ops;
    (void)path;
    return 0;
}

const lofti_file_ops image_calls = {
    .open = call_open,
    .close = call_close,
    .info = call_info,
    .pread = call_pread,
    .pwrite = call_pwrite,
    .resize = call_resize,
    .allocate = call_allocate,
    .punch = call_punch,
    .sync = call_sync,
    .lock = call_lock,
    .seek = call_seek,
    .clone = call_clone,
    .copy_range = call_copy_range,
    .link = call_link,
    .rename = call_rename,
    .unlink = call_unlink,
    .sync_folder = call_sync_folder,
};
