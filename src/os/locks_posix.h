/*
 * os/locks_posix.h - locks of a file's bytes that are each descriptor's own, made of POSIX' classic ones.
 */
#ifndef LOFTI_OS_LOCKS_POSIX_H
#define LOFTI_OS_LOCKS_POSIX_H

#include <stdint.h>

/* As `lock` of os/file.h. -ENOLCK: this process holds as many as there is room for. */
int lofti_locks_set(int fd, int kind, uint64_t off);
/* As close(2); but where a lock would be lost by it that another descriptor set, this one stays open. */
int lofti_locks_close(int fd);
/* One of those that stayed open, for an open of `path` with the access of `how`; -1: there is none. */
int lofti_locks_reuse(const char *path, int how);
/* How many stayed open. */
int lofti_locks_kept(void);

#endif /* LOFTI_OS_LOCKS_POSIX_H */
