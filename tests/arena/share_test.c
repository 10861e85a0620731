/* Several processes, several handles, fork, and addresses that are taken. */
#include "arena/arena.h"
#include "arena/arena_world.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MEBIBYTE = 1 << 20 };

static const char *path_of_data(void) { return loft_test_tmp_path("data"); }

static loft_arena *arena_with(uint64_t nodes)
{
    loft_arena *arena = new_arena("data");
    for (uint64_t i = 0; i < nodes; i++) {
        list_push(arena, i, 500);
    }
    LOFT_CHECK_OK(loft_arena_commit(arena));
    return arena;
}

static void must_be_busy(void *arg)
{
    loft_arena *arena = NULL;
    LOFT_CHECK_ERR(loft_arena_open(arg, LOFT_WRITE, NULL, &arena), LOFT_EBUSY);
    LOFT_CHECK_CONTAINS(loft_last_error(), "another writer");
    LOFT_CHECK_CONTAINS(loft_last_error(), arg);
    LOFT_CHECK_NULL(arena);
}

static void in_child(void (*fn)(void *arg), const void *arg)
{
    loft_test_child child;
    loft_test_run_child(fn, (void *)(uintptr_t)arg, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
}

LOFT_TEST(share, a_second_writer_is_refused_wherever_it_is)
{
    loft_arena *arena = arena_with(3);
    const char *hard = loft_test_tmp_path("hard");
    LOFT_CHECK_SYS(link(path_of_data(), hard));
    open_must_fail(path_of_data(), LOFT_WRITE, NULL, LOFT_EBUSY, "another writer");
    open_must_fail(path_of_data(), LOFT_CREATE, NULL, LOFT_EBUSY, "another writer");
    open_must_fail(hard, LOFT_WRITE, NULL, LOFT_EBUSY, "another writer");
    in_child(must_be_busy, path_of_data());
    in_child(must_be_busy, hard);
    list_push(arena, 3, 500); /* the refusals did the holder no harm */
    LOFT_CHECK_OK(loft_arena_commit(arena));
    open_must_fail(path_of_data(), LOFT_WRITE, NULL, LOFT_EBUSY, "another writer");
    close_arena(arena);
    arena = open_arena(hard, LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(list_check(arena), 4);
    close_arena(arena);
}

static void read_beside(void *arg)
{
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_open(arg, LOFT_RELOCATE, NULL, &arena));
    LOFT_CHECK_GE_UINT(list_check(arena), 5);
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(share, readers_see_the_last_commit_beside_a_writer)
{
    loft_arena *arena = arena_with(5);
    list_push(arena, 5, 300); /* not committed: nobody else sees it */
    loft_arena *reader = NULL;
    LOFT_CHECK_OK(loft_arena_open(path_of_data(), LOFT_RELOCATE, NULL, &reader));
    LOFT_CHECK_EQ_UINT(list_check(reader), 5);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    in_child(read_beside, path_of_data());
    for (uint64_t i = 6; i < 40; i++) {
        list_push(arena, i, 300);
        LOFT_CHECK_OK(loft_arena_commit(arena));
        LOFT_CHECK_ERR(loft_arena_checkpoint(arena), LOFT_EPENDING);
        LOFT_CHECK_EQ_UINT(list_check(reader), 5); /* what it opened */
    }
    abandon_arena(reader);
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    LOFT_CHECK_EQ_UINT(list_check(arena), 40);
    close_arena(arena);
}

LOFT_TEST(share, closing_beside_a_reader_is_pending_and_the_next_open_does_it)
{
    loft_arena *arena = arena_with(5);
    loft_arena *reader = NULL;
    LOFT_CHECK_OK(loft_arena_open(path_of_data(), LOFT_RELOCATE, NULL, &reader));
    list_push(arena, 5, 300);
    LOFT_CHECK_ERR(loft_arena_close(arena), LOFT_EPENDING);
    for (int i = 0; i < 3; i++) { /* recovery is held off as well, and the writer goes on */
        arena = NULL;
        LOFT_CHECK_OK(loft_arena_open(path_of_data(), LOFT_WRITE, NULL, &arena));
        LOFT_CHECK_EQ_UINT(list_check(arena), 6u + (uint64_t)i);
        list_push(arena, 6 + (uint64_t)i, 300);
        LOFT_CHECK_OK(loft_arena_commit(arena));
        abandon_arena(arena);
    }
    LOFT_CHECK_EQ_UINT(list_check(reader), 5);
    abandon_arena(reader);
    arena = open_arena(path_of_data(), LOFT_WRITE);
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_EQ_UINT(info.journal_bytes, 0);
    LOFT_CHECK_EQ_UINT(list_check(arena), 9);
    close_arena(arena);
}

/* --- Fork --------------------------------------------------------------------------------------- */

static void forked(void *arg)
{
    loft_arena *arena = arg;
    LOFT_CHECK_ERR(loft_arena_commit(arena), LOFT_EFORKED);
    LOFT_CHECK_CONTAINS(loft_last_error(), "parent");
    LOFT_CHECK_ERR(loft_arena_rollback(arena), LOFT_EFORKED);
    LOFT_CHECK_ERR(loft_arena_checkpoint(arena), LOFT_EFORKED);
    LOFT_CHECK_ERR(loft_arena_close(arena), LOFT_EFORKED);
    LOFT_CHECK_ERR(loft_arena_check(arena, NULL, NULL, NULL), LOFT_EFORKED);
    LOFT_CHECK_ERR(loft_arena_set_root(arena, "x", arena), LOFT_EFORKED);
    LOFT_CHECK_NULL(loft_arena_malloc(arena, 10));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EFORKED);
    LOFT_CHECK_NULL(loft_arena_root(arena, "list"));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EFORKED);
    loft_arena *reader = NULL; /* at the same base: the parent's address space is not the child's */
    LOFT_CHECK_OK(loft_arena_open(path_of_data(), 0, NULL, &reader));
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(reader, &info));
    LOFT_CHECK_EQ_UINT(info.mapped_at, info.base);
    LOFT_CHECK_EQ_UINT(list_check(reader), 7);
    close_arena(reader);
    must_be_busy((void *)(uintptr_t)path_of_data());
    abandon_arena(arena); /* releases the child's handle only */
}

