/*
 * heap/pages.c - free pages.
 *
 * Invariants (heap->lock held):
 *   P1  a HEAD chunk is in run_lists[longest] and unit_lists[longest_units], and in no other list
 *   P2  longest is the length of its longest run of clear bits in `used`, longest_units likewise for
 *       free_units; free_units bit u is set exactly if all pages of unit u are clear
 *   P3  bit i of run_map (unit_map) is set exactly if list i is not empty
 */
#include "heap/pages.h"

#include "base/arith.h"
#include "heap/annotate.h"

void lofti_pages_mark(uint64_t *words, uint32_t from, uint32_t count)
{
    while (count > 0) {
        const uint32_t bit = from % 64;
        const uint32_t part = count < 64 - bit ? count : 64 - bit;
        words[from / 64] |= lofti_bits_mask(part) << bit;
        from += part;
        count -= part;
    }
}

void lofti_pages_clear(uint64_t *words, uint32_t from, uint32_t count)
{
    while (count > 0) {
        const uint32_t bit = from % 64;
        const uint32_t part = count < 64 - bit ? count : 64 - bit;
        words[from / 64] &= ~(lofti_bits_mask(part) << bit);
        from += part;
        count -= part;
    }
}

bool lofti_pages_any(const uint64_t *words, uint32_t from, uint32_t count)
{
    while (count > 0) {
        const uint32_t bit = from % 64;
        const uint32_t part = count < 64 - bit ? count : 64 - bit;
        if ((words[from / 64] & (lofti_bits_mask(part) << bit)) != 0) {
            return true;
        }
        from += part;
        count -= part;
    }
    return false;
}

/* The first page at or after `from` whose bit is `set`; LOFTI_CHUNK_PAGES if there is none. */
static uint32_t pages_next(const uint64_t *words, uint32_t from, bool set)
{
    if (from >= LOFTI_CHUNK_PAGES) {
        return LOFTI_CHUNK_PAGES;
    }
    uint32_t i = from / 64;
    const uint64_t flip = set ? 0 : UINT64_MAX;
    uint64_t word = (words[i] ^ flip) & (UINT64_MAX << (from % 64));
    while (word == 0) {
        if (++i == LOFTI_TOUCHED_WORDS) {
            return LOFTI_CHUNK_PAGES;
        }
        word = words[i] ^ flip;
    }
    return i * 64 + lofti_bits_lowest(word);
}

/* One past the last set bit below `to`; 0 if there is none. */
static uint32_t pages_free_from(const uint64_t *words, uint32_t to)
{
    uint32_t i = to / 64;
    uint64_t word = to % 64 == 0 ? 0 : words[i] & lofti_bits_mask(to % 64);
    while (word == 0) {
        if (i == 0) {
            return 0;
        }
        word = words[--i];
    }
    return i * 64 + lofti_bits_highest(word) + 1;
}

static uint32_t pages_longest(const uint64_t *words)
{
    uint32_t best = 0;
    uint32_t from = pages_next(words, 0, false);
    while (from < LOFTI_CHUNK_PAGES) {
        const uint32_t to = pages_next(words, from, true);
        best = to - from > best ? to - from : best;
        from = pages_next(words, to, false);
    }
    return best;
}

static uint32_t units_longest(uint64_t free_units)
{
    uint32_t best = 0;
    while (free_units != 0) {
        free_units &= free_units << 1;
        best++;
    }
    return best;
}

/* Where a run of `count` set bits begins in free_units: the shortest that suffices; 64: nowhere. */
static uint32_t units_find(uint64_t free_units, uint32_t count)
{
    uint32_t best = 64;
    uint32_t best_length = 65;
    uint64_t rest = free_units;
    while (rest != 0) {
        const uint32_t from = lofti_bits_lowest(rest);
        const uint64_t ends = ~(rest >> from);
        const uint32_t length = ends == 0 ? 64 - from : lofti_bits_lowest(ends);
        if (length >= count && length < best_length) {
            best = from;
            best_length = length;
        }
        if (from + length >= 64) {
            break;
        }
        rest &= ~(lofti_bits_mask(length) << from);
    }
    return best;
}

