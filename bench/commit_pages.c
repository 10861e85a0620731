/*
 * commit_pages.c - loft's commits that change nothing or one page, and rollback.
 *
 * A large heap is one block in a sparse file: a page is stored to every 64 MiB, the rest are holes. Its pages
 * are "never read" after the arena was opened anew, then all are read once, then the same commits again.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit_run.h"

enum { PAGE_BYTES = 4096, ROLLBACK_STEPS = 6 };
/* The reference run's floor in microseconds: 4 KiB appended and flushed. */
#define REFERENCE_FLOOR_US 100.0
#define COMMITS_NOTHING    200 /* in a round: one alone is near the clock's grain */
#define NOTHING_BYTES      (256 * COMMIT_MIB)

typedef struct sparse_heap {
    char *path;
    loft_arena *arena; /* NULL: none */
    unsigned char *block;
    uint64_t bytes;
    uint64_t random;
} sparse_heap;

static bool make_heap(sparse_heap *heap, const char *folder, uint64_t bytes, const char *tracker,
                      harness_column *column)
{
    char name[48];
    (void)snprintf(name, sizeof name, "pages-%s.loft", tracker);
    *heap = (sparse_heap){.path = commit_path(folder, name), .bytes = bytes, .random = 88172645};
    heap->arena = commit_open_arena(heap->path, LOFT_CREATE | LOFT_EXCLUSIVE, tracker, column);
    if (heap->arena == NULL) {
        return false;
    }
    heap->block = loft_arena_malloc(heap->arena, bytes);
    commit_must(heap->block == NULL, "allocate");
    for (uint64_t at = 0; at < bytes; at += 64 * COMMIT_MIB) {
        heap->block[at] = 1;
    }
    commit_must(loft_arena_set_root(heap->arena, "block", heap->block), "set a root");
    commit_must(loft_arena_close(heap->arena), "close");
    heap->arena = commit_open_arena(heap->path, LOFT_WRITE, tracker, column);
    if (heap->arena == NULL) {
        return false;
    }
    heap->block = loft_arena_root(heap->arena, "block");
    commit_must(heap->block == NULL, "find the block");
    return true;
}

static void drop_heap(sparse_heap *heap)
{
    if (heap->arena != NULL) {
        (void)loft_arena_abandon(heap->arena);
    }
    if (heap->path != NULL) {
        (void)unlink(heap->path);
    }
    free(heap->path);
    *heap = (sparse_heap){0};
}

/* Stores to `count` different pages, spread over the heap, each time others. */
static void change_pages(sparse_heap *heap, uint64_t count)
{
    const uint64_t pages = heap->bytes / PAGE_BYTES, stride = pages / count;
    heap->random = heap->random * 6364136223846793005u + 1442695040888963407u;
    const uint64_t first = (heap->random >> 33) % stride;
    for (uint64_t i = 0; i < count; i++) {
        heap->block[(first + i * stride) * PAGE_BYTES + 8]++;
    }
}

static double commit_us(sparse_heap *heap, uint64_t pages)
{
    if (pages > 0) {
        change_pages(heap, pages);
    }
    const double begin = harness_now();
    commit_must(loft_arena_commit(heap->arena), "commit");
    return (harness_now() - begin) * 1e6;
}

static double commit_nothing_us(sparse_heap *heap)
{
    double sum = 0;
    for (int i = 0; i < COMMITS_NOTHING; i++) {
        sum += commit_us(heap, 0);
    }
    return sum / COMMITS_NOTHING;
}

static uint64_t read_all(const sparse_heap *heap)
{
    uint64_t sum = 0;
    for (uint64_t at = 0; at < heap->bytes; at += PAGE_BYTES) {
        sum += ((volatile unsigned char *)heap->block)[at];
    }
    return sum;
}

/* --- one page ------------------------------------------------------------------------------------ */

static double floor_us(int fd)
{
    static char page[PAGE_BYTES];
    page[0]++;
    const double begin = harness_now();
    commit_must(pwrite(fd, page, sizeof page, 0) != (ssize_t)sizeof page || fdatasync(fd) != 0,
                "floor");
    return (harness_now() - begin) * 1e6;
}

/* Rounds of all in turns into one row; the first is not counted. */
static void one_page_row(harness_row *row, sparse_heap heaps[COMMIT_TRACKERS], int fd,
                         size_t rounds, bool nothing)
{
    for (size_t round = 0; round <= rounds; round++) {
        harness_progress("commit: %s, round %zu of %zu", row->title, round, rounds);
        double us[1 + COMMIT_TRACKERS] = {nothing ? 0 : floor_us(fd)};
        for (size_t i = 0; i < COMMIT_TRACKERS; i++) {
            if (heaps[i].arena != NULL) {
                us[i + 1] = nothing ? commit_nothing_us(&heaps[i]) : commit_us(&heaps[i], 1);
            }
        }
        for (size_t i = 0; i <= COMMIT_TRACKERS && round > 0; i++) {
            if (us[i] > 0) {
                harness_series_add(&row->cells[i].series, us[i]);
            }
        }
    }
}

/* What this heap needs in memory when all of it is read is as much as its size. */
static bool has_memory_for(uint64_t bytes)
{
    return harness_kib_of("/proc/meminfo", "MemAvailable:") * 1024 > bytes + 2 * COMMIT_GIB;
}