LOFT_TEST(share, a_child_does_not_have_its_parent_s_arena)
{
    need_dontfork();
    loft_arena *arena = arena_with(7);
    in_child(forked, arena);
    list_push(arena, 7, 500);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    LOFT_CHECK_EQ_UINT(list_check(arena), 8);
    open_must_fail(path_of_data(), LOFT_WRITE, NULL, LOFT_EBUSY, "another writer");
    close_arena(arena);
}

/* A parent dies and leaves a child behind: the lock must not live on in it. */
static void parent_dies(void *arg)
{
    const int *pipe_ends = arg;
    loft_arena *arena = open_arena(path_of_data(), LOFT_WRITE);
    list_push(arena, 7, 500);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    const pid_t child = fork();
    if (child == 0) {
        char byte = 0;
        (void)close(pipe_ends[1]);
        (void)close(STDERR_FILENO); /* who waits for this test's output need not wait for this */
        (void)read(pipe_ends[0], &byte, 1); /* until the test is over */
        _exit(0);
    }
    (void)kill(getpid(), SIGKILL);
}

LOFT_TEST(share, the_lock_dies_with_the_parent)
{
    need_dontfork();
    int pipe_ends[2];
    LOFT_CHECK_SYS(pipe(pipe_ends));
    close_arena(arena_with(7));
    loft_test_child child;
    loft_test_run_child(parent_dies, pipe_ends, &child);
    LOFT_CHECK_EQ_INT(child.signal, SIGKILL);
    loft_arena *arena = open_arena(path_of_data(), LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(list_check(arena), 8);
    close_arena(arena);
    LOFT_CHECK_SYS(close(pipe_ends[1]));
}

static void use_anonymous(void *arg)
{
    loft_arena *arena = arg;
    LOFT_CHECK_EQ_UINT(list_check(arena), 20);
    for (uint64_t i = 20; i < 200; i++) {
        list_push(arena, i, i % 2 == 0 ? 100 : 50000);
    }
    LOFT_CHECK_EQ_UINT(list_check(arena), 200);
    check_arena(arena);
    close_arena(arena);
}

/* Another thread's commit has the gate closed at the moment of the fork; in the child nobody opens it. */
static void enter_and_leave(void *arg)
{
    (void)alarm(10); /* a hang dies */
    loft_arena_enter(arg);
    loft_arena_leave(arg);
    LOFT_CHECK_ERR(loft_arena_commit(arg), LOFT_EFORKED);
}

LOFT_TEST(share, a_child_enters_a_gate_that_was_closed_at_the_fork)
{
    loft_arena *arena = new_arena("arena");
    LOFT_CHECK_OK(lofti_gate_close(&arena->gate, 1000));
    in_child(enter_and_leave, arena);
    lofti_gate_open(&arena->gate);
    close_arena(arena);
}

LOFT_TEST(share, an_anonymous_arena_forks_like_memory)
{
    loft_arena *arena = open_arena(NULL, LOFT_CREATE);
    for (uint64_t i = 0; i < 20; i++) {
        list_push(arena, i, 1000);
    }
    in_child(use_anonymous, arena);
    LOFT_CHECK_EQ_UINT(list_check(arena), 20); /* the child's changes were its own */
    use_anonymous(arena);
}

LOFT_TEST(share, an_anonymous_arena_has_no_file)
{
    loft_arena *arena = open_arena(NULL, 0);
    list_push(arena, 0, 10);
    LOFT_CHECK_ERR(loft_arena_commit(arena), LOFT_ENOTSUP);
    LOFT_CHECK_ERR(loft_arena_rollback(arena), LOFT_ENOTSUP);
    LOFT_CHECK_ERR(loft_arena_checkpoint(arena), LOFT_ENOTSUP);
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_EQ_UINT(info.file_bytes, 0);
    LOFT_CHECK_EQ_UINT(list_check(arena), 1);
    close_arena(arena);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
}

/* --- Addresses -------------------------------------------------------------------------------------- */

static uint64_t base_of(const loft_arena *arena)
{
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    return info.base;
}

LOFT_TEST(share, two_arenas_are_open_side_by_side)
{
    loft_arena *one = new_arena("one");
    loft_arena *two = new_arena("two");
    LOFT_CHECK_NE_UINT(base_of(one), base_of(two));
    for (uint64_t i = 0; i < 50; i++) {
        list_push(one, i, 1000);
        list_push(two, i, 2000);
        LOFT_CHECK_OK(loft_arena_commit(i % 2 == 0 ? one : two));
    }
    LOFT_CHECK_EQ_PTR(loft_arena_of(loft_arena_root(one, "list")), one);
    LOFT_CHECK_EQ_PTR(loft_arena_of(loft_arena_root(two, "list")), two);
    LOFT_CHECK_NULL(loft_arena_of(&one));
    close_arena(two);
    LOFT_CHECK_EQ_UINT(list_check(one), 50);
    close_arena(one);
    one = open_arena(loft_test_tmp_path("one"), 0);
    two = open_arena(loft_test_tmp_path("two"), LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(list_check(one), 50);
    LOFT_CHECK_EQ_UINT(list_check(two), 50);
    close_arena(one);
    close_arena(two);
}

LOFT_TEST(share, a_taken_address_is_refused_and_its_holder_named)
{
    loft_arena *arena = arena_with(3);
    const uint64_t base = base_of(arena);
    open_must_fail(path_of_data(), 0, NULL, LOFT_EADDRESS, path_of_data());
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    options.base = base;
    open_must_fail(loft_test_tmp_path("new"), LOFT_CREATE, &options, LOFT_EADDRESS, path_of_data());
    close_arena(arena);
    void *holder = mmap((void *)(uintptr_t)base, 4096, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    LOFT_CHECK_EQ_UINT((uintptr_t)holder, base);
    open_must_fail(path_of_data(), LOFT_WRITE, NULL, LOFT_EADDRESS, "taken by");
    open_must_fail(path_of_data(), 0, NULL, LOFT_EADDRESS, "taken by");
    LOFT_CHECK_SYS(munmap(holder, 4096));
    arena = open_arena(path_of_data(), LOFT_WRITE); /* no lock was left behind */
    LOFT_CHECK_EQ_UINT(list_check(arena), 3);
    close_arena(arena);
}

LOFT_TEST(share, a_neighbour_near_by_leaves_less_to_grow_into)
{
    loft_arena *arena = arena_with(3);
    const uint64_t base = base_of(arena);
    close_arena(arena);
    void *near = mmap((void *)(uintptr_t)(base + 1024ull * MEBIBYTE), 4096, PROT_NONE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    LOFT_CHECK_EQ_UINT((uintptr_t)near, base + 1024ull * MEBIBYTE);
    arena = open_arena(path_of_data(), LOFT_WRITE);
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_LE_UINT(info.reserve_bytes, 1024ull * MEBIBYTE);
    LOFT_CHECK_EQ_UINT(list_check(arena), 3);
    close_arena(arena);
    LOFT_CHECK_SYS(munmap(near, 4096));
}

static void check_relocated(loft_arena *arena, uint64_t nodes)
{
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_NE_UINT(info.mapped_at, info.base);
    LOFT_CHECK_EQ_UINT(list_check(arena), nodes); /* it follows pointers by loft_arena_resolve */
    LOFT_CHECK_NULL(loft_arena_malloc(arena, 10));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EREADONLY);
    LOFT_CHECK_ERR(loft_arena_commit(arena), LOFT_EREADONLY);
    list_node *head = loft_arena_root(arena, "list");
    const uint64_t offset = loft_offset(arena, head);
    LOFT_CHECK_EQ_PTR(loft_at(arena, offset), head);
    LOFT_CHECK_EQ_PTR(loft_arena_resolve(arena, (void *)(uintptr_t)(info.base + offset)), head);
    LOFT_CHECK_NULL(loft_arena_resolve(arena, NULL));
    LOFT_CHECK_EQ_PTR(loft_arena_resolve(arena, &offset), &offset); /* not the arena's */
    check_arena(arena);
}

LOFT_TEST(share, relocated_it_is_read_through_translated_pointers)
{
    loft_arena *arena = arena_with(30);
    loft_arena *moved = NULL;
    LOFT_CHECK_OK(loft_arena_open(path_of_data(), LOFT_RELOCATE, NULL, &moved));
    check_relocated(moved, 30); /* beside its writer, with its journal */
    close_arena(moved);
    const uint64_t base = base_of(arena);
    close_arena(arena);
    void *holder = mmap((void *)(uintptr_t)base, 4096, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    LOFT_CHECK_EQ_UINT((uintptr_t)holder, base);
    const leftovers before = leftovers_before(loft_test_folder());
    LOFT_CHECK_OK(loft_arena_open(path_of_data(), LOFT_RELOCATE | LOFT_WRITE, NULL, &moved));
    check_relocated(moved, 30);
    close_arena(moved);
    leftovers_check(&before);
    LOFT_CHECK_SYS(munmap(holder, 4096));
    LOFT_CHECK_OK(loft_arena_open(path_of_data(), LOFT_RELOCATE | LOFT_WRITE, NULL, &moved));
    LOFT_CHECK_EQ_UINT(base_of(moved), base); /* its place is free: nothing moves */
    list_push(moved, 30, 10);
    close_arena(moved);
}

LOFT_TEST(share, offsets_and_addresses_outside_are_refused)
{
    loft_arena *arena = arena_with(1);
    int outside = 0;
    LOFT_CHECK_EQ_UINT(loft_offset(arena, NULL), 0);
    LOFT_CHECK_NULL(loft_at(arena, 0));
    LOFT_CHECK_EQ_UINT(loft_offset(arena, &outside), 0);
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ERANGE);
    const uint64_t bad[] = {1, 4096, 4 * MEBIBYTE - 1, (uint64_t)1 << 46, UINT64_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        LOFT_CHECK_NULL(loft_at(arena, bad[i]));
        LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ERANGE);
    }
    close_arena(arena);
}

static loft_misuse misuse_seen;
static unsigned misuse_count;

static void note_misuse(void *context, const loft_misuse *misuse)
{
    (void)context;
    misuse_seen = *misuse;
    misuse_count++;
}

LOFT_TEST(share, handles_that_are_closed_or_garbage_are_misuse)
{
    static uint64_t garbage[1024];
    loft_set_misuse_handler(note_misuse, NULL);
    LOFT_CHECK_EQ_INT(loft_arena_commit((loft_arena *)(void *)garbage), LOFT_EINVAL);
    LOFT_CHECK_EQ_INT(misuse_seen.kind, LOFT_MISUSE_HANDLE);
    LOFT_CHECK_EQ_PTR(misuse_seen.address, garbage);
    LOFT_CHECK_NULL(loft_arena_malloc(NULL, 10));
    LOFT_CHECK_EQ_INT(loft_arena_close(NULL), LOFT_EINVAL);
    LOFT_CHECK_EQ_UINT(misuse_count, 3);
    LOFT_CHECK_ERR(loft_arena_abandon(NULL), LOFT_EINVAL);
}

LOFT_TEST(share, a_block_of_another_arena_is_misuse)
{
    loft_set_misuse_handler(note_misuse, NULL);
    loft_arena *one = new_arena("one");
    loft_arena *two = new_arena("two");
    void *block = loft_arena_malloc(two, 100);
    loft_arena_free(one, block);
    LOFT_CHECK_EQ_UINT(misuse_count, 1);
    LOFT_CHECK_EQ_PTR(misuse_seen.address, block);
    LOFT_CHECK_TRUE(misuse_seen.kind == LOFT_MISUSE_WRONG_ARENA ||
                    misuse_seen.kind == LOFT_MISUSE_FOREIGN);
    check_arena(one);
    check_arena(two);
    loft_arena_free(two, block);
    LOFT_CHECK_EQ_UINT(misuse_count, 1);
    loft_arena_free(two, block);
    LOFT_CHECK_EQ_UINT(misuse_count, 2);
    LOFT_CHECK_EQ_INT(misuse_seen.kind, LOFT_MISUSE_DOUBLE_FREE);
    close_arena(one);
    close_arena(two);
}
