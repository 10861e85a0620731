/* Building the units, sector versions and points of a log; see plan.h. */
#include "crash/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* While building: the units that the next good flush of a file, or of folders, would force. */
typedef struct crash_builder {
    crash_plan *plan;
    uint32_t *unforced;
    uint32_t unforced_count, unforced_room;
    uint32_t lost; /* units that a failed flush has left behind */
} crash_builder;

static void *grown(void *memory, size_t count, size_t item_bytes)
{
    void *larger = realloc(memory, count * item_bytes);
    if (larger == NULL) {
        perror("crash plan");
        abort();
    }
    return larger;
}

static void *zeroed(size_t count, size_t item_bytes)
{
    void *memory = calloc(count > 0 ? count : 1, item_bytes);
    if (memory == NULL) {
        perror("crash plan");
        abort();
    }
    return memory;
}

uint64_t crash_plan_hash(uint32_t node, uint32_t number, const uint8_t *data)
{
    static const uint8_t zeros[CRASH_SECTOR_BYTES];
    const uint64_t place = crash_mix((uint64_t)node << 32 | number);
    return lofti_hash(data != NULL ? data : zeros, CRASH_SECTOR_BYTES, place);
}

static uint8_t *partial_new(crash_plan *plan)
{
    return plan->partials + CRASH_SECTOR_BYTES * plan->partial_count++;
}

static uint32_t entry_add(crash_plan *plan, uint32_t sector, uint32_t unit, const uint8_t *data)
{
    if (plan->entry_count == plan->entry_room) {
        plan->entry_room = plan->entry_room == 0 ? 256 : plan->entry_room * 2;
        plan->entries = grown(plan->entries, plan->entry_room, sizeof *plan->entries);
    }
    crash_sector *place = &plan->sectors[sector];
    plan->entries[plan->entry_count] =
        (crash_entry){.data = data,
                      .hash = crash_plan_hash(place->node, place->number, data),
                      .sector = sector,
                      .older = place->newest,
                      .unit = unit};
    place->newest = plan->entry_count;
    return plan->entry_count++;
}

/* What the sector held before the log. */
static const uint8_t *initial_content(crash_plan *plan, const crash_node *node, uint32_t number)
{
    const uint64_t off = (uint64_t)number * CRASH_SECTOR_BYTES;
    if (off >= node->base_bytes) {
        return NULL;
    }
    if (node->base_bytes - off >= CRASH_SECTOR_BYTES) {
        return node->base + off;
    }
    uint8_t *copy = partial_new(plan);
    memcpy(copy, node->base + off, (size_t)(node->base_bytes - off));
    return copy;
}

/* The sector's index; at its first touch it gets its initial version. */
static uint32_t sector_touch(crash_plan *plan, uint32_t node_idx, uint32_t number)
{
    crash_node *node = &plan->nodes[node_idx];
    if (node->sectors[number] != 0) {
        return node->sectors[number] - 1;
    }
    if (plan->sector_count == plan->sector_room) {
        plan->sector_room = plan->sector_room == 0 ? 256 : plan->sector_room * 2;
        plan->sectors = grown(plan->sectors, plan->sector_room, sizeof *plan->sectors);
    }
    const uint32_t sector = plan->sector_count++;
    node->sectors[number] = sector + 1;
    plan->sectors[sector] =
        (crash_sector){.node = node_idx, .number = number, .newest = CRASH_NONE};
    plan->sectors[sector].initial =
        entry_add(plan, sector, CRASH_NONE, initial_content(plan, node, number));
    return sector;
}

