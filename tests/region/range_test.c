/* What is done to a range of a region: sync, advise, protect, lock; and what is told of one. */
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loft/region.h"
#include "os/map.h"
#include "region/residue.h"
#include "support/test.h"

/* A table that records the ranges it is asked to work on, and goes on to the system's. */
static struct {
    uint64_t start, bytes;
    int calls, advice;
    bool wait, on;
} asked;

static lofti_map_ops recorder;

static void note(void *at, size_t bytes)
{
    asked.start = (uint64_t)(uintptr_t)at;
    asked.bytes = bytes;
    asked.calls++;
}

static int note_sync(void *at, size_t bytes, bool wait)
{
    note(at, bytes);
    asked.wait = wait;
    return lofti_map_ops_system()->sync(at, bytes, wait);
}

static int note_advise(void *at, size_t bytes, int advice)
{
    note(at, bytes);
    asked.advice = advice;
    return lofti_map_ops_system()->advise(at, bytes, advice);
}

static int note_protect(void *at, size_t bytes, unsigned flags)
{
    note(at, bytes);
    return lofti_map_ops_system()->protect(at, bytes, flags);
}

static int note_lock(void *at, size_t bytes, bool on)
{
    note(at, bytes);
    asked.on = on;
    return 0; /* limits differ from machine to machine */
}

static void record(void)
{
    recorder = *lofti_map_ops_system();
    recorder.sync = note_sync;
    recorder.advise = note_advise;
    recorder.protect = note_protect;
    recorder.lock = note_lock;
    memset(&asked, 0, sizeof asked);
    lofti_map_ops_set(&recorder);
}

static void check_asked(int calls, const char *at, size_t bytes)
{
    LOFT_CHECK_EQ_INT(asked.calls, calls);
    LOFT_CHECK_EQ_UINT(asked.start, (uint64_t)(uintptr_t)at);
    LOFT_CHECK_EQ_UINT(asked.bytes, bytes);
}

static char *open_file(size_t bytes, unsigned flags, size_t offset)
{
    const char *path = loft_test_tmp_path("f");
    LOFT_CHECK_OK(loft_close(loft_create(path, bytes, LOFT_TRUNCATE)));
    char *file = loft_open(path, flags, offset, 0, NULL);
    LOFT_CHECK_NOT_NULL(file);
    return file;
}

LOFT_TEST(region_range, sync_works_on_the_pages_that_the_range_touches)
{
    const size_t page = loft_page_bytes();
    char *file = open_file(10 * page, LOFT_WRITE, 0);
    record();
    LOFT_CHECK_OK(loft_sync(file, page + 1, 1, 0));
    check_asked(1, file + page, page);
    LOFT_CHECK_TRUE(asked.wait);
    LOFT_CHECK_OK(loft_sync(file, page - 1, 2, LOFT_ASYNC));
    check_asked(2, file, 2 * page);
    LOFT_CHECK_FALSE(asked.wait);
    LOFT_CHECK_OK(loft_sync(file, 3 * page, 0, 0)); /* to the end */
    check_asked(3, file + 3 * page, 7 * page);
    LOFT_CHECK_OK(loft_sync(file, 10 * page, 0, 0)); /* nothing */
    LOFT_CHECK_EQ_INT(asked.calls, 3);
    LOFT_CHECK_ERR(loft_sync(file, 10 * page, 1, 0), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_sync(file, 10 * page + 1, 0, 0), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_sync(file, 1, SIZE_MAX, 0), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_sync(file, SIZE_MAX, 1, 0), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_sync(file + 1, 0, 1, 0), LOFT_ENOENT);
    LOFT_CHECK_EQ_INT(asked.calls, 3);
    LOFT_CHECK_OK(loft_close(file));
    check_asked(4, file, 10 * page);
}

