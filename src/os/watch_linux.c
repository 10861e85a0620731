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
/* Regions of one quick question, 2 KiB of stack. */
#define WATCH_CANDIDATES     128
/* Candidates this close are taken in one question, which costs as much as passing over 128 pages. */
#define WATCH_TAKE_BYTES     ((uint64_t)128 << 12)
/* Candidates after which the first question stops, and how many times as far the exact one is asked where they were
 * most of what it saw. */
#define WATCH_SAMPLE_PAGES   2048
#define WATCH_AHEAD          16
/* What was taken in a run up to this is taken for private. */
#define WATCH_SHORT_BYTES    ((uint64_t)4 << 12)
/* Longer runs this close are looked at in one question, which costs as much as looking at 32 pages. */
#define WATCH_JOIN_BYTES     ((uint64_t)32 << 12)
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

/* What a portion of a scan has found so far. */
typedef struct watch_portion {
    intptr_t handle;
    lofti_dirty_run *runs;
    uint32_t count, found;
} watch_portion;

/* Appends what two rising lists have in common; false if there is no room for all of it. */
static bool written_common(watch_portion *portion, uint32_t room, const lofti_dirty_run *a,
                           uint32_t a_count, const lofti_dirty_run *b, uint32_t b_count)
{
    lofti_dirty_run *runs = portion->runs + portion->found;
    uint32_t found = 0;
    for (uint32_t i = 0, k = 0; i < a_count && k < b_count;) {
        const uint64_t start = a[i].start > b[k].start ? a[i].start : b[k].start;
        const uint64_t end = a[i].end < b[k].end ? a[i].end : b[k].end;
        if (start < end) {
            if (found == room) {
                return false;
            }
            runs[found++] = (lofti_dirty_run){start, end};
        }
        i += a[i].end == end;
        k += b[k].end == end;
    }
    portion->found += found;
    return true;
}

/* Whether the candidates are most of what was looked at. */
static bool written_wide(const lofti_dirty_run *where, uint32_t count, uint64_t looked_bytes)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        bytes += where[i].end - where[i].start;
    }
    return bytes > looked_bytes / 2;
}

/* How many runs from the first on are asked about together: long ones, close to each other. 0: it is short. */
static uint32_t written_near(const lofti_dirty_run *where, uint32_t count)
{
    uint32_t i = 0;
    while (i < count && where[i].end - where[i].start > WATCH_SHORT_BYTES &&
           (i == 0 || where[i].start - where[i - 1].end <= WATCH_JOIN_BYTES)) {
        i++;
    }
    return i;
}

/* Reports what is private of runs that are protected by now: not before, as a store between the two questions would
 * be lost. Short runs, and those in too many pieces, are reported as they are, for which there is always room. */
static int written_pick(watch_portion *portion, const lofti_dirty_run *where, uint32_t count)
{
    const lofti_dirty_question any = {0, 0, 0};
    for (uint32_t i = 0; i < count;) {
        const uint32_t near = written_near(where + i, count - i);
        const uint32_t next = i + (near > 0 ? near : 1);
        const uint32_t room = portion->count - portion->found - (count - next);
        const uint64_t to = where[next - 1].end;
        lofti_dirty_run own[WATCH_CANDIDATES];
        uint64_t seen = where[i].start;
        const int more = near > 0 ? lofti_dirty_scan(portion->handle, &any, where[i].start, to, own,
                                                     WATCH_CANDIDATES, &seen)
                                  : 0;
        if (more < 0) {
            return more;
        }
        if (seen != to ||
            !written_common(portion, room, where + i, next - i, own, (uint32_t)more)) {
            memcpy(portion->runs + portion->found, where + i, (next - i) * sizeof *where);
            portion->found += next - i;
        }
        i = next;
    }
    return 0;
}

/*
 * The private pages among those of [start, end) that are written, and few others. In three questions:
 *
 *   where    all that is not protected, there or not: 2 ns a page, as the kernel looks at nothing but
 *            the page table
 *   take     what is there of it, private or not, is protected: a few ns a page
 *   private  what is private of it: 40 ns a page, as the kernel looks at each, and 1.4 us for the question
 *
 * Stores here and there leave small gaps between protected pages, and only there the second is asked. Pages of the
 * file that were read meanwhile are protected, too, and not met again; pages that are not there are not
 * protected: what that leaves behind counts as swapped out. The third question is not asked for a page or a few that
 * stand alone: most were stored to, and reporting one that was only read has it compared, once.
 *
 * A look is the same without protecting; nobody may store meanwhile, or it may miss a page.
 *
 * Where most pages are not there, or all were stored to, the first question is the dearest; a sample of it tells, and the
 * usual exact one is asked instead for a longer way.
 */
