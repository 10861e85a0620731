/* The loops of src/os/file.c around a table that answers what the test has written down: short
 * counts, interruptions, errors, an end of file; and which calls it saw. */
#include <errno.h>
#include <string.h>

#include "os/file.h"
#include "support/test.h"

#define GIB ((uint64_t)1 << 30)

enum { ANSWERS_MAX = 8 };

/* One call as the table saw it. */
typedef struct call {
    const void *data;
    const char *path;
    size_t bytes;
    uint64_t off;
    intptr_t handle, other;
    int kind;
} call;

/* The table comes first: `ops` is the way back to the rest. */
typedef struct script {
    lofti_file_ops ops;
    int64_t answers[ANSWERS_MAX];
    unsigned answers_count;
    call calls[ANSWERS_MAX];
    unsigned calls_count;
} script;

static int64_t script_next(const lofti_file_ops *ops, call seen)
{
    script *own = (script *)(uintptr_t)ops;
    LOFT_CHECK_LT_UINT(own->calls_count, own->answers_count);
    own->calls[own->calls_count] = seen;
    return own->answers[own->calls_count++];
}

static int fake_open(const lofti_file_ops *ops, const char *path, unsigned flags, unsigned mode,
                     intptr_t *handle)
{
    *handle = 77;
    return (int)script_next(ops, (call){.path = path, .off = flags, .bytes = mode});
}

static int fake_write_back(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    return (int)script_next(ops, (call){.handle = handle, .off = off, .bytes = (size_t)bytes});
}

static int fake_close(const lofti_file_ops *ops, intptr_t handle)
{
    return (int)script_next(ops, (call){.handle = handle});
}

static int fake_info(const lofti_file_ops *ops, intptr_t handle, lofti_file_info *out)
{
    out->bytes = 4711;
    return (int)script_next(ops, (call){.handle = handle});
}

static int64_t fake_pread(const lofti_file_ops *ops, intptr_t handle, void *data, size_t bytes,
                          uint64_t off)
{
    const int64_t got =
        script_next(ops, (call){.handle = handle, .data = data, .bytes = bytes, .off = off});
    if (got > 0 && got <= 64) { /* more is never looked at */
        memset(data, 'r', (size_t)got);
    }
    return got;
}

static int64_t fake_pwrite(const lofti_file_ops *ops, intptr_t handle, const void *data,
                           size_t bytes, uint64_t off)
{
    return script_next(ops, (call){.handle = handle, .data = data, .bytes = bytes, .off = off});
}

static int fake_resize(const lofti_file_ops *ops, intptr_t handle, uint64_t bytes)
{
    return (int)script_next(ops, (call){.handle = handle, .off = bytes});
}

static int fake_range(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    return (int)script_next(ops, (call){.handle = handle, .off = off, .bytes = bytes});
}

static int fake_sync(const lofti_file_ops *ops, intptr_t handle, int kind)
{
    return (int)script_next(ops, (call){.handle = handle, .kind = kind});
}

static int fake_lock(const lofti_file_ops *ops, intptr_t handle, int kind, uint64_t off)
{
    return (int)script_next(ops, (call){.handle = handle, .kind = kind, .off = off});
}

static int64_t fake_seek(const lofti_file_ops *ops, intptr_t handle, uint64_t off, bool hole)
{
    return script_next(ops, (call){.handle = handle, .kind = hole, .off = off});
}

static int fake_clone(const lofti_file_ops *ops, intptr_t to, intptr_t from)
{
    return (int)script_next(ops, (call){.handle = to, .other = from});
}

static int64_t fake_copy_range(const lofti_file_ops *ops, intptr_t to, uint64_t to_off,
                               intptr_t from, uint64_t from_off, size_t bytes)
{
    LOFT_CHECK_EQ_UINT(from_off, to_off + 1);
    return script_next(ops, (call){.handle = to, .other = from, .off = to_off, .bytes = bytes});
}

static int fake_link(const lofti_file_ops *ops, intptr_t handle, const char *from, const char *path)
{
    (void)from;
    return (int)script_next(ops, (call){.handle = handle, .path = path});
}

static int fake_rename(const lofti_file_ops *ops, const char *from, const char *to)
{
    LOFT_CHECK_EQ_STR(to, "to");
    return (int)script_next(ops, (call){.path = from});
}

static int fake_path(const lofti_file_ops *ops, const char *path)
{
    return (int)script_next(ops, (call){.path = path});
}

static const lofti_file_ops fake_table = {
    .open = fake_open,
    .close = fake_close,
    .info = fake_info,
    .pread = fake_pread,
    .pwrite = fake_pwrite,
    .resize = fake_resize,
    .allocate = fake_range,
    .punch = fake_range,
    .sync = fake_sync,
    .lock = fake_lock,
    .seek = fake_seek,
    .clone = fake_clone,
    .copy_range = fake_copy_range,
    .link = fake_link,
    .rename = fake_rename,
    .unlink = fake_path,
    .sync_folder = fake_path,
};

