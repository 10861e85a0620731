/* What the raw tier costs beside bare system calls, and what LOFT_RANDOM saves and costs.
 *
 *     region [--quick] [FOLDER]      files go to FOLDER, else to TMPDIR, else to /tmp
 *
 * Competitors alternate in one run; a line shows the median of the rounds with the least and the
 * most, and the ratio of the medians. What waits for no device is measured in this thread's
 * processor time, which other programs disturb less; the rest by the clock. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "loft/region.h"
#include "region_device.h"

enum { ROUNDS_MAX = 41 };

static int rounds = 41;    /* odd, so that the median is one of them */
static int repeats = 1000; /* calls in a round: some milliseconds */
static char path[4096];

static void die(const char *what)
{
    fprintf(stderr, "region: %s: %s\n", what, loft_last_error());
    perror("region");
    exit(2);
}

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            die(#condition);                                                                       \
        }                                                                                          \
    } while (0)

static double clock_ns(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

/* --- Rounds and medians -------------------------------------------------------------------- */

typedef struct series {
    double value[ROUNDS_MAX];
    int count;
} series;

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(series *s)
{
    qsort(s->value, (size_t)s->count, sizeof s->value[0], compare);
    return s->value[s->count / 2];
}

typedef void work_fn(size_t bytes);

static double time_work(work_fn *work, size_t bytes, int count, clockid_t clock)
{
    const double begin = clock_ns(clock);
    for (int i = 0; i < count; i++) {
        work(bytes);
    }
    return (clock_ns(clock) - begin) / count;
}

/* goal: the ratio not to exceed; 0: none. */
static void duel(const char *name, work_fn *ours, work_fn *bare, size_t bytes, int count,
                 double goal)
{
    const clockid_t clock = goal > 0 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    series a = {.count = 0}, b = {.count = 0};
    for (int i = -1; i < rounds; i++) { /* the first round only warms up */
        const double x = time_work(ours, bytes, count, clock);
        const double y = time_work(bare, bytes, count, clock);
        if (i >= 0) {
            a.value[a.count++] = x;
            b.value[b.count++] = y;
        }
    }
    const double x = median(&a), y = median(&b);
    printf("%-44s %9.0f [%7.0f %7.0f] %9.0f [%7.0f %7.0f] %6.2f", name, x, a.value[0],
           a.value[a.count - 1], y, b.value[0], b.value[b.count - 1], x / y);
    if (goal > 0) {
        printf("  at most %.2f: %s", goal, x / y <= goal ? "yes" : "NO");
    }
    printf("\n");
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
    printf("%-44s %27s %27s %6s\n", "ns, median [least most]", "loft", "system calls", "ratio");
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

/* --- LOFT_RANDOM --------------------------------------------------------------------------- */

#define RANDOM_BYTES     ((size_t)64 << 20)
#define SEQUENTIAL_BYTES ((size_t)256 << 20)

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
    for (size_t i = 0; i < 9; i++) {
        const struct timespec rest = {0, 20000000}; /* let the journal of the last try end */
        (void)nanosleep(&rest, NULL);
        const uint64_t before = region_device_written(device);
        file[i * 7000003 + 12345]++;
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
    const double begin = now_ns();
    memset(file, 1, SEQUENTIAL_BYTES);
    MUST(loft_sync(file, 0, 0, 0) == 0);
    const double ns = now_ns() - begin;
    MUST(loft_close(file) == 0);
    return ns / 1e6;
}

/* A file that is not cached, read so: every byte in order, or one byte of pages here and there. */
static double time_read(unsigned flags, bool in_order)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    MUST(fd >= 0 && posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0 && close(fd) == 0);
    const unsigned char *file = loft_open(path, flags, 0, 0, NULL);
    MUST(file != NULL);
    volatile uint64_t sum = 0;
    const double begin = now_ns();
    if (in_order) {
        for (size_t i = 0; i < SEQUENTIAL_BYTES; i += 64) {
            sum = sum + file[i];
        }
    } else {
        for (size_t i = 0; i < 1000; i++) {
            sum = sum + file[(i * 40503 + 7) % 65536 * (SEQUENTIAL_BYTES / 65536)];
        }
    }
    const double ns = now_ns() - begin;
    MUST(loft_close((void *)(uintptr_t)file) == 0);
    return ns / 1e6;
}

static void show_pair(const char *name, series *with, series *without)
{
    const double x = median(with), y = median(without);
    printf("%-44s %9.1f [%7.1f %7.1f] %9.1f [%7.1f %7.1f] %6.2f\n", name, x, with->value[0],
           with->value[with->count - 1], y, without->value[0], without->value[without->count - 1],
           x / y);
}

static void measure_sequential(void)
{
    printf("\n%-44s %27s %27s %6s\n", "ms, median [least most], 256 MiB", "LOFT_RANDOM", "without",
           "ratio");
    series fill[2] = {{.count = 0}}, read[2] = {{.count = 0}}, pick[2] = {{.count = 0}};
    for (int i = 0; i < 5; i++) {
        for (int without = 0; without < 2; without++) {
            const unsigned flags = without ? 0 : LOFT_RANDOM;
            fill[without].value[fill[without].count++] = time_fill(flags);
            read[without].value[read[without].count++] = time_read(flags, true);
            pick[without].value[pick[without].count++] = time_read(flags, false);
        }
    }
    show_pair("fill in order and sync", &fill[0], &fill[1]);
    show_pair("read in order, not cached", &read[0], &read[1]);
    show_pair("read 1,000 scattered pages, not cached", &pick[0], &pick[1]);
    MUST(unlink(path) == 0);
}

int main(int argc, char **argv)
{
    const char *folder = getenv("TMPDIR");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            rounds = 9;
            repeats = 400;
        } else if (argv[i][0] == '-') {
            printf("usage: region [--quick] [FOLDER]\n");
            return strcmp(argv[i], "--help") == 0 ? 0 : 2;
        } else {
            folder = argv[i];
        }
    }
    (void)snprintf(path, sizeof path, "%s/loft-bench-region-%ld", folder ? folder : "/tmp",
                   (long)getpid());
    compare_with_system_calls();
    measure_random_stores();
    measure_sequential();
    return 0;
}