static int scan_written(intptr_t handle, uint64_t flags, uint64_t start, uint64_t end,
                        lofti_dirty_run *runs, uint32_t count, uint64_t *walked)
{
    watch_portion portion = {handle, runs, count, 0};
    /* Never PM_SCAN_CHECK_WPASYNC: it fails only after it has protected what came before. */
    lofti_dirty_run where[WATCH_CANDIDATES];
    uint64_t looked = start;
    const int found = lofti_dirty_scan_where(handle, start, end, WATCH_SAMPLE_PAGES, where,
                                             WATCH_CANDIDATES, &looked);
    if (found > 0 && written_wide(where, (uint32_t)found, looked - start)) {
        const lofti_dirty_question exact = {DIRTY_IS_WRITTEN, flags, 0};
        const uint64_t ahead = start + WATCH_AHEAD * (looked - start);
        return lofti_dirty_scan(handle, &exact, start, ahead < end ? ahead : end, runs, count,
                                walked);
    }
    for (int i = 0; i < found;) {
        int next = i + 1;
        while (next < found && where[next].start - where[next - 1].end <= WATCH_TAKE_BYTES) {
            next++;
        }
        if (portion.found == count) {
            *walked = where[i].start;
            return (int)portion.found;
        }
        lofti_dirty_run taken[WATCH_CANDIDATES];
        const uint32_t room = count - portion.found;
        const uint64_t to = where[next - 1].end;
        uint64_t seen = where[i].start;
        const int some =
            lofti_dirty_scan_there(handle, flags, where[i].start, to, taken,
                                   room < WATCH_CANDIDATES ? room : WATCH_CANDIDATES, &seen);
        const int code = some > 0 ? written_pick(&portion, taken, (uint32_t)some) : some;
        if (code < 0) {
            return code; /* the caller takes everything from `start` on for written */
        }
        if (seen < to) {
            *walked = seen;
            return (int)portion.found;
        }
        i = next;
    }
    *walked = looked;
    return found < 0 ? found : (int)portion.found;
}

static int scan_take(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                     uint32_t count, uint64_t *walked)
{
    return scan_written(handle, DIRTY_SCAN_PROTECT, start, end, runs, count, walked);
}

static int scan_look(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                     uint32_t count, uint64_t *walked)
{
    return scan_written(handle, 0, start, end, runs, count, walked);
}

/* One question of the page table for a long way, whatever lies in it. */
static int scan_forget(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                       uint32_t count, uint64_t *walked)
{
    return lofti_dirty_scan_there(handle, DIRTY_SCAN_PROTECT, start, end, runs, count, walked);
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
static const lofti_dirty_ops watch_look_ops = {lofti_dirty_scan_open, scan_look,
                                               lofti_dirty_scan_close};
static const lofti_dirty_ops watch_forget_ops = {lofti_dirty_scan_open, scan_forget,
                                                 lofti_dirty_scan_close};
static const lofti_dirty_ops watch_peek_ops = {lofti_dirty_scan_open, scan_peek,
                                               lofti_dirty_scan_close};
static const lofti_dirty_ops watch_missed_ops = {lofti_dirty_scan_open, scan_missed,
                                                 lofti_dirty_scan_close};

int lofti_watch_take(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context)
{
    return lofti_dirty_private_by(&watch_take_ops, start, bytes, fn, context);
}

int lofti_watch_look(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context)
{
    return lofti_dirty_private_by(&watch_look_ops, start, bytes, fn, context);
}

static int forget_run(void *context, void *start, size_t bytes)
{
    (void)context;
    (void)start;
    (void)bytes;
    return 0;
}

void lofti_watch_forget(void *start, size_t bytes)
{
    (void)lofti_dirty_private_by(&watch_forget_ops, start, bytes, forget_run, NULL);
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
