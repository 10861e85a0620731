/* Whatever call of the system fails: a code, a sentence, nothing left behind, nothing changed. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loft/region.h"
#include "os/file.h"
#include "os/map.h"
#include "region/fault_map.h"
#include "region/residue.h"
#include "support/fault_fs.h"
#include "support/test.h"

static const char old_text[] = "what was there before";
static char new_data[20000];

/* One call that may fail. It works on "f" in the test's folder. */
typedef struct scenario {
    const char *operation; /* how its sentences begin; NULL: any way */
    bool has_file;         /* "f" exists, with old_text */
    bool is_replacing;     /* a failure may leave the new content, whole (the folder's flush) */
    bool is_emptying;      /* a failure may leave any content (LOFT_TRUNCATE) */
    unsigned flags;
    /* 0 if it failed, else the region to close. */
    void *(*run)(const struct scenario *scenario, const char *path, void *given);
    bool takes_memory; /* `given` is memory with new_data */
    bool takes_region; /* `given` is a region of the file, LOFT_WRITE | LOFT_GROW */
} scenario;

static void *run_create(const scenario *s, const char *path, void *given)
{
    (void)given;
    return loft_create(path, sizeof new_data, s->flags);
}

static void *run_create_from(const scenario *s, const char *path, void *given)
{
    (void)given;
    return loft_create_from(path, new_data, sizeof new_data, s->flags);
}

static void *run_open(const scenario *s, const char *path, void *given)
{
    (void)given;
    return loft_open(path, s->flags, 3, (s->flags & LOFT_GROW) != 0 ? sizeof new_data : 0, NULL);
}

static void *run_adopt(const scenario *s, const char *path, void *given)
{
    return loft_adopt(path, given, sizeof new_data, s->flags) == 0 ? given : NULL;
}

static void *run_grow(const scenario *s, const char *path, void *given)
{
    (void)path;
    return loft_resize(given, sizeof new_data, s->flags);
}

static void *run_shrink(const scenario *s, const char *path, void *given)
{
    (void)path;
    return loft_resize(given, 3, s->flags);
}

static void *run_empty(const scenario *s, const char *path, void *given)
{
    (void)path;
    return loft_resize(given, 0, s->flags);
}

static const scenario scenarios[] = {
    {"create '", false, false, false, 0, run_create, false, false},
    {"create '", false, false, false, LOFT_PREALLOCATE | LOFT_LOCK, run_create, false, false},
    {"create '", false, false, false, LOFT_RANDOM | LOFT_GROW, run_create_from, false, false},
    {"create '", false, false, false, LOFT_POPULATE | LOFT_HUGE, run_create_from, false, false},
    {"create '", true, false, false, LOFT_KEEP | LOFT_PREALLOCATE, run_create, false, false},
    {"create '", true, false, true, LOFT_TRUNCATE | LOFT_PREALLOCATE, run_create, false, false},
    {"create '", true, true, false, LOFT_REPLACE, run_create_from, false, false},
    {"create '", false, true, false, LOFT_REPLACE | LOFT_RANDOM, run_create_from, false, false},
    {"open '", true, false, false, LOFT_READ, run_open, false, false},
    {"open '", true, false, false, LOFT_WRITE | LOFT_GROW | LOFT_PREALLOCATE | LOFT_LOCK, run_open,
     false, false},
    {"open '", true, false, false, LOFT_WRITE | LOFT_RANDOM, run_open, false, false},
    {"adopt '", false, false, false, LOFT_PREALLOCATE | LOFT_RANDOM, run_adopt, true, false},
    {"adopt '", true, true, false, LOFT_REPLACE, run_adopt, true, false},
    {NULL, true, false, false, LOFT_GROW | LOFT_PREALLOCATE, run_grow, false, true},
    {NULL, true, false, false, 0, run_shrink, false, true},
    {NULL, true, false, true, LOFT_TRUNCATE, run_shrink, false, true},
    {NULL, true, false, false, 0, run_empty, false, true},
};

