/* An arena's life: created, filled, committed, closed, killed, found again at the same address. */
#include "arena/arena_world.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEBIBYTE = 1 << 20 };

LOFT_TEST(arena, a_new_one_is_one_private_file)
{
    const char *path = loft_test_tmp_path("data");
    loft_arena *arena = new_arena("data");
    struct stat status;
    LOFT_CHECK_SYS(stat(path, &status));
    LOFT_CHECK_EQ_UINT(status.st_mode & 07777, 0600);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 1);
    LOFT_CHECK_NULL(loft_arena_root(arena, "list"));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOENT);
    check_arena(arena);
    close_arena(arena);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 1);
    LOFT_CHECK_EQ_UINT(loft_test_mappings_of(path), 0);
}

LOFT_TEST(arena, opening_and_closing_leaves_nothing)
{
    const char *path = loft_test_tmp_path("data");
    close_arena(new_arena("data")); /* warms up what is made once */
    const leftovers before = leftovers_before(loft_test_folder());
    for (int i = 0; i < 10; i++) {
        loft_arena *arena = open_arena(path, LOFT_WRITE);
        list_push(arena, (uint64_t)i, 100);
        if (i % 2 == 0) {
            LOFT_CHECK_OK(loft_arena_commit(arena));
            abandon_arena(arena);
        } else {
            close_arena(arena);
        }
        leftovers_check(&before);
    }
    abandon_arena(open_arena(path, 0));
    leftovers_check(&before);
    abandon_arena(open_arena(NULL, 0));
    leftovers_check(&before);
}

LOFT_TEST(arena, everything_is_where_it_was)
{
    const char *path = loft_test_tmp_path("data");
    loft_arena *arena = new_arena("data");
    for (uint64_t i = 0; i < 100; i++) {
        list_push(arena, i, i * 13);
    }
    void *head = loft_arena_root(arena, "list");
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_EQ_UINT(info.base, info.mapped_at);
    close_arena(arena);
    for (int i = 0; i < 3; i++) {
        arena = open_arena(path, i % 2 == 0 ? LOFT_WRITE : 0);
        loft_arena_info again = {.struct_bytes = sizeof again};
        LOFT_CHECK_OK(loft_arena_describe(arena, &again));
        LOFT_CHECK_EQ_UINT(again.mapped_at, info.base);
        LOFT_CHECK_EQ_MEM(again.uuid, info.uuid, sizeof info.uuid);
        LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "list"), head);
        LOFT_CHECK_EQ_UINT(list_check(arena), 100);
        check_arena(arena);
        close_arena(arena);
    }
}

typedef struct story {
    const char *path;
    void *head;
} story;

static void other_process(void *arg)
{
    const story *told = arg;
    loft_arena *arena = open_arena(told->path, LOFT_WRITE);
    LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "list"), told->head);
    LOFT_CHECK_EQ_UINT(list_check(arena), 10);
    list_push(arena, 10, 1000);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    list_push(arena, 11, 1000); /* never committed */
    (void)kill(getpid(), SIGKILL);
}

