/* See journal_world.h. */
#include "crash/journal_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "loft/error.h"

/* After a recovery, these pages are changed; scenarios use them in any case. */
enum { JOURNAL_GO_ON_PAGES = 4 };

static const char journal_path[] = "/arena";

void journal_must(int code, const char *what)
{
    if (code != 0) {
        fprintf(stderr, "journal scenario: %s: %s: %s\n", what, loft_error_name(code),
                loft_last_error());
        abort();
    }
}

/* Versions change a few bytes, or half a page, or all of it: all kinds of records. */
void journal_page_fill(uint8_t *bytes, uint32_t page, uint32_t version)
{
    static const uint32_t changed[] = {24, 2048, LOFTI_PAGE_BYTES};
    memset(bytes, 0, LOFTI_PAGE_BYTES);
    for (uint32_t i = 0; version != 0 && i < changed[version % 3]; i += 4) {
        const uint32_t word = (version * 0x9e3779b1u) ^ (page << 20) ^ (i * 0x85ebca6bu);
        memcpy(bytes + i, &word, sizeof word);
    }
}

uint64_t journal_page_idx(const journal_model *model, uint32_t page)
{
    return model->chunk_off[page < JOURNAL_FAR ? 0 : 1] / LOFTI_PAGE_BYTES + page % JOURNAL_FAR;
}

static uint64_t content_hash(uint32_t page, uint32_t version)
{
    uint8_t bytes[LOFTI_PAGE_BYTES];
    journal_page_fill(bytes, page, version);
    return lofti_hash(bytes, sizeof bytes, 0);
}

journal_world *journal_world_begin(void)
{
    journal_world *world = calloc(1, sizeof *world);
    if (world != NULL) {
        world->memory = memory_fs_create();
    }
    if (world == NULL || world->memory == NULL) {
        perror("journal scenario");
        abort();
    }
    world->fault = fault_fs_create(memory_fs_ops(world->memory));
    world->record = record_fs_create(fault_fs_ops(world->fault));
    world->ops = record_fs_ops(world->record);
    return world;
}

void journal_world_end(journal_world *world)
{
    journal_die(world);
    record_fs_destroy(world->record);
    fault_fs_destroy(world->fault);
    memory_fs_destroy(world->memory);
    free(world);
}

/* --- Opening ------------------------------------------------------------------------------------ */

static int file_open(const lofti_file_ops *ops, lofti_file *file)
{
    *file = (lofti_file){.ops = ops};
    return ops->open(ops, journal_path, LOFTI_OPEN_WRITE, 0, &file->handle);
}

/* Opens and recovers; the store is closed unless the answer is LOFT_OK or LOFT_EPENDING. */
static int store_open(lofti_store *store, const lofti_file_ops *ops)
{
    lofti_file file;
    if (file_open(ops, &file) != 0) {
        return LOFT_ENOENT;
    }
    int code = lofti_store_open(store, &file, journal_path, true);
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_store_recover(store);
    if (code != LOFT_OK && code != LOFT_EPENDING) {
        lofti_store_close(store);
    }
    return code;
}

void journal_die(journal_world *world)
{
    if (world->open) {
        lofti_store_close(&world->store);
        world->open = false;
    }
}

/* The attempt that the store shows: the latest of its sequence whose pages are as the store's. */
static int64_t attempt_found(const journal_model *model, lofti_store *store, char *why);

int journal_restart(journal_world *world)
{
    char why[CRASH_WHY_BYTES];
    journal_die(world);
    const int code = store_open(&world->store, world->ops);
    world->open = code == LOFT_OK || code == LOFT_EPENDING;
    if (world->open) {
        const int64_t attempt = attempt_found(&world->model, &world->store, why);
        if (attempt < 0) {
            fprintf(stderr, "journal scenario: restart: %s\n", why);
            abort();
        }
        /* The program goes on from what it found; what it had more is lost for good. */
        world->based_on = (uint32_t)attempt;
        record_fs_mark(world->record, world->based_on, world->based_on);
    }
    return code;
}

void journal_create(journal_world *world)
{
    const lofti_file_ops *ops = world->ops;
    lofti_file file = {.ops = ops};
    const lofti_store_identity identity = {.base = (uint64_t)1 << 40, .salt = 0x10f7};
    record_fs_begun(world->record, 1);
    journal_must(
        ops->open(ops, journal_path, LOFTI_OPEN_WRITE | LOFTI_OPEN_UNNAMED, 0600, &file.handle),
        "open");
    journal_must(lofti_store_format(&file, journal_path, &identity), "format");
    journal_must(ops->link(ops, file.handle, journal_path), "link");
    journal_must(ops->sync_folder(ops, journal_path), "sync folder");
    world->model.attempts = world->based_on = 1;
    for (uint32_t page = 0; page < JOURNAL_PAGES; page++) {
        world->model.commits[1].hashes[page] = content_hash(page, 0);
    }
    record_fs_returned(world->record, 1);
    journal_must(lofti_store_open(&world->store, &file, journal_path, true), "open store");
    journal_must(lofti_store_recover(&world->store), "recover");
    world->open = true;
    journal_grow(world);
}

