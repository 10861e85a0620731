/*
 * os/map_unix.h - the calls of mapping that Linux and POSIX have in common.
 */
#ifndef LOFTI_OS_MAP_UNIX_H
#define LOFTI_OS_MAP_UNIX_H

#include "os/map.h"

/* 0 or -errno, of a call that answers less than 0 where it fails. */
int lofti_map_unix_result(long result);
/* What mmap and mprotect call RESERVE, READ and WRITE. */
int lofti_map_unix_protection(unsigned flags);

/* As in lofti_map_ops. */
int lofti_map_unix_unmap(void *at, size_t bytes);
int lofti_map_unix_protect(void *at, size_t bytes, unsigned flags);
int lofti_map_unix_sync(void *at, size_t bytes, bool wait);
int lofti_map_unix_lock(void *at, size_t bytes, bool on);

#endif /* LOFTI_OS_MAP_UNIX_H */
