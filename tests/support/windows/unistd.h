/* See posix.h. */
#pragma once
#pragma GCC system_header /* for include_next */
#include_next <unistd.h>

#include "support/windows/posix.h"

int64_t pread(int fd, void *data, size_t bytes, int64_t off);
int64_t pwrite(int fd, const void *data, size_t bytes, int64_t off);
int pipe(int ends[2]);
int symlink(const char *from, const char *to);
int link(const char *from, const char *to);

/* The runtime's take counts of 32 bits. */
#define read(fd, data, bytes)  read((fd), (data), (unsigned)(bytes))
#define write(fd, data, bytes) write((fd), (data), (unsigned)(bytes))

#define truncate       loft_posix_truncate
#define ftruncate      loft_posix_ftruncate
#define _SC_PAGESIZE   1
#define sysconf(what)  loft_posix_page_bytes()
#define pause()        loft_posix_lacks("signals between processes")
#define alarm(seconds) loft_posix_lacks("alarm")
#define fork()         loft_posix_lacks("fork")
#define geteuid()      loft_posix_lacks("user numbers")
#define seteuid(user)  loft_posix_lacks("user numbers")
#define setegid(group) loft_posix_lacks("user numbers")
