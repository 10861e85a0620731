/*
 * harness_table.c - tables: columns, rows, verdicts, text and JSON.
 */
#include "harness_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* More columns or rows than the table has room for is a mistake in the benchmark. */
static void must_fit(size_t count, size_t room, const char *title)
{
    if (count >= room) {
        (void)fprintf(stderr, "the table \"%s\" is too small\n", title);
        exit(2);
    }
}

harness_column *harness_table_column(harness_table *table, const char *name, const char *what,
                                     harness_kind kind)
{
    must_fit(table->column_count, TABLE_COLUMNS, table->title);
    harness_column *column = &table->columns[table->column_count++];
    *column = (harness_column){.name = name, .what = what, .kind = kind};
    return column;
}

harness_row *harness_table_row(harness_table *table, const char *unit, const char *format, ...)
{
    va_list arguments;
    must_fit(table->row_count, TABLE_ROWS, table->title);
    harness_row *row = &table->rows[table->row_count++];
    row->unit = unit;
    va_start(arguments, format);
    (void)vsnprintf(row->title, sizeof row->title, format, arguments);
    va_end(arguments);
    return row;
}

double harness_row_figure(const harness_row *row, size_t column_idx)
{
    const harness_summary summary = harness_series_summary(&row->cells[column_idx].series);
    return row->is_low ? summary.low : summary.median;
}

void harness_cell_add(harness_cell *cell, double value, bool counts)
{
    if (counts) {
        harness_series_add(&cell->series, value);
    } else {
        cell->cold = value;
    }
}

/* --- verdicts ------------------------------------------------------------------------------------ */

typedef struct verdict {
    double figure;    /* what loft is compared with; 0: nobody is there */
    double goal;      /* the ratio not to exceed; 0: none */
    const char *name; /* of the column */
} verdict;

/* The best column of a kind, and the reference run's ratio of loft to the best of those that are here. */
static verdict judge(const harness_table *table, const harness_row *row, harness_kind kind)
{
    verdict best = {0, 0, ""};
    double reference = 0;
    for (size_t i = 0; i < table->column_count; i++) {
        const double figure = harness_row_figure(row, i);
        if (table->columns[i].kind != kind || figure <= 0) {
            continue;
        }
        if (best.figure <= 0 || figure < best.figure) {
            best.figure = figure;
            best.name = table->columns[i].name;
        }
        if (row->reference[i] > 0 && (reference <= 0 || row->reference[i] < reference)) {
            reference = row->reference[i];
        }
    }
    if (reference > 0) {
        best.goal = row->reference_loft / reference;
    }
    return best;
}

/* --- text ---------------------------------------------------------------------------------------- */

enum { TITLE_WIDTH = 30, CELL_WIDTH = 13 };

static void print_number(char *out, size_t out_bytes, double value)
{
    const int digits = value < 1 ? 3 : value < 100 ? 2 : value < 1000 ? 1 : 0;
    (void)snprintf(out, out_bytes, "%.*f", digits, value);
}

static void print_verdict(FILE *out, const verdict *against, double figure, const char *what)
{
    if (against->figure <= 0) {
        return;
    }
    const double ratio = figure / against->figure;
    (void)fprintf(out, "; %.2f of %s", ratio, what[0] != '\0' ? what : against->name);
    if (against->goal > 0) {
        (void)fprintf(out, " (goal %.2f: %s)", against->goal,
                      ratio <= against->goal ? "met" : "NOT MET");
    }
}

static void print_verdicts(const harness_table *table, const harness_row *row, FILE *out)
{
    const verdict peer = judge(table, row, HARNESS_PEER);
    const verdict floor = judge(table, row, HARNESS_FLOOR);
    for (size_t i = 0; i < table->column_count; i++) {
        const double figure = harness_row_figure(row, i);
        if (table->columns[i].kind != HARNESS_LOFT || figure <= 0) {
            continue;
        }
        if (row->goal <= 0 && peer.figure <= 0 && floor.figure <= 0) {
            continue;
        }
        (void)fprintf(out, "    %s", table->columns[i].name);
        if (row->goal > 0) {
            (void)fprintf(out, "; at most %.4g %s: %s", row->goal, row->unit,
                          figure <= row->goal ? "met" : "NOT MET");
        }
        print_verdict(out, &peer, figure, "");
        print_verdict(out, &floor, figure, "the floor");
        (void)fputc('\n', out);
    }
}

static void print_row(const harness_table *table, const harness_row *row, FILE *out)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%.40s, %s", row->title, row->unit);
    (void)fprintf(out, "%-*s", TITLE_WIDTH, text);
    for (size_t i = 0; i < table->column_count; i++) {
        const double figure = harness_row_figure(row, i);
        print_number(text, sizeof text, figure);
        const bool measured = row->cells[i].series.count > 0;
        (void)fprintf(out, " %*s", CELL_WIDTH, measured ? text : "-");
    }
    (void)fprintf(out, "\n%-*s", TITLE_WIDTH, "");
    for (size_t i = 0; i < table->column_count; i++) {
        const harness_summary s = harness_series_summary(&row->cells[i].series);
        (void)snprintf(text, sizeof text, s.max < 10 ? "%.2f..%.2f" : "%.0f..%.0f", s.min, s.max);
        (void)fprintf(out, " %*s", CELL_WIDTH, row->cells[i].series.count > 1 ? text : "");
    }
    (void)fputc('\n', out);
    print_verdicts(table, row, out);
    for (size_t i = 0; i < table->column_count; i++) {
        if (row->cells[i].missing[0] != '\0') {
            (void)fprintf(out, "    %s: %s\n", table->columns[i].name, row->cells[i].missing);
        }
    }
}

