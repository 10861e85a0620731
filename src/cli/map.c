/*
 * cli/map.c - `loft map`: what is asked for, and the picture in a terminal.
 */
#include "map.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MAP_COLUMNS_MAX = 1000,
    MAP_OFFSET_COLUMNS = 14, /* an offset and two spaces */
    MAP_OTHER_ROWS = 7       /* heading, legend and prompt, where the window is wide */
};

/* Levels from few to much, as colours of the 256 that terminals know: blue over green to orange. */
static const uint8_t map_levels[LOFTI_GRID_LEVELS] = {236, 24,  30,  36,  35, 71,
                                                      107, 143, 179, 215, 209};
/* Doublings of sizes: neighbours differ. */
static const uint8_t map_doublings[LOFTI_GRID_DOUBLINGS] = {25,  31,  37,  36,  35,  70, 106,
                                                            142, 178, 172, 166, 161, 126};

static uint8_t map_colour(const lofti_grid_cell *cell, int by)
{
    if (by == LOFTI_GRID_CHANGES) {
        return map_levels[lofti_grid_level(cell, by)];
    }
    switch (cell->kind) {
    case LOFT_RUN_META: return 240;
    case LOFT_RUN_HEADER: return 244;
    case LOFT_RUN_JOURNAL: return 101;
    case LOFT_RUN_INTERNAL: return 97;
    default: break;
    }
    if (by == LOFTI_GRID_CLASS) {
        return cell->kind == LOFT_RUN_SLAB   ? map_doublings[lofti_grid_doubling(cell->block_bytes)]
               : cell->kind == LOFT_RUN_SPAN ? 67
               : cell->kind == LOFT_RUN_POOL ? 133
                                             : 236;
    }
    return map_levels[lofti_grid_level(cell, by)];
}

static char map_letter(const lofti_grid_cell *cell, int by)
{
    static const char levels[LOFTI_GRID_LEVELS + 1] = ".123456789#";
    if (by != LOFTI_GRID_CHANGES) {
        switch (cell->kind) {
        case LOFT_RUN_META: return 'm';
        case LOFT_RUN_HEADER: return 'h';
        case LOFT_RUN_JOURNAL: return 'j';
        case LOFT_RUN_INTERNAL: return 'r';
        case LOFT_RUN_SPAN: return 'S';
        case LOFT_RUN_POOL: return 'P';
        default: break;
        }
    }
    if (by == LOFTI_GRID_CLASS && cell->kind == LOFT_RUN_SLAB) {
        return (char)('a' + lofti_grid_doubling(cell->block_bytes));
    }
    return levels[lofti_grid_level(cell, by)];
}

/* Where a legend's next item goes; it is printed, or only laid out to be counted. */
typedef struct map_place {
    unsigned columns;      /* of the window */
    unsigned column, rows; /* taken in the present row; rows before it */
    bool drawn;
} map_place;

static void map_line_end(map_place *place)
{
    if (place->drawn) {
        putchar('\n');
    }
    place->column = 0;
    place->rows++;
}

/* An item, `gap` columns behind the one before, or in a new row. */
static void map_item(map_place *place, unsigned gap, const char *text)
{
    const unsigned length = (unsigned)strlen(text);
    if (place->column != 0 && place->column + gap + length > place->columns) {
        map_line_end(place);
    }
    gap = place->column != 0 ? gap : 0;
    if (place->drawn) {
        printf("%*s%s", (int)gap, "", text);
    }
    place->column += gap + length;
}

/* Returns how many rows it takes. */
static unsigned map_legend(const lofti_picture *map, bool drawn)
{
    static const char *const kinds[] = {"S span",    "P pool",   "r roots", "m metadata",
                                        "j journal", "h header", ". free"};
    static const char *const levels[] = {". none", "1 to 9 up to so many tenths", "# more"};
    map_place place = {.columns = map->columns, .drawn = drawn};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && map->by != LOFTI_GRID_CHANGES; i++) {
        map_item(&place, 2, kinds[i]);
    }
    if (place.column != 0) {
        map_line_end(&place);
    }
    if (map->by == LOFTI_GRID_CLASS) {
        map_item(&place, 0, "slabs of blocks up to:");
        for (unsigned i = 0; i < LOFTI_GRID_DOUBLINGS; i++) {
            char bytes[LOFTI_SAY_BYTES];
            char text[LOFTI_SAY_BYTES + 2];
            snprintf(text, sizeof text, "%c %s", 'a' + (int)i,
                     lofti_say_bytes(bytes, (uint64_t)16 << i));
            map_item(&place, i == 0 ? 1 : 2, text);
        }
    } else {
        map_item(&place, 0,
                 map->by == LOFTI_GRID_CHANGES ? "changed pages:" : "live part of slabs:");
        for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
            map_item(&place, i == 0 ? 1 : 2, levels[i]);
        }
    }
    map_line_end(&place);
    return place.rows;
}

