/* Many regions at once, and the registry against a model. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "loft/region.h"
#include "os/map.h"
#include "region/fault_map.h"
#include "region/residue.h"
#include "region/table.h"
#include "support/test.h"

static void check_address(const void *address, uint64_t bytes)
{
    LOFT_CHECK_NOT_NULL(address);
    LOFT_CHECK_GE_UINT((uintptr_t)address, LOFT_ADDRESS_MIN);
    LOFT_CHECK_LE_UINT((uintptr_t)address + bytes, (uint64_t)1 << 47);
}

LOFT_TEST(region_many, two_hundred_of_1_gib)
{
    enum { COUNT = 200 };
    const size_t bytes = (size_t)1 << 30;
    static char *regions[COUNT];
    const residue before = residue_begin();
    for (int i = 0; i < COUNT; i++) {
        regions[i] = loft_map(bytes, LOFT_NORESERVE);
        check_address(regions[i], bytes);
        regions[i][0] = (char)i;
        regions[i][bytes - 1] = (char)i;
    }
    for (int i = 0; i < COUNT; i++) {
        LOFT_CHECK_EQ_INT(regions[i][0], (char)i);
        LOFT_CHECK_EQ_INT(regions[i][bytes - 1], (char)i);
        LOFT_CHECK_OK(loft_free(regions[i]));
    }
    residue_check_same(&before);
}

static size_t resident_bytes(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    size_t all = 0, resident = 0;
    LOFT_CHECK_TRUE(file != NULL && fscanf(file, "%zu %zu", &all, &resident) == 2);
    (void)fclose(file);
    return resident * loft_page_bytes();
}

static void shuffle(char **items, size_t count)
{
    loft_test_random random = {loft_test_seed()};
    for (size_t i = count; i > 1; i--) {
        const size_t j = loft_test_random_below(&random, i);
        char *item = items[i - 1];
        items[i - 1] = items[j];
        items[j] = item;
    }
}

LOFT_TEST(region_many, sixty_thousand_of_4_kib_and_the_registry_shrinks_again)
{
    loft_test_needs_posix("/proc/self/statm");
    enum { COUNT = 60000 };
    static char *regions[COUNT];
    (void)residue_begin();
    for (int i = 0; i < COUNT; i++) {
        regions[i] = loft_malloc(4096);
        check_address(regions[i], 4096);
    }
    loft_region_info info = LOFT_REGION_INFO_INIT;
    for (int i = 0; i < COUNT; i++) {
        LOFT_CHECK_OK(loft_region_query(regions[i] + i % 4096, &info));
        LOFT_CHECK_EQ_PTR(info.address, regions[i]);
    }
    const size_t most = resident_bytes();
    /* Freeing in random order makes as many holes as it can; the system may refuse to split a
     * mapping when there are too many, and the region then stays. */
    shuffle(regions, COUNT);
    unsigned left = COUNT, refused = 0;
    while (left != 0) {
        unsigned kept = 0;
        for (unsigned i = 0; i < left; i++) {
            const int code = loft_free(regions[i]);
            if (code == LOFT_ENOMEM) {
                regions[kept++] = regions[i];
                refused++;
            } else {
                LOFT_CHECK_OK(code);
            }
        }
        LOFT_CHECK_LT_UINT(kept, left);
        left = kept;
    }
    printf("refused and freed later: %u; resident %zu KiB, then %zu KiB\n", refused, most / 1024,
           resident_bytes() / 1024);
#ifndef HAS_SHADOW
    LOFT_CHECK_LT_UINT(resident_bytes() + COUNT * 64, most);
#endif
}

LOFT_TEST(region_many, thousands_of_windows_of_one_file)
{
    enum { COUNT = 5000 };
    static char *windows[COUNT];
    const char *path = loft_test_tmp_path("f");
    LOFT_CHECK_OK(loft_close(loft_create(path, COUNT * 100, LOFT_ASYNC)));
    for (int i = 0; i < COUNT; i++) {
        windows[i] = loft_open(path, LOFT_WRITE | LOFT_ASYNC, (uint64_t)i * 100, 100, NULL);
        check_address(windows[i], 100);
        memset(windows[i], i, 100);
    }
    shuffle(windows, COUNT);
    for (int i = 0; i < COUNT; i++) {
        LOFT_CHECK_OK(loft_close(windows[i]));
    }
    char *all = loft_open(path, LOFT_READ, 0, 0, NULL);
    for (int i = 0; i < COUNT * 100; i++) {
        LOFT_CHECK_EQ_INT(all[i], (char)(i / 100));
    }
    LOFT_CHECK_OK(loft_close(all));
}

/* --- The registry against a sorted array ---------------------------------------------------- */

