/*
 * heap/thread.c - thread heaps and the registry of heaps.
 *
 * Lock order: registry_lock, then a heap's lock.
 * Invariants (registry_lock held):
 *   R1  a thread heap in some thread's list, or its heap's list of those that left, has heap != NULL and is on no idle
 *       list
 *   R2  a slot with heap_id h points to that thread's heap for h, or no heap has the id h any more; a view has the
 *       handle of a heap that is attached, or none
 */
#include "heap/thread.h"

#include <string.h>

#include "base/status.h"
#include "heap/annotate.h"
#include "heap/remote.h"
#include "heap/slab.h"
#include "heap/span.h"
#include "heap/trim.h"

__thread lofti_thread_view lofti_thread_last = {.handle = LOFTI_THREAD_NO_HANDLE,
                                                .heap_id = LOFTI_HEAP_ID_NONE};

/* The heaps used before the last one, where their ids say. */
typedef struct lofti_thread_slot {
    uint64_t heap_id; /* 0: empty */
    lofti_thread *thread;
} lofti_thread_slot;
#define THREAD_SLOTS 16u
static __thread lofti_thread_slot thread_slots[THREAD_SLOTS]
    __attribute__((tls_model("initial-exec")));

/* This thread's heaps. Others unlink from it when a heap ends. */
static __thread lofti_thread *thread_list __attribute__((tls_model("initial-exec")));

/* Its end was handled; what it still does (other keys' destructors, libc's own clean-up) it does as a visitor. */
static __thread bool thread_ended __attribute__((tls_model("initial-exec")));

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static lofti_heap *registry_heaps;
static uint64_t registry_next_id = LOFTI_HEAP_ID_FIRST;
static pthread_key_t registry_key;
static bool registry_has_key;
static pthread_once_t registry_once = PTHREAD_ONCE_INIT;

static void thread_exit(void *unused);

static void registry_start(void)
{
    /* Without a key threads still work; their slabs then wait for the heap's end. */
    registry_has_key = pthread_key_create(&registry_key, thread_exit) == 0;
}

/* Empties the cells; what they held is free in the image anyway. */
static void thread_clear(lofti_thread *thread)
{
    memset(thread->cells, 0, sizeof thread->cells);
    memset(thread->supplies, 0, sizeof thread->supplies);
    memset(thread->kept, 0, sizeof thread->kept);
    thread->own_head = 0;
    thread->kept_next = 0;
}

/* heap->lock held. */
static lofti_thread *thread_make(lofti_heap *heap)
{
    lofti_thread *thread = heap->idle;
    if (thread != NULL) {
        heap->idle = thread->sibling;
    } else {
        const uint32_t id = heap->thread_end + 1;
        const uint32_t batch = (id - 1) / LOFTI_THREAD_BATCH;
        if (batch >= LOFTI_THREAD_BATCHES) {
            (void)lofti_status_fail(LOFT_ENOMEM, "allocate", "arena", "too many threads at once");
            return NULL;
        }
        if (heap->threads[batch] == NULL) {
            void *table = heap->host.table_alloc(heap->host.context,
                                                 LOFTI_THREAD_BATCH * sizeof(lofti_thread));
            if (table == NULL) {
                return NULL;
            }
            __atomic_store_n(&heap->threads[batch], table, __ATOMIC_RELEASE);
        }
        heap->thread_end = id;
        thread = lofti_heap_thread(heap, id);
        thread->id = id;
    }
    __atomic_store_n(&thread->remote_head, 0, __ATOMIC_RELEASE);
    thread->cells[0].free = 0; /* its first page is written before it is read: one fault, not two */
    heap->thread_count++;
    thread->heap = heap;
    return thread;
}

static void thread_use(const lofti_heap *heap, lofti_thread *thread)
{
    const void *handle = heap->host.context;
    lofti_thread_view *view = &lofti_thread_last;
    view->heap_id = heap->id;
    view->thread = thread;
    view->base = heap->base;
    view->units = heap->units;
    view->reach_bytes = heap->reach_bytes;
    view->owner = thread->id;
    view->unit_shift = heap->unit_shift;
    __atomic_store_n(&view->handle, handle != NULL ? handle : LOFTI_THREAD_NO_HANDLE,
                     __ATOMIC_RELAXED);
    thread_slots[heap->id % THREAD_SLOTS] = (lofti_thread_slot){heap->id, thread};
}