void journal_grow(journal_world *world)
{
    journal_model *model = &world->model;
    uint64_t off = 0;
    journal_must(lofti_store_claim(&world->store, 1, UINT64_MAX / 2, &off), "claim");
    model->chunk_off[model->chunks++] = off;
    world->frontier = off + LOFTI_CHUNK_BYTES;
}

/* --- Committing ----------------------------------------------------------------------------------- */

static int commit_changed(journal_world *world, uint32_t first, uint32_t count, bool flush)
{
    journal_model *model = &world->model;
    const journal_commit *next = &model->commits[model->attempts];
    uint8_t bytes[LOFTI_PAGE_BYTES];
    int code = lofti_store_begin(&world->store);
    for (uint32_t page = first; code == LOFT_OK && page < first + count; page++) {
        journal_page_fill(bytes, page, next->versions[page]);
        code = lofti_store_page(&world->store, journal_page_idx(model, page), bytes);
    }
    if (code != LOFT_OK) {
        return code;
    }
    return flush ? lofti_store_commit(&world->store, world->frontier)
                 : lofti_store_commit_unflushed(&world->store, world->frontier);
}

/* A new attempt that starts from what the program has. */
static journal_commit *attempt_add(journal_world *world)
{
    journal_model *model = &world->model;
    if (model->attempts + 1 == JOURNAL_COMMITS) {
        fputs("journal scenario: too long\n", stderr);
        abort();
    }
    journal_commit *next = &model->commits[++model->attempts];
    *next = model->commits[world->based_on];
    next->sequence = world->store.sequence + 1;
    next->frontier = world->frontier;
    return next;
}

static void page_use(journal_model *model, uint32_t page)
{
    for (uint32_t i = 0; i < model->used_count; i++) {
        if (model->used[i] == page) {
            return;
        }
    }
    model->used[model->used_count++] = page;
}

static void version_set(journal_commit *commit, uint32_t page, uint32_t version)
{
    commit->versions[page] = version;
    commit->hashes[page] = content_hash(page, version);
}

static int attempt_run(journal_world *world, uint32_t first, uint32_t count)
{
    const uint32_t attempt = world->model.attempts;
    record_fs_begun(world->record, attempt);
    const int code = commit_changed(world, first, count, true);
    if (code == LOFT_OK) {
        record_fs_returned(world->record, attempt);
        world->based_on = attempt;
    }
    return code;
}

int journal_commit_pages(journal_world *world, uint32_t first, uint32_t count)
{
    journal_commit *next = attempt_add(world);
    for (uint32_t page = first; page < first + count; page++) {
        page_use(&world->model, page);
        version_set(next, page, ++world->next_version);
    }
    return attempt_run(world, first, count);
}

int journal_commit_async(journal_world *world, uint32_t first, uint32_t count)
{
    journal_commit *next = attempt_add(world);
    for (uint32_t page = first; page < first + count; page++) {
        page_use(&world->model, page);
        version_set(next, page, ++world->next_version);
    }
    record_fs_begun(world->record, world->model.attempts);
    const int code = commit_changed(world, first, count, false);
    if (code == LOFT_OK) {
        world->based_on = world->model.attempts;
    }
    return code;
}

int journal_wait(journal_world *world)
{
    const int code = lofti_store_wait(&world->store, world->store.sequence, world->store.sequence);
    if (code == LOFT_OK) {
        record_fs_returned(world->record, world->based_on);
    }
    return code;
}

int journal_commit_version(journal_world *world, uint32_t page, uint32_t version)
{
    page_use(&world->model, page);
    version_set(attempt_add(world), page, version);
    return attempt_run(world, page, 1);
}

void journal_commit_well(journal_world *world, uint32_t first, uint32_t count)
{
    journal_must(journal_commit_pages(world, first, count), "commit");
}

void journal_checkpoint_well(journal_world *world)
{
    journal_must(lofti_store_checkpoint(&world->store), "checkpoint");
}

void journal_fail(journal_world *world, unsigned kinds, enum fault_action action, uint64_t n,
                  int error)
{
    const fault_plan plan = {
        .action = action, .kinds = kinds, .first = n, .times = 1, .error = error};
    fault_fs_set(world->fault, &plan);
}

