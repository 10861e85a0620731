/*
 * region/resize.c - a region gets another length.
 *
 * Order: the file, then the mapping, so that no byte of the region is ever past the file's end:
 *
 *     longer:   file grows        mapping grows      failed: the file gets its old size back
 *     shorter:  (TRUNCATE: cut)   mapping shrinks    failed: likewise; what was cut reads as zeros
 *
 * Growing in place keeps the record in the table. Moving takes it out first: as soon as the system
 * has moved the mapping, another thread may be given the old address (region/table.c, invariant 2).
 *
 * An empty region has no mapping worth resizing, only a reserved page: becoming empty leaves one
 * page without access, becoming longer maps anew.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/status.h"
#include "loft/region.h"
#include "os/map.h"
#include "region/flags.h"
#include "region/table.h"
#include "region/view.h"

typedef struct resize_job {
    lofti_region *region; /* claimed */
    lofti_facts old;
    lofti_facts next;
    unsigned flags;
    uint64_t file_bytes; /* before; only if the file was resized */
    bool is_file_resized;
} resize_job;

/* --- What is allowed ----------------------------------------------------------------------- */

static int resize_check_memory(const resize_job *job, uint64_t bytes)
{
    if ((job->flags & ~(unsigned)LOFT_INPLACE) != 0) {
        return lofti_status_fail(LOFT_EINVAL, "resize", NULL, "memory takes LOFT_INPLACE only");
    }
    if (bytes > LOFTI_VIEW_BYTES_MAX) {
        return lofti_view_fail(-ENOMEM, "resize", NULL, bytes);
    }
    if ((job->old.flags & LOFT_SHARED) != 0 && bytes > job->old.map_bytes) {
        return lofti_status_fail(LOFT_ENOTSUP, "resize", NULL,
                                 "memory shared with other processes cannot grow");
    }
    return 0;
}

static int resize_check_file(const resize_job *job, uint64_t bytes)
{
    const int code = lofti_view_check("resize", NULL, job->old.file_off, bytes);
    if (code != 0) {
        return code;
    }
    const bool needs_file = bytes > job->old.bytes || (job->flags & ~(unsigned)LOFT_INPLACE) != 0;
    if (needs_file && (job->old.flags & LOFT_GROW) == 0) {
        return lofti_status_fail(LOFT_ENOTSUP, "resize", NULL,
                                 "the region at 0x%" PRIx64 " was made without LOFT_GROW",
                                 job->old.address);
    }
    return 0;
}

/* --- The file ------------------------------------------------------------------------------ */

static int resize_file_to(resize_job *job, uint64_t file_bytes, uint64_t bytes)
{
    const int rc = lofti_file_resize(&job->old.file, bytes);
    if (rc != 0) {
        return lofti_view_fail_region(rc, "resize", &job->next);
    }
    job->file_bytes = file_bytes;
    job->is_file_resized = true;
    return 0;
}

static void resize_file_undo(const resize_job *job)
{
    if (job->is_file_resized) {
        (void)lofti_file_resize(&job->old.file, job->file_bytes);
    }
}

/* Makes the file fit, if it is known: regions without LOFT_GROW only shrink. */
static int resize_file(resize_job *job)
{
    if (job->old.kind != LOFT_REGION_FILE || (job->old.flags & LOFT_GROW) == 0) {
        return 0;
    }
    lofti_file_info info;
    int rc = lofti_file_info_get(&job->old.file, &info);
    if (rc != 0) {
        return lofti_view_fail_region(rc, "resize", &job->old);
    }
    const uint64_t end = job->next.file_off + job->next.bytes;
    int code = 0;
    if (end > info.bytes && job->next.bytes > job->old.bytes) {
        if ((job->flags & LOFT_GROW) == 0) {
            return lofti_status_fail(LOFT_ERANGE, "resize", NULL,
                                     "the region would end at %" PRIu64 " of a file of %" PRIu64,
                                     end, info.bytes);
        }
        code = resize_file_to(job, info.bytes, end);
    } else if (end < info.bytes && (job->flags & LOFT_TRUNCATE) != 0) {
        if (!lofti_file_cuts_mapped()) {
            return lofti_status_fail(LOFT_ENOTSUP, "resize", NULL,
                                     "this system cannot cut a file of which a part is mapped");
        }
        code = resize_file_to(job, info.bytes, end);
    }
    if (code == 0 && (job->flags & LOFT_PREALLOCATE) != 0 && job->next.bytes != 0) {
        rc = lofti_file_allocate(&job->old.file, job->next.file_off, job->next.bytes);
        if (rc != 0) {
            code = lofti_view_fail_region(rc, "resize", &job->next);
            resize_file_undo(job);
        }
    }
    return code;
}

/* --- The mapping --------------------------------------------------------------------------- */

