/*
 * cli/cli.h - what the parts of the `loft` command share.
 *
 * Each subcommand is one function; main.c has the table. They see the library's public headers alone.
 * Facts go to standard output, as text or, with --json, as one JSON value; errors go to standard error as one
 * sentence (and, with --json, as an object to standard output, so that a program always reads JSON).
 */
#ifndef LOFTI_CLI_CLI_H
#define LOFTI_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "loft/loft.h"

/* Exit codes; documented in the man page. */
enum lofti_cli_exit {
    LOFTI_CLI_FINE = 0,
    LOFTI_CLI_FINDINGS = 1, /* it was done, and the answer is bad news: faults, leaks, losses */
    LOFTI_CLI_USAGE = 2,    /* the command line is wrong; nothing was done */
    LOFTI_CLI_FAILED = 3    /* it could not be done */
};

/* --- args.c -------------------------------------------------------------------------------------- */

/* One option of a subcommand; one of `flag` and `value` is set. */
typedef struct lofti_args_option {
    const char *name;   /* "--json" */
    bool *flag;         /* set to true where it stands */
    const char **value; /* takes what stands behind it, or behind '=' */
} lofti_args_option;

/* Sorts `arguments` (of the subcommand `name`) into options (an array that ends with a NULL name) and
 * between `least` and `most` operands; those that are not given become NULL. False: a sentence was printed. */
bool lofti_args_parse(const char *name, char **arguments, const lofti_args_option *options,
                      const char **operands, int least, int most);

/* "4096", "64K", "1.5G", "1TiB": 1,024s. "0x…" is hexadecimal. False: it is none, or too large. */
bool lofti_args_size(const char *text, uint64_t *out);

/* Prints "loft NAME: SENTENCE" and where help is. Returns LOFTI_CLI_USAGE. */
int lofti_args_complain(const char *name, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* --- say.c --------------------------------------------------------------------------------------- */

#define LOFTI_SAY_BYTES 48u /* the longest text that these make, with its NUL */

/* Numbers for people: "1,234,567"; "12.3 MiB"; "98.7 %"; "2:05". Return `out`. */
const char *lofti_say_count(char out[LOFTI_SAY_BYTES], uint64_t count);
const char *lofti_say_bytes(char out[LOFTI_SAY_BYTES], uint64_t bytes);
const char *lofti_say_part(char out[LOFTI_SAY_BYTES], uint64_t part, uint64_t whole);
const char *lofti_say_period(char out[LOFTI_SAY_BYTES], double seconds);
const char *lofti_say_uuid(char out[LOFTI_SAY_BYTES], const uint8_t uuid[16]);
const char *lofti_say_kind(uint32_t run_kind);

/* The length of the UTF-8 sequence that begins at `text` (RFC 3629: shortest form, no surrogates, up to
 * U+10FFFF); 0: none does. Never looks behind a NUL. */
unsigned lofti_utf8_bytes(const unsigned char *text);
/* Prints text from a file or a path; what would control a terminal, and what is no UTF-8, becomes '?'. */
void lofti_say_foreign(FILE *out, const char *text);
/* A fact: a word, and what printf makes of the rest, at a common column. */
void lofti_say_fact(const char *word, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Columns and rows of the terminal that is open as `fd`; 80 and 24 if it does not say. */
void lofti_say_window(int fd, unsigned *columns, unsigned *rows);
/* Whether the environment calls the terminal one that knows no control sequences. */
bool lofti_say_is_dumb(void);

/* Reports loft's latest failure, in both ways where `json` is true. Returns LOFTI_CLI_FAILED. */
int lofti_say_failure(bool json);
/* The same with a code and a sentence of the command's own. */
int lofti_say_error(bool json, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* --- json.c -------------------------------------------------------------------------------------- */

typedef struct lofti_json {
    FILE *out;
    unsigned depth;
    bool tight;    /* without lines and spaces */
    bool some[16]; /* whether this depth has a member yet */
} lofti_json;

/* Members of the object or array that is open; `key` NULL in an array. '<' is escaped, so that the text may
 * stand in HTML; bytes that are no UTF-8 become U+FFFD. */
void lofti_json_open(lofti_json *json, const char *key, char bracket);
void lofti_json_close(lofti_json *json, char bracket);
void lofti_json_text(lofti_json *json, const char *key, const char *text);
void lofti_json_number(lofti_json *json, const char *key, uint64_t number);
void lofti_json_real(lofti_json *json, const char *key, double number);
void lofti_json_truth(lofti_json *json, const char *key, bool truth);
void lofti_json_null(lofti_json *json, const char *key);
/* An address, as "0x…". */
void lofti_json_address(lofti_json *json, const char *key, uint64_t address);
/* Any bytes as hexadecimal digits. */
void lofti_json_hex(lofti_json *json, const char *key, const void *data, size_t bytes);

/* --- file.c ---------------------------------------------------------------------------------------- */

/* SIGINT, SIGTERM and SIGHUP go to `handler`, but for those that are ignored, as nohup has it. flags: SA_... */
void lofti_cli_catch(void (*handler)(int number), int flags);

/* Opens an arena to be read, wherever there is room; a writer may have it. */
int lofti_cli_file_read(const char *path, loft_arena **out);

/* Who has the file open, as far as locks tell. */
enum lofti_cli_file_use {
    LOFTI_CLI_FILE_FREE = 0,
    LOFTI_CLI_FILE_WRITER = 1,
    LOFTI_CLI_FILE_UNKNOWN = 2
};
int lofti_cli_file_use(const char *path);

/* A new file that gets its name when it is whole. Refuses to replace an arena, or what is no regular file.
 * `like`: its mode allows no more than that file's. NULL: a sentence was printed. */
typedef struct lofti_cli_file_draft {
    FILE *stream;
    const char *path; /* "-": standard output */
    char *temporary;
} lofti_cli_file_draft;
bool lofti_cli_file_begin(lofti_cli_file_draft *draft, const char *path, const char *like);
/* Returns LOFTI_CLI_FINE or, if anything could not be written, _FAILED with nothing left. */
int lofti_cli_file_end(lofti_cli_file_draft *draft);
/* Leaves nothing. */
void lofti_cli_file_drop(lofti_cli_file_draft *draft);

/* --- the subcommands; `arguments` begins behind the name and ends with NULL ----------------------- */

int lofti_command_check(char **arguments);
int lofti_command_create(char **arguments);
int lofti_command_dump(char **arguments);
int lofti_command_info(char **arguments);
int lofti_command_map(char **arguments);
int lofti_command_recover(char **arguments);
int lofti_command_roots(char **arguments);
int lofti_command_salvage(char **arguments);
int lofti_command_snapshot(char **arguments);
int lofti_command_stat(char **arguments);

#endif /* LOFTI_CLI_CLI_H */
