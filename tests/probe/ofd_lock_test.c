/* What src/os/file_linux.c assumes of locks of the open file description (Linux 3.15):
 * they keep two opens of one process apart, no close of another descriptor ends them, a forked
 * child shares them, and may even end its parent's. */
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

static int set(int fd, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
    return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : -errno;
}

static int open_again(void)
{
    const int fd = open(loft_test_tmp_path("file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    LOFT_CHECK_SYS(fd);
    return fd;
}

LOFT_TEST(probe_ofd_lock, two_opens_of_one_process_conflict)
{
    const int first = open_again();
    const int second = open_again();
    LOFT_CHECK_EQ_INT(set(first, F_WRLCK), 0);
    LOFT_CHECK_EQ_INT(set(second, F_WRLCK), -EAGAIN);
}

LOFT_TEST(probe_ofd_lock, closing_another_descriptor_ends_nothing)
{
    const int first = open_again();
    LOFT_CHECK_EQ_INT(set(first, F_WRLCK), 0);
    LOFT_CHECK_SYS(close(open_again()));
    LOFT_CHECK_SYS(close(dup(first)));
    LOFT_CHECK_EQ_INT(set(open_again(), F_WRLCK), -EAGAIN);
}

LOFT_TEST(probe_ofd_lock, a_child_can_end_its_parents)
{
    const int own = open_again();
    LOFT_CHECK_EQ_INT(set(own, F_WRLCK), 0);
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        _exit(set(own, F_UNLCK) == 0 ? 0 : 1);
    }
    int status = 0;
    LOFT_CHECK_SYS(waitpid(child, &status, 0));
    LOFT_CHECK_EQ_INT(status, 0);
    LOFT_CHECK_EQ_INT(set(open_again(), F_WRLCK), 0);
}
