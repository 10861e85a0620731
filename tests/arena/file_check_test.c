/* loft_file_check on damaged files: what it must see, where it says it is, and that it survives everything. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "arena/arena_world.h"
#include "format/frame.h"

typedef struct finding {
    uint64_t count, first_off;
    char first_text[200];
    int stop; /* what to return at the first */
} finding;

static int note(void *context, const loft_fault *fault)
{
    finding *found = context;
    LOFT_CHECK_EQ_UINT(fault->struct_bytes, sizeof *fault);
    LOFT_CHECK_TRUE(fault->code == LOFT_ECORRUPT || fault->code == LOFT_EVERSION ||
                    fault->code == LOFT_EIO);
    if (found->count++ == 0) {
        found->first_off = fault->offset;
        strncpy(found->first_text, fault->text, sizeof found->first_text - 1);
    }
    return found->stop;
}

static int check(const char *path, finding *found)
{
    uint64_t faults = 0;
    *found = (finding){.stop = found->stop};
    const int code = loft_file_check(path, note, found, &faults);
    LOFT_CHECK_EQ_UINT(faults, found->count);
    if (found->stop == 0) {
        LOFT_CHECK_EQ_INT(code, found->count == 0 ? LOFT_OK : LOFT_ECORRUPT);
    }
    return code;
}

/* An arena with `commits` commits in its journal, left as a crash would. */
static const char *make_crashed(const char *name, unsigned commits)
{
    loft_arena *arena = new_arena(name);
    for (uint64_t i = 1; i <= commits; i++) {
        list_push(arena, i, 5000);
        LOFT_CHECK_OK(loft_arena_commit(arena));
    }
    abandon_arena(arena);
    return loft_test_tmp_path(name);
}

static uint8_t byte_at(const char *path, uint64_t off)
{
    uint8_t byte = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    LOFT_CHECK_SYS(fd);
    LOFT_CHECK_EQ_INT(pread(fd, &byte, 1, (off_t)off), 1);
    LOFT_CHECK_SYS(close(fd));
    return byte;
}

/* Checks with one bit of the byte flipped, and puts it back. */
static int check_flipped(const char *path, uint64_t off, finding *found)
{
    const uint8_t right = byte_at(path, off);
    const uint8_t wrong = (uint8_t)(right ^ (1u << (off % 8)));
    file_patch(path, off, &wrong, 1);
    const int code = check(path, found);
    file_patch(path, off, &right, 1);
    return code;
}

LOFT_TEST(arena_file_check, finds_nothing_in_a_whole_file_and_changes_nothing)
{
    finding found = {0};
    const char *path = make_crashed("data", 4);
    size_t bytes = 0, after_bytes = 0;
    uint8_t *before = file_read(path, &bytes);
    const leftovers kept = leftovers_before(loft_test_folder());
    LOFT_CHECK_OK(check(path, &found));
    leftovers_check(&kept);
    uint8_t *after = file_read(path, &after_bytes);
    LOFT_CHECK_EQ_UINT(after_bytes, bytes);
    LOFT_CHECK_EQ_MEM(after, before, bytes);
    free(before);
    free(after);
    loft_arena *arena = open_arena(path, LOFT_WRITE); /* beside a writer, too */
    list_push(arena, 5, 100);
    LOFT_CHECK_OK(check(path, &found));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(check(path, &found));
    close_arena(arena);
    LOFT_CHECK_OK(check(path, &found));
}

LOFT_TEST(arena_file_check, finds_every_flipped_byte_of_superblocks_and_the_gap_behind_them)
{
    finding found = {0};
    const char *path = make_crashed("data", 2);
    close_arena(open_arena(path, LOFT_WRITE)); /* all slots are used */
    const uint64_t step = loft_test_stride(37, 1, 1);
    for (uint64_t off = 0; off < LOFTI_JOURNAL_OFF; off += off < 3 * 4096 ? step : 499) {
        LOFT_CHECK_ERR(check_flipped(path, off, &found), LOFT_ECORRUPT);
        const uint64_t slot = off / LOFTI_SUPER_BYTES;
        if (slot < LOFTI_SUPER_SLOTS) {
            LOFT_CHECK_EQ_UINT(found.first_off / LOFTI_SUPER_BYTES, slot);
            LOFT_CHECK_CONTAINS(found.first_text, "superblock");
        } else {
            LOFT_CHECK_EQ_UINT(found.first_off, off);
        }
    }
    LOFT_CHECK_OK(check(path, &found));
}

