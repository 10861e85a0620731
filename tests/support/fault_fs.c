/* The failing table; see fault_fs.h. The counters are atomic, the plan is set between runs. */
#include "support/fault_fs.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/runner.h"

struct fault_fs {
    lofti_file_ops ops; /* first: the table is the context */
    const lofti_file_ops *inner;
    fault_plan plan;
    _Atomic uint64_t numbered, struck;
    _Atomic uint64_t calls[FAULT_KINDS];
};

static fault_fs *self_of(const lofti_file_ops *ops) { return (fault_fs *)(uintptr_t)ops; }

/* Counts a call that begins. Returns: what is to happen to it. */
static enum fault_action begin(fault_fs *fs, enum fault_kind kind)
{
    fs->calls[kind]++;
    const fault_plan *plan = &fs->plan;
    if ((plan->kinds & FAULT_MASK(kind)) == 0) {
        return FAULT_NONE;
    }
    const uint64_t number = ++fs->numbered;
    if (plan->action == FAULT_NONE || number < plan->first || number - plan->first >= plan->times) {
        return FAULT_NONE;
    }
    fs->struck++;
    if (plan->action == FAULT_HOOK) {
        plan->hook(plan->context, kind);
        return FAULT_NONE;
    }
    return plan->action;
}

/* The answer of a call that was done, or would have been. */
static int64_t answer(const fault_fs *fs, enum fault_action action, enum fault_kind kind,
                      int64_t result)
{
    if (action == FAULT_HOOK_LATE) {
        fs->plan.hook(fs->plan.context, kind);
    }
    return action == FAULT_LATE_FAIL && result >= 0 ? -fs->plan.error : result;
}

static bool fails_at_once(enum fault_action action)
{
    return action == FAULT_FAIL || action == FAULT_PART_FAIL;
}

/* Runs `call` with the fault around it; the call's parameters are in scope where this is used. */
#define FAULT_AROUND(kind, call)                                                                   \
    fault_fs *fs = self_of(ops);                                                                   \
    const lofti_file_ops *inner = fs->inner;                                                       \
    const enum fault_action action = begin(fs, (kind));                                            \
    if (fails_at_once(action)) {                                                                   \
        return -fs->plan.error;                                                                    \
    }                                                                                              \
    return (int)answer(fs, action, (kind), (call))

static int fault_open(const lofti_file_ops *ops, const char *path, unsigned flags, unsigned mode,
                      intptr_t *handle)
{
    fault_fs *fs = self_of(ops);
    const enum fault_action action = begin(fs, FAULT_OPEN);
    if (fails_at_once(action)) {
        return -fs->plan.error;
    }
    const int opened = fs->inner->open(fs->inner, path, flags, mode, handle);
    const int result = (int)answer(fs, action, FAULT_OPEN, opened);
    if (opened == 0 && result != 0) {
        (void)fs->inner->close(fs->inner, *handle);
    }
    return result;
}

static int fault_close(const lofti_file_ops *ops, intptr_t handle)
{
    fault_fs *fs = self_of(ops);
    const enum fault_action action = begin(fs, FAULT_CLOSE);
    const int result = fs->inner->close(fs->inner, handle);
    if (action == FAULT_HOOK_LATE) {
        (void)answer(fs, action, FAULT_CLOSE, 0);
    }
    return result;
}

static int fault_info(const lofti_file_ops *ops, intptr_t handle, lofti_file_info *out)
{
    FAULT_AROUND(FAULT_INFO, inner->info(inner, handle, out));
}

/* The part of `bytes` that a fault lets through. */
static size_t part_of(enum fault_action action, size_t bytes)
{
    return (action == FAULT_PART || action == FAULT_PART_FAIL) && bytes > 1 ? bytes / 2 : bytes;
}

static int64_t fault_pread(const lofti_file_ops *ops, intptr_t handle, void *data, size_t bytes,
                           uint64_t off)
{
    fault_fs *fs = self_of(ops);
    const enum fault_action action = begin(fs, FAULT_PREAD);
    if (fails_at_once(action)) {
        return -fs->plan.error;
    }
    return answer(fs, action, FAULT_PREAD,
                  fs->inner->pread(fs->inner, handle, data, part_of(action, bytes), off));
}

static int64_t fault_pwrite(const lofti_file_ops *ops, intptr_t handle, const void *data,
                            size_t bytes, uint64_t off)
{
    fault_fs *fs = self_of(ops);
    const enum fault_action action = begin(fs, FAULT_PWRITE);
    if (action == FAULT_FAIL) {
        return -fs->plan.error;
    }
    const int64_t done = fs->inner->pwrite(fs->inner, handle, data, part_of(action, bytes), off);
    return action == FAULT_PART_FAIL ? -fs->plan.error : answer(fs, action, FAULT_PWRITE, done);
}

static int fault_resize(const lofti_file_ops *ops, intptr_t handle, uint64_t bytes)
{
    FAULT_AROUND(FAULT_RESIZE, inner->resize(inner, handle, bytes));
}

static int fault_allocate(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    FAULT_AROUND(FAULT_ALLOCATE, inner->allocate(inner, handle, off, bytes));
}

static int fault_punch(const lofti_file_ops *ops, intptr_t handle, uint64_t off, uint64_t bytes)
{
    FAULT_AROUND(FAULT_PUNCH, inner->punch(inner, handle, off, bytes));
}

static int fault_sync(const lofti_file_ops *ops, intptr_t handle, int kind)
{
    FAULT_AROUND(FAULT_SYNC, inner->sync(inner, handle, kind));
}

