/* Which pages are private: each way of asking, against what the test has stored and against a
 * compare of every byte. What is made of wrong answers is in dirty_answers_test.c. */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "os/dirty.h"
#include "os/map.h"
#include "support/test.h"

#define GIB ((uint64_t)1 << 30)

enum { PAGES_MAX = 1024 };

static size_t page(void) { return lofti_map_page_bytes(); }

/* The n-th way of asking; NULL after the last. */
static const lofti_dirty_ops *way(unsigned n)
{
    const lofti_dirty_ops *const all[] = {lofti_dirty_ops_scan(), lofti_dirty_ops_pagemap(), NULL};
    return all[n];
}

/* Whether the kernel has this way at all, found out without the code under test: an empty range
 * for the ioctl, and whether a page just stored to is present in the pagemap. */
static bool is_there(const lofti_dirty_ops *ops)
{
    static volatile char stored;
    uint64_t word = 0;
    uint64_t arg[12] = {sizeof arg, 0, page(), page(), 0, (uintptr_t)&word, 1};
    const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (pagemap < 0) {
        return false;
    }
    stored = 1;
    bool found = false;
    if (ops == lofti_dirty_ops_scan()) {
        found = ioctl(pagemap, _IOWR('f', 16, uint64_t[12]), arg) == 0;
    } else if (pread(pagemap, &word, 8, (off_t)((uintptr_t)&stored / page() * 8)) == 8) {
        found = word >> 63 != 0;
    }
    LOFT_CHECK_SYS(close(pagemap));
    return found;
}

/* What is there must work. Skips the test if not even the second way is. */
static bool is_working(const lofti_dirty_ops *ops)
{
    if (is_there(ops)) {
        LOFT_CHECK_TRUE(lofti_dirty_self_test(ops));
        return true;
    }
    if (ops == lofti_dirty_ops_pagemap()) {
        LOFT_SKIP("/proc/self/pagemap does not show this process's pages");
    }
    return false; /* a kernel before 6.7 */
}

LOFT_TEST(os_dirty, the_best_way_that_is_there_is_chosen)
{
    const lofti_dirty_ops *want = NULL;
    for (unsigned n = 0; want == NULL && way(n) != NULL; n++) {
        want = is_there(way(n)) ? way(n) : NULL;
    }
    LOFT_CHECK_EQ_PTR(lofti_dirty_ops_current(), want);
}

/* A mapping and what was reported of it. */
typedef struct map {
    char *at;
    size_t pages;
    bool reported[PAGES_MAX];
    size_t runs;
    const char *last_end; /* of the last run */
} map;

static int collect(void *context, void *start, size_t bytes)
{
    map *own = context;
    const char *from = start;
    LOFT_CHECK_GT_UINT(bytes, 0);
    LOFT_CHECK_TRUE(from >= own->at && from + bytes <= own->at + own->pages * page());
    LOFT_CHECK_TRUE(own->last_end == NULL || from > own->last_end); /* rising, maximal */
    own->last_end = from + bytes;
    own->runs++;
    for (size_t i = 0; i < bytes; i += page()) {
        own->reported[(size_t)(from - own->at + (ptrdiff_t)i) / page()] = true;
    }
    return 0;
}

static void ask(const lofti_dirty_ops *ops, map *own, size_t first, size_t pages)
{
    memset(own->reported, 0, sizeof own->reported);
    own->runs = 0;
    own->last_end = NULL;
    LOFT_CHECK_EQ_INT(
        lofti_dirty_private_by(ops, own->at + first * page(), pages * page(), collect, own), 0);
}

/* A file of `pages` pages with random bytes, also given back in *content. */
static lofti_file make_file(size_t pages, loft_test_random *random, char **content)
{
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("file"),
                                      LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &file),
                      0);
    *content = malloc(pages * page());
    LOFT_CHECK_NOT_NULL(*content);
    for (size_t i = 0; i < pages * page(); i += 8) {
        const uint64_t word = loft_test_random_next(random);
        memcpy(*content + i, &word, 8);
    }
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, *content, pages * page(), 0), 0);
    return file;
}

static char *place(size_t bytes, const lofti_file *file)
{
    void *at = NULL;
    const unsigned flags = LOFTI_MAP_WRITE | LOFTI_MAP_NORESERVE;
    LOFT_CHECK_EQ_INT(lofti_map_place(bytes, 0, flags, file, 0, &at), 0);
    (void)lofti_map_advise(at, bytes, LOFTI_ADVICE_NOHUGE); /* a store brings in one page only */
    return at;
}

/* Reads of some pages and stores to others; every store changes its byte. */
static void touch_at_random(map *own, bool *stored, loft_test_random *random)
{
    const uint64_t touches = loft_test_random_below(random, 2 * own->pages);
    for (uint64_t i = 0; i < touches; i++) {
        const size_t at = loft_test_random_below(random, own->pages);
        volatile char *byte = own->at + at * page() + loft_test_random_below(random, page());
        if (loft_test_random_below(random, 3) != 0) {
            (void)*byte;
        } else if (!stored[at]) {
            *byte = (char)(*byte ^ 0x55);
            stored[at] = true;
        }
    }
}

