/*
 * cli/info.c - `loft info`: what an arena file is.
 *
 * First what can be had without opening it, which a damaged heap does not prevent; then roots and figures.
 */
#include "cli.h"

typedef struct info_facts {
    loft_arena_info info;
    loft_arena_statistics stats;
    uint64_t roots;
    int use;
    bool opened;
} info_facts;

static int info_count_root(void *context, const char *name, void *block)
{
    (void)name;
    (void)block;
    ++*(uint64_t *)context;
    return 0;
}

static int info_gather(const char *path, info_facts *facts)
{
    loft_arena *arena = NULL;
    facts->info.struct_bytes = sizeof facts->info;
    facts->stats.struct_bytes = sizeof facts->stats;
    int code = loft_file_describe(path, &facts->info);
    if (code != LOFT_OK) {
        return code;
    }
    facts->use = lofti_cli_file_use(path);
    code = lofti_cli_file_read(path, &arena);
    if (code != LOFT_OK) {
        return code;
    }
    code = loft_arena_describe(arena, &facts->info);
    if (code == LOFT_OK) {
        code = loft_arena_stats(arena, &facts->stats);
    }
    if (code == LOFT_OK) {
        code = loft_arena_each_root(arena, info_count_root, &facts->roots);
    }
    (void)loft_arena_close(arena);
    facts->opened = code == LOFT_OK;
    return code;
}

static void info_print_opened(const info_facts *facts)
{
    char one[LOFTI_SAY_BYTES];
    char two[LOFTI_SAY_BYTES];
    lofti_say_fact("address space", "%s held when open",
                   lofti_say_bytes(one, facts->info.reserve_bytes));
    lofti_say_fact("roots", "%s", lofti_say_count(one, facts->roots));
    lofti_say_fact("live", "%s blocks, %s", lofti_say_count(one, facts->stats.live_blocks),
                   lofti_say_bytes(two, facts->stats.live_bytes));
    lofti_say_fact("heap", "%s, %s of it free", lofti_say_bytes(one, facts->stats.heap_bytes),
                   lofti_say_bytes(two, facts->stats.free_bytes));
}

static void info_print(const char *path, const info_facts *facts)
{
    static const char *const uses[] = {"by no writer", "by a writer", "unknown"};
    char one[LOFTI_SAY_BYTES];
    char two[LOFTI_SAY_BYTES];
    const loft_arena_info *info = &facts->info;
    printf("%-16s", "file");
    lofti_say_foreign(stdout, path);
    putchar('\n');
    lofti_say_fact("format", "%u", info->format_version);
    lofti_say_fact("uuid", "%s", lofti_say_uuid(one, info->uuid));
    lofti_say_fact("base", "0x%llx", (unsigned long long)info->base);
    lofti_say_fact("size", "%s, %s of it on the device", lofti_say_bytes(one, info->file_bytes),
                   lofti_say_bytes(two, info->stored_bytes));
    lofti_say_fact("end of pages", "%s", lofti_say_bytes(one, info->frontier));
    lofti_say_fact("last commit", "%s", lofti_say_count(one, info->sequence));
    if (info->journal_bytes != 0) {
        lofti_say_fact("journal", "%s wait for a checkpoint",
                       lofti_say_bytes(one, info->journal_bytes));
    } else {
        lofti_say_fact("journal", "empty");
    }
    lofti_say_fact("in use", "%s", uses[facts->use]);
    if (facts->opened) {
        info_print_opened(facts);
    }
}

static void info_json(const char *path, const info_facts *facts)
{
    char text[LOFTI_SAY_BYTES];
    const loft_arena_info *info = &facts->info;
    lofti_json json = {.out = stdout};
    lofti_json_open(&json, NULL, '{');
    lofti_json_text(&json, "file", path);
    lofti_json_number(&json, "format", info->format_version);
    lofti_json_text(&json, "uuid", lofti_say_uuid(text, info->uuid));
    lofti_json_address(&json, "base", info->base);
    lofti_json_number(&json, "file_bytes", info->file_bytes);
    lofti_json_number(&json, "stored_bytes", info->stored_bytes);
    lofti_json_number(&json, "frontier", info->frontier);
    lofti_json_number(&json, "sequence", info->sequence);
    lofti_json_number(&json, "journal_bytes", info->journal_bytes);
    if (facts->use == LOFTI_CLI_FILE_UNKNOWN) {
        lofti_json_null(&json, "has_writer");
    } else {
        lofti_json_truth(&json, "has_writer", facts->use == LOFTI_CLI_FILE_WRITER);
    }
    if (facts->opened) {
        lofti_json_number(&json, "reserve_bytes", info->reserve_bytes);
        lofti_json_number(&json, "roots", facts->roots);
        lofti_json_number(&json, "live_blocks", facts->stats.live_blocks);
        lofti_json_number(&json, "live_bytes", facts->stats.live_bytes);
        lofti_json_number(&json, "heap_bytes", facts->stats.heap_bytes);
        lofti_json_number(&json, "free_bytes", facts->stats.free_bytes);
    } else {
        lofti_json_open(&json, "error", '{');
        lofti_json_text(&json, "code", loft_error_name(loft_last_code()));
        lofti_json_text(&json, "text", loft_last_error());
        lofti_json_close(&json, '}');
    }
    lofti_json_close(&json, '}');
}

int lofti_command_info(char **arguments)
{
    bool json = false;
    const char *path = NULL;
    const lofti_args_option options[] = {{"--json", &json, NULL}, {NULL, NULL, NULL}};
    if (!lofti_args_parse("info", arguments, options, &path, 1, 1)) {
        return LOFTI_CLI_USAGE;
    }
    info_facts facts = {.opened = false};
    const int code = info_gather(path, &facts);
    if (code != LOFT_OK && facts.info.format_version == 0) {
        return lofti_say_failure(json);
    }
    if (json) {
        info_json(path, &facts);
    } else {
        info_print(path, &facts);
    }
    return code == LOFT_OK ? LOFTI_CLI_FINE : lofti_say_failure(false);
}
