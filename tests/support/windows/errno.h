/* See posix.h. */
#pragma once
#pragma GCC system_header /* for include_next */
#include_next <errno.h>

/* What these become, where the system has them. */
#ifndef EDQUOT
#define EDQUOT ENOSPC
#define ESTALE EIO
#endif
