/* Rollback: blocks, content, roots and growth since the last commit are gone, freed blocks live again. */
#include "arena/arena_world.h"

#include <stdlib.h>
#include <string.h>

#include "os/watch.h"

enum { MEBIBYTE = 1 << 20 };

static uint64_t live_blocks(const loft_arena *arena)
{
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    return stats.live_blocks;
}

static void roll_back(loft_arena *arena)
{
    LOFT_CHECK_OK(loft_arena_rollback(arena));
    check_arena(arena);
}

LOFT_TEST(rollback, of_nothing_changes_nothing)
{
    loft_arena *arena = new_arena("data");
    roll_back(arena);
    list_push(arena, 0, 100);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    roll_back(arena);
    roll_back(arena);
    LOFT_CHECK_EQ_UINT(list_check(arena), 1);
    close_arena(arena);
}

LOFT_TEST(rollback, brings_content_blocks_and_roots_back)
{
    loft_arena *arena = new_arena("data");
    for (uint64_t i = 0; i < 100; i++) {
        list_push(arena, i, i * 50);
    }
    char *text = loft_arena_strdup(arena, "before");
    LOFT_CHECK_OK(loft_arena_set_root(arena, "text", text));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    const uint64_t blocks = live_blocks(arena);
    for (int round = 0; round < 5; round++) {
        strcpy(text, "after");
        for (uint64_t i = 100; i < 200; i++) {
            list_push(arena, i, i * 50);
        }
        list_node *head = loft_arena_root(arena, "list");
        loft_arena_free(arena, head->next);
        loft_arena_free(arena, head);
        LOFT_CHECK_OK(loft_arena_set_root(arena, "text", NULL));
        LOFT_CHECK_OK(loft_arena_set_root(arena, "list", NULL));
        LOFT_CHECK_OK(loft_arena_set_root(arena, "new", text));
        if (round % 2 == 1) {
            LOFT_CHECK_OK(loft_arena_checkpoint(arena)); /* does not commit */
        }
        roll_back(arena);
        LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "text"), text);
        LOFT_CHECK_EQ_STR(text, "before");
        LOFT_CHECK_NULL(loft_arena_root(arena, "new"));
        LOFT_CHECK_EQ_UINT(list_check(arena), 100);
        LOFT_CHECK_EQ_UINT(live_blocks(arena), blocks);
    }
    close_arena(arena);
    arena = open_arena(loft_test_tmp_path("data"), 0);
    LOFT_CHECK_EQ_UINT(list_check(arena), 100);
    close_arena(arena);
}

LOFT_TEST(rollback, gives_growth_back)
{
    loft_arena *arena = new_arena("data");
    list_push(arena, 0, 100);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    loft_arena_statistics before = {.struct_bytes = sizeof before};
    LOFT_CHECK_OK(loft_arena_stats(arena, &before));
    for (int round = 0; round < 4; round++) {
        list_push(arena, 1, 30 * MEBIBYTE);
        for (uint64_t i = 2; i < 1000; i++) {
            list_push(arena, i, 20000);
        }
        LOFT_CHECK_EQ_UINT(list_check(arena), 1000);
        roll_back(arena);
        loft_arena_statistics after = {.struct_bytes = sizeof after};
        LOFT_CHECK_OK(loft_arena_stats(arena, &after));
        LOFT_CHECK_EQ_UINT(after.heap_bytes, before.heap_bytes);
        LOFT_CHECK_EQ_UINT(list_check(arena), 1);
    }
    list_push(arena, 1, 9 * MEBIBYTE); /* and it can grow into the same place again */
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_EQ_UINT(list_check(arena), 2);
    close_arena(arena);
    arena = open_arena(loft_test_tmp_path("data"), LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(list_check(arena), 2);
    check_arena(arena);
    close_arena(arena);
}

/* Pages that were committed and rewritten since, in the journal, in the file, in neither. */
LOFT_TEST(rollback, finds_the_newest_committed_image_wherever_it_is)
{
    loft_arena *arena = new_arena("data");
    uint64_t *block = loft_arena_calloc(arena, 64, 4096);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "block", block));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    for (uint64_t round = 1; round < 20; round++) {
        for (uint64_t page = 0; page < 64; page += round % 5 + 1) {
            block[page * 512 + 7] = round;
        }
        LOFT_CHECK_OK(loft_arena_commit(arena));
        if (round % 3 == 0) {
            LOFT_CHECK_OK(loft_arena_checkpoint(arena));
        }
        uint64_t *copy = loft_arena_memdup(arena, block, 64 * 4096);
        LOFT_CHECK_NOT_NULL(copy);
        static uint64_t kept[64 * 512];
        memcpy(kept, block, sizeof kept);
        memset(block, (int)round, sizeof kept);
        roll_back(arena);
        LOFT_CHECK_EQ_MEM(block, kept, sizeof kept);
    }
    close_arena(arena);
}

