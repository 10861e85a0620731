/* Going through the states of a plan: one image, moved from state to state by its differences.
 *
 * A walk stands at a point of the log. Its pending units are numbered 0 .. count-1 in the order
 * of the log; each is chosen (on the disk) or not. A unit that stores what is there in any case, as zeros
 * over zeros, is left out. The image follows every flip at once; the key identifies the image, so that
 * equal ones can be told. */
#ifndef LOFT_TESTS_CRASH_WALK_H
#define LOFT_TESTS_CRASH_WALK_H

#include "crash/image.h"
#include "crash/plan.h"

enum crash_tear {
    CRASH_TEAR_HALF,    /* the first half of each sector is new, the rest garbage */
    CRASH_TEAR_LATE,    /* the first half is as before, the second new */
    CRASH_TEAR_GARBAGE, /* garbage all over the sector */
    CRASH_TEAR_BLOCK,   /* garbage all over the 4 KiB block */
    CRASH_TEARS
};

typedef struct crash_walk {
    const crash_plan *plan;
    image *image;
    uint8_t *chosen;                     /* by unit: on the disk, because it is forced or chosen */
    uint32_t *newest, *forced, *current; /* by sector: versions */
    uint64_t *hashes;                    /* by sector: of what the image holds */
    uint32_t *waiting;                   /* units that are neither forced nor hidden for good */
    uint32_t waiting_count;
    uint32_t *pending; /* of them those that make a difference at this point */
    uint32_t pending_count;
    uint32_t op;
    uint32_t newest_size[IMAGE_NODES]; /* units that were begun */
    uint64_t node_key[IMAGE_NODES];
    bool reachable[IMAGE_NODES];
    uint64_t names_key;
} crash_walk;

/* Begins before the first operation. Aborts when memory is refused. */
crash_walk *crash_walk_create(const crash_plan *plan);
void crash_walk_destroy(crash_walk *walk);

/* Goes on to a later point (operations [0, op) begun); nothing is chosen there. */
void crash_walk_advance(crash_walk *walk, uint32_t op);
bool crash_walk_is_chosen(const crash_walk *walk, uint32_t index);
void crash_walk_flip(crash_walk *walk, uint32_t index);
static inline void crash_walk_choose(crash_walk *walk, uint32_t index, bool chosen)
{
    if (crash_walk_is_chosen(walk, index) != chosen) {
        crash_walk_flip(walk, index);
    }
}
/* Equal for equal images; files that no name leads to do not count. */
uint64_t crash_walk_key(const crash_walk *walk);
/* Equal for images with the same names and sizes. */
uint64_t crash_walk_shape(const crash_walk *walk);

/* Garbles what a pending unit writes, between image_begin and image_undo. */
void crash_walk_tear(crash_walk *walk, uint32_t index, enum crash_tear tear);
bool crash_walk_can_tear(const crash_walk *walk, uint32_t index);
/* Brings hashes and key in line with what was garbled, or (false) back. Returns: a hash of what the block
 * holds outside the sectors of the plan. */
uint64_t crash_walk_hash_torn(crash_walk *walk, uint32_t index, enum crash_tear tear, bool torn);

/* One line about a pending unit: "write 12: sector 48 of 'a' (0x6000)". */
void crash_walk_describe(const crash_walk *walk, uint32_t index, char *text, size_t text_bytes);

#endif
