/*
 * heap/annotate_test.c - AddressSanitizer and Valgrind report what a program does to bytes that are nobody's.
 *
 * Each mistake is made in a process of its own. Under AddressSanitizer that must end with a report; under
 * Valgrind its count of errors must rise. A build for neither has nothing to show. Then what must not be reported:
 * everything the library itself does to such bytes, and memory that is somebody else's again.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "heap/annotate.h"
#include "loft/arena.h"
#include "loft/pool.h"
#include "loft/region.h"
#include "support/test.h"

enum { BUFFER_BYTES = 1 << 20, SPAN_BYTES = 300000, RESERVE_BYTES = 512 << 20 };

/* Little address space: what Valgrind does takes time in proportion. */
static const loft_arena_options options = {.struct_bytes = sizeof options,
                                           .reserve_bytes = RESERVE_BYTES};

static const char *need_tool(void)
{
#if LOFTI_ANNOTATE_ASAN
    return NULL;
#elif LOFTI_VALGRIND
    return RUNNING_ON_VALGRIND ? NULL : "this build tells Valgrind, which does not run it";
#else
    return "this build tells neither AddressSanitizer nor Valgrind";
#endif
}

/* Errors reported so far: Valgrind goes on after one, AddressSanitizer does not. */
static unsigned reported(void)
{
#if LOFTI_VALGRIND && !LOFTI_ANNOTATE_ASAN
    return (unsigned)VALGRIND_COUNT_ERRORS;
#else
    return 0;
#endif
}

/* --- The mistakes ------------------------------------------------------------------------------- */

static loft_arena *arena;
static volatile uint8_t sink;

static void *give(void *block)
{
    loft_arena_free(arena, block);
    return NULL;
}

static void give_elsewhere(void *block)
{
    pthread_t thread;
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, give, block), 0);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
}

static void read_freed(void)
{
    const uint8_t *block = loft_arena_malloc(arena, 100);
    loft_arena_free(arena, (void *)(uintptr_t)block);
    sink = block[50];
}

static void write_freed(void)
{
    uint8_t *block = loft_arena_malloc(arena, 24);
    loft_arena_free(arena, block);
    block[0] = 1;
}

static void read_freed_elsewhere(void)
{
    const uint8_t *block = loft_arena_malloc(arena, 100);
    give_elsewhere((void *)(uintptr_t)block);
    sink = block[99];
}

static void write_freed_span(void)
{
    uint8_t *block = loft_arena_malloc(arena, SPAN_BYTES);
    loft_arena_free(arena, block);
    block[SPAN_BYTES - 1] = 1;
}

static void write_freed_long(void)
{
    uint8_t *block = loft_arena_malloc(arena, (size_t)9 << 20);
    loft_arena_free(arena, block);
    block[(size_t)6 << 20] = 1;
}

static void read_moved(void)
{
    const uint8_t *block = loft_arena_malloc(arena, 100);
    LOFT_CHECK_NOT_NULL(loft_arena_realloc(arena, (void *)(uintptr_t)block, 5000));
    sink = block[0];
}

static void read_cut_off(void)
{
    uint8_t *block = loft_arena_malloc(arena, SPAN_BYTES);
    LOFT_CHECK_EQ_PTR(loft_arena_realloc(arena, block, SPAN_BYTES / 2), block);
    sink = block[SPAN_BYTES - 1];
}

static void overflow(void)
{
    uint8_t *block = loft_arena_malloc(arena, 112);
    block[loft_arena_usable_size(arena, block)] = 1;
}

static void overflow_span(void)
{
    uint8_t *block = loft_arena_malloc(arena, 81920);
    block[loft_arena_usable_size(arena, block)] = 1;
}

static void underflow(void)
{
    uint8_t *low = loft_arena_malloc(arena, 48);
    uint8_t *high = loft_arena_malloc(arena, 48);
    loft_arena_free(arena, low);
    high[low - high] = 1;
}

static void read_of_rewound_pool(void)
{
    loft_pool *pool = loft_pool_create(arena, 0);
    const loft_pool_mark mark = loft_pool_save(pool);
    const uint8_t *block = loft_pool_malloc(pool, 100);
    loft_pool_rewind(pool, mark);
    sink = block[0];
}

static void write_behind_pool(void)
{
    uint8_t *block = loft_pool_malloc(loft_pool_create(arena, 0), 100);
    block[112] = 1;
}

