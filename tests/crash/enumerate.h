/* Enumerating crash states: every image that a power loss may leave of a recorded scenario goes
 * through recovery, and what recovery finds is held against the model.
 *
 *     scenario ──> record_fs ──> log ──> plan (units, points)
 *                                         │   for every point, for every subset
 *                                         v
 *                     walk ──> image ──> recover ──> commit in [low, high]?
 *                                        recover     the same again?
 *                                        go_on       further commits work?
 *
 * At a point with at most 14 pending units all subsets are tried; with more: none, all, every
 * prefix, suffix, single and all but one, all pairs, and seeded random ones. Torn sectors and 4 KiB
 * blocks come on top. Equal images with equal intervals are checked once. Every nested_every-th
 * image is recovered under a recording table, and the crashes inside that recovery are
 * enumerated in the same way.
 *
 * An image whose superblocks and journal open as another's did, and which holds the same wherever the rest of
 * recovery looks, is not taken through that rest again (memo.h). It counts: recovery has judged it.
 *
 * The work is done by forked processes, so a recovery that crashes or hangs is a violation like
 * others, and production code may use its process-wide state. The first violation of a worker
 * ends it, after it was shrunk to the fewest deviations from "nothing is on the disk" or from
 * "everything is". */
#ifndef LOFT_TESTS_CRASH_ENUMERATE_H
#define LOFT_TESTS_CRASH_ENUMERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/file.h"
#include "support/record_fs.h"

enum { CRASH_WHY_BYTES = 512, CRASH_TEXT_BYTES = 16384 };

typedef struct crash_scenario {
    const char *name;
    void *context; /* shared by all calls, which may come from different processes */
    /* Opens what is there, recovers, compares with the model, closes everything. Returns: the
     * commit it found, or -1 with the reason. */
    int64_t (*recover)(void *context, const lofti_file_ops *ops, char *why);
    /* Goes on from there: a few commits, then opens again and compares. NULL: nothing. Returns 0,
     * or -1 with the reason. */
    int (*go_on)(void *context, const lofti_file_ops *ops, uint64_t commit, char *why);
    /* recover in two parts, so that images which the first cannot tell apart need the second once
     * (memo.h). open: opens, changes nothing, and answers a number that stands for all that it has
     * left in memory; 0: nothing, and recover it is. finish: the rest. drop: closes what open has
     * left. NULL: every image goes through all of recovery. */
    uint64_t (*open)(void *context, const lofti_file_ops *ops);
    int64_t (*finish)(void *context, char *why);
    void (*drop)(void *context);
} crash_scenario;

typedef struct crash_options {
    uint64_t states;        /* budget without the nested ones; 0: none */
    uint64_t seed;          /* of the random subsets */
    unsigned workers;       /* processes; 0: this one does it */
    uint64_t random_states; /* at each point with more than 14 units; 0: 4,096 */
    uint64_t nested_every;  /* 0: recovery's own crashes are not enumerated */
    uint64_t nested_states; /* at most so many for one image; 0: 512 */
    uint64_t coarse_bytes;  /* writes at least as long are cut into 4 KiB; 0: never */
    unsigned hang_seconds;  /* a state that takes longer hangs; 0: 60 */
    bool no_tears;          /* sectors are whole */
    bool kills;             /* the process dies, not the machine: see crash_explore_kills */
} crash_options;

typedef struct crash_result {
    uint64_t states;     /* distinct images checked */
    uint64_t nested;     /* of them inside recoveries */
    uint64_t alike;      /* of them opened, and then known by all that recovery reads */
    uint64_t duplicates; /* images that had been checked before */
    uint64_t points;
    uint64_t calls;        /* of the log */
    uint32_t most_pending; /* units at one point */
    uint64_t violations;   /* workers that found one */
    double seconds;
    char text[CRASH_TEXT_BYTES]; /* about the first violation */
} crash_result;

/* Returns: the number of violations, which *out tells about. LOFT_CRASH_WORKERS overrides
 * options->workers. Prints progress when standard error is a terminal. */
uint64_t crash_enumerate(const record_log *log, const crash_scenario *scenario,
                         const crash_options *options, crash_result *out);

#endif
