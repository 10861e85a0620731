/* Locks of the open file description: whom they keep out, and when they end. */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/file.h"
#include "support/test.h"

/* Opens this test's one file once more. */
static lofti_file open_again(void)
{
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("locked"),
                                      LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &file),
                      0);
    return file;
}

LOFT_TEST(os_lock, two_opens_of_one_process_keep_each_other_out)
{
    lofti_file first = open_again();
    lofti_file second = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_EXCLUSIVE, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_EXCLUSIVE, 0), -EAGAIN);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_SHARED, 0), -EAGAIN);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_EXCLUSIVE, 1), 0); /* another byte */
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_SHARED, 1), -EAGAIN);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_EXCLUSIVE, 0), 0); /* again: the same */
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_NONE, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_EXCLUSIVE, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&second), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_EXCLUSIVE, 1), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&first), 0);
}

LOFT_TEST(os_lock, shared_locks_go_together_and_keep_an_exclusive_one_out)
{
    lofti_file first = open_again();
    lofti_file second = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_SHARED, 7), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_SHARED, 7), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_EXCLUSIVE, 7), -EAGAIN);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_NONE, 7), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_EXCLUSIVE, 7), 0); /* raised in place */
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_SHARED, 7), -EAGAIN);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_SHARED, 7), 0); /* and lowered */
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_SHARED, 7), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&second), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&first), 0);
}

LOFT_TEST(os_lock, closing_another_open_of_the_file_loses_nothing)
{
    lofti_file first = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_EXCLUSIVE, 0), 0);
    lofti_file second = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_close(&second), 0); /* classic locks end here */
    second = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_EXCLUSIVE, 0), -EAGAIN);
    LOFT_CHECK_EQ_INT(lofti_file_close(&second), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&first), 0);
}

LOFT_TEST(os_lock, another_name_of_the_file_has_the_same_locks)
{
    lofti_file first = open_again();
    LOFT_CHECK_SYS(link(loft_test_tmp_path("locked"), loft_test_tmp_path("other")));
    lofti_file second;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("other"), LOFTI_OPEN_WRITE, 0, &second),
                      0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_EXCLUSIVE, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_EXCLUSIVE, 0), -EAGAIN);
    LOFT_CHECK_EQ_INT(lofti_file_close(&second), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&first), 0);
}

LOFT_TEST(os_lock, a_lock_needs_the_right_to_what_it_is_for)
{
    lofti_file file = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("locked"), LOFTI_OPEN_READ, 0, &file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_SHARED, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_EXCLUSIVE, 0), -EBADF);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

/* A child that does `what` and then waits to be killed. Returns when it is that far. */
static pid_t start_child(void (*what)(lofti_file *file), lofti_file *file)
{
    int ready[2];
    char byte = 0;
    LOFT_CHECK_SYS(pipe(ready));
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        what(file);
        LOFT_CHECK_EQ_INT(write(ready[1], "r", 1), 1);
        for (;;) {
            pause();
        }
    }
    close(ready[1]);
    LOFT_CHECK_EQ_INT(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void end_child(pid_t child)
{
    LOFT_CHECK_SYS(kill(child, SIGKILL));
    LOFT_CHECK_SYS(waitpid(child, NULL, 0));
}

static void take_own_lock(lofti_file *file)
{
    *file = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(file, LOFTI_LOCK_EXCLUSIVE, 0), 0);
}

/* Of the parent's locks a child has none, or the same ones: it may take what is free and nothing else. */
static void take_other_byte(lofti_file *file)
{
    lofti_file own = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&own, LOFTI_LOCK_EXCLUSIVE, 0), -EAGAIN);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&own, LOFTI_LOCK_EXCLUSIVE, 1), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(file), 0);
}

LOFT_TEST(os_lock, a_killed_process_holds_nothing)
{
    lofti_file theirs = {NULL, -1};
    const pid_t child = start_child(take_own_lock, &theirs);
    lofti_file file = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_EXCLUSIVE, 0), -EAGAIN);
    end_child(child);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_EXCLUSIVE, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

static void do_nothing(lofti_file *file) { LOFT_CHECK_TRUE(lofti_file_is_open(file)); }

static void close_inherited(lofti_file *file) { LOFT_CHECK_EQ_INT(lofti_file_close(file), 0); }

/* Why an arena's child closes its descriptors: the lock is the description's, not the process's. */
LOFT_TEST(os_lock, a_child_that_keeps_the_descriptor_keeps_the_lock)
{
    if (lofti_file_locks_keep() >= 0) {
        LOFT_SKIP("locks are the process's on this system: a child has none");
    }
    lofti_file file = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_EXCLUSIVE, 0), 0);
    const pid_t child = start_child(do_nothing, &file);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    file = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_EXCLUSIVE, 0), -EAGAIN);
    end_child(child);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_EXCLUSIVE, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_lock, a_child_that_closes_the_descriptor_leaves_the_lock_to_its_parent)
{
    lofti_file file = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&file, LOFTI_LOCK_EXCLUSIVE, 0), 0);
    const pid_t child = start_child(close_inherited, &file);
    lofti_file other = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&other, LOFTI_LOCK_EXCLUSIVE, 0), -EAGAIN);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_lock(&other, LOFTI_LOCK_EXCLUSIVE, 0), 0);
    end_child(child);
    LOFT_CHECK_EQ_INT(lofti_file_close(&other), 0);
}

/* Where locks are the process's, descriptors are kept for their sake: one for each kind of open, and not longer than there
 * is a lock. */
LOFT_TEST(os_lock, what_is_kept_for_the_sake_of_a_lock_is_used_again_and_closed_with_it)
{
    const unsigned before = loft_test_descriptors();
    lofti_file first = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&first, LOFTI_LOCK_EXCLUSIVE, 0), 0);
    for (int i = 0; i < 100; i++) {
        lofti_file second;
        LOFT_CHECK_EQ_INT(
            lofti_file_open(loft_test_tmp_path("locked"), LOFTI_OPEN_WRITE, 0, &second), 0);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_SHARED, 1), 0);
        LOFT_CHECK_EQ_INT(lofti_file_close(&second), 0);
        LOFT_CHECK_EQ_INT(
            lofti_file_open(loft_test_tmp_path("locked"), LOFTI_OPEN_READ, 0, &second), 0);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_EXCLUSIVE, 1), -EBADF);
        LOFT_CHECK_EQ_INT(lofti_file_close(&second), 0);
    }
    LOFT_CHECK_LE_INT(lofti_file_locks_keep(), 2);
    LOFT_CHECK_LE_UINT(loft_test_descriptors(), before + 3);
    const pid_t child = start_child(take_other_byte, &first);
    lofti_file second = open_again();
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_EXCLUSIVE, 0), -EAGAIN); /* still held */
    LOFT_CHECK_EQ_INT(lofti_file_lock(&second, LOFTI_LOCK_SHARED, 1), -EAGAIN);    /* the child's */
    LOFT_CHECK_EQ_INT(lofti_file_close(&second), 0);
    end_child(child);
    LOFT_CHECK_EQ_INT(lofti_file_close(&first), 0);
    LOFT_CHECK_EQ_UINT(loft_test_descriptors(), before);
}
