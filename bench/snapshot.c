/* What a snapshot costs beside cp and a flush, and what it costs a mutator.
 *
 *     snapshot [--quick] [--json FILE] [--svg FILE] [FOLDER]    files go to FOLDER, else TMPDIR, else /tmp
 *
 * Competitors alternate in one run: loft_arena_snapshot; cp --reflink=never and fsync; cp --reflink=always and fsync,
 * where the file system can. All copy the same arena at rest and end on the device. Then a thread that mutates
 * while each of them runs, and while nothing runs, in turns with a control that has nothing to do with loft
 * (snapshot_stall.h): what the machine makes a thread wait shows in both. --svg draws these with gnuplot. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "loft/arena.h"
#include "snapshot_stall.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "snapshot: %s: %s, %s\n", #condition, strerror(errno),                 \
                    loft_last_error());                                                            \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

enum { BLOCK_BYTES = 1 << 20, SMALL_MIB = 100, WAYS = 3 };
static const size_t SPARSE_BYTES = (size_t)1 << 40;
static const size_t RESERVE_BYTES = (size_t)5 << 38; /* it and what holds data */

typedef struct options {
    int rounds;
    size_t heap_mib;
    const char *json, *svg, *folder;
} options;

typedef struct results {
    harness_series ways[WAYS]; /* loft, cp, reflink: seconds */
    harness_series plain, sparse, check;
    double check_bytes;
    stall stalls[2][STALL_BESIDE]; /* [mutator, control][loft, cp, nothing] */
    uint64_t held_ns, stored_bytes;
    bool reflink;
} results;

static const char *const way_names[WAYS] = {"loft_arena_snapshot", "cp --reflink=never, fsync",
                                            "cp --reflink=always, fsync"};

static char data_path[4096], copy_path[4096], small_path[4096], sparse_path[4096];

/* --- Work ------------------------------------------------------------------------------------------- */

static loft_arena *arena_make(const char *path, size_t mib, size_t untouched_bytes)
{
    loft_arena *arena = NULL;
    (void)unlink(path);
    const loft_arena_options room = {.struct_bytes = sizeof room, .reserve_bytes = RESERVE_BYTES};
    MUST(loft_arena_open(path, LOFT_CREATE | LOFT_EXCLUSIVE, untouched_bytes > 0 ? &room : NULL,
                         &arena) == 0);
    MUST(untouched_bytes == 0 || loft_arena_malloc(arena, untouched_bytes) != NULL);
    uint64_t random = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < mib; i++) {
        uint64_t *block = loft_arena_malloc(arena, BLOCK_BYTES - 64);
        MUST(block != NULL);
        for (size_t k = 0; k < (BLOCK_BYTES - 64) / sizeof *block; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            block[k] = random;
        }
        MUST(i % 64 != 0 || loft_arena_commit(arena) == 0);
    }
    uint8_t *table = loft_arena_malloc(arena, STALL_TABLE_BYTES);
    MUST(table != NULL && loft_arena_set_root(arena, "table", table) == 0);
    memset(table, 1, STALL_TABLE_BYTES);
    MUST(loft_arena_commit(arena) == 0 && loft_arena_checkpoint(arena) == 0);
    return arena;
}

static bool copy_by_cp(const char *from, const char *reflink)
{
    (void)unlink(copy_path);
    const pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        const int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(nothing, 2);
        (void)execlp("cp", "cp", reflink, from, copy_path, (char *)NULL);
        _exit(127);
    }
    int status = 0;
    MUST(waitpid(child, &status, 0) == child);
    if (status != 0) {
        (void)unlink(copy_path);
        return false;
    }
    const int file = open(copy_path, O_RDWR | O_CLOEXEC);
    MUST(file >= 0 && fsync(file) == 0 && close(file) == 0);
    return true;
}

static void copy_by_loft(loft_arena *arena)
{
    (void)unlink(copy_path);
    MUST(loft_arena_snapshot(arena, copy_path, 0, NULL, NULL) == 0);
}

/* --- Rounds ------------------------------------------------------------------------------------------- */

static void measure_ways(const options *chosen, results *out, loft_arena *arena)
{
    for (int i = -1; i < chosen->rounds; i++) { /* the first only warms up */
        for (int way = 0; way < WAYS; way++) {
            harness_progress("round %d of %d: %s", i + 1, chosen->rounds, way_names[way]);
            const double begin = harness_now();
            bool done = true;
            if (way == 0) {
                copy_by_loft(arena);
            } else {
                done = copy_by_cp(data_path, way == 1 ? "--reflink=never" : "--reflink=always");
            }
            const double took = harness_now() - begin;
            out->reflink = way == 2 ? done : out->reflink;
            if (done && i >= 0) {
                harness_series_add(&out->ways[way], took);
            }
        }
    }
}