static void read_of_reset_pool(void)
{
    loft_pool *pool = loft_pool_create(arena, 0);
    const uint8_t *block = loft_pool_calloc(pool, 100, 1000);
    loft_pool_reset(pool);
    sink = block[99999];
}

static void read_of_destroyed_pool(void)
{
    loft_pool *pool = loft_pool_create(arena, 0);
    const uint8_t *block = loft_pool_memdup(pool, "text", 5);
    loft_pool_destroy(pool);
    sink = block[0];
}

static const struct mistake {
    const char *name;
    void (*make)(void);
} mistakes[] = {
    {"read of a freed block", read_freed},
    {"write to a freed block", write_freed},
    {"read of one that another thread freed", read_freed_elsewhere},
    {"write to a freed span", write_freed_span},
    {"write to a freed block longer than a chunk", write_freed_long},
    {"read of a block that realloc moved", read_moved},
    {"read behind a span that realloc cut", read_cut_off},
    {"write behind a block", overflow},
    {"write behind a span", overflow_span},
    {"write before a block", underflow},
    {"read of what a pool was rewound over", read_of_rewound_pool},
    {"write behind what a pool handed out", write_behind_pool},
    {"read of a pool that was reset", read_of_reset_pool},
    {"read of a pool that was destroyed", read_of_destroyed_pool},
};
enum { MISTAKES = sizeof mistakes / sizeof mistakes[0] };

enum place { FILE_ARENA, REOPENED, ROLLED_BACK, ANONYMOUS, OVER_BUFFER, PLACES };
static const char *const place_names[PLACES] = {"file", "reopened", "rolled back", "anonymous",
                                                "buffer"};

static void open_place(uint32_t place)
{
    const char *path = loft_test_tmp_path("arena");
    (void)remove(path);
    if (place == ANONYMOUS) {
        LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, &options, &arena));
        return;
    }
    if (place == OVER_BUFFER) {
        LOFT_CHECK_OK(
            loft_arena_over(malloc((size_t)16 << 20), (size_t)16 << 20, LOFT_CREATE, NULL, &arena));
        return;
    }
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_CREATE, &options, &arena));
    for (uint32_t i = 0; i < 100; i++) {
        void *block = loft_arena_malloc(arena, 16 * i);
        if (i % 3 == 0) {
            loft_arena_free(arena, block);
        }
    }
    LOFT_CHECK_OK(loft_arena_commit(arena));
    if (place == REOPENED) {
        LOFT_CHECK_OK(loft_arena_close(arena));
        LOFT_CHECK_OK(loft_arena_open(path, LOFT_WRITE, &options, &arena));
    } else if (place == ROLLED_BACK) {
        (void)loft_arena_malloc(arena, 100);
        LOFT_CHECK_OK(loft_arena_rollback(arena));
    }
}

typedef struct trial {
    const struct mistake *mistake;
    uint32_t place;
} trial;

static void make_mistake(void *context)
{
    const trial *own = context;
    open_place(own->place);
    const unsigned before = reported();
    own->mistake->make();
    if (reported() > before) {
        (void)fprintf(stderr, "use-after-poison, says Valgrind\n");
    }
    _exit(0);
}

static void expect_reports(uint32_t place)
{
    const char *why = need_tool();
    if (why != NULL) {
        LOFT_SKIP("%s", why);
    }
    for (size_t i = 0; i < MISTAKES; i++) {
        trial own = {&mistakes[i], place};
        loft_test_child child;
        loft_test_run_child(make_mistake, &own, &child);
        if (strstr(child.output, "use-after-poison") == NULL) {
            LOFT_FAIL("%s (%s) went unseen: code %d, signal %d:\n%s", mistakes[i].name,
                      place_names[place], child.exit_code, child.signal, child.output);
        }
    }
}

LOFT_TEST(heap_annotate, mistakes_in_a_file) { expect_reports(FILE_ARENA); }
LOFT_TEST(heap_annotate, mistakes_after_reopening) { expect_reports(REOPENED); }
LOFT_TEST(heap_annotate, mistakes_after_rollback) { expect_reports(ROLLED_BACK); }
LOFT_TEST(heap_annotate, mistakes_in_an_anonymous_arena) { expect_reports(ANONYMOUS); }
LOFT_TEST(heap_annotate, mistakes_in_a_buffer) { expect_reports(OVER_BUFFER); }

/* --- What must not be reported: these run in every build ------------------------------------------ */

