/*
 * heap/misuse_public_test.c - broken contracts through the public API, each in a process of its own.
 *
 * Every kind is done in a fresh arena and in one that was opened again, with the default handler, which says
 * what it is and aborts, and with one that returns: then nothing has changed, to the byte.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "heap/host.h"
#include "loft/arena.h"
#include "loft/pool.h"
#include "support/test.h"

enum { CHUNK_BYTES = 4 << 20 };

/* An arena with blocks to misuse; found again by their roots. */
typedef struct place {
    loft_arena *arena;
    uint8_t *small; /* 100 bytes */
    uint8_t *span;  /* 300,000 bytes */
    uint8_t *freed; /* was 100 bytes, is free */
    uint8_t *freed_span;
    uint8_t *of_pool;
    loft_arena *other;
    uint8_t *of_other;
} place;

static place here;

static void place_make(const char *path)
{
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_CREATE, NULL, &here.arena));
    here.small = loft_arena_malloc(here.arena, 100);
    here.span = loft_arena_malloc(here.arena, 300000);
    here.freed = loft_arena_malloc(here.arena, 100);
    here.freed_span = loft_arena_malloc(here.arena, 200000);
    loft_pool *pool = loft_pool_create(here.arena, 5000);
    LOFT_CHECK_NOT_NULL(pool);
    here.of_pool = loft_pool_aligned_alloc(pool, 16, 100);
    LOFT_CHECK_NOT_NULL(here.of_pool);
    loft_arena_free(here.arena, here.freed);
    loft_arena_free(here.arena, here.freed_span);
}

/* The same place after a commit, a close and an open: every address holds. */
static void place_reopen(const char *path)
{
    LOFT_CHECK_OK(loft_arena_commit(here.arena));
    LOFT_CHECK_OK(loft_arena_close(here.arena));
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_WRITE, NULL, &here.arena));
}

static void place_open_other(void)
{
    LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, NULL, &here.other));
    here.of_other = loft_arena_malloc(here.other, 100);
}

/* --- The kinds ------------------------------------------------------------------------------ */

static void free_freed(void) { loft_arena_free(here.arena, here.freed); }
static void free_freed_span(void) { loft_arena_free(here.arena, here.freed_span); }
static void free_interior(void) { loft_arena_free(here.arena, here.small + 16); }
static void free_unaligned(void) { loft_arena_free(here.arena, here.small + 3); }
static void free_in_span(void) { loft_arena_free(here.arena, here.span + 4096); }
static void free_local(void)
{
    int local = 0;
    loft_arena_free(here.arena, &local);
}
static void free_of_malloc(void)
{
    static char text[64];
    loft_arena_free(here.arena, text);
}
static void free_metadata(void)
{
    loft_arena_free(here.arena, (void *)((uintptr_t)here.small & ~(uintptr_t)(CHUNK_BYTES - 1)));
}
static void free_base(void)
{
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(here.arena, &info));
    loft_arena_free(here.arena, (void *)(uintptr_t)info.mapped_at);
}
static void free_never_given(void)
{
    const uintptr_t chunk = (uintptr_t)here.small & ~(uintptr_t)(CHUNK_BYTES - 1);
    loft_arena_free(here.arena, (void *)(chunk + CHUNK_BYTES - 4096));
}
static void free_of_other(void) { loft_arena_free(here.arena, here.of_other); }
static void free_of_pool(void) { loft_arena_free(here.arena, here.of_pool); }
static void realloc_freed(void)
{
    LOFT_CHECK_NULL(loft_arena_realloc(here.arena, here.freed, 500));
}
static void realloc_interior(void)
{
    LOFT_CHECK_NULL(loft_arena_realloc(here.arena, here.span + 16, 500));
}
static void size_of_freed(void)
{
    LOFT_CHECK_EQ_UINT(loft_arena_usable_size(here.arena, here.freed), 0);
}
static void *free_in_thread(void *block)
{
    loft_arena_free(here.arena, block);
    return NULL;
}
static void free_freed_elsewhere(void)
{
    pthread_t thread;
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, free_in_thread, here.freed), 0);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
}
static void free_interior_elsewhere(void)
{
    pthread_t thread;
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, free_in_thread, here.small + 32), 0);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
}

