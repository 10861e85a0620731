/* What recovery does to one crash image, it does to every image that it cannot tell from that one.
 *
 * Recovery goes in two parts: it opens the file, which only reads, and it finishes, which copies, applies,
 * and goes on. The first part is run on every image. The second is a function of what the first has left in
 * memory (a number stands for all of it) and of the sectors that it reads itself before it has overwritten
 * them. Where all of these are those of an image that went well, its result is the same:
 *
 *     image ── open ──> number ──┬── known with the same sectors ──> the commit that was found
 *                                └── not known ── finish, go on ──> remembered, with the sectors read
 *
 * Which sectors are read is found by watching (image_trace_begin), and follows from what was read before, so
 * sectors that were not read cannot matter. Random numbers would; they are the same in every run (salts.h).
 * Every 64th known image is run nonetheless, and must find the same. */
#ifndef LOFT_TESTS_CRASH_MEMO_H
#define LOFT_TESTS_CRASH_MEMO_H

#include <stddef.h>
#include <stdint.h>

typedef struct crash_memo crash_memo;

/* Aborts when memory is refused. */
crash_memo *crash_memo_create(void);
void crash_memo_destroy(crash_memo *memo);

/* `opened`: stands for all that open has left. `hashes`: of the sectors as they are now, by sector of the
 * plan. Returns: the commit that was found in an image alike, or -1. */
int64_t crash_memo_find(const crash_memo *memo, uint64_t opened, const uint64_t *hashes);
/* The rest of recovery has read these sectors and found this commit. Threads: one. */
void crash_memo_add(crash_memo *memo, uint64_t opened, const uint32_t *sectors, size_t count,
                    const uint64_t *hashes, int64_t commit);

#endif
