/* Writes an arena, or reads it and goes on with it: run in turns by builds for different processors, it shows that
 * the file is the same on both.
 *
 *     arena_carry write PATH      a new arena; leaves commits that wait in the journal
 *     arena_carry go-on PATH      opens it, which applies them, checks all, adds as much, leaves the same
 *
 * A list whose pointers, sizes and contents follow from the number of the node. Exit status 0, or 1 and a sentence. */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "loft/arena.h"

enum { CARRY_NODES = 2000, CARRY_CHECKPOINT = 1200 };

typedef struct carry_node {
    struct carry_node *next;
    uint64_t number, bytes;
    double real;
    uint8_t content[];
} carry_node;

static uint64_t carry_mix(uint64_t number)
{
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return number ^ (number >> 27);
}

/* Mostly small, sometimes a span of pages. */
static uint64_t carry_bytes(uint64_t number)
{
    return number % 97 == 0 ? carry_mix(number) % 200000 : carry_mix(number) % 500;
}

static bool carry_push(loft_arena *arena, uint64_t number)
{
    const uint64_t bytes = carry_bytes(number);
    carry_node *node = loft_arena_malloc(arena, sizeof *node + bytes);
    void *gone = loft_arena_malloc(arena, 1 + bytes);
    if (node == NULL || gone == NULL) {
        return false;
    }
    node->next = loft_arena_root(arena, "carry");
    node->number = number;
    node->bytes = bytes;
    node->real = 1.0 / (double)number;
    memset(node->content, (int)(number % 251), bytes);
    loft_arena_free(arena, gone);
    return loft_arena_set_root(arena, "carry", node) == 0;
}

static bool carry_add(loft_arena *arena, uint64_t from)
{
    for (uint64_t number = from + 1; number <= from + CARRY_NODES; number++) {
        if (!carry_push(arena, number) || (number % 100 == 0 && loft_arena_commit(arena) != 0) ||
            (number == from + CARRY_CHECKPOINT && loft_arena_checkpoint(arena) != 0)) {
            return false;
        }
    }
    return true;
}

/* The highest number; 0: something is wrong. */
static uint64_t carry_verify(loft_arena *arena)
{
    const carry_node *node = loft_arena_root(arena, "carry");
    const uint64_t last = node != NULL ? node->number : 0;
    uint64_t faults = 0;
    if (loft_arena_check(arena, NULL, NULL, &faults) != 0 || faults != 0) {
        return 0;
    }
    for (uint64_t number = last; number > 0; number--, node = node->next) {
        if (node == NULL || node->number != number || node->bytes != carry_bytes(number) ||
            node->real != 1.0 / (double)number) {
            return 0;
        }
        for (uint64_t i = 0; i < node->bytes; i++) {
            if (node->content[i] != number % 251) {
                return 0;
            }
        }
    }
    return node == NULL ? last : 0;
}

int main(int count, char **words)
{
    const bool writes = count == 3 && strcmp(words[1], "write") == 0;
    if (!writes && (count != 3 || strcmp(words[1], "go-on") != 0)) {
        (void)fprintf(stderr, "usage: %s write|go-on PATH\n", words[0]);
        return 2;
    }
    /* A small reserve: emulators keep a record of every page of it. */
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    options.reserve_bytes = (uint64_t)1 << 30;
    loft_arena *arena = NULL;
    const unsigned flags = writes ? LOFT_CREATE | LOFT_EXCLUSIVE : LOFT_WRITE;
    if (loft_arena_open(words[2], flags, &options, &arena) != 0) {
        (void)fprintf(stderr, "%s\n", loft_last_error());
        return 1;
    }
    const uint64_t last = writes ? 0 : carry_verify(arena);
    if ((!writes && last == 0) || !carry_add(arena, last) || loft_arena_abandon(arena) != 0) {
        (void)fprintf(stderr, "%s: %s\n", words[2],
                      !writes && last == 0 ? "its content is not what was written"
                                           : loft_last_error());
        return 1;
    }
    (void)printf("%s: %" PRIu64 " nodes were there, %d more are\n", words[2], last, CARRY_NODES);
    return 0;
}
