/*
 * region/file.c - files as regions: create, open, close.
 *
 * The order of steps is what "on failure nothing has changed" rests on: all that can be undone
 * comes
 * before what cannot.
 *
 *     check flags and sizes            touches nothing
 *     reserve a record                 cancel
 *     open, examine, lock              close; a new file: unlink
 *     grow                             back to the old size
 *     map                              unmap
 *     drop the old content (TRUNCATE)  no way back; where what is mapped cannot be cut: unmap, drop, map
 *     reserve blocks, write data       (a new file: unlink)
 *     flush, rename (REPLACE)          no way back
 *     enter the record                 cannot fail
 *
 * Open and close of a region for reading cost open, fstat, mmap, close and munmap.
 */
#include <inttypes.h>

#include "base/status.h"
#include "loft/region.h"
#include "os/map.h"
#include "region/draft.h"
#include "region/flags.h"
#include "region/table.h"
#include "region/view.h"

/* What is asked for. */
typedef struct file_request {
    lofti_flags_column column;
    const char *operation;
    const char *path;
    intptr_t handle;
    unsigned flags;
    uint64_t off, bytes;
    const void *data;
} file_request;

static void file_unmap(lofti_facts *facts)
{
    if (facts->map_bytes != 0) {
        (void)lofti_map_release(lofti_view_pointer(facts->map_at), facts->map_bytes);
        facts->map_bytes = 0;
    }
}

/* Drops the old content. Where a mapped file cannot be cut, the mapping was a trial, and is made once more. */
static int file_drop(lofti_draft *draft, lofti_facts *facts)
{
    const bool cuts_mapped = lofti_file_cuts_mapped();
    if (!cuts_mapped) {
        file_unmap(facts);
    }
    const int code = lofti_draft_empty(draft, facts->bytes);
    if (code != 0 || cuts_mapped) {
        return code;
    }
    const int rc = lofti_view_map(facts, &draft->file, false);
    facts->map_bytes = rc == 0 ? facts->map_bytes : 0;
    return rc != 0 ? lofti_view_fail(rc, draft->operation, draft->path, facts->bytes) : 0;
}

/* The steps from dropping old content on; the region is mapped. */
static int file_fill(lofti_draft *draft, lofti_facts *facts, const void *data)
{
    const bool drops = (draft->flags & LOFT_TRUNCATE) != 0 && !draft->is_new;
    const bool is_fresh = draft->is_new || drops;
    int code = drops ? file_drop(draft, facts) : 0;
    if (code == 0 && (draft->flags & LOFT_PREALLOCATE) != 0) {
        code = lofti_draft_allocate(draft, facts->file_off, facts->bytes);
    }
    if (code == 0 && data != NULL) {
        code = lofti_draft_write(draft, data, facts->bytes);
    }
    const unsigned random_write = LOFT_RANDOM | LOFT_WRITE;
    const bool may_be_cached = data != NULL || !is_fresh;
    if (code == 0 && (draft->flags & random_write) == random_write && may_be_cached) {
        code = lofti_draft_settle(draft);
    }
    if (code == 0 && (draft->flags & LOFT_POPULATE) != 0 && is_fresh && facts->bytes != 0) {
        const int rc = lofti_view_populate(facts);
        code = rc != 0 ? lofti_view_fail(rc, draft->operation, draft->path, facts->bytes) : 0;
    }
    return code != 0 ? code : lofti_draft_publish(draft);
}

/* From the open file to the mapping with its content. */
static int file_map(lofti_draft *draft, lofti_facts *facts, const void *data)
{
    int code = lofti_draft_grow(draft, facts->file_off + facts->bytes);
    if (code != 0) {
        return code;
    }
    /* A fresh file is populated when it is filled: every page of it will be written anyway. */
    const bool is_fresh = draft->is_new || (draft->flags & LOFT_TRUNCATE) != 0;
    const bool populate = (draft->flags & LOFT_POPULATE) != 0 && !is_fresh;
    const int rc = lofti_view_map(facts, &draft->file, populate);
    if (rc != 0) {
        return lofti_view_fail(rc, draft->operation, draft->path, facts->bytes);
    }
    code = file_fill(draft, facts, data);
    if (code != 0) {
        file_unmap(facts);
    }
    return code;
}

/* Where in the file the region lies, now that its size is known. */
static int file_place(const lofti_draft *draft, const file_request *request, lofti_facts *facts)
{
    const uint64_t file_bytes = draft->info.bytes;
    uint64_t bytes = request->bytes;
    unsigned flags = draft->flags & LOFTI_FLAGS_LASTING;
    flags &= draft->is_borrowed ? ~(unsigned)LOFT_GROW : ~0u; /* no descriptor to grow with later */
    *facts = (lofti_facts){.file_off = request->off,
                           .device = draft->info.device,
                           .inode = draft->info.inode,
                           .flags = flags,
                           .kind = LOFT_REGION_FILE};
    const bool opens =
        request->column == LOFTI_FLAGS_OPEN || request->column == LOFTI_FLAGS_OPEN_HANDLE;
    if (opens && bytes == 0 && request->off <= file_bytes) {
        bytes = file_bytes - request->off;
        const int code = lofti_view_check(draft->operation, draft->path, request->off, bytes);
        if (code != 0) {
            return code;
        }
    } else if (opens && request->off + bytes > file_bytes &&
               (bytes == 0 || (draft->flags & LOFT_GROW) == 0)) {
        return lofti_status_fail(LOFT_ERANGE, draft->operation, draft->path,
                                 "%" PRIu64 " bytes at %" PRIu64 " of a file of %" PRIu64, bytes,
                                 request->off, file_bytes);
    }
    facts->bytes = bytes;
    return 0;
}

