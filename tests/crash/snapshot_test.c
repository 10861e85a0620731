/* Every crash while a snapshot is made, and its source goes on committing: the target is as it was before or
 * whole, and the source is as of one of its commits. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "crash/enumerate.h"
#include "crash/map_pool.h"
#include "crash/mutant.h"
#include "journal/store.h"
#include "loft/arena.h"
#include "support/memory_fs.h"
#include "support/test.h"

enum { SNAPSHOT_WORKERS = 2, SNAPSHOT_COARSE_BYTES = 64 * 1024, OLD_BYTES = 3 };

static const char *const source = "/data";
static const char *const target = "/copy";

typedef struct state {
    uint64_t sequence, hash;
} state;

typedef struct world {
    memory_fs *memory;
    record_fs *record;
    loft_arena *arena;
    bool replace, committed;
    size_t first_op;            /* of the log, that the snapshot makes */
    state first, before, after; /* of the source: three commits */
    state copy;
} world;

/* What a store holds: every page of its heap. */
static int state_read(const lofti_file_ops *ops, const char *path, state *out)
{
    lofti_file file = {0};
    lofti_store store;
    uint8_t page[LOFTI_PAGE_BYTES];
    lofti_file_ops_set(ops);
    int code = lofti_file_open(path, LOFTI_OPEN_READ, 0, &file) == 0 ? LOFT_OK : LOFT_ENOENT;
    lofti_file_ops_set(NULL);
    if (code == LOFT_OK) {
        code = lofti_store_open(&store, &file, path, false);
    }
    if (code != LOFT_OK) {
        return code;
    }
    *out = (state){store.sequence, 0};
    for (uint64_t i = LOFTI_HEAP_OFF / LOFTI_PAGE_BYTES;
         i < store.frontier / LOFTI_PAGE_BYTES && code == LOFT_OK; i++) {
        code = lofti_store_read_page(&store, i, page);
        out->hash = lofti_hash(page, sizeof page, out->hash);
    }
    lofti_store_close(&store);
    return code;
}

/* The file that is to be replaced, as it was. */
static bool target_is_old(const lofti_file_ops *ops)
{
    lofti_file file = {0};
    lofti_file_info info = {0};
    char text[OLD_BYTES + 1] = "";
    lofti_file_ops_set(ops);
    const bool open = lofti_file_open(target, LOFTI_OPEN_READ, 0, &file) == 0;
    lofti_file_ops_set(NULL);
    const bool old = open && lofti_file_info_get(&file, &info) == 0 && info.bytes == OLD_BYTES &&
                     lofti_file_read(&file, text, OLD_BYTES, 0) == 0 && strcmp(text, "old") == 0;
    (void)lofti_file_close(&file);
    return old;
}

static int64_t recover(void *context, const lofti_file_ops *ops, char *why)
{
    const world *of = context;
    state found = {0, 0};
    int code = state_read(ops, source, &found);
    if (code != LOFT_OK || (memcmp(&found, &of->first, sizeof found) != 0 &&
                            memcmp(&found, &of->before, sizeof found) != 0 &&
                            memcmp(&found, &of->after, sizeof found) != 0)) {
        (void)snprintf(why, CRASH_WHY_BYTES, "the source: %s, commit %llu",
                       code != LOFT_OK ? loft_last_error() : "another content",
                       (unsigned long long)found.sequence);
        return -1;
    }
    code = state_read(ops, target, &found);
    if (code == LOFT_ENOENT && !of->replace) {
        return 0;
    }
    if (code != LOFT_OK && of->replace && target_is_old(ops)) {
        return 0;
    }
    if (code != LOFT_OK || memcmp(&found, &of->copy, sizeof found) != 0) {
        (void)snprintf(why, CRASH_WHY_BYTES, "the target: %s, commit %llu",
                       code != LOFT_OK ? loft_last_error() : "another content",
                       (unsigned long long)found.sequence);
        return -1;
    }
    return 1;
}

static void must(bool well, const char *what)
{
    if (!well) {
        LOFT_FAIL("%s: %s", what, loft_last_error());
    }
}

static void push(world *of, uint64_t number, size_t bytes)
{
    uint64_t *block = loft_arena_malloc(of->arena, bytes);
    must(block != NULL, "malloc");
    for (size_t i = 0; i < bytes / sizeof *block; i++) {
        block[i] = number * 1000003 + i;
    }
    must(loft_arena_set_root(of->arena, "newest", block) == LOFT_OK, "root");
}

/* Once, while the copy runs. */
static int commit_meanwhile(void *context, uint64_t done, uint64_t total)
{
    world *of = context;
    if (!of->committed && done * 2 >= total) {
        of->committed = true;
        push(of, 9, 3000);
        must(loft_arena_commit(of->arena) == LOFT_OK, "commit meanwhile");
    }
    return 0;
}

