/* Mutation sections: nesting, time-out, misuse, threads that come and go, arenas that come and go. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "arena/arena.h"
#include "arena/arena_world.h"

/* Sanitizers map shadow memory when they please, and their own locks do not outlive a fork beside threads that
 * start others. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GATE_SANITIZED 1
#else
#define GATE_SANITIZED 0
#endif

enum { GATE_TIMEOUT_MS = 50 };

static loft_arena *impatient_arena(const char *name)
{
    loft_arena *arena = NULL;
    const loft_arena_options options = {.struct_bytes = sizeof options,
                                        .reserve_bytes = (uint64_t)64 << 20,
                                        .gate_timeout_ms = GATE_TIMEOUT_MS};
    LOFT_CHECK_OK(loft_arena_open(loft_test_tmp_path(name), LOFT_CREATE, &options, &arena));
    return arena;
}

/* A value at root "value". */
static uint64_t *value_of(loft_arena *arena)
{
    uint64_t *value = loft_arena_root(arena, "value");
    if (value == NULL) {
        value = loft_arena_calloc(arena, 1, sizeof *value);
        LOFT_CHECK_NOT_NULL(value);
        LOFT_CHECK_OK(loft_arena_set_root(arena, "value", value));
    }
    return value;
}

static unsigned misuses;
static char misuse_text[256];

static void count_misuse(void *context, const loft_misuse *misuse)
{
    (void)context;
    LOFT_CHECK_EQ_INT(misuse->kind, LOFT_MISUSE_SECTION);
    misuses++;
    strncpy(misuse_text, misuse->text, sizeof misuse_text - 1);
}

static void expect_misuse(const char *part)
{
    LOFT_CHECK_EQ_UINT(misuses, 1);
    LOFT_CHECK_CONTAINS(misuse_text, part);
    misuses = 0;
}

LOFT_TEST(gate, sections_nest)
{
    loft_arena *arena = impatient_arena("arena");
    loft_set_misuse_handler(count_misuse, NULL);
    for (int i = 0; i < 5; i++) {
        loft_arena_enter(arena);
    }
    for (int i = 0; i < 4; i++) {
        loft_arena_leave(arena);
    }
    LOFT_CHECK_TRUE(lofti_gate_inside(&arena->gate));
    LOFT_CHECK_EQ_INT(loft_arena_commit(arena), LOFT_EINVAL);
    expect_misuse("commit");
    loft_arena_leave(arena);
    LOFT_CHECK_FALSE(lofti_gate_inside(&arena->gate));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    close_arena(arena);
}

LOFT_TEST(gate, what_must_not_be_done_inside_is_reported)
{
    loft_arena *arena = impatient_arena("arena");
    loft_set_misuse_handler(count_misuse, NULL);
    loft_arena_leave(arena);
    expect_misuse("leave without enter");
    *value_of(arena) = 1;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    loft_arena_enter(arena);
    *value_of(arena) = 2;
    LOFT_CHECK_EQ_INT(loft_arena_commit(arena), LOFT_EINVAL);
    expect_misuse("commit");
    LOFT_CHECK_EQ_INT(loft_arena_rollback(arena), LOFT_EINVAL);
    expect_misuse("rollback");
    LOFT_CHECK_EQ_INT(loft_arena_checkpoint(arena), LOFT_EINVAL);
    expect_misuse("checkpoint");
    LOFT_CHECK_EQ_INT(loft_arena_wait(arena, UINT64_MAX), LOFT_EINVAL);
    expect_misuse("wait");
    LOFT_CHECK_EQ_INT(loft_arena_close(arena), LOFT_EINVAL);
    expect_misuse("close");
    LOFT_CHECK_EQ_UINT(*value_of(arena), 2); /* nothing happened */
    loft_arena_leave(arena);
    loft_arena_leave(arena);
    expect_misuse("leave without enter");
    LOFT_CHECK_OK(loft_arena_rollback(arena));
    LOFT_CHECK_EQ_UINT(*value_of(arena), 1);
    close_arena(arena);
}

static void leave_alone(void *arena) { loft_arena_leave(arena); }

LOFT_TEST(gate, by_default_misuse_is_deadly)
{
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, NULL, &arena));
    LOFT_CHECK_DEATH(leave_alone, arena, SIGABRT, "leave without enter");
    close_arena(arena);
}

/* --- A thread that stays inside -------------------------------------------------------------------- */

typedef struct sitter {
    loft_arena *arena;
    pthread_t thread;
    atomic_int sits, go;
} sitter;

