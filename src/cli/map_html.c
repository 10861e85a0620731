/*
 * cli/map_html.c - the arena as one page: the template (map.html) with facts and runs in it.
 *
 * Facts are JSON. Runs are bytes in base64, since an arena may have 100,000 slabs: for each run, in rising order,
 *
 *   head     kind + 16 x (has a block bitmap) + 32 x changes (0 none, 1 all pages, 2 some)
 *   gap      pages between the run before and this one
 *   length   pages
 *   slab     index of its block size in the facts' `classes`; blocks; live ones; bitmap, if it has one
 *   changes  for 2: changed pages; bitmap of pages
 *
 * All are variable-length numbers, seven bits a byte, lowest first. A bitmap is its bytes x 2 + mode, then the bytes:
 * mode 0, the bits; mode 1, lengths of runs of zeros and ones in turn, zeros first; whichever is shorter. Bitmaps
 * end at a budget, so that the page stays one that a browser opens; the page says where blocks are left out.
 */
#include <stdlib.h>
#include <string.h>

#include "map.h"

enum { HTML_CLASSES_MAX = 256 };

/* What bitmaps may take in all: beyond it a page is slow to open. */
#define HTML_BITMAP_BUDGET ((uint64_t)24 << 20)

typedef struct html_buffer {
    uint8_t *bytes;
    uint64_t count, room;
    bool broken; /* memory ran out */
} html_buffer;

typedef struct html_state {
    const lofti_picture *map;
    html_buffer runs, scratch;
    uint64_t budget; /* left for bitmaps */
    uint64_t classes[HTML_CLASSES_MAX];
    unsigned class_count;
} html_state;

static void html_byte(html_buffer *buffer, uint8_t byte)
{
    if (!buffer->broken && !lofti_survey_room(&buffer->bytes, buffer->count, &buffer->room, 1)) {
        buffer->broken = true;
    }
    if (!buffer->broken) {
        buffer->bytes[buffer->count++] = byte;
    }
}

static void html_number(html_buffer *buffer, uint64_t number)
{
    while (number >= 128) {
        html_byte(buffer, (uint8_t)(number | 128));
        number >>= 7;
    }
    html_byte(buffer, (uint8_t)number);
}

static bool html_bit(const uint64_t *words, uint64_t i) { return (words[i / 64] >> (i % 64)) & 1; }

/* Lengths of runs into the scratch buffer, as long as they are shorter than the bits. */
static bool html_lengths(html_state *state, const uint64_t *words, uint64_t bits)
{
    state->scratch.count = 0;
    bool value = false;
    for (uint64_t i = 0; i < bits;) {
        const uint64_t begin = i;
        while (i < bits && html_bit(words, i) == value) {
            const uint64_t word = words[i / 64];
            i += i % 64 == 0 && word == (value ? UINT64_MAX : 0) ? 64 : 1;
        }
        i = i < bits ? i : bits;
        html_number(&state->scratch, i - begin);
        value = !value;
        if (state->scratch.count >= (bits + 7) / 8) {
            return false;
        }
    }
    return true;
}

static void html_bitmap(html_state *state, uint64_t first_word, uint64_t bits)
{
    const uint64_t *words = state->map->survey.words + first_word;
    const bool lengths = html_lengths(state, words, bits);
    const uint64_t bytes = lengths ? state->scratch.count : (bits + 7) / 8;
    html_number(&state->runs, bytes * 2 + (lengths ? 1 : 0));
    for (uint64_t i = 0; i < bytes; i++) {
        const uint64_t byte = lengths ? state->scratch.bytes[i] : words[i / 8] >> (i % 8 * 8);
        html_byte(&state->runs, (uint8_t)(byte & 255));
    }
    state->budget -= bytes < state->budget ? bytes : state->budget;
}

static unsigned html_class(html_state *state, uint64_t block_bytes)
{
    for (unsigned i = 0; i < state->class_count; i++) {
        if (state->classes[i] == block_bytes) {
            return i;
        }
    }
    if (state->class_count == HTML_CLASSES_MAX) {
        return 0;
    }
    state->classes[state->class_count] = block_bytes;
    return state->class_count++;
}

