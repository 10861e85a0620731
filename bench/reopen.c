/*
 * reopen.c - opening a heap again, reading it through, and recovering a journal; page cache hot.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loft/arena.h"
#include "reopen_peer.h"

enum { ROUNDS = 25, ROUNDS_QUICK = 7, PAGE_BYTES = 4096, TRACKERS = 2 };
#define MIB ((uint64_t)1 << 20)

const reopen_shape reopen_shapes[REOPEN_SHAPES] = {
    {"1 M x 64 B", 1000000, 64, 64, 100},
    {"64 x 64 MiB", 64, 64 * MIB, MIB, 100},
};

static const char *const trackers[TRACKERS] = {"wp_async", "private"};

static harness_table opening = {
    .title = "Reopen",
    .note =
        "Microseconds until the first block of a heap in a file is found and read; the page cache is hot, the file "
        "was closed cleanly. Closing is not in the figure. memkind cannot open its heap again.",
};
static harness_table reading = {
    .title = "Reading a reopened heap through",
    .note =
        "Milliseconds to read every word of one block in a heap opened before, against a private mapping of the same "
        "file; the page cache is hot. First: with all page faults. Again: without.",
};
static harness_table recovery = {
    .title = "Reopen after a crash",
    .note =
        "Milliseconds to open an arena whose journal holds one commit of so many changed pages: it is applied, "
        "flushed and emptied before open returns.",
    .plot_x = "pages in the journal",
};

void reopen_fill(unsigned char *block, const reopen_shape *shape)
{
    for (uint64_t at = 0; at < shape->block_bytes; at += shape->stride_bytes) {
        block[at] = 1;
    }
}

static void must(bool good, const char *what)
{
    if (!good) {
        (void)fprintf(stderr, "reopen: %s: %s\n", what, loft_last_error());
        exit(1);
    }
}

static void path_of(char *out, size_t out_bytes, const harness_options *options, size_t number)
{
    (void)snprintf(out, out_bytes, "%s/bench-%ld-reopen-%zu", options->directory, (long)getpid(),
                   number);
}

/* --- making files -------------------------------------------------------------------------------- */

/* reopen --make PEER SHAPE PATH: what make_elsewhere starts. */
static int make_here(char **argv)
{
    const reopen_peer *peer = __start_reopen_peers[strtoul(argv[2], NULL, 10)];
    return peer->make(peer, argv[4], &reopen_shapes[strtoul(argv[3], NULL, 10)]) ? 0 : 1;
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
                                   : peer->make(peer, path, &reopen_shapes[shape_idx]);
}

/* --- opening ------------------------------------------------------------------------------------- */

static void open_once(const reopen_peer *peer, const char *path, harness_column *column,
                      harness_cell *cell, bool counts)
{
    unsigned char byte = 0;
    const double begin = harness_now();
    void *state = peer->open(peer, path, &byte);
    const double us = (harness_now() - begin) * 1e6;
    if (state == NULL || byte != 1) {
        (void)snprintf(column->absent, sizeof column->absent, "it could not be opened again");
    } else if (counts) {
        harness_series_add(&cell->series, us);
    }
    if (state != NULL) {
        peer->close(state);
    }
}

static void open_shape(const harness_options *options, const reopen_shape *shape, size_t shape_idx)
{
    const size_t peers = (size_t)(__stop_reopen_peers - __start_reopen_peers);
    char path[4096];
    harness_row *row = harness_table_row(&opening, "us", "%s", shape->title);
    row->reference_loft = shape->reference_loft;
    row->goal = shape->reference_loft;
    for (size_t i = 0; i < peers; i++) {
        const reopen_peer *peer = __start_reopen_peers[i];
        harness_column *column = &opening.columns[i];
        row->reference[i] = peer->reference_us[shape_idx];
        path_of(path, sizeof path, options, i);
        harness_progress("reopen: %s makes %s", peer->name, shape->title);
        if (column->absent[0] == '\0' && !make_file(i, shape_idx, path)) {
            (void)snprintf(column->absent, sizeof column->absent, "its file could not be made");
        }
    }
    sync();
    for (size_t round = 0; round <= options->rounds; round++) {
        harness_progress("reopen: %s, round %zu of %zu", shape->title, round, options->rounds);
        for (size_t i = 0; i < peers; i++) {
            path_of(path, sizeof path, options, i);
            if (opening.columns[i].absent[0] == '\0') {
                open_once(__start_reopen_peers[i], path, &opening.columns[i], &row->cells[i],
                          round > 0);
            }
        }
    }
    for (size_t i = 0; i < peers; i++) {
        path_of(path, sizeof path, options, i);
        (void)unlink(path);
    }
}

static void measure_opening(const harness_options *options)
{
    const size_t peers = (size_t)(__stop_reopen_peers - __start_reopen_peers);
    for (size_t i = 0; i < peers; i++) {
        const reopen_peer *peer = __start_reopen_peers[i];
        harness_column *column = harness_table_column(&opening, peer->name, peer->what, peer->kind);
        harness_package_version(peer->package, column->version, sizeof column->version);
        (void)snprintf(column->absent, sizeof column->absent, "%s",
                       peer->absent != NULL ? peer->absent : "");
    }
    for (size_t i = 0; i < REOPEN_SHAPES; i++) {
        open_shape(options, &reopen_shapes[i], i);
    }
}

/* --- reading through and recovering --------------------------------------------------------------- */

/* One block of `bytes`, every page of it stored to; closed. */
static void make_block(const char *path, uint64_t bytes)
{
    loft_arena *arena;
    must(loft_arena_open(path, LOFT_CREATE | LOFT_EXCLUSIVE, NULL, &arena) == 0, "create");
    uint64_t *block = loft_arena_malloc(arena, bytes);
    must(block != NULL && loft_arena_set_root(arena, "root", block) == 0, "allocate");
    for (uint64_t i = 0; i < bytes / sizeof *block; i++) {
        block[i] = i;
    }
    must(loft_arena_close(arena) == 0, "close");
}

