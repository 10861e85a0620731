/* The verdict on one state: recovery, once more, further commits, crashes inside recovery; and
 * the shrinking of a violation. See enumerate.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/explore.h"
#include "crash/salts.h"

enum {
    VERDICT_NESTED_STATES = 512,
    VERDICT_TRIALS = 4000, /* of shrinking; each is one recovery */
    VERDICT_SHOWN = 24,    /* units that a report lists */
    VERDICT_PROBES = 64,   /* places of the set that a key may lie from its own */
    VERDICT_AUDIT_EVERY = 64,
    /* Roots of salts; whoever recorded the log took another one. */
    VERDICT_SALTS = 1,
    VERDICT_SALTS_NESTED = 2
};

/* Returns: whether the key was not there. A full neighbourhood counts as "not there". */
static bool set_insert(crash_shared *shared, uint64_t key)
{
    key = key != 0 ? key : 1;
    for (uint64_t i = 0; i < VERDICT_PROBES; i++) {
        _Atomic uint64_t *place = &shared->set[(key + i) & shared->set_mask];
        uint64_t found = atomic_load_explicit(place, memory_order_relaxed);
        if (found == 0 && atomic_compare_exchange_strong(place, &found, key)) {
            return true;
        }
        if (found == key) {
            return false;
        }
    }
    return true;
}

/* Equal for equal images, also among those that crashes inside recoveries leave. */
static uint64_t image_key(const crash_explorer *explorer, uint64_t outside)
{
    return crash_walk_key(explorer->walk) ^ crash_mix(outside) ^ explorer->salt;
}

/* The same image may have to hold other commits at another point. */
static uint64_t state_key(const crash_explorer *explorer, uint64_t key)
{
    return crash_mix(crash_mix(key + crash_mix(explorer->low + 0x1000)) + explorer->high);
}

__attribute__((format(printf, 2, 3))) static int wrong(char *why, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(why, CRASH_WHY_BYTES, format, arguments);
    va_end(arguments);
    return -1;
}

/* The commit that was found is one that may be. */
static int check_commit(const crash_explorer *explorer, int64_t commit, char *why)
{
    return (uint64_t)commit >= explorer->low && (uint64_t)commit <= explorer->high
               ? 0
               : wrong(why, "recovered commit %lld, not in [%llu, %llu]", (long long)commit,
                       (unsigned long long)explorer->low, (unsigned long long)explorer->high);
}

/* What follows a recovery that has found `commit`: the same again, and a life after it. */
static int check_after(const crash_explorer *explorer, int64_t commit, char *why)
{
    const crash_scenario *scenario = explorer->scenario;
    const lofti_file_ops *ops = image_ops(explorer->walk->image);
    if (commit < 0 || check_commit(explorer, commit, why) != 0) {
        return -1;
    }
    /* A recovery that has changed nothing would do the same again. */
    const int64_t again = image_changes(explorer->walk->image) == 0
                              ? commit
                              : scenario->recover(scenario->context, ops, why);
    if (again < 0) {
        return -1;
    }
    if (again != commit) {
        return wrong(why, "recovered commit %lld, and %lld when recovering again",
                     (long long)commit, (long long)again);
    }
    if (scenario->go_on != NULL &&
        scenario->go_on(scenario->context, ops, (uint64_t)commit, why) != 0) {
        return -1;
    }
    return image_handles(explorer->walk->image) == 0 ? 0
                                                     : wrong(why, "recovery has left a file open");
}

/* All of recovery, on the image as it stands. Returns: the commit, or -1. */
static int64_t check_image(const crash_explorer *explorer, char *why)
{
    const crash_scenario *scenario = explorer->scenario;
    const int64_t commit =
        scenario->recover(scenario->context, image_ops(explorer->walk->image), why);
    return check_after(explorer, commit, why) == 0 ? commit : -1;
}

static void image_prepare(const crash_explorer *explorer)
{
    crash_salts_begin(explorer->nested ? VERDICT_SALTS_NESTED : VERDICT_SALTS);
    image_begin(explorer->walk->image);
    for (uint32_t i = 0; i < explorer->torn_count; i++) {
        crash_walk_tear(explorer->walk, explorer->torn[i].index, explorer->torn[i].tear);
    }
}

static int check_state(const crash_explorer *explorer, char *why)
{
    why[0] = '\0';
    image_prepare(explorer);
    const int64_t commit = check_image(explorer, why);
    image_undo(explorer->walk->image);
    return commit < 0 ? -1 : 0;
}

/* --- Images alike ---------------------------------------------------------------------------------- */

