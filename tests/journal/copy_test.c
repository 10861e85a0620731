/* Stores made anew, copied, given back and read: what tests of whole lives do not meet. */
#include "journal/copy.h"

#include <errno.h>
#include <stdlib.h>

#include "journal/store_world.h"
#include "loft/error.h"
#include "region/fault_map.h"

static store_world world;

static lofti_file open_new(const char *path)
{
    lofti_file file;
    const unsigned flags = LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE | LOFTI_OPEN_TRUNCATE;
    LOFT_CHECK_EQ_INT(lofti_file_open(path, flags, 0600, &file), 0);
    return file;
}

static lofti_store open_for_reading(const char *path)
{
    lofti_file file;
    lofti_store store;
    LOFT_CHECK_EQ_INT(lofti_file_open(path, LOFTI_OPEN_READ, 0, &file), 0);
    LOFT_CHECK_OK(lofti_store_open(&store, &file, path, false));
    return store;
}

/* --- New, and given back -------------------------------------------------------------------------------- */

LOFT_TEST(copy, a_new_store_is_whole_or_no_store)
{
    const lofti_store_identity identity = {.base = WORLD_BASE, .salt = 7};
    world_begin(&world, false);
    bool struck = true;
    for (uint64_t nth = 0; struck; nth++) {
        lofti_file file = open_new("/new");
        world_fail(&world, FAULT_FAIL, FAULT_MASK_CHANGES, nth, 1, EIO);
        if (nth == 0) {
            fault_map_set(FAULT_MAP_MAP, 1, 1, ENOMEM, false);
        }
        const int code = lofti_store_format(&file, "/new", &identity);
        (void)fault_map_clear();
        struck = world_heal(&world) != 0 || nth == 0;
        LOFT_CHECK_EQ_INT(code, nth == 0 ? LOFT_ENOMEM : struck ? LOFT_EIO : LOFT_OK);
        LOFT_CHECK_TRUE(code == LOFT_OK || strstr(loft_last_error(), "create '/new'") != NULL);
        LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
        LOFT_CHECK_TRUE(struck || nth == 5);
    }
    lofti_store store = open_for_reading("/new");
    LOFT_CHECK_EQ_UINT(store.sequence, 0);
    lofti_store_close(&store);
    world_end(&world);
}

LOFT_TEST(copy, a_tidied_journal_holds_its_mark_and_nothing_else)
{
    world_begin(&world, false);
    world_open(&world);
    lofti_store_tidy(&world.store); /* not touched: nothing to do */
    LOFT_CHECK_OK(lofti_log_extend(&world.store, 1));
    world_commit_range(&world, 0, 1200, 0x300); /* into the second extent */
    LOFT_CHECK_GT_UINT(world.store.position, LOFTI_CHUNK_BYTES);
    lofti_store_tidy(&world.store); /* in use */
    LOFT_CHECK_TRUE(lofti_store_has_journal(&world.store));
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    lofti_store_tidy(&world.store);
    const uint64_t total = world.store.total_bytes;
    uint8_t *journal = malloc(total);
    LOFT_CHECK_NOT_NULL(journal);
    LOFT_CHECK_OK(lofti_log_read(&world.store, 0, journal, total));
    LOFT_CHECK_TRUE(lofti_frame_is_mark((const lofti_frame *)(const void *)journal));
    for (uint64_t i = sizeof(lofti_frame); i < total; i++) {
        LOFT_CHECK_EQ_UINT(journal[i], 0);
    }
    free(journal);
    const uint64_t writes = fault_fs_calls(world.fault, FAULT_PWRITE);
    const uint64_t punches = fault_fs_calls(world.fault, FAULT_PUNCH);
    lofti_store_tidy(&world.store); /* once is enough */
    LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_PWRITE), writes);
    LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_PUNCH), punches);
    world_check_image(&world);
    world_commit_range(&world, 3, 5, 0x400);
    world_check_image(&world);
    world_end(&world);
}

LOFT_TEST(copy, a_punched_page_is_zeros_and_may_be_committed_again)
{
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 40, 0x300);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    LOFT_CHECK_OK(lofti_store_punched(&world.store)); /* nothing was */
    const uint64_t flushes = fault_fs_calls(world.fault, FAULT_SYNC);
    LOFT_CHECK_EQ_INT(
        lofti_store_punch(&world.store, WORLD_FIRST_PAGE * WORLD_PAGE_BYTES, 20 * WORLD_PAGE_BYTES),
        0);
    LOFT_CHECK_OK(lofti_store_punched(&world.store));
    LOFT_CHECK_EQ_UINT(fault_fs_calls(world.fault, FAULT_SYNC), flushes + 1);
    for (uint64_t i = 0; i < 20; i++) {
        world_set(&world, i, 0);
    }
    memcpy(world.committed, world.working, sizeof world.committed);
    world_check_image(&world);
    world_commit_range(&world, 5, 25, 0x400);
    world_check_image(&world);
    world_end(&world);
}

