/*
 * os/map_windows.c - the primitive calls of mapping on Windows.
 *
 * Windows knows two kinds of mappings, and neither can be cut, joined or replaced in part:
 *
 *   memory   VirtualAlloc: address space is taken as a whole and given back as a whole; inside,
 *            pages get memory (commit) or lose it (decommit)
 *   view     MapViewOfFileEx of a section of a file: unmapped as a whole
 *
 * What that means for the contract of os/map.h:
 *
 *   map      begins at a multiple of 64 KiB (lofti_map_granule_bytes), memory and offset in the file.
 *            `fixed` gives pages inside own memory, anew, or takes them; a file is never put over
 *            anything: -EOPNOTSUPP (lofti_map_can_overlay)
 *   unmap    from its first byte on: all of the mapping. From further inside: the pages only. A part of what
 *            is only reserved: -EOPNOTSUPP
 *   remap    memory grows in place where pages were given up before; else it is copied into a reservation.
 *            A view of another length is a new view of the same file, by the kept handle
 *   sync     FlushViewOfFile, then FlushFileBuffers by the kept handle
 *   advise   DONTNEED of memory gives the pages back and takes new ones: there is a moment without.
 *            There is no fork and no huge page to be had by advice
 *
 * NORESERVE has no effect: Windows counts all memory that is committed. SHARED memory is memory, as
 * there is no child that could share it.
 */
#include "os/system_windows.h"

#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "os/area_windows.h"
#include "os/map.h"
#include "os/views_windows.h"

static int map_result(BOOL done) { return done ? 0 : lofti_windows_failed(); }

/* --- Each run of pages of a range ------------------------------------------------------------ */

/* Non-zero stops and is the result. */
typedef int map_area_fn(void *context, const lofti_area *area);

static int map_each(void *at, size_t bytes, map_area_fn *fn, void *context)
{
    const uint64_t end = lofti_area_number(at) + bytes;
    lofti_area area;
    int rc = 0;
    for (uint64_t from = lofti_area_number(at); rc == 0 && from < end; from = area.end) {
        if (!lofti_area_at(from, &area)) {
            return lofti_windows_refuse(ENOMEM);
        }
        area.end = lofti_arith_min(area.end, end);
        rc = fn(context, &area);
    }
    return rc;
}

static size_t map_bytes_of(const lofti_area *area) { return (size_t)(area->end - area->start); }

/* Touches every page, so that it is there; a store of nothing where it may be stored to. */
static int map_touch(void *context, const lofti_area *area)
{
    const bool stores = *(const bool *)context;
    if (area->state != MEM_COMMIT || (stores && !lofti_area_is_writable(area->protect))) {
        return lofti_windows_refuse(ENOMEM);
    }
    for (uint64_t at = area->start; at < area->end; at += lofti_map_page_bytes()) {
        uint8_t *page = lofti_area_address(at);
        if (stores) {
            (void)__atomic_fetch_or(page, 0, __ATOMIC_RELAXED);
        } else {
            (void)*(volatile const uint8_t *)page;
        }
    }
    return 0;
}

/* --- Map and unmap --------------------------------------------------------------------------- */

/* Inside own memory: fresh pages, or none. */
static int map_over(void *at, size_t bytes, unsigned flags)
{
    if (!VirtualFree(at, bytes, MEM_DECOMMIT)) {
        return lofti_windows_failed();
    }
    if ((flags & LOFTI_MAP_RESERVE) != 0) {
        return 0;
    }
    const DWORD protect = lofti_area_protection(flags, false);
    return map_result(VirtualAlloc(at, bytes, MEM_COMMIT, protect) != NULL);
}

static void map_populate(void *at, size_t bytes, unsigned flags, HANDLE file)
{
    if (file == NULL) {
        bool stores = (flags & LOFTI_MAP_WRITE) != 0;
        (void)map_each(at, bytes, map_touch, &stores);
        return;
    }
    /* Not by touching: a read that fails would end the program. */
    WIN32_MEMORY_RANGE_ENTRY range = {at, bytes};
    (void)PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0);
}