static void one_page_of(harness_table *table, const harness_options *options, uint64_t bytes,
                        double goal_us, int fd)
{
    sparse_heap heaps[COMMIT_TRACKERS] = {{0}, {0}};
    const unsigned mib = (unsigned)(bytes / COMMIT_MIB);
    for (size_t i = 0; i < COMMIT_TRACKERS; i++) {
        if (!make_heap(&heaps[i], options->directory, bytes, commit_trackers[i],
                       &table->columns[1 + i])) {
            drop_heap(&heaps[i]);
        }
    }
    if (bytes == NOTHING_BYTES) {
        harness_row *row = harness_table_row(table, "us", "nothing, %u MiB heap", mib);
        row->goal = 20;
        one_page_row(row, heaps, fd, options->rounds, true);
    }
    for (int read = 0; read < 2; read++) {
        harness_row *row = harness_table_row(table, "us", "1 page of %u MiB, %s", mib,
                                             read ? "all read" : "never read");
        row->reference[0] = goal_us > 0 ? REFERENCE_FLOOR_US : 0;
        row->reference_loft = goal_us;
        row->plot =
            read ? "commit of a page, all read before" : "commit of a page, never read before";
        row->x = mib;
        if (read && !has_memory_for(bytes)) {
            (void)snprintf(row->cells[1].missing, sizeof row->cells[1].missing,
                           "not measured: too little memory is free");
            continue;
        }
        for (size_t i = 0; i < COMMIT_TRACKERS && read; i++) {
            harness_progress("commit: reading %u MiB through %s", mib, commit_trackers[i]);
            (void)(heaps[i].arena != NULL ? read_all(&heaps[i]) : 0);
        }
        one_page_row(row, heaps, fd, options->rounds, false);
    }
    for (size_t i = 0; i < COMMIT_TRACKERS; i++) {
        drop_heap(&heaps[i]);
    }
}

/* The reference run has goals for two sizes. */
static const struct {
    uint64_t mib;
    double goal_us;
    bool full; /* not in a quick run */
} heap_sizes[] = {
    {1, 0, false},     {4, 0, true},    {16, 0, true},   {64, 0, true},
    {256, 200, false}, {1024, 0, true}, {4096, 0, true}, {16384, 1000, false},
};

static void add_trackers(harness_table *table)
{
    (void)harness_table_column(table, "loft wp_async", "LOFT_TRACKER=wp_async", HARNESS_LOFT);
    (void)harness_table_column(table, "loft private", "LOFT_TRACKER=private", HARNESS_LOFT);
}

void commit_measure_pages(harness_table *table, const harness_options *options)
{
    char *path = commit_path(options->directory, "floor");
    const int fd = commit_filled_file(path, PAGE_BYTES);
    (void)harness_table_column(table, "floor", "4 KiB overwritten in a file, fdatasync",
                               HARNESS_FLOOR);
    add_trackers(table);
    commit_must(fd < 0, path);
    for (size_t i = 0; i < sizeof heap_sizes / sizeof heap_sizes[0]; i++) {
        if (!options->quick || !heap_sizes[i].full) {
            one_page_of(table, options, heap_sizes[i].mib * COMMIT_MIB, heap_sizes[i].goal_us, fd);
        }
    }
    (void)close(fd);
    (void)unlink(path);
    free(path);
}

/* --- rollback ------------------------------------------------------------------------------------ */

static void rollback_step(harness_row *rows[3], sparse_heap heaps[COMMIT_TRACKERS], size_t rounds,
                          uint64_t pages)
{
    for (size_t round = 0; round <= rounds; round++) {
        for (size_t i = 0; i < COMMIT_TRACKERS; i++) {
            if (heaps[i].arena == NULL) {
                continue;
            }
            harness_progress("commit: rollback of %llu pages, round %zu of %zu",
                             (unsigned long long)pages, round, rounds);
            const double commit = commit_us(&heaps[i], pages);
            change_pages(&heaps[i], pages);
            const double begin = harness_now();
            commit_must(loft_arena_rollback(heaps[i].arena), "rollback");
            const double back = (harness_now() - begin) * 1e6;
            if (round > 0) {
                harness_series_add(&rows[0]->cells[i].series, commit);
                harness_series_add(&rows[1]->cells[i].series, back);
                harness_series_add(&rows[2]->cells[i].series, back / commit);
            }
        }
    }
}

void commit_measure_rollback(harness_table *table, const harness_options *options)
{
    static const uint64_t steps[] = {1, 10, 100, 1000, 10000, 50000};
    sparse_heap heaps[COMMIT_TRACKERS] = {{0}, {0}};
    add_trackers(table);
    for (size_t i = 0; i < COMMIT_TRACKERS; i++) {
        if (!make_heap(&heaps[i], options->directory, 256 * COMMIT_MIB, commit_trackers[i],
                       &table->columns[i])) {
            drop_heap(&heaps[i]);
        }
    }
    for (size_t step = 0; step < ROLLBACK_STEPS; step++) {
        const unsigned pages = (unsigned)steps[step];
        harness_row *rows[3] = {
            harness_table_row(table, "us", "commit of %u pages", pages),
            harness_table_row(table, "us", "rollback of %u pages", pages),
            harness_table_row(table, "ratio", "... rollback over commit"),
        };
        rows[2]->goal = 1;
        rollback_step(rows, heaps, options->rounds, steps[step]);
    }
    for (size_t i = 0; i < COMMIT_TRACKERS; i++) {
        drop_heap(&heaps[i]);
    }
}
