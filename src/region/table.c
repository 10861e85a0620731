/*
 * region/table.c - the registry: a treap of records ordered by address.
 *
 * Why a treap: ordered, so that an inner address finds its region; a record is its own node, so
 * that entering a region cannot fail; no stored balance: a node's priority is a hash of its
 * address. The depth is about 2 ln n, 22 for 60,000 regions.
 *
 * Readers take no lock. They read the tree while it may be changed, and accept what they read only
 * if the sequence number was even before and is the same after:
 *
 *     writer:  sequence = odd     stores (release)       sequence = even (release)
 *     reader:  even? (acquire)    loads (acquire)        still the same?
 *
 * A load that sees a store of a later change also sees, by release and acquire, that change's odd
 * number, so the last load does too. (Fences would say the same, but TSan does not know them.)
 *
 * Invariants
 * 1. `sequence` is odd exactly while the mutex's holder changes the tree or a record in it.
 * 2. No two records of the tree have the same address: a region leaves the tree before its address
 *    is given back to the system, and enters it after.
 * 3. A record's memory stays readable for ever (region/records.c), so a reader may follow any stale
 *    link; a bound on its steps ends walks that stale links turned into circles.
 * 4. For every node, left holds lower addresses, right higher ones, and no child has a higher
 *    priority.
 *
 * Lock order: the mutex is a leaf; system calls under it are those of region/records.c only.
 * fork holds it, so that the child finds the table whole.
 */
#include "region/table.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/check.h"
#include "os/sys.h"
#include "region/records.h"

enum {
    TABLE_STEPS_MAX = 256, /* ten times the depth of a treap of a million nodes */
    TABLE_TRIES_MAX = 16   /* disturbed that often, a reader queues with the writers */
};

typedef _Atomic(lofti_region *) table_link;

static pthread_mutex_t table_mutex = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint64_t table_sequence;
static table_link table_root;

static pthread_once_t table_once = PTHREAD_ONCE_INIT;
static int table_once_result;

/* --- Fork --------------------------------------------------------------------------------- */

static void table_lock(void) { (void)pthread_mutex_lock(&table_mutex); }
static void table_unlock(void) { (void)pthread_mutex_unlock(&table_mutex); }

static void table_prepare_once(void)
{
    table_once_result = lofti_sys_at_fork(table_lock, table_unlock, table_unlock);
}

/* --- Access to what readers see ------------------------------------------------------------ */

static lofti_region *link_get(const table_link *link)
{
    return atomic_load_explicit(link, memory_order_acquire);
}

static void link_set(table_link *link, lofti_region *to)
{
    atomic_store_explicit(link, to, memory_order_release);
}

static uint64_t region_address(const lofti_region *region)
{
    return atomic_load_explicit(&region->address, memory_order_acquire);
}

static void change_begin(void)
{
    const uint64_t now = atomic_load_explicit(&table_sequence, memory_order_relaxed);
    atomic_store_explicit(&table_sequence, now + 1, memory_order_relaxed);
}

static void change_end(void)
{
    const uint64_t now = atomic_load_explicit(&table_sequence, memory_order_relaxed);
    LOFTI_ASSERT((now & 1) != 0);
    atomic_store_explicit(&table_sequence, now + 1, memory_order_release);
}

#define FACT_SET(field) atomic_store_explicit(&region->field, facts->field, memory_order_release)
#define FACT_GET(field) atomic_load_explicit(&region->field, memory_order_acquire)

static void region_store(lofti_region *region, const lofti_facts *facts)
{
    FACT_SET(address);
    FACT_SET(bytes);
    FACT_SET(map_at);
    FACT_SET(map_bytes);
    FACT_SET(file_off);
    FACT_SET(device);
    FACT_SET(inode);
    FACT_SET(flags);
    FACT_SET(kind);
    atomic_store_explicit(&region->file_ops, facts->file.ops, memory_order_release);
    atomic_store_explicit(&region->file_handle, facts->file.handle, memory_order_release);
}

static void region_load(const lofti_region *region, lofti_facts *out)
{
    *out = (lofti_facts){
        .address = FACT_GET(address),
        .bytes = FACT_GET(bytes),
        .map_at = FACT_GET(map_at),
        .map_bytes = FACT_GET(map_bytes),
        .file_off = FACT_GET(file_off),
        .device = FACT_GET(device),
        .inode = FACT_GET(inode),
        .flags = FACT_GET(flags),
        .kind = FACT_GET(kind),
        .file = {FACT_GET(file_ops), FACT_GET(file_handle)},
    };
}

/* --- The treap ---------------------------------------------------------------------------- */

