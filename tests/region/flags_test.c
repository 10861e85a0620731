/* The table flag x function, read a second time: the one at the head of loft/region.h as text,
 * against every combination of flags. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "loft/region.h"
#include "region/flags.h"
#include "region/residue.h"
#include "support/test.h"

/* Columns in the order of lofti_flags_column: map create create_from adopt open open_handle resize
 * sync protect. Copied from the header; the house's tests compare the two by eye of a reviewer. */
static const struct {
    const char *name;
    unsigned flag;
    const char *column;
} rows[] = {
    {"LOFT_WRITE", LOFT_WRITE, "====yy..y"},
    {"LOFT_COPY", LOFT_COPY, "....yy..."},
    {"LOFT_GROW", LOFT_GROW, ".yyywwy.."},
    {"LOFT_TRUNCATE", LOFT_TRUNCATE, ".yy...y.."},
    {"LOFT_KEEP", LOFT_KEEP, ".yy......"},
    {"LOFT_EXCLUSIVE", LOFT_EXCLUSIVE, ".yyy....."},
    {"LOFT_REPLACE", LOFT_REPLACE, ".yyy....."},
    {"LOFT_PREALLOCATE", LOFT_PREALLOCATE, ".yyywwy.."},
    {"LOFT_POPULATE", LOFT_POPULATE, "yyy.yy..."},
    {"LOFT_RANDOM", LOFT_RANDOM, ".yyyyy..."},
    {"LOFT_SHARED", LOFT_SHARED, "y........"},
    {"LOFT_ASYNC", LOFT_ASYNC, ".yyyww.y."},
    {"LOFT_HUGE", LOFT_HUGE, "yyy.yy..."},
    {"LOFT_NORESERVE", LOFT_NORESERVE, "y...cc..."},
    {"LOFT_INPLACE", LOFT_INPLACE, "......y.."},
    {"LOFT_LOCK", LOFT_LOCK, ".yyyy...."},
};

enum { ROWS = sizeof rows / sizeof rows[0], FLAGS_END = 1 << ROWS };

static const unsigned alone[][2] = {
    {LOFT_WRITE, LOFT_COPY},        {LOFT_TRUNCATE, LOFT_KEEP},   {LOFT_TRUNCATE, LOFT_EXCLUSIVE},
    {LOFT_TRUNCATE, LOFT_REPLACE},  {LOFT_KEEP, LOFT_EXCLUSIVE},  {LOFT_KEEP, LOFT_REPLACE},
    {LOFT_EXCLUSIVE, LOFT_REPLACE}, {LOFT_RANDOM, LOFT_POPULATE}, {LOFT_RANDOM, LOFT_HUGE},
};

static bool is_allowed(unsigned flags, int column)
{
    for (int i = 0; i < ROWS; i++) {
        if ((flags & rows[i].flag) == 0) {
            continue;
        }
        switch (rows[i].column[column]) {
        case 'y':
        case '=': break;
        case 'w':
            if ((flags & LOFT_WRITE) == 0) {
                return false;
            }
            break;
        case 'c':
            if ((flags & LOFT_COPY) == 0) {
                return false;
            }
            break;
        default: return false;
        }
    }
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++) {
        if ((flags & alone[i][0]) != 0 && (flags & alone[i][1]) != 0) {
            return false;
        }
    }
    return true;
}

LOFT_TEST(region_flags, values_are_below_those_of_arenas)
{
    LOFT_CHECK_EQ_INT(LOFT_READ, 0);
    unsigned all = 0;
    for (int i = 0; i < ROWS; i++) {
        LOFT_CHECK_EQ_UINT(all & rows[i].flag, 0);
        all |= rows[i].flag;
    }
    LOFT_CHECK_EQ_UINT(all, FLAGS_END - 1);
    LOFT_CHECK_LT_UINT(all, 1u << 20);
}

LOFT_TEST(region_flags, every_combination_is_as_the_table_says)
{
    for (int column = 0; column < LOFTI_FLAGS_COLUMNS; column++) {
        LOFT_CHECK_EQ_UINT(strlen(rows[column].column), LOFTI_FLAGS_COLUMNS);
        unsigned allowed = 0;
        for (unsigned flags = 0; flags < FLAGS_END; flags++) {
            unsigned given = flags;
            const int code = lofti_flags_check((lofti_flags_column)column, "op", "path", &given);
            if ((code == 0) != is_allowed(flags, column)) {
                LOFT_FAIL("column %d, flags 0x%x: %s", column, flags, loft_error_name(code));
            }
            if (code == 0) {
                const unsigned implied = rows[0].column[column] == '=' ? LOFT_WRITE : 0;
                LOFT_CHECK_EQ_UINT(given, flags | implied);
                allowed++;
            } else {
                LOFT_CHECK_EQ_INT(code, LOFT_EINVAL);
            }
        }
        LOFT_CHECK_GE_UINT(allowed, 2);
    }
}

