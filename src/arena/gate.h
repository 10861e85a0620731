/*
 * arena/gate.h - mutation sections: a commit sees no thread in the middle of a change.
 *
 * Each thread has a slot per arena that it has entered. Entering is a plain store to the thread's own
 * cache line and a load of the gate; the committing side closes the gate, makes every thread see that
 * (membarrier where the kernel has it, sequentially consistent operations on both sides else) and waits until
 * every slot is out.
 *
 *   mutator                         committer
 *   slot.active = 1                 gate.closed = 1
 *   barrier (see above)             barrier
 *   gate.closed?  yes: step back    every slot.active == 0?  no: wait
 *
 * One of the two always sees the other. Slots come from a pool of the process and are never unmapped, so that a
 * thread may end after the arena is closed, or the other way round.
 *
 * Lock order: gate.mutex and the pool's mutex are never held together, and nothing is called under either.
 */
#ifndef LOFTI_ARENA_GATE_H
#define LOFTI_ARENA_GATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct lofti_gate_slot lofti_gate_slot;

typedef struct lofti_gate {
    uint64_t id; /* unique in the process; never 0 while open */
    _Atomic uint32_t closed;
    bool fast;              /* membarrier serves */
    lofti_gate_slot *slots; /* of the threads that entered; under the pool's mutex */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* opened, or a slot is out while closed */
} lofti_gate;

int lofti_gate_init(lofti_gate *gate);
/* Nobody is inside or waiting. */
void lofti_gate_destroy(lofti_gate *gate);

/* Enters the calling thread's section; waits while the gate is closed, unless nested. Returns 0, or
 * LOFT_ENOMEM (no slot to be had; a sentence is set) and is then not inside. */
int lofti_gate_enter(lofti_gate *gate);
/* False: the thread is not inside. */
bool lofti_gate_leave(lofti_gate *gate);
bool lofti_gate_inside(lofti_gate *gate);

/* Closes the gate and waits until every thread is out: 0, or LOFT_EBUSY after timeout_ms with the gate open
 * again (no sentence). One thread at a time; not from inside. */
int lofti_gate_close(lofti_gate *gate, uint64_t timeout_ms);
void lofti_gate_open(lofti_gate *gate);

#endif /* LOFTI_ARENA_GATE_H */