/* A bijection that scatters (splitmix64's last steps): addresses differ in few bits. */
static uint64_t region_priority(const lofti_region *region)
{
    uint64_t mix = region_address(region);
    mix = (mix ^ (mix >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mix = (mix ^ (mix >> 27)) * UINT64_C(0x94d049bb133111eb);
    return mix ^ (mix >> 31);
}

static void tree_insert(lofti_region *region)
{
    const uint64_t address = region_address(region);
    const uint64_t priority = region_priority(region);
    table_link *link = &table_root;
    lofti_region *node = link_get(link);
    while (node != NULL && region_priority(node) >= priority) {
        LOFTI_ASSERT(region_address(node) != address);
        link = address < region_address(node) ? &node->left : &node->right;
        node = link_get(link);
    }
    /* The subtree at `node` is split in two by the address; both hang under the new node. */
    table_link *lower = &region->left;
    table_link *higher = &region->right;
    while (node != NULL) {
        if (region_address(node) < address) {
            link_set(lower, node);
            lower = &node->right;
            node = link_get(lower);
        } else {
            link_set(higher, node);
            higher = &node->left;
            node = link_get(higher);
        }
    }
    link_set(lower, NULL);
    link_set(higher, NULL);
    link_set(link, region);
}

static void tree_remove(const lofti_region *region)
{
    const uint64_t address = region_address(region);
    table_link *link = &table_root;
    lofti_region *node = link_get(link);
    while (node != region) {
        LOFTI_CHECK(node != NULL);
        link = address < region_address(node) ? &node->left : &node->right;
        node = link_get(link);
    }
    lofti_region *lower = link_get(&region->left);
    lofti_region *higher = link_get(&region->right);
    while (lower != NULL && higher != NULL) {
        if (region_priority(lower) >= region_priority(higher)) {
            link_set(link, lower);
            link = &lower->right;
            lower = link_get(link);
        } else {
            link_set(link, higher);
            link = &higher->left;
            higher = link_get(link);
        }
    }
    link_set(link, lower != NULL ? lower : higher);
}

/* The last record at or below the address, NULL if there is none. False: the walk was too long, as
 * only stale links make it. */
static bool tree_find_below(uint64_t address, const lofti_region **out)
{
    const lofti_region *best = NULL;
    const lofti_region *node = link_get(&table_root);
    for (int step = 0; node != NULL; step++) {
        if (step == TABLE_STEPS_MAX) {
            return false;
        }
        const uint64_t at = region_address(node);
        if (at <= address) {
            best = node;
            if (at == address) {
                break;
            }
            node = link_get(&node->right);
        } else {
            node = link_get(&node->left);
        }
    }
    *out = best;
    return true;
}

/* --- Lookup -------------------------------------------------------------------------------- */

/* One attempt without the mutex; false: disturbed by a change. */
static bool table_try_find(uint64_t address, lofti_facts *out, int *rc)
{
    const uint64_t before = atomic_load_explicit(&table_sequence, memory_order_acquire);
    const lofti_region *region = NULL;
    if ((before & 1) != 0 || !tree_find_below(address, &region)) {
        return false;
    }
    lofti_facts facts;
    if (region != NULL) {
        region_load(region, &facts);
    }
    if (atomic_load_explicit(&table_sequence, memory_order_relaxed) != before) {
        return false;
    }
    *rc = region != NULL ? 0 : -ENOENT;
    if (region != NULL) {
        *out = facts;
    }
    return true;
}

int lofti_table_find_below(uint64_t address, lofti_facts *out)
{
    int rc;
    for (int i = 0; i < TABLE_TRIES_MAX; i++) {
        if (table_try_find(address, out, &rc)) {
            return rc;
        }
    }
    table_lock();
    const bool is_found = table_try_find(address, out, &rc);
    table_unlock();
    LOFTI_CHECK(is_found); /* invariants 1 and 4: nobody disturbs, and no treap is that deep */
    return rc;
}

int lofti_table_find(uint64_t address, lofti_facts *out)
{
    lofti_facts facts;
    const int rc = lofti_table_find_below(address, &facts);
    if (rc != 0 || facts.address != address) {
        return -ENOENT;
    }
    *out = facts;
    return 0;
}

/* --- Changes ------------------------------------------------------------------------------- */

int lofti_table_reserve(lofti_region **out)
{
    (void)pthread_once(&table_once, table_prepare_once);
    if (table_once_result != 0) {
        return table_once_result;
    }
    table_lock();
    const int rc = lofti_records_take(out);
    table_unlock();
    return rc;
}

void lofti_table_cancel(lofti_region *region)
{
    table_lock();
    lofti_records_give(region);
    table_unlock();
}

static void table_enter(lofti_region *region, const lofti_facts *facts, bool is_claimed)
{
    table_lock();
    change_begin();
    region_store(region, facts);
    region->is_claimed = is_claimed;
    tree_insert(region);
    change_end();
    table_unlock();
}

void lofti_table_insert(lofti_region *region, const lofti_facts *facts)
{
    table_enter(region, facts, false);
}

void lofti_table_restore(lofti_region *region, const lofti_facts *facts)
{
    table_enter(region, facts, true);
}

int lofti_table_claim(uint64_t address, lofti_region **region, lofti_facts *out)
{
    table_lock();
    lofti_region *found = link_get(&table_root);
    while (found != NULL && region_address(found) != address) {
        found = link_get(address < region_address(found) ? &found->left : &found->right);
    }
    int rc = -ENOENT;
    if (found != NULL) {
        rc = found->is_claimed ? -EBUSY : 0;
    }
    if (rc == 0) {
        found->is_claimed = true;
        region_load(found, out);
        *region = found;
    }
    table_unlock();
    return rc;
}

void lofti_table_update(lofti_region *region, const lofti_facts *facts)
{
    table_lock();
    LOFTI_ASSERT(region->is_claimed && region_address(region) == facts->address);
    change_begin();
    region_store(region, facts);
    change_end();
    region->is_claimed = false;
    table_unlock();
}

void lofti_table_remove(lofti_region *region)
{
    table_lock();
    LOFTI_ASSERT(region->is_claimed);
    change_begin();
    tree_remove(region);
    change_end();
    table_unlock();
}