static void thread_forget_slots(void)
{
    lofti_thread_last.heap_id = LOFTI_HEAP_ID_NONE;
    __atomic_store_n(&lofti_thread_last.handle, LOFTI_THREAD_NO_HANDLE, __ATOMIC_RELAXED);
    memset(thread_slots, 0, sizeof thread_slots);
}

lofti_thread *lofti_thread_get(lofti_heap *heap)
{
    if (lofti_thread_is_last(heap)) {
        return lofti_thread_last.thread;
    }
    const lofti_thread_slot *slot = &thread_slots[heap->id % THREAD_SLOTS];
    if (slot->heap_id == heap->id) {
        thread_use(heap, slot->thread);
        return slot->thread;
    }
    lofti_thread *thread = NULL;
    if (heap->read_only) {
        (void)lofti_status_fail(LOFT_EREADONLY, "allocate", "arena", "it was opened read-only");
        return NULL;
    }
    (void)pthread_mutex_lock(&registry_lock);
    lofti_thread **link = &thread_list;
    while (*link != NULL && (*link)->heap != heap) {
        link = &(*link)->sibling;
    }
    thread = *link;
    if (thread != NULL) {
        *link = thread->sibling; /* to the front: threads use few heaps at a time */
    } else {
        lofti_heap_lock(heap);
        thread = thread_make(heap);
        lofti_heap_unlock(heap);
    }
    if (thread != NULL) {
        thread->sibling = thread_list;
        thread->list = &thread_list;
        thread->handle = &lofti_thread_last.handle;
        thread_list = thread;
        thread_use(heap, thread);
    }
    (void)pthread_mutex_unlock(&registry_lock);
    if (thread != NULL && registry_has_key && !thread_ended &&
        pthread_getspecific(registry_key) == NULL) {
        (void)pthread_setspecific(registry_key, thread_slots);
    }
    return thread;
}

static void thread_idle(lofti_heap *heap, lofti_thread *thread)
{
    __atomic_store_n(&thread->remote_head, LOFTI_REMOTE_CLOSED, __ATOMIC_RELEASE);
    thread->heap = NULL;
    thread->sibling = heap->idle;
    heap->idle = thread;
    heap->thread_count--;
}

/* Both locks held. Gives everything back and makes the thread heap idle. */
static void thread_retire(lofti_heap *heap, lofti_thread *thread)
{
    lofti_remote_close(heap, thread);
    while (thread->own_head != 0) {
        lofti_slab_disown(heap, thread, thread->own_head);
    }
    lofti_span_drop_kept(heap, thread);
    thread_clear(thread);
    thread_idle(heap, thread);
    lofti_trim_after_thread(heap);
}

/* The thread is gone, and so is its view. */
static const void *left_handle = LOFTI_THREAD_NO_HANDLE;

/* Both locks held. What its thread left is given back when ends are resumed. */
static void thread_leave(lofti_heap *heap, lofti_thread *thread)
{
    thread->list = &heap->left;
    thread->handle = &left_handle;
    thread->sibling = heap->left;
    heap->left = thread;
}

void lofti_heap_defer_ends(lofti_heap *heap)
{
    lofti_heap_lock(heap);
    heap->defers_ends = true;
    lofti_heap_unlock(heap);
}

void lofti_heap_resume_ends(lofti_heap *heap)
{
    (void)pthread_mutex_lock(&registry_lock);
    lofti_heap_lock(heap);
    heap->defers_ends = false;
    while (heap->left != NULL) {
        lofti_thread *thread = heap->left;
        heap->left = thread->sibling;
        thread_retire(heap, thread);
    }
    lofti_heap_unlock(heap);
    (void)pthread_mutex_unlock(&registry_lock);
}

static void thread_exit(void *unused)
{
    (void)unused;
    (void)pthread_mutex_lock(&registry_lock);
    while (thread_list != NULL) {
        lofti_thread *thread = thread_list;
        lofti_heap *heap = thread->heap;
        thread_list = thread->sibling;
        lofti_heap_lock(heap);
        if (heap->defers_ends) {
            thread_leave(heap, thread);
        } else {
            thread_retire(heap, thread);
        }
        lofti_heap_unlock(heap);
    }
    thread_forget_slots();
    thread_ended = true;
    (void)pthread_mutex_unlock(&registry_lock);
}

void lofti_thread_settle(void)
{
    if (LOFTI_UNLIKELY(thread_ended && thread_list != NULL)) {
        thread_exit(NULL);
    }
}

