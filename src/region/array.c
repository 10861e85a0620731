/*
 * region/array.c - arrays of items in files, and variables that release themselves.
 */
#include <errno.h>
#include <string.h>

#include "base/arith.h"
#include "base/status.h"
#include "loft/region.h"

void *loft_create_array(const char *path, size_t count, size_t item_bytes, unsigned flags)
{
    uint64_t bytes;
    if (!lofti_arith_mul(count, item_bytes, &bytes)) {
        return lofti_status_null(lofti_status_fail(LOFT_EOVERFLOW, "create", path,
                                                   "%zu items of %zu bytes", count, item_bytes));
    }
    return loft_create(path, (size_t)bytes, flags);
}

void *loft_open_array(const char *path, unsigned flags, size_t item_bytes, size_t *count)
{
    if (item_bytes == 0) {
        return lofti_status_null(lofti_status_fail(LOFT_EINVAL, "open", path, "items of 0 bytes"));
    }
    size_t bytes;
    void *items = loft_open(path, flags, 0, 0, &bytes);
    if (items != NULL && count != NULL) {
        *count = bytes / item_bytes;
    }
    return items;
}

/* The variable may be a pointer to anything: its bytes are what all of them share. */
static void *auto_value(const void *variable)
{
    void *address;
    memcpy(&address, variable, sizeof address);
    return address;
}

void loft_auto_free(void *variable)
{
    const int error = errno;
    (void)loft_free(auto_value(variable));
    errno = error;
}

void loft_auto_close(void *variable)
{
    const int error = errno;
    void *address = auto_value(variable);
    if (address != NULL) {
        (void)loft_close(address);
    }
    errno = error;
}
