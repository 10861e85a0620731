/*
 * growth_peers.c - who takes part in the growth benchmark: the heap benchmark's libraries, with workers of its own
 * (their works are others).
 */
#include "heap_peer.h"

HEAP_PEER(growth_peer_glibc) = {
    .name = "glibc",
    .worker = "growth_malloc",
    .package = "libc6",
    .what = "the C library's malloc",
};

HEAP_PEER(growth_peer_jemalloc) = {
    .name = "jemalloc",
    .worker = "growth_malloc",
    .libraries = {"libjemalloc.so.2"},
    .package = "libjemalloc2",
    .what = "preloaded",
};

HEAP_PEER(growth_peer_mimalloc) = {
    .name = "mimalloc",
    .worker = "growth_malloc",
    .libraries = {"libmimalloc.so.2", "libmimalloc.so.2.0"},
    .package = "libmimalloc2.0",
    .what = "preloaded",
};

HEAP_PEER(growth_peer_tcmalloc) = {
    .name = "tcmalloc",
    .worker = "growth_malloc",
    .libraries = {"libtcmalloc_minimal.so.4", "libtcmalloc.so.4"},
    .package = "libtcmalloc-minimal4",
    .what = "gperftools, preloaded",
};

HEAP_PEER(growth_peer_loft) = {
    .name = "loft",
    .worker = "growth_loft",
    .what = "anonymous arena, shared library",
    .is_loft = true,
};

HEAP_PEER(growth_peer_loft_file) = {
    .name = "loft file",
    .worker = "growth_loft",
    .what = "arena in a file, shared library, no commit while timed",
    .on_file = true,
    .is_loft = true,
};
