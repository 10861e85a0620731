/* What src/os/file_linux.c relies on to make files that appear whole or not at all: O_TMPFILE, and
 * that /proc/self/fd names such a file without any privilege, refusing a name that is taken. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

static int link_by_proc(int fd, const char *path)
{
    char own[32];
    (void)snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, own, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? 0 : -errno;
}

LOFT_TEST(probe_unnamed, an_unnamed_file_gets_a_name_through_proc)
{
    const int fd = open(loft_test_folder(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        LOFT_SKIP("the file system of %s has no unnamed files", loft_test_folder());
    }
    LOFT_CHECK_SYS(fd);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
    const char *path = loft_test_tmp_path("name");
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) { /* gives up every privilege first, should it have any */
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        const struct __user_cap_data_struct none[2] = {{0, 0, 0}, {0, 0, 0}};
        if (syscall(SYS_capset, &header, none) != 0) {
            _exit(1);
        }
        _exit(link_by_proc(fd, path) == 0 ? 0 : 2);
    }
    int status = 0;
    LOFT_CHECK_SYS(waitpid(child, &status, 0));
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), status == 0 ? 1 : 0);
    LOFT_CHECK_EQ_INT(status, 0);
    LOFT_CHECK_EQ_INT(link_by_proc(fd, path), -EEXIST);
}
