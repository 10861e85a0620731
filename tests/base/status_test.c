/* How a failure becomes a code and a sentence, and that each thread has its own. */
#include "base/status.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "loft/version.h"
#include "support/test.h"

typedef struct expected {
    int code;
    const char *name;
    const char *text;
} expected;

static const expected expected_codes[] = {
#define EXPECTED(name, value, text) {value, #name, text},
    LOFT_ERROR_LIST(EXPECTED)
#undef EXPECTED
};

enum { EXPECTED_COUNT = sizeof expected_codes / sizeof expected_codes[0] };

LOFT_TEST(status, every_code_has_its_name_and_its_text)
{
    LOFT_CHECK_EQ_INT(EXPECTED_COUNT, 20); /* ABI: new ones are appended, none goes */
    for (int i = 0; i < EXPECTED_COUNT; i++) {
        LOFT_CHECK_EQ_INT(expected_codes[i].code, -i);
        LOFT_CHECK_EQ_STR(loft_error_name(-i), expected_codes[i].name);
        LOFT_CHECK_EQ_STR(loft_error_text(-i), expected_codes[i].text);
        for (int k = 0; k < i; k++) {
            LOFT_CHECK_TRUE(strcmp(loft_error_text(-i), loft_error_text(-k)) != 0);
        }
    }
    LOFT_CHECK_EQ_STR(loft_error_name(LOFT_EPENDING), "LOFT_EPENDING");
}

LOFT_TEST(status, other_numbers_are_unknown)
{
    const int others[] = {1, 2, 1000, -EXPECTED_COUNT, -EXPECTED_COUNT - 1, INT32_MIN, INT32_MAX};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        LOFT_CHECK_EQ_STR(loft_error_name(others[i]), "LOFT_UNKNOWN");
        LOFT_CHECK_EQ_STR(loft_error_text(others[i]), "unknown error");
    }
}

LOFT_TEST(status, before_the_first_failure_there_is_none)
{
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_OK);
    LOFT_CHECK_EQ_STR(loft_last_error(), "");
}

LOFT_TEST(status, a_sentence_has_operation_path_and_reason)
{
    LOFT_CHECK_EQ_INT(lofti_status_fail(LOFT_ERANGE, "grow", "/a/b", "%d of %s", 7, "x"),
                      LOFT_ERANGE);
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ERANGE);
    LOFT_CHECK_EQ_STR(loft_last_error(), "grow '/a/b': 7 of x");
    (void)lofti_status_fail(LOFT_EINVAL, "grow", NULL, "no");
    LOFT_CHECK_EQ_STR(loft_last_error(), "grow: no");
    (void)lofti_status_fail(LOFT_EINVAL, NULL, "/a/b", "no");
    LOFT_CHECK_EQ_STR(loft_last_error(), "/a/b: no");
    (void)lofti_status_fail(LOFT_EINVAL, NULL, NULL, "no");
    LOFT_CHECK_EQ_STR(loft_last_error(), "no");
}

LOFT_TEST(status, the_system_s_reason_is_in_the_sentence)
{
    LOFT_CHECK_EQ_INT(lofti_status_system(-ENOSPC, "commit", "data"), LOFT_ENOSPC);
    LOFT_CHECK_EQ_STR(loft_last_error(), "commit 'data': No space left on device");
    LOFT_CHECK_EQ_INT(lofti_status_system(ENOENT, "open", "data"), LOFT_ENOENT);
    LOFT_CHECK_EQ_STR(loft_last_error(), "open 'data': No such file or directory");
}

LOFT_TEST(status, a_sentence_may_quote_the_one_before_it)
{
    (void)lofti_status_fail(LOFT_EIO, "write", "data", "bad block");
    (void)lofti_status_fail(LOFT_EPENDING, "checkpoint", "data", "held off: %s", loft_last_error());
    LOFT_CHECK_EQ_STR(loft_last_error(), "checkpoint 'data': held off: write 'data': bad block");
    char copy[16];
    lofti_status_copy(copy, sizeof copy);
    LOFT_CHECK_EQ_STR(copy, "checkpoint 'dat"); /* cut, and ended */
}

LOFT_TEST(status, a_long_path_loses_its_beginning_and_never_its_end)
{
    static char path[8192];
    memset(path, 'p', sizeof path - 1);
    memcpy(path + sizeof path - 9, "/the-end", 8);
    (void)lofti_status_fail(LOFT_EIO, "open", path, "%s", "the reason");
    const char *sentence = loft_last_error();
    LOFT_CHECK_CONTAINS(sentence, "open '...ppp");
    LOFT_CHECK_CONTAINS(sentence, "/the-end': the reason");
    LOFT_CHECK_LT_UINT(strlen(sentence), 1024);
}

