/*
 * arena/gate.c - slots, and the handshake between mutators and the committer.
 */
#include "arena/gate.h"

#include <time.h>

#include "base/check.h"
#include "base/misuse.h"
#include "base/status.h"
#include "os/barrier.h"
#include "os/map.h"
#include "os/sys.h"

enum {
    POOL_BLOCK_BYTES = 64 << 10, /* slots are mapped by so many bytes: the largest page size */
    GATE_POLL_NS = 200000,       /* how long the committer sleeps between two looks, at most */
    GATE_SPIN = 200              /* looks before it sleeps */
};

_Static_assert(sizeof(lofti_gate_slot) == LOFTI_GATE_LINE_BYTES, "one line");

static pthread_mutex_t pool_mutex = PTHREAD_MUTEX_INITIALIZER;
static lofti_gate_slot *pool_free;
static uint64_t pool_last_id;
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;
static pthread_key_t pool_key;
static int pool_error;

static __thread lofti_gate_slot *thread_slots; /* all of this thread */
__thread lofti_gate_cache lofti_gate_last = {.id = LOFTI_GATE_ID_NONE};

/* --- Slots ------------------------------------------------------------------------------------ */

static void gate_unlink(lofti_gate_slot *slot)
{
    for (lofti_gate_slot **link = &slot->gate->slots; *link != NULL;
         link = &(*link)->next_of_gate) {
        if (*link == slot) {
            *link = slot->next_of_gate;
            return;
        }
    }
}

/* Under pool_mutex. */
static void slot_free(lofti_gate_slot *slot)
{
    atomic_store_explicit(&slot->depth, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->gate_id, 0, memory_order_relaxed);
    slot->gate = NULL;
    slot->next_of_gate = NULL;
    slot->next_of_thread = pool_free;
    pool_free = slot;
}

static uint64_t slot_gate_id(const lofti_gate_slot *slot)
{
    return atomic_load_explicit(&slot->gate_id, memory_order_relaxed);
}

/* Of a slot of the calling thread. */
static uint32_t slot_depth(const lofti_gate_slot *slot)
{
    return atomic_load_explicit(&slot->depth, memory_order_relaxed);
}

static void thread_ends(void *unused)
{
    bool inside = false;
    (void)unused; /* the list's head may have changed since it was set */
    lofti_gate_slot *slot = thread_slots;
    lofti_gate_last.id = LOFTI_GATE_ID_NONE;
    thread_slots = NULL;
    (void)pthread_mutex_lock(&pool_mutex);
    while (slot != NULL) {
        lofti_gate_slot *next = slot->next_of_thread;
        if (slot_gate_id(slot) != 0) {
            inside = inside || slot_depth(slot) != 0;
            gate_unlink(slot);
        }
        slot_free(slot);
        slot = next;
    }
    (void)pthread_mutex_unlock(&pool_mutex);
    if (inside) {
        lofti_misuse_report(LOFT_MISUSE_SECTION, NULL,
                            "a thread ended inside a mutation section; it was taken out of it");
    }
}

/* A child must not inherit the pool in the middle of a change. The other threads' slots are lost to it. */
static void pool_lock(void) { (void)pthread_mutex_lock(&pool_mutex); }
static void pool_unlock(void) { (void)pthread_mutex_unlock(&pool_mutex); }

static void pool_start(void)
{
    pool_error = pthread_key_create(&pool_key, thread_ends);
    if (pool_error == 0) {
        pool_error = lofti_sys_at_fork(pool_lock, pool_unlock, pool_unlock);
    }
}

/* Under pool_mutex. */
static int pool_grow(void)
{
    void *memory = NULL;
    const int error = lofti_map_place(POOL_BLOCK_BYTES, 0, LOFTI_MAP_WRITE, NULL, 0, &memory);
    if (error != 0) {
        return error;
    }
    lofti_gate_slot *slots = memory;
    for (size_t i = 0; i < POOL_BLOCK_BYTES / sizeof *slots; i++) {
        slots[i].next_of_thread = pool_free;
        pool_free = &slots[i];
    }
    return 0;
}

/* Gives slots of closed gates back. */
static void thread_prune(void)
{
    (void)pthread_mutex_lock(&pool_mutex);
    for (lofti_gate_slot **link = &thread_slots; *link != NULL;) {
        lofti_gate_slot *slot = *link;
        if (slot_gate_id(slot) != 0) {
            link = &slot->next_of_thread;
            continue;
        }
        *link = slot->next_of_thread;
        slot_free(slot);
    }
    (void)pthread_mutex_unlock(&pool_mutex);
}

