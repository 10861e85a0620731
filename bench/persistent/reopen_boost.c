/* Boost.Interprocess: a mapping and a name to be found. */
#include "reopen_peer.h"

#if BENCH_HAS_BOOST
#include "boost_heap.h"

static bool boost_make(const reopen_peer *peer, const char *path, const reopen_shape *shape)
{
    (void)peer;
    /* Its blocks have headers of 16 bytes. */
    void *heap =
        boost_heap_create(path, shape->block_count * (shape->block_bytes + 32) + ((size_t)1 << 20));
    bool good = heap != NULL;
    for (uint64_t i = 0; i < shape->block_count && good; i++) {
        unsigned char *block = boost_heap_alloc(heap, shape->block_bytes);
        good = block != NULL;
        if (good) {
            reopen_fill(block, shape);
        }
        if (good && i == 0) {
            boost_heap_set_root(heap, block);
        }
    }
    if (heap != NULL) {
        boost_heap_close(heap);
    }
    return good;
}

static void *boost_open(const reopen_peer *peer, const char *path, unsigned char *byte)
{
    (void)peer;
    void *heap = boost_heap_open(path);
    if (heap != NULL) {
        *byte = *(unsigned char *)boost_heap_root(heap);
    }
    return heap;
}
#endif

REOPEN_PEER(reopen_boost) = {
    .name = "Boost.IP",
    .what = "managed_mapped_file: nothing is recovered after a crash",
    .package = "libboost1.74-dev",
    .kind = HARNESS_PEER,
    .reference_us = {45, 44},
#if BENCH_HAS_BOOST
    .make = boost_make,
    .open = boost_open,
    .close = boost_heap_close,
#else
    .absent =
        "Boost.Interprocess or a C++ compiler was not found when this was configured (Debian: "
        "libboost-dev, g++)",
#endif
};
