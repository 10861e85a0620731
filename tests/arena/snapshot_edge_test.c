/* Snapshots where something is in the way or happens in between: folders that vanish, names that are taken meanwhile,
 * callbacks that use the arena, arenas without a file whose threads go on. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena/arena_world.h"
#include "loft/inspect.h"
#include "support/held.h"

static loft_arena *arena_with(const char *name, uint64_t nodes, uint64_t bytes)
{
    loft_arena *arena = name != NULL ? new_arena(name) : open_arena(NULL, 0);
    for (uint64_t i = 1; i <= nodes; i++) {
        list_push(arena, i, bytes);
    }
    if (name != NULL) {
        LOFT_CHECK_OK(loft_arena_commit(arena));
    }
    return arena;
}

static void has_nodes(const char *path, uint64_t nodes)
{
    LOFT_CHECK_OK(loft_file_check(path, NULL, NULL, NULL));
    loft_arena *copy = open_arena(path, LOFT_RELOCATE);
    LOFT_CHECK_EQ_UINT(list_check(copy), nodes);
    check_arena(copy);
    abandon_arena(copy);
}

static void holds_text(const char *path, const char *text)
{
    size_t bytes = 0;
    uint8_t *content = file_read(path, &bytes);
    LOFT_CHECK_EQ_UINT(bytes, strlen(text));
    LOFT_CHECK_EQ_MEM(content, text, bytes);
    free(content);
}

/* --- Paths ------------------------------------------------------------------------------------------------ */

LOFT_TEST(arena_snapshot_edge, a_path_leads_from_where_the_process_is_now)
{
    loft_arena *arena = arena_with("data", 3, 100);
    LOFT_CHECK_SYS(mkdir(loft_test_tmp_path("here"), 0700));
    LOFT_CHECK_SYS(chdir(loft_test_tmp_path("here")));
    LOFT_CHECK_OK(loft_arena_snapshot(arena, "copy", 0, NULL, NULL));
    LOFT_CHECK_OK(loft_arena_snapshot(arena, "../here/copy", LOFT_REPLACE, NULL, NULL));
    LOFT_CHECK_ERR(loft_arena_snapshot(arena, "../data", LOFT_REPLACE, NULL, NULL), LOFT_EINVAL);
    LOFT_CHECK_CONTAINS(loft_last_error(), "source itself");
    LOFT_CHECK_EQ_UINT(loft_test_entries("."), 1);
    LOFT_CHECK_SYS(chdir(loft_test_folder()));
    has_nodes("here/copy", 3);

    LOFT_CHECK_SYS(mkdir("gone", 0700));
    LOFT_CHECK_SYS(chdir("gone"));
    LOFT_CHECK_SYS(rmdir("../gone") == 0 ? 0 : rmdir(loft_test_tmp_path("gone")));
    for (unsigned flags = 0; flags <= LOFT_REPLACE; flags += LOFT_REPLACE) {
        LOFT_CHECK_ERR(loft_arena_snapshot(arena, "copy", flags, NULL, NULL), LOFT_ENOENT);
        LOFT_CHECK_CONTAINS(loft_last_error(), "'copy'");
    }
    loft_arena *other = NULL;
    LOFT_CHECK_ERR(loft_arena_open("copy", LOFT_CREATE, NULL, &other), LOFT_ENOENT);
    LOFT_CHECK_SYS(chdir(loft_test_folder()));
    has_nodes("data", 3);
    close_arena(arena);
}

typedef struct meanwhile {
    const char *path;
    bool is_folder, done;
} meanwhile;

/* At the first call: a folder vanishes, or somebody else makes a file. */
static int do_meanwhile(void *context, uint64_t done, uint64_t total)
{
    meanwhile *what = context;
    (void)done;
    (void)total;
    if (!what->done) {
        what->done = true;
        if (what->is_folder) {
            what->done = rmdir(what->path) == 0;
        } else {
            file_write(what->path, "mine", 4);
        }
    }
    return 0;
}

LOFT_TEST(arena_snapshot_edge, a_folder_that_vanishes_meanwhile)
{
    static const char *const names[] = {"data", NULL};
    for (size_t i = 0; i < 2; i++) {
        loft_arena *arena = arena_with(names[i], 3, 2 << 20);
        for (unsigned flags = 0; flags <= LOFT_REPLACE; flags += LOFT_REPLACE) {
            meanwhile what = {.path = loft_test_tmp_path("folder"), .is_folder = true};
            char path[512];
            (void)snprintf(path, sizeof path, "%s/copy", what.path);
            LOFT_CHECK_SYS(mkdir(what.path, 0700));
            const leftovers before = leftovers_before(loft_test_folder());
            const int code = loft_arena_snapshot(arena, path, flags, do_meanwhile, &what);
            if (code == LOFT_OK) { /* a file system where the target has a name from the first */
                LOFT_SKIP("the folder could not be removed");
            }
            LOFT_CHECK_ERR(code, LOFT_ENOENT);
            LOFT_CHECK_CONTAINS(loft_last_error(), path);
            LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), before.entries - 1);
            LOFT_CHECK_EQ_UINT(held_descriptors(), before.descriptors);
        }
        LOFT_CHECK_EQ_UINT(list_check(arena), 3);
        close_arena(arena);
    }
}