static uint32_t unit_add(crash_builder *builder, enum crash_unit_kind kind, uint32_t op,
                         uint32_t node)
{
    crash_plan *plan = builder->plan;
    if (plan->unit_count == plan->unit_room) {
        plan->unit_room = plan->unit_room == 0 ? 256 : plan->unit_room * 2;
        plan->units = grown(plan->units, plan->unit_room, sizeof *plan->units);
    }
    if (builder->unforced_count == builder->unforced_room) {
        builder->unforced_room = builder->unforced_room == 0 ? 256 : builder->unforced_room * 2;
        builder->unforced =
            grown(builder->unforced, builder->unforced_room, sizeof *builder->unforced);
    }
    plan->units[plan->unit_count] = (crash_unit){.kind = kind,
                                                 .op = op,
                                                 .forced_at = CRASH_NONE,
                                                 .node = node,
                                                 .entry_first = plan->entry_count,
                                                 .older_size = CRASH_NONE};
    builder->unforced[builder->unforced_count++] = plan->unit_count;
    return plan->unit_count++;
}

/* A sector touched first gets an initial version, which belongs to no unit: so sectors are touched
 * before the unit is made, and a unit's versions lie one after another. */
static void sectors_touch(crash_plan *plan, uint32_t node, uint64_t first, uint64_t end)
{
    for (uint64_t number = first; number < end; number++) {
        (void)sector_touch(plan, node, (uint32_t)number);
    }
}

static uint64_t sector_ceil(uint64_t bytes)
{
    return (bytes + CRASH_SECTOR_BYTES - 1) / CRASH_SECTOR_BYTES;
}

/* The sector as the cache holds it, but for [off, off + bytes) of the file, which is `data`
 * (NULL: zeros). */
static void version_add(crash_plan *plan, uint32_t unit, uint32_t number, const uint8_t *data,
                        uint64_t off, uint64_t bytes)
{
    const uint32_t node = plan->units[unit].node;
    const uint32_t sector = sector_touch(plan, node, number);
    const uint64_t start = (uint64_t)number * CRASH_SECTOR_BYTES;
    const uint8_t *content = NULL;
    if (off <= start && off + bytes >= start + CRASH_SECTOR_BYTES) {
        content = data != NULL ? data + (start - off) : NULL;
    } else {
        uint8_t *copy = partial_new(plan);
        const uint8_t *before = plan->entries[plan->sectors[sector].newest].data;
        if (before != NULL) {
            memcpy(copy, before, CRASH_SECTOR_BYTES);
        }
        const uint64_t from = off > start ? off : start;
        const uint64_t end =
            off + bytes < start + CRASH_SECTOR_BYTES ? off + bytes : start + CRASH_SECTOR_BYTES;
        if (data != NULL) {
            memcpy(copy + (from - start), data + (from - off), (size_t)(end - from));
        } else {
            memset(copy + (from - start), 0, (size_t)(end - from));
        }
        content = copy;
    }
    (void)entry_add(plan, sector, unit, content);
    plan->units[unit].entry_count++;
}

static void add_write(crash_builder *builder, uint32_t op_idx, uint64_t unit_sectors)
{
    crash_plan *plan = builder->plan;
    const record_op *op = &plan->log->ops[op_idx];
    const uint8_t *data = op->kind == RECORD_WRITE ? plan->log->data + op->data_off : NULL;
    const uint64_t end = sector_ceil(op->off + op->bytes);
    sectors_touch(plan, op->node, op->off / CRASH_SECTOR_BYTES, end);
    for (uint64_t first = op->off / CRASH_SECTOR_BYTES; first < end;) {
        const uint64_t next = (first / unit_sectors + 1) * unit_sectors;
        const uint32_t unit = unit_add(builder, CRASH_UNIT_DATA, op_idx, op->node);
        for (; first < next && first < end; first++) {
            version_add(plan, unit, (uint32_t)first, data, op->off, op->bytes);
        }
    }
}

static void add_punch(crash_builder *builder, uint32_t op_idx)
{
    const record_op *op = &builder->plan->log->ops[op_idx];
    const uint64_t block_sectors = CRASH_BLOCK_BYTES / CRASH_SECTOR_BYTES;
    const uint64_t part = sector_ceil(op->bytes) / 64 / block_sectors * block_sectors;
    add_write(builder, op_idx, part > block_sectors ? part : block_sectors);
}

