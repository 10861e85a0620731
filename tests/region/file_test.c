/* loft_create, loft_open and loft_close with their flags, and what they leave alone. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loft/region.h"
#include "region/residue.h"
#include "support/held.h"
#include "support/test.h"

static struct stat status_of(const char *path)
{
    struct stat status;
    LOFT_CHECK_SYS(stat(path, &status));
    return status;
}

static const char *make_file(const char *name, const char *text)
{
    const char *path = loft_test_tmp_path(name);
    char *file = loft_create_from(path, text, strlen(text), 0);
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_OK(loft_close(file));
    return path;
}

static void check_content(const char *path, const char *want)
{
    size_t bytes = 0;
    char *file = loft_open(path, LOFT_READ, 0, 0, &bytes);
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_EQ_UINT(bytes, strlen(want));
    LOFT_CHECK_EQ_MEM(file, want, bytes);
    LOFT_CHECK_OK(loft_close(file));
}

LOFT_TEST(region_file, comes_back_as_it_was_closed)
{
    const char *path = loft_test_tmp_path("data");
    char *bytes = loft_create(path, 4096, 0);
    LOFT_CHECK_NOT_NULL(bytes);
    bytes[7] = 'x';
    LOFT_CHECK_OK(loft_close(bytes));
    bytes = loft_open(path, LOFT_WRITE, 0, 0, NULL);
    LOFT_CHECK_EQ_INT(bytes[7], 'x');
    bytes[8] = 'y';
    LOFT_CHECK_OK(loft_close(bytes));
    bytes = loft_open(path, LOFT_READ, 7, 2, NULL);
    LOFT_CHECK_EQ_MEM(bytes, "xy", 2);
    LOFT_CHECK_OK(loft_close(bytes));
}

LOFT_TEST(region_file, mode_is_0644_without_the_umask)
{
    loft_test_needs_posix("umask");
    const mode_t masks[] = {022, 077, 0};
    for (size_t i = 0; i < sizeof masks / sizeof masks[0]; i++) {
        const char *path = loft_test_tmp_path("f");
        for (unsigned flags = 0; flags <= LOFT_REPLACE; flags += LOFT_REPLACE) {
            (void)umask(masks[i]);
            LOFT_CHECK_OK(loft_close(loft_create(path, 10, flags)));
            (void)umask(022);
            LOFT_CHECK_EQ_UINT(status_of(path).st_mode & 07777, 0644u & ~masks[i]);
            LOFT_CHECK_SYS(unlink(path));
        }
    }
}

LOFT_TEST(region_file, create_from_writes_the_data)
{
    const char *path = make_file("f", "one");
    check_content(path, "one");
    char *file = loft_create_from(path, "three", 5, LOFT_TRUNCATE);
    LOFT_CHECK_OK(loft_close(file));
    check_content(path, "three");
    file = loft_create_from(path, "TH", 2, LOFT_KEEP);
    LOFT_CHECK_OK(loft_close(file));
    check_content(path, "THree");
    file = loft_create_from(path, "replaced", 8, LOFT_REPLACE);
    LOFT_CHECK_OK(loft_close(file));
    check_content(path, "replaced");
    CHECK_NO_REGION(loft_create_from(path, NULL, 1, LOFT_TRUNCATE), LOFT_EINVAL);
    check_content(path, "replaced");
    file = loft_create_from(path, NULL, 0, LOFT_TRUNCATE);
    LOFT_CHECK_OK(loft_close(file));
    check_content(path, "");
}

LOFT_TEST(region_file, keep_grows_what_is_too_short_and_creates_what_is_missing)
{
    const char *path = make_file("f", "short");
    char *file = loft_create(path, 10000, LOFT_KEEP);
    LOFT_CHECK_EQ_MEM(file, "short\0\0", 7);
    LOFT_CHECK_EQ_UINT(status_of(path).st_size, 10000);
    LOFT_CHECK_OK(loft_close(file));
    LOFT_CHECK_OK(loft_close(loft_create(loft_test_tmp_path("g"), 100, LOFT_KEEP)));
    LOFT_CHECK_EQ_UINT(status_of(loft_test_tmp_path("g")).st_size, 100);
    LOFT_CHECK_OK(loft_close(loft_create(loft_test_tmp_path("h"), 100, LOFT_TRUNCATE)));
    LOFT_CHECK_EQ_UINT(status_of(loft_test_tmp_path("h")).st_size, 100);
}

LOFT_TEST(region_file, truncate_to_a_larger_size_leaves_no_old_byte)
{
    const char *path = make_file("f", "old content");
    char *file = loft_create(path, 20000, LOFT_TRUNCATE | LOFT_POPULATE);
    for (int i = 0; i < 20000; i++) {
        LOFT_CHECK_EQ_INT(file[i], 0);
    }
    LOFT_CHECK_OK(loft_close(file));
}

LOFT_TEST(region_file, replace_is_another_file_and_leaves_the_old_one_to_who_has_it)
{
    const char *path = make_file("f", "old");
    const ino_t old_inode = status_of(path).st_ino;
    char *old = loft_open(path, LOFT_READ, 0, 0, NULL);
    for (unsigned also = 0; also <= LOFT_ASYNC; also += LOFT_ASYNC) {
        char *file = loft_create_from(path, "new", 3, LOFT_REPLACE | also);
        if (file == NULL && loft_last_code() == LOFT_EACCES) {
            loft_test_needs_posix("way to replace a file that is mapped");
        }
        LOFT_CHECK_NOT_NULL(file);
        LOFT_CHECK_EQ_MEM(old, "old", 3);
        LOFT_CHECK_NE_INT(status_of(path).st_ino, old_inode);
        LOFT_CHECK_OK(loft_close(file));
        check_content(path, "new");
    }
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 1);
    LOFT_CHECK_OK(loft_close(old));
}

LOFT_TEST(region_file, only_regular_files)
{
    const char *folder = loft_test_folder();
    const char *fifo = loft_test_tmp_path("fifo");
    const char *link = loft_test_tmp_path("link");
    const char *target = make_file("target", "target");
    LOFT_CHECK_SYS(mkfifo(fifo, 0600));
    LOFT_CHECK_SYS(symlink(target, link));
    const residue before = residue_begin();
    const char *others[] = {folder, fifo, "/dev/null", "/dev/zero"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        CHECK_NO_REGION(loft_open(others[i], LOFT_READ, 0, 0, NULL), LOFT_EINVAL);
        LOFT_CHECK_CONTAINS(loft_last_error(), others[i]);
        LOFT_CHECK_NULL(loft_open(others[i], LOFT_WRITE, 0, 0, NULL));
        LOFT_CHECK_NULL(loft_create(others[i], 10, LOFT_KEEP));
        LOFT_CHECK_NULL(loft_create(others[i], 10, LOFT_TRUNCATE));
        CHECK_NO_REGION(loft_create(others[i], 10, 0), LOFT_EEXIST);
    }
    LOFT_CHECK_NULL(loft_create(folder, 10, LOFT_REPLACE));
    /* A symbolic link is followed when reading, never when creating. */
    CHECK_NO_REGION(loft_create(link, 10, LOFT_KEEP), LOFT_EINVAL);
    LOFT_CHECK_CONTAINS(loft_last_error(), "symbolic link");
    CHECK_NO_REGION(loft_create(link, 10, LOFT_TRUNCATE), LOFT_EINVAL);
    check_content(link, "target");
    LOFT_CHECK_OK(loft_close(loft_create_from(link, "new", 3, LOFT_REPLACE)));
    check_content(link, "new");
    check_content(target, "target");
    residue_check_same(&before);
}

