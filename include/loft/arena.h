/*
 * loft/arena.h - tier 2: a persistent heap in a file.
 *
 * A program opens an arena, allocates in it as with malloc, links its structures with plain C
 * pointers and commits. Whatever crashes, the file is exactly the last commit; opening it again
 * maps it at the same address, so every pointer still holds.
 *
 * Conventions: the object first, then inputs, then outputs; a length follows its pointer. `int`
 * results are 0 or a negative LOFT_E code, pointer results NULL on failure (loft/error.h). Sizes
 * and offsets are bytes, 64 bits. On failure nothing visible has changed, unless the text says
 * `Partial:`. Structs begin with `struct_bytes`: set it to sizeof before the call.
 *
 * Rules that hold everywhere:
 *   - Commit and threads. While another thread may commit, everything that changes the arena (stores,
 *     malloc, free, roots) is legal only inside a mutation section, between loft_arena_enter and
 *     loft_arena_leave; the library's calls do not enter by themselves. A commit waits until every
 *     thread is out, takes what it finds, and lets them in again before it writes. A section is a batch
 *     (a transfer, a request), not a store. Enter before taking locks of your own. A program with one
 *     thread, or one whose threads are quiet when it commits, needs none.
 *   - Fork. A file arena stays with the parent: a child does not have its memory, and every call in
 *     the child on the parent's handle answers LOFT_EFORKED. The child may open the file read-only.
 *     An anonymous arena forks like malloc's memory. Become a daemon first, open then.
 *   - Rollback. Blocks allocated and roots set since the last commit are gone; pointers to such
 *     blocks are dangling, blocks freed since then live again.
 *   - Anonymous arenas (path NULL) have no commit, no rollback and no checkpoint: LOFT_ENOTSUP.
 *   - Nothing of a process may be stored for later: no function pointers, descriptors, locks,
 *     addresses outside the arena.
 *   - Dirty memory between two commits is anonymous memory and counts as such.
 *
 * Source: docs/durability.md (protocol and promises), docs/format.md (the file), docs/heap.md.
 */
#ifndef LOFT_ARENA_H
#define LOFT_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "loft/error.h"
#include "loft/region.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Seen by programs, whatever visibility the library itself is compiled with. */
#pragma GCC visibility push(default)

/* Called without a detour through the linker's table, a tenth of what such a call costs; compilers that
 * cannot do so call as ever. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define LOFT_HOT __attribute__((noplt))
#else
#define LOFT_HOT
#endif

typedef struct loft_arena loft_arena;

enum loft_durability {
    LOFT_DURABLE = 1, /* commit returns when the change is on the device; the default */
    LOFT_ORDERED = 2  /* it does not wait: as loft_arena_commit_async */
};

/* loft_arena_open. The values are shared with the raw tier where the names are
 * (LOFT_WRITE, LOFT_EXCLUSIVE: loft/region.h). */
enum loft_arena_flags {
    LOFT_CREATE = 1 << 20,    /* make the arena if there is none; implies LOFT_WRITE */
    LOFT_RELOCATE = 1 << 21,  /* if its address is taken, map it elsewhere, read-only */
    LOFT_UNTRUSTED = 1 << 22, /* the file may be hostile: check all of it before it is used */
    LOFT_VERIFY =
        1 << 23, /* every commit compares every page: finds what escapes the tracker; slow */
    LOFT_ALLOW_REMOTE =
        1 << 24 /* accept a network file system, where locks and flushes are weaker */
};

/* Told that more than options.max_dirty_bytes of memory wait for a commit or a checkpoint; once until the next commit.
 * It runs in the thread that allocates, inside the heap: it may set a flag, not call loft. */
typedef void loft_dirty_fn(void *context, uint64_t dirty_bytes);

typedef struct loft_arena_options {
    uint32_t struct_bytes;  /* sizeof(loft_arena_options) */
    uint32_t durability;    /* enum loft_durability; 0: LOFT_DURABLE */
    uint64_t base;          /* creation: the arena's address, a multiple of 4 MiB; 0: chosen */
    uint64_t reserve_bytes; /* address space to hold for growth; 0: 1 TiB, less if refused */
    /* A commit that leaves the journal longer than this checkpoints; 0: 64 MiB. */
    uint64_t journal_limit_bytes;
    /* How long a commit waits for mutation sections to end; 0: 10,000. */
    uint64_t gate_timeout_ms;
    /* Memory that may wait for a commit or a checkpoint: a commit that leaves more checkpoints, and dirty_fn, which
     * may be NULL, is called when growth exceeds it. 0: no limit. */
    uint64_t max_dirty_bytes;
    loft_dirty_fn *dirty_fn;
    void *dirty_context;
} loft_arena_options;

