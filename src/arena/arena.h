/*
 * arena/arena.h - what an open arena is, for the files of this layer.
 *
 * An arena joins three things below it: the store (the file: superblocks, journal, pages), the heap
 * (an image in plain memory) and address space that is held for both. File offset equals address
 * offset, for every byte:
 *
 *   base                     + 4 MiB                                        + reserve
 *   | chunk 0: not mapped    | heap chunks, journal chunks between them ... | held, not accessible |
 *     superblocks, journal     FILE: private mapping of the file
 *                              ANON: memory that no file backs yet
 *                              NONE: nobody's, or the journal's
 *
 * Stores never reach the file: pages are private. What was stored to is found at commit by
 * asking the kernel which pages are private (track.c) and goes through the store.
 *
 * Lock order: arena.commit_mutex, the gate (closed by its holder), registry, arena.roots_lock, the heap's locks,
 * arena.pins_mutex, arena.grow_mutex, the store's space_mutex.
 */
#ifndef LOFTI_ARENA_ARENA_H
#define LOFTI_ARENA_ARENA_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "arena/chunk.h"
#include "arena/gate.h"
#include "heap/heap.h"
#include "journal/store.h"
#include "loft/arena.h"
#include "os/watch.h"
#include "os/window.h"

/* Pages that a device writes (pin.c). */
typedef struct lofti_pin {
    uint64_t off, bytes; /* in the file; whole pages */
    bool ended;          /* unpinned: stays until a commit has seen it once more */
    bool seen;           /* by a commit, since it ended */
} lofti_pin;

/* What commits spend on clean pages (cold.c). */
typedef struct lofti_cold {
    uint64_t dear_ns;    /* a look for changed pages that takes longer met many clean ones, */
    uint64_t page_ns;    /* with so much more for each private page that it met */
    uint64_t look_ns;    /* what the last one took */
    uint64_t dear, calm; /* so many in a row were */
    uint64_t patience;   /* so many dear ones start a pass, so many calm ones make that few again */
    uint64_t next_off;   /* where the pass goes on; 0: none is under way */
} lofti_cold;

struct loft_arena {
    uint64_t magic;    /* LOFTI_ARENA_MAGIC while open */
    loft_arena *next;  /* in the registry */
    size_t self_bytes; /* of the memory this lies in */

    uint8_t *base;        /* where it lies in this process */
    uint64_t stored_base; /* where its pointers think it lies */
    uint64_t reserve_bytes;
    uint64_t space_end; /* anonymous arenas: chunks from here on are free; else the store's */
    /* enum lofti_chunk_state, one byte a chunk of the reserve; lofti_chunk_move changes them. */
    _Atomic uint8_t *chunk_states;
    uint64_t chunk_states_bytes;
    uint8_t uuid[16];

    lofti_store store;
    bool has_store; /* false: anonymous, or over a caller's memory */
    bool over;      /* over a caller's memory: base + LOFTI_HEAP_OFF is its first byte (over.c) */
    bool writable;
    bool forked;         /* this is the child's copy of a file arena */
    bool is_inherited;   /* the system gives a child this memory, too: it gives it back */
    uint32_t durability; /* enum loft_durability */
    uint64_t journal_limit_bytes;
    uint64_t gate_timeout_ms;
    lofti_gate gate; /* mutation sections */

    lofti_heap *heap;
    uint32_t tracker;  /* enum loft_tracker; 0: a reader, or anonymous */
    bool track_lost;   /* what was stored to since the last commit is not known (C7) */
    lofti_watch watch; /* of LOFT_TRACKER_WP_ASYNC */
    lofti_cold cold;
    lofti_index known; /* content hashes of private pages as of the last commit (track.c) */
    bool verify;       /* LOFT_VERIFY */
    pthread_mutex_t pins_mutex;
    lofti_pin *pins; /* NULL while pin_capacity is 0 */
    uint64_t pin_count, pin_capacity;
    uint64_t max_dirty_bytes; /* 0: no limit */
    loft_dirty_fn *dirty_fn;
    void *dirty_context;
    _Atomic uint64_t grown_bytes; /* by the heap since the last commit */
    _Atomic uint64_t kept_bytes;  /* committed, and waiting for a checkpoint */
    _Atomic bool dirty_told;
    uint64_t gate_closed_ns; /* when; under commit_mutex */
    _Atomic uint64_t pause_last_ns, pause_max_ns, pause_total_ns, pause_count;
    _Atomic uint64_t missed_pages;
    uint64_t known_seed; /* random: nobody can make two contents of one hash on purpose */

