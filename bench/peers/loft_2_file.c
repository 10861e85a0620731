#include "heap_peer.h"

HEAP_PEER(heap_peer_loft_file) = {
    .name = "loft file",
    .worker = "heap_loft",
    .what = "arena in a file, shared library, no commit while timed",
    .on_file = true,
    .is_loft = true,
};
