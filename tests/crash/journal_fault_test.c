/* Planted protocol faults of the journal that need no change of its code: every flush of every
 * scenario left out, and swapped with its neighbours. What a flush is for is told by what was
 * written last before it; for every purpose the fault must be caught. That not each single one is
 * has good reasons, which docs/durability.md gives: the renewal of a superblock that is on the disk
 * already is needed after a failed flush only, and a seal only where deltas meet a torn page. */
#include <stdio.h>

#include "crash/journal_world.h"
#include "crash/map_pool.h"
#include "crash/mutant.h"
#include "format/super.h"
#include "support/test.h"

/* Hundreds of small enumerations: forking would take longer than they do. */
enum { FAULT_WORKERS = 0 };

enum purpose {
    PURPOSE_CREATE, /* the new store's content */
    PURPOSE_NAME,   /* the new store's name */
    PURPOSE_SUPER,
    PURPOSE_APPEND, /* commits, seals, copies */
    PURPOSE_COMMIT, /* appends after which a commit returns */
    PURPOSE_APPLY,
    PURPOSES
};
static const char *const purpose_names[PURPOSES] = {"new store",    "new name", "superblock",
                                                    "seal or copy", "commit",   "apply"};

enum change { CHANGE_DROPPED, CHANGE_EARLIER, CHANGE_LATER, CHANGES };
static const char *const change_names[CHANGES] = {"left out", "before its last write",
                                                  "after the next write"};

static crash_result result; /* large */
static unsigned tried[PURPOSES][CHANGES], caught[PURPOSES][CHANGES];

static enum purpose purpose_of(const record_log *log, size_t flush)
{
    if (log->ops[flush].kind == RECORD_SYNC_FOLDER) {
        return PURPOSE_NAME;
    }
    size_t write = flush;
    while (write > 0 && log->ops[write].kind != RECORD_WRITE) {
        write--;
    }
    const uint64_t off = log->ops[write].off;
    if (write == 0 || log->ops[flush + 1].kind == RECORD_LINK) {
        return PURPOSE_CREATE;
    }
    if (off < (uint64_t)LOFTI_SUPER_SLOTS * LOFTI_SUPER_BYTES) {
        return PURPOSE_SUPER;
    }
    if (off >= LOFTI_HEAP_OFF) {
        return PURPOSE_APPLY;
    }
    const bool returns = flush + 1 < log->count && log->ops[flush + 1].kind == RECORD_MARK;
    return returns ? PURPOSE_COMMIT : PURPOSE_APPEND;
}

static bool plant(crash_mutant *mutant, size_t flush, enum change change)
{
    switch (change) {
    case CHANGE_DROPPED: crash_mutant_drop(mutant, flush); return true;
    case CHANGE_EARLIER: return crash_mutant_swap_back(mutant, flush);
    default: return crash_mutant_swap_on(mutant, flush);
    }
}

/* With fewer a fault that must be seen may not be. */
enum { STATES_LEAST = 3000 };

static void try_flush(const record_log *log, const crash_scenario *scenario, size_t flush)
{
    const uint64_t states = loft_test_scale(STATES_LEAST, 30000, 300000);
    const crash_options options = {.states = states < STATES_LEAST ? STATES_LEAST : states,
                                   .seed = 1,
                                   .workers = FAULT_WORKERS,
                                   .random_states = 512,
                                   .coarse_bytes = JOURNAL_COARSE_BYTES};
    const enum purpose purpose = purpose_of(log, flush);
    for (int change = 0; change < CHANGES; change++) {
        crash_mutant mutant;
        crash_mutant_begin(&mutant, log);
        if (plant(&mutant, flush, (enum change)change)) {
            tried[purpose][change]++;
            caught[purpose][change] +=
                crash_enumerate(&mutant.log, scenario, &options, &result) != 0;
        }
        crash_mutant_end(&mutant);
    }
}

static void try_script(const char *name)
{
    size_t i = 0;
    while (strcmp(journal_scripts[i].name, name) != 0) {
        i++;
    }
    journal_world *world = journal_world_begin();
    journal_scripts[i].run(world);
    const record_log *log = record_fs_log(world->record);
    const crash_scenario scenario = journal_scenario(world, name);
    for (size_t op = 0; op < log->count; op++) {
        if (crash_mutant_is_flush(&log->ops[op])) {
            try_flush(log, &scenario, op);
        }
    }
    journal_world_end(world);
}

LOFT_TEST(journal_fault, a_flush_that_is_missing_or_late_is_caught)
{
    map_pool_install();
    try_script("checkpoints");
    try_script("restarts");
    try_script("apply's flush fails");
    for (int purpose = 0; purpose < PURPOSES; purpose++) {
        for (int change = 0; change < CHANGES; change++) {
            printf("%-14s %-24s %u of %u caught\n", purpose_names[purpose], change_names[change],
                   caught[purpose][change], tried[purpose][change]);
        }
        LOFT_CHECK_GT_UINT(caught[purpose][CHANGE_DROPPED], 0);
    }
    /* Where a promise hangs on the flush itself, none may go unseen. */
    LOFT_CHECK_EQ_UINT(caught[PURPOSE_CREATE][CHANGE_DROPPED],
                       tried[PURPOSE_CREATE][CHANGE_DROPPED]);
    LOFT_CHECK_EQ_UINT(caught[PURPOSE_NAME][CHANGE_DROPPED], tried[PURPOSE_NAME][CHANGE_DROPPED]);
    LOFT_CHECK_EQ_UINT(caught[PURPOSE_COMMIT][CHANGE_DROPPED],
                       tried[PURPOSE_COMMIT][CHANGE_DROPPED]);
    LOFT_CHECK_EQ_UINT(caught[PURPOSE_COMMIT][CHANGE_EARLIER],
                       tried[PURPOSE_COMMIT][CHANGE_EARLIER]);
}
