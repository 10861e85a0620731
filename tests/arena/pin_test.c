/* What the tracker cannot know: pins, LOFT_VERIFY, the limit of dirty memory, and how long commits held others up. */
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "arena/arena_world.h"
#include "arena/oracle.h"
#include "os/dirty.h"
#include "os/watch.h"

enum { PIN_BLOCK_BYTES = 64 << 10 };

/* A store that the tracker does not see: it is made, and the kernel's mark is taken off. Only wp_async can be
 * deceived so, and only where the page is private and watched already. */
static void store_unseen(const loft_arena *arena, char *at, int value)
{
    const uint64_t off = loft_offset(arena, at) / LOFTI_PAGE_BYTES * LOFTI_PAGE_BYTES;
    *at = (char)value;
    LOFT_CHECK_TRUE((arena->chunk_states[off / LOFTI_CHUNK_BYTES] & LOFTI_CHUNK_WATCHED) != 0);
}

static int take_one(void *context, void *start, size_t bytes)
{
    (void)start;
    *(uint64_t *)context += bytes;
    return 0;
}

static void unmark(loft_arena *arena, const char *at)
{
    uint64_t bytes = 0;
    const uint64_t off = loft_offset(arena, at) / LOFTI_PAGE_BYTES * LOFTI_PAGE_BYTES;
    LOFT_CHECK_EQ_INT(lofti_watch_take(arena->base + off, LOFTI_PAGE_BYTES, take_one, &bytes), 0);
    LOFT_CHECK_EQ_UINT(bytes, LOFTI_PAGE_BYTES);
}

static char *committed_block(loft_arena *arena)
{
    char *block = loft_arena_aligned_alloc(arena, LOFTI_PAGE_BYTES, PIN_BLOCK_BYTES);
    LOFT_CHECK_NOT_NULL(block);
    memset(block, 1, PIN_BLOCK_BYTES);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "block", block));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    block[0] = 2;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    return block;
}

static int reopened_byte(uint64_t at)
{
    loft_arena *arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    const char *block = loft_arena_root(arena, "block");
    LOFT_CHECK_NOT_NULL(block);
    const int value = block[at];
    close_arena(arena);
    return value;
}

LOFT_TEST(pin, pinned_pages_are_committed_whatever_the_tracker_says)
{
    oracle_force("wp_async");
    loft_arena *arena = new_arena("arena");
    char *block = committed_block(arena);
    LOFT_CHECK_OK(loft_arena_pin(arena, block + 5000, 100));
    store_unseen(arena, block + 5000, 7);
    unmark(arena, block + 5000);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    abandon_arena(arena);
    LOFT_CHECK_EQ_INT(reopened_byte(5000), 7);
}

/* What the device wrote before the pin ended is in the next commit, and only in that. */
LOFT_TEST(pin, an_ended_pin_is_seen_once_more)
{
    oracle_force("wp_async");
    loft_arena *arena = new_arena("arena");
    char *block = committed_block(arena);
    LOFT_CHECK_OK(loft_arena_pin(arena, block, PIN_BLOCK_BYTES));
    store_unseen(arena, block + 9000, 7);
    unmark(arena, block + 9000);
    LOFT_CHECK_OK(loft_arena_unpin(arena, block, PIN_BLOCK_BYTES));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_EQ_UINT(arena->pin_count, 0);
    abandon_arena(arena);
    LOFT_CHECK_EQ_INT(reopened_byte(9000), 7);
}

/* The device has the memory itself: a checkpoint must not put other memory in its place. */
LOFT_TEST(pin, pinned_memory_stays)
{
    loft_arena *arena = new_arena("arena");
    char *block = committed_block(arena);
    const uint64_t off = loft_offset(arena, block) / LOFTI_CHUNK_BYTES * LOFTI_CHUNK_BYTES;
    LOFT_CHECK_OK(loft_arena_pin(arena, block, PIN_BLOCK_BYTES));
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    LOFT_CHECK_TRUE(lofti_track_private(arena, off, LOFTI_CHUNK_BYTES));
    LOFT_CHECK_OK(loft_arena_unpin(arena, block, PIN_BLOCK_BYTES));
    block[1] = 3;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    /* Where the system tells no private pages, all are. */
    LOFT_CHECK_EQ_INT(lofti_track_private(arena, off, LOFTI_CHUNK_BYTES),
                      !lofti_watch_works() && lofti_dirty_ops_current() == NULL);
    close_arena(arena);
}

LOFT_TEST(pin, arguments)
{
    loft_arena *arena = new_arena("arena");
    char *block = committed_block(arena);
    char outside = 0;
    LOFT_CHECK_ERR(loft_arena_pin(arena, &outside, 1), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_arena_pin(arena, block, 0), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_arena_pin(arena, block, SIZE_MAX), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_arena_unpin(arena, block, 1), LOFT_ENOENT);
    LOFT_CHECK_OK(loft_arena_pin(arena, block, 1));
    LOFT_CHECK_OK(loft_arena_pin(arena, block, 1));
    LOFT_CHECK_OK(loft_arena_unpin(arena, block, 1));
    LOFT_CHECK_OK(loft_arena_unpin(arena, block, 1));
    LOFT_CHECK_ERR(loft_arena_unpin(arena, block, 1), LOFT_ENOENT);
    close_arena(arena);
}

