/* What lofti_place_give_up in src/os/place.c relies on: after a fixed mapping or a move onto a
 * reservation has failed, the reservation is still there whole or it is gone whole; never a part
 * of it. (Linux has done both, by version and by kind of failure.) */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "support/test.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

enum { PAGES = 8 };

/* How many of the pages at `at` are taken. */
static unsigned taken(char *at, size_t page)
{
    unsigned count = 0;
    for (unsigned i = 0; i < PAGES; i++) {
        char *want = at + i * page;
        char *got =
            mmap(want, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        if (got != MAP_FAILED) {
            LOFT_CHECK_SYS(munmap(got, page));
        }
        count += got != want;
    }
    return count;
}

static char *reserve(size_t bytes)
{
    char *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    LOFT_CHECK_NE_PTR(at, MAP_FAILED);
    return at;
}

LOFT_TEST(probe_fixed_failure, a_refused_mapping_leaves_all_or_nothing)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const int folder = open(loft_test_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    LOFT_CHECK_SYS(folder);
    char *at = reserve(PAGES * page);
    /* Whether a folder can be mapped is found out late, by its file system. */
    LOFT_CHECK_EQ_PTR(mmap(at, PAGES * page, PROT_READ, MAP_PRIVATE | MAP_FIXED, folder, 0),
                      MAP_FAILED);
    LOFT_CHECK_EQ_INT(errno, ENODEV);
    const unsigned left = taken(at, page);
    LOFT_CHECK_TRUE(left == 0 || left == PAGES);
}

LOFT_TEST(probe_fixed_failure, a_refused_move_leaves_all_or_nothing)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *to = reserve(PAGES * page);
    char *from = reserve(4 * page);
    LOFT_CHECK_SYS(mprotect(from + page, page, PROT_READ)); /* several mappings: refused */
    errno = 0;
    void *got = mremap(from, 4 * page, PAGES * page, MREMAP_MAYMOVE | MREMAP_FIXED, to);
    LOFT_CHECK_EQ_PTR(got, MAP_FAILED);
    const unsigned left = taken(to, page);
    LOFT_CHECK_TRUE(left == 0 || left == PAGES);
}
