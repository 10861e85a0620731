/*
 * cli/check.c - `loft check` and `loft salvage`: what is wrong with a file, and what of it is whole.
 *
 * A file that is no arena, or too damaged to be opened, is an answer, too: its faults.
 */
#include "cli.h"

typedef struct check_state {
    lofti_json *json; /* NULL: text */
    uint64_t faults;
} check_state;

static int check_fault(void *context, const loft_fault *fault)
{
    check_state *state = context;
    state->faults++;
    if (state->json == NULL) {
        printf("fault at offset %llu (0x%llx): ", (unsigned long long)fault->offset,
               (unsigned long long)fault->offset);
        lofti_say_foreign(stdout, fault->text);
        putchar('\n');
        return 0;
    }
    lofti_json_open(state->json, NULL, '{');
    lofti_json_number(state->json, "offset", fault->offset);
    lofti_json_text(state->json, "code", loft_error_name(fault->code));
    lofti_json_text(state->json, "text", fault->text);
    lofti_json_close(state->json, '}');
    return 0;
}

/* Whether a code says that the file is wrong, and not that it could not be looked at. */
static bool check_is_answer(int code)
{
    return code == LOFT_OK || code == LOFT_ECORRUPT || code == LOFT_EVERSION;
}

static void check_begin(lofti_json *json, const char *path)
{
    lofti_json_open(json, NULL, '{');
    lofti_json_text(json, "file", path);
    lofti_json_open(json, "faults", '[');
}

/* Ends the list, and says why it is none if `code` is a failure. */
static void check_end(lofti_json *json, int code)
{
    lofti_json_close(json, ']');
    if (check_is_answer(code)) {
        lofti_json_truth(json, "sound", code == LOFT_OK);
    } else {
        lofti_json_open(json, "error", '{');
        lofti_json_text(json, "code", loft_error_name(code));
        lofti_json_text(json, "text", loft_last_error());
        lofti_json_close(json, '}');
    }
}

/* --- blocks that nothing leads to, words that lead out ------------------------------------------- */

typedef struct check_scan {
    lofti_json *json; /* NULL: text */
    loft_arena *arena;
    loft_arena_info info;
    uint64_t bytes;
} check_scan;

static int check_leak(void *context, const loft_block *block)
{
    check_scan *scan = context;
    const uint64_t offset = loft_offset(scan->arena, block->address);
    scan->bytes += block->bytes;
    if (scan->json == NULL) {
        printf("leak at 0x%llx (offset %llu): %llu bytes that no root leads to\n",
               (unsigned long long)(scan->info.base + offset), (unsigned long long)offset,
               (unsigned long long)block->bytes);
        return 0;
    }
    lofti_json_open(scan->json, NULL, '{');
    lofti_json_address(scan->json, "address", scan->info.base + offset);
    lofti_json_number(scan->json, "offset", offset);
    lofti_json_number(scan->json, "bytes", block->bytes);
    lofti_json_close(scan->json, '}');
    return 0;
}

static int check_foreign(void *context, const loft_fault *fault)
{
    check_scan *scan = context;
    if (scan->json == NULL) {
        printf("foreign word at 0x%llx (offset %llu): ",
               (unsigned long long)(scan->info.base + fault->offset),
               (unsigned long long)fault->offset);
        lofti_say_foreign(stdout, fault->text);
        putchar('\n');
        return 0;
    }
    lofti_json_open(scan->json, NULL, '{');
    lofti_json_address(scan->json, "address", scan->info.base + fault->offset);
    lofti_json_number(scan->json, "offset", fault->offset);
    lofti_json_text(scan->json, "text", fault->text);
    lofti_json_close(scan->json, '}');
    return 0;
}

typedef struct check_wishes {
    bool json, leaks, foreign;
} check_wishes;

/* Scans for what is wished. *count: what was found. Returns a code of loft's. */
static int check_scan_arena(check_scan *scan, const check_wishes *wishes, uint64_t *count)
{
    uint64_t leaks = 0;
    uint64_t words = 0;
    int code = LOFT_OK;
    if (wishes->leaks) {
        if (scan->json != NULL) {
            lofti_json_open(scan->json, "leaks", '[');
        }
        code = loft_arena_leaks(scan->arena, check_leak, scan, &leaks);
        if (scan->json != NULL) {
            lofti_json_close(scan->json, ']');
        } else if (code == LOFT_OK) {
            char text[2][LOFTI_SAY_BYTES];
            printf("leaks: %s, %s\n", lofti_say_count(text[0], leaks),
                   lofti_say_bytes(text[1], scan->bytes));
        }
    }
    if (code == LOFT_OK && wishes->foreign) {
        if (scan->json != NULL) {
            lofti_json_open(scan->json, "foreign", '[');
        }
        code = loft_arena_foreign(scan->arena, check_foreign, scan, &words);
        if (scan->json != NULL) {
            lofti_json_close(scan->json, ']');
        } else if (code == LOFT_OK) {
            char text[LOFTI_SAY_BYTES];
            printf("words that lead out of the arena: %s\n", lofti_say_count(text, words));
        }
    }
    *count = leaks + words;
    return code;
}

