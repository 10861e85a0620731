/* Bad input: whatever is in an arena's place, opening answers a code and a sentence and leaves nothing behind,
 * and what is there stays as it is. */
#include "arena/arena_world.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "format/super.h"

enum { MEBIBYTE = 1 << 20 };

static const unsigned all_flags[] = {0, LOFT_WRITE, LOFT_CREATE};
enum { ALL_FLAGS = sizeof all_flags / sizeof all_flags[0] };

/* The first open and close of a process make what stays: thread-locals, the registry's hooks. */
static void warm_up(void)
{
    const char *path = loft_test_tmp_path("warm");
    close_arena(open_arena(path, LOFT_CREATE));
    LOFT_CHECK_SYS(unlink(path));
}

static void fails_with_all_flags(const char *path, int want, const char *part)
{
    for (int i = 0; i < ALL_FLAGS; i++) {
        open_must_fail(path, all_flags[i], NULL, want, part);
    }
}

LOFT_TEST(bad_input, a_missing_folder)
{
    warm_up();
    const char *path = loft_test_tmp_path("nowhere/data");
    fails_with_all_flags(path, LOFT_ENOENT, "No such file");
    file_write(loft_test_tmp_path("file"), "x", 1);
    fails_with_all_flags(loft_test_tmp_path("file/data"), LOFT_ENOENT, "Not a directory");
}

static void as_nobody(void *arg)
{
    const char *locked = arg;
    if (geteuid() == 0) {
        LOFT_CHECK_SYS(setgid(65534)); /* nobody's, on every Linux */
        LOFT_CHECK_SYS(setuid(65534));
    }
    loft_arena *arena = NULL;
    LOFT_CHECK_ERR(loft_arena_open(locked, LOFT_CREATE, NULL, &arena), LOFT_EACCES);
    LOFT_CHECK_NULL(arena);
    LOFT_CHECK_CONTAINS(loft_last_error(), "Permission denied");
    LOFT_CHECK_ERR(loft_arena_open(locked, LOFT_WRITE, NULL, &arena), LOFT_EACCES);
    LOFT_CHECK_ERR(loft_arena_open(locked, 0, NULL, &arena), LOFT_EACCES);
}

LOFT_TEST(bad_input, no_permission)
{
    char *file = (char *)(uintptr_t)loft_test_tmp_path("data");
    char *inside = (char *)(uintptr_t)loft_test_tmp_path("closed/data");
    close_arena(new_arena("data"));
    LOFT_CHECK_SYS(chmod(file, 0));
    LOFT_CHECK_SYS(mkdir(loft_test_tmp_path("closed"), 0700));
    LOFT_CHECK_SYS(chmod(loft_test_tmp_path("closed"), 0));
    LOFT_CHECK_SYS(chmod(loft_test_folder(), 0755));
    loft_test_child child;
    loft_test_run_child(as_nobody, file, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
    loft_test_run_child(as_nobody, inside, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
    LOFT_CHECK_SYS(chmod(loft_test_tmp_path("closed"), 0700));
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_tmp_path("closed")), 0);
}

LOFT_TEST(bad_input, a_folder_a_fifo_a_link_in_its_place)
{
    warm_up();
    const char *folder = loft_test_tmp_path("folder");
    const char *fifo = loft_test_tmp_path("fifo");
    const char *link_there = loft_test_tmp_path("link");
    const char *link_nowhere = loft_test_tmp_path("dangling");
    LOFT_CHECK_SYS(mkdir(folder, 0700));
    LOFT_CHECK_SYS(mkfifo(fifo, 0600));
    close_arena(new_arena("data"));
    LOFT_CHECK_SYS(symlink("data", link_there));
    LOFT_CHECK_SYS(symlink("nothing", link_nowhere));
    fails_with_all_flags(folder, LOFT_EINVAL, "open '");
    fails_with_all_flags(fifo, LOFT_EINVAL, "not a regular file");
    fails_with_all_flags(link_there, LOFT_EINVAL, "a symbolic link leads there");
    fails_with_all_flags(link_nowhere, LOFT_EINVAL, "a symbolic link leads there");
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_ERR(loft_file_describe(link_there, &info), LOFT_EINVAL);
    LOFT_CHECK_CONTAINS(loft_last_error(), "a symbolic link leads there");
    open_must_fail(folder, LOFT_CREATE | LOFT_EXCLUSIVE, NULL, LOFT_EEXIST, "exists");
    open_must_fail(fifo, LOFT_CREATE | LOFT_EXCLUSIVE, NULL, LOFT_EEXIST, "exists");
    open_must_fail(link_nowhere, LOFT_CREATE | LOFT_EXCLUSIVE, NULL, LOFT_EEXIST, "exists");
    open_must_fail("/dev/null", LOFT_WRITE, NULL, LOFT_EINVAL, "not a regular file");
}

