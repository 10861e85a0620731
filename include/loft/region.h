/*
 * loft/region.h - tier 1, the raw tier: big memory mappings, of a file or anonymous.
 *
 * One mapping per call, meant for big buffers. Every address handed out lies at or above
 * LOFT_ADDRESS_MIN (4 GiB) and ends at or below 2^47, a checked fact. All functions are
 * thread-safe; a region must only not be closed, freed or resized while another thread works in
 * it. A forked child has every region of its parent: memory of loft_malloc is a copy, what is
 * LOFT_SHARED or of a file is shared. (A region that another thread was just closing or resizing
 * may be unknown or busy in the child.)
 *
 * Conventions: the object first, then inputs, outputs last; a length follows its pointer. `int`
 * results are 0 or a negative LOFT_E code, pointer results NULL on failure with errno set; either
 * way loft_last_code() and loft_last_error() tell (loft/error.h). Sizes and offsets are bytes,
 * 64 bits, checked before anything is touched: LOFT_EOVERFLOW. On failure nothing visible has
 * changed and nothing is left behind, unless the text says `Partial:`. Structs begin with
 * `struct_bytes`. Paths are UTF-8. Only regular files are mapped.
 *
 *   - A size of 0 is fine: an empty file, an empty region, with an address of its own and length 0.
 *   - Any byte offset is fine: the address handed out is that of the exact byte.
 *   - A range inside a region is (offset, bytes), and bytes 0 means "to the end", as in loft_open.
 *   - A function that takes a region takes its address as it was handed out. Any other (inner,
 *     closed, never seen) is LOFT_ENOENT, nothing touched. loft_region_query takes inner ones too.
 *   - loft_free is for memory, loft_close for files; the other way is LOFT_EINVAL.
 *   - No descriptor is kept, but for LOFT_GROW and LOFT_LOCK; none is inherited over exec.
 *   - Stores past the end of a file that somebody made shorter, or on a full disk into a hole of a
 *     file without LOFT_PREALLOCATE, end in SIGBUS; into a read-only region in SIGSEGV.
 *
 * Which flag goes where. y: allowed; =: allowed and always so; w: needs LOFT_WRITE beside it; c:
 * needs LOFT_COPY beside it. Everything else is LOFT_EINVAL.
 *
 *                   map  create  create_from  adopt  open  open_handle  resize  sync  protect
 *   LOFT_READ (0)    y     y         y          y      y        y          y      y      y
 *   LOFT_WRITE       =     =         =          =      y        y          .      .      y
 *   LOFT_COPY        .     .         .          .      y        y          .      .      .
 *   LOFT_GROW        .     y         y          y      w        w          y      .      .
 *   LOFT_TRUNCATE    .     y         y          .      .        .          y      .      .
 *   LOFT_KEEP        .     y         y          .      .        .          .      .      .
 *   LOFT_EXCLUSIVE   .     y         y          y      .        .          .      .      .
 *   LOFT_REPLACE     .     y         y          y      .        .          .      .      .
 *   LOFT_PREALLOCATE .     y         y          y      w        w          y      .      .
 *   LOFT_POPULATE    y     y         y          .      y        y          .      .      .
 *   LOFT_RANDOM      .     y         y          y      y        y          .      .      .
 *   LOFT_SHARED      y     .         .          .      .        .          .      .      .
 *   LOFT_ASYNC       .     y         y          y      w        w          .      y      .
 *   LOFT_HUGE        y     y         y          .      y        y          .      .      .
 *   LOFT_NORESERVE   y     .         .          .      c        c          .      .      .
 *   LOFT_INPLACE     .     .         .          .      .        .          y      .      .
 *   LOFT_LOCK        .     y         y          y      y        .          .      .      .
 *
 * Never together: LOFT_WRITE with LOFT_COPY; two of TRUNCATE, KEEP, EXCLUSIVE, REPLACE; LOFT_RANDOM
 * with LOFT_POPULATE or LOFT_HUGE.
 *
 * What is different on Windows: docs/platforms.md.
 *
 * Source: docs/regions.md.
 */
