/*
 * os/dirty_scan_linux.h - PAGEMAP_SCAN, for the two files that use it.
 */
#ifndef LOFTI_OS_DIRTY_SCAN_LINUX_H
#define LOFTI_OS_DIRTY_SCAN_LINUX_H

#include <linux/types.h>
#include <sys/ioctl.h>

#include "os/dirty.h"

/* From Linux 6.7's uapi/linux/fs.h, which older headers lack; the layout is fixed for ever, and
 * `size` tells the kernel which one it is. Named apart from the kernel's, which may be there. */
struct dirty_region {
    __u64 start, end, categories;
};
struct dirty_scan_arg {
    __u64 size, flags;
    __u64 start, end, walk_end;
    __u64 vec, vec_len;
    __u64 max_pages;
    __u64 category_inverted, category_mask, category_anyof_mask;
    __u64 return_mask;
};
_Static_assert(sizeof(struct dirty_scan_arg) == 96, "what the kernel knows as its first version");
#define DIRTY_PAGEMAP_SCAN _IOWR('f', 16, struct dirty_scan_arg)
#define DIRTY_IS_WATCHED   ((__u64)1 << 0) /* its mapping is under asynchronous write protection */
#define DIRTY_IS_WRITTEN   ((__u64)1 << 1) /* not write-protected by userfaultfd */
#define DIRTY_IS_FILE      ((__u64)1 << 2)
#define DIRTY_IS_PRESENT   ((__u64)1 << 3)
#define DIRTY_IS_SWAPPED   ((__u64)1 << 4)
#define DIRTY_IS_ZERO      ((__u64)1 << 5)

/* Flag: write-protects what it reports, in the same step. */
#define DIRTY_SCAN_PROTECT ((__u64)1 << 0)

/* What is asked for besides "private": PRESENT or SWAPPED, neither FILE nor the zero page. */
typedef struct lofti_dirty_question {
    uint64_t all_of; /* further categories */
    uint64_t flags;
    uint64_t none_of;
} lofti_dirty_question;

/* As lofti_dirty_ops. */
int lofti_dirty_scan_open(intptr_t *handle);
void lofti_dirty_scan_close(intptr_t handle);
int lofti_dirty_scan(intptr_t handle, const lofti_dirty_question *question, uint64_t start,
                     uint64_t end, lofti_dirty_run *runs, uint32_t count, uint64_t *walked);
/* All that is not protected, private or not, and what is not there at all: asked in exactly this way the kernel looks
 * at nothing but the page table, 2 ns for a page that is protected and 10 for one that is not, instead of 40. Stops after
 * `most` pages. */
int lofti_dirty_scan_where(intptr_t handle, uint64_t start, uint64_t end, uint64_t most,
                           lofti_dirty_run *runs, uint32_t count, uint64_t *walked);
/* Reports what is there and not protected, private or not; protects it if the flags say so. */
int lofti_dirty_scan_there(intptr_t handle, uint64_t flags, uint64_t start, uint64_t end,
                           lofti_dirty_run *runs, uint32_t count, uint64_t *walked);

#endif /* LOFTI_OS_DIRTY_SCAN_LINUX_H */