static script own;
static lofti_file file;

/* Makes `own` answer these, in this order, and `file` an open file of it. */
static void script_set(unsigned count, const int64_t *answers)
{
    own = (script){.ops = fake_table, .answers_count = count};
    memcpy(own.answers, answers, count * sizeof *answers);
    file = (lofti_file){&own.ops, 5};
}
#define SCRIPT(...)                                                                                \
    script_set(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (const int64_t[]){__VA_ARGS__})

/* All that was written down has been asked for, always of the same handle. */
static void check_all_used(void)
{
    LOFT_CHECK_EQ_UINT(own.calls_count, own.answers_count);
    for (unsigned i = 0; i < own.calls_count; i++) {
        LOFT_CHECK_EQ_INT(own.calls[i].handle, 5);
    }
}

LOFT_TEST(os_wrappers, the_current_table_is_the_one_set_or_the_systems)
{
    LOFT_CHECK_EQ_PTR(lofti_file_ops_current(), lofti_file_ops_system());
    lofti_file_ops_set(&own.ops);
    LOFT_CHECK_EQ_PTR(lofti_file_ops_current(), &own.ops);
    lofti_file_ops_set(NULL);
    LOFT_CHECK_EQ_PTR(lofti_file_ops_current(), lofti_file_ops_system());
}

LOFT_TEST(os_wrappers, open_repeats_and_keeps_the_table_it_was_opened_with)
{
    SCRIPT(-EINTR, -EINTR, 0, 0);
    lofti_file_ops_set(&own.ops);
    lofti_file opened;
    LOFT_CHECK_EQ_INT(lofti_file_open("path", LOFTI_OPEN_WRITE, 0640, &opened), 0);
    lofti_file_ops_set(NULL);
    LOFT_CHECK_TRUE(lofti_file_is_open(&opened));
    LOFT_CHECK_EQ_INT(opened.handle, 77);
    LOFT_CHECK_EQ_PTR(opened.ops, &own.ops);
    LOFT_CHECK_EQ_STR(own.calls[2].path, "path");
    LOFT_CHECK_EQ_UINT(own.calls[2].off, LOFTI_OPEN_WRITE);
    LOFT_CHECK_EQ_UINT(own.calls[2].bytes, 0640);
    LOFT_CHECK_EQ_INT(lofti_file_close(&opened), 0);
    LOFT_CHECK_EQ_UINT(own.calls_count, 4);
}

LOFT_TEST(os_wrappers, a_failed_open_leaves_a_closed_file)
{
    SCRIPT(-EACCES);
    lofti_file_ops_set(&own.ops);
    lofti_file opened = file;
    LOFT_CHECK_EQ_INT(lofti_file_open("path", 0, 0, &opened), -EACCES);
    lofti_file_ops_set(NULL);
    LOFT_CHECK_FALSE(lofti_file_is_open(&opened));
    LOFT_CHECK_EQ_INT(lofti_file_close(&opened), 0);
    LOFT_CHECK_EQ_UINT(own.calls_count, 1);
}

LOFT_TEST(os_wrappers, a_borrowed_descriptor_goes_through_the_current_table)
{
    SCRIPT(0);
    lofti_file_ops_set(&own.ops);
    const lofti_file borrowed = lofti_file_borrow(5);
    lofti_file_ops_set(NULL);
    LOFT_CHECK_EQ_INT(lofti_file_sync(&borrowed, LOFTI_SYNC_DATA), 0);
    check_all_used();
}

LOFT_TEST(os_wrappers, close_is_tried_once_and_always_releases)
{
    static const struct {
        int answer, result;
    } cases[] = {{0, 0}, {-EINTR, 0}, {-EIO, -EIO}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        SCRIPT(cases[i].answer);
        LOFT_CHECK_EQ_INT(lofti_file_close(&file), cases[i].result);
        LOFT_CHECK_FALSE(lofti_file_is_open(&file));
        LOFT_CHECK_EQ_INT(file.handle, -1);
        LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
        LOFT_CHECK_EQ_UINT(own.calls_count, 1);
    }
}

LOFT_TEST(os_wrappers, read_puts_short_and_interrupted_pieces_together)
{
    char data[11] = "..........";
    SCRIPT(3, -EINTR, 6, 1);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, data, 10, 1000), 0);
    check_all_used();
    LOFT_CHECK_EQ_STR(data, "rrrrrrrrrr");
    LOFT_CHECK_EQ_UINT(own.calls[1].off, 1003);
    LOFT_CHECK_EQ_UINT(own.calls[2].off, 1003);
    LOFT_CHECK_EQ_UINT(own.calls[2].bytes, 7);
    LOFT_CHECK_EQ_PTR(own.calls[3].data, data + 9);
    LOFT_CHECK_EQ_UINT(own.calls[3].off, 1009);
}

