/* A store with a model beside it; see store_world.h. */
#include "journal/store_world.h"

#include "base/status.h"
#include "loft/error.h"

const lofti_file_ops *world_ops(const store_world *world)
{
    return world->memory != NULL ? memory_fs_ops(world->memory) : lofti_file_ops_system();
}

/* Opens around the faults; they are for the store. */
static lofti_file world_file(const store_world *world, const char *path, unsigned flags)
{
    lofti_file file;
    lofti_file_ops_set(world_ops(world));
    LOFT_CHECK_EQ_INT(lofti_file_open(path, flags, 0600, &file), 0);
    lofti_file_ops_set(fault_fs_ops(world->fault));
    return file;
}

void world_begin(store_world *world, bool real)
{
    memset(world, 0, sizeof *world);
    world->path = real ? loft_test_tmp_path("store") : "/store";
    if (!real) {
        world->memory = memory_fs_create();
        LOFT_CHECK_NOT_NULL(world->memory);
    }
    world->fault = fault_fs_create(world_ops(world));
    const lofti_store_identity identity = {
        .uuid = {1, 2, 3}, .base = WORLD_BASE, .created_ns = 5, .salt = 0x5a17};
    lofti_file file = world_file(world, world->path, LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE);
    LOFT_CHECK_OK(lofti_store_format(&file, world->path, &identity));
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    world->frontier = LOFTI_HEAP_OFF + WORLD_CHUNKS * LOFTI_CHUNK_BYTES;
}

void world_end(store_world *world)
{
    world_close(world);
    lofti_file_ops_set(NULL);
    fault_fs_destroy(world->fault);
    if (world->memory != NULL) {
        LOFT_CHECK_EQ_UINT(memory_fs_handles(world->memory), 0);
        memory_fs_destroy(world->memory);
    }
}

int world_open_at(store_world *world, const char *path, bool writing)
{
    lofti_file file;
    const int error = lofti_file_open(path, writing ? LOFTI_OPEN_WRITE : 0, 0, &file);
    if (error != 0) {
        return lofti_status_system(error, "open", path);
    }
    const int code = lofti_store_open(&world->store, &file, path, writing);
    LOFT_CHECK_FALSE(lofti_file_is_open(&file));
    LOFT_CHECK_EQ_INT(code == LOFT_OK, world->store.state != LOFTI_STORE_CLOSED);
    return code;
}

static void world_claim(store_world *world)
{
    uint64_t off = 0;
    if (world->store.space_end == LOFTI_HEAP_OFF) {
        LOFT_CHECK_OK(lofti_store_claim(&world->store, WORLD_CHUNKS, UINT64_MAX / 2, &off));
        LOFT_CHECK_EQ_UINT(off, LOFTI_HEAP_OFF);
    }
}

void world_open(store_world *world)
{
    LOFT_CHECK_OK(world_open_at(world, world->path, true));
    LOFT_CHECK_OK(lofti_store_recover(&world->store));
    world_claim(world);
}

void world_close(store_world *world)
{
    if (world->store.state != LOFTI_STORE_CLOSED) {
        lofti_store_close(&world->store);
    }
}

void world_content(uint64_t page, uint64_t stamp, uint8_t out[WORLD_PAGE_BYTES])
{
    memset(out, 0, WORLD_PAGE_BYTES);
    if (stamp == 0) {
        return;
    }
    loft_test_random random = {(stamp >> 8) ^ page << 48};
    for (size_t i = 0; stamp >> 8 != 0 && i < WORLD_PAGE_BYTES; i += 8) {
        const uint64_t word = loft_test_random_next(&random);
        memcpy(out + i, &word, 8);
    }
    const size_t at = (stamp & 0xff) * 16;
    out[at] = (uint8_t)(out[at] + 1);
    out[at + 9] = (uint8_t)(stamp & 0xff);
}