#ifndef LOFT_REGION_H
#define LOFT_REGION_H

#include <stddef.h>
#include <stdint.h>

#include "loft/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Seen by programs, whatever visibility the library itself is compiled with. */
#pragma GCC visibility push(default)

/* 4 GiB, bytes: no address of loft lies below. So 32-bit truncation of a pointer is never silent,
 * and the low 4 GiB stay free for those who need them (LuaJIT, 32-bit JIT code). */
#define LOFT_ADDRESS_MIN ((uint64_t)1 << 32)

enum loft_region_flags {
    LOFT_READ = 0,
    LOFT_WRITE = 1 << 0,     /* stores reach the file */
    LOFT_COPY = 1 << 1,      /* stores are allowed and stay private; the file never changes */
    LOFT_GROW = 1 << 2,      /* a range past the end grows the file, now and in loft_resize, for
                                  which one descriptor is kept (not of open_handle) */
    LOFT_TRUNCATE = 1 << 3,  /* create: an existing file is emptied first; resize: the file ends
                                  where the region ends */
    LOFT_KEEP = 1 << 4,      /* an existing file stays and only grows, if it is too short */
    LOFT_EXCLUSIVE = 1 << 5, /* the file must be new: what holds without any of these four, said */
    LOFT_REPLACE = 1 << 6,   /* an existing file is replaced, atomically, by a new one */
    LOFT_PREALLOCATE = 1 << 7, /* blocks are reserved now: a full disk is LOFT_ENOSPC, not SIGBUS */
    LOFT_POPULATE = 1 << 8,    /* map the pages now, not at first touch; a hint */
    LOFT_RANDOM = 1 << 9,      /* scattered small stores: loft_sync writes 4 KiB for a changed byte,
                                  not up to 2 MiB. Dear for sequential use: docs/regions.md */
    LOFT_SHARED = 1 << 10,     /* memory shared with forked children */
    LOFT_ASYNC = 1 << 11,      /* do not wait for the device, in sync, in close, in LOFT_REPLACE */
    LOFT_HUGE = 1 << 12,       /* use huge pages where they are to be had; a hint */
    LOFT_NORESERVE = 1 << 13,  /* not counted against the memory that the system promises out */
    LOFT_INPLACE = 1 << 14,    /* resize without moving, or fail */
    LOFT_LOCK = 1 << 15        /* hold the file's lock while the region is open: exclusive for
                                  writing, else shared; LOFT_EBUSY at once where another region or
                                  process holds it. Advisory; keeps one descriptor */
};

/* loft_advise. It works on the pages that the range touches; DONTNEED and FREE on those that lie
 * whole inside. */
enum loft_advice {
    LOFT_ADVICE_NORMAL = 0,
    LOFT_ADVICE_RANDOM = 1,     /* no read-ahead */
    LOFT_ADVICE_SEQUENTIAL = 2, /* much read-ahead */
    LOFT_ADVICE_WILLNEED = 3,   /* read it ahead now */
    LOFT_ADVICE_DONTNEED = 4,   /* memory and copies: the content is dropped, zeros or the file's
                                   bytes come back. Files: only unmapped, nothing is lost */
    LOFT_ADVICE_HUGE = 5,
    LOFT_ADVICE_NOHUGE = 6,
    LOFT_ADVICE_DONTFORK = 7, /* a forked child does not get the range */
    LOFT_ADVICE_DOFORK = 8,
    LOFT_ADVICE_DONTDUMP = 9, /* not into core dumps */
    LOFT_ADVICE_FREE = 10,    /* private memory: the content may be dropped when memory is short */
    LOFT_ADVICE_POPULATE = 11 /* make every page writable now */
};

enum loft_region_kind {
    LOFT_REGION_MEMORY = 1, /* of loft_malloc and its like: loft_free */
    LOFT_REGION_FILE = 2    /* of loft_create, loft_open, loft_adopt: loft_close */
};

