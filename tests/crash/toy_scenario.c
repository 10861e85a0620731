/* See toy_scenario.h. */
#include "crash/toy_scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char toy_path[] = "toy";

void toy_fill(uint8_t *bytes, uint32_t page, uint32_t version)
{
    memset(bytes, 0, TOY_PAGE_BYTES);
    for (uint32_t i = 0; version != 0 && i < TOY_PAGE_BYTES; i += 4) {
        const uint32_t word = (version * 0x9e3779b1u) ^ (page << 24) ^ i;
        memcpy(bytes + i, &word, sizeof word);
    }
}

static void must(int error, const char *what)
{
    if (error != 0) {
        fprintf(stderr, "toy scenario: %s: %s\n", what, strerror(-error));
        abort();
    }
}

void toy_world_begin(toy_world *world, enum toy_fault fault)
{
    memset(world, 0, sizeof *world);
    world->memory = memory_fs_create();
    must(world->memory == NULL ? -errno : 0, "memory_fs");
    world->fault = fault_fs_create(memory_fs_ops(world->memory));
    world->record = record_fs_create(fault_fs_ops(world->fault));
    world->ops = record_fs_ops(world->record);
    world->model.fault = fault;
}

void toy_world_end(toy_world *world)
{
    if (world->open) {
        (void)toy_close(&world->store);
    }
    record_fs_destroy(world->record);
    fault_fs_destroy(world->fault);
    memory_fs_destroy(world->memory);
}

/* --- What scripts are made of ----------------------------------------------------------------- */

static void create(toy_world *world)
{
    record_fs_begun(world->record, 1);
    world->model.commits = 1;
    must(toy_create(world->ops, toy_path, world->model.fault, &world->store), "create");
    world->open = true;
    record_fs_returned(world->record, 1);
}

/* Gives the pages of a mask new contents. */
static void change(toy_world *world, uint32_t pages)
{
    for (uint32_t page = 0; page < TOY_PAGES; page++) {
        if ((pages >> page & 1) != 0) {
            toy_fill(toy_page(&world->store, page), page, ++world->next_version);
        }
    }
}

/* Returns: what the commit of these pages answered. */
static int commit(toy_world *world, uint32_t pages, bool durable)
{
    toy_model *model = &world->model;
    const uint64_t number = world->store.sequence + 1;
    uint32_t version = world->next_version;
    memcpy(model->versions[number], model->versions[number - 1], sizeof model->versions[number]);
    for (uint32_t page = 0; page < TOY_PAGES; page++) {
        if ((pages >> page & 1) != 0) {
            model->versions[number][page] = ++version;
        }
    }
    model->commits = number;
    change(world, pages);
    record_fs_begun(world->record, number);
    const int error = toy_commit(&world->store, durable);
    if (error == 0 && durable) {
        record_fs_returned(world->record, number);
    }
    return error;
}

static void commit_well(toy_world *world, uint32_t pages)
{
    must(commit(world, pages, true), "commit");
}

/* The process dies, the machine does not; the next one recovers. */
static void restart(toy_world *world)
{
    if (world->open) {
        (void)toy_close(&world->store);
    }
    const int error = toy_open(world->ops, toy_path, world->model.fault, &world->store);
    world->open = error == 0;
    if (world->open) {
        record_fs_returned(world->record, world->store.sequence);
    }
}

/* The nth flush from now fails. */
static void fail_flush(toy_world *world, uint64_t n)
{
    const fault_plan plan = {.action = FAULT_FAIL,
                             .kinds = FAULT_MASK(FAULT_SYNC),
                             .first = n,
                             .times = 1,
                             .error = EIO};
    fault_fs_set(world->fault, &plan);
}

static void go_well(toy_world *world) { fault_fs_set(world->fault, NULL); }

/* --- Scripts -------------------------------------------------------------------------------------- */

static void run_first_commit(toy_world *world)
{
    create(world);
    commit_well(world, 0x01);
}

static void run_several(toy_world *world)
{
    create(world);
    commit_well(world, 0x03);
    commit_well(world, 0x06);
    commit_well(world, 0x3f);
    commit_well(world, 0x20);
}

