/* textindex - an index of text in a loft arena: which words, how often, in which files.
 *
 * All of it is in the structs below: two hash tables and linked lists, plain C structs joined by
 * plain C pointers, allocated in an arena instead of by malloc. There is no load, no save and no
 * file format. One root leads to everything:
 *
 *     root "textindex" -> struct index
 *        .words -> slots -> entry "arena" -> posting -> posting -> ...     one for each file
 *        .files -> slots -> entry "a.txt" <---'           |
 *                           entry "b.txt" <---------------'
 *
 * Invariants (index_check)
 * 1. A word's count is the sum of its postings, and is not 0.
 * 2. A file's count is the sum of the postings that name it.
 * 3. .word_count is the sum over all words, .text_bytes over all files.
 *
 * Nothing here commits: when the index is whole is for the program to say (wordindex.c).
 * A word is a longest run of A-Z, a-z and 0-9, in lower case, of any length; a file ends it. */
#ifndef TEXTINDEX_H
#define TEXTINDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "loft/arena.h"

/* What is in the arena. */

struct posting { /* a word occurs `count` times in `file` */
    struct posting *next;
    struct entry *file;
    uint64_t count;
};

struct stamp { /* a file as it was when it was read; a file with another one has changed */
    int64_t bytes, seconds, nanoseconds;
    uint64_t number; /* files count from 0 in the order of their coming */
};

struct entry {          /* what both tables hold */
    struct entry *next; /* in the same slot */
    uint64_t count;     /* a word: how often it occurs; a file: how many words it has */
    union {
        struct posting *postings; /* a word: newest file first */
        struct stamp *stamp;      /* a file */
    };
    uint64_t name_bytes;
    char name[]; /* any bytes, no 0 at the end */
};

struct table {
    struct entry **slots;
    uint64_t slot_count, entry_count; /* slot_count: a power of two, doubled when it is reached */
};

struct index {
    uint64_t layout; /* INDEX_LAYOUT */
    struct table words, files;
    uint64_t word_count, text_bytes;
};

enum {
    INDEX_LAYOUT = 1 /* raise it when a struct above changes: an older index is then refused */
};

/* What is not: a file on its way into the index. Begin with {.arena = , .index = }. */
struct index_writer {
    loft_arena *arena;
    struct index *index;
    struct entry *file;
    char *word; /* what is read of a word, which may span blocks; malloc's, the caller frees it */
    size_t word_bytes, word_room;
};

/* Out: *out, the arena's index; a new one, not yet committed, if there is none and `create` is set.
 * Returns: NULL, or a sentence. */
const char *index_open(loft_arena *arena, bool create, struct index **out);

/* One file: begin, its text in pieces of any size, end. A file that is known is taken out first.
 * After a failure the arena is to be rolled back.
 * Returns: NULL, or a sentence. */
const char *index_begin(struct index_writer *writer, const char *path, const struct stamp *stamp);
const char *index_text(struct index_writer *writer, const unsigned char *text, size_t bytes);
const char *index_end(struct index_writer *writer);

/* Returns: the entry of that name; NULL: there is none. */
struct entry *index_find(const struct table *table, const char *name, size_t bytes);

/* Returns: a table's entries in an order, to be freed by free; NULL: no memory. */
typedef int index_order(const void *left, const void *right);
struct entry **index_list(const struct table *table, index_order *order);
index_order index_by_name, index_by_count, index_by_number;

/* Verifies the invariants. Returns: NULL, or a sentence. */
const char *index_check(const struct index *index);

/* The character of a word that c stands for; '\0': words do not have it. */
char index_fold(unsigned char c);

#endif
