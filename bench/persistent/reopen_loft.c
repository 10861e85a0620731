/* loft, with each tracker. */
#include <stdlib.h>
#include <unistd.h>

#include "loft/arena.h"
#include "reopen_peer.h"

static bool loft_make(const reopen_peer *peer, const char *path, const reopen_shape *shape)
{
    (void)peer;
    loft_arena *arena;
    if (loft_arena_open(path, LOFT_CREATE | LOFT_EXCLUSIVE, NULL, &arena) != 0) {
        return false;
    }
    bool good = true;
    for (uint64_t i = 0; i < shape->block_count && good; i++) {
        unsigned char *block = loft_arena_malloc(arena, shape->block_bytes);
        good = block != NULL && (i > 0 || loft_arena_set_root(arena, "root", block) == 0);
        if (good) {
            reopen_fill(block, shape);
        }
    }
    if (!good || loft_arena_close(arena) != 0) {
        (void)loft_arena_abandon(arena);
        good = false;
    }
    return good;
}

static void *loft_reopen(const reopen_peer *peer, const char *path, unsigned char *byte)
{
    loft_arena *arena;
    (void)setenv("LOFT_TRACKER", peer->argument, 1);
    if (loft_arena_open(path, LOFT_WRITE, NULL, &arena) != 0) {
        return NULL;
    }
    *byte = *(unsigned char *)loft_arena_root(arena, "root");
    return arena;
}

static void loft_end(void *state) { (void)loft_arena_abandon(state); }

REOPEN_PEER(reopen_loft_wp) = {
    .name = "loft wp_async",
    .what = "loft, LOFT_TRACKER=wp_async, empty journal",
    .argument = "wp_async",
    .kind = HARNESS_LOFT,
    .make = loft_make,
    .open = loft_reopen,
    .close = loft_end,
};

REOPEN_PEER(reopen_loft_private) = {
    .name = "loft private",
    .what = "loft, LOFT_TRACKER=private, empty journal",
    .argument = "private",
    .kind = HARNESS_LOFT,
    .make = loft_make,
    .open = loft_reopen,
    .close = loft_end,
};
