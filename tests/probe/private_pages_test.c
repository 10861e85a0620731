/* What src/os/dirty_linux.c reads out of the kernel: a page of a private file mapping is the
 * file's until it is stored to, then neither PAGEMAP_SCAN nor /proc/self/pagemap calls it so; and
 * a descriptor of the pagemap is bound to the process that opened it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"

/* linux/fs.h of 6.7, under names of our own. */
struct region {
    __u64 start, end, categories;
};
struct scan_arg {
    __u64 size, flags, start, end, walk_end, vec, vec_len, max_pages;
    __u64 category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define SCAN       _IOWR('f', 16, struct scan_arg)
#define IS_FILE    ((__u64)1 << 2)
#define IS_PRESENT ((__u64)1 << 3)
#define IS_SWAPPED ((__u64)1 << 4)

enum { PAGES = 4, READ_PAGE = 1, STORED_PAGE = 2 };

static size_t page(void) { return (size_t)sysconf(_SC_PAGESIZE); }

static int open_pagemap(void)
{
    const int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        LOFT_SKIP("/proc/self/pagemap cannot be opened");
    }
    return fd;
}

/* A private mapping of a file, one page of it read, one stored to. */
static char *make(void)
{
    const int file = open(loft_test_tmp_path("file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    LOFT_CHECK_SYS(file);
    for (int i = 0; i < PAGES; i++) {
        LOFT_CHECK_EQ_INT(pwrite(file, "content", 7, (off_t)((size_t)i * page())), 7);
    }
    LOFT_CHECK_SYS(ftruncate(file, (off_t)(PAGES * page())));
    char *at = mmap(NULL, PAGES * page(), PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
    LOFT_CHECK_NE_PTR(at, MAP_FAILED);
    LOFT_CHECK_SYS(close(file));
    (void)*(volatile char *)(at + READ_PAGE * page());
    *(volatile char *)(at + STORED_PAGE * page()) = 'x';
    return at;
}

LOFT_TEST(probe_private_pages, scan_shows_the_stored_page_alone)
{
    char *at = make();
    struct region region[PAGES] = {{0, 0, 0}};
    struct scan_arg arg = {
        .size = sizeof arg,
        .start = (__u64)(uintptr_t)at,
        .end = (__u64)(uintptr_t)(at + PAGES * page()),
        .vec = (__u64)(uintptr_t)region,
        .vec_len = PAGES,
        .category_inverted = IS_FILE,
        .category_mask = IS_FILE,
        .category_anyof_mask = IS_PRESENT | IS_SWAPPED,
        .return_mask = IS_PRESENT | IS_SWAPPED,
    };
    const int found = ioctl(open_pagemap(), SCAN, &arg);
    if (found < 0 && (errno == ENOTTY || errno == EINVAL || errno == ENOSYS)) {
        LOFT_SKIP("this kernel (before 6.7), or an emulator, has no PAGEMAP_SCAN");
    }
    LOFT_CHECK_EQ_INT(found, 1);
    LOFT_CHECK_EQ_UINT(region[0].start, arg.start + STORED_PAGE * page());
    LOFT_CHECK_EQ_UINT(region[0].end, arg.start + (STORED_PAGE + 1) * page());
    LOFT_CHECK_EQ_UINT(arg.walk_end, arg.end);
}

static uint64_t word_of(int pagemap, const char *at)
{
    uint64_t word = 0;
    LOFT_CHECK_EQ_INT(pread(pagemap, &word, 8, (off_t)((uintptr_t)at / page() * 8)), 8);
    return word;
}

static int is_private(uint64_t word)
{
    return (word >> 62 & 1) != 0 || ((word >> 63 & 1) != 0 && (word >> 61 & 1) == 0);
}

LOFT_TEST(probe_private_pages, pagemap_shows_the_stored_page_alone)
{
    char *at = make();
    const int pagemap = open_pagemap();
    for (int i = 0; i < PAGES; i++) {
        const uint64_t word = word_of(pagemap, at + (size_t)i * page());
        LOFT_CHECK_EQ_INT(is_private(word), i == STORED_PAGE);
    }
    LOFT_CHECK_EQ_INT(word_of(pagemap, at + READ_PAGE * page()) >> 61, 5); /* present, file */
}

LOFT_TEST(probe_private_pages, a_descriptor_kept_over_fork_shows_the_parents_pages)
{
    char *at = make();
    const int pagemap = open_pagemap();
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        *(volatile char *)at = 'c';
        const int kept = is_private(word_of(pagemap, at));
        const int own = is_private(word_of(open_pagemap(), at));
        _exit(kept == 0 && own == 1 ? 0 : 1);
    }
    int status = 0;
    LOFT_CHECK_SYS(waitpid(child, &status, 0));
    LOFT_CHECK_EQ_INT(status, 0);
}
