/*
 * heap/step.c - tracing, and judging what is there at each stop.
 */
#include "heap/step.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/status.h"
#include "format/heap_layout.h"

enum { EXIT_NOT_PERMITTED = 40, WIDE_RECORD_BYTES = 65536 };

/* --- The script's side ---------------------------------------------------------------------- */

/* From here to note_end the parent steps; elsewhere the script runs free. */
static void note_call(loft_test_step *step, const char *call, uint32_t least, uint32_t most)
{
    loft_test_step_note *note = step->note;
    note->call = call;
    note->calls++;
    note->extra_least = least;
    note->extra_most = most;
    note->stepping = 1;
    LOFT_CHECK_EQ_INT(raise(SIGTRAP), 0);
}

static void note_end(loft_test_step *step)
{
    step->note->call = "between calls";
    step->note->extra_least = step->note->extra_most = 0;
    step->note->stepping = 0;
}

void loft_test_step_hold(loft_test_step *step, const void *block, size_t bytes)
{
    loft_test_step_note *note = step->note;
    LOFT_CHECK_NOT_NULL(block);
    LOFT_CHECK_LT_UINT(note->held_count, LOFT_TEST_STEP_HELD);
    note->held_off[note->held_count] = (uint64_t)((const uint8_t *)block - step->base);
    note->held_bytes[note->held_count] = bytes;
    note->held_count++;
}

void *loft_test_step_drop(loft_test_step *step, uint32_t number)
{
    loft_test_step_note *note = step->note;
    LOFT_CHECK_LT_UINT(number, note->held_count);
    void *block = step->base + note->held_off[number];
    note->held_count--;
    note->held_off[number] = note->held_off[note->held_count];
    note->held_bytes[number] = note->held_bytes[note->held_count];
    return block;
}

void *loft_test_step_malloc(loft_test_step *step, size_t bytes)
{
    note_call(step, "malloc", 0, 1);
    void *block = lofti_heap_malloc(step->heap, bytes);
    loft_test_step_hold(step, block, bytes);
    note_end(step);
    return block;
}

void *loft_test_step_calloc(loft_test_step *step, size_t bytes)
{
    note_call(step, "calloc", 0, 1);
    uint8_t *block = lofti_heap_calloc(step->heap, 1, bytes);
    loft_test_step_hold(step, block, bytes);
    LOFT_CHECK_TRUE(block[0] == 0 && block[bytes - 1] == 0);
    note_end(step);
    return block;
}

void *loft_test_step_aligned(loft_test_step *step, size_t alignment, size_t bytes)
{
    note_call(step, "aligned_alloc", 0, 1);
    void *block = lofti_heap_aligned_alloc(step->heap, alignment, bytes);
    loft_test_step_hold(step, block, bytes);
    LOFT_CHECK_EQ_UINT((uintptr_t)block % alignment, 0);
    note_end(step);
    return block;
}

void *loft_test_step_realloc(loft_test_step *step, uint32_t number, size_t bytes)
{
    void *block = loft_test_step_drop(step, number);
    note_call(step, "realloc", 1, 2); /* the old, the new or both: never neither */
    void *moved = lofti_heap_realloc(step->heap, block, bytes);
    loft_test_step_hold(step, moved, bytes);
    note_end(step);
    return moved;
}

void loft_test_step_free(loft_test_step *step, uint32_t number)
{
    void *block = loft_test_step_drop(step, number);
    note_call(step, "free", 0, 1);
    lofti_heap_free(step->heap, block);
    note_end(step);
}

/* --- The host of both sides ----------------------------------------------------------------- */

static int step_grow(void *context, uint32_t count, uint32_t *first_idx)
{
    loft_test_step *step = context;
    const uint64_t bytes = (uint64_t)count * LOFTI_CHUNK_BYTES;
    if (bytes > step->bytes - step->usable_bytes) {
        return lofti_status_fail(LOFT_ENOMEM, "grow", "test heap", "no more");
    }
    *first_idx = (uint32_t)(step->usable_bytes / LOFTI_CHUNK_BYTES);
    step->usable_bytes += bytes;
    return 0;
}

static void *step_table_alloc(void *context, size_t bytes)
{
    (void)context;
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    LOFT_CHECK_TRUE(table != MAP_FAILED);
    return table;
}

