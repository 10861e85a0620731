/*
 * heap/local_test.c - the local path takes no lock and has no atomic instruction.
 *
 * A child allocates and frees while its parent moves it on by one instruction at a time and counts those
 * that lock the bus or a cache line: a lock prefix, or an exchange with memory, which locks without one. A
 * mutex cannot be taken without one of them. That the counting counts is shown by what does need them: frees of
 * another thread's blocks, and of spans.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loft/arena.h"
#include "support/test.h"

#if defined(__x86_64__)
#include <sys/user.h>
#endif

enum { PAIRS = 100, BATCH = 200, OTHERS = 64, EXIT_NOT_PERMITTED = 40 };

enum phase {
    PHASE_NONE = 0,
    PHASE_PAIRS,  /* every size in slabs */
    PHASE_BATCH,  /* through several words of a slab */
    PHASE_SPANS,  /* pairs of 1 MiB */
    PHASE_OTHERS, /* frees of another thread's blocks */
    PHASE_COUNT
};

typedef struct tally {
    volatile uint32_t phase; /* what the child does now */
    volatile uint32_t stepping;
    uint64_t instructions[PHASE_COUNT];
    uint64_t locked[PHASE_COUNT];
} tally;

static tally *counts; /* shared with the child */
static loft_arena *arena;
static void *blocks[BATCH];
static sem_t made, freed;

/* --- The child ------------------------------------------------------------------------------- */

/* The parent steps from the signal on. */
static void begin(enum phase phase)
{
    counts->stepping = 1;
    LOFT_CHECK_EQ_INT(raise(SIGTRAP), 0);
    counts->phase = phase;
}

static void end(void)
{
    counts->phase = PHASE_NONE;
    counts->stepping = 0;
}

static void run_pairs(size_t bytes)
{
    for (uint32_t i = 0; i < PAIRS; i++) {
        loft_arena_free(arena, loft_arena_malloc(arena, bytes));
    }
}

static void run_all_pairs(void)
{
    run_pairs(16);
    run_pairs(64);
    run_pairs(1000);
    run_pairs(4096);
    run_pairs(32768);
}

static void run_batch(void)
{
    for (uint32_t i = 0; i < BATCH; i++) {
        blocks[i] = loft_arena_malloc(arena, 64);
    }
    for (uint32_t i = 0; i < BATCH; i++) {
        loft_arena_free(arena, blocks[i]);
    }
}

/* Lives until they are freed: the slabs of a thread that ended belong to who frees into them. */
static void *make_blocks(void *unused)
{
    (void)unused;
    for (uint32_t i = 0; i < OTHERS; i++) {
        blocks[i] = loft_arena_malloc(arena, 200);
    }
    LOFT_CHECK_EQ_INT(sem_post(&made), 0);
    LOFT_CHECK_EQ_INT(sem_wait(&freed), 0);
    return NULL;
}

static void free_blocks(void)
{
    for (uint32_t i = 0; i < OTHERS; i++) {
        loft_arena_free(arena, blocks[i]);
    }
}

static _Noreturn void child_run(void)
{
    pthread_t other;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(EXIT_NOT_PERMITTED);
    }
    LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, NULL, &arena));
    /* Once without counting: slabs are made, symbols bound. */
    run_all_pairs();
    run_pairs(1 << 20);
    begin(PHASE_PAIRS);
    run_all_pairs();
    end();
    begin(PHASE_BATCH);
    run_batch();
    end();
    begin(PHASE_SPANS);
    run_pairs(1 << 20);
    end();
    LOFT_CHECK_TRUE(sem_init(&made, 0, 0) == 0 && sem_init(&freed, 0, 0) == 0);
    LOFT_CHECK_EQ_INT(pthread_create(&other, NULL, make_blocks, NULL), 0);
    LOFT_CHECK_EQ_INT(sem_wait(&made), 0);
    begin(PHASE_OTHERS);
    free_blocks();
    end();
    LOFT_CHECK_EQ_INT(sem_post(&freed), 0);
    LOFT_CHECK_EQ_INT(pthread_join(other, NULL), 0);
    LOFT_CHECK_EQ_INT(loft_arena_close(arena), 0);
    loft_test_exit(0);
}

/* --- The parent ------------------------------------------------------------------------------ */

#if defined(__x86_64__)
/* Whether the instruction locks: prefixes in any order, among them lock; or xchg (86, 87) with memory. */
static bool is_locked(const uint8_t *code)
{
    for (uint32_t i = 0; i < 15; i++) {
        switch (code[i]) {
        case 0xf0: return true;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
        case 0x66:
        case 0x67:
        case 0xf2:
        case 0xf3: break;
        default:
            i += (code[i] & 0xf0) == 0x40; /* REX */
            return (code[i] & 0xfe) == 0x86 && code[i + 1] >> 6 != 3;
        }
    }
    return false;
}

