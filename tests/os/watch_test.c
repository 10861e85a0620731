/* Which private pages were stored to since the last take: against what the test has stored and against a compare
 * of every byte. */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/map.h"
#include "os/watch.h"
#include "support/test.h"

enum { PAGES_MAX = 2048 };

static size_t page(void) { return lofti_map_page_bytes(); }

typedef struct map {
    char *at;
    size_t pages;
    bool reported[PAGES_MAX];
    size_t runs;
} map;

static lofti_watch watch_begin(void)
{
    lofti_watch watch = {-1};
    if (!lofti_watch_works()) {
        LOFT_SKIP("this kernel, or a sandbox, has no asynchronous write protection");
    }
    LOFT_CHECK_EQ_INT(lofti_watch_open(&watch), 0);
    return watch;
}

static int collect(void *context, void *start, size_t bytes)
{
    map *own = context;
    const char *from = start;
    LOFT_CHECK_TRUE(from >= own->at && from + bytes <= own->at + own->pages * page());
    own->runs++;
    for (size_t i = 0; i < bytes; i += page()) {
        own->reported[((size_t)(from - own->at) + i) / page()] = true;
    }
    return 0;
}

typedef int ask_fn(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context);

static void ask(ask_fn *fn, map *own)
{
    memset(own->reported, 0, sizeof own->reported);
    own->runs = 0;
    LOFT_CHECK_EQ_INT(fn(own->at, own->pages * page(), collect, own), 0);
}

static size_t count_reported(const map *own)
{
    size_t count = 0;
    for (size_t i = 0; i < own->pages; i++) {
        count += own->reported[i];
    }
    return count;
}

static void map_make(map *own, size_t pages, const lofti_file *file, int advice)
{
    void *at = NULL;
    LOFT_CHECK_EQ_INT(
        lofti_map_place(pages * page(), (size_t)2 << 20, LOFTI_MAP_WRITE, file, 0, &at), 0);
    (void)lofti_map_advise(at, pages * page(), advice);
    own->at = at;
    own->pages = pages;
}

static lofti_file file_make(size_t pages)
{
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("file"),
                                      LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &file),
                      0);
    char *content = malloc(pages * page());
    LOFT_CHECK_NOT_NULL(content);
    memset(content, 'f', pages * page());
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, content, pages * page(), 0), 0);
    free(content);
    return file;
}

/* --- Random stores --------------------------------------------------------------------------------- */

/* Half file, half anonymous; watched at once or only after stores. Every page that differs from what it was at
 * the take before is reported; of single pages nothing else is, but for a
 * page that was read, by one take. */
