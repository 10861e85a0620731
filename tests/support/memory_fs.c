/* The in-memory file system; see memory_fs.h. Here: files, blocks, handles. */
#include "support/memory_fs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/memory_state.h"

memory_state *memory_state_lock(memory_fs *fs)
{
    if (pthread_mutex_lock(&fs->state->mutex) == EOWNERDEAD) {
        pthread_mutex_consistent(&fs->state->mutex);
    }
    return fs->state;
}

void memory_state_unlock(memory_fs *fs) { pthread_mutex_unlock(&fs->state->mutex); }

static uint64_t *bitmap_of(const memory_fs *fs, int node)
{
    return fs->bitmaps + (size_t)node * MEMORY_BITMAP_WORDS;
}

static bool block_stored(const uint64_t *bitmap, uint64_t block)
{
    return (bitmap[block / 64] >> (block % 64) & 1) != 0;
}

static bool block_set(uint64_t *bitmap, uint64_t block, bool stored)
{
    const uint64_t bit = (uint64_t)1 << (block % 64);
    const bool before = (bitmap[block / 64] & bit) != 0;
    bitmap[block / 64] = stored ? bitmap[block / 64] | bit : bitmap[block / 64] & ~bit;
    return before;
}

bool memory_block_is_stored(const memory_fs *fs, int node, uint64_t block)
{
    return block_stored(bitmap_of(fs, node), block);
}

/* Whole words of holes are passed over at once. */
void memory_blocks_free(memory_fs *fs, int node, uint64_t first, uint64_t end)
{
    uint64_t *bitmap = bitmap_of(fs, node);
    for (uint64_t block = first; block < end;) {
        if (block % 64 == 0 && end - block >= 64 && bitmap[block / 64] == 0) {
            block += 64;
            continue;
        }
        if (block_set(bitmap, block, false)) {
            fs->state->nodes[node].stored_blocks--;
            fs->state->used_blocks--;
        }
        block++;
    }
}

uint64_t memory_blocks_store(memory_fs *fs, int node, uint64_t first, uint64_t end, bool overwrite)
{
    memory_state *state = fs->state;
    uint64_t *bitmap = bitmap_of(fs, node);
    for (uint64_t block = first; block < end; block++) {
        const bool stored = block_stored(bitmap, block);
        if ((!stored || (overwrite && state->copy_on_write)) &&
            state->used_blocks >= state->quota_blocks) {
            return block;
        }
        if (!stored) {
            block_set(bitmap, block, true);
            state->nodes[node].stored_blocks++;
            state->used_blocks++;
        }
    }
    return end;
}

uint64_t memory_blocks_missing(const memory_fs *fs, int node, uint64_t first, uint64_t end)
{
    uint64_t missing = 0;
    for (uint64_t block = first; block < end; block++) {
        missing += !block_stored(bitmap_of(fs, node), block);
    }
    return missing;
}

void memory_node_release_if_unused(memory_fs *fs, int node)
{
    memory_node *file = &fs->state->nodes[node];
    if (file->used && file->handles == 0 && !memory_names_lead_to(&fs->state->names, node)) {
        memory_blocks_free(fs, node, 0, memory_blocks_ceil(file->bytes));
        (void)ftruncate(fs->files[node], 0);
        file->used = false;
    }
}

int memory_node_add(memory_fs *fs, unsigned mode)
{
    memory_state *state = fs->state;
    for (int node = 0; node < MEMORY_FS_NODES; node++) {
        if (!state->nodes[node].used) {
            const mode_t mask = umask(0);
            umask(mask);
            state->nodes[node] = (memory_node){
                .used = true, .mode = mode & ~(unsigned)mask & 07777, .inode = state->next_inode++};
            return node;
        }
    }
    return -ENFILE;
}

int memory_handle_add(memory_fs *fs, int node, bool writable, intptr_t *handle)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fs->files[node]);
    const int descriptor = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (descriptor < 0) {
        return -errno;
    }
    if (descriptor >= MEMORY_DESCRIPTORS) {
        close(descriptor);
        return -EMFILE;
    }
    fs->node_of[descriptor] = (int16_t)node;
    fs->state->nodes[node].handles++;
    *handle = descriptor;
    return 0;
}

int memory_node_of(const memory_fs *fs, intptr_t handle)
{
    return handle >= 0 && handle < MEMORY_DESCRIPTORS ? fs->node_of[handle] : -1;
}

int memory_node_resize(memory_fs *fs, int node, uint64_t bytes)
{
    memory_node *file = &fs->state->nodes[node];
    if (bytes > MEMORY_FS_FILE_BYTES) {
        return -EFBIG;
    }
    if (ftruncate(fs->files[node], (off_t)bytes) != 0) {
        return -errno;
    }
    if (bytes < file->bytes) {
        memory_blocks_free(fs, node, memory_blocks_ceil(bytes), memory_blocks_ceil(file->bytes));
    }
    file->bytes = bytes;
    return 0;
}