#define LOFT_ARENA_OPTIONS_INIT                                                                    \
    {                                                                                              \
        sizeof(loft_arena_options), 0, 0, 0, 0, 0, 0, NULL, NULL                                   \
    }

/* How changed pages are found; loft_arena_info.tracker. */
enum loft_tracker {
    LOFT_TRACKER_PRIVATE = 1, /* hashes of private pages: any Linux */
    LOFT_TRACKER_WP_ASYNC = 2 /* the kernel's write tracking (6.7 and later) */
};

/* Where a block lies. */
enum loft_block_kind {
    LOFT_BLOCK_NONE = 0, /* a cursor before its first step */
    LOFT_BLOCK_SLAB = 1, /* one of equal blocks */
    LOFT_BLOCK_SPAN = 2, /* whole pages of its own */
    LOFT_BLOCK_POOL = 3  /* memory of a bump pool, counted as one block */
};

typedef struct loft_block {
    uint32_t struct_bytes; /* sizeof(loft_block) */
    uint32_t kind;         /* enum loft_block_kind */
    void *address;         /* its first byte, in this process */
    uint64_t bytes;        /* usable size */
} loft_block;

/* One finding of a check. */
typedef struct loft_fault {
    uint32_t struct_bytes; /* sizeof(loft_fault) */
    int32_t code;          /* LOFT_ECORRUPT, ... */
    uint64_t offset;       /* where, in bytes from the arena's base (= in the file) */
    const char *text;      /* one sentence; valid during the call */
} loft_fault;

typedef struct loft_arena_statistics {
    uint32_t struct_bytes;     /* sizeof(loft_arena_statistics) */
    uint32_t thread_count;     /* thread heaps alive */
    uint64_t live_blocks;      /* what malloc gave and free did not take back */
    uint64_t live_bytes;       /* their usable bytes */
    uint64_t heap_bytes;       /* chunks that the heap has claimed */
    uint64_t metadata_bytes;   /* of it, descriptors and bitmaps */
    uint64_t slab_bytes;       /* of it, pages in slabs */
    uint64_t span_bytes;       /* of it, pages in spans */
    uint64_t free_bytes;       /* of it, pages in neither */
    uint64_t commit_count;     /* commits of this handle that wrote something */
    uint64_t committed_pages;  /* page records they wrote */
    uint64_t committed_bytes;  /* journal bytes they wrote */
    uint64_t checkpoint_count; /* checkpoints of this handle, recovery included */
    uint64_t journal_bytes;    /* journal in use now */
    uint64_t file_bytes;       /* size of the file */
    uint64_t snapshot_count;   /* snapshots that this handle has made */
    uint64_t snapshot_held_ns; /* the longest time that one kept mutation sections waiting */
    /* How long commits, rollbacks and checkpoints kept mutation sections waiting: the latest, the longest, all. */
    uint64_t pause_last_ns, pause_max_ns, pause_total_ns;
    uint64_t pause_count;
    uint64_t missed_pages; /* LOFT_VERIFY: pages that changed and that the tracker had not seen */
    uint64_t
        slab_free_bytes;     /* of slab_bytes, blocks that are free, and rests: loss inside slabs */
    uint64_t free_run_bytes; /* of free_bytes, the longest run: what fits without growing */
    uint64_t mapped_bytes;   /* memory mapped for the heap, from the file or not */
    uint64_t
        private_bytes; /* of it, held in memory for this process alone: changed, or without a file */
    uint64_t table_bytes; /* address space of the volatile tables beside the heap */
} loft_arena_statistics;

/* One size class. */
typedef struct loft_class_statistics {
    uint32_t struct_bytes; /* sizeof(loft_class_statistics) */
    uint32_t block_bytes;  /* of each of its blocks */
    uint64_t slab_count;
    uint64_t slab_bytes;  /* pages of its slabs */
    uint64_t block_count; /* blocks in its slabs, live or free */
    uint64_t live_count;  /* of them, live */
} loft_class_statistics;

