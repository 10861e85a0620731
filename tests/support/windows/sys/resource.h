/* See posix.h. */
#pragma once
#pragma GCC system_header /* for include_next */
#include "support/windows/posix.h"

#define rlimit                  loft_posix_rlimit
#define rlim_t                  uint64_t
#define RLIMIT_CORE             4
#define RLIMIT_AS               9
#define RLIMIT_FSIZE            1
#define RLIMIT_NOFILE           7
#define RLIMIT_MEMLOCK          8
#define RLIM_INFINITY           UINT64_MAX
#define setrlimit(which, limit) ((void)(limit), loft_posix_lacks("resource limits"))
#define getrlimit(which, limit) ((void)(limit), loft_posix_lacks("resource limits"))
