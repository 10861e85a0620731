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
    (void)snprintf(name, sizeof name, "%s", work->name);
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
    const bool single = work->loop != HEAP_LARSON && work->loop != HEAP_PASS;
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

static void all_once(heap_run *run, const heap_work *work, bool cold)
{
    for (size_t i = 0; i < run->count; i++) {
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
    harness_series_add(&one->series[HEAP_FIGURE_MEMORY], reply.memory);
    harness_worker_end(&one->worker);
}

void heap_measure(heap_run *run, const heap_work *work, size_t done, size_t of)
{
    static double begin;
    const size_t wanted = run->options->rounds * work->weight;
    const size_t rounds = wanted < SERIES_MAX ? wanted : SERIES_MAX;
    begin = begin > 0 ? begin : harness_now();
    for (size_t i = 0; i < run->count; i++) {
        forget(&run->competitors[i]);
        if (heap_takes_part(&run->competitors[i], work)) {
            start(run, &run->competitors[i], work);
        }
    }
    for (size_t round = 0; round <= rounds; round++) {
        const double part = ((double)done + (double)round / (double)rounds) / (double)of;
        const double so_far = harness_now() - begin;
        harness_progress("%zu of %zu: %s, round %zu of %zu, %.0f s so far, about %.0f s left",
                         done + 1, of, work->name, round, rounds, so_far,
                         part > 0.02 ? so_far / part - so_far : 0.0);
        all_once(run, work, round == 0);
    }
    for (size_t i = 0; i < run->count; i++) {
        if (heap_takes_part(&run->competitors[i], work)) {
            finish(&run->competitors[i]);
        }
    }
    harness_progress("%s", "");
}