typedef struct loft_arena_info {
    uint32_t struct_bytes;   /* sizeof(loft_arena_info) */
    uint32_t format_version; /* of the file */
    uint8_t uuid[16];
    uint64_t base;          /* the address it wants to be at */
    uint64_t mapped_at;     /* where it is in this process; 0 from loft_file_describe */
    uint64_t reserve_bytes; /* address space held; 0 from loft_file_describe */
    uint64_t file_bytes;    /* size of the file; 0: anonymous */
    uint64_t stored_bytes;  /* blocks that the file takes on the device */
    uint64_t sequence;      /* of the last commit */
    uint64_t journal_bytes; /* journal that waits for a checkpoint */
    uint64_t frontier;      /* end of all pages that any commit has covered */
    uint32_t tracker;       /* enum loft_tracker; 0: a reader, anonymous, loft_file_describe */
    uint32_t reserved;      /* 0 */
} loft_arena_info;

typedef int loft_root_fn(void *context, const char *name, void *block);         /* non-0 stops */
typedef int loft_block_fn(void *context, const loft_block *block);              /* non-0 stops */
typedef int loft_report_fn(void *context, const loft_fault *fault);             /* non-0 stops */
typedef int loft_class_fn(void *context, const loft_class_statistics *figures); /* non-0 stops */
/* How far a copy is, in bytes; called every MiB or so, first with done 0, last with done == total; non-0 cancels. */
typedef int loft_progress_fn(void *context, uint64_t done, uint64_t total);

/* Opens or creates an arena.
 * In: path, UTF-8, NULL for an anonymous arena (then flags are ignored but for LOFT_CREATE). flags:
 *   LOFT_CREATE open or create, LOFT_EXCLUSIVE with it: it must be new; LOFT_WRITE open for change;
 *   neither: read-only. LOFT_UNTRUSTED: the address that the file asks for must lie where loft puts arenas, and
 *   everything that loft_arena_check knows is checked first (LOFT_ECORRUPT), at a cost in the heap's metadata;
 *   provided that nobody changes the file meanwhile. Stored pointers are the program's to judge. options: NULL for
 *   the defaults.
 * Out: *out, the handle; NULL on failure.
 * Atomic: yes. A new file appears under its name whole (mode 0600) or not at all.
 * Durable: creation: 3 flushes. An existing arena whose journal is not empty is recovered: its
 *   last commit is copied, applied and flushed (4 flushes), at a cost in its journal's length. A
 *   read-only open of such an arena overlays the journal in memory and writes nothing.
 * Returns: 0, LOFT_ENOENT, LOFT_EEXIST, LOFT_EACCES, LOFT_EBUSY (another writer has it),
 *   LOFT_EADDRESS (its place is taken; the sentence names by what), LOFT_ECORRUPT (with the offset),
 *   LOFT_EVERSION, LOFT_EINVAL (not a regular file, bad options), LOFT_ENOTSUP (a network file system),
 *   LOFT_ENOSPC, LOFT_EIO, LOFT_ENOMEM. After a failure nothing is left behind.
 * Owns: the caller must end the handle by loft_arena_close or loft_arena_abandon.
 * Threads: any.
 * Source: docs/format.md "Opening", docs/durability.md "Recovery". */
int loft_arena_open(const char *path, unsigned flags, const loft_arena_options *options,
                    loft_arena **out);

