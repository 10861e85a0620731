/*
 * heap/host.h - a heap on a plain range of memory, for tests: no file, no arena.
 */
#ifndef LOFT_TESTS_HEAP_HOST_H
#define LOFT_TESTS_HEAP_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heap/heap.h"

/* Chunks that can be left out: below 16 GiB. */
enum { LOFT_TEST_HEAP_GAP_WORDS = 64 };

typedef struct loft_test_heap {
    lofti_heap *heap;
    uint8_t *base;
    uint64_t reserve_bytes;
    uint64_t usable_bytes; /* from base, written by grow */
    uint32_t gap_every;    /* grow leaves out a chunk every so many calls; 0: never */
    uint32_t grow_calls;
    uint32_t grow_left;    /* calls that succeed before the world runs out; UINT32_MAX: all */
    uint64_t table_bytes;  /* volatile memory held now */
    uint64_t unused_bytes; /* told to be unused */
    bool drops;            /* unused memory becomes zeros */
    bool ticks;            /* has a clock; set before it is attached again */
    uint64_t now_ns;       /* what that says */
    bool fixed;            /* cannot grow */
    uint64_t gaps[LOFT_TEST_HEAP_GAP_WORDS]; /* the chunks that grow left out */
} loft_test_heap;

/* For tests that damage images, or copy or compare them byte by byte: AddressSanitizer and Valgrind are not told
 * which bytes of a heap are free. Before the first heap. */
void loft_test_heap_untold(void);

/* A new heap that may grow to reserve_bytes; the first chunk is there. */
void loft_test_heap_make(loft_test_heap *out, uint64_t reserve_bytes);
/* A new heap in a buffer of exactly `bytes`. */
void loft_test_heap_make_fixed(loft_test_heap *out, uint64_t bytes);
/* Attaches the image again after lofti_heap_detach; what lofti_heap_attach says. */
int loft_test_heap_attach(loft_test_heap *test, bool read_only);
/* Detaches and attaches the same image. */
void loft_test_heap_reopen(loft_test_heap *test, bool read_only);
/* Checks the image: fails the test on a fault, printing it. */
void loft_test_heap_check(loft_test_heap *test);
/* Its faults, printed if `loud`. */
uint64_t loft_test_heap_faults(loft_test_heap *test, bool loud);
/* Live blocks by walk. */
uint64_t loft_test_heap_live(loft_test_heap *test);
/* Detaches, checks that no table is left, unmaps. */
void loft_test_heap_end(loft_test_heap *test);

/* An anonymous arena of so much address space. */
loft_arena *loft_test_heap_arena(uint64_t reserve_bytes);
/* Pages in memory of [at, at + bytes). */
uint64_t loft_test_heap_pages_in(const void *at, uint64_t bytes);

#endif /* LOFT_TESTS_HEAP_HOST_H */
