/*
 * peers.c - who takes part in the persistent group: heaps in files, at the heap benchmark's works.
 *
 * None of them makes anything durable while it is timed, but for PMDK as it comes: there a pair flushes the device
 * several times and takes half a millisecond, so it does a thousandth of each work. Whose file is mapped shared may wait
 * for the device whenever it stores to a page that is being written.
 */
#include "heap_peer.h"

HEAP_PEER(heap_peer_boost) = {
    .name = "Boost.IP",
    .worker = "persistent_boost",
    .package = "libboost1.74-dev",
    .what = "Boost.Interprocess managed_mapped_file, 3 GiB, rbtree_best_fit",
    .on_file = true,
    .waits = true,
};

HEAP_PEER(heap_peer_pmemobj) = {
    .name = "PMDK flush",
    .worker = "persistent_pmemobj",
    .package = "libpmemobj1",
    .what = "libpmemobj atomic allocations, cache flushes only (PMEM_IS_PMEM_FORCE): not durable",
    .on_file = true,
    .waits = true,
};

HEAP_PEER(heap_peer_pmemobj_durable) = {
    .name = "PMDK durable",
    .worker = "persistent_pmemobj_durable",
    .package = "libpmemobj1",
    .what =
        "libpmemobj atomic allocations as they come, each durable; a thousandth of the operations and of the blocks",
    .on_file = true,
    .part = 1000,
    .waits = true,
};

HEAP_PEER(heap_peer_memkind) = {
    .name = "memkind",
    .worker = "persistent_memkind",
    .package = "libmemkind0",
    .what = "memkind's pmem kind on a file: gone at the end",
    .on_file = true,
    .waits = true,
};

HEAP_PEER(heap_peer_loft_file) = {
    .name = "loft file",
    .worker = "heap_loft",
    .what = "arena in a file, shared library, no commit while timed",
    .on_file = true,
    .is_loft = true,
};