    pthread_mutex_t commit_mutex; /* commit, rollback, checkpoint, close */
    /* Under commit_mutex (snapshot.c). */
    uint32_t snapshots;       /* that read base images: a checkpoint waits for them */
    bool checkpoint_due;      /* one was postponed */
    uint64_t checkpoint_turn; /* rises when a postponed one was seen to */
    pthread_cond_t snapshot_turn;
    /* Statistics, of any thread. */
    _Atomic uint64_t snapshot_count, snapshot_held_ns;
    pthread_mutex_t grow_mutex; /* space_end, chunk_states */
    pthread_rwlock_t roots_lock;

    char path[]; /* NUL-terminated; "" if anonymous */
};

#define LOFTI_ARENA_MAGIC 0x616e6572612e6c66ULL

/* --- registry.c: all open arenas of this process --------------------------------------------- */

void lofti_registry_add(loft_arena *arena);
void lofti_registry_remove(loft_arena *arena);
/* For arenas over memory, in two steps: claims the memory, so that nobody else lays a heap out there, and
 * says that the arena may be used. LOFT_EBUSY: another open arena has the memory. */
int lofti_registry_claim(loft_arena *arena);
void lofti_registry_publish(loft_arena *arena);
/* Hooks fork on first use. 0 or a LOFT_E code. */
int lofti_registry_start(void);
/* Tells what kind of thing `address` is, seen from `arena`: enum loft_misuse_kind FOREIGN or
 * WRONG_ARENA, with the other arena's path. */
int lofti_registry_classify(const loft_arena *arena, const void *address, char *text,
                            size_t text_bytes);

/* LOFT_OK, or LOFT_EINVAL (NULL, closed: misuse), LOFT_EFORKED, with `writing` LOFT_EREADONLY. */
int lofti_arena_usable(const loft_arena *arena, const char *operation, bool writing);

/* --- space.c: address space and mappings ------------------------------------------------------ */

/* Holds address space at `base` (0: anywhere, for LOFT_RELOCATE), as much as the system gives between
 * `least_bytes` and arena->reserve_bytes. */
int lofti_space_reserve(loft_arena *arena, uint64_t base, uint64_t least_bytes);
void lofti_space_release(loft_arena *arena);
/* Maps the heap's part of the file, `end_off` long; what lies behind the file's end is anonymous. */
int lofti_space_map_file(loft_arena *arena, uint64_t end_off);
/* Overlays the journal's pages on the mapping. */
int lofti_space_overlay(loft_arena *arena);
/* Makes a reader's memory read-only. */
int lofti_space_protect(loft_arena *arena);
/* Returns chunks to clean file mappings after a checkpoint: those whose private pages are all as committed. */
void lofti_space_return(loft_arena *arena);
/* Maps the file over what is in the file anyway. A range that stays without memory poisons the store. */
void lofti_space_file_over(loft_arena *arena, uint64_t off, uint64_t bytes,
                           enum lofti_chunk_event event);
/* Takes back the chunks at and behind `end_off` (rollback). */
int lofti_space_shrink(loft_arena *arena, uint64_t end_off);
/* The heap's host interface. */
lofti_heap_host lofti_space_host(loft_arena *arena);
uint64_t lofti_space_end(const loft_arena *arena);
/* Whether every byte of the range may be loaded. */
bool lofti_space_accessible(const loft_arena *arena, uint64_t off, uint64_t bytes);

/* Calls fn for each maximal run of chunks in one state, FILE or ANON. */
typedef int lofti_space_run_fn(void *context, uint64_t off, uint64_t bytes, int state);
int lofti_space_each_run(loft_arena *arena, lofti_space_run_fn *fn, void *context);
/* The same for runs of whatever is mapped: as few as there are. `state` is 0. */
int lofti_space_each_span(loft_arena *arena, lofti_space_run_fn *fn, void *context);

