/*
 * harness_report.c - the machine a run was made on, and JSON.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

/* What follows `key` and its separators in a text file; "unknown" if it is not there. */
static void find_line(const char *path, const char *key, char *out, size_t out_bytes)
{
    char line[512];
    (void)snprintf(out, out_bytes, "unknown");
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            char *value = line + strlen(key);
            value += strspn(value, " \t:=\"");
            value[strcspn(value, "\"\n")] = '\0';
            (void)snprintf(out, out_bytes, "%s", value);
            break;
        }
    }
    (void)fclose(file);
}

uint64_t harness_kib_of(const char *path, const char *key)
{
    char value[64];
    find_line(path, key, value, sizeof value);
    return strtoull(value, NULL, 10);
}

void harness_machine_find(harness_machine *machine)
{
    struct utsname name;
    const time_t now = time(NULL);
    struct tm parts;
    *machine = (harness_machine){.processors = sysconf(_SC_NPROCESSORS_ONLN)};
    machine->memory_bytes =
        (unsigned long long)sysconf(_SC_PHYS_PAGES) * (unsigned long long)sysconf(_SC_PAGESIZE);
    find_line("/proc/cpuinfo", "model name", machine->processor, sizeof machine->processor);
    find_line("/etc/os-release", "PRETTY_NAME", machine->system, sizeof machine->system);
    find_line("/sys/kernel/mm/transparent_hugepage/enabled", "", machine->huge_pages,
              sizeof machine->huge_pages);
    if (uname(&name) == 0) {
        (void)snprintf(machine->kernel, sizeof machine->kernel, "%.32s %.80s", name.sysname,
                       name.release);
    }
    if (gmtime_r(&now, &parts) != NULL) {
        (void)strftime(machine->date, sizeof machine->date, "%Y-%m-%dT%H:%M:%SZ", &parts);
    }
    double load[1];
    machine->load = getloadavg(load, 1) == 1 ? load[0] : -1;
}

void harness_machine_print(const harness_machine *machine, FILE *out)
{
    (void)fprintf(out, "%s, %ld of %s, %.1f GiB, %s, %s, huge pages: %s, load %.2f\n",
                  machine->date, machine->processors, machine->processor,
                  (double)machine->memory_bytes / (1 << 30), machine->kernel, machine->system,
                  machine->huge_pages, machine->load);
}

/* --- JSON ---------------------------------------------------------------------------------------- */

static void write_string(FILE *out, const char *text)
{
    (void)fputc('"', out);
    for (; *text != '\0'; text++) {
        const unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            (void)fprintf(out, "\\%c", c);
        } else if (c < 0x20) {
            (void)fprintf(out, "\\u%04x", c);
        } else {
            (void)fputc(c, out);
        }
    }
    (void)fputc('"', out);
}

static void begin_value(harness_json *json, const char *key)
{
    if (json->depth > 0) {
        (void)fprintf(json->out, "%s\n%*s", json->follows ? "," : "", (int)(2 * json->depth), "");
    }
    if (key != NULL) {
        write_string(json->out, key);
        (void)fputs(": ", json->out);
    }
    json->follows = true;
}

void harness_json_open(harness_json *json, const char *key, char bracket)
{
    begin_value(json, key);
    (void)fputc(bracket, json->out);
    json->depth++;
    json->follows = false;
}

void harness_json_close(harness_json *json, char bracket)
{
    json->depth--;
    (void)fprintf(json->out, "\n%*s%c", (int)(2 * json->depth), "", bracket);
    json->follows = true;
    if (json->depth == 0) {
        (void)fputc('\n', json->out);
    }
}

void harness_json_text(harness_json *json, const char *key, const char *text)
{
    begin_value(json, key);
    write_string(json->out, text);
}

void harness_json_number(harness_json *json, const char *key, double value)
{
    begin_value(json, key);
    (void)fprintf(json->out, "%.6g", value);
}

void harness_json_bool(harness_json *json, const char *key, bool value)
{
    begin_value(json, key);
    (void)fputs(value ? "true" : "false", json->out);
}

void harness_json_machine(harness_json *json, const harness_machine *machine)
{
    harness_json_open(json, "machine", '{');
    harness_json_text(json, "date", machine->date);
    harness_json_text(json, "processor", machine->processor);
    harness_json_number(json, "processors", (double)machine->processors);
    harness_json_number(json, "memory_gib", (double)machine->memory_bytes / (1 << 30));
    harness_json_text(json, "kernel", machine->kernel);
    harness_json_text(json, "system", machine->system);
    harness_json_text(json, "huge_pages", machine->huge_pages);
    harness_json_number(json, "load", machine->load);
    harness_json_close(json, '}');
}

void harness_json_series(harness_json *json, const char *key, const harness_series *series)
{
    const harness_summary summary = harness_series_summary(series);
    harness_json_open(json, key, '{');
    harness_json_number(json, "median", summary.median);
    harness_json_number(json, "min", summary.min);
    harness_json_number(json, "low", summary.low);
    harness_json_number(json, "max", summary.max);
    harness_json_number(json, "noise", summary.noise);
    begin_value(json, "values");
    for (size_t i = 0; i < series->count; i++) {
        (void)fprintf(json->out, "%s%.6g", i == 0 ? "[" : ", ", series->value[i]);
    }
    (void)fputs(series->count == 0 ? "[]" : "]", json->out);
    harness_json_close(json, '}');
}
