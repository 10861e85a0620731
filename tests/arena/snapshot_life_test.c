/* What a snapshot is, of what arenas it can be made, and what refuses it. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena/arena_world.h"
#include "os/file.h"

static void snapshot(loft_arena *arena, const char *path)
{
    LOFT_CHECK_OK(loft_arena_snapshot(arena, path, 0, NULL, NULL));
}

static int print_fault(void *context, const loft_fault *fault)
{
    (void)context;
    LOFT_FAIL("offset %llu: %s", (unsigned long long)fault->offset, fault->text);
}

static void check_file(const char *path)
{
    LOFT_CHECK_OK(loft_file_check(path, print_fault, NULL, NULL));
}

static loft_arena_info info_of(const char *path)
{
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_file_describe(path, &info));
    return info;
}

LOFT_TEST(arena_snapshot_life, has_the_last_commit_its_own_name_and_an_empty_journal)
{
    const char *path = loft_test_tmp_path("copy");
    loft_arena *arena = new_arena("data");
    list_push(arena, 1, 100);
    list_push(arena, 2, 300000);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    list_push(arena, 3, 100); /* not committed */
    snapshot(arena, path);
    check_file(path);
    const loft_arena_info from = info_of(loft_test_tmp_path("data"));
    const loft_arena_info to = info_of(path);
    LOFT_CHECK_EQ_UINT(to.base, from.base);
    LOFT_CHECK_EQ_UINT(to.sequence, from.sequence);
    LOFT_CHECK_EQ_UINT(to.journal_bytes, 0);
    LOFT_CHECK_GT_UINT(from.journal_bytes, 0);
    LOFT_CHECK_TRUE(memcmp(to.uuid, from.uuid, sizeof to.uuid) != 0);
    loft_arena *copy = open_arena(path, LOFT_RELOCATE);
    LOFT_CHECK_EQ_UINT(list_check(copy), 2);
    abandon_arena(copy);
    close_arena(arena);
    arena = open_arena(path, LOFT_WRITE); /* the source's place is free now */
    check_arena(arena);
    list_push(arena, 3, 5 << 20);
    close_arena(arena);
    check_file(path);
}

/* Commits in the journal, in place, and applied; a chunk of journal between chunks of heap. */
LOFT_TEST(arena_snapshot_life, knows_every_way_that_a_commit_lies_in_the_file)
{
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    options.journal_limit_bytes = (uint64_t)1 << 40;
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_open(loft_test_tmp_path("data"), LOFT_CREATE, &options, &arena));
    uint64_t count = 0;
    for (int round = 0; round < 4; round++) {
        list_push(arena, ++count, 6 << 20); /* grows: in place */
        LOFT_CHECK_OK(loft_arena_commit(arena));
        for (int i = 0; i < 30; i++) { /* more than the journal's first extent holds, in the end */
            list_push(arena, ++count, 60000);
        }
        LOFT_CHECK_OK(loft_arena_commit_async(arena, NULL));
        if (round == 1) {
            LOFT_CHECK_OK(loft_arena_checkpoint(arena));
        }
        const char *path = loft_test_tmp_path("copy");
        LOFT_CHECK_OK(loft_arena_snapshot(arena, path, LOFT_REPLACE, NULL, NULL));
        check_file(path);
        loft_arena *copy = open_arena(path, LOFT_RELOCATE);
        LOFT_CHECK_EQ_UINT(list_check(copy), count);
        check_arena(copy);
        abandon_arena(copy);
    }
    close_arena(arena);
}

LOFT_TEST(arena_snapshot_life, keeps_holes)
{
    loft_arena *arena = new_arena("data");
    /* In a small address space less. */
    loft_arena_info from = {.struct_bytes = sizeof from};
    LOFT_CHECK_OK(loft_arena_describe(arena, &from));
    const uint64_t half = from.reserve_bytes / 2;
    LOFT_CHECK_GT_UINT(half, (uint64_t)64 << 20);
    const uint64_t bytes = half < (uint64_t)8 << 30 ? half : (uint64_t)8 << 30;
    LOFT_CHECK_NOT_NULL(loft_arena_malloc(arena, bytes)); /* never touched */
    list_push(arena, 1, 1000);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("data"), LOFTI_OPEN_READ, 0, &file), 0);
    const bool tells = lofti_file_seek(&file, bytes / 2, false) != (int64_t)(bytes / 2);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    if (!tells) {
        close_arena(arena);
        LOFT_SKIP("this system does not tell holes");
    }
    snapshot(arena, loft_test_tmp_path("copy"));
    const loft_arena_info to = info_of(loft_test_tmp_path("copy"));
    LOFT_CHECK_GT_UINT(to.file_bytes, bytes);
    LOFT_CHECK_LT_UINT(to.stored_bytes, 2 << 20);
    close_arena(arena);
}