static void step_table_free(void *context, void *table, size_t bytes)
{
    (void)context;
    LOFT_CHECK_SYS(munmap(table, bytes));
}

static bool step_unused(void *context, uint64_t off, uint64_t bytes)
{
    loft_test_step *step = context;
    return step->returns && madvise(step->base + off, bytes, MADV_REMOVE) == 0;
}

static lofti_heap_host step_host(loft_test_step *step, bool whole)
{
    return (lofti_heap_host){.context = step,
                             .grow = whole ? step_grow : NULL,
                             .table_alloc = step_table_alloc,
                             .table_free = step_table_free,
                             .unused = whole ? step_unused : NULL};
}

/* --- The judge ------------------------------------------------------------------------------ */

static const uint8_t *judge_wide(const loft_test_step *step, const lofti_chunk_image *header,
                                 uint32_t idx)
{
    return header->wide_unit == 0 ? NULL
                                  : step->base + ((uint64_t)idx << LOFTI_CHUNK_SHIFT) +
                                        ((uint64_t)header->wide_unit << LOFTI_UNIT_SHIFT_LARGE);
}

static bool judge_differs(loft_test_step *step, const uint8_t *at, uint64_t bytes)
{
    uint8_t *old = step->shadow + (at - step->base);
    if (memcmp(old, at, bytes) == 0) {
        return false;
    }
    memcpy(old, at, bytes);
    return true;
}

/* Whether the metadata is another than at the last call. */
static bool judge_changed(loft_test_step *step)
{
    const lofti_heap_image *image = (const lofti_heap_image *)(const void *)step->base;
    const lofti_heap_dir *dir =
        (const lofti_heap_dir *)(const void *)(step->base + LOFTI_HEAP_IMAGE_BYTES);
    bool changed = false;
    for (uint32_t idx = 0; idx < image->chunk_end; idx++) {
        if (((dir[idx / 64].heads >> (idx % 64)) & 1) == 0) {
            continue;
        }
        lofti_chunk_layout layout;
        lofti_heap_layout_chunk(image->limit_bytes, image->unit_shift, idx, &layout);
        const uint8_t *chunk = step->base + ((uint64_t)idx << LOFTI_CHUNK_SHIFT);
        changed |= judge_differs(step, chunk, (uint64_t)layout.meta_pages << LOFTI_PAGE_SHIFT);
        const uint8_t *wide = judge_wide(
            step, (const lofti_chunk_image *)(const void *)(chunk + layout.header_off), idx);
        if (wide != NULL) {
            changed |= judge_differs(step, wide, WIDE_RECORD_BYTES);
        }
    }
    return changed;
}

static int judge_fault(void *context, const loft_fault *fault)
{
    const loft_test_step *step = context;
    LOFT_FAIL("in %s, call %u, step %llu: at 0x%llx %s", step->note->call, step->note->calls,
              (unsigned long long)step->steps, (unsigned long long)fault->offset, fault->text);
}

typedef struct judge_walk {
    const loft_test_step *step;
    const uint8_t *base;
    uint32_t order[LOFT_TEST_STEP_HELD]; /* the held, by offset */
    uint32_t next;
    uint32_t extra;
} judge_walk;

static const uint64_t *order_by;

static int judge_order(const void *a, const void *b)
{
    const uint64_t x = order_by[*(const uint32_t *)a];
    const uint64_t y = order_by[*(const uint32_t *)b];
    return x < y ? -1 : x > y;
}

/* Both lists rise. */
static int judge_block(void *context, const loft_block *block)
{
    judge_walk *walk = context;
    const loft_test_step_note *note = walk->step->note;
    const uint64_t off = (uint64_t)((const uint8_t *)block->address - walk->base);
    if (walk->next < note->held_count && note->held_off[walk->order[walk->next]] == off) {
        LOFT_CHECK_GE_UINT(block->bytes, note->held_bytes[walk->order[walk->next]]);
        walk->next++;
    } else {
        walk->extra++;
    }
    return 0;
}

