/* The store; see toy.h. */
#include "crash/toy.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"

#define TOY_MAGIC_SUPER  UINT64_C(0x7265707573796f74) /* "toysuper" */
#define TOY_MAGIC_RECORD UINT64_C(0x6472636572796f74) /* "toyrecrd" */
#define TOY_FILE_BYTES   ((uint64_t)(TOY_SLOTS + TOY_PAGES + 2 * TOY_HALF_BLOCKS) * TOY_BLOCK_BYTES)
#define TOY_HALF_BYTES   ((uint32_t)TOY_HALF_BLOCKS * TOY_BLOCK_BYTES)

/* Two sectors, so that it can be torn. */
typedef struct toy_super {
    uint64_t magic, epoch, salt;
    uint8_t rest[TOY_PAGE_BYTES - 24];
    uint64_t applied; /* the pages hold this commit */
    uint64_t half;
    uint64_t hash; /* of all before it */
} toy_super;

typedef struct toy_record {
    uint64_t magic, salt, sequence;
    uint64_t hash;  /* of header (with 0 here) and images, seeded by salt */
    uint64_t pages; /* bits; their images follow in rising order */
    uint8_t rest[TOY_PAGE_BYTES - 40];
    uint8_t images[TOY_PAGES][TOY_PAGE_BYTES];
} toy_record;

_Static_assert(sizeof(toy_record) <= TOY_BLOCK_BYTES, "a record fits a block");

static uint64_t new_salt(const toy *store)
{
    static uint64_t last = 0x5a17;
    if (store->fault == TOY_SALT_REUSED) {
        return last;
    }
    last += 0x9e3779b97f4a7c15u;
    return lofti_hash(&last, sizeof last, 0);
}

static uint64_t page_off(uint32_t page) { return (uint64_t)(TOY_SLOTS + page) * TOY_BLOCK_BYTES; }

static uint64_t half_off(uint64_t half)
{
    return (TOY_SLOTS + TOY_PAGES + half * TOY_HALF_BLOCKS) * TOY_BLOCK_BYTES;
}

static int write_all(const toy *store, const void *data, size_t bytes, uint64_t off)
{
    for (size_t done = 0; done < bytes;) {
        const int64_t wrote = store->ops->pwrite(
            store->ops, store->handle, (const uint8_t *)data + done, bytes - done, off + done);
        if (wrote < 0 && wrote != -EINTR) {
            return (int)wrote;
        }
        done += wrote > 0 ? (size_t)wrote : 0;
    }
    return 0;
}

/* The end of the file inside the range reads as zeros. */
static int read_all(const toy *store, void *data, size_t bytes, uint64_t off)
{
    memset(data, 0, bytes);
    for (size_t done = 0; done < bytes;) {
        const int64_t got = store->ops->pread(store->ops, store->handle, (uint8_t *)data + done,
                                              bytes - done, off + done);
        if (got == 0) {
            break;
        }
        if (got < 0 && got != -EINTR) {
            return (int)got;
        }
        done += got > 0 ? (size_t)got : 0;
    }
    return 0;
}

static int flush(const toy *store)
{
    return store->ops->sync(store->ops, store->handle, LOFTI_SYNC_DATA);
}

static int write_super(toy *store, uint64_t applied, uint64_t salt, uint32_t half)
{
    toy_super super = {.magic = TOY_MAGIC_SUPER,
                       .epoch = store->epoch + 1,
                       .salt = salt,
                       .applied = applied,
                       .half = half};
    super.hash = lofti_hash(&super, offsetof(toy_super, hash), 0);
    const uint64_t slot = store->fault == TOY_SUPER_IN_PLACE ? 0 : super.epoch % TOY_SLOTS;
    const int error = write_all(store, &super, sizeof super, slot * TOY_BLOCK_BYTES);
    store->epoch = super.epoch;
    store->salt = salt;
    store->half = half;
    return error;
}

static uint64_t record_hash(const toy_record *record, size_t bytes)
{
    const uint64_t head = lofti_hash(record, offsetof(toy_record, hash), record->salt);
    return lofti_hash(&record->pages, bytes - offsetof(toy_record, pages), head);
}

static size_t record_bytes(uint64_t pages)
{
    return offsetof(toy_record, images) + (size_t)__builtin_popcountll(pages) * TOY_PAGE_BYTES;
}

static int write_record(const toy *store, uint32_t pages, uint64_t salt, uint64_t sequence,
                        uint64_t off)
{
    toy_record record = {
        .magic = TOY_MAGIC_RECORD, .salt = salt, .sequence = sequence, .pages = pages};
    uint32_t count = 0;
    for (uint32_t page = 0; page < TOY_PAGES; page++) {
        if ((pages >> page & 1) != 0) {
            memcpy(record.images[count++], store->live[page], TOY_PAGE_BYTES);
        }
    }
    record.hash = record_hash(&record, record_bytes(pages));
    return write_all(store, &record, record_bytes(pages), off);
}

