/*
 * launch.c - runs one program once, its memory from one allocator, and tells what that took.
 *
 *   launch PRELOAD COMMAND...      PRELOAD: a library for LD_PRELOAD, or "" for none
 *
 * Prints to descriptor 3: seconds, processor seconds, peak memory in KiB, exit status. A program of its own, and
 * small: the system counts in a new program's peak what its parent held when it forked, so measured from an
 * interpreter every peak below the interpreter's would be the interpreter's. Peak and processor time are those of
 * the command and all that it waited for: the peak of the largest, the sum of their times.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    int status = 0;
    struct rusage usage;
    if (argc < 3) {
        return 2;
    }
    const double begin = now();
    const pid_t child = fork();
    if (child == 0) {
        if (argv[1][0] != '\0') {
            (void)setenv("LD_PRELOAD", argv[1], 1);
        }
        (void)close(3);
        (void)execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &usage) != child) {
        perror("launch");
        return 1;
    }
    const double took = now() - begin;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    (void)dprintf(3, "%.7f %.6f %ld %d\n", took, seconds(usage.ru_utime) + seconds(usage.ru_stime),
                  usage.ru_maxrss, code);
    return 0;
}