LOFT_TEST(os_wrappers, read_of_nothing_asks_nothing)
{
    SCRIPT(-EIO);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, NULL, 0, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, NULL, 0, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_allocate(&file, 9, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_punch(&file, 9, 0), 0);
    LOFT_CHECK_EQ_UINT(own.calls_count, 0);
}

LOFT_TEST(os_wrappers, read_past_the_end_is_no_data_and_padded_with_zeros_if_asked)
{
    char data[10];
    SCRIPT(4, 0);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, data, sizeof data, 0), -ENODATA);
    check_all_used();
    memset(data, 'x', sizeof data);
    SCRIPT(4, -EINTR, 0);
    LOFT_CHECK_EQ_INT(lofti_file_read_padded(&file, data, sizeof data, 0), 0);
    check_all_used();
    LOFT_CHECK_EQ_MEM(data, "rrrr\0\0\0\0\0\0", sizeof data);
    SCRIPT(10);
    LOFT_CHECK_EQ_INT(lofti_file_read_padded(&file, data, sizeof data, 0), 0);
    LOFT_CHECK_EQ_MEM(data, "rrrrrrrrrr", sizeof data);
}

LOFT_TEST(os_wrappers, read_errors_are_handed_on)
{
    char data[10];
    SCRIPT(4, -EIO);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, data, sizeof data, 0), -EIO);
    SCRIPT(4, -EIO);
    LOFT_CHECK_EQ_INT(lofti_file_read_padded(&file, data, sizeof data, 0), -EIO);
    check_all_used();
}

LOFT_TEST(os_wrappers, write_goes_on_after_short_and_interrupted_pieces)
{
    const char data[10] = "abcdefghij";
    SCRIPT(-EINTR, 1, 4, -EINTR, 5);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, data, sizeof data, 50), 0);
    check_all_used();
    LOFT_CHECK_EQ_PTR(own.calls[2].data, data + 1);
    LOFT_CHECK_EQ_UINT(own.calls[2].off, 51);
    LOFT_CHECK_EQ_UINT(own.calls[4].off, 55);
    LOFT_CHECK_EQ_UINT(own.calls[4].bytes, 5);
}

LOFT_TEST(os_wrappers, write_errors_are_handed_on_and_no_progress_is_one)
{
    SCRIPT(4, -ENOSPC);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, "abcdefghij", 10, 0), -ENOSPC);
    check_all_used();
    SCRIPT(4, 0);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, "abcdefghij", 10, 0), -EIO);
    check_all_used();
}

/* The data is never touched by the fake: any address serves. */
LOFT_TEST(os_wrappers, pieces_are_at_most_a_gibibyte)
{
    char *data = (char *)&own;
    const uint64_t off = 5 * GIB;
    SCRIPT(GIB, GIB, GIB, 7);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, data, 3 * GIB + 7, off), 0);
    check_all_used();
    for (unsigned i = 0; i < 4; i++) {
        LOFT_CHECK_EQ_UINT(own.calls[i].off, off + i * GIB);
        LOFT_CHECK_EQ_UINT(own.calls[i].bytes, i < 3 ? GIB : 7);
        LOFT_CHECK_EQ_PTR(own.calls[i].data, (char *)((uintptr_t)data + i * GIB));
    }
    SCRIPT(GIB, GIB - 1, 101);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, data, 2 * GIB + 100, off), 0);
    LOFT_CHECK_EQ_UINT(own.calls[1].bytes, GIB);
    LOFT_CHECK_EQ_UINT(own.calls[2].bytes, 101);
    SCRIPT(123);
    LOFT_CHECK_EQ_INT(lofti_file_copy_range(&file, 8, &file, 9, 3 * GIB), 123);
    LOFT_CHECK_EQ_UINT(own.calls[0].bytes, GIB);
}

