/*
 * commit_store.h - a store of the commit benchmark: a table of 64-byte values, updated at random and made
 * durable. One file in stores/ for each.
 */
#ifndef LOFT_BENCH_COMMIT_STORE_H
#define LOFT_BENCH_COMMIT_STORE_H

#include <stddef.h>
#include <stdint.h>

#include "harness_table.h"

enum { COMMIT_VALUE_BYTES = 64 };

typedef struct commit_store {
    const char *name;
    const char *what;
    const char *package;  /* Debian's, whose version the report names; NULL: none */
    const char *absent;   /* why it was not built; NULL: it was */
    const char *argument; /* for `open`; its own business */
    const char *file;     /* its file's name, for commit_path; one more may be called NAME-wal */
    harness_kind kind;
    /* The six figures of the reference run: ms, KB. */
    double reference_ms[6], reference_kb[6];
    /* Makes the table of `count` values in a new file below `folder`. NULL: it could not. */
    void *(*open)(const struct commit_store *store, const char *folder, uint64_t count);
    /* Stores `value` into each value named (repeats are possible), then makes all of it durable, at once. */
    bool (*commit)(void *state, const uint64_t *idx, size_t count,
                   const unsigned char value[COMMIT_VALUE_BYTES]);
    /* What it does now and then, not measured; NULL: nothing. */
    void (*rest)(void *state);
    /* Removes the file, too. */
    void (*close)(void *state);
} commit_store;

/* Enters a store in the list that the benchmark walks: by the linker, in the order of files. */
#define COMMIT_STORE(variable)                                                                     \
    extern const commit_store variable;                                                            \
    const commit_store *const variable##_entry __attribute__((section("commit_stores"), used)) =   \
        &(variable);                                                                               \
    const commit_store variable

extern const commit_store *const __start_commit_stores[];
extern const commit_store *const __stop_commit_stores[];

/* FOLDER/bench-PID-NAME; the caller frees it. */
char *commit_path(const char *folder, const char *name);
/* Says on stderr what went wrong in `name`, with errno's text if `reason` is NULL; false for the caller to return. */
bool commit_fail(const char *name, const char *what, const char *reason);
/* A new file of `bytes` that write(2) filled and that is on the disk; -1: it could not be made. */
int commit_filled_file(const char *path, uint64_t bytes);

#endif