static void judge_live(loft_test_step *step, lofti_heap *heap)
{
    const loft_test_step_note *note = step->note;
    static judge_walk walk;
    walk.step = step;
    walk.base = step->base;
    walk.next = walk.extra = 0;
    for (uint32_t i = 0; i < note->held_count; i++) {
        walk.order[i] = i;
    }
    order_by = note->held_off;
    qsort(walk.order, note->held_count, sizeof walk.order[0], judge_order);
    LOFT_CHECK_EQ_INT(lofti_heap_walk(heap, judge_block, &walk), 0);
    if (walk.next != note->held_count || walk.extra < note->extra_least ||
        walk.extra > note->extra_most) {
        LOFT_FAIL("in %s, call %u, step %llu: %u of %u held blocks are live, %u others (%u to %u)",
                  note->call, note->calls, (unsigned long long)step->steps, walk.next,
                  note->held_count, walk.extra, note->extra_least, note->extra_most);
    }
}

static int judge_take(void *context, const loft_block *block)
{
    *(void **)context = block->address;
    return 1;
}

static void judge_misuse(void *context, const loft_misuse *misuse)
{
    const loft_test_step *step = context;
    LOFT_FAIL("in %s, call %u, step %llu: %s", step->note->call, step->note->calls,
              (unsigned long long)step->steps, misuse->text);
}

/* A new life on a copy: everything can be freed, and then all is whole and nothing is left. */
static void judge_trial(loft_test_step *step)
{
    const loft_test_step_note *note = step->note;
    const lofti_heap_host host = step_host(step, false);
    lofti_heap *heap = NULL;
    void *block = NULL;
    step->trials++;
    void *at = mmap(step->copy, step->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED,
                    step->file, 0);
    LOFT_CHECK_EQ_PTR(at, step->copy);
    LOFT_CHECK_OK(lofti_heap_attach(step->copy, step->bytes, false, &host, &heap));
    for (uint32_t i = 0; i < note->held_count; i++) {
        LOFT_CHECK_GE_UINT(lofti_heap_usable_size(heap, step->copy + note->held_off[i]),
                           note->held_bytes[i]);
        lofti_heap_free(heap, step->copy + note->held_off[i]);
    }
    while (lofti_heap_walk(heap, judge_take, &block) == 1) {
        lofti_heap_free(heap, block);
    }
    LOFT_CHECK_NOT_NULL(lofti_heap_malloc(heap, 100));
    LOFT_CHECK_OK(lofti_heap_check(heap, judge_fault, step, NULL));
    lofti_heap_detach(heap);
}

/* Every state is checked; so many are tried out too, and then every so manieth. */
enum { TRIALS_SURE = 3000, TRIALS_EVERY = 16 };

static void judge_state(loft_test_step *step)
{
    const lofti_heap_host host = step_host(step, false);
    lofti_heap *heap = NULL;
    step->changes++;
    LOFT_CHECK_OK(lofti_heap_attach(step->base, step->bytes, true, &host, &heap));
    LOFT_CHECK_OK(lofti_heap_check(heap, judge_fault, step, NULL));
    if (step->note->loose == 0) {
        judge_live(step, heap);
    }
    lofti_heap_detach(heap);
    if (step->note->loose == 0 &&
        (step->trials < TRIALS_SURE || step->changes % TRIALS_EVERY == 0)) {
        judge_trial(step);
    }
}

/* --- Tracing -------------------------------------------------------------------------------- */

static void (*traced_script)(loft_test_step *step);

static void *traced_thread(void *context)
{
    loft_test_step *step = context;
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(EXIT_NOT_PERMITTED);
    }
    step->note->thread = gettid();
    LOFT_CHECK_EQ_INT(raise(SIGSTOP), 0);
    traced_script(step);
    note_call(step, "thread's end", 0, 0);
    return NULL;
}

/* The child: a heap, a thread that the parent traces, and its end. */
static _Noreturn void traced_child(loft_test_step *step)
{
    const lofti_heap_host host = step_host(step, true);
    pthread_t thread;
    LOFT_CHECK_OK(lofti_heap_attach(step->base, step->usable_bytes, false, &host, &step->heap));
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, traced_thread, step), 0);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    loft_test_exit(0);
}

/* The next thing that happens to the child or its thread; false: the thread has ended. */
static bool traced_wait(pid_t thread)
{
    int status = 0;
    while (waitpid(thread, &status, __WALL) < 0) {
        LOFT_CHECK_EQ_INT(errno, EINTR);
    }
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
            return false;
        }
        LOFT_FAIL("the traced thread ended with status 0x%x", (unsigned)status);
    }
    const int signal = WSTOPSIG(status);
    if (signal != SIGTRAP && signal != SIGSTOP) {
        LOFT_FAIL("the traced thread got signal %d", signal);
    }
    return true;
}