enum { SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* Whether this system, and the file system of the test's folder, can do it at all. */
static bool is_possible(const scenario *s)
{
    if (s->run == run_adopt && !lofti_map_can_overlay()) {
        return false;
    }
    if ((s->flags & LOFT_TRUNCATE) != 0 && s->takes_region && !lofti_file_cuts_mapped()) {
        return false;
    }
    if ((s->flags & LOFT_PREALLOCATE) == 0) {
        return true;
    }
    const char *path = loft_test_tmp_path("trial");
    char *trial = loft_create(path, sizeof new_data, LOFT_PREALLOCATE);
    if (trial == NULL && loft_last_code() == LOFT_ENOTSUP) {
        return false;
    }
    LOFT_CHECK_OK(loft_close(trial));
    LOFT_CHECK_SYS(unlink(path));
    return true;
}

typedef struct attempt {
    const scenario *s;
    const char *path;
    void *given;
    residue before;
} attempt;

static void attempt_set(attempt *on, const scenario *s)
{
    on->s = s;
    on->path = loft_test_tmp_path("f");
    on->given = NULL;
    (void)unlink(on->path);
    if (s->has_file) {
        LOFT_CHECK_OK(loft_close(loft_create_from(on->path, old_text, sizeof old_text, 0)));
    }
    if (s->takes_memory) {
        on->given = loft_malloc_from(new_data, sizeof new_data);
        LOFT_CHECK_NOT_NULL(on->given);
    }
    if (s->takes_region) {
        on->given = loft_open(on->path, LOFT_WRITE | LOFT_GROW, 0, 0, NULL);
        LOFT_CHECK_NOT_NULL(on->given);
    }
    on->before = residue_take();
}

static bool file_has(const char *path, const char *data, size_t bytes)
{
    size_t mapped = 0;
    char *file = loft_open(path, LOFT_READ, 0, 0, &mapped);
    LOFT_CHECK_NOT_NULL(file);
    const bool same = mapped == bytes && memcmp(file, data, bytes) == 0;
    LOFT_CHECK_OK(loft_close(file));
    return same;
}

/* The call failed: nothing may have changed. */
static void attempt_check_failed(const attempt *on)
{
    const scenario *s = on->s;
    LOFT_CHECK_LT_INT(loft_last_code(), 0);
    LOFT_CHECK_TRUE(loft_last_error()[0] != '\0');
    if (s->operation != NULL) {
        LOFT_CHECK_EQ_INT(strncmp(loft_last_error(), s->operation, strlen(s->operation)), 0);
        LOFT_CHECK_CONTAINS(loft_last_error(), on->path);
    }
    const bool is_new = s->is_replacing && access(on->path, F_OK) == 0 &&
                        file_has(on->path, new_data, sizeof new_data);
    if (is_new && !s->has_file) {
        LOFT_CHECK_SYS(unlink(on->path));
    }
    residue_check_same(&on->before);
    if (s->has_file && !s->is_emptying && !is_new) {
        LOFT_CHECK_TRUE(file_has(on->path, old_text, sizeof old_text));
    }
    if (s->takes_memory) {
        LOFT_CHECK_EQ_MEM(on->given, new_data, sizeof new_data);
        memset(on->given, 1, sizeof new_data);
        LOFT_CHECK_OK(loft_free(on->given));
    }
    if (s->takes_region) {
        loft_region_info info = LOFT_REGION_INFO_INIT;
        LOFT_CHECK_OK(loft_region_query(on->given, &info));
        LOFT_CHECK_EQ_UINT(info.bytes, sizeof old_text);
        char *text = on->given;
        LOFT_CHECK_TRUE(text[0] == old_text[0]);
        text[sizeof old_text - 1] = 0;
        LOFT_CHECK_OK(loft_close(on->given));
    }
}

static void attempt_check_done(const attempt *on, void *region)
{
    if (on->s->run != run_open && on->s->run != run_create && !on->s->takes_region) {
        LOFT_CHECK_EQ_MEM(region, new_data, sizeof new_data);
    }
    LOFT_CHECK_OK(loft_close(region));
}

/* --- Files --------------------------------------------------------------------------------- */

static void sweep_files(int error, enum fault_action action)
{
    fault_fs *fs = fault_fs_create(lofti_file_ops_system());
    lofti_file_ops_set(fault_fs_ops(fs));
    (void)residue_begin();
    for (int i = 0; i < SCENARIOS; i++) {
        for (uint64_t first = 1; is_possible(&scenarios[i]); first++) {
            const fault_plan plan = {.action = action, .first = first, .times = 1, .error = error};
            attempt on;
            attempt_set(&on, &scenarios[i]);
            fault_fs_set(fs, &plan);
            void *region = on.s->run(on.s, on.path, on.given);
            const uint64_t struck = fault_fs_struck(fs);
            fault_fs_set(fs, NULL);
            if (region == NULL) {
                LOFT_CHECK_GE_UINT(struck, 1);
                attempt_check_failed(&on);
            } else {
                attempt_check_done(&on, region);
            }
            if (struck == 0) {
                LOFT_CHECK_NOT_NULL(region);
                break;
            }
        }
    }
    lofti_file_ops_set(NULL);
    fault_fs_destroy(fs);
}

LOFT_TEST(region_fault, every_file_call_that_fails_leaves_nothing)
{
    memset(new_data, 'n', sizeof new_data);
    sweep_files(EIO, FAULT_FAIL);
    sweep_files(ENOSPC, FAULT_PART_FAIL);
}

LOFT_TEST(region_fault, every_file_call_that_is_interrupted_or_short)
{
    memset(new_data, 'n', sizeof new_data);
    sweep_files(EINTR, FAULT_FAIL);
    sweep_files(EIO, FAULT_PART);
}

LOFT_TEST(region_fault, replace_without_unnamed_files)
{
    memset(new_data, 'n', sizeof new_data);
    fault_fs *fs = fault_fs_create(lofti_file_ops_system());
    lofti_file_ops_set(fault_fs_ops(fs));
    (void)residue_begin();
    const scenario replace = {"create '",      true,  true, false, LOFT_REPLACE,
                              run_create_from, false, false};
    /* The first open answers that it cannot; then, for second = 1, 2, ... nothing else fails, or a
     * call of the rest does. */
    const fault_plan plan = {.action = FAULT_FAIL,
                             .kinds = FAULT_MASK(FAULT_OPEN),
                             .first = 1,
                             .times = 1,
                             .error = EOPNOTSUPP};
    attempt on;
    attempt_set(&on, &replace);
    fault_fs_set(fs, &plan);
    void *region = run_create_from(&replace, on.path, NULL);
    fault_fs_set(fs, NULL);
    LOFT_CHECK_NOT_NULL(region);
    attempt_check_done(&on, region);
    LOFT_CHECK_TRUE(file_has(on.path, new_data, sizeof new_data));
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 1);
    /* Both opens fail: the unnamed one and the temporary one. */
    fault_plan both = plan;
    both.times = 2;
    attempt_set(&on, &replace);
    fault_fs_set(fs, &both);
    region = run_create_from(&replace, on.path, NULL);
    fault_fs_set(fs, NULL);
    LOFT_CHECK_NULL(region);
    attempt_check_failed(&on);
    lofti_file_ops_set(NULL);
    fault_fs_destroy(fs);
}

