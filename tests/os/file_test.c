/* The system's table of file operations: opening what is and is not a regular file, reading,
 * writing, sizes, holes, copies. Names, folders and unnamed files are in names_test.c. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"
#include "os/map.h"
#include "support/test.h"

#define GIB ((uint64_t)1 << 30)

/* A new file that holds `text`. */
static lofti_file make(const char *name, const char *text)
{
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path(name),
                                      LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE | LOFTI_OPEN_EXCLUSIVE,
                                      0600, &file),
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

/* Whether the system has the operation at all: the table says so of a file that it can work with. */
static bool can(int (*operation)(const lofti_file *file, uint64_t off, uint64_t bytes))
{
    lofti_file file = make("can", "content");
    const int rc = operation(&file, 0, 1);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_SYS(unlink(loft_test_tmp_path("can")));
    return rc != -EOPNOTSUPP;
}

static bool can_copy(void)
{
    lofti_file file = make("can", "content");
    const int64_t rc = lofti_file_copy_range(&file, 7, &file, 0, 1);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_SYS(unlink(loft_test_tmp_path("can")));
    return rc != -EOPNOTSUPP;
}

LOFT_TEST(os_file, an_open_file_is_its_own_and_closed_on_exec)
{
    const unsigned before = loft_test_descriptors();
    umask(027);
    lofti_file file;
    const unsigned flags = LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE | LOFTI_OPEN_EXCLUSIVE;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("new"), flags, 0666, &file), 0);
    LOFT_CHECK_EQ_INT(fcntl((int)file.handle, F_GETFD), FD_CLOEXEC);
    const int mode = fcntl((int)file.handle, F_GETFL);
    LOFT_CHECK_EQ_INT(mode & O_ACCMODE, O_RDWR);
    const lofti_file_info info = info_of(&file);
    LOFT_CHECK_EQ_UINT(info.type, LOFTI_TYPE_REGULAR);
    LOFT_CHECK_EQ_UINT(info.mode, 0640);
    LOFT_CHECK_EQ_UINT(info.bytes, 0);
    LOFT_CHECK_FALSE(info.remote);
    lofti_file second;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("new"), flags, 0666, &second), -EEXIST);
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("new"), 0, 0, &second), 0);
    LOFT_CHECK_EQ_UINT(info_of(&second).inode, info.inode);
    LOFT_CHECK_EQ_UINT(info_of(&second).device, info.device);
    LOFT_CHECK_EQ_INT(lofti_file_close(&second), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_UINT(loft_test_descriptors(), before);
}

LOFT_TEST(os_file, truncate_empties_and_create_alone_keeps)
{
    lofti_file file = make("old", "content");
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    const char *path = loft_test_tmp_path("old");
    const unsigned flags = LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE;
    LOFT_CHECK_EQ_INT(lofti_file_open(path, flags, 0600, &file), 0);
    LOFT_CHECK_EQ_UINT(info_of(&file).bytes, 7);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_open(path, flags | LOFTI_OPEN_TRUNCATE, 0600, &file), 0);
    LOFT_CHECK_EQ_UINT(info_of(&file).bytes, 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_file, a_symbolic_link_is_followed_unless_asked_not_to)
{
    lofti_file file = make("target", "content");
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_SYS(symlink("target", loft_test_tmp_path("link")));
    const char *link = loft_test_tmp_path("link");
    LOFT_CHECK_EQ_INT(lofti_file_open(link, LOFTI_OPEN_NOFOLLOW, 0, &file), -ELOOP);
    LOFT_CHECK_EQ_INT(
        lofti_file_open(link, LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE | LOFTI_OPEN_NOFOLLOW, 0, &file),
        -ELOOP);
    LOFT_CHECK_EQ_INT(lofti_file_open(link, 0, 0, &file), 0);
    LOFT_CHECK_EQ_UINT(info_of(&file).bytes, 7);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_file, what_is_no_regular_file_opens_at_once_and_says_so)
{
    const char *fifo = loft_test_tmp_path("fifo");
    LOFT_CHECK_SYS(mkfifo(fifo, 0600));
    static const unsigned flags[] = {LOFTI_OPEN_READ, LOFTI_OPEN_WRITE};
    lofti_file file;
    for (unsigned i = 0; i < 2; i++) {
        LOFT_CHECK_EQ_INT(lofti_file_open(fifo, flags[i], 0, &file), 0);
        LOFT_CHECK_EQ_UINT(info_of(&file).type, LOFTI_TYPE_OTHER);
        LOFT_CHECK_NE_INT(fcntl((int)file.handle, F_GETFL) & O_NONBLOCK, 0);
        LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    }
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_folder(), LOFTI_OPEN_READ, 0, &file), 0);
    LOFT_CHECK_EQ_UINT(info_of(&file).type, LOFTI_TYPE_FOLDER);
    char byte;
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, &byte, 1, 0), -EISDIR);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_folder(), LOFTI_OPEN_WRITE, 0, &file), -EISDIR);
    LOFT_CHECK_EQ_INT(lofti_file_open("/dev/full", LOFTI_OPEN_WRITE, 0, &file), 0);
    LOFT_CHECK_EQ_UINT(info_of(&file).type, LOFTI_TYPE_OTHER);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, "x", 1, 0), -ENOSPC);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_file, what_cannot_be_opened_leaves_nothing)
{
    const unsigned before = loft_test_descriptors();
    const char *missing = loft_test_tmp_path("no/such/folder");
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(missing, 0, 0, &file), -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_open(missing, LOFTI_OPEN_CREATE | LOFTI_OPEN_WRITE, 0, &file),
                      -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_open("", 0, 0, &file), -ENOENT);
    LOFT_CHECK_EQ_UINT(loft_test_descriptors(), before);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
}

