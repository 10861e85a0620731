/*
 * journal/super_io.c - reading and switching superblocks, and the flush that everything rests on.
 */
#include <string.h>

#include "base/check.h"
#include "base/fault.h"
#include "base/status.h"
#include "journal/log.h"

int lofti_store_writable(const lofti_store *store, const char *operation)
{
    if (store->state == LOFTI_STORE_POISONED) {
        return lofti_status_fail(LOFT_EPOISONED, operation, store->path,
                                 "a flush failed earlier; what is on the disk is unknown. Save "
                                 "elsewhere or abandon");
    }
    if (store->state == LOFTI_STORE_READ) {
        return lofti_status_fail(LOFT_EREADONLY, operation, store->path, "opened read-only");
    }
    LOFTI_CHECK(store->state != LOFTI_STORE_CLOSED);
    return LOFT_OK;
}

/* Never tried again: after a failed flush the kernel drops the pages' dirty marks, so that the next one
 * answers 0 while the data is gone. A failure is told to one caller only, so flushes go one by one and
 * whoever comes after a failed one must not believe its own success. */
static int flush_once(lofti_store *store, uint64_t sequence)
{
    (void)pthread_mutex_lock(&store->flush_mutex);
    int error = 0;
    if (!atomic_load(&store->flush_failed)) {
        error = lofti_file_sync(&store->file, LOFTI_SYNC_DATA);
    }
    if (error != 0) {
        atomic_store(&store->flush_failed, true);
    } else if (!atomic_load(&store->flush_failed) &&
               atomic_load(&store->durable_sequence) < sequence) {
        atomic_store(&store->durable_sequence, sequence);
    }
    (void)pthread_mutex_unlock(&store->flush_mutex);
    return error;
}

static int flush_result(const lofti_store *store, int error, const char *operation)
{
    if (!atomic_load(&store->flush_failed)) {
        return LOFT_OK;
    }
    return lofti_status_fail(LOFT_EPOISONED, operation, store->path,
                             "a flush failed (%s); whether it is on the disk is unknown",
                             loft_error_text(error != 0 ? lofti_status_code(error) : LOFT_EIO));
}

int lofti_store_flush(lofti_store *store, const char *operation)
{
    const int error = flush_once(store, store->sequence);
    if (error != 0 && LOFTI_FAULT(POISON_SKIPPED)) {
        atomic_store(&store->flush_failed, false);
        return lofti_status_system(error, operation, store->path);
    }
    const int code = flush_result(store, error, operation);
    if (code != LOFT_OK) {
        store->state = LOFTI_STORE_POISONED;
    }
    return code;
}

int lofti_store_wait(lofti_store *store, uint64_t sequence, uint64_t newest)
{
    if (atomic_load(&store->durable_sequence) >= sequence) {
        return LOFT_OK;
    }
    const int error = flush_once(store, newest);
    return flush_result(store, error, "wait");
}

/* In the order in which they are spared. Torn: half a superblock, left by a crash or a failed flush, which
 * the next write may complete. Empty: zeros, as the file's creation left them. */
typedef enum { SLOT_TORN, SLOT_EMPTY, SLOT_WHOLE } slot_kind;

static slot_kind slot_judge(const lofti_super *slot)
{
    static const lofti_super empty;
    if (lofti_super_validate(slot, false).code == LOFT_OK) {
        return SLOT_WHOLE;
    }
    return memcmp(slot, &empty, sizeof empty) == 0 ? SLOT_EMPTY : SLOT_TORN;
}

int lofti_store_super_read(lofti_store *store, bool writing)
{
    /* The frame buffer is large enough and free at this time. */
    lofti_super *slots = (lofti_super *)(void *)store->frame;
    const int error =
        lofti_file_read_padded(&store->file, slots, sizeof(lofti_super) * LOFTI_SUPER_SLOTS, 0);
    if (error != 0) {
        return lofti_status_system(error, "read superblock", store->path);
    }
    uint32_t slot = 0;
    const lofti_verdict verdict = lofti_super_choose(slots, writing, &slot);
    if (verdict.code != LOFT_OK) {
        return lofti_status_fail(verdict.code, "open", store->path, "%s (at offset %llu)",
                                 verdict.reason, (unsigned long long)verdict.off);
    }
    store->super = slots[slot];
    store->generation = slots[slot].generation;
    store->slot_good = slot;
    const uint32_t a = (slot + 1) % LOFTI_SUPER_SLOTS;
    const uint32_t b = (slot + 2) % LOFTI_SUPER_SLOTS;
    const slot_kind a_kind = slot_judge(&slots[a]);
    const slot_kind b_kind = slot_judge(&slots[b]);
    const bool a_spared =
        a_kind != b_kind ? a_kind > b_kind : slots[a].generation > slots[b].generation;
    store->slot_before = a_spared ? a : b;
    store->slots_whole = a_kind == SLOT_WHOLE && b_kind == SLOT_WHOLE;
    store->slots_torn =
        LOFTI_FAULT(TORN_SLOT_KEPT) ? 0 : (a_kind == SLOT_TORN) + (b_kind == SLOT_TORN);
    return LOFT_OK;
}

static uint32_t super_target(const lofti_store *store)
{
    if (LOFTI_FAULT(SUPER_OVER_NEWEST)) {
        return store->slot_good;
    }
    if (LOFTI_FAULT(SUPER_OVER_BEFORE)) {
        return store->slot_before;
    }
    return LOFTI_SUPER_SLOTS - store->slot_good - store->slot_before; /* S2 */
}

int lofti_store_super_write(lofti_store *store, const lofti_super *next, const char *operation)
{
    LOFTI_CHECK(store->slot_good != store->slot_before);
    const uint32_t target = super_target(store);
    lofti_super *sealed = &store->super_buffer;
    *sealed = *next;
    if (LOFTI_FAULT(GENERATION_KEPT)) {
        store->generation = store->super.generation;
    }
    sealed->generation = ++store->generation;
    lofti_super_seal(sealed);
    const int error = lofti_file_write(&store->file, sealed, sizeof *sealed,
                                       (uint64_t)target * LOFTI_SUPER_BYTES);
    if (error != 0) {
        /* It may yet reach the disk whole. It describes a state that holds at this moment; nothing may be
         * added until a newer superblock says what holds then. */
        store->super_stale = true;
        return lofti_status_system(error, operation, store->path);
    }
    /* Before: whatever this superblock refers to was flushed by its caller, or is flushed by this very
     * call (extents of a growing journal). After: the epoch or extent counts. */
    const int code = LOFTI_FAULT(REWIND_EARLY) ? LOFT_OK : lofti_store_flush(store, operation);
    if (code == LOFT_OK) {
        store->super = *sealed;
        if (!LOFTI_FAULT(SUPER_OVER_NEWEST)) {
            store->slot_before = store->slot_good;
        }
        store->slot_good = target;
        store->super_stale = false;
        store->slots_torn -= store->slots_torn > 0; /* S2 writes them first */
    }
    return code;
}

int lofti_store_super_trust(lofti_store *store)
{
    if (!store->super_stale || LOFTI_FAULT(TRUST_SKIPPED)) {
        return LOFT_OK;
    }
    int code = LOFT_OK;
    do {
        const lofti_super same = store->super;
        code = lofti_store_super_write(store, &same, "renew superblock");
    } while (code == LOFT_OK && store->slots_torn > 0);
    return code;
}
