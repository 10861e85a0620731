/* Where mappings are placed, in an address space on paper: answers that are low, high or moved,
 * crowded and small spaces, refusals at every call, and other threads that are faster. Memory that
 * is somebody else's is never unmapped: space.c fails the test that does. */
#include <errno.h>

#include "os/map.h"
#include "os/space.h"
#include "support/test.h"

#define PAGE ((size_t)4096)
#define MIB  ((size_t)1 << 20)
#define GIB  ((uint64_t)1 << 30)
#define LOW  LOFTI_MAP_LOW
#define HIGH LOFTI_MAP_HIGH

static uint64_t number(const void *at) { return (uint64_t)(uintptr_t)at; }
static void *address(uint64_t at) { return (void *)(uintptr_t)at; }

static int place(size_t bytes, size_t alignment, uint64_t *out)
{
    void *at = NULL;
    const int rc = lofti_map_place(bytes, alignment, LOFTI_MAP_WRITE, NULL, 0, &at);
    *out = number(at);
    if (rc == 0) {
        LOFT_CHECK_GE_UINT(*out, LOW);
        LOFT_CHECK_LE_UINT(*out + bytes, HIGH);
        LOFT_CHECK_EQ_UINT(alignment > 1 ? *out % alignment : 0, 0);
    }
    return rc;
}

LOFT_TEST(os_place, the_kernels_choice_is_taken_with_one_call)
{
    space *world = space_begin();
    uint64_t at;
    LOFT_CHECK_EQ_INT(place(MIB, 0, &at), 0);
    LOFT_CHECK_EQ_UINT(at, world->limit - MIB);
    LOFT_CHECK_EQ_UINT(world->maps, 1);
    LOFT_CHECK_EQ_UINT(world->unmaps, 0);
    LOFT_CHECK_EQ_INT(lofti_map_release(address(at), MIB), 0);
    LOFT_CHECK_EQ_UINT(space_ours(), 0);
}

LOFT_TEST(os_place, low_answers_are_given_back_and_hints_rise)
{
    space *world = space_begin();
    world->lowest = 16 * PAGE;
    uint64_t last = LOW;
    for (unsigned i = 1; i <= 20; i++) {
        uint64_t at;
        LOFT_CHECK_EQ_INT(place(MIB, 0, &at), 0);
        LOFT_CHECK_EQ_UINT(at, last);
        last = at + MIB;
        LOFT_CHECK_EQ_UINT(space_ours(), (uint64_t)i * MIB);
        LOFT_CHECK_EQ_UINT(world->maps,
                           2 * (uint64_t)i); /* the answer, and the hint that followed */
    }
}

LOFT_TEST(os_place, an_answer_across_a_bound_is_given_back)
{
    space *world = space_begin();
    uint64_t at;
    world->lowest = LOW - PAGE;
    LOFT_CHECK_EQ_INT(place(2 * PAGE, 0, &at), 0);
    LOFT_CHECK_EQ_UINT(space_ours(), 2 * PAGE);
    world = space_begin();
    world->limit = HIGH + PAGE;
    LOFT_CHECK_EQ_INT(place(2 * PAGE, 0, &at), 0);
    LOFT_CHECK_EQ_UINT(space_ours(), 2 * PAGE);
    world = space_begin();
    world->limit = HIGH;
    LOFT_CHECK_EQ_INT(place(2 * PAGE, 0, &at), 0);
    LOFT_CHECK_EQ_UINT(at, HIGH - 2 * PAGE);
}

LOFT_TEST(os_place, the_one_gap_of_a_crowded_space_is_found)
{
    static const uint64_t gaps[] = {4, 5, 37, 1000, 60000, 131000};
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
        space *world = space_begin();
        const uint64_t gap = gaps[i] * GIB;
        world->lowest = 16 * PAGE;
        space_occupy(GIB, 2 * GIB);
        if (gap > LOW) {
            space_occupy(LOW - PAGE, gap);
        }
        space_occupy(gap + 64 * MIB, HIGH);
        uint64_t at;
        LOFT_CHECK_EQ_INT(place(64 * MIB, 0, &at), 0);
        LOFT_CHECK_EQ_UINT(at, gap);
        LOFT_CHECK_EQ_INT(place(PAGE, 0, &at), -ENOMEM); /* now it is full */
        LOFT_CHECK_EQ_UINT(space_ours(), 64 * MIB);
    }
}

