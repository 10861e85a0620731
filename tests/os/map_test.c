/* Mapping memory on the system itself. What it does in spaces that this one is not is in
 * place_test.c. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/map.h"
#include "support/test.h"

#define MIB ((size_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

static size_t page(void) { return lofti_map_page_bytes(); }

/* Address space in use; 0 where a sanitizer's own, which grows with every access, is part of it. */
static uint64_t mapped_bytes(void) { return LOFT_TEST_IS_SANITIZED ? 0 : loft_test_mapped_bytes(); }

static unsigned char *place(size_t bytes, size_t alignment, unsigned flags, const lofti_file *file)
{
    void *at = NULL;
    LOFT_CHECK_EQ_INT(lofti_map_place(bytes, alignment, flags, file, 0, &at), 0);
    LOFT_CHECK_GE_UINT((uintptr_t)at, LOFTI_MAP_LOW);
    LOFT_CHECK_LE_UINT((uintptr_t)at + bytes, LOFTI_MAP_HIGH);
    return at;
}

/* A file of `bytes` whose byte i is the low byte of i / page. */
static lofti_file make_file(size_t bytes)
{
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("file"),
                                      LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &file),
                      0);
    unsigned char *data = malloc(bytes);
    LOFT_CHECK_NOT_NULL(data);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (unsigned char)(i / page());
    }
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, data, bytes, 0), 0);
    free(data);
    return file;
}

LOFT_TEST(os_map, the_page_size_is_the_systems)
{
    LOFT_CHECK_EQ_UINT(page(), (size_t)sysconf(_SC_PAGESIZE));
}

LOFT_TEST(os_map, anonymous_memory_is_zero_and_gone_after_release)
{
    unsigned char *at = place(MIB, 0, LOFTI_MAP_WRITE, NULL);
    char text[64];
    for (size_t i = 0; i < MIB; i++) {
        LOFT_CHECK_EQ_INT(at[i], 0);
        at[i] = 1;
    }
    LOFT_CHECK_EQ_INT(lofti_map_release(at, MIB), 0);
    lofti_map_holder(at, MIB, text, sizeof text);
    LOFT_CHECK_EQ_STR(text, "");
}

static void store(void *at) { *(volatile unsigned char *)at = 1; }
static void load(void *at) { (void)*(volatile unsigned char *)at; }

/* Sanitizers turn the signal into an exit. */
static void check_faults(void (*access)(void *at), void *at)
{
    loft_test_child child;
    loft_test_run_child(access, at, &child);
    LOFT_CHECK_TRUE(child.signal == SIGSEGV || child.exit_code > 0);
}

LOFT_TEST(os_map, protection_is_what_was_asked_for)
{
    unsigned char *reserved = place(page(), 0, LOFTI_MAP_RESERVE | LOFTI_MAP_NORESERVE, NULL);
    unsigned char *readable = place(page(), 0, LOFTI_MAP_READ, NULL);
    check_faults(load, reserved);
    check_faults(store, readable);
    LOFT_CHECK_EQ_INT(*readable, 0);
    LOFT_CHECK_EQ_INT(lofti_map_protect(readable, page(), LOFTI_MAP_WRITE), 0);
    store(readable);
    LOFT_CHECK_EQ_INT(lofti_map_protect(readable, page(), LOFTI_MAP_READ), 0);
    check_faults(store, readable);
    LOFT_CHECK_EQ_INT(*readable, 1);
    LOFT_CHECK_EQ_INT(lofti_map_protect(readable, page(), LOFTI_MAP_RESERVE), 0);
    check_faults(load, readable);
    LOFT_CHECK_EQ_INT(lofti_map_release(readable, page()), 0);
    LOFT_CHECK_EQ_INT(lofti_map_protect(readable, page(), LOFTI_MAP_READ), -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_map_release(reserved, page()), 0);
}

static int visit_executable(void *context, const lofti_map_area *area)
{
    unsigned *areas = context;
    (*areas)++;
    return area->executable;
}

