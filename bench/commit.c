/*
 * commit.c - durable commits: loft beside stores that survive a crash, and beside the least that any could do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit_run.h"

enum { ROUNDS = 25, ROUNDS_QUICK = 7 };

const char *const commit_trackers[COMMIT_TRACKERS] = {"wp_async", "private"};

static harness_table updates = {
    .title = "Durable commits",
    .note =
        "K random 64-byte updates in a 256 MB table, then made durable, in one step. In turns of four rounds each, the "
        "first not counted. A competitor that is slow makes fewer rounds. Times are medians; bytes are those that the block device was asked to "
        "write, the lower quartile of the rounds, as other programs write there, too.",
    .plot_x = "K, updates in a commit",
    .plot_y = "",
};
static harness_table pages = {
    .title = "Commits that change little",
    .note =
        "Microseconds of a commit in a heap of large blocks, filled, closed and opened again. The floor "
        "is 4 KiB overwritten in a file and fdatasync. \"Just read\" is the dearest of 24 commits after all was "
        "read, \"all read\" those that follow.",
    .plot_x = "MiB of the heap",
};
static harness_table rollback = {
    .title = "Rollback",
    .note =
        "K pages changed, then rolled back; and K pages changed, then committed, in turns. The stores are not "
        "part of the figure.",
    .plot_x = "K, pages changed",
};
static harness_table bulk = {
    .title = "Bulk load",
    .note =
        "A new arena is filled with one large block and committed once; the floor writes the same bytes to a new "
        "file and flushes it. Making the bytes is part of both figures.",
};

char *commit_path(const char *folder, const char *name)
{
    const size_t bytes = strlen(folder) + strlen(name) + 40;
    char *path = malloc(bytes);
    (void)snprintf(path, bytes, "%s/bench-%ld-%s", folder, (long)getpid(), name);
    return path;
}

bool commit_fail(const char *name, const char *what, const char *reason)
{
    harness_progress("%s", "");
    (void)fprintf(stderr, "commit: %s: %s: %s\n", name, what,
                  reason != NULL ? reason : strerror(errno));
    return false;
}

int commit_filled_file(const char *path, uint64_t bytes)
{
    enum { BUFFER_BYTES = 1 << 20 };
    char *buffer = malloc(BUFFER_BYTES);
    memset(buffer, 0x5a, BUFFER_BYTES);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0;
    for (uint64_t at = 0; at < bytes && good; at += BUFFER_BYTES) {
        const size_t part = bytes - at < BUFFER_BYTES ? (size_t)(bytes - at) : BUFFER_BYTES;
        good = pwrite(fd, buffer, part, (off_t)at) == (ssize_t)part;
    }
    good = good && fsync(fd) == 0;
    if (!good && fd >= 0) {
        (void)close(fd);
        (void)unlink(path);
        fd = -1;
    }
    free(buffer);
    return fd;
}

loft_arena *commit_open_arena(const char *path, unsigned flags, const char *tracker,
                              harness_column *column)
{
    loft_arena *arena = NULL;
    (void)setenv("LOFT_TRACKER", tracker, 1);
    if (loft_arena_open(path, flags, NULL, &arena) != 0) {
        (void)snprintf(column->absent, sizeof column->absent, "%.190s", loft_last_error());
    }
    (void)unsetenv("LOFT_TRACKER");
    return arena;
}

void commit_die(const char *what)
{
    (void)fprintf(stderr, "commit: %s: %s\n", what, loft_last_error());
    exit(1);
}

int main(int argc, char **argv)
{
    const harness_options options = harness_options_read(
        argc, argv, ROUNDS, ROUNDS_QUICK,
        "usage: commit [--quick] [--rounds N] [--json FILE] [--directory DIR]\n");
    harness_machine machine;
    harness_machine_find(&machine);
    const harness_table *const tables[] = {&updates, &pages, &rollback, &bulk};
    commit_measure_updates(&updates, &options);
    commit_measure_pages(&pages, &options);
    commit_measure_rollback(&rollback, &options);
    commit_measure_bulk(&bulk, &options);
    return harness_conclude("commit", &options, &machine, tables, 4);
}
