/*
 * region/range.c - what is done to a range of a region, and what is told of one.
 *
 * The system works on whole pages. A range is widened to the pages it touches, as that is harmless
 * for writing back, locking and most advice; advice that drops content works on the pages that lie
 * whole inside, or it would drop bytes that were not named.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/arith.h"
#include "base/status.h"
#include "loft/region.h"
#include "os/map.h"
#include "region/flags.h"
#include "region/table.h"
#include "region/view.h"

typedef struct range_pages {
    lofti_facts facts;
    void *at;
    size_t bytes; /* 0: nothing to do */
} range_pages;

/* Finds the region and the pages of (offset, bytes) in it. inner: only those that are whole
 * inside. */
static int range_find(const char *operation, const void *address, uint64_t off, uint64_t bytes,
                      bool inner, range_pages *out)
{
    const int rc = lofti_table_find(lofti_view_number(address), &out->facts);
    if (rc != 0) {
        return lofti_view_fail_lookup(rc, operation, address);
    }
    const lofti_facts *facts = &out->facts;
    if (!lofti_arith_inside(off, bytes, facts->bytes)) {
        return lofti_status_fail(LOFT_ERANGE, operation, NULL,
                                 "%" PRIu64 " bytes at %" PRIu64 " of a region of %" PRIu64, bytes,
                                 off, facts->bytes);
    }
    const uint64_t page_bytes = lofti_map_page_bytes();
    const uint64_t start = facts->address + off;
    const uint64_t end = bytes != 0 ? start + bytes : facts->address + facts->bytes;
    uint64_t first = lofti_arith_down(start, page_bytes);
    uint64_t last = lofti_arith_round_up(end, page_bytes);
    if (inner) {
        /* The region's own ends lie on pages that are nobody else's. */
        first = start == facts->address ? facts->map_at : lofti_arith_round_up(start, page_bytes);
        last = end == facts->address + facts->bytes ? facts->map_at + facts->map_bytes
                                                    : lofti_arith_down(end, page_bytes);
    }
    out->at = lofti_view_pointer(first);
    out->bytes = start < end && first < last ? (size_t)(last - first) : 0;
    return 0;
}

int loft_sync(void *address, size_t offset, size_t bytes, unsigned flags)
{
    int code = lofti_flags_check(LOFTI_FLAGS_SYNC, "sync", NULL, &flags);
    range_pages range;
    if (code == 0) {
        code = range_find("sync", address, offset, bytes, false, &range);
    }
    if (code != 0) {
        return code;
    }
    const bool is_due =
        range.facts.kind == LOFT_REGION_FILE && (range.facts.flags & LOFT_WRITE) != 0;
    if (!is_due || range.bytes == 0) {
        return 0;
    }
    const int rc = lofti_map_sync(range.at, range.bytes, (flags & LOFT_ASYNC) == 0);
    return rc != 0 ? lofti_view_fail_region(rc, "sync", &range.facts) : 0;
}

/* The advice of os/map.h, by the public numbers. */
static const int range_advice[] = {
    [LOFT_ADVICE_NORMAL] = LOFTI_ADVICE_NORMAL,
    [LOFT_ADVICE_RANDOM] = LOFTI_ADVICE_RANDOM,
    [LOFT_ADVICE_SEQUENTIAL] = LOFTI_ADVICE_SEQUENTIAL,
    [LOFT_ADVICE_WILLNEED] = LOFTI_ADVICE_WILLNEED,
    [LOFT_ADVICE_DONTNEED] = LOFTI_ADVICE_DONTNEED,
    [LOFT_ADVICE_HUGE] = LOFTI_ADVICE_HUGE,
    [LOFT_ADVICE_NOHUGE] = LOFTI_ADVICE_NOHUGE,
    [LOFT_ADVICE_DONTFORK] = LOFTI_ADVICE_DONTFORK,
    [LOFT_ADVICE_DOFORK] = LOFTI_ADVICE_DOFORK,
    [LOFT_ADVICE_DONTDUMP] = LOFTI_ADVICE_DONTDUMP,
    [LOFT_ADVICE_FREE] = LOFTI_ADVICE_FREE,
    [LOFT_ADVICE_POPULATE] = LOFTI_ADVICE_POPULATE_WRITE,
};