/* A new size; a smaller one takes what it cuts off with it. */
static void add_size(crash_builder *builder, uint32_t op_idx)
{
    crash_plan *plan = builder->plan;
    const record_op *op = &plan->log->ops[op_idx];
    const uint64_t first = op->bytes / CRASH_SECTOR_BYTES;
    const uint64_t end = op->bytes < op->off ? sector_ceil(op->off) : first;
    sectors_touch(plan, op->node, first, end);
    const uint32_t unit = unit_add(builder, CRASH_UNIT_SIZE, op_idx, op->node);
    plan->units[unit].size_bytes = op->bytes;
    plan->units[unit].older_size = plan->nodes[op->node].newest_size;
    plan->nodes[op->node].newest_size = unit;
    for (uint64_t number = first; number < end; number++) {
        version_add(plan, unit, (uint32_t)number, NULL, op->bytes, op->off - op->bytes);
    }
}

/* The folder that holds the name which the unit makes or removes. A rename between two folders
 * is taken to be durable with the one it goes to. */
static bool unit_is_in_folder(const crash_plan *plan, const crash_unit *unit, uint32_t folder)
{
    const record_op *op = &plan->log->ops[unit->op];
    const char *path = plan->log->names[op->kind == RECORD_RENAME ? op->other : op->name];
    const char *name = plan->log->names[folder];
    const size_t bytes = record_folder_bytes(path);
    return strlen(name) == bytes && memcmp(name, path, bytes) == 0;
}

/* A flush: what it reaches is forced by it, or, if it failed, by none any more. */
static void add_flush(crash_builder *builder, uint32_t op_idx)
{
    const crash_plan *plan = builder->plan;
    const record_op *op = &plan->log->ops[op_idx];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < builder->unforced_count; i++) {
        crash_unit *unit = &plan->units[builder->unforced[i]];
        const bool reached =
            op->kind == RECORD_SYNC
                ? unit->kind != CRASH_UNIT_NAME && unit->node == op->node
                : unit->kind == CRASH_UNIT_NAME && unit_is_in_folder(plan, unit, op->name);
        if (!reached) {
            builder->unforced[kept++] = builder->unforced[i];
        } else if (op->failed) {
            builder->lost++;
        } else {
            unit->forced_at = op_idx;
        }
    }
    builder->unforced_count = kept;
}

static void add_op(crash_builder *builder, uint32_t op_idx)
{
    const record_op *op = &builder->plan->log->ops[op_idx];
    const uint64_t block_sectors = CRASH_BLOCK_BYTES / CRASH_SECTOR_BYTES;
    switch (op->kind) {
    case RECORD_WRITE:
        add_write(builder, op_idx, op->bytes >= builder->plan->coarse_bytes ? block_sectors : 1);
        break;
    case RECORD_PUNCH: add_punch(builder, op_idx); break;
    case RECORD_SIZE: add_size(builder, op_idx); break;
    case RECORD_CREATE:
        if (op->name != RECORD_NO_NAME) {
            (void)unit_add(builder, CRASH_UNIT_NAME, op_idx, op->node);
        }
        break;
    case RECORD_LINK:
    case RECORD_RENAME:
    case RECORD_UNLINK: (void)unit_add(builder, CRASH_UNIT_NAME, op_idx, op->node); break;
    case RECORD_SYNC:
    case RECORD_SYNC_FOLDER: add_flush(builder, op_idx); break;
    default: break;
    }
}

/* Sizes of the nodes' tables, and contents from before the log. */
static void measure(crash_plan *plan)
{
    const record_log *log = plan->log;
    for (size_t i = 0; i < log->count; i++) {
        const record_op *op = &log->ops[i];
        if (op->node == RECORD_NO_NODE) {
            continue;
        }
        crash_node *node = &plan->nodes[op->node];
        uint64_t end = 0;
        if (op->kind == RECORD_BASE) {
            node->base_bytes = end = op->bytes;
            node->base = log->data + op->data_off;
        } else if (op->kind == RECORD_WRITE || op->kind == RECORD_PUNCH) {
            end = op->off + op->bytes;
        } else if (op->kind == RECORD_SIZE) {
            end = op->off > op->bytes ? op->off : op->bytes;
        }
        node->extent_bytes = end > node->extent_bytes ? end : node->extent_bytes;
        plan->extent_bytes = end > plan->extent_bytes ? end : plan->extent_bytes;
    }
    for (uint32_t i = 0; i < log->node_count; i++) {
        plan->nodes[i].sectors =
            zeroed(sector_ceil(plan->nodes[i].extent_bytes), sizeof *plan->nodes[i].sectors);
        plan->nodes[i].newest_size = CRASH_NONE;
    }
}

