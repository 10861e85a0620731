/*
 * reopen_open.c - opening a heap in a file again: time, memory and blocks, by number of blocks and by size.
 *
 * Files are closed cleanly before. Hot: the page cache has all of it. Cold: the cache was told to drop it, so the
 * device is in the figure.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "reopen_run.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)
/* A cold round waits for the device. */
enum { ROUNDS_COLD = 9 };

/* Blocks of 64 bytes; and 64 blocks of equal size, in four places of each of which is stored: a file system with
 * large folios writes 2 MiB for each. */
#define OF_BLOCKS(title, count, full)                                                              \
    {                                                                                              \
        title, count, 64, 64, 0, count, full                                                       \
    }
#define OF_SIZE(title, bytes, full)                                                                \
    {                                                                                              \
        title, 64, (bytes) / 64, (bytes) / 256, 0, (double)(bytes) / (double)MIB, full             \
    }

static const reopen_shape shapes[] = {
    {"1 M x 64 B", 1000000, 64, 64, 100, 0, false},
    {"64 x 64 MiB", 64, 64 * MIB, MIB, 100, 0, false},
    OF_BLOCKS("1,000 blocks", 1000, false),
    OF_BLOCKS("10,000 blocks", 10000, true),
    OF_BLOCKS("100,000 blocks", 100000, false),
    OF_BLOCKS("1 million blocks", 1000000, true),
    OF_BLOCKS("10 million blocks", 10000000, true),
    OF_SIZE("1 MiB", MIB, false),
    OF_SIZE("16 MiB", 16 * MIB, false),
    OF_SIZE("64 MiB", 64 * MIB, true),
    OF_SIZE("256 MiB", 256 * MIB, false),
    OF_SIZE("1 GiB", GIB, true),
    OF_SIZE("4 GiB", 4 * GIB, true),
    OF_SIZE("16 GiB", 16 * GIB, true),
};
enum { BLOCKS_FROM = REOPEN_REFERENCES, SIZES_FROM = 7, SHAPES = sizeof shapes / sizeof shapes[0] };

harness_table reopen_opening = {
    .title = "Reopen",
    .note =
        "Until the first block of a heap in a file is found and read. Hot: the page cache has the file. Cold: it was "
        "told to drop it. The file was closed cleanly. Closing is not in the figure. Memory: what opening adds to the "
        "process; file: the blocks it takes. memkind cannot open its heap again.",
};
harness_table reopen_by_blocks = {
    .title = "Reopen, by number of blocks",
    .note =
        "Microseconds until the first of so many blocks of 64 bytes is found and read; the page cache is hot.",
    .plot_x = "live blocks of 64 B",
};
harness_table reopen_by_size = {
    .title = "Reopen, by size of the heap",
    .note =
        "Microseconds until the first of 64 equal blocks is found and read; each was stored to in four places; the page "
        "cache is hot.",
    .plot_x = "MiB of the heap",
};

void reopen_fill(unsigned char *block, const reopen_shape *shape)
{
    for (uint64_t at = 0; at < shape->block_bytes; at += shape->stride_bytes) {
        block[at] = 1;
    }
}

void reopen_path(char *out, size_t out_bytes, const harness_options *options, size_t number)
{
    (void)snprintf(out, out_bytes, "%s/bench-%ld-reopen-%zu", options->directory, (long)getpid(),
                   number);
}

static size_t peer_count(void) { return (size_t)(__stop_reopen_peers - __start_reopen_peers); }

/* --- making files -------------------------------------------------------------------------------- */

int reopen_make(char **argv)
{
    const reopen_peer *peer = __start_reopen_peers[strtoul(argv[2], NULL, 10)];
    return peer->make(peer, argv[4], &shapes[strtoul(argv[3], NULL, 10)]) ? 0 : 1;
}

