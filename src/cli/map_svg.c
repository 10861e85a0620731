/*
 * cli/map_svg.c - the arena as one picture that needs nothing but a viewer.
 *
 * 128 cells in a row; neighbours of one colour are one rectangle. Colours are those of the page (map.css); an
 * SVG's own style sheet turns them for dark viewers.
 */
#include <string.h>

#include "map.h"

enum {
    SVG_COLUMNS = 128,
    SVG_CELLS_MAX = SVG_COLUMNS * 128,
    SVG_CELL = 7, /* units, with the gap between rows */
    SVG_BAR = 6,
    SVG_LEFT = 96,
    SVG_TOP = 64
};

/* The style class of a cell; `text` holds it. */
static const char *svg_class(const lofti_grid_cell *cell, int by, char text[8])
{
    if (by == LOFTI_GRID_CHANGES) {
        snprintf(text, 8, "v%u", lofti_grid_level(cell, by));
        return text;
    }
    switch (cell->kind) {
    case LOFT_RUN_META: return "km";
    case LOFT_RUN_HEADER: return "kh";
    case LOFT_RUN_JOURNAL: return "kj";
    case LOFT_RUN_INTERNAL: return "kr";
    case LOFT_RUN_SPAN: return by == LOFTI_GRID_CLASS ? "ks" : "v10";
    case LOFT_RUN_POOL: return by == LOFTI_GRID_CLASS ? "kp" : "v10";
    case LOFT_RUN_FREE: return "v0";
    default: break;
    }
    if (by == LOFTI_GRID_CLASS) {
        snprintf(text, 8, "c%u", lofti_grid_doubling(cell->block_bytes));
    } else {
        snprintf(text, 8, "v%u", lofti_grid_level(cell, by));
    }
    return text;
}

static void svg_style(FILE *out)
{
    static const char *const levels[LOFTI_GRID_LEVELS] = {"e6e8ea", "d3e4ee", "bcd9e6", "a2cddc",
                                                          "85bfd0", "66b0c2", "479fb1", "2d8c9d",
                                                          "1b7787", "10616f", "0a4a56"};
    static const char *const doublings[LOFTI_GRID_DOUBLINGS] = {
        "4269d0", "5b8ff9", "6dc7d1", "3ca951", "8fbf4a", "c9b53b", "efb118",
        "f08a3c", "e8603c", "d64550", "c85fa0", "9c6bd0", "7a58b0"};
    fprintf(out, "<style>text{font:12px system-ui,sans-serif;fill:#24292f}"
                 ".n{font-size:9px;fill:#6b7680;text-anchor:end}.t{font-size:16px;font-weight:600}"
                 ".km{fill:#8a939c}.kh{fill:#5f6870}.kj{fill:#b59b5b}.kr{fill:#b46fa8}"
                 ".ks{fill:#7b8fb5}.kp{fill:#a48bc0}");
    for (int i = 0; i < LOFTI_GRID_LEVELS; i++) {
        fprintf(out, ".v%d{fill:#%s}", i, levels[i]);
    }
    for (int i = 0; i < LOFTI_GRID_DOUBLINGS; i++) {
        fprintf(out, ".c%d{fill:#%s}", i, doublings[i]);
    }
    fprintf(out, ".g{fill:#fff}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.g{fill:#12171c}"
                 ".v0{fill:#222a31}}</style>\n");
}

static void svg_escaped(FILE *out, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != 0;) {
        const unsigned length = lofti_utf8_bytes(at);
        /* XML knows no control characters, and neither U+FFFE nor U+FFFF. */
        const bool known =
            length == 3 ? memcmp(at, "\xef\xbf\xbe", 3) != 0 && memcmp(at, "\xef\xbf\xbf", 3) != 0
                        : length > 1 || (length == 1 && *at >= ' ' && *at != 127);
        if (*at == '<' || *at == '&' || *at == '"') {
            fprintf(out, "&#%d;", *at);
        } else if (known) {
            fwrite(at, 1, length, out);
        } else {
            (void)putc('?', out);
        }
        at += length != 0 ? length : 1;
    }
}

