/* See posix.h. */
#pragma once
#pragma GCC system_header /* for include_next */
#include "support/windows/posix.h"

#define getrandom loft_posix_getrandom
