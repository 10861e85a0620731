/*
 * heap/thread.h - thread heaps: finding the calling thread's, making, ending.
 *
 * A thread finds its heap in a few thread-local slots keyed by the heap's id, one load and one
 * compare; if the slot holds another heap, in a list behind the registry's lock. Thread heaps are
 * made by the first allocation or free of a thread, live in memory of the host, are handed on from
 * thread to thread and released with the handle only. So a stale pointer to one is never wild.
 *
 * A thread's end gives up its slabs (pthread key destructor); a heap's end takes its thread heaps out
 * of all threads' lists. Either may come first: both run under the registry's lock.
 */
#ifndef LOFTI_HEAP_THREAD_H
#define LOFTI_HEAP_THREAD_H

#include "heap/state.h"

typedef struct lofti_thread_slot {
    uint64_t heap_id; /* 0: empty */
    lofti_thread *thread;
} lofti_thread_slot;

#define LOFTI_THREAD_SLOTS 8u /* few arenas per thread are the common case; a power of two */

extern __thread lofti_thread_slot lofti_thread_slots[LOFTI_THREAD_SLOTS]
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The calling thread's heap, or NULL if it is not in the slots. */
static inline lofti_thread *lofti_thread_quick(const lofti_heap *heap)
{
    const lofti_thread_slot *slot = &lofti_thread_slots[heap->id % LOFTI_THREAD_SLOTS];
    return LOFTI_LIKELY(slot->heap_id == heap->id) ? slot->thread : NULL;
}

/* The calling thread's heap, made if there is none. NULL with the sentence set: no memory, or the heap
 * is read-only. No lock held. */
lofti_thread *lofti_thread_get(lofti_heap *heap);

/* Enters a heap into the registry and gives it its id; takes it out, with all its thread heaps. */
void lofti_thread_register(lofti_heap *heap);
void lofti_thread_unregister(lofti_heap *heap);

/* Empties every thread heap, without looking at slabs or the image; they keep their threads. The
 * caller guarantees that no other thread is inside. */
void lofti_thread_forget(lofti_heap *heap);

/* The registered heap that `address` lies in, other than `except`. Reads ranges only. */
bool lofti_thread_foreign(const lofti_heap *except, const void *address);

#endif /* LOFTI_HEAP_THREAD_H */
