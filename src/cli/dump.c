/*
 * cli/dump.c - `loft roots` and `loft dump`: names, addresses and the bytes there.
 *
 * Addresses are the arena's own, as its pointers have them, wherever it is mapped now. What may be read is said by
 * the runs (loft/inspect.h); nothing else is touched, whatever the file claims.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "survey.h"

enum { DUMP_ROW_BYTES = 16 };
#define DUMP_DEFAULT_BYTES ((uint64_t)256)

/* The stored address of an offset. */
static uint64_t dump_address(const lofti_survey *survey, uint64_t offset)
{
    return survey->info.base + offset;
}

static int dump_place(const lofti_survey *survey, uint64_t offset, loft_place *place)
{
    *place = (loft_place){.struct_bytes = sizeof *place};
    const uint8_t *base = (const uint8_t *)(uintptr_t)survey->info.mapped_at;
    return loft_arena_place(survey->arena, base + offset, place);
}

static const char *dump_state(const loft_place *place)
{
    return place->kind == LOFT_RUN_SLAB && place->live == 0 ? "free block" : "block";
}

static void dump_say_place(const lofti_survey *survey, const loft_place *place, uint64_t offset)
{
    char bytes[LOFTI_SAY_BYTES];
    if (place->bytes == 0) {
        printf("%s", place->kind == LOFT_RUN_NONE ? "outside of everything"
                                                  : lofti_say_kind(place->kind));
        return;
    }
    printf("%s of %s, %s", dump_state(place), lofti_say_bytes(bytes, place->bytes),
           lofti_say_kind(place->kind));
    if (offset != place->offset) {
        printf(", begins %" PRIu64 " bytes before at 0x%" PRIx64, offset - place->offset,
               dump_address(survey, place->offset));
    }
}

static void dump_json_place(lofti_json *json, const lofti_survey *survey, const loft_place *place)
{
    lofti_json_text(json, "place", lofti_say_kind(place->kind));
    if (place->bytes != 0) {
        lofti_json_open(json, "block", '{');
        lofti_json_address(json, "address", dump_address(survey, place->offset));
        lofti_json_number(json, "offset", place->offset);
        lofti_json_number(json, "bytes", place->bytes);
        lofti_json_truth(json, "live", place->live != 0);
        lofti_json_close(json, '}');
    } else {
        lofti_json_null(json, "block");
    }
}

static void roots_print(const lofti_survey *survey)
{
    for (uint64_t i = 0; i < survey->root_count; i++) {
        const lofti_survey_root *root = &survey->roots[i];
        loft_place place;
        printf("0x%" PRIx64 "  ", dump_address(survey, root->offset));
        lofti_say_foreign(stdout, root->name);
        printf("  (");
        if (dump_place(survey, root->offset, &place) == LOFT_OK) {
            dump_say_place(survey, &place, root->offset);
        }
        printf(")\n");
    }
}

static void roots_json(const char *path, const lofti_survey *survey)
{
    lofti_json json = {.out = stdout};
    lofti_json_open(&json, NULL, '{');
    lofti_json_text(&json, "file", path);
    lofti_json_open(&json, "roots", '[');
    for (uint64_t i = 0; i < survey->root_count; i++) {
        const lofti_survey_root *root = &survey->roots[i];
        loft_place place;
        lofti_json_open(&json, NULL, '{');
        lofti_json_text(&json, "name", root->name);
        lofti_json_hex(&json, "name_hex", root->name, strlen(root->name));
        lofti_json_address(&json, "address", dump_address(survey, root->offset));
        lofti_json_number(&json, "offset", root->offset);
        if (dump_place(survey, root->offset, &place) == LOFT_OK) {
            dump_json_place(&json, survey, &place);
        }
        lofti_json_close(&json, '}');
    }
    lofti_json_close(&json, ']');
    lofti_json_close(&json, '}');
}

int lofti_command_roots(char **arguments)
{
    bool json = false;
    const char *path = NULL;
    lofti_survey survey;
    const lofti_args_option options[] = {{"--json", &json, NULL}, {NULL, NULL, NULL}};
    if (!lofti_args_parse("roots", arguments, options, &path, 1, 1)) {
        return LOFTI_CLI_USAGE;
    }
    const int code = lofti_survey_make(&survey, path, false, json);
    if (code != LOFTI_CLI_FINE) {
        return code;
    }
    if (json) {
        roots_json(path, &survey);
    } else {
        roots_print(&survey);
    }
    lofti_survey_end(&survey);
    return LOFTI_CLI_FINE;
}

/* What "ADDRESS|ROOT" means, as an offset; a root's name wins. False: nothing. */
static bool dump_where(const lofti_survey *survey, const char *text, uint64_t *offset)
{
    for (uint64_t i = 0; i < survey->root_count; i++) {
        if (strcmp(survey->roots[i].name, text) == 0) {
            *offset = survey->roots[i].offset;
            return true;
        }
    }
    const bool is_offset = text[0] == '+';
    uint64_t number = 0;
    if (!lofti_args_size(is_offset ? text + 1 : text, &number)) {
        return false;
    }
    *offset = is_offset ? number : number - survey->info.base;
    return true;
}

