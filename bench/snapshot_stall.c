/* See snapshot_stall.h. */
#include "snapshot_stall.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { PAGE_BYTES = 4096, MS_NS = 1000000, REAL_TIME_PRIORITY = 2, STEP = 4099 };

const char *const stall_beside_names[STALL_BESIDE] = {"a snapshot", "cp, fsync", "nothing"};
static const char *const who_names[2] = {"mutator", "control"};

/* --- The threads ------------------------------------------------------------------------------------ */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* How long this thread was ready to run and had no processor; 0 where the kernel does not tell. */
static uint64_t queued_ns(void)
{
    char path[64];
    unsigned long long ran = 0;
    unsigned long long waited = 0;
    (void)snprintf(path, sizeof path, "/proc/self/task/%ld/schedstat", (long)syscall(SYS_gettid));
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return 0;
    }
    const int got = fscanf(file, "%llu %llu", &ran, &waited);
    (void)fclose(file);
    return got == 2 ? waited : 0;
}

static void stall_note(stall_thread *self, uint64_t took)
{
    self->into->buckets[63 - __builtin_clzll(took | 1)]++;
    self->longest_ns = took > self->longest_ns ? took : self->longest_ns;
    self->into->times++;
}

static void stall_round(stall_thread *self)
{
    if (self->table == NULL) {
        return;
    }
    const uint64_t page = self->rounds++ * STEP % (STALL_TABLE_BYTES / PAGE_BYTES);
    loft_arena_enter(self->arena);
    ++self->table[page * PAGE_BYTES + 64];
    loft_arena_leave(self->arena);
}