/* The child's code lies where this process, of which it is a copy, has the same. */
static void count_one(pid_t child)
{
    errno = 0;
    const long at = ptrace(PTRACE_PEEKUSER, child, offsetof(struct user_regs_struct, rip), NULL);
    LOFT_CHECK_EQ_INT(errno, 0);
    counts->instructions[counts->phase]++;
    counts->locked[counts->phase] += is_locked((const uint8_t *)(uintptr_t)at);
}
#else
static void count_one(pid_t child) { (void)child; }
#endif

/* False: the child has ended well. */
static bool wait_stop(pid_t child)
{
    int status = 0;
    LOFT_CHECK_EQ_INT(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_PERMITTED) {
        LOFT_SKIP("a process may not have itself traced here");
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return false;
    }
    if (!WIFSTOPPED(status)) {
        LOFT_FAIL("the child ended with status 0x%x", (unsigned)status);
    }
    return true;
}

static void skip_where_it_cannot_be(void)
{
#if !defined(__x86_64__)
    LOFT_SKIP("instructions are known on x86-64 only");
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    LOFT_SKIP("the sanitizer's own instructions would be counted");
#endif
#if LOFT_TEST_IS_COVERED
    LOFT_SKIP("the coverage counters are atomic");
#endif
    if (loft_test_on_valgrind()) {
        LOFT_SKIP("Valgrind does not let a process be traced");
    }
}

LOFT_TEST(heap_local, the_local_path_has_no_lock_and_no_atomic_instruction)
{
    skip_where_it_cannot_be();
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LOFT_CHECK_TRUE(counts != MAP_FAILED);
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        child_run();
    }
    while (wait_stop(child)) {
        if (counts->phase != PHASE_NONE) {
            count_one(child);
        }
        const bool stepping = counts->stepping != 0;
        LOFT_CHECK_SYS(ptrace(stepping ? PTRACE_SINGLESTEP : PTRACE_CONT, child, NULL, NULL));
    }
    for (uint32_t phase = PHASE_PAIRS; phase < PHASE_COUNT; phase++) {
        (void)fprintf(stderr, "phase %u: %llu instructions, %llu of them locked\n", phase,
                      (unsigned long long)counts->instructions[phase],
                      (unsigned long long)counts->locked[phase]);
        LOFT_CHECK_GT_UINT(counts->instructions[phase], OTHERS);
    }
    LOFT_CHECK_EQ_UINT(counts->locked[PHASE_PAIRS], 0);
    LOFT_CHECK_EQ_UINT(counts->locked[PHASE_BATCH], 0);
    LOFT_CHECK_EQ_UINT(counts->locked[PHASE_SPANS], PAIRS); /* the word of the span, in free */
    LOFT_CHECK_GE_UINT(counts->locked[PHASE_OTHERS], OTHERS);
}

/* --- Which arena the local path takes ---------------------------------------------------------- */

static sem_t turn, done;

static void *visit_twice(void *unused)
{
    (void)unused;
    for (uint32_t visit = 0; visit < 2; visit++) {
        LOFT_CHECK_EQ_INT(sem_wait(&turn), 0);
        void *block = loft_arena_malloc(arena, 64);
        LOFT_CHECK_NOT_NULL(block);
        LOFT_CHECK_EQ_UINT(loft_arena_usable_size(arena, block), 64); /* it is this arena's */
        loft_arena_free(arena, block);
        LOFT_CHECK_EQ_INT(sem_post(&done), 0);
    }
    return NULL;
}

static void let_visit(void)
{
    LOFT_CHECK_EQ_INT(sem_post(&turn), 0);
    LOFT_CHECK_EQ_INT(sem_wait(&done), 0);
}

/* A thread knows the arena that it used last by its handle; another may get that when the arena is closed. */
LOFT_TEST(heap_local, a_new_arena_with_the_handle_of_a_closed_one_is_another)
{
    pthread_t other;
    uint32_t same = 0;
    LOFT_CHECK_TRUE(sem_init(&turn, 0, 0) == 0 && sem_init(&done, 0, 0) == 0);
    for (uint32_t round = 0; round < 20; round++) {
        LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, NULL, &arena));
        const loft_arena *first = arena;
        LOFT_CHECK_EQ_INT(pthread_create(&other, NULL, visit_twice, NULL), 0);
        let_visit();
        LOFT_CHECK_OK(loft_arena_close(arena));
        LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, NULL, &arena));
        same += arena == first;
        let_visit();
        LOFT_CHECK_EQ_INT(pthread_join(other, NULL), 0);
        LOFT_CHECK_OK(loft_arena_check(arena, NULL, NULL, NULL));
        LOFT_CHECK_OK(loft_arena_close(arena));
    }
    (void)fprintf(stderr, "the same handle in %u of 20 rounds\n", same);
}
