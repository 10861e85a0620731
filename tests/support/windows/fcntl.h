/* See posix.h. */
#pragma once
#pragma GCC system_header /* for include_next */
#include_next <fcntl.h>

#include "support/windows/posix.h"

#define O_CLOEXEC  0
#define O_NONBLOCK 0
#define F_GETFD    1
#define F_GETFL    3
#define FD_CLOEXEC 1
#define open       loft_posix_open
#define fcntl      loft_posix_fcntl
