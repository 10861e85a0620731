/* Temporary folders; see folder.h. Removal goes by descriptor and never follows a link, and opens
 * up what a test has closed with chmod. */
#include "support/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/test.h"

#define SESSION_VARIABLE "LOFT_TEST_SESSION"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char folder[512];

/* A path handed out, kept so that it lives until the test's process ends. */
struct path {
    struct path *next;
    char text[];
};
static struct path *paths;

static void die(const char *what, const char *path)
{
    fprintf(stderr, "tests: %s %s: %s\n", what, path, strerror(errno));
    exit(LOFT_TEST_EXIT_FAILED);
}

static void remove_tree(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return;
    fchmodat(parent, name, 0700, 0);
    const int descriptor = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *entries = descriptor >= 0 ? fdopendir(descriptor) : NULL;
    if (entries == NULL) {
        if (descriptor >= 0)
            close(descriptor);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(dirfd(entries), entry->d_name);
    closedir(entries);
    if (unlinkat(parent, name, AT_REMOVEDIR) != 0)
        fprintf(stderr, "tests: cannot remove %s: %s\n", name, strerror(errno));
}

void loft_test_session_begin(void)
{
    const char *base = getenv("TMPDIR");
    char path[256];
    const int length = snprintf(path, sizeof path, "%s/loft-test.XXXXXX",
                                base != NULL && *base == '/' ? base : "/tmp");
    if (length >= (int)sizeof path || mkdtemp(path) == NULL)
        die("cannot make", path);
    setenv(SESSION_VARIABLE, path, 1);
}

void loft_test_session_end(void)
{
    const char *session = getenv(SESSION_VARIABLE);
    if (session != NULL)
        remove_tree(AT_FDCWD, session);
}

static void name_folder(const loft_test *test, char *out, size_t bytes)
{
    const char *session = getenv(SESSION_VARIABLE);
    if (session == NULL ||
        snprintf(out, bytes, "%s/%s.%s", session, test->suite, test->name) >= (int)bytes) {
        fprintf(stderr, "tests: no session folder, or its name is too long\n");
        exit(LOFT_TEST_EXIT_FAILED);
    }
}

const char *loft_test_folder_make(const loft_test *test)
{
    pthread_mutex_lock(&lock);
    if (*folder == '\0') {
        name_folder(test, folder, sizeof folder);
        if (mkdir(folder, 0700) != 0 && errno != EEXIST)
            die("cannot make", folder);
    }
    pthread_mutex_unlock(&lock);
    return folder;
}

const char *loft_test_folder_path(const loft_test *test, const char *name)
{
    const char *parent = loft_test_folder_make(test);
    const size_t bytes = strlen(parent) + 1 + strlen(name) + 1;
    struct path *path = malloc(sizeof *path + bytes);
    if (path == NULL)
        die("no memory for", name);
    snprintf(path->text, bytes, "%s/%s", parent, name);
    pthread_mutex_lock(&lock);
    path->next = paths;
    paths = path;
    pthread_mutex_unlock(&lock);
    return path->text;
}

void loft_test_folder_remove(const loft_test *test)
{
    char path[sizeof folder];
    name_folder(test, path, sizeof path);
    remove_tree(AT_FDCWD, path);
}