static bool is_boundary(const record_op *op)
{
    return op->kind == RECORD_SYNC || op->kind == RECORD_SYNC_FOLDER || op->kind == RECORD_MARK;
}

static void point_add(crash_plan *plan, uint32_t op, uint32_t pending, uint64_t low, uint64_t high)
{
    plan->points[plan->point_count++] =
        (crash_point){.op = op, .pending = pending, .low = low, .high = high};
}

/* Builds everything; `pending_at[i]`: units that are pending at point i. */
static void build(crash_builder *builder, uint32_t *pending_at)
{
    crash_plan *plan = builder->plan;
    const uint32_t count = (uint32_t)plan->log->count;
    for (uint32_t i = 0; i <= count; i++) {
        plan->op_units[i] = plan->unit_count;
        pending_at[i] = builder->unforced_count + builder->lost;
        if (i < count) {
            add_op(builder, i);
        }
    }
    plan->op_units[count + 1] = plan->unit_count;
}

static void choose_points(crash_plan *plan, const uint32_t *pending_at)
{
    const uint32_t count = (uint32_t)plan->log->count;
    /* A mark at the very beginning holds before it too. */
    const bool marked = count > 0 && plan->log->ops[0].kind == RECORD_MARK;
    uint64_t low = marked ? plan->log->ops[0].off : 0;
    uint64_t high = marked ? plan->log->ops[0].bytes : 0;
    for (uint32_t begin = 0; begin <= count;) {
        uint32_t end = begin;
        while (end < count && !is_boundary(&plan->log->ops[end])) {
            end++;
        }
        if (pending_at[end] > CRASH_EXHAUSTIVE_UNITS) {
            for (uint32_t i = begin + 1; i < end; i++) {
                if (pending_at[i] != pending_at[i - 1]) {
                    point_add(plan, i, pending_at[i], low, high);
                }
            }
        }
        point_add(plan, end, pending_at[end], low, high);
        if (end < count && plan->log->ops[end].kind == RECORD_MARK) {
            low = plan->log->ops[end].off;
            high = plan->log->ops[end].bytes;
        }
        begin = end + 1;
    }
}

crash_plan *crash_plan_build(const record_log *log, uint64_t coarse_bytes)
{
    crash_plan *plan = zeroed(1, sizeof *plan);
    crash_builder builder = {.plan = plan};
    plan->log = log;
    plan->coarse_bytes = coarse_bytes;
    plan->nodes = zeroed(log->node_count, sizeof *plan->nodes);
    plan->op_units = zeroed(log->count + 2, sizeof *plan->op_units);
    plan->points = zeroed(log->count + 2, sizeof *plan->points);
    /* A write has at most two sectors that it covers in part, and touches one that is the last of
     * a file. */
    plan->partials = zeroed(3 * log->count + log->node_count + 1, CRASH_SECTOR_BYTES);
    uint32_t *pending_at = zeroed(log->count + 2, sizeof *pending_at);
    measure(plan);
    build(&builder, pending_at);
    choose_points(plan, pending_at);
    free(pending_at);
    free(builder.unforced);
    return plan;
}

void crash_plan_destroy(crash_plan *plan)
{
    if (plan != NULL) {
        for (uint32_t i = 0; i < plan->log->node_count; i++) {
            free(plan->nodes[i].sectors);
        }
        free(plan->nodes);
        free(plan->units);
        free(plan->op_units);
        free(plan->entries);
        free(plan->sectors);
        free(plan->points);
        free(plan->partials);
        free(plan);
    }
}
