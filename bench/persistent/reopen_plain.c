/* The floor: open, map, read a byte. It finds nothing and recovers nothing. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "reopen_peer.h"

typedef struct plain_file {
    void *at;
    size_t bytes;
} plain_file;

static bool plain_make(const reopen_peer *peer, const char *path, const reopen_shape *shape)
{
    (void)peer;
    const uint64_t bytes = shape->block_count * shape->block_bytes;
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = fd >= 0 && ftruncate(fd, (off_t)bytes) == 0;
    for (uint64_t at = 0; at < bytes && good; at += shape->stride_bytes) {
        good = pwrite(fd, "\1", 1, (off_t)at) == 1;
    }
    return fd >= 0 && close(fd) == 0 && good;
}

static void *plain_open(const reopen_peer *peer, const char *path, unsigned char *byte)
{
    (void)peer;
    struct stat status;
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    plain_file *file = malloc(sizeof *file);
    if (fd < 0 || fstat(fd, &status) != 0) {
        free(file);
        return NULL;
    }
    file->bytes = (size_t)status.st_size;
    file->at = mmap(NULL, file->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    (void)close(fd);
    if (file->at == MAP_FAILED) {
        free(file);
        return NULL;
    }
    *byte = *(unsigned char *)file->at;
    return file;
}

static void plain_close(void *state)
{
    plain_file *file = state;
    (void)munmap(file->at, file->bytes);
    free(file);
}

REOPEN_PEER(reopen_plain) = {
    .name = "floor",
    .what = "open, mmap, read a byte: neither a heap nor a lock",
    .kind = HARNESS_FLOOR,
    .make = plain_make,
    .open = plain_open,
    .close = plain_close,
};