static void try_random(const lofti_watch *watch, loft_test_random *random, int advice)
{
    static map own;
    static char before[PAGES_MAX * 4096];
    const size_t half = advice == LOFTI_ADVICE_HUGE ? 512 : 1 + loft_test_random_below(random, 300);
    const bool exact = advice == LOFTI_ADVICE_NOHUGE;
    lofti_file file = file_make(half);
    map_make(&own, half * 2, NULL, advice);
    LOFT_CHECK_EQ_INT(lofti_map_over(own.at, half * page(), LOFTI_MAP_WRITE, &file, 0), 0);
    const size_t bytes = own.pages * page();
    LOFT_CHECK_LE_UINT(bytes, sizeof before);
    const bool late = loft_test_random_below(random, 2) == 0;
    bool excused[PAGES_MAX] = {false}; /* was only read, and reported by a take */
    for (int round = 0; round < 6; round++) {
        bool stored[PAGES_MAX] = {false}, touched[PAGES_MAX] = {false};
        const bool fresh = round == (late ? 1 : 0); /* every page is read for the first time */
        if (fresh) {
            LOFT_CHECK_EQ_INT(lofti_watch_add(watch, own.at, bytes), 0);
            ask(lofti_watch_take, &own); /* what was private before counts as stored to */
        }
        memcpy(before, own.at, bytes);
        for (uint64_t i = loft_test_random_below(random, own.pages); i-- > 0;) {
            const size_t at = loft_test_random_below(random, own.pages);
            volatile char *byte = own.at + at * page() + loft_test_random_below(random, page());
            touched[at] = true;
            if (loft_test_random_below(random, 3) != 0) {
                (void)*byte;
            } else {
                *byte = (char)(*byte + 1);
                stored[at] = true;
            }
        }
        if (late && round == 0) {
            continue;
        }
        for (int look = 0; look < 2; look++) {
            ask(look == 0 ? lofti_watch_peek : lofti_watch_take, &own);
            for (size_t i = 0; i < own.pages; i++) {
                const bool differs = memcmp(own.at + i * page(), before + i * page(), page()) != 0;
                LOFT_CHECK_TRUE(own.reported[i] || !differs);
                LOFT_CHECK_TRUE(own.reported[i] || !stored[i]);
                const bool excess = own.reported[i] && !touched[i] && !fresh;
                LOFT_CHECK_FALSE(exact && excess && (look == 0 || excused[i]));
                excused[i] = excused[i] || excess;
            }
        }
        ask(lofti_watch_peek, &own);
        LOFT_CHECK_EQ_UINT(own.runs, 0);
    }
    LOFT_CHECK_EQ_INT(lofti_map_release(own.at, bytes), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_watch, random_stores_are_all_found_once)
{
    lofti_watch watch = watch_begin();
    loft_test_random random = {loft_test_seed()};
    const uint64_t rounds = loft_test_scale(60, 3000, 50000);
    for (uint64_t i = 0; i < rounds; i++) {
        try_random(&watch, &random, LOFTI_ADVICE_NOHUGE);
    }
    lofti_watch_close(&watch);
}

LOFT_TEST(os_watch, random_stores_into_huge_pages_are_all_found)
{
    lofti_watch watch = watch_begin();
    loft_test_random random = {loft_test_seed()};
    const uint64_t rounds = loft_test_scale(30, 1000, 20000);
    for (uint64_t i = 0; i < rounds; i++) {
        try_random(&watch, &random, LOFTI_ADVICE_HUGE);
    }
    lofti_watch_close(&watch);
}

/* --- What ends a watch ------------------------------------------------------------------------------ */

LOFT_TEST(os_watch, what_no_watch_covers_is_told)
{
    static map own;
    lofti_watch watch = watch_begin();
    map_make(&own, 64, NULL, LOFTI_ADVICE_NOHUGE);
    own.at[0] = own.at[63 * page()] = 1;
    ask(lofti_watch_missed, &own);
    LOFT_CHECK_EQ_UINT(count_reported(&own), 2);
    LOFT_CHECK_EQ_INT(lofti_watch_add(&watch, own.at, 32 * page()), 0);
    ask(lofti_watch_missed, &own);
    LOFT_CHECK_EQ_UINT(count_reported(&own), 1);
    LOFT_CHECK_TRUE(own.reported[63]);
    LOFT_CHECK_EQ_INT(lofti_watch_add(&watch, own.at, 64 * page()), 0); /* again, and more */
    ask(lofti_watch_missed, &own);
    LOFT_CHECK_EQ_UINT(own.runs, 0);
    LOFT_CHECK_EQ_INT(lofti_map_over(own.at, 16 * page(), LOFTI_MAP_WRITE, NULL, 0), 0);
    own.at[3 * page()] = 1;
    ask(lofti_watch_missed, &own);
    LOFT_CHECK_EQ_UINT(count_reported(&own), 1);
    LOFT_CHECK_TRUE(own.reported[3]);
    ask(lofti_watch_take, &own); /* passes it over */
    LOFT_CHECK_FALSE(own.reported[3]);
    lofti_watch_close(&watch);
    ask(lofti_watch_missed, &own);
    LOFT_CHECK_TRUE(own.reported[63] && own.reported[3]);
}

LOFT_TEST(os_watch, a_fork_does_not_end_the_parents)
{
    static map own;
    lofti_watch watch = watch_begin();
    map_make(&own, 64, NULL, LOFTI_ADVICE_NOHUGE);
    LOFT_CHECK_EQ_INT(lofti_map_advise(own.at, 64 * page(), LOFTI_ADVICE_DONTFORK), 0);
    LOFT_CHECK_EQ_INT(lofti_watch_add(&watch, own.at, 64 * page()), 0);
    memset(own.at, 1, 64 * page());
    ask(lofti_watch_take, &own);
    LOFT_CHECK_EQ_UINT(count_reported(&own), 64);
    own.at[5 * page()] = 2;
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        _exit(0);
    }
    own.at[7 * page()] = 2;
    ask(lofti_watch_take, &own);
    LOFT_CHECK_EQ_UINT(count_reported(&own), 2);
    LOFT_CHECK_TRUE(own.reported[5] && own.reported[7]);
    lofti_watch_close(&watch);
}

/* A wrapper with the shape of a take. */
static int forget(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context)
{
    (void)fn;
    (void)context;
    lofti_watch_forget(start, bytes);
    return 0;
}

