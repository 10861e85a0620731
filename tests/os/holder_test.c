/* What occupies a range of addresses, in words and as a list. */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/map.h"
#include "support/test.h"

static size_t page(void) { return lofti_map_page_bytes(); }

static char *place(size_t bytes, unsigned flags, const lofti_file *file)
{
    void *at = NULL;
    LOFT_CHECK_EQ_INT(lofti_map_place(bytes, 0, flags, file, 0, &at), 0);
    return at;
}

static lofti_file make_file(const char *path, size_t bytes)
{
    lofti_file file;
    LOFT_CHECK_EQ_INT(lofti_file_open(path, LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE, 0600, &file), 0);
    LOFT_CHECK_EQ_INT(lofti_file_resize(&file, bytes), 0);
    return file;
}

LOFT_TEST(os_holder, a_file_is_told_by_its_path)
{
    const char *path = loft_test_tmp_path("a file with spaces");
    lofti_file file = make_file(path, 4 * page());
    char *at = place(4 * page(), LOFTI_MAP_READ, &file);
    char text[512];
    lofti_map_holder(at, page(), text, sizeof text);
    LOFT_CHECK_EQ_STR(text, path);
    lofti_map_holder(at + 3 * page() + 7, 1, text, sizeof text); /* any byte of it */
    LOFT_CHECK_EQ_STR(text, path);
    char small[10];
    lofti_map_holder(at, page(), small, sizeof small);
    LOFT_CHECK_EQ_UINT(strlen(small), 9);
    LOFT_CHECK_EQ_MEM(small, path, 9);
    memset(small, 'x', sizeof small);
    lofti_map_holder(at, page(), small, 0);
    LOFT_CHECK_EQ_MEM(small, "x", 1);
    LOFT_CHECK_EQ_INT(lofti_map_release(at, 4 * page()), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

LOFT_TEST(os_holder, other_memory_is_told_by_its_kind)
{
    char text[128];
    char want[64];
    char local = 0;
    lofti_map_holder(&local, 1, text, sizeof text);
    LOFT_CHECK_CONTAINS(text, "stack");
    char *at = place(6 * page(), LOFTI_MAP_WRITE, NULL);
    LOFT_CHECK_EQ_INT(lofti_map_protect(at + 2 * page(), page(), LOFTI_MAP_READ), 0);
    LOFT_CHECK_EQ_INT(lofti_map_release(at + 3 * page(), 2 * page()), 0);
    lofti_map_holder(at + 2 * page(), 3 * page(), text, sizeof text);
    (void)snprintf(want, sizeof want, "anonymous memory at 0x%jx",
                   (uintmax_t)(uintptr_t)(at + 2 * page()));
    LOFT_CHECK_EQ_STR(text, want);
    lofti_map_holder(at + 3 * page(), 2 * page(), text, sizeof text);
    LOFT_CHECK_EQ_STR(text, "");
    lofti_map_holder(at + 3 * page(), 2 * page() + 1, text, sizeof text);
    (void)snprintf(want, sizeof want, "anonymous memory at 0x%jx",
                   (uintmax_t)(uintptr_t)(at + 5 * page()));
    LOFT_CHECK_EQ_STR(text, want);
    lofti_map_holder(at + 3 * page(), SIZE_MAX, text, sizeof text);
    LOFT_CHECK_EQ_STR(text, want);
}

typedef struct seen {
    unsigned count, stop_at;
    lofti_map_area areas[8];
} seen;

static int visit(void *context, const lofti_map_area *area)
{
    seen *own = context;
    LOFT_CHECK_LT_UINT(own->count, 8);
    LOFT_CHECK_LT_UINT(area->start, area->end);
    own->areas[own->count++] = *area;
    return own->count == own->stop_at ? -77 : 0;
}

LOFT_TEST(os_holder, each_mapping_is_told_as_it_is)
{
    lofti_file file = make_file(loft_test_tmp_path("file"), 8 * page());
    char *at = place(8 * page(), LOFTI_MAP_RESERVE, NULL);
    const unsigned shared = LOFTI_MAP_WRITE | LOFTI_MAP_SHARED;
    LOFT_CHECK_EQ_INT(lofti_map_over(at + page(), page(), LOFTI_MAP_READ, &file, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_map_over(at + 2 * page(), page(), shared, &file, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_map_over(at + 3 * page(), page(), LOFTI_MAP_WRITE, NULL, 0), 0);
    LOFT_CHECK_EQ_INT(lofti_map_release(at + 4 * page(), page()), 0);
    seen own = {0};
    LOFT_CHECK_EQ_INT(lofti_map_each(at, 8 * page(), visit, &own), 0);
    LOFT_CHECK_EQ_UINT(own.count, 5);
    static const struct {
        unsigned page;
        bool readable, writable, shared, file;
    } want[5] = {{0, false, false, false, false},
                 {1, true, false, false, true},
                 {2, true, true, true, true},
                 {3, true, true, false, false},
                 {5, false, false, false, false}};
    for (unsigned i = 0; i < 5; i++) {
        const lofti_map_area *area = &own.areas[i];
        if (i != 0) {
            LOFT_CHECK_EQ_UINT(area->start, (uintptr_t)at + want[i].page * page());
        }
        LOFT_CHECK_EQ_INT(area->readable, want[i].readable);
        LOFT_CHECK_EQ_INT(area->writable, want[i].writable);
        LOFT_CHECK_EQ_INT(area->shared, want[i].shared);
        LOFT_CHECK_EQ_INT(area->file, want[i].file);
        LOFT_CHECK_FALSE(area->executable);
    }
    own = (seen){.stop_at = 2};
    LOFT_CHECK_EQ_INT(lofti_map_each(at, 8 * page(), visit, &own), -77);
    LOFT_CHECK_EQ_UINT(own.count, 2);
    own = (seen){0};
    LOFT_CHECK_EQ_INT(lofti_map_each(at + 4 * page(), page(), visit, &own), 0);
    LOFT_CHECK_EQ_UINT(own.count, 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

/* Where the system lists it, each_mapping_is_told_as_it_is has seen it. */
LOFT_TEST(os_holder, whether_held_space_is_listed_is_tried_and_leaves_nothing)
{
    const bool listed = lofti_map_lists_held();
    const uint64_t before = loft_test_mapped_bytes();
    LOFT_CHECK_EQ_INT(lofti_map_lists_held(), listed);
    LOFT_CHECK_EQ_UINT(loft_test_mapped_bytes(), before);
    LOFT_CHECK_TRUE(listed || loft_test_on_qemu());
    lofti_map_ops blind = *lofti_map_ops_system();
    blind.walk = NULL;
    lofti_map_ops_set(&blind);
    LOFT_CHECK_FALSE(lofti_map_lists_held());
    lofti_map_ops_set(NULL);
}

static int count_executable(void *context, const lofti_map_area *area)
{
    *(unsigned *)context += area->executable;
    return 0;
}

LOFT_TEST(os_holder, the_whole_list_is_read_and_holds_this_programs_code)
{
    unsigned executable = 0;
    LOFT_CHECK_EQ_INT(lofti_map_each(NULL, SIZE_MAX, count_executable, &executable), 0);
    LOFT_CHECK_GT_UINT(executable, 0);
}

/* A path longer than a line's buffer, built folder by folder since no call takes it whole. */
LOFT_TEST(os_holder, a_path_of_any_length_is_cut_not_trusted)
{
    char name[201];
    memset(name, 'n', 200);
    name[200] = '\0';
    LOFT_CHECK_SYS(chdir(loft_test_folder()));
    for (int i = 0; i < 30; i++) {
        LOFT_CHECK_SYS(mkdir(name, 0700));
        LOFT_CHECK_SYS(chdir(name));
    }
    lofti_file file = make_file("file", page());
    char *at = place(page(), LOFTI_MAP_READ, &file);
    static char text[8192];
    lofti_map_holder(at, page(), text, sizeof text);
    LOFT_CHECK_GE_UINT(strlen(text), 4000);
    LOFT_CHECK_LT_UINT(strlen(text), 4608);
    LOFT_CHECK_EQ_MEM(text, loft_test_folder(), strlen(loft_test_folder()));
    seen own = {0};
    LOFT_CHECK_EQ_INT(lofti_map_each(at, page(), visit, &own), 0); /* what follows is in step */
    LOFT_CHECK_EQ_UINT(own.count, 1);
    LOFT_CHECK_EQ_UINT(own.areas[0].end, (uintptr_t)at + page());
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    LOFT_CHECK_SYS(chdir("/"));
}

static void without_descriptors(void *arg)
{
    char text[64] = "untouched";
    unsigned executable = 0;
    const struct rlimit limit = {0, 0};
    LOFT_CHECK_SYS(setrlimit(RLIMIT_NOFILE, &limit));
    LOFT_CHECK_EQ_INT(lofti_map_each(arg, 1, count_executable, &executable), -ENOTSUP);
    lofti_map_holder(arg, 1, text, sizeof text);
    LOFT_CHECK_EQ_STR(text, "");
}

LOFT_TEST(os_holder, what_cannot_be_known_is_an_empty_text)
{
    char local = 0;
    loft_test_child child;
    loft_test_run_child(without_descriptors, &local, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
}
