/* One test for each row of the table that says what the raw tier must do better than its ancestor,
 * lua-mmapfile. The names are the rows'. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loft/region.h"
#include "region/residue.h"
#include "support/held.h"
#include "support/test.h"

#define ADDRESS_END ((uint64_t)1 << 47)

static uint64_t number(const void *address) { return (uint64_t)(uintptr_t)address; }

static uint64_t file_bytes(const char *path)
{
    struct stat status;
    LOFT_CHECK_SYS(stat(path, &status));
    return (uint64_t)status.st_size;
}

/* A file of `bytes` whose byte at i is (char)(i * 7). */
static const char *make_file(const char *name, size_t bytes)
{
    const char *path = loft_test_tmp_path(name);
    char *data = loft_create(path, bytes, 0);
    LOFT_CHECK_NOT_NULL(data);
    for (size_t i = 0; i < bytes; i++) {
        data[i] = (char)(i * 7);
    }
    LOFT_CHECK_OK(loft_close(data));
    return path;
}

LOFT_TEST(raw_tier, address_is_between_4_gib_and_2_to_the_47)
{
    const char *path = make_file("f", 10000);
    for (size_t bytes = 0; bytes < (size_t)1 << 33; bytes = bytes * 3 + 1) {
        char *memory = loft_map(bytes, LOFT_NORESERVE);
        LOFT_CHECK_NOT_NULL(memory);
        LOFT_CHECK_GE_UINT(number(memory), LOFT_ADDRESS_MIN);
        LOFT_CHECK_LE_UINT(number(memory) + bytes, ADDRESS_END);
        LOFT_CHECK_OK(loft_free(memory));
    }
    char *file = loft_open(path, LOFT_READ, 0, 0, NULL);
    LOFT_CHECK_GE_UINT(number(file), LOFT_ADDRESS_MIN);
    LOFT_CHECK_LE_UINT(number(file) + 10000, ADDRESS_END);
    LOFT_CHECK_OK(loft_close(file));
}

LOFT_TEST(raw_tier, size_above_4_gib_for_files_and_memory)
{
    const uint64_t bytes = (uint64_t)5 << 30;
    const char *path = loft_test_tmp_path("sparse");
    char *file = loft_create(path, bytes, LOFT_ASYNC);
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_EQ_UINT(file_bytes(path), bytes);
    file[0] = 'a';
    file[bytes - 1] = 'z';
    LOFT_CHECK_OK(loft_close(file));
    size_t mapped = 0;
    file = loft_open(path, LOFT_READ, 0, 0, &mapped);
    LOFT_CHECK_EQ_UINT(mapped, bytes);
    LOFT_CHECK_EQ_INT(file[0], 'a');
    LOFT_CHECK_EQ_INT(file[bytes / 2], 0);
    LOFT_CHECK_EQ_INT(file[bytes - 1], 'z');
    LOFT_CHECK_OK(loft_close(file));
    file = loft_open(path, LOFT_READ, bytes - 3, 0, &mapped);
    LOFT_CHECK_EQ_UINT(mapped, 3);
    LOFT_CHECK_EQ_INT(file[2], 'z');
    LOFT_CHECK_OK(loft_close(file));
    char *memory = loft_map(bytes, LOFT_NORESERVE);
    LOFT_CHECK_NOT_NULL(memory);
    memory[bytes - 1] = 1;
    LOFT_CHECK_OK(loft_free(memory));
}

LOFT_TEST(raw_tier, create_over_a_larger_file_is_eexist)
{
    const char *path = make_file("f", 9000);
    const residue before = residue_begin();
    CHECK_NO_REGION(loft_create(path, 100, 0), LOFT_EEXIST);
    CHECK_NO_REGION(loft_create(path, 100, LOFT_EXCLUSIVE), LOFT_EEXIST);
    LOFT_CHECK_CONTAINS(loft_last_error(), path);
    residue_check_same(&before);
    LOFT_CHECK_EQ_UINT(file_bytes(path), 9000);
    char *kept = loft_create(path, 100, LOFT_KEEP);
    LOFT_CHECK_NOT_NULL(kept);
    LOFT_CHECK_EQ_INT(kept[1], 7);
    LOFT_CHECK_OK(loft_close(kept));
    LOFT_CHECK_EQ_UINT(file_bytes(path), 9000);
    char *emptied = loft_create(path, 100, LOFT_TRUNCATE);
    LOFT_CHECK_NOT_NULL(emptied);
    LOFT_CHECK_EQ_INT(emptied[1], 0);
    LOFT_CHECK_EQ_UINT(file_bytes(path), 100);
    LOFT_CHECK_OK(loft_close(emptied));
    residue_check_same(&before);
}

