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

/* Bytes written for one stored byte and loft_sync: the least of some tries. */
static uint64_t one_byte_costs(const region_device *device, enum origin origin, unsigned flags)
{
    make_random_file(origin);
    char *file = loft_open(path, LOFT_WRITE | flags, 0, 0, NULL);
    MUST(file != NULL);
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < 41; i++) {
        const struct timespec rest = {0, 5000000}; /* let the journal of the last try end */
        (void)nanosleep(&rest, NULL);
        const uint64_t before = region_device_written(device);
        file[(i * 7000003 + 12345) % RANDOM_BYTES]++;
        MUST(loft_sync(file, 0, 0, 0) == 0);
        const uint64_t bytes = region_device_written(device) - before;
        least = bytes < least ? bytes : least;
    }
    MUST(loft_close(file) == 0 && unlink(path) == 0);
    return least;
}

static void measure_random_stores(void)
{
    printf("\n%-44s %27s %27s\n", "device bytes: 1 byte in 64 MiB, loft_sync", "LOFT_RANDOM",
           "without");
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    MUST(fd >= 0);
    region_device device;
    char reason[160];
    const bool found = region_device_find(&device, fd, reason, sizeof reason);
    MUST(close(fd) == 0);
    if (!found) {
        printf("skipped: %s\n", reason);
        return;
    }
    for (int origin = 0; origin < ORIGINS; origin++) {
        const uint64_t with = one_byte_costs(&device, (enum origin)origin, LOFT_RANDOM);
        const uint64_t without = one_byte_costs(&device, (enum origin)origin, 0);
        printf("%-44s %27llu %27llu", origin_names[origin], (unsigned long long)with,
               (unsigned long long)without);
        if (origin != PREALLOCATED) {
            printf("         at most 8192: %s", with <= 8192 ? "yes" : "NO");
        }
        printf("\n");
    }
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

static void show_pair(const char *name, region_series *with, region_series *without)
{
    const double x = region_median(with), y = region_median(without);
    printf("%-44s %9.1f [%7.1f %7.1f] %9.1f [%7.1f %7.1f] %6.2f\n", name, x, with->value[0],
           with->value[with->count - 1], y, without->value[0], without->value[without->count - 1],
           x / y);
}

static void measure_sequential(void)
{
    static const char *const names[] = {"read in order, not cached", "store in order, not cached",
                                        "read 1,000 scattered pages, not cached"};
    printf("\n%-44s %27s %27s %6s\n", "ms, median [least most], 64 MiB", "LOFT_RANDOM", "without",
           "ratio");
    region_series fill[2] = {{.count = 0}};
    region_series touch[3][2] = {{{.count = 0}}};
    for (int i = 0; i < 5; i++) {
        for (int without = 0; without < 2; without++) {
            const unsigned flags = without ? 0 : LOFT_RANDOM;
            fill[without].value[fill[without].count++] = time_fill(flags);
            for (int access = 0; access < 3; access++) {
                region_series *s = &touch[access][without];
                s->value[s->count++] = time_access(flags, (enum access)access);
            }
        }
    }
    show_pair("fill a new file in order and sync", &fill[0], &fill[1]);
    for (int access = 0; access < 3; access++) {
        show_pair(names[access], &touch[access][0], &touch[access][1]);
    }
    MUST(unlink(path) == 0);
}

void region_random(const char *file)
{
    path = file;
    measure_random_stores();
    measure_sequential();
}