/* Every simple wrapper: what it passes on, that it repeats, that it hands on the answer. */
LOFT_TEST(os_wrappers, calls_on_a_file_repeat_and_pass_everything_on)
{
    const lofti_file from = {&own.ops, 6};
    lofti_file_info info;
    SCRIPT(-EINTR, -EINTR, 0);
    LOFT_CHECK_EQ_INT(lofti_file_info_get(&file, &info), 0);
    LOFT_CHECK_EQ_UINT(info.bytes, 4711);
    check_all_used();
    SCRIPT(-EINTR, -EINTR, -EIO);
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, 99), -EIO);
    LOFT_CHECK_EQ_UINT(own.calls[2].off, 99);
    check_all_used();
    SCRIPT(-EINTR, -EINTR, -ENOSPC);
    LOFT_CHECK_EQ_INT(lofti_file_allocate(&file, 10, 20), -ENOSPC);
    LOFT_CHECK_EQ_UINT(own.calls[2].off, 10);
    LOFT_CHECK_EQ_UINT(own.calls[2].bytes, 20);
    check_all_used();
    SCRIPT(-EINTR, -EINTR, -EOPNOTSUPP);
    LOFT_CHECK_EQ_INT(lofti_file_punch(&file, 30, 40), -EOPNOTSUPP);
    LOFT_CHECK_EQ_UINT(own.calls[2].off, 30);
    LOFT_CHECK_EQ_UINT(own.calls[2].bytes, 40);
    check_all_used();
    SCRIPT(-EINTR, -EINTR, -EAGAIN);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_SHARED, 50), -EAGAIN);
    LOFT_CHECK_EQ_INT(own.calls[2].kind, LOFTI_LOCK_SHARED);
    LOFT_CHECK_EQ_UINT(own.calls[2].off, 50);
    check_all_used();
    SCRIPT(-EINTR, -EINTR, 5 * (int64_t)GIB);
    LOFT_CHECK_EQ_INT(lofti_file_seek(&file, 60, true), 5 * (int64_t)GIB);
    LOFT_CHECK_EQ_INT(own.calls[2].kind, 1);
    LOFT_CHECK_EQ_UINT(own.calls[2].off, 60);
    check_all_used();
    SCRIPT(-EINTR, -EINTR, -EXDEV);
    LOFT_CHECK_EQ_INT(lofti_file_clone(&file, &from), -EXDEV);
    LOFT_CHECK_EQ_INT(own.calls[2].other, 6);
    check_all_used();
    SCRIPT(-EINTR, -EINTR, 17);
    LOFT_CHECK_EQ_INT(lofti_file_copy_range(&file, 70, &from, 71, 80), 17);
    LOFT_CHECK_EQ_INT(own.calls[2].other, 6);
    LOFT_CHECK_EQ_UINT(own.calls[2].bytes, 80);
    check_all_used();
    SCRIPT(-EINTR, -EINTR, -EEXIST);
    LOFT_CHECK_EQ_INT(lofti_file_link(&file, NULL, "name"), -EEXIST);
    LOFT_CHECK_EQ_STR(own.calls[2].path, "name");
    check_all_used();
}

LOFT_TEST(os_wrappers, calls_on_names_repeat_and_pass_everything_on)
{
    SCRIPT(-EINTR, -EINTR, -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_rename(&own.ops, "from", "to"), -ENOENT);
    LOFT_CHECK_EQ_UINT(own.calls_count, 3);
    LOFT_CHECK_EQ_STR(own.calls[2].path, "from");
    SCRIPT(-EINTR, -EINTR, 0);
    LOFT_CHECK_EQ_INT(lofti_file_unlink(&own.ops, "name"), 0);
    LOFT_CHECK_EQ_UINT(own.calls_count, 3);
    LOFT_CHECK_EQ_STR(own.calls[2].path, "name");
}

/* It is a hint: a table that knows none is as good. */
LOFT_TEST(os_wrappers, a_table_need_not_write_back_and_its_failure_is_no_failure)
{
    SCRIPT(-EIO);
    lofti_file_write_back(&file, 4096, 8192);
    LOFT_CHECK_EQ_UINT(own.calls_count, 0);
    own.ops.write_back = fake_write_back;
    lofti_file_write_back(&file, 4096, 8192);
    check_all_used(); /* asked once, and not again */
    LOFT_CHECK_EQ_INT(own.calls[0].handle, file.handle);
    LOFT_CHECK_EQ_UINT(own.calls[0].off, 4096);
    LOFT_CHECK_EQ_UINT(own.calls[0].bytes, 8192);
}

LOFT_TEST(os_wrappers, a_table_need_not_drop_caches)
{
    SCRIPT(-EIO);
    LOFT_CHECK_EQ_INT(lofti_file_drop_cache(&file), 0);
    LOFT_CHECK_EQ_UINT(own.calls_count, 0);
    own.ops.drop_cache = fake_close;
    LOFT_CHECK_EQ_INT(lofti_file_drop_cache(&file), -EIO);
    check_all_used();
}

LOFT_TEST(os_wrappers, an_interrupted_flush_is_not_repeated)
{
    SCRIPT(-EINTR);
    LOFT_CHECK_EQ_INT(lofti_file_sync(&file, LOFTI_SYNC_ALL), -EINTR);
    LOFT_CHECK_EQ_INT(own.calls[0].kind, LOFTI_SYNC_ALL);
    check_all_used();
    SCRIPT(-EINTR);
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(&own.ops, "name"), -EINTR);
    LOFT_CHECK_EQ_UINT(own.calls_count, 1);
}
