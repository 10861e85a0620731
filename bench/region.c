/*
 * region.c - what the raw tier costs beside bare system calls, and what LOFT_RANDOM saves and costs.
 *
 * Competitors alternate in one run. What waits for no device is measured in this thread's processor time, which other
 * programs disturb less; the rest by the clock.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loft/region.h"
#include "region_measure.h"

enum { ROUNDS = 41, ROUNDS_QUICK = 9 };

static size_t rounds;
static int repeats; /* calls in a round: some milliseconds */
static char path[4096];

static harness_table calls = {
    .title = "Regions beside system calls",
    .note =
        "Nanoseconds of processor time, where the row has a goal; else by the clock. The floor is the least that the "
        "kernel must be asked for, without a check and without a name for an error.",
};

typedef void work_fn(size_t bytes);

static double time_work(work_fn *work, size_t bytes, int count, clockid_t clock)
{
    const double begin = region_clock_ns(clock);
    for (int i = 0; i < count; i++) {
        work(bytes);
    }
    return (region_clock_ns(clock) - begin) / count;
}

/* goal: the ratio not to exceed; 0: none. */
static void duel(const char *name, work_fn *ours, work_fn *bare, size_t bytes, int count,
                 double goal)
{
    const clockid_t clock = goal > 0 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    harness_row *row = harness_table_row(&calls, "ns", "%s", name);
    row->reference[0] = goal > 0 ? 1 : 0;
    row->reference_loft = goal;
    harness_progress("region: %s", name);
    for (size_t i = 0; i <= rounds; i++) { /* the first round only warms up */
        const double x = time_work(ours, bytes, count, clock);
        const double y = time_work(bare, bytes, count, clock);
        harness_cell_add(&row->cells[0], y, i > 0);
        harness_cell_add(&row->cells[1], x, i > 0);
    }
}

/* --- The competitors ----------------------------------------------------------------------- */

static void ours_malloc(size_t bytes)
{
    void *memory = loft_malloc(bytes);
    MUST(memory != NULL && loft_free(memory) == 0);
}

static void bare_malloc(size_t bytes)
{
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MUST(memory != MAP_FAILED && munmap(memory, bytes) == 0);
}

static void ours_open(unsigned flags)
{
    void *file = loft_open(path, flags, 0, 0, NULL);
    MUST(file != NULL && loft_close(file) == 0);
}

static void bare_open(int mode, int protection, bool sync)
{
    struct stat status;
    const int fd = open(path, mode | O_CLOEXEC);
    MUST(fd >= 0 && fstat(fd, &status) == 0);
    const size_t bytes = (size_t)status.st_size;
    void *file = mmap(NULL, bytes, protection, MAP_SHARED, fd, 0);
    MUST(file != MAP_FAILED);
    MUST(!sync || msync(file, bytes, MS_SYNC) == 0);
    MUST(munmap(file, bytes) == 0 && close(fd) == 0);
}

static void ours_open_read(size_t bytes)
{
    (void)bytes;
    ours_open(LOFT_READ);
}

static void bare_open_read(size_t bytes)
{
    (void)bytes;
    bare_open(O_RDONLY, PROT_READ, false);
}

static void ours_open_async(size_t bytes)
{
    (void)bytes;
    ours_open(LOFT_WRITE | LOFT_ASYNC);
}

static void bare_open_async(size_t bytes)
{
    (void)bytes;
    bare_open(O_RDWR, PROT_READ | PROT_WRITE, false);
}

static void ours_open_write(size_t bytes)
{
    (void)bytes;
    ours_open(LOFT_WRITE);
}

static void bare_open_write(size_t bytes)
{
    (void)bytes;
    bare_open(O_RDWR, PROT_READ | PROT_WRITE, true);
}

static void ours_create(size_t bytes, unsigned flags)
{
    char *file = loft_create(path, bytes, flags);
    MUST(file != NULL);
    file[0] = 1;
    MUST(loft_close(file) == 0 && unlink(path) == 0);
}