/* A file below, anonymous memory above, random touches: exactly the stored pages of the file are
 * reported, and they are those whose bytes differ from it. */
static void try_random(const lofti_dirty_ops *ops, loft_test_random *random)
{
    const size_t pages = 2 + loft_test_random_below(random, PAGES_MAX - 1);
    const size_t half = 1 + loft_test_random_below(random, pages - 1);
    bool stored[PAGES_MAX] = {false};
    char *content = NULL;
    lofti_file file = make_file(half, random, &content);
    map own = {place(pages * page(), NULL), pages, {false}, 0, NULL};
    LOFT_CHECK_EQ_INT(lofti_map_over(own.at, half * page(), LOFTI_MAP_WRITE, &file, 0), 0);
    for (int round = 0; round < 3; round++) {
        touch_at_random(&own, stored, random);
        ask(ops, &own, 0, pages);
        for (size_t i = 0; i < pages; i++) {
            if (i < half) {
                const bool differs = memcmp(own.at + i * page(), content + i * page(), page()) != 0;
                LOFT_CHECK_EQ_INT(differs, stored[i]);
                LOFT_CHECK_EQ_INT(own.reported[i], stored[i]);
            } else if (ops == lofti_dirty_ops_scan()) {
                LOFT_CHECK_EQ_INT(own.reported[i], stored[i]);
            } else {
                LOFT_CHECK_TRUE(own.reported[i] || !stored[i]); /* the zero page looks stored */
            }
        }
        const size_t first = loft_test_random_below(random, pages);
        const size_t count = loft_test_random_below(random, pages - first) + 1;
        ask(ops, &own, first, count);
        for (size_t i = 0; i < half; i++) {
            const bool inside = i >= first && i < first + count;
            LOFT_CHECK_EQ_INT(own.reported[i], inside && stored[i]);
        }
    }
    LOFT_CHECK_EQ_INT(lofti_map_release(own.at, pages * page()), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    free(content);
}

LOFT_TEST(os_dirty, random_stores_are_all_found_and_nothing_else_of_a_file)
{
    loft_test_random random = {loft_test_seed()};
    const uint64_t rounds = loft_test_scale(60, 2000, 20000);
    for (unsigned n = 0; way(n) != NULL; n++) {
        for (uint64_t i = 0; is_working(way(n)) && i < rounds; i++) {
            try_random(way(n), &random);
        }
    }
}

LOFT_TEST(os_dirty, more_runs_than_a_portion_holds)
{
    map own = {place(PAGES_MAX * page(), NULL), PAGES_MAX, {false}, 0, NULL};
    for (size_t i = 0; i < PAGES_MAX; i += 2) {
        own.at[i * page()] = 1;
    }
    for (unsigned n = 0; way(n) != NULL; n++) {
        if (!is_working(way(n))) {
            continue;
        }
        ask(way(n), &own, 0, PAGES_MAX);
        LOFT_CHECK_EQ_UINT(own.runs, PAGES_MAX / 2);
        for (size_t i = 0; i < PAGES_MAX; i++) {
            LOFT_CHECK_EQ_INT(own.reported[i], i % 2 == 0);
        }
    }
}

typedef struct few {
    unsigned count;
    uint64_t start[4], bytes[4];
} few;

static int collect_few(void *context, void *start, size_t bytes)
{
    few *own = context;
    LOFT_CHECK_LT_UINT(own->count, 4);
    own->start[own->count] = (uintptr_t)start;
    own->bytes[own->count++] = bytes;
    return 0;
}

LOFT_TEST(os_dirty, a_few_stores_in_gibibytes_are_a_few_runs)
{
    char *at = place(9 * GIB, NULL);
    const uint64_t offs[3] = {0, 5 * GIB + 3 * page(), 9 * GIB - page()};
    for (int i = 0; i < 3; i++) {
        at[offs[i]] = 1;
    }
    for (unsigned n = 0; way(n) != NULL; n++) {
        few own = {0};
        if (!is_working(way(n))) {
            continue;
        }
        LOFT_CHECK_EQ_INT(lofti_dirty_private_by(way(n), at, 9 * GIB, collect_few, &own), 0);
        LOFT_CHECK_EQ_UINT(own.count, 3);
        for (int i = 0; i < 3; i++) {
            LOFT_CHECK_EQ_UINT(own.start[i], (uintptr_t)at + offs[i]);
            LOFT_CHECK_EQ_UINT(own.bytes[i], page());
        }
    }
    LOFT_CHECK_EQ_INT(lofti_map_release(at, 9 * GIB), 0);
}

/* With huge pages a store may bring in 512 pages: all may be reported, its own must be. */
LOFT_TEST(os_dirty, a_store_into_a_huge_page_is_found)
{
    const size_t bytes = (size_t)4 << 20;
    void *at;
    LOFT_CHECK_EQ_INT(lofti_map_place(bytes, bytes, LOFTI_MAP_WRITE, NULL, 0, &at), 0);
    (void)lofti_map_advise(at, bytes, LOFTI_ADVICE_HUGE);
    map own = {at, bytes / page(), {false}, 0, NULL};
    LOFT_CHECK_LE_UINT(own.pages, PAGES_MAX);
    own.at[bytes - 5 * page()] = 1;
    (void)*(volatile char *)own.at; /* perhaps the huge zero page */
    for (unsigned n = 0; way(n) != NULL; n++) {
        if (is_working(way(n))) {
            ask(way(n), &own, 0, own.pages);
            LOFT_CHECK_TRUE(own.reported[own.pages - 5]);
        }
    }
    LOFT_CHECK_EQ_INT(lofti_map_release(at, bytes), 0);
}

LOFT_TEST(os_dirty, returned_pages_are_private_no_more)
{
    loft_test_random random = {loft_test_seed()};
    char *content = NULL;
    lofti_file file = make_file(64, &random, &content);
    map own = {place(64 * page(), &file), 64, {false}, 0, NULL};
    for (unsigned n = 0; way(n) != NULL; n++) {
        if (!is_working(way(n))) {
            continue;
        }
        for (size_t i = 0; i < 64; i++) {
            own.at[i * page()] = (char)~content[i * page()];
        }
        ask(way(n), &own, 0, 64);
        LOFT_CHECK_EQ_UINT(own.runs, 1);
        LOFT_CHECK_EQ_INT(lofti_map_advise(own.at, 16 * page(), LOFTI_ADVICE_DONTNEED), 0);
        LOFT_CHECK_EQ_INT(
            lofti_map_over(own.at + 16 * page(), 16 * page(), LOFTI_MAP_WRITE, &file, 16 * page()),
            0);
        LOFT_CHECK_EQ_MEM(own.at, content, 32 * page());
        ask(way(n), &own, 0, 64);
        LOFT_CHECK_EQ_UINT(own.runs, 1);
        for (size_t i = 0; i < 64; i++) {
            LOFT_CHECK_EQ_INT(own.reported[i], i >= 32);
        }
    }
    LOFT_CHECK_EQ_INT(lofti_map_release(own.at, 64 * page()), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    free(content);
}

static void store_in_child(void *arg)
{
    map *own = arg;
    const lofti_dirty_ops *ops = lofti_dirty_ops_current();
    ask(ops, own, 0, own->pages);
    LOFT_CHECK_TRUE(own->reported[1]); /* the parent's, whose copy it got */
    LOFT_CHECK_FALSE(own->reported[2]);
    own->at[2 * page()] = 1;
    ask(ops, own, 0, own->pages);
    LOFT_CHECK_TRUE(own->reported[2]);
}

LOFT_TEST(os_dirty, a_child_is_told_of_its_own_pages)
{
    loft_test_random random = {1};
    char *content = NULL;
    lofti_file file = make_file(8, &random, &content);
    map own = {place(8 * page(), &file), 8, {false}, 0, NULL};
    if (lofti_dirty_ops_current() == NULL) {
        LOFT_SKIP("no way of asking works here");
    }
    own.at[page()] = 'x';
    loft_test_child child;
    loft_test_run_child(store_in_child, &own, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
    ask(lofti_dirty_ops_current(), &own, 0, 8);
    LOFT_CHECK_FALSE(own.reported[2]); /* the child's store is the child's */
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    free(content);
}

static void *decide(void *arg)
{
    const lofti_dirty_ops **out = arg;
    *out = lofti_dirty_ops_current();
    return NULL;
}

LOFT_TEST(os_dirty, threads_that_ask_first_together_decide_the_same)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    const lofti_dirty_ops *found[THREADS];
    for (int i = 0; i < THREADS; i++) {
        LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, decide, &found[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        LOFT_CHECK_EQ_PTR(found[i], lofti_dirty_ops_current());
    }
}

LOFT_TEST(os_dirty, a_scan_leaves_nothing_open_or_mapped)
{
    map own = {place(64 * page(), NULL), 64, {false}, 0, NULL};
    (void)lofti_dirty_ops_current();
    const unsigned descriptors = loft_test_descriptors();
    const uint64_t mapped = loft_test_mapped_bytes();
    for (unsigned n = 0; way(n) != NULL; n++) {
        (void)lofti_dirty_self_test(way(n));
        ask(way(n), &own, 0, 64);
    }
    LOFT_CHECK_EQ_UINT(loft_test_descriptors(), descriptors);
    LOFT_CHECK_EQ_UINT(loft_test_mapped_bytes(), mapped);
}
