/*
 * preload/heap.c - makes the arena once, at the first call.
 *
 * Not pthread_once: a second call by the thread that is inside of it would wait for itself.
 */
#include "heap.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

enum { STORE_ALIGNMENT = 16 };

typedef struct store_head {
    size_t bytes;
    size_t unused;
} store_head;
_Static_assert(sizeof(store_head) == STORE_ALIGNMENT, "blocks behind a head keep its alignment");

loft_arena *lofti_preload_arena;
static _Atomic size_t store_used;

enum start_state { START_NOT, START_NOW, START_DONE, START_FAILED };
static _Atomic int start_state;
static __thread bool start_here __attribute__((tls_model("initial-exec")));

static loft_arena *start_make(void)
{
    loft_arena *arena = NULL;
    start_here = true;
    const int code = loft_arena_open(NULL, LOFT_WRITE, NULL, &arena);
    start_here = false;
    if (code == LOFT_OK) {
        __atomic_store_n(&lofti_preload_arena, arena, __ATOMIC_RELEASE);
    }
    atomic_store(&start_state, code == LOFT_OK ? START_DONE : START_FAILED);
    return code == LOFT_OK ? arena : NULL;
}

loft_arena *lofti_preload_start(void)
{
    if (start_here) {
        return NULL;
    }
    int state = START_NOT;
    if (atomic_compare_exchange_strong(&start_state, &state, START_NOW)) {
        return start_make();
    }
    while (atomic_load(&start_state) == START_NOW) {
        (void)sched_yield(); /* another thread makes it: some 100 us, once in a process */
    }
    return __atomic_load_n(&lofti_preload_arena, __ATOMIC_ACQUIRE);
}

static void *store_take(size_t alignment, size_t bytes)
{
    if (alignment < STORE_ALIGNMENT) {
        alignment = STORE_ALIGNMENT;
    }
    if (bytes > LOFTI_PRELOAD_STORE_BYTES || alignment > LOFTI_PRELOAD_STORE_BYTES) {
        errno = ENOMEM;
        return NULL;
    }
    const uintptr_t store = (uintptr_t)lofti_preload_store;
    const size_t rounded = (bytes + STORE_ALIGNMENT - 1) & ~(size_t)(STORE_ALIGNMENT - 1);
    size_t used = atomic_load(&store_used);
    size_t start;
    do {
        start = ((store + used + sizeof(store_head) + alignment - 1) & ~(alignment - 1)) - store;
        if (start + rounded > LOFTI_PRELOAD_STORE_BYTES) {
            errno = ENOMEM;
            return NULL;
        }
    } while (!atomic_compare_exchange_weak(&store_used, &used, start + rounded));
    const store_head head = {bytes, 0};
    memcpy(lofti_preload_store + start - sizeof head, &head, sizeof head);
    return lofti_preload_store + start;
}

size_t lofti_preload_early_size(const void *block)
{
    store_head head;
    memcpy(&head, (const unsigned char *)block - sizeof head, sizeof head);
    return head.bytes;
}

void *lofti_preload_early(size_t alignment, size_t bytes)
{
    loft_arena *arena = lofti_preload_start();
    if (arena != NULL) {
        return loft_arena_aligned_alloc(arena, alignment, bytes);
    }
    if (start_here) {
        return store_take(alignment, bytes);
    }
    errno = ENOMEM;
    return NULL;
}
