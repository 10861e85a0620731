/*
 * os/area_windows.c - the address space as VirtualQuery tells it, and mapping at one place of it.
 *
 * Windows has no "anywhere between these bounds" that every version, and Wine, obeys. So a place is
 * looked for: from a hint upwards, from run to run, until a free one is large enough, which is then
 * asked for exactly. The hint is where the last place ended, so a search is nearly always one question.
 *
 *      LOW    ^hint   |taken|       |taken|  free .......................................  HIGH
 *                     ask -> skip   ask -> skip   ask -> map here
 *
 * A place that looks free may be refused: another thread was faster, or something is there that is not
 * shown (under Wine, the host's own mappings). Steps over such places double.
 */
#include "os/area_windows.h"

#include <errno.h>
#include <psapi.h>
#include <stdatomic.h>
#include <string.h>

#include "base/arith.h"
#include "os/views_windows.h"

/* Where the last search ended. Only a hint. */
static _Atomic uint64_t area_hint = LOFTI_MAP_LOW;

/* --- What is there ------------------------------------------------------------------------- */

bool lofti_area_at(uint64_t at, lofti_area *out)
{
    MEMORY_BASIC_INFORMATION info;
    if (VirtualQuery(lofti_area_address(at), &info, sizeof info) == 0) {
        return false;
    }
    out->start = at;
    out->end = lofti_area_number(info.BaseAddress) + info.RegionSize;
    out->base = info.State == MEM_FREE ? 0 : lofti_area_number(info.AllocationBase);
    out->state = info.State;
    out->type = info.Type;
    out->protect = info.State == MEM_COMMIT ? info.Protect : PAGE_NOACCESS;
    out->first_protect = info.AllocationProtect;
    return out->end > at;
}

uint64_t lofti_area_allocation_end(uint64_t base)
{
    lofti_area area;
    uint64_t end = base;
    while (lofti_area_at(end, &area) && area.base == base) {
        end = area.end;
    }
    return end;
}

bool lofti_area_is_writable(DWORD protect)
{
    return (protect & (PAGE_READWRITE | PAGE_WRITECOPY | PAGE_EXECUTE_READWRITE |
                       PAGE_EXECUTE_WRITECOPY)) != 0;
}

/* The name of the file that is mapped at `base`, or "". A kept handle tells it as programs write it. */
static void area_name(uint64_t base, char *name, size_t bytes)
{
    lofti_wide wide;
    lofti_view_file view;
    DWORD length = 0;
    if (lofti_views_find(base, &view)) {
        length = GetFinalPathNameByHandleW(view.file, wide.text, LOFTI_WIDE_UNITS, 0);
    } else {
        length = K32GetMappedFileNameW(GetCurrentProcess(), lofti_area_address(base), wide.text,
                                       LOFTI_WIDE_UNITS);
    }
    wide.text[length < LOFTI_WIDE_UNITS ? length : 0] = L'\0';
    lofti_wide_text(wide.text, name, bytes);
}

int lofti_area_walk(lofti_map_area_fn *fn, void *context)
{
    char name[1024]; /* bytes: as much of a path as a sentence takes */
    uint64_t at = 0;
    uint64_t named = 0; /* the allocation whose name is in `name` */
    lofti_area area;
    int stop = 0;
    while (stop == 0 && at < LOFTI_MAP_HIGH && lofti_area_at(at, &area)) {
        at = area.end;
        if (area.state == MEM_FREE) {
            continue;
        }
        const bool is_file = area.type == MEM_MAPPED || area.type == MEM_IMAGE;
        if (area.base != named) {
            name[0] = '\0';
            named = area.base;
            if (is_file) {
                area_name(area.base, name, sizeof name);
            }
        }
        const DWORD access = area.protect & 0xffu; /* without guard and cache bits */
        const lofti_map_area told = {
            .start = area.start,
            .end = area.end,
            .readable = access != PAGE_NOACCESS && access != PAGE_EXECUTE,
            .writable = lofti_area_is_writable(access),
            .executable = access >= PAGE_EXECUTE,
            .shared = area.type == MEM_MAPPED && area.first_protect != PAGE_WRITECOPY,
            .file = is_file && name[0] != '\0',
            .name = name,
        };
        stop = fn(context, &told);
    }
    return stop;
}

/* --- Mapping ------------------------------------------------------------------------------- */

DWORD lofti_area_protection(unsigned flags, bool is_copy)
{
    if ((flags & LOFTI_MAP_RESERVE) != 0) {
        return PAGE_NOACCESS;
    }
    if ((flags & LOFTI_MAP_WRITE) == 0) {
        return PAGE_READONLY;
    }
    return is_copy ? PAGE_WRITECOPY : PAGE_READWRITE;
}