LOFT_TEST(region_file, no_permission_is_eacces)
{
    const char *path = make_file("f", "secret");
    LOFT_CHECK_SYS(chmod(path, 0400));
    LOFT_CHECK_SYS(chmod(loft_test_folder(), 0755));
    if (geteuid() == 0 && (setegid(65534) != 0 || seteuid(65534) != 0)) {
        LOFT_SKIP("root may read everything, and cannot become nobody here");
    }
    const unsigned before = held_descriptors();
    char *file = loft_open(path, LOFT_WRITE, 0, 0, NULL);
    const int code = loft_last_code();
    (void)seteuid(0); /* to print, and to remove the folder */
    (void)setegid(0);
    LOFT_CHECK_NULL(file);
    LOFT_CHECK_ERR(code, LOFT_EACCES);
    LOFT_CHECK_EQ_UINT(held_descriptors(), before);
}

LOFT_TEST(region_file, handle_is_mapped_and_not_kept)
{
    const char *path = make_file("f", "by handle");
    const residue before = residue_begin();
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    size_t mapped = 0;
    char *file = loft_open_handle(loft_test_handle(fd), LOFT_WRITE | LOFT_GROW, 3, 10, &mapped);
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_EQ_UINT(mapped, 10);
    LOFT_CHECK_SYS(close(fd));
    LOFT_CHECK_EQ_MEM(file, "handle\0\0\0\0", 10);
    file[6] = '!';
    loft_region_info info = LOFT_REGION_INFO_INIT;
    LOFT_CHECK_OK(loft_region_query(file, &info));
    LOFT_CHECK_EQ_UINT(info.flags, LOFT_WRITE); /* no descriptor to grow with later */
    CHECK_NO_REGION(loft_resize(file, 20, LOFT_GROW), LOFT_ENOTSUP);
    LOFT_CHECK_OK(loft_close(file));
    file = loft_open(path, LOFT_READ, 0, 0, &mapped);
    LOFT_CHECK_EQ_UINT(mapped, 13);
    LOFT_CHECK_EQ_MEM(file, "by handle!\0\0\0", 13);
    LOFT_CHECK_OK(loft_close(file));
    residue_check_same(&before);
}

