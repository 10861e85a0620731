/*
 * commit_pages.c - loft's commits that change nothing or one page, and rollback.
 *
 * A heap is a row of large blocks, each of their pages stored to and committed. Its pages are "never read" after the
 * arena was opened anew, then all are read once, then the same commits again. The file is in the page cache throughout.
 * Reading makes the next commits dear, until loft has mapped the file afresh; the dearest of them has a row of its own.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commit_run.h"

enum { PAGE_BYTES = 4096, ROLLBACK_STEPS = 6, BLOCKS_MAX = 64 };
#define BLOCK_BYTES        (256 * COMMIT_MIB) /* less if the heap is smaller */
/* The reference run's floor in microseconds: 4 KiB appended and flushed. */
#define REFERENCE_FLOOR_US 100.0
#define COMMITS_NOTHING    200 /* in a round: one alone is near the clock's grain */
#define NOTHING_BYTES      (256 * COMMIT_MIB)
#define SETTLE_COMMITS     24

typedef struct paged_heap {
    char *path;
    loft_arena *arena; /* NULL: none */
    unsigned char *blocks[BLOCKS_MAX];
    uint64_t bytes, block_bytes;
    uint64_t random;
} paged_heap;

/* Block by block, each in a commit and a checkpoint: they need no more memory than one, beside the page cache. */
static void fill_heap(paged_heap *heap)
{
    for (size_t i = 0; i < heap->bytes / heap->block_bytes; i++) {
        char root[32];
        unsigned char *block = loft_arena_malloc(heap->arena, heap->block_bytes);
        commit_must(block == NULL, "allocate");
        for (uint64_t at = 0; at < heap->block_bytes; at += PAGE_BYTES) {
            block[at] = (unsigned char)(1 + i);
        }
        (void)snprintf(root, sizeof root, "block %zu", i);
        commit_must(loft_arena_set_root(heap->arena, root, block), "set a root");
        commit_must(loft_arena_commit(heap->arena), "commit");
        commit_must(loft_arena_checkpoint(heap->arena), "checkpoint");
    }
    commit_must(loft_arena_close(heap->arena), "close");
}

static bool make_heap(paged_heap *heap, const char *folder, uint64_t bytes, const char *tracker,
                      harness_column *column)
{
    char name[48];
    (void)snprintf(name, sizeof name, "pages-%s.loft", tracker);
    *heap = (paged_heap){.path = commit_path(folder, name),
                         .bytes = bytes,
                         .block_bytes = bytes < BLOCK_BYTES ? bytes : BLOCK_BYTES,
                         .random = 88172645};
    heap->arena = commit_open_arena(heap->path, LOFT_CREATE | LOFT_EXCLUSIVE, tracker, column);
    if (heap->arena == NULL) {
        return false;
    }
    harness_progress("commit: %u MiB for %s", (unsigned)(bytes / COMMIT_MIB), tracker);
    fill_heap(heap);
    heap->arena = commit_open_arena(heap->path, LOFT_WRITE, tracker, column);
    if (heap->arena == NULL) {
        return false;
    }
    for (size_t i = 0; i < bytes / heap->block_bytes; i++) {
        char root[32];
        (void)snprintf(root, sizeof root, "block %zu", i);
        heap->blocks[i] = loft_arena_root(heap->arena, root);
        commit_must(heap->blocks[i] == NULL, "find a block");
    }
    return true;
}

static unsigned char *heap_at(const paged_heap *heap, uint64_t at)
{
    return heap->blocks[at / heap->block_bytes] + at % heap->block_bytes;
}

static void drop_heap(paged_heap *heap)
{
    if (heap->arena != NULL) {
        (void)loft_arena_abandon(heap->arena);
    }
    if (heap->path != NULL) {
        (void)unlink(heap->path);
    }
    free(heap->path);
    *heap = (paged_heap){0};
}

/* Stores to `count` different pages, spread over the heap, each time others. */
static void change_pages(paged_heap *heap, uint64_t count)
{
    const uint64_t pages = heap->bytes / PAGE_BYTES, stride = pages / count;
    heap->random = heap->random * 6364136223846793005u + 1442695040888963407u;
    const uint64_t first = (heap->random >> 33) % stride;
    for (uint64_t i = 0; i < count; i++) {
        (*heap_at(heap, (first + i * stride) * PAGE_BYTES + 8))++;
    }
}

static double commit_us(paged_heap *heap, uint64_t pages)
{
    if (pages > 0) {
        change_pages(heap, pages);
    }
    const double begin = harness_now();
    commit_must(loft_arena_commit(heap->arena), "commit");
    return (harness_now() - begin) * 1e6;
}

static double commit_nothing_us(paged_heap *heap)
{
    double sum = 0;
    for (int i = 0; i < COMMITS_NOTHING; i++) {
        sum += commit_us(heap, 0);
    }
    return sum / COMMITS_NOTHING;
}