LOFT_TEST(bad_input, an_empty_file_and_files_that_are_no_arena)
{
    warm_up();
    const char *path = loft_test_tmp_path("data");
    const size_t sizes[] = {0, 1, 7, 8, 4095, 4096, 12288, 70000, 5 * MEBIBYTE};
    uint8_t *bytes = malloc(5 * MEBIBYTE);
    loft_test_random random = {loft_test_seed()};
    for (size_t fill = 0; fill < 3; fill++) {
        for (size_t i = 0; i < 5 * MEBIBYTE; i++) {
            bytes[i] = fill == 0   ? 0
                       : fill == 1 ? (uint8_t) "text\n"[i % 5]
                                   : (uint8_t)loft_test_random_next(&random);
        }
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            file_write(path, bytes, sizes[i]);
            fails_with_all_flags(path, LOFT_ECORRUPT, "not a loft arena");
            LOFT_CHECK_EQ_UINT(file_bytes(path), sizes[i]);
        }
    }
    free(bytes);
}

/* An arena with a list of 30 nodes, closed; or abandoned, with 20 of them in the journal. */
static const char *arena_file(bool closed)
{
    const char *path = loft_test_tmp_path("data");
    (void)unlink(path);
    loft_arena *arena = new_arena("data");
    for (uint64_t i = 0; i < 30; i++) {
        list_push(arena, i, 300);
        if (i == 9) {
            LOFT_CHECK_OK(loft_arena_commit(arena));
            LOFT_CHECK_OK(loft_arena_checkpoint(arena));
        }
        if (i == 19) {
            LOFT_CHECK_OK(loft_arena_commit(arena));
        }
    }
    LOFT_CHECK_OK(loft_arena_commit(arena));
    if (closed) {
        close_arena(arena);
    } else {
        abandon_arena(arena);
    }
    return path;
}

/* Within the first superblock's fields, across the header, across the rest. */
static size_t cut_step(size_t length)
{
    if (length < 300) {
        return 23;
    }
    return length < 20000 ? 1535 : 524287;
}

LOFT_TEST(bad_input, an_arena_cut_short)
{
    warm_up();
    for (int closed = 0; closed < 2; closed++) {
        const char *path = arena_file(closed != 0);
        size_t bytes = 0;
        uint8_t *image = file_read(path, &bytes);
        for (size_t length = 0; length < bytes; length += cut_step(length)) {
            file_write(path, image, length);
            fails_with_all_flags(path, LOFT_ECORRUPT, "open '");
            LOFT_CHECK_EQ_UINT(file_bytes(path), length);
        }
        file_write(path, image, bytes - 1);
        fails_with_all_flags(path, LOFT_ECORRUPT, "cut");
        file_write(path, image, bytes);
        loft_arena *arena = open_arena(path, LOFT_WRITE);
        LOFT_CHECK_EQ_UINT(list_check(arena), 30);
        close_arena(arena);
        free(image);
    }
}

/* What opening a damaged file gave: a refusal, or a whole arena whose list is one that was committed. */
static uint64_t open_damaged(const char *path, unsigned flags, const leftovers *before)
{
    loft_arena *arena = NULL;
    uint64_t count = 0;
    const int code = loft_arena_open(path, flags, NULL, &arena);
    if (code == LOFT_OK) {
        count = list_check(arena);
        check_arena(arena);
        abandon_arena(arena);
    } else {
        LOFT_CHECK_ERR(code, LOFT_ECORRUPT);
        LOFT_CHECK_CONTAINS(loft_last_error(), "open '");
        LOFT_CHECK_CONTAINS(loft_last_error(), "offset");
    }
    leftovers_check(before);
    return count;
}

