/*
 * os/reason_linux.c - errno values in words (base/reason.h), by the GNU C library.
 */
#include "base/reason.h"

#include <errno.h>
#include <string.h>

const char *lofti_reason_text(int error, char *buffer, size_t bytes)
{
    return strerror_r(error, buffer, bytes);
}

int lofti_reason_plain(int error) { return error == EDQUOT ? ENOSPC : error; }