static void list_add(lofti_heap *heap, uint32_t idx)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    uint32_t *head = &heap->run_lists[chunk->longest];
    chunk->run_prev = 0;
    chunk->run_next = *head;
    if (*head != 0) {
        heap->chunks[*head - 1].run_prev = idx + 1;
    }
    *head = idx + 1;
    heap->run_map[chunk->longest / 64] |= (uint64_t)1 << (chunk->longest % 64);
}

static void list_drop(lofti_heap *heap, uint32_t idx)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    if (chunk->run_prev != 0) {
        heap->chunks[chunk->run_prev - 1].run_next = chunk->run_next;
    } else {
        heap->run_lists[chunk->longest] = chunk->run_next;
        if (chunk->run_next == 0) {
            heap->run_map[chunk->longest / 64] &= ~((uint64_t)1 << (chunk->longest % 64));
        }
    }
    if (chunk->run_next != 0) {
        heap->chunks[chunk->run_next - 1].run_prev = chunk->run_prev;
    }
}

static void unit_list_add(lofti_heap *heap, uint32_t idx)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    uint32_t *head = &heap->unit_lists[chunk->longest_units];
    chunk->unit_prev = 0;
    chunk->unit_next = *head;
    if (*head != 0) {
        heap->chunks[*head - 1].unit_prev = idx + 1;
    }
    *head = idx + 1;
    heap->unit_map[chunk->longest_units / 64] |= (uint64_t)1 << (chunk->longest_units % 64);
}

static void unit_list_drop(lofti_heap *heap, uint32_t idx)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    if (chunk->unit_prev != 0) {
        heap->chunks[chunk->unit_prev - 1].unit_next = chunk->unit_next;
    } else {
        heap->unit_lists[chunk->longest_units] = chunk->unit_next;
        if (chunk->unit_next == 0) {
            heap->unit_map[chunk->longest_units / 64] &=
                ~((uint64_t)1 << (chunk->longest_units % 64));
        }
    }
    if (chunk->unit_next != 0) {
        heap->chunks[chunk->unit_next - 1].unit_prev = chunk->unit_prev;
    }
}

static bool pages_large_units(const lofti_heap *heap)
{
    return heap->unit_shift == LOFTI_UNIT_SHIFT_LARGE;
}

/* P2 for the units that pages [from, to) belong to. 16 pages of a unit are a quarter of a word. */
static void units_refresh(lofti_heap *heap, lofti_chunk *chunk, uint32_t from, uint32_t to)
{
    if (!pages_large_units(heap)) {
        return;
    }
    const uint32_t pages = lofti_unit_pages(heap);
    for (uint32_t unit = from / pages; unit <= (to - 1) / pages; unit++) {
        const uint64_t used = (chunk->used[unit / 4] >> (unit % 4 * 16)) & 0xffff;
        if (used == 0) {
            chunk->free_units |= (uint64_t)1 << unit;
        } else {
            chunk->free_units &= ~((uint64_t)1 << unit);
        }
    }
}

static void pages_refile(lofti_heap *heap, uint32_t idx, uint32_t longest)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    if (longest != chunk->longest) {
        list_drop(heap, idx);
        chunk->longest = (uint16_t)longest;
        list_add(heap, idx);
    }
    if (pages_large_units(heap)) {
        const uint32_t units = units_longest(chunk->free_units);
        if (units != chunk->longest_units) {
            unit_list_drop(heap, idx);
            chunk->longest_units = (uint8_t)units;
            unit_list_add(heap, idx);
        }
    }
}

