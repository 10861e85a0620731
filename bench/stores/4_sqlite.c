/* SQLite: WAL, synchronous=FULL, one transaction of K prepared updates. Its checkpoints are made between
 * rounds and not measured (and cost it nothing here), so that its figures are its best. */
#include "commit_store.h"

#if BENCH_HAS_SQLITE
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct sqlite_table {
    char *path;
    sqlite3 *db;
    sqlite3_stmt *update;
    int log_pages;
} sqlite_table;

/* SQLite's own default, after which a commit checkpoints. */
enum { LOG_PAGES_MAX = 1000 };

static void sqlite_close(void *state)
{
    static const char *const files[] = {"", "-wal", "-shm"};
    sqlite_table *table = state;
    (void)sqlite3_finalize(table->update);
    (void)sqlite3_close(table->db);
    for (size_t i = 0; i < 3; i++) {
        const size_t bytes = strlen(table->path) + 8;
        char *name = malloc(bytes);
        (void)snprintf(name, bytes, "%s%s", table->path, files[i]);
        (void)unlink(name);
        free(name);
    }
    free(table->path);
    free(table);
}

static bool fill(sqlite_table *table, uint64_t count)
{
    static const unsigned char zero[COMMIT_VALUE_BYTES];
    sqlite3_stmt *insert = NULL;
    bool good = sqlite3_exec(table->db, "BEGIN", NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_prepare_v2(table->db, "INSERT INTO t VALUES (?1, ?2)", -1, &insert, NULL) ==
                    SQLITE_OK;
    for (uint64_t i = 0; i < count && good; i++) {
        good = sqlite3_bind_int64(insert, 1, (sqlite3_int64)i) == SQLITE_OK &&
               sqlite3_bind_blob(insert, 2, zero, sizeof zero, SQLITE_STATIC) == SQLITE_OK &&
               sqlite3_step(insert) == SQLITE_DONE && sqlite3_reset(insert) == SQLITE_OK;
    }
    (void)sqlite3_finalize(insert);
    return good && sqlite3_exec(table->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
}

/* Called after each commit. */
static int note_log(void *state, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((sqlite_table *)state)->log_pages = pages;
    return SQLITE_OK;
}

static void *sqlite_open(const commit_store *store, const char *folder, uint64_t count)
{
    sqlite_table *table = calloc(1, sizeof *table);
    table->path = commit_path(folder, store->file);
    /* Filled before WAL is switched on: else the table would be written twice. */
    const bool good =
        sqlite3_open(table->path, &table->db) == SQLITE_OK &&
        sqlite3_exec(table->db,
                     "PRAGMA synchronous=OFF; CREATE TABLE t (id INTEGER PRIMARY KEY, value BLOB)",
                     NULL, NULL, NULL) == SQLITE_OK &&
        fill(table, count) &&
        sqlite3_exec(table->db,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=-524288",
                     NULL, NULL, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(table->db, "UPDATE t SET value = ?2 WHERE id = ?1", -1, &table->update,
                           NULL) == SQLITE_OK;
    if (!good) {
        (void)commit_fail(store->name, table->path, sqlite3_errmsg(table->db));
        sqlite_close(table);
        return NULL;
    }
    (void)sqlite3_wal_hook(table->db, note_log, table);
    return table;
}

static bool sqlite_commit(void *state, const uint64_t *idx, size_t count,
                          const unsigned char value[COMMIT_VALUE_BYTES])
{
    sqlite_table *table = state;
    sqlite3_stmt *update = table->update;
    bool good = sqlite3_exec(table->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
    for (size_t i = 0; i < count && good; i++) {
        good =
            sqlite3_bind_int64(update, 1, (sqlite3_int64)idx[i]) == SQLITE_OK &&
            sqlite3_bind_blob(update, 2, value, COMMIT_VALUE_BYTES, SQLITE_STATIC) == SQLITE_OK &&
            sqlite3_step(update) == SQLITE_DONE && sqlite3_reset(update) == SQLITE_OK;
    }
    good = good && sqlite3_exec(table->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    return good || commit_fail("SQLite", "commit", sqlite3_errmsg(table->db));
}

static void sqlite_rest(void *state)
{
    sqlite_table *table = state;
    if (table->log_pages > LOG_PAGES_MAX) {
        (void)sqlite3_wal_checkpoint_v2(table->db, NULL, SQLITE_CHECKPOINT_RESTART, NULL, NULL);
        table->log_pages = 0;
    }
}
#endif

COMMIT_STORE(commit_sqlite) = {
    .name = "SQLite",
    .what = "WAL, synchronous=FULL, one transaction of K updates; its checkpoints are not counted",
    .package = "libsqlite3-0",
    .file = "sqlite",
    .kind = HARNESS_PEER,
    .reference_ms = {0.24, 0.41, 1.6, 15, 280, 1726},
    .reference_kb = {12, 48, 408, 4028, 75488, 449212},
#if BENCH_HAS_SQLITE
    .open = sqlite_open,
    .commit = sqlite_commit,
    .rest = sqlite_rest,
    .close = sqlite_close,
#else
    .absent =
        "sqlite3.h or libsqlite3 was not found when this was configured (Debian: libsqlite3-dev)",
#endif
};
