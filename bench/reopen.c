/*
 * reopen.c - opening a heap again (reopen_open.c), reading it through, and recovering a journal.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loft/arena.h"
#include "reopen_run.h"

enum { ROUNDS = 25, ROUNDS_QUICK = 7, PAGE_BYTES = 4096, TRACKERS = 2 };
/* So that the longest journal measured is not checkpointed by its own commit; as it comes, the limit is 64 MiB. */
#define JOURNAL_LIMIT_BYTES ((uint64_t)1 << 30)
/* Rounds that rewrite so many pages take a second or more. */
enum { ROUNDS_FEW = 9, ROUNDS_FEW_FROM = 10000 };
#define MIB ((uint64_t)1 << 20)

static const char *const trackers[TRACKERS] = {"wp_async", "private"};

static harness_table reading = {
    .title = "Reading a reopened heap through",
    .note =
        "Milliseconds to read every word of one block in a heap opened before, against a private mapping of the same "
        "file; the page cache is hot. First: with all page faults. Again: without.",
};
static harness_table recovery = {
    .title = "Reopen after a crash",
    .note =
        "Milliseconds to open an arena whose journal holds one commit of so many changed pages, half of each: it "
        "is applied, flushed and emptied before open returns. A journal longer than 64 MiB (some 30,000 such pages) is "
        "only there if the arena's options allow it.",
    .plot_x = "pages in the journal, 2 KiB of each",
};

static void must(bool good, const char *what)
{
    if (!good) {
        (void)fprintf(stderr, "reopen: %s: %s\n", what, loft_last_error());
        exit(1);
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
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    options.journal_limit_bytes = JOURNAL_LIMIT_BYTES;
    (void)setenv("LOFT_TRACKER", tracker, 1);
    must(loft_arena_open(path, LOFT_WRITE, &options, &arena) == 0, "open");
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
    reopen_path(path, sizeof path, options, 0);
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
    static const uint64_t steps[] = {1, 10, 100, 1000, 10000, 100000};
    char path[4096];
    reopen_path(path, sizeof path, options, 0);
    add_trackers(&recovery);
    const size_t count = sizeof steps / sizeof steps[0] - (options->quick ? 1 : 0);
    make_block(path, 512 * MIB);
    for (size_t step = 0; step < count; step++) {
        const size_t rounds = steps[step] >= ROUNDS_FEW_FROM && options->rounds > ROUNDS_FEW
                                  ? ROUNDS_FEW
                                  : options->rounds;
        harness_row *row =
            harness_table_row(&recovery, "ms", "%llu pages", (unsigned long long)steps[step]);
        row->plot = "milliseconds to open and recover";
        row->x = (double)steps[step];
        for (size_t round = 0; round <= rounds; round++) {
            harness_progress("reopen: recovery of %s, round %zu of %zu", row->title, round, rounds);
            for (size_t i = 0; i < TRACKERS; i++) {
                leave_journal(path, trackers[i], steps[step], (int)(round * 2 + i));
                const double begin = harness_now();
                loft_arena *arena = open_with(path, trackers[i]);
                const double ms = (harness_now() - begin) * 1e3;
                (void)loft_arena_abandon(arena);
                harness_cell_add(&row->cells[i], ms, round > 0);
            }
        }
    }
    (void)unlink(path);
}

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--make") == 0) {
        return reopen_make(argv);
    }
    const harness_options options = harness_options_read(
        argc, argv, ROUNDS, ROUNDS_QUICK,
        "usage: reopen [--quick] [--rounds N] [--json FILE] [--directory DIR]\n");
    const harness_table *const tables[] = {&reopen_opening, &reopen_by_blocks, &reopen_by_size,
                                           &reading, &recovery};
    harness_machine machine;
    harness_machine_find(&machine);
    reopen_measure_opening(&options);
    measure_reading(&options);
    measure_recovery(&options);
    return harness_conclude("reopen", &options, &machine, tables, sizeof tables / sizeof tables[0]);
}
