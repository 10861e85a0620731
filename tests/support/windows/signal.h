/* See posix.h. */
#pragma once
#pragma GCC system_header /* for include_next */
#include_next <signal.h>

#include "support/windows/posix.h"

#ifndef SIGBUS
#define SIGBUS  7
#define SIGKILL 9
#define SIGTRAP 5
#define SIGXFSZ 25
#endif
#define kill(process, which) ((void)(process), loft_posix_lacks("signals between processes"))