int toy_commit(toy *store, bool durable)
{
    if (store->used_bytes + TOY_BLOCK_BYTES > TOY_HALF_BYTES) {
        const uint32_t dirty = store->dirty; /* the checkpoint writes committed pages only */
        const int error = toy_checkpoint(store);
        if (error != 0) {
            return error;
        }
        store->dirty = dirty;
    }
    const uint64_t off = half_off(store->half) + store->used_bytes;
    int error = durable && store->fault == TOY_COMMIT_FLUSHED_EARLY ? flush(store) : 0;
    if (error == 0) {
        error = write_record(store, store->dirty, store->salt, store->sequence + 1, off);
    }
    store->unflushed = true;
    if (error == 0 && durable && store->fault != TOY_COMMIT_UNFLUSHED &&
        store->fault != TOY_COMMIT_FLUSHED_EARLY) {
        error = flush(store);
        store->unflushed = false;
    }
    if (error == 0 && store->super_due) {
        store->super_due = false; /* too late: the journal's beginning is overwritten already */
        error = write_super(store, store->sequence, store->salt, store->half);
        error = error == 0 ? flush(store) : error;
    }
    if (error == 0) {
        store->used_bytes += store->fault == TOY_BLOCK_SHARED ? (uint32_t)record_bytes(store->dirty)
                                                              : (uint32_t)TOY_BLOCK_BYTES;
        store->journaled |= store->dirty;
        store->dirty = 0;
        store->sequence++;
        memcpy(store->committed, store->live, sizeof store->live);
    }
    return error;
}

void toy_rollback(toy *store)
{
    memcpy(store->live, store->committed, sizeof store->live);
    store->dirty = 0;
}

static int apply_pages(const toy *store)
{
    for (uint32_t page = 0; page < TOY_PAGES; page++) {
        if ((store->journaled >> page & 1) != 0) {
            const int error =
                write_all(store, store->committed[page], TOY_PAGE_BYTES, page_off(page));
            if (error != 0) {
                return error;
            }
        }
    }
    return store->fault == TOY_APPLY_UNFLUSHED ? 0 : flush(store);
}

static int end_journal(toy *store)
{
    const uint64_t salt = new_salt(store);
    if (store->fault == TOY_REWOUND_EARLY && store->sequence > 1) {
        store->salt = salt;
        store->super_due = true;
        return 0;
    }
    const int error = write_super(store, store->sequence, salt, store->half);
    return error != 0 || store->fault == TOY_SUPER_UNFLUSHED ? error : flush(store);
}

int toy_checkpoint(toy *store)
{
    int error = 0;
    if (store->unflushed && store->fault != TOY_APPLY_BEFORE_FLUSH) {
        error = flush(store);
        store->unflushed = false;
    }
    if (store->fault == TOY_SUPER_BEFORE_APPLY) {
        error = error == 0 ? end_journal(store) : error;
        error = error == 0 ? apply_pages(store) : error;
    } else {
        error = error == 0 ? apply_pages(store) : error;
        error = error == 0 ? end_journal(store) : error;
    }
    if (error == 0) {
        store->used_bytes = 0;
        store->journaled = 0;
        store->unflushed = false;
    }
    return error;
}

static bool super_is_valid(const toy *store, const toy_super *super)
{
    return super->magic == TOY_MAGIC_SUPER && super->half < 2 &&
           (store->fault == TOY_SUPER_UNCHECKED ||
            super->hash == lofti_hash(super, offsetof(toy_super, hash), 0));
}

static int read_supers(toy *store)
{
    bool found = false;
    for (uint32_t slot = 0; slot < TOY_SLOTS; slot++) {
        toy_super super;
        const int error = read_all(store, &super, sizeof super, (uint64_t)slot * TOY_BLOCK_BYTES);
        if (error != 0) {
            return error;
        }
        if (super_is_valid(store, &super) && (!found || super.epoch > store->epoch)) {
            found = true;
            store->epoch = super.epoch;
            store->salt = super.salt;
            store->sequence = super.applied;
            store->half = (uint32_t)super.half;
        }
    }
    return found ? 0 : -EBADMSG;
}

static bool record_is_valid(const toy *store, const toy_record *record)
{
    if (record->magic != TOY_MAGIC_RECORD || record->salt != store->salt ||
        record->pages >= 1u << TOY_PAGES) {
        return false;
    }
    if (store->fault != TOY_SEQUENCE_SKIPPED && record->sequence != store->sequence + 1) {
        return false;
    }
    return store->fault == TOY_CHECKSUM_SKIPPED ||
           record->hash == record_hash(record, record_bytes(record->pages));
}

