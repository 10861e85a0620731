/* What happens when the system refuses a call that it usually grants: a seccomp filter answers in
 * its place, for one system call, and where it matters for one value of one argument. Each test is
 * a process of its own, which the filter dies with. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/dirty.h"
#include "os/file.h"
#include "os/map.h"
#include "os/sys.h"
#include "support/test.h"

/* A descriptor that nothing but the call under test gets, while those below it are taken. */
enum { LONE_DESCRIPTOR = 50 };
enum { ANY_ARGUMENT = 6 };

#define PAGEMAP_SCAN_CALL 0xc0606610u /* _IOWR('f', 16, 96 bytes) */

/* From here on this system call answers `error` if its argument number `argument` is `value`
 * (ANY_ARGUMENT: always). Skips the test where filters cannot be had. */
static void refuse(long call, int error, unsigned argument, uint32_t value)
{
    const uint32_t at =
        argument == ANY_ARGUMENT ? 0 : (uint32_t)offsetof(struct seccomp_data, args[argument]);
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument == ANY_ARGUMENT ? (uint32_t)call : value, 0,
                 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {sizeof code / sizeof code[0], code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        LOFT_SKIP("this system has no seccomp filters");
    }
}

/* Takes every descriptor below LONE_DESCRIPTOR, which the next open then gets; and gives back. */
static int taken[LONE_DESCRIPTOR];
static unsigned taken_count;

static void take_descriptors(void)
{
    int fd;
    while ((fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) < LONE_DESCRIPTOR) {
        LOFT_CHECK_SYS(fd);
        taken[taken_count++] = fd;
    }
    LOFT_CHECK_EQ_INT(fd, LONE_DESCRIPTOR);
    LOFT_CHECK_SYS(close(fd));
}

static void give_descriptors_back(void)
{
    LOFT_CHECK_LT_INT(fcntl(LONE_DESCRIPTOR, F_GETFD), 0); /* the call has left it closed */
    while (taken_count > 0) {
        LOFT_CHECK_SYS(close(taken[--taken_count]));
    }
}

static lofti_file make(const char *name)
{
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path(name),
                                      LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &file),
                      0);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, "content", 7, 0), 0);
    return file;
}

LOFT_TEST(os_refused, an_open_that_fails_half_way_leaves_nothing_open)
{
    lofti_file file = make("file");
    const char *path = loft_test_tmp_path("file");
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    /* In the place of a standard stream the descriptor has to move on. */
    const int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    LOFT_CHECK_SYS(close(STDIN_FILENO));
    refuse(SYS_fcntl, EPERM, 1, F_DUPFD_CLOEXEC);
    LOFT_CHECK_EQ_INT(lofti_file_open(path, LOFTI_OPEN_READ, 0, &file), -EPERM);
    LOFT_CHECK_FALSE(lofti_file_is_open(&file));
    LOFT_CHECK_LT_INT(fcntl(STDIN_FILENO, F_GETFD), 0);
    LOFT_CHECK_EQ_INT(dup2(kept, STDIN_FILENO), STDIN_FILENO);
}

LOFT_TEST(os_refused, a_file_system_that_takes_unnamed_for_a_folder)
{
    const int flags = O_TMPFILE | O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
    refuse(SYS_openat, EISDIR, 2, (uint32_t)flags);
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("name"),
                                      LOFTI_OPEN_WRITE | LOFTI_OPEN_UNNAMED, 0600, &file),
                      -EOPNOTSUPP);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
}

/* Without /proc the other way is tried, which needs a privilege before Linux 6.10. */
LOFT_TEST(os_refused, without_proc_an_unnamed_file_is_named_or_not)
{
    const char *path = loft_test_tmp_path("name");
    lofti_file file;
    if (lofti_file_open(path, LOFTI_OPEN_WRITE | LOFTI_OPEN_UNNAMED, 0600, &file) != 0) {
        LOFT_SKIP("the file system of %s has no unnamed files", loft_test_folder());
    }
    refuse(SYS_linkat, ENOENT, 4, AT_SYMLINK_FOLLOW);
    const int rc = lofti_file_link(&file, NULL, path);
    LOFT_CHECK_TRUE(rc == 0 || rc == -ENOENT);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), rc == 0 ? 1 : 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_refused, what_a_system_does_not_know_is_not_supported)
{
    lofti_file file = make("file");
    lofti_file other = make("other");
    refuse(SYS_fallocate, ENOSYS, ANY_ARGUMENT, 0);
    refuse(SYS_copy_file_range, ENOSYS, ANY_ARGUMENT, 0);
    refuse(SYS_ioctl, ENOTTY, 1, (uint32_t)FICLONE);
    LOFT_CHECK_EQ_INT(lofti_file_allocate(&file, 0, 4096), -EOPNOTSUPP);
    LOFT_CHECK_EQ_INT(lofti_file_punch(&file, 0, 4096), -EOPNOTSUPP);
    LOFT_CHECK_EQ_INT(lofti_file_copy_range(&file, 0, &other, 0, 7), -EOPNOTSUPP);
    LOFT_CHECK_EQ_INT(lofti_file_clone(&file, &other), -EOPNOTSUPP);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&other), 0);
}