LOFT_TEST(copy, the_superblock_before_the_newest_is_known_whatever_its_slot)
{
    world_begin(&world, false);
    for (uint64_t i = 0; i < 7; i++) {
        world_open(&world);
        const uint32_t good = world.store.slot_good;
        const uint32_t before = world.store.slot_before;
        world_commit_range(&world, i, i + 2, 0x300 + i);
        /* It was renewed: neither of the two was written over. */
        LOFT_CHECK_EQ_UINT(world.store.slot_good, LOFTI_SUPER_SLOTS - good - before);
        LOFT_CHECK_EQ_UINT(world.store.slot_before, good);
        for (uint64_t k = 0; k <= i % 3; k++) {
            world_set(&world, 9, 0x500 + i * 8 + k);
            LOFT_CHECK_OK(world_commit(&world));
            LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
        }
        const uint32_t last = world.store.slot_good;
        const uint32_t last_before = world.store.slot_before;
        world_close(&world);
        LOFT_CHECK_OK(world_open_at(&world, world.path, false));
        LOFT_CHECK_EQ_UINT(world.store.slot_good, last);
        LOFT_CHECK_EQ_UINT(world.store.slot_before, last_before);
        world_check(&world);
        world_close(&world);
    }
    world_end(&world);
}

/* --- Reading ---------------------------------------------------------------------------------------------- */

static int count_page(void *context, uint64_t page_idx, const void *page)
{
    LOFT_CHECK_GE_UINT(page_idx, WORLD_FIRST_PAGE);
    LOFT_CHECK_NOT_NULL(page);
    *(uint64_t *)context += 1;
    return LOFT_OK;
}

/* The journal was judged when the store was opened; what is read later may be something else. */
LOFT_TEST(copy, a_delta_that_changed_since_open_is_not_applied)
{
    uint8_t got[WORLD_PAGE_BYTES];
    uint64_t pages = 0;
    const uint8_t wild[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 3, 0x301);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    for (uint64_t i = 0; i < 3; i++) {
        world_set(&world, i, world.committed[i] + 1);
    }
    LOFT_CHECK_OK(world_commit(&world));
    LOFT_CHECK_OK(lofti_store_each_page(&world.store, count_page, &pages));
    LOFT_CHECK_EQ_UINT(pages, 3);
    const uint64_t page_idx = WORLD_FIRST_PAGE + 1;
    const lofti_index_entry *entry = lofti_index_find(&world.store.index, page_idx);
    LOFT_CHECK_EQ_UINT(entry->kind, LOFTI_RECORD_DELTA);
    world_write_file(&world, lofti_log_file_off(&world.store.super, entry->position), wild,
                     sizeof wild);
    lofti_log_near_written(&world.store, 0, world.store.total_bytes); /* no window holds it */
    LOFT_CHECK_ERR(lofti_store_read_page(&world.store, page_idx, got), LOFT_ECORRUPT);
    LOFT_CHECK_CONTAINS(loft_last_error(), "does not match its journal record");
    pages = 0;
    LOFT_CHECK_ERR(lofti_store_each_page(&world.store, count_page, &pages), LOFT_ECORRUPT);
    LOFT_CHECK_EQ_UINT(pages, 1);
    fault_map_set(FAULT_MAP_MAP, 1, 1, ENOMEM, false);
    LOFT_CHECK_ERR(lofti_store_each_page(&world.store, count_page, &pages), LOFT_ENOMEM);
    LOFT_CHECK_EQ_UINT(fault_map_clear(), 1);
    LOFT_CHECK_ERR(lofti_store_checkpoint(&world.store), LOFT_ECORRUPT);
    world_end(&world);
}

