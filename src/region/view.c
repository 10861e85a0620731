/*
 * region/view.c - the geometry of a mapping, and failures told in sentences.
 *
 *     file      ...|---------|====####|########|###=====|...      #: the region's bytes
 *                  granule   ^map_off ^file_off          =: mapped with them, not handed out
 *     memory                 ^map_at  ^address
 *
 * Invariants
 * 1. address - map_at == file_off % granule (a page, on Linux). Memory begins at its page.
 * 2. An empty region holds one reserved page that cannot be touched, so that its address is its
 * own.
 */
#include "region/view.h"

#include <errno.h>
#include <inttypes.h>

#include "base/arith.h"
#include "base/status.h"
#include "loft/region.h"
#include "os/map.h"

enum {
    VIEW_HUGE_BYTES = 2 * 1024 * 1024, /* the huge page of x86-64 and of arm64 with 4 KiB pages */
    VIEW_PATH_BYTES = 1024             /* the file's name in a sentence; longer ones are cut */
};

uint64_t lofti_view_pages(uint64_t skipped, uint64_t bytes)
{
    const uint64_t page_bytes = lofti_map_page_bytes();
    const uint64_t end = skipped + bytes;
    return end == 0 ? page_bytes : lofti_arith_round_up(end, page_bytes);
}

int lofti_view_check(const char *operation, const char *path, uint64_t off, uint64_t bytes)
{
    uint64_t end;
    if (!lofti_arith_add(off, bytes, &end) || end > (uint64_t)INT64_MAX) {
        return lofti_status_fail(LOFT_EOVERFLOW, operation, path,
                                 "%" PRIu64 " bytes at %" PRIu64 " end past 2^63", bytes, off);
    }
    if (bytes > LOFTI_VIEW_BYTES_MAX) {
        return lofti_view_fail(ENOMEM, operation, path, bytes);
    }
    return 0;
}

unsigned lofti_view_map_flags(const lofti_facts *facts)
{
    const bool is_memory = facts->kind == LOFT_REGION_MEMORY;
    const bool is_shared =
        is_memory ? (facts->flags & LOFT_SHARED) != 0 : (facts->flags & LOFT_COPY) == 0;
    unsigned flags = LOFTI_MAP_READ;
    flags |= (facts->flags & (LOFT_WRITE | LOFT_COPY)) != 0 ? LOFTI_MAP_WRITE : 0u;
    flags |= is_shared ? LOFTI_MAP_SHARED : 0u;
    flags |= (facts->flags & LOFT_NORESERVE) != 0 ? LOFTI_MAP_NORESERVE : 0u;
    return flags;
}

int lofti_view_advise(const lofti_facts *facts)
{
    void *at = lofti_view_pointer(facts->map_at);
    int rc = 0;
    if ((facts->flags & LOFT_RANDOM) != 0) {
        rc = lofti_map_advise(at, facts->map_bytes, LOFTI_ADVICE_RANDOM);
    }
    if ((facts->flags & LOFT_HUGE) != 0) {
        /* A hint: refused where there are no huge pages. */
        (void)lofti_map_advise(at, facts->map_bytes, LOFTI_ADVICE_HUGE);
    }
    return rc;
}

int lofti_view_populate(const lofti_facts *facts)
{
    const int rc = lofti_map_advise(lofti_view_pointer(facts->map_at), facts->map_bytes,
                                    LOFTI_ADVICE_POPULATE_WRITE);
    if (rc == -EFAULT) {
        return -ENOSPC; /* a store there would have been SIGBUS */
    }
    if (rc != -EINVAL) {
        return rc;
    }
    /* The system does not know how. Memory is touched; of a file it was a hint. */
    for (uint64_t off = 0; facts->kind == LOFT_REGION_MEMORY && off < facts->map_bytes;
         off += lofti_map_page_bytes()) {
        (void)__atomic_fetch_or((char *)lofti_view_pointer(facts->map_at) + off, 0,
                                __ATOMIC_RELAXED);
    }
    return 0;
}

/* Huge pages serve only what is aligned to them, in memory and in the file. */
static size_t view_alignment(const lofti_facts *facts, uint64_t map_off)
{
    const bool is_wanted = (facts->flags & LOFT_HUGE) != 0 && facts->map_bytes >= VIEW_HUGE_BYTES &&
                           map_off % VIEW_HUGE_BYTES == 0;
    return is_wanted ? VIEW_HUGE_BYTES : 0;
}

int lofti_view_map(lofti_facts *facts, const lofti_file *file, bool populate)
{
    const uint64_t map_off =
        file != NULL ? lofti_arith_down(facts->file_off, lofti_map_granule_bytes()) : 0;
    const uint64_t skipped = file != NULL ? facts->file_off - map_off : 0;
    facts->map_bytes = lofti_view_pages(skipped, facts->bytes);
    const bool is_empty = facts->bytes == 0;
    unsigned flags = is_empty ? LOFTI_MAP_RESERVE : lofti_view_map_flags(facts);
    /* Huge pages must be asked for before the first touch, so memory is populated after that. */
    const bool populate_later = populate && file == NULL && (facts->flags & LOFT_HUGE) != 0;
    flags |= populate && !populate_later && !is_empty ? LOFTI_MAP_POPULATE : 0u;
    void *at = NULL;
    int rc = lofti_map_place(facts->map_bytes, view_alignment(facts, map_off), flags,
                             is_empty ? NULL : file, is_empty ? 0 : map_off, &at);
    if (rc != 0) {
        return rc;
    }
    facts->map_at = lofti_view_number(at);
    facts->address = facts->map_at + skipped;
    if (is_empty) {
        return 0;
    }
    rc = lofti_view_advise(facts);
    if (rc == 0 && populate_later) {
        rc = lofti_view_populate(facts);
    }
    if (rc != 0) {
        (void)lofti_map_release(at, facts->map_bytes);
    }
    return rc;
}

int lofti_view_fail(int error, const char *operation, const char *path, uint64_t bytes)
{
    const int code = lofti_status_code(error);
    if (code != LOFT_ENOMEM && code != LOFT_ENOSPC) {
        return lofti_status_system(error, operation, path);
    }
    return lofti_status_fail(code, operation, path, "%" PRIu64 " bytes: %s", bytes,
                             loft_error_text(code));
}

int lofti_view_fail_region(int error, const char *operation, const lofti_facts *facts)
{
    char name[VIEW_PATH_BYTES];
    const bool is_named =
        facts->kind == LOFT_REGION_FILE &&
        lofti_map_holder(lofti_view_pointer(facts->map_at), facts->map_bytes, name, sizeof name);
    if (error == -EFAULT || error == EFAULT) {
        /* mremap's and mprotect's word for a range that is not one mapping any more. */
        return lofti_status_fail(LOFT_EINVAL, operation, is_named ? name : NULL,
                                 "parts of the region at 0x%" PRIx64
                                 " have different protection or advice",
                                 facts->address);
    }
    if (is_named) {
        return lofti_status_system(error, operation, name);
    }
    return lofti_view_fail(error, operation, NULL, facts->bytes);
}

int lofti_view_fail_lookup(int error, const char *operation, const void *address)
{
    if (error == -EBUSY) {
        return lofti_status_fail(LOFT_EBUSY, operation, NULL,
                                 "another thread is changing the region at %p", address);
    }
    return lofti_status_fail(LOFT_ENOENT, operation, NULL, "no region begins at %p", address);
}