/* In the journal a flipped byte ends it; that commits are missing shows by those behind. */
LOFT_TEST(arena_file_check, finds_every_flipped_byte_of_the_journal_but_in_its_last_commit)
{
    enum { COMMITS = 4 };
    finding found = {0};
    const char *path = make_crashed("data", COMMITS);
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_file_describe(path, &info));
    uint64_t last_off = 0;
    for (uint64_t off = LOFTI_JOURNAL_OFF; off < LOFTI_JOURNAL_OFF + info.journal_bytes;) {
        size_t bytes = 0;
        uint8_t *file = file_read(path, &bytes);
        lofti_frame frame;
        memcpy(&frame, file + off, sizeof frame);
        free(file);
        LOFT_CHECK_EQ_UINT(frame.magic, LOFTI_FRAME_MAGIC);
        last_off = off;
        off += frame.frame_bytes;
    }
    LOFT_CHECK_GT_UINT(last_off, LOFTI_JOURNAL_OFF);
    const uint64_t end = LOFTI_JOURNAL_OFF + info.journal_bytes;
    const uint64_t step = loft_test_stride(97, 3, 1);
    for (uint64_t off = LOFTI_JOURNAL_OFF; off < end; off += step) {
        const int code = check_flipped(path, off, &found);
        LOFT_CHECK_TRUE(off >= last_off || code == LOFT_ECORRUPT);
        LOFT_CHECK_TRUE(code == LOFT_OK || code == LOFT_ECORRUPT);
    }
    LOFT_CHECK_OK(check(path, &found));
}

/* Every byte of the heap's header and of the first chunk's metadata: seen, or harmless; never a crash. */
LOFT_TEST(arena_file_check, survives_every_flipped_byte_of_the_heap)
{
    finding found = {0};
    const char *path = make_crashed("data", 3);
    close_arena(open_arena(path, LOFT_WRITE)); /* applies */
    uint64_t seen = 0, tried = 0;
    const uint64_t step = loft_test_stride(257, 17, 3);
    for (uint64_t off = LOFTI_HEAP_OFF; off < LOFTI_HEAP_OFF + (96 << 10); off += step) {
        const int code = check_flipped(path, off, &found);
        LOFT_CHECK_TRUE(code == LOFT_OK || code == LOFT_ECORRUPT);
        LOFT_CHECK_TRUE(code == LOFT_OK || found.first_off >= LOFTI_HEAP_OFF);
        seen += code != LOFT_OK;
        tried++;
    }
    LOFT_CHECK_GT_UINT(seen, tried / 20);
    LOFT_CHECK_OK(check(path, &found));
}

/* The root table is the program's only way in. */
LOFT_TEST(arena_file_check, finds_a_damaged_root)
{
    static const char name[] = "a name that is nowhere else";
    finding found = {0};
    loft_arena *arena = new_arena("roots");
    LOFT_CHECK_OK(loft_arena_set_root(arena, name, loft_arena_malloc(arena, 100)));
    close_arena(arena);
    const char *path = loft_test_tmp_path("roots");
    size_t bytes = 0;
    uint8_t *file = file_read(path, &bytes);
    const uint8_t *place = memmem(file + LOFTI_HEAP_OFF, bytes - LOFTI_HEAP_OFF, name, sizeof name);
    LOFT_CHECK_TRUE(place != NULL);
    const uint64_t off = (uint64_t)(place - file);
    free(file);
    LOFT_CHECK_ERR(check_flipped(path, off + 3, &found), LOFT_ECORRUPT);
    LOFT_CHECK_CONTAINS(found.first_text, "root");
    LOFT_CHECK_TRUE(found.first_off <= off && off - found.first_off < 64);
    LOFT_CHECK_OK(check(path, &found));
}