LOFT_TEST(os_place, without_a_list_of_mappings_hints_rise_by_eighths)
{
    space *world = space_begin();
    world->lowest = 16 * PAGE;
    world->hides = true;
    space_occupy(LOW, 1000 * GIB);
    uint64_t at;
    LOFT_CHECK_EQ_INT(place(64 * MIB, 0, &at), 0);
    LOFT_CHECK_GE_UINT(at, 1000 * GIB);
    LOFT_CHECK_LE_UINT(at, 1125 * GIB);
    LOFT_CHECK_LT_UINT(world->maps, 100);
    world = space_begin();
    world->lowest = 16 * PAGE;
    world->hides = true;
    space_occupy(LOW, HIGH);
    LOFT_CHECK_EQ_INT(place(PAGE, 0, &at), -ENOMEM);
    LOFT_CHECK_LT_UINT(world->maps, 200);
    LOFT_CHECK_EQ_UINT(space_ours(), 0);
}

LOFT_TEST(os_place, what_was_freed_below_the_last_hint_is_found_again)
{
    space *world = space_begin();
    world->lowest = 16 * PAGE;
    const uint64_t half = (HIGH - LOW) / 2;
    uint64_t first;
    uint64_t second;
    uint64_t third;
    LOFT_CHECK_EQ_INT(place(half, 0, &first), 0);
    LOFT_CHECK_EQ_INT(place(half - PAGE, 0, &second), 0);
    LOFT_CHECK_EQ_INT(place(GIB, 0, &third), -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_map_release(address(first), half), 0);
    LOFT_CHECK_EQ_INT(place(GIB, 0, &third), 0);
    LOFT_CHECK_EQ_UINT(third, LOW);
}

LOFT_TEST(os_place, a_system_that_moves_every_hint_ends_in_an_error)
{
    for (int hides = 0; hides < 2; hides++) {
        space *world = space_begin();
        world->lowest = 16 * PAGE;
        world->moves_hints = true;
        world->hides = hides != 0;
        uint64_t at;
        LOFT_CHECK_EQ_INT(place(MIB, 0, &at), -ENOMEM);
        LOFT_CHECK_EQ_INT(lofti_map_at(address(LOW), MIB, 0, NULL, 0), -EEXIST);
        LOFT_CHECK_EQ_UINT(space_ours(), 0);
        LOFT_CHECK_LT_UINT(world->maps, 300);
    }
}

LOFT_TEST(os_place, a_system_without_noreplace_is_noticed)
{
    space *world = space_begin();
    world->ignores_noreplace = true;
    space_occupy(LOW, LOW + GIB);
    LOFT_CHECK_EQ_INT(lofti_map_at(address(LOW + GIB - PAGE), MIB, 0, NULL, 0), -EEXIST);
    LOFT_CHECK_EQ_UINT(space_ours(), 0);
    LOFT_CHECK_EQ_INT(lofti_map_at(address(LOW + GIB), MIB, 0, NULL, 0), 0);
    LOFT_CHECK_EQ_UINT(space_ours(), MIB);
    world->lowest = 16 * PAGE;
    uint64_t at;
    LOFT_CHECK_EQ_INT(place(MIB, 0, &at), 0);
    LOFT_CHECK_EQ_UINT(at, LOW + GIB + MIB);
}

LOFT_TEST(os_place, a_small_space_is_used_as_far_as_it_goes)
{
    space *world = space_begin();
    world->limit = (uint64_t)1 << 39;
    uint64_t at;
    LOFT_CHECK_EQ_INT(place(256 * GIB, 0, &at), 0);
    LOFT_CHECK_EQ_UINT(at, world->limit - 256 * GIB);
    LOFT_CHECK_EQ_INT(place(256 * GIB, 0, &at), -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_map_at(address(world->limit), PAGE, 0, NULL, 0), -ENOMEM);
    world->lowest = 16 * PAGE;
    LOFT_CHECK_EQ_INT(place(253 * GIB, 0, &at), -ENOMEM);
    LOFT_CHECK_EQ_INT(place(252 * GIB, 0, &at), 0);
    LOFT_CHECK_EQ_UINT(space_ours(), 508 * GIB);
}