/* Runs the rest of a recovery that has opened the image, and remembers what it found and where it looked. */
static int64_t finish_watched(const crash_explorer *explorer, uint64_t opened, char *why)
{
    const crash_scenario *scenario = explorer->scenario;
    const crash_plan *plan = explorer->walk->plan;
    image_trace_begin(explorer->walk->image);
    const int64_t commit = scenario->finish(scenario->context, why);
    const int result = check_after(explorer, commit, why);
    size_t count = 0;
    const image_sector *read = image_trace_end(explorer->walk->image, &count);
    if (result != 0) {
        return -1;
    }
    uint32_t *sectors = malloc((count + 1) * sizeof *sectors);
    size_t kept = 0;
    for (size_t i = 0; i < count && sectors != NULL; i++) {
        const uint32_t sector = crash_plan_sector(plan, read[i].node, read[i].number);
        if (sector != CRASH_NONE) { /* the others are the same in every image */
            sectors[kept++] = sector;
        }
    }
    if (sectors != NULL) {
        crash_memo_add(explorer->memo, opened, sectors, kept, explorer->walk->hashes, commit);
    }
    free(sectors);
    return commit;
}

/* The image is known: only the commit is looked at, but for every 64th, which is recovered all the same. */
static int64_t known_commit(crash_explorer *explorer, int64_t known, char *why)
{
    const crash_scenario *scenario = explorer->scenario;
    if (crash_mix(explorer->status->beats) % VERDICT_AUDIT_EVERY == 0) {
        const int64_t commit = scenario->finish(scenario->context, why);
        if (check_after(explorer, commit, why) != 0) {
            return -1;
        }
        if (commit != known) {
            fprintf(stderr, "crash memo: recovered commit %lld, but %lld from an image alike\n",
                    (long long)commit, (long long)known);
            abort();
        }
        return commit;
    }
    scenario->drop(scenario->context);
    explorer->alike = true;
    return check_commit(explorer, known, why) == 0 ? known : -1;
}

/* As check_image, with less work where the image is like one that went well. */
static int64_t check_quickly(crash_explorer *explorer, uint64_t outside, char *why)
{
    const crash_scenario *scenario = explorer->scenario;
    uint64_t opened = 0;
    why[0] = '\0';
    if (explorer->memo != NULL) {
        opened = scenario->open(scenario->context, image_ops(explorer->walk->image));
    }
    if (opened == 0) {
        return check_image(explorer, why);
    }
    opened = crash_mix(opened ^ crash_mix(crash_walk_shape(explorer->walk) ^ outside));
    const int64_t known = crash_memo_find(explorer->memo, opened, explorer->walk->hashes);
    return known >= 0 ? known_commit(explorer, known, why) : finish_watched(explorer, opened, why);
}

/* --- Shrinking --------------------------------------------------------------------------------- */

static void choose_mask(crash_explorer *explorer, const uint8_t *mask)
{
    for (uint32_t i = 0; i < explorer->walk->pending_count; i++) {
        crash_walk_choose(explorer->walk, i, mask[i] != 0);
    }
}

static bool still_wrong(crash_explorer *explorer, const uint8_t *mask, uint32_t *trials)
{
    char why[CRASH_WHY_BYTES];
    if (*trials == 0) {
        return false;
    }
    --*trials;
    choose_mask(explorer, mask);
    atomic_fetch_add(&explorer->status->beats, 1);
    return check_state(explorer, why) != 0;
}

static void shrink_torn(crash_explorer *explorer, const uint8_t *mask, uint32_t *trials)
{
    for (uint32_t i = 0; i < explorer->torn_count;) {
        const crash_torn torn = explorer->torn[i];
        explorer->torn[i] = explorer->torn[--explorer->torn_count];
        if (!still_wrong(explorer, mask, trials)) {
            explorer->torn[explorer->torn_count++] = explorer->torn[i];
            explorer->torn[i++] = torn;
        }
    }
}

/* Brings as many units as possible to `value`, in pieces that get smaller. Returns: how many are
 * left that are not. */
static uint32_t shrink_toward(crash_explorer *explorer, uint8_t *mask, uint8_t value,
                              uint32_t *trials)
{
    const uint32_t count = explorer->walk->pending_count;
    uint8_t *trial = malloc(count + 1);
    for (uint32_t piece = count; piece > 0 && trial != NULL;
         piece = piece == 1 ? 0 : (piece + 1) / 2) {
        for (uint32_t first = 0; first < count; first += piece) {
            const uint32_t bytes = count - first < piece ? count - first : piece;
            memcpy(trial, mask, count);
            memset(trial + first, value, bytes);
            if (memcmp(trial, mask, count) != 0 && still_wrong(explorer, trial, trials)) {
                memcpy(mask, trial, count);
            }
        }
    }
    free(trial);
    uint32_t left = 0;
    for (uint32_t i = 0; i < count; i++) {
        left += mask[i] != value;
    }
    return left;
}