LOFT_TEST(arena, another_process_finds_it_at_the_same_address)
{
    story told = {loft_test_tmp_path("data"), NULL};
    loft_arena *arena = new_arena("data");
    for (uint64_t i = 0; i < 10; i++) {
        list_push(arena, i, 5000);
    }
    told.head = loft_arena_root(arena, "list");
    close_arena(arena);
    loft_test_child child;
    loft_test_run_child(other_process, &told, &child);
    LOFT_CHECK_EQ_INT(child.signal, SIGKILL);
    arena = open_arena(told.path, LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(list_check(arena), 11);
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(arena, abandon_drops_what_was_not_committed)
{
    const char *path = loft_test_tmp_path("data");
    loft_arena *arena = new_arena("data");
    list_push(arena, 0, 10);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    list_push(arena, 1, 10);
    list_push(arena, 2, 10 * MEBIBYTE);
    abandon_arena(arena);
    arena = open_arena(path, LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(list_check(arena), 1);
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(arena, open_creates_only_when_asked_to)
{
    const char *path = loft_test_tmp_path("data");
    close_arena(open_arena(loft_test_tmp_path("warm"), LOFT_CREATE));
    open_must_fail(path, LOFT_WRITE, NULL, LOFT_ENOENT, "No such file");
    open_must_fail(path, 0, NULL, LOFT_ENOENT, "No such file");
    loft_arena *arena = open_arena(path, LOFT_CREATE);
    list_push(arena, 0, 10);
    close_arena(arena);
    open_must_fail(path, LOFT_CREATE | LOFT_EXCLUSIVE, NULL, LOFT_EEXIST, "exists");
    arena = open_arena(path, LOFT_CREATE); /* what is there is kept */
    LOFT_CHECK_EQ_UINT(list_check(arena), 1);
    close_arena(arena);
}

LOFT_TEST(arena, a_reader_cannot_change_anything)
{
    const char *path = loft_test_tmp_path("data");
    loft_arena *arena = new_arena("data");
    list_push(arena, 0, 100);
    close_arena(arena);
    arena = open_arena(path, 0);
    list_node *head = loft_arena_root(arena, "list");
    LOFT_CHECK_NULL(loft_arena_malloc(arena, 10));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EREADONLY);
    LOFT_CHECK_NULL(loft_arena_calloc(arena, 10, 10));
    LOFT_CHECK_NULL(loft_arena_realloc(arena, head, 10));
    LOFT_CHECK_NULL(loft_arena_aligned_alloc(arena, 64, 10));
    LOFT_CHECK_NULL(loft_arena_strdup(arena, "text"));
    loft_arena_free(arena, head);
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EREADONLY);
    LOFT_CHECK_ERR(loft_arena_set_root(arena, "list", NULL), LOFT_EREADONLY);
    LOFT_CHECK_ERR(loft_arena_commit(arena), LOFT_EREADONLY);
    LOFT_CHECK_ERR(loft_arena_rollback(arena), LOFT_EREADONLY);
    LOFT_CHECK_ERR(loft_arena_checkpoint(arena), LOFT_EREADONLY);
    LOFT_CHECK_EQ_UINT(list_check(arena), 1);
    LOFT_CHECK_GE_UINT(loft_arena_usable_size(arena, head), 100);
    check_arena(arena);
    close_arena(arena);
}

static void store_as_reader(void *arg)
{
    loft_arena *arena = open_arena(arg, 0);
    LOFT_CHECK_EQ_UINT(list_check(arena), 2);
    list_node *head = loft_arena_root(arena, "list");
    head->number = 7;
}

LOFT_TEST(arena, a_reader_s_stores_trap)
{
    char *path = (char *)(uintptr_t)loft_test_tmp_path("data");
    loft_arena *arena = new_arena("data");
    list_push(arena, 0, 100);
    list_push(arena, 1, 2 * MEBIBYTE);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    abandon_arena(arena); /* its pages are in the journal */
    LOFT_CHECK_DEATH(store_as_reader, path, SIGSEGV, NULL);
    close_arena(open_arena(path, LOFT_WRITE)); /* now in the file */
    LOFT_CHECK_DEATH(store_as_reader, path, SIGSEGV, NULL);
}

static void grow_to(loft_arena *arena, uint64_t blocks, uint64_t bytes)
{
    for (uint64_t i = 0; i < blocks; i++) {
        list_push(arena, i, bytes);
    }
}

static void grow_case(const char *name, uint64_t blocks, uint64_t bytes)
{
    const char *path = loft_test_tmp_path(name);
    loft_arena *arena = new_arena(name);
    grow_to(arena, blocks, bytes);
    LOFT_CHECK_EQ_UINT(list_check(arena), blocks);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    list_push(arena, blocks, bytes);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    check_arena(arena);
    abandon_arena(arena); /* the journal is read at open */
    arena = open_arena(path, 0);
    LOFT_CHECK_EQ_UINT(list_check(arena), blocks + 1);
    check_arena(arena);
    close_arena(arena);
    arena = open_arena(path, LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(list_check(arena), blocks + 1);
    list_push(arena, blocks + 1, bytes);
    close_arena(arena);
    arena = open_arena(path, LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(list_check(arena), blocks + 2);
    check_arena(arena);
    close_arena(arena);
    LOFT_CHECK_SYS(unlink(path));
}

LOFT_TEST(arena, growth_over_many_chunks)
{
    grow_case("small", 20000, 40);
    grow_case("middle", 400, 50000);
    grow_case("large", 30, MEBIBYTE);
}

LOFT_TEST(arena, blocks_larger_than_a_chunk)
{
    grow_case("four", 3, 4 * MEBIBYTE);
    grow_case("eleven", 3, 11 * MEBIBYTE + 12345);
}

LOFT_TEST(arena, the_journal_takes_chunks_between_those_of_the_heap)
{
    const char *path = loft_test_tmp_path("data");
    loft_arena *arena = new_arena("data");
    for (uint64_t i = 0; i < 12; i++) {
        list_push(arena, i, 3 * MEBIBYTE);
        LOFT_CHECK_OK(loft_arena_commit(arena)); /* each fills the journal up */
    }
    LOFT_CHECK_EQ_UINT(list_check(arena), 12);
    check_arena(arena);
    abandon_arena(arena);
    for (int i = 0; i < 3; i++) {
        arena = open_arena(path, i == 0 ? 0 : LOFT_WRITE);
        LOFT_CHECK_EQ_UINT(list_check(arena), 12u + (i == 2));
        check_arena(arena);
        if (i == 1) {
            list_push(arena, 12, 9 * MEBIBYTE);
        }
        close_arena(arena);
    }
}

LOFT_TEST(arena, a_reserve_that_is_used_up_is_an_error_and_nothing_else)
{
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    options.reserve_bytes = 64 * MEBIBYTE;
    const char *path = loft_test_tmp_path("data");
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_CREATE, &options, &arena));
    uint64_t count = 0;
    while (loft_arena_malloc(arena, MEBIBYTE) != NULL) {
        LOFT_CHECK_LT_UINT(++count, 64);
    }
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
    LOFT_CHECK_GT_UINT(count, 30);
    LOFT_CHECK_NOT_NULL(loft_arena_malloc(arena, 16));
    check_arena(arena);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    close_arena(arena);
    arena = open_arena(path, LOFT_WRITE); /* with the default reserve it can grow */
    LOFT_CHECK_NOT_NULL(loft_arena_malloc(arena, 8 * MEBIBYTE));
    close_arena(arena);
}

LOFT_TEST(arena, sizes_that_overflow_are_refused)
{
    loft_arena *arena = new_arena("data");
    volatile size_t huge = SIZE_MAX;
    LOFT_CHECK_NULL(loft_arena_calloc(arena, huge, 2));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EOVERFLOW);
    LOFT_CHECK_NULL(loft_arena_calloc(arena, (size_t)1 << 33, (size_t)1 << 33));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EOVERFLOW);
    for (size_t below = 0; below < 3; below++) {
        LOFT_CHECK_NULL(loft_arena_malloc(arena, (huge >> below) - below));
        LOFT_CHECK_TRUE(loft_last_code() == LOFT_EOVERFLOW || loft_last_code() == LOFT_ENOMEM);
    }
    LOFT_CHECK_NULL(loft_arena_aligned_alloc(arena, 3, 16));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EINVAL);
    LOFT_CHECK_NULL(loft_arena_aligned_alloc(arena, 2 * MEBIBYTE, huge - 5));
    void *block = loft_arena_malloc(arena, 100);
    LOFT_CHECK_NULL(loft_arena_realloc(arena, block, huge - 100));
    loft_arena_free(arena, block); /* still there after the refusal */
    check_arena(arena);
    close_arena(arena);
}