/* One round: `who` 0 mutates, 1 is the control; beside what, as stall_beside_names says. */
static void measure_stall(results *out, loft_arena *arena, int who, int beside)
{
    stall_thread thread;
    /* Its pages are committed, so that every store may fault again; and what other rounds wrote is on the device. */
    MUST(loft_arena_commit(arena) == 0);
    sync();
    const double begin = harness_now();
    stall_begin(&thread, &out->stalls[who][beside], arena,
                who == 0 ? loft_arena_root(arena, "table") : NULL);
    if (beside == 0) {
        copy_by_loft(arena);
    } else if (beside == 1) {
        MUST(copy_by_cp(data_path, "--reflink=never"));
    }
    while (harness_now() - begin < 0.5) {
        (void)usleep(10000);
    }
    stall_end(&thread);
}

static void measure_stalls(const options *chosen, results *out, loft_arena *arena)
{
    for (int i = 0; i < chosen->rounds * STALL_BESIDE * 2; i++) {
        const int who = i % 2;
        const int beside = i / 2 % STALL_BESIDE;
        harness_progress("round %d of %d: waits beside %s", i / (2 * STALL_BESIDE) + 1,
                         chosen->rounds, stall_beside_names[beside]);
        measure_stall(out, arena, who, beside);
    }
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    MUST(loft_arena_stats(arena, &stats) == 0);
    out->held_ns = stats.snapshot_held_ns;
}

static void measure_sparse(const options *chosen, results *out)
{
    loft_arena *plain = arena_make(small_path, SMALL_MIB, 0);
    loft_arena *sparse = arena_make(sparse_path, SMALL_MIB, SPARSE_BYTES);
    for (int i = -1; i < chosen->rounds; i++) {
        for (int way = 0; way < 2; way++) {
            harness_progress("round %d of %d: %s", i + 1, chosen->rounds,
                             way == 0 ? "100 MiB" : "100 MiB in a sparse arena");
            const double begin = harness_now();
            copy_by_loft(way == 0 ? plain : sparse);
            if (i >= 0) {
                harness_series_add(way == 0 ? &out->plain : &out->sparse, harness_now() - begin);
            }
        }
    }
    MUST(loft_arena_abandon(plain) == 0 && loft_arena_abandon(sparse) == 0);
}

static void measure_check(const options *chosen, results *out)
{
    struct stat status;
    MUST(stat(data_path, &status) == 0);
    out->check_bytes = (double)status.st_blocks * 512;
    for (int i = -1; i < chosen->rounds; i++) {
        harness_progress("round %d of %d: loft_file_check", i + 1, chosen->rounds);
        const double begin = harness_now();
        MUST(loft_file_check(data_path, NULL, NULL, NULL) == 0);
        if (i >= 0) {
            harness_series_add(&out->check, harness_now() - begin);
        }
    }
}

/* --- Reports ------------------------------------------------------------------------------------------ */

static void print_line(const char *name, const harness_series *series)
{
    if (series->count == 0) {
        printf("  %-32s cannot be had here\n", name);
        return;
    }
    const harness_summary sum = harness_series_summary(series);
    printf("  %-32s %9.1f ms [%.1f .. %.1f], noise %.0f %%\n", name, sum.median * 1e3,
           sum.min * 1e3, sum.max * 1e3, sum.noise * 100);
}

/* Pairs of neighbouring rounds, so that what disturbs one disturbs the other. */
static double ratio_of(const harness_series *a, const harness_series *b)
{
    harness_series ratios = {.count = 0};
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        harness_series_add(&ratios, a->value[i] / b->value[i]);
    }
    return harness_series_summary(&ratios).median;
}

static void print_goal(const char *name, double value, double most, const char *unit)
{
    printf("  %-32s %9.2f %s, at most %.2f: %s\n", name, value, unit, most,
           value <= most ? "yes" : "NO");
}

