/* See posix.h. */
#pragma once
#pragma GCC system_header /* for include_next */
#include <signal.h>

#include "support/windows/posix.h"

#define waitpid(child, status, how) loft_posix_lacks("fork")
#define WIFEXITED(status)           (status)
#define WEXITSTATUS(status)         (status)
#define WIFSIGNALED(status)         (status)
#define WTERMSIG(status)            (status)