void lofti_pages_file(lofti_heap *heap, uint32_t idx)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    uint32_t used = 0;
    for (uint32_t i = 0; i < LOFTI_TOUCHED_WORDS; i++) {
        used += lofti_bits_count(chunk->used[i]);
    }
    chunk->free_pages = (uint16_t)(LOFTI_CHUNK_PAGES - used);
    chunk->longest = (uint16_t)pages_longest(chunk->used);
    units_refresh(heap, chunk, 0, LOFTI_CHUNK_PAGES);
    chunk->longest_units = (uint8_t)units_longest(chunk->free_units);
    list_add(heap, idx);
    if (pages_large_units(heap)) {
        unit_list_add(heap, idx);
    }
}

void lofti_pages_unfile(lofti_heap *heap, uint32_t idx)
{
    list_drop(heap, idx);
    if (pages_large_units(heap)) {
        unit_list_drop(heap, idx);
    }
}

/* Marks the pages used, and touched in the image; true: none had been touched before. */
static bool pages_occupy(lofti_heap *heap, uint32_t idx, uint32_t from, uint32_t count)
{
    lofti_chunk *chunk = &heap->chunks[idx];
    LOFTI_ASSERT(!lofti_pages_any(chunk->used, from, count));
    const uint32_t run_from = pages_free_from(chunk->used, from);
    const uint32_t run_to = pages_next(chunk->used, from, true);
    lofti_pages_mark(chunk->used, from, count);
    chunk->free_pages = (uint16_t)(chunk->free_pages - count);
    units_refresh(heap, chunk, from, from + count);
    const bool was_longest = run_to - run_from == chunk->longest;
    pages_refile(heap, idx, was_longest ? pages_longest(chunk->used) : chunk->longest);
    uint64_t *touched = lofti_image_header(heap, idx)->touched;
    const bool zero = !lofti_pages_any(touched, from, count);
    lofti_pages_mark(touched, from, count);
    lofti_image_order();
    return zero;
}

/* The first list at or above `from` that has a chunk; `end`: none. */
static uint32_t map_next(const uint64_t *map, uint32_t from, uint32_t end)
{
    while (from < end) {
        const uint64_t word = map[from / 64] & (UINT64_MAX << (from % 64));
        if (word != 0) {
            return from / 64 * 64 + lofti_bits_lowest(word);
        }
        from = from / 64 * 64 + 64;
    }
    return end;
}

/* The shortest run of the chunk in which `count` pages fit at the alignment; false: none. */
static bool pages_fit(const lofti_heap *heap, uint32_t idx, uint32_t count, uint64_t alignment,
                      uint32_t *page)
{
    const lofti_chunk *chunk = &heap->chunks[idx];
    const uint64_t start = (uint64_t)(uintptr_t)lofti_image_chunk(heap, idx);
    uint32_t best = (uint32_t)LOFTI_CHUNK_PAGES + 1;
    uint32_t from = pages_next(chunk->used, 0, false);
    while (from < LOFTI_CHUNK_PAGES) {
        const uint32_t to = pages_next(chunk->used, from, true);
        if (to - from >= count && to - from < best) {
            const uint64_t address = start + ((uint64_t)from << LOFTI_PAGE_SHIFT);
            const uint64_t up = lofti_arith_round_up(address, alignment);
            const uint64_t at = from + ((up - address) >> LOFTI_PAGE_SHIFT);
            if (at + count <= to) {
                best = to - from;
                *page = (uint32_t)at;
            }
        }
        from = pages_next(chunk->used, to, false);
    }
    return best <= LOFTI_CHUNK_PAGES;
}

/* With an alignment a chunk may disappoint; so many are tried before one that cannot. */
#define PAGES_TRIES 8u

bool lofti_pages_take(lofti_heap *heap, uint32_t count, uint64_t alignment, uint64_t *page,
                      bool *zero)
{
    const uint32_t slack = (uint32_t)(alignment >> LOFTI_PAGE_SHIFT) - 1;
    uint32_t tries = PAGES_TRIES;
    uint32_t list = map_next(heap->run_map, count, LOFTI_RUN_LISTS);
    while (list < LOFTI_RUN_LISTS) {
        for (uint32_t link = heap->run_lists[list]; link != 0;
             link = heap->chunks[link - 1].run_next) {
            uint32_t at = 0;
            if (pages_fit(heap, link - 1, count, alignment, &at)) {
                *zero = pages_occupy(heap, link - 1, at, count);
                *page = ((uint64_t)(link - 1) << (LOFTI_CHUNK_SHIFT - LOFTI_PAGE_SHIFT)) + at;
                return true;
            }
            if (tries == 0 || --tries == 0) {
                break;
            }
        }
        const uint32_t next = list + 1;
        const uint32_t sure = tries == 0 && next < count + slack ? count + slack : next;
        list = map_next(heap->run_map, sure, LOFTI_RUN_LISTS);
    }
    return false;
}