static void html_run(html_state *state, const lofti_survey_run *run, uint64_t end)
{
    const bool blocks = run->live_word != LOFTI_SURVEY_NONE && state->budget > 0;
    uint32_t changes = run->changes;
    if (changes == LOFTI_SURVEY_SOME && state->budget == 0) {
        changes = LOFTI_SURVEY_ALL; /* rather too much than too little */
    }
    html_number(&state->runs, run->kind + (blocks ? 16u : 0u) + changes * 32u);
    html_number(&state->runs, (run->offset - end) / LOFT_PAGE_BYTES);
    html_number(&state->runs, run->bytes / LOFT_PAGE_BYTES);
    if (run->kind == LOFT_RUN_SLAB) {
        html_number(&state->runs, html_class(state, run->block_bytes));
        html_number(&state->runs, run->block_count);
        html_number(&state->runs, run->live_count);
        if (blocks) {
            html_bitmap(state, run->live_word, run->block_count);
        }
    }
    if (changes == LOFTI_SURVEY_SOME) {
        html_number(&state->runs, run->changed_pages);
        html_bitmap(state, run->changed_word, run->bytes / LOFT_PAGE_BYTES);
    }
}

static void html_facts(const html_state *state, FILE *out)
{
    const lofti_survey *survey = &state->map->survey;
    char text[LOFTI_SAY_BYTES];
    lofti_json json = {.out = out, .tight = true};
    lofti_json_open(&json, NULL, '{');
    lofti_json_text(&json, "file", state->map->path);
    lofti_json_text(&json, "uuid", lofti_say_uuid(text, survey->info.uuid));
    lofti_json_number(&json, "base", survey->info.base);
    lofti_json_number(&json, "sequence", survey->info.sequence);
    lofti_json_number(&json, "fileBytes", survey->info.file_bytes);
    lofti_json_number(&json, "storedBytes", survey->info.stored_bytes);
    lofti_json_number(&json, "liveBlocks", survey->stats.live_blocks);
    lofti_json_number(&json, "liveBytes", survey->stats.live_bytes);
    lofti_json_number(&json, "heapBytes", survey->stats.heap_bytes);
    lofti_json_truth(&json, "compared", survey->compared);
    lofti_json_number(&json, "by", (uint64_t)state->map->by);
    lofti_json_number(&json, "runs", survey->run_count);
    lofti_json_open(&json, "classes", '[');
    for (unsigned i = 0; i < state->class_count; i++) {
        lofti_json_number(&json, NULL, state->classes[i]);
    }
    lofti_json_close(&json, ']');
    lofti_json_open(&json, "roots", '[');
    for (uint64_t i = 0; i < survey->root_count; i++) {
        lofti_json_open(&json, NULL, '[');
        lofti_json_text(&json, NULL, survey->roots[i].name);
        lofti_json_number(&json, NULL, survey->roots[i].offset);
        lofti_json_close(&json, ']');
    }
    lofti_json_close(&json, ']');
    lofti_json_close(&json, '}');
}

static void html_base64(FILE *out, const uint8_t *bytes, uint64_t count)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (uint64_t i = 0; i < count; i += 3) {
        const uint64_t left = count - i;
        const uint32_t three = (uint32_t)bytes[i] << 16 |
                               (uint32_t)(left > 1 ? bytes[i + 1] : 0) << 8 |
                               (uint32_t)(left > 2 ? bytes[i + 2] : 0);
        (void)putc(letters[three >> 18], out);
        (void)putc(letters[(three >> 12) & 63], out);
        (void)putc(left > 1 ? letters[(three >> 6) & 63] : '=', out);
        (void)putc(left > 2 ? letters[three & 63] : '=', out);
    }
}

int lofti_picture_html(const lofti_picture *map, FILE *out)
{
    html_state state = {.map = map, .budget = HTML_BITMAP_BUDGET};
    const lofti_survey *survey = &map->survey;
    uint64_t end = 0;
    for (uint64_t i = 0; i < survey->run_count; i++) {
        html_run(&state, &survey->runs[i], end);
        end = survey->runs[i].offset + survey->runs[i].bytes;
    }
    int code = LOFTI_CLI_FINE;
    if (state.runs.broken || state.scratch.broken) {
        code = lofti_say_error(false, LOFT_ENOMEM, "there is no memory for the map");
    } else {
        fwrite(lofti_picture_page, 1, lofti_picture_page_data, out);
        fprintf(out, "<script type=\"application/json\" id=\"facts\">");
        html_facts(&state, out);
        fprintf(out, "</script>\n<script type=\"text/plain\" id=\"runs\">");
        html_base64(out, state.runs.bytes, state.runs.count);
        fprintf(out, "</script>\n");
        fwrite(lofti_picture_page + lofti_picture_page_data, 1,
               lofti_picture_page_bytes - lofti_picture_page_data, out);
    }
    free(state.runs.bytes);
    free(state.scratch.bytes);
    return code;
}
