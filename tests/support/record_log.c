/* What the recording table writes down, and what it knows of names and nodes; see record_fs.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/record_state.h"

static void *grown(void *memory, size_t bytes)
{
    void *larger = realloc(memory, bytes);
    if (larger == NULL) {
        perror("record_fs");
        abort();
    }
    return larger;
}

_Noreturn void record_fail(const char *what)
{
    fprintf(stderr, "record_fs: %s\n", what);
    abort();
}

record_op *record_append(record_fs *fs, uint32_t kind, uint32_t node)
{
    record_log *log = &fs->log;
    if (log->count == log->room) {
        log->room = log->room == 0 ? 64 : log->room * 2;
        log->ops = grown(log->ops, log->room * sizeof *log->ops);
    }
    record_op *op = &log->ops[log->count++];
    *op = (record_op){.kind = kind, .node = node, .name = RECORD_NO_NAME, .other = RECORD_NO_NAME};
    return op;
}

uint8_t *record_data_room(record_log *log, size_t bytes)
{
    if (log->data_room - log->data_bytes < bytes) {
        size_t room = log->data_room == 0 ? 1 << 16 : log->data_room;
        while (room - log->data_bytes < bytes) {
            room *= 2;
        }
        log->data = grown(log->data, room);
        log->data_room = room;
    }
    return log->data + log->data_bytes;
}

uint32_t record_name_index(record_fs *fs, const char *path)
{
    record_log *log = &fs->log;
    for (uint32_t i = 0; i < log->name_count; i++) {
        if (strcmp(log->names[i], path) == 0) {
            return i;
        }
    }
    log->names = grown(log->names, (log->name_count + 1) * sizeof *log->names);
    char *copy = grown(NULL, strlen(path) + 1);
    memcpy(copy, path, strlen(path) + 1);
    log->names[log->name_count] = copy;
    return log->name_count++;
}

size_t record_folder_bytes(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? (size_t)(slash - path) : 0;
}

uint32_t record_folder_index(record_fs *fs, const char *path)
{
    char folder[4096];
    const size_t bytes = record_folder_bytes(path);
    record_require(bytes < sizeof folder, "path too long");
    memcpy(folder, path, bytes);
    folder[bytes] = '\0';
    return record_name_index(fs, folder);
}

record_binding *record_binding_of(record_fs *fs, uint32_t name)
{
    for (size_t i = 0; i < fs->binding_count; i++) {
        if (fs->bindings[i].name == name) {
            return &fs->bindings[i];
        }
    }
    return NULL;
}

void record_bind(record_fs *fs, uint32_t name, uint32_t node)
{
    record_binding *binding = record_binding_of(fs, name);
    if (binding == NULL) {
        record_require(fs->binding_count < RECORD_BOUND_NAMES, "too many names");
        binding = &fs->bindings[fs->binding_count++];
    }
    *binding = (record_binding){.name = name, .node = node};
}

static uint32_t node_add(record_fs *fs, const lofti_file_info *info)
{
    record_require(fs->log.node_count < RECORD_NODES, "too many files");
    const uint32_t node = fs->log.node_count++;
    fs->device[node] = info->device;
    fs->inode[node] = info->inode;
    return node;
}

/* The newest node of that inode: inode numbers come again. */
static uint32_t node_find(const record_fs *fs, const lofti_file_info *info)
{
    for (uint32_t node = fs->log.node_count; node-- > 0;) {
        if (fs->device[node] == info->device && fs->inode[node] == info->inode) {
            return node;
        }
    }
    return RECORD_NO_NODE;
}

record_handle *record_handle_find(record_fs *fs, intptr_t handle)
{
    for (size_t i = 0; i < RECORD_HANDLES; i++) {
        if (fs->handles[i].used && fs->handles[i].handle == handle) {
            return &fs->handles[i];
        }
    }
    return NULL;
}

uint32_t record_node_of(record_fs *fs, intptr_t handle)
{
    const record_handle *found = record_handle_find(fs, handle);
    record_require(found != NULL, "operation on a handle that is not open");
    return found->node;
}

static void handle_add(record_fs *fs, intptr_t handle, uint32_t node)
{
    for (size_t i = 0; i < RECORD_HANDLES; i++) {
        if (!fs->handles[i].used) {
            fs->handles[i] = (record_handle){.handle = handle, .node = node, .used = true};
            return;
        }
    }
    record_require(false, "too many handles");
}

void record_content(record_fs *fs, uint32_t kind, uint32_t node, intptr_t handle, uint64_t off,
                    uint64_t bytes)
{
    uint8_t *data = record_data_room(&fs->log, (size_t)bytes);
    size_t done = 0;
    while (done < bytes) {
        const int64_t got =
            fs->inner->pread(fs->inner, handle, data + done, (size_t)bytes - done, off + done);
        if (got == -EINTR) {
            continue;
        }
        if (got <= 0) {
            break;
        }
        done += (size_t)got;
    }
    if (done == 0 && kind == RECORD_WRITE) {
        return;
    }
    record_op *op = record_append(fs, kind, node);
    op->off = off;
    op->bytes = done;
    op->data_off = fs->log.data_bytes;
    fs->log.data_bytes += done;
}

uint64_t record_size_of(record_fs *fs, intptr_t handle)
{
    lofti_file_info info;
    record_require(fs->inner->info(fs->inner, handle, &info) == 0, "info failed");
    return info.bytes;
}

void record_size(record_fs *fs, uint32_t node, uint64_t before, uint64_t after)
{
    if (before != after) {
        record_op *op = record_append(fs, RECORD_SIZE, node);
        op->off = before;
        op->bytes = after;
    }
}

int record_opened(record_fs *fs, const char *path, bool unnamed, bool created, intptr_t handle)
{
    lofti_file_info info;
    const int error = fs->inner->info(fs->inner, handle, &info);
    if (error != 0) {
        return error;
    }
    const uint32_t name = unnamed ? RECORD_NO_NAME : record_name_index(fs, path);
    uint32_t node = created ? RECORD_NO_NODE : node_find(fs, &info);
    if (created) {
        node = node_add(fs, &info);
        record_append(fs, RECORD_CREATE, node)->name = name;
    } else if (node == RECORD_NO_NODE) {
        node = node_add(fs, &info);
        record_content(fs, RECORD_BASE, node, handle, 0, info.bytes);
    }
    if (!unnamed) {
        const record_binding *binding = record_binding_of(fs, name);
        if (!created && (binding == NULL || binding->node != node)) {
            record_append(fs, RECORD_BASE_NAME, node)->name = name;
        }
        record_bind(fs, name, node);
    }
    handle_add(fs, handle, node);
    return 0;
}

void record_meet(record_fs *fs, const char *path)
{
    const record_binding *binding = record_binding_of(fs, record_name_index(fs, path));
    intptr_t handle;
    if (binding == NULL && fs->inner->open(fs->inner, path, LOFTI_OPEN_READ, 0, &handle) == 0) {
        if (record_opened(fs, path, false, false, handle) == 0) {
            record_handle_find(fs, handle)->used = false;
        }
        (void)fs->inner->close(fs->inner, handle);
    }
}

void record_unbind(record_fs *fs, uint32_t name)
{
    record_binding *binding = record_binding_of(fs, name);
    if (binding != NULL) {
        *binding = fs->bindings[--fs->binding_count];
    }
}
