#include "heap_peer.h"

HEAP_PEER(heap_peer_loft_static) = {
    .name = "loft static",
    .worker = "heap_loft_static",
    .what = "anonymous arena, linked statically",
    .is_loft = true,
};