LOFT_TEST(arena_snapshot_life, a_reader_can_make_one_beside_a_writer)
{
    loft_arena *writer = new_arena("data");
    list_push(writer, 1, 100);
    LOFT_CHECK_OK(loft_arena_commit(writer));
    loft_arena *reader = open_arena(loft_test_tmp_path("data"), LOFT_RELOCATE);
    list_push(writer, 2, 100);
    LOFT_CHECK_OK(loft_arena_commit(writer));
    snapshot(reader, loft_test_tmp_path("copy"));
    loft_arena *copy = open_arena(loft_test_tmp_path("copy"), LOFT_RELOCATE);
    LOFT_CHECK_EQ_UINT(list_check(copy), 1); /* what the reader sees */
    abandon_arena(copy);
    abandon_arena(reader);
    close_arena(writer);
}

/* --- Arenas without a file ------------------------------------------------------------------------------ */

LOFT_TEST(arena_snapshot_life, saves_an_anonymous_arena_at_its_own_address)
{
    const char *path = loft_test_tmp_path("copy");
    loft_arena *arena = open_arena(NULL, 0);
    for (uint64_t i = 1; i <= 50; i++) {
        list_push(arena, i, 100000);
    }
    const void *root = loft_arena_root(arena, "list");
    snapshot(arena, path);
    check_file(path);
    LOFT_CHECK_EQ_UINT(list_check(arena), 50);
    close_arena(arena);
    arena = open_arena(path, LOFT_WRITE);
    LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "list"), root);
    LOFT_CHECK_EQ_UINT(list_check(arena), 50);
    check_arena(arena);
    list_push(arena, 51, 9 << 20); /* it grows and commits like any other */
    LOFT_CHECK_OK(loft_arena_commit(arena));
    close_arena(arena);
    check_file(path);
}

/* Offsets hold; sizes that end inside a chunk, or inside the first, too. */
LOFT_TEST(arena_snapshot_life, saves_an_arena_over_memory)
{
    static const size_t sizes[] = {64 << 10, 1000000, 4 << 20, (9 << 20) + 4096 * 17, 40 << 20};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        const char *path = loft_test_tmp_path("copy");
        char *memory = malloc(sizes[i] + 64);
        LOFT_CHECK_NOT_NULL(memory);
        loft_arena *arena = NULL;
        char *at = memory + (64 - (uintptr_t)memory % 64) % 64 + 16;
        LOFT_CHECK_OK(loft_arena_over(at, sizes[i], LOFT_CREATE, NULL, &arena));
        char *text = loft_arena_strdup(arena, "kept");
        LOFT_CHECK_NOT_NULL(text);
        LOFT_CHECK_OK(loft_arena_set_root(arena, "text", text));
        const uint64_t offset = loft_offset(arena, text);
        LOFT_CHECK_OK(loft_arena_snapshot(arena, path, LOFT_REPLACE, NULL, NULL));
        close_arena(arena);
        free(memory);
        check_file(path);
        arena = open_arena(path, LOFT_WRITE);
        check_arena(arena);
        LOFT_CHECK_EQ_UINT(loft_offset(arena, loft_arena_root(arena, "text")), offset);
        LOFT_CHECK_EQ_STR(loft_arena_root(arena, "text"), "kept");
        loft_arena_free(arena, loft_arena_root(arena, "text"));
        LOFT_CHECK_OK(loft_arena_set_root(arena, "text", loft_arena_strdup(arena, "changed")));
        LOFT_CHECK_OK(loft_arena_commit(arena));
        LOFT_CHECK_OK(loft_arena_rollback(arena));
        close_arena(arena);
        check_file(path);
        arena = open_arena(path, LOFT_WRITE);
        LOFT_CHECK_EQ_STR(loft_arena_root(arena, "text"), "changed");
        check_arena(arena);
        LOFT_CHECK_NULL(loft_arena_malloc(arena, (size_t)64 << 20)); /* the memory's size stays */
        LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOMEM);
        close_arena(arena);
    }
}

/* --- Refusals --------------------------------------------------------------------------------------------- */

static void refused(loft_arena *arena, const char *path, unsigned flags, int want, const char *part)
{
    const leftovers before = leftovers_before(loft_test_folder());
    const int code = loft_arena_snapshot(arena, path, flags, NULL, NULL);
    if (code != want) {
        LOFT_FAIL("snapshot '%s' gave %s, not %s: %s", path, loft_error_name(code),
                  loft_error_name(want), loft_last_error());
    }
    LOFT_CHECK_CONTAINS(loft_last_error(), part);
    leftovers_check(&before);
}