LOFT_TEST(copy, a_damaged_file_is_read_as_far_as_it_goes)
{
    lofti_file file;
    lofti_store store;
    uint8_t got[WORLD_PAGE_BYTES];
    uint8_t want[WORLD_PAGE_BYTES];
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 5, 0x300);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_commit_range(&world, 5, 9, 0x400);
    world_close(&world);
    world_break_newest(&world);
    LOFT_CHECK_EQ_INT(lofti_file_open(world.path, LOFTI_OPEN_WRITE, 0, &file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, (WORLD_FIRST_PAGE + 3) * WORLD_PAGE_BYTES), 0);
    LOFT_CHECK_OK(lofti_store_open_lenient(&store, &file, world.path));
    LOFT_CHECK_TRUE(store.lost);
    LOFT_CHECK_EQ_UINT(store.state, LOFTI_STORE_READ);
    for (uint64_t i = 0; i < 5; i++) { /* what was cut off is zeros */
        world_content(i, i < 3 ? world.committed[i] : 0, want);
        LOFT_CHECK_OK(lofti_store_read_page(&store, WORLD_FIRST_PAGE + i, got));
        LOFT_CHECK_EQ_MEM(got, want, sizeof got);
    }
    lofti_store_close(&store);
    world_end(&world);
}

static int stop_hearing(void *context, int code, uint64_t off, const char *text)
{
    LOFT_CHECK_NE_INT(code, LOFT_OK);
    LOFT_CHECK_NOT_NULL(text);
    *(uint64_t *)context = off;
    return LOFT_ECANCELED;
}

LOFT_TEST(copy, a_check_stops_when_it_is_told_to)
{
    uint64_t off = 0;
    const uint8_t stray = 1;
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 5, 0x300);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    world_commit_range(&world, 0, 1, 0x400);
    const lofti_file *file = &world.store.file;
    LOFT_CHECK_OK(lofti_check_head(file, world.path, stop_hearing, &off));
    world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PREAD), 1, 1, EIO);
    LOFT_CHECK_EQ_INT(lofti_check_data(&world.store, stop_hearing, &off), LOFT_ECANCELED);
    LOFT_CHECK_EQ_UINT(off, WORLD_FIRST_PAGE * WORLD_PAGE_BYTES);
    world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_SEEK), 1, 1, EIO);
    LOFT_CHECK_ERR(lofti_check_data(&world.store, stop_hearing, &off), LOFT_EIO);
    world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PREAD), 1, 1, EIO);
    LOFT_CHECK_EQ_INT(lofti_check_pages(&world.store, stop_hearing, &off), LOFT_ECANCELED);
    world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PREAD), 1, 1,
               ENOMEM); /* not a fault of the file: of the check */
    LOFT_CHECK_EQ_INT(lofti_check_pages(&world.store, stop_hearing, &off), LOFT_ENOMEM);
    LOFT_CHECK_EQ_UINT(world_heal(&world), 1);
    const uint64_t behind = (uint64_t)LOFTI_SUPER_SLOTS * LOFTI_SUPER_BYTES + 77;
    world_write_file(&world, behind, &stray, 1);
    LOFT_CHECK_EQ_INT(lofti_check_head(file, world.path, stop_hearing, &off), LOFT_ECANCELED);
    LOFT_CHECK_EQ_UINT(off, behind);
    world_break_newest(&world);
    LOFT_CHECK_EQ_INT(lofti_check_head(file, world.path, stop_hearing, &off), LOFT_ECANCELED);
    LOFT_CHECK_LT_UINT(off, behind);
    world_end(&world);
}

/* --- Copies --------------------------------------------------------------------------------------------- */

typedef struct copy_ticks {
    uint64_t count, stop_at, done;
} copy_ticks;

static int tick(void *context, uint64_t done, uint64_t total)
{
    copy_ticks *ticks = context;
    LOFT_CHECK_LE_UINT(done, total);
    LOFT_CHECK_GE_UINT(done, ticks->done);
    ticks->done = done;
    return ++ticks->count == ticks->stop_at;
}

/* Stretches with and without content, some longer than what is written at once. */
static const uint8_t *image_page(void *context, uint64_t off, uint8_t *scratch)
{
    const uint64_t page = off / WORLD_PAGE_BYTES;
    (void)context;
    world_content(page, page % 100 < 60 ? 0x100 + page : page % 100 == 70, scratch);
    return scratch;
}

static int copy_memory(copy_ticks *ticks)
{
    lofti_file to = open_new("/copy");
    lofti_copy copy = {.to = &to,
                       .path = "/copy",
                       .identity = {.base = WORLD_BASE, .salt = 7},
                       .progress = tick,
                       .progress_context = ticks};
    const int code =
        lofti_copy_memory((uint64_t)WORLD_PAGES * WORLD_PAGE_BYTES, image_page, NULL, &copy);
    LOFT_CHECK_EQ_INT(lofti_file_close(&to), 0);
    return code;
}

