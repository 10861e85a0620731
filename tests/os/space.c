/* An address space on paper; see space.h. */
#include "os/space.h"

#include <errno.h>

#include "support/test.h"

#define PAGE 4096u

static space own;

static uint64_t number(const void *at) { return (uint64_t)(uintptr_t)at; }

static void insert(space_area area)
{
    unsigned i = own.count;
    LOFT_CHECK_LT_UINT(own.count, SPACE_AREAS_MAX);
    LOFT_CHECK_LT_UINT(area.start, area.end);
    for (; i > 0 && own.areas[i - 1].start > area.start; i--) {
        own.areas[i] = own.areas[i - 1];
    }
    own.areas[i] = area;
    own.count++;
    LOFT_CHECK_TRUE(i == 0 || own.areas[i - 1].end <= area.start);
    LOFT_CHECK_TRUE(i + 1 == own.count || area.end <= own.areas[i + 1].start);
}

static void take_out(unsigned i)
{
    own.count--;
    for (; i < own.count; i++) {
        own.areas[i] = own.areas[i + 1];
    }
}

/* Unmapping what is another thread's is the sin that all this is about. */
static void cut(uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < own.count;) {
        const space_area area = own.areas[i];
        if (area.end <= start || area.start >= end) {
            i++;
            continue;
        }
        LOFT_CHECK_FALSE(area.theirs);
        take_out(i);
        if (area.start < start) {
            insert((space_area){area.start, start, area.off, area.flags, area.handle, false});
            i++;
        }
        if (area.end > end) {
            const uint64_t off = area.off + (end - area.start);
            insert((space_area){end, area.end, off, area.flags, area.handle, false});
            i++;
        }
    }
}

static bool is_free(uint64_t start, uint64_t end)
{
    for (unsigned i = 0; i < own.count; i++) {
        if (own.areas[i].end > start && own.areas[i].start < end) {
            return false;
        }
    }
    return end <= own.limit && start < end;
}

/* Where an answer without a hint lies; 0: nowhere. */
static uint64_t choose(uint64_t bytes)
{
    uint64_t at = own.lowest;
    if (own.lowest != 0) {
        for (unsigned i = 0; i < own.count && !is_free(at, at + bytes); i++) {
            at = own.areas[i].end > at ? own.areas[i].end : at;
        }
        return is_free(at, at + bytes) ? at : 0;
    }
    if (bytes >= own.limit) {
        return 0;
    }
    at = own.limit - bytes;
    for (unsigned i = own.count; i > 0 && !is_free(at, at + bytes); i--) {
        if (own.areas[i - 1].start < bytes + PAGE) {
            return 0;
        }
        at = own.areas[i - 1].start - bytes;
    }
    return is_free(at, at + bytes) ? at : 0;
}

static bool is_refused(void)
{
    own.maps++;
    return own.maps >= own.refuse_from && own.maps - own.refuse_from < own.refuse_count;
}

static int refuse(uint64_t at, size_t bytes, bool fixed)
{
    if (fixed && own.drops) {
        cut(at, at + bytes);
        if (own.steals) {
            space_occupy(at, at + bytes);
        }
    }
    return -ENOMEM;
}

static int space_map(void *hint, bool fixed, size_t bytes, unsigned flags, intptr_t handle,
                     uint64_t off, void **out)
{
    uint64_t at = number(hint);
    LOFT_CHECK_EQ_UINT((at | bytes | off) % PAGE, 0);
    LOFT_CHECK_GT_UINT(bytes, 0);
    own.populates += (flags & LOFTI_MAP_POPULATE) != 0;
    if (is_refused()) {
        return refuse(at, bytes, fixed);
    }
    if (at != 0 && (at > own.limit || bytes > own.limit - at)) {
        return -ENOMEM;
    }
    if (at == 0 || own.moves_hints) {
        at = choose(bytes);
    } else if (fixed) {
        cut(at, at + bytes);
    } else if (!is_free(at, at + bytes)) {
        if (!own.ignores_noreplace) {
            return -EEXIST;
        }
        at = choose(bytes);
    }
    if (at == 0) {
        return -ENOMEM;
    }
    insert((space_area){at, at + bytes, off, flags, handle, false});
    *out = (void *)(uintptr_t)at;
    return 0;
}

