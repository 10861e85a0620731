/*
 * os/map.c - the portable part of mapping memory: the contract around os/place.c's searching.
 */
#include "os/map.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "os/place.h"

static _Atomic(const lofti_map_ops *) map_ops_chosen;
/* 0: not yet asked; every thread finds the same. */
static _Atomic unsigned map_bits_known;
static _Atomic size_t map_page_known;
static _Atomic size_t map_granule_known;

static const lofti_map_ops *map_ops_current(void)
{
    const lofti_map_ops *ops = atomic_load_explicit(&map_ops_chosen, memory_order_acquire);
    return ops != NULL ? ops : lofti_map_ops_system();
}

void lofti_map_ops_set(const lofti_map_ops *ops)
{
    atomic_store_explicit(&map_ops_chosen, ops, memory_order_release);
    lofti_place_forget();
    atomic_store_explicit(&map_bits_known, 0, memory_order_relaxed);
}

/* --- How large it is ---------------------------------------------------------------------- */

/* Places tried in an upper half: somebody may have one or the other. */
#define MAP_BITS_TRIES 4u

static bool map_reaches(const lofti_map_ops *ops, unsigned bits)
{
    const uint64_t half = (uint64_t)1 << (bits - 1);
    const lofti_place_request page = lofti_place_reservation(ops, lofti_map_granule_bytes());
    const uint64_t tries = MAP_BITS_TRIES;
    for (uint64_t i = 0; i < tries; i++) {
        const uint64_t at = half + half / (2 * tries) * (2 * i + 1);
        if (lofti_place_exactly(&page, at) == 0) {
            (void)ops->unmap(lofti_place_address(at), page.bytes);
            return true;
        }
    }
    return false;
}

unsigned lofti_map_bits(void)
{
    unsigned bits = atomic_load_explicit(&map_bits_known, memory_order_relaxed);
    if (bits != 0) {
        return bits;
    }
    const lofti_map_ops *ops = map_ops_current();
    for (bits = LOFTI_MAP_BITS_MAX; bits >= LOFTI_MAP_BITS_MIN; bits--) {
        if (map_reaches(ops, bits)) {
            atomic_store_explicit(&map_bits_known, bits, memory_order_relaxed);
            return bits;
        }
    }
    return LOFTI_MAP_BITS_MAX;
}

static size_t map_remembered(_Atomic size_t *known, size_t (*ask)(void))
{
    size_t bytes = atomic_load_explicit(known, memory_order_relaxed);
    if (LOFTI_UNLIKELY(bytes == 0)) {
        bytes = ask();
        atomic_store_explicit(known, bytes, memory_order_relaxed);
    }
    return bytes;
}

void lofti_map_page_pretend(size_t bytes)
{
    atomic_store_explicit(&map_page_known, bytes, memory_order_relaxed);
}

size_t lofti_map_page_bytes(void)
{
    return map_remembered(&map_page_known, lofti_map_system_page_bytes);
}

size_t lofti_map_granule_bytes(void)
{
    const size_t bytes = map_remembered(&map_granule_known, lofti_map_system_granule_bytes);
    return (size_t)lofti_arith_max(bytes,
                                   lofti_map_page_bytes()); /* which may be a pretended one */
}

static bool map_is_whole_pages(uint64_t value)
{
    return (value & (lofti_map_page_bytes() - 1)) == 0;
}

/* `off`: of a file, or an address: where a mapping begins. */
static bool map_is_request_valid(size_t bytes, uint64_t off)
{
    return bytes != 0 && map_is_whole_pages(bytes) && (off & (lofti_map_granule_bytes() - 1)) == 0;
}

/* --- The contract ------------------------------------------------------------------------- */

static lofti_place_request map_request_of(size_t bytes, unsigned flags, const lofti_file *file,
                                          uint64_t off)
{
    const lofti_place_request request = {map_ops_current(), bytes, flags,
                                         file != NULL ? file->handle : -1, off};
    return request;
}

int lofti_map_place(size_t bytes, size_t alignment, unsigned flags, const lofti_file *file,
                    uint64_t off, void **out)
{
    if (!map_is_request_valid(bytes, off) || (alignment & (alignment - 1)) != 0) {
        return -EINVAL;
    }
    if (bytes > LOFTI_MAP_HIGH - LOFTI_MAP_LOW) {
        return -ENOMEM;
    }
    const lofti_place_request request = map_request_of(bytes, flags, file, off);
    return alignment <= lofti_map_granule_bytes() ? lofti_place_anywhere(&request, out)
                                                  : lofti_place_aligned(&request, alignment, out);
}