/* Rows that are left for the grid. */
static unsigned map_rows(const lofti_picture *map)
{
    const unsigned heading = ((unsigned)strlen(map->path) + 60) / map->columns + 1;
    const unsigned other = heading + map_legend(map, false) + 1;
    const unsigned taken = other > MAP_OTHER_ROWS ? other : MAP_OTHER_ROWS;
    return map->rows > taken + 4 ? map->rows - taken : 4;
}

static void map_row(const lofti_picture *map, const lofti_grid *grid, uint64_t first,
                    uint64_t count)
{
    if (map->columns > MAP_OFFSET_COLUMNS) {
        printf("%12llx  ", (unsigned long long)grid->cells[first].offset);
    }
    int painted = -1;
    for (uint64_t i = first; i < first + count; i++) {
        const lofti_grid_cell *cell = &grid->cells[i];
        const int colour = map_colour(cell, map->by);
        if (map->colour && colour != painted) {
            printf("\033[48;5;%d;38;5;%dm", colour, colour < 100 || colour >= 232 ? 252 : 16);
            painted = colour;
        }
        putchar(map_letter(cell, map->by));
    }
    printf(map->colour ? "\033[0m\n" : "\n");
}

int lofti_picture_terminal(const lofti_picture *map)
{
    char one[LOFTI_SAY_BYTES];
    char two[LOFTI_SAY_BYTES];
    char three[LOFTI_SAY_BYTES];
    lofti_grid grid;
    unsigned width = 1; /* a power of two: rows begin at round offsets */
    const unsigned offset = map->columns > MAP_OFFSET_COLUMNS ? MAP_OFFSET_COLUMNS : 0;
    while (width * 2 + offset <= map->columns) {
        width *= 2;
    }
    if (!lofti_grid_make(&grid, &map->survey, (uint64_t)width * map_rows(map))) {
        return lofti_say_error(false, LOFT_ENOMEM, "there is no memory for the map");
    }
    lofti_say_foreign(stdout, map->path);
    printf(": %s in %s blocks live; a cell is %s\n",
           lofti_say_bytes(one, map->survey.stats.live_bytes),
           lofti_say_count(two, map->survey.stats.live_blocks),
           lofti_say_bytes(three, grid.cell_bytes));
    for (uint64_t i = 0; i < grid.count; i += width) {
        map_row(map, &grid, i, grid.count - i < width ? grid.count - i : width);
    }
    (void)map_legend(map, true);
    lofti_grid_end(&grid);
    return LOFTI_CLI_FINE;
}

/* --- facts as JSON -------------------------------------------------------------------------------- */

int lofti_picture_json(const lofti_picture *map)
{
    const lofti_survey *survey = &map->survey;
    char text[LOFTI_SAY_BYTES];
    lofti_json json = {.out = stdout};
    lofti_json_open(&json, NULL, '{');
    lofti_json_text(&json, "file", map->path);
    lofti_json_text(&json, "uuid", lofti_say_uuid(text, survey->info.uuid));
    lofti_json_address(&json, "base", survey->info.base);
    lofti_json_open(&json, "runs", '[');
    for (uint64_t i = 0; i < survey->run_count; i++) {
        const lofti_survey_run *run = &survey->runs[i];
        lofti_json_open(&json, NULL, '{');
        json.tight = true;
        lofti_json_text(&json, "kind", lofti_say_kind(run->kind));
        lofti_json_number(&json, "offset", run->offset);
        lofti_json_number(&json, "bytes", run->bytes);
        if (run->block_count != 0) {
            lofti_json_number(&json, "block_bytes", run->block_bytes);
            lofti_json_number(&json, "blocks", run->block_count);
            lofti_json_number(&json, "live", run->live_count);
        }
        if (survey->compared) {
            lofti_json_number(&json, "changed_pages",
                              run->changes == LOFTI_SURVEY_ALL ? run->bytes / LOFT_PAGE_BYTES
                                                               : run->changed_pages);
        }
        lofti_json_close(&json, '}');
        json.tight = false;
    }
    lofti_json_close(&json, ']');
    lofti_json_close(&json, '}');
    return LOFTI_CLI_FINE;
}

