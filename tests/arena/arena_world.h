/* What the arena's tests share: proof that a failing call leaves nothing behind, and small structures to
 * fill arenas with. */
#ifndef LOFT_TESTS_ARENA_ARENA_WORLD_H
#define LOFT_TESTS_ARENA_ARENA_WORLD_H

#include <stdbool.h>

#include "loft/arena.h"
#include "support/test.h"

/* What a process and a folder hold. Taken before a call that must fail, compared after it. */
typedef struct leftovers {
    const char *folder;
    unsigned descriptors, mappings, entries;
} leftovers;

leftovers leftovers_before(const char *folder);
void leftovers_check(const leftovers *before);
/* Skips where a child gets its parent's arena: in an emulator, the mapping, and with it the open file and its lock. */
void need_dontfork(void);

/* Opens `path`, which must fail with `want`, in a sentence that has the path and `part`, and must leave
 * nothing: no handle, descriptor, mapping, file. */
void open_must_fail(const char *path, unsigned flags, const loft_arena_options *options, int want,
                    const char *part);

/* Opens; must succeed. */
loft_arena *open_arena(const char *path, unsigned flags);
/* A new arena in the test's folder; close_arena must succeed. */
loft_arena *new_arena(const char *name);
void close_arena(loft_arena *arena);
void abandon_arena(loft_arena *arena);
/* loft_arena_check finds nothing, and what is mapped is what the states of the chunks say. */
void check_arena(loft_arena *arena);
/* The blocks of all its pools. */
uint64_t pool_blocks(loft_arena *arena);

/* The next `times` mappings of the file over address space are refused, and the system drops what was there, as some do.
 * Then that it does so no longer; all of the times must have come. */
void refuse_file_mappings(unsigned times);
void allow_file_mappings(void);

/* A list with a checksum in each node, at the root "list". */
typedef struct list_node {
    struct list_node *next;
    uint64_t number, bytes;
    uint8_t content[];
} list_node;

void list_push(loft_arena *arena, uint64_t number, uint64_t bytes);
/* Counts the nodes and checks their content; numbers fall by one from the head. */
uint64_t list_check(const loft_arena *arena);

/* The whole file. Owns: the caller's, to be freed. */
uint8_t *file_read(const char *path, size_t *bytes);
void file_write(const char *path, const void *data, size_t bytes);
void file_patch(const char *path, uint64_t off, const void *data, size_t bytes);
uint64_t file_bytes(const char *path);

#endif
