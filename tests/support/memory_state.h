/* The state of the in-memory file system, for its two halves: memory_fs.c (files, blocks, handles)
 * and memory_calls.c (the table). Everything but the last two needs the mutex held. */
#ifndef LOFT_TESTS_SUPPORT_MEMORY_STATE_H
#define LOFT_TESTS_SUPPORT_MEMORY_STATE_H

#include <pthread.h>

#include "support/memory_fs.h"
#include "support/memory_names.h"

enum { MEMORY_DESCRIPTORS = 4096 };
#define MEMORY_BITMAP_WORDS (MEMORY_FS_FILE_BYTES / MEMORY_FS_BLOCK_BYTES / 64)

typedef struct memory_node {
    bool used;
    uint32_t handles;
    uint32_t mode;
    uint64_t inode;
    uint64_t bytes;
    uint64_t stored_blocks;
} memory_node;

/* Shared by every process of the file system. */
typedef struct memory_state {
    pthread_mutex_t mutex; /* robust: its holder may be killed */
    memory_node nodes[MEMORY_FS_NODES];
    memory_names names;
    uint64_t next_inode;
    uint64_t quota_blocks, used_blocks;
    bool copy_on_write, no_unnamed, no_clone, no_allocate;
} memory_state;

struct memory_fs {
    lofti_file_ops ops; /* first: the table is the context */
    memory_state *state;
    uint64_t *bitmaps; /* shared too: MEMORY_BITMAP_WORDS for each node, set: block is stored */
    int files[MEMORY_FS_NODES];
    int16_t node_of[MEMORY_DESCRIPTORS]; /* by descriptor; -1: not a handle of ours */
};

/* Nothing else of the state may be touched without it. Returns: the state. */
memory_state *memory_state_lock(memory_fs *fs);
void memory_state_unlock(memory_fs *fs);

static inline uint64_t memory_blocks_ceil(uint64_t bytes)
{
    return bytes / MEMORY_FS_BLOCK_BYTES + (bytes % MEMORY_FS_BLOCK_BYTES != 0);
}
bool memory_block_is_stored(const memory_fs *fs, int node, uint64_t block);
/* Frees the stored blocks of [first, end). */
void memory_blocks_free(memory_fs *fs, int node, uint64_t first, uint64_t end);
/* Stores blocks from `first` on for as long as the quota lasts; `overwrite`: their content will
 * be replaced, which a copy-on-write file system needs a free block for. Returns: the first block
 * that could not be had, or `end`. */
uint64_t memory_blocks_store(memory_fs *fs, int node, uint64_t first, uint64_t end, bool overwrite);
uint64_t memory_blocks_missing(const memory_fs *fs, int node, uint64_t first, uint64_t end);

/* Returns: the new, empty node or -ENFILE. */
int memory_node_add(memory_fs *fs, unsigned mode);
void memory_node_release_if_unused(memory_fs *fs, int node);
int memory_node_resize(memory_fs *fs, int node, uint64_t bytes);
/* A new descriptor, with a description of its own. */
int memory_handle_add(memory_fs *fs, int node, bool writable, intptr_t *handle);

/* Returns: the handle's node, -1 if it is none of this file system's. */
int memory_node_of(const memory_fs *fs, intptr_t handle);
/* The table's functions, with nothing else in it. */
extern const lofti_file_ops memory_calls;

#endif
