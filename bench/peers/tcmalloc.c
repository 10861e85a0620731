#include "heap_peer.h"

HEAP_PEER(heap_peer_tcmalloc) = {
    .name = "tcmalloc",
    .worker = "heap_malloc",
    .libraries = {"libtcmalloc_minimal.so.4", "libtcmalloc.so.4"},
    .package = "libtcmalloc-minimal4",
    .what = "gperftools, preloaded",
};