/* --- Mappings ------------------------------------------------------------------------------ */

static void sweep_maps(unsigned kinds, int error, bool drop)
{
    (void)residue_begin();
    for (int i = 0; i < SCENARIOS; i++) {
        for (uint64_t nth = 1; is_possible(&scenarios[i]); nth++) {
            attempt on;
            attempt_set(&on, &scenarios[i]);
            fault_map_set(kinds, nth, 1, error, drop);
            void *region = on.s->run(on.s, on.path, on.given);
            const uint64_t struck = fault_map_clear();
            if (region == NULL) {
                LOFT_CHECK_GE_UINT(struck, 1);
                attempt_check_failed(&on);
            } else {
                attempt_check_done(&on, region);
            }
            if (struck == 0) {
                LOFT_CHECK_NOT_NULL(region);
                break;
            }
        }
    }
}

LOFT_TEST(region_fault, every_mapping_call_that_fails_leaves_nothing)
{
    memset(new_data, 'n', sizeof new_data);
    /* Who has a call to be refused has a list of mappings, too, by which the room for it is given back. */
    const unsigned remap = lofti_map_ops_system()->walk != NULL ? FAULT_MAP_REMAP : 0;
    sweep_maps(FAULT_MAP_MAP | remap | FAULT_MAP_PROTECT | FAULT_MAP_ADVISE, ENOMEM, false);
    sweep_maps(FAULT_MAP_ADVISE, EINVAL, false);
    sweep_maps(FAULT_MAP_MAP, ENODEV, false);
}

