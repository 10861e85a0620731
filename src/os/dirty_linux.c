/*
 * os/dirty_linux.c - the two ways in which Linux tells which pages are private.
 *
 * PAGEMAP_SCAN (6.7): asks for pages that are present or swapped, and neither of a file nor the
 *   zero page. It skips empty page tables, so untouched memory costs nothing.
 * /proc/self/pagemap (4.2 for any user): eight bytes for every page, 4-6 ms a GiB.
 *
 *      a page of a private file mapping         scan                    pagemap word
 *      never touched                            -                       0
 *      read: the file's own page                PRESENT FILE            bit 63, bit 61
 *      stored to: a copy of its own             PRESENT                 bit 63
 *      stored to, then swapped out              SWAPPED                 bit 62
 *
 * Both report more in a few cases, which is allowed: a page under migration may look swapped; the
 * pagemap cannot tell the shared zero page (anonymous memory that was only read) from a copy, and
 * some kernels take the huge zero page for one.
 *
 * The descriptor is opened for each scan (2-3 us with the close): it is bound to the memory of the process
 * that opened it, so one kept over a fork would show the child its parent's pages.
 *
 * Chosen by a self-test, never by version: some kernels crashed on an empty vector (hence never
 * vec_len 0), emulators pass on a /proc that is not the program's.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/dirty.h"
#include "os/dirty_scan_linux.h"
#include "os/map.h"

/* Bits of a pagemap word. */
#define DIRTY_WORD_FILE    ((uint64_t)1 << 61) /* or shared anonymous */
#define DIRTY_WORD_SWAPPED ((uint64_t)1 << 62)
#define DIRTY_WORD_PRESENT ((uint64_t)1 << 63)

/* Regions of one ioctl, and words of one read: 3 and 8 KiB of stack. */
#define DIRTY_REGIONS 128u
#define DIRTY_WORDS   1024u

int lofti_dirty_scan_open(intptr_t *handle)
{
    const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    *handle = fd;
    return 0;
}

void lofti_dirty_scan_close(intptr_t handle) { (void)close((int)handle); }

/* One ioctl; what `arg` asks for besides range and vector is the caller's. */
static int dirty_ask(intptr_t handle, struct dirty_scan_arg *arg, lofti_dirty_run *runs,
                     uint32_t count, uint64_t *walked)
{
    struct dirty_region regions[DIRTY_REGIONS];
    memset(regions, 0, sizeof regions); /* the tools that watch memory do not know this ioctl */
    arg->size = sizeof *arg;
    arg->vec = (__u64)(uintptr_t)regions;
    arg->vec_len = count < DIRTY_REGIONS ? count : DIRTY_REGIONS;
    const int found = ioctl((int)handle, DIRTY_PAGEMAP_SCAN, arg);
    if (found < 0) {
        return -errno;
    }
    for (int i = 0; i < found && (uint32_t)i < count; i++) {
        runs[i].start = regions[i].start;
        runs[i].end = regions[i].end;
    }
    *walked = arg->walk_end;
    return found;
}

int lofti_dirty_scan(intptr_t handle, const lofti_dirty_question *question, uint64_t start,
                     uint64_t end, lofti_dirty_run *runs, uint32_t count, uint64_t *walked)
{
    struct dirty_scan_arg arg = {
        .flags = question->flags,
        .start = start,
        .end = end,
        .category_inverted = DIRTY_IS_FILE | DIRTY_IS_ZERO | question->none_of,
        .category_mask = DIRTY_IS_FILE | DIRTY_IS_ZERO | question->all_of | question->none_of,
        .category_anyof_mask = DIRTY_IS_PRESENT | DIRTY_IS_SWAPPED,
        /* Regions are split where the returned categories differ: ask for one that never does. */
        .return_mask = DIRTY_IS_FILE,
    };
    return dirty_ask(handle, &arg, runs, count, walked);
}

int lofti_dirty_scan_where(intptr_t handle, uint64_t start, uint64_t end, uint64_t most,
                           lofti_dirty_run *runs, uint32_t count, uint64_t *walked)
{
    struct dirty_scan_arg arg = {
        .start = start,
        .end = end,
        .max_pages = most,
        .category_mask = DIRTY_IS_WRITTEN,
        .return_mask = DIRTY_IS_WRITTEN,
    };
    return dirty_ask(handle, &arg, runs, count, walked);
}

int lofti_dirty_scan_there(intptr_t handle, uint64_t flags, uint64_t start, uint64_t end,
                           lofti_dirty_run *runs, uint32_t count, uint64_t *walked)
{
    struct dirty_scan_arg arg = {
        .flags = flags,
        .start = start,
        .end = end,
        .category_mask = DIRTY_IS_WRITTEN,
        .category_anyof_mask = DIRTY_IS_PRESENT | DIRTY_IS_SWAPPED,
        .return_mask = DIRTY_IS_WRITTEN,
    };
    return dirty_ask(handle, &arg, runs, count, walked);
}

static int linux_scan(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                      uint32_t count, uint64_t *walked)
{
    const lofti_dirty_question all_private = {0, 0, 0};
    return lofti_dirty_scan(handle, &all_private, start, end, runs, count, walked);
}

static bool dirty_is_word_private(uint64_t word)
{
    if ((word & DIRTY_WORD_SWAPPED) != 0) {
        return true;
    }
    return (word & (DIRTY_WORD_PRESENT | DIRTY_WORD_FILE)) == DIRTY_WORD_PRESENT;
}