static const struct kind {
    const char *name;
    void (*act)(void);
    int kind;
    const char *sentence;
} kinds[] = {
    {"double free", free_freed, LOFT_MISUSE_DOUBLE_FREE, "is free already"},
    {"double free of a span", free_freed_span, LOFT_MISUSE_DOUBLE_FREE, "free already"},
    {"double free by a thread", free_freed_elsewhere, LOFT_MISUSE_DOUBLE_FREE, "is free already"},
    {"interior", free_interior, LOFT_MISUSE_INTERIOR, "it is 16 bytes inside a slab block of 112"},
    {"unaligned", free_unaligned, LOFT_MISUSE_INTERIOR, "it is 3 bytes inside a slab block"},
    {"interior by a thread", free_interior_elsewhere, LOFT_MISUSE_INTERIOR, "32 bytes inside"},
    {"interior of a span", free_in_span, LOFT_MISUSE_INTERIOR, "it is 4096 bytes inside a span"},
    {"stack", free_local, LOFT_MISUSE_FOREIGN, "it is not in this arena's heap"},
    {"static memory", free_of_malloc, LOFT_MISUSE_FOREIGN, "it is not in this arena's heap"},
    {"metadata", free_metadata, LOFT_MISUSE_FOREIGN, "the heap's metadata is there"},
    {"the arena's first bytes", free_base, LOFT_MISUSE_FOREIGN, "not in this arena's heap"},
    {"never a block", free_never_given, LOFT_MISUSE_FOREIGN, "no block was ever there"},
    {"another arena's", free_of_other, LOFT_MISUSE_WRONG_ARENA, "belongs to another open arena"},
    {"a pool's", free_of_pool, LOFT_MISUSE_POOL, "it is memory of a pool"},
    {"realloc of a freed one", realloc_freed, LOFT_MISUSE_DOUBLE_FREE, "realloc of 0x"},
    {"realloc of an interior one", realloc_interior, LOFT_MISUSE_INTERIOR, "realloc of 0x"},
    {"size of a freed one", size_of_freed, LOFT_MISUSE_DOUBLE_FREE, "usable size of 0x"},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* --- With a handler that returns ------------------------------------------------------------ */

static loft_misuse seen;
static char seen_text[512];
static uint32_t seen_count;

static void remember(void *context, const loft_misuse *misuse)
{
    LOFT_CHECK_EQ_PTR(context, &here);
    seen = *misuse;
    seen_count++;
    (void)snprintf(seen_text, sizeof seen_text, "%s", misuse->text);
}

static uint8_t before[CHUNK_BYTES];

static void act_and_compare(void *context)
{
    const struct kind *kind = context;
    loft_arena_statistics old = {.struct_bytes = sizeof old};
    loft_arena_statistics now = {.struct_bytes = sizeof now};
    const uint8_t *chunk = (const uint8_t *)((uintptr_t)here.small & ~(uintptr_t)(CHUNK_BYTES - 1));
    loft_set_misuse_handler(remember, &here);
    /* This thread's heap and the chunk's volatile side are made by the first use. */
    loft_arena_free(here.arena, loft_arena_malloc(here.arena, 100));
    LOFT_CHECK_OK(loft_arena_stats(here.arena, &old));
    memcpy(before, chunk, CHUNK_BYTES);
    kind->act();
    LOFT_CHECK_EQ_MEM(chunk, before, CHUNK_BYTES);
    LOFT_CHECK_EQ_UINT(seen_count, 1);
    LOFT_CHECK_EQ_INT(seen.kind, kind->kind);
    LOFT_CHECK_CONTAINS(seen_text, kind->sentence);
    LOFT_CHECK_OK(loft_arena_check(here.arena, NULL, NULL, NULL));
    LOFT_CHECK_OK(loft_arena_stats(here.arena, &now));
    LOFT_CHECK_EQ_UINT(now.live_blocks, old.live_blocks);
    LOFT_CHECK_EQ_UINT(now.live_bytes, old.live_bytes);
    /* All is as good as before. */
    loft_arena_free(here.arena, here.small);
    loft_arena_free(here.arena, here.span);
    LOFT_CHECK_EQ_UINT(seen_count, 1);
    LOFT_CHECK_OK(loft_arena_check(here.arena, NULL, NULL, NULL));
}

static void act(void *context)
{
    const struct kind *kind = context;
    kind->act();
}

static void act_by_default(void *context)
{
    loft_set_misuse_handler(remember, &here);
    loft_set_misuse_handler(NULL, NULL); /* the default again */
    act(context);
}

/* Anonymous: a child has it as it was; a file arena stays with the process that opened it. */
LOFT_TEST(heap_misuse_public, a_handler_that_returns)
{
    loft_test_heap_untold();
    place_make(NULL);
    place_open_other();
    for (size_t i = 0; i < KINDS; i++) {
        loft_test_child child;
        struct kind kind = kinds[i];
        loft_test_run_child(act_and_compare, &kind, &child);
        if (child.exit_code != 0) {
            LOFT_FAIL("%s: code %d, signal %d:\n%s", kind.name, child.exit_code, child.signal,
                      child.output);
        }
    }
    LOFT_CHECK_OK(loft_arena_close(here.other));
    LOFT_CHECK_OK(loft_arena_close(here.arena));
}

LOFT_TEST(heap_misuse_public, the_default_handler)
{
    place_make(NULL);
    place_open_other();
    for (size_t i = 0; i < KINDS; i++) {
        struct kind kind = kinds[i];
        char sentence[128];
        (void)snprintf(sentence, sizeof sentence, "%s", kind.sentence);
        LOFT_CHECK_DEATH(act_by_default, &kind, SIGABRT, sentence);
        LOFT_CHECK_DEATH(act_by_default, &kind, SIGABRT, "loft: misuse: ");
    }
    LOFT_CHECK_OK(loft_arena_close(here.other));
    LOFT_CHECK_OK(loft_arena_close(here.arena));
}

/* The whole story in the child: its arena is its own. */
static void reopen_and(void (*then)(void *), const struct kind *kind)
{
    char name[32];
    struct kind copy = *kind;
    (void)snprintf(name, sizeof name, "arena-%u", (unsigned)(kind - kinds));
    const char *path = loft_test_tmp_path(name);
    (void)remove(path);
    place_make(path);
    place_reopen(path);
    place_open_other();
    then(&copy);
}

static void reopen_and_compare(void *context) { reopen_and(act_and_compare, context); }
static void reopen_and_die(void *context) { reopen_and(act, context); }

LOFT_TEST(heap_misuse_public, after_reopening)
{
    loft_test_heap_untold();
    for (size_t i = 0; i < KINDS; i++) {
        loft_test_child child;
        struct kind *kind = (struct kind *)(uintptr_t)&kinds[i];
        loft_test_run_child(reopen_and_compare, kind, &child);
        if (child.exit_code != 0) {
            LOFT_FAIL("%s: code %d, signal %d:\n%s", kind->name, child.exit_code, child.signal,
                      child.output);
        }
        LOFT_CHECK_DEATH(reopen_and_die, kind, SIGABRT, "loft: misuse: ");
    }
}