LOFT_TEST(region_file, handle_that_is_unfit_is_refused)
{
    const char *path = make_file("f", "text");
    const int reader = open(path, O_RDONLY | O_CLOEXEC);
    const residue before = residue_begin();
    CHECK_NO_REGION(loft_open_handle(-1, LOFT_READ, 0, 0, NULL), LOFT_EINVAL);
    CHECK_NO_REGION(loft_open_handle(9999, LOFT_READ, 0, 0, NULL), LOFT_EINVAL);
    const intptr_t handle = loft_test_handle(reader);
    CHECK_NO_REGION(loft_open_handle(handle, LOFT_WRITE, 0, 0, NULL), LOFT_EACCES);
    CHECK_NO_REGION(loft_open_handle(handle, LOFT_READ, 5, 0, NULL), LOFT_ERANGE);
    CHECK_NO_REGION(loft_open_handle(handle, LOFT_READ | LOFT_LOCK, 0, 0, NULL), LOFT_EINVAL);
    int ends[2];
    LOFT_CHECK_SYS(pipe(ends));
    CHECK_NO_REGION(loft_open_handle(ends[0], LOFT_READ, 0, 0, NULL), LOFT_EINVAL);
    LOFT_CHECK_SYS(close(ends[0]));
    LOFT_CHECK_SYS(close(ends[1]));
    residue_check_same(&before);
    LOFT_CHECK_SYS(fcntl(reader, F_GETFD)); /* still the caller's */
}