/* The same heap over memory of the caller's: a buffer, a block of another arena, a region of loft_malloc,
 * loft_create or loft_open, a part of any of them. It has no file of its own: commit, rollback and
 * checkpoint are LOFT_ENOTSUP, and what becomes of the memory is its owner's business.
 * In: memory, 16-byte aligned; bytes, at least 64 KiB, of which whole pages are used (of a rest behind the
 *   last whole 4 MiB only if it is 64 KiB or more). flags: LOFT_CREATE lays a new heap out there, whatever the memory
 *   holds; with LOFT_EXCLUSIVE not if a heap is there already. Without it the heap that is there is attached, wherever
 *   it lies now: to be changed with LOFT_WRITE, else read-only, for which the memory need not be writable. options:
 *   NULL, or gate_timeout_ms; and base, the address at which `memory` lay when pointers were stored in it, for
 *   loft_arena_resolve.
 * Out: *out, the handle; NULL on failure.
 * Atomic: yes, but that LOFT_CREATE on LOFT_ENOMEM (Partial:) may leave an empty heap in the memory.
 * Durable: as the memory. What a process killed in the middle leaves in a shared file is a whole heap, with what
 *   it had stored by then.
 * Returns: 0, LOFT_EINVAL, LOFT_EEXIST, LOFT_EBUSY (an open arena has the memory, or part of it), LOFT_ECORRUPT (no heap
 *   is there, or it is damaged or cut off; with the offset), LOFT_EVERSION, LOFT_ENOMEM.
 * Owns: the memory stays the caller's, must outlive the handle and not move meanwhile. loft_arena_close and
 *   loft_arena_abandon both release the handle alone.
 *   Where the memory is not page-aligned, aligned_alloc gives no more alignment than it has (LOFT_EINVAL); moved
 *   memory keeps what its new place has. Offsets (loft_offset) are counted from 4 MiB before the memory:
 *   they are those of the same heap in an arena file, and loft_arena_info.base and mapped_at are that address.
 *   Fork: as the memory. Where the child has a copy, both may use theirs; where both share it, only one may go on; where
 *   the child lacks it, its handle is LOFT_EFORKED.
 * Threads: any. Source: docs/format.md "Over memory". */
int loft_arena_over(void *memory, size_t bytes, unsigned flags, const loft_arena_options *options,
                    loft_arena **out);

/* Commits, checkpoints and releases the arena. An anonymous arena is just released.
 * Durable: as commit and checkpoint together.
 * Returns: 0; if the commit fails its code, and the arena stays open: retry or abandon. LOFT_EPENDING:
 *   committed and released, but a reader or a full disk held the checkpoint off; the next open does
 *   it. Releasing a poisoned arena answers LOFT_EPOISONED and leaves it open: abandon it.
 * Threads: one; nobody may use the arena any more. */
int loft_arena_close(loft_arena *arena);

/* Releases the arena without committing. In a forked child it releases the child's handle.
 * Durable: the file stays as the last commit left it. Returns: 0 always, or LOFT_EINVAL for NULL. */
int loft_arena_abandon(loft_arena *arena);

/* Allocates. Blocks are 16-byte aligned; 0 bytes give a unique block. malloc's content is undefined,
 * calloc's is zero. realloc keeps the content up to the smaller size, may move, NULL allocates, and
 * bytes 0 frees and returns NULL with no error recorded. aligned_alloc: alignment is a power of two up to 2 MiB.
 * Atomic: yes. Durable: with the next commit.
 * Returns: NULL with LOFT_ENOMEM (reserve or memory used up), LOFT_EOVERFLOW, LOFT_EREADONLY,
 *   LOFT_EFORKED, LOFT_EINVAL (alignment).
 * Owns: the caller, until loft_arena_free. Threads: any. Source: docs/heap.md. */
LOFT_HOT void *loft_arena_malloc(loft_arena *arena, size_t bytes);
void *loft_arena_calloc(loft_arena *arena, size_t count, size_t bytes);
void *loft_arena_realloc(loft_arena *arena, void *block, size_t bytes);
void *loft_arena_aligned_alloc(loft_arena *arena, size_t alignment, size_t bytes);

/* Frees a block; NULL is fine. Never touches the block's own pages. A pointer that is not a live block
 * of this arena is misuse (loft/error.h), found before anything changes.
 * Atomic: yes. Durable: with the next commit. Threads: any, also another than allocated. */
LOFT_HOT void loft_arena_free(loft_arena *arena, void *block);

/* The bytes that may be used from `block` on, at least what was asked for. 0 for NULL.
 * A pointer that is not a live block is misuse. Threads: any. */
size_t loft_arena_usable_size(const loft_arena *arena, const void *block);

/* Copies of a string, of bytes; as malloc. */
char *loft_arena_strdup(loft_arena *arena, const char *text);
void *loft_arena_memdup(loft_arena *arena, const void *data, size_t bytes);

/* The open arena whose reserved range holds the address, of nested ones the inner; NULL: none. Threads: any; the answer is
 * good while that arena stays open. */
loft_arena *loft_arena_of(const void *address);

/* Names a block, so that it is found after the next open; NULL removes the name.
 * In: name, 1 to 255 bytes, no further meaning. block: any address inside the arena.
 * Atomic: yes. Durable: with the next commit.
 * Returns: 0, LOFT_EINVAL (name), LOFT_ERANGE (address outside the arena), LOFT_ENOENT (removing what
 *   is not there), LOFT_ENOMEM, LOFT_EREADONLY, LOFT_EFORKED. Threads: any. */