LOFT_TEST(status, a_long_reason_is_cut_and_the_sentence_still_ends)
{
    static char reason[8192];
    memset(reason, 'r', sizeof reason - 1);
    (void)lofti_status_fail(LOFT_EIO, "open", "data", "%s", reason);
    LOFT_CHECK_CONTAINS(loft_last_error(), "open 'data': rrrr");
    LOFT_CHECK_LT_UINT(strlen(loft_last_error()), 1024);
}

typedef struct mapping {
    int error;
    int code;
} mapping;

static const mapping mappings[] = {
    {EINVAL, LOFT_EINVAL},  {ENOMEM, LOFT_ENOMEM},       {ENOSPC, LOFT_ENOSPC},
    {EDQUOT, LOFT_ENOSPC},  {EFBIG, LOFT_ENOSPC},        {EIO, LOFT_EIO},
    {ENOENT, LOFT_ENOENT},  {ENOTDIR, LOFT_ENOENT},      {EEXIST, LOFT_EEXIST},
    {EACCES, LOFT_EACCES},  {EPERM, LOFT_EACCES},        {EROFS, LOFT_EACCES},
    {EBUSY, LOFT_EBUSY},    {EAGAIN, LOFT_EBUSY},        {ETXTBSY, LOFT_EBUSY},
    {ERANGE, LOFT_ERANGE},  {EOVERFLOW, LOFT_EOVERFLOW}, {EOPNOTSUPP, LOFT_ENOTSUP},
    {ENOSYS, LOFT_ENOTSUP}, {ECANCELED, LOFT_ECANCELED}, {ELOOP, LOFT_EINVAL},
    {EISDIR, LOFT_EINVAL},  {ENAMETOOLONG, LOFT_EINVAL}, {EMFILE, LOFT_EIO},
    {ESTALE, LOFT_EIO},     {-12345678, LOFT_EIO},
};

LOFT_TEST(status, an_errno_of_either_sign_becomes_the_nearest_code)
{
    for (size_t i = 0; i < sizeof mappings / sizeof mappings[0]; i++) {
        LOFT_CHECK_EQ_INT(lofti_status_code(mappings[i].error), mappings[i].code);
        LOFT_CHECK_EQ_INT(lofti_status_code(-mappings[i].error), mappings[i].code);
    }
}

LOFT_TEST(status, a_null_result_carries_an_errno_for_every_code)
{
    const mapping wanted[] = {
        {EINVAL, LOFT_EINVAL},       {ENOMEM, LOFT_ENOMEM},
        {ENOSPC, LOFT_ENOSPC},       {EIO, LOFT_EIO},
        {ENOENT, LOFT_ENOENT},       {EEXIST, LOFT_EEXIST},
        {EACCES, LOFT_EACCES},       {EADDRINUSE, LOFT_EADDRESS},
        {EBADMSG, LOFT_ECORRUPT},    {EBADMSG, LOFT_EVERSION},
        {EROFS, LOFT_EREADONLY},     {EIO, LOFT_EFORKED},
        {EIO, LOFT_EPOISONED},       {ERANGE, LOFT_ERANGE},
        {EOVERFLOW, LOFT_EOVERFLOW}, {EOPNOTSUPP, LOFT_ENOTSUP},
        {ECANCELED, LOFT_ECANCELED}, {EINPROGRESS, LOFT_EPENDING},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        errno = 0;
        LOFT_CHECK_NULL(lofti_status_null(wanted[i].code));
        LOFT_CHECK_EQ_INT(errno, wanted[i].error);
    }
}

static void *other_thread(void *arg)
{
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_OK);
    LOFT_CHECK_EQ_STR(loft_last_error(), "");
    (void)lofti_status_fail(LOFT_EBUSY, "theirs", NULL, "other");
    LOFT_CHECK_EQ_STR(loft_last_error(), "theirs: other");
    return arg;
}

LOFT_TEST(status, each_thread_has_its_own)
{
    (void)lofti_status_fail(LOFT_EIO, "mine", NULL, "own");
    pthread_t thread;
    LOFT_CHECK_EQ_INT(pthread_create(&thread, NULL, other_thread, NULL), 0);
    LOFT_CHECK_EQ_INT(pthread_join(thread, NULL), 0);
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EIO);
    LOFT_CHECK_EQ_STR(loft_last_error(), "mine: own");
}

LOFT_TEST(status, the_version_is_that_of_the_header)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%d.%d.%d", LOFT_VERSION_MAJOR, LOFT_VERSION_MINOR,
                   LOFT_VERSION_PATCH);
    LOFT_CHECK_EQ_STR(loft_version(), text);
    LOFT_CHECK_EQ_STR(loft_version(), LOFT_VERSION_TEXT);
}
