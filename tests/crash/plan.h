/* From a log of file operations to what a power loss may leave of it (profile WORST: nothing is
 * ordered but by flushes).
 *
 * Every change is cut into units that reach the disk, or not, independently of each other:
 *
 *     a write      one unit for each 512-byte sector that it touches
 *     a punch      one unit for each 4 KiB, or for a 64th of a long one
 *     a size       one unit (with the zeros of what a shrinking cuts off)
 *     a name       one unit for each creation, link, rename, unlink
 *
 * A unit is pending from its operation until a successful flush of its file (names: of its
 * folder) has returned; then it is forced. After a failed flush the units that were pending are
 * never forced any more: the system believes they are clean. They may be on the disk or lost for
 * ever, while reads go on showing them.
 *
 * What a unit stores in a sector is the sector as the cache held it after the operation, so of
 * several chosen versions of a sector the newest holds the older ones too, as on a real system.
 *
 *     sector 17:  initial <── version of unit 3 <── version of unit 9 (newest)
 *                             forced                pending
 *
 * A point is a moment in the log: operations [0, point) were begun, flushes among them have
 * returned. States at an earlier moment are among those at a later one as long as neither a flush
 * nor a mark lies between, so where all subsets are tried points are needed only before flushes
 * and marks; where they are sampled, every operation is a point. */
#ifndef LOFT_TESTS_CRASH_PLAN_H
#define LOFT_TESTS_CRASH_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/record_fs.h"

enum {
    CRASH_SECTOR_BYTES = 512,   /* what a disk writes whole, or garbles */
    CRASH_BLOCK_BYTES = 4096,   /* what a torn write may garble besides (design.md, section 9) */
    CRASH_EXHAUSTIVE_UNITS = 14 /* up to here all subsets: 16,384 */
};
#define CRASH_NONE UINT32_MAX

enum crash_unit_kind { CRASH_UNIT_DATA, CRASH_UNIT_SIZE, CRASH_UNIT_NAME };

typedef struct crash_unit {
    enum crash_unit_kind kind;
    uint32_t op;
    uint32_t forced_at; /* the flush that forces it; CRASH_NONE: none does */
    uint32_t node;
    uint32_t entry_first, entry_count; /* the sector versions that come with it */
    uint32_t older_size;               /* SIZE: the size unit before it, of the same node */
    uint64_t size_bytes;               /* SIZE: the new size */
} crash_unit;

/* One version of one sector. Versions are numbered in the order of the log. */
typedef struct crash_entry {
    const uint8_t *data; /* a sector; NULL: zeros */
    uint64_t hash;       /* of content and place */
    uint32_t sector;
    uint32_t older; /* CRASH_NONE: it is the initial one */
    uint32_t unit;  /* CRASH_NONE: it is the initial one */
} crash_entry;

typedef struct crash_sector {
    uint32_t node;
    uint32_t number; /* in the file */
    uint32_t initial, newest;
} crash_sector;

typedef struct crash_node {
    uint64_t base_bytes;   /* size before the log */
    const uint8_t *base;   /* content before the log */
    uint64_t extent_bytes; /* nothing in the log reaches further */
    uint32_t *sectors;     /* by number: index into the plan's sectors + 1, 0: never touched */
    uint32_t newest_size;
} crash_node;

typedef struct crash_point {
    uint32_t op;
    uint32_t pending; /* units, about */
    uint64_t low, high;
} crash_point;

typedef struct crash_plan {
    const record_log *log;
    crash_node *nodes;
    crash_unit *units;
    uint32_t unit_count, unit_room;
    uint32_t *op_units; /* units of op i: [op_units[i], op_units[i + 1]) */
    crash_entry *entries;
    uint32_t entry_count, entry_room;
    crash_sector *sectors;
    uint32_t sector_count, sector_room;
    crash_point *points;
    uint32_t point_count;
    uint8_t *partials; /* sectors that no write covers whole */
    size_t partial_count;
    uint64_t extent_bytes; /* the largest of all nodes */
    uint64_t coarse_bytes; /* writes at least as long have units of 4 KiB */
} crash_plan;

/* The log must outlive the plan. Aborts when memory is refused. */
crash_plan *crash_plan_build(const record_log *log, uint64_t coarse_bytes);
void crash_plan_destroy(crash_plan *plan);

/* Of a sector's content (NULL: zeros) and its place. */
uint64_t crash_plan_hash(uint32_t node, uint32_t number, const uint8_t *data);

/* The sector's index; CRASH_NONE: nothing in the log touches it. */
static inline uint32_t crash_plan_sector(const crash_plan *plan, uint32_t node, uint32_t number)
{
    const crash_node *place = &plan->nodes[node];
    const bool inside = (uint64_t)number * CRASH_SECTOR_BYTES < place->extent_bytes;
    return inside && place->sectors[number] != 0 ? place->sectors[number] - 1 : CRASH_NONE;
}

/* The same mixing everywhere that a number is hashed. */
static inline uint64_t crash_mix(uint64_t value)
{
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

#endif
