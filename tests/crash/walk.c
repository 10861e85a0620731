/* See walk.h. */
#include "crash/walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* Room beyond what the log wrote, for what recovery and later commits add to a file. */
#define WALK_ROOM_BYTES ((uint64_t)64 << 20)

static void *array(size_t count, size_t item_bytes)
{
    void *memory = calloc(count > 0 ? count : 1, item_bytes);
    if (memory == NULL) {
        perror("crash walk");
        abort();
    }
    return memory;
}

static const uint8_t sector_of_zeros[CRASH_SECTOR_BYTES];

/* The newest version of the sector that is on the disk goes into the image. */
static void sector_resolve(crash_walk *walk, uint32_t sector)
{
    const crash_entry *entries = walk->plan->entries;
    uint32_t version = walk->newest[sector];
    while (version != walk->forced[sector] && !walk->chosen[entries[version].unit]) {
        version = entries[version].older;
    }
    if (version == walk->current[sector]) {
        return;
    }
    walk->hashes[sector] = entries[version].hash;
    if (entries[version].hash == entries[walk->current[sector]].hash) {
        walk->current[sector] = version; /* the same bytes */
        return;
    }
    const crash_sector *place = &walk->plan->sectors[sector];
    const uint8_t *data = entries[version].data;
    image_put(walk->image, place->node, (uint64_t)place->number * CRASH_SECTOR_BYTES,
              data != NULL ? data : sector_of_zeros, CRASH_SECTOR_BYTES);
    walk->node_key[place->node] ^= entries[version].hash ^ entries[walk->current[sector]].hash;
    walk->current[sector] = version;
}

static uint64_t size_key(uint32_t node, uint64_t bytes)
{
    return crash_mix(bytes * 0x9e3779b97f4a7c15u + node + 1);
}

static void size_resolve(crash_walk *walk, uint32_t node)
{
    uint32_t unit = walk->newest_size[node];
    while (unit != CRASH_NONE && !walk->chosen[unit]) {
        unit = walk->plan->units[unit].older_size;
    }
    const uint64_t bytes = unit == CRASH_NONE ? walk->plan->nodes[node].base_bytes
                                              : walk->plan->units[unit].size_bytes;
    walk->node_key[node] ^= size_key(node, image_size(walk->image, node)) ^ size_key(node, bytes);
    image_set_size(walk->image, node, bytes);
}

/* What the names lead to, while they are put together. */
typedef struct walk_names {
    uint32_t name[IMAGE_NAMES], node[IMAGE_NAMES];
    uint32_t count;
} walk_names;

static void names_remove(walk_names *names, uint32_t name)
{
    for (uint32_t i = 0; i < names->count; i++) {
        if (names->name[i] == name) {
            names->count--;
            names->name[i] = names->name[names->count];
            names->node[i] = names->node[names->count];
            return;
        }
    }
}

static void names_set(walk_names *names, uint32_t name, uint32_t node)
{
    names_remove(names, name);
    if (names->count == IMAGE_NAMES) {
        fputs("crash walk: too many names\n", stderr);
        abort();
    }
    names->name[names->count] = name;
    names->node[names->count++] = node;
}

static void names_apply(walk_names *names, const record_op *op)
{
    switch (op->kind) {
    case RECORD_CREATE:
    case RECORD_LINK: names_set(names, op->name, op->node); break;
    case RECORD_RENAME:
        names_remove(names, op->name);
        names_set(names, op->other, op->node);
        break;
    default: names_remove(names, op->name); break;
    }
}

static void names_resolve(crash_walk *walk)
{
    const crash_plan *plan = walk->plan;
    const record_log *log = plan->log;
    walk_names names = {.count = 0};
    for (size_t i = 0; i < log->count; i++) {
        if (log->ops[i].kind == RECORD_BASE_NAME) {
            names_set(&names, log->ops[i].name, log->ops[i].node);
        }
    }
    for (uint32_t unit = 0; unit < plan->op_units[walk->op]; unit++) {
        if (plan->units[unit].kind == CRASH_UNIT_NAME && walk->chosen[unit]) {
            names_apply(&names, &log->ops[plan->units[unit].op]);
        }
    }
    memset(walk->reachable, 0, sizeof walk->reachable);
    image_clear_names(walk->image);
    walk->names_key = 0;
    for (uint32_t i = 0; i < names.count; i++) {
        walk->reachable[names.node[i]] = true;
        image_add_name(walk->image, log->names[names.name[i]], names.node[i]);
        const char *path = log->names[names.name[i]];
        walk->names_key ^= lofti_hash(path, strlen(path), names.node[i]);
    }
}

