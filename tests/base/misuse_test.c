/* What happens when a caller breaks a contract, and what loft's own broken promises print. */
#include "base/misuse.h"

#include <pthread.h>
#include <signal.h>

#include "base/check.h"
#include "base/status.h"
#include "support/test.h"

static const int misuse_kinds = LOFT_MISUSE_HANDLE;

typedef struct seen {
    unsigned count;
    loft_misuse misuse;
    char text[600];
    int last_code;
} seen;

static void note(void *context, const loft_misuse *misuse)
{
    seen *into = context;
    into->count++;
    into->misuse = *misuse;
    (void)strncpy(into->text, misuse->text, sizeof into->text - 1);
    into->last_code = loft_last_code();
}

static void report_by_default(void *arg)
{
    (void)arg;
    lofti_misuse_report(LOFT_MISUSE_DOUBLE_FREE, &misuse_kinds, "free: %d times", 2);
}

LOFT_TEST(misuse, the_default_prints_the_sentence_and_aborts)
{
    LOFT_CHECK_DEATH(report_by_default, NULL, SIGABRT, "loft: misuse: free: 2 times\n");
}

LOFT_TEST(misuse, a_handler_gets_kind_address_and_text_and_may_return)
{
    seen into = {0};
    int block = 0;
    loft_set_misuse_handler(note, &into);
    lofti_misuse_report(LOFT_MISUSE_INTERIOR, &block, "free: %p is inside", (void *)&block);
    LOFT_CHECK_EQ_UINT(into.count, 1);
    LOFT_CHECK_EQ_UINT(into.misuse.struct_bytes, sizeof(loft_misuse));
    LOFT_CHECK_EQ_INT(into.misuse.kind, LOFT_MISUSE_INTERIOR);
    LOFT_CHECK_EQ_PTR(into.misuse.address, &block);
    LOFT_CHECK_CONTAINS(into.text, "is inside");
    LOFT_CHECK_EQ_INT(into.last_code, LOFT_EINVAL); /* known to the handler already */
    LOFT_CHECK_CONTAINS(loft_last_error(), "misuse: free: ");
}

LOFT_TEST(misuse, a_long_sentence_is_cut)
{
    static char text[4096];
    memset(text, 'x', sizeof text - 1);
    seen into = {0};
    loft_set_misuse_handler(note, &into);
    lofti_misuse_report(LOFT_MISUSE_FOREIGN, NULL, "%s", text);
    LOFT_CHECK_EQ_UINT(into.count, 1);
    LOFT_CHECK_EQ_UINT(strlen(into.text), 511);
}

static void restore_and_report(void *arg)
{
    loft_set_misuse_handler(note, arg);
    loft_set_misuse_handler(NULL, NULL);
    lofti_misuse_report(LOFT_MISUSE_FOREIGN, NULL, "free: foreign");
}

LOFT_TEST(misuse, null_restores_the_default)
{
    seen into = {0};
    LOFT_CHECK_DEATH(restore_and_report, &into, SIGABRT, "free: foreign");
}

static void report_again(void *context, const loft_misuse *misuse)
{
    seen *into = context;
    if (into->count++ == 0) {
        /* No lock of loft's is held: a handler may set another and may use loft. */
        loft_set_misuse_handler(note, into);
        lofti_misuse_report(misuse->kind, misuse->address, "nested");
    }
}

LOFT_TEST(misuse, a_handler_may_call_loft)
{
    seen into = {0};
    loft_set_misuse_handler(report_again, &into);
    lofti_misuse_report(LOFT_MISUSE_POOL, NULL, "outer");
    LOFT_CHECK_EQ_UINT(into.count, 2);
    LOFT_CHECK_EQ_STR(into.text, "nested");
}

/* Handler and context always belong together, also while another thread swaps them. */
typedef struct pair {
    unsigned wanted;
    unsigned wrong;
} pair;

static void expect_one(void *context, const loft_misuse *misuse)
{
    pair *own = context;
    (void)misuse;
    own->wrong += own->wanted != 1;
}

static void expect_two(void *context, const loft_misuse *misuse)
{
    pair *own = context;
    (void)misuse;
    own->wrong += own->wanted != 2;
}

static void *report_often(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        lofti_misuse_report(LOFT_MISUSE_FOREIGN, NULL, "often");
    }
    return arg;
}

LOFT_TEST(misuse, handler_and_context_change_together)
{
    pair one = {1, 0};
    pair two = {2, 0};
    pthread_t thread;
    loft_set_misuse_handler(expect_one, &one);
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, report_often, NULL), 0);
    for (int i = 0; i < 5000; i++) {
        loft_set_misuse_handler(expect_two, &two);
        loft_set_misuse_handler(expect_one, &one);
    }
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    LOFT_CHECK_EQ_UINT(one.wrong + two.wrong, 0);
}

static void break_a_check(void *arg) { LOFTI_CHECK(arg != NULL); }

LOFT_TEST(check, a_broken_one_names_itself_and_aborts)
{
    LOFT_CHECK_DEATH(break_a_check, NULL, SIGABRT, "loft: internal check failed: arg != NULL (");
}

static void break_an_assertion(void *arg)
{
    LOFTI_ASSERT(arg != NULL);
    (void)arg;
}

LOFT_TEST(check, assertions_exist_where_they_are_compiled_in)
{
#if LOFT_ASSERTS
    LOFT_CHECK_DEATH(break_an_assertion, NULL, SIGABRT, "internal check failed");
#else
    break_an_assertion(NULL);
#endif
}
