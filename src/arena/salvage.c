/*
 * arena/salvage.c - loft_file_salvage: from a damaged arena a new one, of what is provably whole.
 *
 * The source is read only. Of its superblocks the newest whole one counts, even if another seems to have been
 * lost; of its journal every commit before the first break; of its pages those that can be read and that match their
 * record, if they have one. Everything else is zeros in the copy, and reported. The copy is checked
 * before it gets its name: what the heap finds in it is reported as well, and a copy whose heap cannot be
 * attached at all is none.
 */
#include "arena/arena.h"
#include "arena/file_check.h"
#include "arena/target.h"
#include "base/arith.h"
#include "base/status.h"
#include "journal/copy.h"

typedef struct salvage {
    const char *from;
    loft_report_fn *fn;
    void *context;
    uint64_t faults;
    int stopped;
} salvage;

static int salvage_report(salvage *work, int code, uint64_t off, const char *text)
{
    work->faults++;
    if (work->fn != NULL) {
        const loft_fault fault = {sizeof fault, code, off, text};
        work->stopped = work->fn(work->context, &fault);
    }
    return work->stopped;
}

static int salvage_check_fn(void *context, int code, uint64_t off, const char *text)
{
    return salvage_report(context, code, off, text);
}

static int salvage_fault_fn(void *context, const loft_fault *fault)
{
    return salvage_report(context, fault->code, fault->offset, fault->text);
}

static int salvage_loss_fn(void *context, uint64_t off, uint64_t bytes, const char *reason)
{
    (void)bytes;
    return salvage_report(context, LOFT_ECORRUPT, off, reason);
}

/* What the file lacks at its end, or has there that its superblock does not know of. */
static int salvage_measure(salvage *work, lofti_store *store)
{
    lofti_file_info info;
    const int error = lofti_file_info_get(&store->file, &info);
    if (error != 0) {
        return lofti_status_system(error, "salvage", work->from);
    }
    if (store->lost) {
        /* Base images of the lost one's commits may lie behind the frontier: whether they make sense the heap tells. */
        store->frontier =
            lofti_arith_max(store->frontier, lofti_arith_down(info.bytes, LOFTI_CHUNK_BYTES));
    }
    return info.bytes >= store->super.file_bytes
               ? LOFT_OK
               : salvage_report(work, LOFT_ECORRUPT, info.bytes, "the file was cut here");
}

static int salvage_copy(salvage *work, lofti_store *store, lofti_target *target)
{
    lofti_copy copy = {
        .to = &target->file, .path = target->path, .loss = salvage_loss_fn, .loss_context = work};
    const int error = lofti_snapshot_identity(&copy.identity);
    if (error != 0) {
        return lofti_status_system(error, "salvage", target->path);
    }
    copy.identity.base = store->super.base;
    lofti_store view;
    int code = salvage_measure(work, store);
    if (code == LOFT_OK) {
        code = lofti_check_journal(store, salvage_check_fn, work);
    }
    if (code == LOFT_OK) {
        code = lofti_view_begin(store, &view);
    }
    if (code == LOFT_OK) {
        code = lofti_copy_store(&view, &copy);
        lofti_view_end(&view);
    }
    return code;
}

/* The copy's own faults; it must at least have a heap. */
static int salvage_judge(salvage *work, lofti_target *target)
{
    uint64_t faults = 0;
    bool usable = false;
    const int code =
        lofti_file_check(&target->file, target->path, salvage_fault_fn, work, &faults, &usable);
    if (code != LOFT_OK && (code != LOFT_ECORRUPT || work->stopped != 0)) {
        return code;
    }
    return usable ? LOFT_OK
                  : lofti_status_fail(LOFT_ECORRUPT, "salvage", work->from,
                                      "nothing is provably whole: its heap has no usable header");
}

static int salvage_to(salvage *work, lofti_store *store, const char *to)
{
    lofti_target target;
    int code = lofti_target_begin(&target, "salvage", to, 0, &store->file);
    if (code != LOFT_OK) {
        return code;
    }
    code = salvage_copy(work, store, &target);
    if (code == LOFT_OK) {
        code = salvage_judge(work, &target);
    }
    if (code != LOFT_OK) {
        lofti_target_cancel(&target);
        return code;
    }
    code = lofti_target_publish(&target);
    return code != LOFT_OK || work->faults == 0
               ? code
               : lofti_status_fail(LOFT_ECORRUPT, "salvage", work->from,
                                   "%llu faults; what is whole is in '%s'",
                                   (unsigned long long)work->faults, to);
}

int loft_file_salvage(const char *from, const char *to, loft_report_fn *fn, void *context)
{
    salvage work = {from, fn, context, 0, 0};
    if (from == NULL || to == NULL) {
        return lofti_status_fail(LOFT_EINVAL, "salvage", from, "no path");
    }
    lofti_file file = {0};
    int code = lofti_attach_open(from, LOFT_ALLOW_REMOTE, &file);
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_check_head(&file, from, salvage_check_fn, &work);
    lofti_store store;
    if (code == LOFT_OK) {
        code = lofti_store_open_lenient(&store, &file, from);
        if (code == LOFT_OK) {
            code = salvage_to(&work, &store, to);
            lofti_store_close(&store);
        }
    }
    (void)lofti_file_close(&file);
    return code;
}
