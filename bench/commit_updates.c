/*
 * commit_updates.c - K random updates of a table, then one commit: every store in turns.
 *
 * A turn is TURN_ROUNDS rounds of one store. The first is not counted: it finds caches and free memory as the other
 * stores left them, which a program that keeps to one store never does.
 *
 * Before each round the store's own upkeep is done (rest), unmeasured; then the clock and the device's
 * counter are read, the updates made and committed, and both read again. What others write to the device
 * meanwhile counts, too: so the figure for bytes is the lower quartile of the rounds, that for time the median.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "commit_run.h"
#include "region_device.h"

enum { STEPS = 6, STORES_MAX = TABLE_COLUMNS, TURN_ROUNDS = 4 };
static const size_t step_updates[STEPS] = {1, 10, 100, 1000, 10000, 100000};
/* The reference run's goals for loft. */
static const double loft_ms[STEPS] = {0.20, 0.25, 0.6, 3, 25, 150};
static const double loft_kb[STEPS] = {8, 8, 24, 110, 950, 9400};

#define TABLE_VALUES ((uint64_t)256 * COMMIT_MIB / COMMIT_VALUE_BYTES)

/* A competitor stops for the step after it had so many seconds; and a step that would take it
 * much longer for one round (going by the last, ten times over) it is spared. */
#define BUDGET_SECONDS       20.0
#define BUDGET_SECONDS_QUICK 3.0
#define PATIENCE             4.0

typedef struct contest {
    const commit_store *stores[STORES_MAX];
    void *states[STORES_MAX]; /* NULL: does not take part (any more) */
    double spent[STORES_MAX]; /* seconds, in this step */
    size_t count;
    region_device device;
    bool has_device;
    uint64_t random, value_random;
    uint64_t *idx; /* of each round of a turn */
    double budget;
} contest;

static uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x;
}

/* For every round of a turn: all stores get the same. */
static void pick_values(contest *all, size_t count)
{
    for (size_t i = 0; i < TURN_ROUNDS * count; i++) {
        all->idx[i] = (next_random(&all->random) >> 16) % TABLE_VALUES;
    }
}

static void find_device(contest *all, harness_table *table, const char *folder)
{
    static char note[900];
    char reason[160] = "";
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    all->has_device = fd >= 0 && region_device_find(&all->device, fd, reason, sizeof reason);
    if (fd >= 0) {
        (void)close(fd);
    }
    if (!all->has_device) {
        (void)snprintf(note, sizeof note, "%s Bytes written are not measured: %s.", table->note,
                       reason);
        table->note = note;
    }
}

static void open_stores(contest *all, harness_table *table, const harness_options *options)
{
    all->count = (size_t)(__stop_commit_stores - __start_commit_stores);
    for (size_t i = 0; i < all->count; i++) {
        const commit_store *store = __start_commit_stores[i];
        harness_column *column = harness_table_column(table, store->name, store->what, store->kind);
        all->stores[i] = store;
        harness_package_version(store->package, column->version, sizeof column->version);
        if (store->absent != NULL) {
            (void)snprintf(column->absent, sizeof column->absent, "%s", store->absent);
            continue;
        }
        harness_progress("commit: %s makes its table", store->name);
        all->states[i] = store->open(store, options->directory, TABLE_VALUES);
        if (all->states[i] == NULL) {
            (void)snprintf(column->absent, sizeof column->absent, "its table could not be made");
        }
    }
    sync();
}

/* One update-and-commit of one store; seconds, less than 0 if it failed. */
static double one_round(contest *all, size_t i, const uint64_t *idx, size_t updates,
                        uint64_t *device_bytes)
{
    static unsigned char value[COMMIT_VALUE_BYTES];
    /* Every byte another: a store that writes only what differs must not gain by it. */
    for (size_t at = 0; at < sizeof value; at++) {
        value[at] = (unsigned char)(next_random(&all->value_random) >> 32);
    }
    if (all->stores[i]->rest != NULL) {
        all->stores[i]->rest(all->states[i]);
    }
    const uint64_t before = all->has_device ? region_device_written(&all->device) : 0;
    const double begin = harness_now();
    const bool good = all->stores[i]->commit(all->states[i], idx, updates, value);
    const double seconds = harness_now() - begin;
    *device_bytes = all->has_device ? region_device_written(&all->device) - before : 0;
    return good ? seconds : -1;
}