LOFT_TEST(arena_snapshot_edge, a_name_that_is_taken_meanwhile)
{
    loft_arena *arena = arena_with("data", 3, 100);
    meanwhile what = {.path = loft_test_tmp_path("copy")};
    LOFT_CHECK_ERR(loft_arena_snapshot(arena, what.path, 0, do_meanwhile, &what), LOFT_EEXIST);
    holds_text(what.path, "mine");
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 2);
    LOFT_CHECK_SYS(unlink(what.path));
    what.done = false;
    LOFT_CHECK_OK(loft_arena_snapshot(arena, what.path, LOFT_REPLACE, do_meanwhile, &what));
    has_nodes(what.path, 3);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 2);
    close_arena(arena);
}

/* A reader keeps the file that it has opened, whatever gets its name. */
LOFT_TEST(arena_snapshot_edge, what_is_replaced_stays_with_its_reader)
{
    loft_arena *arena = arena_with("data", 3, 100);
    const char *path = loft_test_tmp_path("copy");
    LOFT_CHECK_OK(loft_arena_snapshot(arena, path, 0, NULL, NULL));
    loft_arena *reader = open_arena(path, LOFT_RELOCATE);
    list_push(arena, 4, 100);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_snapshot(arena, path, LOFT_REPLACE, NULL, NULL));
    LOFT_CHECK_EQ_UINT(list_check(reader), 3);
    check_arena(reader);
    abandon_arena(reader);
    has_nodes(path, 4);
    close_arena(arena);
}

/* --- A damaged source ------------------------------------------------------------------------------------ */

/* Tries to copy what may be damaged. Returns whether there is a snapshot; if not, there is a sentence and nothing else. */
static bool copy_damaged(const char *path, const char *to)
{
    const leftovers before = leftovers_before(loft_test_folder());
    loft_arena *arena = NULL;
    int code = loft_arena_open(path, LOFT_RELOCATE, NULL, &arena);
    if (code == LOFT_OK) {
        code = loft_arena_snapshot(arena, to, 0, NULL, NULL);
        abandon_arena(arena);
    }
    if (code != LOFT_OK) {
        LOFT_CHECK_TRUE(code == LOFT_ECORRUPT || code == LOFT_EVERSION || code == LOFT_EADDRESS);
        LOFT_CHECK_CONTAINS(loft_last_error(), "': ");
        leftovers_check(&before);
        return false;
    }
    return true;
}

/* One bit of a byte of superblocks, journal or heap metadata: an error, or a copy of what the file still says. */
LOFT_TEST(arena_snapshot_edge, of_a_source_with_any_byte_of_its_metadata_damaged)
{
    static const uint64_t ranges[][2] = {{0, 12288}, {65536, 8192}, {4 << 20, 4096}};
    const char *path = loft_test_tmp_path("data");
    const char *to = loft_test_tmp_path("copy");
    loft_arena *arena = arena_with("data", 20, 300);
    LOFT_CHECK_OK(
        loft_arena_checkpoint(arena)); /* metadata in the file, and newer one in the journal */
    list_push(arena, 21, 300);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_GT_UINT(info.journal_bytes, 1000);
    LOFT_CHECK_OK(loft_arena_snapshot(arena, to, 0, NULL, NULL)); /* warms up */
    LOFT_CHECK_SYS(unlink(to));
    abandon_arena(arena);
    loft_test_random random = {loft_test_seed()};
    const uint64_t step = loft_test_stride(400, 40, 5);
    uint64_t tried = 0, refused = 0;
    size_t bytes = 0;
    uint8_t *whole = file_read(path, &bytes);
    LOFT_CHECK_GT_UINT(bytes, (4 << 20) + 4096);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const uint64_t end = ranges[i][0] + ranges[i][1];
        for (uint64_t off = ranges[i][0] + loft_test_random_below(&random, step); off < end;
             off += 1 + loft_test_random_below(&random, step)) {
            const uint8_t byte = whole[off] ^ (uint8_t)(1u << loft_test_random_below(&random, 8));
            file_patch(path, off, &byte, 1);
            if (copy_damaged(path, to)) {
                const int code = loft_file_check(to, NULL, NULL, NULL);
                LOFT_CHECK_TRUE(code == LOFT_OK || code == LOFT_ECORRUPT);
                LOFT_CHECK_SYS(unlink(to));
            } else {
                refused++;
            }
            tried++;
            file_patch(path, off, &whole[off], 1);
        }
    }
    LOFT_CHECK_GT_UINT(refused, tried / 20);
    size_t after_bytes = 0;
    uint8_t *after = file_read(path, &after_bytes);
    LOFT_CHECK_EQ_UINT(after_bytes, bytes);
    LOFT_CHECK_EQ_MEM(after, whole, bytes); /* every other byte is untouched, too */
    free(after);
    free(whole);
}