static int area_map_memory(const lofti_area_request *request, void *at)
{
    const bool is_reserve = (request->flags & LOFTI_MAP_RESERVE) != 0;
    const DWORD how = is_reserve ? MEM_RESERVE : MEM_RESERVE | MEM_COMMIT;
    void *got = VirtualAlloc(at, request->bytes, how, lofti_area_protection(request->flags, false));
    if (got == NULL) {
        return lofti_windows_failed();
    }
    if (got != at) {
        (void)VirtualFree(got, 0, MEM_RELEASE);
        return lofti_windows_refuse(EEXIST);
    }
    return 0;
}

/* Keeps a handle for a view that stores reach. */
static int area_keep(const lofti_area_request *request, uint64_t at, DWORD protect)
{
    lofti_view_file view = {at, request->off, NULL, protect};
    const HANDLE own = GetCurrentProcess();
    if (!DuplicateHandle(own, request->file, own, &view.file, 0, FALSE, DUPLICATE_SAME_ACCESS)) {
        return lofti_windows_failed();
    }
    const int rc = lofti_views_add(&view);
    if (rc != 0) {
        (void)CloseHandle(view.file);
    }
    return rc;
}

/* The last page may end behind the file; a view may not, so it is asked for up to there. */
static int area_view_bytes(const lofti_area_request *request, uint64_t *bytes)
{
    LARGE_INTEGER size;
    if (!GetFileSizeEx(request->file, &size)) {
        return lofti_windows_failed();
    }
    if (request->off >= (uint64_t)size.QuadPart) {
        return lofti_windows_refuse(ENXIO);
    }
    *bytes = lofti_arith_min(request->bytes, (uint64_t)size.QuadPart - request->off);
    return 0;
}

static int area_map_file(const lofti_area_request *request, void *at)
{
    const bool is_copy = (request->flags & LOFTI_MAP_SHARED) == 0;
    const DWORD protect =
        request->protect != 0 ? request->protect : lofti_area_protection(request->flags, is_copy);
    uint64_t bytes = 0;
    int rc = area_view_bytes(request, &bytes);
    if (rc != 0) {
        return rc;
    }
    const HANDLE section = CreateFileMappingW(request->file, NULL, protect, 0, 0, NULL);
    if (section == NULL) {
        return lofti_windows_failed();
    }
    DWORD access = FILE_MAP_READ;
    if (protect != PAGE_READONLY) {
        access = protect == PAGE_WRITECOPY ? FILE_MAP_COPY : FILE_MAP_READ | FILE_MAP_WRITE;
    }
    void *got = MapViewOfFileEx(section, access, (DWORD)(request->off >> 32), (DWORD)request->off,
                                (SIZE_T)bytes, at);
    rc = got == NULL ? lofti_windows_failed() : 0;
    (void)CloseHandle(section); /* the view keeps it */
    if (rc == 0 && got != at) {
        rc = lofti_windows_refuse(EEXIST);
    }
    if (rc == 0 && protect == PAGE_READWRITE) {
        rc = area_keep(request, lofti_area_number(got), protect);
    }
    if (rc != 0 && got != NULL) {
        (void)UnmapViewOfFile(got);
    }
    return rc;
}

int lofti_area_map_at(const lofti_area_request *request, uint64_t at)
{
    return request->file == NULL ? area_map_memory(request, lofti_area_address(at))
                                 : area_map_file(request, lofti_area_address(at));
}

static bool area_is_inside(uint64_t at, uint64_t bytes)
{
    return at >= LOFTI_MAP_LOW && lofti_arith_inside(at, bytes, LOFTI_MAP_HIGH);
}

static int area_search(const lofti_area_request *request, uint64_t at, void **out)
{
    const uint64_t granule_bytes = lofti_map_granule_bytes();
    uint64_t step_bytes = granule_bytes;
    lofti_area area;
    at = lofti_arith_round_up(at, granule_bytes);
    while (area_is_inside(at, request->bytes) && lofti_area_at(at, &area)) {
        if (area.state != MEM_FREE || area.end - at < request->bytes) {
            at = lofti_arith_round_up(area.end, granule_bytes);
            continue;
        }
        const int rc = lofti_area_map_at(request, at);
        if (rc == 0) {
            atomic_store_explicit(&area_hint, at + request->bytes, memory_order_relaxed);
            *out = lofti_area_address(at);
            return 0;
        }
        if (rc != -EEXIST) {
            return rc;
        }
        at += step_bytes;
        step_bytes *= 2;
    }
    return lofti_windows_refuse(ENOMEM);
}

int lofti_area_map(const lofti_area_request *request, void **out)
{
    const uint64_t hint = atomic_load_explicit(&area_hint, memory_order_relaxed);
    int rc = area_search(request, hint, out);
    if (rc == -ENOMEM && hint > LOFTI_MAP_LOW) {
        rc = area_search(request, LOFTI_MAP_LOW, out); /* given back since, further down */
    }
    return rc;
}