static void unit_resolve(crash_walk *walk, uint32_t unit_idx)
{
    const crash_unit *unit = &walk->plan->units[unit_idx];
    for (uint32_t i = 0; i < unit->entry_count; i++) {
        sector_resolve(walk, walk->plan->entries[unit->entry_first + i].sector);
    }
    if (unit->kind == CRASH_UNIT_SIZE) {
        size_resolve(walk, unit->node);
    } else if (unit->kind == CRASH_UNIT_NAME) {
        names_resolve(walk);
    }
}

/* What is zeros need not be written: a new image is. */
static void base_put(crash_walk *walk, uint32_t node, const crash_node *base)
{
    static const uint8_t zeros[CRASH_BLOCK_BYTES];
    for (uint64_t off = 0; off < base->base_bytes; off += CRASH_BLOCK_BYTES) {
        const uint64_t left = base->base_bytes - off;
        const size_t bytes = left < CRASH_BLOCK_BYTES ? (size_t)left : CRASH_BLOCK_BYTES;
        if (memcmp(base->base + off, zeros, bytes) != 0) {
            image_put(walk->image, node, off, base->base + off, bytes);
        }
    }
}

crash_walk *crash_walk_create(const crash_plan *plan)
{
    crash_walk *walk = array(1, sizeof *walk);
    walk->plan = plan;
    walk->image = image_create((plan->extent_bytes + 2 * WALK_ROOM_BYTES) & ~(uint64_t)4095);
    if (walk->image == NULL || plan->log->node_count > IMAGE_NODES) {
        fputs("crash walk: no memory, or too many files\n", stderr);
        abort();
    }
    walk->chosen = array(plan->unit_count, 1);
    walk->newest = array(plan->sector_count, sizeof *walk->newest);
    walk->forced = array(plan->sector_count, sizeof *walk->forced);
    walk->current = array(plan->sector_count, sizeof *walk->current);
    walk->hashes = array(plan->sector_count, sizeof *walk->hashes);
    walk->waiting = array(plan->unit_count, sizeof *walk->waiting);
    walk->pending = array(plan->unit_count, sizeof *walk->pending);
    for (uint32_t i = 0; i < plan->sector_count; i++) {
        walk->newest[i] = walk->forced[i] = walk->current[i] = plan->sectors[i].initial;
        walk->hashes[i] = plan->entries[plan->sectors[i].initial].hash;
    }
    for (uint32_t node = 0; node < plan->log->node_count; node++) {
        const crash_node *base = &plan->nodes[node];
        image_set_size(walk->image, node, base->base_bytes);
        base_put(walk, node, base);
        walk->newest_size[node] = CRASH_NONE;
    }
    names_resolve(walk);
    return walk;
}

void crash_walk_destroy(crash_walk *walk)
{
    if (walk != NULL) {
        image_destroy(walk->image);
        free(walk->chosen);
        free(walk->newest);
        free(walk->forced);
        free(walk->current);
        free(walk->hashes);
        free(walk->waiting);
        free(walk->pending);
        free(walk);
    }
}

static void unit_force(crash_walk *walk, uint32_t unit_idx)
{
    const crash_unit *unit = &walk->plan->units[unit_idx];
    walk->chosen[unit_idx] = 1;
    for (uint32_t i = 0; i < unit->entry_count; i++) {
        const uint32_t version = unit->entry_first + i;
        const uint32_t sector = walk->plan->entries[version].sector;
        if (version > walk->forced[sector]) {
            walk->forced[sector] = version;
        }
    }
    unit_resolve(walk, unit_idx);
}

/* A newer forced unit hides it: chosen or not, the image is the same. */
static bool unit_is_dead(const crash_walk *walk, uint32_t unit_idx)
{
    const crash_plan *plan = walk->plan;
    const crash_unit *unit = &plan->units[unit_idx];
    for (uint32_t i = 0; i < unit->entry_count; i++) {
        const uint32_t version = unit->entry_first + i;
        if (version > walk->forced[plan->entries[version].sector]) {
            return false;
        }
    }
    if (unit->kind == CRASH_UNIT_SIZE) {
        for (uint32_t size = walk->newest_size[unit->node]; size != unit_idx;
             size = plan->units[size].older_size) {
            if (walk->chosen[size]) {
                return true; /* nothing else is chosen while a walk advances */
            }
        }
        return false;
    }
    return unit->kind == CRASH_UNIT_DATA;
}

