/*
 * cli/survey.h - everything that lies in an arena, gathered once for tables and maps.
 */
#ifndef LOFTI_CLI_SURVEY_H
#define LOFTI_CLI_SURVEY_H

#include "cli.h"

/* What `changes` of a run says. */
enum lofti_survey_changes {
    LOFTI_SURVEY_SAME = 0,
    LOFTI_SURVEY_ALL = 1, /* every page changed */
    LOFTI_SURVEY_SOME = 2 /* those of a bitmap */
};

typedef struct lofti_survey_run {
    uint64_t offset, bytes, block_bytes;
    uint64_t live_word;    /* where its block bitmap begins in `words`; NONE: it has none */
    uint64_t changed_word; /* the same of its page bitmap */
    uint64_t changed_pages;
    uint32_t kind; /* enum loft_run_kind */
    uint32_t block_count, live_count;
    uint32_t changes; /* enum lofti_survey_changes */
} lofti_survey_run;

#define LOFTI_SURVEY_NONE UINT64_MAX

typedef struct lofti_survey_root {
    char *name;
    uint64_t offset;
} lofti_survey_root;

typedef struct lofti_survey {
    loft_arena *arena; /* open while the survey lives */
    loft_arena_info info;
    loft_arena_statistics stats;
    bool keeps_words; /* wanted: bitmaps of slabs that are neither empty nor full */
    bool compared;    /* `changes` are known */
    bool broken;      /* memory ran out */
    lofti_survey_run *runs;
    uint64_t run_count, run_room;
    uint64_t *words;
    uint64_t word_count, word_room;
    lofti_survey_root *roots;
    uint64_t root_count, root_room;
} lofti_survey;

/* Opens the arena and gathers. Else: LOFTI_CLI_FAILED, after a sentence; nothing is held then. */
int lofti_survey_make(lofti_survey *survey, const char *path, bool keeps_words, bool json);
void lofti_survey_end(lofti_survey *survey);

/* Finds the pages of the arena at `path` that differ from those of its snapshot. */
int lofti_survey_compare(lofti_survey *survey, const char *path, const char *snapshot, bool json);

/* Room for one more of `count` things; false: there is no memory, and nothing changed. */
bool lofti_survey_room(void *things, uint64_t count, uint64_t *room, size_t thing_bytes);

#endif /* LOFTI_CLI_SURVEY_H */
