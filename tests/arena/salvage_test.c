/* loft_file_salvage: what it saves, that it says what it could not, and that the source stays as it is. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arena/arena_world.h"
#include "format/super.h"
#include "support/held.h"

typedef struct finding {
    uint64_t count, first_off;
    char text[4096];
    int stop;
} finding;

static int note(void *context, const loft_fault *fault)
{
    finding *found = context;
    if (found->count++ == 0) {
        found->first_off = fault->offset;
    }
    strncat(found->text, fault->text, sizeof found->text - strlen(found->text) - 2);
    strcat(found->text, "\n");
    return found->stop;
}

static const char *source, *target;

static void make_source(uint64_t committed, uint64_t journaled)
{
    source = loft_test_tmp_path("data");
    target = loft_test_tmp_path("saved");
    loft_arena *arena = new_arena("data");
    uint64_t number = 0;
    while (number < committed) {
        list_push(arena, ++number, 100000);
    }
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    while (number < committed + journaled) {
        list_push(arena, ++number, 1000);
        LOFT_CHECK_OK(loft_arena_commit(arena));
    }
    abandon_arena(arena);
}

/* Salvages; the source stays as it was. */
static int salvage(finding *found, int stop)
{
    size_t bytes = 0, after_bytes = 0;
    uint8_t *before = file_read(source, &bytes);
    const leftovers kept = leftovers_before(loft_test_folder());
    *found = (finding){.stop = stop};
    const int code = loft_file_salvage(source, target, note, found);
    LOFT_CHECK_EQ_UINT(held_descriptors(), kept.descriptors);
    uint8_t *after = file_read(source, &after_bytes);
    LOFT_CHECK_EQ_UINT(after_bytes, bytes);
    LOFT_CHECK_EQ_MEM(after, before, bytes);
    free(before);
    free(after);
    return code;
}

/* The copy is a whole arena, and may be changed. */
static uint64_t saved_count(void)
{
    LOFT_CHECK_OK(loft_file_check(target, NULL, NULL, NULL));
    loft_arena *arena = open_arena(target, LOFT_WRITE);
    check_arena(arena);
    const uint64_t count = list_check(arena);
    list_push(arena, count + 1, 5 << 20);
    close_arena(arena);
    LOFT_CHECK_OK(loft_file_check(target, NULL, NULL, NULL));
    return count;
}

LOFT_TEST(arena_salvage, copies_a_whole_arena)
{
    finding found;
    make_source(10, 5);
    LOFT_CHECK_OK(salvage(&found, 0));
    LOFT_CHECK_EQ_UINT(found.count, 0);
    LOFT_CHECK_EQ_UINT(saved_count(), 15);
}

LOFT_TEST(arena_salvage, goes_on_without_a_lost_superblock)
{
    finding found;
    make_source(10, 5);
    /* Which slot is the newest? The one whose loss the open notices. */
    for (uint32_t slot = 0; slot < LOFTI_SUPER_SLOTS; slot++) {
        uint8_t right[LOFTI_SUPER_BYTES];
        size_t bytes = 0;
        uint8_t *file = file_read(source, &bytes);
        memcpy(right, file + slot * LOFTI_SUPER_BYTES, sizeof right);
        free(file);
        const uint8_t wrong = (uint8_t)(right[200] ^ 1u);
        file_patch(source, slot * LOFTI_SUPER_BYTES + 200, &wrong, 1);
        const int code = salvage(&found, 0);
        LOFT_CHECK_ERR(code, LOFT_ECORRUPT);
        LOFT_CHECK_CONTAINS(loft_last_error(), target);
        LOFT_CHECK_EQ_UINT(found.first_off / LOFTI_SUPER_BYTES, slot);
        LOFT_CHECK_GE_UINT(saved_count(), 10);
        LOFT_CHECK_SYS(unlink(target));
        file_patch(source, slot * LOFTI_SUPER_BYTES, right, sizeof right);
    }
}

