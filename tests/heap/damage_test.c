/*
 * heap/damage_test.c - planted damage: every kind is refused by attach or found by the check, with the
 * sentence that names it; and whatever was planted, nothing crashes.
 *
 * Three kinds of bytes have no wrong value, and are listed as what they are:
 *   LEGAL     one store of a working heap could have made the same image (a bit says free, a span has
 *             gone): the image is true, only of another set of blocks. No check of the heap alone can
 *             tell; the arena's can, where roots or its journal know better
 *   HARMLESS  nobody believes the byte
 */
#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "heap/damage.h"

enum damage_outcome { REFUSED, FOUND, LEGAL, HARMLESS };

typedef struct damage {
    const char *name;
    void (*plant)(loft_test_damage *world);
    enum damage_outcome outcome;
    const char *sentence; /* part of what attach or check says; LEGAL, HARMLESS: why */
} damage;

#define PLANT(name) static void name(loft_test_damage *world)

static uint64_t bit_of(uint32_t idx) { return (uint64_t)1 << (idx % 64); }
static uint64_t *claimed(loft_test_damage *world, uint32_t idx)
{
    return &world->dir[idx / 64].claimed;
}
static uint64_t *heads(loft_test_damage *world, uint32_t idx)
{
    return &world->dir[idx / 64].heads;
}
static void reseal(loft_test_damage *world)
{
    world->image->seal = lofti_hash(world->image, LOFTI_HEAP_SEALED_BYTES, 0);
}

/* The header. A right seal over wrong values is what a broken writer would leave. */
PLANT(magic) { world->image->magic ^= 1; }
PLANT(version)
{
    world->image->version++;
    reseal(world);
}
PLANT(unit_shift)
{
    world->image->unit_shift = 28 - world->image->unit_shift;
    reseal(world);
}
PLANT(unit_shift_wild)
{
    world->image->unit_shift = 63;
    reseal(world);
}
PLANT(limit_unsealed) { world->image->limit_bytes += 4096; }
PLANT(limit_odd)
{
    world->image->limit_bytes += 512;
    reseal(world);
}
PLANT(limit_tiny)
{
    world->image->limit_bytes = 4096;
    world->image->unit_shift = LOFTI_UNIT_SHIFT_SMALL;
    reseal(world);
}
PLANT(limit_huge)
{
    world->image->limit_bytes = UINT64_MAX - 4095;
    reseal(world);
}
PLANT(seal) { world->image->seal ^= (uint64_t)1 << 63; }
PLANT(end_zero) { world->image->chunk_end = 0; }
PLANT(end_beyond_limit) { world->image->chunk_end = UINT32_MAX; }
PLANT(end_late) { world->image->chunk_end++; }
PLANT(end_early) { world->image->chunk_end--; }
PLANT(header_spare) { world->image->spare[52] = 1; }
PLANT(anchor) { world->image->anchor = UINT64_MAX; }

/* The directory. */
PLANT(head_unclaimed) { *claimed(world, world->head) &= ~bit_of(world->head); }
PLANT(first_unclaimed) { *claimed(world, 0) &= ~UINT64_C(1); }
PLANT(body_unclaimed) { *claimed(world, world->body) &= ~bit_of(world->body); }
PLANT(first_headless) { *heads(world, 0) &= ~UINT64_C(1); }
PLANT(head_headless) { *heads(world, world->head) &= ~bit_of(world->head); }
PLANT(body_is_head) { *heads(world, world->body) |= bit_of(world->body); }
PLANT(unused_is_head) { *heads(world, world->unused) |= bit_of(world->unused); }
PLANT(gap_is_head) { *heads(world, world->gap) |= bit_of(world->gap); }
PLANT(gap_claimed) { *claimed(world, world->gap) |= bit_of(world->gap); }
PLANT(claimed_behind_the_end) { world->dir[3].claimed |= UINT64_C(1) << 63; }
PLANT(claimed_and_ended_behind_memory)
{
    const uint32_t idx = world->unused + 2;
    *claimed(world, idx) |= bit_of(idx);
    *heads(world, idx) |= bit_of(idx);
    world->image->chunk_end = idx + 1;
}
PLANT(claimed_beyond_end_and_memory)
{
    const uint32_t idx = world->unused + 2;
    *claimed(world, idx) |= bit_of(idx);
    *heads(world, idx) |= bit_of(idx);
}
PLANT(claimed_free_behind_memory)
{
    const uint32_t idx = world->unused + 2;
    *claimed(world, idx) |= bit_of(idx);
    world->image->chunk_end = idx + 1;
}

