/* Files and address spaces of other systems: fewer bits of address, another byte order. The smaller spaces are a
 * table of mapping primitives that refuses what lies above, as such kernels do. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "arena/arena_world.h"
#include "format/super.h"
#include "os/map.h"
#include "os/window.h"

static uint64_t narrow_end;
static uint64_t narrow_next;
static lofti_map_ops narrow_ops;

static bool narrow_holds(const void *at, size_t bytes)
{
    const uint64_t start = (uint64_t)(uintptr_t)at;
    return start <= narrow_end && bytes <= narrow_end - start;
}

/* Where the kernel would choose: anywhere below the end. */
static int narrow_anywhere(size_t bytes, unsigned flags, intptr_t handle, uint64_t off, void **out)
{
    const uint64_t step = (uint64_t)1 << 24;
    for (uint64_t at = narrow_next; narrow_holds((void *)(uintptr_t)at, bytes); at += step) {
        void *got = NULL;
        void *hint = (void *)(uintptr_t)at;
        if (lofti_map_ops_system()->map(hint, false, bytes, flags, handle, off, &got) != 0)
            continue;
        if (got == hint) {
            narrow_next = at + (bytes + step - 1) / step * step;
            *out = got;
            return 0;
        }
        (void)lofti_map_ops_system()->unmap(got, bytes);
    }
    return -ENOMEM;
}

static int narrow_map(void *at, bool fixed, size_t bytes, unsigned flags, intptr_t handle,
                      uint64_t off, void **out)
{
    if (at == NULL)
        return narrow_anywhere(bytes, flags, handle, off, out);
    if (!narrow_holds(at, bytes))
        return -ENOMEM;
    return lofti_map_ops_system()->map(at, fixed, bytes, flags, handle, off, out);
}

static void narrow_begin(unsigned bits)
{
    if (LOFT_TEST_IS_SANITIZED || loft_test_on_valgrind())
        LOFT_SKIP("the tool's own memory lies where a small address space is");
    narrow_ops = *lofti_map_ops_system();
    narrow_ops.map = narrow_map;
    narrow_end = (uint64_t)1 << bits;
    narrow_next = (uint64_t)1 << (bits - 3);
    lofti_map_ops_set(&narrow_ops);
}

static loft_arena_info info_of(const loft_arena *arena)
{
    loft_arena_info info = {.struct_bytes = sizeof info};
    LOFT_CHECK_OK(loft_arena_describe(arena, &info));
    return info;
}

LOFT_TEST(foreign, windows_lie_in_their_spaces)
{
    const lofti_window usual = lofti_window_of(LOFTI_MAP_BITS_MAX);
    LOFT_CHECK_EQ_UINT(usual.low, 0x180000000000);
    LOFT_CHECK_EQ_UINT(usual.high, 0x540000000000);
    LOFT_CHECK_EQ_UINT(usual.reserve_bytes, (uint64_t)1 << 40);
    for (unsigned bits = LOFTI_MAP_BITS_MIN; bits <= LOFTI_MAP_BITS_MAX; bits++) {
        const lofti_window window = lofti_window_of(bits);
        LOFT_CHECK_GE_UINT(window.low, LOFTI_MAP_LOW);
        LOFT_CHECK_LE_UINT(window.high, (uint64_t)1 << bits);
        LOFT_CHECK_LE_UINT(window.low + 2 * window.reserve_bytes, window.high);
        LOFT_CHECK_GE_UINT(window.reserve_bytes, (uint64_t)1 << 30);
        LOFT_CHECK_EQ_UINT(window.low % ((uint64_t)4 << 20), 0);
        LOFT_CHECK_TRUE(lofti_window_holds(window.low));
        LOFT_CHECK_TRUE(lofti_window_holds(window.high - 1));
    }
    LOFT_CHECK_FALSE(lofti_window_holds(LOFTI_MAP_LOW));
    LOFT_CHECK_FALSE(lofti_window_holds(LOFTI_MAP_HIGH - 1));
    LOFT_CHECK_EQ_UINT(lofti_window_of(39).reserve_bytes, (uint64_t)16 << 30);
}

LOFT_TEST(foreign, the_bits_are_found_by_trying)
{
    const unsigned own = lofti_map_bits();
    LOFT_CHECK_LE_UINT(own, LOFTI_MAP_BITS_MAX);
    for (unsigned bits = LOFTI_MAP_BITS_MIN; bits <= own; bits++) {
        narrow_begin(bits);
        const unsigned before = loft_test_mappings();
        LOFT_CHECK_EQ_UINT(lofti_map_bits(), bits);
        LOFT_CHECK_EQ_UINT(loft_test_mappings(), before);
    }
    narrow_begin(34); /* nothing there where it is tried: not known */
    LOFT_CHECK_EQ_UINT(lofti_map_bits(), LOFTI_MAP_BITS_MAX);
    lofti_map_ops_set(NULL);
    LOFT_CHECK_EQ_UINT(lofti_map_bits(), own);
}