/* Opens with the standard streams closed; exits with what was wrong. */
static void without_standard_streams(void *arg)
{
    (void)arg;
    const char *path = loft_test_tmp_path("file");
    for (int i = 0; i < 3; i++) {
        close(i);
    }
    lofti_file file;
    if (lofti_file_open(path, LOFTI_OPEN_WRITE, 0, &file) != 0) {
        loft_test_exit(1);
    }
    const int flags = fcntl((int)file.handle, F_GETFD);
    const bool all_closed = fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0;
    loft_test_exit(file.handle >= 3 && flags == FD_CLOEXEC && all_closed ? 0 : 2);
}

/* The same where no descriptor above the standard ones may be had. */
static void without_any_descriptor(void *arg)
{
    (void)arg;
    const char *path = loft_test_tmp_path("file");
    for (int i = 0; i < 3; i++) {
        close(i);
    }
    const struct rlimit limit = {3, 3};
    lofti_file file;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        loft_test_exit(1);
    }
    const int rc = lofti_file_open(path, LOFTI_OPEN_WRITE, 0, &file);
    const bool all_closed = fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0;
    loft_test_exit(rc < 0 && !lofti_file_is_open(&file) && all_closed ? 0 : 2);
}

LOFT_TEST(os_file, the_places_of_the_standard_streams_are_never_taken)
{
    lofti_file file = make("file", "content");
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    loft_test_child child;
    loft_test_run_child(without_standard_streams, NULL, &child);
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
    loft_test_run_child(without_any_descriptor, NULL, &child);
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
}