void journal_go_well(journal_world *world) { fault_fs_set(world->fault, NULL); }

/* --- The model -------------------------------------------------------------------------------------- */

/* The first page that is not as the attempt left it, JOURNAL_PAGES if all are; -1: unreadable. */
static int64_t first_difference(const journal_model *model, lofti_store *store,
                                const journal_commit *commit)
{
    uint8_t bytes[LOFTI_PAGE_BYTES];
    for (uint32_t i = 0; i < model->used_count; i++) {
        const uint32_t page = model->used[i];
        const uint64_t page_idx = journal_page_idx(model, page);
        if (page_idx * LOFTI_PAGE_BYTES >= commit->frontier) {
            continue; /* not the heap's yet */
        }
        if (lofti_store_read_page(store, page_idx, bytes) != LOFT_OK) {
            return -1;
        }
        if (lofti_hash(bytes, sizeof bytes, 0) != commit->hashes[page]) {
            return page;
        }
    }
    return JOURNAL_PAGES;
}

static int64_t attempt_found(const journal_model *model, lofti_store *store, char *why)
{
    int64_t page = -2;
    for (uint32_t attempt = model->attempts; attempt >= 1; attempt--) {
        if (model->commits[attempt].sequence == store->sequence) {
            page = first_difference(model, store, &model->commits[attempt]);
            if (page == JOURNAL_PAGES) {
                return attempt;
            }
        }
    }
    const char *reason = page == -2   ? "which was never begun"
                         : page == -1 ? loft_last_error()
                                      : "which has another page";
    (void)snprintf(why, CRASH_WHY_BYTES, "recovered sequence %llu, %s (page %lld)",
                   (unsigned long long)store->sequence, reason, (long long)page);
    return -1;
}

int64_t journal_recover(void *context, const lofti_file_ops *ops, char *why)
{
    const journal_model *model = context;
    lofti_store store;
    const int code = store_open(&store, ops);
    if (code == LOFT_ENOENT) {
        return 0;
    }
    if (code != LOFT_OK) {
        (void)snprintf(why, CRASH_WHY_BYTES, "recovery: %s", loft_last_error());
        return -1;
    }
    const int64_t attempt = attempt_found(model, &store, why);
    lofti_store_close(&store);
    return attempt;
}

/* Three commits, a checkpoint between them. */
static int go_on_commits(const journal_model *model, lofti_store *store, journal_commit *commit)
{
    uint8_t bytes[LOFTI_PAGE_BYTES];
    int code = LOFT_OK;
    for (uint32_t i = 0; code == LOFT_OK && i < 3; i++) {
        const uint32_t page = (uint32_t)(commit->sequence + i) % JOURNAL_GO_ON_PAGES;
        version_set(commit, page, 100000 + i);
        journal_page_fill(bytes, page, commit->versions[page]);
        code = lofti_store_begin(store);
        code =
            code == LOFT_OK ? lofti_store_page(store, journal_page_idx(model, page), bytes) : code;
        code = code == LOFT_OK ? lofti_store_commit(store, commit->frontier) : code;
        code = code == LOFT_OK && i == 1 ? lofti_store_checkpoint(store) : code;
    }
    return code;
}

int journal_go_on(void *context, const lofti_file_ops *ops, uint64_t commit, char *why)
{
    const journal_model *model = context;
    lofti_store store;
    if (commit == 0) {
        return 0;
    }
    journal_commit next = model->commits[commit];
    int code = store_open(&store, ops);
    if (code == LOFT_OK) {
        const uint64_t end = model->chunk_off[0] + LOFTI_CHUNK_BYTES;
        if (store.space_end < end) { /* the first commit, which claims the chunk, was lost */
            uint64_t off;
            code = lofti_store_claim(&store, 1, end, &off);
        }
        next.frontier = next.frontier > end ? next.frontier : end;
        code = code == LOFT_OK ? go_on_commits(model, &store, &next) : code;
        lofti_store_close(&store);
    }
    code = code == LOFT_OK ? store_open(&store, ops) : code;
    if (code != LOFT_OK) {
        (void)snprintf(why, CRASH_WHY_BYTES, "going on after commit %llu: %s",
                       (unsigned long long)commit, loft_last_error());
        return -1;
    }
    const int64_t page = first_difference(model, &store, &next);
    const uint64_t sequence = store.sequence;
    lofti_store_close(&store);
    if (page != JOURNAL_PAGES || sequence != next.sequence + 3) {
        (void)snprintf(why, CRASH_WHY_BYTES,
                       "three commits after %llu: sequence %llu, page %lld differs",
                       (unsigned long long)commit, (unsigned long long)sequence, (long long)page);
        return -1;
    }
    return 0;
}