static void life_in(unsigned bits)
{
    const char *path = loft_test_tmp_path("data");
    narrow_begin(bits);
    const lofti_window window = lofti_window_of(bits);
    loft_arena *arena = NULL;
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_CREATE | LOFT_EXCLUSIVE, NULL, &arena));
    loft_arena_info info = info_of(arena);
    LOFT_CHECK_GE_UINT(info.base, window.low);
    LOFT_CHECK_LE_UINT(info.base + info.reserve_bytes, window.high);
    LOFT_CHECK_EQ_UINT(info.reserve_bytes, window.reserve_bytes);
    for (uint64_t i = 1; i <= 50; i++)
        list_push(arena, i, 1000 * i);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    close_arena(arena);
    loft_arena *memory = NULL;
    LOFT_CHECK_OK(loft_arena_open(NULL, 0, NULL, &memory));
    LOFT_CHECK_LE_UINT(info_of(memory).base, narrow_end);
    close_arena(memory);
    for (int i = 0; i < 3; i++) {
        if (i == 2)
            lofti_map_ops_set(NULL); /* at last in the whole space: the same place */
        LOFT_CHECK_OK(
            loft_arena_open(path, LOFT_WRITE | (i == 0 ? 0 : LOFT_UNTRUSTED), NULL, &arena));
        LOFT_CHECK_EQ_UINT(info_of(arena).mapped_at, info.base);
        LOFT_CHECK_EQ_UINT(list_check(arena), 50);
        close_arena(arena);
    }
    LOFT_CHECK_SYS(remove(path));
}

LOFT_TEST(foreign, arenas_live_in_39_bits) { life_in(39); }
LOFT_TEST(foreign, arenas_live_in_36_bits) { life_in(36); }

LOFT_TEST(foreign, a_base_outside_the_space_is_an_address_error)
{
    const char *path = loft_test_tmp_path("data");
    if (lofti_map_bits() < LOFTI_MAP_BITS_MAX)
        LOFT_SKIP("this address space is small itself");
    loft_arena *arena = open_arena(path, LOFT_CREATE);
    const uint64_t base = info_of(arena).base;
    for (uint64_t i = 1; i <= 20; i++)
        list_push(arena, i, 100);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    close_arena(arena);
    narrow_begin(39);
    LOFT_CHECK_GE_UINT(base, narrow_end);
    open_must_fail(path, 0, NULL, LOFT_EADDRESS, "address space of 39 bits");
    open_must_fail(path, LOFT_WRITE, NULL, LOFT_EADDRESS, "address space of 39 bits");
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    options.base = base;
    open_must_fail(loft_test_tmp_path("new"), LOFT_CREATE, &options, LOFT_EADDRESS, "39 bits");
    LOFT_CHECK_OK(loft_arena_open(path, LOFT_RELOCATE, NULL, &arena));
    LOFT_CHECK_LE_UINT(info_of(arena).mapped_at, narrow_end);
    const list_node *head = loft_arena_root(arena, "list");
    LOFT_CHECK_NOT_NULL(head);
    LOFT_CHECK_EQ_UINT(head->number, 20);
    head = loft_arena_resolve(arena, head->next); /* a pointer as it was stored */
    LOFT_CHECK_EQ_UINT(head->number, 19);
    close_arena(arena);
}

/* Less address space than an arena would like: it holds what it gets. */
static void live_under_a_limit(void *path)
{
    const struct rlimit limit = {(rlim_t)4 << 30, (rlim_t)4 << 30};
    LOFT_CHECK_SYS(setrlimit(RLIMIT_AS, &limit));
    for (uint64_t i = 1; i <= 2; i++) {
        loft_arena *arena = open_arena(path, LOFT_CREATE);
        LOFT_CHECK_LE_UINT(info_of(arena).reserve_bytes, (uint64_t)4 << 30);
        LOFT_CHECK_GE_UINT(info_of(arena).reserve_bytes, (uint64_t)1 << 30);
        list_push(arena, i, 1 << 20);
        LOFT_CHECK_EQ_UINT(list_check(arena), i);
        LOFT_CHECK_OK(loft_arena_commit(arena));
        close_arena(arena);
    }
}

LOFT_TEST(foreign, a_limit_on_address_space_makes_the_reserve_smaller)
{
    if (LOFT_TEST_IS_SANITIZED || loft_test_on_valgrind() || loft_test_on_qemu())
        LOFT_SKIP("the tool's own memory exceeds any limit, or it ignores it");
    char path[4096];
    (void)snprintf(path, sizeof path, "%s", loft_test_tmp_path("data"));
    loft_test_child child;
    loft_test_run_child(live_under_a_limit, path, &child);
    LOFT_CHECK_EQ_STR(child.output, "");
    LOFT_CHECK_EQ_INT(child.exit_code, 0);
}

/* As a machine of the other order would have written it: magic as text or as a number. */
LOFT_TEST(foreign, a_big_endian_file_is_another_version)
{
    for (int as_number = 0; as_number < 2; as_number++) {
        char name[16];
        (void)snprintf(name, sizeof name, "data%d", as_number);
        const char *path = loft_test_tmp_path(name);
        close_arena(open_arena(path, LOFT_CREATE));
        for (uint64_t slot = 0; slot < LOFTI_SUPER_SLOTS; slot++) {
            const uint64_t off = slot * LOFTI_SUPER_BYTES;
            const uint32_t order = __builtin_bswap32(LOFTI_SUPER_BYTE_ORDER);
            const uint64_t magic = __builtin_bswap64(LOFTI_SUPER_MAGIC);
            const uint32_t version = __builtin_bswap32(LOFTI_SUPER_VERSION);
            file_patch(path, off + offsetof(lofti_super, byte_order), &order, sizeof order);
            file_patch(path, off + offsetof(lofti_super, version), &version, sizeof version);
            if (as_number)
                file_patch(path, off, &magic, sizeof magic);
        }
        const unsigned flags[] = {0, LOFT_WRITE, LOFT_CREATE, LOFT_UNTRUSTED, LOFT_RELOCATE};
        for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++)
            open_must_fail(path, flags[i], NULL, LOFT_EVERSION, "byte order");
    }
}
