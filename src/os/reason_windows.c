/*
 * os/reason_windows.c - errno values in words (base/reason.h): Windows' own, where one of its errors is behind
 * them, else the C library's.
 */
#include "os/system_windows.h"

#include <stdio.h>
#include <string.h>

#include "base/reason.h"

/* Windows ends its texts with a full stop and a new line. */
static void text_trim(char *text)
{
    size_t length = strlen(text);
    while (length > 0 && strchr("\r\n .", text[length - 1]) != NULL) {
        text[--length] = '\0';
    }
}

const char *lofti_reason_text(int error, char *buffer, size_t bytes)
{
    wchar_t wide[256]; /* units: the longest of these texts has some 130 */
    const DWORD windows = lofti_windows_latest(error);
    buffer[0] = '\0';
    if (windows != 0 &&
        FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, windows, 0,
                       wide, sizeof wide / sizeof wide[0], NULL) != 0) {
        lofti_wide_text(wide, buffer, bytes);
        text_trim(buffer);
    }
    if (buffer[0] == '\0' && strerror_s(buffer, bytes, error) != 0) {
        (void)snprintf(buffer, bytes, "error %d", error);
    }
    return buffer;
}

int lofti_reason_plain(int error) { return error; }
