/* Eight threads open, close, resize and ask at once; and fork in the middle of it. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "loft/region.h"
#include "support/test.h"

enum { THREADS = 8, HELD = 24 };

static _Atomic int stop;
static _Atomic(char *) shown[THREADS]; /* a region of each thread, for others to ask about */
static char paths[2][512];

typedef struct worker {
    int idx;
    pthread_t thread;
    loft_test_random random;
    char *held[HELD];
    size_t bytes[HELD];
    int is_file[HELD];
    uint64_t rounds;
} worker;

static char tag_of(const worker *w, int slot) { return (char)(w->idx * HELD + slot + 1); }

static void open_slot(worker *w, int slot)
{
    w->bytes[slot] = 1 + loft_test_random_below(&w->random, 30000);
    w->is_file[slot] = loft_test_random_below(&w->random, 2) != 0;
    if (w->is_file[slot]) {
        /* Windows of two files that all threads share; copies, so that each may store. */
        const uint64_t offset = loft_test_random_below(&w->random, 50000);
        w->held[slot] = loft_open(paths[slot % 2], LOFT_COPY, offset, w->bytes[slot], NULL);
    } else {
        w->held[slot] = loft_malloc(w->bytes[slot]);
    }
    LOFT_CHECK_NOT_NULL(w->held[slot]);
    w->held[slot][0] = tag_of(w, slot);
    w->held[slot][w->bytes[slot] - 1] = tag_of(w, slot);
}

static void close_slot(worker *w, int slot)
{
    LOFT_CHECK_EQ_INT(w->held[slot][0], tag_of(w, slot));
    LOFT_CHECK_EQ_INT(w->held[slot][w->bytes[slot] - 1], tag_of(w, slot));
    LOFT_CHECK_OK(w->is_file[slot] ? loft_close(w->held[slot]) : loft_free(w->held[slot]));
    w->held[slot] = NULL;
}

static void ask_slot(worker *w, int slot)
{
    loft_region_info info = LOFT_REGION_INFO_INIT;
    const size_t inside = loft_test_random_below(&w->random, w->bytes[slot]);
    LOFT_CHECK_OK(loft_region_query(w->held[slot] + inside, &info));
    LOFT_CHECK_EQ_PTR(info.address, w->held[slot]);
    LOFT_CHECK_EQ_UINT(info.bytes, w->bytes[slot]);
    LOFT_CHECK_EQ_UINT(info.kind, w->is_file[slot] ? LOFT_REGION_FILE : LOFT_REGION_MEMORY);
    LOFT_CHECK_OK(loft_sync(w->held[slot], inside, 1, 0));
}

static void resize_slot(worker *w, int slot)
{
    const size_t bytes = 1 + loft_test_random_below(&w->random, 60000);
    char *moved = loft_resize(w->held[slot], bytes, 0);
    if (moved == NULL) {
        LOFT_CHECK_ERR(loft_last_code(), LOFT_ENOTSUP); /* a file's window, without LOFT_GROW */
        LOFT_CHECK_TRUE(w->is_file[slot]);
        return;
    }
    LOFT_CHECK_EQ_INT(moved[0], tag_of(w, slot));
    w->held[slot] = moved;
    w->bytes[slot] = bytes;
    moved[bytes - 1] = tag_of(w, slot);
    moved[0] = tag_of(w, slot);
}

static void *work(void *arg)
{
    worker *w = arg;
    while (!atomic_load(&stop)) {
        const int slot = (int)loft_test_random_below(&w->random, HELD - 1) + 1;
        if (w->held[slot] == NULL) {
            open_slot(w, slot);
        } else if (loft_test_random_below(&w->random, 3) == 0) {
            close_slot(w, slot);
        } else if (!w->is_file[slot] || loft_test_random_below(&w->random, 2) != 0) {
            resize_slot(w, slot);
        }
        if (w->held[slot] != NULL) {
            ask_slot(w, slot);
        }
        /* Another thread's: it is there until that thread ends, and never tells nonsense. */
        char *other = atomic_load(&shown[loft_test_random_below(&w->random, THREADS)]);
        loft_region_info info = LOFT_REGION_INFO_INIT;
        LOFT_CHECK_OK(loft_region_query(other + 99, &info));
        LOFT_CHECK_EQ_PTR(info.address, other);
        LOFT_CHECK_EQ_UINT(info.bytes, 100);
        w->rounds++;
    }
    for (int slot = 1; slot < HELD; slot++) {
        if (w->held[slot] != NULL) {
            close_slot(w, slot);
        }
    }
    return NULL;
}

