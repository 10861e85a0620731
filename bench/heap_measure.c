/*
 * heap_measure.c - one work of the heap benchmark, done by all competitors in turns.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap_run.h"

/* A worker with one thread that lacked a processor for longer than this part of its round is asked
 * again, at most so often: what it was timed at is another program's doing. */
#define STOLEN_PART  0.03
#define STOLEN_TRIES 4

bool heap_takes_part(const heap_competitor *one, const heap_work *work)
{
    return one->absent[0] == '\0' && one->peer->is_pool == (work->loop == HEAP_POOL);
}

static void drop(heap_competitor *one, const char *why)
{
    (void)snprintf(one->absent, sizeof one->absent, "%s", why);
    harness_worker_end(&one->worker);
    harness_progress("%s", "");
    (void)fprintf(stderr, "heap: %s drops out: %s\n", one->peer->name, why);
}

/* What the work before left. */
static void forget(heap_competitor *one)
{
    memset(one->cold, 0, sizeof one->cold);
    for (size_t i = 0; i < HEAP_FIGURES_ALL; i++) {
        one->series[i].count = 0;
    }
}

static void start(const heap_run *run, heap_competitor *one, const heap_work *work)
{
    char program[768], argument[768] = "", name[64];
    (void)snprintf(program, sizeof program, "%s/%s", run->workers, one->peer->worker);
    (void)snprintf(name, sizeof name, "%s/%u", work->name,
                   one->peer->part != 0 ? one->peer->part : 1);
    if (one->peer->on_file) {
        (void)snprintf(argument, sizeof argument, "%s/bench-heap-%ld.loft", run->options->directory,
                       (long)getpid());
    } else {
        (void)snprintf(argument, sizeof argument, "%s", one->library);
    }
    char *const argv[] = {program, argument, name, NULL};
    const char *preload = one->library[0] != '\0' ? one->library : NULL;
    if (!harness_worker_start(&one->worker, argv, preload)) {
        drop(one, "its process could not be started");
    }
}

/* One round of one competitor; repeated when it was disturbed. */
static bool ask(heap_run *run, heap_competitor *one, const heap_work *work, heap_reply *reply)
{
    const bool single = work->loop != HEAP_LARSON && work->loop != HEAP_PASS && !one->peer->waits;
    for (int tries = 1;; tries++) {
        if (!harness_worker_ask(&one->worker, HEAP_REQUEST_ROUND, reply, sizeof *reply)) {
            drop(one, "its process died");
            return false;
        }
        const bool disturbed = single && reply->stolen > STOLEN_PART;
        run->rounds_asked += single;
        run->rounds_disturbed += disturbed;
        if (!disturbed || tries == STOLEN_TRIES) {
            return true;
        }
    }
}

static void all_once(heap_run *run, size_t first, size_t last, const heap_work *work, bool cold)
{
    for (size_t i = first; i < last; i++) {
        heap_competitor *one = &run->competitors[i];
        heap_reply reply;
        if (!heap_takes_part(one, work) || !ask(run, one, work, &reply)) {
            continue;
        }
        for (size_t f = 0; f < HEAP_FIGURES; f++) {
            if (cold) {
                one->cold[f] = reply.figure[f];
            } else {
                harness_series_add(&one->series[f], reply.figure[f]);
            }
        }
    }
}

static void finish(heap_competitor *one)
{
    heap_reply reply;
    if (!harness_worker_ask(&one->worker, HEAP_REQUEST_FINISH, &reply, sizeof reply)) {
        drop(one, "its process died");
        return;
    }
    if (reply.memory > 0) {
        harness_series_add(&one->series[HEAP_FIGURE_MEMORY], reply.memory);
        harness_series_add(&one->series[HEAP_FIGURE_PSS], reply.pss);
    }
    if (reply.file > 0) {
        harness_series_add(&one->series[HEAP_FIGURE_FILE], reply.file);
    }
    harness_worker_end(&one->worker);
}

/* Where the whole run stands: `part` of the work at hand is done. */
static void show_progress(const heap_work *work, size_t done, size_t of, double part)
{
    static double begin;
    begin = begin > 0 ? begin : harness_now();
    const double of_all = ((double)done + part) / (double)of;
    const double so_far = harness_now() - begin;
    harness_progress("%zu of %zu: %s, %.0f %%, %.0f s so far, about %.0f s left", done + 1, of,
                     work->name, part * 100, so_far,
                     of_all > 0.02 ? so_far / of_all - so_far : 0.0);
}

/* The competitors from `first` up to `last` in turns. */
static void take_turns(heap_run *run, size_t first, size_t last, const heap_work *work, size_t done,
                       size_t of)
{
    const size_t wanted = run->options->rounds * work->weight;
    const size_t rounds = wanted < SERIES_MAX ? wanted : SERIES_MAX;
    for (size_t i = first; i < last; i++) {
        forget(&run->competitors[i]);
        if (heap_takes_part(&run->competitors[i], work)) {
            start(run, &run->competitors[i], work);
        }
    }
    for (size_t round = 0; round <= rounds; round++) {
        const double part =
            ((double)first + (double)(last - first) * (double)round / (double)rounds) /
            (double)run->count;
        show_progress(work, done, of, part);
        all_once(run, first, last, work, round == 0);
    }
    for (size_t i = first; i < last; i++) {
        if (heap_takes_part(&run->competitors[i], work)) {
            finish(&run->competitors[i]);
        }
    }
    harness_progress("%s", "");
}

void heap_measure(heap_run *run, const heap_work *work, size_t done, size_t of)
{
    const size_t at_once = (work->flags & HEAP_ALONE) != 0 ? 1 : run->count;
    for (size_t first = 0; first < run->count; first += at_once) {
        take_turns(run, first, first + at_once, work, done, of);
    }
}
