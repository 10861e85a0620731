/* See mutant.h. */
#include "crash/mutant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void crash_mutant_begin(crash_mutant *mutant, const record_log *log)
{
    mutant->log = *log;
    mutant->log.ops = malloc(log->count * sizeof *log->ops + 1);
    if (mutant->log.ops == NULL) {
        perror("crash mutant");
        abort();
    }
    memcpy(mutant->log.ops, log->ops, log->count * sizeof *log->ops);
}

void crash_mutant_end(crash_mutant *mutant) { free(mutant->log.ops); }

void crash_mutant_drop(crash_mutant *mutant, size_t op)
{
    record_log *log = &mutant->log;
    memmove(&log->ops[op], &log->ops[op + 1], (log->count - op - 1) * sizeof *log->ops);
    log->count--;
}

static void swap_with(record_log *log, size_t a, size_t b)
{
    const record_op kept = log->ops[a];
    log->ops[a] = log->ops[b];
    log->ops[b] = kept;
}

static bool is_change(const record_op *op)
{
    return op->kind == RECORD_WRITE || op->kind == RECORD_PUNCH || op->kind == RECORD_SIZE ||
           op->kind == RECORD_LINK || op->kind == RECORD_RENAME || op->kind == RECORD_UNLINK;
}

bool crash_mutant_swap_back(crash_mutant *mutant, size_t op)
{
    if (op == 0 || !is_change(&mutant->log.ops[op - 1])) {
        return false;
    }
    swap_with(&mutant->log, op - 1, op);
    return true;
}

bool crash_mutant_swap_on(crash_mutant *mutant, size_t op)
{
    if (op + 1 >= mutant->log.count || !is_change(&mutant->log.ops[op + 1])) {
        return false;
    }
    swap_with(&mutant->log, op, op + 1);
    return true;
}