/* Negative errno, as the two below. */
static int resize_from_empty(resize_job *job)
{
    if ((job->flags & LOFT_INPLACE) != 0) {
        return -ENOMEM;
    }
    const lofti_file *file = job->old.kind == LOFT_REGION_FILE ? &job->old.file : NULL;
    const int rc = lofti_view_map(&job->next, file, false);
    if (rc != 0) {
        return rc;
    }
    lofti_table_remove(job->region);
    (void)lofti_map_release(lofti_view_pointer(job->old.map_at), job->old.map_bytes);
    lofti_table_insert(job->region, &job->next);
    return 0;
}

static int resize_to_empty(resize_job *job)
{
    void *at = lofti_view_pointer(job->old.map_at);
    job->next.map_bytes = lofti_map_page_bytes();
    int rc = lofti_map_protect(at, job->next.map_bytes, LOFTI_MAP_RESERVE);
    if (rc != 0) {
        return rc;
    }
    if (job->old.map_bytes > job->next.map_bytes) {
        rc = lofti_map_release((char *)at + job->next.map_bytes,
                               job->old.map_bytes - job->next.map_bytes);
        if (rc != 0) {
            (void)lofti_map_protect(at, job->next.map_bytes, lofti_view_map_flags(&job->old));
            return rc;
        }
    }
    /* Its content is nobody's any more; if the system will not drop it, it keeps one page. */
    (void)lofti_map_drop(at, job->next.map_bytes, LOFTI_MAP_RESERVE);
    lofti_table_update(job->region, &job->next);
    return 0;
}

static int resize_mapping(resize_job *job)
{
    void *at = lofti_view_pointer(job->old.map_at);
    const uint64_t skipped = job->old.address - job->old.map_at;
    job->next.map_bytes = lofti_view_pages(skipped, job->next.bytes);
    const lofti_map_source source = {
        .flags = lofti_view_map_flags(&job->old),
        .file = lofti_file_is_open(&job->old.file) ? &job->old.file : NULL,
        .off = lofti_file_is_open(&job->old.file) ? job->old.file_off - skipped : 0};
    const bool is_known = job->old.kind == LOFT_REGION_MEMORY || source.file != NULL;
    const lofti_map_source *from = is_known ? &source : NULL;
    void *to = at;
    int rc = 0;
    if (job->next.map_bytes != job->old.map_bytes) {
        rc = lofti_map_resize(at, job->old.map_bytes, job->next.map_bytes, false, from, &to);
    }
    if (rc == 0) {
        lofti_table_update(job->region, &job->next);
        return 0;
    }
    if (rc != -ENOMEM || (job->flags & LOFT_INPLACE) != 0) {
        return rc;
    }
    lofti_table_remove(job->region);
    rc = lofti_map_resize(at, job->old.map_bytes, job->next.map_bytes, true, from, &to);
    if (rc != 0) {
        lofti_table_restore(job->region, &job->old);
        return rc;
    }
    job->next.map_at = lofti_view_number(to);
    job->next.address = job->next.map_at + skipped;
    (void)lofti_view_advise(&job->next); /* mapped anew it has none; a hint */
    lofti_table_insert(job->region, &job->next);
    return 0;
}

/* --- All of it ----------------------------------------------------------------------------- */

/* The region is claimed; success ends the claim, failure does not. */
static int resize_run(resize_job *job, uint64_t bytes)
{
    job->next = job->old;
    job->next.bytes = bytes;
    int code = job->old.kind == LOFT_REGION_MEMORY ? resize_check_memory(job, bytes)
                                                   : resize_check_file(job, bytes);
    if (code == 0) {
        code = resize_file(job);
    }
    if (code != 0) {
        return code;
    }
    int rc;
    if (job->old.bytes == 0 && bytes != 0) {
        rc = resize_from_empty(job);
    } else if (job->old.bytes != 0 && bytes == 0) {
        rc = resize_to_empty(job);
    } else {
        rc = resize_mapping(job);
    }
    if (rc != 0) {
        lofti_facts wanted = job->old;
        wanted.bytes = bytes; /* what the sentence names */
        code = lofti_view_fail_region(rc, "resize", &wanted);
        resize_file_undo(job);
    }
    return code;
}

void *loft_resize(void *address, size_t bytes, unsigned flags)
{
    resize_job job = {.flags = flags};
    int code = lofti_flags_check(LOFTI_FLAGS_RESIZE, "resize", NULL, &job.flags);
    if (code != 0) {
        return lofti_status_null(code);
    }
    const int rc = lofti_table_claim(lofti_view_number(address), &job.region, &job.old);
    if (rc != 0) {
        return lofti_status_null(lofti_view_fail_lookup(rc, "resize", address));
    }
    code = resize_run(&job, bytes);
    if (code != 0) {
        lofti_table_update(job.region, &job.old);
        return lofti_status_null(code);
    }
    return lofti_view_pointer(job.next.address);
}