static void *sit(void *arg)
{
    sitter *own = arg;
    loft_arena_enter(own->arena);
    atomic_store(&own->sits, 1);
    while (atomic_load(&own->go) == 0) {
        const struct timespec nap = {0, 1000000};
        nanosleep(&nap, NULL);
    }
    loft_arena_leave(own->arena);
    return NULL;
}

static void sitter_begin(sitter *own, loft_arena *arena)
{
    own->arena = arena;
    atomic_init(&own->sits, 0);
    atomic_init(&own->go, 0);
    LOFT_CHECK_EQ_INT(pthread_create(&own->thread, NULL, sit, own), 0);
    while (atomic_load(&own->sits) == 0) {}
}

static void sitter_end(sitter *own)
{
    atomic_store(&own->go, 1);
    LOFT_CHECK_EQ_INT(pthread_join(own->thread, NULL), 0);
}

LOFT_TEST(gate, a_commit_that_waits_too_long_changes_nothing)
{
    static sitter own;
    loft_arena *arena = impatient_arena("arena");
    uint64_t *value = value_of(arena);
    *value = 1;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    sitter_begin(&own, arena);
    *value = 2;
    const uint64_t sequence = arena->store.sequence;
    LOFT_CHECK_ERR(loft_arena_commit(arena), LOFT_EBUSY);
    LOFT_CHECK_ERR(loft_arena_rollback(arena), LOFT_EBUSY);
    LOFT_CHECK_ERR(loft_arena_close(arena), LOFT_EBUSY);
    LOFT_CHECK_EQ_UINT(arena->store.sequence, sequence);
    LOFT_CHECK_EQ_UINT(*value, 2);
    loft_arena_enter(arena); /* the gate is open again */
    loft_arena_leave(arena);
    sitter_end(&own);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_EQ_UINT(arena->store.sequence, sequence + 1);
    close_arena(arena);
}

static void *nest_while_closed(void *arg)
{
    sitter *own = arg;
    loft_arena_enter(own->arena);
    atomic_store(&own->sits, 1);
    while (atomic_load(&own->arena->gate.closed) == 0) {}
    loft_arena_enter(own->arena); /* would wait for ever if it waited */
    loft_arena_leave(own->arena);
    loft_arena_leave(own->arena);
    return NULL;
}

LOFT_TEST(gate, a_nested_enter_never_waits)
{
    static sitter own;
    own.arena = new_arena("arena");
    for (int i = 0; i < 50; i++) {
        atomic_store(&own.sits, 0);
        LOFT_CHECK_EQ_INT(pthread_create(&own.thread, NULL, nest_while_closed, &own), 0);
        while (atomic_load(&own.sits) == 0) {}
        LOFT_CHECK_OK(loft_arena_commit(own.arena));
        LOFT_CHECK_EQ_INT(pthread_join(own.thread, NULL), 0);
    }
    close_arena(own.arena);
}

/* --- Threads and arenas come and go -------------------------------------------------------------- */

static void *enter_and_end(void *arg)
{
    loft_arena_enter(arg);
    loft_arena_leave(arg);
    return NULL;
}

static void *end_inside(void *arg)
{
    loft_arena_enter(arg);
    return NULL;
}

static void run_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, body, arg), 0);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
}

LOFT_TEST(gate, a_thread_that_ends_inside_is_taken_out)
{
    loft_arena *arena = impatient_arena("arena");
    loft_set_misuse_handler(count_misuse, NULL);
    run_thread(end_inside, arena);
    expect_misuse("thread ended");
    LOFT_CHECK_OK(loft_arena_commit(arena));
    close_arena(arena);
}

LOFT_TEST(gate, slots_of_ended_threads_are_used_again)
{
    loft_arena *arena = impatient_arena("arena");
    run_thread(enter_and_end, arena);
    const unsigned mappings = loft_test_mappings();
    for (int i = 0; i < 3000; i++) { /* a block of slots has 1,024 */
        run_thread(enter_and_end, arena);
    }
    if (!GATE_SANITIZED) {
        LOFT_CHECK_LE_UINT(loft_test_mappings(), mappings + 4); /* threads' stacks are cached */
    }
    close_arena(arena);
}

typedef struct outliver {
    loft_arena *arena;
    atomic_int entered, closed;
} outliver;

static void *outlive(void *arg)
{
    outliver *own = arg;
    loft_arena_enter(own->arena);
    loft_arena_leave(own->arena);
    atomic_store(&own->entered, 1);
    while (atomic_load(&own->closed) == 0) {}
    return NULL;
}