typedef struct loft_region_info {
    uint32_t struct_bytes; /* sizeof(loft_region_info), set by the caller */
    uint32_t kind;         /* enum loft_region_kind */
    uint32_t flags;        /* enum loft_region_flags: those that still mean something, WRITE, COPY,
                              GROW, RANDOM, SHARED, ASYNC, HUGE, NORESERVE, LOCK */
    uint32_t reserved;     /* 0 */
    void *address;         /* its first byte */
    uint64_t bytes;        /* its length */
    uint64_t mapped_bytes; /* address space it takes: whole pages */
    uint64_t file_offset;  /* of its first byte; memory: 0 */
    uint64_t device;       /* with inode, which file it is (as of stat); memory: 0 */
    uint64_t inode;
} loft_region_info;

#define LOFT_REGION_INFO_INIT                                                                      \
    {                                                                                              \
        sizeof(loft_region_info), 0, 0, 0, NULL, 0, 0, 0, 0, 0                                     \
    }

/* --- Memory ------------------------------------------------------------------------------- */

/* Anonymous memory: zeroed, page-aligned, private; a forked child gets a copy.
 * In: bytes, 0 gives a region of length 0. calloc: count * bytes. malloc_from: data, `bytes` of it
 *   are copied; NULL only with 0. map: flags, see the table; loft_malloc(n) is loft_map(n, 0).
 * Returns: the address, or NULL: LOFT_ENOMEM, LOFT_EOVERFLOW, LOFT_EINVAL.
 * Owns: the caller, until loft_free. Threads: any. */
void *loft_malloc(size_t bytes);
void *loft_calloc(size_t count, size_t bytes);
void *loft_malloc_from(const void *data, size_t bytes);
void *loft_map(size_t bytes, unsigned flags);

/* Unmaps memory. NULL is fine.
 * Returns: 0, LOFT_ENOENT (not the address of a region), LOFT_EINVAL (a file's: loft_close),
 *   LOFT_EBUSY (another thread is resizing or adopting it), LOFT_ENOMEM (the process has too many
 *   mappings for the system to split one; the region stays). Threads: any. */
int loft_free(void *address);

/* --- Files -------------------------------------------------------------------------------- */

/* Creates a file of `bytes` zeros (create_from: of a copy of data) and maps it, writable.
 * In: path; its folder must exist. A symbolic link in its place is not followed: LOFT_EINVAL
 *   (LOFT_REPLACE replaces the link). The mode is 0644 & ~umask. bytes: the length of file and
 *   region; with LOFT_KEEP an existing longer file stays longer. flags: without TRUNCATE, KEEP or
 *   REPLACE an existing file is LOFT_EEXIST.
 * Atomic: with LOFT_REPLACE: whoever opens `path`, also after a crash, finds the old file or the
 *   new one, whole. Partial: with LOFT_TRUNCATE a failure after the old content was dropped leaves
 *   the file empty or short; with LOFT_REPLACE, if the folder cannot be flushed (LOFT_EIO), the new
 *   file is in place.
 * Durable: no; after loft_sync or loft_close the content is. LOFT_REPLACE: content and name are,
 *   for two flushes (LOFT_ASYNC: none, it is then atomic but not durable).
 * Returns: the address, or NULL: LOFT_EEXIST, LOFT_ENOENT, LOFT_EACCES, LOFT_EINVAL (flags, a
 *   folder, FIFO or device), LOFT_ENOSPC (PREALLOCATE, data, file size limit), LOFT_EBUSY
 *   (LOFT_LOCK), LOFT_ENOMEM, LOFT_EOVERFLOW, LOFT_ENOTSUP (PREALLOCATE on a file system that
 *   cannot), LOFT_EIO.
 * Owns: the caller, until loft_close. Threads: any. */
void *loft_create(const char *path, size_t bytes, unsigned flags);
void *loft_create_from(const char *path, const void *data, size_t bytes, unsigned flags);