static void churn(loft_arena *in, uint8_t **kept, uint32_t count)
{
    loft_pool *pool = loft_pool_create(in, 0);
    for (uint32_t i = 0; i < count; i++) {
        const size_t bytes = 1 + (size_t)i * 977 % (i % 50 == 0 ? SPAN_BYTES : 3000);
        kept[i] = loft_arena_malloc(in, bytes);
        memset(kept[i], (int)i, bytes);
        memset(loft_pool_malloc(pool, bytes), 1, bytes);
        if (i % 3 == 0) {
            loft_arena_free(in, kept[i]);
            kept[i] = NULL;
        }
    }
    loft_pool_destroy(pool);
}

/* Commit, rollback, checkpoint, check and walk look at whole pages, freed blocks and all. */
LOFT_TEST(heap_annotate, the_library_may_read_what_is_free)
{
    static uint8_t *kept[900];
    const char *path = loft_test_tmp_path("arena");
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_CREATE, &options, &arena));
    for (uint32_t round = 0; round < 3; round++) {
        churn(arena, kept, 300);
        LOFT_CHECK_OK(loft_arena_commit(arena));
        churn(arena, kept + 300, 300);
        LOFT_CHECK_OK(loft_arena_check(arena, NULL, NULL, NULL));
        LOFT_CHECK_OK(loft_arena_rollback(arena));
        /* What was freed since the commit lives again, to its last byte. */
        for (uint32_t i = 0; i < 300; i++) {
            if (kept[i] != NULL) {
                LOFT_CHECK_EQ_INT(kept[i][loft_arena_usable_size(arena, kept[i]) - 1] >= 0, 1);
                LOFT_CHECK_EQ_INT(kept[i][0], (uint8_t)i);
            }
        }
        churn(arena, kept + 600, 300);
        LOFT_CHECK_OK(loft_arena_commit(arena));
        LOFT_CHECK_OK(loft_arena_checkpoint(arena));
        for (uint32_t i = 0; i < 900; i++) {
            const bool mine = i < 300 || i >= 600;
            loft_arena_free(arena, mine ? kept[i] : NULL);
        }
        LOFT_CHECK_OK(loft_arena_close(arena));
        LOFT_CHECK_OK(loft_arena_open(path, LOFT_WRITE, &options, &arena));
        LOFT_CHECK_OK(loft_arena_check(arena, NULL, NULL, NULL));
    }
    LOFT_CHECK_OK(loft_arena_close(arena));
}

/* A caller's buffer comes back as it was given, and so do addresses that were an arena's. */
LOFT_TEST(heap_annotate, memory_is_given_back_unmarked)
{
    static uint8_t *kept[300];
    static _Alignas(16) uint8_t buffer[4 * BUFFER_BYTES];
    for (uint32_t round = 0; round < 3; round++) {
        LOFT_CHECK_OK(loft_arena_over(buffer, sizeof buffer, LOFT_CREATE, NULL, &arena));
        churn(arena, kept, 150);
        LOFT_CHECK_OK(round == 0 ? loft_arena_abandon(arena) : loft_arena_close(arena));
        memset(buffer, (int)round, sizeof buffer);
    }
    loft_arena_options same = options;
    LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, &options, &arena));
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    same.base = info.mapped_at;
    for (uint32_t round = 0; round < 3; round++) {
        churn(arena, kept, 300);
        LOFT_CHECK_OK(loft_arena_close(arena));
        LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, &same, &arena));
        LOFT_CHECK_OK(loft_arena_check(arena, NULL, NULL, NULL));
    }
    LOFT_CHECK_OK(loft_arena_close(arena));
}

static void use_in_child(void *context)
{
    uint8_t **kept = context;
    for (uint32_t i = 0; i < 300; i++) {
        if (kept[i] != NULL) {
            kept[i][0]++;
            loft_arena_free(arena, kept[i]);
        }
    }
    churn(arena, kept, 300);
    LOFT_CHECK_OK(loft_arena_check(arena, NULL, NULL, NULL));
}

LOFT_TEST(heap_annotate, a_child_uses_its_copy)
{
    static uint8_t *kept[300];
    loft_test_child child;
    LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE, &options, &arena));
    churn(arena, kept, 300);
    loft_test_run_child(use_in_child, (void *)kept, &child);
    if (child.exit_code != 0) {
        LOFT_FAIL("code %d, signal %d:\n%s", child.exit_code, child.signal, child.output);
    }
    use_in_child((void *)kept);
    LOFT_CHECK_OK(loft_arena_close(arena));
}
