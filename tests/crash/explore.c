/* Which subsets of the pending units are tried; see enumerate.h. */
#include "crash/explore.h"

enum {
    EXPLORE_TORN_UNITS = 6, /* up to here every subset is also tried with every torn subset */
    EXPLORE_RANDOM_STATES = 4096
};

static bool done(const crash_explorer *explorer)
{
    return explorer->stopped || explorer->tried >= explorer->limit;
}

static void try_state(crash_explorer *explorer)
{
    if (!done(explorer)) {
        explorer->tried++;
        crash_verdict_try(explorer);
    }
}

static uint32_t count_of(const crash_explorer *explorer) { return explorer->walk->pending_count; }

static void choose_all(crash_explorer *explorer, bool chosen)
{
    for (uint32_t i = 0; i < count_of(explorer); i++) {
        crash_walk_choose(explorer->walk, i, chosen);
    }
}

/* All subsets in the order of the Gray code: one flip each. */
static void try_subsets(crash_explorer *explorer)
{
    choose_all(explorer, false);
    try_state(explorer);
    for (uint32_t i = 1; i < (uint32_t)1 << count_of(explorer) && !done(explorer); i++) {
        crash_walk_flip(explorer->walk, (uint32_t)__builtin_ctz(i));
        try_state(explorer);
    }
}

/* From nothing to everything in the order of the log (prefixes), or against it (suffixes). */
static void try_runs(crash_explorer *explorer, bool forward)
{
    const uint32_t count = count_of(explorer);
    choose_all(explorer, false);
    try_state(explorer);
    for (uint32_t i = 0; i < count && !done(explorer); i++) {
        crash_walk_flip(explorer->walk, forward ? i : count - 1 - i);
        try_state(explorer);
    }
}

/* Each unit alone (background false), or each one missing (true). */
static void try_singles(crash_explorer *explorer, bool background)
{
    choose_all(explorer, background);
    for (uint32_t i = 0; i < count_of(explorer) && !done(explorer); i++) {
        crash_walk_flip(explorer->walk, i);
        try_state(explorer);
        crash_walk_flip(explorer->walk, i);
    }
}

static void try_pairs(crash_explorer *explorer)
{
    const uint32_t count = count_of(explorer);
    choose_all(explorer, false);
    for (uint32_t i = 0; i < count && !done(explorer); i++) {
        crash_walk_flip(explorer->walk, i);
        for (uint32_t j = i + 1; j < count && !done(explorer); j++) {
            crash_walk_flip(explorer->walk, j);
            try_state(explorer);
            crash_walk_flip(explorer->walk, j);
        }
        crash_walk_flip(explorer->walk, i);
    }
}

/* Pairs drawn at random, where all of them would be too many. */
static void try_some_pairs(crash_explorer *explorer, uint64_t states)
{
    const uint32_t count = count_of(explorer);
    choose_all(explorer, false);
    for (uint64_t n = 0; n < states && count > 0 && !done(explorer); n++) {
        const uint32_t i = (uint32_t)(crash_random(explorer) % count);
        const uint32_t j = (uint32_t)(crash_random(explorer) % count);
        crash_walk_choose(explorer->walk, i, true);
        crash_walk_choose(explorer->walk, j, true);
        try_state(explorer);
        crash_walk_choose(explorer->walk, i, false);
        crash_walk_choose(explorer->walk, j, false);
    }
}

static void tear_some(crash_explorer *explorer)
{
    const uint64_t count = crash_random(explorer) % (CRASH_TORN - 1) + 1;
    for (uint64_t n = 0; n < count; n++) {
        const uint32_t i = (uint32_t)(crash_random(explorer) % count_of(explorer));
        if (crash_walk_can_tear(explorer->walk, i)) {
            explorer->torn[explorer->torn_count++] = (crash_torn){
                .index = i, .tear = (enum crash_tear)(crash_random(explorer) % CRASH_TEARS)};
        }
    }
}

