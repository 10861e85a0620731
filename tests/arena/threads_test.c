/* Many threads move money between accounts, each transfer in a mutation section, while one commits: every
 * state that can be recovered has all the money. Copies of the file are taken at random moments with
 * the same calls that a crash would leave it by: the process is killed, or the file is read by another
 * one. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "arena/arena_world.h"
#include "os/watch.h"

enum {
    ACCOUNTS = 4096,
    ACCOUNT_BYTES = 1000, /* spread over a thousand pages */
    START = 1000,
    THREADS = 64
};

typedef struct bank {
    loft_arena *arena;
    int64_t **accounts;
    atomic_int stop;
    uint64_t seed;
} bank;

typedef struct teller {
    bank *bank;
    pthread_t thread;
    loft_test_random random;
    uint64_t transfers;
} teller;

static int64_t **accounts_make(loft_arena *arena)
{
    int64_t **accounts = loft_arena_calloc(arena, ACCOUNTS, sizeof *accounts);
    LOFT_CHECK_NOT_NULL(accounts);
    for (int i = 0; i < ACCOUNTS; i++) {
        accounts[i] = loft_arena_calloc(arena, 1, ACCOUNT_BYTES);
        LOFT_CHECK_NOT_NULL(accounts[i]);
        *accounts[i] = START;
    }
    LOFT_CHECK_OK(loft_arena_set_root(arena, "accounts", accounts));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    return accounts;
}

/* Two accounts are in no order, so that no lock serves both; atomics keep each single one right. */
static void transfer(teller *own)
{
    int64_t *from = own->bank->accounts[loft_test_random_below(&own->random, ACCOUNTS)];
    int64_t *to = own->bank->accounts[loft_test_random_below(&own->random, ACCOUNTS)];
    const int64_t amount = (int64_t)loft_test_random_below(&own->random, 100);
    (void)__atomic_fetch_sub(from, amount, __ATOMIC_RELAXED);
    if (loft_test_random_below(&own->random, 64) == 0) {
        const struct timespec nap = {0, 50000};
        nanosleep(&nap, NULL); /* a commit would meet it in the middle */
    }
    (void)__atomic_fetch_add(to, amount, __ATOMIC_RELAXED);
}

static void *teller_run(void *arg)
{
    teller *own = arg;
    while (atomic_load_explicit(&own->bank->stop, memory_order_relaxed) == 0) {
        loft_arena_enter(own->bank->arena);
        transfer(own);
        if (loft_test_random_below(&own->random, 16) == 0) {
            /* The heap changes too. */
            loft_arena_free(own->bank->arena, loft_arena_malloc(own->bank->arena, 5000));
        }
        loft_arena_leave(own->bank->arena);
        own->transfers++;
        if (own->transfers % 4 == 0) {
            const struct timespec nap = {0, 200000};
            nanosleep(&nap, NULL); /* whoever commits needs a processor too */
        }
    }
    return NULL;
}

static void tellers_begin(bank *of, teller *tellers, int count)
{
    for (int i = 0; i < count; i++) {
        tellers[i] = (teller){.bank = of, .random = {of->seed + (uint64_t)i}};
        LOFT_CHECK_EQ_INT(pthread_create(&tellers[i].thread, NULL, teller_run, &tellers[i]), 0);
    }
}

static uint64_t tellers_end(bank *of, teller *tellers, int count)
{
    uint64_t transfers = 0;
    atomic_store(&of->stop, 1);
    for (int i = 0; i < count; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(tellers[i].thread, NULL), 0);
        transfers += tellers[i].transfers;
    }
    return transfers;
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

/* What another process reads: the newest commit, whichever that is. */
static void read_in_child(void *path)
{
    /* Emulators let it have its parent's mapping: the address may be taken. */
    loft_arena *arena = open_arena(path, LOFT_RELOCATE);
    check_sum(arena);
    abandon_arena(arena);
}