/* Maps an existing file, or a part of it.
 * In: path, symbolic links are followed. file: a descriptor (Windows: a HANDLE) of a regular file,
 *   open for reading, for LOFT_WRITE also for writing; it is not kept, the caller may close it at once. offset: any
 *   byte. bytes: 0 to the end. Beyond the end: LOFT_ERANGE, or with LOFT_GROW the file grows.
 * Out: *mapped, the region's length; may be NULL; not touched on failure.
 * Durable: the growth, after loft_sync or loft_close. With LOFT_WRITE | LOFT_RANDOM the file's
 *   unwritten pages are flushed and its cached ones dropped first: docs/regions.md.
 * Returns: the address of the byte at `offset`, or NULL: LOFT_ENOENT, LOFT_EACCES, LOFT_EINVAL,
 *   LOFT_ERANGE, LOFT_EOVERFLOW, LOFT_ENOMEM, LOFT_EBUSY (LOFT_LOCK), LOFT_ENOSPC, LOFT_EIO.
 * Owns: the caller, until loft_close. Threads: any. */
void *loft_open(const char *path, unsigned flags, uint64_t offset, size_t bytes, size_t *mapped);
void *loft_open_handle(intptr_t file, unsigned flags, uint64_t offset, size_t bytes,
                       size_t *mapped);

/* Makes existing memory the mapping of a new file, in place: content and address are kept.
 * In: memory: page-aligned, mapped, readable, inside [LOFT_ADDRESS_MIN, 2^47); not a part of
 *   another region, but a whole one of loft_malloc is welcome. bytes: more than 0; what the last
 *   page holds beyond is lost. Stores that other threads make during the call may be lost. Memory
 *   that was shared with other processes is so no longer. flags: LOFT_REPLACE, or an existing file
 *   is LOFT_EEXIST.
 * Atomic, Durable: as loft_create_from; on failure the memory is as before. Partial: as there.
 * Returns: 0, LOFT_EADDRESS (memory lies too low or high), LOFT_EINVAL (alignment, 0 bytes, not
 *   readable, part of a region), and as loft_create_from.
 * Owns: the memory is loft's from then on, until loft_close. Threads: any. */
int loft_adopt(const char *path, void *memory, size_t bytes, unsigned flags);

/* Writes back what was stored (LOFT_WRITE without LOFT_ASYNC) and unmaps.
 * Partial: always releases, whatever writing back says.
 * Durable: yes, unless LOFT_ASYNC: writes what is dirty and one flush, also when nothing was
 *   stored. A region opened for reading costs neither.
 * Returns: 0, LOFT_ENOENT, LOFT_EINVAL (memory: loft_free), LOFT_EBUSY (another thread is closing
 *   or resizing it), LOFT_EIO, LOFT_ENOSPC (not written back), LOFT_ENOMEM (as loft_free). Threads:
 *   any. */
int loft_close(void *address);

/* Writes a range back to the device and waits; LOFT_ASYNC: lets the system do it in its own time.
 * Nothing to do for memory, read-only regions and copies: 0.
 * Durable: yes, without LOFT_ASYNC: the dirty pages of the range and one flush.
 * Returns: 0, LOFT_ENOENT, LOFT_ERANGE, LOFT_EINVAL, LOFT_EIO, LOFT_ENOSPC. After a failure what is
 *   on the device is unknown; calling again does not help, as the system forgets. Threads: any. */
int loft_sync(void *address, size_t offset, size_t bytes, unsigned flags);

/* --- Both --------------------------------------------------------------------------------- */

