/*
 * heap_peer.h - the competitors of the heap benchmark. Adding one is a file in peers/
 * and its line in CMakeLists.txt.
 *
 * Each competitor runs in a process of its own, a worker, and the parent lets them take turns. So
 * every malloc can be put in by LD_PRELOAD, which is how such libraries are made to be used (several of
 * them cannot be loaded later: their thread-local memory does not fit any more), none sees another's
 * threads, hooks or memory, and what a process keeps resident is what its allocator keeps.
 */
#ifndef LOFT_BENCH_HEAP_PEER_H
#define LOFT_BENCH_HEAP_PEER_H

#include <stdbool.h>

enum { HEAP_PEER_LIBRARIES = 4 };

typedef struct heap_peer {
    const char *name;   /* heads its column; the references go by it */
    const char *worker; /* program, in workers/ beside the benchmark */
    /* To preload, the first that there is: paths or names the linker finds. Empty: nothing. */
    const char *libraries[HEAP_PEER_LIBRARIES];
    const char *package; /* Debian's name of what to install */
    const char *what;    /* for the head of the report */
    bool on_file;        /* the worker's argument is the path of a file to make */
    bool is_pool;        /* does the works of pools, and only those */
    bool is_loft;        /* to be compared with the others */
    bool waits;    /* for the device: that it has no processor does not mean that others had it */
    unsigned part; /* does so small a part of each work, because it is slow; 0: all of it */
} heap_peer;

/* Enters a peer in the list that the benchmark walks: by the linker, in the order of files. */
#define HEAP_PEER(variable)                                                                        \
    extern const heap_peer variable;                                                               \
    const heap_peer *const variable##_entry __attribute__((section("heap_peers"), used)) =         \
        &(variable);                                                                               \
    const heap_peer variable

extern const heap_peer *const __start_heap_peers[];
extern const heap_peer *const __stop_heap_peers[];

#endif