int loft_arena_set_root(loft_arena *arena, const char *name, void *block);

/* The address that `name` stands for; NULL with LOFT_ENOENT if there is none. Threads: any. */
void *loft_arena_root(const loft_arena *arena, const char *name);

/* Calls fn for every root, in no order. fn must not set roots. Returns 0, what fn returned, or a
 * failure. `name` is valid during the call. Threads: any; set_root waits meanwhile. */
int loft_arena_each_root(loft_arena *arena, loft_root_fn *fn, void *context);

/* Makes every change since the last commit durable, all or nothing.
 * Atomic: yes, against any crash. Durable: one write and one flush for a small commit; a commit that
 *   overflows the journal limit checkpoints (4 flushes more). Nothing changed: no write, no flush.
 * Returns: 0. LOFT_ENOSPC, LOFT_EIO on a write, LOFT_ENOMEM: nothing lost, the previous commit stands,
 *   the next commit includes everything. LOFT_EPOISONED: a flush failed; whether this commit is on the disk is
 *   unknown; only reading and abandon are allowed. LOFT_EREADONLY, LOFT_ENOTSUP, LOFT_EFORKED.
 *   LOFT_EPENDING: durable, but the checkpoint that was due could not be done. LOFT_EBUSY: a thread stayed in its
 *   mutation section longer than options.gate_timeout_ms; nothing changed.
 * Threads: any, one after the other; the others outside or in sections. Inside one's own section: misuse. Source: docs/durability.md. */
int loft_arena_commit(loft_arena *arena);

/* As loft_arena_commit, but returns before the change is durable. Out: *sequence, may be NULL: the number to
 * wait for. Durable: one write; the flush comes with loft_arena_wait, the next durable commit, a checkpoint or
 * close. Commits become durable in order: after a power cut the arena is as of some commit not older than the last
 * flush, never a mixture. After a mere kill of the program nothing is lost. */
int loft_arena_commit_async(loft_arena *arena, uint64_t *sequence);

/* Waits until every commit up to `sequence` is durable; UINT64_MAX: every commit that has returned.
 * Durable: at most one flush, shared by all threads that wait. Returns: 0 or LOFT_EPOISONED, LOFT_ENOTSUP,
 * LOFT_EREADONLY, LOFT_EFORKED. Threads: any, at any time but inside one's own mutation section. */
int loft_arena_wait(loft_arena *arena, uint64_t sequence);

/* Pages that a device writes by itself (O_DIRECT reads, fixed buffers of io_uring): between pin and unpin they count
 * as changed at every commit, and their memory stays where it is. Pin before the device gets them, unpin when it
 * is done; the same start and bytes to both; pins of one range add up. Without it such stores may not be committed.
 * Atomic: yes. Durable: nothing changes. Cost: a commit reads all pinned pages.
 * Returns: 0, LOFT_ERANGE (no range of the arena's), LOFT_ENOENT (unpin: not pinned), LOFT_ENOMEM, LOFT_ENOTSUP,
 *   LOFT_EREADONLY, LOFT_EFORKED. Threads: any, also inside sections. */
int loft_arena_pin(loft_arena *arena, const void *start, size_t bytes);
int loft_arena_unpin(loft_arena *arena, const void *start, size_t bytes);

/* Drops every change since the last commit, blocks and roots included.
 * Atomic: in memory only; the file is not touched. Durable: nothing changes.
 * Returns: 0, LOFT_EIO or LOFT_ECORRUPT (Partial: the base image could not be read back; the arena is then
 *   poisoned), LOFT_ENOTSUP, LOFT_EREADONLY, LOFT_EFORKED. Threads: as commit. */
int loft_arena_rollback(loft_arena *arena);

/* Applies the journal to the file and empties it. Does not commit.
 * Atomic: yes, against any crash. Durable: 3 flushes.
 * Returns: 0. LOFT_EPENDING: a reader or a full disk held it off, the journal is kept. LOFT_EPOISONED after a
 *   failed flush. LOFT_ENOTSUP, LOFT_EREADONLY, LOFT_EFORKED. Threads: as commit. */
int loft_arena_checkpoint(loft_arena *arena);

