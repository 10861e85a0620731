/* The barrier that one side pays for, and the arenas' part of the address space. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "os/barrier.h"
#include "os/map.h"
#include "os/window.h"
#include "support/test.h"

/* Both sides store their own flag and then load the other's; the frequent side orders the two for
 * the compiler alone. That both see nothing is what must never happen. */
static atomic_uint flag[2];
static atomic_uint seen;
static atomic_uint round_begun, rounds_done;

static uint64_t rounds(void) { return loft_test_scale(5000, 500000, 10000000); }

static void *frequent_side(void *arg)
{
    (void)arg;
    const uint64_t count = rounds();
    for (unsigned i = 1; i <= count; i++) {
        while (atomic_load_explicit(&round_begun, memory_order_acquire) != i) {}
        atomic_store_explicit(&flag[0], i, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst);
        const unsigned other = atomic_load_explicit(&flag[1], memory_order_relaxed);
        atomic_store_explicit(&seen, other, memory_order_relaxed);
        atomic_store_explicit(&rounds_done, i, memory_order_release);
    }
    return NULL;
}

LOFT_TEST(os_barrier, no_two_sides_miss_each_other)
{
    if (!lofti_barrier_available()) {
        LOFT_SKIP("membarrier is not to be had, or not understood by this build's sanitizer");
    }
    pthread_t other;
    const uint64_t count = rounds();
    LOFT_CHECK_EQ_INT(pthread_create(&other, NULL, frequent_side, NULL), 0);
    for (unsigned i = 1; i <= count; i++) {
        atomic_store_explicit(&round_begun, i, memory_order_release);
        atomic_store_explicit(&flag[1], i, memory_order_relaxed);
        lofti_barrier_all();
        const unsigned theirs = atomic_load_explicit(&flag[0], memory_order_relaxed);
        while (atomic_load_explicit(&rounds_done, memory_order_acquire) != i) {}
        const unsigned ours = atomic_load_explicit(&seen, memory_order_relaxed);
        LOFT_CHECK_TRUE(theirs == i || ours == i);
    }
    LOFT_CHECK_EQ_INT(pthread_join(other, NULL), 0);
}

static void use_barrier(void *arg)
{
    (void)arg;
    LOFT_CHECK_TRUE(lofti_barrier_available());
    lofti_barrier_all();
}

LOFT_TEST(os_barrier, a_forked_child_has_it_too)
{
    if (!lofti_barrier_available()) {
        LOFT_SKIP("membarrier is not to be had, or not understood by this build's sanitizer");
    }
    loft_test_child child;
    loft_test_run_child(use_barrier, NULL, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
}

LOFT_TEST(os_barrier, the_window_of_the_arenas_can_be_mapped)
{
    const lofti_window window = lofti_window_default();
    LOFT_CHECK_GE_UINT(window.low, LOFTI_MAP_LOW);
    LOFT_CHECK_LE_UINT(window.high, LOFTI_MAP_HIGH);
    LOFT_CHECK_LE_UINT(window.reserve_bytes, window.high - window.low);
    void *const ends[] = {(void *)(uintptr_t)window.low,
                          (void *)(uintptr_t)(window.high - window.reserve_bytes)};
    for (int i = 0; i < 2; i++) {
        const unsigned flags = LOFTI_MAP_RESERVE | LOFTI_MAP_NORESERVE;
        const int rc = lofti_map_at(ends[i], window.reserve_bytes, flags, NULL, 0);
        if (rc != 0) {
            char text[128];
            lofti_map_holder(ends[i], window.reserve_bytes, text, sizeof text);
            LOFT_SKIP("this address space or its limits refuse it (%d, %s)", rc, text);
        }
        LOFT_CHECK_EQ_INT(lofti_map_release(ends[i], window.reserve_bytes), 0);
    }
}