static int file_begin(lofti_draft *draft, const file_request *request)
{
    switch (request->column) {
    case LOFTI_FLAGS_OPEN:
        return lofti_draft_begin_open(draft, request->operation, request->path, request->flags);
    case LOFTI_FLAGS_OPEN_HANDLE:
        return lofti_draft_begin_borrow(draft, request->operation, request->handle, request->flags);
    default:
        return lofti_draft_begin_create(draft, request->operation, request->path, request->flags);
    }
}

/* Everything behind the checks. */
static int file_build(const file_request *request, lofti_region *region, lofti_facts *facts)
{
    lofti_draft draft;
    int code = file_begin(&draft, request);
    if (code != 0) {
        return code;
    }
    code = file_place(&draft, request, facts);
    if (code == 0) {
        code = file_map(&draft, facts, request->data);
    }
    if (code != 0) {
        lofti_draft_cancel(&draft);
        return code;
    }
    lofti_draft_finish(&draft, &facts->file);
    lofti_table_insert(region, facts);
    return 0;
}

static int file_check(file_request *request)
{
    if (request->column != LOFTI_FLAGS_OPEN_HANDLE && request->path == NULL) {
        return lofti_status_fail(LOFT_EINVAL, request->operation, NULL, "path is NULL");
    }
    const int code =
        lofti_flags_check(request->column, request->operation, request->path, &request->flags);
    return code != 0
               ? code
               : lofti_view_check(request->operation, request->path, request->off, request->bytes);
}

static void *file_open(file_request *request, size_t *mapped)
{
    int code = file_check(request);
    if (code != 0) {
        return lofti_status_null(code);
    }
    lofti_region *region = NULL;
    const int rc = lofti_table_reserve(&region);
    if (rc != 0) {
        return lofti_status_null(lofti_status_system(rc, request->operation, request->path));
    }
    lofti_facts facts;
    code = file_build(request, region, &facts);
    if (code != 0) {
        lofti_table_cancel(region);
        return lofti_status_null(code);
    }
    if (mapped != NULL) {
        *mapped = (size_t)facts.bytes;
    }
    return lofti_view_pointer(facts.address);
}

void *loft_create(const char *path, size_t bytes, unsigned flags)
{
    file_request request = {.column = LOFTI_FLAGS_CREATE,
                            .operation = "create",
                            .path = path,
                            .flags = flags,
                            .bytes = bytes};
    return file_open(&request, NULL);
}

void *loft_create_from(const char *path, const void *data, size_t bytes, unsigned flags)
{
    if (data == NULL && bytes != 0) {
        return lofti_status_null(lofti_status_fail(LOFT_EINVAL, "create", path, "data is NULL"));
    }
    file_request request = {.column = LOFTI_FLAGS_CREATE_FROM,
                            .operation = "create",
                            .path = path,
                            .flags = flags,
                            .bytes = bytes,
                            .data = bytes != 0 ? data : NULL};
    return file_open(&request, NULL);
}

void *loft_open(const char *path, unsigned flags, uint64_t offset, size_t bytes, size_t *mapped)
{
    file_request request = {.column = LOFTI_FLAGS_OPEN,
                            .operation = "open",
                            .path = path,
                            .flags = flags,
                            .off = offset,
                            .bytes = bytes};
    return file_open(&request, mapped);
}

void *loft_open_handle(intptr_t file, unsigned flags, uint64_t offset, size_t bytes, size_t *mapped)
{
    file_request request = {.column = LOFTI_FLAGS_OPEN_HANDLE,
                            .operation = "open handle",
                            .handle = file,
                            .flags = flags,
                            .off = offset,
                            .bytes = bytes};
    return file_open(&request, mapped);
}

/* --- Close --------------------------------------------------------------------------------- */

/* Writes back what closing must. */
static int file_write_back(const lofti_facts *facts)
{
    const bool is_due =
        (facts->flags & LOFT_WRITE) != 0 && (facts->flags & LOFT_ASYNC) == 0 && facts->bytes != 0;
    if (!is_due) {
        return 0;
    }
    const int rc = lofti_map_sync(lofti_view_pointer(facts->map_at), facts->map_bytes, true);
    return rc != 0 ? lofti_view_fail_region(rc, "close", facts) : 0;
}

int loft_close(void *address)
{
    lofti_region *region = NULL;
    lofti_facts facts;
    int rc = lofti_table_claim(lofti_view_number(address), &region, &facts);
    if (rc != 0) {
        return lofti_view_fail_lookup(rc, "close", address);
    }
    if (facts.kind != LOFT_REGION_FILE) {
        lofti_table_update(region, &facts);
        return lofti_status_fail(LOFT_EINVAL, "close", NULL,
                                 "%p is memory without a file: loft_free is for that", address);
    }
    const int code = file_write_back(&facts);
    lofti_table_remove(region);
    rc = lofti_map_release(lofti_view_pointer(facts.map_at), facts.map_bytes);
    if (rc != 0) {
        lofti_table_insert(region, &facts);
        return lofti_view_fail_region(rc, "close", &facts);
    }
    lofti_table_cancel(region);
    (void)lofti_file_close(&facts.file); /* nothing was written through it */
    return code;
}
