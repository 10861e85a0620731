/* Anonymous memory: loft_malloc and its like. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "loft/region.h"
#include "region/residue.h"
#include "support/test.h"

LOFT_TEST(region_memory, is_zeroed_and_page_aligned)
{
    for (size_t bytes = 1; bytes < 300000; bytes = bytes * 5 + 3) {
        unsigned char *memory = loft_malloc(bytes);
        LOFT_CHECK_EQ_UINT((uintptr_t)memory % loft_page_bytes(), 0);
        for (size_t i = 0; i < bytes; i++) {
            LOFT_CHECK_EQ_INT(memory[i], 0);
        }
        memset(memory, 0xff, bytes);
        LOFT_CHECK_OK(loft_free(memory));
    }
}

LOFT_TEST(region_memory, calloc_and_the_typed_macro_multiply)
{
    double *numbers = LOFT_MALLOC_ARRAY(double, 1000);
    LOFT_CHECK_NOT_NULL(numbers);
    loft_region_info info = LOFT_REGION_INFO_INIT;
    LOFT_CHECK_OK(loft_region_query(numbers, &info));
    LOFT_CHECK_EQ_UINT(info.bytes, 8000);
    LOFT_CHECK_EQ_UINT(info.kind, LOFT_REGION_MEMORY);
    LOFT_CHECK_OK(loft_free(numbers));
    void *nothing = loft_calloc(0, SIZE_MAX);
    LOFT_CHECK_NOT_NULL(nothing);
    LOFT_CHECK_OK(loft_free(nothing));
}

LOFT_TEST(region_memory, malloc_from_copies)
{
    char data[10000];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (char)(i * 11);
    }
    char *copy = loft_malloc_from(data, sizeof data);
    LOFT_CHECK_NOT_NULL(copy);
    LOFT_CHECK_EQ_MEM(copy, data, sizeof data);
    copy[0] = 1;
    LOFT_CHECK_EQ_INT(data[0], 0);
    LOFT_CHECK_OK(loft_free(copy));
    CHECK_NO_REGION(loft_malloc_from(NULL, 1), LOFT_EINVAL);
    void *nothing = loft_malloc_from(NULL, 0);
    LOFT_CHECK_NOT_NULL(nothing);
    LOFT_CHECK_OK(loft_free(nothing));
    CHECK_NO_REGION(loft_malloc_from(data, SIZE_MAX), LOFT_ENOMEM);
}

/* Bytes of the process that are in memory. */
static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t all = 0, resident = 0;
    LOFT_CHECK_TRUE(file != NULL && fscanf(file, "%zu %zu", &all, &resident) == 2);
    (void)fclose(file);
    return resident * loft_page_bytes();
}

LOFT_TEST(region_memory, populate_maps_the_pages_at_once)
{
    if (loft_test_on_qemu()) {
        LOFT_SKIP("qemu-user does not pass on MAP_POPULATE");
    }
    loft_test_needs_posix("/proc/self/statm");
    const size_t bytes = 64 << 20;
    const unsigned flags[] = {LOFT_POPULATE, LOFT_POPULATE | LOFT_SHARED,
                              LOFT_POPULATE | LOFT_HUGE};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        const size_t before = resident_bytes();
        char *memory = loft_map(bytes, flags[i]);
        LOFT_CHECK_NOT_NULL(memory);
        LOFT_CHECK_GE_UINT(resident_bytes() + (4 << 20), before + bytes);
        LOFT_CHECK_OK(loft_free(memory));
        LOFT_CHECK_LE_UINT(resident_bytes(), before + (16 << 20));
    }
}

LOFT_TEST(region_memory, huge_is_aligned_to_huge_pages)
{
    char *memory = loft_map((size_t)5 << 20, LOFT_HUGE);
    LOFT_CHECK_NOT_NULL(memory);
    LOFT_CHECK_EQ_UINT((uintptr_t)memory % (2 << 20), 0);
    memset(memory, 1, (size_t)5 << 20);
    LOFT_CHECK_OK(loft_free(memory));
    memory = loft_map(100, LOFT_HUGE); /* too small: a hint */
    LOFT_CHECK_NOT_NULL(memory);
    LOFT_CHECK_OK(loft_free(memory));
}

LOFT_TEST(region_memory, a_variable_frees_itself_at_the_end_of_its_scope)
{
    const residue before = residue_begin();
    const char *inside = NULL;
    {
        LOFT_AUTO_FREE char *memory = loft_malloc(100);
        LOFT_AUTO_FREE int *none = NULL;
        memory[0] = 1;
        LOFT_CHECK_NULL(none);
        inside = memory;
        errno = ERANGE;
    }
    LOFT_CHECK_EQ_INT(errno, ERANGE);
    loft_region_info info = LOFT_REGION_INFO_INIT;
    LOFT_CHECK_ERR(loft_region_query(inside, &info), LOFT_ENOENT);
    residue_check_same(&before);
}

static void use_in_child(void *address)
{
    char *memory = address;
    LOFT_CHECK_EQ_STR(memory, "from the parent");
    strcpy(memory, "the child's own");
    char *own = loft_malloc(5000);
    LOFT_CHECK_NOT_NULL(own);
    own[4999] = 1;
    LOFT_CHECK_OK(loft_free(own));
    LOFT_CHECK_OK(loft_free(memory));
    LOFT_CHECK_ERR(loft_free(memory), LOFT_ENOENT);
}

LOFT_TEST(region_memory, is_usable_in_both_after_fork)
{
    char *memory = loft_malloc(5000);
    strcpy(memory, "from the parent");
    loft_test_child child;
    loft_test_run_child(use_in_child, memory, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
    LOFT_CHECK_EQ_STR(memory, "from the parent");
    LOFT_CHECK_OK(loft_free(memory));
}

LOFT_TEST(region_memory, a_limit_on_address_space_is_enomem)
{
#ifdef HAS_SHADOW
    LOFT_SKIP("the sanitizer's own memory exceeds any limit");
#endif
    if (loft_test_on_qemu()) {
        LOFT_SKIP("qemu-user ignores RLIMIT_AS");
    }
    const residue before = residue_begin();
    const char *path = loft_test_tmp_path("f");
    const struct rlimit limit = {(rlim_t)1 << 30, (rlim_t)1 << 30};
    LOFT_CHECK_SYS(setrlimit(RLIMIT_AS, &limit));
    CHECK_NO_REGION(loft_malloc((size_t)2 << 30), LOFT_ENOMEM);
    LOFT_CHECK_CONTAINS(loft_last_error(), "malloc: 2147483648 bytes: ");
    CHECK_NO_REGION(loft_create(path, (size_t)2 << 30, 0), LOFT_ENOMEM);
    CHECK_NO_REGION(loft_create(path, (size_t)2 << 30, LOFT_REPLACE), LOFT_ENOMEM);
    char *small = loft_malloc(1 << 20);
    LOFT_CHECK_NOT_NULL(small);
    CHECK_NO_REGION(loft_resize(small, (size_t)2 << 30, 0), LOFT_ENOMEM);
    small[0] = 1;
    LOFT_CHECK_OK(loft_free(small));
    residue_check_same(&before);
}

static void store_at(void *address) { *(volatile char *)address = 1; }

LOFT_TEST(region_memory, an_empty_region_cannot_be_touched)
{
    char *empty = loft_malloc(0);
    LOFT_CHECK_TRUE(loft_test_faults(store_at, empty));
    LOFT_CHECK_OK(loft_free(empty));
}