LOFT_TEST(os_place, every_alignment_is_met_and_the_rest_given_back)
{
    for (int low = 0; low < 2; low++) {
        for (size_t alignment = PAGE; alignment <= 64 * GIB; alignment *= 2) {
            space *world = space_begin();
            world->lowest = low != 0 ? 16 * PAGE : 0;
            world->limit -= 5 * PAGE; /* else a lucky answer may be aligned */
            uint64_t at;
            void *odd;
            LOFT_CHECK_EQ_INT(lofti_map_place(3 * PAGE, 0, 0, NULL, 0, &odd), 0);
            LOFT_CHECK_EQ_INT(place(5 * PAGE, alignment, &at), 0);
            LOFT_CHECK_EQ_UINT(space_ours(), 8 * PAGE);
            LOFT_CHECK_EQ_UINT(space_at(at)->flags, LOFTI_MAP_WRITE);
        }
    }
}

LOFT_TEST(os_place, an_aligned_file_starts_at_its_offset_and_is_filled_once)
{
    space *world = space_begin();
    const lofti_file file = {lofti_file_ops_system(), 9};
    world->limit -= PAGE;
    void *at;
    const unsigned flags = LOFTI_MAP_WRITE | LOFTI_MAP_SHARED | LOFTI_MAP_POPULATE;
    LOFT_CHECK_EQ_INT(lofti_map_place(MIB, 2 * MIB, flags, &file, 7 * PAGE, &at), 0);
    LOFT_CHECK_EQ_UINT(number(at) % (2 * MIB), 0);
    const space_area *area = space_at(number(at));
    LOFT_CHECK_EQ_UINT(area->start, number(at));
    LOFT_CHECK_EQ_UINT(area->off, 7 * PAGE);
    LOFT_CHECK_EQ_INT(area->handle, 9);
    LOFT_CHECK_EQ_UINT(area->flags, flags);
    LOFT_CHECK_EQ_UINT(world->populates, 1);
    LOFT_CHECK_EQ_UINT(space_ours(), MIB);
}

LOFT_TEST(os_place, requests_that_make_no_sense_reach_nobody)
{
    space *world = space_begin();
    void *at;
    LOFT_CHECK_EQ_INT(lofti_map_place(0, 0, 0, NULL, 0, &at), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_place(PAGE + 1, 0, 0, NULL, 0, &at), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_place(PAGE, 0, 0, NULL, 512, &at), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_place(PAGE, 3 * PAGE, 0, NULL, 0, &at), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_place(HIGH, 0, 0, NULL, 0, &at), -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_map_place(SIZE_MAX & ~(PAGE - 1), 0, 0, NULL, 0, &at), -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_map_at(address(LOW - PAGE), PAGE, 0, NULL, 0), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_at(address(HIGH), PAGE, 0, NULL, 0), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_at(address(HIGH - PAGE), 2 * PAGE, 0, NULL, 0), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_at(address(LOW + 1), PAGE, 0, NULL, 0), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_over(NULL, PAGE, 0, NULL, 0), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_over(address(LOW), 0, 0, NULL, 0), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_resize(address(LOW), 0, PAGE, true, NULL, &at), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_resize(address(LOW), PAGE, 0, true, NULL, &at), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_resize(address(LOW), PAGE, 5, true, NULL, &at), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_resize(address(LOW), PAGE, HIGH, true, NULL, &at), -ENOMEM);
    LOFT_CHECK_EQ_UINT(world->maps, 0);
    LOFT_CHECK_EQ_INT(place((size_t)64 << 40, (size_t)128 << 40, &(uint64_t){0}), -ENOMEM);
    LOFT_CHECK_EQ_INT(place(PAGE, (size_t)1 << 63, &(uint64_t){0}), -ENOMEM);
    LOFT_CHECK_EQ_UINT(space_ours(), 0);
}