LOFT_TEST(raw_tier, closing_one_window_leaves_its_neighbours_in_either_order)
{
    const char *path = make_file("f", 40960);
    for (int first = 0; first < 2; first++) {
        char *window[2];
        window[0] = loft_open(path, LOFT_WRITE, 0, 20480, NULL);
        window[1] = loft_open(path, LOFT_WRITE, 12288, 20480, NULL);
        LOFT_CHECK_NOT_NULL(window[0]);
        LOFT_CHECK_NOT_NULL(window[1]);
        LOFT_CHECK_EQ_UINT(loft_test_mappings_of(path), 2);
        window[0][12288 + 5] = (char)first;
        LOFT_CHECK_EQ_INT(window[1][5], first);
        LOFT_CHECK_OK(loft_close(window[first]));
        LOFT_CHECK_EQ_UINT(loft_test_mappings_of(path), 1);
        const size_t base = first == 0 ? 12288 : 0;
        for (size_t i = 0; i < 20480; i++) {
            const size_t at = base + i;
            const char want = at == 12288 + 5 ? (char)first : (char)(at * 7);
            LOFT_CHECK_EQ_INT(window[1 - first][i], want);
        }
        LOFT_CHECK_OK(loft_close(window[1 - first]));
        LOFT_CHECK_EQ_UINT(loft_test_mappings_of(path), 0);
    }
}

LOFT_TEST(raw_tier, file_grew_or_shrank_meanwhile_close_releases)
{
    const char *path = make_file("f", 40960);
    const residue before = residue_begin();
    char *file = loft_open(path, LOFT_WRITE, 0, 0, NULL);
    LOFT_CHECK_SYS(truncate(path, 100));
    LOFT_CHECK_OK(loft_close(file));
    residue_check_same(&before);
    file = loft_open(path, LOFT_WRITE, 0, 0, NULL);
    LOFT_CHECK_SYS(truncate(path, 1000000));
    LOFT_CHECK_OK(loft_close(file));
    residue_check_same(&before);
    LOFT_CHECK_EQ_UINT(file_bytes(path), 1000000);
}

LOFT_TEST(raw_tier, size_0_is_an_empty_file_and_an_empty_mapping)
{
    const char *path = loft_test_tmp_path("empty");
    const residue before = residue_begin();
    char *made = loft_create(path, 0, 0);
    LOFT_CHECK_NOT_NULL(made);
    LOFT_CHECK_EQ_UINT(file_bytes(path), 0);
    size_t mapped = 99;
    char *one = loft_open(path, LOFT_READ, 0, 0, &mapped);
    LOFT_CHECK_NOT_NULL(one);
    LOFT_CHECK_EQ_UINT(mapped, 0);
    char *two = loft_open(path, LOFT_WRITE, 0, 0, NULL);
    LOFT_CHECK_NOT_NULL(two);
    LOFT_CHECK_NE_PTR(one, two);
    LOFT_CHECK_NE_PTR(one, made);
    LOFT_CHECK_GE_UINT(number(one), LOFT_ADDRESS_MIN);
    loft_region_info info = LOFT_REGION_INFO_INIT;
    LOFT_CHECK_OK(loft_region_query(one, &info));
    LOFT_CHECK_EQ_UINT(info.bytes, 0);
    LOFT_CHECK_OK(loft_sync(two, 0, 0, 0));
    LOFT_CHECK_ERR(loft_sync(two, 0, 1, 0), LOFT_ERANGE);
    LOFT_CHECK_OK(loft_close(made));
    LOFT_CHECK_OK(loft_close(one));
    LOFT_CHECK_OK(loft_close(two));
    LOFT_CHECK_SYS(unlink(path));
    residue_check_same(&before);
}

LOFT_TEST(raw_tier, size_times_element_size_overflow_touches_nothing)
{
    const char *path = loft_test_tmp_path("f");
    const residue before = residue_begin();
    const size_t many = (size_t)0x1000000000000001;
    CHECK_NO_REGION(loft_calloc(many, 16), LOFT_EOVERFLOW);
    LOFT_CHECK_EQ_INT(errno, EOVERFLOW);
    CHECK_NO_REGION(LOFT_CREATE_ARRAY(path, uint64_t, many * 2, 0), LOFT_EOVERFLOW);
    CHECK_NO_REGION(loft_create(path, SIZE_MAX, 0), LOFT_EOVERFLOW);
    CHECK_NO_REGION(loft_open(path, LOFT_READ, UINT64_MAX, 2, NULL), LOFT_EOVERFLOW);
    CHECK_NO_REGION(loft_open(path, LOFT_READ, INT64_MAX, 2, NULL), LOFT_EOVERFLOW);
    residue_check_same(&before);
}