LOFT_TEST(os_refused, a_held_lock_has_one_name)
{
    lofti_file file = make("file");
    refuse(SYS_fcntl, EACCES, 1, F_OFD_SETLK);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_EXCLUSIVE, 0), -EAGAIN);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_refused, a_failed_flush_is_told_as_it_is)
{
    lofti_file file = make("file");
    refuse(SYS_fdatasync, EIO, ANY_ARGUMENT, 0);
    refuse(SYS_fsync, EDQUOT, ANY_ARGUMENT, 0);
    LOFT_CHECK_EQ_INT(lofti_file_sync(&file, LOFTI_SYNC_DATA), -EIO);
    LOFT_CHECK_EQ_INT(lofti_file_sync(&file, LOFTI_SYNC_ALL), -EDQUOT);
    const char *path = loft_test_tmp_path("file");
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(lofti_file_ops_system(), path), -EDQUOT);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_refused, no_random_bytes_are_an_error)
{
    uint64_t word = 0;
    refuse(SYS_getrandom, ENOSYS, ANY_ARGUMENT, 0);
    LOFT_CHECK_EQ_INT(lofti_sys_random(&word, sizeof word), -ENOSYS);
}

static int visit(void *context, const lofti_map_area *area)
{
    (void)area;
    *(unsigned *)context += 1;
    return 0;
}

LOFT_TEST(os_refused, a_list_of_mappings_that_cannot_be_read_is_unknown)
{
    unsigned count = 0;
    char text[32] = "untouched";
    take_descriptors();
    refuse(SYS_read, EIO, 0, LONE_DESCRIPTOR);
    LOFT_CHECK_EQ_INT(lofti_map_each(NULL, SIZE_MAX, visit, &count), -ENOTSUP);
    lofti_map_holder(text, sizeof text, text, sizeof text);
    give_descriptors_back();
    LOFT_CHECK_EQ_UINT(count, 0);
    LOFT_CHECK_EQ_STR(text, "");
}

/* --- Which way of finding private pages is chosen ----------------------------------------- */

static int count_run(void *context, void *start, size_t bytes)
{
    (void)start;
    *(size_t *)context += bytes;
    return 0;
}

/* One page of 16 is stored to; how many count as private. */
static size_t private_pages(void)
{
    const size_t page = lofti_map_page_bytes();
    size_t bytes = 0;
    void *at;
    LOFT_CHECK_EQ_INT(lofti_map_place(16 * page, 0, LOFTI_MAP_WRITE, NULL, 0, &at), 0);
    (void)lofti_map_advise(at, 16 * page, LOFTI_ADVICE_NOHUGE);
    ((char *)at)[3 * page] = 1;
    LOFT_CHECK_EQ_INT(lofti_dirty_private(at, 16 * page, count_run, &bytes), 0);
    LOFT_CHECK_EQ_INT(lofti_map_release(at, 16 * page), 0);
    return bytes / page;
}

LOFT_TEST(os_refused, without_scan_the_pagemap_is_read)
{
    if (!lofti_dirty_self_test(lofti_dirty_ops_pagemap())) {
        LOFT_SKIP("/proc/self/pagemap does not show this process's pages");
    }
    refuse(SYS_ioctl, ENOTTY, 1, PAGEMAP_SCAN_CALL);
    LOFT_CHECK_FALSE(lofti_dirty_self_test(lofti_dirty_ops_scan()));
    LOFT_CHECK_EQ_PTR(lofti_dirty_ops_current(), lofti_dirty_ops_pagemap());
    LOFT_CHECK_EQ_UINT(private_pages(), 1);
}

LOFT_TEST(os_refused, without_either_every_page_is_private)
{
    refuse(SYS_ioctl, ENOTTY, 1, PAGEMAP_SCAN_CALL);
    refuse(SYS_pread64, EIO, ANY_ARGUMENT, 0);
    LOFT_CHECK_NULL(lofti_dirty_ops_current());
    LOFT_CHECK_EQ_UINT(private_pages(), 16);
}

LOFT_TEST(os_refused, a_scan_that_begins_to_fail_makes_every_page_private)
{
    (void)lofti_dirty_ops_current();
    refuse(SYS_ioctl, EFAULT, 1, PAGEMAP_SCAN_CALL);
    refuse(SYS_pread64, EIO, ANY_ARGUMENT, 0);
    LOFT_CHECK_EQ_UINT(private_pages(), 16);
}

/* Each step of the self-test refused in turn: it fails, and leaves nothing. */
LOFT_TEST(os_refused, a_self_test_that_cannot_be_made_fails_and_leaves_nothing)
{
    static const struct {
        long call;
        unsigned argument;
        uint32_t value;
    } steps[] = {{SYS_mmap, 3, MAP_PRIVATE | MAP_FIXED},
                 {SYS_ftruncate, ANY_ARGUMENT, 0},
                 {SYS_memfd_create, ANY_ARGUMENT, 0}};
    const unsigned descriptors = loft_test_descriptors();
    const uint64_t mapped = loft_test_mapped_bytes();
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        refuse(steps[i].call, ENOMEM, steps[i].argument, steps[i].value);
        LOFT_CHECK_FALSE(lofti_dirty_self_test(lofti_dirty_ops_pagemap()));
        LOFT_CHECK_EQ_UINT(loft_test_descriptors(), descriptors);
        LOFT_CHECK_EQ_UINT(loft_test_mapped_bytes(), mapped);
    }
}