static int windows_map(void *at, bool fixed, size_t bytes, unsigned flags, intptr_t handle,
                       uint64_t off, void **out)
{
    const lofti_area_request request = {bytes, flags, handle < 0 ? NULL : (HANDLE)handle, off, 0};
    int rc;
    *out = at;
    if (fixed) {
        rc = request.file != NULL ? lofti_windows_refuse(EOPNOTSUPP) : map_over(at, bytes, flags);
    } else if (at != NULL) {
        rc = lofti_area_map_at(&request, lofti_area_number(at));
    } else {
        rc = lofti_area_map(&request, out);
    }
    if (rc == 0 && (flags & LOFTI_MAP_POPULATE) != 0) {
        map_populate(*out, bytes, flags, request.file);
    }
    return rc;
}

static int map_unmap_view(uint64_t base)
{
    lofti_view_file view;
    if (!UnmapViewOfFile(lofti_area_address(base))) {
        return lofti_windows_failed();
    }
    if (lofti_views_take(base, &view)) {
        (void)CloseHandle(view.file); /* nothing was written through it */
    }
    return 0;
}

static int windows_unmap(void *at, size_t bytes)
{
    const uint64_t start = lofti_area_number(at);
    lofti_area area;
    if (!lofti_area_at(start, &area) || area.state == MEM_FREE) {
        return lofti_windows_refuse(EINVAL);
    }
    DWORD old = 0;
    if (area.type == MEM_MAPPED) {
        return area.base == start ? map_unmap_view(start)
                                  : map_result(VirtualProtect(at, bytes, PAGE_NOACCESS, &old));
    }
    const bool is_whole = area.base == start && (area.state == MEM_COMMIT ||
                                                 lofti_area_allocation_end(start) <= start + bytes);
    if (is_whole) {
        return map_result(VirtualFree(at, 0, MEM_RELEASE));
    }
    if (area.state != MEM_COMMIT) {
        return lofti_windows_refuse(EOPNOTSUPP);
    }
    return map_result(VirtualFree(at, bytes, MEM_DECOMMIT));
}

/* --- Another length -------------------------------------------------------------------------- */

/* Gives up pages at the end, but not their addresses: those go with the rest. */
static int map_shrink(uint64_t at, size_t old_bytes, size_t new_bytes, const lofti_area *first)
{
    void *tail = lofti_area_address(at + new_bytes);
    DWORD old = 0;
    return map_result(first->type == MEM_MAPPED
                          ? VirtualProtect(tail, old_bytes - new_bytes, PAGE_NOACCESS, &old)
                          : VirtualFree(tail, old_bytes - new_bytes, MEM_DECOMMIT));
}

/* Takes pages behind the end, where they were given up. */
static int map_grow(uint64_t at, size_t old_bytes, size_t new_bytes, const lofti_area *first)
{
    void *tail = lofti_area_address(at + old_bytes);
    const size_t more_bytes = new_bytes - old_bytes;
    DWORD old = 0;
    if (lofti_area_allocation_end(at) < at + new_bytes) {
        return lofti_windows_refuse(ENOMEM);
    }
    return map_result(first->type == MEM_MAPPED
                          ? VirtualProtect(tail, more_bytes, first->protect, &old)
                          : VirtualAlloc(tail, more_bytes, MEM_COMMIT, first->protect) != NULL);
}

/* `to` is a reservation of new_bytes. */
static int map_move_memory(uint64_t at, size_t old_bytes, size_t new_bytes, void *to,
                           const lofti_area *first)
{
    if (VirtualAlloc(to, new_bytes, MEM_COMMIT, PAGE_READWRITE) == NULL) {
        return lofti_windows_failed();
    }
    memcpy(to, lofti_area_address(at), old_bytes);
    DWORD old = 0;
    if (first->protect != PAGE_READWRITE && !VirtualProtect(to, new_bytes, first->protect, &old)) {
        const int rc = lofti_windows_failed();
        (void)VirtualFree(to, new_bytes, MEM_DECOMMIT);
        return rc;
    }
    return map_result(VirtualFree(lofti_area_address(at), 0, MEM_RELEASE));
}

