/* loft_resize, of memory and of files. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loft/region.h"
#include "os/file.h"
#include "os/map.h"
#include "region/residue.h"
#include "support/test.h"

static uint64_t file_bytes(const char *path)
{
    struct stat status;
    LOFT_CHECK_SYS(stat(path, &status));
    return (uint64_t)status.st_size;
}

static void fill(char *at, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        at[i] = (char)(i * 13 + 1);
    }
}

static void check_filled(const char *at, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        LOFT_CHECK_EQ_INT(at[i], (char)(i * 13 + 1));
    }
}

static size_t length_of(const void *address)
{
    loft_region_info info = LOFT_REGION_INFO_INIT;
    LOFT_CHECK_OK(loft_region_query(address, &info));
    LOFT_CHECK_EQ_PTR(info.address, address);
    return info.bytes;
}

LOFT_TEST(region_resize, memory_keeps_its_content_and_new_memory_is_zero)
{
    const residue before = residue_begin();
    char *memory = loft_malloc(100);
    fill(memory, 0, 100);
    const size_t sizes[] = {4096, 4097, 1000000, 50000, 200, 300, (size_t)3 << 20, 100};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        memory = loft_resize(memory, sizes[i], 0);
        LOFT_CHECK_NOT_NULL(memory);
        LOFT_CHECK_GE_UINT((uintptr_t)memory, LOFT_ADDRESS_MIN);
        LOFT_CHECK_EQ_UINT(length_of(memory), sizes[i]);
        check_filled(memory, 0, 100);
        memory[sizes[i] - 1] = memory[sizes[i] - 1]; /* is there */
    }
    LOFT_CHECK_EQ_INT(memory[99], (char)(99 * 13 + 1));
    LOFT_CHECK_OK(loft_free(memory));
    residue_check_same(&before);
}