/* A world in which an aligned placement takes every step there is. */
static space *begin_hard(void)
{
    space *world = space_begin();
    world->lowest = 16 * PAGE;
    world->limit -= PAGE;
    space_occupy(LOW, LOW + PAGE);
    return world;
}

LOFT_TEST(os_place, a_refusal_at_any_call_leaves_nothing_mapped)
{
    for (unsigned how = 0; how < 4; how++) {
        unsigned nth = 1;
        for (;; nth++) {
            space *world = begin_hard();
            world->refuse_from = nth;
            world->refuse_count = (how & 1u) != 0 ? 1000 : 1;
            world->drops = (how & 2u) != 0;
            uint64_t at;
            const int rc = place(4 * PAGE, GIB, &at);
            if (nth > world->maps) {
                LOFT_CHECK_EQ_INT(rc, 0);
                break;
            }
            LOFT_CHECK_TRUE(rc == 0 || rc == -ENOMEM);
            LOFT_CHECK_EQ_UINT(space_ours(), rc == 0 ? 4 * PAGE : 0);
        }
        LOFT_CHECK_GT_UINT(nth, 5);
    }
}

LOFT_TEST(os_place, a_trim_that_fails_gives_everything_back)
{
    for (unsigned nth = 1;; nth++) {
        space *world = begin_hard();
        world->stuck_from = nth;
        world->stuck_count = 1;
        uint64_t at;
        const int rc = place(4 * PAGE, GIB, &at);
        if (nth > world->unmaps) {
            LOFT_CHECK_GT_UINT(nth, 4);
            break;
        }
        /* A whole answer that cannot be unmapped again stays; a part of it never does. */
        const uint64_t stuck = space_ours() - (rc == 0 ? 4 * PAGE : 0);
        LOFT_CHECK_TRUE(stuck == 0 || rc == 0);
    }
}

/* The last call of an aligned placement maps over the reservation. */
static unsigned calls_of_hard(bool hides)
{
    space *world = begin_hard();
    world->hides = hides;
    uint64_t at;
    LOFT_CHECK_EQ_INT(place(4 * PAGE, GIB, &at), 0);
    return world->maps;
}

LOFT_TEST(os_place, what_another_thread_took_meanwhile_is_left_alone)
{
    for (int hides = 0; hides < 2; hides++) {
        const unsigned last = calls_of_hard(hides != 0);
        for (int steals = 0; steals < 2; steals++) {
            space *world = begin_hard();
            world->refuse_from = last;
            world->refuse_count = 1;
            world->drops = true;
            world->steals = steals != 0;
            world->hides = hides != 0;
            uint64_t at;
            LOFT_CHECK_EQ_INT(place(4 * PAGE, GIB, &at), -ENOMEM);
            LOFT_CHECK_EQ_UINT(space_ours(), 0);
            LOFT_CHECK_EQ_UINT(space_theirs(), (steals != 0 ? 5 : 1) * PAGE);
        }
    }
}

/* Neither to be taken afresh nor to be looked up: it may be anybody's. */
LOFT_TEST(os_place, a_reservation_in_doubt_stays)
{
    const unsigned last = calls_of_hard(true);
    space *world = begin_hard();
    world->hides = true;
    world->refuse_from = last;
    world->refuse_count = 1;
    uint64_t at;
    LOFT_CHECK_EQ_INT(place(4 * PAGE, GIB, &at), -ENOMEM);
    LOFT_CHECK_EQ_UINT(space_ours(), 4 * PAGE);
}

LOFT_TEST(os_place, mapping_over_replaces_and_says_when_it_was_moved)
{
    space *world = space_begin();
    const lofti_file file = {lofti_file_ops_system(), 9};
    uint64_t at;
    LOFT_CHECK_EQ_INT(place(8 * PAGE, 0, &at), 0);
    LOFT_CHECK_EQ_INT(lofti_map_over(address(at + PAGE), PAGE, LOFTI_MAP_WRITE, &file, PAGE), 0);
    LOFT_CHECK_EQ_INT(space_at(at + PAGE)->handle, 9);
    LOFT_CHECK_EQ_UINT(space_ours(), 8 * PAGE);
    world->moves_hints = true;
    LOFT_CHECK_EQ_INT(lofti_map_over(address(at), PAGE, LOFTI_MAP_WRITE, &file, 0), -EEXIST);
    LOFT_CHECK_EQ_UINT(space_ours(), 8 * PAGE);
    LOFT_CHECK_EQ_INT(space_at(at)->handle, -1);
}