LOFT_TEST(region_flags, bits_that_no_flag_has_are_einval)
{
    for (int column = 0; column < LOFTI_FLAGS_COLUMNS; column++) {
        for (int bit = ROWS; bit < 32; bit++) {
            unsigned flags = 1u << bit;
            LOFT_CHECK_ERR(lofti_flags_check((lofti_flags_column)column, "op", NULL, &flags),
                           LOFT_EINVAL);
            LOFT_CHECK_CONTAINS(loft_last_error(), "op: unknown flags 0x");
        }
    }
}

LOFT_TEST(region_flags, sentences_name_the_flags)
{
    unsigned flags = LOFT_INPLACE;
    LOFT_CHECK_ERR(lofti_flags_check(LOFTI_FLAGS_OPEN, "open", "p", &flags), LOFT_EINVAL);
    LOFT_CHECK_EQ_STR(loft_last_error(), "open 'p': LOFT_INPLACE does not go with this call");
    flags = LOFT_WRITE | LOFT_COPY;
    LOFT_CHECK_ERR(lofti_flags_check(LOFTI_FLAGS_OPEN, "open", "p", &flags), LOFT_EINVAL);
    LOFT_CHECK_EQ_STR(loft_last_error(), "open 'p': LOFT_WRITE does not go with LOFT_COPY");
    flags = LOFT_GROW;
    LOFT_CHECK_ERR(lofti_flags_check(LOFTI_FLAGS_OPEN, "open", "p", &flags), LOFT_EINVAL);
    LOFT_CHECK_EQ_STR(loft_last_error(), "open 'p': LOFT_GROW needs LOFT_WRITE");
}

/* --- The functions themselves -------------------------------------------------------------- */

typedef struct world {
    const char *path;  /* an existing file */
    const char *fresh; /* a name that nothing has */
    intptr_t handle;   /* of path */
    char *memory;      /* a region of loft_malloc */
    char *file;        /* of path, with LOFT_WRITE | LOFT_GROW */
} world;

/* Calls the function of a column with flags; releases what it made. Returns the code. */
static int call(world *w, int column, unsigned flags)
{
    char data[100] = "";
    void *made = NULL;
    (void)unlink(w->fresh);
    switch (column) {
    case LOFTI_FLAGS_MAP:
        made = loft_map(100, flags);
        return made != NULL ? loft_free(made) : loft_last_code();
    case LOFTI_FLAGS_CREATE: made = loft_create(w->fresh, 100, flags); break;
    case LOFTI_FLAGS_CREATE_FROM: made = loft_create_from(w->fresh, data, 100, flags); break;
    case LOFTI_FLAGS_ADOPT: {
        char *memory = loft_malloc(100);
        const int code = loft_adopt(w->fresh, memory, 100, flags);
        LOFT_CHECK_OK(code == 0 ? loft_close(memory) : loft_free(memory));
        return code;
    }
    case LOFTI_FLAGS_OPEN: made = loft_open(w->path, flags, 0, 0, NULL); break;
    case LOFTI_FLAGS_OPEN_HANDLE: made = loft_open_handle(w->handle, flags, 0, 0, NULL); break;
    case LOFTI_FLAGS_RESIZE:
        made = loft_resize(w->file, 100, flags);
        return made != NULL ? 0 : loft_last_code();
    case LOFTI_FLAGS_SYNC: return loft_sync(w->memory, 0, 0, flags);
    default: return loft_protect(w->memory, 0, 0, flags);
    }
    return made != NULL ? loft_close(made) : loft_last_code();
}

LOFT_TEST(region_flags, every_function_obeys_its_column_in_singles_and_pairs)
{
    world w = {.path = loft_test_tmp_path("there"), .fresh = loft_test_tmp_path("fresh")};
    LOFT_CHECK_OK(loft_close(loft_create(w.path, 100, 0)));
    const int fd = open(w.path, O_RDWR);
    LOFT_CHECK_SYS(fd);
    w.handle = loft_test_handle(fd);
    w.memory = loft_malloc(100);
    w.file = loft_open(w.path, LOFT_WRITE | LOFT_GROW, 0, 0, NULL);
    LOFT_CHECK_NOT_NULL(w.file);
    for (int column = 0; column < LOFTI_FLAGS_COLUMNS; column++) {
        for (int i = 0; i < ROWS; i++) {
            for (int j = i; j < ROWS; j++) {
                const unsigned flags = rows[i].flag | rows[j].flag;
                const int want = is_allowed(flags, column) ? 0 : LOFT_EINVAL;
                const int code = call(&w, column, flags);
                if (code != want && code != LOFT_ENOTSUP) { /* PREALLOCATE on a poor file system */
                    LOFT_FAIL("column %d, %s | %s: %s %s", column, rows[i].name, rows[j].name,
                              loft_error_name(code), loft_last_error());
                }
            }
        }
    }
}