static void compare_memory(void)
{
    uint8_t got[WORLD_PAGE_BYTES];
    uint8_t want[WORLD_PAGE_BYTES];
    lofti_store store = open_for_reading("/copy");
    LOFT_CHECK_EQ_UINT(store.frontier, LOFTI_HEAP_OFF + 2 * LOFTI_CHUNK_BYTES);
    for (uint64_t i = 0; i < WORLD_PAGES; i++) {
        (void)image_page(NULL, i * WORLD_PAGE_BYTES, want);
        LOFT_CHECK_OK(lofti_store_read_page(&store, WORLD_FIRST_PAGE + i, got));
        LOFT_CHECK_EQ_MEM(got, want, sizeof got);
    }
    lofti_store_close(&store);
}

LOFT_TEST(copy, memory_becomes_a_store_or_says_why_not)
{
    world_begin(&world, false);
    copy_ticks ticks = {0};
    LOFT_CHECK_OK(copy_memory(&ticks));
    LOFT_CHECK_GT_UINT(ticks.count, 3);
    compare_memory();
    for (uint64_t nth = 1; nth <= 2; nth++) {
        fault_map_set(FAULT_MAP_MAP, nth, 1, ENOMEM, false);
        ticks = (copy_ticks){0};
        LOFT_CHECK_ERR(copy_memory(&ticks), LOFT_ENOMEM);
        LOFT_CHECK_EQ_UINT(fault_map_clear(), 1);
    }
    for (uint64_t stop_at = 1; stop_at <= 3; stop_at++) {
        ticks = (copy_ticks){.stop_at = stop_at};
        LOFT_CHECK_ERR(copy_memory(&ticks), LOFT_ECANCELED);
    }
    bool struck = true;
    for (uint64_t nth = 1; struck; nth += nth > 3 ? 29 : 1) {
        ticks = (copy_ticks){0};
        world_fail(&world, FAULT_FAIL, FAULT_MASK(FAULT_PWRITE) | FAULT_MASK(FAULT_RESIZE), nth, 1,
                   ENOSPC);
        const int code = copy_memory(&ticks);
        struck = world_heal(&world) != 0;
        LOFT_CHECK_EQ_INT(code, struck ? LOFT_ENOSPC : LOFT_OK);
    }
    compare_memory();
    world_end(&world);
}

static int copy_world(bool may_clone, copy_ticks *ticks, uint32_t *way)
{
    lofti_store view;
    lofti_file to = open_new("/copy");
    LOFT_CHECK_OK(lofti_view_begin(&world.store, &view));
    lofti_copy copy = {.to = &to,
                       .path = "/copy",
                       .identity = {.base = WORLD_BASE, .salt = 7},
                       .progress = tick,
                       .progress_context = ticks,
                       .may_clone = may_clone};
    const int code = lofti_copy_store(&view, &copy);
    lofti_view_end(&view);
    LOFT_CHECK_EQ_INT(lofti_file_close(&to), 0);
    *way = copy.way;
    return code;
}

/* The journal's extents neither rise nor end before the heap does: one lies between its chunks, one behind them. */
LOFT_TEST(copy, extents_between_the_heaps_chunks_are_left_out)
{
    uint64_t off = 0;
    uint32_t way = 0;
    uint8_t got[WORLD_PAGE_BYTES];
    uint8_t want[WORLD_PAGE_BYTES];
    world_begin(&world, false);
    world_open(&world);
    LOFT_CHECK_OK(lofti_log_extend(&world.store, 1));
    LOFT_CHECK_OK(lofti_store_claim(&world.store, 1, UINT64_MAX / 2, &off));
    LOFT_CHECK_OK(lofti_log_extend(&world.store, 1));
    world_commit_range(&world, 0, 1400, 0x300);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    lofti_super turned = world.store.super;
    LOFT_CHECK_EQ_UINT(turned.extent_count, 3);
    turned.extents[1] = world.store.super.extents[2];
    turned.extents[2] = world.store.super.extents[1];
    LOFT_CHECK_OK(lofti_store_super_write(&world.store, &turned, "turn"));
    world.frontier = off + LOFTI_CHUNK_BYTES;
    const uint64_t page_idx = off / WORLD_PAGE_BYTES + 5;
    world_content(9, 0x900, want);
    LOFT_CHECK_OK(lofti_store_begin(&world.store));
    LOFT_CHECK_OK(lofti_store_page(&world.store, page_idx, want));
    LOFT_CHECK_OK(lofti_store_commit(&world.store, world.frontier));
    world_commit_range(&world, 0, 1400, 0x500); /* in all of them */
    world_check(&world);
    for (int clone = 0; clone < 2; clone++) {
        copy_ticks ticks = {0};
        LOFT_CHECK_OK(copy_world(clone != 0, &ticks, &way));
        LOFT_CHECK_EQ_UINT(way, clone != 0 ? LOFTI_COPY_CLONED : LOFTI_COPY_WRITTEN);
        lofti_store copy = open_for_reading("/copy");
        LOFT_CHECK_OK(lofti_store_read_page(&copy, page_idx, got));
        LOFT_CHECK_EQ_MEM(got, want, sizeof got);
        memset(want, 0, sizeof want);
        const uint64_t hidden = turned.extents[2].off / WORLD_PAGE_BYTES;
        LOFT_CHECK_LT_UINT(turned.extents[2].off, world.frontier);
        LOFT_CHECK_OK(lofti_store_read_page(&copy, hidden, got)); /* journal in the source */
        LOFT_CHECK_EQ_MEM(got, want, sizeof got);
        for (uint64_t i = 0; i < WORLD_PAGES; i++) {
            uint8_t page[WORLD_PAGE_BYTES];
            world_content(i, world.committed[i], page);
            LOFT_CHECK_OK(lofti_store_read_page(&copy, WORLD_FIRST_PAGE + i, got));
            LOFT_CHECK_EQ_MEM(got, page, sizeof got);
        }
        lofti_store_close(&copy);
        world_content(9, 0x900, want);
    }
    world_check_image(&world);
    world_end(&world);
}

