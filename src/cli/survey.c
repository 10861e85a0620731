/*
 * cli/survey.c - gathers runs and roots.
 */
#include "survey.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a chunk's metadata takes, and a little more. */
enum { SURVEY_HEAD_BYTES = 32 << 10 };

bool lofti_survey_room(void *things, uint64_t count, uint64_t *room, size_t thing_bytes)
{
    if (count < *room) {
        return true;
    }
    void *old = NULL;
    memcpy(&old, things, sizeof old);
    const uint64_t more = *room == 0 ? 256 : *room * 2;
    void *grown = more > SIZE_MAX / thing_bytes ? NULL : realloc(old, more * thing_bytes);
    if (grown == NULL) {
        return false;
    }
    memcpy(things, &grown, sizeof grown);
    *room = more;
    return true;
}

static bool survey_words(lofti_survey *survey, const loft_run *run, uint64_t *first)
{
    *first = survey->word_count;
    for (uint32_t i = 0; i < (run->block_count + 63) / 64; i++) {
        if (!lofti_survey_room(&survey->words, survey->word_count, &survey->word_room,
                               sizeof survey->words[0])) {
            return false;
        }
        survey->words[survey->word_count++] = run->live[i];
    }
    return true;
}

static int survey_run(void *context, const loft_run *run)
{
    lofti_survey *survey = context;
    if (!lofti_survey_room(&survey->runs, survey->run_count, &survey->run_room,
                           sizeof survey->runs[0])) {
        survey->broken = true;
        return 1;
    }
    lofti_survey_run *own = &survey->runs[survey->run_count++];
    *own = (lofti_survey_run){.offset = run->offset,
                              .bytes = run->bytes,
                              .block_bytes = run->block_bytes,
                              .live_word = LOFTI_SURVEY_NONE,
                              .changed_word = LOFTI_SURVEY_NONE,
                              .kind = run->kind,
                              .block_count = run->block_count,
                              .live_count = run->live_count};
    if (survey->keeps_words && run->live_count > 0 && run->live_count < run->block_count &&
        !survey_words(survey, run, &own->live_word)) {
        survey->broken = true;
    }
    return survey->broken ? 1 : 0;
}

static int survey_root(void *context, const char *name, void *block)
{
    lofti_survey *survey = context;
    if (!lofti_survey_room(&survey->roots, survey->root_count, &survey->root_room,
                           sizeof survey->roots[0])) {
        survey->broken = true;
        return 1;
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        survey->broken = true;
        return 1;
    }
    survey->roots[survey->root_count++] =
        (lofti_survey_root){copy, loft_offset(survey->arena, block)};
    return 0;
}

static int survey_by_name(const void *left, const void *right)
{
    return strcmp(((const lofti_survey_root *)left)->name,
                  ((const lofti_survey_root *)right)->name);
}

/* Begins to read every chunk's metadata, all at once: one after the other, as the survey comes to need them, a
 * disk takes a hundred times as long. A hint only; what is not there is skipped. */
static void survey_prefetch(const char *path)
{
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0) {
        return;
    }
    /* A folder has "data" at any offset whatever. */
    struct stat info;
    const bool regular = fstat(file, &info) == 0 && S_ISREG(info.st_mode);
    off_t data = regular ? lseek(file, LOFT_CHUNK_BYTES, SEEK_DATA) : -1;
    while (data >= 0) {
        const off_t chunk = data / LOFT_CHUNK_BYTES * LOFT_CHUNK_BYTES;
        (void)posix_fadvise(file, chunk, SURVEY_HEAD_BYTES, POSIX_FADV_WILLNEED);
        data = lseek(file, chunk + LOFT_CHUNK_BYTES, SEEK_DATA);
    }
    (void)close(file);
}

int lofti_survey_make(lofti_survey *survey, const char *path, bool keeps_words, bool json)
{
    *survey = (lofti_survey){.keeps_words = keeps_words};
    survey->info.struct_bytes = sizeof survey->info;
    survey->stats.struct_bytes = sizeof survey->stats;
    survey_prefetch(path);
    int code = lofti_cli_file_read(path, &survey->arena);
    if (code == LOFT_OK) {
        code = loft_arena_describe(survey->arena, &survey->info);
    }
    if (code == LOFT_OK) {
        code = loft_arena_stats(survey->arena, &survey->stats);
    }
    if (code == LOFT_OK) {
        code = loft_arena_each_run(survey->arena, survey_run, survey);
    }
    if (code == LOFT_OK) {
        code = loft_arena_each_root(survey->arena, survey_root, survey);
    }
    if (survey->broken) {
        lofti_survey_end(survey);
        return lofti_say_error(json, LOFT_ENOMEM, "there is no memory for the survey of '%s'",
                               path);
    }
    if (code != LOFT_OK) {
        lofti_survey_end(survey);
        return lofti_say_failure(json);
    }
    if (survey->root_count != 0) {
        qsort(survey->roots, survey->root_count, sizeof survey->roots[0], survey_by_name);
    }
    return LOFTI_CLI_FINE;
}

void lofti_survey_end(lofti_survey *survey)
{
    if (survey->arena != NULL) {
        (void)loft_arena_close(survey->arena);
    }
    for (uint64_t i = 0; i < survey->root_count; i++) {
        free(survey->roots[i].name);
    }
    free(survey->roots);
    free(survey->runs);
    free(survey->words);
    survey->arena = NULL;
    survey->root_count = 0;
    survey->roots = NULL;
    survey->runs = NULL;
    survey->words = NULL;
}
