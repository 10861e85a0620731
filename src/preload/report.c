/*
 * preload/report.c - what the environment asks for: figures at the end, and the heap saved as an arena file.
 *
 *   LOFT_MALLOC_STATS=1          one line of figures on standard error when the program ends
 *   LOFT_MALLOC_SNAPSHOT=PATH    the heap, saved when the program ends; %p in PATH is the process's number
 *   LOFT_MALLOC_SIGNAL=NAME      USR1, USR2 or a number: saves it at once, and not at the end
 *
 * Saving is done by a forked child: it has the whole heap as it was at one instant, while the program goes on. A signal
 * only wakes a thread, by a byte through a pipe; that thread forks. A child of the program gets a thread
 * and a pipe of its own.
 */
#include "report.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap.h"

enum { REPORT_LINE_BYTES = 512 };

static bool snapshot_wanted;
static bool stats_wanted;
static int wake_signal; /* 0: none */
static int wake_pipe[2] = {-1, -1};
/* This thread forks to save the heap: that child wants no thread of its own. */
static __thread bool saving __attribute__((tls_model("initial-exec")));

/* One write, so that lines of several processes stay whole. */
static void report_say(const char *format, ...)
{
    char line[REPORT_LINE_BYTES];
    va_list arguments;
    const int head = snprintf(line, sizeof line, "loft-malloc %ld: ", (long)getpid());
    va_start(arguments, format);
    const int body = vsnprintf(line + head, sizeof line - (size_t)head - 1, format, arguments);
    va_end(arguments);
    size_t bytes = (size_t)head + (size_t)body;
    bytes = bytes < sizeof line - 1 ? bytes : sizeof line - 2;
    line[bytes] = '\n';
    const ssize_t written = write(STDERR_FILENO, line, bytes + 1);
    (void)written; /* nobody is left to be told */
}

void lofti_preload_report_stats(void)
{
    if (lofti_preload_arena == NULL) {
        return;
    }
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    if (loft_arena_stats(lofti_preload_arena, &stats) != LOFT_OK) {
        report_say("no figures: %s", loft_last_error());
        return;
    }
    report_say(
        "%llu blocks live, %llu bytes in them; heap of %llu bytes: %llu in slabs, %llu in spans, "
        "%llu free, %llu of metadata; %lu threads",
        (unsigned long long)stats.live_blocks, (unsigned long long)stats.live_bytes,
        (unsigned long long)stats.heap_bytes, (unsigned long long)stats.slab_bytes,
        (unsigned long long)stats.span_bytes, (unsigned long long)stats.free_bytes,
        (unsigned long long)stats.metadata_bytes, (unsigned long)stats.thread_count);
}

/* --- Saving -------------------------------------------------------------------------------------- */

/* PATH with its %p filled in; false: too long. */
static bool snapshot_name(char *out, size_t capacity, long process)
{
    const char *mark = strstr(lofti_preload_path, "%p");
    const int bytes = mark == NULL
                          ? snprintf(out, capacity, "%s", lofti_preload_path)
                          : snprintf(out, capacity, "%.*s%ld%s", (int)(mark - lofti_preload_path),
                                     lofti_preload_path, process, mark + 2);
    return bytes >= 0 && (size_t)bytes < capacity;
}

static void snapshot_write(long process)
{
    char path[LOFTI_PRELOAD_PATH_BYTES];
    if (!snapshot_name(path, sizeof path, process)) {
        report_say("LOFT_MALLOC_SNAPSHOT is longer than a path may be");
        _exit(EXIT_FAILURE);
    }
    if (!lofti_preload_roots_note()) {
        report_say("the saved heap has no roots: every block in it will count as a leak");
    }
    if (loft_arena_snapshot(lofti_preload_arena, path, LOFT_REPLACE, NULL, NULL) != LOFT_OK) {
        report_say("%s", loft_last_error());
        _exit(EXIT_FAILURE);
    }
}

