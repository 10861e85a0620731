/* PMDK's libpmemobj on a common file system: one transaction of K ranges. Without persistent memory it flushes
 * by msync, range by range. */
#include "commit_store.h"

#if BENCH_HAS_PMEMOBJ
#include <libpmemobj.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct pmemobj_table {
    char *path;
    PMEMobjpool *pool; /* NULL: none */
    PMEMoid values;
} pmemobj_table;

static void table_close(void *state)
{
    pmemobj_table *table = state;
    if (table->pool != NULL) {
        pmemobj_close(table->pool);
        (void)unlink(table->path);
    }
    free(table->path);
    free(table);
}

static void *table_open(const commit_store *store, const char *folder, uint64_t count)
{
    pmemobj_table *table = calloc(1, sizeof *table);
    const size_t bytes = count * COMMIT_VALUE_BYTES;
    table->path = commit_path(folder, store->file);
    /* Half as much again for the undo log of a transaction over most of the table. */
    table->pool =
        pmemobj_create(table->path, "bench", bytes + bytes / 2 + ((size_t)64 << 20), 0600);
    if (table->pool != NULL) {
        table->values = pmemobj_root(table->pool, bytes);
    }
    if (table->pool == NULL || OID_IS_NULL(table->values)) {
        (void)commit_fail(store->name, table->path, pmemobj_errormsg());
        table_close(table);
        return NULL;
    }
    return table;
}

static bool table_commit(void *state, const uint64_t *idx, size_t count,
                         const unsigned char value[COMMIT_VALUE_BYTES])
{
    pmemobj_table *table = state;
    unsigned char *values = pmemobj_direct(table->values);
    int code = pmemobj_tx_begin(table->pool, NULL, TX_PARAM_NONE);
    for (size_t i = 0; i < count && code == 0; i++) {
        code = pmemobj_tx_add_range(table->values, idx[i] * COMMIT_VALUE_BYTES, COMMIT_VALUE_BYTES);
        if (code == 0) {
            memcpy(values + idx[i] * COMMIT_VALUE_BYTES, value, COMMIT_VALUE_BYTES);
        }
    }
    if (code == 0) {
        pmemobj_tx_commit();
    }
    code = pmemobj_tx_end() != 0 ? -1 : code;
    return code == 0 || commit_fail("PMDK", "transaction", pmemobj_errormsg());
}
#endif

COMMIT_STORE(commit_pmemobj) = {
    .name = "PMDK",
    .what = "libpmemobj, one transaction of K ranges, on a file system without DAX",
    .package = "libpmemobj1",
    .file = "pmemobj",
    .kind = HARNESS_PEER,
    .reference_ms = {1.3, 12, 95, 581, 4834, 49126},
    .reference_kb = {2064, 18568, 125860, 246932, 376876, 2090968},
#if BENCH_HAS_PMEMOBJ
    .open = table_open,
    .commit = table_commit,
    .close = table_close,
#else
    .absent =
        "libpmemobj.h or libpmemobj was not found when this was configured (Debian: libpmemobj-dev)",
#endif
};
