/*
 * journal/index.h - which record of the journal is the newest of a page.
 *
 * A volatile hash table, 32 bytes an entry, in memory of its own (the library calls no malloc). It is
 * rebuilt by the scan at open, so that reading the journal takes memory in proportion to the pages it
 * names, not to its length.
 */
#ifndef LOFTI_JOURNAL_INDEX_H
#define LOFTI_JOURNAL_INDEX_H

#include <stddef.h>
#include <stdint.h>

typedef struct lofti_index_entry {
    uint64_t page_idx; /* 0: an empty place; page 0 is a superblock and never journaled */
    uint64_t position; /* of the record's payload in the journal */
    uint64_t hash;     /* of the resulting page */
    uint32_t bytes;    /* of payload */
    uint32_t kind;     /* enum lofti_record_kind */
} lofti_index_entry;

typedef struct lofti_index {
    lofti_index_entry *entries; /* NULL while capacity is 0 */
    uint64_t capacity;          /* a power of two, or 0 */
    uint64_t count;
} lofti_index;

/* Makes room for `more` further pages, so that putting them cannot fail. 0 or a LOFT_E code without a
 * sentence (the caller knows the operation). */
int lofti_index_reserve(lofti_index *index, uint64_t more);
/* Inserts or replaces. There is room. */
void lofti_index_put(lofti_index *index, const lofti_index_entry *entry);
/* NULL: no record of this page. Valid until the next reserve, put or clear. */
const lofti_index_entry *lofti_index_find(const lofti_index *index, uint64_t page_idx);
/* Forgets everything, keeps the memory. */
void lofti_index_clear(lofti_index *index);
void lofti_index_release(lofti_index *index);

/* Writes all page numbers, in rising order, to `out`, which has room for index->count. */
void lofti_index_sorted(const lofti_index *index, uint64_t *out);

#endif /* LOFTI_JOURNAL_INDEX_H */
