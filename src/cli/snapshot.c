/*
 * cli/snapshot.c - `loft snapshot`: a copy of the last commit, with a bar that tells how far it is.
 */
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum {
    BAR_CELLS = 30,
    BAR_CELLS_MIN = 5,    /* a shorter bar tells less than the number behind it */
    BAR_TEXT_BYTES = 256, /* behind the bar: four texts of lofti_say, and words */
    BAR_REST_CELLS = 100  /* an estimate made of less than this part of the whole is a guess */
};
#define BAR_PERIOD_SECONDS 0.1 /* ten times a second looks smooth */

/* Set by SIGINT, SIGTERM and SIGHUP: the snapshot ends itself and leaves nothing. */
static volatile sig_atomic_t snapshot_stopped;

typedef struct snapshot_bar {
    bool shown; /* standard error is a terminal, and nobody asked for silence */
    double begun, drawn;
    uint64_t done, total;
} snapshot_bar;

static void snapshot_stop(int number)
{
    (void)number;
    snapshot_stopped = 1;
}

static double snapshot_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* What stands behind the bar. Returns its length. */
static unsigned bar_text(const snapshot_bar *bar, double now, double part,
                         char text[BAR_TEXT_BYTES])
{
    char one[LOFTI_SAY_BYTES];
    char two[LOFTI_SAY_BYTES];
    char three[LOFTI_SAY_BYTES];
    const double spent = now - bar->begun;
    const double rate = spent > 0 ? (double)bar->done / spent : 0;
    int length = snprintf(text, BAR_TEXT_BYTES, "%3.0f %%  %s of %s  %s/s", part * 100,
                          lofti_say_bytes(one, bar->done), lofti_say_bytes(two, bar->total),
                          lofti_say_bytes(three, (uint64_t)rate));
    if (part * BAR_REST_CELLS >= 1 && rate > 0) {
        length += snprintf(text + length, BAR_TEXT_BYTES - (size_t)length, "  %s left",
                           lofti_say_period(one, (double)(bar->total - bar->done) / rate));
    }
    return (unsigned)length;
}

/* All in one line: a return goes back to a line's beginning only, so that a bar that was broken by the window's edge
 * would be drawn over and over, line below line. */
static void bar_draw(snapshot_bar *bar, double now)
{
    static const char full[BAR_CELLS + 1] = "##############################";
    char text[BAR_TEXT_BYTES];
    unsigned columns = 0;
    unsigned rows = 0;
    lofti_say_window(STDERR_FILENO, &columns, &rows);
    const double part = bar->total == 0 ? 1 : (double)bar->done / (double)bar->total;
    const unsigned length = bar_text(bar, now, part, text);
    int cells = (int)columns - 1 - (int)length - (int)sizeof "[] " + 1;
    cells = cells > BAR_CELLS ? BAR_CELLS : cells;
    if (cells >= BAR_CELLS_MIN) {
        fprintf(stderr, "\r[%-*.*s] %s\033[K", cells, (int)(part * cells), full, text);
    } else {
        fprintf(stderr, "\r%.*s\033[K", (int)columns - 1, text);
    }
    bar->drawn = now;
}

static int snapshot_progress(void *context, uint64_t done, uint64_t total)
{
    snapshot_bar *bar = context;
    const double now = snapshot_now();
    bar->done = done;
    bar->total = total;
    if (bar->shown && now - bar->drawn >= BAR_PERIOD_SECONDS) {
        bar_draw(bar, now);
    }
    return snapshot_stopped;
}

static void snapshot_json(const char *to, const loft_arena_info *info, const snapshot_bar *bar,
                          double seconds)
{
    char text[LOFTI_SAY_BYTES];
    lofti_json json = {.out = stdout};
    lofti_json_open(&json, NULL, '{');
    lofti_json_text(&json, "file", to);
    lofti_json_text(&json, "uuid", lofti_say_uuid(text, info->uuid));
    lofti_json_number(&json, "sequence", info->sequence);
    lofti_json_number(&json, "file_bytes", info->file_bytes);
    lofti_json_number(&json, "stored_bytes", info->stored_bytes);
    lofti_json_number(&json, "copied_bytes", bar->done);
    lofti_json_real(&json, "seconds", seconds);
    lofti_json_close(&json, '}');
}

static int snapshot_tell(const char *to, const snapshot_bar *bar, double seconds, bool json)
{
    char one[LOFTI_SAY_BYTES];
    char two[LOFTI_SAY_BYTES];
    loft_arena_info info = {.struct_bytes = sizeof info};
    if (loft_file_describe(to, &info) != LOFT_OK) {
        return lofti_say_failure(json);
    }
    if (json) {
        snapshot_json(to, &info, bar, seconds);
        return LOFTI_CLI_FINE;
    }
    lofti_say_foreign(stdout, to);
    printf(": commit %s, %s, in %.3f s\n", lofti_say_count(one, info.sequence),
           lofti_say_bytes(two, info.stored_bytes), seconds);
    return LOFTI_CLI_FINE;
}

static int snapshot_make(const char *from, const char *to, bool replace, bool quiet, bool json)
{
    loft_arena *arena = NULL;
    snapshot_bar bar = {.shown = !quiet && isatty(STDERR_FILENO) != 0 && !lofti_say_is_dumb()};
    if (lofti_cli_file_read(from, &arena) != LOFT_OK) {
        return lofti_say_failure(json);
    }
    lofti_cli_catch(snapshot_stop, 0);
    bar.begun = snapshot_now();
    const int code = loft_arena_snapshot(arena, to, replace ? (unsigned)LOFT_REPLACE : 0,
                                         snapshot_progress, &bar);
    const double seconds = snapshot_now() - bar.begun;
    if (bar.shown) {
        fputs("\r\033[K", stderr);
    }
    const int said =
        code == LOFT_OK ? snapshot_tell(to, &bar, seconds, json) : lofti_say_failure(json);
    (void)loft_arena_close(arena);
    return said;
}

int lofti_command_snapshot(char **arguments)
{
    bool json = false;
    bool quiet = false;
    bool replace = false;
    const char *operands[2];
    const lofti_args_option options[] = {{"--json", &json, NULL},
                                         {"--quiet", &quiet, NULL},
                                         {"--replace", &replace, NULL},
                                         {NULL, NULL, NULL}};
    if (!lofti_args_parse("snapshot", arguments, options, operands, 2, 2)) {
        return LOFTI_CLI_USAGE;
    }
    return snapshot_make(operands[0], operands[1], replace, quiet, json);
}
