#include "heap_peer.h"

HEAP_PEER(heap_peer_loft_preload) = {
    .name = "loft malloc",
    .worker = "heap_malloc",
    .libraries = {BENCH_LOFT_MALLOC},
    .what = "libloft-malloc.so, preloaded",
    .is_loft = true,
};