LOFT_TEST(raw_tier, failed_create_leaves_nothing)
{
    const char *path = loft_test_tmp_path("f");
    const residue before = residue_begin();
    /* More than the address space; then what the file system, or else the address space refuses. */
    CHECK_NO_REGION(loft_create(path, (size_t)INT64_MAX, 0), LOFT_ENOMEM);
    LOFT_CHECK_NULL(loft_create(path, (size_t)1 << 47, 0));
    LOFT_CHECK_TRUE(loft_last_code() == LOFT_ENOSPC || loft_last_code() == LOFT_ENOMEM);
    /* Data that cannot be read: a page past the end of its file. */
    const char *shrunk = make_file("shrunk", 4096);
    char *data = loft_open(shrunk, LOFT_READ, 0, 0, NULL);
    LOFT_CHECK_SYS(truncate(shrunk, 0));
    CHECK_NO_REGION(loft_create_from(path, data, 4096, 0), LOFT_EINVAL);
    CHECK_NO_REGION(loft_create_from(path, data, 4096, LOFT_REPLACE), LOFT_EINVAL);
    LOFT_CHECK_OK(loft_close(data));
    LOFT_CHECK_SYS(unlink(shrunk));
    residue_check_same(&before);
    LOFT_CHECK_EQ_INT(access(path, F_OK), -1);
}

LOFT_TEST(raw_tier, open_past_the_end_is_erange_unless_asked_to_grow)
{
    const char *path = make_file("f", 5000);
    const residue before = residue_begin();
    size_t mapped = 77;
    CHECK_NO_REGION(loft_open(path, LOFT_WRITE, 0, 5001, &mapped), LOFT_ERANGE);
    CHECK_NO_REGION(loft_open(path, LOFT_READ, 5001, 0, &mapped), LOFT_ERANGE);
    CHECK_NO_REGION(loft_open(path, LOFT_READ, 4999, 2, &mapped), LOFT_ERANGE);
    CHECK_NO_REGION(loft_open(path, LOFT_WRITE | LOFT_GROW, 5001, 0, &mapped), LOFT_ERANGE);
    LOFT_CHECK_EQ_UINT(mapped, 77);
    LOFT_CHECK_EQ_UINT(file_bytes(path), 5000);
    residue_check_same(&before);
    char *grown = loft_open(path, LOFT_WRITE | LOFT_GROW, 4990, 100000, &mapped);
    LOFT_CHECK_NOT_NULL(grown);
    LOFT_CHECK_EQ_UINT(mapped, 100000);
    LOFT_CHECK_EQ_UINT(file_bytes(path), 104990);
    LOFT_CHECK_EQ_INT(grown[9], (char)(4999 * 7));
    LOFT_CHECK_EQ_INT(grown[10], 0);
    grown[99999] = 1;
    LOFT_CHECK_OK(loft_close(grown));
    residue_check_same(&before);
}

LOFT_TEST(raw_tier, offset_may_be_any_byte)
{
    const char *path = make_file("f", 20000);
    const size_t offsets[] = {0, 1, 7, 4095, 4096, 4097, 8191, 12289, 19999};
    for (size_t i = 0; i < sizeof offsets / sizeof offsets[0]; i++) {
        size_t mapped = 0;
        char *window = loft_open(path, LOFT_WRITE, offsets[i], 0, &mapped);
        LOFT_CHECK_NOT_NULL(window);
        LOFT_CHECK_EQ_UINT(mapped, 20000 - offsets[i]);
        for (size_t j = 0; j < mapped; j++) {
            LOFT_CHECK_EQ_INT(window[j], (char)((offsets[i] + j) * 7));
        }
        LOFT_CHECK_OK(loft_sync(window, 0, 1, 0));
        LOFT_CHECK_OK(loft_close(window));
    }
}

LOFT_TEST(raw_tier, offset_without_size_maps_what_remains)
{
    const char *path = make_file("f", 20000);
    size_t mapped = 0;
    char *window = loft_open(path, LOFT_READ, 15000, 0, &mapped);
    LOFT_CHECK_EQ_UINT(mapped, 5000);
    LOFT_CHECK_OK(loft_close(window));
    window = loft_open(path, LOFT_READ, 20000, 0, &mapped);
    LOFT_CHECK_NOT_NULL(window);
    LOFT_CHECK_EQ_UINT(mapped, 0);
    LOFT_CHECK_OK(loft_close(window));
}

