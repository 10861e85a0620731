/*
 * journal/store_open.c - making a store, opening one, closing it; reading pages.
 */
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/fault.h"
#include "base/status.h"
#include "journal/log.h"
#include "os/map.h"

/* A frame and two pages, base images, windows of the journal: each a multiple of the largest page size there is,
 * 64 KiB. What is never used costs nothing. */
enum {
    STORE_FRAME_BYTES = (1 << 20) + (64 << 10),
    STORE_BUFFER_BYTES = STORE_FRAME_BYTES + LOFTI_STORE_BASES * LOFTI_PAGE_BYTES +
                         LOFTI_STORE_WINDOWS * LOFTI_STORE_WINDOW_BYTES
};
_Static_assert(LOFTI_FRAME_SIZE_MAX + 2 * LOFTI_PAGE_BYTES <= STORE_FRAME_BYTES, "buffer");
_Static_assert(STORE_BUFFER_BYTES % (64 << 10) == 0, "buffer");

int lofti_store_format(const lofti_file *file, const char *path,
                       const lofti_store_identity *identity)
{
    void *zeros = NULL;
    int error = lofti_map_place(LOFTI_STORE_PREPARED_BYTES, 0, LOFTI_MAP_WRITE, NULL, 0, &zeros);
    if (error != 0) {
        return lofti_status_system(error, "create", path);
    }
    lofti_super *super = zeros;
    memcpy(super->uuid, identity->uuid, sizeof super->uuid);
    super->generation = 1;
    super->base = identity->base;
    super->created_ns = identity->created_ns;
    super->salt = identity->salt;
    super->file_bytes = LOFTI_CHUNK_BYTES;
    super->extent_count = 1;
    super->extents[0] = (lofti_extent){LOFTI_JOURNAL_OFF, LOFTI_CHUNK_BYTES - LOFTI_JOURNAL_OFF};
    lofti_super_seal(super);
    error = lofti_file_resize(file, LOFTI_CHUNK_BYTES);
    if (error == 0) {
        error = lofti_file_write(file, super, sizeof *super, 0);
    }
    if (error == 0) {
        memset(super, 0, sizeof *super);
        error = lofti_file_write(file, zeros, LOFTI_STORE_PREPARED_BYTES, LOFTI_JOURNAL_OFF);
    }
    if (error == 0) {
        /* After this the file may be given its name: what the name leads to is a whole arena. */
        error = lofti_file_sync(file, LOFTI_SYNC_ALL);
    }
    (void)lofti_map_release(zeros, LOFTI_STORE_PREPARED_BYTES);
    return error == 0 ? LOFT_OK : lofti_status_system(error, "create", path);
}

/* A file that is shorter than it was at its last commit has lost pages. */
static int store_measure(lofti_store *store)
{
    lofti_file_info info;
    const int error = lofti_file_info_get(&store->file, &info);
    if (error != 0) {
        return lofti_status_system(error, "open", store->path);
    }
    if (info.bytes < store->super.file_bytes && !store->lenient) {
        return lofti_status_fail(LOFT_ECORRUPT, "open", store->path,
                                 "the file was cut: %llu bytes, its superblock says %llu",
                                 (unsigned long long)info.bytes,
                                 (unsigned long long)store->super.file_bytes);
    }
    store->space_end =
        lofti_arith_max(lofti_arith_round_up(info.bytes, LOFTI_CHUNK_BYTES), store->file_bytes);
    return LOFT_OK;
}

/* Superblock and journal, as they are read now. */
static int store_read(lofti_store *store, bool writing)
{
    const int code = lofti_store_super_read(store, writing);
    if (code != LOFT_OK) {
        return code;
    }
    store->super_stale = true;
    store->total_bytes = lofti_log_total_bytes(&store->super);
    store->position = store->super.start;
    store->high = store->total_bytes; /* whatever earlier handles wrote */
    store->chain = store->super.salt;
    store->sequence = store->super.sequence;
    store->frontier = store->super.frontier;
    store->file_bytes = store->super.file_bytes;
    return lofti_store_scan(store);
}

/* A writer may switch superblocks while a reader reads: only one that stays away is lost. */
static int store_read_newest(lofti_store *store, bool writing)
{
    uint64_t generation = 0;
    for (;;) {
        bool lost = false;
        int code = store_read(store, writing);
        if (code == LOFT_OK) {
            code = lofti_store_scan_lost(store, &lost);
        }
        store->lost = lost;
        if (code != LOFT_OK || !lost || store->lenient) {
            return code;
        }
        if (store->generation == generation) {
            return lofti_status_fail(
                LOFT_ECORRUPT, "open", store->path,
                "a superblock was lost: there are commits beyond number %llu, the last that the newest "
                "whole one knows of (at offset %llu)",
                (unsigned long long)store->sequence,
                (unsigned long long)store->slot_good * LOFTI_SUPER_BYTES);
        }
        generation = store->generation;
        lofti_index_clear(&store->index);
    }
}

