/* See arena_world.h. */
#include "arena/arena_world.h"

#include "arena/chunk.h"
#include "os/map.h"
#include "support/held.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The sanitizers map shadow memory when they please, and qemu-user shows libc's own heap as a mapping from when it
 * begins; there only the others tell. */
static unsigned own_mappings(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
    return 0; /* musl's malloc, too, maps a page now and then */
#else
    return loft_test_on_qemu() ? 0 : loft_test_mappings();
#endif
}

leftovers leftovers_before(const char *folder)
{
    return (leftovers){folder, held_descriptors(), own_mappings(), loft_test_entries(folder)};
}

void leftovers_check(const leftovers *before)
{
    LOFT_CHECK_EQ_UINT(held_descriptors(), before->descriptors);
    LOFT_CHECK_EQ_UINT(own_mappings(), before->mappings);
    LOFT_CHECK_EQ_UINT(loft_test_entries(before->folder), before->entries);
}

void need_dontfork(void)
{
    if (loft_test_on_qemu()) {
        LOFT_SKIP("qemu-user does not pass MADV_DONTFORK on");
    }
}

void open_must_fail(const char *path, unsigned flags, const loft_arena_options *options, int want,
                    const char *part)
{
    loft_arena *arena = (loft_arena *)(uintptr_t)8; /* must become NULL */
    const bool exists = access(path, F_OK) == 0;
    const unsigned mapped =
        exists ? loft_test_mappings_of(path) : 0; /* by those who have it open */
    const leftovers before = leftovers_before(loft_test_folder());
    const int code = loft_arena_open(path, flags, options, &arena);
    if (code != want) {
        LOFT_FAIL("open '%s' gave %s, not %s", path, loft_error_name(code), loft_error_name(want));
    }
    LOFT_CHECK_EQ_INT(loft_last_code(), want);
    LOFT_CHECK_NULL(arena);
    if (strlen(path) < 400) {
        LOFT_CHECK_CONTAINS(loft_last_error(), path);
    }
    LOFT_CHECK_CONTAINS(loft_last_error(), "': "); /* operation 'path': reason */
    LOFT_CHECK_CONTAINS(loft_last_error(), part);
    leftovers_check(&before);
    if (exists) {
        LOFT_CHECK_EQ_UINT(loft_test_mappings_of(path), mapped);
    }
}

loft_arena *open_arena(const char *path, unsigned flags)
{
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_open(path, flags, NULL, &arena));
    LOFT_CHECK_NOT_NULL(arena);
    return arena;
}

loft_arena *new_arena(const char *name)
{
    return open_arena(loft_test_tmp_path(name), LOFT_CREATE | LOFT_EXCLUSIVE);
}

void close_arena(loft_arena *arena) { LOFT_CHECK_OK(loft_arena_close(arena)); }
void abandon_arena(loft_arena *arena) { LOFT_CHECK_OK(loft_arena_abandon(arena)); }

static int print_fault(void *context, const loft_fault *fault)
{
    (void)context;
    LOFT_FAIL("fault at offset %llu: %s", (unsigned long long)fault->offset, fault->text);
}

void check_arena(loft_arena *arena)
{
    uint64_t faults = 77;
    LOFT_CHECK_OK(loft_arena_check(arena, print_fault, NULL, &faults));
    LOFT_CHECK_EQ_UINT(faults, 0);
    LOFT_CHECK_OK(lofti_chunk_verify(arena));
}

static uint8_t list_byte(uint64_t number, uint64_t i)
{
    return (uint8_t)(number * 131 + i * 7 + (i >> 8));
}

static int count_pool(void *context, const loft_block *block)
{
    *(uint64_t *)context += block->kind == LOFT_BLOCK_POOL;
    return 0;
}

uint64_t pool_blocks(loft_arena *arena)
{
    uint64_t count = 0;
    LOFT_CHECK_OK(loft_arena_walk(arena, count_pool, &count));
    return count;
}

void list_push(loft_arena *arena, uint64_t number, uint64_t bytes)
{
    list_node *node = loft_arena_malloc(arena, sizeof *node + bytes);
    LOFT_CHECK_NOT_NULL(node);
    *node = (list_node){loft_arena_root(arena, "list"), number, bytes};
    for (uint64_t i = 0; i < bytes; i++) {
        node->content[i] = list_byte(number, i);
    }
    LOFT_CHECK_OK(loft_arena_set_root(arena, "list", node));
}

uint64_t list_check(const loft_arena *arena)
{
    uint64_t count = 0;
    uint64_t number = 0;
    const list_node *node = loft_arena_root(arena, "list");
    for (; node != NULL; node = loft_arena_resolve(arena, node->next)) {
        LOFT_CHECK_TRUE(count == 0 || node->number + 1 == number);
        number = node->number;
        count++;
        for (uint64_t i = 0; i < node->bytes; i++) {
            if (node->content[i] != list_byte(number, i)) {
                LOFT_FAIL("byte %ju of node %ju", (uintmax_t)i, (uintmax_t)number);
            }
        }
    }
    return count;
}

uint8_t *file_read(const char *path, size_t *bytes)
{
    *bytes = file_bytes(path);
    uint8_t *data = malloc(*bytes + 1);
    LOFT_CHECK_NOT_NULL(data);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    LOFT_CHECK_SYS(fd);
    LOFT_CHECK_EQ_INT(read(fd, data, *bytes), *bytes);
    LOFT_CHECK_SYS(close(fd));
    return data;
}

void file_write(const char *path, const void *data, size_t bytes)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    LOFT_CHECK_SYS(fd);
    LOFT_CHECK_EQ_INT(write(fd, data, bytes), bytes);
    LOFT_CHECK_SYS(close(fd));
}

void file_patch(const char *path, uint64_t off, const void *data, size_t bytes)
{
    const int fd = open(path, O_RDWR | O_CLOEXEC);
    LOFT_CHECK_SYS(fd);
    LOFT_CHECK_EQ_INT(pwrite(fd, data, bytes, (off_t)off), bytes);
    LOFT_CHECK_SYS(close(fd));
}

uint64_t file_bytes(const char *path)
{
    struct stat status;
    LOFT_CHECK_SYS(stat(path, &status));
    return (uint64_t)status.st_size;
}

/* --- Mappings that are refused -------------------------------------------------------------------- */

static lofti_map_ops refusing;
static unsigned refusals;

static int drop_then_refuse(void *at, bool fixed, size_t bytes, unsigned flags, intptr_t handle,
                            uint64_t off, void **out)
{
    if (fixed && handle >= 0 && refusals > 0) {
        refusals--;
        LOFT_CHECK_OK(lofti_map_ops_system()->unmap(at, bytes));
        return -ENOMEM;
    }
    return lofti_map_ops_system()->map(at, fixed, bytes, flags, handle, off, out);
}

void refuse_file_mappings(unsigned times)
{
    refusing = *lofti_map_ops_system();
    refusing.map = drop_then_refuse;
    refusals = times;
    lofti_map_ops_set(&refusing);
}

void allow_file_mappings(void)
{
    LOFT_CHECK_EQ_UINT(refusals, 0);
    lofti_map_ops_set(NULL);
}
