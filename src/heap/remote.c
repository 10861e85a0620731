/*
 * heap/remote.c - frees across threads.
 */
#include "heap/remote.h"

#include "heap/annotate.h"
#include "heap/slab.h"
#include "heap/small.h"

static bool remote_is_slab(const lofti_heap *heap, uint32_t unit)
{
    const lofti_unit *entry = &heap->units[unit];
    return entry->size != 0 && entry->base == heap->base + ((uint64_t)unit << heap->unit_shift);
}

static void remote_push(lofti_heap *heap, lofti_thread *target, uint32_t unit)
{
    uint32_t head = __atomic_load_n(&target->remote_head, __ATOMIC_ACQUIRE);
    do {
        LOFTI_ASSERT(head != LOFTI_REMOTE_CLOSED); /* owners end with the lock held */
        __atomic_store_n(&heap->slabs[unit].remote_next, head, __ATOMIC_RELAXED);
    } while (!__atomic_compare_exchange_n(&target->remote_head, &head, unit, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_ACQUIRE));
}

/* heap->lock held; the slab's flag is set, and it is on no list. */
static void remote_deliver(lofti_heap *heap, lofti_thread *thread, uint32_t unit)
{
    const uint32_t owner = lofti_slab_owner(heap, unit);
    if (remote_is_slab(heap, unit) && owner != 0) {
        const uint32_t units = lofti_slab_shape(heap, unit)->unit_count;
        for (uint32_t i = unit; i < unit + units; i++) {
            (void)__atomic_fetch_or(&heap->units[i].owner, LOFTI_OWNER_MARK, __ATOMIC_RELAXED);
        }
        remote_push(heap, lofti_heap_thread(heap, owner), unit);
        return;
    }
    (void)__atomic_exchange_n(&heap->slabs[unit].remote_flag, 0, __ATOMIC_SEQ_CST);
    if (!remote_is_slab(heap, unit)) {
        return; /* ended meanwhile: all its frees were merged */
    }
    if (thread != NULL) {
        lofti_slab_adopt(heap, thread, unit);
    } else {
        lofti_slab_refresh_orphan(heap, unit);
    }
}

static bool remote_flag(lofti_heap *heap, uint32_t unit)
{
    uint32_t *flag = &heap->slabs[unit].remote_flag;
    return __atomic_load_n(flag, __ATOMIC_SEQ_CST) == 0 &&
           __atomic_exchange_n(flag, 1, __ATOMIC_SEQ_CST) == 0;
}

static void remote_notify(lofti_heap *heap, lofti_thread *thread, uint32_t unit)
{
    if (remote_flag(heap, unit)) {
        lofti_heap_lock(heap);
        remote_deliver(heap, thread, unit);
        lofti_heap_unlock(heap);
    }
}

bool lofti_remote_free(lofti_heap *heap, lofti_thread *thread, uint32_t unit, uint32_t block_idx)
{
    const lofti_unit *entry = &heap->units[unit];
    const lofti_class *shape = &heap->classes[lofti_class_of(entry->size)];
    uint64_t *word = &lofti_slab_remote(entry->bits, shape)[block_idx / 64];
    const uint64_t bit = (uint64_t)1 << (block_idx % 64);
    lofti_annotate_free(entry->base + (uint64_t)block_idx * entry->size, entry->size);
    if ((__atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST) & bit) != 0) {
        return false;
    }
    remote_notify(heap, thread, unit);
    return true;
}

/* Takes one slab off a list; false: it is not `thread`'s, or no slab. The mark goes before the flag, so
 * that a mark set after the flag was cleared stays; the bits are read last. */
static bool remote_take(lofti_heap *heap, lofti_thread *thread, uint32_t unit)
{
    const bool own = lofti_slab_owner(heap, unit) == thread->id && remote_is_slab(heap, unit);
    if (own) {
        const uint32_t units = lofti_slab_shape(heap, unit)->unit_count;
        for (uint32_t i = unit; i < unit + units; i++) {
            (void)__atomic_fetch_and(&heap->units[i].owner, ~LOFTI_OWNER_MARK, __ATOMIC_RELAXED);
        }
    }
    (void)__atomic_exchange_n(&heap->slabs[unit].remote_flag, 0, __ATOMIC_SEQ_CST);
    if (own) {
        const uint32_t count = lofti_slab_merge(heap, unit);
        if (count != 0) {
            lofti_small_merged(heap, thread, unit, count);
        }
    }
    return own;
}

bool lofti_remote_drain(lofti_heap *heap, lofti_thread *thread)
{
    if (__atomic_load_n(&thread->remote_head, __ATOMIC_RELAXED) == 0) {
        return false;
    }
    uint32_t unit = __atomic_exchange_n(&thread->remote_head, 0, __ATOMIC_SEQ_CST);
    while (unit != 0) {
        const uint32_t next = __atomic_load_n(&heap->slabs[unit].remote_next, __ATOMIC_RELAXED);
        if (!remote_take(heap, thread, unit)) {
            /* Ended and made anew by another since: tell that one. */
            remote_notify(heap, thread, unit);
        }
        unit = next;
    }
    return true;
}

void lofti_remote_close(lofti_heap *heap, lofti_thread *thread)
{
    uint32_t unit =
        __atomic_exchange_n(&thread->remote_head, LOFTI_REMOTE_CLOSED, __ATOMIC_SEQ_CST);
    while (unit != 0) {
        const uint32_t next = __atomic_load_n(&heap->slabs[unit].remote_next, __ATOMIC_RELAXED);
        const bool own = lofti_slab_owner(heap, unit) == thread->id;
        (void)__atomic_exchange_n(&heap->slabs[unit].remote_flag, 0, __ATOMIC_SEQ_CST);
        /* Its own slabs are merged when they are given up, which is next. */
        if (!own && remote_flag(heap, unit)) {
            remote_deliver(heap, NULL, unit);
        }
        unit = next;
    }
}
