/* What only Windows has to prove: many mappings above 4 GiB where the system gives no way to ask for them, sizes
 * beyond 32 bits, names, handles, and what cannot be had there, with its sentence. */
#include <stdio.h>
#include <windows.h>

#include "loft/loft.h"
#include "region/residue.h"
#include "support/test.h"

static void check_address(const char *address, uint64_t bytes)
{
    LOFT_CHECK_NOT_NULL(address);
    LOFT_CHECK_GE_UINT((uintptr_t)address, LOFT_ADDRESS_MIN);
    LOFT_CHECK_LE_UINT((uintptr_t)address + bytes, (uint64_t)1 << 47);
}

static void hold_five_thousand(void)
{
    enum { COUNT = 5000 };
    static char *blocks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = loft_malloc(4096);
        check_address(blocks[i], 4096);
        memset(blocks[i], i, 4096);
    }
    for (int i = 0; i < COUNT; i++) {
        LOFT_CHECK_EQ_INT(blocks[i][0], (char)i);
        LOFT_CHECK_EQ_INT(blocks[i][4095], (char)i);
        LOFT_CHECK_OK(loft_free(blocks[i]));
    }
}

LOFT_TEST(windows, five_thousand_blocks_of_4_kib_at_once)
{
    hold_five_thousand();
    const residue before =
        residue_begin(); /* the registry keeps the address space of its records */
    hold_five_thousand();
    residue_check_same(&before);
}

LOFT_TEST(windows, fifty_blocks_of_1_gib_at_once)
{
    enum { COUNT = 50 };
    const uint64_t bytes = (uint64_t)1 << 30;
    static char *blocks[COUNT];
    const residue before = residue_begin();
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = loft_malloc(bytes);
        check_address(blocks[i], bytes);
        blocks[i][0] = (char)(i + 1);
        blocks[i][bytes - 1] = (char)(i + 2);
    }
    for (int i = 0; i < COUNT; i++) {
        LOFT_CHECK_EQ_INT(blocks[i][0], (char)(i + 1));
        LOFT_CHECK_EQ_INT(blocks[i][bytes / 2], 0);
        LOFT_CHECK_EQ_INT(blocks[i][bytes - 1], (char)(i + 2));
        LOFT_CHECK_OK(loft_free(blocks[i]));
    }
    residue_check_same(&before);
}

/* Stores a mark at every GiB through windows, and reads them in the whole, and the other way round. */
LOFT_TEST(windows, a_file_of_5_gib_whole_and_by_windows)
{
    const uint64_t bytes = (uint64_t)5 << 30;
    const uint64_t step = (uint64_t)1 << 30;
    const char *path = loft_test_tmp_path("large");
    char *whole = loft_create(path, bytes, LOFT_ASYNC);
    check_address(whole, bytes);
    LOFT_CHECK_OK(loft_close(whole));
    for (uint64_t off = 0; off < bytes; off += step) {
        size_t mapped = 0;
        char *window = loft_open(path, LOFT_WRITE, off + 12345, 100, &mapped);
        check_address(window, 100);
        LOFT_CHECK_EQ_UINT(mapped, 100);
        window[0] = (char)(off / step + 1);
        LOFT_CHECK_OK(loft_close(window));
    }
    size_t mapped = 0;
    whole = loft_open(path, LOFT_WRITE, 0, 0, &mapped);
    check_address(whole, bytes);
    LOFT_CHECK_EQ_UINT(mapped, bytes);
    for (uint64_t off = 0; off < bytes; off += step) {
        LOFT_CHECK_EQ_INT(whole[off + 12345], (char)(off / step + 1));
        LOFT_CHECK_EQ_INT(whole[off + 12346], 0);
        whole[off + 12346] = (char)(off / step + 9);
    }
    whole[bytes - 1] = 'z';
    LOFT_CHECK_OK(loft_sync(whole, bytes - 1, 1, 0));
    LOFT_CHECK_OK(loft_close(whole));
    for (uint64_t off = 0; off < bytes; off += step) {
        char *window = loft_open(path, LOFT_READ, off + 12346, 1, NULL);
        LOFT_CHECK_EQ_INT(window[0], (char)(off / step + 9));
        LOFT_CHECK_OK(loft_close(window));
    }
    char *last = loft_open(path, LOFT_READ, bytes - 1, 0, &mapped);
    LOFT_CHECK_EQ_UINT(mapped, 1);
    LOFT_CHECK_EQ_INT(last[0], 'z');
    LOFT_CHECK_OK(loft_close(last));
    CHECK_NO_REGION(loft_open(path, LOFT_READ, bytes - 1, 2, NULL), LOFT_ERANGE);
}

