/* See posix.h. */
#pragma once
#pragma GCC system_header /* for include_next */
#include "support/windows/posix.h"

#define mmap                    loft_posix_mmap
#define munmap                  loft_posix_munmap
#define mprotect                loft_posix_mprotect
#define mincore(at, bytes, out) ((void)(at), (void)(out), loft_posix_lacks("mincore"))