static void take_round(contest *all, size_t i, size_t round, size_t updates, harness_cell *ms,
                       harness_cell *kb)
{
    uint64_t bytes = 0;
    const double seconds = one_round(all, i, all->idx + round * updates, updates, &bytes);
    if (seconds < 0) {
        (void)snprintf(ms->missing, sizeof ms->missing, "it failed and dropped out");
        all->stores[i]->close(all->states[i]);
        all->states[i] = NULL;
        return;
    }
    all->spent[i] += seconds;
    if (round > 0 || seconds > all->budget) {
        harness_series_add(&ms->series, seconds * 1e3);
        if (all->has_device) {
            harness_series_add(&kb->series, (double)bytes / 1024);
        }
    } else {
        harness_cell_add(ms, seconds * 1e3, false);
    }
}

/* Blocks of the files that a store has, in the end. */
static void count_blocks(const contest *all, harness_row *row, const char *folder)
{
    for (size_t i = 0; i < all->count; i++) {
        struct stat status;
        double bytes = 0;
        for (size_t part = 0; all->states[i] != NULL && part < 2; part++) {
            char name[64];
            (void)snprintf(name, sizeof name, "%s%s", all->stores[i]->file,
                           part == 0 ? "" : "-wal");
            char *path = commit_path(folder, name);
            bytes += stat(path, &status) == 0 ? (double)status.st_blocks * 512 : 0;
            free(path);
        }
        if (bytes > 0) {
            harness_series_add(&row->cells[i].series, bytes / (double)COMMIT_MIB);
        }
    }
}

static void set_references(const contest *all, size_t step, harness_row *ms, harness_row *kb)
{
    ms->reference_loft = loft_ms[step];
    kb->goal = loft_kb[step]; /* bytes, unlike times, carry over to other machines */
    for (size_t i = 0; i < all->count; i++) {
        ms->reference[i] = all->stores[i]->reference_ms[step];
        kb->reference[i] = all->stores[i]->reference_kb[step];
    }
    ms->plot = "milliseconds of an update-and-commit";
    kb->plot = "KB written to the device";
    ms->x = kb->x = (double)step_updates[step];
    kb->is_low = true;
}

/* Would a round of this step take the store far longer than it may? */
static bool is_spared(const contest *all, size_t i, const harness_row *last, harness_cell *cell)
{
    const double expected = last == NULL ? 0 : harness_row_figure(last, i) / 1e3 * 10;
    if (expected <= all->budget * PATIENCE) {
        return false;
    }
    (void)snprintf(cell->missing, sizeof cell->missing,
                   "not measured: one commit would take some %.0f s", expected);
    return true;
}

static void measure_step(contest *all, const harness_options *options, size_t step,
                         const harness_row *last, harness_row *ms, harness_row *kb)
{
    const size_t updates = step_updates[step];
    bool spared[STORES_MAX] = {false};
    for (size_t i = 0; i < all->count; i++) {
        all->spent[i] = 0;
        spared[i] = all->states[i] != NULL && is_spared(all, i, last, &ms->cells[i]);
    }
    for (size_t turn = 0; turn * (TURN_ROUNDS - 1) < options->rounds; turn++) {
        pick_values(all, updates);
        for (size_t i = 0; i < all->count; i++) {
            harness_progress("commit: K = %zu, turn %zu of %zu rounds, %s", updates, turn + 1,
                             options->rounds, all->stores[i]->name);
            for (size_t round = 0; round < TURN_ROUNDS && !spared[i] && all->states[i] != NULL &&
                                   all->spent[i] <= all->budget;
                 round++) {
                take_round(all, i, round, updates, &ms->cells[i], &kb->cells[i]);
            }
        }
    }
}

void commit_measure_updates(harness_table *table, const harness_options *options)
{
    contest all = {.random = 88172645463325252,
                   .value_random = 2463534242,
                   .budget = options->quick ? BUDGET_SECONDS_QUICK : BUDGET_SECONDS};
    harness_row *ms[STEPS], *kb[STEPS];
    find_device(&all, table, options->directory);
    all.idx = calloc(TURN_ROUNDS * step_updates[STEPS - 1], sizeof *all.idx);
    open_stores(&all, table, options);
    for (size_t step = 0; step < STEPS; step++) {
        ms[step] = harness_table_row(table, "ms", "K = %zu", step_updates[step]);
    }
    for (size_t step = 0; step < STEPS; step++) {
        kb[step] = harness_table_row(table, "KB", "K = %zu", step_updates[step]);
        set_references(&all, step, ms[step], kb[step]);
        measure_step(&all, options, step, step > 0 ? ms[step - 1] : NULL, ms[step], kb[step]);
    }
    count_blocks(&all, harness_table_row(table, "MiB", "blocks of the files, in the end"),
                 options->directory);
    for (size_t i = 0; i < all.count; i++) {
        if (all.states[i] != NULL) {
            all.stores[i]->close(all.states[i]);
        }
    }
    free(all.idx);
}