static int space_unmap(void *at, size_t bytes)
{
    LOFT_CHECK_EQ_UINT((number(at) | bytes) % PAGE, 0);
    LOFT_CHECK_GT_UINT(bytes, 0);
    own.unmaps++;
    if (own.unmaps >= own.stuck_from && own.unmaps - own.stuck_from < own.stuck_count) {
        return -ENOMEM;
    }
    cut(number(at), number(at) + bytes);
    return 0;
}

static int space_remap(void *at, size_t old_bytes, size_t new_bytes, bool may_move, void *to,
                       void **out)
{
    const uint64_t start = number(at);
    const space_area *found = space_at(start);
    LOFT_CHECK_NOT_NULL(found);
    LOFT_CHECK_FALSE(found->theirs);
    space_area area = *found;
    LOFT_CHECK_TRUE(!may_move || to != NULL); /* where the kernel likes is never asked for */
    if (is_refused()) {
        return refuse(number(to), new_bytes, to != NULL);
    }
    if (area.start != start || area.end - start < old_bytes) {
        return -EFAULT;
    }
    if (to == NULL) {
        const uint64_t old_end = start + old_bytes;
        const uint64_t end = start + new_bytes;
        if (end > old_end && !is_free(old_end, end)) {
            return -ENOMEM;
        }
        area.end = end;
    } else {
        cut(number(to), number(to) + new_bytes);
        area.start = number(to);
        area.end = number(to) + new_bytes;
    }
    cut(start, start + old_bytes);
    insert(area);
    *out = (void *)(uintptr_t)area.start;
    return 0;
}

static int space_range(void *at, size_t bytes, int what)
{
    (void)bytes;
    (void)what;
    return space_at(number(at)) != NULL ? 0 : -ENOMEM;
}

static int space_protect(void *at, size_t bytes, unsigned flags)
{
    return space_range(at, bytes, (int)flags);
}

static int space_sync(void *at, size_t bytes, bool wait) { return space_range(at, bytes, wait); }

static int space_lock(void *at, size_t bytes, bool on) { return space_range(at, bytes, on); }

static int space_walk(lofti_map_area_fn *fn, void *context)
{
    if (own.hides) {
        return -ENOENT;
    }
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < own.count; i++) {
        const space_area *area = &own.areas[i];
        const bool mapped = (area->flags & LOFTI_MAP_RESERVE) == 0;
        const lofti_map_area seen = {
            .start = area->start,
            .end = area->end,
            .readable = mapped,
            .writable = mapped && (area->flags & LOFTI_MAP_WRITE) != 0,
            .shared = (area->flags & LOFTI_MAP_SHARED) != 0,
            .file = area->handle >= 0,
            .name = area->handle >= 0 ? "/file" : "",
        };
        rc = fn(context, &seen);
    }
    return rc;
}

static const lofti_map_ops space_ops = {
    .map = space_map,
    .unmap = space_unmap,
    .remap = space_remap,
    .protect = space_protect,
    .advise = space_range,
    .sync = space_sync,
    .lock = space_lock,
    .walk = space_walk,
};

space *space_begin(void)
{
    own = (space){.limit = LOFTI_MAP_HIGH - PAGE};
    lofti_map_ops_set(&space_ops);
    return &own;
}

void space_occupy(uint64_t start, uint64_t end)
{
    insert((space_area){start, end, 0, LOFTI_MAP_WRITE, -1, true});
}

static uint64_t sum(bool theirs)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < own.count; i++) {
        bytes += own.areas[i].theirs == theirs ? own.areas[i].end - own.areas[i].start : 0;
    }
    return bytes;
}

uint64_t space_ours(void) { return sum(false); }

uint64_t space_theirs(void) { return sum(true); }

const space_area *space_at(uint64_t address)
{
    for (unsigned i = 0; i < own.count; i++) {
        if (own.areas[i].start <= address && address < own.areas[i].end) {
            return &own.areas[i];
        }
    }
    return NULL;
}