LOFT_TEST(arena_snapshot_life, is_refused_with_a_reason_and_nothing_is_left)
{
    loft_arena *arena = new_arena("data");
    list_push(arena, 1, 100);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    snapshot(arena, loft_test_tmp_path("warm"));
    size_t bytes = 0;
    uint8_t *whole = file_read(loft_test_tmp_path("data"), &bytes);

    refused(arena, NULL, 0, LOFT_EINVAL, "path");
    refused(arena, "", 0, LOFT_EINVAL, "path");
    refused(arena, loft_test_tmp_path("copy"), LOFT_WRITE, LOFT_EINVAL, "flags");
    refused(arena, loft_test_tmp_path("none/copy"), 0, LOFT_ENOENT, "none/copy");
    refused(arena, loft_test_tmp_path("warm"), 0, LOFT_EEXIST, "LOFT_REPLACE");
    refused(arena, loft_test_tmp_path("data"), 0, LOFT_EINVAL, "source itself");
    refused(arena, loft_test_tmp_path("data"), LOFT_REPLACE, LOFT_EINVAL, "source itself");
    LOFT_CHECK_SYS(link(loft_test_tmp_path("data"), loft_test_tmp_path("other")));
    refused(arena, loft_test_tmp_path("other"), LOFT_REPLACE, LOFT_EINVAL, "source itself");
    LOFT_CHECK_SYS(symlink("nowhere", loft_test_tmp_path("link")));
    refused(arena, loft_test_tmp_path("link"), 0, LOFT_EEXIST, "symbolic link");
    refused(arena, loft_test_tmp_path("link"), LOFT_REPLACE, LOFT_EINVAL, "symbolic link");
    LOFT_CHECK_SYS(mkdir(loft_test_tmp_path("folder"), 0700));
    refused(arena, loft_test_tmp_path("folder"), 0, LOFT_EEXIST, "exists");
    refused(arena, loft_test_tmp_path("folder"), LOFT_REPLACE, LOFT_EINVAL, "regular file");
    refused(arena, "/proc/loft-copy", 0, LOFT_ENOENT, "/proc/loft-copy");

    loft_arena *busy = open_arena(loft_test_tmp_path("warm"), LOFT_RELOCATE);
    abandon_arena(busy);
    LOFT_CHECK_OK(loft_arena_snapshot(arena, loft_test_tmp_path("warm"), LOFT_REPLACE, NULL, NULL));
    busy = new_arena("busy");
    refused(arena, loft_test_tmp_path("busy"), LOFT_REPLACE, LOFT_EBUSY, "writer");
    close_arena(busy);

    size_t bytes_after = 0;
    uint8_t *after = file_read(loft_test_tmp_path("data"), &bytes_after);
    LOFT_CHECK_EQ_UINT(bytes_after, bytes);
    LOFT_CHECK_EQ_MEM(after, whole, bytes);
    free(after);
    free(whole);
    close_arena(arena);
}

LOFT_TEST(arena_snapshot_life, goes_to_another_file_system)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/dev/shm/loft-test.%ld", (long)getpid());
    if (access("/dev/shm", W_OK) != 0) {
        LOFT_SKIP("no /dev/shm that can be written");
    }
    loft_arena *arena = new_arena("data");
    list_push(arena, 1, 100000);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    snapshot(arena, path);
    loft_arena *copy = NULL;
    const int opened = loft_arena_open(path, LOFT_RELOCATE, NULL, &copy);
    const int checked = loft_file_check(path, NULL, NULL, NULL);
    LOFT_CHECK_SYS(unlink(path));
    LOFT_CHECK_OK(opened);
    LOFT_CHECK_OK(checked);
    LOFT_CHECK_EQ_UINT(list_check(copy), 1);
    abandon_arena(copy);
    close_arena(arena);
}

LOFT_TEST(arena_snapshot_life, needs_a_folder_that_can_be_written)
{
    if (geteuid() == 0) {
        LOFT_SKIP("root may write anywhere");
    }
    LOFT_CHECK_SYS(mkdir(loft_test_tmp_path("locked"), 0500));
    loft_arena *arena = new_arena("data");
    refused(arena, loft_test_tmp_path("locked/copy"), 0, LOFT_EACCES, "locked/copy");
    close_arena(arena);
}