LOFT_TEST(raw_tier, bad_mode_is_einval)
{
    const char *path = make_file("f", 10);
    CHECK_NO_REGION(loft_open(path, LOFT_WRITE | LOFT_COPY, 0, 0, NULL), LOFT_EINVAL);
    CHECK_NO_REGION(loft_open(path, 1u << 31, 0, 0, NULL), LOFT_EINVAL);
    LOFT_CHECK_CONTAINS(loft_last_error(), "0x80000000");
    LOFT_CHECK_EQ_INT(errno, EINVAL);
}

static void store(void *address) { *(volatile char *)address = 1; }

LOFT_TEST(raw_tier, read_only_then_write_is_a_fault_and_copy_on_write_exists)
{
    const char *path = make_file("f", 100);
    char *file = loft_open(path, LOFT_READ, 0, 0, NULL);
    LOFT_CHECK_TRUE(loft_test_faults(store, file));
    LOFT_CHECK_OK(loft_close(file));
    char *copy = loft_open(path, LOFT_COPY, 0, 0, NULL);
    copy[3] = 'c';
    LOFT_CHECK_EQ_INT(copy[3], 'c');
    char *seen = loft_open(path, LOFT_READ, 0, 0, NULL);
    LOFT_CHECK_EQ_INT(seen[3], 21);
    LOFT_CHECK_OK(loft_close(copy));
    LOFT_CHECK_EQ_INT(seen[3], 21);
    LOFT_CHECK_OK(loft_close(seen));
}

LOFT_TEST(raw_tier, close_twice_unknown_or_inner_touches_nothing)
{
    const char *path = make_file("f", 8192);
    char *file = loft_open(path, LOFT_READ, 0, 0, NULL);
    LOFT_CHECK_ERR(loft_close(file + 1), LOFT_ENOENT);
    LOFT_CHECK_ERR(loft_close(file + 4096), LOFT_ENOENT);
    LOFT_CHECK_ERR(loft_close(NULL), LOFT_ENOENT);
    LOFT_CHECK_ERR(loft_close(&path), LOFT_ENOENT);
    LOFT_CHECK_EQ_INT(file[1], 7);
    LOFT_CHECK_OK(loft_close(file));
    LOFT_CHECK_ERR(loft_close(file), LOFT_ENOENT);
}