/* Few pages here and there, and most of them: each is found in a way of its own. */
LOFT_TEST(os_watch, a_look_takes_nothing_and_what_is_forgotten_is_not_told)
{
    static map own;
    lofti_watch watch = watch_begin();
    map_make(&own, 256, NULL, LOFTI_ADVICE_NOHUGE);
    LOFT_CHECK_EQ_INT(lofti_watch_add(&watch, own.at, 256 * page()), 0);
    memset(own.at, 1, 256 * page());
    ask(lofti_watch_take, &own);
    for (size_t step = 1; step <= 64; step *= 4) {
        for (size_t i = 0; i < 256; i += step) {
            own.at[i * page()]++;
        }
        for (int look = 0; look < 2; look++) {
            ask(lofti_watch_look, &own);
            LOFT_CHECK_EQ_UINT(count_reported(&own), 256 / step);
        }
        own.at[17 * page()]++; /* no fault, as nothing was protected, and told all the same */
        ask(lofti_watch_look, &own);
        LOFT_CHECK_TRUE(own.reported[17]);
        ask(forget, &own);
        ask(lofti_watch_look, &own);
        LOFT_CHECK_EQ_UINT(own.runs, 0);
        own.at[5 * page()]++;
        ask(lofti_watch_take, &own);
        LOFT_CHECK_EQ_UINT(count_reported(&own), 1);
        LOFT_CHECK_TRUE(own.reported[5]);
    }
    lofti_watch_close(&watch);
}

/* --- Refusals ------------------------------------------------------------------------------------------ */

static int stop_at_first(void *context, void *start, size_t bytes)
{
    (void)start;
    (void)bytes;
    ++*(int *)context;
    return 77;
}

LOFT_TEST(os_watch, an_answer_stops_a_take)
{
    static map own;
    int calls = 0;
    lofti_watch watch = watch_begin();
    map_make(&own, 64, NULL, LOFTI_ADVICE_NOHUGE);
    LOFT_CHECK_EQ_INT(lofti_watch_add(&watch, own.at, 64 * page()), 0);
    own.at[0] = own.at[10 * page()] = 1;
    LOFT_CHECK_EQ_INT(lofti_watch_take(own.at, 64 * page(), stop_at_first, &calls), 77);
    LOFT_CHECK_EQ_INT(calls, 1);
    lofti_watch_close(&watch);
}

LOFT_TEST(os_watch, a_range_that_is_not_mapped_is_refused)
{
    lofti_watch watch = watch_begin();
    void *at = NULL;
    LOFT_CHECK_EQ_INT(lofti_map_place(page(), 0, LOFTI_MAP_WRITE, NULL, 0, &at), 0);
    LOFT_CHECK_EQ_INT(lofti_map_release(at, page()), 0);
    LOFT_CHECK_LT_INT(lofti_watch_add(&watch, at, page()), 0);
    lofti_watch_close(&watch);
}

/* Every second page watched splits the mapping at each: the system allows 65,530 by default. */
LOFT_TEST(os_watch, too_many_mappings_are_refused_and_nothing_is_lost)
{
    enum { MANY = 100000 };
    lofti_watch watch = watch_begin();
    char *at = NULL;
    void *memory = NULL;
    LOFT_CHECK_EQ_INT(
        lofti_map_place(MANY * page(), 0, LOFTI_MAP_WRITE | LOFTI_MAP_NORESERVE, NULL, 0, &memory),
        0);
    at = memory;
    (void)lofti_map_advise(at, MANY * page(), LOFTI_ADVICE_NOHUGE);
    size_t i = 0;
    int code = 0;
    for (; i < MANY && code == 0; i += 2) {
        code = lofti_watch_add(&watch, at + i * page(), page());
    }
    if (code == 0) {
        LOFT_SKIP("this system allows more than %d mappings", MANY);
    }
    LOFT_CHECK_EQ_INT(code, -ENOMEM);
    i -= 2;
    at[i * page()] = 1;
    at[(i - 2) * page()] = 1;
    static map own;
    own.at = at + (i - 2) * page();
    own.pages = 3;
    ask(lofti_watch_missed, &own);
    LOFT_CHECK_TRUE(own.reported[2] && !own.reported[0]);
    ask(lofti_watch_take, &own);
    LOFT_CHECK_TRUE(own.reported[0] && !own.reported[2]);
    lofti_watch_close(&watch);
}

LOFT_TEST(os_watch, nothing_is_left_open_or_mapped)
{
    static map own;
    lofti_watch watch = watch_begin();
    lofti_watch_close(&watch);
    map_make(&own, 64, NULL, LOFTI_ADVICE_NOHUGE);
    const unsigned descriptors = loft_test_descriptors();
    const uint64_t mapped = loft_test_mapped_bytes();
    LOFT_CHECK_EQ_INT(lofti_watch_open(&watch), 0);
    LOFT_CHECK_EQ_INT(lofti_watch_add(&watch, own.at, 64 * page()), 0);
    own.at[0] = 1;
    ask(lofti_watch_peek, &own);
    ask(lofti_watch_take, &own);
    lofti_watch_close(&watch);
    LOFT_CHECK_EQ_UINT(loft_test_descriptors(), descriptors);
    LOFT_CHECK_EQ_UINT(loft_test_mapped_bytes(), mapped);
}
