/* The Windows variants of the os contract: what os/file.h and os/map.h promise, where the tests of the other
 * variants rest on what only POSIX has. */
#include <errno.h>

#include "base/reason.h"
#include "os/file.h"
#include "os/map.h"
#include "os/sys.h"
#include "support/test.h"

enum { GRANULE = 65536, PAGE = 4096 };

static lofti_file make_file(const char *name, const char *text)
{
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path(name),
                                      LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE | LOFTI_OPEN_EXCLUSIVE,
                                      0644, &file),
                      0);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, text, strlen(text), 0), 0);
    return file;
}

static lofti_file_info info_of(const lofti_file *file)
{
    lofti_file_info info;
    LOFT_CHECK_EQ_INT(lofti_file_info_get(file, &info), 0);
    return info;
}

LOFT_TEST(os_windows, a_file_is_written_read_and_resized_beyond_4_gib)
{
    const uint64_t far = ((uint64_t)6 << 30) + 7;
    char data[8];
    lofti_file file = make_file("f", "start");
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, "far", 3, far), 0);
    LOFT_CHECK_EQ_UINT(info_of(&file).bytes, far + 3);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, data, 3, far), 0);
    LOFT_CHECK_EQ_MEM(data, "far", 3);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, data, 4, far), -ENODATA);
    LOFT_CHECK_EQ_INT(lofti_file_read_padded(&file, data, 5, far), 0);
    LOFT_CHECK_EQ_MEM(data, "far\0\0", 5);
    LOFT_CHECK_EQ_INT(lofti_file_sync(&file, LOFTI_SYNC_DATA), 0);
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, 3), 0);
    LOFT_CHECK_EQ_UINT(info_of(&file).bytes, 3);
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, UINT64_MAX), -EFBIG);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, "x", 1, INT64_MAX), -EFBIG);
    LOFT_CHECK_EQ_UINT(info_of(&file).type, LOFTI_TYPE_REGULAR);
    LOFT_CHECK_FALSE(info_of(&file).remote);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_windows, names_are_made_found_renamed_and_removed)
{
    const lofti_file_ops *ops = lofti_file_ops_system();
    const char *one = loft_test_tmp_path("one");
    const char *two = loft_test_tmp_path("two");
    lofti_file file = make_file("one", "1");
    lofti_file other;
    LOFT_CHECK_EQ_INT(lofti_file_open(one, LOFTI_OPEN_CREATE | LOFTI_OPEN_EXCLUSIVE, 0644, &other),
                      -EEXIST);
    LOFT_CHECK_EQ_INT(lofti_file_open(two, LOFTI_OPEN_READ, 0, &other), -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("no/f"), 0, 0, &other), -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_open("", 0, 0, &other), -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_open(one, LOFTI_OPEN_UNNAMED, 0, &other), -EOPNOTSUPP);
    /* A second name of the same file, as snapshots are given theirs. */
    LOFT_CHECK_EQ_INT(lofti_file_link(&file, NULL, two), 0);
    LOFT_CHECK_EQ_INT(lofti_file_link(&file, NULL, two), -EEXIST);
    LOFT_CHECK_EQ_INT(lofti_file_open(two, 0, 0, &other), 0);
    LOFT_CHECK_EQ_UINT(info_of(&other).inode, info_of(&file).inode);
    LOFT_CHECK_EQ_UINT(info_of(&other).device, info_of(&file).device);
    LOFT_CHECK_EQ_INT(lofti_file_close(&other), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_unlink(ops, one), 0);
    LOFT_CHECK_EQ_INT(lofti_file_unlink(ops, one), -ENOENT);
    file = make_file("three", "3");
    LOFT_CHECK_EQ_INT(lofti_file_rename(ops, loft_test_tmp_path("three"), two), 0);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 1);
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(ops, two), 0);
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(ops, loft_test_tmp_path("no/f")), -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_unlink(ops, two), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_folder(), 0, 0, &other), 0);
    LOFT_CHECK_EQ_UINT(info_of(&other).type, LOFTI_TYPE_FOLDER);
    LOFT_CHECK_EQ_INT(lofti_file_close(&other), 0);
}

LOFT_TEST(os_windows, locks_conflict_between_handles_and_go_with_them)
{
    const uint64_t at[] = {0, (uint64_t)INT64_MAX - 1};
    lofti_file one = make_file("f", "text");
    lofti_file two;
    for (int i = 0; i < 2; i++) {
        LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("f"), LOFTI_OPEN_WRITE, 0, &two), 0);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&one, LOFTI_LOCK_EXCLUSIVE, at[i]), 0);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&two, LOFTI_LOCK_SHARED, at[i]), -EAGAIN);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&one, LOFTI_LOCK_SHARED, at[i]), 0);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&two, LOFTI_LOCK_SHARED, at[i]), 0);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&two, LOFTI_LOCK_EXCLUSIVE, at[i]), -EAGAIN);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&one, LOFTI_LOCK_NONE, at[i]), 0);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&one, LOFTI_LOCK_NONE, at[i]), 0);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&two, LOFTI_LOCK_EXCLUSIVE, at[i]), 0);
        LOFT_CHECK_EQ_INT(lofti_file_close(&two), 0);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&one, LOFTI_LOCK_EXCLUSIVE, at[i]), 0);
    }
    LOFT_CHECK_EQ_INT(lofti_file_close(&one), 0);
}

