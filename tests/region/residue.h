/* "Leaves nothing behind" as a comparison: what this process and the test's folder hold, before
 * and after. */
#ifndef LOFT_TESTS_REGION_RESIDUE_H
#define LOFT_TESTS_REGION_RESIDUE_H

#include <errno.h>
#include <stdint.h>

#include "loft/region.h"
#include "support/held.h"
#include "support/test.h"

typedef struct residue {
    unsigned descriptors, entries;
    uint64_t mapped_bytes;
} residue;

/* Mapped bytes, not mappings: neighbours merge, and sanitizers split theirs. Call it once
 * something was mapped and released: the registry keeps its first memory. */
static inline residue residue_take(void)
{
    residue now = {held_descriptors(), loft_test_entries(loft_test_folder()),
                   loft_test_mapped_bytes()};
    return now;
}

static inline residue residue_begin(void)
{
    (void)loft_test_folder();
    LOFT_CHECK_OK(loft_free(loft_malloc(1)));
    return residue_take();
}

static inline void residue_check_same(const residue *before)
{
    const residue now = residue_take();
    LOFT_CHECK_EQ_UINT(now.descriptors, before->descriptors);
    LOFT_CHECK_EQ_UINT(now.entries, before->entries);
#if defined(__linux__) && !defined(__GLIBC__)
    /* musl's malloc maps a page now and then, and keeps it. */
    LOFT_CHECK_LE_UINT(now.mapped_bytes, before->mapped_bytes + 16384);
#else
    LOFT_CHECK_EQ_UINT(now.mapped_bytes, before->mapped_bytes);
#endif
}

/* A pointer result that must be NULL, with its code, its errno and a sentence. */
#define CHECK_NO_REGION(call, code)                                                                \
    do {                                                                                           \
        errno = 0;                                                                                 \
        LOFT_CHECK_NULL(call);                                                                     \
        LOFT_CHECK_TRUE(errno != 0);                                                               \
        LOFT_CHECK_ERR(loft_last_code(), code);                                                    \
    } while (0)

/* Sanitizers reserve terabytes, so no limit on address space fits them, and answer some calls
 * themselves. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_SHADOW 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(memory_sanitizer)
#define HAS_SHADOW 1
#endif
#endif

#endif