/* A chunk's header. */
PLANT(chunk_magic) { loft_test_damage_header(world, world->head)->magic = 0; }
PLANT(first_chunk_magic) { loft_test_damage_header(world, 0)->magic++; }
PLANT(chunk_idx) { loft_test_damage_header(world, world->head)->idx++; }
PLANT(chunk_pages) { loft_test_damage_header(world, world->head)->page_count--; }
PLANT(wide_outside) { loft_test_damage_header(world, 0)->wide_unit = 255; }
PLANT(wide_in_metadata)
{
    lofti_chunk_layout layout;
    loft_test_damage_layout(world, 0, &layout);
    loft_test_damage_header(world, 0)->wide_unit = (uint8_t)(layout.first_unit - 1);
}
PLANT(wide_missing) { loft_test_damage_header(world, 0)->wide_unit = 0; }
PLANT(wide_on_slab)
{
    const uint64_t off = (uint64_t)(world->line - world->test.base);
    const uint32_t idx = loft_test_damage_chunk_of(world, world->line);
    loft_test_damage_header(world, idx)->wide_unit =
        (uint8_t)((off & (LOFTI_CHUNK_BYTES - 1)) >> world->unit_shift);
}
PLANT(chunk_spare8) { loft_test_damage_header(world, world->head)->spare8 = 1; }
PLANT(chunk_spare) { loft_test_damage_header(world, 0)->spare[4] = UINT64_C(1) << 40; }
PLANT(touched_missing)
{
    const uint32_t idx = loft_test_damage_chunk_of(world, world->span);
    const uint64_t page = (uint64_t)(world->span - world->test.base) >> LOFTI_PAGE_SHIFT;
    loft_test_damage_header(world, idx)->touched[page % LOFTI_CHUNK_PAGES / 64] &=
        ~bit_of((uint32_t)page);
}
PLANT(touched_too_much) { loft_test_damage_header(world, world->head)->touched[15] = UINT64_MAX; }
PLANT(big_zero) { loft_test_damage_header(world, world->big)->big_pages = 0; }
PLANT(big_short) { loft_test_damage_header(world, world->big)->big_pages = 1; }
PLANT(big_beyond_the_end)
{
    loft_test_damage_header(world, world->big)->big_pages = UINT64_C(1) << 20;
}
PLANT(big_wild) { loft_test_damage_header(world, world->big)->big_pages = UINT64_MAX; }
PLANT(big_over_others)
{
    loft_test_damage_header(world, world->big)->big_pages += 2 * LOFTI_CHUNK_PAGES;
}
PLANT(big_a_page_less) { loft_test_damage_header(world, world->big)->big_pages--; }
PLANT(big_pages_unused) { loft_test_damage_header(world, 0)->big_pages = UINT64_MAX; }