/* --- Commits ------------------------------------------------------------------------------------------- */

/* A commit that nobody has flushed has returned, too; what came after it is not in the snapshot. */
LOFT_TEST(arena_snapshot_edge, has_an_ordered_commit_and_nothing_behind_it)
{
    loft_arena *arena = arena_with("data", 3, 100);
    loft_arena_info info = {.struct_bytes = sizeof info};
    loft_arena_info copied = {.struct_bytes = sizeof copied};
    list_push(arena, 4, 100000);
    LOFT_CHECK_OK(loft_arena_commit_async(arena, NULL));
    list_push(arena, 5, 100);
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_OK(loft_arena_snapshot(arena, loft_test_tmp_path("copy"), 0, NULL, NULL));
    LOFT_CHECK_OK(loft_file_describe(loft_test_tmp_path("copy"), &copied));
    LOFT_CHECK_EQ_UINT(copied.sequence, info.sequence);
    has_nodes(loft_test_tmp_path("copy"), 4);
    LOFT_CHECK_EQ_UINT(list_check(arena), 5);
    close_arena(arena);
    has_nodes(loft_test_tmp_path("data"), 5);
}

/* --- Cancelling ------------------------------------------------------------------------------------------ */

typedef struct canceling {
    uint64_t calls, last, cancel_at;
} canceling;

static int cancel_at(void *context, uint64_t done, uint64_t total)
{
    canceling *seen = context;
    seen->calls++;
    seen->last = done == total ? seen->calls : 0;
    return seen->calls == seen->cancel_at ? 7 : 0;
}

LOFT_TEST(arena_snapshot_edge, canceled_at_the_first_or_last_call_replaces_nothing)
{
    static const char *const names[] = {"data", NULL};
    const char *path = loft_test_tmp_path("copy");
    for (size_t i = 0; i < 2; i++) {
        loft_arena *arena = arena_with(names[i], 4, 2 << 20);
        canceling all = {0};
        LOFT_CHECK_OK(loft_arena_snapshot(arena, path, LOFT_REPLACE, cancel_at, &all));
        LOFT_CHECK_EQ_UINT(all.last, all.calls); /* at 100 %, and not called again */
        file_write(path, "old", 3);
        const uint64_t when[] = {1, all.calls};
        for (size_t k = 0; k < 2; k++) {
            canceling some = {.cancel_at = when[k]};
            const leftovers before = leftovers_before(loft_test_folder());
            LOFT_CHECK_ERR(loft_arena_snapshot(arena, path, LOFT_REPLACE, cancel_at, &some),
                           LOFT_ECANCELED);
            leftovers_check(&before);
            holds_text(path, "old");
        }
        loft_arena_statistics stats = {.struct_bytes = sizeof stats};
        LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
        LOFT_CHECK_EQ_UINT(stats.snapshot_count, 1);
        LOFT_CHECK_SYS(unlink(path));
        close_arena(arena);
    }
}

/* --- What callbacks may do ------------------------------------------------------------------------------- */

static int see_run(void *context, const loft_run *run)
{
    (void)run;
    ++*(uint64_t *)context;
    return 0;
}

/* Reads it in every way; and, if it has a file, changes and commits it. */
static int use_arena(void *context, uint64_t done, uint64_t total)
{
    loft_arena *arena = context;
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    loft_arena_info info = {.struct_bytes = sizeof info};
    uint64_t runs = 0;
    (void)done;
    (void)total;
    LOFT_CHECK_NOT_NULL(loft_arena_root(arena, "list"));
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_OK(loft_arena_each_run(arena, see_run, &runs));
    LOFT_CHECK_GT_UINT(runs, 1);
    check_arena(arena);
    if (info.file_bytes != 0) {
        loft_arena_enter(arena);
        list_push(arena, list_check(arena) + 1, 3000);
        loft_arena_leave(arena);
        LOFT_CHECK_OK(loft_arena_commit(arena));
        LOFT_CHECK_ERR(loft_arena_checkpoint(arena), LOFT_EPENDING);
    }
    return 0;
}

