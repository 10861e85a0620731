/* A table of mapping calls that makes the Nth of chosen ones fail. */
#ifndef LOFT_TESTS_REGION_FAULT_MAP_H
#define LOFT_TESTS_REGION_FAULT_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "os/map.h"

enum fault_map_kind {
    FAULT_MAP_MAP = 1 << 0,
    FAULT_MAP_UNMAP = 1 << 1,
    FAULT_MAP_REMAP = 1 << 2,
    FAULT_MAP_PROTECT = 1 << 3,
    FAULT_MAP_ADVISE = 1 << 4,
    FAULT_MAP_SYNC = 1 << 5,
    FAULT_MAP_LOCK = 1 << 6,
    FAULT_MAP_FIXED = 1 << 7, /* of the mappings, those over others */
    FAULT_MAP_ALL = 0x7f
};

/* The Nth (from 1) call of the kinds, and `times` - 1 after it, answer -error. drop: a fixed
 * mapping that fails has unmapped what was there before, as some kernels do. */
void fault_map_set(unsigned kinds, uint64_t nth, uint64_t times, int error, bool drop);
/* Calls of the kinds since. */
uint64_t fault_map_count(void);
/* Back to the system's table. Returns: how often it struck. */
uint64_t fault_map_clear(void);

#endif