LOFT_TEST(raw_tier, free_twice_leaves_what_lives_there_now)
{
    char *memory = loft_malloc(8192);
    LOFT_CHECK_ERR(loft_free(memory + 4096), LOFT_ENOENT);
    LOFT_CHECK_OK(loft_free(memory));
    LOFT_CHECK_OK(loft_free(NULL));
    /* Somebody else's mapping comes to lie there. */
    char *foreign = mmap(memory, 8192, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    LOFT_CHECK_EQ_PTR(foreign, memory);
    foreign[0] = 'f';
    LOFT_CHECK_ERR(loft_free(memory), LOFT_ENOENT);
    LOFT_CHECK_EQ_INT(foreign[0], 'f');
    LOFT_CHECK_SYS(munmap(foreign, 8192));
}

LOFT_TEST(raw_tier, close_of_memory_and_free_of_a_file_touch_nothing)
{
    const char *path = make_file("f", 100);
    char *memory = loft_malloc(100);
    char *file = loft_open(path, LOFT_WRITE, 0, 0, NULL);
    LOFT_CHECK_ERR(loft_close(memory), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_free(file), LOFT_EINVAL);
    memory[9] = 1;
    file[9] = 1;
    LOFT_CHECK_OK(loft_free(memory));
    LOFT_CHECK_OK(loft_close(file));
}

LOFT_TEST(raw_tier, malloc_0_is_a_unique_pointer_that_can_be_freed)
{
    const residue before = residue_begin();
    void *empty[100];
    for (int i = 0; i < 100; i++) {
        empty[i] = loft_malloc(0);
        LOFT_CHECK_NOT_NULL(empty[i]);
        for (int j = 0; j < i; j++) {
            LOFT_CHECK_NE_PTR(empty[i], empty[j]);
        }
    }
    for (int i = 0; i < 100; i++) {
        LOFT_CHECK_OK(loft_free(empty[i]));
        LOFT_CHECK_ERR(loft_free(empty[i]), LOFT_ENOENT);
    }
    residue_check_same(&before);
}

LOFT_TEST(raw_tier, malloc_too_big_is_enomem_with_a_sentence)
{
    const residue before = residue_begin();
    CHECK_NO_REGION(loft_malloc(SIZE_MAX), LOFT_ENOMEM);
    CHECK_NO_REGION(loft_malloc(SIZE_MAX / 2), LOFT_ENOMEM);
    CHECK_NO_REGION(loft_malloc((size_t)1 << 47), LOFT_ENOMEM);
    LOFT_CHECK_EQ_INT(errno, ENOMEM);
    LOFT_CHECK_CONTAINS(loft_last_error(), "malloc: 140737488355328 bytes: ");
    residue_check_same(&before);
}

LOFT_TEST(raw_tier, descriptors_are_closed_after_mapping)
{
    loft_test_needs_posix("descriptors");
    const char *path = make_file("f", 100);
    const unsigned before = held_descriptors();
    char *one = loft_open(path, LOFT_WRITE, 0, 0, NULL);
    char *two = loft_create(loft_test_tmp_path("g"), 100, 0);
    char *three = loft_create(loft_test_tmp_path("h"), 100, LOFT_REPLACE);
    LOFT_CHECK_EQ_UINT(held_descriptors(), before);
    /* The two flags that need one. */
    char *four = loft_open(path, LOFT_WRITE | LOFT_GROW, 0, 0, NULL);
    LOFT_CHECK_EQ_UINT(held_descriptors(), before + 1);
    for (int fd = 0; fd < 100; fd++) {
        const int flags = fcntl(fd, F_GETFD);
        struct stat status, file;
        LOFT_CHECK_SYS(stat(path, &file));
        if (flags != -1 && fstat(fd, &status) == 0 && status.st_ino == file.st_ino) {
            LOFT_CHECK_TRUE((flags & FD_CLOEXEC) != 0);
        }
    }
    LOFT_CHECK_OK(loft_close(one));
    LOFT_CHECK_OK(loft_close(two));
    LOFT_CHECK_OK(loft_close(three));
    LOFT_CHECK_OK(loft_close(four));
    LOFT_CHECK_EQ_UINT(held_descriptors(), before);
}

static void store_99(void *address) { *(volatile char *)address = 99; }

LOFT_TEST(raw_tier, malloc_memory_is_private_and_shared_on_demand)
{
    char *own = loft_malloc(100);
    char *shared = loft_map(100, LOFT_SHARED);
    loft_test_child child;
    loft_test_run_child(store_99, own, &child);
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
    LOFT_CHECK_EQ_INT(own[0], 0);
    loft_test_run_child(store_99, shared, &child);
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
    LOFT_CHECK_EQ_INT(shared[0], 99);
    LOFT_CHECK_OK(loft_free(own));
    LOFT_CHECK_OK(loft_free(shared));
}

LOFT_TEST(raw_tier, names_are_utf_8)
{
    const char *path = make_file("\xc3\xa4\xe2\x82\xac \xf0\x9f\x8c\xb1 'quoted'", 100);
    char *file = loft_open(path, LOFT_READ, 0, 0, NULL);
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_OK(loft_close(file));
}

LOFT_TEST(raw_tier, names_may_hold_what_shells_must_quote)
{
    loft_test_needs_posix("new lines, quotes and backslashes in names");
    const char *path = make_file("a\n\"b\" \\c", 100);
    char *file = loft_open(path, LOFT_READ, 0, 0, NULL);
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_OK(loft_close(file));
}

LOFT_TEST(raw_tier, errors_have_code_operation_path_and_reason)
{
    const char *path = loft_test_tmp_path("missing/file");
    CHECK_NO_REGION(loft_open(path, LOFT_READ, 0, 0, NULL), LOFT_ENOENT);
    LOFT_CHECK_EQ_INT(errno, ENOENT);
    LOFT_CHECK_EQ_INT(strncmp(loft_last_error(), "open '", 6), 0);
    LOFT_CHECK_CONTAINS(loft_last_error(), path);
    LOFT_CHECK_CONTAINS(loft_last_error(), "': ");
    LOFT_CHECK_CONTAINS(strstr(loft_last_error(), "': "), loft_test_missing_text());
    CHECK_NO_REGION(loft_create(path, 1, 0), LOFT_ENOENT);
    LOFT_CHECK_EQ_INT(strncmp(loft_last_error(), "create '", 8), 0);
    CHECK_NO_REGION(loft_open(NULL, LOFT_READ, 0, 0, NULL), LOFT_EINVAL);
    CHECK_NO_REGION(loft_create(NULL, 1, 0), LOFT_EINVAL);
}
