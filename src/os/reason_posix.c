/*
 * os/reason_posix.c - errno values in words (base/reason.h), by POSIX' strerror_r, which fills a buffer.
 */
#include "base/reason.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const char *lofti_reason_text(int error, char *buffer, size_t bytes)
{
    if (strerror_r(error, buffer, bytes) != 0) {
        (void)snprintf(buffer, bytes, "error %d", error);
    }
    return buffer;
}

int lofti_reason_plain(int error) { return error == EDQUOT ? ENOSPC : error; }