static void bare_create(size_t bytes, bool sync)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    MUST(fd >= 0 && ftruncate(fd, (off_t)bytes) == 0);
    char *file = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    MUST(file != MAP_FAILED);
    file[0] = 1;
    MUST(!sync || msync(file, bytes, MS_SYNC) == 0);
    MUST(munmap(file, bytes) == 0 && close(fd) == 0 && unlink(path) == 0);
}

static void ours_create_sync(size_t bytes) { ours_create(bytes, 0); }

static void bare_create_sync(size_t bytes) { bare_create(bytes, true); }

static void ours_create_async(size_t bytes) { ours_create(bytes, LOFT_ASYNC); }

static void bare_create_async(size_t bytes) { bare_create(bytes, false); }

static void *asked;

static void ours_query(size_t bytes)
{
    loft_region_info info = LOFT_REGION_INFO_INIT;
    MUST(loft_region_query((char *)asked + bytes, &info) == 0);
}

static void bare_query(size_t bytes)
{
    (void)bytes;
    MUST(getppid() > 0); /* the cheapest system call, for scale */
}

static void compare_with_system_calls(void)
{
    (void)harness_table_column(&calls, "floor", "system calls alone", HARNESS_FLOOR);
    (void)harness_table_column(&calls, "loft", "loft's regions", HARNESS_LOFT);
    duel("malloc+free, 4 KiB untouched", ours_malloc, bare_malloc, 4096, repeats, 1.3);
    duel("malloc+free, 64 KiB untouched", ours_malloc, bare_malloc, 65536, repeats, 1.3);
    duel("malloc+free, 1 GiB untouched", ours_malloc, bare_malloc, (size_t)1 << 30, repeats, 1.3);
    char *file = loft_create(path, 4096, LOFT_TRUNCATE);
    MUST(file != NULL);
    file[0] = 1;
    MUST(loft_close(file) == 0);
    duel("open+close, 4 KiB, read", ours_open_read, bare_open_read, 0, repeats, 1.3);
    duel("open+close, 4 KiB, LOFT_WRITE|LOFT_ASYNC", ours_open_async, bare_open_async, 0, repeats,
         1.3);
    duel("open+close, 4 KiB, LOFT_WRITE / msync", ours_open_write, bare_open_write, 0, repeats / 20,
         0);
    MUST(unlink(path) == 0);
    duel("create+store+close, 4 KiB, LOFT_ASYNC", ours_create_async, bare_create_async, 4096,
         repeats / 4, 0);
    duel("create+store+close, 4 KiB / msync", ours_create_sync, bare_create_sync, 4096,
         repeats / 40, 0);
    enum { LIVE = 50000 };
    static void *live[LIVE];
    for (int i = 0; i < LIVE; i++) {
        live[i] = loft_malloc(4096);
        MUST(live[i] != NULL);
    }
    asked = live[LIVE / 3];
    duel("malloc+free, 64 KiB, 50,000 regions live", ours_malloc, bare_malloc, 65536, repeats, 1.3);
    duel("query, 50,000 regions live / getppid", ours_query, bare_query, 5, repeats * 20, 0);
    for (int i = 0; i < LIVE; i++) {
        MUST(loft_free(live[i]) == 0);
    }
}

int main(int argc, char **argv)
{
    const harness_options options = harness_options_read(
        argc, argv, ROUNDS, ROUNDS_QUICK,
        "usage: region [--quick] [--rounds N] [--json FILE] [--directory DIR]\n");
    harness_machine machine;
    harness_machine_find(&machine);
    rounds = options.rounds;
    repeats = options.quick ? 400 : 1000;
    (void)snprintf(path, sizeof path, "%s/bench-%ld-region", options.directory, (long)getpid());
    compare_with_system_calls();
    const harness_table *const tables[] = {&calls, region_random_stores(path),
                                           region_random_access(path)};
    return harness_conclude("region", &options, &machine, tables, 3);
}
