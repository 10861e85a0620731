/* How long a mutator waits, and how long a thread waits that has nothing to do with loft.
 *
 * Both work for STALL_WORK_NS and pause for STALL_PAUSE_NS, over and over. The mutator's rounds enter a section, store
 * to one of many pages and leave; the control's only read the clock. What is measured is the time from one round to the
 * next, or how late a pause ended. The control's waits are the machine's: its scheduler, its interrupts, its hypervisor.
 *
 * They are real-time threads where the system allows it, so that other programs do not count. A real-time thread
 * that never pauses would measure the kernel's own protection against such threads: each second it takes 50 ms
 * from them for the others, whether anything is copied or not. */
#ifndef LOFT_BENCH_SNAPSHOT_STALL_H
#define LOFT_BENCH_SNAPSHOT_STALL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "harness.h"
#include "loft/arena.h"

enum {
    STALL_BUCKETS = 40, /* bucket i: [2^i, 2^(i+1)) ns */
    STALL_WORK_NS = 100000,
    STALL_PAUSE_NS = 100000,
    STALL_TABLE_BYTES = 32 << 20, /* what the mutator stores to, page by page */
    STALL_BESIDE = 3              /* a snapshot, cp, nothing */
};

extern const char *const stall_beside_names[STALL_BESIDE];

/* Of all rounds of one kind. */
typedef struct stall {
    harness_series longest; /* seconds; one of each round */
    uint64_t buckets[STALL_BUCKETS];
    uint64_t times, longest_ns;
    uint64_t queued_ns; /* ready to run and waiting for a processor, all rounds */
    uint64_t preempted, faults;
    bool real_time;
} stall;

typedef struct stall_thread {
    stall *into;
    loft_arena *arena;
    uint8_t *table; /* NULL: the control */
    pthread_t thread;
    atomic_int stop;
    uint64_t longest_ns, rounds;
} stall_thread;

void stall_begin(stall_thread *self, stall *into, loft_arena *arena, uint8_t *table);
void stall_end(stall_thread *self);

/* [who][beside]; who: 0 the mutator, 1 the control. */
void stall_print(stall stalls[2][STALL_BESIDE]);
void stall_json(harness_json *json, stall stalls[2][STALL_BESIDE]);
/* gnuplot draws it; false: it could not. */
bool stall_draw(const char *path, stall stalls[2][STALL_BESIDE]);

#endif
