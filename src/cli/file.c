/*
 * cli/file.c - arenas that are read, and files that are made.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

int lofti_cli_file_read(const char *path, loft_arena **out)
{
    /* Relocated: nothing here follows pointers but through loft_arena_resolve. */
    return loft_arena_open(path, LOFT_RELOCATE, NULL, out);
}

int lofti_cli_file_use(const char *path)
{
    /* docs/format.md "Opening": a writer holds this byte exclusively. The question takes no lock. */
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    lock.l_start = (off_t)1 << 62;
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) {
        return LOFTI_CLI_FILE_UNKNOWN;
    }
    const int answer = fcntl(file, F_OFD_GETLK, &lock);
    (void)close(file);
    return answer != 0              ? LOFTI_CLI_FILE_UNKNOWN
           : lock.l_type == F_UNLCK ? LOFTI_CLI_FILE_FREE
                                    : LOFTI_CLI_FILE_WRITER;
}

/* Whether the file at `path` begins as arenas do. */
static bool file_is_arena(const char *path)
{
    static const char magic[8] = {'l', 'o', 'f', 't', '\r', '\n', 0x1a, '\n'};
    char first[sizeof magic] = {0};
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        return false;
    }
    /* Any slot of three may be the torn one. */
    bool found = false;
    for (off_t slot = 0; slot < 3 && !found; slot++) {
        found = pread(file, first, sizeof first, slot * 4096) == (ssize_t)sizeof first &&
                memcmp(first, magic, sizeof magic) == 0;
    }
    (void)close(file);
    return found;
}

/* Whether `path` may get a new file's name. */
static bool file_may_replace(const char *path)
{
    struct stat info;
    if (lstat(path, &info) != 0) {
        return true; /* it is not there, or making the temporary will say why not */
    }
    if (!S_ISREG(info.st_mode)) {
        (void)lofti_say_error(false, LOFT_EINVAL, "'%s' is no regular file and is not replaced",
                              path);
        return false;
    }
    if (file_is_arena(path)) {
        (void)lofti_say_error(false, LOFT_EEXIST, "'%s' is an arena and is not replaced", path);
        return false;
    }
    return true;
}

/* The draft that would be left if a signal ended the command; NULL: none. */
static char *volatile file_pending;

static void file_interrupted(int number)
{
    if (file_pending != NULL) {
        (void)unlink(file_pending);
    }
    (void)raise(
        number); /* SA_RESETHAND: ends the command as if nobody had looked, when this returns */
}

void lofti_cli_catch(void (*handler)(int number), int flags)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            (void)sigaction(numbers[i], &action, NULL);
        }
    }
}

/* From now on the draft goes away with the command. `temporary` NULL: it is no longer there. */
static void file_watch(char *temporary)
{
    file_pending = temporary;
    if (temporary != NULL) {
        lofti_cli_catch(file_interrupted, (int)SA_RESETHAND);
    }
}

bool lofti_cli_file_begin(lofti_cli_file_draft *draft, const char *path, const char *like)
{
    static const char ending[] = ".XXXXXX";
    *draft = (lofti_cli_file_draft){.path = path};
    if (strcmp(path, "-") == 0) {
        draft->stream = stdout;
        return true;
    }
    if (!file_may_replace(path)) {
        return false;
    }
    const size_t length = strlen(path);
    draft->temporary = malloc(length + sizeof ending);
    int file = -1;
    if (draft->temporary != NULL) {
        memcpy(draft->temporary, path, length);
        memcpy(draft->temporary + length, ending, sizeof ending);
        file_watch(draft->temporary);
        file = mkostemp(draft->temporary, O_CLOEXEC);
    }
    if (file >= 0) {
        struct stat info;
        draft->stream = fdopen(file, "w");
        if (stat(like, &info) == 0) {
            /* Root names are told in it: no more people may read it than the arena. */
            (void)fchmod(file, S_IRUSR | S_IWUSR | (info.st_mode & (S_IRGRP | S_IROTH)));
        }
    }
    if (draft->stream == NULL) {
        (void)lofti_say_error(false, LOFT_EIO, "'%s' cannot be written: %s", path, strerror(errno));
        if (file >= 0) {
            (void)close(file);
            (void)unlink(draft->temporary);
        }
        file_watch(NULL);
        free(draft->temporary);
        return false;
    }
    return true;
}

/* Flushes; false with errno. The reason of a write that failed earlier is lost, so it is asked for by another write. */
static bool file_flush(FILE *stream)
{
    const bool failed = ferror(stream) != 0;
    clearerr(stream);
    errno = 0;
    if (failed) {
        (void)fputc('\n', stream);
    }
    if (fflush(stream) == 0 && !failed) {
        return true;
    }
    errno = errno != 0 ? errno : EIO;
    return false;
}

int lofti_cli_file_end(lofti_cli_file_draft *draft)
{
    if (draft->temporary == NULL) {
        return LOFTI_CLI_FINE; /* main looks at standard output */
    }
    bool fine = file_flush(draft->stream);
    int reason = errno;
    if (fclose(draft->stream) != 0 && fine) {
        fine = false;
        reason = errno;
    }
    if (fine && rename(draft->temporary, draft->path) != 0) {
        fine = false;
        reason = errno;
    }
    if (!fine) {
        (void)lofti_say_error(false, LOFT_EIO, "'%s' cannot be written: %s", draft->path,
                              strerror(reason));
        (void)unlink(draft->temporary);
    }
    file_watch(NULL);
    free(draft->temporary);
    return fine ? LOFTI_CLI_FINE : LOFTI_CLI_FAILED;
}

void lofti_cli_file_drop(lofti_cli_file_draft *draft)
{
    if (draft->temporary != NULL) {
        (void)fclose(draft->stream);
        (void)unlink(draft->temporary);
        file_watch(NULL);
        free(draft->temporary);
    }
}
