/* Named roots: set, replaced, removed, by the hundred, and names and addresses that are refused. */
#include "arena/arena_world.h"

#include <stdio.h>

enum { NAME_MAX_BYTES = 255, MANY = 3000 };

LOFT_TEST(roots, set_replace_remove)
{
    loft_arena *arena = new_arena("data");
    int *one = loft_arena_malloc(arena, 16);
    int *two = loft_arena_malloc(arena, 16);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "a", one));
    LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "a"), one);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "a", two));
    LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "a"), two);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "b", two));             /* two names for one block */
    LOFT_CHECK_OK(loft_arena_set_root(arena, "c", (char *)two + 3)); /* inside one */
    LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "c"), (char *)two + 3);
    LOFT_CHECK_OK(loft_arena_set_root(arena, "a", NULL));
    LOFT_CHECK_NULL(loft_arena_root(arena, "a"));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOENT);
    LOFT_CHECK_CONTAINS(loft_last_error(), "'a'");
    LOFT_CHECK_ERR(loft_arena_set_root(arena, "a", NULL), LOFT_ENOENT);
    LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "b"), two);
    check_arena(arena);
    close_arena(arena);
    arena = open_arena(loft_test_tmp_path("data"), 0);
    LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "b"), two);
    LOFT_CHECK_NULL(loft_arena_root(arena, "a"));
    close_arena(arena);
}

LOFT_TEST(roots, names_of_every_length)
{
    char name[NAME_MAX_BYTES + 2];
    loft_arena *arena = new_arena("data");
    char *block = loft_arena_malloc(arena, 4096);
    for (size_t bytes = 1; bytes <= NAME_MAX_BYTES; bytes++) {
        memset(name, 'n', bytes);
        name[bytes] = '\0';
        LOFT_CHECK_OK(loft_arena_set_root(arena, name, block + bytes));
    }
    for (size_t bytes = 1; bytes <= NAME_MAX_BYTES; bytes++) {
        memset(name, 'n', bytes);
        name[bytes] = '\0';
        LOFT_CHECK_EQ_PTR(loft_arena_root(arena, name), block + bytes);
    }
    memset(name, 'n', sizeof name);
    name[NAME_MAX_BYTES + 1] = '\0';
    LOFT_CHECK_ERR(loft_arena_set_root(arena, name, block), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_arena_set_root(arena, "", block), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_arena_set_root(arena, NULL, block), LOFT_EINVAL);
    LOFT_CHECK_NULL(loft_arena_root(arena, ""));
    LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_EINVAL);
    LOFT_CHECK_NULL(loft_arena_root(arena, NULL));
    LOFT_CHECK_OK(loft_arena_set_root(arena, "\xc3\xa4 /\n\x01", block)); /* any bytes */
    LOFT_CHECK_EQ_PTR(loft_arena_root(arena, "\xc3\xa4 /\n\x01"), block);
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(roots, addresses_outside_are_refused)
{
    loft_arena *arena = new_arena("data");
    loft_arena *other = new_arena("other");
    int local = 0;
    LOFT_CHECK_ERR(loft_arena_set_root(arena, "x", &local), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_arena_set_root(arena, "x", loft_arena_malloc(other, 10)), LOFT_ERANGE);
    LOFT_CHECK_ERR(loft_arena_set_root(arena, "x", (void *)(uintptr_t)1), LOFT_ERANGE);
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    LOFT_CHECK_ERR(loft_arena_set_root(arena, "x", (void *)(uintptr_t)info.mapped_at), LOFT_ERANGE);
    const uint64_t end = info.mapped_at + info.reserve_bytes;
    LOFT_CHECK_ERR(loft_arena_set_root(arena, "x", (void *)(uintptr_t)end), LOFT_ERANGE);
    LOFT_CHECK_NULL(loft_arena_root(arena, "x"));
    close_arena(arena);
    close_arena(other);
}

typedef struct roots_seen {
    uint64_t count, sum;
    uint64_t stop_at;
} roots_seen;

static int see_root(void *context, const char *name, void *block)
{
    roots_seen *seen = context;
    unsigned number = 0;
    LOFT_CHECK_EQ_INT(sscanf(name, "root %u", &number), 1);
    LOFT_CHECK_EQ_UINT(*(unsigned *)block, number);
    seen->count++;
    seen->sum += number;
    return seen->count == seen->stop_at ? 42 : 0;
}

static void check_many(loft_arena *arena, uint64_t count, uint64_t sum)
{
    roots_seen seen = {0, 0, 0};
    LOFT_CHECK_OK(loft_arena_each_root(arena, see_root, &seen));
    LOFT_CHECK_EQ_UINT(seen.count, count);
    LOFT_CHECK_EQ_UINT(seen.sum, sum);
    check_arena(arena);
}

static void name_of(unsigned number, char out[32]) { (void)snprintf(out, 32, "root %u", number); }

LOFT_TEST(roots, the_table_grows_and_forgets)
{
    char name[32];
    uint64_t sum = 0;
    loft_arena *arena = new_arena("data");
    check_many(arena, 0, 0);
    for (unsigned i = 0; i < MANY; i++) {
        unsigned *block = loft_arena_malloc(arena, sizeof *block);
        *block = i;
        sum += i;
        name_of(i, name);
        LOFT_CHECK_OK(loft_arena_set_root(arena, name, block));
    }
    check_many(arena, MANY, sum);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    for (unsigned i = 0; i < MANY; i += 2) {
        name_of(i, name);
        LOFT_CHECK_OK(loft_arena_set_root(arena, name, NULL));
        sum -= i;
    }
    check_many(arena, MANY / 2, sum);
    roots_seen seen = {0, 0, 10};
    LOFT_CHECK_EQ_INT(loft_arena_each_root(arena, see_root, &seen), 42);
    LOFT_CHECK_EQ_UINT(seen.count, 10);
    LOFT_CHECK_ERR(loft_arena_each_root(arena, NULL, NULL), LOFT_EINVAL);
    close_arena(arena);
    arena = open_arena(loft_test_tmp_path("data"), LOFT_WRITE);
    check_many(arena, MANY / 2, sum);
    for (unsigned i = 1; i < MANY; i += 2) {
        name_of(i, name);
        LOFT_CHECK_OK(loft_arena_set_root(arena, name, NULL));
    }
    check_many(arena, 0, 0);
    close_arena(arena);
}

/* Setting and removing one name over and over fills the table with what was removed; it must not grow. */
LOFT_TEST(roots, removed_names_do_not_pile_up)
{
    char name[32];
    loft_arena *arena = new_arena("data");
    int *block = loft_arena_malloc(arena, 16);
    loft_arena_statistics stats = {.struct_bytes = sizeof stats};
    for (unsigned i = 0; i < 20000; i++) {
        name_of(i, name);
        LOFT_CHECK_OK(loft_arena_set_root(arena, name, block));
        LOFT_CHECK_OK(loft_arena_set_root(arena, name, NULL));
    }
    LOFT_CHECK_OK(loft_arena_stats(arena, &stats));
    LOFT_CHECK_EQ_UINT(stats.heap_bytes, 4u << 20); /* one chunk still */
    check_arena(arena);
    close_arena(arena);
}