/* A pinned page that a rollback takes away with its chunk. */
LOFT_TEST(pin, rollback_of_a_pinned_page)
{
    loft_arena *arena = new_arena("arena");
    char *block = committed_block(arena);
    char *large = loft_arena_malloc(arena, 9 << 20);
    LOFT_CHECK_NOT_NULL(large);
    LOFT_CHECK_OK(loft_arena_pin(arena, large, 9 << 20));
    LOFT_CHECK_OK(loft_arena_pin(arena, block, 1));
    block[0] = 9;
    LOFT_CHECK_OK(loft_arena_rollback(arena));
    LOFT_CHECK_EQ_INT(block[0], 2);
    LOFT_CHECK_OK(loft_arena_unpin(arena, large, 9 << 20));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    close_arena(arena);
}

/* --- LOFT_VERIFY --------------------------------------------------------------------------------- */

typedef struct misuse_note {
    int kind;
    const void *address;
    unsigned count;
} misuse_note;

static void misuse_keep(void *context, const loft_misuse *misuse)
{
    misuse_note *note = context;
    note->kind = misuse->kind;
    note->address = misuse->address;
    note->count++;
}

LOFT_TEST(verify, finds_what_the_tracker_missed)
{
    oracle_force("wp_async");
    misuse_note note = {0};
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    loft_arena *arena = open_arena(loft_test_tmp_path("arena"), LOFT_CREATE | LOFT_VERIFY);
    char *block = committed_block(arena);
    loft_set_misuse_handler(misuse_keep, &note);
    block[100] = 4;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_EQ_UINT(note.count, 0);
    store_unseen(arena, block + 5000, 7);
    unmark(arena, block + 5000);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_EQ_UINT(note.count, 1);
    LOFT_CHECK_EQ_INT(note.kind, LOFT_MISUSE_UNTRACKED);
    LOFT_CHECK_EQ_PTR(note.address, block + 4096);
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    LOFT_CHECK_EQ_UINT(stats.missed_pages, 1);
    loft_set_misuse_handler(NULL, NULL);
    abandon_arena(arena);
    LOFT_CHECK_EQ_INT(reopened_byte(5000), 7); /* it was committed all the same */
}

static void verify_life(const char *tracker)
{
    oracle_force(tracker);
    loft_arena *arena = open_arena(loft_test_tmp_path("arena"), LOFT_CREATE | LOFT_VERIFY);
    for (uint64_t i = 1; i <= 30; i++) {
        list_push(arena, i, 20000);
        if (i % 7 == 0) {
            LOFT_CHECK_OK(loft_arena_checkpoint(arena));
        }
        LOFT_CHECK_OK(loft_arena_commit(arena)); /* the default handler would abort */
    }
    LOFT_CHECK_EQ_UINT(list_check(arena), 30);
    close_arena(arena);
}

LOFT_TEST(verify, wp_async_has_nothing_to_find) { verify_life("wp_async"); }
LOFT_TEST(verify, private_has_nothing_to_find) { verify_life("private"); }

/* --- Limits and figures -------------------------------------------------------------------------- */

static void dirty_note(void *context, uint64_t dirty_bytes)
{
    uint64_t *told = context;
    told[0]++;
    told[1] = dirty_bytes;
}

LOFT_TEST(dirty, the_program_is_told_once_between_commits)
{
    uint64_t told[2] = {0, 0};
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    loft_arena *arena = NULL;
    options.dirty_fn = dirty_note;
    options.dirty_context = told;
    open_must_fail(loft_test_tmp_path("arena"), LOFT_CREATE, &options, LOFT_EINVAL,
                   "max_dirty_bytes");
    options.max_dirty_bytes = 20 << 20;
    LOFT_CHECK_OK(loft_arena_open(loft_test_tmp_path("arena"), LOFT_CREATE, &options, &arena));
    for (unsigned i = 0; i < 3; i++) {
        LOFT_CHECK_NOT_NULL(loft_arena_malloc(arena, 5 << 20));
    }
    LOFT_CHECK_EQ_UINT(told[0], 1);
    LOFT_CHECK_TRUE(told[1] > options.max_dirty_bytes);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_NOT_NULL(loft_arena_malloc(arena, 60 << 20));
    LOFT_CHECK_EQ_UINT(told[0], 2);
    close_arena(arena);
}

/* Committed pages that stay in memory until the checkpoint: the limit makes one due, long before the journal does. */
LOFT_TEST(dirty, a_commit_beyond_the_limit_checkpoints)
{
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    loft_arena *arena = NULL;
    options.max_dirty_bytes = 1 << 20;
    LOFT_CHECK_OK(loft_arena_open(loft_test_tmp_path("arena"), LOFT_CREATE, &options, &arena));
    char *block = loft_arena_calloc(arena, 1, 3 << 20);
    LOFT_CHECK_NOT_NULL(block);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    const uint64_t before = stats.checkpoint_count;
    for (uint64_t at = 0; at < 2 << 20; at += LOFTI_PAGE_BYTES) {
        block[at] = 1;
    }
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    LOFT_CHECK_EQ_UINT(stats.checkpoint_count, before + 1);
    close_arena(arena);
}

LOFT_TEST(dirty, pauses_are_counted)
{
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    loft_arena *arena = new_arena("arena");
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    const uint64_t before = stats.pause_count;
    list_push(arena, 1, 100);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_rollback(arena));
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    LOFT_CHECK_EQ_UINT(stats.pause_count, before + 2);
    LOFT_CHECK_TRUE(stats.pause_max_ns >= stats.pause_last_ns && stats.pause_last_ns > 0);
    LOFT_CHECK_TRUE(stats.pause_total_ns >= stats.pause_max_ns);
    close_arena(arena);
}
