/*
 * harness_main.c - the command line and the reports of the benchmarks that make tables.
 */
#include <stdlib.h>
#include <string.h>

#include "harness_table.h"

static _Noreturn void show_usage(const char *usage, bool asked)
{
    (void)fputs(usage, asked ? stdout : stderr);
    (void)fputs("  --quick          few rounds: a glance, not a measurement\n"
                "  --rounds N       rounds of each competitor, 3 to 255\n"
                "  --json FILE      everything measured, every round\n"
                "  --directory DIR  where the files lie (default: the current folder)\n",
                asked ? stdout : stderr);
    exit(asked ? 0 : 2);
}

harness_options harness_options_read(int argc, char **argv, size_t rounds, size_t rounds_quick,
                                     const char *usage)
{
    harness_options options = {NULL, ".", rounds, false};
    size_t asked = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--quick") == 0) {
            options.quick = true;
            options.rounds = rounds_quick;
            continue;
        }
        if (strcmp(argv[i], "--help") == 0 || value == NULL) {
            show_usage(usage, strcmp(argv[i], "--help") == 0);
        }
        if (strcmp(argv[i], "--rounds") == 0) {
            asked = strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--json") == 0) {
            options.json_path = value;
        } else if (strcmp(argv[i], "--directory") == 0) {
            options.directory = value;
        } else {
            show_usage(usage, false);
        }
        i++;
    }
    options.rounds = asked != 0 ? asked : options.rounds;
    if (options.rounds < 3 || options.rounds >= SERIES_MAX) {
        show_usage(usage, false);
    }
    return options;
}

int harness_conclude(const char *benchmark, const harness_options *options,
                     const harness_machine *machine, const harness_table *const tables[],
                     size_t count)
{
    harness_progress("%s", "");
    harness_machine_print(machine, stdout);
    for (size_t i = 0; i < count; i++) {
        harness_table_print(tables[i], stdout);
    }
    if (options->json_path == NULL) {
        return 0;
    }
    harness_json json = {fopen(options->json_path, "we"), 0, false};
    if (json.out == NULL) {
        perror(options->json_path);
        return 1;
    }
    harness_json_open(&json, NULL, '{');
    harness_json_text(&json, "benchmark", benchmark);
    harness_json_machine(&json, machine);
    harness_json_number(&json, "rounds", (double)options->rounds);
    harness_json_bool(&json, "quick", options->quick);
    harness_json_open(&json, "tables", '[');
    for (size_t i = 0; i < count; i++) {
        harness_table_json(tables[i], &json);
    }
    harness_json_close(&json, ']');
    harness_json_close(&json, '}');
    if (ferror(json.out) != 0 || fclose(json.out) != 0) {
        perror(options->json_path);
        return 1;
    }
    return 0;
}

/* As Debian's package manager knows it: paragraphs of `Field: value` lines. */
void harness_package_version(const char *package, char *out, size_t out_bytes)
{
    char line[1024];
    bool here = false;
    out[0] = '\0';
    FILE *status = package != NULL ? fopen("/var/lib/dpkg/status", "re") : NULL;
    if (status == NULL) {
        return;
    }
    while (fgets(line, sizeof line, status) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "Package: ", 9) == 0) {
            here = strcmp(line + 9, package) == 0;
        } else if (here && strncmp(line, "Version: ", 9) == 0) {
            (void)snprintf(out, out_bytes, "%.28s %.30s", package, line + 9);
            break;
        }
    }
    (void)fclose(status);
}