/* Neighbours that the journal holds and a window's end divides: what is behind it is still to be copied from the base. */
LOFT_TEST(copy, changed_pages_across_the_end_of_a_window_are_the_newest)
{
    enum { WINDOW_PAGES = (1 << 20) / WORLD_PAGE_BYTES };
    uint32_t way = 0;
    uint8_t got[WORLD_PAGE_BYTES];
    uint8_t want[WORLD_PAGE_BYTES];
    for (int clone = 0; clone < 2; clone++) {
        for (uint64_t before = 1; before <= 40; before += 13) {
            world_begin(&world, false);
            world_open(&world);
            world_commit_range(&world, 0, 1024, 0x300);
            LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
            for (uint64_t end = WINDOW_PAGES; end < 1024; end += WINDOW_PAGES) {
                world_commit_range(&world, end - before, end + 5, 0x500);
            }
            copy_ticks ticks = {0};
            LOFT_CHECK_OK(copy_world(clone != 0, &ticks, &way));
            LOFT_CHECK_EQ_UINT(way, clone != 0 ? LOFTI_COPY_CLONED : LOFTI_COPY_WRITTEN);
            lofti_store copy = open_for_reading("/copy");
            for (uint64_t i = 0; i < 1024; i++) {
                world_content(i, world.committed[i], want);
                LOFT_CHECK_OK(lofti_store_read_page(&copy, WORLD_FIRST_PAGE + i, got));
                LOFT_CHECK_EQ_MEM(got, want, sizeof got);
            }
            lofti_store_close(&copy);
            world_end(&world);
        }
    }
}

LOFT_TEST(copy, a_copy_is_canceled_at_every_tick)
{
    uint32_t way = 0;
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 1400, 0x300);
    LOFT_CHECK_OK(lofti_store_checkpoint(&world.store));
    for (int clone = 0; clone < 2; clone++) {
        copy_ticks all = {0};
        LOFT_CHECK_OK(copy_world(clone != 0, &all, &way)); /* of an empty journal */
        for (uint64_t stop_at = 1; stop_at <= all.count; stop_at++) {
            copy_ticks ticks = {.stop_at = stop_at};
            LOFT_CHECK_ERR(copy_world(clone != 0, &ticks, &way), LOFT_ECANCELED);
        }
    }
    world_check_image(&world);
    world_end(&world);
}

LOFT_TEST(copy, a_view_that_was_refused_may_be_ended)
{
    lofti_store view;
    world_begin(&world, false);
    world_open(&world);
    world_commit_range(&world, 0, 5, 0x300);
    for (uint64_t nth = 1; nth <= 2; nth++) {
        fault_map_set(FAULT_MAP_MAP, nth, 1, ENOMEM, false);
        LOFT_CHECK_ERR(lofti_view_begin(&world.store, &view), LOFT_ENOMEM);
        LOFT_CHECK_EQ_UINT(fault_map_clear(), 1);
        lofti_view_end(&view);
    }
    world_check(&world); /* the file is still open */
    world_end(&world);
}