int lofti_map_at(void *at, size_t bytes, unsigned flags, const lofti_file *file, uint64_t off)
{
    const uint64_t start = lofti_place_number(at);
    if (!map_is_request_valid(bytes, off | start) || !lofti_place_is_inside(start, bytes)) {
        return -EINVAL;
    }
    const lofti_place_request request = map_request_of(bytes, flags, file, off);
    return lofti_place_exactly(&request, start);
}

int lofti_map_over(void *at, size_t bytes, unsigned flags, const lofti_file *file, uint64_t off)
{
    const uint64_t start = lofti_place_number(at);
    if (!map_is_request_valid(bytes, off) || !map_is_whole_pages(start) ||
        !lofti_place_is_inside(start, bytes)) {
        return -EINVAL;
    }
    const lofti_place_request request = map_request_of(bytes, flags, file, off);
    return lofti_place_over(&request, start);
}

int lofti_map_release(void *at, size_t bytes) { return map_ops_current()->unmap(at, bytes); }

/* Moves by way of a reservation: the kernel alone would choose a place outside the bounds where
 * it prefers one, and then there might be no way back. */
static int map_move(const lofti_map_ops *ops, void *at, size_t old_bytes, size_t new_bytes,
                    void **out)
{
    const lofti_place_request room = lofti_place_reservation(ops, new_bytes);
    void *to = NULL;
    void *got = NULL;
    int rc = lofti_place_anywhere(&room, &to);
    if (rc != 0) {
        return rc;
    }
    rc = ops->remap(at, old_bytes, new_bytes, true, to, &got);
    if (rc == -EOPNOTSUPP) { /* there is no such call: the room is what it was */
        (void)ops->unmap(to, new_bytes);
        return rc;
    }
    if (rc != 0) {
        lofti_place_give_up(ops, lofti_place_number(to), new_bytes);
        return rc;
    }
    *out = got;
    return 0;
}

/* Pages of zeros are not copied: they are there already, and most of a large range may be nothing else. */
static void map_copy(char *to, const char *from, size_t bytes)
{
    const size_t page_bytes = lofti_map_page_bytes();
    for (size_t off = 0; off < bytes; off += page_bytes) {
        const char *page = from + off;
        if (page[0] != 0 || memcmp(page, page + 1, page_bytes - 1) != 0) {
            memcpy(to + off, page, page_bytes);
        }
    }
}

/* For systems without mremap. A shared mapping of a file is the same wherever it is made; memory is copied. Not what
 * a child may have, or private pages of a file: they cannot be brought along. */
static bool map_is_anew(const lofti_map_source *source)
{
    return source != NULL && ((source->flags & LOFTI_MAP_SHARED) != 0) == (source->file != NULL);
}

static int map_extend(void *at, size_t old_bytes, size_t new_bytes, const lofti_map_source *source)
{
    const uint64_t off = source->file != NULL ? source->off + old_bytes : 0;
    const int rc = lofti_map_at((char *)at + old_bytes, new_bytes - old_bytes, source->flags,
                                source->file, off);
    return rc == -EEXIST ? -ENOMEM : rc;
}

static int map_move_anew(void *at, size_t old_bytes, size_t new_bytes,
                         const lofti_map_source *source, void **out)
{
    void *to = NULL;
    int rc = lofti_map_place(new_bytes, 0, source->flags, source->file, source->off, &to);
    if (rc != 0) {
        return rc;
    }
    if (source->file == NULL) {
        map_copy(to, at, old_bytes);
    }
    rc = lofti_map_release(at, old_bytes);
    if (rc != 0) {
        (void)lofti_map_release(to, new_bytes);
        return rc;
    }
    *out = to;
    return 0;
}

static int map_resize_here(const lofti_map_ops *ops, void *at, size_t old_bytes, size_t new_bytes,
                           const lofti_map_source *source)
{
    void *got = NULL;
    if (!lofti_place_is_inside(lofti_place_number(at), new_bytes)) {
        return -ENOMEM;
    }
    const int rc = ops->remap(at, old_bytes, new_bytes, false, NULL, &got);
    return rc == -EOPNOTSUPP && map_is_anew(source) ? map_extend(at, old_bytes, new_bytes, source)
                                                    : rc;
}

