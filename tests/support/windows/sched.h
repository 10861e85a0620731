/* See posix.h. */
#pragma once
#pragma GCC system_header /* for include_next */
#include_next <sched.h>

#include "support/windows/posix.h"

#define CLONE_NEWNS    0
#define unshare(flags) loft_posix_lacks("mounts of a test's own")