/* The flush at `op` has returned. */
static void flush_done(crash_walk *walk, uint32_t op)
{
    for (uint32_t i = 0; i < walk->waiting_count; i++) {
        if (walk->plan->units[walk->waiting[i]].forced_at == op) {
            unit_force(walk, walk->waiting[i]);
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < walk->waiting_count; i++) {
        const uint32_t unit = walk->waiting[i];
        if (!walk->chosen[unit] && !unit_is_dead(walk, unit)) {
            walk->waiting[kept++] = unit;
        }
    }
    walk->waiting_count = kept;
}

/* Whatever is chosen, its sectors hold the same. */
static bool unit_is_inert(const crash_walk *walk, uint32_t unit_idx)
{
    const crash_unit *unit = &walk->plan->units[unit_idx];
    const crash_entry *entries = walk->plan->entries;
    for (uint32_t i = 0; i < unit->entry_count; i++) {
        const uint32_t sector = entries[unit->entry_first + i].sector;
        const uint32_t forced = walk->forced[sector];
        for (uint32_t at = walk->newest[sector]; at != forced; at = entries[at].older) {
            if (entries[at].hash != entries[forced].hash) {
                return false;
            }
        }
    }
    return unit->kind == CRASH_UNIT_DATA;
}

static void op_begin(crash_walk *walk, uint32_t op)
{
    const crash_plan *plan = walk->plan;
    for (uint32_t unit = plan->op_units[op]; unit < plan->op_units[op + 1]; unit++) {
        walk->waiting[walk->waiting_count++] = unit;
        for (uint32_t i = 0; i < plan->units[unit].entry_count; i++) {
            const uint32_t version = plan->units[unit].entry_first + i;
            walk->newest[plan->entries[version].sector] = version;
        }
        if (plan->units[unit].kind == CRASH_UNIT_SIZE) {
            walk->newest_size[plan->units[unit].node] = unit;
        }
    }
}

void crash_walk_advance(crash_walk *walk, uint32_t op)
{
    for (uint32_t i = 0; i < walk->pending_count; i++) {
        crash_walk_choose(walk, i, false);
    }
    for (; walk->op < op; walk->op++) {
        op_begin(walk, walk->op);
        const record_op *done = &walk->plan->log->ops[walk->op];
        if ((done->kind == RECORD_SYNC || done->kind == RECORD_SYNC_FOLDER) && !done->failed) {
            flush_done(walk, walk->op);
        }
    }
    walk->pending_count = 0;
    for (uint32_t i = 0; i < walk->waiting_count; i++) {
        if (!unit_is_inert(walk, walk->waiting[i])) {
            walk->pending[walk->pending_count++] = walk->waiting[i];
        }
    }
    names_resolve(walk);
}

bool crash_walk_is_chosen(const crash_walk *walk, uint32_t index)
{
    return walk->chosen[walk->pending[index]] != 0;
}

void crash_walk_flip(crash_walk *walk, uint32_t index)
{
    walk->chosen[walk->pending[index]] ^= 1;
    unit_resolve(walk, walk->pending[index]);
}

uint64_t crash_walk_key(const crash_walk *walk)
{
    uint64_t key = walk->names_key;
    for (uint32_t node = 0; node < walk->plan->log->node_count; node++) {
        if (walk->reachable[node]) {
            key ^= walk->node_key[node];
        }
    }
    return key;
}

uint64_t crash_walk_shape(const crash_walk *walk)
{
    uint64_t shape = walk->names_key;
    for (uint32_t node = 0; node < walk->plan->log->node_count; node++) {
        if (walk->reachable[node]) {
            shape ^= size_key(node, image_size(walk->image, node));
        }
    }
    return shape;
}

bool crash_walk_can_tear(const crash_walk *walk, uint32_t index)
{
    return walk->plan->units[walk->pending[index]].kind == CRASH_UNIT_DATA;
}

static void garbage_fill(uint8_t *garbage, size_t bytes, uint64_t seed)
{
    for (size_t i = 0; i < bytes; i += sizeof seed) {
        seed += 0x9e3779b97f4a7c15u;
        const uint64_t word = crash_mix(seed);
        memcpy(garbage + i, &word, sizeof word);
    }
}

void crash_walk_tear(crash_walk *walk, uint32_t index, enum crash_tear tear)
{
    const crash_plan *plan = walk->plan;
    const crash_unit *unit = &plan->units[walk->pending[index]];
    uint8_t garbage[CRASH_BLOCK_BYTES];
    garbage_fill(garbage, tear == CRASH_TEAR_BLOCK ? CRASH_BLOCK_BYTES : CRASH_SECTOR_BYTES,
                 walk->pending[index]);
    const size_t half = CRASH_SECTOR_BYTES / 2;
    for (uint32_t i = 0; i < unit->entry_count; i++) {
        const crash_entry *entry = &plan->entries[unit->entry_first + i];
        const uint64_t off = (uint64_t)plan->sectors[entry->sector].number * CRASH_SECTOR_BYTES;
        const uint8_t *data = entry->data != NULL ? entry->data : sector_of_zeros;
        switch (tear) {
        case CRASH_TEAR_HALF:
            image_poke(walk->image, unit->node, off, data, half);
            image_poke(walk->image, unit->node, off + half, garbage, half);
            break;
        case CRASH_TEAR_LATE:
            image_poke(walk->image, unit->node, off + half, data + half, half);
            break;
        case CRASH_TEAR_BLOCK:
            image_poke(walk->image, unit->node, off & ~(uint64_t)(CRASH_BLOCK_BYTES - 1), garbage,
                       CRASH_BLOCK_BYTES);
            break;
        default: image_poke(walk->image, unit->node, off, garbage, CRASH_SECTOR_BYTES); break;
        }
    }
}

/* Returns: what is added to the hash of what lies outside the plan. */
static uint64_t hash_again(crash_walk *walk, uint32_t node, uint32_t number, bool torn)
{
    const crash_plan *plan = walk->plan;
    const uint32_t sector = crash_plan_sector(plan, node, number);
    const uint8_t *data = image_raw(walk->image, node, number);
    if (sector == CRASH_NONE) {
        return crash_plan_hash(node, number, data);
    }
    const uint64_t before = walk->hashes[sector];
    walk->hashes[sector] =
        torn ? crash_plan_hash(node, number, data) : plan->entries[walk->current[sector]].hash;
    walk->node_key[node] ^= before ^ walk->hashes[sector];
    return 0;
}

uint64_t crash_walk_hash_torn(crash_walk *walk, uint32_t index, enum crash_tear tear, bool torn)
{
    const crash_plan *plan = walk->plan;
    const crash_unit *unit = &plan->units[walk->pending[index]];
    const uint32_t reach = tear == CRASH_TEAR_BLOCK ? CRASH_BLOCK_BYTES / CRASH_SECTOR_BYTES : 1;
    uint64_t outside = 0;
    for (uint32_t i = 0; i < unit->entry_count; i++) {
        const uint32_t middle = plan->sectors[plan->entries[unit->entry_first + i].sector].number;
        const uint32_t first = middle / reach * reach;
        for (uint32_t number = first; number < first + reach; number++) {
            outside = crash_mix(outside + hash_again(walk, unit->node, number, torn));
        }
    }
    return outside;
}

void crash_walk_describe(const crash_walk *walk, uint32_t index, char *text, size_t text_bytes)
{
    static const char *const kinds[] = {"base",   "base name", "create",       "write",
                                        "punch",  "size",      "flush",        "link",
                                        "rename", "unlink",    "flush folder", "mark"};
    const crash_plan *plan = walk->plan;
    const crash_unit *unit = &plan->units[walk->pending[index]];
    const record_op *op = &plan->log->ops[unit->op];
    int used = snprintf(text, text_bytes, "op %u %s", unit->op, kinds[op->kind]);
    if (op->name != RECORD_NO_NAME && used > 0 && (size_t)used < text_bytes) {
        used +=
            snprintf(text + used, text_bytes - (size_t)used, " '%s'", plan->log->names[op->name]);
    } else if (op->node != RECORD_NO_NODE && used > 0 && (size_t)used < text_bytes) {
        used += snprintf(text + used, text_bytes - (size_t)used, " file %u", op->node);
    }
    if (used <= 0 || (size_t)used >= text_bytes) {
        return;
    }
    if (unit->kind == CRASH_UNIT_SIZE) {
        (void)snprintf(text + used, text_bytes - (size_t)used, " to %llu",
                       (unsigned long long)unit->size_bytes);
    } else if (unit->kind == CRASH_UNIT_DATA) {
        const uint32_t number = plan->sectors[plan->entries[unit->entry_first].sector].number;
        (void)snprintf(text + used, text_bytes - (size_t)used,
                       " at 0x%llx (write at 0x%llx + 0x%llx)",
                       (unsigned long long)number * CRASH_SECTOR_BYTES, (unsigned long long)op->off,
                       (unsigned long long)op->bytes);
    }
}
