/*
 * os/place.c - where a mapping lies.
 *
 * The kernel chooses first. Its answer is nearly always between LOW and HIGH, so placing costs
 * one system call. When it is not (Valgrind, emulators, legacy layouts):
 *
 *      0        LOW = 4 GiB                                              HIGH = 2^47
 *      |---------|====|......|=======|..............................|====|
 *        answer       ^hint  taken   ^hint again: the lowest gap that fits
 *        given back
 *
 * Invariants
 * 1. Nothing outside [LOW, HIGH) leaves this file.
 * 2. An address is what was compared, never what was asked for: MAP_FIXED_NOREPLACE is a mere
 *    hint to old kernels, qemu and Valgrind.
 * 3. Only memory known to be ours is unmapped or mapped over. After a failed fixed mapping it is
 *    not known whether the range is still ours (the kernel may have dropped the old mapping
 *    first, and another thread may have been given the place): lofti_place_give_up.
 * 4. A search ends: hints only rise, by an eighth each time the system refuses a place that looked
 *    free, which is less than 100 steps from LOW to HIGH.
 */
#include "os/place.h"

#include <errno.h>
#include <stdatomic.h>

/* For a place that another thread may take in the moment that it is nobody's. */
enum { PLACE_TRIES = 16 };

/* Where the last search for a place ended: the next one starts there. Only a hint. */
static _Atomic uint64_t place_rising_hint = LOFTI_MAP_LOW;

void lofti_place_forget(void)
{
    atomic_store_explicit(&place_rising_hint, LOFTI_MAP_LOW, memory_order_relaxed);
}

/* --- Places ------------------------------------------------------------------------------ */

int lofti_place_exactly(const lofti_place_request *request, uint64_t at)
{
    void *got = NULL;
    const int rc = request->ops->map(lofti_place_address(at), false, request->bytes, request->flags,
                                     request->handle, request->off, &got);
    if (rc == 0 && lofti_place_number(got) != at) {
        (void)request->ops->unmap(got, request->bytes);
        return -EEXIST;
    }
    return rc;
}

typedef struct place_gap {
    uint64_t start; /* in: from where; out: the lowest start of a gap */
    uint64_t bytes; /* that holds this much */
} place_gap;

static int place_gap_visit(void *context, const lofti_map_area *area)
{
    place_gap *gap = context;
    if (area->end <= gap->start) {
        return 0;
    }
    if (area->start >= gap->start && area->start - gap->start >= gap->bytes) {
        return 1;
    }
    gap->start = area->end;
    return 0;
}

/* Raises *hint to the lowest gap that holds `bytes`. False: the system does not tell. */
static bool place_find_gap(const lofti_map_ops *ops, uint64_t *hint, uint64_t bytes)
{
    place_gap gap = {*hint, bytes};
    if (ops->walk == NULL || ops->walk(place_gap_visit, &gap) < 0) {
        return false;
    }
    *hint = lofti_arith_round_up(gap.start, lofti_map_granule_bytes());
    return true;
}

static uint64_t place_raise(uint64_t hint)
{
    return lofti_arith_round_up(hint + hint / 8, lofti_map_granule_bytes());
}

/* Maps at the lowest place at or above `hint` that can be had. */
static int place_rising(const lofti_place_request *request, uint64_t hint, void **out)
{
    bool looked_free = false;
    while (lofti_place_is_inside(hint, request->bytes)) {
        const int rc = lofti_place_exactly(request, hint);
        if (rc == 0) {
            atomic_store_explicit(&place_rising_hint, hint + request->bytes, memory_order_relaxed);
            *out = lofti_place_address(hint);
            return 0;
        }
        if (rc != -EEXIST) {
            return rc;
        }
        if (looked_free) {
            hint = place_raise(hint);
        }
        looked_free = place_find_gap(request->ops, &hint, request->bytes);
        if (!looked_free) {
            hint = place_raise(hint);
        }
    }
    return -ENOMEM;
}

int lofti_place_anywhere(const lofti_place_request *request, void **out)
{
    void *got = NULL;
    int rc = request->ops->map(NULL, false, request->bytes, request->flags, request->handle,
                               request->off, &got);
    if (rc != 0) {
        return rc;
    }
    if (lofti_place_is_inside(lofti_place_number(got), request->bytes)) {
        *out = got;
        return 0;
    }
    (void)request->ops->unmap(got, request->bytes);
    const uint64_t hint = lofti_arith_round_up(
        atomic_load_explicit(&place_rising_hint, memory_order_relaxed), lofti_map_granule_bytes());
    rc = place_rising(request, hint, out);
    if (rc == -ENOMEM && hint > LOFTI_MAP_LOW) {
        rc = place_rising(request, LOFTI_MAP_LOW, out); /* given back since, further down */
    }
    return rc;
}

/* --- Reservations: address space held while it is decided what goes there ------------------ */