static int store_load(lofti_store *store, bool writing)
{
    void *memory = NULL;
    const int error = lofti_map_place(STORE_BUFFER_BYTES, 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    if (error != 0) {
        return lofti_status_system(error, "open", store->path);
    }
    store->frame = memory;
    store->scratch = (uint8_t *)memory + LOFTI_FRAME_SIZE_MAX;
    store->bases = (uint8_t *)memory + STORE_FRAME_BYTES;
    store->window_memory = store->bases + LOFTI_STORE_BASES * LOFTI_PAGE_BYTES;
    const int code = store_read_newest(store, writing);
    atomic_store(&store->durable_sequence,
                 store->sequence); /* a writer copies it before use (C6) */
    return code == LOFT_OK ? store_measure(store) : code;
}

static int store_open_as(lofti_store *store, lofti_file *file, const char *path, bool writing,
                         bool lenient)
{
    memset(store, 0, sizeof *store);
    store->lenient = lenient;
    store->file = *file;
    *file = (lofti_file){0};
    store->path = path;
    (void)pthread_mutex_init(&store->space_mutex, NULL);
    (void)pthread_mutex_init(&store->flush_mutex, NULL);
    store->state = writing ? LOFTI_STORE_IDLE : LOFTI_STORE_READ;
    const int code = store_load(store, writing);
    if (code != LOFT_OK) {
        lofti_store_close(store);
        return code;
    }
    lofti_store_publish(store);
    lofti_store_verify(store);
    return LOFT_OK;
}

int lofti_store_open(lofti_store *store, lofti_file *file, const char *path, bool writing)
{
    return store_open_as(store, file, path, writing, false);
}

int lofti_store_open_lenient(lofti_store *store, lofti_file *file, const char *path)
{
    return store_open_as(store, file, path, false, true);
}

void lofti_store_close(lofti_store *store)
{
    if (store->frame != NULL) {
        (void)lofti_map_release(store->frame, STORE_BUFFER_BYTES);
    }
    if (store->draft.entries != NULL) {
        (void)lofti_map_release(store->draft.entries,
                                store->draft.capacity * sizeof *store->draft.entries);
    }
    lofti_index_release(&store->index);
    (void)lofti_file_close(&store->file);
    (void)pthread_mutex_destroy(&store->space_mutex);
    (void)pthread_mutex_destroy(&store->flush_mutex);
    memset(store, 0, sizeof *store);
}

bool lofti_store_has_journal(const lofti_store *store) { return store->index.count != 0; }

uint64_t lofti_store_journal_bytes(const lofti_store *store)
{
    return store->position - store->super.start;
}

uint64_t lofti_store_pending_bytes(const lofti_store *store)
{
    return lofti_store_journal_bytes(store) + store->placed_bytes;
}

int lofti_store_sorted(const lofti_store *store, uint64_t **out, uint64_t *bytes)
{
    *bytes = lofti_arith_round_up(lofti_arith_max(store->index.count, 1) * sizeof **out,
                                  lofti_map_page_bytes());
    void *memory = NULL;
    const int error = lofti_map_place(*bytes, 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    if (error != 0) {
        return lofti_status_system(error, "sort pages", store->path);
    }
    *out = memory;
    lofti_index_sorted(&store->index, *out);
    return LOFT_OK;
}

int lofti_store_each_page(lofti_store *store, lofti_store_page_fn *fn, void *context)
{
    uint64_t *pages = NULL;
    uint64_t bytes = 0;
    int code = lofti_store_sorted(store, &pages, &bytes);
    if (code != LOFT_OK) {
        return code;
    }
    LOFTI_ASSERT(pages != NULL);
    for (uint64_t i = 0; i < store->index.count && code == LOFT_OK; i++) {
        code = lofti_store_read_page(store, pages[i], store->scratch);
        if (code == LOFT_OK) {
            code = fn(context, pages[i], store->scratch);
        }
    }
    (void)lofti_map_release(pages, bytes);
    return code;
}

void lofti_store_verify(const lofti_store *store)
{
    LOFTI_ASSERT(store->state != LOFTI_STORE_CLOSED && store->file.ops != NULL);
    LOFTI_ASSERT(store->slot_good < LOFTI_SUPER_SLOTS && store->slot_before < LOFTI_SUPER_SLOTS);
    LOFTI_ASSERT(store->slot_good != store->slot_before);       /* S2 */
    LOFTI_ASSERT(store->generation >= store->super.generation); /* S2 */
    LOFTI_ASSERT(store->super_stale || store->slots_torn == 0 ||
                 LOFTI_FAULT(TRUST_SKIPPED));                                           /* S3 */
    LOFTI_ASSERT(store->super.start <= store->position);                                /* S4 */
    LOFTI_ASSERT(store->position <= store->total_bytes);                                /* S1 */
    LOFTI_ASSERT(store->total_bytes == lofti_log_total_bytes(&store->super));           /* S1 */
    LOFTI_ASSERT(store->sequence >= store->super.sequence);                             /* S1 */
    LOFTI_ASSERT(store->frontier >= store->super.frontier);                             /* C1 */
    LOFTI_ASSERT(store->frontier <= store->file_bytes);                                 /* C1 */
    LOFTI_ASSERT(store->file_bytes <= lofti_store_space_end(store));                    /* S1 */
    LOFTI_ASSERT((store->index.count == 0) == (store->position == store->super.start)); /* S1 */
    LOFTI_ASSERT(store->state == LOFTI_STORE_OPEN || store->draft.count == 0);
    (void)store;
}
