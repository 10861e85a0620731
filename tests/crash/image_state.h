/* What image.c and image_calls.c share; see image.h. */
#ifndef LOFT_TESTS_CRASH_IMAGE_STATE_H
#define LOFT_TESTS_CRASH_IMAGE_STATE_H

#include "crash/image.h"

typedef struct image_node {
    uint8_t *data; /* room_bytes of address space, touched as needed; NULL: no such file */
    uint64_t bytes;
    uint8_t *touched; /* by 4 KiB of data: written at some time; else zeros */
    uint32_t *seen;   /* by sector: the trace that has met it; else 0 */
} image_node;

typedef struct image_name {
    char path[IMAGE_PATH_BYTES];
    uint32_t node;
} image_name;

typedef struct image_handle {
    bool used, writable;
    uint32_t node;
} image_handle;

typedef struct image_lock {
    int kind; /* LOFTI_LOCK_NONE: this place is free */
    intptr_t handle;
    uint32_t node;
    uint64_t off;
} image_lock;

/* One change to take back: the bytes that were there, or (bytes 0) the size. */
typedef struct image_undo_entry {
    uint32_t node;
    uint64_t off; /* size entries: the size */
    size_t bytes;
    size_t saved_off; /* into the undo bytes */
} image_undo_entry;

struct image {
    lofti_file_ops ops; /* first: the table is the context */
    uint64_t room_bytes;
    image_node nodes[IMAGE_NODES];
    uint32_t node_count;
    image_name names[IMAGE_NAMES];
    uint32_t name_count;
    image_handle handles[IMAGE_HANDLES];
    image_lock locks[IMAGE_LOCKS];
    uint64_t changes;

    /* as image_begin found it */
    image_name kept_names[IMAGE_NAMES];
    uint32_t kept_name_count, kept_node_count;
    bool names_changed;

    image_undo_entry *undo;
    size_t undo_count, undo_room;
    uint8_t *saved;
    size_t saved_bytes, saved_room;

    bool tracing;
    uint32_t trace; /* its number */
    image_sector *traced;
    size_t traced_count, traced_room;
};

enum { IMAGE_PIECE_BYTES = 4096 };

/* Before a range is written. */
static inline void image_touch(image_node *node, uint64_t off, uint64_t bytes)
{
    for (uint64_t at = off / IMAGE_PIECE_BYTES;
         bytes > 0 && at <= (off + bytes - 1) / IMAGE_PIECE_BYTES; at++) {
        node->touched[at] = 1;
    }
}

/* Remembers a range and zeroes it; pieces that were never written cost nothing. */
void image_zero_range(image *self, uint32_t node, uint64_t off, uint64_t bytes);

/* Tells a trace that a range is read, or is about to be written. */
void image_trace_read(image *self, uint32_t node, uint64_t off, uint64_t bytes);
void image_trace_write(image *self, uint32_t node, uint64_t off, uint64_t bytes);

/* Remembers a range, or the size, before it is changed. */
void image_save_range(image *self, uint32_t node, uint64_t off, size_t bytes);
void image_save_size(image *self, uint32_t node);
void image_save_names(image *self);
/* A new, empty file; IMAGE_NODES when there is no room for one. */
uint32_t image_node_add(image *self);
/* The table's functions, with nothing else in it. */
extern const lofti_file_ops image_calls;

#endif
