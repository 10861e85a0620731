/* What LOFT_RANDOM saves (bytes written for a small store) and costs (sequential use). */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loft/region.h"
#include "region_device.h"
#include "region_measure.h"

static const char *path;

static harness_table stores = {
    .title = "LOFT_RANDOM: what a small store writes",
    .note =
        "KB that the block device was asked to write for one stored byte in a file of 64 MiB and loft_sync; the "
        "lower quartile, as other programs write there, too.",
};
static harness_table use = {
    .title = "LOFT_RANDOM: what it costs in order",
    .note =
        "Milliseconds for a file of 64 MiB: filled in order and synced; read and stored to page by page, cold, that "
        "is not in the page cache; and 1,000 scattered pages of it, cold.",
};

#define RANDOM_BYTES     ((size_t)64 << 20)
#define SEQUENTIAL_BYTES ((size_t)64 << 20)

/* How the file came to be. */
enum origin { NEW, WRITTEN, PREALLOCATED, ORIGINS };
static const char *const origin_names[] = {"new, sparse", "written by write(2), still cached",
                                           "preallocated, never written"};

static void make_random_file(enum origin origin)
{
    (void)unlink(path);
    if (origin == NEW || origin == PREALLOCATED) {
        void *file = loft_create(path, RANDOM_BYTES, origin == NEW ? 0 : LOFT_PREALLOCATE);
        MUST(file != NULL && loft_close(file) == 0);
    } else {
        const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        char *data = loft_malloc((size_t)4 << 20);
        memset(data, 1, (size_t)4 << 20);
        for (size_t done = 0; done < RANDOM_BYTES; done += (size_t)4 << 20) {
            MUST(write(fd, data, (size_t)4 << 20) == 4 << 20);
        }
        MUST(loft_free(data) == 0 && fsync(fd) == 0 && close(fd) == 0);
    }
    sync();
}

/* KB written for one stored byte and loft_sync, some times. */
static void one_byte_costs(const region_device *device, enum origin origin, unsigned flags,
                           harness_cell *cell)
{
    make_random_file(origin);
    char *file = loft_open(path, LOFT_WRITE | flags, 0, 0, NULL);
    MUST(file != NULL);
    for (size_t i = 0; i < 41; i++) {
        const struct timespec rest = {0, 5000000}; /* let the journal of the last try end */
        (void)nanosleep(&rest, NULL);
        const uint64_t before = region_device_written(device);
        file[(i * 7000003 + 12345) % RANDOM_BYTES]++;
        MUST(loft_sync(file, 0, 0, 0) == 0);
        harness_cell_add(cell, (double)(region_device_written(device) - before) / 1024, i > 0);
    }
    MUST(loft_close(file) == 0 && unlink(path) == 0);
}

static void add_columns(harness_table *table)
{
    (void)harness_table_column(table, "loft LOFT_RANDOM", "opened with LOFT_RANDOM", HARNESS_LOFT);
    (void)harness_table_column(table, "loft", "opened without", HARNESS_LOFT);
}

const harness_table *region_random_stores(const char *file)
{
    path = file;
    add_columns(&stores);
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    MUST(fd >= 0);
    region_device device;
    char reason[160];
    const bool found = region_device_find(&device, fd, reason, sizeof reason);
    MUST(close(fd) == 0 && unlink(path) == 0);
    for (int origin = 0; origin < ORIGINS; origin++) {
        harness_row *row = harness_table_row(&stores, "KB", "%s", origin_names[origin]);
        row->is_low = true;
        if (!found) {
            (void)snprintf(row->cells[0].missing, sizeof row->cells[0].missing, "%.95s", reason);
            continue;
        }
        harness_progress("region: bytes written, %s", origin_names[origin]);
        one_byte_costs(&device, (enum origin)origin, LOFT_RANDOM, &row->cells[0]);
        one_byte_costs(&device, (enum origin)origin, 0, &row->cells[1]);
    }
    return &stores;
}

/* A file that is filled from the first byte to the last, and synced. */
static double time_fill(unsigned flags)
{
    (void)unlink(path);
    char *file = loft_create(path, SEQUENTIAL_BYTES, flags);
    MUST(file != NULL);
    const double begin = region_clock_ns(CLOCK_MONOTONIC);
    memset(file, 1, SEQUENTIAL_BYTES);
    MUST(loft_sync(file, 0, 0, 0) == 0);
    const double ns = region_clock_ns(CLOCK_MONOTONIC) - begin;
    MUST(loft_close(file) == 0);
    return ns / 1e6;
}

enum access { READ_IN_ORDER, STORE_IN_ORDER, READ_SCATTERED };

/* A written file that is not cached: a byte of every page in order, or of 1,000 here and there. */
static double time_access(unsigned flags, enum access access)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0 && close(fd) == 0);
    volatile unsigned char *file = loft_open(path, LOFT_WRITE | LOFT_ASYNC | flags, 0, 0, NULL);
    MUST(file != NULL);
    const size_t pages = SEQUENTIAL_BYTES / 4096;
    const size_t count = access == READ_SCATTERED ? 1000 : pages;
    unsigned sum = 0;
    const double begin = region_clock_ns(CLOCK_MONOTONIC);
    for (size_t i = 0; i < count; i++) {
        const size_t page = access == READ_SCATTERED ? (i * 40503 + 7) % pages : i;
        if (access == STORE_IN_ORDER) {
            file[page * 4096] = 2;
        } else {
            sum += file[page * 4096];
        }
    }
    const double ns = region_clock_ns(CLOCK_MONOTONIC) - begin;
    MUST(sum != 1 && loft_close((void *)(uintptr_t)file) == 0);
    sync(); /* so that the next one finds the file clean */
    return ns / 1e6;
}

const harness_table *region_random_access(const char *file)
{
    static const char *const names[] = {"read in order, cold", "store in order, cold",
                                        "read 1,000 scattered pages, cold"};
    enum { TRIES = 5, USES = sizeof names / sizeof names[0] };
    path = file;
    add_columns(&use);
    harness_row *fill = harness_table_row(&use, "ms", "fill a new file in order and sync");
    harness_row *touch[USES];
    for (int access = 0; access < USES; access++) {
        touch[access] = harness_table_row(&use, "ms", "%s", names[access]);
    }
    for (int i = 0; i < TRIES; i++) {
        harness_progress("region: in order, round %d of %d", i + 1, TRIES);
        for (int without = 0; without < 2; without++) {
            const unsigned flags = without ? 0 : LOFT_RANDOM;
            harness_series_add(&fill->cells[without].series, time_fill(flags));
            for (int access = 0; access < USES; access++) {
                harness_series_add(&touch[access]->cells[without].series,
                                   time_access(flags, (enum access)access));
            }
        }
    }
    MUST(unlink(path) == 0);
    return &use;
}
