#include "heap_peer.h"

HEAP_PEER(heap_peer_glibc) = {
    .name = "glibc",
    .worker = "heap_malloc",
    .package = "libc6",
    .what = "the C library's malloc",
};