/* Returns an exit code. */
static int check_reach(const char *path, const check_wishes *wishes, lofti_json *json)
{
    check_scan scan = {.json = wishes->json ? json : NULL};
    uint64_t count = 0;
    scan.info.struct_bytes = sizeof scan.info;
    int code = lofti_cli_file_read(path, &scan.arena);
    if (code == LOFT_OK) {
        code = loft_arena_describe(scan.arena, &scan.info);
        if (code == LOFT_OK) {
            code = check_scan_arena(&scan, wishes, &count);
        }
        (void)loft_arena_close(scan.arena);
    }
    if (code != LOFT_OK) {
        if (wishes->json) {
            lofti_json_text(json, "scan_error", loft_last_error());
        }
        return lofti_say_failure(false);
    }
    return count == 0 ? LOFTI_CLI_FINE : LOFTI_CLI_FINDINGS;
}

static void check_verdict(const char *path, int code, const check_state *state)
{
    char text[LOFTI_SAY_BYTES];
    lofti_say_foreign(stdout, path);
    if (code == LOFT_OK) {
        printf(": sound\n");
    } else {
        printf(": %s fault%s\n", lofti_say_count(text, state->faults),
               state->faults == 1 ? "" : "s");
    }
}

int lofti_command_check(char **arguments)
{
    check_wishes wishes = {.json = false};
    const char *path = NULL;
    const lofti_args_option options[] = {{"--json", &wishes.json, NULL},
                                         {"--leaks", &wishes.leaks, NULL},
                                         {"--foreign", &wishes.foreign, NULL},
                                         {NULL, NULL, NULL}};
    if (!lofti_args_parse("check", arguments, options, &path, 1, 1)) {
        return LOFTI_CLI_USAGE;
    }
    lofti_json json = {.out = stdout};
    check_state state = {.json = wishes.json ? &json : NULL};
    if (wishes.json) {
        check_begin(&json, path);
    }
    const int code = loft_file_check(path, check_fault, &state, NULL);
    int answer = code == LOFT_OK         ? LOFTI_CLI_FINE
                 : check_is_answer(code) ? LOFTI_CLI_FINDINGS
                                         : lofti_say_failure(false);
    if (wishes.json) {
        check_end(&json, code);
    } else if (check_is_answer(code)) {
        check_verdict(path, code, &state);
    }
    /* In a heap with faults, what leads where is anybody's guess. */
    if (code == LOFT_OK && (wishes.leaks || wishes.foreign)) {
        answer = check_reach(path, &wishes, &json);
    }
    if (wishes.json) {
        lofti_json_close(&json, '}');
    }
    return answer;
}

int lofti_command_salvage(char **arguments)
{
    bool as_json = false;
    const char *operands[2];
    const lofti_args_option options[] = {{"--json", &as_json, NULL}, {NULL, NULL, NULL}};
    if (!lofti_args_parse("salvage", arguments, options, operands, 2, 2)) {
        return LOFTI_CLI_USAGE;
    }
    lofti_json json = {.out = stdout};
    check_state state = {.json = as_json ? &json : NULL};
    if (as_json) {
        check_begin(&json, operands[0]);
    }
    const int code = loft_file_salvage(operands[0], operands[1], check_fault, &state);
    /* LOFT_ECORRUPT may mean a copy with losses or none at all: the copy itself tells. */
    loft_arena_info info = {.struct_bytes = sizeof info};
    char reason[512];
    snprintf(reason, sizeof reason, "%s", loft_last_error());
    const bool copied = check_is_answer(code) && loft_file_describe(operands[1], &info) == LOFT_OK;
    if (as_json) {
        check_end(&json, code);
        lofti_json_truth(&json, "copied", copied);
        if (copied) {
            lofti_json_text(&json, "copy", operands[1]);
            lofti_json_number(&json, "sequence", info.sequence);
        }
        lofti_json_close(&json, '}');
    } else if (copied) {
        char text[LOFTI_SAY_BYTES];
        lofti_say_foreign(stdout, operands[1]);
        printf(": commit %s, %s\n", lofti_say_count(text, info.sequence),
               code == LOFT_OK ? "nothing was wrong" : "without what the faults above took");
    }
    if (!copied) {
        fputs("loft: ", stderr);
        lofti_say_foreign(stderr, reason);
        fputc('\n', stderr);
        return LOFTI_CLI_FAILED;
    }
    return code == LOFT_OK ? LOFTI_CLI_FINE : LOFTI_CLI_FINDINGS;
}
