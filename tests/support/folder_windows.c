/* Temporary folders on Windows; see folder.h. Paths are UTF-8 here too, and end in what the test names. */
#include "support/folder.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

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
    fprintf(stderr, "tests: %s %s: error %lu\n", what, path, GetLastError());
    exit(LOFT_TEST_EXIT_FAILED);
}

static void widen(const char *path, wchar_t *out)
{
    if (MultiByteToWideChar(CP_UTF8, 0, path, -1, out, MAX_PATH) == 0)
        die("cannot name", path);
}

static void remove_tree(const wchar_t *path)
{
    SetFileAttributesW(path, FILE_ATTRIBUTE_NORMAL);
    if (DeleteFileW(path))
        return;
    wchar_t below[2 * MAX_PATH];
    WIN32_FIND_DATAW entry;
    _snwprintf(below, 2 * MAX_PATH, L"%ls\\*", path);
    const HANDLE entries = FindFirstFileW(below, &entry);
    if (entries == INVALID_HANDLE_VALUE)
        return;
    do {
        if (wcscmp(entry.cFileName, L".") != 0 && wcscmp(entry.cFileName, L"..") != 0) {
            _snwprintf(below, 2 * MAX_PATH, L"%ls\\%ls", path, entry.cFileName);
            remove_tree(below);
        }
    } while (FindNextFileW(entries, &entry));
    FindClose(entries);
    if (!RemoveDirectoryW(path))
        fprintf(stderr, "tests: cannot remove a folder: error %lu\n", GetLastError());
}

void loft_test_session_begin(void)
{
    char base[MAX_PATH], path[MAX_PATH];
    if (GetTempPathA(sizeof base, base) == 0)
        die("no folder for temporary files", "");
    snprintf(path, sizeof path, "%sloft-test.%lu-%llx", base, GetCurrentProcessId(),
             (unsigned long long)GetTickCount64());
    if (!CreateDirectoryA(path, NULL))
        die("cannot make", path);
    _putenv_s(SESSION_VARIABLE, path);
}

void loft_test_session_end(void)
{
    const char *session = getenv(SESSION_VARIABLE);
    wchar_t wide[MAX_PATH];
    if (session != NULL) {
        widen(session, wide);
        remove_tree(wide);
    }
}

static void name_folder(const loft_test *test, char *out, size_t bytes)
{
    const char *session = getenv(SESSION_VARIABLE);
    if (session == NULL ||
        snprintf(out, bytes, "%s\\%s.%s", session, test->suite, test->name) >= (int)bytes) {
        fprintf(stderr, "tests: no session folder, or its name is too long\n");
        exit(LOFT_TEST_EXIT_FAILED);
    }
}

const char *loft_test_folder_make(const loft_test *test)
{
    pthread_mutex_lock(&lock);
    if (*folder == '\0') {
        name_folder(test, folder, sizeof folder);
        if (!CreateDirectoryA(folder, NULL) && GetLastError() != ERROR_ALREADY_EXISTS)
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
    snprintf(path->text, bytes, "%s\\%s", parent, name);
    pthread_mutex_lock(&lock);
    path->next = paths;
    paths = path;
    pthread_mutex_unlock(&lock);
    return path->text;
}

void loft_test_folder_remove(const loft_test *test)
{
    char path[sizeof folder];
    wchar_t wide[MAX_PATH];
    name_folder(test, path, sizeof path);
    widen(path, wide);
    remove_tree(wide);
}
