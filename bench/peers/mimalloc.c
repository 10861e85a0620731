#include "heap_peer.h"

HEAP_PEER(heap_peer_mimalloc) = {
    .name = "mimalloc",
    .worker = "heap_malloc",
    .libraries = {"libmimalloc.so.2", "libmimalloc.so.2.0"},
    .package = "libmimalloc2.0",
    .what = "preloaded",
};