/* Spans. */
PLANT(span_unknown_kind) { *loft_test_damage_span_of(world, world->span) |= 0x1000; }
PLANT(span_two_kinds) { *loft_test_damage_span_of(world, world->span) |= 0xc000; }
PLANT(span_without_length) { *loft_test_damage_span_of(world, world->pool) = LOFTI_SPAN_POOL; }
PLANT(span_big_with_length) { *loft_test_damage_span_of(world, world->span) |= LOFTI_SPAN_BIG; }
PLANT(span_big_and_alone) { *loft_test_damage_span_of(world, world->span) = LOFTI_SPAN_BIG; }
PLANT(span_beyond_chunk) { *loft_test_damage_span_of(world, world->span) = LOFTI_SPAN_PAGES; }
PLANT(span_over_next)
{
    const uint32_t idx = loft_test_damage_chunk_of(world, world->span);
    const uint16_t *spans = loft_test_damage_spans(world, idx);
    uint16_t *word = loft_test_damage_span_of(world, world->span);
    uint32_t next = *word;
    while (word + next < spans + LOFTI_CHUNK_PAGES - 1 && word[next] == 0) {
        next++;
    }
    *word = (uint16_t)(next + 1);
}
PLANT(span_inside_span) { loft_test_damage_span_of(world, world->span)[1] = 1; }
PLANT(span_in_metadata) { loft_test_damage_spans(world, world->head)[0] = 1; }
PLANT(span_on_slab) { *loft_test_damage_span_of(world, world->line) = 1; }
PLANT(span_on_wide_records)
{
    const uint32_t unit = loft_test_damage_header(world, 0)->wide_unit;
    loft_test_damage_spans(world, 0)[unit * 16 + 3] = 2;
}
PLANT(span_on_untouched_pages)
{
    loft_test_damage_spans(world, world->head)[loft_test_damage_free_page(world, world->head)] = 1;
}
PLANT(span_gone) { *loft_test_damage_span_of(world, world->span) = 0; }
PLANT(span_pool_now) { *loft_test_damage_span_of(world, world->span) |= LOFTI_SPAN_POOL; }
PLANT(big_gone) { *loft_test_damage_span_of(world, world->huge) = 0; }

/* Classes. */
PLANT(class_beyond_last) { *loft_test_damage_class_of(world, world->line) = 113; }
PLANT(class_wild) { *loft_test_damage_class_of(world, world->line) = 255; }
PLANT(class_in_metadata) { loft_test_damage_classes(world, 0)[0] = 4; }
PLANT(class_on_span) { *loft_test_damage_class_of(world, world->span) = 4; }
PLANT(class_inside_slab) { loft_test_damage_class_of(world, world->long_one)[1] = 4; }
PLANT(class_in_free_units)
{
    const uint32_t page = loft_test_damage_free_page(world, world->head);
    const uint32_t shift = world->unit_shift - LOFTI_PAGE_SHIFT;
    loft_test_damage_classes(world, world->head)[page >> shift] = 4;
}
PLANT(class_beyond_chunk)
{
    lofti_chunk_layout layout;
    loft_test_damage_layout(world, 0, &layout);
    loft_test_damage_classes(world, 0)[layout.unit_count - 1] =
        *loft_test_damage_class_of(world, world->long_one);
}
PLANT(class_on_wide_records)
{
    loft_test_damage_classes(world, 0)[loft_test_damage_header(world, 0)->wide_unit] = 10;
}
PLANT(class_wide_without_records)
{
    loft_test_damage_header(world, world->head)->wide_unit = 0;
    loft_test_damage_classes(world, world->head)[40] = 1;
}
PLANT(class_gone) { *loft_test_damage_class_of(world, world->line) = 0; }

/* Records. */
PLANT(local_tail) { loft_test_damage_local_of(world, world->odd)[3] |= (uint64_t)1 << 63; }
PLANT(remote_tail) { loft_test_damage_remote_of(world, world->odd)[3] |= (uint64_t)1 << 48; }
PLANT(local_live_block) { *loft_test_damage_local_of(world, world->line) |= 1; }
PLANT(remote_live_block) { *loft_test_damage_remote_of(world, world->line) |= 1; }
PLANT(local_free_block) { *loft_test_damage_local_of(world, world->line) = 0; }
PLANT(scratch) { loft_test_damage_local_of(world, world->line)[-1] = UINT64_MAX; }
PLANT(record_of_nothing)
{
    lofti_chunk_layout layout;
    loft_test_damage_layout(world, world->head, &layout);
    uint8_t *chunk = world->test.base + ((uint64_t)world->head << LOFTI_CHUNK_SHIFT);
    memset(chunk + layout.records_off, 0xff, LOFTI_NARROW_LARGE_BYTES);
}