/* --- the command ---------------------------------------------------------------------------------- */

/* A number of columns or rows from the environment, as terminals set it; 0: none. */
static unsigned map_environment(const char *name)
{
    uint64_t number = 0;
    const char *text = getenv(name);
    return text != NULL && lofti_args_size(text, &number) && number <= MAP_COLUMNS_MAX
               ? (unsigned)number
               : 0;
}

static void map_window(lofti_picture *map)
{
    const unsigned columns = map_environment("COLUMNS");
    const unsigned rows = map_environment("LINES");
    lofti_say_window(STDOUT_FILENO, &map->columns, &map->rows);
    map->columns = columns != 0 ? columns : map->columns;
    map->rows = rows != 0 ? rows : map->rows;
    const char *no = getenv("NO_COLOR");
    map->colour = isatty(STDOUT_FILENO) != 0 && (no == NULL || *no == '\0') && !lofti_say_is_dumb();
}

typedef struct map_wishes {
    bool json;
    const char *svg, *html, *against, *by;
} map_wishes;

static int map_draw(lofti_picture *map, const map_wishes *wishes)
{
    lofti_cli_file_draft draft;
    if (wishes->json) {
        return lofti_picture_json(map);
    }
    const char *to = wishes->svg != NULL ? wishes->svg : wishes->html;
    if (to == NULL) {
        return lofti_picture_terminal(map);
    }
    if (!lofti_cli_file_begin(&draft, to, map->path)) {
        return LOFTI_CLI_FAILED;
    }
    const int code = wishes->svg != NULL ? lofti_picture_svg(map, draft.stream)
                                         : lofti_picture_html(map, draft.stream);
    if (code != LOFTI_CLI_FINE) {
        lofti_cli_file_drop(&draft);
        return code;
    }
    return lofti_cli_file_end(&draft);
}

int lofti_command_map(char **arguments)
{
    map_wishes wishes = {.json = false};
    lofti_picture map = {.by = LOFTI_GRID_OCCUPANCY};
    const lofti_args_option options[] = {
        {"--json", &wishes.json, NULL}, {"--svg", NULL, &wishes.svg},
        {"--html", NULL, &wishes.html}, {"--against", NULL, &wishes.against},
        {"--by", NULL, &wishes.by},     {NULL, NULL, NULL}};
    if (!lofti_args_parse("map", arguments, options, &map.path, 1, 1)) {
        return LOFTI_CLI_USAGE;
    }
    if (wishes.json + (wishes.svg != NULL) + (wishes.html != NULL) > 1) {
        return lofti_args_complain("map", "--json, --svg and --html are one at a time");
    }
    if (wishes.by != NULL) {
        map.by = lofti_grid_by(wishes.by);
    } else if (wishes.against != NULL) {
        map.by = LOFTI_GRID_CHANGES;
    }
    if (map.by < 0) {
        return lofti_args_complain("map", "--by wants occupancy, class or changes");
    }
    if (map.by == LOFTI_GRID_CHANGES && wishes.against == NULL) {
        return lofti_args_complain("map", "--by changes wants --against SNAPSHOT");
    }
    map_window(&map);
    int code = lofti_survey_make(&map.survey, map.path, wishes.html != NULL, wishes.json);
    if (code != LOFTI_CLI_FINE) {
        return code;
    }
    if (wishes.against != NULL) {
        code = lofti_survey_compare(&map.survey, map.path, wishes.against, wishes.json);
    }
    if (code == LOFTI_CLI_FINE) {
        code = map_draw(&map, &wishes);
    }
    lofti_survey_end(&map.survey);
    return code;
}
