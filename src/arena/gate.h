/*
 * arena/gate.h - mutation sections: a commit sees no thread in the middle of a change.
 *
 * Each thread has a slot per arena that it has entered. Entering is a plain store to the thread's own
 * cache line and a load of the gate; the committing side closes the gate, makes every thread see that
 * (membarrier where the kernel has it, sequentially consistent operations on both sides else) and waits until
 * every slot is out.
 *
 *   mutator                         committer
 *   slot.depth = 1                  gate.closed = 1
 *   barrier (see above)             barrier
 *   gate.closed?  yes: step back    every slot.depth == 0?  no: wait
 *
 * One of the two always sees the other. The first enter and the last leave, undisturbed and with membarrier, are inline
 * here; they store constants, since a sum of the old depth would wait for the store before it.
 *
 * Slots come from a pool of the process and are never unmapped, so that a thread may end after the arena is closed, or
 * the other way round.
 *
 * Lock order: gate.mutex and the pool's mutex are never held together, and nothing is called under either. But a fork
 * takes the pool's, then those of the heaps: whoever holds a heap calls nothing here that looks at slots.
 */
#ifndef LOFTI_ARENA_GATE_H
#define LOFTI_ARENA_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "loft/error.h"

enum { LOFTI_GATE_LINE_BYTES = 64 }; /* a slot is a cache line: mutators share none */

/* No gate's id: what a thread has cached that has nothing cached. */
#define LOFTI_GATE_ID_NONE UINT64_MAX

typedef struct lofti_gate lofti_gate;
typedef struct lofti_gate_slot lofti_gate_slot;

struct lofti_gate_slot {
    _Atomic uint32_t
        depth; /* 0: outside; else nesting. The owner writes it, the committer reads it */
    _Atomic uint64_t gate_id; /* 0: its gate is gone; changes under the pool's mutex */
    lofti_gate *gate;         /* valid while gate_id is not 0 */
    lofti_gate_slot *next_of_gate;
    lofti_gate_slot *next_of_thread; /* owner only; of a free slot: the next free one */
    uint8_t padding[LOFTI_GATE_LINE_BYTES - 40];
};

/* What the calling thread entered last. */
typedef struct lofti_gate_cache {
    uint64_t id; /* of the gate that `slot` belongs to */
    lofti_gate_slot *slot;
} lofti_gate_cache;

extern __thread lofti_gate_cache lofti_gate_last
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

struct lofti_gate {
    uint64_t id; /* unique in the process; never 0 while open */
    _Atomic uint32_t closed;
    bool fast;              /* membarrier serves */
    lofti_gate_slot *slots; /* of the threads that entered; under the pool's mutex */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* opened, or a slot is out while closed */
};

int lofti_gate_init(lofti_gate *gate);
/* Nobody is inside or waiting. */
void lofti_gate_destroy(lofti_gate *gate);
/* In a forked child, whose only thread is the caller: the gate is open, and nobody else is inside. */
void lofti_gate_forked(lofti_gate *gate);

/* What enter does where its inline part does not serve. */
int lofti_gate_enter_slow(lofti_gate *gate);
/* The calling thread has entered while the gate was closed: it steps back, and waits. */
int lofti_gate_wait(lofti_gate *gate, lofti_gate_slot *slot);
/* The calling thread is out, and the gate is closed: wakes the committer. */
void lofti_gate_wake(lofti_gate *gate);

/* Enters the calling thread's section; waits while the gate is closed, unless nested. Returns 0, or
 * LOFT_ENOMEM (no slot to be had; a sentence is set) and is then not inside. */
static inline int lofti_gate_enter(lofti_gate *gate)
{
    if (LOFTI_UNLIKELY(lofti_gate_last.id != gate->id || !gate->fast)) {
        return lofti_gate_enter_slow(gate);
    }
    lofti_gate_slot *slot = lofti_gate_last.slot;
    if (LOFTI_UNLIKELY(atomic_load_explicit(&slot->depth, memory_order_relaxed) != 0)) {
        return lofti_gate_enter_slow(gate);
    }
    atomic_store_explicit(&slot->depth, 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst); /* the committer's membarrier does the rest */
    if (LOFTI_UNLIKELY(atomic_load_explicit(&gate->closed, memory_order_acquire) != 0)) {
        return lofti_gate_wait(gate, slot);
    }
    return LOFT_OK;
}

/* False: the thread is not inside. */
bool lofti_gate_leave(lofti_gate *gate);

/* The common case of lofti_gate_leave. False: it is another case, and nothing is done. */
static inline bool lofti_gate_leave_last(lofti_gate *gate)
{
    if (LOFTI_UNLIKELY(lofti_gate_last.id != gate->id)) {
        return false;
    }
    lofti_gate_slot *slot = lofti_gate_last.slot;
    if (LOFTI_UNLIKELY(atomic_load_explicit(&slot->depth, memory_order_relaxed) != 1)) {
        return false;
    }
    atomic_store_explicit(&slot->depth, 0, memory_order_release);
    if (LOFTI_UNLIKELY(atomic_load_explicit(&gate->closed, memory_order_relaxed) != 0)) {
        lofti_gate_wake(gate);
    }
    return true;
}

bool lofti_gate_inside(lofti_gate *gate);

/* Whether a thread other than the caller, still alive, has ever entered. */
bool lofti_gate_shared(lofti_gate *gate);

/* Closes the gate and waits until every thread is out: 0, or LOFT_EBUSY after timeout_ms with the gate open
 * again (no sentence). One thread at a time; not from inside. */
int lofti_gate_close(lofti_gate *gate, uint64_t timeout_ms);
void lofti_gate_open(lofti_gate *gate);

#endif /* LOFTI_ARENA_GATE_H */