int lofti_map_resize(void *at, size_t old_bytes, size_t new_bytes, bool may_move,
                     const lofti_map_source *source, void **out)
{
    if (!map_is_request_valid(old_bytes, lofti_place_number(at)) ||
        !map_is_request_valid(new_bytes, 0)) {
        return -EINVAL;
    }
    if (new_bytes > LOFTI_MAP_HIGH - LOFTI_MAP_LOW) {
        return -ENOMEM;
    }
    const lofti_map_ops *ops = map_ops_current();
    int rc = map_resize_here(ops, at, old_bytes, new_bytes, source);
    if (rc == 0) {
        *out = at;
    }
    if (rc != -ENOMEM || !may_move) {
        return rc;
    }
    rc = map_move(ops, at, old_bytes, new_bytes, out);
    return rc == -EOPNOTSUPP && map_is_anew(source)
               ? map_move_anew(at, old_bytes, new_bytes, source, out)
               : rc;
}

int lofti_map_protect(void *at, size_t bytes, unsigned flags)
{
    return map_ops_current()->protect(at, bytes, flags);
}

int lofti_map_advise(void *at, size_t bytes, int advice)
{
    const lofti_map_ops *ops = map_ops_current();
    int rc;
    do {
        rc = ops->advise(at, bytes, advice);
    } while (rc == -EINTR);
    return rc;
}

int lofti_map_drop(void *at, size_t bytes, unsigned flags)
{
    const int rc = lofti_map_advise(at, bytes, LOFTI_ADVICE_DONTNEED);
    return rc == -EOPNOTSUPP ? lofti_map_over(at, bytes, flags, NULL, 0) : rc;
}

/* EINTR is not repeated: the outcome of an interrupted flush is unknown. */
int lofti_map_sync(void *at, size_t bytes, bool wait)
{
    return map_ops_current()->sync(at, bytes, wait);
}

int lofti_map_lock(void *at, size_t bytes, bool on)
{
    return map_ops_current()->lock(at, bytes, on);
}

/* --- What is there ------------------------------------------------------------------------ */

typedef struct map_window {
    uint64_t start, end;
    lofti_map_area_fn *fn;
    void *context;
    int result; /* fn's: kept apart from the walk's own answers */
} map_window;

static int map_window_visit(void *context, const lofti_map_area *area)
{
    map_window *window = context;
    if (area->end <= window->start) {
        return 0;
    }
    if (area->start >= window->end) {
        return 1;
    }
    window->result = window->fn(window->context, area);
    return window->result != 0;
}

int lofti_map_each(const void *at, size_t bytes, lofti_map_area_fn *fn, void *context)
{
    const lofti_map_ops *ops = map_ops_current();
    map_window window = {lofti_place_number(at), UINT64_MAX, fn, context, 0};
    (void)lofti_arith_add(window.start, bytes, &window.end);
    if (ops->walk == NULL || ops->walk(map_window_visit, &window) < 0) {
        return -ENOTSUP;
    }
    return window.result;
}

static int map_is_there(void *context, const lofti_map_area *area)
{
    (void)context;
    (void)area;
    return 1;
}

bool lofti_map_lists_held(void)
{
    /* With nothing on either side: what lies between mappings would be told apart from what is around the program. */
    const size_t bytes = lofti_map_granule_bytes();
    void *room = NULL;
    if (lofti_map_place(3 * bytes, 0, LOFTI_MAP_RESERVE | LOFTI_MAP_NORESERVE, NULL, 0, &room) !=
        0) {
        return false;
    }
    char *held = (char *)room + bytes;
    (void)lofti_map_release(room, bytes);
    (void)lofti_map_release(held + bytes, bytes);
    const bool listed = lofti_map_each(held, bytes, map_is_there, NULL) == 1;
    (void)lofti_map_release(held, bytes);
    return listed;
}

typedef struct map_text {
    char *text;
    size_t bytes;
    bool is_file;
} map_text;

static int map_holder_visit(void *context, const lofti_map_area *area)
{
    map_text *text = context;
    if (area->name[0] != '\0') {
        text->is_file = area->file;
        (void)snprintf(text->text, text->bytes, "%s", area->name);
    } else {
        (void)snprintf(text->text, text->bytes, "anonymous memory at 0x%" PRIx64, area->start);
    }
    return 1;
}

bool lofti_map_holder(const void *at, size_t bytes, char *text, size_t text_bytes)
{
    map_text out = {text, text_bytes, false};
    if (text_bytes != 0) {
        text[0] = '\0';
        (void)lofti_map_each(at, bytes, map_holder_visit, &out);
    }
    return out.is_file;
}
