/* Scenarios for the toy store and the model that recovery is held against. */
#ifndef LOFT_TESTS_CRASH_TOY_SCENARIO_H
#define LOFT_TESTS_CRASH_TOY_SCENARIO_H

#include "crash/enumerate.h"
#include "crash/toy.h"
#include "support/fault_fs.h"
#include "support/memory_fs.h"
#include "support/record_fs.h"

enum { TOY_COMMITS = 64 };

/* What every page holds at every commit: versions, which toy_fill makes bytes of. */
typedef struct toy_model {
    enum toy_fault fault;
    uint64_t commits; /* the last one begun */
    uint32_t versions[TOY_COMMITS][TOY_PAGES];
} toy_model;

/* A world in which a scenario runs: recording over failing over memory. */
typedef struct toy_world {
    memory_fs *memory;
    fault_fs *fault;
    record_fs *record;
    const lofti_file_ops *ops;
    toy_model model;
    toy store;
    uint32_t next_version;
    bool open;
} toy_world;

typedef struct toy_script {
    const char *name;
    void (*run)(toy_world *world);
} toy_script;

extern const toy_script toy_scripts[];
extern const size_t toy_script_count;

void toy_world_begin(toy_world *world, enum toy_fault fault);
void toy_world_end(toy_world *world);

void toy_fill(uint8_t *bytes, uint32_t page, uint32_t version);

/* The enumerator's callbacks; their context is a toy_model. */
int64_t toy_recover(void *context, const lofti_file_ops *ops, char *why);
int toy_go_on(void *context, const lofti_file_ops *ops, uint64_t commit, char *why);

#endif
