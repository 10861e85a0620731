/*
 * arena/chunk.h - what memory lies at each chunk of an arena, and how that changes: a table.
 *
 * One byte a chunk (4 MiB), arena->chunk_states. Only lofti_chunk_move changes a state, along the table that chunk.c
 * holds and docs/durability.md shows, "States of a chunk". What must be true of a state, and of the
 * kernel's mapping behind it, is in lofti_chunk_verify.
 *
 * Threads: under commit_mutex or grow_mutex; any thread may read.
 */
#ifndef LOFTI_ARENA_CHUNK_H
#define LOFTI_ARENA_CHUNK_H

#include <stdbool.h>
#include <stdint.h>

#include "loft/arena.h"

enum lofti_chunk_state {
    LOFTI_CHUNK_NONE = 0,     /* held address space */
    LOFTI_CHUNK_FILE = 1,     /* a private mapping of the file */
    LOFTI_CHUNK_ANON = 2,     /* anonymous memory */
    LOFTI_CHUNK_KIND = 3,     /* mask of the above */
    LOFTI_CHUNK_WATCHED = 16, /* flag: the kernel notes which of its pages are stored to */
    LOFTI_CHUNK_HELD =
        32, /* flag, while memory is returned: it has private pages. No part of the state */
    LOFTI_CHUNK_ILLEGAL = 255 /* no state: what lofti_chunk_next answers */
};

enum lofti_chunk_event {
    LOFTI_CHUNK_GROWN,  /* new memory: growth, or at open what the file is too short for */
    LOFTI_CHUNK_OPENED, /* the file is mapped at open */
    LOFTI_CHUNK_ARMED,  /* the kernel watches it from now on */
    LOFTI_CHUNK_UNARMED, /* private pages were found that no watch covers: it never began, or it was lost */
    LOFTI_CHUNK_RETURNED,  /* a checkpoint maps the file over it */
    LOFTI_CHUNK_REFRESHED, /* a commit maps the file over it, which it shows already */
    LOFTI_CHUNK_GIVEN_UP, /* rollback takes growth back, or its memory was lost: then the store is poisoned */
    LOFTI_CHUNK_EVENTS
};

/* The state behind the event; LOFTI_CHUNK_ILLEGAL if the table has none. `state` without HELD. */
uint8_t lofti_chunk_next(uint8_t state, enum lofti_chunk_event event);
/* "FILE", "ANON, watched", "given up" and so on, as the document names them. */
const char *lofti_chunk_state_name(uint8_t state);
const char *lofti_chunk_event_name(enum lofti_chunk_event event);

/* Every chunk of [off, off + bytes). A move that the table does not have ends the program: memory would be taken for
 * what it is not. */
void lofti_chunk_move(loft_arena *arena, uint64_t off, uint64_t bytes,
                      enum lofti_chunk_event event);

/* The mark of a chunk that has private pages, while memory is returned; and taking it away again. */
void lofti_chunk_hold(loft_arena *arena, uint64_t chunk);
bool lofti_chunk_unhold(loft_arena *arena, uint64_t chunk);

/* Compares every chunk's state with the file, the journal's extents, the tracker, and the mappings that the kernel has.
 * LOFT_ECORRUPT, with the place, at the first that is not as it must be. The gate is closed, or nobody else
 * uses the arena; it reads the process's list of mappings (some 0.1 ms), where the system has one. */
int lofti_chunk_verify(loft_arena *arena);

#endif /* LOFTI_ARENA_CHUNK_H */