void world_set(store_world *world, uint64_t page, uint64_t stamp)
{
    LOFT_CHECK_LT_UINT(page, WORLD_PAGES);
    world->working[page] = stamp;
}

void world_set_range(store_world *world, uint64_t first, uint64_t end, uint64_t stamp)
{
    for (uint64_t i = first; i < end; i++) {
        world_set(world, i, stamp == 0 ? 0 : stamp + i % 8 * 256);
    }
}

void world_commit_range(store_world *world, uint64_t first, uint64_t end, uint64_t stamp)
{
    world_set_range(world, first, end, stamp);
    LOFT_CHECK_OK(world_commit(world));
}

void world_fail(store_world *world, enum fault_action action, unsigned kinds, uint64_t first,
                uint64_t times, int error)
{
    const fault_plan plan = {
        .action = action, .kinds = kinds, .first = first, .times = times, .error = error};
    fault_fs_set(world->fault, &plan);
}

uint64_t world_heal(store_world *world)
{
    const uint64_t struck = fault_fs_struck(world->fault);
    fault_fs_set(world->fault, NULL);
    return struck;
}

int world_commit_with(store_world *world, uint64_t again, uint64_t again_end)
{
    uint8_t content[WORLD_PAGE_BYTES];
    int code = lofti_store_begin(&world->store);
    for (uint64_t i = 0; i < WORLD_PAGES && code == LOFT_OK; i++) {
        if (world->working[i] != world->committed[i] || (i >= again && i < again_end)) {
            world_content(i, world->working[i], content);
            code = lofti_store_page(&world->store, WORLD_FIRST_PAGE + i, content);
        }
    }
    if (code == LOFT_OK) {
        code = lofti_store_commit(&world->store, world->frontier);
    }
    if (code == LOFT_OK) {
        memcpy(world->committed, world->working, sizeof world->committed);
    }
    lofti_store_verify(&world->store);
    LOFT_CHECK_NE_INT(world->store.state, LOFTI_STORE_OPEN);
    return code;
}

int world_commit(store_world *world) { return world_commit_with(world, 0, 0); }

int world_commit_bulk(store_world *world, uint64_t first, uint64_t count)
{
    static uint8_t pages[WORLD_BULK_PAGES][WORLD_PAGE_BYTES];
    uint8_t content[WORLD_PAGE_BYTES];
    LOFT_CHECK_LE_UINT(count, WORLD_BULK_PAGES);
    int code = lofti_store_begin(&world->store);
    for (uint64_t i = 0; i < first && code == LOFT_OK; i++) {
        if (world->working[i] != world->committed[i]) {
            world_content(i, world->working[i], content);
            code = lofti_store_page(&world->store, WORLD_FIRST_PAGE + i, content);
        }
    }
    for (uint64_t i = 0; i < count; i++) {
        world_content(first + i, world->working[first + i], pages[i]);
    }
    if (code == LOFT_OK) {
        code = lofti_store_bulk(&world->store, WORLD_FIRST_PAGE + first, pages, count);
    }
    if (code == LOFT_OK) {
        code = lofti_store_commit(&world->store, world->frontier);
    }
    if (code == LOFT_OK) {
        memcpy(world->committed, world->working, sizeof world->committed);
    }
    lofti_store_verify(&world->store);
    return code;
}

void world_drop(store_world *world)
{
    memcpy(world->working, world->committed, sizeof world->working);
}

bool world_matches(store_world *world, const uint64_t *stamps)
{
    uint8_t content[WORLD_PAGE_BYTES];
    uint8_t got[WORLD_PAGE_BYTES];
    for (uint64_t i = 0; i < WORLD_PAGES; i++) {
        world_content(i, stamps[i], content);
        LOFT_CHECK_OK(lofti_store_read_page(&world->store, WORLD_FIRST_PAGE + i, got));
        if (memcmp(got, content, sizeof got) != 0) {
            return false;
        }
    }
    return true;
}

void world_check(store_world *world) { LOFT_CHECK_TRUE(world_matches(world, world->committed)); }