/* Writes the arena's last commit into a new, independent arena file, while mutators and commits go on.
 * In: path of the new file, on any local file system. flags: LOFT_REPLACE, or an existing file is LOFT_EEXIST;
 *   LOFT_ALLOW_REMOTE. fn: told how far it is, cancels by a result other than 0; may be NULL. It runs in the calling
 *   thread and may use the arena, but not snapshot, close or abandon it; an arena without a file it may only read,
 *   and must not begin a section or set a root.
 * The snapshot has the arena's base address, a UUID of its own, and holes where the arena has them. Beside its source
 *   it opens with LOFT_RELOCATE, or in another process. It is readable to its owner alone, and not if the source
 *   is not. Blocks are shared with the source where the file system can (reflink), else copied.
 * Anonymous arenas and those over memory have no commit: their present state is written, while mutation sections wait
 *   (the others quiet). An anonymous arena's snapshot opens at the arena's own address; one over memory gets an
 *   address as a new arena does, so that offsets hold and stored pointers are the program's to translate, and cannot
 *   grow beyond the memory's size.
 * Atomic: yes; whoever looks for `path`, also after a crash or a kill, finds what was there before or the whole
 *   snapshot. (With LOFT_REPLACE, and on file systems without unnamed files, a kill may leave PATH.loft-NUMBER beside it.)
 * Durable: when it returns: 2 flushes of the snapshot and its folder; none of the source.
 * Returns: 0. LOFT_ECANCELED. LOFT_EEXIST; LOFT_EINVAL (path is the arena itself, or no regular file; flags);
 *   LOFT_EBUSY (path is an arena that a writer has open; a thread stayed in its section). LOFT_ENOENT, LOFT_EACCES,
 *   LOFT_ENOSPC, LOFT_EIO, LOFT_ENOMEM, LOFT_ENOTSUP (a network file system), LOFT_EFORKED: the source and what was at
 *   path are as before (Partial: with LOFT_REPLACE and LOFT_EIO of the folder's flush the new file may be there).
 *   LOFT_ECORRUPT: the source is damaged. Works on a poisoned arena: its last commit that returned.
 * Threads: any, any number at once. Checkpoints wait for running snapshots (a commit that is due for one answers
 *   0 and postpones it, loft_arena_checkpoint answers LOFT_EPENDING); snapshots that begin meanwhile wait for the
 *   postponed one. Inside one's own mutation section: misuse. Source: docs/snapshots.md. */
int loft_arena_snapshot(loft_arena *arena, const char *path, unsigned flags, loft_progress_fn *fn,
                        void *context);

/* Enters and leaves a mutation section of the calling thread (see the head of this file). They nest; a nested
 * enter never waits. An outermost enter waits while a commit looks at the pages.
 * Cost: a store and a load; the committing side pays for the order between them. A leave without enter,
 * commit, rollback, checkpoint or close inside one's own section, and a thread's end inside one are misuse.
 * Threads: each its own sections. */
void loft_arena_enter(loft_arena *arena);
void loft_arena_leave(loft_arena *arena);

/* Verifies every invariant of the heap and the root table.
 * In: fn, called for every fault, may be NULL. Out: *faults, their number, may be NULL.
 * Returns: 0 if there are none, LOFT_ECORRUPT if there are, what fn returned if it stopped.
 * Threads: the others quiet. Source: docs/heap.md. */
int loft_arena_check(loft_arena *arena, loft_report_fn *fn, void *context, uint64_t *faults);

/* Calls fn for every live block, in rising order of address.
 * Returns: 0, or what fn returned. fn must not allocate or free. Threads: blocks that others allocate or
 *   free meanwhile may be seen or not. */
int loft_arena_walk(loft_arena *arena, loft_block_fn *fn, void *context);

/* The same as a cursor: begin with a zeroed block (struct_bytes set); each call moves it to the next.
 * Returns: 0, or LOFT_ENOENT at the end (no sentence is set then). */
int loft_arena_next_block(loft_arena *arena, loft_block *cursor);

/* Finds live blocks that nothing leads to: neither a root nor a word in a block that is reached. An aligned word that is
 * the address of any byte of a block, as stored, reaches it, so a leak may go unseen; but what is told is one, unless
 * the program links by something else than addresses (loft_offset) or holds the block by a variable of its own
 * only. A pool is reached by any address in it.
 * In: fn, called for each in rising order of address, may be NULL; it must not allocate or free. Out: *count, may be NULL.
 * Returns: 0, what fn returned if it stopped, LOFT_ENOMEM, LOFT_ECORRUPT (the root table).
 * Threads: the others quiet. Cost: reads every block that is reached; 1/63 of the heap's size of address space, of
 *   which the touched part is memory. Source: docs/heap.md "Leaks". */
