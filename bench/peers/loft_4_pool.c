#include "heap_peer.h"

HEAP_PEER(heap_peer_loft_pool) = {
    .name = "loft pool",
    .worker = "heap_pool",
    .what = "bump pool in an anonymous arena, its header inlined, shared library",
    .is_loft = true,
    .is_pool = true,
};