static int slot_make(lofti_gate *gate, lofti_gate_slot **out)
{
    thread_prune();
    (void)pthread_mutex_lock(&pool_mutex);
    const int error = pool_free == NULL ? pool_grow() : 0;
    lofti_gate_slot *slot = pool_free;
    if (error == 0) {
        pool_free = slot->next_of_thread;
        atomic_store_explicit(&slot->gate_id, gate->id, memory_order_relaxed);
        slot->gate = gate;
        slot->next_of_gate = gate->slots;
        slot->next_of_thread = thread_slots;
        gate->slots = slot;
    }
    (void)pthread_mutex_unlock(&pool_mutex);
    if (error != 0) {
        return lofti_status_system(error, "enter", NULL);
    }
    thread_slots = slot;
    (void)pthread_setspecific(pool_key, slot); /* not NULL: the destructor will run, on this list */
    *out = slot;
    return LOFT_OK;
}

/* The thread's slot of this gate; NULL: it has none. */
static lofti_gate_slot *slot_find(const lofti_gate *gate)
{
    if (LOFTI_LIKELY(lofti_gate_last.id == gate->id)) {
        return lofti_gate_last.slot;
    }
    for (lofti_gate_slot *slot = thread_slots; slot != NULL; slot = slot->next_of_thread) {
        /* Only close changes gate_id, and nobody closes a gate that this thread is using. */
        if (slot->gate == gate && slot_gate_id(slot) == gate->id) {
            lofti_gate_last = (lofti_gate_cache){.id = gate->id, .slot = slot};
            return slot;
        }
    }
    return NULL;
}

/* --- The mutator's side ----------------------------------------------------------------------- */

static bool slot_try(const lofti_gate *gate, lofti_gate_slot *slot)
{
    if (LOFTI_LIKELY(gate->fast)) {
        atomic_store_explicit(&slot->depth, 1, memory_order_relaxed);
        atomic_signal_fence(memory_order_seq_cst); /* as in lofti_gate_enter */
        return atomic_load_explicit(&gate->closed, memory_order_acquire) == 0;
    }
    atomic_store_explicit(&slot->depth, 1, memory_order_seq_cst);
    return atomic_load_explicit(&gate->closed, memory_order_seq_cst) == 0;
}

void lofti_gate_wake(lofti_gate *gate)
{
    /* The committer may be asleep. Should it miss this, it looks again by itself. */
    (void)pthread_mutex_lock(&gate->mutex);
    (void)pthread_cond_broadcast(&gate->changed);
    (void)pthread_mutex_unlock(&gate->mutex);
}

static void slot_out(lofti_gate *gate, lofti_gate_slot *slot)
{
    atomic_store_explicit(&slot->depth, 0, memory_order_release);
    if (LOFTI_UNLIKELY(atomic_load_explicit(&gate->closed, memory_order_relaxed) != 0)) {
        lofti_gate_wake(gate);
    }
}

int lofti_gate_wait(lofti_gate *gate, lofti_gate_slot *slot)
{
    do {
        slot_out(gate, slot);
        (void)pthread_mutex_lock(&gate->mutex);
        while (atomic_load_explicit(&gate->closed, memory_order_acquire) != 0) {
            (void)pthread_cond_wait(&gate->changed, &gate->mutex);
        }
        (void)pthread_mutex_unlock(&gate->mutex);
    } while (!slot_try(gate, slot));
    return LOFT_OK;
}

int lofti_gate_enter_slow(lofti_gate *gate)
{
    lofti_gate_slot *slot = slot_find(gate);
    if (slot == NULL) {
        const int code = slot_make(gate, &slot);
        if (code != LOFT_OK) {
            return code;
        }
        lofti_gate_last = (lofti_gate_cache){.id = gate->id, .slot = slot};
    }
    LOFTI_ASSERT(slot != NULL); /* found or made */
    const uint32_t depth = slot_depth(slot);
    if (depth != 0) {
        atomic_store_explicit(&slot->depth, depth + 1, memory_order_relaxed);
        return LOFT_OK;
    }
    return LOFTI_LIKELY(slot_try(gate, slot)) ? LOFT_OK : lofti_gate_wait(gate, slot);
}

bool lofti_gate_leave(lofti_gate *gate)
{
    lofti_gate_slot *slot = slot_find(gate);
    const uint32_t depth = slot == NULL ? 0 : slot_depth(slot);
    if (depth == 0) {
        return false;
    }
    if (depth == 1) {
        slot_out(gate, slot);
    } else {
        atomic_store_explicit(&slot->depth, depth - 1, memory_order_relaxed);
    }
    return true;
}

