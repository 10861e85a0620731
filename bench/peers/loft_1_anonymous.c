#include "heap_peer.h"

HEAP_PEER(heap_peer_loft) = {
    .name = "loft",
    .worker = "heap_loft",
    .what = "anonymous arena, shared library",
    .is_loft = true,
};
