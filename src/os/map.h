/*
 * os/map.h - the memory half of the OS contract.
 *
 * Rules for every function:
 *   - 0 on success or a negative errno value; on failure nothing is mapped that was not before;
 *   - addresses, offsets and sizes are multiples of the page size and sizes not 0, unless said
 *     otherwise: -EINVAL; where mappings begin, in memory and in the file, is a multiple of the granule;
 *   - what is handed out lies at or above LOFTI_MAP_LOW and ends at or below LOFTI_MAP_HIGH: a
 *     checked postcondition, never an assumption. The kernel chooses first; an answer outside
 *     is given back and asked for again at rising hints with MAP_FIXED_NOREPLACE, whose result is
 *     compared (old kernels, qemu and Valgrind ignore the flag): -ENOMEM if nothing is to be had;
 *   - no mapping is ever executable;
 *   - thread-safe, as mmap is.
 */
#ifndef LOFTI_OS_MAP_H
#define LOFTI_OS_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/file.h"

#define LOFTI_MAP_LOW  ((uint64_t)1 << 32) /* 4 GiB: LOFT_ADDRESS_MIN */
#define LOFTI_MAP_HIGH ((uint64_t)1 << 47) /* programs pack pointers into 47 bits */

enum lofti_map_flags {
    LOFTI_MAP_READ = 0,            /* readable always, but for RESERVE */
    LOFTI_MAP_WRITE = 1u << 0,     /* readable and writable */
    LOFTI_MAP_RESERVE = 1u << 1,   /* PROT_NONE: address space only */
    LOFTI_MAP_SHARED = 1u << 2,    /* stores reach the file, or the forked child; else private */
    LOFTI_MAP_NORESERVE = 1u << 3, /* not counted against the commit limit */
    LOFTI_MAP_POPULATE = 1u << 4
};

/* One mapping of this process, as the system describes it. */
typedef struct lofti_map_area {
    uint64_t start, end;
    bool readable, writable, executable;
    bool shared;      /* stores are seen by others; else private */
    bool file;        /* backed by a file; else anonymous */
    const char *name; /* a path, "[heap]", or empty; valid during the call only */
} lofti_map_area;

/* Non-zero stops the walk and is its result. It may not map, unmap or walk. */
typedef int lofti_map_area_fn(void *context, const lofti_map_area *area);

/* The primitive calls, replaceable by tests (refused memory, a small or crowded address space).
 * Each is one system call; `at` with `fixed` maps over whatever is there, without it is a hint
 * that must be met exactly or refused (MAP_FIXED_NOREPLACE) unless NULL. `handle` -1: anonymous. */
typedef struct lofti_map_ops {
    int (*map)(void *at, bool fixed, size_t bytes, unsigned flags, intptr_t handle, uint64_t off,
               void **out);
    /* -EOPNOTSUPP where a reservation cannot be unmapped in part. */
    int (*unmap)(void *at, size_t bytes);
    /* mremap: in place, or, with may_move, to anywhere (`to` NULL) or exactly `to`. -EOPNOTSUPP: the system makes
     * nothing longer; os/map.c then maps it anew. */
    int (*remap)(void *at, size_t old_bytes, size_t new_bytes, bool may_move, void *to, void **out);
    int (*protect)(void *at, size_t bytes, unsigned flags); /* RESERVE, READ or WRITE */
    int (*advise)(void *at, size_t bytes, int advice);      /* enum lofti_map_advice */
    int (*sync)(void *at, size_t bytes, bool wait);
    int (*lock)(void *at, size_t bytes, bool on);
    /* Calls fn for every mapping of the process, in rising order. NULL, or a negative answer:
     * it cannot be known (no /proc). */
    int (*walk)(lofti_map_area_fn *fn, void *context);
} lofti_map_ops;

const lofti_map_ops *lofti_map_ops_system(void);
/* Asked anew at each call, powers of two: what lofti_map_page_bytes and lofti_map_granule_bytes remember. */
size_t lofti_map_system_page_bytes(void);
size_t lofti_map_system_granule_bytes(void);

void lofti_map_ops_set(const lofti_map_ops *ops); /* for tests: NULL restores the system's */

