/* A checkpoint gives the file's space of free pages back, and nothing else. */
#include <sys/stat.h>
#include <unistd.h>

#include "arena/arena_world.h"
#include "arena/oracle.h"
#include "arena/punch_check.h"
#include "os/watch.h"
#include "support/fault_fs.h"

enum { MEBIBYTE = 1 << 20, MANY = 48 };

static uint64_t stored_bytes(const char *path)
{
    struct stat status;
    LOFT_CHECK_SYS(stat(path, &status));
    return (uint64_t)status.st_blocks * 512;
}

LOFT_TEST(punch, only_what_is_free_in_both_states_private) { punch_check("private"); }

LOFT_TEST(punch, only_what_is_free_in_both_states_wp_async)
{
    if (!lofti_watch_works()) {
        LOFT_SKIP("the kernel does not note stores");
    }
    punch_check("wp_async");
}

/* 48 blocks of 1 MiB, and one that is a chunk and a half. */
static loft_arena *filled(uint8_t **blocks)
{
    loft_arena *arena = new_arena("arena");
    for (int i = 0; i < MANY; i++) {
        const size_t bytes = i == 0 ? (size_t)6 * MEBIBYTE : MEBIBYTE;
        blocks[i] = loft_arena_malloc(arena, bytes);
        LOFT_CHECK_NOT_NULL(blocks[i]);
        memset(blocks[i], i + 1, bytes);
    }
    list_push(arena, 0, 1000);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    return arena;
}

static void free_all(loft_arena *arena, uint8_t **blocks)
{
    for (int i = 0; i < MANY; i++) {
        loft_arena_free(arena, blocks[i]);
    }
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
}

static bool has_holes(void)
{
    const char *path = loft_test_tmp_path("probe");
    lofti_file file;
    static const uint8_t bytes[1 << 20] = {1};
    LOFT_CHECK_EQ_INT(lofti_file_open(path, LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, bytes, sizeof bytes, 0), 0);
    const bool has = lofti_file_punch(&file, 0, sizeof bytes) == 0 && stored_bytes(path) == 0;
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_SYS(unlink(path));
    return has;
}

LOFT_TEST(punch, the_file_shrinks_and_is_right)
{
    uint8_t *blocks[MANY];
    if (!has_holes()) {
        LOFT_SKIP("the test's folder lies on a file system without holes");
    }
    const char *path = loft_test_tmp_path("arena");
    loft_arena *arena = filled(blocks);
    const uint64_t full = stored_bytes(path);
    LOFT_CHECK_GE_UINT(full, (uint64_t)(MANY + 5) * MEBIBYTE);
    free_all(arena, blocks);
    LOFT_CHECK_LT_UINT(stored_bytes(path), full / 4);
    check_arena(arena);
    LOFT_CHECK_EQ_UINT(list_check(arena), 1);
    /* Old pages, new content: logged against zeros, not written in place. */
    for (int i = 0; i < MANY; i++) {
        blocks[i] = loft_arena_malloc(arena, MEBIBYTE);
        LOFT_CHECK_NOT_NULL(blocks[i]);
        memset(blocks[i], i + 100, MEBIBYTE);
    }
    LOFT_CHECK_OK(loft_arena_set_root(arena, "last", blocks[MANY - 1]));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    abandon_arena(arena);
    arena = open_arena(path, LOFT_WRITE);
    const uint8_t *last = loft_arena_root(arena, "last");
    for (int i = 0; i < MEBIBYTE; i++) {
        LOFT_CHECK_EQ_UINT(last[i], MANY - 1 + 100);
    }
    LOFT_CHECK_EQ_UINT(list_check(arena), 1);
    check_arena(arena);
    close_arena(arena);
}

/* Where holes cannot be made, or the attempt fails, everything else is as ever. */
LOFT_TEST(punch, without_holes_nothing_is_said)
{
    uint8_t *blocks[MANY];
    static const int errors[] = {95 /* EOPNOTSUPP */, 5 /* EIO */};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        fault_fs *fault = fault_fs_create(lofti_file_ops_system());
        const fault_plan plan = {.action = FAULT_FAIL,
                                 .kinds = FAULT_MASK(FAULT_PUNCH),
                                 .first = 1,
                                 .times = UINT64_MAX,
                                 .error = errors[i]};
        lofti_file_ops_set(fault_fs_ops(fault));
        loft_arena *arena = filled(blocks);
        fault_fs_set(fault, &plan);
        free_all(arena, blocks);
        LOFT_CHECK_GT_UINT(fault_fs_struck(fault), 0);
        fault_fs_set(fault, NULL);
        LOFT_CHECK_EQ_UINT(list_check(arena), 1);
        close_arena(arena);
        lofti_file_ops_set(NULL);
        fault_fs_destroy(fault);
        LOFT_CHECK_SYS(unlink(loft_test_tmp_path("arena")));
    }
}

/* The flush after it fails: poisoned, as every failed flush; what was committed is found again. */
LOFT_TEST(punch, a_failed_flush_poisons)
{
    uint8_t *blocks[MANY];
    fault_fs *fault = fault_fs_create(lofti_file_ops_system());
    lofti_file_ops_set(fault_fs_ops(fault));
    loft_arena *arena = filled(blocks);
    for (int i = 0; i < MANY; i++) {
        loft_arena_free(arena, blocks[i]);
    }
    LOFT_CHECK_OK(loft_arena_commit(arena));
    const fault_plan plan = {.action = FAULT_FAIL,
                             .kinds = FAULT_MASK(FAULT_SYNC),
                             .first = 4, /* seal, images, superblock, holes */
                             .times = 1,
                             .error = 5};
    fault_fs_set(fault, &plan);
    LOFT_CHECK_ERR(loft_arena_checkpoint(arena), LOFT_EPOISONED);
    LOFT_CHECK_EQ_UINT(fault_fs_struck(fault), 1);
    abandon_arena(arena);
    lofti_file_ops_set(NULL);
    fault_fs_destroy(fault);
    arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    LOFT_CHECK_EQ_UINT(list_check(arena), 1);
    check_arena(arena);
    close_arena(arena);
}
