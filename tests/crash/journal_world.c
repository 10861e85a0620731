/* See journal_world.h. */
#include "crash/journal_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "loft/error.h"

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

void journal_die(journal_world *world)
{
    if (world->open) {
        lofti_store_close(&world->store);
        world->open = false;
    }
}

int journal_restart(journal_world *world)
{
    char why[CRASH_WHY_BYTES];
    journal_die(world);
    const int code = journal_store_open(&world->store, world->ops);
    world->open = code == LOFT_OK || code == LOFT_EPENDING;
    if (world->open) {
        const int64_t attempt = journal_attempt_found(&world->model, &world->store, why);
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
        ops->open(ops, JOURNAL_PATH, LOFTI_OPEN_WRITE | LOFTI_OPEN_UNNAMED, 0600, &file.handle),
        "open");
    journal_must(lofti_store_format(&file, JOURNAL_PATH, &identity), "format");
    journal_must(ops->link(ops, file.handle, NULL, JOURNAL_PATH), "link");
    journal_must(ops->sync_folder(ops, JOURNAL_PATH), "sync folder");
    world->model.attempts = world->based_on = 1;
    for (uint32_t page = 0; page < JOURNAL_PAGES; page++) {
        world->model.commits[1].hashes[page] = content_hash(page, 0);
    }
    record_fs_returned(world->record, 1);
    journal_must(lofti_store_open(&world->store, &file, JOURNAL_PATH, true), "open store");
    journal_must(lofti_store_recover(&world->store), "recover");
    world->open = true;
    journal_grow(world);
}

void journal_grow(journal_world *world)
{
    journal_model *model = &world->model;
    uint64_t off = 0;
    journal_must(model->chunks < JOURNAL_CHUNKS ? LOFT_OK : LOFT_ERANGE, "room in the model");
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

void journal_version_set(journal_commit *commit, uint32_t page, uint32_t version)
{
    commit->versions[page] = version;
    commit->hashes[page] = version == JOURNAL_FREE ? 0 : content_hash(page, version);
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
        journal_version_set(next, page, ++world->next_version);
    }
    return attempt_run(world, first, count);
}

int journal_commit_whole(journal_world *world, uint32_t first, uint32_t count)
{
    journal_commit *next = attempt_add(world);
    for (uint32_t page = first; page < first + count; page++) {
        page_use(&world->model, page);
        world->next_version += 3 - world->next_version % 3 + 2; /* 2, modulo 3: journal_page_fill */
        journal_version_set(next, page, world->next_version);
    }
    return attempt_run(world, first, count);
}

int journal_commit_again(journal_world *world, uint32_t first, uint32_t count)
{
    return attempt_run(world, first, count);
}

/* Runs of pages that are neighbours in the file. */
static int bulk_changed(journal_world *world, uint32_t first, uint32_t count)
{
    journal_model *model = &world->model;
    const journal_commit *next = &model->commits[model->attempts];
    static uint8_t bytes[JOURNAL_PAGES][LOFTI_PAGE_BYTES];
    int code = lofti_store_begin(&world->store);
    for (uint32_t page = first; page < first + count; page++) {
        journal_page_fill(bytes[page], page, next->versions[page]);
    }
    for (uint32_t page = first; code == LOFT_OK && page < first + count;) {
        const uint32_t border = page < JOURNAL_FAR ? JOURNAL_FAR : JOURNAL_PAGES;
        const uint32_t end = first + count < border ? first + count : border;
        code =
            lofti_store_bulk(&world->store, journal_page_idx(model, page), bytes[page], end - page);
        page = end;
    }
    return code == LOFT_OK ? lofti_store_commit(&world->store, world->frontier) : code;
}

int journal_commit_bulk(journal_world *world, uint32_t first, uint32_t count)
{
    journal_commit *next = attempt_add(world);
    for (uint32_t page = first; page < first + count; page++) {
        page_use(&world->model, page);
        journal_version_set(next, page, page % 7 == 6 ? 0 : ++world->next_version);
    }
    const uint32_t attempt = world->model.attempts;
    record_fs_begun(world->record, attempt);
    const int code = bulk_changed(world, first, count);
    if (code == LOFT_OK) {
        record_fs_returned(world->record, attempt);
        world->based_on = attempt;
    }
    return code;
}

int journal_commit_async(journal_world *world, uint32_t first, uint32_t count)
{
    journal_commit *next = attempt_add(world);
    for (uint32_t page = first; page < first + count; page++) {
        page_use(&world->model, page);
        journal_version_set(next, page, ++world->next_version);
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
    journal_version_set(attempt_add(world), page, version);
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

void journal_commit_free(journal_world *world, uint32_t first, uint32_t count)
{
    journal_commit *next = attempt_add(world);
    for (uint32_t page = first; page < first + count; page++) {
        journal_version_set(next, page, JOURNAL_FREE);
    }
    page_use(&world->model, 0);
    journal_version_set(next, 0, ++world->next_version);
    journal_must(attempt_run(world, 0, 1), "commit");
}

int journal_punch(journal_world *world, uint32_t first, uint32_t count)
{
    const uint64_t off = journal_page_idx(&world->model, first) * LOFTI_PAGE_BYTES;
    journal_must(lofti_store_punch(&world->store, off, (uint64_t)count * LOFTI_PAGE_BYTES),
                 "punch");
    return lofti_store_punched(&world->store);
}

void journal_fail(journal_world *world, unsigned kinds, enum fault_action action, uint64_t n,
                  int error)
{
    const fault_plan plan = {
        .action = action, .kinds = kinds, .first = n, .times = 1, .error = error};
    fault_fs_set(world->fault, &plan);
}

void journal_go_well(journal_world *world) { fault_fs_set(world->fault, NULL); }
