/*
 * heap/step.h - a heap whose owner is stopped at every single instruction.
 *
 * The image lies in shared memory. A child runs a script on it, in a thread that its parent traces and moves on
 * by one instruction at a time; whenever the metadata has changed, the parent looks at the image as it stands,
 * as an open after a crash at that instruction would:
 *   - the check finds no fault;
 *   - every block that the script holds is live, and of the others at most those of the call under way;
 *   - on a private copy a new handle frees them all, without misuse, and the heap is whole and empty.
 */
#ifndef LOFT_TESTS_HEAP_STEP_H
#define LOFT_TESTS_HEAP_STEP_H

#include "format/chunk.h"
#include "heap/heap.h"
#include "support/test.h"

enum { LOFT_TEST_STEP_HELD = 1024 };

/* What the script tells of itself; in shared memory. Stable while the heap's code runs. */
typedef struct loft_test_step_note {
    const char *call; /* what it is doing; good in parent and child */
    uint32_t calls;
    uint32_t stepping;    /* inside the heap: stop at every instruction */
    int32_t thread;       /* its id */
    uint32_t loose;       /* another thread is at work too: only the check counts */
    uint32_t extra_least; /* live blocks beside the held ones: at least, ... */
    uint32_t extra_most;  /* ... at most */
    uint32_t held_count;
    uint64_t held_off[LOFT_TEST_STEP_HELD];
    uint64_t held_bytes[LOFT_TEST_STEP_HELD];
} loft_test_step_note;

typedef struct loft_test_step {
    lofti_heap *heap; /* the child's handle */
    uint8_t *base;
    uint64_t bytes; /* of the image; a multiple of a chunk, or less than one: then it cannot grow */
    uint64_t usable_bytes;
    bool returns; /* unused memory becomes zeros */
    loft_test_step_note *note;
    int file;        /* the image's */
    uint8_t *copy;   /* where the parent maps it privately */
    uint8_t *shadow; /* the metadata as last seen */
    uint64_t steps, changes, trials;
} loft_test_step;

/* Runs the script in the traced thread of a child and judges every state of the image. Skips where
 * tracing is not permitted. */
void loft_test_step_run(loft_test_step *step, void (*script)(loft_test_step *step));

/* For scripts: the calls, with their notes. Blocks are named by their number in the list of held
 * ones; the last one made is held_count - 1; a freed one's number goes to the last. */
void *loft_test_step_malloc(loft_test_step *step, size_t bytes);
void *loft_test_step_calloc(loft_test_step *step, size_t bytes);
void *loft_test_step_aligned(loft_test_step *step, size_t alignment, size_t bytes);
void *loft_test_step_realloc(loft_test_step *step, uint32_t number, size_t bytes);
void loft_test_step_free(loft_test_step *step, uint32_t number);
/* Takes a block that another thread made into the list; out of the list. */
void loft_test_step_hold(loft_test_step *step, const void *block, size_t bytes);
void *loft_test_step_drop(loft_test_step *step, uint32_t number);

#endif /* LOFT_TESTS_HEAP_STEP_H */