lofti_place_request lofti_place_reservation(const lofti_map_ops *ops, size_t bytes)
{
    const lofti_place_request request = {ops, bytes, LOFTI_MAP_RESERVE | LOFTI_MAP_NORESERVE, -1,
                                         0};
    return request;
}

typedef struct place_hold {
    uint64_t start, end; /* what is not yet seen as held by a reservation */
} place_hold;

static int place_hold_visit(void *context, const lofti_map_area *area)
{
    place_hold *hold = context;
    if (area->end <= hold->start) {
        return 0;
    }
    if (area->start > hold->start || area->readable || area->writable || area->shared ||
        area->file) {
        return 1;
    }
    hold->start = area->end;
    return hold->start >= hold->end;
}

/* Gives up a reservation after a fixed mapping over it failed (invariant 3). If the kernel had
 * already dropped it, the place can be taken afresh, unless another thread was faster; if it had
 * not, the system's list shows it. In doubt, address space stays reserved: rather that than
 * unmapping what may be somebody else's. */
void lofti_place_give_up(const lofti_map_ops *ops, uint64_t at, size_t bytes)
{
    const lofti_place_request again = lofti_place_reservation(ops, bytes);
    if (lofti_place_exactly(&again, at) != 0) {
        place_hold hold = {at, at + bytes};
        if (ops->walk == NULL || ops->walk(place_hold_visit, &hold) < 0 || hold.start < hold.end) {
            return;
        }
    }
    (void)ops->unmap(lofti_place_address(at), bytes);
}

int lofti_place_over(const lofti_place_request *request, uint64_t at)
{
    void *got = NULL;
    const int rc = request->ops->map(lofti_place_address(at), true, request->bytes, request->flags,
                                     request->handle, request->off, &got);
    if (rc == 0 && lofti_place_number(got) != at) {
        (void)request->ops->unmap(got, request->bytes);
        return -EEXIST;
    }
    return rc;
}

/* Cuts [start, end) down to [keep, keep + bytes). On failure nothing of it is left. */
static int place_trim(const lofti_map_ops *ops, uint64_t start, uint64_t end, uint64_t keep,
                      size_t bytes)
{
    const uint64_t keep_end = keep + bytes;
    int rc = 0;
    if (keep > start) {
        rc = ops->unmap(lofti_place_address(start), (size_t)(keep - start));
        start = rc == 0 ? keep : start;
    }
    if (rc == 0 && end > keep_end) {
        rc = ops->unmap(lofti_place_address(keep_end), (size_t)(end - keep_end));
    }
    if (rc != 0) {
        (void)ops->unmap(lofti_place_address(start), (size_t)(end - start));
    }
    return rc;
}

/* Kernels align by themselves what huge pages could serve: the first answer may do. Not when
 * the pages are to be filled at once, which would be dear to do in vain. */
static int place_by_luck(const lofti_place_request *request, size_t alignment, void **out)
{
    void *got = NULL;
    if ((request->flags & LOFTI_MAP_POPULATE) != 0) {
        return -EAGAIN;
    }
    const int rc = lofti_place_anywhere(request, &got);
    if (rc != 0) {
        return rc;
    }
    if ((lofti_place_number(got) & (alignment - 1)) != 0) {
        (void)request->ops->unmap(got, request->bytes);
        return -EAGAIN;
    }
    *out = got;
    return 0;
}

/* Within a reservation of [start, start + span), at a multiple of `alignment`. The reservation is used up. */
static int place_within(const lofti_place_request *request, uint64_t start, uint64_t span,
                        uint64_t at)
{
    int rc = place_trim(request->ops, start, start + span, at, request->bytes);
    if (rc == -EOPNOTSUPP) {
        /* It cannot be cut and was given back: the place is asked for afresh. */
        return lofti_place_exactly(request, at);
    }
    if (rc == 0) {
        rc = lofti_place_over(request, at);
        if (rc != 0) {
            lofti_place_give_up(request->ops, at, request->bytes);
        }
    }
    return rc;
}

int lofti_place_aligned(const lofti_place_request *request, size_t alignment, void **out)
{
    int rc = place_by_luck(request, alignment, out);
    if (rc != -EAGAIN) {
        return rc;
    }
    uint64_t span;
    if (!lofti_arith_add(request->bytes, alignment - lofti_map_page_bytes(), &span) ||
        span > LOFTI_MAP_HIGH) {
        return -ENOMEM;
    }
    const lofti_place_request room = lofti_place_reservation(request->ops, (size_t)span);
    uint64_t at = 0;
    rc = -EEXIST;
    for (int i = 0; i < PLACE_TRIES && rc == -EEXIST; i++) {
        void *got = NULL;
        rc = lofti_place_anywhere(&room, &got);
        if (rc == 0) {
            const uint64_t start = lofti_place_number(got);
            at = lofti_arith_round_up(start, alignment);
            rc = place_within(request, start, span, at);
        }
    }
    if (rc == 0) {
        *out = lofti_place_address(at);
    }
    return rc;
}
