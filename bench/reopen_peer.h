/*
 * reopen_peer.h - a competitor of the reopen benchmark: a heap in a file that is made, closed and opened again.
 */
#ifndef LOFT_BENCH_REOPEN_PEER_H
#define LOFT_BENCH_REOPEN_PEER_H

#include <stddef.h>
#include <stdint.h>

#include "harness_table.h"

/* What a heap holds. */
typedef struct reopen_shape {
    const char *title;
    uint64_t block_count, block_bytes;
    uint64_t stride_bytes; /* of each block one byte every so far is stored */
    double reference_loft; /* us, the goal of the reference run; 0: it had no such heap */
    double x;              /* of the curve that it is a point of */
    bool full;             /* not in a quick run */
} reopen_shape;

enum { REOPEN_REFERENCES = 2 }; /* shapes of the reference run, the first ones */

typedef struct reopen_peer {
    const char *name, *what, *package, *argument;
    const char *absent; /* why it was not built; NULL: it was */
    harness_kind kind;
    double reference_us[REOPEN_REFERENCES];
    /* NAME=VALUE: `make` runs in a process of its own with this in its environment; NULL: in this one. */
    const char *make_with;
    /* Makes the file and closes it cleanly. */
    bool (*make)(const struct reopen_peer *peer, const char *path, const reopen_shape *shape);
    /* Opens it, finds the first block and reads its first byte into *byte. NULL: it could not. */
    void *(*open)(const struct reopen_peer *peer, const char *path, unsigned char *byte);
    void (*close)(void *state);
} reopen_peer;

#define REOPEN_PEER(variable)                                                                      \
    extern const reopen_peer variable;                                                             \
    const reopen_peer *const variable##_entry __attribute__((section("reopen_peers"), used)) =     \
        &(variable);                                                                               \
    const reopen_peer variable

extern const reopen_peer *const __start_reopen_peers[];
extern const reopen_peer *const __stop_reopen_peers[];

/* Marks a new block as its shape says; the first byte of each is 1. */
void reopen_fill(unsigned char *block, const reopen_shape *shape);

#endif
