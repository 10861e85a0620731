/* wordindex - what the parts of the program share: wordindex.c adds files, wordindex_ask.c answers
 * questions. */
#ifndef WORDINDEX_H
#define WORDINDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    EXIT_SOME = 1, /* a file was skipped, a word is not there, a check failed */
    EXIT_BAD = 2   /* bad usage, or an arena that does not work */
};

struct question {
    const char *arena, *command; /* a path; "top", "find", ... */
    char **operands;             /* what follows the command */
    size_t operand_count;
    bool nul, times; /* -0, -t */
};

/* Opens the arena to read, which changes no byte of it, and answers on standard output.
 * Returns: an exit status. */
int wordindex_ask(const struct question *question);

/* Says on standard error what is wrong with what ("": nothing named). Returns: EXIT_BAD. */
int complain(const char *what, const char *why);
/* Prints a name for people: one line, whatever its bytes are. */
void print_name(FILE *out, const char *name, size_t bytes);
/* Returns: a clock that only goes forward. */
double seconds_now(void);

#endif
