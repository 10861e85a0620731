/*
 * heap/keys_test.c - the key by which a heap learns of its threads' ends, in a program that takes all keys for itself.
 */
#include <limits.h>
#include <pthread.h>

#include "heap/host.h"
#include "loft/arena.h"
#include "support/test.h"

/* Makes keys until there are no more. Returns how many. */
static uint32_t take_keys(pthread_key_t keys[PTHREAD_KEYS_MAX])
{
    uint32_t count = 0;
    while (count < PTHREAD_KEYS_MAX && pthread_key_create(&keys[count], NULL) == 0) {
        count++;
    }
    LOFT_CHECK_NE_INT(pthread_key_create(&(pthread_key_t){0}, NULL), 0);
    return count;
}

static void *allocate_once(void *arena)
{
    LOFT_CHECK_NOT_NULL(loft_arena_malloc(arena, 100));
    return NULL;
}

/* So that the first thread to allocate may be the only one of a forked child: see lofti_thread_register. */
LOFT_TEST(heap_keys, ends_are_seen_though_the_program_took_every_key_since)
{
    static pthread_key_t keys[PTHREAD_KEYS_MAX];
    loft_arena *arena = loft_test_heap_arena((uint64_t)1 << 30);
    (void)take_keys(keys);
    for (uint32_t i = 0; i < 20; i++) {
        pthread_t thread;
        LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, allocate_once, arena), 0);
        LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    }
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    LOFT_CHECK_EQ_UINT(stats.thread_count, 0);
    LOFT_CHECK_OK(loft_arena_close(arena));
}

typedef struct key_use {
    loft_arena *arena;
    const pthread_key_t *keys;
    uint32_t count;
} key_use;

static void *allocate_and_look(void *context)
{
    const key_use *use = context;
    LOFT_CHECK_NOT_NULL(loft_arena_malloc(use->arena, 100));
    for (uint32_t i = 0; i < use->count; i++) {
        LOFT_CHECK_NULL(pthread_getspecific(use->keys[i]));
    }
    return NULL;
}

/* One key is the gate's; the heap goes without, and must not take somebody else's for its own. */
LOFT_TEST(heap_keys, a_heap_without_a_key_leaves_the_keys_of_others_alone)
{
    static pthread_key_t keys[PTHREAD_KEYS_MAX];
    const uint32_t count = take_keys(keys) - 1;
    LOFT_CHECK_EQ_INT(pthread_key_delete(keys[count]), 0);
    key_use use = {loft_test_heap_arena((uint64_t)1 << 30), keys, count};
    pthread_t thread;
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, allocate_and_look, &use), 0);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    LOFT_CHECK_OK(loft_arena_close(use.arena));
}
