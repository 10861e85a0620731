/* The enumerator's workers and their parent; see enumerate.h. */
#include "crash/enumerate.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "crash/explore.h"
#include "support/runner.h"

enum {
    ENUMERATE_HANG_SECONDS = 60,
    ENUMERATE_POLL_MS = 2,
    ENUMERATE_SET_BITS_MAX = 27,
    ENUMERATE_KEEP_BYTES = 32 << 20
};

typedef struct crash_run {
    const crash_plan *plan;
    const crash_scenario *scenario;
    const crash_options *options;
    crash_shared *shared;
    size_t shared_bytes;
    uint64_t limit; /* states at one point */
} crash_run;

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* States that the plan asks for when no point may have more than `limit`. */
static uint64_t states_at_limit(const crash_run *run, uint64_t limit)
{
    uint64_t states = 0;
    for (uint32_t i = 0; i < run->plan->point_count; i++) {
        const uint64_t need = crash_explore_need(run->options, run->plan->points[i].pending);
        states += need < limit ? need : limit;
    }
    return states;
}

/* The budget is shared out as water fills a basin: small points get all they ask for. */
static uint64_t limit_of(const crash_run *run)
{
    uint64_t low = 1, high = (uint64_t)1 << 40;
    if (run->options->states == 0 || states_at_limit(run, high) <= run->options->states) {
        return high;
    }
    while (high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;
        *(states_at_limit(run, middle) <= run->options->states ? &low : &high) = middle;
    }
    return low;
}

/* Says how many units make a difference at each point, which is fewer than are pending. */
static void points_count(crash_plan *plan)
{
    crash_walk *walk = crash_walk_create(plan);
    for (uint32_t i = 0; i < plan->point_count; i++) {
        crash_walk_advance(walk, plan->points[i].op);
        plan->points[i].pending = walk->pending_count;
    }
    crash_walk_destroy(walk);
}