static bool make_elsewhere(size_t peer_idx, size_t shape_idx, const char *path)
{
    static char program[] = "/proc/self/exe", option[] = "--make";
    char peer[24], shape[24], file[4096], with[64];
    int status = -1;
    (void)snprintf(peer, sizeof peer, "%zu", peer_idx);
    (void)snprintf(shape, sizeof shape, "%zu", shape_idx);
    (void)snprintf(file, sizeof file, "%s", path);
    (void)snprintf(with, sizeof with, "%s", __start_reopen_peers[peer_idx]->make_with);
    char *const argv[] = {program, option, peer, shape, file, NULL};
    char *const environment[] = {with, NULL};
    const pid_t child = fork();
    if (child == 0) {
        (void)execve(program, argv, environment);
        _exit(127);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool make_file(size_t peer_idx, size_t shape_idx, const char *path)
{
    const reopen_peer *peer = __start_reopen_peers[peer_idx];
    return peer->make_with != NULL ? make_elsewhere(peer_idx, shape_idx, path)
                                   : peer->make(peer, path, &shapes[shape_idx]);
}

/* --- opening ------------------------------------------------------------------------------------- */

typedef struct open_rows {
    harness_row *hot, *cold, *memory, *file; /* but for `hot` NULL if not asked for */
} open_rows;

static uint64_t resident_kib(void) { return harness_kib_of("/proc/self/smaps_rollup", "Rss:"); }

static void drop_cache(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fdatasync(fd); /* what is not written cannot be dropped */
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        (void)close(fd);
    }
}

static void open_once(const reopen_peer *peer, const char *path, harness_column *column,
                      harness_cell *time, harness_cell *memory, bool counts)
{
    unsigned char byte = 0;
    const uint64_t before = memory != NULL ? resident_kib() : 0;
    const double begin = harness_now();
    void *state = peer->open(peer, path, &byte);
    const double us = (harness_now() - begin) * 1e6;
    if (state == NULL || byte != 1) {
        (void)snprintf(column->absent, sizeof column->absent, "it could not be opened again");
    } else {
        harness_cell_add(time, us, counts);
    }
    if (state != NULL && memory != NULL && counts) {
        harness_series_add(&memory->series, (double)(resident_kib() - before));
    }
    if (state != NULL) {
        peer->close(state);
    }
}

static void make_files(const harness_options *options, const harness_table *table,
                       const open_rows *rows, size_t shape_idx)
{
    char path[4096];
    for (size_t i = 0; i < peer_count(); i++) {
        reopen_path(path, sizeof path, options, i);
        harness_progress("reopen: %s makes %s", __start_reopen_peers[i]->name,
                         shapes[shape_idx].title);
        if (table->columns[i].absent[0] == '\0' && !make_file(i, shape_idx, path)) {
            harness_cell *cell = &rows->hot->cells[i];
            (void)snprintf(cell->missing, sizeof cell->missing, "its file could not be made");
        }
    }
    sync();
}

static void open_round(const harness_options *options, harness_table *table, const open_rows *rows,
                       size_t round, bool cold)
{
    char path[4096];
    for (size_t i = 0; i < peer_count(); i++) {
        reopen_path(path, sizeof path, options, i);
        if (table->columns[i].absent[0] != '\0' || rows->hot->cells[i].missing[0] != '\0') {
            continue;
        }
        if (cold) {
            drop_cache(path);
        }
        harness_cell *memory = rows->memory != NULL && !cold ? &rows->memory->cells[i] : NULL;
        open_once(__start_reopen_peers[i], path, &table->columns[i],
                  &(cold ? rows->cold : rows->hot)->cells[i], memory, round > 0);
    }
}

static void remove_files(const harness_options *options, const open_rows *rows)
{
    char path[4096];
    for (size_t i = 0; i < peer_count(); i++) {
        struct stat status;
        reopen_path(path, sizeof path, options, i);
        if (rows->file != NULL && stat(path, &status) == 0) {
            harness_series_add(&rows->file->cells[i].series,
                               (double)status.st_blocks * 512 / (double)MIB);
        }
        (void)unlink(path);
    }
}

static void open_shape(const harness_options *options, harness_table *table, const open_rows *rows,
                       size_t shape_idx)
{
    make_files(options, table, rows, shape_idx);
    for (size_t round = 0; round <= options->rounds; round++) {
        harness_progress("reopen: %s, round %zu of %zu", shapes[shape_idx].title, round,
                         options->rounds);
        open_round(options, table, rows, round, false);
    }
    const size_t cold = options->rounds < ROUNDS_COLD ? options->rounds : ROUNDS_COLD;
    for (size_t round = 1; round <= cold && rows->cold != NULL; round++) {
        open_round(options, table, rows, round, true);
    }
    remove_files(options, rows);
}

static void add_peers(harness_table *table)
{
    for (size_t i = 0; i < peer_count(); i++) {
        const reopen_peer *peer = __start_reopen_peers[i];
        harness_column *column = harness_table_column(table, peer->name, peer->what, peer->kind);
        harness_package_version(peer->package, column->version, sizeof column->version);
        (void)snprintf(column->absent, sizeof column->absent, "%s",
                       peer->absent != NULL ? peer->absent : "");
    }
}

static void measure_curve(const harness_options *options, harness_table *table, size_t first,
                          size_t last)
{
    add_peers(table);
    for (size_t i = first; i < last; i++) {
        if (options->quick && shapes[i].full) {
            continue;
        }
        const open_rows rows = {.hot = harness_table_row(table, "us", "%s", shapes[i].title)};
        rows.hot->plot = "time to reopen";
        rows.hot->x = shapes[i].x;
        open_shape(options, table, &rows, i);
    }
}

void reopen_measure_opening(const harness_options *options)
{
    harness_table *table = &reopen_opening;
    add_peers(table);
    for (size_t i = 0; i < REOPEN_REFERENCES; i++) {
        const open_rows rows = {
            .hot = harness_table_row(table, "us", "%s, hot", shapes[i].title),
            .cold = harness_table_row(table, "us", "%s, cold", shapes[i].title),
            .memory = harness_table_row(table, "KiB", "... memory (RSS)"),
            .file = harness_table_row(table, "MiB", "... blocks of the file"),
        };
        rows.hot->reference_loft = shapes[i].reference_loft;
        rows.hot->goal = shapes[i].reference_loft;
        for (size_t peer = 0; peer < peer_count(); peer++) {
            rows.hot->reference[peer] = __start_reopen_peers[peer]->reference_us[i];
        }
        open_shape(options, table, &rows, i);
    }
    measure_curve(options, &reopen_by_blocks, BLOCKS_FROM, SIZES_FROM);
    measure_curve(options, &reopen_by_size, SIZES_FROM, SHAPES);
}
