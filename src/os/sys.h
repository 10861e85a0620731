/*
 * os/sys.h - the rest of the OS contract: random bytes, the clock, fork.
 *
 * The same rules as os/map.h.
 */
#ifndef LOFTI_OS_SYS_H
#define LOFTI_OS_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Fills `data` with random bytes of the system's generator. Never short. */
int lofti_sys_random(void *data, size_t bytes);

/* Nanoseconds of a clock that only rises; for durations. */
uint64_t lofti_sys_now_ns(void);

/* Nanoseconds since 1970, UTC; for time stamps that a person reads. */
uint64_t lofti_sys_wall_ns(void);

/* Waits at least so long. */
void lofti_sys_sleep_ns(uint64_t ns);

/* Whether this thread is certainly the process's only one: nobody else can hold a lock. */
bool lofti_sys_is_lone(void);

/* Registers functions around fork, once per process for each caller; any may be NULL. They run
 * as pthread_atfork's do: prepare in reverse order of registration, the others in order. */
int lofti_sys_at_fork(void (*prepare)(void), void (*parent)(void), void (*child)(void));

#endif /* LOFTI_OS_SYS_H */