LOFT_TEST(rollback, undoes_what_a_failed_program_did_and_commits_go_on)
{
    loft_arena *arena = new_arena("data");
    for (uint64_t i = 0; i < 50; i++) {
        list_push(arena, i, 1000 + i);
        LOFT_CHECK_OK(loft_arena_commit(arena));
        list_push(arena, i + 1, 77);
        loft_arena_free(arena, loft_arena_root(arena, "list"));
        roll_back(arena);
        LOFT_CHECK_EQ_UINT(list_check(arena), i + 1);
    }
    abandon_arena(arena);
    arena = open_arena(loft_test_tmp_path("data"), LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(list_check(arena), 50);
    close_arena(arena);
}

enum { MANY_PAGES = 4096, MANY_ROUNDS = 12 };

/* Random pages, single and in rows; what was committed last, by page. */
typedef struct many_pages {
    loft_arena *arena;
    char *block;
    char content[MANY_PAGES];
    loft_test_random random;
} many_pages;

static void many_store(many_pages *own, uint64_t count, bool commit)
{
    while (count > 0) {
        const uint64_t page = loft_test_random_below(&own->random, MANY_PAGES);
        const char value = (char)loft_test_random_next(&own->random);
        for (uint64_t i = page; i < page + 5 && i < MANY_PAGES && count > 0; i++, count--) {
            own->block[i * 4096 + i % 4000] = value;
            own->content[i] = commit ? value : own->content[i];
        }
    }
}

static void many_check(const many_pages *own)
{
    for (uint64_t i = 0; i < MANY_PAGES; i++) {
        LOFT_CHECK_EQ_INT(own->block[i * 4096 + i % 4000], own->content[i]);
    }
}

static void many_rounds(const char *tracker, unsigned wanted)
{
    static many_pages own;
    LOFT_CHECK_SYS(setenv("LOFT_TRACKER", tracker, 1));
    memset(&own, 0, sizeof own);
    own.random.state = loft_test_seed();
    own.arena = new_arena(tracker);
    own.block = loft_arena_calloc(own.arena, MANY_PAGES, 4096);
    LOFT_CHECK_NOT_NULL(own.block);
    LOFT_CHECK_OK(loft_arena_commit(own.arena));
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(own.arena, &info));
    LOFT_CHECK_EQ_UINT(info.tracker, wanted);
    for (int round = 0; round < MANY_ROUNDS; round++) {
        loft_arena_statistics stats = {.struct_bytes = sizeof stats};
        many_store(&own, loft_test_random_below(&own.random, 2000), true);
        LOFT_CHECK_OK(loft_arena_commit(own.arena));
        if (round % 4 == 3) {
            LOFT_CHECK_OK(loft_arena_checkpoint(own.arena));
        }
        many_store(&own, 1 + loft_test_random_below(&own.random, 2000), false);
        roll_back(own.arena);
        many_check(&own);
        LOFT_CHECK_OK(loft_arena_stats(own.arena, &stats));
        const uint64_t commits = stats.commit_count;
        LOFT_CHECK_OK(loft_arena_commit(own.arena)); /* of nothing */
        LOFT_CHECK_OK(loft_arena_stats(own.arena, &stats));
        LOFT_CHECK_EQ_UINT(stats.commit_count, commits);
    }
    close_arena(own.arena);
    own.arena = open_arena(loft_test_tmp_path(tracker), LOFT_WRITE);
    many_check(&own);
    close_arena(own.arena);
}

/* Stores after a rollback of many pages are changes again: the next round's commit is compared. */
LOFT_TEST(rollback, of_many_pages_by_comparison) { many_rounds("private", LOFT_TRACKER_PRIVATE); }

LOFT_TEST(rollback, of_many_pages_that_the_kernel_watches)
{
    if (!lofti_watch_works()) {
        LOFT_SKIP("this kernel does not watch pages");
    }
    many_rounds("wp_async", LOFT_TRACKER_WP_ASYNC);
}
