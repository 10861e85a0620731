/* Plain stores into a shared mapping, then msync. A crash leaves any mixture: for scale only. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "commit_store.h"

typedef struct msync_table {
    char *path;
    unsigned char *values; /* NULL: not mapped */
    size_t bytes;
} msync_table;

static void msync_close(void *state)
{
    msync_table *table = state;
    if (table->values != NULL) {
        (void)munmap(table->values, table->bytes);
    }
    (void)unlink(table->path);
    free(table->path);
    free(table);
}

static void *msync_open(const commit_store *store, const char *folder, uint64_t count)
{
    msync_table *table = calloc(1, sizeof *table);
    table->path = commit_path(folder, store->file);
    table->bytes = count * COMMIT_VALUE_BYTES;
    const int fd = commit_filled_file(table->path, table->bytes);
    void *at =
        fd < 0 ? MAP_FAILED : mmap(NULL, table->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED) {
        (void)commit_fail(store->name, table->path, NULL);
        msync_close(table);
        table = NULL;
    } else {
        table->values = at;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return table;
}

static bool msync_commit(void *state, const uint64_t *idx, size_t count,
                         const unsigned char value[COMMIT_VALUE_BYTES])
{
    msync_table *table = state;
    for (size_t i = 0; i < count; i++) {
        memcpy(table->values + idx[i] * COMMIT_VALUE_BYTES, value, COMMIT_VALUE_BYTES);
    }
    return msync(table->values, table->bytes, MS_SYNC) == 0 ||
           commit_fail("msync", table->path, NULL);
}

COMMIT_STORE(commit_msync) = {
    .name = "msync",
    .what = "stores into a shared mapping, msync: not atomic",
    .file = "msync.table",
    .kind = HARNESS_OTHER,
    .reference_ms = {0.8, 6.3, 41, 79, 77, 80},
    .reference_kb = {2048, 20484, 145412, 262148, 262148, 262148},
    .open = msync_open,
    .commit = msync_commit,
    .close = msync_close,
};
