/* See map_pool.h. */
#include "crash/map_pool.h"

#include <string.h>

#include "os/map.h"

enum {
    POOL_BLOCKS = 32,
    POOL_BLOCK_BYTES_MAX = 2 << 20,
    POOL_PAGE_BYTES = 4096, /* what is looked at, and zeroed, at once */
    /* A block this large is a buffer for a frame. Nobody may rely on its being zero, and it comes as it was
     * left: looking through it took 40 % of the time, and a stale byte that reaches the file is found. */
    POOL_ZERO_BYTES_MAX = 1 << 20
};

typedef struct pool_block {
    void *at; /* NULL: this place is free */
    size_t bytes;
    bool used;
} pool_block;

static pool_block blocks[POOL_BLOCKS];
static lofti_map_ops pool_ops;

static void block_zero(const pool_block *block)
{
    static const char zeros[POOL_PAGE_BYTES];
    for (size_t off = 0; off < block->bytes; off += POOL_PAGE_BYTES) {
        char *page = (char *)block->at + off;
        if (memcmp(page, zeros, POOL_PAGE_BYTES) != 0) {
            memset(page, 0, POOL_PAGE_BYTES);
        }
    }
}

static int pool_map(void *at, bool fixed, size_t bytes, unsigned flags, intptr_t handle,
                    uint64_t off, void **out)
{
    const lofti_map_ops *system = lofti_map_ops_system();
    if (at != NULL || fixed || handle != -1 || flags != LOFTI_MAP_WRITE ||
        bytes > POOL_BLOCK_BYTES_MAX || bytes % POOL_PAGE_BYTES != 0) {
        return system->map(at, fixed, bytes, flags, handle, off, out);
    }
    pool_block *place = NULL;
    for (int i = 0; i < POOL_BLOCKS; i++) {
        if (blocks[i].at == NULL) {
            place = &blocks[i];
        } else if (!blocks[i].used && blocks[i].bytes == bytes) {
            blocks[i].used = true;
            if (bytes <= POOL_ZERO_BYTES_MAX) {
                block_zero(&blocks[i]);
            }
            *out = blocks[i].at;
            return 0;
        }
    }
    const int error = system->map(at, fixed, bytes, flags, handle, off, out);
    if (error == 0 && place != NULL) {
        *place = (pool_block){.at = *out, .bytes = bytes, .used = true};
    }
    return error;
}

static int pool_unmap(void *at, size_t bytes)
{
    for (int i = 0; i < POOL_BLOCKS; i++) {
        if (blocks[i].at == at && blocks[i].bytes == bytes && blocks[i].used) {
            blocks[i].used = false;
            return 0;
        }
    }
    return lofti_map_ops_system()->unmap(at, bytes);
}

void map_pool_install(void)
{
    pool_ops = *lofti_map_ops_system();
    pool_ops.map = pool_map;
    pool_ops.unmap = pool_unmap;
    lofti_map_ops_set(&pool_ops);
}
