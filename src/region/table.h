/*
 * region/table.h - the registry: which regions this process has.
 *
 * One per process. Changes take one mutex; lookups take none. A region's record is reserved before
 * the mapping is made, so that entering it cannot fail; nothing here calls libc's malloc. Results
 * are 0 or a negative errno value.
 */
#ifndef LOFTI_REGION_TABLE_H
#define LOFTI_REGION_TABLE_H

#include <stdint.h>

#include "os/file.h"

/* A record; opaque. */
typedef struct lofti_region lofti_region;

/* What is known of a region: a plain copy. */
typedef struct lofti_facts {
    uint64_t address;   /* as handed out */
    uint64_t bytes;     /* its length */
    uint64_t map_at;    /* where its mapping begins: a page */
    uint64_t map_bytes; /* whole pages; one reserved page for an empty region */
    uint64_t file_off;  /* of the byte at `address` */
    uint64_t device, inode;
    uint32_t flags;  /* LOFTI_FLAGS_LASTING */
    uint32_t kind;   /* enum loft_region_kind */
    lofti_file file; /* the kept descriptor; not open if none is */
} lofti_facts;

/* A record for a region to come. -ENOMEM. */
int lofti_table_reserve(lofti_region **out);
/* Gives a record back that is not in the table. */
void lofti_table_cancel(lofti_region *region);

/* Enters a reserved or removed record and ends the claim on it. No other region may begin at the
 * same address. */
void lofti_table_insert(lofti_region *region, const lofti_facts *facts);
/* Enters a removed record again; it stays claimed. */
void lofti_table_restore(lofti_region *region, const lofti_facts *facts);

/* Copies what is known of the region that begins at `address`; -ENOENT. Takes no lock. */
int lofti_table_find(uint64_t address, lofti_facts *out);
/* The same for the last region that begins at or below `address`. */
int lofti_table_find_below(uint64_t address, lofti_facts *out);

/* Claims the region that begins at `address`, so that only the caller may change it, until
 * update, insert or cancel; lookups still find it. -ENOENT, -EBUSY if another thread has it. */
int lofti_table_claim(uint64_t address, lofti_region **region, lofti_facts *out);
/* Changes a claimed record in place, but for its address, and ends the claim. */
void lofti_table_update(lofti_region *region, const lofti_facts *facts);
/* Removes a claimed record from the table; it is then the caller's, to insert or cancel. */
void lofti_table_remove(lofti_region *region);

#endif /* LOFTI_REGION_TABLE_H */
