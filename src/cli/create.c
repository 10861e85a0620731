/*
 * cli/create.c - `loft create` and `loft recover`: the commands that change their file.
 */
#include <stdarg.h>

#include "cli.h"

static void create_json(const char *path, const loft_arena_info *info)
{
    char text[LOFTI_SAY_BYTES];
    lofti_json json = {.out = stdout};
    lofti_json_open(&json, NULL, '{');
    lofti_json_text(&json, "file", path);
    lofti_json_text(&json, "uuid", lofti_say_uuid(text, info->uuid));
    lofti_json_address(&json, "base", info->base);
    lofti_json_number(&json, "reserve_bytes", info->reserve_bytes);
    lofti_json_number(&json, "file_bytes", info->file_bytes);
    lofti_json_close(&json, '}');
}

static int create_arena(const char *path, const loft_arena_options *wanted, bool json)
{
    loft_arena *arena = NULL;
    loft_arena_info info = {.struct_bytes = sizeof info};
    if (loft_arena_open(path, LOFT_CREATE | LOFT_EXCLUSIVE, wanted, &arena) != LOFT_OK) {
        return lofti_say_failure(json);
    }
    int code = loft_arena_describe(arena, &info);
    const uint64_t reserve_bytes = info.reserve_bytes;
    if (code == LOFT_OK) {
        code = loft_arena_close(arena);
    }
    if (code == LOFT_OK) {
        code = loft_file_describe(path, &info);
    }
    if (code != LOFT_OK) {
        return lofti_say_failure(json);
    }
    info.reserve_bytes = reserve_bytes;
    if (json) {
        create_json(path, &info);
    } else {
        char bytes[LOFTI_SAY_BYTES];
        char uuid[LOFTI_SAY_BYTES];
        printf("created ");
        lofti_say_foreign(stdout, path);
        printf(": %s, at 0x%llx, may grow to %s\n", lofti_say_uuid(uuid, info.uuid),
               (unsigned long long)info.base, lofti_say_bytes(bytes, reserve_bytes));
    }
    return LOFTI_CLI_FINE;
}

int lofti_command_create(char **arguments)
{
    bool json = false;
    const char *path = NULL;
    const char *reserve = NULL;
    const char *base = NULL;
    loft_arena_options wanted = LOFT_ARENA_OPTIONS_INIT;
    const lofti_args_option options[] = {{"--json", &json, NULL},
                                         {"--reserve", NULL, &reserve},
                                         {"--base", NULL, &base},
                                         {NULL, NULL, NULL}};
    if (!lofti_args_parse("create", arguments, options, &path, 1, 1)) {
        return LOFTI_CLI_USAGE;
    }
    if (reserve != NULL &&
        (!lofti_args_size(reserve, &wanted.reserve_bytes) || wanted.reserve_bytes == 0)) {
        return lofti_args_complain("create", "--reserve: '%s' is no size", reserve);
    }
    if (base != NULL && (!lofti_args_size(base, &wanted.base) || wanted.base == 0)) {
        return lofti_args_complain("create", "--base: '%s' is no address", base);
    }
    return create_arena(path, &wanted, json);
}

/* --- recover ------------------------------------------------------------------------------------- */

static void recover_step(bool json, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void recover_step(bool json, const char *format, ...)
{
    if (json) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout); /* the next step may take long */
}

static void recover_json(const char *path, const loft_arena_info *before,
                         const loft_arena_info *after, bool pending)
{
    lofti_json json = {.out = stdout};
    lofti_json_open(&json, NULL, '{');
    lofti_json_text(&json, "file", path);
    lofti_json_number(&json, "sequence", after->sequence);
    lofti_json_number(&json, "journal_bytes_before", before->journal_bytes);
    lofti_json_number(&json, "journal_bytes", after->journal_bytes);
    lofti_json_number(&json, "file_bytes_before", before->file_bytes);
    lofti_json_number(&json, "file_bytes", after->file_bytes);
    lofti_json_truth(&json, "pending", pending);
    lofti_json_close(&json, '}');
}

static int recover_arena(const char *path, const loft_arena_info *before, bool json)
{
    char text[LOFTI_SAY_BYTES];
    loft_arena *arena = NULL;
    loft_arena_info after = {.struct_bytes = sizeof after};
    /* Relocated is read-only: the journal would stay as it is, and that would be no recovery. */
    if (loft_arena_open(path, LOFT_WRITE, NULL, &arena) != LOFT_OK) {
        return lofti_say_failure(json);
    }
    recover_step(json,
                 "opened for change: no other writer has it, and its journal and heap are sound");
    const int code = loft_arena_close(arena);
    const bool pending = code == LOFT_EPENDING;
    if ((code != LOFT_OK && !pending) || loft_file_describe(path, &after) != LOFT_OK) {
        return lofti_say_failure(json);
    }
    if (pending) {
        recover_step(json, "the journal is kept: a reader has the arena open, or the disk is full");
    } else if (before->journal_bytes != 0) {
        recover_step(json, "applied the journal to the file and emptied it");
    }
    recover_step(json, "the arena is at commit %s", lofti_say_count(text, after.sequence));
    if (json) {
        recover_json(path, before, &after, pending);
    }
    return pending ? LOFTI_CLI_FINDINGS : LOFTI_CLI_FINE;
}

int lofti_command_recover(char **arguments)
{
    bool json = false;
    const char *path = NULL;
    char one[LOFTI_SAY_BYTES];
    char two[LOFTI_SAY_BYTES];
    loft_arena_info before = {.struct_bytes = sizeof before};
    const lofti_args_option options[] = {{"--json", &json, NULL}, {NULL, NULL, NULL}};
    if (!lofti_args_parse("recover", arguments, options, &path, 1, 1)) {
        return LOFTI_CLI_USAGE;
    }
    if (loft_file_describe(path, &before) != LOFT_OK) {
        return lofti_say_failure(json);
    }
    recover_step(json, "the superblock is sound: format %u, %s", before.format_version,
                 lofti_say_uuid(one, before.uuid));
    if (before.journal_bytes == 0) {
        recover_step(json, "the journal is empty: commit %s is in the file, nothing is to be done",
                     lofti_say_count(one, before.sequence));
    } else {
        recover_step(json, "the journal is sound up to commit %s: %s of it wait to be applied",
                     lofti_say_count(one, before.sequence),
                     lofti_say_bytes(two, before.journal_bytes));
    }
    return recover_arena(path, &before, json);
}
