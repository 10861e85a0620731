/*
 * harness.h - what benchmarks share: series of values, worker processes that take turns, progress, the
 * description of the machine, JSON.
 *
 * Competitors alternate within one run: each waits in a process of its own and does one short round
 * when it is asked. So whatever disturbs the machine meets all of them alike.
 */
#ifndef LOFT_BENCH_HARNESS_H
#define LOFT_BENCH_HARNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

/* --- series -------------------------------------------------------------------------------------- */

enum { SERIES_MAX = 256 };

typedef struct harness_series {
    double value[SERIES_MAX]; /* in the order measured */
    size_t count;
} harness_series;

typedef struct harness_summary {
    double median, min, max;
    double low; /* the lower quartile */
    /* Half the distance between the quartiles over the median: how far a typical round is off. */
    double noise;
} harness_summary;

void harness_series_add(harness_series *series, double value);
/* Of an empty series: zeros. */
harness_summary harness_series_summary(const harness_series *series);

/* --- workers ------------------------------------------------------------------------------------- */

typedef struct harness_worker {
    pid_t pid; /* 0: none */
    int to, from;
} harness_worker;

/* Starts argv[0] with pipes for standard input and output; `preload` into LD_PRELOAD unless NULL.
 * False: it could not be; a program that ends at once shows at the first request. */
bool harness_worker_start(harness_worker *worker, char *const argv[], const char *preload);
/* Sends one byte and waits for an answer of exactly `bytes`. False: it died. */
bool harness_worker_ask(const harness_worker *worker, char request, void *answer, size_t bytes);
void harness_worker_end(harness_worker *worker);

/* --- progress ------------------------------------------------------------------------------------ */

double harness_now(void); /* seconds */
/* On a terminal: one line on stderr, overwritten; else nothing. Empty text removes it. */
void harness_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* --- reports ------------------------------------------------------------------------------------- */

typedef struct harness_machine {
    char processor[128];
    char kernel[160];
    char system[128];
    char date[32];
    char huge_pages[64];
    double load; /* of the last minute, before the run */
    long processors;
    unsigned long long memory_bytes;
} harness_machine;

void harness_machine_find(harness_machine *machine);
/* The kibibytes that the line `key` of a file below /proc tells, as "Rss"; 0: it does not. */
uint64_t harness_kib_of(const char *path, const char *key);
void harness_machine_print(const harness_machine *machine, FILE *out);

/* JSON. Members and elements separate themselves; key is NULL inside arrays. */
typedef struct harness_json {
    FILE *out;
    unsigned depth;
    bool follows; /* something of this level was written */
} harness_json;

void harness_json_open(harness_json *json, const char *key, char bracket);
void harness_json_close(harness_json *json, char bracket);
void harness_json_text(harness_json *json, const char *key, const char *text);
void harness_json_number(harness_json *json, const char *key, double value);
void harness_json_bool(harness_json *json, const char *key, bool value);
void harness_json_machine(harness_json *json, const harness_machine *machine);
void harness_json_series(harness_json *json, const char *key, const harness_series *series);

#endif