LOFT_TEST(region_range, sync_of_a_window_that_begins_inside_a_page)
{
    const size_t page = loft_page_bytes();
    char *file = open_file(4 * page, LOFT_WRITE, page + 100);
    /* The mapping begins at the granule below, which may be further down than the page. */
    const size_t skipped = (page + 100) % lofti_map_granule_bytes() - 100;
    record();
    LOFT_CHECK_OK(loft_sync(file, 0, 1, 0));
    check_asked(1, file - 100, page);
    LOFT_CHECK_OK(loft_sync(file, page - 100, 1, 0));
    check_asked(2, file - 100 + page, page);
    LOFT_CHECK_OK(loft_close(file));
    check_asked(3, file - 100 - skipped, 3 * page + skipped);
}

LOFT_TEST(region_range, only_what_is_writable_and_shared_is_flushed)
{
    const unsigned flags[] = {LOFT_READ, LOFT_COPY, LOFT_WRITE | LOFT_ASYNC};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        char *file = open_file(100, flags[i], 0);
        record();
        if ((flags[i] & LOFT_ASYNC) == 0) {
            LOFT_CHECK_OK(loft_sync(file, 0, 0, 0));
        }
        LOFT_CHECK_OK(loft_close(file));
        LOFT_CHECK_EQ_INT(asked.calls, 0);
        lofti_map_ops_set(NULL);
    }
    char *memory = loft_malloc(100);
    record();
    LOFT_CHECK_OK(loft_sync(memory, 0, 0, 0));
    LOFT_CHECK_OK(loft_free(memory));
    LOFT_CHECK_EQ_INT(asked.calls, 0);
}

LOFT_TEST(region_range, advice_reaches_the_system)
{
    static const struct {
        unsigned advice;
        int want;
    } all[] = {
        {LOFT_ADVICE_NORMAL, LOFTI_ADVICE_NORMAL},
        {LOFT_ADVICE_RANDOM, LOFTI_ADVICE_RANDOM},
        {LOFT_ADVICE_SEQUENTIAL, LOFTI_ADVICE_SEQUENTIAL},
        {LOFT_ADVICE_WILLNEED, LOFTI_ADVICE_WILLNEED},
        {LOFT_ADVICE_DONTNEED, LOFTI_ADVICE_DONTNEED},
        {LOFT_ADVICE_HUGE, LOFTI_ADVICE_HUGE},
        {LOFT_ADVICE_NOHUGE, LOFTI_ADVICE_NOHUGE},
        {LOFT_ADVICE_DONTFORK, LOFTI_ADVICE_DONTFORK},
        {LOFT_ADVICE_DOFORK, LOFTI_ADVICE_DOFORK},
        {LOFT_ADVICE_DONTDUMP, LOFTI_ADVICE_DONTDUMP},
        {LOFT_ADVICE_FREE, LOFTI_ADVICE_FREE},
        {LOFT_ADVICE_POPULATE, LOFTI_ADVICE_POPULATE_WRITE},
    };
    const size_t page = loft_page_bytes();
    char *memory = loft_malloc(4 * page);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        record();
        const int code = loft_advise(memory, page, page, all[i].advice);
        if (code == LOFT_ENOTSUP) { /* not everywhere */
            LOFT_CHECK_EQ_INT(all[i].advice, LOFT_ADVICE_DONTFORK);
            continue;
        }
        check_asked(1, memory + page, page);
        LOFT_CHECK_EQ_INT(asked.advice, all[i].want);
        LOFT_CHECK_TRUE(code == 0 || code == LOFT_EINVAL); /* kernels without huge pages */
    }
    LOFT_CHECK_ERR(loft_advise(memory, 0, 0, 12), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_advise(memory, 4 * page + 1, 0, LOFT_ADVICE_NORMAL), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_advise(memory + 1, 0, 0, LOFT_ADVICE_NORMAL), LOFT_ENOENT);
    LOFT_CHECK_OK(loft_free(memory));
}