LOFT_TEST(region_file, lock_keeps_others_off_while_the_region_is_open)
{
    const char *path = make_file("f", "locked");
    char *writer = loft_open(path, LOFT_WRITE | LOFT_LOCK, 0, 0, NULL);
    LOFT_CHECK_NOT_NULL(writer);
    const residue before = residue_begin();
    CHECK_NO_REGION(loft_open(path, LOFT_WRITE | LOFT_LOCK, 0, 0, NULL), LOFT_EBUSY);
    LOFT_CHECK_CONTAINS(loft_last_error(), "locked by another");
    CHECK_NO_REGION(loft_open(path, LOFT_READ | LOFT_LOCK, 0, 0, NULL), LOFT_EBUSY);
    CHECK_NO_REGION(loft_create(path, 10, LOFT_TRUNCATE | LOFT_LOCK), LOFT_EBUSY);
    residue_check_same(&before);
    check_content(path, "locked"); /* advisory: who does not ask is not told */
    LOFT_CHECK_OK(loft_close(writer));
    char *one = loft_open(path, LOFT_READ | LOFT_LOCK, 0, 0, NULL);
    char *two = loft_open(path, LOFT_COPY | LOFT_LOCK, 0, 0, NULL);
    LOFT_CHECK_NOT_NULL(one);
    LOFT_CHECK_NOT_NULL(two);
    CHECK_NO_REGION(loft_open(path, LOFT_WRITE | LOFT_LOCK, 0, 0, NULL), LOFT_EBUSY);
    LOFT_CHECK_OK(loft_close(one));
    LOFT_CHECK_OK(loft_close(two));
    writer = loft_create(path, 10, LOFT_KEEP | LOFT_LOCK);
    LOFT_CHECK_NOT_NULL(writer);
    LOFT_CHECK_OK(loft_close(writer));
}

LOFT_TEST(region_file, preallocate_reserves_the_blocks)
{
    const char *path = loft_test_tmp_path("f");
    char *file = loft_create(path, 1 << 20, LOFT_PREALLOCATE);
    if (file == NULL && loft_last_code() == LOFT_ENOTSUP) {
        LOFT_SKIP("the file system cannot reserve blocks");
    }
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_GE_UINT((uint64_t)status_of(path).st_blocks * 512, 1 << 20);
    LOFT_CHECK_OK(loft_close(file));
    LOFT_CHECK_OK(loft_close(loft_create(path, 1 << 20, LOFT_TRUNCATE)));
    LOFT_CHECK_EQ_UINT(status_of(path).st_blocks, 0);
    file = loft_open(path, LOFT_WRITE | LOFT_PREALLOCATE, 1 << 19, 0, NULL);
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_GE_UINT((uint64_t)status_of(path).st_blocks * 512, 1 << 19);
    LOFT_CHECK_EQ_UINT(status_of(path).st_size, 1 << 20);
    LOFT_CHECK_OK(loft_close(file));
    file = loft_create(path, 0, LOFT_TRUNCATE | LOFT_PREALLOCATE);
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_OK(loft_close(file));
}

LOFT_TEST(region_file, a_full_disk_is_enospc_at_create)
{
    if (loft_test_on_qemu()) {
        LOFT_SKIP("qemu-user does not pass on MADV_POPULATE_WRITE, which finds the full disk");
    }
    const char *folder = loft_test_tmp_path("disk");
    const char *path = loft_test_tmp_path("disk/f");
    LOFT_CHECK_SYS(mkdir(folder, 0755));
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("loft", folder, "tmpfs", 0, "size=1m") != 0) {
        LOFT_SKIP("a small disk needs root: %s", strerror(errno));
    }
    const residue before = residue_begin();
    CHECK_NO_REGION(loft_create(path, 2 << 20, LOFT_PREALLOCATE), LOFT_ENOSPC);
    char *populated = loft_create(path, 2 << 20, LOFT_POPULATE);
    const bool passes_populate_over = populated != NULL;
    if (passes_populate_over) { /* a system that does not populate files: the hint was passed over */
        LOFT_CHECK_ERR(loft_advise(populated, 0, 0, LOFT_ADVICE_POPULATE), LOFT_EINVAL);
        LOFT_CHECK_OK(loft_close(populated));
        LOFT_CHECK_SYS(unlink(path));
    } else {
        LOFT_CHECK_ERR(loft_last_code(), LOFT_ENOSPC);
    }
    CHECK_NO_REGION(loft_create(path, 2 << 20, LOFT_REPLACE | LOFT_PREALLOCATE), LOFT_ENOSPC);
    char *data = loft_malloc(2 << 20);
    memset(data, 1, 2 << 20);
    CHECK_NO_REGION(loft_create_from(path, data, 2 << 20, 0), LOFT_ENOSPC);
    LOFT_CHECK_ERR(loft_adopt(path, data, 2 << 20, 0), LOFT_ENOSPC);
    LOFT_CHECK_EQ_INT(data[100], 1);
    LOFT_CHECK_OK(loft_free(data));
    LOFT_CHECK_EQ_UINT(loft_test_entries(folder), 0);
    char *file = loft_create(path, 1 << 19, LOFT_PREALLOCATE | LOFT_GROW);
    LOFT_CHECK_NOT_NULL(file);
    CHECK_NO_REGION(loft_resize(file, 2 << 20, LOFT_GROW | LOFT_PREALLOCATE), LOFT_ENOSPC);
    LOFT_CHECK_EQ_UINT(status_of(path).st_size, 1 << 19);
    CHECK_NO_REGION(loft_open(path, LOFT_WRITE | LOFT_GROW | LOFT_PREALLOCATE, 0, 2 << 20, NULL),
                    LOFT_ENOSPC);
    LOFT_CHECK_EQ_UINT(status_of(path).st_size, 1 << 19);
    char *hole = loft_resize(file, 2 << 20, LOFT_GROW);
    LOFT_CHECK_NOT_NULL(hole);
    if (!passes_populate_over) {
        LOFT_CHECK_ERR(loft_advise(hole, 0, 0, LOFT_ADVICE_POPULATE), LOFT_ENOSPC);
    }
    LOFT_CHECK_OK(loft_close(hole));
    LOFT_CHECK_SYS(unlink(path));
    residue_check_same(&before);
    LOFT_CHECK_SYS(umount(folder));
}

