/*
 * cli/stat.c - `loft stat`: a table per size class, and what else the heap is made of.
 */
#include <stdlib.h>
#include <string.h>

#include "loft/pool.h"
#include "survey.h"

enum { STAT_CLASSES_MAX = 256 }; /* the heap has 112 */

/* All slabs of one block size. */
typedef struct stat_class {
    uint64_t block_bytes;
    uint64_t slabs, slab_bytes;
    uint64_t blocks, live;
} stat_class;

typedef struct stat_sum {
    stat_class classes[STAT_CLASSES_MAX];
    unsigned class_count;
    stat_class all; /* of all classes; block_bytes: bytes of live blocks */
    uint64_t count[LOFT_RUN_JOURNAL + 1], bytes[LOFT_RUN_JOURNAL + 1];
    uint64_t pools, pool_left; /* pools that are whole; what their newest memory has left */
    uint64_t longest_free;
} stat_sum;

static stat_class *stat_class_of(stat_sum *sum, uint64_t block_bytes)
{
    for (unsigned i = 0; i < sum->class_count; i++) {
        if (sum->classes[i].block_bytes == block_bytes) {
            return &sum->classes[i];
        }
    }
    if (sum->class_count == STAT_CLASSES_MAX) {
        return NULL;
    }
    sum->classes[sum->class_count].block_bytes = block_bytes;
    return &sum->classes[sum->class_count++];
}

static void stat_slab(stat_class *into, const lofti_survey_run *run, uint64_t block_bytes)
{
    into->slabs++;
    into->slab_bytes += run->bytes;
    into->blocks += run->block_count;
    into->live += run->live_count;
    into->block_bytes += block_bytes;
}

/* A pool's first memory begins with its handle, whose fields loft/pool.h has. */
static void stat_pool(const lofti_survey *survey, const lofti_survey_run *run, stat_sum *sum)
{
    static const char magic[8] = {'L', 'O', 'F', 'T', 'P', 'O', 'O', 'L'};
    loft_pool pool;
    memcpy(&pool, loft_at(survey->arena, run->offset), sizeof pool);
    if (memcmp(&pool.magic, magic, sizeof magic) == 0) {
        sum->pools++;
        sum->pool_left += pool.left <= survey->info.file_bytes ? pool.left : 0;
    }
}

static int stat_by_size(const void *left, const void *right)
{
    const stat_class *a = left;
    const stat_class *b = right;
    return a->block_bytes < b->block_bytes ? -1 : a->block_bytes > b->block_bytes;
}

static void stat_add(const lofti_survey *survey, stat_sum *sum)
{
    uint64_t free_bytes = 0; /* of the free run that goes on over chunks */
    uint64_t free_end = 0;
    for (uint64_t i = 0; i < survey->run_count; i++) {
        const lofti_survey_run *run = &survey->runs[i];
        sum->count[run->kind]++;
        sum->bytes[run->kind] += run->bytes;
        if (run->kind == LOFT_RUN_SLAB) {
            stat_class *class = stat_class_of(sum, run->block_bytes);
            if (class != NULL) {
                stat_slab(class, run, 0);
            }
            stat_slab(&sum->all, run, run->live_count * run->block_bytes);
        } else if (run->kind == LOFT_RUN_POOL) {
            stat_pool(survey, run, sum);
        } else if (run->kind == LOFT_RUN_FREE) {
            free_bytes = (run->offset == free_end ? free_bytes : 0) + run->bytes;
            free_end = run->offset + run->bytes;
            sum->longest_free = free_bytes > sum->longest_free ? free_bytes : sum->longest_free;
        }
    }
    qsort(sum->classes, sum->class_count, sizeof sum->classes[0], stat_by_size);
}

/* Free blocks, and what is too short for a block behind the last one of each slab. */
static uint64_t stat_class_free(const stat_class *class)
{
    return (class->blocks - class->live) * class->block_bytes;
}

static void stat_print_row(const char *name, const stat_class *class, uint64_t free_bytes,
                           uint64_t rest_bytes)
{
    char text[6][LOFTI_SAY_BYTES];
    printf("%-10s %9s %13s %13s %9s %11s %11s\n", name, lofti_say_count(text[0], class->slabs),
           lofti_say_count(text[1], class->live),
           lofti_say_count(text[2], class->blocks - class->live),
           lofti_say_part(text[3], class->live, class->blocks),
           lofti_say_bytes(text[4], free_bytes), lofti_say_bytes(text[5], rest_bytes));
}

static void stat_print_classes(const stat_sum *sum)
{
    char name[LOFTI_SAY_BYTES];
    uint64_t free_bytes = 0;
    uint64_t rest_bytes = 0;
    printf("%-10s %9s %13s %13s %9s %11s %11s\n", "block", "slabs", "live", "free", "occupied",
           "free bytes", "rest");
    for (unsigned i = 0; i < sum->class_count; i++) {
        const stat_class *class = &sum->classes[i];
        const uint64_t rest = class->slab_bytes - class->blocks * class->block_bytes;
        snprintf(name, sizeof name, "%llu", (unsigned long long)class->block_bytes);
        stat_print_row(name, class, stat_class_free(class), rest);
        free_bytes += stat_class_free(class);
        rest_bytes += rest;
    }
    stat_print_row("all", &sum->all, free_bytes, rest_bytes);
}