LOFT_TEST(os_file, bytes_come_back_from_beyond_four_gibibytes)
{
    lofti_file file = make("sparse", "");
    static const char text[] = "far out";
    char back[sizeof text + 4];
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, text, sizeof text, 5 * GIB + 1), 0);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, back, sizeof text, 5 * GIB + 1), 0);
    LOFT_CHECK_EQ_STR(back, text);
    const lofti_file_info info = info_of(&file);
    LOFT_CHECK_EQ_UINT(info.bytes, 5 * GIB + 1 + sizeof text);
    LOFT_CHECK_LT_UINT(info.stored_bytes, GIB);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, back, sizeof text + 1, 5 * GIB + 1), -ENODATA);
    memset(back, 'x', sizeof back);
    LOFT_CHECK_EQ_INT(lofti_file_read_padded(&file, back, sizeof back, 5 * GIB + 1), 0);
    LOFT_CHECK_EQ_MEM(back, "far out\0\0\0\0\0", sizeof back);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_file, resize_and_the_two_flushes)
{
    lofti_file file = make("file", "content");
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, 3), 0);
    LOFT_CHECK_EQ_UINT(info_of(&file).bytes, 3);
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, 5 * GIB), 0);
    char back[8];
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, back, 8, 0), 0);
    LOFT_CHECK_EQ_MEM(back, "con\0\0\0\0\0", 8);
    LOFT_CHECK_EQ_INT(lofti_file_sync(&file, LOFTI_SYNC_DATA), 0);
    LOFT_CHECK_EQ_INT(lofti_file_sync(&file, LOFTI_SYNC_ALL), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_file, a_file_size_limit_is_an_error_and_no_signal_ends_it_here)
{
    lofti_file file = make("file", "");
    signal(SIGXFSZ, SIG_IGN); /* the caller's part: the kernel sends it before the error */
    const struct rlimit limit = {8192, RLIM_INFINITY};
    LOFT_CHECK_SYS(setrlimit(RLIMIT_FSIZE, &limit));
    static char data[12288];
    memset(data, 'd', sizeof data);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, data, sizeof data, 0), -EFBIG);
    LOFT_CHECK_EQ_UINT(info_of(&file).bytes, 8192); /* what fitted was written */
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, 8193), -EFBIG);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, data, 1, 8192), -EFBIG);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_file, allocate_grows_and_punch_gives_back)
{
    const size_t page_bytes = lofti_map_page_bytes();
    lofti_file file = make("file", "");
    const int rc = lofti_file_allocate(&file, 0, 16 * page_bytes);
    if (rc == -EOPNOTSUPP) {
        LOFT_SKIP("the file system of %s cannot allocate", loft_test_folder());
    }
    LOFT_CHECK_EQ_INT(rc, 0);
    LOFT_CHECK_EQ_UINT(info_of(&file).bytes, 16 * page_bytes);
    LOFT_CHECK_GE_UINT(info_of(&file).stored_bytes, 16 * page_bytes);
    unsigned char *data = malloc(16 * page_bytes);
    LOFT_CHECK_NOT_NULL(data);
    memset(data, 'd', 16 * page_bytes);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, data, 16 * page_bytes, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_sync(&file, LOFTI_SYNC_DATA), 0);
    if (can(lofti_file_punch)) {
        LOFT_CHECK_EQ_INT(lofti_file_punch(&file, 4 * page_bytes, 8 * page_bytes), 0);
    } else {
        LOFT_SKIP("this system cannot make holes");
    }
    LOFT_CHECK_EQ_UINT(info_of(&file).bytes, 16 * page_bytes);
    LOFT_CHECK_LT_UINT(info_of(&file).stored_bytes, 16 * page_bytes);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, data, 16 * page_bytes, 0), 0);
    for (size_t i = 0; i < 16 * page_bytes; i++) {
        const bool is_hole = i >= 4 * page_bytes && i < 12 * page_bytes;
        LOFT_CHECK_EQ_INT(data[i], is_hole ? 0 : 'd');
    }
    LOFT_CHECK_EQ_INT(lofti_file_seek(&file, 0, true), (int64_t)(4 * page_bytes));
    LOFT_CHECK_EQ_INT(lofti_file_seek(&file, 5 * page_bytes, false), (int64_t)(12 * page_bytes));
    LOFT_CHECK_EQ_INT(lofti_file_seek(&file, 13 * page_bytes, true), (int64_t)(16 * page_bytes));
    LOFT_CHECK_EQ_INT(lofti_file_seek(&file, 16 * page_bytes, false), -ENXIO);
    free(data);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_file, seek_finds_data_beyond_four_gibibytes)
{
    lofti_file file = make("file", "");
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, 6 * GIB), 0);
    const int64_t first = lofti_file_seek(&file, 0, false);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, "data", 4, 5 * GIB), 0);
    if (first == 0) { /* a system that does not tell holes: all of a file is data */
        LOFT_CHECK_EQ_INT(lofti_file_seek(&file, GIB, false), (int64_t)GIB);
        LOFT_CHECK_EQ_INT(lofti_file_seek(&file, GIB, true), (int64_t)(6 * GIB));
    } else {
        LOFT_CHECK_EQ_INT(first, -ENXIO);
        LOFT_CHECK_EQ_INT(lofti_file_seek(&file, 0, false), (int64_t)(5 * GIB));
    }
    LOFT_CHECK_EQ_INT(lofti_file_seek(&file, 5 * GIB + 1, false), (int64_t)(5 * GIB + 1));
    LOFT_CHECK_EQ_INT(lofti_file_seek(&file, 6 * GIB, false), -ENXIO);
    LOFT_CHECK_EQ_INT(lofti_file_seek(&file, 6 * GIB, true), -ENXIO);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_file, offsets_that_no_file_has_are_refused)
{
    lofti_file file = make("file", "content");
    const uint64_t far = (uint64_t)INT64_MAX + 1;
    char byte = 0;
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, &byte, 1, far), -EFBIG);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, &byte, 1, far), -EFBIG);
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, far), -EFBIG);
    LOFT_CHECK_EQ_INT(lofti_file_allocate(&file, far - 1, 2), -EFBIG);
    LOFT_CHECK_EQ_INT(lofti_file_punch(&file, 1, far), -EFBIG);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_SHARED, far), -EFBIG);
    LOFT_CHECK_EQ_INT(lofti_file_seek(&file, far, false), -ENXIO);
    LOFT_CHECK_EQ_INT(lofti_file_copy_range(&file, far, &file, 0, 1), -EFBIG);
    LOFT_CHECK_EQ_INT(lofti_file_copy_range(&file, 0, &file, far, 1), -EFBIG);
    LOFT_CHECK_EQ_UINT(info_of(&file).bytes, 7);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_file, a_file_opened_for_reading_refuses_every_change)
{
    const int no_punch = can(lofti_file_punch) ? -EBADF : -EOPNOTSUPP;
    const int no_copy = can_copy() ? -EBADF : -EOPNOTSUPP;
    lofti_file file = make("file", "content");
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("file"), LOFTI_OPEN_READ, 0, &file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, "x", 1, 0), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, 1), -EINVAL);
    LOFT_CHECK_EQ_INT(lofti_file_allocate(&file, 0, 1), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_punch(&file, 0, 1), no_punch);
    LOFT_CHECK_EQ_INT(lofti_file_copy_range(&file, 0, &file, 4, 1), no_copy);
    LOFT_CHECK_EQ_UINT(info_of(&file).bytes, 7);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_file, every_operation_on_a_closed_descriptor_says_so)
{
    const lofti_file file = {lofti_file_ops_system(), 4000};
    const int no_punch = can(lofti_file_punch) ? -EBADF : -EOPNOTSUPP;
    const int no_copy = can_copy() ? -EBADF : -EOPNOTSUPP;
    lofti_file_info info;
    char byte = 0;
    LOFT_CHECK_LT_INT(fcntl(4000, F_GETFD), 0);
    LOFT_CHECK_EQ_INT(lofti_file_info_get(&file, &info), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, &byte, 1, 0), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_read_padded(&file, &byte, 1, 0), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, &byte, 1, 0), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, 1), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_allocate(&file, 0, 1), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_punch(&file, 0, 1), no_punch);
    LOFT_CHECK_EQ_INT(lofti_file_sync(&file, LOFTI_SYNC_DATA), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_sync(&file, LOFTI_SYNC_ALL), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_SHARED, 0), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_seek(&file, 0, false), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_clone(&file, &file), no_copy);
    LOFT_CHECK_EQ_INT(lofti_file_copy_range(&file, 0, &file, 1, 1), no_copy);
    LOFT_CHECK_LT_INT(lofti_file_link(&file, NULL, loft_test_tmp_path("name")), 0);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
    lofti_file closing = file;
    LOFT_CHECK_EQ_INT(lofti_file_close(&closing), -EBADF);
}

