/*
 * harness.c - series, worker processes, progress.
 */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void harness_series_add(harness_series *series, double value)
{
    if (series->count < SERIES_MAX) {
        series->value[series->count++] = value;
    }
}

static int compare_values(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two values around it. */
static double quantile(const double *sorted, size_t count, double part)
{
    const double at = part * (double)(count - 1);
    const size_t below = (size_t)at;
    const size_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (sorted[above] - sorted[below]) * (at - (double)below);
}

harness_summary harness_series_summary(const harness_series *series)
{
    harness_summary summary = {0};
    double sorted[SERIES_MAX];
    const size_t count = series->count;
    if (count == 0) {
        return summary;
    }
    memcpy(sorted, series->value, count * sizeof sorted[0]);
    qsort(sorted, count, sizeof sorted[0], compare_values);
    summary.median = quantile(sorted, count, 0.5);
    summary.min = sorted[0];
    summary.low = quantile(sorted, count, 0.25);
    summary.max = sorted[count - 1];
    if (summary.median > 0) {
        const double quartiles = quantile(sorted, count, 0.75) - summary.low;
        summary.noise = quartiles / 2 / summary.median;
    }
    return summary;
}

/* In the child, between fork and exec. */
static _Noreturn void become_worker(char *const argv[], const char *preload, int in, int out)
{
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0 &&
        (preload == NULL || setenv("LD_PRELOAD", preload, 1) == 0)) {
        (void)execv(argv[0], argv);
    }
    _exit(127);
}

bool harness_worker_start(harness_worker *worker, char *const argv[], const char *preload)
{
    int request[2], answer[2];
    *worker = (harness_worker){0, -1, -1};
    (void)signal(SIGPIPE, SIG_IGN); /* a dead worker is told by write */
    if (pipe2(request, O_CLOEXEC) != 0) {
        return false;
    }
    if (pipe2(answer, O_CLOEXEC) != 0) {
        (void)close(request[0]);
        (void)close(request[1]);
        return false;
    }
    worker->pid = fork();
    if (worker->pid == 0) {
        become_worker(argv, preload, request[0], answer[1]);
    }
    (void)close(request[0]);
    (void)close(answer[1]);
    worker->to = request[1];
    worker->from = answer[0];
    if (worker->pid < 0) {
        harness_worker_end(worker);
        return false;
    }
    return true;
}

bool harness_worker_ask(const harness_worker *worker, char request, void *answer, size_t bytes)
{
    if (write(worker->to, &request, 1) != 1) {
        return false;
    }
    for (size_t have = 0; have < bytes;) {
        const ssize_t got = read(worker->from, (char *)answer + have, bytes - have);
        if (got == 0 || (got < 0 && errno != EINTR)) {
            return false;
        }
        have += got > 0 ? (size_t)got : 0;
    }
    return true;
}

void harness_worker_end(harness_worker *worker)
{
    if (worker->to >= 0) {
        (void)close(worker->to); /* it ends when its input does */
        (void)close(worker->from);
    }
    if (worker->pid > 0) {
        while (waitpid(worker->pid, NULL, 0) < 0 && errno == EINTR) {}
    }
    *worker = (harness_worker){0, -1, -1};
}

double harness_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void harness_progress(const char *format, ...)
{
    if (isatty(STDERR_FILENO) == 0) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    (void)fputc('\r', stderr);
    (void)vfprintf(stderr, format, arguments);
    (void)fputs("\033[K", stderr);
    (void)fflush(stderr);
    va_end(arguments);
}
