/* Snapshots while threads move money between accounts and another one commits all the time: each holds one
 * commit, that is all the money, is whole, and is nobody else's. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena/arena_world.h"

enum {
    ACCOUNTS = 2048,
    ACCOUNT_BYTES = 1000, /* spread over some five hundred pages */
    START = 1000,
    TELLERS = 4,
    JOURNAL_LIMIT = 1 << 20 /* small: checkpoints are due all the time */
};

typedef struct bank {
    loft_arena *arena;
    int64_t **accounts;
    atomic_int stop;
    _Atomic uint64_t commits;
    uint64_t seed;
} bank;

typedef struct teller {
    bank *bank;
    pthread_t thread;
    loft_test_random random;
} teller;

static void bank_open(bank *of, const char *name)
{
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    options.journal_limit_bytes = JOURNAL_LIMIT;
    LOFT_CHECK_OK(loft_arena_open(loft_test_tmp_path(name), LOFT_CREATE, &options, &of->arena));
    of->accounts = loft_arena_calloc(of->arena, ACCOUNTS, sizeof *of->accounts);
    LOFT_CHECK_NOT_NULL(of->accounts);
    for (int i = 0; i < ACCOUNTS; i++) {
        of->accounts[i] = loft_arena_calloc(of->arena, 1, ACCOUNT_BYTES);
        LOFT_CHECK_NOT_NULL(of->accounts[i]);
        *of->accounts[i] = START;
    }
    LOFT_CHECK_OK(loft_arena_set_root(of->arena, "accounts", of->accounts));
    LOFT_CHECK_OK(loft_arena_commit(of->arena));
    of->seed = loft_test_seed();
}

static void *teller_run(void *arg)
{
    teller *own = arg;
    bank *of = own->bank;
    for (uint64_t i = 1; atomic_load_explicit(&of->stop, memory_order_relaxed) == 0; i++) {
        loft_arena_enter(of->arena);
        int64_t *from = of->accounts[loft_test_random_below(&own->random, ACCOUNTS)];
        int64_t *to = of->accounts[loft_test_random_below(&own->random, ACCOUNTS)];
        const int64_t amount = (int64_t)loft_test_random_below(&own->random, 100);
        (void)__atomic_fetch_sub(from, amount, __ATOMIC_RELAXED);
        if (i % 16 == 0) { /* the heap changes too */
            loft_arena_free(of->arena, loft_arena_malloc(of->arena, 5000));
        }
        (void)__atomic_fetch_add(to, amount, __ATOMIC_RELAXED);
        loft_arena_leave(of->arena);
        if (i % 8 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

static void *committer_run(void *arg)
{
    bank *of = arg;
    while (atomic_load(&of->stop) == 0) {
        LOFT_CHECK_OK(loft_arena_commit(of->arena)); /* a postponed checkpoint is not its failure */
        atomic_fetch_add(&of->commits, 1);
    }
    return NULL;
}

static void check_sum(loft_arena *arena)
{
    int64_t *const *accounts = loft_arena_root(arena, "accounts");
    int64_t sum = 0;
    LOFT_CHECK_NOT_NULL(accounts);
    for (int i = 0; i < ACCOUNTS; i++) {
        sum += *(const int64_t *)loft_arena_resolve(arena, accounts[i]);
    }
    LOFT_CHECK_EQ_INT(sum, (int64_t)ACCOUNTS * START);
}

static int print_fault(void *context, const loft_fault *fault)
{
    LOFT_FAIL("%s, offset %llu: %s", (const char *)context, (unsigned long long)fault->offset,
              fault->text);
}

/* A snapshot beside its source, in this process: whole, at another place, with all the money. */
static void check_beside(const char *path)
{
    uint64_t faults = 77;
    loft_arena *copy = NULL;
    LOFT_CHECK_OK(loft_file_check(path, print_fault, (void *)(uintptr_t)path, &faults));
    LOFT_CHECK_EQ_UINT(faults, 0);
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_RELOCATE, NULL, &copy));
    check_arena(copy);
    check_sum(copy);
    abandon_arena(copy);
}

typedef struct apart {
    const char *path;
    loft_arena_info source; /* reserve_bytes 0: it is closed */
} apart;

/* In a process of its own it lies at its own place and can be changed, which the source does not feel. */
static void change_in_child(void *arg)
{
    const apart *own = arg;
    if (own->source.reserve_bytes != 0) {
        /* Nothing is there, but in an emulator, which lets a child have its parent's memory. */
        LOFT_CHECK_SYS(munmap((void *)(uintptr_t)own->source.mapped_at, own->source.reserve_bytes));
    }
    loft_arena *arena = open_arena(own->path, LOFT_WRITE);
    check_arena(arena);
    check_sum(arena);
    int64_t **accounts = loft_arena_root(arena, "accounts");
    *accounts[0] += 1000000;
    LOFT_CHECK_NOT_NULL(loft_arena_malloc(arena, 10 << 20));
    close_arena(arena);
    arena = open_arena(own->path, 0);
    accounts = loft_arena_root(arena, "accounts");
    LOFT_CHECK_GT_INT(*accounts[0], 500000);
    abandon_arena(arena);
}

static void check_apart(const char *path, const loft_arena *source)
{
    loft_test_child child;
    apart own = {path, {.struct_bytes = sizeof own.source}};
    if (source != NULL) {
        LOFT_CHECK_OK(loft_arena_describe(source, &own.source));
    }
    loft_test_run_child(change_in_child, &own, &child);
    if (child.exit_code != 0) {
        LOFT_FAIL("the child: %s", child.output);
    }
}

typedef struct office {
    bank bank;
    teller tellers[TELLERS];
    pthread_t committer;
} office;

static void office_begin(office *of, const char *name)
{
    bank_open(&of->bank, name);
    for (int i = 0; i < TELLERS; i++) {
        of->tellers[i] = (teller){.bank = &of->bank, .random = {of->bank.seed + (uint64_t)i}};
        LOFT_CHECK_EQ_INT(pthread_create(&of->tellers[i].thread, NULL, teller_run, &of->tellers[i]),
                          0);
    }
    LOFT_CHECK_EQ_INT(pthread_create(&of->committer, NULL, committer_run, &of->bank), 0);
}

static void office_stop(office *of)
{
    atomic_store(&of->bank.stop, 1);
    for (int i = 0; i < TELLERS; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(of->tellers[i].thread, NULL), 0);
    }
    LOFT_CHECK_EQ_INT(pthread_join(of->committer, NULL), 0);
}

