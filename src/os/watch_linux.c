/*
 * os/watch_linux.c - userfaultfd with WP_ASYNC, and its self-test.
 *
 * The numbers are those of Linux 6.7 and later; older headers lack them.
 */
#include "os/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/dirty_scan_linux.h"
#include "os/map.h"

struct watch_api {
    __u64 api, features, ioctls;
};
struct watch_range {
    __u64 start, len;
};
struct watch_register {
    struct watch_range range;
    __u64 mode, ioctls;
};
#define WATCH_USER_MODE_ONLY 1
#define WATCH_API            ((__u64)0xAA)
#define WATCH_UNPOPULATED    ((__u64)1 << 13) /* pages that are not there yet count as written too */
#define WATCH_ASYNC          ((__u64)1 << 15)
#define WATCH_MODE_WP        ((__u64)1 << 1)
#define WATCH_IOCTL_API      _IOWR(0xAA, 0x3F, struct watch_api)
#define WATCH_IOCTL_REGISTER _IOWR(0xAA, 0x00, struct watch_register)

int lofti_watch_open(lofti_watch *out)
{
    const long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | WATCH_USER_MODE_ONLY);
    if (fd < 0) {
        return -errno;
    }
    struct watch_api api = {WATCH_API, WATCH_ASYNC | WATCH_UNPOPULATED, 0};
    if (ioctl((int)fd, WATCH_IOCTL_API, &api) != 0) {
        const int error = errno;
        (void)close((int)fd);
        return -error;
    }
    out->handle = (intptr_t)fd;
    return 0;
}

void lofti_watch_close(lofti_watch *watch)
{
    (void)close((int)watch->handle);
    watch->handle = -1;
}

int lofti_watch_add(const lofti_watch *watch, void *start, size_t bytes)
{
    struct watch_register request = {{(__u64)(uintptr_t)start, bytes}, WATCH_MODE_WP, 0};
    return ioctl((int)watch->handle, WATCH_IOCTL_REGISTER, &request) == 0 ? 0 : -errno;
}

static int scan_take(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                     uint32_t count, uint64_t *walked)
{
    /* Not PM_SCAN_CHECK_WPASYNC: it fails only after it has protected what came before. */
    const lofti_dirty_question written = {DIRTY_IS_WRITTEN, DIRTY_SCAN_PROTECT, 0};
    return lofti_dirty_scan(handle, &written, start, end, runs, count, walked);
}

static int scan_peek(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                     uint32_t count, uint64_t *walked)
{
    const lofti_dirty_question written = {DIRTY_IS_WRITTEN, 0, 0};
    return lofti_dirty_scan(handle, &written, start, end, runs, count, walked);
}

static int scan_missed(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                       uint32_t count, uint64_t *walked)
{
    /* Decided for each mapping as a whole: those that are watched are passed over unseen. */
    const lofti_dirty_question missed = {0, 0, DIRTY_IS_WATCHED};
    return lofti_dirty_scan(handle, &missed, start, end, runs, count, walked);
}

static const lofti_dirty_ops watch_take_ops = {lofti_dirty_scan_open, scan_take,
                                               lofti_dirty_scan_close};
static const lofti_dirty_ops watch_peek_ops = {lofti_dirty_scan_open, scan_peek,
                                               lofti_dirty_scan_close};
static const lofti_dirty_ops watch_missed_ops = {lofti_dirty_scan_open, scan_missed,
                                                 lofti_dirty_scan_close};

int lofti_watch_take(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context)
{
    return lofti_dirty_private_by(&watch_take_ops, start, bytes, fn, context);
}

int lofti_watch_peek(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context)
{
    return lofti_dirty_private_by(&watch_peek_ops, start, bytes, fn, context);
}

int lofti_watch_missed(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context)
{
    return lofti_dirty_private_by(&watch_missed_ops, start, bytes, fn, context);
}

/* --- The self-test: three rounds of stores, each to be reported once and exactly --------------- */

#define WATCH_TEST_PAGES 64u

typedef struct watch_test {
    char *pages;
    uint64_t mask;
} watch_test;

static int test_note(void *context, void *start, size_t bytes)
{
    watch_test *test = context;
    const size_t page_bytes = lofti_map_page_bytes();
    const size_t first = (size_t)((char *)start - test->pages) / page_bytes;
    for (size_t i = 0; i < bytes / page_bytes; i++) {
        test->mask |= (uint64_t)1 << (first + i);
    }
    return 0;
}

static bool test_round(watch_test *test, uint64_t stores, uint64_t want)
{
    const size_t page_bytes = lofti_map_page_bytes();
    for (size_t i = 0; i < WATCH_TEST_PAGES; i++) {
        volatile char *byte = test->pages + i * page_bytes;
        (void)*byte; /* a load must not count */
        if ((stores >> i & 1u) != 0) {
            *byte = (char)(*byte + 1);
        }
    }
    test->mask = 0;
    const size_t bytes = WATCH_TEST_PAGES * page_bytes;
    return lofti_watch_take(test->pages, bytes, test_note, test) == 0 && test->mask == want;
}

/* Whether exactly the pages of `want` are private and not watched. */
static bool test_missed(watch_test *test, uint64_t want)
{
    test->mask = 0;
    const size_t bytes = WATCH_TEST_PAGES * lofti_map_page_bytes();
    return lofti_watch_missed(test->pages, bytes, test_note, test) == 0 && test->mask == want;
}

static bool test_mapping(const lofti_watch *watch, char *pages)
{
    const size_t bytes = WATCH_TEST_PAGES * lofti_map_page_bytes();
    watch_test test = {pages, 0};
    (void)lofti_map_ops_system()->advise(pages, bytes, LOFTI_ADVICE_NOHUGE);
    pages[0] = 1; /* private before it is watched */
    return test_missed(&test, 1) && lofti_watch_add(watch, pages, bytes) == 0 &&
           test_missed(&test, 0) && test_round(&test, 0xf0f0000000000000u, 0xf0f0000000000001u) &&
           test_round(&test, 0, 0) && test_round(&test, 0x8010000000000005u, 0x8010000000000005u);
}

/* The lower half is a private mapping of a file, the upper half anonymous. */
static bool watch_self_test(void)
{
    const lofti_map_ops *map = lofti_map_ops_system();
    const size_t bytes = WATCH_TEST_PAGES * lofti_map_page_bytes();
    lofti_watch watch = {-1};
    void *pages = NULL;
    void *half = NULL;
    const int file = memfd_create("loft-self-test", MFD_CLOEXEC);
    bool works = false;
    if (file >= 0 && ftruncate(file, (off_t)(bytes / 2)) == 0 && lofti_watch_open(&watch) == 0) {
        if (map->map(NULL, false, bytes, LOFTI_MAP_WRITE, -1, 0, &pages) == 0) {
            works = map->map(pages, true, bytes / 2, LOFTI_MAP_WRITE, file, 0, &half) == 0 &&
                    test_mapping(&watch, pages);
            (void)map->unmap(pages, bytes);
        }
        lofti_watch_close(&watch);
    }
    if (file >= 0) {
        (void)close(file);
    }
    return works;
}

bool lofti_watch_works(void)
{
    /* Two threads may both test; they find the same. No lock that a fork could leave held. */
    static _Atomic int known; /* 0: not yet, 1: works, 2: does not */
    int state = atomic_load_explicit(&known, memory_order_acquire);
    if (state == 0) {
        state = watch_self_test() ? 1 : 2;
        atomic_store_explicit(&known, state, memory_order_release);
    }
    return state == 1;
}
