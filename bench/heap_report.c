/*
 * heap_report.c - the heap benchmark's verdicts, as text and as JSON.
 */
#include <stdlib.h>
#include <string.h>

#include "heap_run.h"

/* --- verdicts ------------------------------------------------------------------------------------ */

double heap_ratio(const heap_row *row, double value, double best)
{
    return row->more_is_better ? best / value : value / best;
}

static bool has_figure(const heap_competitor *one, const heap_row *row)
{
    return one->absent[0] == '\0' && one->series[row->figure].count != 0;
}

static double median_of(const heap_competitor *one, const heap_row *row)
{
    return harness_series_summary(&one->series[row->figure]).median;
}

static double reference_of(const heap_row *row, const char *peer)
{
    for (size_t i = 0; i < HEAP_REFERENCES && row->references[i].peer != NULL; i++) {
        if (strcmp(row->references[i].peer, peer) == 0) {
            return row->references[i].value;
        }
    }
    return 0;
}

/* Smaller is better on either scale. */
static bool is_better(const heap_row *row, double value, double than)
{
    return than == 0 || heap_ratio(row, value, than) < 1;
}

heap_verdict heap_judge(const heap_run *run, const heap_row *row)
{
    heap_verdict verdict = {NULL, 0, 0};
    double best_reference = 0;
    for (size_t i = 0; i < run->count; i++) {
        const heap_competitor *one = &run->competitors[i];
        if (one->peer->is_loft || !has_figure(one, row)) {
            continue;
        }
        const double value = median_of(one, row);
        if (is_better(row, value, verdict.best_value)) {
            verdict.best = one;
            verdict.best_value = value;
        }
        const double reference = reference_of(row, one->peer->name);
        if (reference > 0 && is_better(row, reference, best_reference)) {
            best_reference = reference;
        }
    }
    if (row->figure == HEAP_FIGURE_MEMORY && verdict.best != NULL) {
        verdict.goal = heap_ratio(row, row->loft, verdict.best_value);
    } else if (row->loft > 0 && best_reference > 0) {
        verdict.goal = heap_ratio(row, row->loft, best_reference);
    }
    return verdict;
}

/* --- text ---------------------------------------------------------------------------------------- */

enum { TITLE_WIDTH = 22, CELL_WIDTH = 12 };

void heap_print_head(const heap_run *run, const harness_machine *machine)
{
    harness_machine_print(machine, stdout);
    for (size_t i = 0; i < run->count; i++) {
        const heap_competitor *one = &run->competitors[i];
        if (one->absent[0] != '\0') {
            printf("  %-12s ABSENT: %s\n", one->peer->name, one->absent);
        } else {
            printf("  %-12s %s%s%s%s%s\n", one->peer->name, one->peer->what,
                   one->version[0] != '\0' ? "; " : "", one->version,
                   one->library[0] != '\0' ? "; " : "", one->library);
        }
    }
    (void)printf(
        "%zu rounds each in turns (%u times as many of short ones), after one that is not counted.\n",
        run->options->rounds, HEAP_SHORT_WEIGHT);
    (void)puts(
        "Medians; below them least..most and the noise, half the distance of the quartiles. Ratio:\n"
        "loft to the best peer (*), above 1 it is behind. Goal: the same ratio in the reference\n"
        "run, over the peers that are here; for memory the reference's loft figure itself.");
}

void heap_print_columns(const heap_run *run, const heap_work *work)
{
    printf("\n%-*s", TITLE_WIDTH, "");
    for (size_t i = 0; i < run->count; i++) {
        if (heap_takes_part(&run->competitors[i], work)) {
            printf(" %*s", CELL_WIDTH, run->competitors[i].peer->name);
        }
    }
    printf("   goal   ratio (each loft)\n");
}

static void print_ratios(const heap_run *run, const heap_row *row, const heap_verdict *verdict)
{
    if (verdict->goal > 0) {
        printf("  %5.2f  ", verdict->goal);
    } else {
        printf("  %5s  ", "none");
    }
    for (size_t i = 0; i < run->count && verdict->best != NULL; i++) {
        const heap_competitor *one = &run->competitors[i];
        if (one->peer->is_loft && has_figure(one, row)) {
            const double ratio = heap_ratio(row, median_of(one, row), verdict->best_value);
            const char *word = verdict->goal == 0 ? "" : ratio <= verdict->goal ? " met" : " NOT";
            printf(" %5.2f%s", ratio, word);
        }
    }
    printf("\n");
}

static void print_spread(const heap_run *run, const heap_row *row)
{
    printf("%-*s", TITLE_WIDTH, "");
    for (size_t i = 0; i < run->count; i++) {
        const heap_competitor *one = &run->competitors[i];
        if (has_figure(one, row)) {
            char text[64];
            const harness_summary s = harness_series_summary(&one->series[row->figure]);
            (void)snprintf(text, sizeof text, s.max < 100 ? "%.1f..%.1f" : "%.0f..%.0f", s.min,
                           s.max);
            printf(" %*s", CELL_WIDTH, text);
        }
    }
    printf("\n%-*s", TITLE_WIDTH, "");
    for (size_t i = 0; i < run->count; i++) {
        const heap_competitor *one = &run->competitors[i];
        if (has_figure(one, row)) {
            const harness_summary s = harness_series_summary(&one->series[row->figure]);
            printf(" %*.1f%%", CELL_WIDTH - 1, s.noise * 100);
        }
    }
    printf("\n");
}

