/*
 * base/status.c - the calling thread's last failure, and the public functions that tell it.
 */
#include "base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/reason.h"
#include "loft/version.h"

enum {
    STATUS_TEXT_BYTES = 1024,  /* the longest sentence kept */
    STATUS_REASON_BYTES = 512, /* of it, the reason */
    STATUS_PATH_BYTES = 400    /* a longer path loses its beginning, not its end */
};

/* The buffer is touched by failures only, so it stays out of the static TLS block, of which a
 * program that loads the library late has little. */
typedef struct status_record {
    int code;
    char text[STATUS_TEXT_BYTES];
} status_record;

static __thread status_record status_last __attribute__((tls_model("global-dynamic")));

typedef struct status_entry {
    int code;
    const char *name;
    const char *text;
} status_entry;

static const status_entry status_table[] = {
#define STATUS_ENTRY(name, value, text) {value, #name, text},
    LOFT_ERROR_LIST(STATUS_ENTRY)
#undef STATUS_ENTRY
};

enum { STATUS_COUNT = sizeof status_table / sizeof status_table[0] };

/* The list is dense from 0 downward, so a code is an index. */
_Static_assert((int)LOFT_OK == 0 && (int)LOFT_EPENDING == -(STATUS_COUNT - 1), "codes are dense");

static const status_entry *status_find(int code)
{
    if (code > 0 || code <= -STATUS_COUNT) {
        return NULL;
    }
    LOFTI_ASSERT(status_table[-code].code == code);
    return &status_table[-code];
}

const char *loft_error_name(int code)
{
    const status_entry *entry = status_find(code);
    return entry != NULL ? entry->name : "LOFT_UNKNOWN";
}

const char *loft_error_text(int code)
{
    const status_entry *entry = status_find(code);
    return entry != NULL ? entry->text : "unknown error";
}

int loft_last_code(void) { return status_last.code; }

const char *loft_last_error(void) { return status_last.text; }

const char *loft_version(void) { return LOFT_VERSION_TEXT; }

typedef struct status_pair {
    int error; /* errno */
    int code;
} status_pair;

static const status_pair status_pairs[] = {
    {EINVAL, LOFT_EINVAL},
    {ENOMEM, LOFT_ENOMEM},
    {EAGAIN, LOFT_EBUSY},
    {ENOSPC, LOFT_ENOSPC},
    {EIO, LOFT_EIO},
    {ENOENT, LOFT_ENOENT},
    {ENOTDIR, LOFT_ENOENT},
    {EEXIST, LOFT_EEXIST},
    {EACCES, LOFT_EACCES},
    {EPERM, LOFT_EACCES},
    {EROFS, LOFT_EACCES},
    {ETXTBSY, LOFT_EBUSY},
    {EBUSY, LOFT_EBUSY},
    {EFBIG, LOFT_ENOSPC},
    {EOVERFLOW, LOFT_EOVERFLOW},
    {ERANGE, LOFT_ERANGE},
    {EOPNOTSUPP, LOFT_ENOTSUP},
    {ENOSYS, LOFT_ENOTSUP},
    {ENODEV, LOFT_ENOTSUP},
    {EXDEV, LOFT_ENOTSUP},
    {ELOOP, LOFT_EINVAL},
    {EISDIR, LOFT_EINVAL},
    {ENXIO, LOFT_EINVAL},
    {ENAMETOOLONG, LOFT_EINVAL},
    {ECANCELED, LOFT_ECANCELED},
};

int lofti_status_code(int error)
{
    const int positive = lofti_reason_plain(error < 0 ? -error : error);
    for (size_t i = 0; i < sizeof status_pairs / sizeof status_pairs[0]; i++) {
        if (status_pairs[i].error == positive) {
            return status_pairs[i].code;
        }
    }
    /* EMFILE, ENFILE, ELIBBAD and their like: the system would not do it. */
    return LOFT_EIO;
}

/* The errno that a NULL result carries. */
static int status_errno(int code)
{
    for (size_t i = 0; i < sizeof status_pairs / sizeof status_pairs[0]; i++) {
        if (status_pairs[i].code == code) {
            return status_pairs[i].error;
        }
    }
    switch (code) {
    case LOFT_EADDRESS: return EADDRINUSE;
    case LOFT_EREADONLY: return EROFS;
    case LOFT_ECORRUPT:
    case LOFT_EVERSION: return EBADMSG;
    case LOFT_EPENDING: return EINPROGRESS;
    default: return EIO; /* EPOISONED, EFORKED: no further access */
    }
}

static void status_record_sentence(int code, const char *operation, const char *path,
                                   const char *reason)
{
    status_record *last = &status_last;
    last->code = code;
    const char *cut = "";
    if (path != NULL && strlen(path) > STATUS_PATH_BYTES) {
        path += strlen(path) - STATUS_PATH_BYTES;
        cut = "...";
    }
    if (operation != NULL && path != NULL) {
        (void)snprintf(last->text, sizeof last->text, "%s '%s%s': %s", operation, cut, path,
                       reason);
    } else if (operation != NULL || path != NULL) {
        (void)snprintf(last->text, sizeof last->text, "%s%s: %s", cut,
                       operation != NULL ? operation : path, reason);
    } else {
        (void)snprintf(last->text, sizeof last->text, "%s", reason);
    }
}

int lofti_status_fail(int code, const char *operation, const char *path, const char *format, ...)
{
    char reason[STATUS_REASON_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    status_record_sentence(code, operation, path, reason);
    return code;
}

int lofti_status_system(int error, const char *operation, const char *path)
{
    const int positive = error < 0 ? -error : error;
    char buffer[STATUS_REASON_BYTES];
    const char *reason = lofti_reason_text(positive, buffer, sizeof buffer);
    const int code = lofti_status_code(positive);
    status_record_sentence(code, operation, path, reason);
    return code;
}

void *lofti_status_null(int code)
{
    errno = status_errno(code);
    return NULL;
}

void lofti_status_copy(char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%s", status_last.text);
}

_Noreturn void lofti_check_failed(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "loft: internal check failed: %s (%s:%d)\n", what, file, line);
    abort();
}
