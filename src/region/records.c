/*
 * region/records.c - slabs of records.
 *
 * A slab is 64 KiB of address space, aligned to its size, so that a record's slab is found by
 * masking its address:
 *
 *     | head, on a page of its own | record | record | ...                | rest |
 *     0                            4096                                      64 KiB
 *
 * Invariants
 * 1. A slab is in exactly one of: the list of partly free ones, the list of empty ones, or none
 *    (it is full).
 * 2. A slab is never unmapped: lock-free readers may still look at a record of it. An empty one
 *    gives its memory back but for the head's page, unless it is the only empty one (so that a
 *    process with one region, coming and going, makes no system calls). So memory is O(live
 *    records), and address space 64 KiB per 590 records of the most that ever lived.
 * 3. After memory was given back the slab's records read as zeros: free_list is NULL and `unused`
 *    starts again.
 */
#include "region/records.h"

#include <errno.h>
#include <stddef.h>

#include "base/check.h"
#include "os/map.h"

enum {
    SLAB_BYTES = 64 * 1024, /* 590 records: rarely a system call, little lost by a small process */
    SLAB_HEAD_BYTES = 4096  /* the smallest page: what stays when a slab's memory is given back */
};

typedef struct record_slab record_slab;

struct record_slab {
    record_slab *next, *previous; /* in its list */
    lofti_region *free_list;      /* given back records, by `left` */
    uint32_t unused;              /* index of the first record that was never taken */
    uint32_t live;
};

enum { SLAB_RECORDS = (SLAB_BYTES - SLAB_HEAD_BYTES) / (int)sizeof(lofti_region) };

_Static_assert(sizeof(record_slab) <= SLAB_HEAD_BYTES, "the head fits its page");
_Static_assert(SLAB_RECORDS >= 256, "a slab is worth its head");

static record_slab *records_partial;
static record_slab *records_empty;

static void list_push(record_slab **list, record_slab *slab)
{
    slab->previous = NULL;
    slab->next = *list;
    if (*list != NULL) {
        (*list)->previous = slab;
    }
    *list = slab;
}

static void list_remove(record_slab **list, record_slab *slab)
{
    if (slab->previous != NULL) {
        slab->previous->next = slab->next;
    } else {
        *list = slab->next;
    }
    if (slab->next != NULL) {
        slab->next->previous = slab->previous;
    }
}

static record_slab *slab_of(lofti_region *record)
{
    return (record_slab *)(void *)((char *)record - ((uintptr_t)record & (SLAB_BYTES - 1)));
}

static lofti_region *slab_record(record_slab *slab, uint32_t idx)
{
    return (lofti_region *)(void *)((char *)slab + SLAB_HEAD_BYTES) + idx;
}

/* Finds or makes a slab that has room and puts it at the head of the list of partly free ones. */
static int records_refill(void)
{
    record_slab *slab = records_empty;
    if (slab != NULL) {
        list_remove(&records_empty, slab);
    } else {
        void *memory = NULL;
        const int rc = lofti_map_place(SLAB_BYTES, SLAB_BYTES, LOFTI_MAP_WRITE, NULL, 0, &memory);
        if (rc != 0) {
            return rc;
        }
        slab = memory; /* zeroed: no record yet */
    }
    list_push(&records_partial, slab);
    return 0;
}

int lofti_records_take(lofti_region **out)
{
    if (records_partial == NULL) {
        const int rc = records_refill();
        if (rc != 0) {
            return rc;
        }
    }
    record_slab *slab = records_partial;
    lofti_region *record = slab->free_list;
    if (record != NULL) {
        slab->free_list = atomic_load_explicit(&record->left, memory_order_relaxed);
    } else {
        LOFTI_ASSERT(slab->unused < (uint32_t)SLAB_RECORDS);
        record = slab_record(slab, slab->unused++);
    }
    slab->live++;
    if (slab->live == (uint32_t)SLAB_RECORDS) {
        list_remove(&records_partial, slab);
    }
    *out = record;
    return 0;
}

/* Gives the memory of an empty slab back (invariant 2). */
static void slab_give_memory_back(record_slab *slab)
{
    const size_t page_bytes = lofti_map_page_bytes();
    const size_t head_bytes = page_bytes > SLAB_HEAD_BYTES ? page_bytes : SLAB_HEAD_BYTES;
    /* Where pages are larger than the head, the records on its page keep their bytes; with the
     * list forgotten nobody looks at them. If the system refuses, the memory just stays. */
    (void)lofti_map_drop((char *)slab + head_bytes, SLAB_BYTES - head_bytes, LOFTI_MAP_WRITE);
    slab->free_list = NULL;
    slab->unused = 0;
}

void lofti_records_give(lofti_region *record)
{
    record_slab *slab = slab_of(record);
    if (slab->live == (uint32_t)SLAB_RECORDS) {
        list_push(&records_partial, slab);
    }
    /* Release, as all that a reader without the lock may see (region/table.c): with it the reader sees that the tree
     * has changed. */
    atomic_store_explicit(&record->left, slab->free_list, memory_order_release);
    slab->free_list = record;
    slab->live--;
    if (slab->live == 0) {
        list_remove(&records_partial, slab);
        if (records_empty != NULL) {
            slab_give_memory_back(slab);
        }
        list_push(&records_empty, slab);
    }
}