static const damage large_damage[] = {
    {"header magic", magic, REFUSED, "no heap begins here"},
    {"version", version, REFUSED, "version is not known"},
    {"unit size of the other kind", unit_shift, REFUSED, "unit size is impossible"},
    {"unit size out of all bounds", unit_shift_wild, REFUSED, "unit size is impossible"},
    {"limit under an old seal", limit_unsealed, REFUSED, "does not match its seal"},
    {"limit of odd bytes", limit_odd, REFUSED, "limit is impossible"},
    {"limit below the least", limit_tiny, REFUSED, "limit is impossible"},
    {"limit beyond the most", limit_huge, REFUSED, "limit is impossible"},
    {"seal", seal, REFUSED, "does not match its seal"},
    {"no chunk", end_zero, REFUSED, "end is impossible"},
    {"end beyond the limit", end_beyond_limit, REFUSED, "end is impossible"},
    {"end a chunk late", end_late, LEGAL, "as just before that chunk is claimed"},
    {"end a chunk early", end_early, FOUND, "behind the heap's end is claimed"},
    {"spare bytes of the header", header_spare, FOUND, "spare bytes of the heap's header"},
    {"anchor", anchor, HARMLESS, "the arena's word; its root table's check reads it"},
    {"head not claimed", head_unclaimed, FOUND, "has metadata but is not claimed"},
    {"first chunk not claimed", first_unclaimed, FOUND, "first chunk has no metadata"},
    {"body not claimed", body_unclaimed, FOUND, "reaches into a chunk that it cannot have"},
    {"first chunk without metadata", first_headless, FOUND, "first chunk has no metadata"},
    {"chunk in use without metadata", head_headless, LEGAL, "as a chunk that was emptied"},
    {"body with metadata", body_is_head, FOUND, "no magic number"},
    {"unused chunk with metadata", unused_is_head, FOUND, "no magic number"},
    {"others' chunk with metadata", gap_is_head, FOUND, "has metadata but is not claimed"},
    {"others' chunk claimed", gap_claimed, FOUND, "is claimed that is not the heap's"},
    {"claimed behind the end", claimed_behind_the_end, FOUND, "behind the heap's end is claimed"},
    {"metadata behind the memory", claimed_and_ended_behind_memory, REFUSED, "behind its memory"},
    {"chunk behind the memory", claimed_free_behind_memory, REFUSED, "behind its memory"},
    {"head behind end and memory", claimed_beyond_end_and_memory, FOUND, "that is not the heap's"},
    {"chunk magic", chunk_magic, FOUND, "no magic number"},
    {"magic of the first chunk", first_chunk_magic, REFUSED, "no magic number"},
    {"chunk index", chunk_idx, FOUND, "belongs to another chunk"},
    {"chunk's page count", chunk_pages, FOUND, "page count is wrong"},
    {"wide records outside", wide_outside, REFUSED, "lies outside"},
    {"wide records in metadata", wide_in_metadata, FOUND, "was not set aside"},
    {"wide records missing", wide_missing, FOUND, "was not set aside"},
    {"wide records on a slab", wide_on_slab, FOUND, "a slab overlaps"},
    {"spare byte of a chunk", chunk_spare8, FOUND, "spare byte of a chunk's header"},
    {"spare bytes of a chunk", chunk_spare, FOUND, "spare bytes of a chunk's header"},
    {"used page untouched", touched_missing, FOUND, "said to be untouched"},
    {"unused page touched", touched_too_much, HARMLESS, "costs calloc a memset"},
    {"big span of no pages", big_zero, FOUND, "said to leave its chunk and does not"},
    {"big span of a page", big_short, FOUND, "said to leave its chunk and does not"},
    {"big span beyond the end", big_beyond_the_end, FOUND, "beyond the heap's end"},
    {"big span out of all bounds", big_wild, FOUND, "beyond the heap's end"},
    {"big span over others", big_over_others, FOUND, "a span reaches"},
    {"big span a page shorter", big_a_page_less, LEGAL, "as one that was shortened"},
    {"big span's length without one", big_pages_unused, HARMLESS, "read for a big span only"},
    {"span of unknown kind", span_unknown_kind, FOUND, "of an unknown kind"},
    {"span of two kinds", span_two_kinds, FOUND, "of an unknown kind"},
    {"span without length", span_without_length, FOUND, "impossible length"},
    {"big span with a length", span_big_with_length, FOUND, "impossible length"},
    {"big span in its chunk", span_big_and_alone, FOUND, "a span"},
    {"span beyond its chunk", span_beyond_chunk, FOUND, "a span reaches beyond its chunk"},
    {"span over the next", span_over_next, FOUND, "overlaps something else"},
    {"span inside a span", span_inside_span, FOUND, "a span overlaps"},
    {"span in metadata", span_in_metadata, FOUND, "a span overlaps"},
    {"span on a slab", span_on_slab, FOUND, "a span overlaps"},
    {"span on wide records", span_on_wide_records, FOUND, "a span overlaps"},
    {"span on untouched pages", span_on_untouched_pages, FOUND, "said to be untouched"},
    {"span gone", span_gone, LEGAL, "as one that was freed"},
    {"span a pool's now", span_pool_now, LEGAL, "as a pool's"},
    {"big span gone", big_gone, LEGAL, "as one that was freed"},
    {"class behind the last", class_beyond_last, FOUND, "class that does not exist"},
    {"class out of all bounds", class_wild, FOUND, "class that does not exist"},
    {"slab in metadata", class_in_metadata, FOUND, "a slab overlaps"},
    {"slab on a span", class_on_span, FOUND, "overlaps something else"},
    {"slab inside a slab", class_inside_slab, FOUND, "a slab overlaps"},
    {"slab in free units", class_in_free_units, FOUND, "said to be untouched"},
    {"slab beyond its chunk", class_beyond_chunk, FOUND, "a slab reaches beyond"},
    {"slab on wide records", class_on_wide_records, FOUND, "a slab overlaps"},
    {"slab without a record", class_wide_without_records, FOUND, "was not set aside"},
    {"slab gone", class_gone, LEGAL, "as one whose blocks were freed"},
    {"bits behind the last block", local_tail, FOUND, "bitmap has bits behind"},
    {"remote bits behind the last", remote_tail, FOUND, "remote bitmap has bits behind"},
    {"live block's bit", local_live_block, LEGAL, "as a block that was freed"},
    {"live block's remote bit", remote_live_block, LEGAL, "as a block that was freed"},
    {"free blocks' bits", local_free_block, LEGAL, "as blocks that were handed out"},
    {"scratch", scratch, HARMLESS, "set anew when a slab gets an owner"},
    {"record of a unit in metadata", record_of_nothing, HARMLESS, "filled when a slab is made"},
};

