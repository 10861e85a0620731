/* A store (src/journal) with a model beside it, over the in-memory file system or a real one, both
 * behind a table that can fail.
 *
 * A page's content follows from a stamp: 0 is zeros; else all but the lowest byte choose the pattern of
 * the whole page, and the lowest byte a few bytes in it, so that stamps that differ only there give
 * pages that differ little, and a delta. The model is two rows of stamps: as committed, as it would be. */
#ifndef LOFT_TESTS_JOURNAL_STORE_WORLD_H
#define LOFT_TESTS_JOURNAL_STORE_WORLD_H

#include "journal/log.h"
#include "support/fault_fs.h"
#include "support/memory_fs.h"
#include "support/test.h"

enum {
    WORLD_PAGE_BYTES = 4096,
    WORLD_PAGES = 1536, /* in the heap's first two chunks; more than five frames of whole pages */
    WORLD_FIRST_PAGE = 1024,
    WORLD_CHUNKS = 2,
    WORLD_BULK_PAGES = 512
};
#define WORLD_BASE ((uint64_t)0x180000000000)

typedef struct store_world {
    memory_fs *memory; /* NULL: the system's files */
    fault_fs *fault;
    const char *path;
    lofti_store store;
    uint64_t frontier; /* what commits say */
    uint64_t committed[WORLD_PAGES];
    uint64_t working[WORLD_PAGES];
} store_world;

/* A formatted file at `path`, not open. `real`: below the test's folder. */
void world_begin(store_world *world, bool real);
void world_end(store_world *world);

/* Opens `path`; the code of lofti_store_open. */
int world_open_at(store_world *world, const char *path, bool writing);
/* Opens for change and recovers; must answer LOFT_OK. Claims the heap's chunks if it is new. */
void world_open(store_world *world);
void world_close(store_world *world);

void world_content(uint64_t page, uint64_t stamp, uint8_t out[WORLD_PAGE_BYTES]);
void world_set(store_world *world, uint64_t page, uint64_t stamp);
/* Pages [first, end), a pattern of its own for each of eight in a row; 0: zeros. commit_range: and commits. */
void world_set_range(store_world *world, uint64_t first, uint64_t end, uint64_t stamp);
void world_commit_range(store_world *world, uint64_t first, uint64_t end, uint64_t stamp);
/* Calls of these kinds fail from the first-th on, so many times; then no more, and how many did. */
void world_fail(store_world *world, enum fault_action action, unsigned kinds, uint64_t first,
                uint64_t times, int error);
uint64_t world_heal(store_world *world);
/* Logs every page whose stamp changed and commits; the model follows a success. Pages in [again,
 * again_end) are logged whether they changed or not. */
int world_commit_with(store_world *world, uint64_t again, uint64_t again_end);
int world_commit(store_world *world);
/* The same, with the pages [first, first + count), the last that changed, at once and so behind the frontier in place. At
 * most WORLD_BULK_PAGES. */
int world_commit_bulk(store_world *world, uint64_t first, uint64_t count);
void world_drop(store_world *world); /* working = committed */

/* Every page reads as `stamps` say. */
bool world_matches(store_world *world, const uint64_t *stamps);
void world_check(store_world *world);
/* Opens a copy of the file as it stands, for reading and then for change, and compares it. */
void world_check_image(store_world *world);
bool world_image_matches(store_world *world, const uint64_t *stamps);
/* A copy of the file as it stands under `path`, as a crash of the program would leave it. */
void world_copy(store_world *world, const char *path);

void world_read_file(const store_world *world, uint64_t off, void *data, size_t bytes);
void world_write_file(const store_world *world, uint64_t off, const void *data, size_t bytes);
uint64_t world_file_bytes(const store_world *world);
/* Makes the superblock with the highest generation one that does not count. */
void world_break_newest(const store_world *world);
const lofti_file_ops *world_ops(const store_world *world); /* without faults */

#endif