static void print_results(const options *chosen, results *out)
{
    printf("An arena of %zu MiB, %.0f MB stored; %d rounds in turns\n", chosen->heap_mib,
           (double)out->stored_bytes / 1e6, chosen->rounds);
    for (int way = 0; way < WAYS; way++) {
        print_line(way_names[way], &out->ways[way]);
    }
    print_line("100 MiB", &out->plain);
    print_line("100 MiB in 1 TiB", &out->sparse);
    print_line("loft_file_check", &out->check);
    print_goal("to cp and fsync", ratio_of(&out->ways[0], &out->ways[1]), 1.1, "times");
    print_goal("sparse to not sparse", ratio_of(&out->sparse, &out->plain), 1.1, "times");
    print_goal("gate closed for a snapshot", (double)out->held_ns / 1e6, 1, "ms");
    print_goal("check, seconds for 2 GB",
               harness_series_summary(&out->check).median / out->check_bytes * 2e9, 1, "s");
    stall_print(out->stalls);
    /* A snapshot may not make a mutator wait longer than a millisecond, unless the machine makes the control wait
     * as long then, or the mutator when nothing is copied. */
    double most = 1;
    const stall *const limits[] = {&out->stalls[1][0], &out->stalls[0][STALL_BESIDE - 1]};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        const double limit = harness_series_summary(&limits[i]->longest).median * 1e3;
        most = limit > most ? limit : most;
    }
    print_goal("a mutator's longest wait",
               harness_series_summary(&out->stalls[0][0].longest).median * 1e3, most, "ms");
}

static void write_json(const options *chosen, results *out, const harness_machine *machine)
{
    FILE *file = fopen(chosen->json, "we");
    MUST(file != NULL);
    harness_json json = {.out = file};
    harness_json_open(&json, NULL, '{');
    harness_json_machine(&json, machine);
    harness_json_number(&json, "heap_mib", (double)chosen->heap_mib);
    harness_json_series(&json, "loft_seconds", &out->ways[0]);
    harness_json_series(&json, "cp_seconds", &out->ways[1]);
    harness_json_series(&json, "reflink_seconds", &out->ways[2]);
    harness_json_series(&json, "small_seconds", &out->plain);
    harness_json_series(&json, "sparse_seconds", &out->sparse);
    harness_json_series(&json, "check_seconds", &out->check);
    harness_json_number(&json, "check_bytes", out->check_bytes);
    harness_json_number(&json, "held_ns", (double)out->held_ns);
    stall_json(&json, out->stalls);
    harness_json_close(&json, '}');
    (void)fputc('\n', file);
    MUST(fclose(file) == 0);
}

static void options_take(options *chosen, int count, char **argv)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            chosen->rounds = 3;
            chosen->heap_mib = 128;
        } else if (strcmp(argv[i], "--json") == 0 && i + 1 < count) {
            chosen->json = argv[++i];
        } else if (strcmp(argv[i], "--svg") == 0 && i + 1 < count) {
            chosen->svg = argv[++i];
        } else if (argv[i][0] != '-') {
            chosen->folder = argv[i];
        } else {
            fprintf(stderr, "usage: snapshot [--quick] [--json FILE] [--svg FILE] [FOLDER]\n");
            exit(2);
        }
    }
}

int main(int count, char **argv)
{
    static results out;
    options chosen = {.rounds = 7, .heap_mib = 1024, .folder = getenv("TMPDIR")};
    options_take(&chosen, count, argv);
    const char *folder = chosen.folder != NULL ? chosen.folder : "/tmp";
    const long own = (long)getpid();
    (void)snprintf(data_path, sizeof data_path, "%s/snapshot-%ld.data", folder, own);
    (void)snprintf(copy_path, sizeof copy_path, "%s/snapshot-%ld.copy", folder, own);
    (void)snprintf(small_path, sizeof small_path, "%s/snapshot-%ld.small", folder, own);
    (void)snprintf(sparse_path, sizeof sparse_path, "%s/snapshot-%ld.sparse", folder, own);
    harness_machine machine;
    harness_machine_find(&machine);
    harness_machine_print(&machine, stdout);

    harness_progress("filling an arena");
    loft_arena *arena = arena_make(data_path, chosen.heap_mib, 0);
    loft_arena_info info = {.struct_bytes = sizeof info};
    MUST(loft_arena_describe(arena, &info) == 0);
    out.stored_bytes = info.stored_bytes;
    measure_ways(&chosen, &out, arena);
    measure_stalls(&chosen, &out, arena);
    MUST(loft_arena_close(arena) == 0); /* at rest, as the check is measured */
    measure_check(&chosen, &out);
    measure_sparse(&chosen, &out);
    harness_progress("%s", "");
    print_results(&chosen, &out);
    if (chosen.json != NULL) {
        write_json(&chosen, &out, &machine);
    }
    if (chosen.svg != NULL) {
        if (!stall_draw(chosen.svg, out.stalls)) {
            (void)fputs("snapshot: gnuplot failed, so there is no picture\n", stderr);
        }
    }
    MUST(unlink(data_path) == 0 && unlink(copy_path) == 0);
    MUST(unlink(small_path) == 0 && unlink(sparse_path) == 0);
    return 0;
}