void harness_table_print(const harness_table *table, FILE *out)
{
    (void)fprintf(out, "\n== %s\n%s\n", table->title, table->note);
    for (size_t i = 0; i < table->column_count; i++) {
        const harness_column *column = &table->columns[i];
        (void)fprintf(out, "  %-18s %s%s%s%s%s\n", column->name, column->what,
                      column->version[0] != '\0' ? "; " : "", column->version,
                      column->absent[0] != '\0' ? "; ABSENT: " : "", column->absent);
    }
    (void)fprintf(out, "\n%-*s", TITLE_WIDTH, "figure; below it least..most");
    for (size_t i = 0; i < table->column_count; i++) {
        (void)fprintf(out, " %*.*s", CELL_WIDTH, CELL_WIDTH, table->columns[i].name);
    }
    (void)fputc('\n', out);
    for (size_t i = 0; i < table->row_count; i++) {
        print_row(table, &table->rows[i], out);
    }
    (void)fflush(out);
}

/* --- JSON ---------------------------------------------------------------------------------------- */

static const char *kind_name(harness_kind kind)
{
    static const char *const names[] = {"floor", "other", "peer", "loft"};
    return names[kind];
}

static void json_ratio(harness_json *json, const char *key, const char *met, const verdict *against,
                       double figure)
{
    if (against->figure > 0) {
        harness_json_number(json, key, figure / against->figure);
        if (against->goal > 0) {
            harness_json_bool(json, met, figure / against->figure <= against->goal);
        }
    }
}

static void json_row(const harness_table *table, const harness_row *row, harness_json *json)
{
    const verdict peer = judge(table, row, HARNESS_PEER);
    const verdict floor = judge(table, row, HARNESS_FLOOR);
    harness_json_open(json, NULL, '{');
    harness_json_text(json, "title", row->title);
    harness_json_text(json, "unit", row->unit);
    harness_json_bool(json, "more_is_better", false);
    harness_json_bool(json, "low", row->is_low);
    if (row->plot != NULL) {
        harness_json_text(json, "plot", row->plot);
        harness_json_number(json, "x", row->x);
    }
    harness_json_text(json, "best_peer", peer.name);
    harness_json_number(json, "goal_ratio", peer.goal);
    harness_json_number(json, "goal_floor_ratio", floor.goal);
    harness_json_number(json, "goal", row->goal);
    harness_json_open(json, "figures", '{');
    for (size_t i = 0; i < table->column_count; i++) {
        const harness_cell *cell = &row->cells[i];
        if (cell->series.count == 0 && cell->missing[0] == '\0') {
            continue;
        }
        const double figure = harness_row_figure(row, i);
        harness_json_open(json, table->columns[i].name, '{');
        harness_json_text(json, "missing", cell->missing);
        harness_json_series(json, "rounds", &cell->series);
        if (cell->cold > 0) {
            harness_json_number(json, "cold", cell->cold);
        }
        if (table->columns[i].kind == HARNESS_LOFT && cell->series.count > 0) {
            json_ratio(json, "ratio_to_best_peer", "goal_met", &peer, figure);
            json_ratio(json, "ratio_to_floor", "goal_floor_met", &floor, figure);
            if (row->goal > 0) {
                harness_json_bool(json, "goal_figure_met", figure <= row->goal);
            }
        }
        harness_json_close(json, '}');
    }
    harness_json_close(json, '}');
    harness_json_close(json, '}');
}

void harness_table_json(const harness_table *table, harness_json *json)
{
    harness_json_open(json, NULL, '{');
    harness_json_text(json, "title", table->title);
    harness_json_text(json, "note", table->note);
    harness_json_text(json, "plot_x", table->plot_x != NULL ? table->plot_x : "");
    harness_json_text(json, "plot_y", table->plot_y != NULL ? table->plot_y : "");
    harness_json_open(json, "competitors", '[');
    for (size_t i = 0; i < table->column_count; i++) {
        const harness_column *column = &table->columns[i];
        harness_json_open(json, NULL, '{');
        harness_json_text(json, "name", column->name);
        harness_json_text(json, "kind", kind_name(column->kind));
        harness_json_bool(json, "loft", column->kind == HARNESS_LOFT);
        harness_json_text(json, "what", column->what);
        harness_json_text(json, "version", column->version);
        harness_json_text(json, "absent", column->absent);
        harness_json_close(json, '}');
    }
    harness_json_close(json, ']');
    harness_json_open(json, "rows", '[');
    for (size_t i = 0; i < table->row_count; i++) {
        json_row(table, &table->rows[i], json);
    }
    harness_json_close(json, ']');
    harness_json_close(json, '}');
}
