/* The test tables themselves: a file system in memory, failing calls, death at every call. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "crash/toy_scenario.h"
#include "support/test.h"

static memory_fs *fs;
static const lofti_file_ops *ops;

static void begin(void)
{
    fs = memory_fs_create();
    LOFT_CHECK_NOT_NULL(fs);
    ops = memory_fs_ops(fs);
}

static intptr_t open_new(const char *path)
{
    intptr_t handle = -1;
    LOFT_CHECK_EQ_INT(ops->open(ops, path, LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &handle), 0);
    return handle;
}

static uint64_t size_of(intptr_t handle)
{
    lofti_file_info info;
    LOFT_CHECK_EQ_INT(ops->info(ops, handle, &info), 0);
    return info.bytes;
}

LOFT_TEST(memory_fs, names_lead_to_files_until_both_are_gone)
{
    begin();
    const intptr_t a = open_new("/a");
    LOFT_CHECK_EQ_INT(ops->pwrite(ops, a, "hello", 5, 0), 5);
    LOFT_CHECK_EQ_INT(ops->link(ops, a, NULL, "/b"), 0);
    LOFT_CHECK_EQ_INT(ops->link(ops, a, NULL, "/b"), -EEXIST);
    LOFT_CHECK_EQ_INT(ops->rename(ops, "/b", "/c"), 0);
    LOFT_CHECK_EQ_INT(ops->rename(ops, "/b", "/c"), -ENOENT);
    LOFT_CHECK_EQ_INT(ops->unlink(ops, "/a"), 0);
    LOFT_CHECK_FALSE(memory_fs_exists(fs, "/a"));
    LOFT_CHECK_EQ_INT(ops->close(ops, a), 0);
    LOFT_CHECK_EQ_UINT(memory_fs_files(fs), 1);
    intptr_t c = -1;
    char text[8] = "";
    LOFT_CHECK_EQ_INT(ops->open(ops, "/c", LOFTI_OPEN_READ, 0, &c), 0);
    LOFT_CHECK_EQ_INT(ops->pread(ops, c, text, sizeof text, 0), 5);
    LOFT_CHECK_EQ_STR(text, "hello");
    LOFT_CHECK_EQ_INT(ops->unlink(ops, "/c"), 0);
    LOFT_CHECK_EQ_INT(ops->pread(ops, c, text, sizeof text, 1), 4);
    LOFT_CHECK_EQ_INT(ops->close(ops, c), 0);
    LOFT_CHECK_EQ_UINT(memory_fs_files(fs), 0);
    LOFT_CHECK_EQ_UINT(memory_fs_used_blocks(fs), 0);
    LOFT_CHECK_EQ_INT(ops->open(ops, "/no/folder", LOFTI_OPEN_CREATE, 0600, &c), -ENOENT);
    LOFT_CHECK_EQ_INT(memory_fs_add_folder(fs, "/no"), 0);
    LOFT_CHECK_EQ_INT(ops->open(ops, "/no/folder", LOFTI_OPEN_READ, 0, &c), -ENOENT);
    LOFT_CHECK_EQ_INT(ops->unlink(ops, "/no"), -EISDIR);
    memory_fs_destroy(fs);
}

LOFT_TEST(memory_fs, the_quota_counts_blocks_and_holes_are_free)
{
    char block[4096] = {1};
    begin();
    memory_fs_set_quota(fs, 3);
    const intptr_t a = open_new("/a");
    LOFT_CHECK_EQ_INT(ops->resize(ops, a, 100 * sizeof block), 0);
    LOFT_CHECK_EQ_UINT(memory_fs_used_blocks(fs), 0);
    LOFT_CHECK_EQ_INT(ops->pwrite(ops, a, block, sizeof block, 50 * sizeof block), sizeof block);
    LOFT_CHECK_EQ_INT(ops->seek(ops, a, 0, false), INT64_C(50) * 4096);
    LOFT_CHECK_EQ_INT(ops->seek(ops, a, 0, true), 0);
    LOFT_CHECK_EQ_INT(ops->seek(ops, a, 50 * sizeof block, true), INT64_C(51) * 4096);
    LOFT_CHECK_EQ_INT(ops->seek(ops, a, 51 * sizeof block, false), -ENXIO);
    /* Two blocks are left: a write over three is short, a further one fails. */
    char three[3 * 4096] = {2};
    LOFT_CHECK_EQ_INT(ops->pwrite(ops, a, three, sizeof three, 0), INT64_C(2) * 4096);
    LOFT_CHECK_EQ_INT(ops->pwrite(ops, a, block, 1, 2 * sizeof block), -ENOSPC);
    LOFT_CHECK_EQ_INT(ops->allocate(ops, a, 2 * sizeof block, 1), -ENOSPC);
    LOFT_CHECK_EQ_INT(ops->pwrite(ops, a, block, sizeof block, 0), sizeof block);
    memory_fs_set_copy_on_write(fs, true);
    LOFT_CHECK_EQ_INT(ops->pwrite(ops, a, block, sizeof block, 0), -ENOSPC);
    /* Punching gives blocks back, but only those that lie inside whole. */
    LOFT_CHECK_EQ_INT(ops->punch(ops, a, 1, 2 * sizeof block), 0);
    LOFT_CHECK_EQ_UINT(memory_fs_used_blocks(fs), 2);
    LOFT_CHECK_EQ_INT(ops->pread(ops, a, three, 4096, 1), 4096);
    LOFT_CHECK_TRUE(three[0] == 0);
    LOFT_CHECK_EQ_INT(ops->resize(ops, a, 0), 0);
    LOFT_CHECK_EQ_UINT(memory_fs_used_blocks(fs), 0);
    LOFT_CHECK_EQ_UINT(size_of(a), 0);
    LOFT_CHECK_EQ_INT(ops->close(ops, a), 0);
    memory_fs_destroy(fs);
}