static void read_by_another(char *path)
{
    loft_test_child child;
    loft_test_run_child(read_in_child, path, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
}

static loft_arena *bank_open(const char *path, unsigned flags)
{
    loft_arena *arena = NULL;
    const loft_arena_options options = {.struct_bytes = sizeof options,
                                        .reserve_bytes = (uint64_t)256 << 20,
                                        .journal_limit_bytes = 4 << 20};
    LOFT_CHECK_OK(loft_arena_open(path, flags, &options, &arena));
    return arena;
}

static void commit_among_threads(const char *tracker)
{
    static bank own;
    static teller tellers[THREADS];
    char path[256];
    LOFT_CHECK_SYS(setenv("LOFT_TRACKER", tracker, 1));
    (void)snprintf(path, sizeof path, "%s", loft_test_tmp_path("arena"));
    own.seed = loft_test_seed();
    own.arena = bank_open(path, LOFT_CREATE);
    own.accounts = accounts_make(own.arena);
    tellers_begin(&own, tellers, THREADS);
    const uint64_t commits = loft_test_scale(1000, 10000, 100000);
    for (uint64_t i = 0; i < commits; i++) {
        LOFT_CHECK_OK(i % 16 == 0 ? loft_arena_commit(own.arena)
                                  : loft_arena_commit_async(own.arena, NULL));
        if (i % 50 == 0) {
            read_by_another(path);
        }
    }
    const uint64_t transfers = tellers_end(&own, tellers, THREADS);
    printf("%s: %ju commits among %ju transfers\n", tracker, (uintmax_t)commits,
           (uintmax_t)transfers);
    check_sum(own.arena);
    check_arena(own.arena);
    abandon_arena(own.arena);
    own.arena = bank_open(path, LOFT_WRITE);
    check_sum(own.arena);
    check_arena(own.arena);
    close_arena(own.arena);
}

LOFT_TEST(threads, wp_async_commits_whole_transfers)
{
    loft_arena_info info = {.struct_bytes = sizeof info};
    loft_arena *arena = new_arena("probe");
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    close_arena(arena);
    if (info.tracker != LOFT_TRACKER_WP_ASYNC) {
        LOFT_SKIP("this kernel, or a sandbox, has no asynchronous write protection");
    }
    commit_among_threads("wp_async");
}

LOFT_TEST(threads, private_commits_whole_transfers) { commit_among_threads("private"); }

/* --- Killed ------------------------------------------------------------------------------------------ */

static void bank_run(const char *path, uint64_t seed)
{
    static bank own;
    static teller tellers[THREADS];
    own.seed = seed;
    own.arena = bank_open(path, LOFT_WRITE);
    own.accounts = loft_arena_root(own.arena, "accounts");
    tellers_begin(&own, tellers, 4);
    for (;;) {
        const int code = loft_test_random_below(&tellers[0].random, 2) == 0
                             ? loft_arena_commit(own.arena)
                             : loft_arena_commit_async(own.arena, NULL);
        LOFT_CHECK_TRUE(code == LOFT_OK || code == LOFT_EPENDING);
    }
}

LOFT_TEST(threads, killed_at_any_moment_the_sum_holds)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s", loft_test_tmp_path("arena"));
    loft_test_random random = {loft_test_seed()};
    loft_arena *arena = bank_open(path, LOFT_CREATE);
    (void)accounts_make(arena);
    close_arena(arena);
    const uint64_t rounds = loft_test_scale(15, 2000, 100000);
    for (uint64_t i = 0; i < rounds; i++) {
        fflush(NULL);
        const pid_t child = fork();
        LOFT_CHECK_SYS(child);
        if (child == 0) {
            bank_run(path, loft_test_random_next(&random));
        }
        const long nap_us = (long)loft_test_random_below(&random, 60000) + 1000;
        const struct timespec nap = {0, nap_us * 1000};
        nanosleep(&nap, NULL);
        LOFT_CHECK_SYS(kill(child, SIGKILL));
        int status = 0;
        LOFT_CHECK_EQ_INT(waitpid(child, &status, 0), child);
        LOFT_CHECK_TRUE(WIFSIGNALED(status));
        if (i % 2 == 0) {
            read_by_another(path); /* a reader overlays the journal */
        }
        arena = bank_open(path, LOFT_WRITE);
        check_sum(arena);
        check_arena(arena);
        abandon_arena(arena);
    }
}

/* --- Threads end beside commits --------------------------------------------------------------------- */

enum { VISITORS = 6, VISITOR_BLOCKS = 200 };

typedef struct visitor {
    loft_arena *arena;
    pthread_t thread;
    loft_test_random random;
} visitor;

/* What it leaves is given back when it ends, in no section. */
static void *visitor_run(void *arg)
{
    visitor *own = arg;
    void *blocks[VISITOR_BLOCKS];
    for (int half = 0; half < 2; half++) {
        loft_arena_enter(own->arena);
        for (int i = 0; i < VISITOR_BLOCKS; i++) {
            if (half == 0) {
                blocks[i] =
                    loft_arena_malloc(own->arena, loft_test_random_below(&own->random, 3000) + 1);
                LOFT_CHECK_NOT_NULL(blocks[i]);
            } else {
                loft_arena_free(own->arena, blocks[i]);
            }
        }
        loft_arena_leave(own->arena);
    }
    return NULL;
}

static void visit(loft_arena *arena, uint64_t seed)
{
    visitor visitors[VISITORS];
    for (uint64_t i = 0; i < VISITORS; i++) {
        visitors[i] = (visitor){.arena = arena, .random = {seed + i}};
        LOFT_CHECK_EQ_INT(pthread_create(&visitors[i].thread, NULL, visitor_run, &visitors[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        LOFT_CHECK_OK(loft_arena_commit_async(arena, NULL));
    }
    if (seed % 8 == 0) {
        LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    }
    for (int i = 0; i < VISITORS; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(visitors[i].thread, NULL), 0);
    }
}

/* The heap that any of these commits left is whole; ThreadSanitizer sees no thread's end in the middle of one. */
static void end_beside_commits(const char *tracker)
{
    LOFT_CHECK_SYS(setenv("LOFT_TRACKER", tracker, 1));
    const uint64_t seed = loft_test_seed();
    loft_arena *arena = new_arena("data");
    const char *path = loft_test_tmp_path("data");
    LOFT_CHECK_OK(loft_arena_commit(arena));
    const uint64_t waves = loft_test_scale(100, 2000, 20000);
    for (uint64_t wave = 0; wave < waves; wave++) {
        visit(arena, seed + wave);
        if (wave % 4 == 3) { /* the last commit may have met the visitors at any point */
            abandon_arena(arena);
            arena = open_arena(path, LOFT_WRITE);
            check_arena(arena);
        }
    }
    close_arena(arena);
}

LOFT_TEST(threads, end_beside_commits_private) { end_beside_commits("private"); }

LOFT_TEST(threads, end_beside_commits_wp_async)
{
    if (!lofti_watch_works()) {
        LOFT_SKIP("this kernel, or a sandbox, has no asynchronous write protection");
    }
    end_beside_commits("wp_async");
}
