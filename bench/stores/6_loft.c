/* loft, once with each way of finding changed pages. The table is one block of an arena that was made,
 * closed and opened again, as programs find theirs. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit_store.h"
#include "loft/arena.h"

typedef struct loft_table {
    char *path;
    loft_arena *arena; /* NULL: none */
    unsigned char *values;
} loft_table;

static void table_close(void *state)
{
    loft_table *table = state;
    if (table->arena != NULL) {
        (void)loft_arena_abandon(table->arena);
    }
    (void)unlink(table->path);
    free(table->path);
    free(table);
}

static bool fill(loft_table *table, size_t bytes)
{
    if (loft_arena_open(table->path, LOFT_CREATE | LOFT_EXCLUSIVE, NULL, &table->arena) != 0) {
        return false;
    }
    table->values = loft_arena_malloc(table->arena, bytes);
    if (table->values == NULL) {
        return false;
    }
    memset(table->values, 0x5a, bytes);
    if (loft_arena_set_root(table->arena, "table", table->values) != 0 ||
        loft_arena_close(table->arena) != 0) {
        return false;
    }
    table->arena = NULL;
    if (loft_arena_open(table->path, LOFT_WRITE, NULL, &table->arena) != 0) {
        return false;
    }
    table->values = loft_arena_root(table->arena, "table");
    return table->values != NULL;
}

static void *table_open(const commit_store *store, const char *folder, uint64_t count)
{
    loft_table *table = calloc(1, sizeof *table);
    table->path = commit_path(folder, store->file);
    (void)setenv("LOFT_TRACKER", store->argument, 1);
    if (!fill(table, count * COMMIT_VALUE_BYTES)) {
        (void)commit_fail(store->name, table->path, loft_last_error());
        table_close(table);
        table = NULL;
    }
    (void)unsetenv("LOFT_TRACKER");
    return table;
}

static bool table_commit(void *state, const uint64_t *idx, size_t count,
                         const unsigned char value[COMMIT_VALUE_BYTES])
{
    loft_table *table = state;
    for (size_t i = 0; i < count; i++) {
        memcpy(table->values + idx[i] * COMMIT_VALUE_BYTES, value, COMMIT_VALUE_BYTES);
    }
    return loft_arena_commit(table->arena) == 0 ||
           commit_fail("loft", table->path, loft_last_error());
}

COMMIT_STORE(commit_loft_wp) = {
    .name = "loft wp_async",
    .what =
        "loft, LOFT_TRACKER=wp_async (the kernel's write tracking), DURABLE; its checkpoints count",
    .argument = "wp_async",
    .file = "wp_async.loft",
    .kind = HARNESS_LOFT,
    .open = table_open,
    .commit = table_commit,
    .close = table_close,
};

COMMIT_STORE(commit_loft_private) = {
    .name = "loft private",
    .what = "loft, LOFT_TRACKER=private (any Linux), DURABLE; its checkpoints count",
    .argument = "private",
    .file = "private.loft",
    .kind = HARNESS_LOFT,
    .open = table_open,
    .commit = table_commit,
    .close = table_close,
};
