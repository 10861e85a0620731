/* The system's table of file operations, where names are concerned: unnamed files, renaming,
 * folders and their flushes. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/file.h"
#include "support/test.h"

static const lofti_file_ops *ops(void) { return lofti_file_ops_system(); }

/* An unnamed file in the folder of `path` that holds "content". */
static lofti_file make_unnamed(const char *path)
{
    lofti_file file;
    const int rc = lofti_file_open(path, LOFTI_OPEN_WRITE | LOFTI_OPEN_UNNAMED, 0600, &file);
    if (rc == -EOPNOTSUPP) {
        LOFT_SKIP("the file system of %s has no unnamed files", loft_test_folder());
    }
    LOFT_CHECK_EQ_INT(rc, 0);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, "content", 7, 0), 0);
    return file;
}

static void check_content(const char *path)
{
    lofti_file file;
    char back[7];
    LOFT_CHECK_EQ_INT(lofti_file_open(path, LOFTI_OPEN_NOFOLLOW, 0, &file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_read(&file, back, sizeof back, 0), 0);
    LOFT_CHECK_EQ_MEM(back, "content", sizeof back);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_names, an_unnamed_file_appears_whole_when_it_is_linked)
{
    const char *path = loft_test_tmp_path("name");
    lofti_file file = make_unnamed(path);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
    lofti_file_info info;
    LOFT_CHECK_EQ_INT(lofti_file_info_get(&file, &info), 0);
    LOFT_CHECK_EQ_UINT(info.mode, 0600);
    LOFT_CHECK_EQ_UINT(info.type, LOFTI_TYPE_REGULAR);
    LOFT_CHECK_EQ_INT(lofti_file_link(&file, NULL, path), 0);
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(ops(), path), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 1);
    check_content(path);
}

LOFT_TEST(os_names, an_unnamed_file_that_is_closed_is_gone)
{
    lofti_file file = make_unnamed(loft_test_tmp_path("name"));
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
}

LOFT_TEST(os_names, linking_never_takes_a_name_away)
{
    const char *path = loft_test_tmp_path("name");
    lofti_file first = make_unnamed(path);
    LOFT_CHECK_EQ_INT(lofti_file_link(&first, NULL, path), 0);
    lofti_file second = make_unnamed(path);
    LOFT_CHECK_EQ_INT(lofti_file_write(&second, "another", 7, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_file_link(&second, NULL, path), -EEXIST);
    check_content(path);
    LOFT_CHECK_SYS(symlink("nowhere", loft_test_tmp_path("link")));
    LOFT_CHECK_EQ_INT(lofti_file_link(&second, NULL, loft_test_tmp_path("link")), -EEXIST);
    LOFT_CHECK_EQ_INT(lofti_file_link(&second, NULL, loft_test_tmp_path("no/folder")), -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_close(&second), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&first), 0);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 2);
}

/* Whether the system has unnamed files, which a file system may still not have. */
static bool unnamed_are_known(void)
{
    lofti_file file;
    return ops()->open(ops(), "", LOFTI_OPEN_WRITE | LOFTI_OPEN_UNNAMED, 0600, &file.handle) !=
           -EOPNOTSUPP;
}

