/* PMDK's libpmemobj. */
#include "reopen_peer.h"

#if BENCH_HAS_PMEMOBJ
#include <libpmemobj.h>

static bool pmemobj_make(const reopen_peer *peer, const char *path, const reopen_shape *shape)
{
    (void)peer;
    /* Headers; and what the ends of its zones of 16 GiB leave. */
    const size_t bytes = shape->block_count * (shape->block_bytes + 64) + ((size_t)64 << 20) +
                         2 * shape->block_bytes;
    PMEMobjpool *pool = pmemobj_create(path, "bench", bytes, 0600);
    if (pool == NULL) {
        return false;
    }
    PMEMoid root = pmemobj_root(pool, sizeof(PMEMoid));
    bool good = !OID_IS_NULL(root);
    /* A thousand blocks in a transaction: one by one each would flush the device. */
    for (uint64_t i = 0; i < shape->block_count && good;) {
        good = pmemobj_tx_begin(pool, NULL, TX_PARAM_NONE) == 0;
        for (int batch = 0; batch < 1000 && i < shape->block_count && good; batch++, i++) {
            PMEMoid oid = pmemobj_tx_alloc(shape->block_bytes, 1);
            good = !OID_IS_NULL(oid);
            if (good) {
                reopen_fill(pmemobj_direct(oid), shape);
            }
            if (good && i == 0) {
                good = pmemobj_tx_add_range(root, 0, sizeof oid) == 0;
                *(PMEMoid *)pmemobj_direct(root) = oid;
            }
        }
        if (good) {
            pmemobj_tx_commit();
        }
        good = pmemobj_tx_end() == 0 && good;
    }
    pmemobj_close(pool);
    return good;
}

static void *pmemobj_reopen(const reopen_peer *peer, const char *path, unsigned char *byte)
{
    (void)peer;
    PMEMobjpool *pool = pmemobj_open(path, "bench");
    if (pool != NULL) {
        PMEMoid root = pmemobj_root(pool, sizeof(PMEMoid));
        *byte = *(unsigned char *)pmemobj_direct(*(PMEMoid *)pmemobj_direct(root));
    }
    return pool;
}

static void pmemobj_end(void *state) { pmemobj_close(state); }
#endif

REOPEN_PEER(reopen_pmemobj) = {
    .name = "PMDK",
    .what = "libpmemobj: recovers",
    .package = "libpmemobj1",
    .kind = HARNESS_PEER,
    .reference_us = {8863, 11823},
    /* A million blocks, each flushed to the device, take minutes; made with flushes of the processor's caches
     * alone the file is the same. */
    .make_with = "PMEM_IS_PMEM_FORCE=1",
#if BENCH_HAS_PMEMOBJ
    .make = pmemobj_make,
    .open = pmemobj_reopen,
    .close = pmemobj_end,
#else
    .absent =
        "libpmemobj.h or libpmemobj was not found when this was configured (Debian: libpmemobj-dev)",
#endif
};