/* --- track.c: which pages changed -------------------------------------------------------------- */

/* Chooses the tracker of a writer. `LOFT_TRACKER` in the environment (wp_async, private) forces one. */
int lofti_track_start(loft_arena *arena);
void lofti_track_stop(loft_arena *arena);
/* Before a new anonymous chunk is used. */
void lofti_track_fresh(loft_arena *arena, uint64_t off, uint64_t bytes);

/* Calls fn for every run of neighbouring pages that may differ from what was last settled. The gate is closed. */
typedef int lofti_track_fn(void *context, uint64_t page_idx, uint8_t *pages, uint64_t count);
int lofti_track_changed(loft_arena *arena, lofti_track_fn *fn, void *context);
/* Notes a page that fn was given as being as committed, should it be settled. */
int lofti_track_note(loft_arena *arena, uint64_t page_idx, const uint8_t *page);
/* What the last lofti_track_changed reported is durable (or undone). Without this call the next one reports
 * every private page. */
void lofti_track_settled(loft_arena *arena);
/* For a rollback: the pages that lofti_track_changed would report, to an fn that gives them their committed content; then
 * that it did, to so many pages. */
int lofti_track_undo(loft_arena *arena, lofti_track_fn *fn, void *context);
void lofti_track_undone(loft_arena *arena, uint64_t count);

/* Whether [off, off + bytes) has private pages that no watch covers. */
bool lofti_track_missed(const loft_arena *arena, uint64_t off, uint64_t bytes);
/* Whether at least `least_bytes` of [off, end) are private. */
bool lofti_track_many(loft_arena *arena, uint64_t off, uint64_t end, uint64_t least_bytes);
/* Whether any page of the range may have changed, or is private at all. */
bool lofti_track_any(loft_arena *arena, uint64_t off, uint64_t bytes);
bool lofti_track_private(loft_arena *arena, uint64_t off, uint64_t bytes);
/* After a checkpoint: the notes are in the file now. */
void lofti_track_trim(loft_arena *arena);

/* --- cold.c: clean pages that commits need not look at ------------------------------------------- */

void lofti_cold_start(loft_arena *arena);
/* A commit's look at what no watch covers took so long, and met so many private pages. */
void lofti_cold_looked(loft_arena *arena, uint64_t ns, uint64_t private_pages);
/* Goes on with a pass, if one is under way, for about as long as the last look took. The gate is closed. */
void lofti_cold_drop(loft_arena *arena);

/* --- pin.c ------------------------------------------------------------------------------------------ */

void lofti_pin_release(loft_arena *arena);
/* Whether any page of the range is pinned. */
bool lofti_pin_holds(loft_arena *arena, uint64_t off, uint64_t bytes);
/* Calls fn for all pinned pages. */
int lofti_pin_each(loft_arena *arena, lofti_track_fn *fn, void *context);
/* The commit that saw them is durable: ended pins are forgotten. */
void lofti_pin_settled(loft_arena *arena);
/* The heap grew. May call the program's dirty_fn. */
void lofti_dirty_grown(loft_arena *arena, uint64_t bytes);
/* After a commit or a checkpoint: whether what waits for a checkpoint exceeds max_dirty_bytes. */
bool lofti_dirty_committed(loft_arena *arena);

/* LOFT_VERIFY: one commit's look at every page. */
enum { LOFTI_VERIFY_TOLD = 16 };
typedef struct lofti_verify {
    loft_arena *arena;
    uint8_t *seen; /* a bit for each page; NULL: not verifying */
    uint64_t pages, bytes;
    uint64_t missed[LOFTI_VERIFY_TOLD]; /* the first pages that were, to be reported at the end */
    uint64_t missed_count;
} lofti_verify;
int lofti_verify_begin(loft_arena *arena, uint64_t frontier, lofti_verify *verify);
/* Reports what was missed: the heap is not held. */
void lofti_verify_end(lofti_verify *verify);
void lofti_verify_seen(lofti_verify *verify, uint64_t page_idx, uint64_t count);
/* Compares what was not seen; logs and reports what differs. */
int lofti_verify_rest(lofti_verify *verify);

