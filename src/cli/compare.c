/*
 * cli/compare.c - which pages of an arena differ from a snapshot of it.
 *
 * Pages are compared byte by byte, in memory, where a journal that still waits is laid over them. What is a
 * hole in both files is the same and not looked at: reading it would fill the page cache with
 * zeros. Where a journal waits, holes say nothing, and every page is compared.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "survey.h"

/* After data was found, so much is compared before holes are asked for again: a question costs as much as
 * the comparison of a few pages. */
#define COMPARE_STEP_BYTES ((uint64_t)64 << 10)

typedef struct compare_state {
    lofti_survey *here;
    lofti_survey there;
    uint64_t cursor;           /* the snapshot's run at or behind the last page */
    int here_file, there_file; /* to ask for holes; -1: not to be asked */
} compare_state;

/* Where the next data at or behind `off` begins. */
static uint64_t compare_data(int file, uint64_t off)
{
    if (file < 0) {
        return off;
    }
    const off_t data = lseek(file, (off_t)off, SEEK_DATA);
    return data < 0 ? UINT64_MAX : (uint64_t)data;
}

/* The snapshot's page, NULL where its heap has none. `off` never falls. */
static const void *compare_there(compare_state *state, uint64_t off)
{
    const lofti_survey *there = &state->there;
    while (state->cursor < there->run_count) {
        const lofti_survey_run *run = &there->runs[state->cursor];
        if (off < run->offset + run->bytes) {
            return off >= run->offset && run->kind < LOFT_RUN_HEADER ? loft_at(there->arena, off)
                                                                     : NULL;
        }
        state->cursor++;
    }
    return NULL;
}

static bool compare_page(compare_state *state, uint64_t off)
{
    static const uint8_t zeros[LOFT_PAGE_BYTES];
    const void *there = compare_there(state, off);
    return memcmp(loft_at(state->here->arena, off), there != NULL ? there : zeros,
                  LOFT_PAGE_BYTES) != 0;
}

/* Marks one changed page; the bitmap is made with the first. */
static bool compare_mark(lofti_survey *survey, lofti_survey_run *run, uint64_t page)
{
    if (run->changed_word == LOFTI_SURVEY_NONE) {
        run->changed_word = survey->word_count;
        const uint64_t count = (run->bytes / LOFT_PAGE_BYTES + 63) / 64;
        for (uint64_t i = 0; i < count; i++) {
            if (!lofti_survey_room(&survey->words, survey->word_count, &survey->word_room,
                                   sizeof survey->words[0])) {
                return false;
            }
            survey->words[survey->word_count++] = 0;
        }
    }
    survey->words[run->changed_word + page / 64] |= (uint64_t)1 << (page % 64);
    run->changed_pages++;
    return true;
}

static bool compare_run(compare_state *state, lofti_survey_run *run)
{
    const uint64_t end = run->offset + run->bytes;
    uint64_t asked = 0; /* up to here there may be data */
    for (uint64_t off = run->offset; off < end; off += LOFT_PAGE_BYTES) {
        if (off >= asked) {
            const uint64_t here = compare_data(state->here_file, off);
            const uint64_t there = compare_data(state->there_file, off);
            const uint64_t data = here < there ? here : there;
            if (data >= end) {
                break;
            }
            off = data / LOFT_PAGE_BYTES * LOFT_PAGE_BYTES;
            asked = off + COMPARE_STEP_BYTES;
        }
        if (compare_page(state, off) &&
            !compare_mark(state->here, run, (off - run->offset) / LOFT_PAGE_BYTES)) {
            return false;
        }
    }
    run->changes = run->changed_pages == 0                              ? LOFTI_SURVEY_SAME
                   : run->changed_pages * LOFT_PAGE_BYTES == run->bytes ? LOFTI_SURVEY_ALL
                                                                        : LOFTI_SURVEY_SOME;
    return true;
}

static int compare_files(compare_state *state, const char *path, const char *snapshot, bool json)
{
    if (state->here->info.journal_bytes != 0 || state->there.info.journal_bytes != 0) {
        return LOFTI_CLI_FINE;
    }
    state->here_file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    state->there_file = open(snapshot, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return state->here_file >= 0 && state->there_file >= 0
               ? LOFTI_CLI_FINE
               : lofti_say_error(json, LOFT_EIO, "'%s' or '%s' vanished", path, snapshot);
}

static int compare_all(compare_state *state, bool json)
{
    lofti_survey *here = state->here;
    for (uint64_t i = 0; i < here->run_count; i++) {
        lofti_survey_run *run = &here->runs[i];
        if (run->kind < LOFT_RUN_HEADER && run->kind != LOFT_RUN_FREE && !compare_run(state, run)) {
            return lofti_say_error(json, LOFT_ENOMEM, "there is no memory for the comparison");
        }
    }
    here->compared = true;
    return LOFTI_CLI_FINE;
}

int lofti_survey_compare(lofti_survey *survey, const char *path, const char *snapshot, bool json)
{
    compare_state state = {.here = survey, .here_file = -1, .there_file = -1};
    int code = lofti_survey_make(&state.there, snapshot, false, json);
    if (code != LOFTI_CLI_FINE) {
        return code;
    }
    if (state.there.info.base != survey->info.base) {
        code = lofti_say_error(json, LOFT_EINVAL,
                               "'%s' is no snapshot of this arena: its base is 0x%llx, not 0x%llx",
                               snapshot, (unsigned long long)state.there.info.base,
                               (unsigned long long)survey->info.base);
    }
    if (code == LOFTI_CLI_FINE) {
        code = compare_files(&state, path, snapshot, json);
    }
    if (code == LOFTI_CLI_FINE) {
        code = compare_all(&state, json);
    }
    if (state.here_file >= 0) {
        (void)close(state.here_file);
    }
    if (state.there_file >= 0) {
        (void)close(state.there_file);
    }
    lofti_survey_end(&state.there);
    return code;
}
