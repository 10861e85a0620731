/* The tests' own language: what a test file includes, and all it needs to know of its runner.
 *
 *     #include "support/test.h"
 *
 *     LOFT_TEST(region, a_file_comes_back_as_it_was_closed)
 *     {
 *         const char *path = loft_test_tmp_path("data");
 *         char *bytes = loft_create(path, 4096, 0);
 *         LOFT_CHECK_NOT_NULL(bytes);
 *         bytes[7] = 'x';
 *         LOFT_CHECK_OK(loft_close(bytes));
 *     }
 *
 * One file is one program and one ctest entry; tests/CMakeLists.txt lists it. Each test runs in a
 * process of its own, so it may crash, leak or set process-wide state without harm to the next.
 * Bodies are plain functions. Two runners know how to call them: Criterion (criterion_main.c,
 * where LOFT_TEST_CRITERION is defined) and a small forking driver (driver.c) that runs where
 * Criterion cannot: under the sanitizers, Valgrind, emulators. Nothing here tells them apart.
 * Both take --list, --filter 'suite/na*' and --jobs N, kill a test after LOFT_TEST_TIMEOUT
 * seconds, show what a failed test printed, and end with "N passed, N failed, N skipped".
 *
 * Rules
 * 1. The first failed check ends its test: it prints file, line, the values and, after a loft
 *    failure, loft_last_error(). Checks work in threads and forked children too; there they end
 *    the whole process.
 * 2. LOFT_SKIP(reason...) only in the test's own thread and process, before it has checked much.
 * 3. A random test takes its seed from loft_test_seed(), which prints it; LOFT_SEED=n repeats it.
 * 4. Files go below loft_test_folder() (in TMPDIR or /tmp); it is removed whatever the test does.
 * 5. A test that can run longer takes its counts from loft_test_scale(usual, nightly, release). What it checks at its
 *    end must hold for a few rounds, too.
 *
 * Checks (each takes plain expressions, evaluated once)
 *     LOFT_CHECK_TRUE(condition)            LOFT_CHECK_FALSE(condition)
 *     LOFT_CHECK_EQ_INT(got, want)          signed; also NE LT LE GT GE
 *     LOFT_CHECK_EQ_UINT(got, want)         unsigned 64-bit, sizes; also NE LT LE GT GE
 *     LOFT_CHECK_EQ_PTR(got, want)          LOFT_CHECK_NE_PTR
 *     LOFT_CHECK_NULL(pointer)              LOFT_CHECK_NOT_NULL(pointer)
 *     LOFT_CHECK_EQ_STR(got, want)          LOFT_CHECK_CONTAINS(text, part)
 *     LOFT_CHECK_EQ_MEM(got, want, bytes)   names the first byte that differs
 *     LOFT_CHECK_OK(code)                   a loft call that must return 0
 *     LOFT_CHECK_ERR(code, LOFT_EBUSY)      one that must fail so (and have left a sentence)
 *     LOFT_CHECK_SYS(call)                  a system call that must not return -1
 *     LOFT_CHECK_DEATH(fn, arg, signal, part)   fn(arg) in a child must die of that signal and
 *                                           have said part on stderr (part NULL: anything)
 *     LOFT_FAIL(format, ...)                LOFT_SKIP(format, ...)
 */
#ifndef LOFT_TESTS_SUPPORT_TEST_H
#define LOFT_TESTS_SUPPORT_TEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "support/runner.h"

/* Returns: this test's fresh, empty, absolute folder. The same string at every call. */
const char *loft_test_folder(void);
/* Returns: name below that folder; nothing is created. The text lives until the test ends. */
const char *loft_test_tmp_path(const char *name);
/* Returns: LOFT_SEED, or a random seed; prints it. The same value at every call of a test. */
uint64_t loft_test_seed(void);
/* Returns: usual, or nightly if LOFT_TEST_LONG is set, or release if LOFT_TEST_RELEASE is. With LOFT_TEST_FEWER=n, for
 * slow machines and emulators, an n-th of it, but 1 at least (0 stays 0). */
uint64_t loft_test_scale(uint64_t usual, uint64_t nightly, uint64_t release);
/* The same for the distance between what is tried: n times as far. */
uint64_t loft_test_stride(uint64_t usual, uint64_t nightly, uint64_t release);

/* What this process holds, read from the system without touching the heap, so that "a failing
 * call leaves nothing behind" is a comparison of two numbers. Linux only; elsewhere 0. */