LOFT_TEST(os_file, clone_shares_the_content_or_refuses_in_a_known_way)
{
    lofti_file from = make("from", "the content of it");
    lofti_file to = make("to", "");
    const int rc = lofti_file_clone(&to, &from);
    if (rc == 0) {
        char back[17];
        LOFT_CHECK_EQ_INT(lofti_file_read(&to, back, sizeof back, 0), 0);
        LOFT_CHECK_EQ_MEM(back, "the content of it", sizeof back);
    } else {
        LOFT_CHECK_TRUE(rc == -EOPNOTSUPP || rc == -EXDEV || rc == -EINVAL);
        LOFT_CHECK_EQ_UINT(info_of(&to).bytes, 0);
    }
    LOFT_CHECK_EQ_INT(lofti_file_close(&to), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&from), 0);
}

LOFT_TEST(os_file, copy_range_copies_as_far_as_there_is_something)
{
    lofti_file from = make("from", "the content of it");
    lofti_file to = make("to", "");
    const int64_t copied = lofti_file_copy_range(&to, 3, &from, 4, 1000);
    if (copied < 0) {
        LOFT_CHECK_TRUE(copied == -EOPNOTSUPP || copied == -EXDEV || copied == -EINVAL);
        LOFT_SKIP("the file system of %s cannot copy inside the kernel", loft_test_folder());
    }
    LOFT_CHECK_EQ_INT(copied, 13);
    char back[16];
    LOFT_CHECK_EQ_INT(lofti_file_read(&to, back, sizeof back, 0), 0);
    LOFT_CHECK_EQ_MEM(back, "\0\0\0content of it", sizeof back);
    LOFT_CHECK_EQ_INT(lofti_file_copy_range(&to, 3, &from, 17, 1000), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&to), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&from), 0);
}

LOFT_TEST(os_file, dropped_caches_cost_no_bytes)
{
    lofti_file file = make("file", "content");
    char back[7];
    LOFT_CHECK_EQ_INT(lofti_file_drop_cache(&file), 0); /* dirty pages stay */
    LOFT_CHECK_EQ_INT(lofti_file_sync(&file, LOFTI_SYNC_DATA), 0);
    LOFT_CHECK_EQ_INT(lofti_file_drop_cache(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, back, sizeof back, 0), 0);
    LOFT_CHECK_EQ_MEM(back, "content", sizeof back);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

/* Unnamed devices are the only ones that the second look is taken at; memory is on one. */
LOFT_TEST(os_file, a_file_in_memory_is_not_remote)
{
    LOFT_CHECK_SYS(access("/proc/self/status", R_OK));
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open("/proc/self/status", LOFTI_OPEN_READ, 0, &file), 0);
    LOFT_CHECK_FALSE(info_of(&file).remote);
    LOFT_CHECK_EQ_UINT(info_of(&file).type, LOFTI_TYPE_REGULAR);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}