/* Changes a region's length. The content up to the smaller length is kept, new memory is zero.
 * In: flags: LOFT_INPLACE: do not move. Of files: a longer region needs one that was made with
 *   LOFT_GROW (else LOFT_ENOTSUP), and must end inside the file (else LOFT_ERANGE), or with
 *   LOFT_GROW the file grows; LOFT_PREALLOCATE reserves its blocks; LOFT_TRUNCATE makes the file
 *   end where the region then ends. Shrinking a region without it leaves the file as it is.
 * Partial: with LOFT_TRUNCATE, if the region then cannot be resized, what was cut off reads as
 *   zeros.
 * Durable: the file's size, after loft_sync or loft_close.
 * Returns: where the region lies now, or NULL and the region is as it was: LOFT_ENOMEM (also: no
 *   room in place), LOFT_ENOENT, LOFT_EINVAL (also: its pages were given different protection or
 *   advice), LOFT_EBUSY, LOFT_ENOTSUP (also: shared memory cannot grow), LOFT_ERANGE,
 *   LOFT_EOVERFLOW, LOFT_ENOSPC.
 * Threads: any, but nobody may use the region meanwhile. */
void *loft_resize(void *address, size_t bytes, unsigned flags);

/* Tells the system how a range will be used. In: advice, enum loft_advice. Advice that the system
 * does not know is LOFT_EINVAL. Returns: 0, LOFT_ENOENT, LOFT_ERANGE, LOFT_EINVAL, LOFT_ENOMEM,
 * LOFT_EREADONLY (POPULATE of a read-only region). Threads: any. */
int loft_advise(void *address, size_t offset, size_t bytes, unsigned advice);

/* Makes every page that a range touches read-only (LOFT_READ) or writable again (LOFT_WRITE).
 * Returns: 0, LOFT_ENOENT, LOFT_ERANGE, LOFT_EINVAL, LOFT_ENOMEM, LOFT_EREADONLY (opened for
 *   reading).
 * Threads: any. */
int loft_protect(void *address, size_t offset, size_t bytes, unsigned flags);

/* Keeps every page that a range touches in memory (on: not 0), or no longer. Locks do not nest.
 * Returns: 0, LOFT_ENOENT, LOFT_ERANGE, LOFT_ENOMEM or LOFT_EACCES (limit). Threads: any. */
int loft_lock_memory(void *address, size_t offset, size_t bytes, int on);

/* Tells of the region that an address lies in.
 * In: address: any byte of a region. out->struct_bytes. Out: *out, up to struct_bytes.
 * Returns: 0, LOFT_ENOENT, LOFT_EINVAL. Threads: any; takes no lock. */
int loft_region_query(const void *address, loft_region_info *out);

/* The system's page size, bytes. Threads: any. */
size_t loft_page_bytes(void);

/* --- Typed ---------------------------------------------------------------------------------- */

/* Arrays: count * item_bytes is checked. open_array maps the whole file; Out: *count, the items
 * that are whole in it; may be NULL. Otherwise as loft_create and loft_open. */
void *loft_create_array(const char *path, size_t count, size_t item_bytes, unsigned flags);
void *loft_open_array(const char *path, unsigned flags, size_t item_bytes, size_t *count);

#define LOFT_MALLOC_ARRAY(type, count) ((type *)loft_calloc((count), sizeof(type)))
#define LOFT_CREATE_ARRAY(path, type, count, flags)                                                \
    ((type *)loft_create_array((path), (count), sizeof(type), (flags)))
#define LOFT_OPEN_ARRAY(path, type, flags, count)                                                  \
    ((type *)loft_open_array((path), (flags), sizeof(type), (count)))

/* A variable declared so is freed or closed at the end of its scope:
 *     LOFT_AUTO_FREE double *buffer = LOFT_MALLOC_ARRAY(double, 1000);
 * NULL is fine. Failures are told by loft_last_error alone; close explicitly, and set the variable
 * to NULL, where you want the code. `variable` is the variable's address. errno is kept. */
void loft_auto_free(void *variable);
void loft_auto_close(void *variable);
#if defined(__GNUC__) || defined(__clang__)
#define LOFT_AUTO_FREE  __attribute__((cleanup(loft_auto_free)))
#define LOFT_AUTO_CLOSE __attribute__((cleanup(loft_auto_close)))
#endif

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* LOFT_REGION_H */
