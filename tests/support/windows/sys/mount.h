/* See posix.h. */
#pragma once
#pragma GCC system_header /* for include_next */
#include "support/windows/posix.h"

#define MS_REC                                   0
#define MS_PRIVATE                               0
#define mount(source, target, type, flags, data) loft_posix_lacks("mounts of a test's own")
#define umount(target)                           loft_posix_lacks("mounts of a test's own")