/* The name that loft made from UTF-8 is the one that Windows knows. */
LOFT_TEST(windows, a_name_is_the_same_in_utf_8_and_utf_16)
{
    static const wchar_t wide_name[] = L"\x00e4\x20ac \x65e5\x672c \xd83c\xdf31.dat";
    const char *path =
        loft_test_tmp_path("\xc3\xa4\xe2\x82\xac \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x8c\xb1.dat");
    char *made = loft_create_from(path, "content", 7, 0);
    LOFT_CHECK_NOT_NULL(made);
    LOFT_CHECK_OK(loft_close(made));
    wchar_t wide[MAX_PATH];
    LOFT_CHECK_TRUE(MultiByteToWideChar(CP_UTF8, 0, loft_test_folder(), -1, wide, MAX_PATH) != 0);
    wcscat(wide, L"\\");
    wcscat(wide, wide_name);
    LOFT_CHECK_TRUE(GetFileAttributesW(wide) != INVALID_FILE_ATTRIBUTES);
    CHECK_NO_REGION(loft_create(path, 7, 0), LOFT_EEXIST);
    LOFT_CHECK_CONTAINS(loft_last_error(), path);
    CHECK_NO_REGION(loft_create("bad \xff name", 7, 0), LOFT_EINVAL);
}

LOFT_TEST(windows, a_name_longer_than_260)
{
    char name[300];
    const char *folder =
        loft_test_tmp_path("folder-of-a-name-that-is-long-enough-to-count-for-something");
    LOFT_CHECK_TRUE(CreateDirectoryA(folder, NULL) != 0);
    memset(name, 'n', 200);
    name[200] = '\0';
    char path[600];
    LOFT_CHECK_TRUE(snprintf(path, sizeof path, "%s/%s", folder, name) > 260);
    char *made = loft_create_from(path, "content", 7, 0);
    LOFT_CHECK_NOT_NULL(made);
    LOFT_CHECK_OK(loft_close(made));
    char *read = loft_open(path, LOFT_READ, 0, 0, NULL);
    LOFT_CHECK_NOT_NULL(read);
    LOFT_CHECK_EQ_MEM(read, "content", 7);
    LOFT_CHECK_OK(loft_close(read));
    wchar_t wide[600] = L"\\\\?\\";
    LOFT_CHECK_TRUE(MultiByteToWideChar(CP_UTF8, 0, path, -1, wide + 4, 590) != 0);
    for (wchar_t *at = wide; *at != L'\0'; at++) {
        *at = *at == L'/' ? L'\\' : *at;
    }
    LOFT_CHECK_TRUE(DeleteFileW(wide) != 0);
}

static DWORD handles(void)
{
    DWORD count = 0;
    LOFT_CHECK_TRUE(GetProcessHandleCount(GetCurrentProcess(), &count) != 0);
    return count;
}

/* One for a file that stores reach, and none when it is closed or could not be opened. */
LOFT_TEST(windows, handles_are_given_back)
{
    const char *path = loft_test_tmp_path("f");
    LOFT_CHECK_OK(loft_close(loft_create(path, 100000, 0)));
    const DWORD before = handles();
    for (int i = 0; i < 20; i++) {
        char *reader = loft_open(path, LOFT_READ, 0, 0, NULL);
        char *copy = loft_open(path, LOFT_COPY, 70000, 0, NULL);
        LOFT_CHECK_EQ_UINT(handles(), before);
        char *writer = loft_open(path, LOFT_WRITE | LOFT_GROW | LOFT_LOCK, 0, 0, NULL);
        LOFT_CHECK_NOT_NULL(writer);
        LOFT_CHECK_LE_UINT(handles(), before + 2);
        CHECK_NO_REGION(loft_open(path, LOFT_WRITE | LOFT_LOCK, 0, 0, NULL), LOFT_EBUSY);
        CHECK_NO_REGION(loft_open(path, LOFT_READ, 10000000, 0, NULL), LOFT_ERANGE);
        CHECK_NO_REGION(loft_create(path, 10, 0), LOFT_EEXIST);
        writer = loft_resize(writer, 100000 + 1000 * (size_t)(i + 1), LOFT_GROW);
        LOFT_CHECK_NOT_NULL(writer);
        LOFT_CHECK_OK(loft_close(writer));
        LOFT_CHECK_OK(loft_close(reader));
        LOFT_CHECK_OK(loft_close(copy));
        LOFT_CHECK_EQ_UINT(handles(), before);
    }
}

