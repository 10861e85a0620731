/* loft_adopt: memory that is there becomes a file's mapping, in place. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loft/region.h"
#include "region/residue.h"
#include "support/held.h"
#include "support/test.h"

static void fill(char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        at[i] = (char)(i * 17 + (i >> 12));
    }
}

static void check_filled(const char *at, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        LOFT_CHECK_EQ_INT(at[i], (char)(i * 17 + (i >> 12)));
    }
}

/* Foreign memory, where loft had some before: emulators put what they may choose too low. */
static char *map_pages(size_t bytes)
{
    char *place = loft_malloc(bytes);
    LOFT_CHECK_OK(loft_free(place));
    char *memory = mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    LOFT_CHECK_TRUE(memory != MAP_FAILED);
    return memory;
}

static void check_file(const char *path, size_t bytes)
{
    size_t mapped = 0;
    char *file = loft_open(path, LOFT_READ, 0, 0, &mapped);
    LOFT_CHECK_NOT_NULL(file);
    LOFT_CHECK_EQ_UINT(mapped, bytes);
    check_filled(file, bytes);
    LOFT_CHECK_OK(loft_close(file));
}

LOFT_TEST(region_adopt, foreign_memory_keeps_content_and_address)
{
    loft_test_needs_posix("way to map a file over memory");
    const unsigned flags[] = {0, LOFT_RANDOM, LOFT_PREALLOCATE, LOFT_ASYNC, LOFT_GROW, LOFT_LOCK};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        const char *path = loft_test_tmp_path("f");
        char *memory = map_pages(40960);
        fill(memory, 40960);
        const int code = loft_adopt(path, memory, 40960, flags[i]);
        if (code == LOFT_ENOTSUP) {
            continue; /* PREALLOCATE where that cannot be had */
        }
        LOFT_CHECK_OK(code);
        check_filled(memory, 40960);
        LOFT_CHECK_EQ_UINT(loft_test_mappings_of(path), 1);
        check_file(path, 40960);
        /* Stores reach the file from now on. */
        char *seen = loft_open(path, LOFT_READ, 0, 0, NULL);
        memory[12345]++;
        LOFT_CHECK_EQ_INT(seen[12345], memory[12345]);
        memory[12345]--;
        LOFT_CHECK_OK(loft_close(seen));
        loft_region_info info = LOFT_REGION_INFO_INIT;
        LOFT_CHECK_OK(loft_region_query(memory + 1, &info));
        LOFT_CHECK_EQ_UINT(info.kind, LOFT_REGION_FILE);
        LOFT_CHECK_EQ_PTR(info.address, memory);
        struct stat status;
        LOFT_CHECK_SYS(stat(path, &status));
        LOFT_CHECK_EQ_UINT(info.inode, status.st_ino);
        LOFT_CHECK_EQ_UINT(status.st_mode & 0777, 0644);
        LOFT_CHECK_OK(loft_sync(memory, 0, 0, 0));
        LOFT_CHECK_OK(loft_close(memory));
        check_file(path, 40960);
        LOFT_CHECK_SYS(unlink(path));
    }
}

LOFT_TEST(region_adopt, memory_of_loft_malloc_changes_its_kind)
{
    loft_test_needs_posix("way to map a file over memory");
    const char *path = loft_test_tmp_path("f");
    const residue before = residue_begin();
    char *memory = loft_malloc(10000);
    fill(memory, 10000);
    LOFT_CHECK_OK(loft_adopt(path, memory, 10000, LOFT_GROW));
    check_filled(memory, 10000);
    LOFT_CHECK_ERR(loft_free(memory), LOFT_EINVAL);
    memory = loft_resize(memory, 20000, LOFT_GROW);
    LOFT_CHECK_NOT_NULL(memory);
    check_filled(memory, 10000);
    LOFT_CHECK_NOT_NULL(loft_resize(memory, 10000, LOFT_TRUNCATE | LOFT_INPLACE));
    LOFT_CHECK_OK(loft_close(memory));
    check_file(path, 10000);
    LOFT_CHECK_SYS(unlink(path));
    residue_check_same(&before);
}

