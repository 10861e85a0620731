/*
 * os/views_windows.c - a hash table of views, with open addressing.
 *
 * Invariants
 * 1. At most half of the places are in use, so a probe ends.
 * 2. Between the place that a view's address hashes to and the one it has, no place is empty: taking
 *    one out moves later ones up.
 */
#include "os/views_windows.h"

#include <errno.h>
#include <string.h>

#include "base/arith.h"

enum { VIEWS_PLACES_MIN = 1024 }; /* 32 KiB: a process with 512 writable views asks once */

static SRWLOCK views_lock = SRWLOCK_INIT;
static lofti_view_file *views_table;
static uint64_t views_places; /* a power of two */
static uint64_t views_count;

static uint64_t views_home(uint64_t at)
{
    uint64_t mix = at >> 16; /* views begin at multiples of 64 KiB */
    mix = (mix ^ (mix >> 15)) * UINT64_C(0x9e3779b97f4a7c15);
    return (mix >> 20) & (views_places - 1);
}

/* The place of the view, or the empty one where it would be. */
static uint64_t views_place(uint64_t at)
{
    uint64_t place = views_home(at);
    while (views_table[place].at != 0 && views_table[place].at != at) {
        place = (place + 1) & (views_places - 1);
    }
    return place;
}

static int views_grow(void)
{
    lofti_view_file *old = views_table;
    const uint64_t old_places = views_places;
    const uint64_t places = old_places != 0 ? 2 * old_places : VIEWS_PLACES_MIN;
    lofti_view_file *table = VirtualAlloc(NULL, (size_t)places * sizeof *table,
                                          MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    if (table == NULL) {
        return lofti_windows_failed();
    }
    views_table = table;
    views_places = places;
    for (uint64_t i = 0; i < old_places; i++) {
        if (old[i].at != 0) {
            views_table[views_place(old[i].at)] = old[i];
        }
    }
    if (old != NULL) {
        (void)VirtualFree(old, 0, MEM_RELEASE);
    }
    return 0;
}

int lofti_views_add(const lofti_view_file *view)
{
    int rc = 0;
    AcquireSRWLockExclusive(&views_lock);
    if (2 * (views_count + 1) > views_places) {
        rc = views_grow();
    }
    if (rc == 0) {
        views_table[views_place(view->at)] = *view;
        views_count++;
    }
    ReleaseSRWLockExclusive(&views_lock);
    return rc;
}

bool lofti_views_find(uint64_t at, lofti_view_file *out)
{
    bool is_found = false;
    AcquireSRWLockShared(&views_lock);
    if (views_places != 0) {
        *out = views_table[views_place(at)];
        is_found = out->at == at && at != 0;
    }
    ReleaseSRWLockShared(&views_lock);
    return is_found;
}

/* Empties a place and closes the gap (invariant 2). */
static void views_empty(uint64_t hole)
{
    uint64_t place = hole;
    for (;;) {
        place = (place + 1) & (views_places - 1);
        if (views_table[place].at == 0) {
            break;
        }
        const uint64_t home = views_home(views_table[place].at);
        /* It may stay if its home lies behind the hole, going round. */
        if (((place - home) & (views_places - 1)) >= ((place - hole) & (views_places - 1))) {
            views_table[hole] = views_table[place];
            hole = place;
        }
    }
    memset(&views_table[hole], 0, sizeof views_table[hole]);
}

bool lofti_views_take(uint64_t at, lofti_view_file *out)
{
    bool is_found = false;
    AcquireSRWLockExclusive(&views_lock);
    if (views_places != 0 && at != 0) {
        const uint64_t place = views_place(at);
        is_found = views_table[place].at == at;
        if (is_found) {
            *out = views_table[place];
            views_empty(place);
            views_count--;
        }
    }
    ReleaseSRWLockExclusive(&views_lock);
    return is_found;
}
