/*
 * commit_bulk.c - gigabytes into a new arena and one commit, against the same bytes into a new file and one
 * flush.
 *
 * Both make the bytes the same way (a counter in every word, so that no page is like another), loft in
 * place, the floor in a buffer.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "commit_run.h"

enum { BUFFER_BYTES = 1 << 20, ROUNDS_BULK = 5, ROUNDS_BULK_QUICK = 2 };

static void make_bytes(uint64_t *words, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i < bytes / sizeof *words; i++) {
        words[i] = (seed + i) * 0x9e3779b97f4a7c15u;
    }
}

static double write_file(const char *path, uint64_t bytes)
{
    uint64_t *buffer = malloc(BUFFER_BYTES);
    const double begin = harness_now();
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    commit_must(fd < 0, path);
    for (uint64_t at = 0; at < bytes; at += BUFFER_BYTES) {
        make_bytes(buffer, BUFFER_BYTES, at);
        commit_must(pwrite(fd, buffer, BUFFER_BYTES, (off_t)at) != BUFFER_BYTES, path);
    }
    commit_must(fdatasync(fd), path);
    const double seconds = harness_now() - begin;
    (void)close(fd);
    (void)unlink(path);
    free(buffer);
    return seconds;
}

/* Seconds of load and commit, and of the commit alone; less than 0: no arena. */
static double load_arena(const char *path, uint64_t bytes, const char *tracker,
                         harness_column *column, double *commit)
{
    loft_arena *arena = commit_open_arena(path, LOFT_CREATE | LOFT_EXCLUSIVE, tracker, column);
    if (arena == NULL) {
        return -1;
    }
    const double begin = harness_now();
    uint64_t *block = loft_arena_malloc(arena, bytes);
    commit_must(block == NULL, "allocate");
    make_bytes(block, bytes, 0);
    commit_must(loft_arena_set_root(arena, "block", block), "set a root");
    const double loaded = harness_now();
    commit_must(loft_arena_commit(arena), "commit");
    const double end = harness_now();
    (void)loft_arena_abandon(arena);
    (void)unlink(path);
    *commit = end - loaded;
    return end - begin;
}

static void bulk_rows(harness_table *table, const harness_options *options, unsigned gib)
{
    harness_row *load = harness_table_row(table, "ms", "%u GiB, load and commit", gib);
    harness_row *alone = harness_table_row(table, "ms", "... of it, commit");
    char *path = commit_path(options->directory, "bulk");
    const size_t rounds = options->quick ? ROUNDS_BULK_QUICK : ROUNDS_BULK;
    load->reference[0] = 1;
    load->reference_loft = 1.3;
    for (size_t round = 0; round < rounds; round++) {
        harness_progress("commit: %u GiB, round %zu of %zu", gib, round + 1, rounds);
        harness_series_add(&load->cells[0].series, write_file(path, gib * COMMIT_GIB) * 1e3);
        for (size_t i = 0; i < COMMIT_TRACKERS; i++) {
            double commit = 0;
            const double seconds = load_arena(path, gib * COMMIT_GIB, commit_trackers[i],
                                              &table->columns[1 + i], &commit);
            if (seconds > 0) {
                harness_series_add(&load->cells[1 + i].series, seconds * 1e3);
                harness_series_add(&alone->cells[1 + i].series, commit * 1e3);
            }
        }
    }
    free(path);
}

void commit_measure_bulk(harness_table *table, const harness_options *options)
{
    (void)harness_table_column(table, "floor", "write and fdatasync of the same bytes",
                               HARNESS_FLOOR);
    (void)harness_table_column(table, "loft wp_async", "LOFT_TRACKER=wp_async", HARNESS_LOFT);
    (void)harness_table_column(table, "loft private", "LOFT_TRACKER=private", HARNESS_LOFT);
    bulk_rows(table, options, 1);
    bulk_rows(table, options, 4);
}