enum lofti_map_advice {
    LOFTI_ADVICE_NORMAL = 0,
    LOFTI_ADVICE_RANDOM,
    LOFTI_ADVICE_SEQUENTIAL,
    LOFTI_ADVICE_WILLNEED,
    LOFTI_ADVICE_DONTNEED, /* private memory: content dropped (file content or zeros come back); -EOPNOTSUPP
                              where the system may as well keep it */
    LOFTI_ADVICE_HUGE,
    LOFTI_ADVICE_NOHUGE,
    LOFTI_ADVICE_DONTFORK, /* a forked child does not get the range; -EOPNOTSUPP: it always does */
    LOFTI_ADVICE_DOFORK,
    LOFTI_ADVICE_DONTDUMP,
    LOFTI_ADVICE_FREE,
    LOFTI_ADVICE_POPULATE_WRITE
};

/* How large the address space is, in bits: a power of two below which something can be mapped in the upper half, and
 * above which nothing can, as far as LOFTI_MAP_HIGH. Found by trying, once per process (one page, given back at once). Where
 * nothing at all can be mapped it is not known: LOFTI_MAP_BITS_MAX. */
#define LOFTI_MAP_BITS_MIN 36u
#define LOFTI_MAP_BITS_MAX 47u
unsigned lofti_map_bits(void);

size_t lofti_map_page_bytes(void);
/* For tests: from now on pages count as so large, a power of two; 0: as the system's. */
void lofti_map_page_pretend(size_t bytes);
/* Mappings begin at multiples of it: the page size, or (Windows) more. A power of two. */
size_t lofti_map_granule_bytes(void);
/* Whether a file can be mapped over what the caller has there. Where it cannot, lofti_map_over
 * with a file is -EOPNOTSUPP: no memory becomes a file's in place, and no arena lies in a file. */
bool lofti_map_can_overlay(void);

/* Maps `bytes` anywhere in [LOW, HIGH). `file` NULL: anonymous and zeroed. `off` is a multiple of
 * the granule. `alignment` is 0 or a power of two. */
int lofti_map_place(size_t bytes, size_t alignment, unsigned flags, const lofti_file *file,
                    uint64_t off, void **out);
/* The same at exactly `at`: -EEXIST if any of it is taken, or if the system moved it. */
int lofti_map_at(void *at, size_t bytes, unsigned flags, const lofti_file *file, uint64_t off);
/* Maps over part of what the caller owns already (MAP_FIXED). Failed, the range may still hold what
 * it held, or nothing: the system may drop the old mapping before it finds the new one impossible. */
int lofti_map_over(void *at, size_t bytes, unsigned flags, const lofti_file *file, uint64_t off);
int lofti_map_release(void *at, size_t bytes);
/* Resizes; *out is where it lies now. may_move false: -ENOMEM when it cannot stay. -EFAULT: to the
 * system it is several mappings (parts differ in protection or advice), which cannot be resized
 * as one. Failed, the old range is as it was. `source` is what it was mapped from; systems that have no call for it map
 * that anew, and copy private memory, page by page where it is not zero: what is moved there has the source's
 * protection and no advice. NULL: it gets shorter. */
typedef struct lofti_map_source {
    unsigned flags;
    const lofti_file
        *file; /* NULL: anonymous. A private mapping of a file gets no longer: -EOPNOTSUPP */
    uint64_t off;
} lofti_map_source;
int lofti_map_resize(void *at, size_t old_bytes, size_t new_bytes, bool may_move,
                     const lofti_map_source *source, void **out);
int lofti_map_protect(void *at, size_t bytes, unsigned flags);
int lofti_map_advise(void *at, size_t bytes, int advice);
/* Drops the content of private anonymous memory, so that it is zero: by LOFTI_ADVICE_DONTNEED, or where that is
 * -EOPNOTSUPP by mapping over it with these flags. */
int lofti_map_drop(void *at, size_t bytes, unsigned flags);
int lofti_map_sync(void *at, size_t bytes, bool wait);
int lofti_map_lock(void *at, size_t bytes, bool on);

/* Calls fn for every mapping that meets [at, at + bytes), in rising order, any alignment.
 * -ENOTSUP: the system does not tell. */
int lofti_map_each(const void *at, size_t bytes, lofti_map_area_fn *fn, void *context);
/* Whether lofti_map_each calls fn for address space that is only held (LOFTI_MAP_RESERVE), wherever it lies. An emulator
 * that holds its program's whole address space may list it only between other mappings. Tried at each call. */
bool lofti_map_lists_held(void);

/* Tells in words what occupies [at, at + bytes) in this process ("/path/of/file", "[stack]",
 * "anonymous memory at 0x..."); empty text if nothing does or it cannot be known. True: the text is
 * the name of a file. */
bool lofti_map_holder(const void *at, size_t bytes, char *text, size_t text_bytes);

#endif /* LOFTI_OS_MAP_H */