LOFT_TEST(region_file, a_limit_on_file_size_is_a_code_and_not_a_signal)
{
    const char *path = loft_test_tmp_path("f");
    const residue before = residue_begin();
    char *data = loft_malloc(1 << 20);
    const struct rlimit limit = {1 << 16, RLIM_INFINITY};
    LOFT_CHECK_SYS(setrlimit(RLIMIT_FSIZE, &limit));
    CHECK_NO_REGION(loft_create(path, 1 << 20, 0), LOFT_ENOSPC);
    CHECK_NO_REGION(loft_create_from(path, data, 1 << 20, 0), LOFT_ENOSPC);
    CHECK_NO_REGION(loft_create(path, 1 << 20, LOFT_REPLACE | LOFT_PREALLOCATE), LOFT_ENOSPC);
    LOFT_CHECK_ERR(loft_adopt(path, data, 1 << 20, 0), LOFT_ENOSPC);
    char *file = loft_create(path, 1 << 15, LOFT_GROW);
    LOFT_CHECK_NOT_NULL(file);
    CHECK_NO_REGION(loft_resize(file, 1 << 20, LOFT_GROW), LOFT_ENOSPC);
    LOFT_CHECK_OK(loft_close(file));
    LOFT_CHECK_EQ_UINT(status_of(path).st_size, 1 << 15);
    LOFT_CHECK_OK(loft_free(data));
    LOFT_CHECK_SYS(unlink(path));
    residue_check_same(&before);
}

LOFT_TEST(region_file, hints_change_nothing_that_is_read)
{
    const unsigned hints[] = {LOFT_RANDOM,
                              LOFT_POPULATE,
                              LOFT_HUGE,
                              LOFT_ASYNC,
                              LOFT_POPULATE | LOFT_HUGE,
                              LOFT_RANDOM | LOFT_ASYNC,
                              LOFT_PREALLOCATE};
    char *data = loft_malloc((size_t)5 << 20);
    for (size_t i = 0; i < (size_t)5 << 20; i++) {
        data[i] = (char)(i * 31 + (i >> 12));
    }
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++) {
        const char *path = loft_test_tmp_path("f");
        char *file = loft_create_from(path, data, (size_t)5 << 20, hints[i]);
        if (file == NULL && hints[i] == LOFT_PREALLOCATE && loft_last_code() == LOFT_ENOTSUP) {
            continue; /* the file system cannot */
        }
        LOFT_CHECK_NOT_NULL(file);
        LOFT_CHECK_EQ_MEM(file, data, (size_t)5 << 20);
        LOFT_CHECK_OK(loft_close(file));
        file = loft_open(path, LOFT_WRITE | hints[i], 0, 0, NULL);
        LOFT_CHECK_NOT_NULL(file);
        LOFT_CHECK_EQ_MEM(file, data, (size_t)5 << 20);
        file[1000000]++;
        LOFT_CHECK_OK(loft_close(file));
        file = loft_open(path, LOFT_COPY | LOFT_NORESERVE, 0, 0, NULL);
        LOFT_CHECK_EQ_INT(file[1000000], (char)(data[1000000] + 1));
        LOFT_CHECK_EQ_MEM(file, data, 1000000);
        file[0]++;
        LOFT_CHECK_OK(loft_close(file));
        LOFT_CHECK_SYS(unlink(path));
    }
    LOFT_CHECK_OK(loft_free(data));
}

