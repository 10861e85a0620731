/* See posix.h. */
#pragma once
#pragma GCC system_header /* for include_next */
#include_next <sys/stat.h>

#include "support/windows/posix.h"

#define ino_t uint64_t
#undef stat
#undef fstat
#define stat               loft_posix_stat
#define fstat              loft_posix_fstat
#define mkdir              loft_posix_mkdir
#define mkfifo(path, mode) loft_posix_lacks("FIFOs")
#ifndef S_ISLNK
#define S_ISLNK(mode) 0
#endif