LOFT_TEST(region_resize, moves_when_it_must_and_tells_where)
{
    const size_t granule = lofti_map_granule_bytes();
    const size_t bytes = granule > 8192 ? granule : 8192;
    char *memory = loft_malloc(bytes);
    fill(memory, 0, 8192);
    /* Something right behind it, so that it cannot grow where it is. */
    char *wall = mmap(memory + bytes, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    LOFT_CHECK_TRUE(wall != MAP_FAILED);
    const int is_walled = wall == memory + bytes;
    if (is_walled) {
        CHECK_NO_REGION(loft_resize(memory, (size_t)1 << 20, LOFT_INPLACE), LOFT_ENOMEM);
        LOFT_CHECK_EQ_UINT(length_of(memory), bytes);
    }
    char *moved = loft_resize(memory, (size_t)1 << 20, 0);
    LOFT_CHECK_NOT_NULL(moved);
    check_filled(moved, 0, 8192);
    LOFT_CHECK_EQ_UINT(length_of(moved), 1 << 20);
    if (moved != memory) {
        LOFT_CHECK_ERR(loft_free(memory), LOFT_ENOENT);
    }
    LOFT_CHECK_OK(loft_free(moved));
    LOFT_CHECK_SYS(munmap(wall, 4096));
}

LOFT_TEST(region_resize, in_place_never_moves)
{
    char *memory = loft_malloc(1 << 20);
    fill(memory, 0, 1000);
    LOFT_CHECK_EQ_PTR(loft_resize(memory, 5000, LOFT_INPLACE), memory);
    LOFT_CHECK_EQ_PTR(loft_resize(memory, 1 << 20, LOFT_INPLACE), memory);
    check_filled(memory, 0, 1000);
    LOFT_CHECK_EQ_INT(memory[5000], 0);
    LOFT_CHECK_OK(loft_free(memory));
}

LOFT_TEST(region_resize, to_and_from_empty)
{
    const residue before = residue_begin();
    char *memory = loft_malloc(0);
    CHECK_NO_REGION(loft_resize(memory, 10, LOFT_INPLACE), LOFT_ENOMEM);
    memory = loft_resize(memory, 10000, 0);
    LOFT_CHECK_NOT_NULL(memory);
    memory[9999] = 1;
    char *same = loft_resize(memory, 0, LOFT_INPLACE);
    LOFT_CHECK_EQ_PTR(same, memory);
    LOFT_CHECK_EQ_UINT(length_of(same), 0);
    memory = loft_resize(same, 5000, 0);
    LOFT_CHECK_NOT_NULL(memory);
    LOFT_CHECK_EQ_INT(memory[0], 0);
    LOFT_CHECK_EQ_PTR(loft_resize(memory, 0, 0), memory);
    LOFT_CHECK_EQ_PTR(loft_resize(memory, 0, 0), memory);
    LOFT_CHECK_OK(loft_free(memory));
    const char *path = loft_test_tmp_path("f");
    char *file = loft_create(path, 0, LOFT_GROW);
    file = loft_resize(file, 6000, LOFT_GROW);
    LOFT_CHECK_NOT_NULL(file);
    fill(file, 0, 6000);
    file = loft_resize(file, 0, 0);
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_EQ_UINT(file_bytes(path), 6000);
    file = loft_resize(file, 6000, 0);
    LOFT_CHECK_NOT_NULL(file);
    check_filled(file, 0, 6000);
    LOFT_CHECK_OK(loft_close(file));
    LOFT_CHECK_SYS(unlink(path));
    residue_check_same(&before);
}

LOFT_TEST(region_resize, shared_memory_shrinks_but_does_not_grow)
{
    char *memory = loft_map(20000, LOFT_SHARED);
    CHECK_NO_REGION(loft_resize(memory, 50000, 0), LOFT_ENOTSUP);
    LOFT_CHECK_EQ_PTR(loft_resize(memory, 5000, 0), memory);
    LOFT_CHECK_EQ_PTR(loft_resize(memory, 8000, 0), memory); /* the page is there */
    LOFT_CHECK_OK(loft_free(memory));
}

LOFT_TEST(region_resize, memory_takes_no_flags_of_files)
{
    char *memory = loft_malloc(100);
    CHECK_NO_REGION(loft_resize(memory, 200, LOFT_GROW), LOFT_EINVAL);
    CHECK_NO_REGION(loft_resize(memory, 200, LOFT_TRUNCATE), LOFT_EINVAL);
    CHECK_NO_REGION(loft_resize(memory, 200, LOFT_PREALLOCATE), LOFT_EINVAL);
    CHECK_NO_REGION(loft_resize(memory, SIZE_MAX, 0), LOFT_ENOMEM);
    CHECK_NO_REGION(loft_resize(memory + 1, 200, 0), LOFT_ENOENT);
    CHECK_NO_REGION(loft_resize(NULL, 200, 0), LOFT_ENOENT);
    LOFT_CHECK_EQ_UINT(length_of(memory), 100);
    LOFT_CHECK_OK(loft_free(memory));
}

LOFT_TEST(region_resize, a_file_region_grows_the_file_only_if_asked_to)
{
    const char *path = loft_test_tmp_path("f");
    const residue before = residue_begin();
    char *file = loft_create(path, 5000, LOFT_GROW);
    fill(file, 0, 5000);
    CHECK_NO_REGION(loft_resize(file, 6000, 0), LOFT_ERANGE);
    LOFT_CHECK_EQ_UINT(file_bytes(path), 5000);
    LOFT_CHECK_EQ_UINT(length_of(file), 5000);
    for (size_t bytes = 6000; bytes < 5000000; bytes = bytes * 3 + 77) {
        file = loft_resize(file, bytes, LOFT_GROW);
        LOFT_CHECK_NOT_NULL(file);
        LOFT_CHECK_EQ_UINT(file_bytes(path), bytes);
        LOFT_CHECK_EQ_UINT(length_of(file), bytes);
        check_filled(file, 0, 5000);
        file[bytes - 1] = 1;
    }
    const uint64_t longest = file_bytes(path);
    file = loft_resize(file, 300, 0);
    LOFT_CHECK_EQ_UINT(file_bytes(path), longest);
    file = loft_resize(file, longest, 0); /* inside the file: no flag needed */
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_EQ_INT(file[longest - 1], 1);
    if (!lofti_file_cuts_mapped()) {
        CHECK_NO_REGION(loft_resize(file, 4000, LOFT_TRUNCATE), LOFT_ENOTSUP);
        LOFT_CHECK_CONTAINS(loft_last_error(), "cannot cut a file of which a part is mapped");
        LOFT_CHECK_EQ_UINT(file_bytes(path), longest);
        LOFT_CHECK_OK(loft_close(file));
        residue_check_same(&(residue){before.descriptors, 1, before.mapped_bytes});
        return;
    }
    file = loft_resize(file, 4000, LOFT_TRUNCATE);
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_EQ_UINT(file_bytes(path), 4000);
    check_filled(file, 0, 4000);
    LOFT_CHECK_OK(loft_close(file));
    file = loft_open(path, LOFT_READ, 0, 0, NULL);
    LOFT_CHECK_EQ_UINT(length_of(file), 4000);
    check_filled(file, 0, 4000);
    LOFT_CHECK_OK(loft_close(file));
    LOFT_CHECK_SYS(unlink(path));
    residue_check_same(&before);
}

LOFT_TEST(region_resize, a_window_that_begins_inside_a_page)
{
    const char *path = loft_test_tmp_path("f");
    char *file = loft_create(path, 20000, 0);
    fill(file, 0, 20000);
    LOFT_CHECK_OK(loft_close(file));
    char *window = loft_open(path, LOFT_WRITE | LOFT_GROW, 5001, 100, NULL);
    window = loft_resize(window, 14999, 0);
    LOFT_CHECK_NOT_NULL(window);
    check_filled(window - 5001, 5001, 20000);
    window = loft_resize(window, 30000, LOFT_GROW | LOFT_PREALLOCATE);
    if (window == NULL && loft_last_code() == LOFT_ENOTSUP) {
        LOFT_SKIP("the file system cannot reserve blocks");
    }
    LOFT_CHECK_NOT_NULL(window);
    LOFT_CHECK_EQ_UINT(file_bytes(path), 35001);
    check_filled(window - 5001, 5001, 20000);
    LOFT_CHECK_EQ_INT(window[15000], 0);
    struct stat status;
    LOFT_CHECK_SYS(stat(path, &status));
    LOFT_CHECK_GE_UINT((uint64_t)status.st_blocks * 512, 35001 - 4096);
    LOFT_CHECK_OK(loft_close(window));
}

LOFT_TEST(region_resize, without_a_descriptor_a_file_region_only_shrinks)
{
    const char *path = loft_test_tmp_path("f");
    char *file = loft_create(path, 20000, 0);
    fill(file, 0, 20000);
    CHECK_NO_REGION(loft_resize(file, 30000, LOFT_GROW), LOFT_ENOTSUP);
    CHECK_NO_REGION(loft_resize(file, 30000, 0), LOFT_ENOTSUP);
    CHECK_NO_REGION(loft_resize(file, 100, LOFT_TRUNCATE), LOFT_ENOTSUP);
    CHECK_NO_REGION(loft_resize(file, SIZE_MAX, 0), LOFT_EOVERFLOW);
    LOFT_CHECK_EQ_PTR(loft_resize(file, 100, 0), file);
    LOFT_CHECK_EQ_UINT(length_of(file), 100);
    check_filled(file, 0, 100);
    LOFT_CHECK_OK(loft_close(file));
    LOFT_CHECK_EQ_UINT(file_bytes(path), 20000);
    file = loft_open(path, LOFT_COPY, 0, 0, NULL);
    LOFT_CHECK_EQ_PTR(loft_resize(file, 5000, LOFT_INPLACE), file);
    LOFT_CHECK_OK(loft_close(file));
}

LOFT_TEST(region_resize, pages_of_different_protection_are_einval)
{
    char *memory = loft_malloc(40960);
    LOFT_CHECK_OK(loft_protect(memory, 8192, 8192, LOFT_READ));
    void *got = loft_resize(memory, (size_t)1 << 30, 0);
    if (got != NULL) { /* a system that resizes them all the same */
        LOFT_CHECK_OK(loft_free(got));
        LOFT_SKIP("this system resizes several mappings as one");
    }
    LOFT_CHECK_ERR(loft_last_code(), LOFT_EINVAL);
    LOFT_CHECK_CONTAINS(loft_last_error(), "resize: ");
    LOFT_CHECK_OK(loft_protect(memory, 8192, 8192, LOFT_WRITE));
    memory[8192] = 1;
    LOFT_CHECK_OK(loft_free(memory));
}
