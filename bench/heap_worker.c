/*
 * heap_worker.c - what all workers of the heap benchmark have in common.
 *
 *   WORKER ARGUMENT WORK           serves requests on standard input (heap_plan.h)
 *   WORKER ARGUMENT WORK ROUNDS    runs alone and prints, for perf and valgrind
 *
 * WORK is a name of the plan; NAME/N: with an Nth of its operations and, of more than N blocks, an Nth.
 *
 * It calls no allocator itself: no stdio, tables from mmap.
 */
#include "heap_worker.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES 4096u /* a block's memory is resident once each of its pages is stored to */

/* Less than this is the clocks' own doing; no other program runs for so short a time. */
#define STOLEN_NS_MIN 20e3

double heap_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

void heap_die(const char *what)
{
    (void)!write(STDERR_FILENO, "heap worker: ", 13);
    (void)!write(STDERR_FILENO, what, strlen(what));
    (void)!write(STDERR_FILENO, "\n", 1);
    _exit(2);
}

void heap_bind(unsigned idx)
{
    static cpu_set_t all; /* as the process began */
    static bool known;
    cpu_set_t one;
    if (!known) {
        known = sched_getaffinity(0, sizeof all, &all) == 0;
    }
    idx = known ? idx % (unsigned)CPU_COUNT(&all) : 0;
    for (size_t cpu = 0; known && cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &all) && idx-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            (void)sched_setaffinity(0, sizeof one, &one);
            return;
        }
    }
}

void *heap_table(size_t bytes)
{
    void *table = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    HEAP_MUST(table != MAP_FAILED);
    return table;
}

void heap_shuffle(void **pointers, size_t count, uint64_t *random)
{
    for (size_t i = count; i > 1; i--) {
        const size_t j = heap_random(random) % i;
        void *const other = pointers[j];
        pointers[j] = pointers[i - 1];
        pointers[i - 1] = other;
    }
}

typedef struct resident {
    uint64_t rss_bytes, pss_bytes;
} resident;

static uint64_t kib_after(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    HEAP_MUST(at != NULL);
    return strtoull(at + strlen(key), NULL, 10) * 1024;
}

/* What of this process is in memory. Not from statm: that is counted per processor and lags. */
static resident resident_now(void)
{
    char text[4096];
    const int fd = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    HEAP_MUST(fd >= 0);
    const ssize_t got = read(fd, text, sizeof text - 1);
    HEAP_MUST(got > 0 && close(fd) == 0);
    text[got] = '\0';
    return (resident){kib_after(text, "\nRss:"), kib_after(text, "\nPss:")};
}

/* An open descriptor holds the removed file; it is found again by being one without a name. */
void heap_note_file(const char *path) { HEAP_MUST(open(path, O_RDONLY | O_CLOEXEC) >= 0); }

/* Bytes that the blocks of open files without a name take, each once. */
static uint64_t file_bytes(void)
{
    enum { DESCRIPTORS = 64 };
    ino_t seen[DESCRIPTORS];
    size_t count = 0;
    uint64_t sum = 0;
    for (int fd = 0; fd < DESCRIPTORS; fd++) {
        struct stat status;
        if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_nlink != 0) {
            continue;
        }
        bool known = false;
        for (size_t i = 0; i < count; i++) {
            known = known || seen[i] == status.st_ino;
        }
        if (!known) {
            seen[count++] = status.st_ino;
            sum += (uint64_t)status.st_blocks * 512;
        }
    }
    return sum;
}

static resident resident_before; /* before the first block */

/* Memory over live bytes: what is resident once every live page is stored to. */
static void memory_ratios(const heap_state *state, heap_reply *reply)
{
    if (state->work->loop != HEAP_REPLACE) {
        return;
    }
    uint64_t live = 0;
    for (size_t i = 0; i < state->work->live; i++) {
        const heap_slot *slot = &state->slots[i];
        for (uint64_t at = 0; at < slot->bytes; at += PAGE_BYTES) {
            slot->block[at] = 1;
        }
        slot->block[slot->bytes - 1] = 1;
        live += slot->bytes;
    }
    const resident now = resident_now();
    reply->memory = (double)(now.rss_bytes - resident_before.rss_bytes) / (double)live;
    reply->pss = (double)(now.pss_bytes - resident_before.pss_bytes) / (double)live;
    heap_settle();
    reply->file = (double)file_bytes() / (double)live;
}