LOFT_TEST(os_names, a_temporary_name_leads_to_another)
{
    const char *from = loft_test_tmp_path("temporary");
    const char *path = loft_test_tmp_path("link");
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(from,
                                      LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE | LOFTI_OPEN_EXCLUSIVE,
                                      0600, &file),
                      0);
    LOFT_CHECK_EQ_INT(lofti_file_link(&file, from, path), 0);
    LOFT_CHECK_EQ_INT(lofti_file_link(&file, from, path), -EEXIST); /* it takes no name away */
    LOFT_CHECK_EQ_INT(lofti_file_link(&file, from, loft_test_tmp_path("no/folder")), -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_unlink(ops(), from), 0);
    lofti_file again;
    lofti_file_info info;
    lofti_file_info other;
    LOFT_CHECK_EQ_INT(lofti_file_open(path, LOFTI_OPEN_READ, 0, &again), 0);
    LOFT_CHECK_EQ_INT(lofti_file_info_get(&file, &info), 0);
    LOFT_CHECK_EQ_INT(lofti_file_info_get(&again, &other), 0);
    LOFT_CHECK_EQ_UINT(info.inode, other.inode);
    LOFT_CHECK_EQ_INT(lofti_file_close(&again), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_names, unnamed_files_are_refused_where_they_cannot_be)
{
    const unsigned before = loft_test_descriptors();
    const unsigned flags = LOFTI_OPEN_WRITE | LOFTI_OPEN_UNNAMED;
    lofti_file file;
    const int no_folder = unnamed_are_known() ? -ENOENT : -EOPNOTSUPP;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("no/folder"), flags, 0600, &file),
                      no_folder);
    LOFT_CHECK_EQ_INT(lofti_file_open("", flags, 0600, &file), no_folder);
    LOFT_CHECK_EQ_INT(lofti_file_open("/proc/name", flags, 0600, &file), -EOPNOTSUPP);
    LOFT_CHECK_EQ_UINT(loft_test_descriptors(), before);
}

/* The folder of a path, by what lies in which folder afterwards. */
LOFT_TEST(os_names, the_folder_of_a_path_is_found_however_it_is_written)
{
    LOFT_CHECK_SYS(mkdir(loft_test_tmp_path("inner"), 0700));
    LOFT_CHECK_SYS(chdir(loft_test_folder()));
    static const char *const paths[] = {"plain", "./dot", "inner/name", "inner//twice",
                                        "inner/slash//"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        lofti_file file = make_unnamed(paths[i]);
        struct stat folder;
        struct stat status;
        LOFT_CHECK_SYS(stat(loft_test_folder(), &folder));
        LOFT_CHECK_SYS(fstat((int)file.handle, &status));
        LOFT_CHECK_EQ_UINT(status.st_dev, folder.st_dev);
        LOFT_CHECK_EQ_INT(lofti_file_sync_folder(ops(), paths[i]), 0);
        if (i < 4) {
            LOFT_CHECK_EQ_INT(lofti_file_link(&file, NULL, paths[i]), 0);
            check_content(paths[i]);
        }
        LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    }
    LOFT_CHECK_EQ_UINT(loft_test_entries("."), 3);
    LOFT_CHECK_EQ_UINT(loft_test_entries("inner"), 2);
}

LOFT_TEST(os_names, folder_flushes_fail_where_there_is_no_folder)
{
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(ops(), ""), -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(ops(), loft_test_tmp_path("no/name")), -ENOENT);
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(loft_test_tmp_path("file"),
                                      LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &file),
                      0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(ops(), loft_test_tmp_path("file/name")), -ENOTDIR);
    static char endless[6000];
    memset(endless, 'a', sizeof endless - 1);
    endless[5000] = '/';
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(ops(), endless), -ENAMETOOLONG);
    LOFT_CHECK_EQ_INT(lofti_file_open(endless, LOFTI_OPEN_WRITE | LOFTI_OPEN_UNNAMED, 0600, &file),
                      unnamed_are_known() ? -ENAMETOOLONG : -EOPNOTSUPP);
}

/* /proc flushes no folders and says EINVAL; the root is a folder without a name of its own. */
LOFT_TEST(os_names, a_file_system_without_folder_flushes_is_no_error)
{
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(ops(), "/proc/name"), 0);
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(ops(), "/name"), 0);
    LOFT_CHECK_EQ_INT(lofti_file_sync_folder(ops(), "/"), 0);
}

LOFT_TEST(os_names, rename_replaces_and_unlink_removes)
{
    const char *from = loft_test_tmp_path("from");
    const char *to = loft_test_tmp_path("to");
    lofti_file file = make_unnamed(from);
    LOFT_CHECK_EQ_INT(lofti_file_link(&file, NULL, from), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_open(to, LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_rename(ops(), from, to), 0);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 1);
    check_content(to);
    LOFT_CHECK_EQ_INT(lofti_file_rename(ops(), from, to), -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_unlink(ops(), from), -ENOENT);
    LOFT_CHECK_EQ_INT(lofti_file_unlink(ops(), to), 0);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
}