LOFT_TEST(region_range, advice_that_drops_spares_what_was_not_named)
{
    const size_t page = loft_page_bytes();
    char *memory = loft_malloc(4 * page);
    memset(memory, 1, 4 * page);
    LOFT_CHECK_OK(loft_advise(memory, 1, 3 * page - 2, LOFT_ADVICE_DONTNEED));
    LOFT_CHECK_EQ_INT(memory[page - 1], 1);
    LOFT_CHECK_EQ_INT(memory[page], 0);
    LOFT_CHECK_EQ_INT(memory[2 * page - 1], 0);
    LOFT_CHECK_EQ_INT(memory[2 * page], 1);
    LOFT_CHECK_OK(loft_advise(memory, 10, 20, LOFT_ADVICE_DONTNEED)); /* no whole page */
    LOFT_CHECK_EQ_INT(memory[10], 1);
    LOFT_CHECK_OK(loft_advise(memory, 3 * page, 0, LOFT_ADVICE_DONTNEED));
    LOFT_CHECK_EQ_INT(memory[3 * page], 0);
    LOFT_CHECK_OK(loft_free(memory));
    /* The region's own ends count as whole. */
    char *copy = open_file(100, LOFT_COPY, 10);
    copy[0] = 1;
    const int code = loft_advise(copy, 0, 0, LOFT_ADVICE_DONTNEED);
    if (code == LOFT_ENOTSUP) {
        LOFT_CHECK_OK(loft_close(copy));
        LOFT_SKIP("this system has no way to drop the stores of a copy");
    }
    LOFT_CHECK_OK(code);
    LOFT_CHECK_EQ_INT(copy[0], 0);
    LOFT_CHECK_OK(loft_close(copy));
}

LOFT_TEST(region_range, populate_of_a_read_only_region_is_refused)
{
    char *file = open_file(100, LOFT_READ, 0);
    LOFT_CHECK_ERR(loft_advise(file, 0, 0, LOFT_ADVICE_POPULATE), LOFT_EREADONLY);
    LOFT_CHECK_OK(loft_close(file));
}

static void store(void *address) { *(volatile char *)address = 1; }

static void check_store_dies(char *at) { LOFT_CHECK_TRUE(loft_test_faults(store, at)); }

LOFT_TEST(region_range, protect_stops_stores_and_lets_them_again)
{
    const size_t page = loft_page_bytes();
    char *memory = loft_malloc(3 * page);
    LOFT_CHECK_OK(loft_protect(memory, page + 7, 1, LOFT_READ));
    memory[0] = 1;
    memory[2 * page] = 1;
    check_store_dies(memory + page);
    LOFT_CHECK_OK(loft_protect(memory, page, page, LOFT_WRITE));
    memory[page] = 1;
    LOFT_CHECK_ERR(loft_protect(memory, 0, 3 * page + 1, LOFT_READ), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_protect(memory, 0, 0, LOFT_COPY), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_protect(NULL, 0, 0, LOFT_READ), LOFT_ENOENT);
    LOFT_CHECK_OK(loft_free(memory));
    char *file = open_file(100, LOFT_READ, 0);
    LOFT_CHECK_ERR(loft_protect(file, 0, 0, LOFT_WRITE), LOFT_EREADONLY);
    LOFT_CHECK_OK(loft_protect(file, 0, 0, LOFT_READ));
    LOFT_CHECK_OK(loft_close(file));
    void *empty = loft_malloc(0);
    LOFT_CHECK_OK(loft_protect(empty, 0, 0, LOFT_WRITE));
    check_store_dies(empty);
    LOFT_CHECK_OK(loft_free(empty));
}