static bool range_is_writable(const lofti_facts *facts)
{
    return (facts->flags & (LOFT_WRITE | LOFT_COPY)) != 0;
}

int loft_advise(void *address, size_t offset, size_t bytes, unsigned advice)
{
    if (advice >= sizeof range_advice / sizeof range_advice[0]) {
        return lofti_status_fail(LOFT_EINVAL, "advise", NULL, "unknown advice %u", advice);
    }
    const bool drops = advice == LOFT_ADVICE_DONTNEED || advice == LOFT_ADVICE_FREE;
    range_pages range;
    const int code = range_find("advise", address, offset, bytes, drops, &range);
    if (code != 0 || range.bytes == 0) {
        return code;
    }
    if (advice == LOFT_ADVICE_POPULATE && !range_is_writable(&range.facts)) {
        return lofti_status_fail(LOFT_EREADONLY, "advise", NULL, "the region at %p is read-only",
                                 address);
    }
    const bool is_memory = range.facts.kind == LOFT_REGION_MEMORY;
    const bool is_private = (range.facts.flags & LOFT_SHARED) == 0;
    const int rc = advice == LOFT_ADVICE_DONTNEED && is_memory && is_private
                       ? lofti_map_drop(range.at, range.bytes, lofti_view_map_flags(&range.facts))
                       : lofti_map_advise(range.at, range.bytes, range_advice[advice]);
    if (rc == -EFAULT && advice == LOFT_ADVICE_POPULATE) {
        return lofti_view_fail_region(-ENOSPC, "advise", &range.facts); /* it would be SIGBUS */
    }
    return rc != 0 ? lofti_view_fail_region(rc, "advise", &range.facts) : 0;
}

int loft_protect(void *address, size_t offset, size_t bytes, unsigned flags)
{
    int code = lofti_flags_check(LOFTI_FLAGS_PROTECT, "protect", NULL, &flags);
    range_pages range;
    if (code == 0) {
        code = range_find("protect", address, offset, bytes, false, &range);
    }
    if (code != 0 || range.bytes == 0) {
        return code;
    }
    const bool writes = (flags & LOFT_WRITE) != 0;
    if (writes && !range_is_writable(&range.facts)) {
        return lofti_status_fail(LOFT_EREADONLY, "protect", NULL,
                                 "the region at %p was opened for reading", address);
    }
    const int rc =
        lofti_map_protect(range.at, range.bytes, writes ? LOFTI_MAP_WRITE : LOFTI_MAP_READ);
    return rc != 0 ? lofti_view_fail_region(rc, "protect", &range.facts) : 0;
}

int loft_lock_memory(void *address, size_t offset, size_t bytes, int on)
{
    range_pages range;
    const int code = range_find("lock memory", address, offset, bytes, false, &range);
    if (code != 0 || range.bytes == 0) {
        return code;
    }
    const int rc = lofti_map_lock(range.at, range.bytes, on != 0);
    return rc != 0 ? lofti_view_fail_region(rc, "lock memory", &range.facts) : 0;
}

int loft_region_query(const void *address, loft_region_info *out)
{
    /* The first version of the struct; a caller may know a longer one. */
    if (out == NULL || out->struct_bytes < sizeof *out) {
        return lofti_status_fail(LOFT_EINVAL, "region query", NULL, "struct_bytes is not set");
    }
    lofti_facts facts;
    const uint64_t at = lofti_view_number(address);
    const int rc = lofti_table_find_below(at, &facts);
    const bool is_inside = rc == 0 && (at - facts.address < facts.bytes || at == facts.address);
    if (!is_inside) {
        return lofti_status_fail(LOFT_ENOENT, "region query", NULL, "%p is in no region", address);
    }
    const uint32_t struct_bytes = out->struct_bytes;
    memset(out, 0, struct_bytes);
    *out = (loft_region_info){
        .struct_bytes = struct_bytes,
        .kind = facts.kind,
        .flags = facts.flags,
        .address = lofti_view_pointer(facts.address),
        .bytes = facts.bytes,
        .mapped_bytes = facts.map_bytes,
        .file_offset = facts.file_off,
        .device = facts.device,
        .inode = facts.inode,
    };
    return 0;
}

size_t loft_page_bytes(void) { return lofti_map_page_bytes(); }