void lofti_thread_register(lofti_heap *heap)
{
    /* Here, and not when a thread first allocates: that may be in a child of fork, where musl before 1.2.4 waits for
     * ever if another thread was ending at the time (its lock of keys is not given back). */
    (void)pthread_once(&registry_once, registry_start);
    (void)pthread_mutex_lock(&registry_lock);
    heap->id = registry_next_id++;
    heap->registry_next = registry_heaps;
    registry_heaps = heap;
    (void)pthread_mutex_unlock(&registry_lock);
}

/* Of a heap that ends: its thread must not take another heap with the same handle for it (R2). */
static void thread_unsee(const lofti_heap *heap, lofti_thread *thread)
{
    const void *handle = heap->host.context;
    (void)__atomic_compare_exchange_n(thread->handle, &handle, LOFTI_THREAD_NO_HANDLE, false,
                                      __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void thread_unlink(lofti_thread *thread)
{
    lofti_thread **link = thread->list;
    while (*link != thread) {
        link = &(*link)->sibling;
    }
    *link = thread->sibling;
}

void lofti_thread_unregister(lofti_heap *heap)
{
    (void)pthread_mutex_lock(&registry_lock);
    lofti_heap **link = &registry_heaps;
    while (*link != heap) {
        link = &(*link)->registry_next;
    }
    *link = heap->registry_next;
    for (uint32_t id = 1; id <= heap->thread_end; id++) {
        lofti_thread *thread = lofti_heap_thread(heap, id);
        if (thread->heap != NULL) {
            thread_unlink(thread);
            thread_unsee(heap, thread);
        }
    }
    (void)pthread_mutex_unlock(&registry_lock);
}

void lofti_thread_forget(lofti_heap *heap)
{
    for (uint32_t id = 1; id <= heap->thread_end; id++) {
        lofti_thread *thread = lofti_heap_thread(heap, id);
        thread_clear(thread);
        if (thread->heap != NULL) {
            __atomic_store_n(&thread->remote_head, 0, __ATOMIC_RELEASE);
        }
    }
}

bool lofti_thread_foreign(const lofti_heap *except, const void *address)
{
    bool found = false;
    (void)pthread_mutex_lock(&registry_lock);
    for (const lofti_heap *heap = registry_heaps; heap != NULL; heap = heap->registry_next) {
        const uint64_t off = (uint64_t)((uintptr_t)address - (uintptr_t)heap->base);
        found = found || (heap != except && off < heap->reach_bytes);
    }
    (void)pthread_mutex_unlock(&registry_lock);
    return found;
}

/* In the child: heap's other threads are gone, and their lists lie in memory that may be used anew. So is whoever
 * deferred their ends. */
static void thread_drop_others(lofti_heap *heap)
{
    heap->fork_lone = true;
    heap->defers_ends = false;
    heap->left = NULL;
    for (uint32_t id = 1; id <= heap->thread_end; id++) {
        lofti_thread *thread = lofti_heap_thread(heap, id);
        if (thread->heap != NULL && thread->list != &thread_list) {
            heap->fork_lone = false;
            thread_clear(thread);
            thread_idle(heap, thread);
        }
    }
}

void lofti_heap_fork_prepare(void)
{
    (void)pthread_mutex_lock(&registry_lock);
    for (lofti_heap *heap = registry_heaps; heap != NULL; heap = heap->registry_next) {
        lofti_heap_lock(heap);
    }
}

void lofti_heap_fork_parent(void)
{
    for (lofti_heap *heap = registry_heaps; heap != NULL; heap = heap->registry_next) {
        lofti_heap_unlock(heap);
    }
    (void)pthread_mutex_unlock(&registry_lock);
}

void lofti_heap_fork_child(void)
{
    for (lofti_heap *heap = registry_heaps; heap != NULL; heap = heap->registry_next) {
        thread_drop_others(heap);
    }
    lofti_heap_fork_parent();
}

void lofti_heap_fork_lost(lofti_heap *heap)
{
    (void)pthread_mutex_lock(&registry_lock);
    lofti_annotate_forget(heap);
    heap->known_end = 0; /* what lies there from now on is somebody else's, at detach too */
    for (uint32_t id = 1; id <= heap->thread_end; id++) {
        lofti_thread *thread = lofti_heap_thread(heap, id);
        if (thread->heap != NULL) {
            thread_unlink(thread);
            thread_clear(thread);
            thread_idle(heap, thread);
        }
    }
    thread_forget_slots();
    (void)pthread_mutex_unlock(&registry_lock);
}