/* The thread of the child that stops itself to be traced. */
static pid_t traced_begin(loft_test_step *step, pid_t child)
{
    int status = 0;
    pid_t found = 0;
    while ((found = waitpid(-1, &status, __WALL)) < 0) {
        LOFT_CHECK_EQ_INT(errno, EINTR);
    }
    if (found == child && WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NOT_PERMITTED) {
        LOFT_SKIP("a process may not have itself traced here");
    }
    if (!WIFSTOPPED(status)) {
        LOFT_FAIL("the child ended with status 0x%x before it began", (unsigned)status);
    }
    LOFT_CHECK_EQ_INT(found, step->note->thread);
    LOFT_CHECK_SYS(ptrace(PTRACE_SETOPTIONS, found, NULL, (void *)PTRACE_O_EXITKILL));
    return found;
}

static uint8_t *step_map(uint64_t bytes, int file)
{
    const uint64_t room = bytes + LOFTI_CHUNK_BYTES;
    uint8_t *at = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    LOFT_CHECK_TRUE(at != MAP_FAILED);
    at += -(uint64_t)(uintptr_t)at & (LOFTI_CHUNK_BYTES - 1);
    if (file >= 0) {
        void *mapped = mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0);
        LOFT_CHECK_EQ_PTR(mapped, at);
    }
    return at;
}

static void step_prepare(loft_test_step *step)
{
    step->file = memfd_create("loft-step", MFD_CLOEXEC);
    LOFT_CHECK_SYS(step->file);
    LOFT_CHECK_SYS(ftruncate(step->file, (off_t)step->bytes));
    step->base = step_map(step->bytes, step->file);
    step->copy = step_map(step->bytes, -1);
    step->shadow = mmap(NULL, step->bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    step->note =
        mmap(NULL, sizeof *step->note, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    LOFT_CHECK_TRUE(step->shadow != MAP_FAILED && step->note != MAP_FAILED);
    step->usable_bytes = step->bytes < LOFTI_CHUNK_BYTES ? step->bytes : LOFTI_CHUNK_BYTES;
    LOFT_CHECK_OK(lofti_heap_layout(step->base, step->usable_bytes, step->bytes));
    loft_set_misuse_handler(judge_misuse, step);
}

/* Parent and child take turns: on one processor each turn is half as long. A refusal costs time only. */
static void step_on_one_processor(void)
{
    cpu_set_t set;
    const int here = sched_getcpu();
    if (here >= 0) {
        CPU_ZERO(&set);
        CPU_SET((unsigned)here, &set);
        (void)sched_setaffinity(0, sizeof set, &set);
    }
}

void loft_test_step_run(loft_test_step *step, void (*script)(loft_test_step *step))
{
#if !defined(__x86_64__)
    LOFT_SKIP("single steps are known to pass through atomic instructions on x86-64 only");
#endif
    if (loft_test_on_valgrind()) {
        LOFT_SKIP("Valgrind does not let a thread be traced");
    }
    traced_script = script;
    step_prepare(step);
    step_on_one_processor();
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        traced_child(step);
    }
    const pid_t thread = traced_begin(step, child);
    (void)judge_changed(step);
    do {
        if (judge_changed(step)) {
            judge_state(step);
        }
        const bool stepping = step->note->stepping != 0;
        step->steps += stepping;
        LOFT_CHECK_SYS(ptrace(stepping ? PTRACE_SINGLESTEP : PTRACE_CONT, thread, NULL, NULL));
    } while (traced_wait(thread));
    judge_state(step); /* what the thread left behind */
    int status = 0;
    LOFT_CHECK_EQ_INT(waitpid(child, &status, 0), child);
    LOFT_CHECK_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    (void)fprintf(stderr, "%llu instructions, %llu states, %llu tried out\n",
                  (unsigned long long)step->steps, (unsigned long long)step->changes,
                  (unsigned long long)step->trials);
    LOFT_CHECK_GT_UINT(step->changes,
                       step->note->calls); /* a call changes something, mostly more */
}