static void office_close(office *of)
{
    check_arena(of->bank.arena);
    check_sum(of->bank.arena);
    close_arena(of->bank.arena);
}

LOFT_TEST(arena_snapshot, each_of_many_keeps_the_sum_while_threads_transfer)
{
    static office of;
    const uint64_t count = loft_test_scale(40, 200, 2000);
    office_begin(&of, "bank");
    for (uint64_t i = 0; i < count; i++) {
        const char *path = loft_test_tmp_path("copy");
        LOFT_CHECK_OK(
            loft_arena_snapshot(of.bank.arena, path, i == 0 ? 0 : LOFT_REPLACE, NULL, NULL));
        check_beside(path);
        if (i % 16 == 0) {
            check_apart(path, of.bank.arena);
        }
    }
    office_stop(&of);
    const uint64_t commits = atomic_load(&of.bank.commits);
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    LOFT_CHECK_OK(loft_arena_stats(of.bank.arena, &stats));
    LOFT_CHECK_EQ_UINT(stats.snapshot_count, count);
    LOFT_CHECK_EQ_UINT(stats.snapshot_held_ns, 0);
    LOFT_CHECK_GT_UINT(commits, count); /* they went on */
    LOFT_CHECK_GT_UINT(stats.checkpoint_count, 0);
    printf("%llu commits, %llu checkpoints\n", (unsigned long long)commits,
           (unsigned long long)stats.checkpoint_count);
    office_close(&of);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 2);
    check_apart(loft_test_tmp_path("copy"), NULL);
}

/* --- Ten at once ------------------------------------------------------------------------------------- */

enum { AT_ONCE = 10, ROUNDS = 6 };

typedef struct photographer {
    bank *bank;
    pthread_t thread;
    char path[256];
} photographer;