static void record(world *of, bool clone, bool unnamed)
{
    of->memory = memory_fs_create();
    must(of->memory != NULL, "memory");
    memory_fs_set_clone(of->memory, clone);
    memory_fs_set_unnamed(of->memory, unnamed);
    lofti_file_ops_set(memory_fs_ops(of->memory));
    must(loft_arena_open(source, LOFT_CREATE, NULL, &of->arena) == LOFT_OK, "create");
    push(of, 1, 200000);
    must(loft_arena_close(of->arena) == LOFT_OK, "close");
    if (of->replace) {
        must(memory_fs_put(of->memory, target, "old", OLD_BYTES) == 0, "old");
    }
    /* All of that is on the device. */
    must(state_read(memory_fs_ops(of->memory), source, &of->first) == LOFT_OK, "first");
    of->record = record_fs_create(memory_fs_ops(of->memory));
    lofti_file_ops_set(record_fs_ops(of->record));
    must(loft_arena_open(source, LOFT_WRITE, NULL, &of->arena) == LOFT_OK, "open");
    push(of, 2, 3000);
    must(loft_arena_commit(of->arena) == LOFT_OK, "commit");
    must(state_read(record_fs_ops(of->record), source, &of->before) == LOFT_OK, "before");
    record_fs_mark(of->record, 0, 0);
    record_fs_begun(of->record, 1);
    of->first_op = record_fs_log(of->record)->count;
    lofti_file_ops_set(record_fs_ops(of->record));
    must(loft_arena_snapshot(of->arena, target, of->replace ? LOFT_REPLACE : 0, commit_meanwhile,
                             of) == LOFT_OK,
         "snapshot");
    record_fs_returned(of->record, 1);
    must(of->committed, "a commit meanwhile");
    must(state_read(record_fs_ops(of->record), source, &of->after) == LOFT_OK, "after");
    must(state_read(record_fs_ops(of->record), target, &of->copy) == LOFT_OK, "copy");
    LOFT_CHECK_EQ_UINT(of->copy.hash, of->before.hash);
    LOFT_CHECK_EQ_UINT(of->after.sequence, of->before.sequence + 1);
    must(loft_arena_abandon(of->arena) == LOFT_OK, "abandon");
    lofti_file_ops_set(NULL);
}

static crash_result result; /* large */

/* Returns: violations. */
static uint64_t try_log(world *of, const char *name, const record_log *log, uint64_t states)
{
    const crash_options options = {.states = states,
                                   .seed = loft_test_seed(),
                                   .workers = SNAPSHOT_WORKERS,
                                   .coarse_bytes = SNAPSHOT_COARSE_BYTES};
    const crash_scenario scenario = {.name = name, .context = of, .recover = recover};
    return crash_enumerate(log, &scenario, &options, &result);
}

/* Each flush from the snapshot's beginning on left out: the source's commit, the target, the folder. */
static void leave_flushes_out(world *of)
{
    const record_log *log = record_fs_log(of->record);
    unsigned caught = 0, tried = 0;
    for (size_t op = of->first_op; op < log->count; op++) {
        if (crash_mutant_is_flush(&log->ops[op])) {
            crash_mutant mutant;
            crash_mutant_begin(&mutant, log);
            crash_mutant_drop(&mutant, op);
            tried++;
            caught += try_log(of, "a flush left out", &mutant.log, 2000) != 0;
            crash_mutant_end(&mutant);
        }
    }
    /* Without its own flush the source is as of an older commit: no violation here. */
    LOFT_CHECK_EQ_UINT(tried, 3);
    LOFT_CHECK_EQ_UINT(caught, 2);
}

static void enumerate(const char *name, bool clone, bool unnamed, bool replace)
{
    world of = {.replace = replace};
    record(&of, clone, unnamed);
    map_pool_install();
    const uint64_t violations =
        try_log(&of, name, record_fs_log(of.record), loft_test_scale(6000, 200000, 2000000));
    printf("%-24s %7llu states, %llu again, %llu points, <= %u units, %.1f s\n%s", name,
           (unsigned long long)result.states, (unsigned long long)result.duplicates,
           (unsigned long long)result.points, result.most_pending, result.seconds, result.text);
    LOFT_CHECK_EQ_UINT(violations, 0);
    /* What has no name yet is the same everywhere. */
    LOFT_CHECK_GT_UINT(result.states, loft_test_scale(100, 100, 100));
    leave_flushes_out(&of);
    record_fs_destroy(of.record);
    memory_fs_destroy(of.memory);
}

LOFT_TEST(crash_snapshot, by_copying_to_an_unnamed_file)
{
    enumerate("copied", false, true, false);
}
LOFT_TEST(crash_snapshot, by_sharing_blocks) { enumerate("cloned", true, true, false); }
LOFT_TEST(crash_snapshot, by_a_temporary_name) { enumerate("named", false, false, false); }
LOFT_TEST(crash_snapshot, replacing) { enumerate("replacing", false, true, true); }
