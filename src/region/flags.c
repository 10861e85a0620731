/*
 * region/flags.c - the table flag x function, the one place that says what is allowed.
 *
 * It is the table at the head of loft/region.h, turned into words of bits; tests/region_flags.c
 * tries every combination of flags against a second, independent reading of that table.
 */
#include "region/flags.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

typedef struct flags_row {
    unsigned allowed;
    unsigned implied;
} flags_row;

#define FLAGS_NEW_FILE                                                                             \
    (LOFT_WRITE | LOFT_GROW | LOFT_EXCLUSIVE | LOFT_REPLACE | LOFT_PREALLOCATE | LOFT_RANDOM |     \
     LOFT_ASYNC | LOFT_LOCK)
#define FLAGS_CREATE (FLAGS_NEW_FILE | LOFT_TRUNCATE | LOFT_KEEP | LOFT_POPULATE | LOFT_HUGE)
#define FLAGS_OPEN_HANDLE                                                                          \
    (LOFT_WRITE | LOFT_COPY | LOFT_GROW | LOFT_PREALLOCATE | LOFT_POPULATE | LOFT_RANDOM |         \
     LOFT_ASYNC | LOFT_HUGE | LOFT_NORESERVE)

static const flags_row flags_rows[LOFTI_FLAGS_COLUMNS] = {
    [LOFTI_FLAGS_MAP] = {LOFT_WRITE | LOFT_POPULATE | LOFT_SHARED | LOFT_HUGE | LOFT_NORESERVE,
                         LOFT_WRITE},
    [LOFTI_FLAGS_CREATE] = {FLAGS_CREATE, LOFT_WRITE},
    [LOFTI_FLAGS_CREATE_FROM] = {FLAGS_CREATE, LOFT_WRITE},
    [LOFTI_FLAGS_ADOPT] = {FLAGS_NEW_FILE, LOFT_WRITE},
    [LOFTI_FLAGS_OPEN] = {FLAGS_OPEN_HANDLE | LOFT_LOCK, 0},
    [LOFTI_FLAGS_OPEN_HANDLE] = {FLAGS_OPEN_HANDLE, 0},
    [LOFTI_FLAGS_RESIZE] = {LOFT_GROW | LOFT_TRUNCATE | LOFT_PREALLOCATE | LOFT_INPLACE, 0},
    [LOFTI_FLAGS_SYNC] = {LOFT_ASYNC, 0},
    [LOFTI_FLAGS_PROTECT] = {LOFT_WRITE, 0},
};

/* At most one flag of each of these words. */
static const unsigned flags_alternatives[] = {
    LOFT_WRITE | LOFT_COPY, LOFTI_FLAGS_EXISTING,
    LOFT_RANDOM | LOFT_POPULATE, /* populating reads ahead, which is what RANDOM forbids */
    LOFT_RANDOM | LOFT_HUGE,     /* a store would dirty a whole huge page */
};

/* Where a file is opened: these flags need that one. */
typedef struct flags_need {
    unsigned flags;
    unsigned needed;
} flags_need;

static const flags_need flags_needs[] = {
    {LOFT_GROW | LOFT_PREALLOCATE | LOFT_ASYNC, LOFT_WRITE},
    {LOFT_NORESERVE, LOFT_COPY},
};

typedef struct flags_name {
    unsigned flag;
    const char *name;
} flags_name;

static const flags_name flags_names[] = {
#define FLAGS_NAME(flag)                                                                           \
    {                                                                                              \
        flag, #flag                                                                                \
    }
    FLAGS_NAME(LOFT_WRITE),    FLAGS_NAME(LOFT_COPY),        FLAGS_NAME(LOFT_GROW),
    FLAGS_NAME(LOFT_TRUNCATE), FLAGS_NAME(LOFT_KEEP),        FLAGS_NAME(LOFT_EXCLUSIVE),
    FLAGS_NAME(LOFT_REPLACE),  FLAGS_NAME(LOFT_PREALLOCATE), FLAGS_NAME(LOFT_POPULATE),
    FLAGS_NAME(LOFT_RANDOM),   FLAGS_NAME(LOFT_SHARED),      FLAGS_NAME(LOFT_ASYNC),
    FLAGS_NAME(LOFT_HUGE),     FLAGS_NAME(LOFT_NORESERVE),   FLAGS_NAME(LOFT_INPLACE),
    FLAGS_NAME(LOFT_LOCK),
#undef FLAGS_NAME
};

/* The name of the lowest of some flags; NULL if it has none. */
static const char *flags_name_of(unsigned flags)
{
    const unsigned lowest = flags & (0u - flags);
    for (size_t i = 0; i < sizeof flags_names / sizeof flags_names[0]; i++) {
        if (flags_names[i].flag == lowest) {
            return flags_names[i].name;
        }
    }
    return NULL;
}

static int flags_fail_unknown(const char *operation, const char *path, unsigned unwanted)
{
    const char *name = flags_name_of(unwanted);
    if (name == NULL) {
        return lofti_status_fail(LOFT_EINVAL, operation, path, "unknown flags 0x%x", unwanted);
    }
    return lofti_status_fail(LOFT_EINVAL, operation, path, "%s does not go with this call", name);
}

static int flags_check_together(const char *operation, const char *path, unsigned flags)
{
    for (size_t i = 0; i < sizeof flags_alternatives / sizeof flags_alternatives[0]; i++) {
        const unsigned given = flags & flags_alternatives[i];
        const unsigned others = given & (given - 1); /* without the lowest */
        if (others != 0) {
            return lofti_status_fail(LOFT_EINVAL, operation, path, "%s does not go with %s",
                                     flags_name_of(given), flags_name_of(others));
        }
    }
    return 0;
}

static int flags_check_needs(const char *operation, const char *path, unsigned flags)
{
    for (size_t i = 0; i < sizeof flags_needs / sizeof flags_needs[0]; i++) {
        const unsigned given = flags & flags_needs[i].flags;
        if (given != 0 && (flags & flags_needs[i].needed) == 0) {
            return lofti_status_fail(LOFT_EINVAL, operation, path, "%s needs %s",
                                     flags_name_of(given), flags_name_of(flags_needs[i].needed));
        }
    }
    return 0;
}

int lofti_flags_check(lofti_flags_column column, const char *operation, const char *path,
                      unsigned *flags)
{
    const flags_row *row = &flags_rows[column];
    const unsigned unwanted = *flags & ~row->allowed;
    if (unwanted != 0) {
        return flags_fail_unknown(operation, path, unwanted);
    }
    *flags |= row->implied;
    int code = flags_check_together(operation, path, *flags);
    const bool opens = column == LOFTI_FLAGS_OPEN || column == LOFTI_FLAGS_OPEN_HANDLE;
    if (code == 0 && opens) {
        code = flags_check_needs(operation, path, *flags);
    }
    return code;
}
