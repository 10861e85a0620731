/* Damage to journal and superblocks: found, and answered by a refusal or by a commit that is provably whole;
 * what was committed is never lost in silence to a changed superblock. */
#include "journal/store_world.h"

#include <stdlib.h>

#include "loft/error.h"

enum { COMMITS = 6, PAGES_USED = 24 };

static store_world world;
static uint64_t states[COMMITS + 1][WORLD_PAGES]; /* after each commit */

static void commit_some(uint64_t first, uint64_t end)
{
    for (uint64_t i = first; i < end; i++) {
        for (uint64_t page = i; page < PAGES_USED; page += 3) {
            world_set(&world, page, i % 2 == 0 ? i : 0x100 * i + page % 3);
        }
        LOFT_CHECK_OK(world_commit(&world));
        memcpy(states[i], world.committed, sizeof states[i]);
    }
}

/* The pages that tests here use, against a state. */
static bool few_match(const uint64_t *stamps)
{
    uint8_t content[WORLD_PAGE_BYTES];
    uint8_t got[WORLD_PAGE_BYTES];
    for (uint64_t i = 0; i < PAGES_USED; i++) {
        world_content(i, stamps[i], content);
        LOFT_CHECK_OK(lofti_store_read_page(&world.store, WORLD_FIRST_PAGE + i, got));
        if (memcmp(got, content, sizeof got) != 0) {
            return false;
        }
    }
    return true;
}

LOFT_TEST(damage, a_changed_byte_of_the_journal_ends_it_before_that_commit)
{
    uint64_t ends[COMMITS + 1] = {0};
    loft_test_random random = {loft_test_seed()};
    world_begin(&world, false);
    world_open(&world);
    for (uint64_t i = 1; i <= COMMITS; i++) {
        commit_some(i, i + 1);
        ends[i] = world.store.position;
    }
    world_close(&world);
    uint64_t commit = 1;
    /* Every byte of headers and first records; of what follows, enough. */
    for (uint64_t off = 0; off < ends[COMMITS]; off += off % WORLD_PAGE_BYTES < 160 ? 1 : 17) {
        uint8_t was = 0;
        while (off >= ends[commit]) {
            commit++;
        }
        world_read_file(&world, LOFTI_JOURNAL_OFF + off, &was, 1);
        const uint8_t changed = (uint8_t)(was ^ (1u << loft_test_random_below(&random, 8)));
        world_write_file(&world, LOFTI_JOURNAL_OFF + off, &changed, 1);
        LOFT_CHECK_OK(world_open_at(&world, world.path, false));
        LOFT_CHECK_EQ_UINT(world.store.sequence, commit - 1);
        LOFT_CHECK_TRUE(off % 64 != 0 || few_match(states[commit - 1]));
        world_close(&world);
        world_write_file(&world, LOFTI_JOURNAL_OFF + off, &was, 1);
    }
    world_end(&world);
}

LOFT_TEST(damage, after_a_damaged_commit_the_store_goes_on_from_the_one_before)
{
    static const uint8_t zeros[64];
    for (uint64_t damaged = 1; damaged <= COMMITS; damaged++) {
        world_begin(&world, false);
        world_open(&world);
        commit_some(1, damaged);
        const uint64_t off = LOFTI_JOURNAL_OFF + world.store.position;
        commit_some(damaged, COMMITS + 1);
        world_close(&world);
        world_write_file(&world, off + 100, zeros, sizeof zeros);
        world_open(&world);
        LOFT_CHECK_EQ_UINT(world.store.sequence, damaged - 1);
        LOFT_CHECK_TRUE(world_matches(&world, states[damaged - 1]));
        memcpy(world.committed, states[damaged - 1], sizeof world.committed);
        world_set(&world, 3, 0x999);
        LOFT_CHECK_OK(world_commit(&world));
        world_check(&world);
        world_check_image(&world);
        world_end(&world);
    }
}

/* The page that a delta needs was changed in the file: its hash tells. */
LOFT_TEST(damage, a_changed_base_image_under_a_delta_is_found)
{
    uint8_t got[WORLD_PAGE_BYTES];
    const uint8_t changed = 0x77;
    world_begin(&world, false);
    world_open(&world);
    world_set(&world, 5, 0x501);
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_set(&world, 5, 0x502); /* a delta */
    LOFT_CHECK_OK(world_commit(&world));
    world_write_file(&world, (WORLD_FIRST_PAGE + 5) * WORLD_PAGE_BYTES + 2000, &changed, 1);
    LOFT_CHECK_ERR(lofti_store_read_page(&world.store, WORLD_FIRST_PAGE + 5, got), LOFT_ECORRUPT);
    LOFT_CHECK_CONTAINS(loft_last_error(), "offset");
    LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_ECORRUPT);
    world_close(&world);
    LOFT_CHECK_OK(world_open_at(&world, world.path, true));
    LOFT_CHECK_ERR(lofti_store_recover(&world.store), LOFT_ECORRUPT);
    world_end(&world);
}

/* --- Superblocks -------------------------------------------------------------------------------------- */

typedef struct history {
    uint64_t checkpoints; /* before the last commits */
    uint64_t commits;     /* after them */
    bool recovered; /* the last commits are in an epoch that recovery began, beside a reader */
    bool tidied; /* closed as an arena is closed: a checkpoint, and nothing stays in the journal */
} history;