static void add_text(crash_shared *shared, size_t *used, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_text(crash_shared *shared, size_t *used, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int added =
        vsnprintf(shared->text + *used, sizeof shared->text - *used, format, arguments);
    va_end(arguments);
    if (added > 0) {
        *used += (size_t)added < sizeof shared->text - *used ? (size_t)added
                                                             : sizeof shared->text - *used - 1;
    }
}

/* Which of the pending units are on the disk, and what is torn: those of `mask` that are not as `from_all` has them. */
static void add_state(const crash_explorer *explorer, const uint8_t *mask, bool from_all)
{
    static const char *const tears[CRASH_TEARS] = {
        "first half new, rest garbage", "second half new", "garbage", "garbage in its 4 KiB block"};
    const crash_walk *walk = explorer->walk;
    crash_shared *shared = explorer->shared;
    char line[256];
    size_t used = strlen(shared->text);
    uint32_t shown = 0;
    for (uint32_t i = 0; i < walk->pending_count; i++) {
        shown += (mask[i] != 0) != from_all;
    }
    add_text(shared, &used, "  of %u pending units %s on the disk%s\n", walk->pending_count,
             shown == 0 && from_all ? "all are"
             : shown == 0           ? "none is"
             : from_all             ? "all but these are"
                                    : "only these are",
             shown == 0 ? "" : ":");
    shown = 0;
    for (uint32_t i = 0; i < walk->pending_count; i++) {
        if ((mask[i] != 0) != from_all && shown++ < VERDICT_SHOWN) {
            crash_walk_describe(walk, i, line, sizeof line);
            add_text(shared, &used, "    %u: %s\n", i, line);
        }
    }
    if (shown > VERDICT_SHOWN) {
        add_text(shared, &used, "    and %u more\n", shown - VERDICT_SHOWN);
    }
    for (uint32_t i = 0; i < explorer->torn_count; i++) {
        crash_walk_describe(walk, explorer->torn[i].index, line, sizeof line);
        add_text(shared, &used, "    torn (%s): %u: %s\n", tears[explorer->torn[i].tear],
                 explorer->torn[i].index, line);
    }
}

static void report(crash_explorer *explorer, const uint8_t *mask, bool from_all)
{
    char why[CRASH_WHY_BYTES];
    size_t used = 0;
    choose_mask(explorer, mask);
    (void)check_state(explorer, why);
    add_text(explorer->shared, &used,
             "%s%s: %s\n  crash before operation %u ends, commits [%llu, %llu], seed %llu\n",
             explorer->scenario->name, explorer->nested ? " (crash inside recovery)" : "", why,
             explorer->point->op, (unsigned long long)explorer->low,
             (unsigned long long)explorer->high, (unsigned long long)explorer->options->seed);
    add_state(explorer, mask, from_all);
}

/* A violation inside the recovery of the explorer's state was reported: what that recovery found. */
static void report_outer(const crash_explorer *explorer)
{
    const uint32_t count = explorer->walk->pending_count;
    uint8_t *mask = calloc(1, count + 1);
    if (mask == NULL) {
        abort();
    }
    for (uint32_t i = 0; i < count; i++) {
        mask[i] = crash_walk_is_chosen(explorer->walk, i);
    }
    size_t used = strlen(explorer->shared->text);
    add_text(explorer->shared, &used, "  the recovery was of a crash before operation %u ends\n",
             explorer->point->op);
    add_state(explorer, mask, false);
    free(mask);
}

static void shrink_and_report(crash_explorer *explorer)
{
    explorer->stopped = true;
    atomic_fetch_add(&explorer->shared->violations, 1);
    if (atomic_exchange(&explorer->shared->reporting, 1) != 0) {
        return;
    }
    explorer->reported = true;
    const uint32_t count = explorer->walk->pending_count;
    uint8_t *few = calloc(2, count + 1);
    if (few == NULL) {
        abort();
    }
    uint8_t *most = few + count + 1;
    for (uint32_t i = 0; i < count; i++) {
        few[i] = most[i] = crash_walk_is_chosen(explorer->walk, i);
    }
    uint32_t trials = VERDICT_TRIALS;
    shrink_torn(explorer, few, &trials);
    const uint32_t there = shrink_toward(explorer, few, 0, &trials);
    trials = VERDICT_TRIALS;
    const uint32_t missing = shrink_toward(explorer, most, 1, &trials);
    const bool from_all = missing < there;
    report(explorer, from_all ? most : few, from_all);
    free(few);
}

/* --- Crashes inside recovery ------------------------------------------------------------------ */

/* Recovers the state under a recording table. Returns: the log's owner, NULL when recovery failed
 * (which the plain check will tell). */
static record_fs *record_recovery(crash_explorer *explorer)
{
    const crash_scenario *scenario = explorer->scenario;
    char why[CRASH_WHY_BYTES];
    image_prepare(explorer);
    record_fs *record = record_fs_create(image_ops(explorer->walk->image));
    record_fs_mark(record, explorer->low, explorer->high);
    const int64_t commit = scenario->recover(scenario->context, record_fs_ops(record), why);
    if (commit >= 0) {
        record_fs_mark(record, (uint64_t)commit, (uint64_t)commit);
    }
    image_undo(explorer->walk->image);
    if (commit < 0) {
        record_fs_destroy(record);
        return NULL;
    }
    return record;
}

static void explore_recovery(crash_explorer *explorer, uint64_t key)
{
    record_fs *record = record_recovery(explorer);
    if (record == NULL) {
        return;
    }
    const crash_options *options = explorer->options;
    crash_plan *plan = crash_plan_build(
        record_fs_log(record), options->coarse_bytes != 0 ? options->coarse_bytes : UINT64_MAX);
    crash_explorer nested = *explorer;
    nested.walk = crash_walk_create(plan);
    nested.memo = explorer->memo != NULL ? crash_memo_create() : NULL;
    nested.salt = key ^ explorer->walk->names_key; /* the key of what its log begins with */
    nested.nested = true;
    nested.torn_count = 0;
    const uint64_t states =
        options->nested_states != 0 ? options->nested_states : VERDICT_NESTED_STATES;
    for (uint32_t i = 0; i < plan->point_count && !nested.stopped; i++) {
        const uint64_t share = states / plan->point_count;
        crash_explore_point(&nested, i, share > 1 ? share : 1);
    }
    if (nested.reported) {
        report_outer(explorer);
    }
    explorer->stopped = nested.stopped;
    crash_memo_destroy(nested.memo);
    crash_walk_destroy(nested.walk);
    crash_plan_destroy(plan);
    record_fs_destroy(record);
}

static void count_state(const crash_explorer *explorer, bool is_new)
{
    crash_shared *shared = explorer->shared;
    atomic_fetch_add_explicit(is_new ? &shared->states : &shared->duplicates, 1,
                              memory_order_relaxed);
    if (is_new && explorer->nested) {
        atomic_fetch_add_explicit(&shared->nested, 1, memory_order_relaxed);
    }
    if (is_new && explorer->alike) {
        atomic_fetch_add_explicit(&shared->alike, 1, memory_order_relaxed);
    }
}

/* Hashes and key follow what was garbled, or (false) come back. */
static uint64_t torn_hash(crash_explorer *explorer, bool torn)
{
    uint64_t outside = 0;
    for (uint32_t i = 0; i < explorer->torn_count; i++) {
        const crash_torn *unit = &explorer->torn[i];
        outside = crash_mix(outside +
                            crash_walk_hash_torn(explorer->walk, unit->index, unit->tear, torn));
    }
    return outside;
}

void crash_verdict_try(crash_explorer *explorer)
{
    char why[CRASH_WHY_BYTES];
    int64_t commit = 0;
    image_prepare(explorer);
    const uint64_t outside = torn_hash(explorer, true);
    const uint64_t key = image_key(explorer, outside);
    const uint64_t state = state_key(explorer, key);
    const bool is_new_state = set_insert(explorer->shared, state);
    explorer->alike = false;
    if (is_new_state) {
        explorer->status->ordinal = explorer->tried;
        atomic_fetch_add_explicit(&explorer->status->beats, 1, memory_order_relaxed);
        commit = check_quickly(explorer, outside, why);
    }
    count_state(explorer, is_new_state && set_insert(explorer->shared, key));
    image_undo(explorer->walk->image);
    (void)torn_hash(explorer, false);
    if (commit < 0) {
        shrink_and_report(explorer);
    } else if (is_new_state && !explorer->nested && explorer->options->nested_every != 0 &&
               state % explorer->options->nested_every == 0) {
        explore_recovery(explorer, key);
        explorer->status->point = explorer->point->op;
    }
}
