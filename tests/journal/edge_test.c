/* What a store meets seldom: memory refused at every call of its life, a journal whose row of extents is full, no
 * preallocation, positions and space at their borders, waits for what is durable already. */
#include <errno.h>

#include "journal/log.h"
#include "journal/store_world.h"
#include "loft/error.h"
#include "region/fault_map.h"

static store_world world;

/* Opens, recovers, commits, checkpoints, as far as it comes. Returns: the first code that is not LOFT_OK. */
static int life_without_memory(void)
{
    int code = world_open_at(&world, world.path, true);
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_store_recover(&world.store);
    for (uint64_t i = 0; i < 3 && code == LOFT_OK; i++) {
        world_set_range(&world, i * 2, i * 2 + (i == 2 ? 1400 : 3), 0x1000 * (i + 2));
        code = world_commit(&world);
        code = code == LOFT_OK ? lofti_store_checkpoint(&world.store) : code;
    }
    return code;
}

/* Returns: whether a call was refused. */
static bool refuse(uint64_t nth, uint64_t times)
{
    world_begin(&world, false);
    world_open(&world);
    world_set_range(&world, 0, 900,
                    0x700); /* more than the smallest tables hold, and nothing applied */
    LOFT_CHECK_OK(world_commit(&world));
    world_close(&world);
    fault_map_set(FAULT_MAP_MAP, nth, times, ENOMEM, false);
    const int code = life_without_memory();
    const bool struck = fault_map_clear() != 0;
    LOFT_CHECK_TRUE(code == LOFT_OK || code == LOFT_ENOMEM || code == LOFT_EPENDING);
    LOFT_CHECK_TRUE(code == LOFT_OK || struck);
    world_close(&world);
    world_open(&world); /* what was committed stands, and goes on */
    world_check(&world);
    world_drop(&world);
    world_set_range(&world, 3, 5, 0x99000);
    LOFT_CHECK_OK(world_commit(&world));
    world_check_image(&world);
    world_end(&world);
    return struck;
}

LOFT_TEST(edge, memory_refused_once_at_every_call)
{
    uint64_t nth = 1;
    while (refuse(nth, 1)) {
        nth++;
    }
    LOFT_CHECK_GT_UINT(nth, 10);
}

LOFT_TEST(edge, memory_refused_from_every_call_on)
{
    uint64_t nth = 1;
    while (refuse(nth, UINT64_MAX)) {
        nth++;
    }
    LOFT_CHECK_GT_UINT(nth, 5);
}

LOFT_TEST(edge, a_full_row_of_extents)
{
    world_begin(&world, false);
    world_open(&world);
    lofti_super full = world.store.super;
    full.extent_count = LOFTI_SUPER_EXTENTS_MAX;
    LOFT_CHECK_ERR(lofti_log_extend_draft(&world.store, &full, 1), LOFT_ENOSPC);
    LOFT_CHECK_CONTAINS(loft_last_error(), "parts already");
    LOFT_CHECK_EQ_UINT(full.extent_count, LOFTI_SUPER_EXTENTS_MAX);
    world_end(&world);
}

static int extend_under(int error, enum fault_kind kind)
{
    const fault_plan plan = {
        .action = FAULT_FAIL, .kinds = FAULT_MASK(kind), .first = 1, .times = 1, .error = error};
    fault_fs_set(world.fault, &plan);
    const int code = lofti_log_extend(&world.store, 1);
    fault_fs_set(world.fault, NULL);
    return code;
}

LOFT_TEST(edge, a_journal_grows_without_preallocation_and_not_without_space)
{
    world_begin(&world, false);
    world_open(&world);
    const uint64_t before = world.store.total_bytes;
    const uint64_t end = lofti_store_space_end(&world.store);
    LOFT_CHECK_ERR(extend_under(ENOSPC, FAULT_ALLOCATE), LOFT_ENOSPC);
    LOFT_CHECK_ERR(extend_under(EIO, FAULT_RESIZE), LOFT_EIO);
    LOFT_CHECK_EQ_UINT(world.store.total_bytes, before);
    LOFT_CHECK_EQ_UINT(lofti_store_space_end(&world.store), end);
    LOFT_CHECK_OK(extend_under(EOPNOTSUPP, FAULT_ALLOCATE));
    LOFT_CHECK_EQ_UINT(world.store.total_bytes, before + LOFTI_CHUNK_BYTES);
    world_set_range(&world, 0, 1400, 0x500);
    LOFT_CHECK_OK(world_commit(&world));
    world_check_image(&world);
    world_end(&world);
}

LOFT_TEST(edge, positions_and_space_at_their_borders)
{
    uint64_t off = 0;
    world_begin(&world, false);
    world_open(&world);
    const lofti_super *super = &world.store.super;
    LOFT_CHECK_EQ_UINT(lofti_log_file_off(super, 0), LOFTI_JOURNAL_OFF);
    LOFT_CHECK_EQ_UINT(lofti_log_file_off(super, lofti_log_total_bytes(super)), 0);
    LOFT_CHECK_OK(lofti_store_claim(&world.store, 2, UINT64_MAX / 2, &off));
    lofti_store_unclaim(&world.store, off, LOFTI_CHUNK_BYTES); /* something lies behind it */
    LOFT_CHECK_EQ_UINT(lofti_store_space_end(&world.store), off + 2 * LOFTI_CHUNK_BYTES);
    lofti_store_unclaim(&world.store, off + LOFTI_CHUNK_BYTES, LOFTI_CHUNK_BYTES);
    LOFT_CHECK_EQ_UINT(lofti_store_space_end(&world.store), off + LOFTI_CHUNK_BYTES);
    LOFT_CHECK_ERR(lofti_store_claim(&world.store, UINT64_MAX / 2, UINT64_MAX, &off), LOFT_ENOMEM);
    world_end(&world);
}

LOFT_TEST(edge, who_waits_after_a_failed_flush_is_told_and_so_is_the_next_commit)
{
    world_begin(&world, false);
    world_open(&world);
    world_set_range(&world, 0, 3, 0x100);
    LOFT_CHECK_OK(world_commit(&world));
    const uint64_t done = world.store.sequence;
    LOFT_CHECK_OK(lofti_store_wait(&world.store, done, done)); /* durable: no flush */
    const fault_plan plan = {.action = FAULT_FAIL,
                             .kinds = FAULT_MASK(FAULT_SYNC),
                             .first = 1,
                             .times = 1,
                             .error = EIO};
    fault_fs_set(world.fault, &plan);
    LOFT_CHECK_ERR(lofti_store_wait(&world.store, done + 1, done + 1), LOFT_EPOISONED);
    /* The next flush would answer 0. */
    LOFT_CHECK_ERR(lofti_store_wait(&world.store, done + 1, done + 1), LOFT_EPOISONED);
    LOFT_CHECK_EQ_UINT(fault_fs_struck(world.fault), 1);
    LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_EPOISONED);
    LOFT_CHECK_ERR(lofti_store_begin(&world.store), LOFT_EPOISONED);
    LOFT_CHECK_EQ_INT(world.store.state, LOFTI_STORE_POISONED);
    lofti_store_tidy(&world.store); /* does nothing */
    fault_fs_set(world.fault, NULL);
    world_end(&world);
}
