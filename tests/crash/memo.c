/* See memo.h. Sets of sectors are few: one for each way that recovery takes. Known images are many, each a
 * number of 64 bits that stands for "opened so, this set, these hashes". */
#include "crash/memo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crash/plan.h"

typedef struct memo_set {
    uint64_t opened, key; /* of the sectors */
    size_t first, count;  /* into the sectors of all sets */
    uint64_t next;        /* another set of the same `opened`, +1; 0: none */
} memo_set;

typedef struct memo_place { /* of a table: open addressing */
    uint64_t key;           /* 0: free */
    int64_t value;
} memo_place;

typedef struct memo_table {
    memo_place *places;
    uint64_t room, count;
} memo_table;

struct crash_memo {
    memo_table heads; /* `opened` to its first set */
    memo_table known;
    memo_set *sets;
    size_t set_count, set_room;
    uint32_t *sectors;
    size_t sector_count, sector_room;
};

static void *memo_room(void *memory, size_t *room, size_t needed, size_t item_bytes)
{
    if (needed <= *room) {
        return memory;
    }
    size_t larger = *room == 0 ? 64 : *room;
    while (larger < needed) {
        larger *= 2;
    }
    void *moved = realloc(memory, larger * item_bytes);
    if (moved == NULL) {
        perror("crash memo");
        abort();
    }
    *room = larger;
    return moved;
}

/* --- Tables -------------------------------------------------------------------------------------- */

static uint64_t key_valid(uint64_t key) { return key != 0 ? key : 1; }

static memo_place *table_place(const memo_table *table, uint64_t key)
{
    uint64_t at = key & (table->room - 1);
    while (table->places[at].key != 0 && table->places[at].key != key) {
        at = (at + 1) & (table->room - 1);
    }
    return &table->places[at];
}

static int64_t table_get(const memo_table *table, uint64_t key, int64_t missing)
{
    if (table->room == 0) {
        return missing;
    }
    const memo_place *place = table_place(table, key_valid(key));
    return place->key != 0 ? place->value : missing;
}

static void table_grow(memo_table *table)
{
    memo_table larger = {.room = table->room == 0 ? 64 : table->room * 2, .count = table->count};
    larger.places = calloc(larger.room, sizeof *larger.places);
    if (larger.places == NULL) {
        perror("crash memo");
        abort();
    }
    for (uint64_t i = 0; i < table->room; i++) {
        if (table->places[i].key != 0) {
            *table_place(&larger, table->places[i].key) = table->places[i];
        }
    }
    free(table->places);
    *table = larger;
}

static void table_put(memo_table *table, uint64_t key, int64_t value)
{
    if (table->count * 2 >= table->room) {
        table_grow(table);
    }
    memo_place *place = table_place(table, key_valid(key));
    table->count += place->key == 0;
    *place = (memo_place){.key = key_valid(key), .value = value};
}

/* --- Sets ------------------------------------------------------------------------------------------ */

static uint64_t known_key(const crash_memo *memo, size_t set_idx, const uint64_t *hashes)
{
    const memo_set *set = &memo->sets[set_idx];
    const uint32_t *sectors = memo->sectors + set->first;
    uint64_t sum = 0;
    for (size_t i = 0; i < set->count; i++) {
        sum ^= hashes[sectors[i]]; /* a hash holds the place too, so the order says nothing */
    }
    return crash_mix(crash_mix(set->opened + set_idx) ^ sum);
}

int64_t crash_memo_find(const crash_memo *memo, uint64_t opened, const uint64_t *hashes)
{
    int64_t set = table_get(&memo->heads, opened, 0);
    while (set != 0) {
        const int64_t commit =
            table_get(&memo->known, known_key(memo, (size_t)set - 1, hashes), -1);
        if (commit >= 0) {
            return commit;
        }
        set = (int64_t)memo->sets[set - 1].next;
    }
    return -1;
}

/* The set's index, whether it was there or not. */
static size_t set_of(crash_memo *memo, uint64_t opened, const uint32_t *sectors, size_t count)
{
    uint64_t key = count;
    for (size_t i = 0; i < count; i++) {
        key = crash_mix(key + sectors[i]);
    }
    const int64_t head = table_get(&memo->heads, opened, 0);
    for (int64_t set = head; set != 0; set = (int64_t)memo->sets[set - 1].next) {
        if (memo->sets[set - 1].key == key) {
            return (size_t)set - 1;
        }
    }
    memo->sets = memo_room(memo->sets, &memo->set_room, memo->set_count + 1, sizeof *memo->sets);
    memo->sectors = memo_room(memo->sectors, &memo->sector_room, memo->sector_count + count,
                              sizeof *memo->sectors);
    if (count > 0) {
        memcpy(memo->sectors + memo->sector_count, sectors, count * sizeof *sectors);
    }
    memo->sets[memo->set_count] = (memo_set){.opened = opened,
                                             .key = key,
                                             .first = memo->sector_count,
                                             .count = count,
                                             .next = (uint64_t)head};
    memo->sector_count += count;
    table_put(&memo->heads, opened, (int64_t)++memo->set_count);
    return memo->set_count - 1;
}

void crash_memo_add(crash_memo *memo, uint64_t opened, const uint32_t *sectors, size_t count,
                    const uint64_t *hashes, int64_t commit)
{
    const size_t set = set_of(memo, opened, sectors, count);
    table_put(&memo->known, known_key(memo, set, hashes), commit);
}

crash_memo *crash_memo_create(void)
{
    crash_memo *memo = calloc(1, sizeof *memo);
    if (memo == NULL) {
        perror("crash memo");
        abort();
    }
    return memo;
}

void crash_memo_destroy(crash_memo *memo)
{
    if (memo != NULL) {
        free(memo->heads.places);
        free(memo->known.places);
        free(memo->sets);
        free(memo->sectors);
        free(memo);
    }
}