/* A view cannot be put into a reservation: that is given back, and the place may be another one. */
static int map_move_view(uint64_t at, size_t new_bytes, void *to, void **out)
{
    lofti_view_file view;
    if (!lofti_views_find(at, &view)) {
        return lofti_windows_refuse(EOPNOTSUPP);
    }
    const lofti_area_request request = {new_bytes, LOFTI_MAP_SHARED, view.file, view.off,
                                        view.protect};
    const int rc = lofti_area_map(&request, out);
    if (rc != 0) {
        return rc;
    }
    (void)VirtualFree(to, 0, MEM_RELEASE);
    return map_unmap_view(at);
}

static int windows_remap(void *at, size_t old_bytes, size_t new_bytes, bool may_move, void *to,
                         void **out)
{
    const uint64_t start = lofti_area_number(at);
    lofti_area first;
    if (!lofti_area_at(start, &first) || first.state != MEM_COMMIT || first.base != start) {
        return lofti_windows_refuse(EINVAL);
    }
    *out = at;
    if (new_bytes <= old_bytes) {
        return new_bytes == old_bytes ? 0 : map_shrink(start, old_bytes, new_bytes, &first);
    }
    if (first.end - start < old_bytes) {
        return lofti_windows_refuse(EFAULT); /* parts differ in protection */
    }
    if (!may_move) {
        return map_grow(start, old_bytes, new_bytes, &first);
    }
    LOFTI_ASSERT(to != NULL);
    if (first.type == MEM_MAPPED) {
        return map_move_view(start, new_bytes, to, out);
    }
    *out = to;
    return map_move_memory(start, old_bytes, new_bytes, to, &first);
}

/* --- Pages ----------------------------------------------------------------------------------- */

static int map_protect_run(void *context, const lofti_area *area)
{
    const unsigned flags = *(const unsigned *)context;
    const bool is_copy = area->type == MEM_MAPPED && area->first_protect == PAGE_WRITECOPY;
    const DWORD protect = lofti_area_protection(flags, is_copy);
    DWORD old = 0;
    if (area->state != MEM_COMMIT) {
        return lofti_windows_refuse(ENOMEM);
    }
    return map_result(
        VirtualProtect(lofti_area_address(area->start), map_bytes_of(area), protect, &old));
}

static int windows_protect(void *at, size_t bytes, unsigned flags)
{
    return map_each(at, bytes, map_protect_run, &flags);
}

/* Fresh pages of the same protection. If there is no memory for them the program has just lost the pages, and is
 * told; their content was not wanted any more. */
static int map_drop_run(void *context, const lofti_area *area)
{
    (void)context;
    void *at = lofti_area_address(area->start);
    const size_t bytes = map_bytes_of(area);
    if (area->state != MEM_COMMIT) {
        return 0;
    }
    if (area->type == MEM_MAPPED) {
        if (area->first_protect == PAGE_WRITECOPY) {
            return lofti_windows_refuse(
                EOPNOTSUPP); /* a part of a view cannot go back to the file */
        }
        (void)VirtualUnlock(at, bytes); /* of pages that are not locked: takes them out of memory */
        return 0;
    }
    if (!VirtualFree(at, bytes, MEM_DECOMMIT)) {
        return lofti_windows_failed();
    }
    return map_result(VirtualAlloc(at, bytes, MEM_COMMIT, area->protect) != NULL);
}

static int map_reset_run(void *context, const lofti_area *area)
{
    (void)context;
    if (area->type != MEM_PRIVATE || area->state != MEM_COMMIT) {
        return lofti_windows_refuse(EINVAL);
    }
    return map_result(VirtualAlloc(lofti_area_address(area->start), map_bytes_of(area), MEM_RESET,
                                   area->protect) != NULL);
}