unsigned loft_test_descriptors(void);
/* Mappings of the file at path (by inode), whether or not it still has that name. */
unsigned loft_test_mappings_of(const char *path);
/* Every mapping of the process. Threads and malloc make some too: warm the path up first.
 * Under Valgrind, whose own mappings come and go, this and mapped_bytes always give 0. */
unsigned loft_test_mappings(void);
/* Entries of a folder, without "." and "..". */
unsigned loft_test_entries(const char *folder);
/* Bytes of address space at or above 4 GiB that are mapped. */
uint64_t loft_test_mapped_bytes(void);

/* Whether this build has a sanitizer that takes much address space of its own and locks no memory. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define LOFT_TEST_IS_SANITIZED 1
#elif defined(__has_feature)
#define LOFT_TEST_IS_SANITIZED                                                                     \
    (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                        \
     __has_feature(memory_sanitizer))
#else
#define LOFT_TEST_IS_SANITIZED 0
#endif

/* Whether this build counts executed lines: by atomic instructions of its own, and slowly. */
#if defined(LOFTI_COVERAGE)
#define LOFT_TEST_IS_COVERED 1
#else
#define LOFT_TEST_IS_COVERED 0
#endif

/* Whether Valgrind runs this process: it reports a deliberately bad address given to the system. */
int loft_test_on_valgrind(void);
/* Whether the emulator qemu-user runs this: it ignores RLIMIT_AS, most advice and MAP_POPULATE, knows few ioctls, and ends
 * itself with its program's limits. */
int loft_test_on_qemu(void);

/* Skips the test where the platform (Windows) is not POSIX and has no `what`; elsewhere does nothing. */
void loft_test_needs_posix(const char *what);
/* A file for loft_open_handle, of a descriptor: on Windows the HANDLE behind it. */
intptr_t loft_test_handle(int descriptor);
/* The system's words for a folder that is not there. */
const char *loft_test_missing_text(void);
/* Whether fn(arg) ends in a fault of memory: in a forked child, or where there is no fork in this process, which then
 * goes on behind the call. So fn does nothing else that would be seen. */
int loft_test_faults(void (*fn)(void *arg), void *arg);

/* A forked child and how it ended. */
typedef struct loft_test_child {
    int exit_code;     /* what it gave to exit; -1 when a signal ended it */
    int signal;        /* the signal; 0 when it exited */
    char output[8192]; /* what it wrote to stderr, cut to this length, NUL-terminated */
} loft_test_child;
/* Runs fn(arg) in a forked child with default signal handlers and waits for it. When fn returns
 * the child exits with 0, a failed check in it exits with LOFT_TEST_EXIT_FAILED. */
void loft_test_run_child(void (*fn)(void *arg), void *arg, loft_test_child *out);