static bool shared_make(crash_run *run)
{
    uint64_t expected = 4 * states_at_limit(run, run->limit);
    if (run->options->nested_every != 0) {
        expected *= 4;
    }
    unsigned bits = 12;
    while (bits < ENUMERATE_SET_BITS_MAX && (uint64_t)1 << bits < expected) {
        bits++;
    }
    run->shared_bytes = sizeof *run->shared + ((size_t)1 << bits) * sizeof(uint64_t);
    run->shared = mmap(NULL, run->shared_bytes, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (run->shared == MAP_FAILED) {
        return false;
    }
    run->shared->set_mask = ((uint64_t)1 << bits) - 1;
    return true;
}

/* Takes point after point until there is none left, or a violation was found. */
static void work(const crash_run *run, unsigned worker)
{
#if defined(M_TRIM_THRESHOLD) /* glibc */
    /* Every crash inside a recovery has a log of some MiB: their memory is kept, not given back. */
    (void)mallopt(M_MMAP_THRESHOLD, ENUMERATE_KEEP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, ENUMERATE_KEEP_BYTES);
#endif
    crash_explorer explorer = {.scenario = run->scenario,
                               .options = run->options,
                               .shared = run->shared,
                               .status = &run->shared->status[worker],
                               .walk = crash_walk_create(run->plan),
                               .memo = run->scenario->open != NULL ? crash_memo_create() : NULL};
    if (run->options->kills) {
        if (worker == 0) {
            crash_explore_kills(&explorer);
        }
        run->shared->next_point = run->plan->point_count;
    }
    while (!explorer.stopped && run->shared->violations == 0) {
        const uint32_t point = atomic_fetch_add(&run->shared->next_point, 1);
        if (point >= run->plan->point_count) {
            break;
        }
        crash_explore_point(&explorer, point, run->limit);
    }
    crash_memo_destroy(explorer.memo);
    crash_walk_destroy(explorer.walk);
}

/* A worker that ended otherwise than by returning has found something. */
static void report_end(const crash_run *run, unsigned worker, const char *how, int number)
{
    crash_shared *shared = run->shared;
    atomic_fetch_add(&shared->violations, 1);
    if (atomic_exchange(&shared->reporting, 1) == 0) {
        const crash_status *status = &shared->status[worker];
        (void)snprintf(shared->text, sizeof shared->text,
                       "%s: recovery %s %d at a crash before operation %u ends, its state %llu, "
                       "seed %llu\n",
                       run->scenario->name, how, number, status->point,
                       (unsigned long long)status->ordinal, (unsigned long long)run->options->seed);
    }
}

typedef struct crash_worker {
    uint64_t beats;
    double beat_at;
    pid_t process; /* 0: ended */
    bool hung;
} crash_worker;

/* Returns: whether it still runs. */
static bool worker_look(const crash_run *run, crash_worker *workers, unsigned index)
{
    crash_worker *worker = &workers[index];
    int status = 0;
    if (worker->process == 0) {
        return false;
    }
    if (waitpid(worker->process, &status, WNOHANG) == worker->process) {
        worker->process = 0;
        if (worker->hung) {
            report_end(run, index, "hung, seconds:", (int)run->options->hang_seconds);
        } else if (WIFSIGNALED(status)) {
            report_end(run, index, "died of signal", WTERMSIG(status));
        } else if (WEXITSTATUS(status) != 0) {
            report_end(run, index, "ended its process with", WEXITSTATUS(status));
        }
        return false;
    }
    const uint64_t beats = run->shared->status[index].beats;
    const double now = seconds_now();
    if (beats != worker->beats) {
        worker->beats = beats;
        worker->beat_at = now;
    } else if (!worker->hung && now - worker->beat_at > run->options->hang_seconds) {
        worker->hung = true;
        kill(worker->process, SIGKILL);
    }
    return true;
}

static void show_progress(const crash_run *run, double seconds, bool last)
{
    if (isatty(STDERR_FILENO)) {
        const uint64_t states = run->shared->states;
        uint32_t point = run->shared->next_point;
        point = point < run->plan->point_count ? point : run->plan->point_count;
        fprintf(stderr, "\r%-28s point %u/%u, %llu states, %.0f/s%s", run->scenario->name, point,
                run->plan->point_count, (unsigned long long)states,
                seconds > 0 ? (double)states / seconds : 0.0, last ? "\n" : "");
    }
}

static void run_workers(const crash_run *run, unsigned count)
{
    crash_worker workers[CRASH_WORKERS] = {{0}};
    const double begun = seconds_now();
    double shown = begun;
    fflush(NULL);
    for (unsigned i = 0; i < count; i++) {
        workers[i].beat_at = begun;
        workers[i].process = fork();
        if (workers[i].process == 0) {
            work(run, i);
            loft_test_exit(0);
        }
        if (workers[i].process < 0) {
            workers[i].process = 0;
            report_end(run, i, "could not be forked, worker", (int)i);
        }
    }
    for (bool alive = true; alive;) {
        alive = false;
        for (unsigned i = 0; i < count; i++) {
            alive |= worker_look(run, workers, i);
        }
        const double now = seconds_now();
        if (now - shown > 0.5 || (!alive && shown != begun)) {
            show_progress(run, now - begun, !alive);
            shown = now;
        }
        const struct timespec nap = {.tv_nsec = ENUMERATE_POLL_MS * 1000000L};
        if (alive) {
            nanosleep(&nap, NULL);
        }
    }
}

static unsigned worker_count(const crash_options *options)
{
    const char *given = getenv("LOFT_CRASH_WORKERS");
    const unsigned count = given != NULL ? (unsigned)strtoul(given, NULL, 10) : options->workers;
    return count < CRASH_WORKERS ? count : CRASH_WORKERS;
}

static void result_take(const crash_run *run, crash_result *out)
{
    const crash_shared *shared = run->shared;
    out->states = shared->states;
    out->nested = shared->nested;
    out->alike = shared->alike;
    out->duplicates = shared->duplicates;
    out->violations = shared->violations;
    out->points = run->plan->point_count;
    out->calls = run->plan->log->count;
    for (uint32_t i = 0; i < run->plan->point_count; i++) {
        const uint32_t pending = run->plan->points[i].pending;
        out->most_pending = pending > out->most_pending ? pending : out->most_pending;
    }
    memcpy(out->text, shared->text, sizeof out->text);
}

uint64_t crash_enumerate(const record_log *log, const crash_scenario *scenario,
                         const crash_options *options, crash_result *out)
{
    crash_options complete = *options;
    if (complete.hang_seconds == 0) {
        complete.hang_seconds = ENUMERATE_HANG_SECONDS;
    }
    const double begun = seconds_now();
    memset(out, 0, sizeof *out);
    crash_run run = {.scenario = scenario, .options = &complete};
    crash_plan *plan =
        crash_plan_build(log, options->coarse_bytes != 0 ? options->coarse_bytes : UINT64_MAX);
    run.plan = plan;
    points_count(plan);
    run.limit = limit_of(&run);
    if (!shared_make(&run)) {
        perror("crash enumerator");
        abort();
    }
    const unsigned workers = worker_count(&complete);
    if (workers == 0) {
        work(&run, 0);
    } else {
        run_workers(&run, workers);
    }
    result_take(&run, out);
    out->seconds = seconds_now() - begun;
    munmap(run.shared, run.shared_bytes);
    crash_plan_destroy(plan);
    return out->violations;
}
