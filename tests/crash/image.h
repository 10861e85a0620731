/* One crash image: what a power loss left, as plain buffers under a table of file operations.
 *
 * The enumerator builds images step by step (image_set and its kin), then lets recovery work on
 * one through the table. Everything that recovery changes is remembered, and image_undo takes it
 * back, so the next image costs only its difference. Nothing is allocated per image.
 *
 * Handles are small numbers, not descriptors: an image cannot be mapped. A scenario that maps
 * files hands its image to a memory_fs (image_export).
 *
 * What lies past the end of a file is kept as the crash left it but is not to be seen: a file
 * that recovery makes larger grows by zeros, as it would on a file system. */
#ifndef LOFT_TESTS_CRASH_IMAGE_H
#define LOFT_TESTS_CRASH_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/file.h"
#include "support/memory_fs.h"

enum {
    IMAGE_NODES = 32, /* files of the log and those that recovery makes */
    IMAGE_NAMES = 32,
    IMAGE_HANDLES = 64,
    IMAGE_LOCKS = 64,
    IMAGE_PATH_BYTES = 256
};

typedef struct image image;

/* `room_bytes`: how large any file may become. NULL when memory is refused. */
image *image_create(uint64_t room_bytes);
void image_destroy(image *self);
const lofti_file_ops *image_ops(image *self);

/* --- Building: none of this is undone. ------------------------------------------------------ */

/* Node numbers below the highest one used exist, empty at first. */
void image_put(image *self, uint32_t node, uint64_t off, const void *data, size_t bytes);
void image_set_size(image *self, uint32_t node, uint64_t bytes);
void image_clear_names(image *self);
/* The text is copied. */
void image_add_name(image *self, const char *path, uint32_t node);

/* --- Between two images. --------------------------------------------------------------------- */

/* Begins the part that image_undo takes back: poking and all work through the table. */
void image_begin(image *self);
/* Overwrites bytes of a file, as far as it has room (for torn writes). */
void image_poke(image *self, uint32_t node, uint64_t off, const void *data, size_t bytes);
/* Takes everything since image_begin back; handles that were left open are closed. */
void image_undo(image *self);

/* Calls through the table since image_begin that changed something, and handles open now. */
uint64_t image_changes(const image *self);
unsigned image_handles(const image *self);

/* --- What is read. ---------------------------------------------------------------------------- */

enum { IMAGE_SECTOR_BYTES = 512 };

typedef struct image_sector {
    uint32_t node, number;
} image_sector;

/* Watches the table until image_trace_end: which sectors are read, or written in part, before they
 * are written whole. What recovery does follows from them, and from names and sizes. */
void image_trace_begin(image *self);
/* Returns: those sectors, each once. Owned by the image, valid until the next trace. */
const image_sector *image_trace_end(image *self, size_t *count);

/* The bytes of a file as they are now; NULL when it has none there. For checks. */
const uint8_t *image_bytes(const image *self, uint32_t node, uint64_t off, size_t bytes);
uint64_t image_size(const image *self, uint32_t node);
/* The same for one sector, also where it lies behind the file's end. */
const uint8_t *image_raw(const image *self, uint32_t node, uint32_t sector);

/* Stores every named file in `fs`, whose folders are there. 0 or a negative errno. */
int image_export(const image *self, memory_fs *fs);

#endif