static void run_wrap(toy_world *world)
{
    create(world);
    for (uint32_t i = 0; i < 3 * TOY_HALF_BLOCKS; i++) {
        commit_well(world, 1u << i % TOY_PAGES | 1u << (i * i + 1) % TOY_PAGES);
    }
}

static void run_checkpoints(toy_world *world)
{
    create(world);
    for (uint32_t i = 0; i < 4; i++) {
        commit_well(world, 0x07u << i % 4);
        must(toy_checkpoint(&world->store), "checkpoint");
        commit_well(world, 0x01);
        commit_well(world, 0x30);
    }
}

/* A checkpoint is a promise for the ordered commits before it, too. */
static void checkpoint_ordered(toy_world *world)
{
    must(toy_checkpoint(&world->store), "checkpoint");
    record_fs_returned(world->record, world->store.sequence);
}

static void run_ordered(toy_world *world)
{
    create(world);
    commit_well(world, 0x01);
    must(commit(world, 0x02, false), "commit");
    must(commit(world, 0x05, false), "commit");
    must(commit(world, 0x0a, false), "commit");
    commit_well(world, 0x11);
    must(commit(world, 0x03, false), "commit");
    checkpoint_ordered(world);
    /* In a fresh journal: nothing of an elder record hides what goes wrong with these. */
    must(commit(world, 0x24, false), "commit");
    must(commit(world, 0x08, false), "commit");
    checkpoint_ordered(world);
    must(commit(world, 0x01, false), "commit");
    must(commit(world, 0x02, false), "commit");
    must(commit(world, 0x04, false), "commit");
    commit_well(world, 0x08);
}

/* Far more pending units than all subsets could be tried of. */
static void run_bulk(toy_world *world)
{
    create(world);
    for (uint32_t i = 0; i < 4; i++) {
        must(commit(world, 0x3f, false), "commit");
        must(commit(world, 0x3f, false), "commit");
        must(commit(world, 0x2a, false), "commit");
        must(commit(world, 0x15, false), "commit");
        checkpoint_ordered(world);
    }
    commit_well(world, 0x3f);
}

static void run_rollback(toy_world *world)
{
    create(world);
    commit_well(world, 0x03);
    change(world, 0x0f);
    toy_rollback(&world->store);
    commit_well(world, 0x04);
    must(toy_checkpoint(&world->store), "checkpoint");
    change(world, 0x3f);
    toy_rollback(&world->store);
    commit_well(world, 0x09);
}

static void run_restarts(toy_world *world)
{
    create(world);
    commit_well(world, 0x03);
    commit_well(world, 0x06);
    restart(world);
    commit_well(world, 0x0c);
    must(commit(world, 0x30, false), "commit");
    restart(world);
    restart(world);
    commit_well(world, 0x21);
}

/* The flush of a commit fails; the next process sees it in the cache all the same. */
static void run_commit_fails(toy_world *world)
{
    create(world);
    commit_well(world, 0x03);
    fail_flush(world, 1);
    must(commit(world, 0x06, true) == -EIO ? 0 : -EINVAL, "failing commit");
    go_well(world);
    restart(world);
    commit_well(world, 0x18);
    commit_well(world, 0x05);
}

static void checkpoint_fails(toy_world *world, uint64_t n)
{
    create(world);
    commit_well(world, 0x03);
    must(toy_checkpoint(&world->store), "checkpoint");
    commit_well(world, 0x0c);
    commit_well(world, 0x05);
    fail_flush(world, n);
    (void)toy_checkpoint(&world->store);
    go_well(world);
    restart(world);
    commit_well(world, 0x11);
    must(toy_checkpoint(&world->store), "checkpoint");
    commit_well(world, 0x22);
}

static void run_apply_fails(toy_world *world) { checkpoint_fails(world, 1); }
static void run_super_fails(toy_world *world) { checkpoint_fails(world, 2); }

/* The nth flush of a recovery fails, the next recovery goes well. */
static void recovery_fails(toy_world *world, uint64_t n)
{
    create(world);
    commit_well(world, 0x03);
    must(toy_checkpoint(&world->store), "checkpoint");
    commit_well(world, 0x0c);
    commit_well(world, 0x05);
    fail_flush(world, n);
    restart(world);
    go_well(world);
    restart(world);
    commit_well(world, 0x11);
    commit_well(world, 0x22);
}

