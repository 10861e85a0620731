/*
 * preload/roots.c - what of the program leads into its heap: without that, every block would be a leak.
 *
 * Run in the child that saves the heap, where nothing moves any more: every aligned word of the process's private
 * writable memory outside of the arena (data, stacks, thread-local memory) that is an address in the arena goes into a
 * block, and that block is the root "outside". Conservative, as the search for leaks itself: a word may only look like
 * an address. Registers are this thread's only; those of others are on their stacks while they wait in the system.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heap.h"
#include "report.h"

/* Longer mappings are reserves and loft's own tables, nearly all of them never touched; a program's data and
 * stacks are shorter (8 MiB by default). */
#define ROOTS_MAPPING_MAX ((uintptr_t)64 << 20)

typedef struct roots_search {
    uintptr_t start, end; /* of the arena */
    uintptr_t *words;     /* NULL: only count */
    size_t count, room;
} roots_search;

static void roots_scan(roots_search *search, uintptr_t from, uintptr_t to)
{
    for (uintptr_t at = from; at + sizeof(uintptr_t) <= to; at += sizeof(uintptr_t)) {
        uintptr_t word;
        memcpy(&word, (const void *)at, sizeof word);
        if (word < search->start || word >= search->end) {
            continue;
        }
        if (search->words != NULL && search->count < search->room) {
            search->words[search->count] = word;
        }
        search->count++;
    }
}

/* False: the system does not tell its mappings. */
static bool roots_each(roots_search *search)
{
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) {
        return false;
    }
    search->count = 0;
    while (fgets(line, sizeof line, maps) != NULL) {
        /* "START-END rw-p ...", as hexadecimal numbers */
        char *rest = NULL;
        const uintptr_t from = strtoul(line, &rest, 16);
        const uintptr_t to = *rest == '-' ? strtoul(rest + 1, &rest, 16) : 0;
        const bool inside = from < search->end && to > search->start;
        if (!inside && to > from && to - from <= ROOTS_MAPPING_MAX &&
            strncmp(rest, " rw-p", 5) == 0) {
            roots_scan(search, from, to);
        }
    }
    (void)fclose(maps);
    return true;
}

bool lofti_preload_roots_note(void)
{
    loft_arena *arena = lofti_preload_arena;
    loft_arena_info info = {.struct_bytes = sizeof info};
    jmp_buf registers; /* now on the stack */
    (void)setjmp(registers);
    if (loft_arena_describe(arena, &info) != LOFT_OK) {
        return false;
    }
    roots_search search = {.start = (uintptr_t)info.mapped_at,
                           .end = (uintptr_t)(info.mapped_at + info.reserve_bytes)};
    if (!roots_each(&search)) {
        return false;
    }
    /* What reading the mappings leaves on the stack and in stdio's memory may be some words more. */
    search.room = search.count + 64;
    search.words = loft_arena_calloc(arena, search.room, sizeof *search.words);
    return search.words != NULL && roots_each(&search) &&
           loft_arena_set_root(arena, "outside", search.words) == LOFT_OK;
}