LOFT_TEST(gate, a_thread_may_end_after_its_arena)
{
    static outliver own;
    for (int i = 0; i < 50; i++) {
        pthread_t thread;
        own.arena = impatient_arena("arena");
        atomic_store(&own.entered, 0);
        atomic_store(&own.closed, 0);
        LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, outlive, &own), 0);
        while (atomic_load(&own.entered) == 0) {}
        close_arena(own.arena);
        atomic_store(&own.closed, 1);
        LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    }
}

/* One thread in many arenas at once, in turns, and in new ones at the addresses of old ones. */
LOFT_TEST(gate, many_arenas)
{
    enum { ARENAS = 20, ROUNDS = 5 };
    loft_arena *arenas[ARENAS];
    const loft_arena_options options = {.struct_bytes = sizeof options,
                                        .reserve_bytes = (uint64_t)64 << 20};
    const unsigned mappings = loft_test_mappings();
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < ARENAS; i++) {
            LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, &options, &arenas[i]));
        }
        for (int i = 0; i < ARENAS; i++) {
            loft_arena_enter(arenas[i]);
            loft_arena_enter(arenas[(i + 7) % ARENAS]);
            loft_arena_leave(arenas[(i + 7) % ARENAS]);
        }
        for (int i = 0; i < ARENAS; i++) {
            LOFT_CHECK_TRUE(lofti_gate_inside(&arenas[i]->gate));
            loft_arena_leave(arenas[i]);
            LOFT_CHECK_FALSE(lofti_gate_inside(&arenas[i]->gate));
        }
        for (int i = 0; i < ARENAS; i++) {
            close_arena(arenas[(i * 3) % ARENAS]);
        }
    }
    if (!GATE_SANITIZED) {
        LOFT_CHECK_LE_UINT(loft_test_mappings(), mappings + 4);
    }
}

/* --- Fork ------------------------------------------------------------------------------------------- */

static void *enter_for_ever(void *arg)
{
    outliver *own = arg;
    while (atomic_load(&own->closed) == 0) {
        run_thread(enter_and_end, own->arena); /* slots are made and given back all the time */
    }
    return NULL;
}

static void use_in_child(void *arg)
{
    loft_arena_enter(arg);
    LOFT_CHECK_NOT_NULL(loft_arena_malloc(arg, 100));
    loft_arena_leave(arg);
    run_thread(enter_and_end, arg);
}

static void *commit_for_ever(void *arg)
{
    outliver *own = arg;
    for (char *block = loft_arena_malloc(own->arena, 100); atomic_load(&own->closed) == 0;) {
        ++*block;
        LOFT_CHECK_OK(loft_arena_commit(own->arena));
        atomic_store(&own->entered, 1);
    }
    return NULL;
}

static void do_nothing(void *arg) { (void)arg; }

/* A fork takes the locks of the pool and of the heaps in the one order, a commit must not take them in the other. */
LOFT_TEST(gate, a_fork_and_a_commit_wait_for_each_other_in_one_order_only)
{
    static outliver own;
    pthread_t thread;
    if (GATE_SANITIZED || loft_test_on_qemu()) {
        LOFT_SKIP("the tool's own locks are not safe to fork with beside other threads");
    }
    own.arena = new_arena("arena");
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, commit_for_ever, &own), 0);
    while (atomic_load(&own.entered) == 0) {}
    for (int i = 0; i < 1000; i++) {
        loft_test_child child;
        loft_test_run_child(do_nothing, NULL, &child);
        LOFT_CHECK_EQ_INT(child.exit_code, 0);
    }
    atomic_store(&own.closed, 1);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    close_arena(own.arena);
}

LOFT_TEST(gate, a_child_can_enter_whatever_other_threads_did)
{
    enum { BUSY = 6 };
    static outliver own;
    pthread_t threads[BUSY];
    if (GATE_SANITIZED || loft_test_on_qemu()) {
        LOFT_SKIP("the tool's own locks are not safe to fork with while threads start threads");
    }
    LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, NULL, &own.arena));
    for (int i = 0; i < BUSY; i++) {
        LOFT_CHECK_EQ_INT(pthread_create(&threads[i], NULL, enter_for_ever, &own), 0);
    }
    for (int i = 0; i < 200; i++) {
        loft_test_child child;
        loft_test_run_child(use_in_child, own.arena, &child);
        LOFT_CHECK_EQ_STR(child.output, "");
        LOFT_CHECK_EQ_INT(child.exit_code, 0);
    }
    atomic_store(&own.closed, 1);
    for (int i = 0; i < BUSY; i++) {
        LOFT_CHECK_EQ_INT(pthread_join(threads[i], NULL), 0);
    }
    close_arena(own.arena);
}
