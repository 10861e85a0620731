/* The floor: append K x 80 bytes (a value, its place and a checksum's room) to a log and flush it. The log
 * is a file that has its blocks already and is begun anew at its end, as journals are. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit_store.h"

enum { RECORD_BYTES = 80, BLOCK_BYTES = 4096 };
#define LOG_BYTES ((uint64_t)64 << 20)

typedef struct append_log {
    char *path;
    unsigned char *buffer; /* LOG_BYTES */
    uint64_t at;           /* a multiple of BLOCK_BYTES */
    int fd;
} append_log;

static void append_close(void *state)
{
    append_log *log = state;
    if (log->fd >= 0) {
        (void)close(log->fd);
        (void)unlink(log->path);
    }
    free(log->buffer);
    free(log->path);
    free(log);
}

static void *append_open(const commit_store *store, const char *folder, uint64_t count)
{
    (void)count;
    append_log *log = calloc(1, sizeof *log);
    log->path = commit_path(folder, store->file);
    log->buffer = aligned_alloc(BLOCK_BYTES, LOG_BYTES);
    memset(log->buffer, 0, LOG_BYTES);
    log->fd = commit_filled_file(log->path, LOG_BYTES);
    if (log->fd < 0) {
        (void)commit_fail(store->name, log->path, NULL);
        append_close(log);
        return NULL;
    }
    return log;
}

static bool append_commit(void *state, const uint64_t *idx, size_t count,
                          const unsigned char value[COMMIT_VALUE_BYTES])
{
    append_log *log = state;
    const size_t bytes = count * RECORD_BYTES;
    for (size_t i = 0; i < count; i++) {
        memcpy(log->buffer + i * RECORD_BYTES, &idx[i], sizeof idx[i]);
        memcpy(log->buffer + i * RECORD_BYTES + 16, value, COMMIT_VALUE_BYTES);
    }
    if (log->at + bytes > LOG_BYTES) {
        log->at = 0;
    }
    if (pwrite(log->fd, log->buffer, bytes, (off_t)log->at) != (ssize_t)bytes ||
        fdatasync(log->fd) != 0) {
        return commit_fail("append", log->path, NULL);
    }
    log->at += (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    return true;
}

COMMIT_STORE(commit_append) = {
    .name = "floor",
    .what = "append K x 80 B to a log, fdatasync: no table, nothing to read back",
    .file = "append.log",
    .kind = HARNESS_FLOOR,
    .reference_ms = {0.10, 0.11, 0.27, 0.31, 0.81, 5.6},
    .reference_kb = {4, 4, 20, 92, 792, 7824},
    .open = append_open,
    .commit = append_commit,
    .close = append_close,
};
