/*
 * arena/target.c - a new arena file on its way to its name (target.h).
 */
#include "arena/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "arena/arena.h"
#include "base/status.h"
#include "os/sys.h"

enum {
    TARGET_MODE = 0600,           /* as arenas have, less what the source lacks */
    TARGET_PATH_BYTES_MAX = 4096, /* PATH_MAX of Linux */
    TARGET_TRIES = 16             /* random names tried */
};

static int target_failed(const lofti_target *target, int error)
{
    return lofti_status_system(error, target->operation, target->path);
}

/* Makes up a name beside the target. */
static int target_temporary(lofti_target *target)
{
    uint64_t mark = 0;
    const int error = lofti_sys_random(&mark, sizeof mark);
    if (error == 0) {
        (void)snprintf(target->temporary, sizeof target->temporary, "%s.loft-%016llx", target->path,
                       (unsigned long long)mark);
    }
    return error;
}

/* --- What is there already --------------------------------------------------------------------------- */

static int target_judge_file(const lofti_target *target, const lofti_file *there,
                             const lofti_file *source)
{
    lofti_file_info info;
    lofti_file_info own = {0};
    int error = lofti_file_info_get(there, &info);
    if (error == 0 && source != NULL) {
        error = lofti_file_info_get(source, &own);
    }
    if (error != 0) {
        return target_failed(target, error);
    }
    if (source != NULL && info.device == own.device && info.inode == own.inode) {
        return lofti_status_fail(LOFT_EINVAL, target->operation, target->path,
                                 "it is the source itself");
    }
    if ((target->flags & LOFT_REPLACE) == 0) {
        return lofti_status_fail(LOFT_EEXIST, target->operation, target->path,
                                 "it exists (LOFT_REPLACE replaces it)");
    }
    if (info.type != LOFTI_TYPE_REGULAR) {
        return lofti_status_fail(LOFT_EINVAL, target->operation, target->path,
                                 "it is there and not a regular file");
    }
    /* A shared lock on the writer's byte: a writer would not notice that its file has lost its name. */
    error = lofti_file_lock(there, LOFTI_LOCK_SHARED, LOFTI_STORE_LOCK_WRITER);
    if (error == -EAGAIN) {
        return lofti_status_fail(LOFT_EBUSY, target->operation, target->path,
                                 "it is an arena that a writer has open");
    }
    return LOFT_OK;
}

static int target_judge(const lofti_target *target, const lofti_file *source)
{
    lofti_file there = {0};
    const int error = lofti_file_open(target->path, LOFTI_OPEN_NOFOLLOW, 0, &there);
    if (error == -ENOENT) {
        return LOFT_OK;
    }
    if (error == -ELOOP) {
        return lofti_status_fail((target->flags & LOFT_REPLACE) != 0 ? LOFT_EINVAL : LOFT_EEXIST,
                                 target->operation, target->path, "it is a symbolic link");
    }
    if (error != 0) {
        return target_failed(target, error);
    }
    const int code = target_judge_file(target, &there, source);
    (void)lofti_file_close(&there);
    return code;
}

/* --- Beginning ------------------------------------------------------------------------------------- */

static int target_open(lofti_target *target, unsigned mode)
{
    const unsigned how = LOFTI_OPEN_WRITE | LOFTI_OPEN_NOFOLLOW;
    int error = lofti_file_open(target->path, how | LOFTI_OPEN_UNNAMED, mode, &target->file);
    if (error != -EOPNOTSUPP) {
        return error;
    }
    error = -EEXIST;
    for (int i = 0; i < TARGET_TRIES && error == -EEXIST; i++) {
        error = target_temporary(target);
        if (error == 0) {
            error =
                lofti_file_open(target->temporary, how | LOFTI_OPEN_CREATE | LOFTI_OPEN_EXCLUSIVE,
                                mode, &target->file);
        }
    }
    if (error != 0) {
        target->temporary[0] = '\0';
    }
    return error;
}

int lofti_target_begin(lofti_target *target, const char *operation, const char *path,
                       unsigned flags, const lofti_file *source)
{
    memset(target, 0, offsetof(lofti_target, temporary));
    target->temporary[0] = '\0';
    target->operation = operation;
    target->path = path;
    target->flags = flags;
    target->ops = lofti_file_ops_current();
    if (path == NULL || path[0] == '\0' || strlen(path) >= TARGET_PATH_BYTES_MAX) {
        return lofti_status_fail(LOFT_EINVAL, operation, path,
                                 "the path is missing, empty or too long");
    }
    lofti_file_info info = {.mode = TARGET_MODE};
    int error = source != NULL ? lofti_file_info_get(source, &info) : 0;
    if (error != 0) {
        return target_failed(target, error);
    }
    int code = target_judge(target, source);
    if (code != LOFT_OK) {
        return code;
    }
    error = target_open(target, TARGET_MODE & info.mode);
    if (error != 0) {
        return target_failed(target, error);
    }
    code = lofti_arena_local(&target->file, path, flags);
    if (code != LOFT_OK) {
        lofti_target_cancel(target);
    }
    return code;
}

/* --- Ending ----------------------------------------------------------------------------------------- */

/* The file gets its name. Negative errno; `temporary` says what is left in the folder beside it. */
static int target_name(lofti_target *target)
{
    if ((target->flags & LOFT_REPLACE) == 0) {
        return lofti_file_link(
            &target->file, target->temporary[0] != '\0' ? target->temporary : NULL, target->path);
    }
    int error = target->temporary[0] != '\0' ? 0 : -EEXIST;
    for (int i = 0; i < TARGET_TRIES && error == -EEXIST; i++) {
        error = target_temporary(target);
        if (error == 0) {
            error = lofti_file_link(&target->file, NULL, target->temporary);
        }
        if (error != 0) {
            target->temporary[0] = '\0';
        }
    }
    if (error == 0) {
        error = lofti_file_rename(target->ops, target->temporary, target->path);
    }
    if (error == 0) {
        target->temporary[0] = '\0';
    }
    return error;
}

int lofti_target_publish(lofti_target *target)
{
    /* Before: nothing leads to the file. After: what its name will lead to is whole. */
    int error = lofti_file_sync(&target->file, LOFTI_SYNC_ALL);
    if (error == 0) {
        error = target_name(target);
    }
    if (error == 0) {
        /* Before: a crash may forget the name. After: it leads to the file. */
        error = lofti_file_sync_folder(target->ops, target->path);
        if (error != 0 && (target->flags & LOFT_REPLACE) == 0) {
            (void)lofti_file_unlink(target->ops, target->path);
        }
    }
    const int code = error == 0 ? LOFT_OK : target_failed(target, error);
    lofti_target_cancel(target); /* what is left to do is the same */
    return code;
}

void lofti_target_cancel(lofti_target *target)
{
    if (target->temporary[0] != '\0') {
        (void)lofti_file_unlink(target->ops, target->temporary);
        target->temporary[0] = '\0';
    }
    (void)lofti_file_close(&target->file);
}