LOFT_TEST(region_fault, adopted_memory_survives_a_kernel_that_drops_it_first)
{
    if (loft_test_on_qemu()) {
        LOFT_SKIP("under qemu-user msync does not tell what is not mapped");
    }
    memset(new_data, 'n', sizeof new_data);
    sweep_maps(FAULT_MAP_FIXED, ENOMEM, true);
}

LOFT_TEST(region_fault, memory_that_cannot_be_mapped)
{
    const residue before = residue_begin();
    fault_map_set(FAULT_MAP_MAP, 1, 1, ENOMEM, false);
    CHECK_NO_REGION(loft_malloc(100), LOFT_ENOMEM);
    LOFT_CHECK_EQ_STR(loft_last_error(), "malloc: 100 bytes: out of memory or address space");
    fault_map_set(FAULT_MAP_MAP, 1, 1, EPERM, false);
    CHECK_NO_REGION(loft_map(100, LOFT_SHARED), LOFT_EACCES);
    fault_map_set(FAULT_MAP_ADVISE, 2, 1, ENOMEM, false); /* HUGE is the first, a hint */
    CHECK_NO_REGION(loft_map(100, LOFT_HUGE | LOFT_POPULATE), LOFT_ENOMEM);
    (void)fault_map_clear();
    residue_check_same(&before);
}

LOFT_TEST(region_fault, what_cannot_be_unmapped_stays_a_region)
{
    const residue before = residue_begin();
    char *memory = loft_malloc(100);
    const char *path = loft_test_tmp_path("f");
    char *file = loft_create(path, 100, 0);
    fault_map_set(FAULT_MAP_UNMAP, 1, 2, ENOMEM, false);
    LOFT_CHECK_ERR(loft_free(memory), LOFT_ENOMEM);
    LOFT_CHECK_ERR(loft_close(file), LOFT_ENOMEM);
    memory[0] = 1;
    file[0] = 1;
    LOFT_CHECK_EQ_UINT(fault_map_clear(), 2);
    LOFT_CHECK_OK(loft_free(memory));
    LOFT_CHECK_OK(loft_close(file));
    /* Becoming empty unmaps all but a page. */
    memory = loft_malloc(100000);
    memory[0] = 7;
    fault_map_set(FAULT_MAP_UNMAP, 1, 1, ENOMEM, false);
    CHECK_NO_REGION(loft_resize(memory, 0, 0), LOFT_ENOMEM);
    LOFT_CHECK_EQ_UINT(fault_map_clear(), 1);
    memory[0]++;
    memory[99999] = 1;
    LOFT_CHECK_EQ_INT(memory[0], 8);
    LOFT_CHECK_OK(loft_free(memory));
    LOFT_CHECK_SYS(unlink(path));
    residue_check_same(&before);
}

