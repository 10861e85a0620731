/*
 * harness_table.h - tables of figures: rows of works, columns of competitors, verdicts, text and JSON.
 *
 * A row's verdict is a ratio: loft's figure over the best peer's, and over the floor's, both of this run.
 * The goals are the same two ratios in the reference run (for each row: figures of who was measured
 * there), or a figure that holds on any machine. Smaller is better in every row.
 */
#ifndef LOFT_BENCH_HARNESS_TABLE_H
#define LOFT_BENCH_HARNESS_TABLE_H

#include "harness.h"

enum { TABLE_COLUMNS = 10, TABLE_ROWS = 40 };

/* What a column is to the others. */
typedef enum harness_kind {
    HARNESS_FLOOR, /* the least that any could need: loft is compared with it, too */
    HARNESS_OTHER, /* measured for scale; promises less than the others, so it is no peer */
    HARNESS_PEER,
    HARNESS_LOFT
} harness_kind;

typedef struct harness_column {
    const char *name;
    const char *what; /* one line for the head of the report */
    harness_kind kind;
    char version[64];
    char absent[200]; /* why it does not take part; "": it does */
} harness_column;

typedef struct harness_cell {
    harness_series series;
    double cold;      /* the round before the first that counts; 0: none */
    char missing[96]; /* why there is no figure, where that is not plain; "": it is */
} harness_cell;

typedef struct harness_row {
    char title[64];
    const char *unit;
    const char *plot; /* rows of one name are a curve over x; NULL: none */
    double x;
    /* The figure is the lower quartile of the rounds: for counts to which other programs add. */
    bool is_low;
    double reference[TABLE_COLUMNS]; /* in the reference run; 0: unknown */
    double reference_loft;           /* the goal there, for every column of loft's; 0: none */
    double goal;                     /* a figure not to exceed anywhere; 0: none */
    harness_cell cells[TABLE_COLUMNS];
} harness_row;

typedef struct harness_table {
    const char *title;
    const char *note; /* what the reader must know of it */
    const char *plot_x, *plot_y;
    size_t column_count, row_count;
    harness_column columns[TABLE_COLUMNS];
    harness_row rows[TABLE_ROWS];
} harness_table;

/* A column's figure in a row; 0: it has none. */
double harness_row_figure(const harness_row *row, size_t column_idx);

/* Adds one; NULL never: the tables are fixed when the benchmark is written. */
harness_column *harness_table_column(harness_table *table, const char *name, const char *what,
                                     harness_kind kind);
harness_row *harness_table_row(harness_table *table, const char *unit, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A round's value; one that does not count comes first: it found caches and memory cold. */
void harness_cell_add(harness_cell *cell, double value, bool counts);

void harness_table_print(const harness_table *table, FILE *out);
void harness_table_json(const harness_table *table, harness_json *json);

/* --- what every benchmark that makes tables does with its command line ---------------------------- */

typedef struct harness_options {
    const char *json_path; /* NULL: none */
    const char *directory; /* for its files */
    size_t rounds;
    bool quick;
} harness_options;

/* --quick, --rounds N, --json FILE, --directory DIR. Others, or help: prints `usage`, ends. */
harness_options harness_options_read(int argc, char **argv, size_t rounds, size_t rounds_quick,
                                     const char *usage);
/* Prints the tables, writes the JSON file. Returns the exit code. */
int harness_conclude(const char *benchmark, const harness_options *options,
                     const harness_machine *machine, const harness_table *const tables[],
                     size_t count);
/* Debian's version of a package; "" if it is not installed. */
void harness_package_version(const char *package, char *out, size_t out_bytes);

#endif