LOFT_TEST(region_file, arrays_count_their_items)
{
    const char *path = loft_test_tmp_path("f");
    uint64_t *made = LOFT_CREATE_ARRAY(path, uint64_t, 1000, 0);
    LOFT_CHECK_NOT_NULL(made);
    made[999] = 7;
    LOFT_CHECK_OK(loft_close(made));
    size_t count = 0;
    uint64_t *read = LOFT_OPEN_ARRAY(path, uint64_t, LOFT_READ, &count);
    LOFT_CHECK_EQ_UINT(count, 1000);
    LOFT_CHECK_EQ_UINT(read[999], 7);
    LOFT_CHECK_OK(loft_close(read));
    LOFT_CHECK_SYS(truncate(path, 8 * 3 + 5));
    read = LOFT_OPEN_ARRAY(path, uint64_t, LOFT_READ, &count);
    LOFT_CHECK_EQ_UINT(count, 3);
    LOFT_CHECK_OK(loft_close(read));
    read = LOFT_OPEN_ARRAY(path, uint64_t, LOFT_READ, NULL);
    LOFT_CHECK_OK(loft_close(read));
    CHECK_NO_REGION(loft_open_array(path, LOFT_READ, 0, &count), LOFT_EINVAL);
    CHECK_NO_REGION(LOFT_OPEN_ARRAY(loft_test_tmp_path("g"), int, LOFT_READ, &count), LOFT_ENOENT);
    LOFT_CHECK_EQ_UINT(count, 3);
}

LOFT_TEST(region_file, a_variable_closes_itself_at_the_end_of_its_scope)
{
    const char *path = make_file("f", "text");
    const residue before = residue_begin();
    {
        LOFT_AUTO_CLOSE char *file = loft_open(path, LOFT_WRITE, 0, 0, NULL);
        LOFT_AUTO_CLOSE char *none = loft_open(loft_test_tmp_path("g"), LOFT_READ, 0, 0, NULL);
        LOFT_CHECK_NULL(none);
        file[0] = 'n';
        errno = ERANGE;
    }
    LOFT_CHECK_EQ_INT(errno, ERANGE);
    LOFT_CHECK_EQ_UINT(loft_test_mappings_of(path), 0);
    check_content(path, "next");
    residue_check_same(&before);
}

static void use_in_child(void *address)
{
    char *file = address;
    file[0] = 'C';
    LOFT_CHECK_OK(loft_close(file));
    LOFT_CHECK_ERR(loft_close(file), LOFT_ENOENT);
}

LOFT_TEST(region_file, is_shared_with_a_forked_child_that_closes_its_own)
{
    const char *path = make_file("f", "parent");
    char *file = loft_open(path, LOFT_WRITE | LOFT_GROW, 0, 0, NULL);
    loft_test_child child;
    loft_test_run_child(use_in_child, file, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
    LOFT_CHECK_EQ_MEM(file, "Carent", 6);
    file = loft_resize(file, 7, LOFT_GROW); /* the parent's descriptor is still open */
    LOFT_CHECK_NOT_NULL(file);
    file[6] = 's';
    LOFT_CHECK_OK(loft_close(file));
    check_content(path, "Carents");
}