static void print_row(const heap_run *run, const heap_row *row)
{
    const heap_verdict verdict = heap_judge(run, row);
    char title[64];
    (void)snprintf(title, sizeof title, "%s%s%s", row->title,
                   strcmp(row->unit, "ratio") == 0 ? "" : ", ",
                   strcmp(row->unit, "ratio") == 0 ? "" : row->unit);
    printf("%-*s", TITLE_WIDTH, title);
    for (size_t i = 0; i < run->count; i++) {
        const heap_competitor *one = &run->competitors[i];
        if (has_figure(one, row)) {
            const bool fine = row->figure >= HEAP_FIGURES;
            printf(" %*.*f%s", CELL_WIDTH - 1, fine ? 3 : 2, median_of(one, row),
                   one == verdict.best ? "*" : " ");
        }
    }
    print_ratios(run, row, &verdict);
    if (row->figure < HEAP_FIGURES) {
        print_spread(run, row);
    }
}

void heap_print_rows(const heap_run *run, const heap_work *work)
{
    for (size_t i = 0; i < heap_row_count; i++) {
        if (strcmp(heap_rows[i].work, work->name) == 0) {
            print_row(run, &heap_rows[i]);
        }
    }
    (void)fflush(stdout);
}

/* --- JSON ---------------------------------------------------------------------------------------- */

void heap_json_head(harness_json *json, const heap_run *run, const harness_machine *machine)
{
    harness_json_text(json, "benchmark", "heap");
    harness_json_machine(json, machine);
    harness_json_number(json, "rounds", (double)run->options->rounds);
    harness_json_bool(json, "quick", run->options->quick);
    harness_json_open(json, "competitors", '[');
    for (size_t i = 0; i < run->count; i++) {
        const heap_competitor *one = &run->competitors[i];
        harness_json_open(json, NULL, '{');
        harness_json_text(json, "name", one->peer->name);
        harness_json_bool(json, "loft", one->peer->is_loft);
        harness_json_text(json, "what", one->peer->what);
        harness_json_text(json, "version", one->version);
        harness_json_text(json, "library", one->library);
        harness_json_text(json, "absent", one->absent);
        harness_json_close(json, '}');
    }
    harness_json_close(json, ']');
}

static void json_cell(harness_json *json, const heap_competitor *one, const heap_row *row,
                      const heap_verdict *verdict)
{
    const harness_series *series = &one->series[row->figure];
    harness_json_open(json, one->peer->name, '{');
    harness_json_series(json, "rounds", series);
    if (row->figure < HEAP_FIGURES) {
        harness_json_number(json, "cold", one->cold[row->figure]);
    }
    if (verdict->best != NULL) {
        const double ratio = heap_ratio(row, median_of(one, row), verdict->best_value);
        harness_json_number(json, "ratio_to_best_peer", ratio);
        if (one->peer->is_loft && verdict->goal > 0) {
            harness_json_bool(json, "goal_met", ratio <= verdict->goal);
        }
    }
    harness_json_close(json, '}');
}

/* Is the row a point of a curve? */
static void json_curve(harness_json *json, const heap_row *row)
{
    for (size_t i = 0; i < heap_curve_count; i++) {
        const heap_curve *curve = &heap_curves[i];
        const size_t length = strlen(curve->works);
        if (curve->figure == row->figure && strncmp(curve->works, row->work, length) == 0) {
            harness_json_text(json, "plot", curve->plot);
            harness_json_text(json, "plot_x", curve->plot_x);
            harness_json_number(json, "x", strtod(row->work + length, NULL));
        }
    }
}

static void json_row(harness_json *json, const heap_run *run, const heap_row *row)
{
    const heap_verdict verdict = heap_judge(run, row);
    harness_json_open(json, NULL, '{');
    harness_json_text(json, "title", row->title);
    harness_json_text(json, "work", row->work);
    harness_json_text(json, "unit", row->unit);
    harness_json_bool(json, "more_is_better", row->more_is_better);
    json_curve(json, row);
    harness_json_text(json, "best_peer", verdict.best != NULL ? verdict.best->peer->name : "");
    harness_json_number(json, "goal_ratio", verdict.goal);
    harness_json_open(json, "figures", '{');
    for (size_t i = 0; i < run->count; i++) {
        if (has_figure(&run->competitors[i], row)) {
            json_cell(json, &run->competitors[i], row, &verdict);
        }
    }
    harness_json_close(json, '}');
    harness_json_close(json, '}');
}

void heap_json_rows(harness_json *json, const heap_run *run, const heap_work *work)
{
    for (size_t i = 0; i < heap_row_count; i++) {
        if (strcmp(heap_rows[i].work, work->name) == 0) {
            json_row(json, run, &heap_rows[i]);
        }
    }
}