static void svg_row(const lofti_picture *map, FILE *out, const lofti_grid *grid, uint64_t first,
                    uint64_t count)
{
    const uint64_t y = SVG_TOP + first / SVG_COLUMNS * SVG_CELL;
    char now[8];
    char next[8];
    if (first / SVG_COLUMNS % 2 == 0) { /* a line of text is higher than one row */
        fprintf(out, "<text class=\"n\" x=\"%d\" y=\"%llu\">%llx</text>\n", SVG_LEFT - 6,
                (unsigned long long)y + SVG_BAR, (unsigned long long)grid->cells[first].offset);
    }
    for (uint64_t i = 0, begin = 0; i < count; i++) {
        const char *class = svg_class(&grid->cells[first + i], map->by, now);
        if (i + 1 < count) {
            const char *other = svg_class(&grid->cells[first + i + 1], map->by, next);
            const char *a = class;
            while (*a != '\0' && *a == *other) {
                a++;
                other++;
            }
            if (*a == *other) {
                continue;
            }
        }
        fprintf(out, "<rect class=\"%s\" x=\"%llu\" y=\"%llu\" width=\"%llu\" height=\"%d\"/>\n",
                class, (unsigned long long)(SVG_LEFT + begin * SVG_CELL), (unsigned long long)y,
                (unsigned long long)((i + 1 - begin) * SVG_CELL), SVG_BAR);
        begin = i + 1;
    }
}

static void svg_legend(const lofti_picture *map, FILE *out, uint64_t y)
{
    static const char *const kinds[][2] = {{"kh", "header"}, {"kj", "journal"}, {"km", "metadata"},
                                           {"kr", "roots"},  {"v0", "free"},    {"ks", "span"},
                                           {"kp", "pool"}};
    char text[LOFTI_SAY_BYTES];
    unsigned x = SVG_LEFT;
    const unsigned kinds_shown = map->by == LOFTI_GRID_CHANGES ? 0
                                 : map->by == LOFTI_GRID_CLASS ? 7
                                                               : 5;
    for (unsigned i = 0; i < kinds_shown; i++, x += 84) {
        fprintf(out,
                "<rect class=\"%s\" x=\"%u\" y=\"%llu\" width=\"12\" height=\"12\"/>"
                "<text x=\"%u\" y=\"%llu\">%s</text>\n",
                kinds[i][0], x, (unsigned long long)y, x + 17, (unsigned long long)y + 10,
                kinds[i][1]);
    }
    x = SVG_LEFT;
    y += kinds_shown != 0 ? 22 : 0;
    const bool by_class = map->by == LOFTI_GRID_CLASS;
    for (unsigned i = by_class ? 0 : 1; i < (by_class ? LOFTI_GRID_DOUBLINGS : LOFTI_GRID_LEVELS);
         i++, x += 68) {
        if (by_class) {
            (void)lofti_say_bytes(text, (uint64_t)16 << i);
        } else {
            snprintf(text, sizeof text, i == 10 ? "90+ %%" : "%u %%", (i - 1) * 10);
        }
        fprintf(out,
                "<rect class=\"%s%u\" x=\"%u\" y=\"%llu\" width=\"12\" height=\"12\"/>"
                "<text x=\"%u\" y=\"%llu\">%s</text>\n",
                by_class ? "c" : "v", i, x, (unsigned long long)y, x + 17,
                (unsigned long long)y + 10, text);
    }
}

int lofti_picture_svg(const lofti_picture *map, FILE *out)
{
    static const char *const titles[] = {"occupancy", "size class", "pages that changed"};
    char one[LOFTI_SAY_BYTES];
    char two[LOFTI_SAY_BYTES];
    lofti_grid grid;
    if (!lofti_grid_make(&grid, &map->survey, SVG_CELLS_MAX)) {
        return lofti_say_error(false, LOFT_ENOMEM, "there is no memory for the map");
    }
    const uint64_t rows = (grid.count + SVG_COLUMNS - 1) / SVG_COLUMNS;
    const uint64_t height = SVG_TOP + rows * SVG_CELL + 64;
    const int width = SVG_LEFT + SVG_COLUMNS * SVG_CELL + 24;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%llu\" "
            "viewBox=\"0 0 %d %llu\">\n",
            width, (unsigned long long)height, width, (unsigned long long)height);
    svg_style(out);
    fprintf(out,
            "<rect class=\"g\" width=\"100%%\" height=\"100%%\"/>\n<text class=\"t\" "
            "x=\"%d\" y=\"26\">",
            SVG_LEFT);
    svg_escaped(out, map->path);
    fprintf(out, "</text>\n<text x=\"%d\" y=\"46\">%s live; by %s; a cell is ", SVG_LEFT,
            lofti_say_bytes(one, map->survey.stats.live_bytes), titles[map->by]);
    fprintf(out, "%s</text>\n", lofti_say_bytes(two, grid.cell_bytes));
    for (uint64_t i = 0; i < grid.count; i += SVG_COLUMNS) {
        svg_row(map, out, &grid, i, grid.count - i < SVG_COLUMNS ? grid.count - i : SVG_COLUMNS);
    }
    svg_legend(map, out, SVG_TOP + rows * SVG_CELL + 14);
    fprintf(out, "</svg>\n");
    lofti_grid_end(&grid);
    return LOFTI_CLI_FINE;
}