static void run_recovery_fails_1(toy_world *world) { recovery_fails(world, 1); }
static void run_recovery_fails_2(toy_world *world) { recovery_fails(world, 2); }
static void run_recovery_fails_3(toy_world *world) { recovery_fails(world, 3); }
static void run_recovery_fails_4(toy_world *world) { recovery_fails(world, 4); }
static void run_recovery_fails_5(toy_world *world) { recovery_fails(world, 5); }

const toy_script toy_scripts[] = {
    {"first commit", run_first_commit},
    {"several commits", run_several},
    {"wrap", run_wrap},
    {"checkpoints", run_checkpoints},
    {"ordered commits", run_ordered},
    {"ordered commits in bulk", run_bulk},
    {"rollback", run_rollback},
    {"restarts", run_restarts},
    {"commit's flush fails", run_commit_fails},
    {"apply's flush fails", run_apply_fails},
    {"superblock's flush fails", run_super_fails},
    {"recovery's flush 1 fails", run_recovery_fails_1},
    {"recovery's flush 2 fails", run_recovery_fails_2},
    {"recovery's flush 3 fails", run_recovery_fails_3},
    {"recovery's flush 4 fails", run_recovery_fails_4},
    {"recovery's flush 5 fails", run_recovery_fails_5},
};
const size_t toy_script_count = sizeof toy_scripts / sizeof toy_scripts[0];

/* --- The model ------------------------------------------------------------------------------------ */

/* Returns: 0 when every page holds its version. */
static int compare(toy *store, const uint32_t *versions, const char *when, char *why)
{
    for (uint32_t page = 0; page < TOY_PAGES; page++) {
        uint8_t expected[TOY_PAGE_BYTES];
        toy_fill(expected, page, versions[page]);
        if (memcmp(store->live[page], expected, sizeof expected) != 0) {
            (void)snprintf(why, CRASH_WHY_BYTES, "%s: page %u is not as commit %llu left it", when,
                           page, (unsigned long long)store->sequence);
            return -1;
        }
    }
    return 0;
}

int64_t toy_recover(void *context, const lofti_file_ops *ops, char *why)
{
    const toy_model *model = context;
    toy store;
    const int error = toy_open(ops, toy_path, model->fault, &store);
    if (error == -ENOENT) {
        return 0;
    }
    if (error != 0) {
        (void)snprintf(why, CRASH_WHY_BYTES, "open answers %d", error);
        return -1;
    }
    (void)toy_close(&store);
    if (store.sequence > model->commits) {
        (void)snprintf(why, CRASH_WHY_BYTES, "commit %llu was never begun",
                       (unsigned long long)store.sequence);
        return -1;
    }
    return compare(&store, model->versions[store.sequence], "recovery", why) == 0
               ? (int64_t)store.sequence
               : -1;
}

int toy_go_on(void *context, const lofti_file_ops *ops, uint64_t commit, char *why)
{
    const toy_model *model = context;
    uint32_t versions[TOY_PAGES];
    toy store;
    if (commit == 0) {
        return 0;
    }
    memcpy(versions, model->versions[commit], sizeof versions);
    int error = toy_open(ops, toy_path, model->fault, &store);
    for (uint32_t i = 0; error == 0 && i < 3; i++) {
        const uint32_t page = (uint32_t)(commit + i) % TOY_PAGES;
        versions[page] = 0x1000 + i;
        toy_fill(toy_page(&store, page), page, versions[page]);
        error = toy_commit(&store, true);
    }
    if (error == 0) {
        (void)toy_close(&store);
        error = toy_open(ops, toy_path, model->fault, &store);
    }
    if (error != 0) {
        (void)snprintf(why, CRASH_WHY_BYTES, "going on answers %d", error);
        return -1;
    }
    (void)toy_close(&store);
    if (store.sequence != commit + 3) {
        (void)snprintf(why, CRASH_WHY_BYTES, "three commits after %llu, but %llu was recovered",
                       (unsigned long long)commit, (unsigned long long)store.sequence);
        return -1;
    }
    return compare(&store, versions, "going on", why);
}