static void *photographer_run(void *arg)
{
    photographer *own = arg;
    for (int i = 0; i < ROUNDS; i++) {
        LOFT_CHECK_OK(loft_arena_snapshot(own->bank->arena, own->path, LOFT_REPLACE, NULL, NULL));
    }
    return NULL;
}

/* There is always one running, and checkpoints are always due: neither waits for ever. */
LOFT_TEST(arena_snapshot, ten_at_once_and_checkpoints_do_not_starve_each_other)
{
    static office of;
    static photographer all[AT_ONCE];
    office_begin(&of, "bank");
    for (int i = 0; i < AT_ONCE; i++) {
        all[i].bank = &of.bank;
        (void)snprintf(all[i].path, sizeof all[i].path, "%s-%d", loft_test_tmp_path("copy"), i);
        LOFT_CHECK_EQ_INT(pthread_create(&all[i].thread, NULL, photographer_run, &all[i]), 0);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(all[i].thread, NULL), 0);
    }
    for (int i = 0; i < AT_ONCE; i++) {
        check_beside(all[i].path);
    }
    office_stop(&of);
    office_close(&of);
}

/* --- The turn, step by step ---------------------------------------------------------------------------- */

typedef struct held {
    loft_arena *arena;
    const char *path;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool inside, go;
} held;

static int hold(void *context, uint64_t done, uint64_t total)
{
    held *state = context;
    (void)total;
    if (done != 0) {
        return 0;
    }
    (void)pthread_mutex_lock(&state->mutex);
    state->inside = true;
    (void)pthread_cond_broadcast(&state->changed);
    while (!state->go) {
        (void)pthread_cond_wait(&state->changed, &state->mutex);
    }
    (void)pthread_mutex_unlock(&state->mutex);
    return 0;
}

static void *hold_run(void *arg)
{
    held *state = arg;
    LOFT_CHECK_OK(loft_arena_snapshot(state->arena, state->path, 0, hold, state));
    return NULL;
}

static uint64_t checkpoints_of(loft_arena *arena)
{
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    return stats.checkpoint_count;
}

LOFT_TEST(arena_snapshot, a_running_one_postpones_the_checkpoint_and_does_it_at_its_end)
{
    held state = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    options.journal_limit_bytes = 1; /* every commit is due for one */
    state.path = loft_test_tmp_path("copy");
    LOFT_CHECK_OK(loft_arena_open(loft_test_tmp_path("data"), LOFT_CREATE, &options, &state.arena));
    list_push(state.arena, 1, 100);
    LOFT_CHECK_OK(loft_arena_commit(state.arena));
    const uint64_t before = checkpoints_of(state.arena);
    pthread_t thread;
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, hold_run, &state), 0);
    (void)pthread_mutex_lock(&state.mutex);
    while (!state.inside) {
        (void)pthread_cond_wait(&state.changed, &state.mutex);
    }
    (void)pthread_mutex_unlock(&state.mutex);
    for (uint64_t i = 2; i <= 5; i++) {
        list_push(state.arena, i, 100);
        LOFT_CHECK_OK(loft_arena_commit(state.arena));
    }
    LOFT_CHECK_ERR(loft_arena_checkpoint(state.arena), LOFT_EPENDING);
    LOFT_CHECK_CONTAINS(loft_last_error(), "snapshot");
    LOFT_CHECK_EQ_UINT(checkpoints_of(state.arena), before);
    list_push(state.arena, 6, 100);
    LOFT_CHECK_OK(loft_arena_rollback(state.arena));
    (void)pthread_mutex_lock(&state.mutex);
    state.go = true;
    (void)pthread_cond_broadcast(&state.changed);
    (void)pthread_mutex_unlock(&state.mutex);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    LOFT_CHECK_EQ_UINT(checkpoints_of(state.arena), before + 1);
    LOFT_CHECK_EQ_UINT(list_check(state.arena), 5);
    loft_arena *copy = open_arena(state.path, LOFT_RELOCATE);
    LOFT_CHECK_EQ_UINT(list_check(copy), 1); /* the commit of its beginning */
    abandon_arena(copy);
    close_arena(state.arena);
}