LOFT_TEST(bad_input, one_byte_changed_in_a_superblock)
{
    loft_test_random random = {loft_test_seed()};
    warm_up();
    for (int closed = 0; closed < 2; closed++) {
        const char *path = arena_file(closed != 0);
        size_t bytes = 0;
        uint8_t *image = file_read(path, &bytes);
        const leftovers before = leftovers_before(loft_test_folder());
        const size_t end = LOFTI_SUPER_SLOTS * sizeof(lofti_super);
        const size_t step = loft_test_stride(1, 1, 1);
        for (size_t off = 0; off < end; off += step * (off % sizeof(lofti_super) < 150 ? 1 : 37)) {
            const uint8_t changed =
                (uint8_t)(image[off] + 1 + loft_test_random_below(&random, 255));
            file_patch(path, off, &changed, 1);
            const uint64_t count = open_damaged(path, 0, &before);
            if (count != 0 && count != 30) {
                LOFT_FAIL("byte %zu changed: only %ju of 30 are there", off, (uintmax_t)count);
            }
            file_patch(path, off, &image[off], 1);
        }
        free(image);
    }
}

/* All three superblocks changed at one place: nothing is left to fall back on. */
LOFT_TEST(bad_input, one_byte_changed_in_every_superblock)
{
    warm_up();
    const char *path = arena_file(true);
    size_t bytes = 0;
    uint8_t *image = file_read(path, &bytes);
    for (size_t off = 0; off < sizeof(lofti_super); off += off < 160 ? 4 : 97) {
        for (size_t slot = 0; slot < LOFTI_SUPER_SLOTS; slot++) {
            const uint8_t changed = (uint8_t)~image[slot * sizeof(lofti_super) + off];
            file_patch(path, slot * sizeof(lofti_super) + off, &changed, 1);
        }
        fails_with_all_flags(path, LOFT_ECORRUPT, "at offset");
        file_patch(path, 0, image, LOFTI_SUPER_SLOTS * sizeof(lofti_super));
    }
    free(image);
}

/* The newest superblock, changed by `field`, hashed anew, written back. */
static void patch_super(const char *path, void (*change)(lofti_super *super))
{
    lofti_super slots[LOFTI_SUPER_SLOTS];
    uint32_t slot = 0;
    size_t bytes = 0;
    uint8_t *image = file_read(path, &bytes);
    memcpy(slots, image, sizeof slots);
    free(image);
    LOFT_CHECK_EQ_INT(lofti_super_choose(slots, false, &slot).code, LOFT_OK);
    change(&slots[slot]);
    slots[slot].hash = lofti_hash(&slots[slot], offsetof(lofti_super, hash), LOFTI_SUPER_SEED);
    file_patch(path, slot * sizeof(lofti_super), &slots[slot], sizeof(lofti_super));
}

static void newer_version(lofti_super *super) { super->version++; }
static void new_feature(lofti_super *super) { super->incompatible |= 1; }
static void new_write_feature(lofti_super *super) { super->write_incompatible |= 1; }
static void higher_base(lofti_super *super)
{
    super->base = ((uint64_t)1 << 47) - LOFTI_CHUNK_BYTES;
}
static void larger_frontier(lofti_super *super) { super->frontier = super->file_bytes; }
static void larger_file(lofti_super *super) { super->file_bytes += LOFTI_CHUNK_BYTES; }
static void no_heap(lofti_super *super) { super->frontier = LOFTI_HEAP_OFF; }

LOFT_TEST(bad_input, a_newer_format_version)
{
    warm_up();
    const char *path = arena_file(true);
    patch_super(path, newer_version);
    fails_with_all_flags(path, LOFT_EVERSION, "version");
    path = arena_file(true);
    patch_super(path, new_feature);
    fails_with_all_flags(path, LOFT_EVERSION, "features");
    path = arena_file(true);
    patch_super(path, new_write_feature);
    open_must_fail(path, LOFT_WRITE, NULL, LOFT_EVERSION, "features");
    open_must_fail(path, LOFT_CREATE, NULL, LOFT_EVERSION, "features");
    loft_arena *arena = open_arena(path, 0);
    LOFT_CHECK_EQ_UINT(list_check(arena), 30);
    close_arena(arena);
}

LOFT_TEST(bad_input, a_superblock_that_lies)
{
    warm_up();
    const char *path = arena_file(true);
    patch_super(path, larger_file);
    fails_with_all_flags(path, LOFT_ECORRUPT, "cut");
    path = arena_file(true);
    patch_super(path, no_heap);
    fails_with_all_flags(path, LOFT_ECORRUPT, "no heap");
    LOFT_CHECK_CONTAINS(loft_last_error(), path); /* the heap itself does not know whose it is */
    path = arena_file(true);
    patch_super(path, higher_base); /* its reserve would end above 2^47 */
    fails_with_all_flags(path, LOFT_EADDRESS, "0x7fff");
    path = arena_file(true);
    patch_super(path, larger_frontier); /* free space counted as used: harmless */
    const leftovers before = leftovers_before(loft_test_folder());
    (void)open_damaged(path, LOFT_WRITE, &before);
}