LOFT_TEST(os_windows, mappings_begin_at_granules_and_are_what_was_asked_for)
{
    LOFT_CHECK_EQ_UINT(lofti_map_page_bytes(), PAGE);
    LOFT_CHECK_EQ_UINT(lofti_map_granule_bytes(), GRANULE);
    lofti_file file = make_file("f", "");
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, 3 * GRANULE + 5), 0);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, "here", 4, 2 * GRANULE), 0);
    void *at = NULL;
    const unsigned shared = LOFTI_MAP_WRITE | LOFTI_MAP_SHARED;
    LOFT_CHECK_EQ_INT(lofti_map_place(PAGE, 0, shared, &file, PAGE, &at), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_map_place(GRANULE + PAGE, 0, shared, &file, 2 * GRANULE, &at), 0);
    LOFT_CHECK_EQ_MEM(at, "here", 4);
    LOFT_CHECK_EQ_UINT((uintptr_t)at % GRANULE, 0);
    memcpy(at, "HERE", 4);
    LOFT_CHECK_EQ_INT(lofti_map_sync(at, PAGE, true), 0);
    char data[4];
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, data, 4, 2 * GRANULE), 0);
    LOFT_CHECK_EQ_MEM(data, "HERE", 4);
    char holder[1024];
    LOFT_CHECK_TRUE(lofti_map_holder(at, PAGE, holder, sizeof holder));
    LOFT_CHECK_CONTAINS(holder, "mappings_begin_at_granules");
    LOFT_CHECK_EQ_INT(lofti_map_release(at, GRANULE + PAGE), 0);
    LOFT_CHECK_EQ_INT(lofti_map_over(at, PAGE, shared, &file, 0), -EOPNOTSUPP);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    for (size_t alignment = GRANULE; alignment <= (size_t)1 << 30; alignment *= 2) {
        LOFT_CHECK_EQ_INT(lofti_map_place(5 * PAGE, alignment, LOFTI_MAP_WRITE, NULL, 0, &at), 0);
        LOFT_CHECK_EQ_UINT((uintptr_t)at % alignment, 0);
        ((char *)at)[5 * PAGE - 1] = 1;
        LOFT_CHECK_EQ_INT(lofti_map_release(at, 5 * PAGE), 0);
    }
}

static void store(void *at) { *(volatile char *)at = 1; }