enum { PLACES = 3000 };

static lofti_region *model[PLACES]; /* the region that begins at (i + 1) * 1000 */

static lofti_facts facts_of(int place)
{
    return (lofti_facts){.address = ((uint64_t)place + 1) * 1000,
                         .bytes = (uint64_t)place,
                         .inode = (uint64_t)place * 3};
}

static void check_below(uint64_t address)
{
    int want = -1;
    for (int i = 0; i < PLACES && (uint64_t)(i + 1) * 1000 <= address; i++) {
        want = model[i] != NULL ? i : want;
    }
    lofti_facts facts;
    const int rc = lofti_table_find_below(address, &facts);
    LOFT_CHECK_EQ_INT(rc, want >= 0 ? 0 : -ENOENT);
    if (rc == 0) {
        LOFT_CHECK_EQ_UINT(facts.address, facts_of(want).address);
        LOFT_CHECK_EQ_UINT(facts.inode, facts_of(want).inode);
    }
}

LOFT_TEST(region_table, behaves_as_a_sorted_array)
{
    loft_test_random random = {loft_test_seed()};
    const uint64_t steps = loft_test_scale(100000, 1000000, 5000000);
    for (uint64_t step = 0; step < steps; step++) {
        const int place = (int)loft_test_random_below(&random, PLACES);
        lofti_facts facts = facts_of(place);
        if (model[place] == NULL) {
            LOFT_CHECK_EQ_INT(lofti_table_find(facts.address, &facts), -ENOENT);
            LOFT_CHECK_EQ_INT(lofti_table_reserve(&model[place]), 0);
            lofti_table_insert(model[place], &facts);
        } else {
            lofti_region *region = NULL;
            LOFT_CHECK_EQ_INT(lofti_table_find(facts.address, &facts), 0);
            LOFT_CHECK_EQ_INT(lofti_table_claim(facts.address, &region, &facts), 0);
            LOFT_CHECK_EQ_PTR(region, model[place]);
            LOFT_CHECK_EQ_INT(lofti_table_claim(facts.address, &region, &facts), -EBUSY);
            lofti_table_remove(region);
            lofti_table_cancel(region);
            model[place] = NULL;
        }
        if (step % 100 == 0) {
            check_below(loft_test_random_below(&random, (PLACES + 2) * 1000));
        }
    }
}

LOFT_TEST(region_table, records_that_cannot_be_had_are_enomem)
{
    enum { COUNT = 2000 };
    static lofti_region *taken[COUNT];
    LOFT_CHECK_EQ_INT(lofti_table_reserve(&taken[0]), 0);
    int count = 1;
    fault_map_set(FAULT_MAP_MAP, 1, UINT64_MAX, ENOMEM, false);
    while (count < COUNT && lofti_table_reserve(&taken[count]) == 0) {
        count++;
    }
    LOFT_CHECK_GT_INT(count, 1);
    LOFT_CHECK_LT_INT(count, COUNT);
    CHECK_NO_REGION(loft_malloc(100), LOFT_ENOMEM);
    CHECK_NO_REGION(loft_create(loft_test_tmp_path("f"), 100, 0), LOFT_ENOMEM);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
    (void)fault_map_clear();
    char *foreign = loft_malloc_from("x", 1);
    LOFT_CHECK_NOT_NULL(foreign);
    for (int i = 0; i < count; i++) {
        lofti_table_cancel(taken[i]);
    }
    LOFT_CHECK_OK(loft_free(foreign));
}

LOFT_TEST(region_table, a_claimed_region_is_busy)
{
    char *memory = loft_malloc(100);
    lofti_region *region = NULL;
    lofti_facts facts;
    LOFT_CHECK_EQ_INT(lofti_table_claim((uintptr_t)memory, &region, &facts), 0);
    LOFT_CHECK_ERR(loft_free(memory), LOFT_EBUSY);
    LOFT_CHECK_ERR(loft_close(memory), LOFT_EBUSY);
    CHECK_NO_REGION(loft_resize(memory, 200, 0), LOFT_EBUSY);
    LOFT_CHECK_CONTAINS(loft_last_error(), "another thread");
    if (lofti_map_can_overlay()) {
        LOFT_CHECK_ERR(loft_adopt(loft_test_tmp_path("f"), memory, 100, 0), LOFT_EBUSY);
        LOFT_CHECK_CONTAINS(loft_last_error(), "another thread");
    }
    loft_region_info info = LOFT_REGION_INFO_INIT;
    LOFT_CHECK_OK(loft_region_query(memory, &info)); /* still told of */
    lofti_table_update(region, &facts);
    LOFT_CHECK_OK(loft_free(memory));
}