int loft_arena_leaks(loft_arena *arena, loft_block_fn *fn, void *context, uint64_t *count);

/* Finds words in live blocks that look like addresses outside of the arena, which must not be stored: those in any
 * mapping of this process, and those in the places where the system puts programs, libraries and stacks, which may
 * be an earlier process's. Any number may look so by chance.
 * In: fn, called for each with its place and a sentence (code LOFT_ERANGE), may be NULL. Out: *count, may be NULL.
 * Returns: 0, what fn returned if it stopped, LOFT_ENOMEM, LOFT_ENOTSUP (the system does not tell its mappings).
 * Threads: the others quiet. Cost: reads every live block. */
int loft_arena_foreign(loft_arena *arena, loft_report_fn *fn, void *context, uint64_t *count);

/* Calls fn for every size class that has a slab, in rising order of size. Returns: 0, or what fn returned. Threads and
 * cost: as loft_arena_stats. */
int loft_arena_classes(const loft_arena *arena, loft_class_fn *fn, void *context);

/* Figures of the arena as it stands. In: out->struct_bytes. Threads: any; figures that other threads
 * change meanwhile are approximate. Cost: a visit to every slab's descriptor. */
int loft_arena_stats(const loft_arena *arena, loft_arena_statistics *out);

/* Identity and place. In: out->struct_bytes. Threads: any. */
int loft_arena_describe(const loft_arena *arena, loft_arena_info *out);

/* The same of a file that is not opened: reads its superblocks and scans its journal, locks and
 * changes nothing. Of a file in use the answer is of some moment during the call.
 * Returns: 0, or as loft_arena_open. */
int loft_file_describe(const char *path, loft_arena_info *out);

/* Everything in a file that can be proved wrong: superblocks, journal, pages against their hashes, that all data can be
 * read, and heap, pools and roots as of its last commit. Changes nothing; reads all data.
 * In: fn, called for every fault with its offset in the file, may be NULL. Out: *faults, their number, may be NULL.
 * Returns: 0 if there are none, LOFT_ECORRUPT if there are, what fn returned if it stopped; or why it could not be
 *   checked: LOFT_ENOENT, LOFT_EACCES, LOFT_EINVAL (not a regular file), LOFT_ENOMEM, LOFT_EIO.
 * Threads: any. Beside a writer: safe; as a reader it holds its checkpoints off meanwhile, and what it checks is
 *   the last commit at its beginning. What a crash tears and recovery puts right (a superblock, the journal's last
 *   commit) is told as a fault until the file was opened for change. Source: docs/snapshots.md. */
int loft_file_check(const char *path, loft_report_fn *fn, void *context, uint64_t *faults);

/* Writes what is provably whole of a damaged arena into a new one: the newest commit that can be proved, without the
 * pages that cannot be read or do not match their record; those are zeros. Never changes `from`.
 * In: to, which must not exist. fn: told every fault of the source, and those that the heap has in the copy;
 *   may be NULL; non-0 stops.
 * Returns: 0: nothing was wrong. LOFT_ECORRUPT: something was; the sentence says whether there is a copy.
 *   What fn returned: there is none. Else as loft_arena_snapshot.
 * Atomic, Durable: as loft_arena_snapshot. Threads: any. Source: docs/snapshots.md. */
int loft_file_salvage(const char *from, const char *to, loft_report_fn *fn, void *context);

/* Between addresses and offsets from the arena's base, which hold wherever it is mapped.
 * NULL and 0 stand for each other. An address or offset outside the arena gives 0 or NULL with
 * LOFT_ERANGE. Threads: any. */
uint64_t loft_offset(const loft_arena *arena, const void *address);
void *loft_at(const loft_arena *arena, uint64_t offset);

/* A pointer as it was stored in the arena, translated to where the arena lies now (LOFT_RELOCATE); NULL
 * and pointers outside the arena's stored range come back unchanged. Threads: any. */
void *loft_arena_resolve(const loft_arena *arena, const void *stored);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif /* LOFT_ARENA_H */