static uint64_t read_all(const paged_heap *heap)
{
    uint64_t sum = 0;
    for (uint64_t at = 0; at < heap->bytes; at += PAGE_BYTES) {
        sum += *(volatile unsigned char *)heap_at(heap, at);
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
static void one_page_row(harness_row *row, paged_heap heaps[COMMIT_TRACKERS], int fd, size_t rounds,
                         bool nothing)
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

/* A heap that was read needs as much of the page cache as its size; twice that while it is made. */
static bool has_memory_for(uint64_t bytes)
{
    return harness_kib_of("/proc/meminfo", "MemAvailable:") * 1024 > bytes + 2 * COMMIT_GIB;
}

/* The commits just after all was read: the dearest of each heap. */
static void settle_row(harness_row *row, paged_heap heaps[COMMIT_TRACKERS])
{
    for (size_t i = 0; i < COMMIT_TRACKERS; i++) {
        double most = 0;
        for (int k = 0; k < SETTLE_COMMITS && heaps[i].arena != NULL; k++) {
            const double us = commit_us(&heaps[i], 1);
            most = us > most ? us : most;
        }
        if (most > 0) {
            harness_series_add(&row->cells[i + 1].series, most);
        }
    }
}

typedef struct one_page_rows {
    harness_row *nothing, *never, *settle, *all; /* nothing: NULL if not asked for */
} one_page_rows;

/* The trackers from `first` to `end` in turns. */
static void one_page_of(harness_table *table, const harness_options *options, one_page_rows rows,
                        uint64_t bytes, size_t first, size_t end, int fd)
{
    paged_heap heaps[COMMIT_TRACKERS] = {{0}, {0}};
    for (size_t i = first; i < end; i++) {
        if (!make_heap(&heaps[i], options->directory, bytes, commit_trackers[i],
                       &table->columns[1 + i])) {
            drop_heap(&heaps[i]);
        }
    }
    if (rows.nothing != NULL) {
        one_page_row(rows.nothing, heaps, fd, options->rounds, true);
    }
    one_page_row(rows.never, heaps, fd, options->rounds, false);
    for (size_t i = first; i < end; i++) {
        harness_progress("commit: reading %u MiB through %s", (unsigned)(bytes / COMMIT_MIB),
                         commit_trackers[i]);
        (void)(heaps[i].arena != NULL ? read_all(&heaps[i]) : 0);
    }
    settle_row(rows.settle, heaps);
    one_page_row(rows.all, heaps, fd, options->rounds, false);
    for (size_t i = first; i < end; i++) {
        drop_heap(&heaps[i]);
    }
}

static harness_row *one_page_titled(harness_table *table, unsigned mib, double goal_us, bool read)
{
    harness_row *row = harness_table_row(table, "us", "1 page of %u MiB, %s", mib,
                                         read ? "all read" : "never read");
    row->reference[0] = goal_us > 0 ? REFERENCE_FLOOR_US : 0;
    row->reference_loft = goal_us;
    row->plot = read ? "commit of a page, all read before" : "commit of a page, never read before";
    row->x = mib;
    return row;
}

/* Both heaps in turns if memory holds them, else one after the other, each beside the floor. */
static void one_page(harness_table *table, const harness_options *options, uint64_t bytes,
                     double goal_us, int fd)
{
    const unsigned mib = (unsigned)(bytes / COMMIT_MIB);
    one_page_rows rows = {0};
    if (bytes == NOTHING_BYTES) {
        rows.nothing = harness_table_row(table, "us", "nothing, %u MiB heap", mib);
        rows.nothing->goal = 20;
    }
    rows.never = one_page_titled(table, mib, goal_us, false);
    rows.settle = harness_table_row(
        table, "us", "1 page of %u MiB, dearest of %d since it was read", mib, SETTLE_COMMITS);
    rows.all = one_page_titled(table, mib, goal_us, true);
    if (!has_memory_for(bytes)) {
        (void)snprintf(rows.all->cells[1].missing, sizeof rows.all->cells[1].missing,
                       "not measured: too little memory is free");
        (void)snprintf(rows.never->cells[1].missing, sizeof rows.never->cells[1].missing,
                       "not measured: too little memory is free");
        return;
    }
    const size_t together = has_memory_for(COMMIT_TRACKERS * bytes) ? COMMIT_TRACKERS : 1;
    for (size_t i = 0; i < COMMIT_TRACKERS; i += together) {
        one_page_of(table, options, rows, bytes, i, i + together, fd);
    }
}

/* The reference run has goals for two sizes. */
static const struct {
    uint64_t mib;
    double goal_us;
    bool full; /* not in a quick run */
} heap_sizes[] = {
    {1, 0, false},     {4, 0, true},    {16, 0, true},   {64, 0, true},
    {256, 200, false}, {1024, 0, true}, {4096, 0, true}, {16384, 1000, true},
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
            one_page(table, options, heap_sizes[i].mib * COMMIT_MIB, heap_sizes[i].goal_us, fd);
        }
    }
    (void)close(fd);
    (void)unlink(path);
    free(path);
}

/* --- rollback ------------------------------------------------------------------------------------ */

static void rollback_step(harness_row *rows[3], paged_heap heaps[COMMIT_TRACKERS], size_t rounds,
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
    paged_heap heaps[COMMIT_TRACKERS] = {{0}, {0}};
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