/* Makes a file with that past; the newest commit is states[the result]. */
static uint64_t make_history(const history *past)
{
    uint64_t next = 1;
    world_begin(&world, false);
    world_open(&world);
    for (uint64_t i = 0; i < past->checkpoints; i++, next++) {
        commit_some(next, next + 1);
        LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    }
    if (past->recovered) {
        commit_some(next, next + 1);
        next++;
        world_close(&world);
        lofti_file reader;
        LOFT_CHECK_EQ_INT(lofti_file_open(world.path, LOFTI_OPEN_READ, 0, &reader), 0);
        LOFT_CHECK_EQ_INT(lofti_file_lock(&reader, LOFTI_LOCK_SHARED, LOFTI_STORE_LOCK_READER), 0);
        LOFT_CHECK_OK(world_open_at(&world, world.path, true));
        LOFT_CHECK_ERR(lofti_store_recover(&world.store), LOFT_EPENDING);
        LOFT_CHECK_EQ_INT(lofti_file_close(&reader), 0);
    }
    commit_some(next, next + past->commits);
    next += past->commits;
    if (past->tidied) {
        LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        lofti_store_tidy(&world.store);
    }
    world_close(&world);
    return next - 1;
}

/* Slots in the order of their generations, newest first; returns how many there are. */
static uint32_t slots_by_age(uint32_t order[LOFTI_SUPER_SLOTS])
{
    static lofti_super slots[LOFTI_SUPER_SLOTS];
    uint32_t count = 0;
    world_read_file(&world, 0, slots, sizeof slots);
    for (uint32_t i = 0; i < LOFTI_SUPER_SLOTS; i++) {
        if (lofti_super_validate(&slots[i], false).code == LOFT_OK) {
            uint32_t at = count++;
            for (; at > 0 && slots[order[at - 1]].generation < slots[i].generation; at--) {
                order[at] = order[at - 1];
            }
            order[at] = i;
        }
    }
    return count;
}

/* Breaks the `broken` newest superblocks, by a bit or altogether. */
static void check_history(const history *past, uint32_t broken, bool altogether)
{
    static const uint8_t zeros[LOFTI_SUPER_BYTES];
    uint32_t order[LOFTI_SUPER_SLOTS];
    const uint64_t newest = make_history(past);
    const uint32_t count = slots_by_age(order);
    for (uint32_t i = 0; i < broken && i < count; i++) {
        uint8_t byte = 0;
        const uint64_t off = (uint64_t)order[i] * LOFTI_SUPER_BYTES;
        world_read_file(&world, off + 100, &byte, 1);
        byte ^= 4;
        world_write_file(&world, altogether ? off : off + 100, altogether ? zeros : &byte,
                         altogether ? sizeof zeros : 1);
    }
    for (int writing = 0; writing < 2; writing++) {
        const int code = world_open_at(&world, world.path, writing != 0);
        if (code == LOFT_OK) {
            LOFT_CHECK_EQ_UINT(world.store.sequence, newest);
            LOFT_CHECK_TRUE(few_match(states[newest]));
            world_close(&world);
        } else {
            LOFT_CHECK_ERR(code, LOFT_ECORRUPT);
            LOFT_CHECK_CONTAINS(loft_last_error(), "offset");
        }
    }
    world_end(&world);
}

LOFT_TEST(damage, a_lost_superblock_never_loses_a_commit_in_silence)
{
    for (uint64_t checkpoints = 0; checkpoints <= 3; checkpoints++) {
        for (uint64_t commits = 0; commits <= 2; commits++) {
            for (int variant = 0; variant < 8; variant++) {
                const history past = {checkpoints, commits, variant % 2 != 0, variant / 4 != 0};
                check_history(&past, 1, variant / 2 % 2 != 0);
            }
        }
    }
}

LOFT_TEST(damage, two_lost_superblocks_are_noticed_as_well)
{
    for (uint64_t checkpoints = 0; checkpoints <= 3; checkpoints++) {
        for (int variant = 0; variant < 8; variant++) {
            const history past = {checkpoints, 2, variant % 2 != 0, variant / 4 != 0};
            check_history(&past, 2, variant / 2 % 2 != 0);
        }
    }
}

/* Damage that looks like a commit of the same epoch in every way but its hash. */
LOFT_TEST(damage, random_damage_to_header_and_journal_never_harms)
{
    loft_test_random random = {loft_test_seed()};
    const history past = {2, 3, false, false};
    (void)make_history(&past);
    const uint64_t area = LOFTI_JOURNAL_OFF + 16 * WORLD_PAGE_BYTES;
    uint8_t *kept = malloc(area);
    LOFT_CHECK_NOT_NULL(kept);
    world_read_file(&world, 0, kept, area);
    uint64_t opened = 0;
    for (int i = 0; i < 3000; i++) {
        uint8_t noise[64];
        const uint64_t bytes = 1 + loft_test_random_below(&random, sizeof noise);
        for (uint64_t k = 0; k < bytes; k++) {
            noise[k] = (uint8_t)loft_test_random_next(&random);
        }
        const uint64_t at = loft_test_random_below(&random, 2) == 0
                                ? loft_test_random_below(&random, 3 * LOFTI_SUPER_BYTES - 64)
                                : LOFTI_JOURNAL_OFF + loft_test_random_below(&random, 3 * 4096);
        world_write_file(&world, at, noise, bytes);
        const int code = world_open_at(&world, world.path, false);
        LOFT_CHECK_TRUE(code == LOFT_OK || code == LOFT_ECORRUPT || code == LOFT_EVERSION);
        if (code == LOFT_OK) {
            opened++;
            LOFT_CHECK_LE_UINT(world.store.sequence, 5);
            LOFT_CHECK_TRUE(few_match(states[world.store.sequence]));
            world_close(&world);
        }
        world_write_file(&world, at, kept + at, bytes);
    }
    LOFT_CHECK_GT_UINT(opened, 100);
    free(kept);
    world_end(&world);
}