/* With small units, in a buffer that ends within the chunk. */
static const damage small_damage[] = {
    {"header magic", magic, REFUSED, "no heap begins here"},
    {"unit size of the other kind", unit_shift, REFUSED, "unit size is impossible"},
    {"seal", seal, REFUSED, "does not match its seal"},
    {"end a chunk late", end_late, REFUSED, "end is impossible"},
    {"no chunk", end_early, REFUSED, "end is impossible"},
    {"first chunk without metadata", first_headless, FOUND, "first chunk has no metadata"},
    {"page count", first_chunk_magic, REFUSED, "no magic number"},
    {"wide records", wide_on_slab, FOUND, "small units has a unit of wide records"},
    {"spare bytes of a chunk", chunk_spare, FOUND, "spare bytes of a chunk's header"},
    {"used page untouched", touched_missing, FOUND, "said to be untouched"},
    {"span beyond the buffer", span_beyond_chunk, FOUND, "a span reaches beyond its chunk"},
    {"span inside a span", span_inside_span, FOUND, "a span overlaps"},
    {"span on a slab", span_on_slab, FOUND, "a span overlaps"},
    {"big span", span_big_and_alone, FOUND, "a span"},
    {"class behind the last", class_beyond_last, FOUND, "class that does not exist"},
    {"slab in metadata", class_in_metadata, FOUND, "a slab overlaps"},
    {"slab on a span", class_on_span, FOUND, "overlaps something else"},
    {"bits behind the last block", local_live_block, LEGAL, "as a block that was freed"},
    {"slab gone", class_gone, LEGAL, "as one whose blocks were freed"},
    {"scratch", scratch, HARMLESS, "set anew when a slab gets an owner"},
};

