/*
 * heap/inspect.h - the heap as a row of runs.
 */
#ifndef LOFTI_HEAP_INSPECT_H
#define LOFTI_HEAP_INSPECT_H

#include "heap/heap.h"
#include "loft/inspect.h"

#define LOFTI_INSPECT_WORDS ((uint32_t)LOFT_SLAB_BLOCKS_MAX / 64)

/* The first run at or behind `from_off`, which is 0 or the end of the run before. Offsets are from the heap's
 * base. Fills in all but struct_bytes; live is `words` for a slab. False: there is none.
 * Trusts no byte of the image. Thread-safe. */
bool lofti_inspect_next(lofti_heap *heap, uint64_t from_off, loft_run *out,
                        uint64_t words[LOFTI_INSPECT_WORDS]);

/* What lies at `off`; fills in all but struct_bytes. Thread-safe. */
void lofti_inspect_place(lofti_heap *heap, uint64_t off, loft_place *out);

#endif /* LOFTI_HEAP_INSPECT_H */