/* Random subsets of several densities: a state may hang on few units being there, on few being
 * missing, or on where in the log a run of them ends. Every fourth has torn units. */
static void try_random(crash_explorer *explorer, uint64_t states)
{
    static const uint32_t shares[] = {128, 64, 192, 12, 244}; /* of 256 */
    const uint32_t count = count_of(explorer);
    for (uint64_t n = 0; n < states && count > 0 && !done(explorer); n++) {
        const uint64_t shape = crash_random(explorer) % 7;
        uint32_t first = 0, end = count;
        uint32_t inside = shape < 5 ? shares[shape] : 256;
        if (shape >= 5) { /* a window is on the disk, the rest is not, or the other way round */
            first = (uint32_t)(crash_random(explorer) % count);
            end = first + (uint32_t)(crash_random(explorer) % (count - first)) + 1;
        }
        for (uint32_t i = 0; i < count; i++) {
            const bool in = i >= first && i < end;
            bool chosen = in && (inside == 256 || (crash_random(explorer) & 255) < inside);
            crash_walk_choose(explorer->walk, i, shape == 6 ? !chosen : chosen);
        }
        if (!explorer->options->no_tears && n % 4 == 3) {
            tear_some(explorer);
        }
        try_state(explorer);
        explorer->torn_count = 0;
    }
}

/* One unit torn, in every way, over what the walk has chosen. */
static void try_one_torn(crash_explorer *explorer, uint32_t index)
{
    if (!crash_walk_can_tear(explorer->walk, index)) {
        return;
    }
    explorer->torn_count = 1;
    for (int tear = 0; tear < CRASH_TEARS && !done(explorer); tear++) {
        explorer->torn[0] = (crash_torn){.index = index, .tear = (enum crash_tear)tear};
        try_state(explorer);
    }
    explorer->torn_count = 0;
}

/* Each unit torn while nothing else, everything else, or what came before it is on the disk. */
static void try_torn_singles(crash_explorer *explorer)
{
    const uint32_t count = count_of(explorer);
    choose_all(explorer, false);
    for (uint32_t i = 0; i < count && !done(explorer); i++) {
        try_one_torn(explorer, i);
    }
    for (uint32_t i = 0; i < count && !done(explorer); i++) {
        try_one_torn(explorer, i);
        crash_walk_flip(explorer->walk, i);
    }
    for (uint32_t i = 0; i < count && !done(explorer); i++) {
        try_one_torn(explorer, i);
    }
}

/* Every unit of every subset torn in turn. */
static void try_torn_subsets(crash_explorer *explorer)
{
    const uint32_t count = count_of(explorer);
    choose_all(explorer, false);
    for (uint32_t n = 0; n < (uint32_t)1 << count && !done(explorer); n++) {
        if (n > 0) {
            crash_walk_flip(explorer->walk, (uint32_t)__builtin_ctz(n));
        }
        for (uint32_t i = 0; i < count && !done(explorer); i++) {
            if (!crash_walk_is_chosen(explorer->walk, i)) {
                try_one_torn(explorer, i);
            }
        }
    }
}

static uint64_t random_states(const crash_options *options)
{
    return options->random_states != 0 ? options->random_states : EXPLORE_RANDOM_STATES;
}

uint64_t crash_explore_need(const crash_options *options, uint32_t pending)
{
    const uint64_t count = pending;
    const uint64_t torn = options->no_tears ? 0
                          : pending <= EXPLORE_TORN_UNITS
                              ? ((uint64_t)1 << count) / 2 * count * CRASH_TEARS
                              : 3 * count * CRASH_TEARS;
    if (pending <= CRASH_EXHAUSTIVE_UNITS) {
        return ((uint64_t)1 << count) + torn;
    }
    return 4 * count + 2 + count * (count - 1) / 2 + torn + random_states(options);
}

