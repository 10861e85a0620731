/* Descriptors that this process has, without those that the library keeps for the sake of locks (os/file.h). */
#ifndef LOFT_TESTS_SUPPORT_HELD_H
#define LOFT_TESTS_SUPPORT_HELD_H

#include "os/file.h"
#include "support/test.h"

static inline unsigned held_descriptors(void)
{
    const int kept = lofti_file_locks_keep();
    return loft_test_descriptors() - (kept > 0 ? (unsigned)kept : 0);
}

#endif /* LOFT_TESTS_SUPPORT_HELD_H */