/* --- roots.c ------------------------------------------------------------------------------------- */

/* Counts and reports what is wrong with the root table. */
int lofti_roots_check(loft_arena *arena, loft_report_fn *fn, void *context, uint64_t *faults);

/* --- commit.c ------------------------------------------------------------------------------------ */

/* Captures and writes; `flush`: and makes durable, also what earlier commits left unflushed. */
int lofti_commit_locked(loft_arena *arena, bool flush);
int lofti_checkpoint_locked(loft_arena *arena);

/* --- punch.c ----------------------------------------------------------------------------------- */

/* Which chunks a checkpoint changes. */
typedef struct lofti_punch {
    uint8_t *changed; /* one byte a chunk of the file; NULL: nothing is known */
    uint64_t bytes;   /* of that memory */
} lofti_punch;
/* Before a checkpoint, which empties the index. Failed, there is nothing to end. */
int lofti_punch_note(loft_arena *arena, lofti_punch *punch);
/* After it, gate closed: the file and the memory give back what is free in the newest commit and now.
 * lofti_store_punched is due then. */
void lofti_punch_free(loft_arena *arena, const lofti_punch *punch);
void lofti_punch_end(lofti_punch *punch);

/* --- snapshot.c ---------------------------------------------------------------------------------- */

/* Whether a checkpoint must wait for snapshots; the last of them will then do it. Under commit_mutex. */
bool lofti_snapshot_postpones(loft_arena *arena);
/* UUID, salt, time; the base is the caller's to set. 0 or a negative errno value. */
int lofti_snapshot_identity(lofti_store_identity *identity);

/* --- alloc.c ----------------------------------------------------------------------------------------- */

/* loft_arena_check of an arena that need not be published yet. */
int lofti_arena_check(loft_arena *arena, loft_report_fn *fn, void *context, uint64_t *faults);

/* --- over.c ------------------------------------------------------------------------------------------- */

/* Whether the memory that the arena lies over is mapped, all of it. */
bool lofti_over_present(const loft_arena *arena);

/* --- open.c ------------------------------------------------------------------------------------------- */

/* Copies a caller's options, which may be of an older or a newer header. Judges no value. */
int lofti_arena_options(const char *path, const loft_arena_options *from, loft_arena_options *to);

/* --- create.c, attach.c --------------------------------------------------------------------------- */

/* Allocates the struct and fills in what options say. */
int lofti_arena_new(const char *path, const loft_arena_options *options, loft_arena **out);
/* Releases everything that is set, in any stage. Commits nothing. */
void lofti_arena_destroy(loft_arena *arena);
/* Makes a new file arena, whole, and gives it its name: LOFT_EEXIST if the name is taken. */
int lofti_arena_create(const char *path, const loft_arena_options *options, unsigned flags,
                       loft_arena **out);
int lofti_arena_create_anonymous(const loft_arena_options *options, loft_arena **out);
/* Opens an existing one. */
int lofti_arena_attach(const char *path, const loft_arena_options *options, unsigned flags,
                       loft_arena **out);
/* Opens a file as an arena, with the writer's lock or a reader's. */
int lofti_attach_open(const char *path, unsigned flags, lofti_file *file);
/* Says why a file could not be opened (`error`: negative errno, of an open that follows no link). */
int lofti_attach_refused(int error, const char *operation, const char *path);
/* Maps what the opened store has and attaches the heap. Address space is held. */
int lofti_attach_map(loft_arena *arena);
/* Makes 16 random bytes a UUID. */
void lofti_arena_uuid(uint8_t uuid[16]);
/* The base that a new arena takes, at the i-th try. */
uint64_t lofti_arena_base_choose(const uint8_t uuid[16], uint64_t reserve_bytes, uint64_t i);
/* The network file system rule. */
int lofti_arena_local(const lofti_file *file, const char *path, unsigned flags);

#endif /* LOFTI_ARENA_ARENA_H */