/* Where clones cannot be had: all but the holes. */
static void copy_data(const lofti_file *to, const lofti_file *from)
{
    static uint8_t piece[1 << 20];
    int64_t off = lofti_file_seek(from, 0, false);
    while (off >= 0) {
        const int64_t end = lofti_file_seek(from, (uint64_t)off, true);
        LOFT_CHECK_GT_INT(end, off);
        while (off < end) {
            const size_t bytes =
                (size_t)(end - off < (int64_t)sizeof piece ? end - off : (int64_t)sizeof piece);
            LOFT_CHECK_EQ_INT(lofti_file_read(from, piece, bytes, (uint64_t)off), 0);
            LOFT_CHECK_EQ_INT(lofti_file_write(to, piece, bytes, (uint64_t)off), 0);
            off += (int64_t)bytes;
        }
        off = lofti_file_seek(from, (uint64_t)end, false);
    }
}

void world_copy(store_world *world, const char *path)
{
    lofti_file from = world_file(world, world->path, LOFTI_OPEN_READ);
    lofti_file to =
        world_file(world, path, LOFTI_OPEN_WRITE | LOFTI_OPEN_CREATE | LOFTI_OPEN_TRUNCATE);
    LOFT_CHECK_EQ_INT(lofti_file_resize(&to, world_file_bytes(world)), 0);
    copy_data(&to, &from);
    LOFT_CHECK_EQ_INT(lofti_file_close(&to), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&from), 0);
}

bool world_image_matches(store_world *world, const uint64_t *stamps)
{
    static store_world other; /* large; only its store and paths are used */
    other.memory = world->memory;
    other.fault = world->fault;
    const char *path = world->memory != NULL ? "/image" : loft_test_tmp_path("image");
    world_copy(world, path);
    LOFT_CHECK_OK(world_open_at(&other, path, false));
    bool same = world_matches(&other, stamps);
    world_close(&other);
    LOFT_CHECK_OK(world_open_at(&other, path, true));
    LOFT_CHECK_OK(lofti_store_recover(&other.store));
    same = same && world_matches(&other, stamps);
    LOFT_CHECK_FALSE(lofti_store_has_journal(&other.store));
    world_close(&other);
    LOFT_CHECK_EQ_INT(lofti_file_unlink(world_ops(world), path), 0);
    return same;
}

void world_check_image(store_world *world)
{
    LOFT_CHECK_TRUE(world_image_matches(world, world->committed));
}

void world_read_file(const store_world *world, uint64_t off, void *data, size_t bytes)
{
    lofti_file file = world_file(world, world->path, LOFTI_OPEN_READ);
    LOFT_CHECK_EQ_INT(lofti_file_read_padded(&file, data, bytes, off), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

void world_write_file(const store_world *world, uint64_t off, const void *data, size_t bytes)
{
    lofti_file file = world_file(world, world->path, LOFTI_OPEN_WRITE);
    LOFT_CHECK_EQ_INT(lofti_file_write(&file, data, bytes, off), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
}

uint64_t world_file_bytes(const store_world *world)
{
    lofti_file_info info;
    lofti_file file = world_file(world, world->path, LOFTI_OPEN_READ);
    LOFT_CHECK_EQ_INT(lofti_file_info_get(&file, &info), 0);
    LOFT_CHECK_EQ_INT(lofti_file_close(&file), 0);
    return info.bytes;
}

void world_break_newest(const store_world *world)
{
    static lofti_super slots[LOFTI_SUPER_SLOTS];
    uint32_t newest = 0;
    world_read_file(world, 0, slots, sizeof slots);
    LOFT_CHECK_EQ_INT(lofti_super_choose(slots, false, &newest).code, LOFT_OK);
    slots[newest].sequence ^= 4;
    world_write_file(world, (uint64_t)newest * LOFTI_SUPER_BYTES, &slots[newest],
                     sizeof slots[newest]);
}