LOFT_TEST(region_range, lock_memory_is_asked_for_pages_and_fails_with_a_code)
{
    const size_t page = loft_page_bytes();
    char *memory = loft_malloc(4 * page);
    record();
    LOFT_CHECK_OK(loft_lock_memory(memory, 1, page, 1));
    check_asked(1, memory, 2 * page);
    LOFT_CHECK_TRUE(asked.on);
    LOFT_CHECK_OK(loft_lock_memory(memory, 0, 0, 0));
    check_asked(2, memory, 4 * page);
    LOFT_CHECK_FALSE(asked.on);
    LOFT_CHECK_ERR(loft_lock_memory(memory, 0, 5 * page, 1), LOFT_ERANGE);
    lofti_map_ops_set(NULL);
    const struct rlimit none = {0, 0};
    LOFT_CHECK_SYS(setrlimit(RLIMIT_MEMLOCK, &none));
#ifndef HAS_SHADOW /* sanitizers answer mlock without asking the system */
    if (geteuid() != 0 || seteuid(65534) == 0) {
        const int code = loft_lock_memory(memory, 0, 0, 1);
        (void)seteuid(0);
        LOFT_CHECK_TRUE(code == LOFT_EACCES || code == LOFT_ENOMEM);
    }
#endif
    LOFT_CHECK_OK(loft_free(memory));
}

LOFT_TEST(region_range, query_tells_everything_of_inner_addresses_too)
{
    char *file = open_file(20000, LOFT_WRITE | LOFT_RANDOM | LOFT_ASYNC, 5000);
    struct stat status;
    LOFT_CHECK_SYS(stat(loft_test_tmp_path("f"), &status));
    for (size_t i = 0; i < 15000; i += 4999) {
        loft_region_info info = LOFT_REGION_INFO_INIT;
        LOFT_CHECK_OK(loft_region_query(file + i, &info));
        LOFT_CHECK_EQ_UINT(info.struct_bytes, sizeof info);
        LOFT_CHECK_EQ_UINT(info.kind, LOFT_REGION_FILE);
        LOFT_CHECK_EQ_UINT(info.flags, LOFT_WRITE | LOFT_RANDOM | LOFT_ASYNC);
        LOFT_CHECK_EQ_PTR(info.address, file);
        LOFT_CHECK_EQ_UINT(info.bytes, 15000);
        LOFT_CHECK_EQ_UINT(info.file_offset, 5000);
        LOFT_CHECK_EQ_UINT(info.device, status.st_dev);
        LOFT_CHECK_EQ_UINT(info.inode, status.st_ino);
        const uint64_t page = loft_page_bytes();
        LOFT_CHECK_EQ_UINT(info.mapped_bytes,
                           (20000 + page - 1) / page * page -
                               5000 / lofti_map_granule_bytes() * lofti_map_granule_bytes());
    }
    loft_region_info info = LOFT_REGION_INFO_INIT;
    LOFT_CHECK_ERR(loft_region_query(file - 1, &info), LOFT_ENOENT);
    LOFT_CHECK_ERR(loft_region_query(file + 15000, &info), LOFT_ENOENT);
    LOFT_CHECK_ERR(loft_region_query(NULL, &info), LOFT_ENOENT);
    LOFT_CHECK_ERR(loft_region_query(file, NULL), LOFT_EINVAL);
    LOFT_CHECK_OK(loft_close(file));
    LOFT_CHECK_ERR(loft_region_query(file, &info), LOFT_ENOENT);
}

LOFT_TEST(region_range, query_takes_structs_of_other_versions)
{
    char *memory = loft_malloc(10);
    struct {
        loft_region_info known;
        uint64_t later;
    } longer;
    memset(&longer, 0xff, sizeof longer);
    longer.known.struct_bytes = sizeof longer;
    LOFT_CHECK_OK(loft_region_query(memory, &longer.known));
    LOFT_CHECK_EQ_UINT(longer.known.bytes, 10);
    LOFT_CHECK_EQ_UINT(longer.known.struct_bytes, sizeof longer);
    LOFT_CHECK_EQ_UINT(longer.later, 0);
    longer.known.struct_bytes = 8;
    LOFT_CHECK_ERR(loft_region_query(memory, &longer.known), LOFT_EINVAL);
    LOFT_CHECK_OK(loft_free(memory));
}

LOFT_TEST(region_range, page_bytes_is_the_systems)
{
    LOFT_CHECK_EQ_UINT(loft_page_bytes(), (size_t)sysconf(_SC_PAGESIZE));
}
