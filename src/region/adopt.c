/*
 * region/adopt.c - existing memory becomes the mapping of a new file, in place.
 *
 *     memory   |#########|           |#########|            |=========|
 *     file                  write ->  #########   map over   #########
 *
 * Until the mapping is laid over the memory nothing of it was touched. If a later step fails, or
 * the system dropped the memory before it found that it could not map the file there, plain memory
 * is put back and filled from the file, which has every byte.
 */
#include <errno.h>
#include <inttypes.h>

#include "base/arith.h"
#include "base/status.h"
#include "loft/region.h"
#include "os/map.h"
#include "region/draft.h"
#include "region/flags.h"
#include "region/table.h"
#include "region/view.h"

typedef struct adopt_job {
    lofti_draft draft;
    lofti_region *region;
    bool is_claimed;   /* the memory is a region of loft_malloc already */
    lofti_facts old;   /* then: what it was */
    lofti_facts facts; /* what it becomes */
} adopt_job;

static int adopt_check(const char *path, const void *memory, uint64_t bytes, unsigned *flags)
{
    if (path == NULL) {
        return lofti_status_fail(LOFT_EINVAL, "adopt", NULL, "path is NULL");
    }
    int code = lofti_flags_check(LOFTI_FLAGS_ADOPT, "adopt", path, flags);
    if (code == 0) {
        code = lofti_view_check("adopt", path, 0, bytes);
    }
    if (code != 0) {
        return code;
    }
    const uint64_t at = lofti_view_number(memory);
    if (bytes == 0 || at % lofti_map_page_bytes() != 0) {
        return lofti_status_fail(LOFT_EINVAL, "adopt", path, "%" PRIu64 " bytes at %p: %s", bytes,
                                 memory,
                                 bytes == 0 ? "nothing to adopt" : "not at the start of a page");
    }
    if (at < LOFTI_MAP_LOW || !lofti_arith_inside(at, lofti_view_pages(0, bytes), LOFTI_MAP_HIGH)) {
        return lofti_status_fail(LOFT_EADDRESS, "adopt", path,
                                 "%" PRIu64 " bytes at %p do not lie between 4 GiB and 2^47", bytes,
                                 memory);
    }
    if (!lofti_map_can_overlay()) {
        return lofti_status_fail(LOFT_ENOTSUP, "adopt", path,
                                 "this system cannot map a file over memory that is in use");
    }
    return 0;
}

/* Claims the region that the memory is, or reserves a record. */
static int adopt_take(adopt_job *job, const char *path)
{
    const lofti_facts *facts = &job->facts;
    lofti_facts other;
    int rc = lofti_table_find_below(facts->map_at + facts->map_bytes - 1, &other);
    if (rc != 0 || other.map_at + other.map_bytes <= facts->map_at) {
        rc = lofti_table_reserve(&job->region);
        return rc != 0 ? lofti_status_system(rc, "adopt", path) : 0;
    }
    if (other.address != facts->map_at || other.map_bytes != facts->map_bytes ||
        other.kind != LOFT_REGION_MEMORY || other.bytes == 0) {
        return lofti_status_fail(LOFT_EINVAL, "adopt", path,
                                 "overlaps the region of %" PRIu64 " bytes at 0x%" PRIx64,
                                 other.bytes, other.address);
    }
    rc = lofti_table_claim(other.address, &job->region, &job->old);
    if (rc != 0) {
        return lofti_view_fail_lookup(rc, "adopt", lofti_view_pointer(other.address));
    }
    job->is_claimed = true;
    return 0;
}

static void adopt_give_up(adopt_job *job)
{
    if (job->is_claimed) {
        lofti_table_update(job->region, &job->old);
    } else {
        lofti_table_cancel(job->region);
    }
}

/* Puts memory back where the file is mapped, or where nothing is, and fills it from the file. If
 * that fails too the file's mapping stays, content and all, or what the first error left. */
static void adopt_restore(const adopt_job *job, bool is_mapped)
{
    void *at = lofti_view_pointer(job->facts.map_at);
    const size_t map_bytes = job->facts.map_bytes;
    const unsigned flags = job->is_claimed ? lofti_view_map_flags(&job->old) : LOFTI_MAP_WRITE;
    int rc;
    if (is_mapped) {
        rc = lofti_map_over(at, map_bytes, flags, NULL, 0);
    } else if (lofti_map_sync(at, map_bytes, false) ==
               -ENOMEM) { /* it is not all mapped any more */
        rc = lofti_map_at(at, map_bytes, flags, NULL, 0);
    } else {
        return;
    }
    if (rc == 0) {
        (void)lofti_file_read(&job->draft.file, at, job->facts.bytes, 0);
    }
}

/* From the new, empty file to its mapping over the memory. */
static int adopt_fill(adopt_job *job)
{
    lofti_draft *draft = &job->draft;
    lofti_facts *facts = &job->facts;
    void *at = lofti_view_pointer(facts->map_at);
    int code = lofti_draft_grow(draft, facts->bytes);
    if (code == 0 && (draft->flags & LOFT_PREALLOCATE) != 0) {
        code = lofti_draft_allocate(draft, 0, facts->bytes);
    }
    if (code == 0) {
        code = lofti_draft_write(draft, at, facts->bytes);
    }
    if (code == 0 && (draft->flags & LOFT_RANDOM) != 0) {
        code = lofti_draft_settle(draft);
    }
    if (code != 0) {
        return code;
    }
    facts->device = draft->info.device;
    facts->inode = draft->info.inode;
    int rc = lofti_map_over(at, facts->map_bytes, lofti_view_map_flags(facts), &draft->file, 0);
    const bool is_mapped = rc == 0;
    if (rc == 0) {
        rc = lofti_view_advise(facts);
    }
    if (rc != 0) {
        code = lofti_view_fail(rc, draft->operation, draft->path, facts->bytes);
    } else {
        code = lofti_draft_publish(draft);
    }
    if (code != 0) {
        adopt_restore(job, is_mapped);
    }
    return code;
}

int loft_adopt(const char *path, void *memory, size_t bytes, unsigned flags)
{
    int code = adopt_check(path, memory, bytes, &flags);
    if (code != 0) {
        return code;
    }
    const uint64_t at = lofti_view_number(memory);
    adopt_job job;
    job.is_claimed = false;
    job.facts = (lofti_facts){.address = at,
                              .bytes = bytes,
                              .map_at = at,
                              .map_bytes = lofti_view_pages(0, bytes),
                              .flags = flags & LOFTI_FLAGS_LASTING,
                              .kind = LOFT_REGION_FILE};
    code = adopt_take(&job, path);
    if (code != 0) {
        return code;
    }
    code = lofti_draft_begin_create(&job.draft, "adopt", path, flags);
    if (code == 0) {
        code = adopt_fill(&job);
        if (code != 0) {
            lofti_draft_cancel(&job.draft);
        }
    }
    if (code != 0) {
        adopt_give_up(&job);
        return code;
    }
    lofti_draft_finish(&job.draft, &job.facts.file);
    if (job.is_claimed) {
        lofti_table_update(job.region, &job.facts);
    } else {
        lofti_table_insert(job.region, &job.facts);
    }
    return 0;
}
