/*
 * heap.c - loft's heap beside the best volatile allocators.
 *
 * Every competitor does every work in a process of its own; they take turns, round by round
 * (heap_peer.h says why). heap_plan.c says what is done and what the goals are.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap_run.h"

enum { ROUNDS = 25, ROUNDS_QUICK = 7 };

static void usage(FILE *out)
{
    (void)fputs(
        "usage: heap [--quick] [--rounds N] [--filter TEXT] [--json FILE] [--directory DIR]\n"
        "  --quick          few rounds: a glance, not a measurement\n"
        "  --rounds N       rounds of each competitor, 3 to 255 (default 25)\n"
        "  --filter TEXT    only works whose name contains TEXT; \"?\" lists them\n"
        "  --json FILE      everything measured, every round\n"
        "  --directory DIR  where the file arena lies (default: the current folder)\n",
        out);
}

static _Noreturn void list_works(void)
{
    for (size_t i = 0; i < heap_work_count; i++) {
        (void)puts(heap_works[i].name);
    }
    exit(0);
}

static const char *option_value(int argc, char **argv, int *at)
{
    if (*at + 1 >= argc) {
        usage(stderr);
        exit(2);
    }
    return argv[++*at];
}

static heap_options read_options(int argc, char **argv)
{
    heap_options options = {.directory = ".", .rounds = ROUNDS};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            options.quick = true;
            options.rounds = ROUNDS_QUICK;
        } else if (strcmp(argv[i], "--rounds") == 0) {
            options.rounds = strtoul(option_value(argc, argv, &i), NULL, 10);
        } else if (strcmp(argv[i], "--filter") == 0) {
            options.filter = option_value(argc, argv, &i);
        } else if (strcmp(argv[i], "--json") == 0) {
            options.json_path = option_value(argc, argv, &i);
        } else if (strcmp(argv[i], "--directory") == 0) {
            options.directory = option_value(argc, argv, &i);
        } else {
            const bool help = strcmp(argv[i], "--help") == 0;
            usage(help ? stdout : stderr);
            exit(help ? 0 : 2);
        }
    }
    if (options.filter != NULL && strcmp(options.filter, "?") == 0) {
        list_works();
    }
    if (options.rounds < 3 || options.rounds >= SERIES_MAX) {
        usage(stderr);
        exit(2);
    }
    return options;
}

static bool is_wanted(const heap_options *options, const heap_work *work)
{
    return (options->filter == NULL || strstr(work->name, options->filter) != NULL) &&
           !(options->quick && (work->flags & HEAP_FULL) != 0);
}

/* workers/ beside this program. */
static void find_workers(heap_run *run)
{
    char path[400];
    const ssize_t got = readlink("/proc/self/exe", path, sizeof path - 1);
    path[got > 0 ? got : 0] = '\0';
    char *slash = strrchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    (void)snprintf(run->workers, sizeof run->workers, "%s/workers", path);
}

static void measure_all(heap_run *run, harness_json *json)
{
    size_t of = 0, done = 0;
    int columns = -1; /* whose are printed: 0 those of blocks, 1 those of pools */
    for (size_t i = 0; i < heap_work_count; i++) {
        of += is_wanted(run->options, &heap_works[i]);
    }
    for (size_t i = 0; i < heap_work_count; i++) {
        if (is_wanted(run->options, &heap_works[i])) {
            heap_measure(run, &heap_works[i], done++, of);
            const int wanted = heap_works[i].loop == HEAP_POOL;
            if (columns != wanted) {
                heap_print_columns(run, &heap_works[i]);
                columns = wanted;
            }
            heap_print_rows(run, &heap_works[i]);
            if (json->out != NULL) {
                heap_json_rows(json, run, &heap_works[i]);
            }
        }
    }
}

/* The foot of both reports. Returns the program's exit code. */
static int conclude(const heap_run *run, harness_json *json)
{
    const double part =
        run->rounds_asked == 0 ? 0 : (double)run->rounds_disturbed / (double)run->rounds_asked;
    printf("\nDisturbed rounds (another program had the processor; asked again): %.1f %%%s\n",
           part * 100, part > 0.05 ? ". THIS RUN WAS DISTURBED." : "");
    if (json->out == NULL) {
        return 0;
    }
    harness_json_close(json, ']');
    harness_json_number(json, "disturbed_rounds", part);
    harness_json_close(json, '}');
    if (ferror(json->out) != 0 || fclose(json->out) != 0) {
        perror(run->options->json_path);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static heap_run run;
    harness_json json = {NULL, 0, false};
    harness_machine machine;
    const heap_options options = read_options(argc, argv);
    run.options = &options;
    find_workers(&run);
    heap_find_peers(&run);
    harness_machine_find(&machine);
    heap_print_head(&run, &machine);
    if (options.json_path != NULL) {
        json.out = fopen(options.json_path, "we");
        if (json.out == NULL) {
            perror(options.json_path);
            return 1;
        }
        harness_json_open(&json, NULL, '{');
        heap_json_head(&json, &run, &machine);
        harness_json_open(&json, "rows", '[');
    }
    measure_all(&run, &json);
    return conclude(&run, &json);
}