LOFT_TEST(arena_snapshot_life, is_no_more_readable_than_its_source)
{
    static const mode_t modes[][2] = {{0600, 0600}, {0640, 0600}, {0666, 0600}, {0400, 0400}};
    loft_arena *arena = new_arena("data");
    (void)umask(0);
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct stat status;
        const char *path = loft_test_tmp_path("copy");
        LOFT_CHECK_SYS(chmod(loft_test_tmp_path("data"), modes[i][0]));
        snapshot(arena, path);
        LOFT_CHECK_SYS(stat(path, &status));
        LOFT_CHECK_EQ_UINT(status.st_mode & 07777, modes[i][1]);
        LOFT_CHECK_SYS(unlink(path));
    }
    close_arena(arena);
}

/* --- Progress ------------------------------------------------------------------------------------------- */

typedef struct steps {
    uint64_t calls, cancel_at, done, total;
    bool fell;
} steps;

static int step(void *context, uint64_t done, uint64_t total)
{
    steps *seen = context;
    seen->calls++;
    seen->fell = seen->fell || done < seen->done || done > total ||
                 (seen->calls > 1 && total != seen->total);
    seen->done = done;
    seen->total = total;
    return seen->calls == seen->cancel_at ? 1 : 0;
}

static void cancel_everywhere(loft_arena *arena)
{
    const char *path = loft_test_tmp_path("copy");
    steps all = {0};
    LOFT_CHECK_OK(loft_arena_snapshot(arena, path, 0, step, &all));
    LOFT_CHECK_SYS(unlink(path));
    LOFT_CHECK_FALSE(all.fell);
    LOFT_CHECK_EQ_UINT(all.done, all.total);
    LOFT_CHECK_GT_UINT(all.total, 20 << 20);
    LOFT_CHECK_GE_UINT(all.calls, 3); /* many where the bytes are written */
    for (uint64_t i = 1; i <= all.calls; i++) {
        steps some = {.cancel_at = i};
        const leftovers before = leftovers_before(loft_test_folder());
        LOFT_CHECK_ERR(loft_arena_snapshot(arena, path, 0, step, &some), LOFT_ECANCELED);
        LOFT_CHECK_EQ_UINT(some.calls, i);
        leftovers_check(&before);
    }
}

LOFT_TEST(arena_snapshot_life, tells_how_far_it_is_and_can_be_canceled_at_each_step)
{
    loft_arena *arena = new_arena("data");
    for (uint64_t i = 1; i <= 7; i++) {
        list_push(arena, i, 3 << 20);
    }
    LOFT_CHECK_OK(loft_arena_commit(arena));
    cancel_everywhere(arena);
    list_push(arena, 8, 100);
    close_arena(arena);
    arena = open_arena(NULL, 0);
    for (uint64_t i = 1; i <= 7; i++) {
        list_push(arena, i, 3 << 20);
    }
    cancel_everywhere(arena);
    LOFT_CHECK_EQ_UINT(list_check(arena), 7);
    close_arena(arena);
}

/* --- Fork ------------------------------------------------------------------------------------------------- */

typedef struct held {
    loft_arena *arena;
    atomic_int inside, go;
} held;

static int hold(void *context, uint64_t done, uint64_t total)
{
    held *state = context;
    (void)done;
    (void)total;
    atomic_store(&state->inside, 1);
    while (atomic_load(&state->go) == 0) {
        sched_yield();
    }
    return 0;
}

static void *hold_run(void *arg)
{
    held *state = arg;
    LOFT_CHECK_OK(loft_arena_snapshot(state->arena, loft_test_tmp_path("copy"), 0, hold, state));
    return NULL;
}

static void go_on_in_child(void *arg)
{
    loft_arena *arena = arg;
    loft_arena_enter(arena);
    list_push(arena, 2, 1000);
    loft_arena_leave(arena);
    snapshot(arena, loft_test_tmp_path("child"));
    close_arena(arena);
}

/* The thread that holds the gate does not exist in the child. */
LOFT_TEST(arena_snapshot_life, a_child_forked_meanwhile_uses_its_copy_of_an_anonymous_arena)
{
    held state = {.arena = open_arena(NULL, 0)};
    pthread_t thread;
    loft_test_child child;
    list_push(state.arena, 1, 1000);
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, hold_run, &state), 0);
    while (atomic_load(&state.inside) == 0) {
        sched_yield();
    }
    loft_test_run_child(go_on_in_child, state.arena, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
    atomic_store(&state.go, 1);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    loft_arena *copy = open_arena(loft_test_tmp_path("child"), LOFT_RELOCATE);
    LOFT_CHECK_EQ_UINT(list_check(copy), 2);
    abandon_arena(copy);
    close_arena(state.arena);
    LOFT_CHECK_OK(loft_file_check(loft_test_tmp_path("copy"), NULL, NULL, NULL));
}