static void snapshot_save(void)
{
    const long process = (long)getpid();
    saving = true;
    const pid_t child = fork();
    saving = false;
    if (child == 0) {
        snapshot_write(process);
        _exit(EXIT_SUCCESS);
    }
    if (child < 0) {
        report_say("the heap is not saved: fork: %s", strerror(errno));
        return;
    }
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) {}
}

/* --- The signal ---------------------------------------------------------------------------------- */

static void wake_handler(int number)
{
    (void)number;
    const int saved = errno;
    const ssize_t written = write(wake_pipe[1], "", 1);
    (void)written; /* a full pipe: it is awake already */
    errno = saved;
}

static void *wake_run(void *unused)
{
    (void)unused;
    char byte;
    ssize_t got;
    while ((got = read(wake_pipe[0], &byte, 1)) == 1 || (got < 0 && errno == EINTR)) {
        if (got == 1) {
            snapshot_save();
        }
    }
    return NULL;
}

/* Signals are for the program's own threads. */
static void wake_start(void)
{
    sigset_t all;
    sigset_t before;
    pthread_t thread;
    if (wake_signal == 0) {
        return;
    }
    int error = pipe2(wake_pipe, O_CLOEXEC) == 0 ? 0 : errno;
    if (error == 0) {
        (void)fcntl(wake_pipe[1], F_SETFL, O_NONBLOCK);
        (void)sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        error = pthread_create(&thread, NULL, wake_run, NULL);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (error != 0) {
        report_say("no thread for LOFT_MALLOC_SIGNAL: %s", strerror(error));
        return;
    }
    (void)pthread_detach(thread);
    const struct sigaction action = {.sa_handler = wake_handler, .sa_flags = SA_RESTART};
    (void)sigaction(wake_signal, &action, NULL);
}

static void wake_forked(void)
{
    if (wake_pipe[0] >= 0 && !saving) {
        (void)close(wake_pipe[0]);
        (void)close(wake_pipe[1]);
        wake_pipe[0] = wake_pipe[1] = -1;
        wake_start();
    }
}

/* 0: none is named. */
static int wake_number(const char *name)
{
    if (strcmp(name, "USR1") == 0) {
        return SIGUSR1;
    }
    if (strcmp(name, "USR2") == 0) {
        return SIGUSR2;
    }
    char *end = NULL;
    const long number = strtol(name, &end, 10);
    return *name != '\0' && *end == '\0' && number > 0 && number <= SIGRTMAX ? (int)number : 0;
}

/* --- Begin and end ----------------------------------------------------------------------------------- */

static __attribute__((constructor)) void report_begin(void)
{
    const char *stats = getenv("LOFT_MALLOC_STATS");
    const char *name = getenv("LOFT_MALLOC_SIGNAL");
    stats_wanted = stats != NULL && strcmp(stats, "1") == 0;
    const char *path = getenv("LOFT_MALLOC_SNAPSHOT");
    if (path == NULL || *path == '\0') {
        return;
    }
    if (strlen(path) >= sizeof lofti_preload_path) {
        report_say("LOFT_MALLOC_SNAPSHOT is longer than a path may be");
        return;
    }
    memcpy(lofti_preload_path, path, strlen(path) + 1);
    snapshot_wanted = true;
    if (name == NULL) {
        return;
    }
    wake_signal = wake_number(name);
    if (wake_signal == 0) {
        report_say("LOFT_MALLOC_SIGNAL=%s: USR1, USR2 or the number of a signal", name);
        return;
    }
    /* The arena first, and its fork handlers with it: in a child they run in the order in which they were
     * registered, and only after the heap's may a thread be made, which allocates. */
    (void)lofti_preload_start();
    (void)pthread_atfork(NULL, NULL, wake_forked);
    wake_start();
}

static __attribute__((destructor)) void report_end(void)
{
    if (lofti_preload_arena == NULL) {
        return;
    }
    if (snapshot_wanted && wake_signal == 0) {
        snapshot_save();
    }
    if (stats_wanted) {
        lofti_preload_report_stats();
    }
}