static void stat_print_kind(const char *name, const stat_sum *sum, uint32_t kind, uint64_t whole)
{
    char text[3][LOFTI_SAY_BYTES];
    printf("%-10s %9s %13s %9s\n", name, lofti_say_count(text[0], sum->count[kind]),
           lofti_say_bytes(text[1], sum->bytes[kind]),
           lofti_say_part(text[2], sum->bytes[kind], whole));
}

static void stat_print(const lofti_survey *survey, const stat_sum *sum)
{
    char text[3][LOFTI_SAY_BYTES];
    const uint64_t heap = survey->stats.heap_bytes;
    stat_print_classes(sum);
    printf("\n%-10s %9s %13s %9s\n", "", "runs", "bytes", "of heap");
    stat_print_kind("slabs", sum, LOFT_RUN_SLAB, heap);
    stat_print_kind("spans", sum, LOFT_RUN_SPAN, heap);
    stat_print_kind("pools", sum, LOFT_RUN_POOL, heap);
    stat_print_kind("internal", sum, LOFT_RUN_INTERNAL, heap);
    stat_print_kind("metadata", sum, LOFT_RUN_META, heap);
    stat_print_kind("free", sum, LOFT_RUN_FREE, heap);
    putchar('\n');
    lofti_say_fact("heap", "%s in chunks of 4 MiB", lofti_say_bytes(text[0], heap));
    lofti_say_fact("live", "%s blocks, %s, %s of the heap",
                   lofti_say_count(text[0], survey->stats.live_blocks),
                   lofti_say_bytes(text[1], survey->stats.live_bytes),
                   lofti_say_part(text[2], survey->stats.live_bytes, heap));
    if (sum->count[LOFT_RUN_POOL] != 0) {
        lofti_say_fact("pools", "%s; the newest memory of each has %s left in all",
                       lofti_say_count(text[0], sum->pools),
                       lofti_say_bytes(text[1], sum->pool_left));
    }
    lofti_say_fact("fragmentation", "the longest of the free runs has %s, %s of what is free",
                   lofti_say_bytes(text[0], sum->longest_free),
                   lofti_say_part(text[1], sum->longest_free, sum->bytes[LOFT_RUN_FREE]));
}

static void stat_json_kind(lofti_json *json, const char *name, const stat_sum *sum, uint32_t kind)
{
    lofti_json_open(json, name, '{');
    lofti_json_number(json, "runs", sum->count[kind]);
    lofti_json_number(json, "bytes", sum->bytes[kind]);
    lofti_json_close(json, '}');
}

static void stat_json_classes(lofti_json *json, const stat_sum *sum)
{
    lofti_json_open(json, "classes", '[');
    for (unsigned i = 0; i < sum->class_count; i++) {
        const stat_class *class = &sum->classes[i];
        lofti_json_open(json, NULL, '{');
        lofti_json_number(json, "block_bytes", class->block_bytes);
        lofti_json_number(json, "slabs", class->slabs);
        lofti_json_number(json, "slab_bytes", class->slab_bytes);
        lofti_json_number(json, "blocks", class->blocks);
        lofti_json_number(json, "live", class->live);
        lofti_json_number(json, "free_bytes", stat_class_free(class));
        lofti_json_number(json, "rest_bytes",
                          class->slab_bytes - class->blocks * class->block_bytes);
        lofti_json_close(json, '}');
    }
    lofti_json_close(json, ']');
}

static void stat_json(const char *path, const lofti_survey *survey, const stat_sum *sum)
{
    lofti_json json = {.out = stdout};
    lofti_json_open(&json, NULL, '{');
    lofti_json_text(&json, "file", path);
    lofti_json_number(&json, "heap_bytes", survey->stats.heap_bytes);
    lofti_json_number(&json, "live_blocks", survey->stats.live_blocks);
    lofti_json_number(&json, "live_bytes", survey->stats.live_bytes);
    stat_json_classes(&json, sum);
    stat_json_kind(&json, "slabs", sum, LOFT_RUN_SLAB);
    stat_json_kind(&json, "spans", sum, LOFT_RUN_SPAN);
    stat_json_kind(&json, "pool_memory", sum, LOFT_RUN_POOL);
    stat_json_kind(&json, "internal", sum, LOFT_RUN_INTERNAL);
    stat_json_kind(&json, "metadata", sum, LOFT_RUN_META);
    stat_json_kind(&json, "free", sum, LOFT_RUN_FREE);
    stat_json_kind(&json, "journal", sum, LOFT_RUN_JOURNAL);
    lofti_json_number(&json, "pools", sum->pools);
    lofti_json_number(&json, "pool_left_bytes", sum->pool_left);
    lofti_json_number(&json, "longest_free_bytes", sum->longest_free);
    lofti_json_close(&json, '}');
}

int lofti_command_stat(char **arguments)
{
    static stat_sum sum;
    bool json = false;
    const char *path = NULL;
    lofti_survey survey;
    const lofti_args_option options[] = {{"--json", &json, NULL}, {NULL, NULL, NULL}};
    if (!lofti_args_parse("stat", arguments, options, &path, 1, 1)) {
        return LOFTI_CLI_USAGE;
    }
    const int code = lofti_survey_make(&survey, path, false, json);
    if (code != LOFTI_CLI_FINE) {
        return code;
    }
    stat_add(&survey, &sum);
    if (json) {
        stat_json(path, &survey, &sum);
    } else {
        stat_print(&survey, &sum);
    }
    lofti_survey_end(&survey);
    return LOFTI_CLI_FINE;
}
