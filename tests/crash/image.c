/* Crash images: building and undoing; see image.h. */
#include "crash/image.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "crash/image_state.h"

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "crash image: %s\n", what);
        abort();
    }
}

image *image_create(uint64_t room_bytes)
{
    image *self = calloc(1, sizeof *self);
    if (self != NULL) {
        self->ops = image_calls;
        self->room_bytes = room_bytes;
    }
    return self;
}

void image_destroy(image *self)
{
    if (self != NULL) {
        for (uint32_t node = 0; node < IMAGE_NODES; node++) {
            if (self->nodes[node].data != NULL) {
                munmap(self->nodes[node].data, self->room_bytes);
                free(self->nodes[node].touched);
                free(self->nodes[node].seen);
            }
        }
        free(self->undo);
        free(self->saved);
        free(self->traced);
        free(self);
    }
}

const lofti_file_ops *image_ops(image *self) { return &self->ops; }

static void node_make(image *self, uint32_t node)
{
    require(node < IMAGE_NODES, "too many files");
    if (self->nodes[node].data == NULL) {
        void *data = mmap(NULL, self->room_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        require(data != MAP_FAILED, "no memory for a file");
        self->nodes[node].data = data;
        self->nodes[node].touched = calloc(self->room_bytes / IMAGE_PIECE_BYTES + 1, 1);
        self->nodes[node].seen =
            calloc(self->room_bytes / IMAGE_SECTOR_BYTES + 1, sizeof(uint32_t));
        require(self->nodes[node].touched != NULL && self->nodes[node].seen != NULL,
                "no memory for a file");
    }
}

uint32_t image_node_add(image *self)
{
    const uint32_t node = self->node_count;
    if (node < IMAGE_NODES) {
        self->node_count++;
        node_make(self, node);
        self->nodes[node].bytes = 0;
    }
    return node;
}

static void node_reach(image *self, uint32_t node)
{
    while (self->node_count <= node) {
        require(image_node_add(self) < IMAGE_NODES, "too many files");
    }
}

void image_put(image *self, uint32_t node, uint64_t off, const void *data, size_t bytes)
{
    node_reach(self, node);
    require(off <= self->room_bytes && bytes <= self->room_bytes - off, "file too large");
    image_touch(&self->nodes[node], off, bytes);
    memcpy(self->nodes[node].data + off, data, bytes);
}

void image_set_size(image *self, uint32_t node, uint64_t bytes)
{
    node_reach(self, node);
    require(bytes <= self->room_bytes, "file too large");
    self->nodes[node].bytes = bytes;
}

void image_clear_names(image *self) { self->name_count = 0; }

void image_add_name(image *self, const char *path, uint32_t node)
{
    require(self->name_count < IMAGE_NAMES && strlen(path) < IMAGE_PATH_BYTES, "too many names");
    node_reach(self, node);
    image_name *name = &self->names[self->name_count++];
    memcpy(name->path, path, strlen(path) + 1);
    name->node = node;
}

static void *doubled(void *memory, size_t *room, size_t need, size_t item_bytes)
{
    size_t larger = *room == 0 ? 256 : *room;
    while (larger < need) {
        larger *= 2;
    }
    void *moved = realloc(memory, larger * item_bytes);
    require(moved != NULL, "no memory to undo with");
    *room = larger;
    return moved;
}

static image_undo_entry *undo_add(image *self)
{
    if (self->undo_count == self->undo_room) {
        self->undo =
            doubled(self->undo, &self->undo_room, self->undo_count + 1, sizeof *self->undo);
    }
    return &self->undo[self->undo_count++];
}

void image_save_range(image *self, uint32_t node, uint64_t off, size_t bytes)
{
    if (bytes == 0) {
        return;
    }
    if (self->saved_room - self->saved_bytes < bytes) {
        self->saved = doubled(self->saved, &self->saved_room, self->saved_bytes + bytes, 1);
    }
    memcpy(self->saved + self->saved_bytes, self->nodes[node].data + off, bytes);
    *undo_add(self) = (image_undo_entry){
        .node = node, .off = off, .bytes = bytes, .saved_off = self->saved_bytes};
    self->saved_bytes += bytes;
}

void image_zero_range(image *self, uint32_t node, uint64_t off, uint64_t bytes)
{
    const image_node *place = &self->nodes[node];
    image_trace_write(self, node, off, bytes);
    for (const uint64_t end = off + bytes; off < end;) {
        const uint64_t piece_end = (off / IMAGE_PIECE_BYTES + 1) * IMAGE_PIECE_BYTES;
        const size_t part = (size_t)((piece_end < end ? piece_end : end) - off);
        if (place->touched[off / IMAGE_PIECE_BYTES] != 0) {
            image_save_range(self, node, off, part);
            memset(place->data + off, 0, part);
        }
        off += part;
    }
}

/* --- What is read ------------------------------------------------------------------------------ */

void image_trace_begin(image *self)
{
    self->tracing = true;
    self->trace++;
    self->traced_count = 0;
}

const image_sector *image_trace_end(image *self, size_t *count)
{
    self->tracing = false;
    *count = self->traced_count;
    return self->traced;
}

void image_trace_read(image *self, uint32_t node, uint64_t off, uint64_t bytes)
{
    if (!self->tracing || bytes == 0) {
        return;
    }
    uint32_t *seen = self->nodes[node].seen;
    const uint64_t last = (off + bytes - 1) / IMAGE_SECTOR_BYTES;
    if (self->traced_room - self->traced_count <= last - off / IMAGE_SECTOR_BYTES) {
        const size_t needed = self->traced_count + (size_t)(last - off / IMAGE_SECTOR_BYTES) + 1;
        self->traced = doubled(self->traced, &self->traced_room, needed, sizeof *self->traced);
    }
    for (uint64_t number = off / IMAGE_SECTOR_BYTES; number <= last; number++) {
        if (seen[number] != self->trace) {
            seen[number] = self->trace;
            self->traced[self->traced_count++] = (image_sector){node, (uint32_t)number};
        }
    }
}

void image_trace_write(image *self, uint32_t node, uint64_t off, uint64_t bytes)
{
    if (!self->tracing || bytes == 0) {
        return;
    }
    const uint64_t end = off + bytes;
    if (off % IMAGE_SECTOR_BYTES != 0) {
        image_trace_read(self, node, off, 1);
    }
    if (end % IMAGE_SECTOR_BYTES != 0) {
        image_trace_read(self, node, end - 1, 1);
    }
    for (uint64_t number = off / IMAGE_SECTOR_BYTES; number < end / IMAGE_SECTOR_BYTES; number++) {
        self->nodes[node].seen[number] = self->trace;
    }
}

void image_save_size(image *self, uint32_t node)
{
    *undo_add(self) = (image_undo_entry){.node = node, .off = self->nodes[node].bytes};
}

void image_save_names(image *self)
{
    if (!self->names_changed) {
        self->names_changed = true;
        self->kept_name_count = self->name_count;
        memcpy(self->kept_names, self->names, self->name_count * sizeof *self->names);
    }
}

void image_begin(image *self)
{
    self->undo_count = 0;
    self->saved_bytes = 0;
    self->names_changed = false;
    self->kept_node_count = self->node_count;
    self->changes = 0;
}

void image_poke(image *self, uint32_t node, uint64_t off, const void *data, size_t bytes)
{
    if (off < self->room_bytes) {
        const uint64_t room = self->room_bytes - off;
        const size_t fits = bytes < room ? bytes : (size_t)room;
        image_save_range(self, node, off, fits);
        image_touch(&self->nodes[node], off, fits);
        memcpy(self->nodes[node].data + off, data, fits);
    }
}

static void node_empty(image *self, uint32_t node)
{
    image_node *place = &self->nodes[node];
    for (uint64_t off = 0; off < place->bytes; off += IMAGE_PIECE_BYTES) {
        if (place->touched[off / IMAGE_PIECE_BYTES] != 0) {
            memset(place->data + off, 0, IMAGE_PIECE_BYTES);
        }
    }
    place->bytes = 0;
}

void image_undo(image *self)
{
    memset(self->handles, 0, sizeof self->handles);
    memset(self->locks, 0, sizeof self->locks);
    for (size_t i = self->undo_count; i-- > 0;) {
        const image_undo_entry *entry = &self->undo[i];
        image_node *node = &self->nodes[entry->node];
        if (entry->bytes == 0) {
            node->bytes = entry->off;
        } else {
            memcpy(node->data + entry->off, self->saved + entry->saved_off, entry->bytes);
        }
    }
    for (uint32_t node = self->kept_node_count; node < self->node_count; node++) {
        node_empty(self, node);
    }
    self->node_count = self->kept_node_count;
    if (self->names_changed) {
        self->name_count = self->kept_name_count;
        memcpy(self->names, self->kept_names, self->name_count * sizeof *self->names);
    }
    image_begin(self);
}

uint64_t image_changes(const image *self) { return self->changes; }

unsigned image_handles(const image *self)
{
    unsigned count = 0;
    for (int i = 0; i < IMAGE_HANDLES; i++) {
        count += self->handles[i].used;
    }
    return count;
}

const uint8_t *image_bytes(const image *self, uint32_t node, uint64_t off, size_t bytes)
{
    const bool there = node < self->node_count && off <= self->nodes[node].bytes &&
                       bytes <= self->nodes[node].bytes - off;
    return there ? self->nodes[node].data + off : NULL;
}

uint64_t image_size(const image *self, uint32_t node) { return self->nodes[node].bytes; }

const uint8_t *image_raw(const image *self, uint32_t node, uint32_t sector)
{
    return self->nodes[node].data + (uint64_t)sector * IMAGE_SECTOR_BYTES;
}

int image_export(const image *self, memory_fs *fs)
{
    for (uint32_t i = 0; i < self->name_count; i++) {
        const image_node *node = &self->nodes[self->names[i].node];
        const int error = memory_fs_put(fs, self->names[i].path, node->data, (size_t)node->bytes);
        if (error != 0) {
            return error;
        }
    }
    return 0;
}