/* Pseudo-random numbers that are the same on every machine (splitmix64). */
typedef struct loft_test_random {
    uint64_t state;
} loft_test_random;
static inline uint64_t loft_test_random_next(loft_test_random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
/* Returns: a number below limit, which must not be 0. The bias is below 2^-32 for small limits. */
static inline uint64_t loft_test_random_below(loft_test_random *random, uint64_t limit)
{
    return loft_test_random_next(random) % limit;
}

#define LOFT_FAIL(...) loft_test_fail(LOFT_TEST_HERE, __VA_ARGS__)
#define LOFT_SKIP(...) loft_test_skip(__VA_ARGS__)

#define LOFT_CHECK_TRUE(condition)                                                                 \
    ((condition) ? (void)0 : loft_test_fail(LOFT_TEST_HERE, "%s is false", #condition))
#define LOFT_CHECK_FALSE(condition)                                                                \
    ((condition) ? loft_test_fail(LOFT_TEST_HERE, "%s is true", #condition) : (void)0)

#define LOFT_CHECK_EQ_INT(got, want) LOFT_TEST_INT(==, got, want)
#define LOFT_CHECK_NE_INT(got, want) LOFT_TEST_INT(!=, got, want)
#define LOFT_CHECK_LT_INT(got, want) LOFT_TEST_INT(<, got, want)
#define LOFT_CHECK_LE_INT(got, want) LOFT_TEST_INT(<=, got, want)
#define LOFT_CHECK_GT_INT(got, want) LOFT_TEST_INT(>, got, want)
#define LOFT_CHECK_GE_INT(got, want) LOFT_TEST_INT(>=, got, want)

#define LOFT_CHECK_EQ_UINT(got, want) LOFT_TEST_UINT(==, got, want)
#define LOFT_CHECK_NE_UINT(got, want) LOFT_TEST_UINT(!=, got, want)
#define LOFT_CHECK_LT_UINT(got, want) LOFT_TEST_UINT(<, got, want)
#define LOFT_CHECK_LE_UINT(got, want) LOFT_TEST_UINT(<=, got, want)
#define LOFT_CHECK_GT_UINT(got, want) LOFT_TEST_UINT(>, got, want)
#define LOFT_CHECK_GE_UINT(got, want) LOFT_TEST_UINT(>=, got, want)

#define LOFT_CHECK_EQ_PTR(got, want) LOFT_TEST_PTR(==, got, want)
#define LOFT_CHECK_NE_PTR(got, want) LOFT_TEST_PTR(!=, got, want)
#define LOFT_CHECK_NULL(pointer)     loft_test_null(LOFT_TEST_HERE, #pointer, (uintptr_t)(pointer))
#define LOFT_CHECK_NOT_NULL(pointer)                                                               \
    loft_test_not_null(LOFT_TEST_HERE, #pointer, (uintptr_t)(pointer))

#define LOFT_CHECK_EQ_STR(got, want)    loft_test_eq_str(LOFT_TEST_HERE, #got, (got), (want))
#define LOFT_CHECK_CONTAINS(text, part) loft_test_contains(LOFT_TEST_HERE, #text, (text), (part))
#define LOFT_CHECK_EQ_MEM(got, want, bytes)                                                        \
    loft_test_eq_mem(LOFT_TEST_HERE, #got, (got), (want), (bytes))

#define LOFT_CHECK_OK(code)        loft_test_ok(LOFT_TEST_HERE, #code, (code))
#define LOFT_CHECK_ERR(code, want) loft_test_err(LOFT_TEST_HERE, #code, (code), #want, (want))
#define LOFT_CHECK_SYS(call)       loft_test_sys(LOFT_TEST_HERE, #call, (long)(call))
#define LOFT_CHECK_DEATH(fn, arg, signal, part)                                                    \
    loft_test_death(LOFT_TEST_HERE, #fn "(" #arg ")", (fn), (arg), (signal), (part))

/* Below: what the macros above expand to. */

#define LOFT_TEST_HERE ((loft_test_place){__FILE__, __LINE__})
#define LOFT_TEST_INT(op, got, want)                                                               \
    do {                                                                                           \
        const intmax_t loft_test_got = (got), loft_test_want = (want);                             \
        if (!(loft_test_got op loft_test_want))                                                    \
            loft_test_fail(LOFT_TEST_HERE, "%s " #op " %s is false: %jd and %jd", #got, #want,     \
                           loft_test_got, loft_test_want);                                         \
    } while (0)
#define LOFT_TEST_UINT(op, got, want)                                                              \
    do {                                                                                           \
        const uintmax_t loft_test_got = (got), loft_test_want = (want);                            \
        if (!(loft_test_got op loft_test_want))                                                    \
            loft_test_fail(LOFT_TEST_HERE, "%s " #op " %s is false: %ju and %ju (0x%jx, 0x%jx)",   \
                           #got, #want, loft_test_got, loft_test_want, loft_test_got,              \
                           loft_test_want);                                                        \
    } while (0)
#define LOFT_TEST_PTR(op, got, want)                                                               \
    do {                                                                                           \
        const void *loft_test_got = (got), *loft_test_want = (want);                               \
        if (!(loft_test_got op loft_test_want))                                                    \
            loft_test_fail(LOFT_TEST_HERE, "%s " #op " %s is false: %p and %p", #got, #want,       \
                           loft_test_got, loft_test_want);                                         \
    } while (0)

/* Addresses as numbers: compilers take a pointer to const for a promise to read what it points to. */
void loft_test_null(loft_test_place place, const char *what, uintptr_t got);
void loft_test_not_null(loft_test_place place, const char *what, uintptr_t got);
void loft_test_eq_str(loft_test_place place, const char *what, const char *got, const char *want);
void loft_test_contains(loft_test_place place, const char *what, const char *text,
                        const char *part);
void loft_test_eq_mem(loft_test_place place, const char *what, const void *got, const void *want,
                      size_t bytes);
void loft_test_ok(loft_test_place place, const char *what, int code);
void loft_test_err(loft_test_place place, const char *what, int code, const char *want_name,
                   int want);
void loft_test_sys(loft_test_place place, const char *what, long result);
void loft_test_death(loft_test_place place, const char *what, void (*fn)(void *arg), void *arg,
                     int signal, const char *part);

#endif