bool lofti_pages_take_at(lofti_heap *heap, uint64_t page, uint32_t count)
{
    const uint32_t idx = (uint32_t)(page >> (LOFTI_CHUNK_SHIFT - LOFTI_PAGE_SHIFT));
    const uint32_t from = (uint32_t)(page % LOFTI_CHUNK_PAGES);
    const lofti_chunk *chunk = &heap->chunks[idx];
    if (chunk->state != LOFTI_CHUNK_HEAD || from + count > LOFTI_CHUNK_PAGES ||
        lofti_pages_any(chunk->used, from, count)) {
        return false;
    }
    (void)pages_occupy(heap, idx, from, count);
    return true;
}

bool lofti_pages_take_unit_in(lofti_heap *heap, uint32_t idx, uint32_t *unit)
{
    const lofti_chunk *chunk = &heap->chunks[idx];
    if (chunk->state != LOFTI_CHUNK_HEAD || chunk->free_units == 0) {
        return false;
    }
    const uint32_t local = units_find(chunk->free_units, 1);
    const uint32_t pages = lofti_unit_pages(heap);
    (void)pages_occupy(heap, idx, local * pages, pages);
    *unit = (idx << lofti_unit_shift_in_chunk(heap)) + local;
    return true;
}

bool lofti_pages_take_units(lofti_heap *heap, uint32_t units, uint32_t *unit)
{
    const uint32_t pages = lofti_unit_pages(heap);
    if (!pages_large_units(heap)) {
        uint64_t page = 0;
        bool zero = false;
        if (!lofti_pages_take(heap, units, LOFTI_PAGE_BYTES, &page, &zero)) {
            return false;
        }
        *unit = (uint32_t)page;
        return true;
    }
    const uint32_t list = map_next(heap->unit_map, units, LOFTI_UNIT_LISTS);
    if (list == LOFTI_UNIT_LISTS) {
        return false;
    }
    const uint32_t idx = heap->unit_lists[list] - 1;
    const uint32_t local = units_find(heap->chunks[idx].free_units, units);
    LOFTI_ASSERT(local < 64);
    (void)pages_occupy(heap, idx, local * pages, units * pages);
    *unit = (idx << lofti_unit_shift_in_chunk(heap)) + local;
    return true;
}

void lofti_pages_release(lofti_heap *heap, uint64_t page, uint32_t count)
{
    const uint32_t idx = (uint32_t)(page >> (LOFTI_CHUNK_SHIFT - LOFTI_PAGE_SHIFT));
    const uint32_t from = (uint32_t)(page % LOFTI_CHUNK_PAGES);
    lofti_chunk *chunk = &heap->chunks[idx];
    LOFTI_ASSERT(chunk->state == LOFTI_CHUNK_HEAD);
    lofti_annotate_free(heap->base + (page << LOFTI_PAGE_SHIFT),
                        (uint64_t)count << LOFTI_PAGE_SHIFT);
    lofti_pages_clear(chunk->used, from, count);
    heap->released_pages += count;
    chunk->free_pages = (uint16_t)(chunk->free_pages + count);
    units_refresh(heap, chunk, from, from + count);
    const uint32_t run_from = pages_free_from(chunk->used, from);
    const uint32_t run_to = pages_next(chunk->used, from, true);
    const uint32_t run = run_to - run_from;
    pages_refile(heap, idx, run > chunk->longest ? run : chunk->longest);
}
