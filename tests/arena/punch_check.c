/* See punch_check.h. */
#include "arena/punch_check.h"

#include <stdlib.h>
#include <unistd.h>

#include "arena/arena_world.h"

/* A thread keeps a few freed runs for itself, which count as used: others are freed behind the one that matters. */
enum { BLOCK_BYTES = 512 << 10, BLOCKS = 12 };

static void fill(uint8_t *block, uint8_t what) { memset(block, what, BLOCK_BYTES); }

static void check_filled(const uint8_t *block, uint8_t what)
{
    for (uint64_t i = 0; i < BLOCK_BYTES; i++) {
        LOFT_CHECK_EQ_UINT(block[i], what);
    }
}

static uint8_t *take(loft_arena *arena)
{
    uint8_t *block = loft_arena_malloc(arena, BLOCK_BYTES);
    LOFT_CHECK_NOT_NULL(block);
    return block;
}

/* All but blocks[1] are in the newest commit and free now; that one changes, so that the chunk is looked at. */
static void free_only_live(loft_arena *arena, uint8_t **blocks)
{
    fill(blocks[1], 2);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    for (int i = 0; i < BLOCKS; i++) {
        loft_arena_free(arena, i != 1 ? blocks[i] : NULL);
    }
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
}

/* The block was free in the newest commit, and is in use now. */
static void free_only_durable(loft_arena *arena, uint8_t *beside)
{
    uint8_t *block = take(arena);
    fill(block, 7);
    loft_arena_free(arena, block);
    fill(beside, 3);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    block = take(arena);
    fill(block, 8);
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    check_filled(block, 8);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "again", block));
    LOFT_CHECK_OK(loft_arena_commit(arena));
}

void punch_check(const char *tracker)
{
    const char *path = loft_test_tmp_path("arena");
    uint8_t *blocks[BLOCKS];
    LOFT_CHECK_SYS(setenv("LOFT_TRACKER", tracker, 1));
    loft_arena *arena = new_arena("arena");
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = take(arena);
        fill(blocks[i], (uint8_t)(i + 10));
    }
    LOFT_CHECK_OK(loft_arena_set_root(arena, "block", blocks[0]));
    LOFT_CHECK_OK(loft_arena_set_root(arena, "beside", blocks[1]));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    free_only_live(arena, blocks);
    abandon_arena(arena);
    arena = open_arena(path, LOFT_WRITE);
    check_filled(loft_arena_root(arena, "block"), 10);
    check_filled(loft_arena_root(arena, "beside"), 2);
    check_arena(arena);
    free_only_durable(arena, loft_arena_root(arena, "beside"));
    abandon_arena(arena);
    arena = open_arena(path, LOFT_WRITE);
    check_filled(loft_arena_root(arena, "again"), 8);
    check_filled(loft_arena_root(arena, "beside"), 3);
    check_arena(arena);
    close_arena(arena);
}