static loft_arena *open_with(const char *path, const char *tracker)
{
    loft_arena *arena;
    (void)setenv("LOFT_TRACKER", tracker, 1);
    must(loft_arena_open(path, LOFT_WRITE, NULL, &arena) == 0, "open");
    return arena;
}

static double read_ms(const void *memory, uint64_t bytes)
{
    const volatile uint64_t *word = memory;
    uint64_t sum = 0;
    const double begin = harness_now();
    for (uint64_t i = 0; i < bytes / sizeof *word; i++) {
        sum += word[i];
    }
    const double ms = (harness_now() - begin) * 1e3;
    must(sum != 1, "read"); /* it is used */
    return ms;
}

static void read_plain(const char *path, uint64_t block_off, uint64_t bytes, double ms[2])
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    must(fd >= 0, path);
    char *at = mmap(NULL, block_off + bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    must(at != MAP_FAILED, "map");
    ms[0] = read_ms(at + block_off, bytes);
    ms[1] = read_ms(at + block_off, bytes);
    (void)munmap(at, block_off + bytes);
    (void)close(fd);
}

static uint64_t read_loft(const char *path, const char *tracker, uint64_t bytes, double ms[2])
{
    loft_arena *arena = open_with(path, tracker);
    const void *block = loft_arena_root(arena, "root");
    const uint64_t off = loft_offset(arena, block);
    ms[0] = read_ms(block, bytes);
    ms[1] = read_ms(block, bytes);
    (void)loft_arena_abandon(arena);
    return off;
}

static void add_trackers(harness_table *table)
{
    (void)harness_table_column(table, "loft wp_async", "LOFT_TRACKER=wp_async", HARNESS_LOFT);
    (void)harness_table_column(table, "loft private", "LOFT_TRACKER=private", HARNESS_LOFT);
}

static void measure_reading(const harness_options *options)
{
    const uint64_t bytes = (options->quick ? 512 : 2048) * MIB;
    const unsigned mib = (unsigned)(bytes / MIB);
    char path[4096];
    path_of(path, sizeof path, options, 0);
    (void)harness_table_column(&reading, "floor", "a private mapping of the same file",
                               HARNESS_FLOOR);
    add_trackers(&reading);
    harness_row *first = harness_table_row(&reading, "ms", "%u MiB, first", mib);
    harness_row *again = harness_table_row(&reading, "ms", "%u MiB, again", mib);
    first->reference[0] = again->reference[0] = 1;
    first->reference_loft = again->reference_loft = 1.2;
    make_block(path, bytes);
    for (size_t round = 0; round <= options->rounds; round++) {
        double ms[1 + TRACKERS][2];
        uint64_t off = 0;
        harness_progress("reopen: reading through, round %zu of %zu", round, options->rounds);
        for (size_t i = 0; i < TRACKERS; i++) {
            off = read_loft(path, trackers[i], bytes, ms[1 + i]);
        }
        read_plain(path, off, bytes, ms[0]);
        for (size_t i = 0; i <= TRACKERS && round > 0; i++) {
            harness_series_add(&first->cells[i].series, ms[i][0]);
            harness_series_add(&again->cells[i].series, ms[i][1]);
        }
    }
    (void)unlink(path);
}

/* Commits so many whole pages, and drops the arena as a crash would. */
static void leave_journal(const char *path, const char *tracker, uint64_t pages, int value)
{
    loft_arena *arena = open_with(path, tracker);
    unsigned char *block = loft_arena_root(arena, "root");
    for (uint64_t i = 0; i < pages; i++) {
        memset(block + i * PAGE_BYTES, value + (int)(i % 100), PAGE_BYTES / 2);
    }
    must(loft_arena_commit(arena) == 0, "commit");
    (void)loft_arena_abandon(arena);
}

static void measure_recovery(const harness_options *options)
{
    static const uint64_t steps[] = {1, 100, 1000, 10000};
    char path[4096];
    path_of(path, sizeof path, options, 0);
    add_trackers(&recovery);
    make_block(path, 128 * MIB);
    for (size_t step = 0; step < sizeof steps / sizeof steps[0]; step++) {
        harness_row *row =
            harness_table_row(&recovery, "ms", "%llu pages", (unsigned long long)steps[step]);
        row->plot = "milliseconds to open and recover";
        row->x = (double)steps[step];
        for (size_t round = 0; round <= options->rounds; round++) {
            harness_progress("reopen: %s, round %zu of %zu", row->title, round, options->rounds);
            for (size_t i = 0; i < TRACKERS; i++) {
                leave_journal(path, trackers[i], steps[step], (int)(round * 2 + i));
                const double begin = harness_now();
                loft_arena *arena = open_with(path, trackers[i]);
                const double ms = (harness_now() - begin) * 1e3;
                (void)loft_arena_abandon(arena);
                if (round > 0) {
                    harness_series_add(&row->cells[i].series, ms);
                }
            }
        }
    }
    (void)unlink(path);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--make") == 0) {
        return make_here(argv);
    }
    const harness_options options = harness_options_read(
        argc, argv, ROUNDS, ROUNDS_QUICK,
        "usage: reopen [--quick] [--rounds N] [--json FILE] [--directory DIR]\n");
    const harness_table *const tables[] = {&opening, &reading, &recovery};
    harness_machine machine;
    harness_machine_find(&machine);
    measure_opening(&options);
    measure_reading(&options);
    measure_recovery(&options);
    return harness_conclude("reopen", &options, &machine, tables, 3);
}