static double processor_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void run_round(heap_state *state, heap_reply *reply)
{
    const unsigned threads = state->work->loop == HEAP_LARSON ? state->work->lines
                             : state->work->loop == HEAP_PASS ? 2
                                                              : 1;
    const double begin = heap_now_ns();
    const double begin_processor = processor_ns();
    heap_loops[state->work->loop].round(state, reply->figure);
    const double had = processor_ns() - begin_processor;
    const double lasted = heap_now_ns() - begin;
    const double lacked = lasted - had / threads;
    reply->stolen = lacked > STOLEN_NS_MIN ? lacked / lasted : 0;
}

static void serve(heap_state *state)
{
    char request;
    while (read(STDIN_FILENO, &request, 1) == 1) {
        heap_reply reply = {0};
        if (request == HEAP_REQUEST_ROUND) {
            run_round(state, &reply);
        } else {
            memory_ratios(state, &reply);
        }
        if (write(STDOUT_FILENO, &reply, sizeof reply) != (ssize_t)sizeof reply) {
            return;
        }
    }
}

/* Hundredths of the figures, without stdio. */
static void print_figures(const heap_reply *reply)
{
    char text[128];
    size_t length = 0;
    for (size_t i = 0; i < HEAP_FIGURES; i++) {
        char digits[24];
        size_t count = 0;
        uint64_t hundredths = (uint64_t)(reply->figure[i] * 100 + 0.5);
        do {
            digits[count++] = (char)('0' + hundredths % 10);
            hundredths /= 10;
        } while (hundredths != 0 || count < 3);
        while (count > 0) {
            text[length++] = digits[--count];
            if (count == 2) {
                text[length++] = '.';
            }
        }
        text[length++] = i + 1 < HEAP_FIGURES ? ' ' : '\n';
    }
    (void)!write(STDOUT_FILENO, text, length);
}

/* NAME or NAME/N. */
static const heap_work *find_work(const char *text)
{
    static heap_work work;
    char name[64] = "";
    const size_t length = strcspn(text, "/");
    HEAP_MUST(length < sizeof name);
    memcpy(name, text, length);
    const heap_work *whole = heap_work_named(name);
    HEAP_MUST(whole != NULL);
    work = *whole;
    const uint32_t part = text[length] == '/' ? (uint32_t)strtoul(text + length + 1, NULL, 10) : 1;
    HEAP_MUST(part != 0 && work.operations >= part);
    work.operations /= part;
    work.live = work.live > part ? work.live / part : work.live;
    return &work;
}

int main(int argc, char **argv)
{
    HEAP_MUST(argc == 3 || argc == 4);
    heap_state state = {.work = find_work(argv[2]), .random = 88172645463325252};
    const enum heap_loop_kind loop = state.work->loop;
    const size_t lines = state.work->lines != 0 ? state.work->lines : 1;
    const size_t live = (size_t)(state.work->live != 0 ? state.work->live : 1) * lines;
    if (loop == HEAP_REPLACE || loop == HEAP_LARSON) {
        state.slots = heap_table(live * sizeof *state.slots);
    } else {
        state.order = heap_table(live * sizeof *state.order);
    }
    heap_open(argv[1]);
    resident_before = resident_now();
    if (heap_loops[state.work->loop].setup != NULL) {
        heap_loops[state.work->loop].setup(&state);
    }
    if (argc == 3) {
        serve(&state);
    } else {
        for (long rounds = strtol(argv[3], NULL, 10); rounds > 0; rounds--) {
            heap_reply reply = {0};
            run_round(&state, &reply);
            print_figures(&reply);
        }
    }
    heap_close();
    return 0;
}