bool lofti_gate_inside(lofti_gate *gate)
{
    const lofti_gate_slot *slot = slot_find(gate);
    return slot != NULL && slot_depth(slot) != 0;
}

bool lofti_gate_shared(lofti_gate *gate)
{
    const lofti_gate_slot *own = slot_find(gate);
    bool shared = false;
    (void)pthread_mutex_lock(&pool_mutex);
    for (const lofti_gate_slot *slot = gate->slots; slot != NULL; slot = slot->next_of_gate) {
        shared = shared || slot != own;
    }
    (void)pthread_mutex_unlock(&pool_mutex);
    return shared;
}

/* --- The committer's side --------------------------------------------------------------------- */

static bool gate_empty(lofti_gate *gate)
{
    bool empty = true;
    (void)pthread_mutex_lock(&pool_mutex);
    for (lofti_gate_slot *slot = gate->slots; slot != NULL && empty; slot = slot->next_of_gate) {
        empty = atomic_load_explicit(&slot->depth, memory_order_seq_cst) == 0;
    }
    (void)pthread_mutex_unlock(&pool_mutex);
    return empty;
}

static void gate_pause(lofti_gate *gate)
{
    struct timespec until;
    const uint64_t wall_ns = lofti_sys_wall_ns() + GATE_POLL_NS;
    until.tv_sec = (time_t)(wall_ns / 1000000000u);
    until.tv_nsec = (long)(wall_ns % 1000000000u);
    (void)pthread_mutex_lock(&gate->mutex);
    /* Whatever wakes it, the caller looks again. */
    (void)pthread_cond_timedwait(&gate->changed, &gate->mutex, &until);
    (void)pthread_mutex_unlock(&gate->mutex);
}

int lofti_gate_close(lofti_gate *gate, uint64_t timeout_ms)
{
    const uint64_t start_ns = lofti_sys_now_ns();
    atomic_store_explicit(&gate->closed, 1, memory_order_seq_cst);
    if (gate->fast) {
        lofti_barrier_all();
    }
    for (unsigned looks = 0; !gate_empty(gate); looks++) {
        if (looks < GATE_SPIN) {
            continue;
        }
        if ((lofti_sys_now_ns() - start_ns) / 1000000u >= timeout_ms) {
            lofti_gate_open(gate);
            return LOFT_EBUSY;
        }
        gate_pause(gate);
    }
    return LOFT_OK;
}

void lofti_gate_open(lofti_gate *gate)
{
    (void)pthread_mutex_lock(&gate->mutex);
    atomic_store_explicit(&gate->closed, 0, memory_order_release);
    (void)pthread_cond_broadcast(&gate->changed);
    (void)pthread_mutex_unlock(&gate->mutex);
}

/* --- Life ----------------------------------------------------------------------------------------- */

int lofti_gate_init(lofti_gate *gate)
{
    (void)pthread_once(&pool_once, pool_start);
    if (pool_error != 0) {
        return lofti_status_system(pool_error, "open", NULL);
    }
    (void)pthread_mutex_init(&gate->mutex, NULL);
    (void)pthread_cond_init(&gate->changed, NULL);
    gate->fast = lofti_barrier_available();
    gate->slots = NULL;
    atomic_init(&gate->closed, 0);
    (void)pthread_mutex_lock(&pool_mutex);
    gate->id = ++pool_last_id;
    (void)pthread_mutex_unlock(&pool_mutex);
    return LOFT_OK;
}

/* Without pool_mutex: whether its own handler has given it back by now is not known, and nobody else is there. */
void lofti_gate_forked(lofti_gate *gate)
{
    (void)pthread_mutex_init(&gate->mutex, NULL);
    (void)pthread_cond_init(&gate->changed, NULL);
    atomic_store(&gate->closed, 0);
    lofti_gate_slot *own = slot_find(gate);
    for (lofti_gate_slot *slot = gate->slots; slot != NULL; slot = slot->next_of_gate) {
        if (slot != own) {
            atomic_store_explicit(&slot->depth, 0, memory_order_relaxed);
        }
    }
}

void lofti_gate_destroy(lofti_gate *gate)
{
    (void)pthread_mutex_lock(&pool_mutex);
    for (lofti_gate_slot *slot = gate->slots; slot != NULL; slot = slot->next_of_gate) {
        /* Its thread returns it to the pool. */
        atomic_store_explicit(&slot->gate_id, 0, memory_order_relaxed);
    }
    gate->slots = NULL;
    gate->id = 0;
    (void)pthread_mutex_unlock(&pool_mutex);
    (void)pthread_cond_destroy(&gate->changed);
    (void)pthread_mutex_destroy(&gate->mutex);
}