LOFT_TEST(region_adopt, an_existing_file_is_eexist_or_replaced)
{
    loft_test_needs_posix("way to map a file over memory");
    const char *path = loft_test_tmp_path("f");
    LOFT_CHECK_OK(loft_close(loft_create_from(path, "old", 3, 0)));
    char *memory = loft_malloc(10000);
    fill(memory, 10000);
    LOFT_CHECK_ERR(loft_adopt(path, memory, 10000, 0), LOFT_EEXIST);
    LOFT_CHECK_ERR(loft_adopt(path, memory, 10000, LOFT_EXCLUSIVE), LOFT_EEXIST);
    LOFT_CHECK_CONTAINS(loft_last_error(), "adopt '");
    check_filled(memory, 10000);
    char *old = loft_open(path, LOFT_READ, 0, 0, NULL);
    LOFT_CHECK_OK(loft_adopt(path, memory, 10000, LOFT_REPLACE));
    LOFT_CHECK_EQ_MEM(old, "old", 3);
    LOFT_CHECK_OK(loft_close(old));
    check_file(path, 10000);
    LOFT_CHECK_OK(loft_close(memory));
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), 1);
}

LOFT_TEST(region_adopt, what_cannot_be_adopted_is_left_alone)
{
    loft_test_needs_posix("way to map a file over memory");
    const char *path = loft_test_tmp_path("f");
    char *memory = map_pages(40960);
    char *region = loft_malloc(40960);
    char *file = loft_create(loft_test_tmp_path("g"), 40960, 0);
    void *empty = loft_malloc(0);
    fill(memory, 40960);
    const residue before = residue_take();
    LOFT_CHECK_ERR(loft_adopt(path, memory, 0, 0), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_adopt(path, memory + 8, 4096, 0), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_adopt(NULL, memory, 4096, 0), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_adopt(path, memory, 4096, LOFT_KEEP), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_adopt(path, NULL, 4096, 0), LOFT_EADDRESS);
    LOFT_CHECK_ERR(loft_adopt(path, (void *)(uintptr_t)0x10000, 4096, 0), LOFT_EADDRESS);
    LOFT_CHECK_ERR(loft_adopt(path, memory, (size_t)1 << 47, 0), LOFT_EADDRESS);
    LOFT_CHECK_ERR(loft_adopt(path, memory, SIZE_MAX, 0), LOFT_EOVERFLOW);
    LOFT_CHECK_ERR(loft_adopt(path, region, 4096, 0), LOFT_EINVAL); /* a part of a region */
    LOFT_CHECK_ERR(loft_adopt(path, region + 4096, 4096, 0), LOFT_EINVAL);
    LOFT_CHECK_CONTAINS(loft_last_error(), "overlaps the region of 40960 bytes");
    LOFT_CHECK_ERR(loft_adopt(path, file, 40960, 0), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_adopt(path, empty, 4096, 0), LOFT_EINVAL);
    LOFT_CHECK_ERR(loft_adopt(loft_test_tmp_path("no/f"), region, 40960, 0), LOFT_ENOENT);
    check_filled(memory, 40960);
    /* A page that cannot be read: it is past the end of its file. */
    const char *name = loft_test_tmp_path("empty");
    const int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    LOFT_CHECK_TRUE(mmap(memory + 8192, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) !=
                    MAP_FAILED);
    LOFT_CHECK_SYS(close(fd));
    LOFT_CHECK_SYS(unlink(name));
    LOFT_CHECK_ERR(loft_adopt(path, memory, 40960, 0), LOFT_EINVAL);
    LOFT_CHECK_CONTAINS(loft_last_error(), "cannot read 40960 bytes at ");
    check_filled(memory, 8192);
    LOFT_CHECK_EQ_UINT(loft_test_entries(loft_test_folder()), before.entries);
    LOFT_CHECK_EQ_UINT(held_descriptors(), before.descriptors);
    region[0] = 1;
    LOFT_CHECK_OK(loft_free(region));
    LOFT_CHECK_OK(loft_free(empty));
    LOFT_CHECK_OK(loft_close(file));
    LOFT_CHECK_SYS(munmap(memory, 40960));
}
