/* What src/os/watch_linux.c relies on in the kernel, without any of its code: a page under asynchronous write protection
 * that is stored to, by the program or by the kernel, reads as written; get-and-protect tells it once; mapping over a
 * range, closing the descriptor and fork end the protection, and then the range does not read as protected. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

/* linux/fs.h and linux/userfaultfd.h of 6.7, under names of our own. */
struct region {
    __u64 start, end, categories;
};
struct scan_arg {
    __u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
    __u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN           _IOWR('f', 16, struct scan_arg)
#define SCAN_PROTECT   ((__u64)1 << 0)
#define IS_WATCHED     ((__u64)1 << 0)
#define IS_WRITTEN     ((__u64)1 << 1)
#define USER_MODE_ONLY 1
#define ASYNC_FEATURES (((__u64)1 << 13) | ((__u64)1 << 15)) /* WP_UNPOPULATED, WP_ASYNC */

enum { PAGES = 8 };

typedef struct watch {
    int fd, pagemap;
    char *at;
    size_t page;
} watch;

static watch begin(void)
{
    watch own = {.page = (size_t)sysconf(_SC_PAGESIZE)};
    if (loft_test_on_valgrind()) {
        LOFT_SKIP("Valgrind does not know these calls");
    }
    own.fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY);
    if (own.fd < 0) {
        LOFT_SKIP("userfaultfd is refused here");
    }
    struct uffdio_api api = {.api = UFFD_API, .features = ASYNC_FEATURES};
    if (ioctl(own.fd, UFFDIO_API, &api) != 0) {
        LOFT_SKIP("this kernel has no asynchronous write protection");
    }
    own.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (own.pagemap < 0) {
        LOFT_SKIP("/proc/self/pagemap cannot be opened");
    }
    own.at =
        mmap(NULL, PAGES * own.page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    LOFT_CHECK_TRUE(own.at != MAP_FAILED);
    memset(own.at, 1, PAGES * own.page);
    struct uffdio_register range = {.range = {(__u64)(uintptr_t)own.at, PAGES * own.page},
                                    .mode = UFFDIO_REGISTER_MODE_WP};
    LOFT_CHECK_SYS(ioctl(own.fd, UFFDIO_REGISTER, &range));
    return own;
}

/* Pages of `categories`, as bits; -1: refused. */
static int scan(const watch *own, __u64 categories, __u64 flags)
{
    struct region runs[PAGES];
    struct scan_arg arg = {.size = sizeof arg,
                           .flags = flags,
                           .start = (__u64)(uintptr_t)own->at,
                           .end = (__u64)(uintptr_t)own->at + PAGES * own->page,
                           .vec = (__u64)(uintptr_t)runs,
                           .vec_len = PAGES,
                           .category_mask = categories,
                           .return_mask = categories};
    const int count = ioctl(own->pagemap, SCAN, &arg);
    int bits = 0;
    for (int i = 0; i < count; i++) {
        for (__u64 at = runs[i].start; at < runs[i].end; at += own->page) {
            bits |= 1 << ((at - arg.start) / own->page);
        }
    }
    return count < 0 ? -1 : bits;
}

/* Everything is protected from here on. */
static watch begin_protected(void)
{
    const watch own = begin();
    if (scan(&own, IS_WRITTEN, SCAN_PROTECT) != (1 << PAGES) - 1) {
        LOFT_SKIP("PAGEMAP_SCAN does not protect what it reports here");
    }
    return own;
}

LOFT_TEST(watch, a_store_is_told_once)
{
    const watch own = begin_protected();
    LOFT_CHECK_EQ_INT(scan(&own, IS_WRITTEN, 0), 0);
    own.at[2 * own.page] = 5;
    LOFT_CHECK_EQ_INT(scan(&own, IS_WRITTEN, 0), 1 << 2); /* looking changes nothing */
    LOFT_CHECK_EQ_INT(scan(&own, IS_WRITTEN, SCAN_PROTECT), 1 << 2);
    LOFT_CHECK_EQ_INT(scan(&own, IS_WRITTEN, SCAN_PROTECT), 0);
    own.at[2 * own.page] = 5; /* the same value is a store too */
    LOFT_CHECK_EQ_INT(scan(&own, IS_WRITTEN, SCAN_PROTECT), 1 << 2);
}

LOFT_TEST(watch, a_load_is_not_told)
{
    const watch own = begin_protected();
    LOFT_CHECK_EQ_INT(*(volatile char *)&own.at[3 * own.page], 1);
    LOFT_CHECK_EQ_INT(scan(&own, IS_WRITTEN, 0), 0);
}

LOFT_TEST(watch, what_the_kernel_stores_is_told)
{
    const watch own = begin_protected();
    const int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    LOFT_CHECK_SYS(fd);
    LOFT_CHECK_EQ_INT(read(fd, own.at + 4 * own.page, 2 * own.page), 2 * own.page);
    LOFT_CHECK_EQ_INT(scan(&own, IS_WRITTEN, 0), 3 << 4);
}

LOFT_TEST(watch, mapping_over_a_range_ends_it)
{
    const watch own = begin_protected();
    LOFT_CHECK_EQ_INT(scan(&own, IS_WATCHED, 0), (1 << PAGES) - 1);
    LOFT_CHECK_TRUE(mmap(own.at, own.page, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == own.at);
    own.at[0] = 1;
    LOFT_CHECK_EQ_INT(scan(&own, IS_WATCHED, 0) & 1, 0);
    LOFT_CHECK_EQ_INT(scan(&own, IS_WRITTEN, 0) & 1, 1); /* fails closed */
}

LOFT_TEST(watch, closing_the_descriptor_ends_it)
{
    const watch own = begin_protected();
    LOFT_CHECK_SYS(close(own.fd));
    LOFT_CHECK_EQ_INT(scan(&own, IS_WATCHED, 0), 0);
}

LOFT_TEST(watch, a_child_of_fork_has_none_and_its_parent_keeps_it)
{
    watch own = begin_protected();
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        own.pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
        own.at[0] = 9;
        _exit(scan(&own, IS_WATCHED, 0) == 0 ? 0 : 1);
    }
    int status = 0;
    LOFT_CHECK_EQ_INT(waitpid(child, &status, 0), child);
    LOFT_CHECK_EQ_INT(status, 0);
    LOFT_CHECK_EQ_INT(scan(&own, IS_WRITTEN, 0), 0); /* the child's store is the child's */
    own.at[own.page] = 2;                            /* a copy is made now, and told */
    LOFT_CHECK_EQ_INT(scan(&own, IS_WRITTEN, 0), 1 << 1);
}
