/* Planted protocol faults that need no change of the code: the log of a right run is changed as if
 * the code had left a flush out, or had done two neighbouring operations the other way round. */
#ifndef LOFT_TESTS_CRASH_MUTANT_H
#define LOFT_TESTS_CRASH_MUTANT_H

#include <stdbool.h>
#include <stddef.h>

#include "support/record_fs.h"

/* A log that shares everything with `log` but its operations. */
typedef struct crash_mutant {
    record_log log;
} crash_mutant;

/* Aborts when memory is refused. */
void crash_mutant_begin(crash_mutant *mutant, const record_log *log);
void crash_mutant_end(crash_mutant *mutant);
void crash_mutant_drop(crash_mutant *mutant, size_t op);
/* Swaps the flush at `op` with what comes before it that changes something of the same file;
 * returns whether there was such an operation, and no mark between. */
bool crash_mutant_swap_back(crash_mutant *mutant, size_t op);
/* The same with what comes after it. */
bool crash_mutant_swap_on(crash_mutant *mutant, size_t op);

static inline bool crash_mutant_is_flush(const record_op *op)
{
    return (op->kind == RECORD_SYNC || op->kind == RECORD_SYNC_FOLDER) && !op->failed;
}

#endif