LOFT_TEST(arena_file_check, stops_when_told_to)
{
    finding found = {.stop = 42};
    const char *path = make_crashed("data", 1);
    const uint8_t byte = 1;
    file_patch(path, 20000, &byte, 1);
    file_patch(path, 4096, &byte, 1);
    LOFT_CHECK_EQ_INT(check(path, &found), 42);
    LOFT_CHECK_EQ_UINT(found.count, 1);
}

LOFT_TEST(arena_file_check, says_why_it_cannot_check)
{
    const leftovers before = leftovers_before(loft_test_folder());
    LOFT_CHECK_ERR(loft_file_check(NULL, NULL, NULL, NULL), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_file_check(loft_test_tmp_path("none"), NULL, NULL, NULL), LOFT_ENOENT);
    LOFT_CHECK_ERR(loft_file_check(loft_test_folder(), NULL, NULL, NULL), LOFT_EINVAL);
    leftovers_check(&before);
    const char *path = loft_test_tmp_path("data");
    file_write(path, "no arena", 8);
    LOFT_CHECK_ERR(loft_file_check(path, NULL, NULL, NULL), LOFT_ECORRUPT);
    file_write(path, "", 0);
    LOFT_CHECK_ERR(loft_file_check(path, NULL, NULL, NULL), LOFT_ECORRUPT);
}

/* --- Files that are not trusted ---------------------------------------------------------------------------- */

LOFT_TEST(arena_file_check, an_untrusted_file_is_checked_before_it_is_used)
{
    loft_arena *arena = NULL;
    const char *path = make_crashed("data", 3);
    close_arena(open_arena(path, LOFT_WRITE));
    arena = open_arena(path, LOFT_UNTRUSTED);
    LOFT_CHECK_EQ_UINT(list_check(arena), 3);
    abandon_arena(arena);
    close_arena(open_arena(path, LOFT_UNTRUSTED | LOFT_WRITE));
    /* Damage that an open in O(1) does not look at. */
    uint64_t refused = 0, trusted = 0;
    for (uint64_t off = LOFTI_HEAP_OFF; off < LOFTI_HEAP_OFF + (64 << 10); off += 511) {
        const uint8_t right = byte_at(path, off);
        const uint8_t wrong = (uint8_t)(right ^ 0x40u);
        file_patch(path, off, &wrong, 1);
        if (loft_arena_open(path, LOFT_UNTRUSTED, NULL, &arena) == LOFT_OK) {
            abandon_arena(arena);
        } else {
            LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ECORRUPT);
            LOFT_CHECK_CONTAINS(loft_last_error(), "offset");
            refused++;
            if (loft_arena_open(path, 0, NULL, &arena) == LOFT_OK) {
                trusted++;
                abandon_arena(arena);
            }
        }
        file_patch(path, off, &right, 1);
    }
    LOFT_CHECK_GT_UINT(refused, 0);
    LOFT_CHECK_GT_UINT(trusted, 0);
}

LOFT_TEST(arena_file_check, an_untrusted_file_gets_no_address_outside_the_window)
{
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    loft_arena *arena = NULL;
    options.base = (uint64_t)0x7e00 << 32; /* above the one window, below the other */
    options.reserve_bytes = (uint64_t)1 << 30;
    const char *path = loft_test_tmp_path("data");
    if (loft_arena_open(path, LOFT_CREATE, &options, &arena) != LOFT_OK) {
        LOFT_SKIP("no room at that address: %s", loft_last_error());
    }
    close_arena(arena);
    open_must_fail(path, LOFT_UNTRUSTED, NULL, LOFT_ECORRUPT, "address");
    open_must_fail(path, LOFT_UNTRUSTED | LOFT_RELOCATE, NULL, LOFT_ECORRUPT, "address");
    abandon_arena(open_arena(path, 0));
}
