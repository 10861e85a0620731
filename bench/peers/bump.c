#include "heap_peer.h"

HEAP_PEER(heap_peer_bump) = {
    .name = "bare bump",
    .worker = "heap_bump",
    .what = "a pointer that is moved and compared with an end",
    .is_pool = true,
};