LOFT_TEST(region_fault, close_releases_though_writing_back_failed)
{
    const char *path = loft_test_tmp_path("f");
    const residue before = residue_begin();
    char *file = loft_create(path, 100, LOFT_GROW);
    LOFT_CHECK_NOT_NULL(file);
    fault_map_set(FAULT_MAP_SYNC, 1, 2, EIO, false);
    LOFT_CHECK_ERR(loft_sync(file, 0, 0, 0), LOFT_EIO);
    const bool is_named = lofti_map_ops_system()->walk != NULL; /* else nobody knows the name */
    LOFT_CHECK_CONTAINS(loft_last_error(), is_named ? "sync '" : "sync: ");
    LOFT_CHECK_CONTAINS(loft_last_error(), is_named ? path : "");
    LOFT_CHECK_ERR(loft_close(file), LOFT_EIO);
    LOFT_CHECK_CONTAINS(loft_last_error(), is_named ? "close '" : "close: ");
    LOFT_CHECK_EQ_UINT(fault_map_clear(), 2);
    LOFT_CHECK_ERR(loft_close(file), LOFT_ENOENT);
    LOFT_CHECK_SYS(unlink(path));
    residue_check_same(&before);
}

LOFT_TEST(region_fault, ranges_tell_what_the_system_refused)
{
    char *memory = loft_malloc(100);
    fault_map_set(FAULT_MAP_ALL & ~(FAULT_MAP_MAP | FAULT_MAP_UNMAP), 1, UINT64_MAX, ENOMEM, false);
    LOFT_CHECK_ERR(loft_advise(memory, 0, 0, LOFT_ADVICE_RANDOM), LOFT_ENOMEM);
    LOFT_CHECK_ERR(loft_protect(memory, 0, 0, LOFT_READ), LOFT_ENOMEM);
    LOFT_CHECK_ERR(loft_lock_memory(memory, 0, 0, 1), LOFT_ENOMEM);
    (void)fault_map_clear();
    LOFT_CHECK_OK(loft_free(memory));
}

/* --- How many calls of the system a call takes --------------------------------------------- */

static void check_file_calls(const fault_fs *fs, uint64_t times)
{
    for (int kind = 0; kind < FAULT_KINDS; kind++) {
        const bool is_used = kind == FAULT_OPEN || kind == FAULT_INFO || kind == FAULT_CLOSE;
        LOFT_CHECK_EQ_UINT(fault_fs_calls(fs, (enum fault_kind)kind), is_used ? times : 0);
    }
}

LOFT_TEST(region_calls, open_and_close_take_no_more_than_they_must)
{
    const char *path = loft_test_tmp_path("f");
    LOFT_CHECK_OK(loft_close(loft_create(path, 100, 0)));
    fault_fs *fs = fault_fs_create(lofti_file_ops_system());
    lofti_file_ops_set(fault_fs_ops(fs));
    const unsigned flags[] = {LOFT_READ, LOFT_COPY, LOFT_WRITE | LOFT_ASYNC};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        fault_map_set(FAULT_MAP_ALL, UINT64_MAX, 1, EIO, false);
        LOFT_CHECK_OK(loft_close(loft_open(path, flags[i], 0, 0, NULL)));
        LOFT_CHECK_EQ_UINT(fault_map_count(), 2); /* map and unmap */
        check_file_calls(fs, i + 1);
    }
    fault_map_set(FAULT_MAP_ALL, UINT64_MAX, 1, EIO, false);
    LOFT_CHECK_OK(loft_close(loft_open(path, LOFT_WRITE, 0, 0, NULL)));
    LOFT_CHECK_EQ_UINT(fault_map_count(), 3); /* and sync */
    (void)fault_map_clear();
    lofti_file_ops_set(NULL);
    fault_fs_destroy(fs);
}

LOFT_TEST(region_calls, malloc_and_free_take_two)
{
    LOFT_CHECK_OK(loft_free(loft_malloc(1)));
    fault_map_set(FAULT_MAP_ALL, UINT64_MAX, 1, EIO, false);
    for (unsigned i = 1; i <= 100; i++) {
        LOFT_CHECK_OK(loft_free(loft_malloc(i * 1000)));
        LOFT_CHECK_EQ_UINT(fault_map_count(), 2 * i);
    }
    (void)fault_map_clear();
}
