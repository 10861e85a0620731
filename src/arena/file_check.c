/*
 * arena/file_check.c - loft_file_check: everything in an arena file that can be proved wrong.
 *
 * The file is opened as a reader opens it: with the readers' lock, so that no checkpoint changes a base image
 * meanwhile; the newest commit at that moment is what is checked. It is mapped privately, anywhere, with
 * the journal laid over it, and the heap, the pools and the roots are checked there as in an open arena.
 *
 *   superblocks -> journal -> pages against their hashes -> data is readable -> heap, pools, roots
 *
 * A stage that cannot be believed after an earlier one's faults is left out.
 */
#include <string.h>

#include "arena/arena.h"
#include "arena/file_check.h"
#include "base/status.h"
#include "journal/copy.h"

typedef struct file_check {
    loft_report_fn *fn;
    void *context;
    uint64_t faults;
    int stopped; /* what fn returned */
} file_check;

static int check_report(void *context, int code, uint64_t off, const char *text)
{
    file_check *check = context;
    check->faults++;
    if (check->fn != NULL) {
        const loft_fault fault = {sizeof fault, code, off, text};
        check->stopped = check->fn(check->context, &fault);
    }
    return check->stopped;
}

static int check_report_fault(void *context, const loft_fault *fault)
{
    return check_report(context, fault->code, fault->offset, fault->text);
}

/* A failure of a step becomes a fault if the file is to blame. */
static int check_blame(file_check *check, int code, uint64_t off)
{
    if (check->stopped != 0 || (code != LOFT_ECORRUPT && code != LOFT_EVERSION)) {
        return code;
    }
    char text[512];
    lofti_status_copy(text, sizeof text);
    return check_report(check, code, off, text);
}

static int check_store(file_check *check, lofti_store *store)
{
    int code = lofti_check_journal(store, check_report, check);
    if (code == LOFT_OK) {
        code = lofti_check_pages(store, check_report, check);
    }
    return code == LOFT_OK ? lofti_check_data(store, check_report, check) : code;
}

/* The heap of a store whose pages are as they should be. */
static int check_heap(file_check *check, loft_arena *arena, bool *usable)
{
    int code = lofti_space_reserve(arena, 0, arena->store.space_end);
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_attach_map(arena);
    if (code != LOFT_OK) {
        return check_blame(check, code, LOFTI_HEAP_OFF);
    }
    *usable = true;
    uint64_t count = 0; /* counted by check_report as well */
    code = lofti_arena_check(arena, check_report_fault, check, &count);
    return check->stopped != 0 || code == LOFT_ECORRUPT ? check->stopped : code;
}

static int check_arena(file_check *check, loft_arena *arena, lofti_file *file, bool *usable)
{
    int code = lofti_check_head(file, arena->path, check_report, check);
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_store_open(&arena->store, file, arena->path, false);
    if (code != LOFT_OK) {
        return check_blame(check, code, 0);
    }
    arena->has_store = true;
    arena->stored_base = arena->store.super.base;
    code = check_store(check, &arena->store);
    return code == LOFT_OK ? check_heap(check, arena, usable) : code;
}

int lofti_file_check(lofti_file *file, const char *path, loft_report_fn *fn, void *context,
                     uint64_t *faults, bool *usable)
{
    const loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    file_check check = {fn, context, 0, 0};
    loft_arena *arena = NULL;
    *usable = false;
    int code = lofti_arena_new(path, &options, &arena);
    if (code != LOFT_OK) {
        return code;
    }
    code = check_arena(&check, arena, file, usable);
    if (arena->has_store) {
        *file = arena->store.file; /* the caller's again */
        arena->store.file = (lofti_file){0};
    }
    lofti_arena_destroy(arena);
    *faults = check.faults;
    if (code == LOFT_OK && check.faults != 0) {
        code = lofti_status_fail(LOFT_ECORRUPT, "check", path, "%llu faults",
                                 (unsigned long long)check.faults);
    }
    return code;
}

int loft_file_check(const char *path, loft_report_fn *fn, void *context, uint64_t *faults)
{
    uint64_t count = 0;
    bool usable = false;
    lofti_file file = {0};
    if (path == NULL) {
        return lofti_status_fail(LOFT_EINVAL, "check", NULL, "no path");
    }
    int code = lofti_attach_open(path, LOFT_ALLOW_REMOTE, &file);
    if (code == LOFT_OK) {
        code = lofti_file_check(&file, path, fn, context, &count, &usable);
    }
    (void)lofti_file_close(&file);
    if (faults != NULL) {
        *faults = count;
    }
    return code;
}