static int windows_advise(void *at, size_t bytes, int advice)
{
    WIN32_MEMORY_RANGE_ENTRY range = {at, bytes};
    bool stores = true;
    switch (advice) {
    case LOFTI_ADVICE_WILLNEED:
        (void)PrefetchVirtualMemory(GetCurrentProcess(), 1, &range, 0);
        return 0;
    case LOFTI_ADVICE_DONTNEED: return map_each(at, bytes, map_drop_run, NULL);
    case LOFTI_ADVICE_FREE: return map_each(at, bytes, map_reset_run, NULL);
    case LOFTI_ADVICE_POPULATE_WRITE: return map_each(at, bytes, map_touch, &stores);
    case LOFTI_ADVICE_NORMAL:
    case LOFTI_ADVICE_RANDOM: /* pages are written back one by one anyway */
    case LOFTI_ADVICE_SEQUENTIAL:
    case LOFTI_ADVICE_NOHUGE:
    case LOFTI_ADVICE_DONTFORK:
    case LOFTI_ADVICE_DOFORK: return 0; /* nothing to do, and nothing that would be missed */
    default: return lofti_windows_refuse(EINVAL);
    }
}

/* The file gets the pages that were stored to. */
static int map_sync_run(void *context, const lofti_area *area)
{
    (void)context;
    lofti_view_file view;
    if (area->state != MEM_COMMIT) {
        return lofti_windows_refuse(ENOMEM);
    }
    if (area->type != MEM_MAPPED || !lofti_views_find(area->base, &view)) {
        return 0;
    }
    return map_result(FlushViewOfFile(lofti_area_address(area->start), map_bytes_of(area)));
}

/* The device gets the file; once, however many runs the view has. */
static int map_flush_run(void *context, const lofti_area *area)
{
    uint64_t *flushed = context; /* the view whose file was flushed last */
    lofti_view_file view;
    if (area->base == *flushed || !lofti_views_find(area->base, &view)) {
        return 0;
    }
    *flushed = area->base;
    return map_result(FlushFileBuffers(view.file));
}

static int windows_sync(void *at, size_t bytes, bool wait)
{
    uint64_t flushed = 0;
    int rc = map_each(at, bytes, map_sync_run, NULL);
    /* Before: the file has the pages. After: the device has the file. */
    if (rc == 0 && wait) {
        rc = map_each(at, bytes, map_flush_run, &flushed);
    }
    return rc;
}

/* A process may lock as much as the least that it is promised; so it asks to be promised more. */
static bool map_raise_promise(size_t bytes)
{
    SIZE_T least = 0;
    SIZE_T most = 0;
    const HANDLE own = GetCurrentProcess();
    return GetProcessWorkingSetSize(own, &least, &most) &&
           SetProcessWorkingSetSize(own, least + bytes, most + bytes);
}

static int windows_lock(void *at, size_t bytes, bool on)
{
    if (!on) {
        return VirtualUnlock(at, bytes) || GetLastError() == ERROR_NOT_LOCKED
                   ? 0
                   : lofti_windows_failed();
    }
    if (VirtualLock(at, bytes)) {
        return 0;
    }
    if (GetLastError() != ERROR_WORKING_SET_QUOTA || !map_raise_promise(bytes)) {
        return lofti_windows_failed();
    }
    return map_result(VirtualLock(at, bytes));
}

const lofti_map_ops *lofti_map_ops_system(void)
{
    static const lofti_map_ops table = {
        .map = windows_map,
        .unmap = windows_unmap,
        .remap = windows_remap,
        .protect = windows_protect,
        .advise = windows_advise,
        .sync = windows_sync,
        .lock = windows_lock,
        .walk = lofti_area_walk,
    };
    return &table;
}

bool lofti_map_can_overlay(void) { return false; }

size_t lofti_map_system_page_bytes(void)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwPageSize;
}

size_t lofti_map_system_granule_bytes(void)
{
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return info.dwAllocationGranularity;
}
