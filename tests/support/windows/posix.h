/* What the tests use of POSIX, on Windows: the headers beside this one (sys/mman.h and others) stand for those
 * that mingw lacks or has in part, so that the test bodies are the same on every platform. What Windows has not
 * (fork, FIFOs, mounts, resource limits) skips the test that asks for it. */
#ifndef LOFT_TESTS_SUPPORT_WINDOWS_POSIX_H
#define LOFT_TESTS_SUPPORT_WINDOWS_POSIX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PROT_NONE           0
#define PROT_READ           1
#define PROT_WRITE          2
#define MAP_SHARED          1
#define MAP_PRIVATE         2
#define MAP_FIXED           16
#define MAP_ANONYMOUS       32
#define MAP_NORESERVE       0x4000
#define MAP_FIXED_NOREPLACE 0x100000
#define MAP_FAILED          ((void *)-1)
#define MADV_DONTNEED       4

/* Anonymous memory only; in place of nothing, or of all that was mapped there. */
void *loft_posix_mmap(void *at, size_t bytes, int protection, int flags, int fd, int64_t off);
int loft_posix_munmap(void *at, size_t bytes);
int loft_posix_mprotect(void *at, size_t bytes, int protection);

struct loft_posix_stat {
    uint64_t st_dev, st_ino;
    unsigned st_mode, st_nlink;
    int64_t st_size, st_blocks;
};
int loft_posix_stat(const char *path, struct loft_posix_stat *out);
int loft_posix_fstat(int fd, struct loft_posix_stat *out);

int loft_posix_open(const char *path, int flags, ...);
int loft_posix_truncate(const char *path, int64_t bytes);
int loft_posix_ftruncate(int fd, int64_t bytes);
int loft_posix_fcntl(int fd, int command, ...);
int loft_posix_mkdir(const char *path, unsigned mode);
long loft_posix_page_bytes(void);
int64_t loft_posix_getrandom(void *data, size_t bytes, unsigned flags);

/* Skips the running test: Windows has no `what`. */
_Noreturn int loft_posix_lacks(const char *what);

struct loft_posix_rlimit {
    uint64_t rlim_cur, rlim_max;
};

#endif