/* Looks at one read's worth of pages, or at fewer when the runs are full. */
static int linux_pagemap(intptr_t handle, uint64_t start, uint64_t end, lofti_dirty_run *runs,
                         uint32_t count, uint64_t *walked)
{
    const uint64_t page_bytes = lofti_map_page_bytes();
    const uint64_t pages = (end - start) / page_bytes;
    uint64_t words[DIRTY_WORDS];
    const size_t want = (pages < DIRTY_WORDS ? (size_t)pages : DIRTY_WORDS) * sizeof words[0];
    const ssize_t got =
        pread((int)handle, words, want, (off_t)(start / page_bytes * sizeof words[0]));
    if (got < 0) {
        return -errno;
    }
    uint32_t found = 0;
    uint64_t at = start;
    for (size_t i = 0; i < (size_t)got / sizeof words[0]; i++, at += page_bytes) {
        if (!dirty_is_word_private(words[i])) {
            continue;
        }
        if (found > 0 && runs[found - 1].end == at) {
            runs[found - 1].end = at + page_bytes;
        } else if (found < count) {
            runs[found].start = at;
            runs[found].end = at + page_bytes;
            found++;
        } else {
            break;
        }
    }
    *walked = at;
    return (int)found;
}

const lofti_dirty_ops *lofti_dirty_ops_scan(void)
{
    static const lofti_dirty_ops table = {lofti_dirty_scan_open, linux_scan,
                                          lofti_dirty_scan_close};
    return &table;
}

const lofti_dirty_ops *lofti_dirty_ops_pagemap(void)
{
    static const lofti_dirty_ops table = {lofti_dirty_scan_open, linux_pagemap,
                                          lofti_dirty_scan_close};
    return &table;
}

/* --- The self-test: a bit for each page of a scratch mapping ------------------------------- */

/* The lower half of the pages is a private mapping of a file, the upper half is anonymous. */
#define DIRTY_TEST_PAGES 64u
static const uint64_t dirty_test_read = 0x00000000ffff00ffu;   /* only file pages */
static const uint64_t dirty_test_stored = 0xc0f0a5018001a55au; /* read or not, both halves */

/* Collects by portions of one run, so that going on from *walked is tested too. */
static bool dirty_test_collect(const lofti_dirty_ops *ops, const char *pages, uint64_t *mask)
{
    const uint64_t page_bytes = lofti_map_page_bytes();
    const uint64_t start = (uint64_t)(uintptr_t)pages;
    const uint64_t end = start + DIRTY_TEST_PAGES * page_bytes;
    intptr_t handle;
    *mask = 0;
    if (ops->open(&handle) != 0) {
        return false;
    }
    uint64_t from = start;
    while (from < end) {
        lofti_dirty_run run = {0, 0};
        uint64_t walked = from;
        const int count = ops->scan(handle, from, end, &run, 1, &walked);
        if (count < 0 || count > 1 || walked <= from || walked > end) {
            break;
        }
        if (count == 1 && (run.start < from || run.end > walked)) {
            break;
        }
        for (uint64_t at = run.start; count == 1 && at < run.end; at += page_bytes) {
            *mask |= (uint64_t)1 << ((at - start) / page_bytes);
        }
        from = walked;
    }
    ops->close(handle);
    return from == end;
}

static void dirty_test_touch(volatile char *pages)
{
    const size_t page_bytes = lofti_map_page_bytes();
    for (size_t i = 0; i < DIRTY_TEST_PAGES; i++) {
        volatile char *byte = pages + i * page_bytes;
        if ((dirty_test_read >> i & 1u) != 0) {
            (void)*byte;
        }
        if ((dirty_test_stored >> i & 1u) != 0) {
            *byte = 1;
        }
    }
}

/* The scratch mapping: by the system's own calls, not by a table that a test has set. */
static char *dirty_test_map(int file)
{
    const lofti_map_ops *map = lofti_map_ops_system();
    const size_t bytes = DIRTY_TEST_PAGES * lofti_map_page_bytes();
    void *pages = NULL;
    void *half = NULL;
    if (map->map(NULL, false, bytes, LOFTI_MAP_WRITE, -1, 0, &pages) != 0) {
        return NULL;
    }
    if (map->map(pages, true, bytes / 2, LOFTI_MAP_WRITE, file, 0, &half) != 0) {
        (void)map->unmap(pages, bytes);
        return NULL;
    }
    /* Else a store may bring in neighbours. An error means that there are no huge pages. */
    (void)map->advise(pages, bytes, LOFTI_ADVICE_NOHUGE);
    return pages;
}

bool lofti_dirty_self_test(const lofti_dirty_ops *ops)
{
    const size_t bytes = DIRTY_TEST_PAGES * lofti_map_page_bytes();
    const int file = memfd_create("loft-self-test", MFD_CLOEXEC);
    if (file < 0) {
        return false;
    }
    char *pages = ftruncate(file, (off_t)(bytes / 2)) == 0 ? dirty_test_map(file) : NULL;
    (void)close(file);
    if (pages == NULL) {
        return false;
    }
    dirty_test_touch(pages);
    uint64_t mask = 0;
    const bool complete = dirty_test_collect(ops, pages, &mask);
    (void)lofti_map_ops_system()->unmap(pages, bytes);
    return complete && mask == dirty_test_stored;
}