static loft_test_damage world;

static void judge(const damage *kind)
{
    loft_test_verdict verdict;
    loft_test_damage_judge(&world, &verdict);
    const bool refused = verdict.attach_code != 0;
    switch (kind->outcome) {
    case REFUSED: LOFT_CHECK_EQ_INT(verdict.attach_code, LOFT_ECORRUPT); break;
    case FOUND:
        LOFT_CHECK_FALSE(refused);
        LOFT_CHECK_GT_UINT(verdict.faults, 0);
        break;
    default:
        LOFT_CHECK_FALSE(refused);
        LOFT_CHECK_EQ_STR(verdict.text, "");
        return;
    }
    LOFT_CHECK_CONTAINS(verdict.text, kind->sentence);
}

/* Seconds for one damage; it needs a hundredth of one. */
enum { PATIENCE_SECONDS = 60 };

static void plant_and_use(void *context)
{
    const damage *kind = context;
    (void)alarm(PATIENCE_SECONDS);
    kind->plant(&world);
    judge(kind);
    const uint64_t faults = loft_test_damage_use(&world);
    if (kind->outcome == LEGAL || kind->outcome == HARMLESS) {
        LOFT_CHECK_EQ_UINT(faults, 0); /* what the check lets pass, the heap can live with */
    }
}

static void plant_all(const damage *kinds, size_t count)
{
    uint32_t found = 0;
    for (size_t i = 0; i < count; i++) {
        loft_test_child child;
        damage kind = kinds[i];
        loft_test_run_child(plant_and_use, &kind, &child);
        if (child.exit_code != 0) {
            LOFT_FAIL("\"%s\" ended with code %d, signal %d:\n%s", kind.name, child.exit_code,
                      child.signal, child.output);
        }
        found += kind.outcome == REFUSED || kind.outcome == FOUND;
    }
    (void)fprintf(stderr, "%u kinds refused or found\n", found);
}

LOFT_TEST(heap_damage, the_world_is_whole_before)
{
    for (uint32_t small = 0; small < 2; small++) {
        loft_test_verdict verdict;
        loft_test_damage_make(&world, small != 0);
        loft_test_damage_judge(&world, &verdict);
        LOFT_CHECK_EQ_INT(verdict.attach_code, 0);
        LOFT_CHECK_EQ_STR(verdict.text, "");
        /* Something was freed by another thread and not taken by the owner. */
        uint64_t remote = 0;
        for (uint32_t i = 0; i < world.block_count; i++) {
            const uint8_t class_idx = *loft_test_damage_class_of(&world, world.blocks[i]);
            for (uint32_t k = 0; class_idx == 6 && k < 11; k++) {
                remote |= loft_test_damage_remote_of(&world, world.blocks[i])[k];
            }
        }
        LOFT_CHECK_NE_UINT(remote, 0);
        LOFT_CHECK_EQ_UINT(loft_test_damage_use(&world), 0);
    }
}

LOFT_TEST(heap_damage, every_kind_is_found_and_none_crashes)
{
    loft_test_damage_make(&world, false);
    plant_all(large_damage, sizeof large_damage / sizeof large_damage[0]);
}

LOFT_TEST(heap_damage, every_kind_in_a_small_buffer)
{
    loft_test_damage_make(&world, true);
    plant_all(small_damage, sizeof small_damage / sizeof small_damage[0]);
}