LOFT_TEST(memory_fs, locks_conflict_between_handles_and_die_with_them)
{
    begin();
    const intptr_t a = open_new("/a"), b = open_new("/a");
    LOFT_CHECK_EQ_INT(ops->lock(ops, a, LOFTI_LOCK_SHARED, 7), 0);
    LOFT_CHECK_EQ_INT(ops->lock(ops, b, LOFTI_LOCK_SHARED, 7), 0);
    LOFT_CHECK_EQ_INT(ops->lock(ops, b, LOFTI_LOCK_EXCLUSIVE, 7), -EAGAIN);
    LOFT_CHECK_EQ_INT(ops->lock(ops, b, LOFTI_LOCK_EXCLUSIVE, 8), 0);
    LOFT_CHECK_EQ_INT(ops->close(ops, a), 0);
    LOFT_CHECK_EQ_INT(ops->lock(ops, b, LOFTI_LOCK_EXCLUSIVE, 7), 0);
    LOFT_CHECK_EQ_INT(ops->close(ops, b), 0);
    LOFT_CHECK_EQ_UINT(memory_fs_handles(fs), 0);
    memory_fs_destroy(fs);
}

LOFT_TEST(memory_fs, a_clone_and_an_unnamed_file)
{
    char data[10000];
    memset(data, 'x', sizeof data);
    begin();
    const intptr_t a = open_new("/a");
    LOFT_CHECK_EQ_INT(ops->pwrite(ops, a, data, sizeof data, 1 << 20), sizeof data);
    intptr_t b = -1;
    LOFT_CHECK_EQ_INT(ops->open(ops, "/any", LOFTI_OPEN_WRITE | LOFTI_OPEN_UNNAMED, 0600, &b), 0);
    LOFT_CHECK_EQ_INT(ops->clone(ops, b, a), 0);
    LOFT_CHECK_EQ_UINT(size_of(b), size_of(a));
    LOFT_CHECK_EQ_INT(ops->seek(ops, b, 0, false), 1 << 20);
    LOFT_CHECK_FALSE(memory_fs_exists(fs, "/any"));
    LOFT_CHECK_EQ_INT(ops->link(ops, b, NULL, "/a"), -EEXIST);
    LOFT_CHECK_EQ_INT(ops->link(ops, b, NULL, "/b"), 0);
    LOFT_CHECK_EQ_INT(ops->close(ops, a), 0);
    LOFT_CHECK_EQ_INT(ops->close(ops, b), 0);
    memory_fs_set_unnamed(fs, false);
    LOFT_CHECK_EQ_INT(ops->open(ops, "/c", LOFTI_OPEN_WRITE | LOFTI_OPEN_UNNAMED, 0600, &b),
                      -EOPNOTSUPP);
    memory_fs_destroy(fs);
}

/* --- Faults ---------------------------------------------------------------------------------------- */