static void explore_sampled(crash_explorer *explorer)
{
    const uint64_t count = count_of(explorer);
    try_runs(explorer, true);
    try_runs(explorer, false);
    try_singles(explorer, false);
    try_singles(explorer, true);
    const uint64_t random = random_states(explorer->options);
    if (!explorer->options->no_tears) {
        const uint64_t limit = explorer->limit;
        explorer->limit = explorer->tried + (limit - explorer->tried) / 2;
        try_torn_singles(explorer);
        explorer->limit = limit;
    }
    const uint64_t left = explorer->limit - explorer->tried;
    if (count * (count - 1) / 2 <= left / 2 || left > random + count * (count - 1) / 2) {
        try_pairs(explorer);
    } else {
        try_some_pairs(explorer, left / 3);
    }
    try_random(explorer, random);
}

void crash_explore_point(crash_explorer *explorer, uint32_t point_idx, uint64_t limit)
{
    const crash_point *point = &explorer->walk->plan->points[point_idx];
    explorer->point = point;
    explorer->low = point->low;
    explorer->high = point->high;
    explorer->limit = limit;
    explorer->tried = 0;
    explorer->random = crash_mix(explorer->options->seed ^ explorer->salt ^ crash_mix(point->op));
    explorer->status->point = point->op;
    crash_walk_advance(explorer->walk, point->op);
    const uint32_t count = count_of(explorer);
    if (count == 0) {
        try_state(explorer);
    } else if (count <= CRASH_EXHAUSTIVE_UNITS && (uint64_t)1 << count <= limit) {
        try_subsets(explorer);
        if (!explorer->options->no_tears) {
            if (count <= EXPLORE_TORN_UNITS) {
                try_torn_subsets(explorer);
            } else {
                try_torn_singles(explorer);
            }
        }
    } else {
        explore_sampled(explorer);
    }
}

/* --- Kills ------------------------------------------------------------------------------------------ */

/* The operation before `op` has just been begun: its own units come one after another. */
static void kill_in_operation(crash_explorer *explorer, uint32_t op)
{
    const crash_walk *walk = explorer->walk;
    const crash_unit *units = walk->plan->units;
    uint32_t old = 0;
    while (old < count_of(explorer) && units[walk->pending[old]].op + 1 < op) {
        crash_walk_choose(explorer->walk, old++, true);
    }
    try_state(explorer);
    for (uint32_t i = old; i < count_of(explorer); i++) {
        const crash_unit *unit = &units[walk->pending[i]];
        crash_walk_choose(explorer->walk, i, true);
        const crash_unit *next = i + 1 < count_of(explorer) ? &units[walk->pending[i + 1]] : NULL;
        const uint32_t in_block = CRASH_BLOCK_BYTES / CRASH_SECTOR_BYTES;
        const crash_sector *sectors = walk->plan->sectors;
        const crash_entry *entries = walk->plan->entries;
        if (next == NULL || unit->kind != CRASH_UNIT_DATA || next->kind != CRASH_UNIT_DATA ||
            sectors[entries[unit->entry_first].sector].number / in_block !=
                sectors[entries[next->entry_first].sector].number / in_block) {
            try_state(explorer);
        }
    }
}

void crash_explore_kills(crash_explorer *explorer)
{
    const record_log *log = explorer->walk->plan->log;
    crash_point point = {.op = 0};
    explorer->limit = UINT64_MAX;
    explorer->point = &point;
    for (; point.op <= log->count && !explorer->stopped; point.op++) {
        const record_op *done = point.op > 0 ? &log->ops[point.op - 1] : NULL;
        if (done != NULL && done->kind == RECORD_MARK) {
            point.low = done->off;
            point.high = done->bytes;
        }
        explorer->low = point.low;
        explorer->high = point.high;
        explorer->status->point = point.op;
        crash_walk_advance(explorer->walk, point.op);
        kill_in_operation(explorer, point.op);
    }
}
