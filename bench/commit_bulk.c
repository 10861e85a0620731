/*
 * commit_bulk.c - gigabytes into a new arena and one commit, against the same bytes into a new file and one
 * flush.
 *
 * Both make the bytes the same way (a counter in every word, so that no page is like another), loft in
 * place, the floor in a buffer.
 *
 * A virtual machine may give memory that is free for some seconds back to its host, and the first touch afterwards costs
 * microseconds a page: whoever comes after a pause, or needs more than the one before, pays for it. So more memory
 * than any of them needs is touched and freed before each: by small pages, and by huge ones, as the system keeps what
 * is free in large pieces apart and gives that away first.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "commit_run.h"

enum { BUFFER_BYTES = 1 << 20, PAGE_BYTES = 4096, ROUNDS_BULK = 5, ROUNDS_BULK_QUICK = 2 };

/* As much as is free, but for what must not be missed. */
static uint64_t warm_most(void)
{
    const long pages = sysconf(_SC_AVPHYS_PAGES);
    return pages <= 0 ? 0 : (uint64_t)pages * PAGE_BYTES / 4 * 3;
}

static void memory_warm(uint64_t bytes, int advice)
{
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    commit_must(memory == MAP_FAILED, "memory");
    (void)madvise(memory, bytes, advice); /* a wish */
    for (uint64_t at = 0; at < bytes; at += PAGE_BYTES) {
        ((volatile char *)memory)[at] = 1;
    }
    (void)munmap(memory, bytes);
}

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

/* One competitor's turn: 0 is the floor. */
static void bulk_turn(harness_table *table, harness_row *load, harness_row *alone, size_t who,
                      const char *path, uint64_t bytes)
{
    double commit = 0;
    const uint64_t most = warm_most();
    const uint64_t warm = 4 * bytes < most ? 4 * bytes : most;
    memory_warm(warm, MADV_NOHUGEPAGE);
    memory_warm(warm, MADV_HUGEPAGE);
    const double seconds =
        who == 0 ? write_file(path, bytes)
                 : load_arena(path, bytes, commit_trackers[who - 1], &table->columns[who], &commit);
    if (seconds > 0) {
        harness_series_add(&load->cells[who].series, seconds * 1e3);
        if (who > 0) {
            harness_series_add(&alone->cells[who].series, commit * 1e3);
        }
    }
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
        for (size_t i = 0; i <= COMMIT_TRACKERS; i++) {
            bulk_turn(table, load, alone, (round + i) % (COMMIT_TRACKERS + 1), path,
                      gib * COMMIT_GIB);
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
    if (!options->quick) {
        bulk_rows(table, options, 4);
    }
}
