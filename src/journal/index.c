/*
 * journal/index.c - open addressing with linear probing, at most two thirds full.
 */
#include "journal/index.h"

#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "loft/error.h"
#include "os/map.h"

/* The first table: 64 KiB, the largest page size there is; what is not touched costs nothing. */
enum { INDEX_CAPACITY_MIN = 2048 };

static uint64_t index_home(const lofti_index *index, uint64_t page_idx)
{
    /* Fibonacci hashing: neighbouring pages spread over the table. */
    return (page_idx * 0x9e3779b97f4a7c15ULL >> 20) & (index->capacity - 1);
}

static lofti_index_entry *index_place(const lofti_index *index, uint64_t page_idx)
{
    uint64_t at = index_home(index, page_idx);
    while (index->entries[at].page_idx != 0 && index->entries[at].page_idx != page_idx) {
        at = (at + 1) & (index->capacity - 1);
    }
    return &index->entries[at];
}

void lofti_index_put(lofti_index *index, const lofti_index_entry *entry)
{
    LOFTI_ASSERT(entry->page_idx != 0);
    lofti_index_entry *place = index_place(index, entry->page_idx);
    if (place->page_idx == 0) {
        LOFTI_CHECK(index->count < index->capacity / 3 * 2);
        index->count++;
    }
    *place = *entry;
}

const lofti_index_entry *lofti_index_find(const lofti_index *index, uint64_t page_idx)
{
    if (index->count == 0) {
        return NULL;
    }
    const lofti_index_entry *place = index_place(index, page_idx);
    return place->page_idx != 0 ? place : NULL;
}

static int index_resize(lofti_index *index, uint64_t capacity)
{
    void *memory = NULL;
    const int error =
        lofti_map_place(capacity * sizeof(lofti_index_entry), 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    if (error != 0) {
        return LOFT_ENOMEM;
    }
    lofti_index larger = {memory, capacity, 0};
    for (uint64_t i = 0; i < index->capacity; i++) {
        if (index->entries[i].page_idx != 0) {
            lofti_index_put(&larger, &index->entries[i]);
        }
    }
    lofti_index_release(index);
    *index = larger;
    return LOFT_OK;
}

int lofti_index_reserve(lofti_index *index, uint64_t more)
{
    uint64_t capacity = lofti_arith_max(index->capacity, INDEX_CAPACITY_MIN);
    while (capacity / 3 * 2 < index->count + more) {
        capacity *= 2;
    }
    return capacity == index->capacity ? LOFT_OK : index_resize(index, capacity);
}

void lofti_index_clear(lofti_index *index)
{
    if (index->capacity > INDEX_CAPACITY_MIN) {
        lofti_index_release(index); /* a journal that was once large need not stay so in memory */
    } else if (index->count != 0) {
        memset(index->entries, 0, index->capacity * sizeof *index->entries);
    }
    index->count = 0;
}

void lofti_index_release(lofti_index *index)
{
    if (index->entries != NULL) {
        (void)lofti_map_release(index->entries, index->capacity * sizeof *index->entries);
    }
    *index = (lofti_index){0};
}

static void sift_down(uint64_t *heap, uint64_t at, uint64_t count)
{
    for (;;) {
        uint64_t child = 2 * at + 1;
        if (child >= count) {
            return;
        }
        if (child + 1 < count && heap[child + 1] > heap[child]) {
            child++;
        }
        if (heap[at] >= heap[child]) {
            return;
        }
        const uint64_t swapped = heap[at];
        heap[at] = heap[child];
        heap[child] = swapped;
        at = child;
    }
}

/* Heapsort: qsort may call malloc, and a hostile journal must not choose a quadratic case. */
void lofti_index_sorted(const lofti_index *index, uint64_t *out)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < index->capacity; i++) {
        if (index->entries[i].page_idx != 0) {
            out[count++] = index->entries[i].page_idx;
        }
    }
    LOFTI_CHECK(count == index->count);
    for (uint64_t i = count / 2; i-- > 0;) {
        sift_down(out, i, count);
    }
    for (uint64_t end = count; end > 1; end--) {
        const uint64_t largest = out[0];
        out[0] = out[end - 1];
        out[end - 1] = largest;
        sift_down(out, 0, end - 1);
    }
}