LOFT_TEST(os_place, resize_stays_where_it_can_and_moves_where_it_may)
{
    space *world = space_begin();
    void *moved;
    space_occupy(LOW + 4 * PAGE, LOW + 5 * PAGE);
    LOFT_CHECK_EQ_INT(lofti_map_at(address(LOW), 2 * PAGE, LOFTI_MAP_WRITE, NULL, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_map_resize(address(LOW), 2 * PAGE, 4 * PAGE, false, NULL, &moved), 0);
    LOFT_CHECK_EQ_UINT(number(moved), LOW);
    LOFT_CHECK_EQ_INT(lofti_map_resize(address(LOW), 4 * PAGE, 3 * PAGE, true, NULL, &moved), 0);
    LOFT_CHECK_EQ_UINT(number(moved), LOW);
    LOFT_CHECK_EQ_UINT(space_ours(), 3 * PAGE);
    LOFT_CHECK_EQ_INT(lofti_map_resize(address(LOW), 3 * PAGE, 9 * PAGE, false, NULL, &moved),
                      -ENOMEM);
    LOFT_CHECK_EQ_UINT(space_ours(), 3 * PAGE);
    LOFT_CHECK_EQ_INT(lofti_map_resize(address(LOW), 3 * PAGE, 9 * PAGE, true, NULL, &moved), 0);
    LOFT_CHECK_EQ_UINT(number(moved), world->limit - 9 * PAGE);
    LOFT_CHECK_EQ_UINT(space_ours(), 9 * PAGE);
    LOFT_CHECK_EQ_UINT(space_at(number(moved))->flags, LOFTI_MAP_WRITE);
    /* The system sees two mappings where the caller sees one. */
    LOFT_CHECK_EQ_INT(lofti_map_over(moved, 2 * PAGE, 0, NULL, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_map_resize(moved, 9 * PAGE, 20 * PAGE, true, NULL, &moved), -EFAULT);
    LOFT_CHECK_EQ_UINT(space_ours(), 9 * PAGE);
}

LOFT_TEST(os_place, resize_keeps_within_the_bounds)
{
    space *world = space_begin();
    world->limit = HIGH + GIB;
    void *moved;
    LOFT_CHECK_EQ_INT(lofti_map_at(address(HIGH - PAGE), PAGE, LOFTI_MAP_WRITE, NULL, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_map_resize(address(HIGH - PAGE), PAGE, 2 * PAGE, false, NULL, &moved),
                      -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_map_resize(address(HIGH - PAGE), PAGE, 2 * PAGE, true, NULL, &moved),
                      0);
    LOFT_CHECK_LE_UINT(number(moved) + 2 * PAGE, HIGH);
    world->lowest = 16 * PAGE;
    const uint64_t before = number(moved);
    space_occupy(before + 2 * PAGE, before + 3 * PAGE);
    LOFT_CHECK_EQ_INT(lofti_map_resize(address(before), 2 * PAGE, MIB, true, NULL, &moved), 0);
    LOFT_CHECK_GE_UINT(number(moved), LOW);
    LOFT_CHECK_LE_UINT(number(moved) + MIB, HIGH);
    LOFT_CHECK_EQ_UINT(space_ours(), MIB);
}

LOFT_TEST(os_place, a_failed_move_leaves_the_old_mapping_and_nothing_else)
{
    for (unsigned nth = 1; nth <= 4; nth++) {
        for (unsigned how = 0; how < 4; how++) {
            space *world = space_begin();
            void *moved;
            space_occupy(LOW + 2 * PAGE, LOW + 5 * PAGE);
            LOFT_CHECK_EQ_INT(lofti_map_at(address(LOW), 2 * PAGE, LOFTI_MAP_WRITE, NULL, 0), 0);
            world->refuse_from = nth + 1;
            world->refuse_count = 1;
            world->drops = (how & 1u) != 0;
            world->steals = (how & 2u) != 0;
            const int rc = lofti_map_resize(address(LOW), 2 * PAGE, 9 * PAGE, true, NULL, &moved);
            if (rc != 0) {
                LOFT_CHECK_EQ_INT(rc, -ENOMEM);
                LOFT_CHECK_EQ_UINT(space_at(LOW)->end, LOW + 2 * PAGE);
            }
            LOFT_CHECK_EQ_UINT(space_ours(), rc == 0 ? 9 * PAGE : 2 * PAGE);
        }
    }
}

LOFT_TEST(os_place, the_simple_calls_go_through_the_table)
{
    space_begin();
    uint64_t at;
    LOFT_CHECK_EQ_INT(place(PAGE, 0, &at), 0);
    for (int mapped = 1; mapped >= 0; mapped--) {
        const int want = mapped != 0 ? 0 : -ENOMEM;
        LOFT_CHECK_EQ_INT(lofti_map_protect(address(at), PAGE, LOFTI_MAP_READ), want);
        LOFT_CHECK_EQ_INT(lofti_map_advise(address(at), PAGE, LOFTI_ADVICE_HUGE), want);
        LOFT_CHECK_EQ_INT(lofti_map_sync(address(at), PAGE, true), want);
        LOFT_CHECK_EQ_INT(lofti_map_lock(address(at), PAGE, true), want);
        LOFT_CHECK_EQ_INT(lofti_map_release(address(at), PAGE), 0);
    }
}

/* Random requests in random worlds: what is handed out is where and what was asked for, and what
 * is mapped at the end is exactly that. */
static void try_random_world(loft_test_random *random)
{
    enum { HELD_MAX = 16 };
    struct {
        uint64_t at;
        size_t bytes;
    } held[HELD_MAX] = {{0, 0}};
    space *world = space_begin();
    uint64_t mapped = 0;
    world->lowest = loft_test_random_below(random, 2) * 16 * PAGE;
    world->limit >>= loft_test_random_below(random, 9);
    world->limit &= ~(uint64_t)(PAGE - 1);
    world->ignores_noreplace = loft_test_random_below(random, 2) != 0;
    world->hides = loft_test_random_below(random, 3) == 0;
    for (uint64_t at = GIB; at + 8 * GIB < world->limit && world->count < 40;) {
        const uint64_t bytes = (1 + loft_test_random_below(random, 4096)) * MIB;
        space_occupy(at, at + bytes);
        at += bytes + loft_test_random_below(random, 64) * PAGE;
    }
    const uint64_t theirs = space_theirs();
    for (unsigned step = 0; step < 60; step++) {
        const size_t i = loft_test_random_below(random, HELD_MAX);
        const size_t bytes = (1 + loft_test_random_below(random, 300)) * PAGE;
        void *moved = NULL;
        if (held[i].bytes == 0) {
            const size_t alignment = PAGE << loft_test_random_below(random, 12);
            if (place(bytes, alignment, &held[i].at) == 0) {
                held[i].bytes = bytes;
                mapped += bytes;
            }
        } else if (loft_test_random_below(random, 2) == 0) {
            LOFT_CHECK_EQ_INT(lofti_map_release(address(held[i].at), held[i].bytes), 0);
            mapped -= held[i].bytes;
            held[i].bytes = 0;
        } else if (lofti_map_resize(address(held[i].at), held[i].bytes, bytes, true, NULL,
                                    &moved) == 0) {
            LOFT_CHECK_GE_UINT(number(moved), LOW);
            LOFT_CHECK_LE_UINT(number(moved) + bytes, HIGH);
            mapped = mapped - held[i].bytes + bytes;
            held[i].at = number(moved);
            held[i].bytes = bytes;
        }
        LOFT_CHECK_EQ_UINT(space_ours(), mapped);
        LOFT_CHECK_EQ_UINT(space_theirs(), theirs);
    }
}

LOFT_TEST(os_place, random_worlds_end_as_the_sum_of_what_was_handed_out)
{
    loft_test_random random = {loft_test_seed()};
    const uint64_t rounds = loft_test_scale(3000, 100000, 1000000);
    for (uint64_t i = 0; i < rounds; i++) {
        try_random_world(&random);
    }
}