/* A file of which a part is mapped cannot be cut there, so TRUNCATE and a failed growth meet it. */
LOFT_TEST(windows, a_mapped_file_is_not_cut)
{
    const char *path = loft_test_tmp_path("f");
    char *made = loft_create_from(path, "content", 7, 0);
    char *other = loft_open(path, LOFT_READ, 0, 0, NULL);
    LOFT_CHECK_OK(loft_close(made));
    CHECK_NO_REGION(loft_create(path, 3, LOFT_TRUNCATE), LOFT_EBUSY);
    LOFT_CHECK_EQ_MEM(other, "content", 7);
    LOFT_CHECK_OK(loft_close(other));
    made = loft_create(path, 3, LOFT_TRUNCATE);
    LOFT_CHECK_NOT_NULL(made);
    LOFT_CHECK_EQ_INT(made[0], 0);
    LOFT_CHECK_OK(loft_close(made));
}

LOFT_TEST(windows, what_cannot_be_had_is_enotsup_with_a_sentence)
{
    const char *path = loft_test_tmp_path("f");
    char *memory = loft_malloc(65536);
    memory[0] = 'm';
    LOFT_CHECK_ERR(loft_adopt(path, memory, 65536, 0), LOFT_ENOTSUP);
    LOFT_CHECK_CONTAINS(loft_last_error(), "cannot map a file over memory that is in use");
    LOFT_CHECK_EQ_INT(memory[0], 'm');
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
    LOFT_CHECK_OK(loft_free(memory));
    LOFT_CHECK_OK(loft_close(loft_create(path, 5000, 0)));
    char *copy = loft_open(path, LOFT_COPY, 0, 0, NULL);
    copy[0] = 1;
    LOFT_CHECK_ERR(loft_advise(copy, 0, 0, LOFT_ADVICE_DONTNEED), LOFT_ENOTSUP);
    LOFT_CHECK_EQ_INT(copy[0], 1);
    LOFT_CHECK_OK(loft_close(copy));
    char *file = loft_open(path, LOFT_WRITE | LOFT_GROW, 0, 0, NULL);
    CHECK_NO_REGION(loft_resize(file, 100, LOFT_TRUNCATE), LOFT_ENOTSUP);
    LOFT_CHECK_CONTAINS(loft_last_error(), "cannot cut a file of which a part is mapped");
    LOFT_CHECK_OK(loft_close(file));
}

static void check_refused(const char *path, unsigned flags)
{
    loft_arena *arena = NULL;
    LOFT_CHECK_ERR(loft_arena_open(path, flags, NULL, &arena), LOFT_ENOTSUP);
    LOFT_CHECK_NULL(arena);
    LOFT_CHECK_CONTAINS(loft_last_error(), "arenas in files need a system that maps a file over");
    LOFT_CHECK_CONTAINS(loft_last_error(), path);
}

/* The file given by LOFT_TEST_ARENA was written on Linux (script/test --windows). */
LOFT_TEST(windows, an_arena_of_linux_is_refused_and_told_of)
{
    const char *path = getenv("LOFT_TEST_ARENA");
    if (path == NULL || *path == '\0') {
        LOFT_SKIP("LOFT_TEST_ARENA names no arena");
    }
    check_refused(path, 0);
    check_refused(path, LOFT_WRITE);
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_file_describe(path, &info));
}

LOFT_TEST(windows, an_arena_in_a_file_is_refused_and_leaves_none)
{
    const char *path = loft_test_tmp_path("a.loft");
    check_refused(path, LOFT_CREATE);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 0);
}

/* Anonymous ones, and over a raw region, have the heap and the pools there too. */
LOFT_TEST(windows, an_arena_in_memory_works_and_is_saved)
{
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_open(NULL, LOFT_CREATE | LOFT_WRITE, NULL, &arena));
    enum { COUNT = 20000 };
    static uint64_t *blocks[COUNT];
    for (uint64_t i = 0; i < COUNT; i++) {
        blocks[i] = loft_arena_malloc(arena, 8 + i % 3000);
        LOFT_CHECK_NOT_NULL(blocks[i]);
        *blocks[i] = i;
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        LOFT_CHECK_EQ_UINT(*blocks[i], i);
        if (i % 2 == 0) {
            loft_arena_free(arena, blocks[i]);
        }
    }
    LOFT_CHECK_OK(loft_arena_set_root(arena, "odd", blocks[1]));
    uint64_t faults = 1;
    LOFT_CHECK_OK(loft_arena_check(arena, NULL, NULL, &faults));
    LOFT_CHECK_EQ_UINT(faults, 0);
    const char *path = loft_test_tmp_path("saved.loft");
    LOFT_CHECK_OK(loft_arena_snapshot(arena, path, 0, NULL, NULL));
    LOFT_CHECK_OK(loft_arena_close(arena));
    check_refused(path, 0);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 1);
    const char *keep = getenv("LOFT_TEST_SAVED");
    if (keep != NULL && *keep != '\0') {
        LOFT_CHECK_TRUE(CopyFileA(path, keep, FALSE) != 0);
    }
}
