/*
 * base/check.h - assertions about loft's own code.
 *
 * LOFTI_ASSERT: there is a proof; compiled in where LOFT_ASSERTS is 1 (dev, sanitizer and
 * coverage builds). LOFTI_CHECK: cheap and guards data, so it stays on in release. Neither is
 * ever applied to bytes read from a file or handed in by a caller: those meet validators and
 * codes.
 */
#ifndef LOFTI_BASE_CHECK_H
#define LOFTI_BASE_CHECK_H

#ifndef LOFT_ASSERTS
#define LOFT_ASSERTS 0
#endif

/* Prints "loft: internal check failed: ..." to standard error and aborts. */
_Noreturn void lofti_check_failed(const char *what, const char *file, int line);

#define LOFTI_CHECK(condition)                                                                     \
    do {                                                                                           \
        if (__builtin_expect(!(condition), 0)) {                                                   \
            lofti_check_failed(#condition, __FILE__, __LINE__);                                    \
        }                                                                                          \
    } while (0)

#if LOFT_ASSERTS
#define LOFTI_ASSERT(condition) LOFTI_CHECK(condition)
#else
#define LOFTI_ASSERT(condition) ((void)sizeof((condition) ? 1 : 0))
#endif

#define LOFTI_LIKELY(condition)   __builtin_expect(!!(condition), 1)
#define LOFTI_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#endif /* LOFTI_BASE_CHECK_H */