LOFT_TEST(arena_snapshot_edge, a_callback_may_use_the_arena)
{
    static const char *const names[] = {"data", NULL};
    for (size_t i = 0; i < 2; i++) {
        loft_arena *arena = arena_with(names[i], 4, 1 << 20);
        const char *path = loft_test_tmp_path("copy");
        LOFT_CHECK_OK(loft_arena_snapshot(arena, path, LOFT_REPLACE, use_arena, arena));
        has_nodes(path, 4);
        if (names[i] != NULL) {
            LOFT_CHECK_GT_UINT(list_check(arena), 4);
        }
        close_arena(arena);
    }
}

/* --- An arena without a file whose threads go on ------------------------------------------------------------ */

enum { WORKERS = 4, SLOTS = 64, SHOTS = 6 };

/* Each slot's block, of any size, begins with its bytes; the sum of `money` over all slots never changes. */
typedef struct slot {
    uint64_t bytes, mark;
} slot;

typedef struct table {
    int64_t money[WORKERS];
    slot *slots[WORKERS][SLOTS];
} table;

typedef struct worker {
    loft_arena *arena;
    table *table;
    atomic_int *stop;
    pthread_t thread;
    unsigned number;
    loft_test_random random;
} worker;

static void *worker_run(void *arg)
{
    worker *own = arg;
    while (atomic_load(own->stop) == 0) {
        loft_arena_enter(own->arena);
        slot **place = &own->table->slots[own->number][loft_test_random_below(&own->random, SLOTS)];
        const unsigned other = (unsigned)loft_test_random_below(&own->random, WORKERS);
        const uint64_t bytes = 16 + loft_test_random_below(&own->random, 1000) *
                                        loft_test_random_below(&own->random, 8);
        (void)__atomic_fetch_sub(&own->table->money[own->number], 1, __ATOMIC_RELAXED);
        loft_arena_free(own->arena, *place);
        *place = loft_arena_malloc(own->arena, bytes);
        LOFT_CHECK_NOT_NULL(*place);
        **place = (slot){bytes, bytes * 3 + own->number};
        (void)__atomic_fetch_add(&own->table->money[other], 1, __ATOMIC_RELAXED);
        loft_arena_leave(own->arena);
        sched_yield();
    }
    return NULL;
}

/* No section was half done when the copy was taken. */
static void check_table(const char *path)
{
    loft_arena *arena = open_arena(path, LOFT_RELOCATE);
    const table *found = loft_arena_root(arena, "table");
    int64_t money = 0;
    uint64_t leaks = 77;
    check_arena(arena);
    for (unsigned i = 0; i < WORKERS; i++) {
        money += found->money[i];
        for (unsigned k = 0; k < SLOTS; k++) {
            const slot *one = loft_arena_resolve(arena, found->slots[i][k]);
            LOFT_CHECK_TRUE(one == NULL || (one->mark == one->bytes * 3 + i &&
                                            loft_arena_usable_size(arena, one) >= one->bytes));
        }
    }
    LOFT_CHECK_EQ_INT(money, 0);
    LOFT_CHECK_OK(loft_arena_leaks(arena, NULL, NULL, &leaks));
    LOFT_CHECK_EQ_UINT(leaks, 0);
    abandon_arena(arena);
}

LOFT_TEST(arena_snapshot_edge, an_anonymous_arena_is_saved_between_the_sections_of_its_threads)
{
    static worker workers[WORKERS];
    atomic_int stop = 0;
    const char *path = loft_test_tmp_path("copy");
    loft_arena *arena = open_arena(NULL, 0);
    table *shared = loft_arena_calloc(arena, 1, sizeof *shared);
    LOFT_CHECK_NOT_NULL(shared);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "table", shared));
    const uint64_t seed = loft_test_seed();
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (worker){
            .arena = arena, .table = shared, .stop = &stop, .number = i, .random = {seed + i}};
        LOFT_CHECK_EQ_INT(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]), 0);
    }
    for (uint64_t i = 0; i < loft_test_scale(SHOTS, SHOTS * 10, SHOTS * 100); i++) {
        LOFT_CHECK_OK(loft_arena_snapshot(arena, path, LOFT_REPLACE, NULL, NULL));
        LOFT_CHECK_OK(loft_file_check(path, NULL, NULL, NULL));
        check_table(path);
    }
    atomic_store(&stop, 1);
    for (unsigned i = 0; i < WORKERS; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(workers[i].thread, NULL), 0);
    }
    close_arena(arena);
}