static worker workers[THREADS];

static void start(void)
{
    const uint64_t seed = loft_test_seed();
    for (int i = 0; i < 2; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "%s/%d", loft_test_folder(), i);
        LOFT_CHECK_OK(loft_close(loft_create(paths[i], 100000, LOFT_ASYNC)));
    }
    for (int i = 0; i < THREADS; i++) {
        workers[i].idx = i;
        workers[i].random.state = seed + (uint64_t)i;
        atomic_store(&shown[i], loft_malloc(100));
    }
    for (int i = 0; i < THREADS; i++) {
        LOFT_CHECK_EQ_INT(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
}

static void finish(void)
{
    atomic_store(&stop, 1);
    uint64_t rounds = 0;
    for (int i = 0; i < THREADS; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(workers[i].thread, NULL), 0);
        rounds += workers[i].rounds;
    }
    for (int i = 0; i < THREADS; i++) {
        LOFT_CHECK_OK(loft_free(atomic_load(&shown[i])));
    }
    printf("%llu rounds\n", (unsigned long long)rounds);
    LOFT_CHECK_GE_UINT(rounds, THREADS);
}

static void sleep_ms(uint64_t ms)
{
    const struct timespec wait = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    (void)nanosleep(&wait, NULL);
}

LOFT_TEST(region_thread, eight_open_close_resize_and_ask)
{
    start();
    sleep_ms(loft_test_scale(1000, 60000, 60000));
    finish();
}

static _Atomic int freed;
static _Atomic(char *) target;

static void *free_target(void *arg)
{
    (void)arg;
    const int code = loft_free(atomic_load(&target));
    if (code == 0) {
        atomic_fetch_add(&freed, 1);
    } else {
        LOFT_CHECK_TRUE(code == LOFT_ENOENT || code == LOFT_EBUSY);
    }
    return NULL;
}

LOFT_TEST(region_thread, one_region_is_freed_by_one_of_many)
{
    for (int round = 0; round < 200; round++) {
        atomic_store(&freed, 0);
        atomic_store(&target, loft_malloc(100));
        pthread_t threads[4];
        for (int i = 0; i < 4; i++) {
            LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, free_target, NULL), 0);
        }
        for (int i = 0; i < 4; i++) {
            LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
        }
        LOFT_CHECK_EQ_INT(atomic_load(&freed), 1);
    }
}

static void in_child(void)
{
    /* Whatever the others did at the moment of the fork, the registry works. */
    for (int i = 0; i < 50; i++) {
        char *memory = loft_malloc(5000);
        LOFT_CHECK_NOT_NULL(memory);
        loft_region_info info = LOFT_REGION_INFO_INIT;
        LOFT_CHECK_OK(loft_region_query(memory + 4999, &info));
        memory = loft_resize(memory, 50000, 0);
        LOFT_CHECK_OK(loft_free(memory));
        LOFT_CHECK_OK(loft_region_query(atomic_load(&shown[i % THREADS]), &info));
    }
}

LOFT_TEST(region_thread, a_child_forked_while_others_work_can_go_on)
{
    start();
    const uint64_t forks = loft_test_scale(50, 500, 500);
    for (uint64_t i = 0; i < forks; i++) {
        const pid_t child = fork();
        LOFT_CHECK_SYS(child);
        if (child == 0) {
            (void)alarm(30); /* a deadlock must not last */
            in_child();
            _exit(0);
        }
        int status = 0;
        LOFT_CHECK_SYS(waitpid(child, &status, 0));
        LOFT_CHECK_EQ_INT(status, 0);
    }
    finish();
}
