/* What src/os/place.c relies on (Linux 4.17): MAP_FIXED_NOREPLACE maps exactly where it is told
 * and answers EEXIST, touching nothing, where any of it is taken. Where it is taken for a mere
 * hint (older kernels, qemu, Valgrind, MemorySanitizer) the answer lies elsewhere, and comparing
 * it is what keeps loft right. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/test.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static unsigned char *map(unsigned char *at, size_t bytes, int extra)
{
    return mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | extra, -1, 0);
}

LOFT_TEST(probe_noreplace, it_is_exact_or_it_says_so)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    unsigned char *room = map(NULL, 8 * page, 0);
    LOFT_CHECK_NE_PTR(room, MAP_FAILED);
    memset(room, 'x', 8 * page);
    LOFT_CHECK_SYS(munmap(room + 2 * page, 4 * page));
    static const struct {
        size_t first, count;
        int is_free;
    } cases[] = {{2, 4, 1}, {1, 2, 0}, {5, 2, 0}, {1, 6, 0}, {0, 1, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unsigned char *want = room + cases[i].first * page;
        unsigned char *got = map(want, cases[i].count * page, MAP_FIXED_NOREPLACE);
        if (got != MAP_FAILED) {
            const int is_exact = got == want;
            LOFT_CHECK_SYS(munmap(got, cases[i].count * page));
            LOFT_CHECK_EQ_INT(is_exact, cases[i].is_free); /* moved only if it is taken */
        } else {
            LOFT_CHECK_EQ_INT(errno, EEXIST);
            LOFT_CHECK_FALSE(cases[i].is_free);
        }
        LOFT_CHECK_EQ_INT(room[2 * page - 1], 'x');
        LOFT_CHECK_EQ_INT(room[6 * page], 'x');
    }
}