LOFT_TEST(os_windows, a_reservation_takes_and_gives_pages)
{
    void *at = NULL;
    const unsigned reserve = LOFTI_MAP_RESERVE | LOFTI_MAP_NORESERVE;
    LOFT_CHECK_EQ_INT(lofti_map_place((size_t)1 << 40, 0, reserve, NULL, 0, &at), 0);
    char *bytes = at;
    LOFT_CHECK_TRUE(loft_test_faults(store, bytes));
    LOFT_CHECK_EQ_INT(lofti_map_over(bytes + GRANULE, GRANULE, LOFTI_MAP_WRITE, NULL, 0), 0);
    bytes[GRANULE] = 1;
    bytes[2 * GRANULE - 1] = 1;
    LOFT_CHECK_TRUE(loft_test_faults(store, bytes + 2 * GRANULE));
    LOFT_CHECK_EQ_INT(lofti_map_advise(bytes + GRANULE, PAGE, LOFTI_ADVICE_DONTNEED), 0);
    LOFT_CHECK_EQ_INT(bytes[GRANULE], 0);
    LOFT_CHECK_EQ_INT(bytes[2 * GRANULE - 1], 1);
    LOFT_CHECK_EQ_INT(lofti_map_over(bytes + GRANULE, GRANULE, LOFTI_MAP_WRITE, NULL, 0), 0);
    LOFT_CHECK_EQ_INT(bytes[2 * GRANULE - 1], 0);
    LOFT_CHECK_EQ_INT(lofti_map_over(bytes + GRANULE, GRANULE, reserve, NULL, 0), 0);
    LOFT_CHECK_TRUE(loft_test_faults(store, bytes + GRANULE));
    LOFT_CHECK_EQ_INT(lofti_map_release(bytes, (size_t)1 << 40), 0);
    LOFT_CHECK_EQ_INT(lofti_map_at(bytes, GRANULE, LOFTI_MAP_WRITE, NULL, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_map_at(bytes, PAGE, LOFTI_MAP_WRITE, NULL, 0), -EEXIST);
    LOFT_CHECK_EQ_INT(lofti_map_release(bytes, GRANULE), 0);
}

LOFT_TEST(os_windows, memory_shrinks_grows_back_in_place_and_moves)
{
    void *at = NULL;
    LOFT_CHECK_EQ_INT(lofti_map_place(8 * PAGE, 0, LOFTI_MAP_WRITE, NULL, 0, &at), 0);
    char *bytes = at;
    memset(bytes, 'b', 8 * PAGE);
    LOFT_CHECK_EQ_INT(lofti_map_resize(bytes, 8 * PAGE, 2 * PAGE, false, NULL, &at), 0);
    LOFT_CHECK_TRUE(loft_test_faults(store, bytes + 2 * PAGE));
    LOFT_CHECK_EQ_INT(lofti_map_resize(bytes, 2 * PAGE, 8 * PAGE, false, NULL, &at), 0);
    LOFT_CHECK_EQ_INT(bytes[2 * PAGE - 1], 'b');
    LOFT_CHECK_EQ_INT(bytes[2 * PAGE], 0);
    LOFT_CHECK_EQ_INT(lofti_map_resize(bytes, 8 * PAGE, 9 * PAGE, false, NULL, &at), -ENOMEM);
    LOFT_CHECK_EQ_INT(lofti_map_resize(bytes, 8 * PAGE, 100 * PAGE, true, NULL, &at), 0);
    bytes = at;
    LOFT_CHECK_EQ_INT(bytes[2 * PAGE - 1], 'b');
    LOFT_CHECK_EQ_INT(bytes[100 * PAGE - 1], 0);
    LOFT_CHECK_EQ_INT(lofti_map_protect(bytes + PAGE, PAGE, LOFTI_MAP_READ), 0);
    LOFT_CHECK_EQ_INT(lofti_map_resize(bytes, 100 * PAGE, 200 * PAGE, true, NULL, &at), -EFAULT);
    LOFT_CHECK_EQ_INT(lofti_map_release(bytes, 100 * PAGE), 0);
}

LOFT_TEST(os_windows, memory_is_locked_populated_and_told_of)
{
    void *at = NULL;
    LOFT_CHECK_EQ_INT(
        lofti_map_place(1 << 20, 0, LOFTI_MAP_WRITE | LOFTI_MAP_POPULATE, NULL, 0, &at), 0);
    LOFT_CHECK_EQ_INT(lofti_map_lock(at, 1 << 20, true), 0);
    LOFT_CHECK_EQ_INT(lofti_map_lock(at, 1 << 20, false), 0);
    LOFT_CHECK_EQ_INT(lofti_map_lock(at, 1 << 20, false), 0);
    LOFT_CHECK_EQ_INT(lofti_map_advise(at, 1 << 20, LOFTI_ADVICE_POPULATE_WRITE), 0);
    LOFT_CHECK_EQ_INT(lofti_map_advise(at, 1 << 20, LOFTI_ADVICE_FREE), 0);
    LOFT_CHECK_EQ_INT(lofti_map_advise(at, 1 << 20, LOFTI_ADVICE_WILLNEED), 0);
    LOFT_CHECK_EQ_INT(lofti_map_advise(at, 1 << 20, LOFTI_ADVICE_HUGE), -EINVAL);
    char text[100];
    LOFT_CHECK_FALSE(lofti_map_holder(at, PAGE, text, sizeof text));
    LOFT_CHECK_CONTAINS(text, "anonymous memory at 0x");
    LOFT_CHECK_EQ_INT(lofti_map_release(at, 1 << 20), 0);
    LOFT_CHECK_EQ_INT(lofti_map_sync(at, PAGE, false), -ENOMEM);
}

LOFT_TEST(os_windows, clocks_rise_and_random_bytes_differ)
{
    const uint64_t wall = lofti_sys_wall_ns();
    LOFT_CHECK_GT_UINT(wall, UINT64_C(1577836800) * 1000000000); /* 2020 */
    LOFT_CHECK_LT_UINT(wall, UINT64_C(7258118400) * 1000000000); /* 2200 */
    const uint64_t begin = lofti_sys_now_ns();
    lofti_sys_sleep_ns(30000000);
    LOFT_CHECK_GE_UINT(lofti_sys_now_ns(), begin + 30000000);
    unsigned char one[1000] = {0};
    unsigned char two[1000] = {0};
    LOFT_CHECK_EQ_INT(lofti_sys_random(one, sizeof one), 0);
    LOFT_CHECK_EQ_INT(lofti_sys_random(two, sizeof two), 0);
    LOFT_CHECK_TRUE(memcmp(one, two, sizeof one) != 0);
    LOFT_CHECK_TRUE(memcmp(one + 900, one + 800, 100) != 0);
}

LOFT_TEST(os_windows, every_errno_value_has_words)
{
    const int errors[] = {ENOENT, EEXIST, EACCES, EOPNOTSUPP, ETXTBSY, EOVERFLOW, ECANCELED, EIO};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        char text[256];
        LOFT_CHECK_TRUE(*lofti_reason_text(errors[i], text, sizeof text) != '\0');
        LOFT_CHECK_TRUE(strstr(text, "nknown error") == NULL);
    }
}
