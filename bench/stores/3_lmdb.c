/* LMDB: one write transaction with K mdb_put; MDB_INTEGERKEY, otherwise as it comes (MDB_WRITEMAP trades
 * safety against stray stores for speed and is not the default). */
#include "commit_store.h"

#if BENCH_HAS_LMDB
#include <lmdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct lmdb_table {
    char *path;
    MDB_env *env;
    MDB_dbi dbi;
} lmdb_table;

static void lmdb_close(void *state)
{
    lmdb_table *table = state;
    if (table->env != NULL) {
        mdb_env_close(table->env);
    }
    (void)unlink(table->path);
    free(table->path);
    free(table);
}

static int lmdb_put(MDB_txn *txn, MDB_dbi dbi, uint64_t idx, const unsigned char *value,
                    unsigned flags)
{
    unsigned char copy[COMMIT_VALUE_BYTES];
    memcpy(copy, value, sizeof copy);
    MDB_val key = {sizeof idx, &idx}, data = {sizeof copy, copy};
    return mdb_put(txn, dbi, &key, &data, flags);
}

static int fill(lmdb_table *table, uint64_t count)
{
    static const unsigned char zero[COMMIT_VALUE_BYTES];
    MDB_txn *txn;
    int code = mdb_txn_begin(table->env, NULL, 0, &txn);
    if (code != 0) {
        return code;
    }
    code = mdb_dbi_open(txn, NULL, MDB_INTEGERKEY, &table->dbi);
    for (uint64_t i = 0; i < count && code == 0; i++) {
        code = lmdb_put(txn, table->dbi, i, zero, MDB_APPEND);
    }
    if (code != 0) {
        mdb_txn_abort(txn);
        return code;
    }
    return mdb_txn_commit(txn);
}

static void *lmdb_open(const commit_store *store, const char *folder, uint64_t count)
{
    lmdb_table *table = calloc(1, sizeof *table);
    table->path = commit_path(folder, store->file);
    /* Address space only; a transaction that changes every page needs them all twice. */
    const size_t map_bytes = (size_t)8 * COMMIT_VALUE_BYTES * count + ((size_t)64 << 20);
    int code = mdb_env_create(&table->env);
    code = code != 0 ? code : mdb_env_set_mapsize(table->env, map_bytes);
    code =
        code != 0 ? code : mdb_env_open(table->env, table->path, MDB_NOSUBDIR | MDB_NOLOCK, 0600);
    code = code != 0 ? code : fill(table, count);
    if (code != 0) {
        (void)commit_fail(store->name, table->path, mdb_strerror(code));
        lmdb_close(table);
        return NULL;
    }
    return table;
}

static bool lmdb_commit(void *state, const uint64_t *idx, size_t count,
                        const unsigned char value[COMMIT_VALUE_BYTES])
{
    lmdb_table *table = state;
    MDB_txn *txn;
    int code = mdb_txn_begin(table->env, NULL, 0, &txn);
    if (code != 0) {
        return commit_fail("LMDB", "begin", mdb_strerror(code));
    }
    for (size_t i = 0; i < count && code == 0; i++) {
        code = lmdb_put(txn, table->dbi, idx[i], value, 0);
    }
    if (code != 0) {
        mdb_txn_abort(txn);
    } else {
        code = mdb_txn_commit(txn);
    }
    return code == 0 || commit_fail("LMDB", "commit", mdb_strerror(code));
}
#endif

COMMIT_STORE(commit_lmdb) = {
    .name = "LMDB",
    .what = "one transaction of K puts, integer keys",
    .package = "liblmdb0",
    .file = "lmdb",
    .kind = HARNESS_PEER,
    .reference_ms = {0.44, 1.2, 7.7, 35, 151, 641},
    .reference_kb = {20, 92, 756, 5096, 38832, 230724},
#if BENCH_HAS_LMDB
    .open = lmdb_open,
    .commit = lmdb_commit,
    .close = lmdb_close,
#else
    .absent = "lmdb.h or liblmdb was not found when this was configured (Debian: liblmdb-dev)",
#endif
};