/* A life of a store in which any call may fail: an error or nothing, and a whole store after it. */
static void life_with_fault(void *context, fault_fs *fault, const fault_plan *plan)
{
    uint64_t *failures = context;
    toy store, again;
    begin();
    fault_fs *own = fault_fs_create(ops);
    LOFT_CHECK_EQ_INT(toy_create(fault_fs_ops(own), "toy", TOY_RIGHT, &store), 0);
    toy_fill(toy_page(&store, 0), 0, 1);
    LOFT_CHECK_EQ_INT(toy_commit(&store, true), 0);
    fault_fs_set(own, plan);
    toy_fill(toy_page(&store, 0), 0, 2);
    toy_fill(toy_page(&store, 1), 1, 3);
    int error = toy_commit(&store, true);
    error = error == 0 ? toy_checkpoint(&store) : error;
    *failures += error != 0;
    LOFT_CHECK_TRUE(error == 0 || error == -plan->error);
    const bool struck = fault_fs_struck(own) != 0;
    fault_fs_set(own, NULL);
    LOFT_CHECK_EQ_INT(toy_close(&store), 0);
    LOFT_CHECK_EQ_INT(toy_open(fault_fs_ops(own), "toy", TOY_RIGHT, &again), 0);
    LOFT_CHECK_TRUE(again.sequence == 2 || again.sequence == 3);
    uint8_t expected[TOY_PAGE_BYTES];
    toy_fill(expected, 0, again.sequence == 2 ? 1 : 2);
    LOFT_CHECK_EQ_MEM(again.live[0], expected, sizeof expected);
    LOFT_CHECK_EQ_INT(toy_close(&again), 0);
    LOFT_CHECK_EQ_UINT(memory_fs_handles(fs), 0);
    fault_fs_destroy(own);
    memory_fs_destroy(fs);
    /* The sweep goes on while the fault that it was given strikes. */
    fault_fs_set(fault, plan);
    intptr_t handle;
    if (struck) {
        for (uint64_t i = 0; i < plan->first; i++) {
            (void)fault_fs_ops(fault)->open(fault_fs_ops(fault), "/none", 0, 0, &handle);
        }
    }
}

LOFT_TEST(fault_fs, every_call_fails_once_and_from_then_on)
{
    memory_fs *base = memory_fs_create();
    fault_fs *fault = fault_fs_create(memory_fs_ops(base));
    const enum fault_action actions[] = {FAULT_FAIL, FAULT_PART, FAULT_PART_FAIL, FAULT_LATE_FAIL};
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        for (int onward = 0; onward < 2; onward++) {
            uint64_t failures = 0;
            const fault_plan plan = {
                .action = actions[i], .times = onward ? UINT64_MAX : 1, .error = EIO};
            const uint64_t runs = fault_sweep(fault, &plan, life_with_fault, &failures);
            printf("action %d%s: %llu runs, %llu failed\n", (int)actions[i],
                   onward ? " from then on" : "", (unsigned long long)runs,
                   (unsigned long long)failures);
            LOFT_CHECK_GE_UINT(runs, 6);
            LOFT_CHECK_EQ_INT(failures == 0, actions[i] == FAULT_PART);
        }
    }
    fault_fs_destroy(fault);
    memory_fs_destroy(base);
}

typedef struct death {
    fault_fs *fault;
    uint64_t verified;
} death;

static void live(void *context)
{
    death *self = context;
    toy store;
    if (toy_create(fault_fs_ops(self->fault), "toy", TOY_RIGHT, &store) != 0) {
        abort();
    }
    for (uint32_t i = 1; i <= 8; i++) {
        toy_fill(toy_page(&store, 0), 0, i);
        if (toy_commit(&store, true) != 0 || (i == 4 && toy_checkpoint(&store) != 0)) {
            abort();
        }
        /* The file itself tells the parent: a page of its own, written behind the store's. */
        const uint64_t done = i;
        (void)ops->pwrite(ops, store.handle, &done, sizeof done, 1 << 20);
    }
    (void)toy_close(&store);
}

static void reopen(void *context)
{
    death *self = context;
    toy store;
    memory_fs_forget_handles(fs);
    const int error = toy_open(ops, "toy", TOY_RIGHT, &store);
    if (error == 0) {
        uint64_t done = 0;
        (void)ops->pread(ops, store.handle, &done, sizeof done, 1 << 20);
        LOFT_CHECK_GE_UINT(store.sequence, done + 1);
        LOFT_CHECK_LE_UINT(store.sequence, done + 2);
        uint8_t expected[TOY_PAGE_BYTES];
        toy_fill(expected, 0, (uint32_t)store.sequence - 1);
        LOFT_CHECK_EQ_MEM(store.live[0], expected, sizeof expected);
        LOFT_CHECK_EQ_INT(toy_close(&store), 0);
        LOFT_CHECK_EQ_INT(ops->unlink(ops, "toy"), 0);
        self->verified++;
    } else {
        LOFT_CHECK_EQ_INT(error, -ENOENT);
    }
    LOFT_CHECK_EQ_UINT(memory_fs_files(fs), 0);
}

LOFT_TEST(fault_fs, death_at_every_call)
{
    for (int late = 0; late < 2; late++) {
        begin();
        death self = {.fault = fault_fs_create(ops)};
        const int64_t killed = fault_kill_sweep(self.fault, 0, late != 0, live, reopen, &self);
        printf("%lld children killed %s a call, %llu stores looked at\n", (long long)killed,
               late ? "after" : "before", (unsigned long long)self.verified);
        LOFT_CHECK_GT_INT(killed, 20);
        fault_fs_destroy(self.fault);
        memory_fs_destroy(fs);
    }
}
