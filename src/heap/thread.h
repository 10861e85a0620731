/*
 * heap/thread.h - thread heaps: finding the calling thread's, making, ending.
 *
 * A thread finds its heap in a thread-local slot keyed by the heap's id, one load and one compare; if it
 * used another last, in a few more slots; if it uses many, in a list behind the registry's lock. Thread heaps are
 * made by the first allocation or free of a thread, live in memory of the host, are handed on from
 * thread to thread and released with the handle only. So a stale pointer to one is never wild.
 *
 * A thread's end gives up its slabs (pthread key destructor); a heap's end takes its thread heaps out
 * of all threads' lists. Either may come first: both run under the registry's lock.
 */
#ifndef LOFTI_HEAP_THREAD_H
#define LOFTI_HEAP_THREAD_H

#include "heap/state.h"

/* The heap this thread used last, with what the fast paths need of it: one load less to each. Written by its thread
 * alone, but for `handle`: whoever ends the heap empties it, since another may get a handle at the same address. */
typedef struct lofti_thread_view {
    const void *
        handle; /* the host's context, by which the public functions know it; LOFTI_THREAD_NO_HANDLE */
    uint64_t heap_id; /* LOFTI_HEAP_ID_NONE: empty */
    lofti_thread *thread;
    uint8_t *base;
    lofti_unit *units;
    uint64_t reach_bytes;
    uint32_t owner; /* the thread heap's id */
    uint32_t unit_shift;
} lofti_thread_view;

/* No heap has it, nor has a handle full of zeros. */
#define LOFTI_HEAP_ID_NONE  UINT64_C(1)
#define LOFTI_HEAP_ID_FIRST UINT64_C(2)

/* Nobody's handle, not NULL either: so one compare finds both out. */
#define LOFTI_THREAD_NO_HANDLE ((const void *)1)

extern __thread lofti_thread_view lofti_thread_last
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

static inline bool lofti_thread_is_last(const lofti_heap *heap)
{
    return LOFTI_LIKELY(lofti_thread_last.heap_id == heap->id);
}

static inline bool lofti_thread_is_handle(const void *handle)
{
    return LOFTI_LIKELY(__atomic_load_n(&lofti_thread_last.handle, __ATOMIC_RELAXED) == handle);
}

/* The calling thread's heap, made if there is none. NULL with the sentence set: no memory, or the heap
 * is read-only. No lock held. */
lofti_thread *lofti_thread_get(lofti_heap *heap);

/* After an operation that may have called lofti_thread_get: in a thread whose end was handled already, nobody would
 * end what it has made anew, so that ends at once. No lock held. */
void lofti_thread_settle(void);

/* Enters a heap into the registry and gives it its id; takes it out, with all its thread heaps. */
void lofti_thread_register(lofti_heap *heap);
void lofti_thread_unregister(lofti_heap *heap);

/* Empties every thread heap, without looking at slabs or the image; they keep their threads. The
 * caller guarantees that no other thread is inside. */
void lofti_thread_forget(lofti_heap *heap);

/* The registered heap that `address` lies in, other than `except`. Reads ranges only. */
bool lofti_thread_foreign(const lofti_heap *except, const void *address);

#endif /* LOFTI_HEAP_THREAD_H */
