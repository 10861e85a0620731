/* The temporary folders of a test program:
 *
 *     ${TMPDIR:-/tmp}/loft-test.XXXXXX/       the session, one per program run
 *         suite.name/                         one per test that asks for it
 *
 * Names follow from the test alone, so every process of a test finds the same folder, and the
 * runner can remove what a test that crashed has left. */
#ifndef LOFT_TESTS_SUPPORT_FOLDER_H
#define LOFT_TESTS_SUPPORT_FOLDER_H

#include "support/runner.h"

/* Returns: the folder of this test, made at the first call. */
const char *loft_test_folder_make(const loft_test *test);
/* Returns: name below it, allocated and kept until the process ends. */
const char *loft_test_folder_path(const loft_test *test, const char *name);
/* Removes it with all it holds; nothing happens when there is none. */
void loft_test_folder_remove(const loft_test *test);

#endif