/* Takes the records of the active half into the live pages. */
static int read_records(toy *store)
{
    for (store->used_bytes = 0; store->used_bytes < TOY_HALF_BYTES;) {
        toy_record record;
        const int error =
            read_all(store, &record, sizeof record, half_off(store->half) + store->used_bytes);
        if (error != 0) {
            return error;
        }
        if (!record_is_valid(store, &record)) {
            return 0;
        }
        uint32_t count = 0;
        for (uint32_t page = 0; page < TOY_PAGES; page++) {
            if ((record.pages >> page & 1) != 0) {
                memcpy(store->live[page], record.images[count++], TOY_PAGE_BYTES);
            }
        }
        store->journaled |= (uint32_t)record.pages;
        store->sequence = record.sequence;
        store->used_bytes += store->fault == TOY_BLOCK_SHARED ? (uint32_t)record_bytes(record.pages)
                                                              : (uint32_t)TOY_BLOCK_BYTES;
    }
    return 0;
}

/* T5: what was read becomes one flushed record in the other half. */
static int copy_records(toy *store)
{
    const uint32_t half =
        store->fault == TOY_RECOVERY_COPY_IN_PLACE ? store->half : 1 - store->half;
    const uint64_t salt = new_salt(store);
    int error = write_record(store, store->journaled, salt, store->sequence, half_off(half));
    if (error == 0 && store->fault != TOY_RECOVERY_COPY_UNFLUSHED) {
        error = flush(store);
    }
    if (error == 0) {
        error = write_super(store, store->sequence - 1, salt, half);
    }
    if (error == 0 && store->fault != TOY_RECOVERY_SUPER_UNFLUSHED) {
        error = flush(store);
    }
    return error;
}

static int recover(toy *store)
{
    int error = read_supers(store);
    for (uint32_t page = 0; error == 0 && page < TOY_PAGES; page++) {
        error = read_all(store, store->live[page], TOY_PAGE_BYTES, page_off(page));
    }
    const uint64_t applied = store->sequence;
    error = error == 0 ? read_records(store) : error;
    if (error == 0 && store->fault != TOY_RECOVERY_TRUSTS_SUPER) {
        error = write_super(store, applied, store->salt, store->half);
        error = error == 0 ? flush(store) : error;
    }
    if (error != 0 || store->journaled == 0) {
        /* Nothing to apply; what lies behind the last record may be a torn one. */
        return error != 0 ? error : end_journal(store);
    }
    memcpy(store->committed, store->live, sizeof store->live);
    if (store->fault != TOY_RECOVERY_TRUSTS_RECORDS) {
        error = copy_records(store);
    }
    return error == 0 ? toy_checkpoint(store) : error;
}

int toy_open(const lofti_file_ops *ops, const char *path, enum toy_fault fault, toy *out)
{
    *out = (toy){.ops = ops, .fault = fault};
    int error = ops->open(ops, path, LOFTI_OPEN_WRITE, 0, &out->handle);
    if (error != 0) {
        return error;
    }
    error = recover(out);
    if (error != 0) {
        (void)ops->close(ops, out->handle);
        return error;
    }
    memcpy(out->committed, out->live, sizeof out->live);
    out->used_bytes = 0;
    return 0;
}

static int fill_new(toy *store, const char *path)
{
    const lofti_file_ops *ops = store->ops;
    int error = ops->resize(ops, store->handle, TOY_FILE_BYTES);
    error = error == 0 ? write_super(store, 1, new_salt(store), 0) : error;
    if (error == 0 && store->fault != TOY_CREATE_UNFLUSHED) {
        error = ops->sync(ops, store->handle, LOFTI_SYNC_ALL);
    }
    error = error == 0 ? ops->link(ops, store->handle, NULL, path) : error;
    if (error == 0 && store->fault != TOY_CREATE_NAME_UNFLUSHED) {
        error = ops->sync_folder(ops, path);
    }
    return error;
}

int toy_create(const lofti_file_ops *ops, const char *path, enum toy_fault fault, toy *out)
{
    *out = (toy){.ops = ops, .fault = fault, .sequence = 1};
    int error = ops->open(ops, path, LOFTI_OPEN_WRITE | LOFTI_OPEN_UNNAMED, 0600, &out->handle);
    if (error == 0) {
        error = fill_new(out, path);
        if (error != 0) {
            (void)ops->close(ops, out->handle);
        }
    }
    return error;
}

int toy_close(toy *store) { return store->ops->close(store->ops, store->handle); }

const char *toy_fault_name(enum toy_fault fault)
{
    static const char *const names[TOY_FAULTS] = {
        "right",
        "commit unflushed",
        "commit flushed early",
        "checksum skipped",
        "salt reused",
        "sequence skipped",
        "superblock unchecked",
        "apply before flush",
        "apply unflushed",
        "superblock before apply",
        "superblock unflushed",
        "rewound early",
        "superblock in place",
        "block shared",
        "recovery trusts superblock",
        "recovery trusts records",
        "recovery copy unflushed",
        "recovery copy in place",
        "recovery superblock unflushed",
        "create unflushed",
        "create name unflushed",
    };
    return names[fault];
}