static void stall_loop(stall_thread *self)
{
    uint64_t begun = now_ns();
    uint64_t last = begun;
    while (atomic_load_explicit(&self->stop, memory_order_relaxed) == 0) {
        stall_round(self);
        const uint64_t now = now_ns();
        stall_note(self, now - last);
        last = now;
        if (now - begun >= STALL_WORK_NS) {
            const uint64_t due = now + STALL_PAUSE_NS;
            const struct timespec until = {(time_t)(due / 1000000000u), (long)(due % 1000000000u)};
            (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
            begun = last = now_ns();
            stall_note(self, last - due);
        }
    }
}

static void *stall_run(void *arg)
{
    stall_thread *self = arg;
    const struct sched_param param = {.sched_priority = REAL_TIME_PRIORITY};
    self->into->real_time = pthread_setschedparam(pthread_self(), SCHED_FIFO, &param) == 0;
    struct rusage before;
    struct rusage after;
    (void)getrusage(RUSAGE_THREAD, &before);
    const uint64_t queued = queued_ns();
    stall_loop(self);
    self->into->queued_ns += queued_ns() - queued;
    (void)getrusage(RUSAGE_THREAD, &after);
    self->into->preempted += (uint64_t)(after.ru_nivcsw - before.ru_nivcsw);
    self->into->faults += (uint64_t)(after.ru_minflt - before.ru_minflt);
    return NULL;
}

void stall_begin(stall_thread *self, stall *into, loft_arena *arena, uint8_t *table)
{
    memset(self, 0, sizeof *self);
    self->into = into;
    self->arena = arena;
    self->table = table;
    if (pthread_create(&self->thread, NULL, stall_run, self) != 0) {
        abort();
    }
}

void stall_end(stall_thread *self)
{
    atomic_store(&self->stop, 1);
    (void)pthread_join(self->thread, NULL);
    stall *into = self->into;
    harness_series_add(&into->longest, (double)self->longest_ns / 1e9);
    into->longest_ns = self->longest_ns > into->longest_ns ? self->longest_ns : into->longest_ns;
}

/* --- Reports ---------------------------------------------------------------------------------------- */

/* Times of a millisecond or more: the bucket of 2^20 ns and those behind it. */
static uint64_t stall_over(const stall *one)
{
    uint64_t over = 0;
    for (int k = 20; k < STALL_BUCKETS; k++) {
        over += one->buckets[k];
    }
    return over;
}

void stall_print(stall stalls[2][STALL_BESIDE])
{
    printf(
        "Longest waits of a round, ms: median [least .. most]; a thread at work half of the time, %s\n",
        stalls[0][0].real_time ? "real-time priority" : "ordinary priority");
    for (int i = 0; i < STALL_BESIDE; i++) {
        for (int who = 0; who < 2; who++) {
            const stall *one = &stalls[who][i];
            const harness_summary sum = harness_series_summary(&one->longest);
            printf("  %s beside %-10s %7.3f [%.3f .. %.3f], %llu of %llu times 1 ms or more; "
                   "queued %.1f ms, preempted %llu, faults %llu\n",
                   who_names[who], stall_beside_names[i], sum.median * 1e3, sum.min * 1e3,
                   sum.max * 1e3, (unsigned long long)stall_over(one),
                   (unsigned long long)one->times, (double)one->queued_ns / MS_NS,
                   (unsigned long long)one->preempted, (unsigned long long)one->faults);
        }
    }
}

void stall_json(harness_json *json, stall stalls[2][STALL_BESIDE])
{
    harness_json_open(json, "stalls", '[');
    for (int i = 0; i < 2 * STALL_BESIDE; i++) {
        const stall *one = &stalls[i / STALL_BESIDE][i % STALL_BESIDE];
        harness_json_open(json, NULL, '{');
        harness_json_text(json, "who", who_names[i / STALL_BESIDE]);
        harness_json_text(json, "beside", stall_beside_names[i % STALL_BESIDE]);
        harness_json_bool(json, "real_time", one->real_time);
        harness_json_number(json, "rounds", (double)one->times);
        harness_json_number(json, "longest_ns", (double)one->longest_ns);
        harness_json_series(json, "longest_seconds", &one->longest);
        harness_json_number(json, "queued_ns", (double)one->queued_ns);
        harness_json_number(json, "preempted", (double)one->preempted);
        harness_json_number(json, "faults", (double)one->faults);
        harness_json_open(json, "buckets", '[');
        for (int k = 0; k < STALL_BUCKETS; k++) {
            harness_json_number(json, NULL, (double)one->buckets[k]);
        }
        harness_json_close(json, ']');
        harness_json_close(json, '}');
    }
    harness_json_close(json, ']');
}

bool stall_draw(const char *path, stall stalls[2][STALL_BESIDE])
{
    FILE *plot = popen("gnuplot", "we");
    if (plot == NULL) {
        return false;
    }
    fprintf(plot,
            "set terminal svg size 900,450 background 'white'\nset output '%s'\n"
            "set title 'What a mutator waits, and a thread that has nothing to do with loft'\n"
            "set logscale xy\nset xlabel 'nanoseconds'\nset ylabel 'times'\nset grid\n"
            "set yrange [0.5:*]\nset key outside\nplot",
            path);
    for (int i = 0; i < 2 * STALL_BESIDE; i++) {
        fprintf(plot, "%s '-' using 1:2 with steps lw %d lc %d dt %d title '%s beside %s'",
                i == 0 ? "" : ",", i < STALL_BESIDE ? 2 : 1, i % STALL_BESIDE + 1,
                i < STALL_BESIDE ? 1 : 2, who_names[i / STALL_BESIDE],
                stall_beside_names[i % STALL_BESIDE]);
    }
    (void)fputc('\n', plot);
    for (int i = 0; i < 2 * STALL_BESIDE; i++) {
        const stall *one = &stalls[i / STALL_BESIDE][i % STALL_BESIDE];
        for (int k = 0; k < STALL_BUCKETS; k++) {
            if (one->buckets[k] != 0) {
                fprintf(plot, "%llu %llu\n", 1ull << k, (unsigned long long)one->buckets[k]);
            }
        }
        (void)fputs("e\n", plot);
    }
    return pclose(plot) == 0;
}