const lofti_file_ops *memory_fs_ops(memory_fs *fs) { return &fs->ops; }

static bool files_make(memory_fs *fs)
{
    for (int node = 0; node < MEMORY_FS_NODES; node++) {
        fs->files[node] = memfd_create("loft-memory-fs", MFD_CLOEXEC);
        if (fs->files[node] < 0) {
            return false;
        }
    }
    return true;
}

static void *shared_memory(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

static void state_init(memory_state *state)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&state->mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    state->next_inode = 1;
    state->quota_blocks = UINT64_MAX;
    (void)memory_names_add_folder(&state->names, "");
    (void)memory_names_add_folder(&state->names, "/");
}

#define MEMORY_BITMAPS_BYTES (MEMORY_FS_NODES * MEMORY_BITMAP_WORDS * sizeof(uint64_t))

memory_fs *memory_fs_create(void)
{
    memory_fs *fs = malloc(sizeof *fs);
    if (fs == NULL) {
        return NULL;
    }
    fs->ops = memory_calls;
    memset(fs->node_of, -1, sizeof fs->node_of);
    memset(fs->files, -1, sizeof fs->files);
    fs->state = shared_memory(sizeof *fs->state);
    fs->bitmaps = shared_memory(MEMORY_BITMAPS_BYTES);
    if (fs->state == NULL || fs->bitmaps == NULL || !files_make(fs)) {
        const int error = errno;
        memory_fs_destroy(fs);
        errno = error;
        return NULL;
    }
    state_init(fs->state);
    return fs;
}

void memory_fs_destroy(memory_fs *fs)
{
    if (fs == NULL) {
        return;
    }
    for (int node = 0; node < MEMORY_FS_NODES; node++) {
        if (fs->files[node] >= 0) {
            close(fs->files[node]);
        }
    }
    for (int descriptor = 0; descriptor < MEMORY_DESCRIPTORS; descriptor++) {
        if (fs->node_of[descriptor] >= 0) {
            close(descriptor);
        }
    }
    if (fs->state != NULL) {
        munmap(fs->state, sizeof *fs->state);
    }
    if (fs->bitmaps != NULL) {
        munmap(fs->bitmaps, MEMORY_BITMAPS_BYTES);
    }
    free(fs);
}

int memory_fs_add_folder(memory_fs *fs, const char *path)
{
    const int error = memory_names_add_folder(&memory_state_lock(fs)->names, path);
    memory_state_unlock(fs);
    return error;
}

void memory_fs_set_quota(memory_fs *fs, uint64_t blocks)
{
    memory_state_lock(fs)->quota_blocks = blocks;
    memory_state_unlock(fs);
}

uint64_t memory_fs_used_blocks(const memory_fs *fs) { return fs->state->used_blocks; }

void memory_fs_set_copy_on_write(memory_fs *fs, bool on) { fs->state->copy_on_write = on; }
void memory_fs_set_unnamed(memory_fs *fs, bool on) { fs->state->no_unnamed = !on; }
void memory_fs_set_clone(memory_fs *fs, bool on) { fs->state->no_clone = !on; }
void memory_fs_set_allocate(memory_fs *fs, bool on) { fs->state->no_allocate = !on; }

void memory_fs_forget_handles(memory_fs *fs)
{
    memory_state *state = memory_state_lock(fs);
    for (int node = 0; node < MEMORY_FS_NODES; node++) {
        state->nodes[node].handles = 0;
        memory_node_release_if_unused(fs, node);
    }
    memory_state_unlock(fs);
}

int memory_fs_put(memory_fs *fs, const char *path, const void *data, size_t bytes)
{
    const uint64_t quota = fs->state->quota_blocks;
    memory_fs_set_quota(fs, UINT64_MAX);
    intptr_t handle;
    int error = fs->ops.open(
        &fs->ops, path, LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE | LOFTI_OPEN_TRUNCATE, 0600, &handle);
    if (error == 0) {
        for (size_t done = 0; error == 0 && done < bytes;) {
            const int64_t wrote =
                fs->ops.pwrite(&fs->ops, handle, (const char *)data + done, bytes - done, done);
            error = wrote < 0 ? (int)wrote : 0;
            done += wrote > 0 ? (size_t)wrote : 0;
        }
        (void)fs->ops.close(&fs->ops, handle);
    }
    memory_fs_set_quota(fs, quota);
    return error;
}

unsigned memory_fs_files(const memory_fs *fs)
{
    unsigned count = 0;
    for (int node = 0; node < MEMORY_FS_NODES; node++) {
        count += fs->state->nodes[node].used;
    }
    return count;
}

unsigned memory_fs_handles(const memory_fs *fs)
{
    unsigned count = 0;
    for (int node = 0; node < MEMORY_FS_NODES; node++) {
        count += fs->state->nodes[node].handles;
    }
    return count;
}

bool memory_fs_exists(const memory_fs *fs, const char *path)
{
    return memory_names_find(&fs->state->names, path) >= 0;
}