static int fault_lock(const lofti_file_ops *ops, intptr_t handle, int kind, uint64_t off)
{
    FAULT_AROUND(FAULT_LOCK, inner->lock(inner, handle, kind, off));
}

static int64_t fault_seek(const lofti_file_ops *ops, intptr_t handle, uint64_t off, bool hole)
{
    fault_fs *fs = self_of(ops);
    const enum fault_action action = begin(fs, FAULT_SEEK);
    if (fails_at_once(action)) {
        return -fs->plan.error;
    }
    return answer(fs, action, FAULT_SEEK, fs->inner->seek(fs->inner, handle, off, hole));
}

static int fault_clone(const lofti_file_ops *ops, intptr_t to, intptr_t from)
{
    FAULT_AROUND(FAULT_CLONE, inner->clone(inner, to, from));
}

static int64_t fault_copy_range(const lofti_file_ops *ops, intptr_t to, uint64_t to_off,
                                intptr_t from, uint64_t from_off, size_t bytes)
{
    fault_fs *fs = self_of(ops);
    const enum fault_action action = begin(fs, FAULT_COPY_RANGE);
    if (fails_at_once(action)) {
        return -fs->plan.error;
    }
    return answer(
        fs, action, FAULT_COPY_RANGE,
        fs->inner->copy_range(fs->inner, to, to_off, from, from_off, part_of(action, bytes)));
}

static int fault_link(const lofti_file_ops *ops, intptr_t handle, const char *from,
                      const char *path)
{
    FAULT_AROUND(FAULT_LINK, inner->link(inner, handle, from, path));
}

static int fault_rename(const lofti_file_ops *ops, const char *from, const char *to)
{
    FAULT_AROUND(FAULT_RENAME, inner->rename(inner, from, to));
}

static int fault_unlink(const lofti_file_ops *ops, const char *path)
{
    FAULT_AROUND(FAULT_UNLINK, inner->unlink(inner, path));
}

static int fault_sync_folder(const lofti_file_ops *ops, const char *path)
{
    FAULT_AROUND(FAULT_SYNC_FOLDER, inner->sync_folder(inner, path));
}

void fault_fs_set(fault_fs *fs, const fault_plan *plan)
{
    fs->plan = plan != NULL ? *plan : (fault_plan){.action = FAULT_NONE};
    if (fs->plan.kinds == 0) {
        fs->plan.kinds = FAULT_MASK_ALL;
    }
    fs->numbered = 0;
    fs->struck = 0;
}

fault_fs *fault_fs_create(const lofti_file_ops *inner)
{
    fault_fs *fs = calloc(1, sizeof *fs);
    if (fs == NULL) {
        perror("fault_fs");
        abort();
    }
    fs->inner = inner;
    fault_fs_set(fs, NULL);
    fs->ops = (lofti_file_ops){
        .open = fault_open,
        .close = fault_close,
        .info = fault_info,
        .pread = fault_pread,
        .pwrite = fault_pwrite,
        .resize = fault_resize,
        .allocate = fault_allocate,
        .punch = fault_punch,
        .sync = fault_sync,
        .lock = fault_lock,
        .seek = fault_seek,
        .clone = fault_clone,
        .copy_range = fault_copy_range,
        .link = fault_link,
        .rename = fault_rename,
        .unlink = fault_unlink,
        .sync_folder = fault_sync_folder,
    };
    return fs;
}

void fault_fs_destroy(fault_fs *fs) { free(fs); }

const lofti_file_ops *fault_fs_ops(fault_fs *fs) { return &fs->ops; }

uint64_t fault_fs_struck(const fault_fs *fs) { return fs->struck; }
uint64_t fault_fs_numbered(const fault_fs *fs) { return fs->numbered; }
uint64_t fault_fs_calls(const fault_fs *fs, enum fault_kind kind) { return fs->calls[kind]; }

const char *fault_kind_name(enum fault_kind kind)
{
    static const char *const names[FAULT_KINDS] = {
        "open",       "close", "info",   "pread",  "pwrite",     "resize",
        "allocate",   "punch", "sync",   "lock",   "seek",       "clone",
        "copy_range", "link",  "rename", "unlink", "sync_folder"};
    return names[kind];
}

uint64_t fault_sweep(fault_fs *fs, const fault_plan *plan, fault_scenario_fn *scenario,
                     void *context)
{
    fault_plan next = *plan;
    for (next.first = 1;; next.first++) {
        fault_fs_set(fs, NULL);
        scenario(context, fs, &next);
        if (fault_fs_struck(fs) == 0) {
            return next.first - 1;
        }
    }
}

static void die(void *context, enum fault_kind kind)
{
    (void)context;
    (void)kind;
    kill(getpid(), SIGKILL);
    for (;;) {
        pause(); /* the signal may take a moment to arrive */
    }
}

int64_t fault_kill_sweep(fault_fs *fs, unsigned kinds, bool late, void (*work)(void *context),
                         void (*verify)(void *context), void *context)
{
    fault_plan plan = {.action = late ? FAULT_HOOK_LATE : FAULT_HOOK,
                       .kinds = kinds,
                       .times = UINT64_MAX,
                       .hook = die};
    for (plan.first = 1;; plan.first++) {
        const pid_t child = fork();
        if (child == 0) {
            fault_fs_set(fs, &plan);
            work(context);
            loft_test_exit(0);
        }
        int status = 0;
        while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {}
        const bool killed = child > 0 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
        if (child < 0 || (!killed && status != 0)) {
            return -1 - (int64_t)status;
        }
        verify(context);
        if (!killed) {
            return (int64_t)plan.first - 1;
        }
    }
}
