/*
 * region/records.h - memory for the table's records.
 *
 * Not thread-safe: the table calls it under its mutex.
 */
#ifndef LOFTI_REGION_RECORDS_H
#define LOFTI_REGION_RECORDS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "os/file.h"
#include "region/table.h"

/* Lock-free readers look at a record while it is changed, freed or reused: whatever they read is
 * atomic, and its memory is never unmapped (but may turn to zeros). */
struct lofti_region {
    _Atomic(lofti_region *) left, right; /* the tree; of a free record, left: the next free one */
    _Atomic uint64_t address, bytes, map_at, map_bytes, file_off, device, inode;
    _Atomic uint32_t flags, kind;
    _Atomic(const lofti_file_ops *) file_ops;
    _Atomic intptr_t file_handle;
    bool is_claimed; /* of the mutex's holder only */
};

/* -ENOMEM. The record's content is arbitrary. */
int lofti_records_take(lofti_region **out);
void lofti_records_give(lofti_region *record);

#endif /* LOFTI_REGION_RECORDS_H */