LOFT_TEST(bad_input, options_and_flags)
{
    const char *path = loft_test_tmp_path("data");
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    warm_up();
    options.base = 4096;
    open_must_fail(path, LOFT_CREATE, &options, LOFT_EINVAL, "base");
    options.base = (uint64_t)1 << 47;
    open_must_fail(path, LOFT_CREATE, &options, LOFT_EINVAL, "base");
    options.base = UINT64_MAX - LOFTI_CHUNK_BYTES + 1;
    open_must_fail(path, LOFT_CREATE, &options, LOFT_EINVAL, "base");
    options.base = 0;
    options.reserve_bytes = UINT64_MAX;
    open_must_fail(path, LOFT_CREATE, &options, LOFT_EINVAL, "reserve");
    options.reserve_bytes = (uint64_t)1 << 47;
    open_must_fail(path, LOFT_CREATE, &options, LOFT_EINVAL, "reserve");
    options.reserve_bytes = 0;
    options.durability = 9;
    open_must_fail(path, LOFT_CREATE, &options, LOFT_EINVAL, "durability");
    options.durability = LOFT_DURABLE;
    options.struct_bytes = 3;
    open_must_fail(path, LOFT_CREATE, &options, LOFT_EINVAL, "struct_bytes");
    open_must_fail(path, 1u << 31, NULL, LOFT_EINVAL, "flags");
    open_must_fail(path, LOFT_EXCLUSIVE, NULL, LOFT_EINVAL, "LOFT_EXCLUSIVE");
    open_must_fail("", LOFT_CREATE, NULL, LOFT_EINVAL, "path");
    LOFT_CHECK_ERR(loft_arena_open(path, LOFT_CREATE, NULL, NULL), LOFT_EINVAL);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
}

LOFT_TEST(bad_input, options_of_other_versions)
{
    struct {
        loft_arena_options known;
        uint64_t newer;
    } longer = {LOFT_ARENA_OPTIONS_INIT, 0};
    longer.known.struct_bytes = sizeof longer;
    loft_arena *arena = NULL;
    warm_up();
    LOFT_CHECK_OK(loft_arena_open(loft_test_tmp_path("a"), LOFT_CREATE, &longer.known, &arena));
    close_arena(arena);
    longer.newer = 1; /* something that this version would have to heed */
    open_must_fail(loft_test_tmp_path("b"), LOFT_CREATE, &longer.known, LOFT_EINVAL, "know");
    loft_arena_options shorter = LOFT_ARENA_OPTIONS_INIT;
    shorter.struct_bytes = offsetof(loft_arena_options, reserve_bytes);
    shorter.reserve_bytes = UINT64_MAX; /* not part of it */
    LOFT_CHECK_OK(loft_arena_open(loft_test_tmp_path("c"), LOFT_CREATE, &shorter, &arena));
    close_arena(arena);
}

LOFT_TEST(bad_input, paths_that_are_too_long)
{
    static char path[6000];
    warm_up();
    memset(path, 'x', sizeof path - 1);
    open_must_fail(path, LOFT_CREATE, NULL, LOFT_EINVAL, "too long");
    path[4095] = '\0';
    open_must_fail(path, LOFT_CREATE, NULL, LOFT_EINVAL, "too long");
    path[300] = '\0';
    open_must_fail(path, LOFT_CREATE, NULL, LOFT_EINVAL, "too long"); /* for a name */
}

LOFT_TEST(bad_input, describing_what_is_no_arena)
{
    loft_arena_info info = {.struct_bytes = sizeof info};
    const char *path = loft_test_tmp_path("data");
    LOFT_CHECK_ERR(loft_file_describe(path, &info), LOFT_ENOENT);
    file_write(path, "text", 4);
    const leftovers before = leftovers_before(loft_test_folder());
    LOFT_CHECK_ERR(loft_file_describe(path, &info), LOFT_ECORRUPT);
    LOFT_CHECK_CONTAINS(loft_last_error(), path);
    LOFT_CHECK_ERR(loft_file_describe(loft_test_folder(), &info), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_file_describe(NULL, &info), LOFT_EINVAL);
    leftovers_check(&before);
    info.struct_bytes = 0;
    LOFT_CHECK_ERR(loft_file_describe(path, &info), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_file_describe(path, NULL), LOFT_EINVAL);
}