LOFT_TEST(os_map, no_mapping_is_executable)
{
    lofti_file file = make_file(page());
    for (unsigned flags = 0; flags < 32; flags++) {
        for (int i = 0; i < 2; i++) {
            unsigned areas = 0;
            unsigned char *at = place(page(), 0, flags, i == 0 ? NULL : &file);
            const int rc = lofti_map_each(at, page(), visit_executable, &areas);
            if (rc == -ENOTSUP) {
                LOFT_SKIP("this system has no list of mappings");
            }
            LOFT_CHECK_EQ_INT(rc, 0);
            LOFT_CHECK_EQ_UINT(areas, 1);
            LOFT_CHECK_EQ_INT(lofti_map_release(at, page()), 0);
        }
    }
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_map, stores_reach_the_file_only_if_shared)
{
    lofti_file file = make_file(2 * page());
    unsigned char *shared = place(2 * page(), 0, LOFTI_MAP_WRITE | LOFTI_MAP_SHARED, &file);
    unsigned char *copy = place(2 * page(), 0, LOFTI_MAP_WRITE, &file);
    unsigned char byte = 0;
    LOFT_CHECK_EQ_INT(copy[page()], 1);
    copy[page()] = 'c';
    LOFT_CHECK_EQ_INT(shared[page()], 1);
    shared[0] = 's';
    LOFT_CHECK_EQ_INT(copy[0], 's'); /* not copied yet: it follows the file */
    LOFT_CHECK_EQ_INT(lofti_map_sync(shared, 2 * page(), true), 0);
    LOFT_CHECK_EQ_INT(lofti_map_sync(shared, 2 * page(), false), 0);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, &byte, 1, 0), 0);
    LOFT_CHECK_EQ_INT(byte, 's');
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, &byte, 1, page()), 0);
    LOFT_CHECK_EQ_INT(byte, 1);
    LOFT_CHECK_EQ_INT(lofti_map_release(copy, 2 * page()), 0);
    LOFT_CHECK_EQ_INT(lofti_map_release(shared, 2 * page()), 0);
    LOFT_CHECK_EQ_INT(lofti_map_sync(shared, 2 * page(), true), -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

/* A child stores 'c' to both; only the shared one is seen here. */
static void store_to_both(void *arg)
{
    unsigned char **both = arg;
    *both[0] = 'c';
    *both[1] = 'c';
}

LOFT_TEST(os_map, forked_children_share_only_what_is_shared)
{
    if (loft_test_on_qemu()) {
        LOFT_SKIP("qemu-user does not pass on what a child shall not get");
    }
    unsigned char *both[2] = {place(page(), 0, LOFTI_MAP_WRITE | LOFTI_MAP_SHARED, NULL),
                              place(page(), 0, LOFTI_MAP_WRITE, NULL)};
    loft_test_child child;
    loft_test_run_child(store_to_both, both, &child);
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
    LOFT_CHECK_EQ_INT(*both[0], 'c');
    LOFT_CHECK_EQ_INT(*both[1], 0);
    const int rc = lofti_map_advise(both[1], page(), LOFTI_ADVICE_DONTFORK);
    if (rc == -EOPNOTSUPP) {
        LOFT_SKIP("this system gives a child all memory");
    }
    LOFT_CHECK_EQ_INT(rc, 0);
    check_faults(load, both[1]);
    LOFT_CHECK_EQ_INT(lofti_map_advise(both[1], page(), LOFTI_ADVICE_DOFORK), 0);
    loft_test_run_child(store_to_both, both, &child);
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
}

LOFT_TEST(os_map, a_window_of_a_file_begins_at_its_offset)
{
    lofti_file file = make_file(8 * page());
    void *at;
    LOFT_CHECK_EQ_INT(lofti_map_place(2 * page(), 0, LOFTI_MAP_READ, &file, 3 * page(), &at), 0);
    LOFT_CHECK_EQ_INT(((unsigned char *)at)[0], 3);
    LOFT_CHECK_EQ_INT(((unsigned char *)at)[page()], 4);
    LOFT_CHECK_EQ_INT(lofti_map_release(at, 2 * page()), 0);
    LOFT_CHECK_EQ_INT(lofti_map_place(page(), 0, LOFTI_MAP_READ, &file, (uint64_t)1 << 63, &at),
                      -EOVERFLOW);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_map, alignment_is_met_for_memory_and_files)
{
    lofti_file file = make_file(4 * page());
    for (size_t alignment = 1; alignment <= 4 * GIB; alignment *= 2) {
        for (int i = 0; i < 2; i++) {
            const uint64_t before = mapped_bytes();
            unsigned char *at =
                place(3 * page(), alignment, LOFTI_MAP_WRITE, i == 0 ? NULL : &file);
            LOFT_CHECK_EQ_UINT((uintptr_t)at % alignment, 0);
            LOFT_CHECK_EQ_UINT(mapped_bytes(), before + (LOFT_TEST_IS_SANITIZED ? 0 : 3 * page()));
            LOFT_CHECK_EQ_INT(at[2 * page()], i == 0 ? 0 : 2);
            at[2 * page()] = 9;
            LOFT_CHECK_EQ_INT(lofti_map_release(at, 3 * page()), 0);
            LOFT_CHECK_EQ_UINT(mapped_bytes(), before);
        }
    }
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_map, a_place_that_is_taken_stays_as_it_is)
{
    unsigned char *at = place(4 * page(), 0, LOFTI_MAP_WRITE, NULL);
    memset(at, 'x', 4 * page());
    LOFT_CHECK_EQ_INT(lofti_map_release(at + page(), page()), 0);
    LOFT_CHECK_EQ_INT(lofti_map_at(at, 2 * page(), LOFTI_MAP_WRITE, NULL, 0), -EEXIST);
    LOFT_CHECK_EQ_INT(lofti_map_at(at + page(), 2 * page(), LOFTI_MAP_WRITE, NULL, 0), -EEXIST);
    LOFT_CHECK_EQ_INT(at[0], 'x');
    LOFT_CHECK_EQ_INT(at[2 * page()], 'x');
    LOFT_CHECK_EQ_INT(lofti_map_at(at + page(), page(), LOFTI_MAP_WRITE, NULL, 0), 0);
    LOFT_CHECK_EQ_INT(at[page()], 0);
    lofti_file file = make_file(page());
    LOFT_CHECK_EQ_INT(lofti_map_over(at + 2 * page(), page(), LOFTI_MAP_READ, &file, 0), 0);
    LOFT_CHECK_EQ_INT(at[2 * page()], 0);
    LOFT_CHECK_EQ_INT(at[3 * page()], 'x');
    LOFT_CHECK_EQ_INT(lofti_map_release(at, 4 * page()), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_map, resize_keeps_the_content_wherever_it_goes)
{
    unsigned char *room = place(16 * page(), 0, LOFTI_MAP_WRITE, NULL);
    memset(room, 'x', 2 * page());
    void *at = room;
    const lofti_map_source source = {LOFTI_MAP_WRITE, NULL, 0};
    LOFT_CHECK_EQ_INT(lofti_map_resize(room, 16 * page(), 2 * page(), false, &source, &at), 0);
    LOFT_CHECK_EQ_PTR(at, room);
    LOFT_CHECK_EQ_INT(lofti_map_at(room + 8 * page(), page(), LOFTI_MAP_WRITE, NULL, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_map_resize(room, 2 * page(), 9 * page(), false, &source, &at), -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_map_resize(room, 2 * page(), 8 * page(), false, &source, &at), 0);
    LOFT_CHECK_EQ_PTR(at, room);
    LOFT_CHECK_EQ_INT(lofti_map_resize(room, 8 * page(), 64 * page(), true, &source, &at), 0);
    LOFT_CHECK_NE_PTR(at, room);
    LOFT_CHECK_GE_UINT((uintptr_t)at, LOFTI_MAP_LOW);
    const unsigned char *moved = at;
    for (size_t i = 0; i < 64 * page(); i++) {
        LOFT_CHECK_EQ_INT(moved[i], i < 2 * page() ? 'x' : 0);
    }
    LOFT_CHECK_EQ_INT(lofti_map_release(room + 8 * page(), page()), 0);
    LOFT_CHECK_EQ_INT(lofti_map_release(at, 64 * page()), 0);
}

/* Under a limit of address space what cannot be had leaves the old mapping and nothing else. */
static void refuse_memory(void *arg)
{
    (void)arg;
    unsigned char *kept = place(MIB, 0, LOFTI_MAP_WRITE, NULL);
    memset(kept, 'x', MIB);
    const uint64_t before = loft_test_mapped_bytes();
    const struct rlimit limit = {loft_test_mapped_bytes() + 64 * MIB, RLIM_INFINITY};
    LOFT_CHECK_SYS(setrlimit(RLIMIT_AS, &limit));
    const lofti_map_source source = {LOFTI_MAP_WRITE, NULL, 0};
    void *at;
    LOFT_CHECK_EQ_INT(lofti_map_place(GIB, 0, LOFTI_MAP_WRITE, NULL, 0, &at), -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_map_place(GIB, 2 * MIB, LOFTI_MAP_WRITE, NULL, 0, &at), -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_map_place(MIB, GIB, LOFTI_MAP_WRITE, NULL, 0, &at), -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_map_resize(kept, MIB, GIB, true, &source, &at), -ENOMEM);
    LOFT_CHECK_EQ_UINT(loft_test_mapped_bytes(), before);
    LOFT_CHECK_EQ_INT(kept[MIB - 1], 'x');
}

LOFT_TEST(os_map, refused_memory_leaves_everything_as_it_was)
{
    if (LOFT_TEST_IS_SANITIZED || loft_test_on_qemu()) {
        LOFT_SKIP(
            "sanitizers hold more address space than a limit may allow, and qemu-user ignores it");
    }
    loft_test_child child;
    loft_test_run_child(refuse_memory, NULL, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
}

LOFT_TEST(os_map, advice_is_translated)
{
    if (loft_test_on_qemu()) {
        LOFT_SKIP("qemu-user accepts any advice");
    }
    unsigned char *at = place(4 * MIB, 2 * MIB, LOFTI_MAP_WRITE, NULL);
    static const int advices[] = {
        LOFTI_ADVICE_RANDOM, LOFTI_ADVICE_SEQUENTIAL, LOFTI_ADVICE_NORMAL, LOFTI_ADVICE_WILLNEED,
        LOFTI_ADVICE_FREE,   LOFTI_ADVICE_DONTFORK,   LOFTI_ADVICE_DOFORK, LOFTI_ADVICE_DONTDUMP};
    /* Those at the end are not everywhere. */
    const bool is_less = lofti_map_advise(at, 4 * MIB, LOFTI_ADVICE_DONTFORK) == -EOPNOTSUPP;
    const size_t count = sizeof advices / sizeof advices[0] - (is_less ? 3 : 0);
    for (size_t i = 0; i < count; i++) {
        LOFT_CHECK_EQ_INT(lofti_map_advise(at, 4 * MIB, advices[i]), 0);
    }
    LOFT_CHECK_EQ_INT(lofti_map_advise(at, 4 * MIB, -1), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_advise(at, 4 * MIB, LOFTI_ADVICE_POPULATE_WRITE + 1), -EINVAL);
    for (int i = LOFTI_ADVICE_HUGE; i <= LOFTI_ADVICE_NOHUGE; i++) {
        const int rc = lofti_map_advise(at, 4 * MIB, i);
        LOFT_CHECK_TRUE(rc == 0 || rc == -EINVAL); /* a kernel without huge pages */
    }
    memset(at, 'x', 4 * MIB);
    LOFT_CHECK_EQ_INT(lofti_map_drop(at, 2 * MIB, LOFTI_MAP_WRITE), 0);
    LOFT_CHECK_EQ_INT(at[0], 0);
    LOFT_CHECK_EQ_INT(at[2 * MIB], 'x');
    LOFT_CHECK_EQ_INT(lofti_map_release(at, 4 * MIB), 0);
    LOFT_CHECK_EQ_INT(lofti_map_advise(at, 4 * MIB, LOFTI_ADVICE_RANDOM), -ENOMEM);
}

static size_t resident_pages(unsigned char *at, size_t pages)
{
    unsigned char seen[64];
    size_t count = 0;
    LOFT_CHECK_LE_UINT(pages, sizeof seen);
    LOFT_CHECK_SYS(mincore(at, pages * page(), seen));
    for (size_t i = 0; i < pages; i++) {
        count += seen[i] & 1u;
    }
    return count;
}

LOFT_TEST(os_map, populate_brings_the_pages_in)
{
    if (loft_test_on_qemu()) {
        LOFT_SKIP("qemu-user does not pass on MAP_POPULATE");
    }
    unsigned char *at = place(64 * page(), 0, LOFTI_MAP_WRITE | LOFTI_MAP_POPULATE, NULL);
    LOFT_CHECK_EQ_UINT(resident_pages(at, 64), 64);
    LOFT_CHECK_EQ_INT(lofti_map_release(at, 64 * page()), 0);
    at = place(64 * page(), 0, LOFTI_MAP_WRITE, NULL);
    (void)lofti_map_advise(at, 64 * page(), LOFTI_ADVICE_NOHUGE);
    LOFT_CHECK_EQ_UINT(resident_pages(at, 64), 0);
    const int rc = lofti_map_advise(at, 32 * page(), LOFTI_ADVICE_POPULATE_WRITE);
    if (rc == -EINVAL) {
        LOFT_SKIP("this kernel (before 5.14) cannot populate by advice");
    }
    LOFT_CHECK_EQ_INT(rc, 0);
    LOFT_CHECK_EQ_UINT(resident_pages(at, 64), 32);
    LOFT_CHECK_EQ_INT(lofti_map_release(at, 64 * page()), 0);
}

LOFT_TEST(os_map, memory_is_locked_and_unlocked)
{
    unsigned char *at = place(4 * page(), 0, LOFTI_MAP_WRITE, NULL);
    const int rc = lofti_map_lock(at, 4 * page(), true);
    if (LOFT_TEST_IS_SANITIZED) {
        LOFT_SKIP("sanitizers answer mlock themselves");
    }
    if (rc == -EPERM || rc == -ENOMEM) {
        LOFT_SKIP("this user may not lock memory (RLIMIT_MEMLOCK)");
    }
    LOFT_CHECK_EQ_INT(rc, 0);
    LOFT_CHECK_EQ_UINT(resident_pages(at, 4), 4);
    LOFT_CHECK_EQ_INT(lofti_map_lock(at, 4 * page(), false), 0);
    LOFT_CHECK_EQ_INT(lofti_map_release(at, 4 * page()), 0);
    LOFT_CHECK_EQ_INT(lofti_map_lock(at, 4 * page(), true), -ENOMEM);
}
