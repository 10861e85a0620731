/* A table of file operations that counts calls, and makes chosen ones fail.
 *
 *     code under test ──> fault_fs ──> inner table (the system's, memory_fs, ...)
 *
 * Calls are numbered from 1 in the order in which they begin, over all kinds that the plan
 * selects; closes are counted and can be hooked, but never fail (whatever they answer, the handle
 * is gone). What a fault does:
 *
 *   FAULT_FAIL      the call does nothing and answers -error
 *   FAULT_PART      pread, pwrite, copy_range: only the first half is done, and answered so;
 *                   other kinds are left alone
 *   FAULT_PART_FAIL pwrite: the first half is done, then -error; other kinds as FAULT_FAIL
 *   FAULT_LATE_FAIL the call is done, then answers -error (a reply that was lost); open closes
 *   FAULT_HOOK      the hook is called before the call, which then goes on
 *   FAULT_HOOK_LATE the hook is called after the call
 *
 * EINTR is an error like others, but FAULT_FAIL with EINTR from then on would never end, so the
 * plan's `times` limits it. */
#ifndef LOFT_TESTS_SUPPORT_FAULT_FS_H
#define LOFT_TESTS_SUPPORT_FAULT_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/file.h"

enum fault_kind {
    FAULT_OPEN,
    FAULT_CLOSE,
    FAULT_INFO,
    FAULT_PREAD,
    FAULT_PWRITE,
    FAULT_RESIZE,
    FAULT_ALLOCATE,
    FAULT_PUNCH,
    FAULT_SYNC,
    FAULT_LOCK,
    FAULT_SEEK,
    FAULT_CLONE,
    FAULT_COPY_RANGE,
    FAULT_LINK,
    FAULT_RENAME,
    FAULT_UNLINK,
    FAULT_SYNC_FOLDER,
    FAULT_KINDS
};

#define FAULT_MASK(kind) (1u << (kind))
#define FAULT_MASK_ALL   ((1u << FAULT_KINDS) - 1)
/* What changes a file, a name or what of them is durable. */
#define FAULT_MASK_CHANGES                                                                         \
    (FAULT_MASK(FAULT_PWRITE) | FAULT_MASK(FAULT_RESIZE) | FAULT_MASK(FAULT_ALLOCATE) |            \
     FAULT_MASK(FAULT_PUNCH) | FAULT_MASK(FAULT_SYNC) | FAULT_MASK(FAULT_CLONE) |                  \
     FAULT_MASK(FAULT_COPY_RANGE) | FAULT_MASK(FAULT_LINK) | FAULT_MASK(FAULT_RENAME) |            \
     FAULT_MASK(FAULT_UNLINK) | FAULT_MASK(FAULT_SYNC_FOLDER))

enum fault_action {
    FAULT_NONE,
    FAULT_FAIL,
    FAULT_PART,
    FAULT_PART_FAIL,
    FAULT_LATE_FAIL,
    FAULT_HOOK,
    FAULT_HOOK_LATE
};

typedef struct fault_plan {
    enum fault_action action;
    unsigned kinds; /* FAULT_MASK of what is numbered; 0: all */
    uint64_t first; /* number of the first call it strikes */
    uint64_t times; /* how many in a row; UINT64_MAX: from then on */
    int error;      /* positive errno */
    void (*hook)(void *context, enum fault_kind kind);
    void *context;
} fault_plan;

typedef struct fault_fs fault_fs;

/* Aborts when memory is refused. */
fault_fs *fault_fs_create(const lofti_file_ops *inner);
void fault_fs_destroy(fault_fs *fs);
const lofti_file_ops *fault_fs_ops(fault_fs *fs);

/* Sets the plan (NULL: none) and the count of numbered calls and strikes back to 0. */
void fault_fs_set(fault_fs *fs, const fault_plan *plan);
/* How often the plan has struck since. */
uint64_t fault_fs_struck(const fault_fs *fs);
/* Numbered calls since. */
uint64_t fault_fs_numbered(const fault_fs *fs);
/* Calls of a kind since the fs was made. */
uint64_t fault_fs_calls(const fault_fs *fs, enum fault_kind kind);
const char *fault_kind_name(enum fault_kind kind);

/* Runs the scenario with the plan's `first` = 1, 2, 3 ... until a run ends untouched. The scenario
 * makes a fresh world, sets the plan that it is given wherever in its life faults should begin,
 * and checks what must hold; `struck` tells it nothing it may rely on before its end.
 * Returns: the number of runs that were struck. */
typedef void fault_scenario_fn(void *context, fault_fs *fs, const fault_plan *plan);
uint64_t fault_sweep(fault_fs *fs, const fault_plan *plan, fault_scenario_fn *scenario,
                     void *context);

/* The same with death: for N = 1, 2, ... a forked child runs `work` and kills itself (SIGKILL)
 * before its Nth call (late: after it); then `verify` runs in the parent. It ends when a child
 * lives through. The child's exit code must be 0 then; a child that ends otherwise than by the
 * kill ends the sweep.
 * Returns: the number of killed children, or -1 - status of a child that failed by itself. */
int64_t fault_kill_sweep(fault_fs *fs, unsigned kinds, bool late, void (*work)(void *context),
                         void (*verify)(void *context), void *context);

#endif