LOFT_TEST(arena_salvage, takes_the_commits_before_a_break_of_the_journal)
{
    finding found;
    make_source(10, 5);
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_file_describe(source, &info));
    const uint8_t byte = 0xa5;
    file_patch(source, LOFTI_JOURNAL_OFF + info.journal_bytes / 2 + 100, &byte, 1);
    LOFT_CHECK_ERR(salvage(&found, 0), LOFT_ECORRUPT);
    LOFT_CHECK_CONTAINS(found.text, "breaks off");
    const uint64_t count = saved_count();
    LOFT_CHECK_GE_UINT(count, 10);
    LOFT_CHECK_LT_UINT(count, 15);
}

LOFT_TEST(arena_salvage, takes_what_a_cut_file_has)
{
    finding found;
    make_source(60, 0); /* 6 MB: two chunks */
    LOFT_CHECK_SYS(truncate(source, (off_t)(LOFTI_HEAP_OFF + (3 << 20))));
    loft_arena *arena = NULL;
    LOFT_CHECK_ERR(loft_arena_open(source, 0, NULL, &arena), LOFT_ECORRUPT);
    LOFT_CHECK_ERR(salvage(&found, 0), LOFT_ECORRUPT);
    LOFT_CHECK_CONTAINS(found.text, "cut");
    arena = open_arena(target, 0);
    LOFT_CHECK_NOT_NULL(loft_arena_root(arena, "list"));
    abandon_arena(arena);
}

LOFT_TEST(arena_salvage, leaves_out_a_page_that_is_not_what_its_record_says)
{
    finding found;
    make_source(10, 1);
    /* The commit's deltas rest on base images: one that changed is found by the hash of the page. */
    uint8_t zeros[4096] = {0};
    size_t bytes = 0;
    uint8_t *file = file_read(source, &bytes);
    uint64_t hit = 0;
    for (uint64_t off = LOFTI_HEAP_OFF; off < bytes && hit == 0; off += 4096) {
        memcpy(zeros, file + off, sizeof zeros);
        zeros[4000] ^= 0x10;
        file_patch(source, off, zeros, sizeof zeros);
        found = (finding){0};
        (void)loft_file_check(source, note, &found, NULL);
        if (strstr(found.text, "does not match its journal record") != NULL) {
            hit = off;
        } else {
            file_patch(source, off, file + off, 4096);
        }
    }
    free(file);
    LOFT_CHECK_GT_UINT(hit, 0);
    const int code = salvage(&found, 0);
    LOFT_CHECK_ERR(code, LOFT_ECORRUPT);
    LOFT_CHECK_EQ_UINT(found.first_off, hit);
}

LOFT_TEST(arena_salvage, refuses_what_has_nothing_to_save)
{
    finding found;
    make_source(3, 0);
    const leftovers before = leftovers_before(loft_test_folder());
    LOFT_CHECK_ERR(loft_file_salvage(loft_test_tmp_path("none"), target, NULL, NULL), LOFT_ENOENT);
    LOFT_CHECK_ERR(loft_file_salvage(NULL, target, NULL, NULL), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_file_salvage(source, source, NULL, NULL), LOFT_EINVAL);
    leftovers_check(&before);
    static const uint8_t zeros[64 << 10];
    file_patch(source, LOFTI_HEAP_OFF, zeros, sizeof zeros);
    LOFT_CHECK_ERR(salvage(&found, 0), LOFT_ECORRUPT);
    leftovers_check(&before);
    LOFT_CHECK_CONTAINS(loft_last_error(), "nothing is provably whole");
    LOFT_CHECK_EQ_INT(salvage(&found, 7), 7); /* stopped */
    leftovers_check(&before);
    file_patch(source, 0, zeros, sizeof zeros);
    LOFT_CHECK_ERR(salvage(&found, 0), LOFT_ECORRUPT);
    leftovers_check(&before);
    file_write(target, "x", 1);
    file_write(source, "y", 1);
    LOFT_CHECK_ERR(loft_file_salvage(source, target, NULL, NULL), LOFT_ECORRUPT);
    LOFT_CHECK_EQ_UINT(file_bytes(target), 1);
}
