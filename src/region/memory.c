/*
 * region/memory.c - anonymous memory.
 *
 * Two system calls in a region's life, mmap and munmap; the record is reserved before the first
 * and removed before the second (region/table.c, invariant 2).
 */
#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/status.h"
#include "loft/region.h"
#include "os/map.h"
#include "region/flags.h"
#include "region/table.h"
#include "region/view.h"

static int memory_map(const char *operation, uint64_t bytes, unsigned flags, void **out)
{
    if (bytes > LOFTI_VIEW_BYTES_MAX) {
        return lofti_view_fail(-ENOMEM, operation, NULL, bytes);
    }
    lofti_region *region = NULL;
    int rc = lofti_table_reserve(&region);
    if (rc != 0) {
        return lofti_view_fail(rc, operation, NULL, bytes);
    }
    lofti_facts facts = {
        .bytes = bytes, .flags = flags & LOFTI_FLAGS_LASTING, .kind = LOFT_REGION_MEMORY};
    rc = lofti_view_map(&facts, NULL, (flags & LOFT_POPULATE) != 0);
    if (rc != 0) {
        lofti_table_cancel(region);
        return lofti_view_fail(rc, operation, NULL, bytes);
    }
    lofti_table_insert(region, &facts);
    *out = lofti_view_pointer(facts.address);
    return 0;
}

static void *memory_result(int code, void *memory)
{
    return code != 0 ? lofti_status_null(code) : memory;
}

void *loft_malloc(size_t bytes)
{
    void *memory = NULL;
    const int code = memory_map("malloc", bytes, LOFT_WRITE, &memory);
    return memory_result(code, memory);
}

void *loft_calloc(size_t count, size_t bytes)
{
    uint64_t total;
    if (!lofti_arith_mul(count, bytes, &total)) {
        return lofti_status_null(lofti_status_fail(LOFT_EOVERFLOW, "calloc", NULL,
                                                   "%zu items of %zu bytes", count, bytes));
    }
    void *memory = NULL;
    const int code = memory_map("calloc", total, LOFT_WRITE, &memory);
    return memory_result(code, memory);
}

void *loft_malloc_from(const void *data, size_t bytes)
{
    if (data == NULL && bytes != 0) {
        return lofti_status_null(
            lofti_status_fail(LOFT_EINVAL, "malloc_from", NULL, "data is NULL"));
    }
    /* Every page will be touched: populating them in bulk costs less than a fault for each. */
    void *memory = NULL;
    const int code = memory_map("malloc_from", bytes, LOFT_WRITE | LOFT_POPULATE, &memory);
    if (memory != NULL && bytes != 0) {
        memcpy(memory, data, bytes);
    }
    return memory_result(code, memory);
}

void *loft_map(size_t bytes, unsigned flags)
{
    int code = lofti_flags_check(LOFTI_FLAGS_MAP, "map", NULL, &flags);
    void *memory = NULL;
    if (code == 0) {
        code = memory_map("map", bytes, flags, &memory);
    }
    return memory_result(code, memory);
}

int loft_free(void *address)
{
    if (address == NULL) {
        return 0;
    }
    lofti_region *region = NULL;
    lofti_facts facts;
    int rc = lofti_table_claim(lofti_view_number(address), &region, &facts);
    if (rc != 0) {
        return lofti_view_fail_lookup(rc, "free", address);
    }
    if (facts.kind != LOFT_REGION_MEMORY) {
        lofti_table_update(region, &facts);
        return lofti_status_fail(LOFT_EINVAL, "free", NULL,
                                 "%p is the mapping of a file: loft_close is for that", address);
    }
    lofti_table_remove(region);
    rc = lofti_map_release(lofti_view_pointer(facts.map_at), facts.map_bytes);
    if (rc != 0) {
        lofti_table_insert(region, &facts);
        return lofti_view_fail_region(rc, "free", &facts);
    }
    lofti_table_cancel(region);
    return 0;
}
