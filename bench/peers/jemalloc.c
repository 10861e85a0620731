#include "heap_peer.h"

HEAP_PEER(heap_peer_jemalloc) = {
    .name = "jemalloc",
    .worker = "heap_malloc",
    .libraries = {"libjemalloc.so.2"},
    .package = "libjemalloc2",
    .what = "preloaded",
};