/* How many bytes from `offset` on may be read: those of runs without a gap. */
static uint64_t dump_readable(const lofti_survey *survey, uint64_t offset, uint64_t wanted)
{
    uint64_t end = offset;
    for (uint64_t i = 0; i < survey->run_count && end - offset < wanted; i++) {
        const lofti_survey_run *run = &survey->runs[i];
        if (run->kind < LOFT_RUN_HEADER && run->offset <= end && end < run->offset + run->bytes) {
            end = run->offset + run->bytes;
        }
    }
    return end - offset < wanted ? end - offset : wanted;
}

static void dump_rows(const lofti_survey *survey, uint64_t offset, uint64_t bytes)
{
    const uint8_t *at = bytes > 0 ? loft_at(survey->arena, offset) : NULL;
    for (uint64_t row = 0; row < bytes; row += DUMP_ROW_BYTES) {
        const uint64_t count = bytes - row < DUMP_ROW_BYTES ? bytes - row : DUMP_ROW_BYTES;
        printf("%012" PRIx64 " ", dump_address(survey, offset + row));
        for (uint64_t i = 0; i < DUMP_ROW_BYTES; i++) {
            if (i % 8 == 0) {
                putchar(' ');
            }
            if (i < count) {
                printf("%02x ", at[row + i]);
            } else {
                printf("   ");
            }
        }
        printf(" |");
        for (uint64_t i = 0; i < count; i++) {
            const uint8_t byte = at[row + i];
            putchar(byte >= ' ' && byte < 127 ? byte : '.');
        }
        printf("|\n");
    }
}

static void dump_json(const char *path, const lofti_survey *survey, const loft_place *place,
                      uint64_t offset, uint64_t bytes)
{
    lofti_json json = {.out = stdout};
    lofti_json_open(&json, NULL, '{');
    lofti_json_text(&json, "file", path);
    lofti_json_address(&json, "address", dump_address(survey, offset));
    lofti_json_number(&json, "offset", offset);
    dump_json_place(&json, survey, place);
    lofti_json_number(&json, "bytes", bytes);
    lofti_json_hex(&json, "hex", bytes > 0 ? loft_at(survey->arena, offset) : "", bytes);
    lofti_json_close(&json, '}');
}

static int dump_at(const char *path, const lofti_survey *survey, const char *where,
                   const char *length, bool json)
{
    uint64_t offset = 0;
    uint64_t wanted = 0;
    loft_place place;
    if (!dump_where(survey, where, &offset)) {
        return lofti_say_error(json, LOFT_ENOENT, "'%s' has no root '%s', and it is no address",
                               path, where);
    }
    if (offset >= survey->info.reserve_bytes || dump_place(survey, offset, &place) != LOFT_OK) {
        return lofti_say_error(json, LOFT_ERANGE, "'%s' lies outside the arena '%s'", where, path);
    }
    if (length != NULL) {
        (void)lofti_args_size(length, &wanted); /* was judged before the file was opened */
    } else {
        const uint64_t rest = place.offset + place.bytes - offset;
        wanted = place.bytes != 0 && rest < DUMP_DEFAULT_BYTES ? rest : DUMP_DEFAULT_BYTES;
    }
    const uint64_t bytes = dump_readable(survey, offset, wanted);
    if (json) {
        dump_json(path, survey, &place, offset, bytes);
        return LOFTI_CLI_FINE;
    }
    printf("0x%" PRIx64 ", offset %" PRIu64 ": ", dump_address(survey, offset), offset);
    dump_say_place(survey, &place, offset);
    putchar('\n');
    dump_rows(survey, offset, bytes);
    if (bytes < wanted) {
        printf("the heap has no more here\n");
    }
    return LOFTI_CLI_FINE;
}

int lofti_command_dump(char **arguments)
{
    bool json = false;
    const char *operands[3];
    uint64_t length = 0;
    lofti_survey survey;
    const lofti_args_option options[] = {{"--json", &json, NULL}, {NULL, NULL, NULL}};
    if (!lofti_args_parse("dump", arguments, options, operands, 2, 3)) {
        return LOFTI_CLI_USAGE;
    }
    if (operands[2] != NULL && !lofti_args_size(operands[2], &length)) {
        return lofti_args_complain("dump", "'%s' is no number of bytes", operands[2]);
    }
    int code = lofti_survey_make(&survey, operands[0], false, json);
    if (code == LOFTI_CLI_FINE) {
        code = dump_at(operands[0], &survey, operands[1], operands[2], json);
        lofti_survey_end(&survey);
    }
    return code;
}
