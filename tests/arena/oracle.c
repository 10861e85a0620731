/* See oracle.h.
 *
 * The image comes from the file, by lofti_store_read_page; the memory is never used to make it. Some
 * of the comparisons look at all pages; the others at private pages only (by /proc/self/pagemap, not the
 * scan that the trackers use), because a load maps pages in and so changes what the trackers see. */
#include "arena/oracle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arena/arena.h"
#include "arena/arena_world.h"
#include "base/arith.h"
#include "base/hash.h"
#include "heap/annotate.h"
#include "loft/inspect.h"
#include "os/dirty.h"
#include "os/map.h"
#include "support/fault_fs.h"

enum {
    BLOCKS = 48,
    BLOCK_BYTES_MAX = 5 << 20, /* larger than a chunk */
    LIVE_BYTES_MAX = 7 << 20,  /* what a program holds at most; */
    LIVE_HALVINGS = 6,         /* most arenas' programs hold less */
    SOURCE_BYTES = 256 << 10,  /* the file that read(2) reads */
    ARENA_COMMITS = 250,       /* then a new arena */
    JOURNAL_LIMIT_BYTES = 3 << 20
};

typedef struct blocks {
    uint8_t *at[BLOCKS];
    size_t bytes[BLOCKS];
    size_t live_bytes;
} blocks;

typedef struct oracle {
    loft_arena *arena;
    const char *path;
    loft_test_random random;
    fault_fs *fault;
    int source; /* a file of random bytes */
    blocks now, committed;
    size_t live_bytes_max;
    uint8_t *bulk;        /* a chunk's base images */
    uint64_t whole_every; /* so many comparisons one looks at all pages */
    uint64_t commits, failed, rollbacks, reopened, checked_pages;
} oracle;

static uint64_t below(oracle *own, uint64_t limit)
{
    return loft_test_random_below(&own->random, limit);
}

/* --- The comparison ------------------------------------------------------------------------------ */

/* `base`: what the file holds there. */
static void check_page(oracle *own, uint64_t page_idx, const uint8_t *base)
{
    uint8_t image[LOFTI_PAGE_BYTES];
    const uint8_t *want = base;
    lofti_store *store = &own->arena->store;
    if (lofti_index_find(&store->index, page_idx) != NULL) {
        LOFT_CHECK_OK(lofti_store_read_page(store, page_idx, image));
        want = image;
    }
    const uint8_t *page = own->arena->base + page_idx * LOFTI_PAGE_BYTES;
    lofti_annotate_scratch scratch;
    if (memcmp(lofti_annotate_read(&scratch, page), want, LOFTI_PAGE_BYTES) != 0) {
        LOFT_FAIL("page %llu was missed: commit %llu, chunk state %u, failed %llu, rollbacks %llu",
                  (unsigned long long)page_idx, (unsigned long long)own->commits,
                  own->arena->chunk_states[page_idx * LOFTI_PAGE_BYTES / LOFTI_CHUNK_BYTES],
                  (unsigned long long)own->failed, (unsigned long long)own->rollbacks);
    }
    own->checked_pages++;
}

/* At most a chunk. Behind the frontier there is nothing to compare with. */
static void check_range(oracle *own, uint64_t off, uint64_t bytes)
{
    const uint64_t end = lofti_arith_min(off + bytes, own->arena->store.frontier);
    if (off >= end) {
        return;
    }
    LOFT_CHECK_EQ_INT(lofti_file_read_padded(&own->arena->store.file, own->bulk, end - off, off),
                      0);
    for (uint64_t at = off; at < end; at += LOFTI_PAGE_BYTES) {
        check_page(own, at / LOFTI_PAGE_BYTES, own->bulk + (at - off));
    }
}

static int check_private(void *context, void *start, size_t bytes)
{
    oracle *own = context;
    check_range(own, (uint64_t)((uint8_t *)start - own->arena->base), bytes);
    return 0;
}

/* Every page below the frontier is as it was committed. */
static void check_all(oracle *own)
{
    loft_arena *arena = own->arena;
    const bool whole = below(own, own->whole_every) == 0;
    const uint64_t end = arena->store.frontier / LOFTI_CHUNK_BYTES;
    for (uint64_t chunk = LOFTI_HEAP_OFF / LOFTI_CHUNK_BYTES; chunk < end; chunk++) {
        if (arena->chunk_states[chunk] == LOFTI_CHUNK_NONE) {
            continue;
        }
        if (whole) {
            check_range(own, chunk * LOFTI_CHUNK_BYTES, LOFTI_CHUNK_BYTES);
        } else {
            LOFT_CHECK_EQ_INT(lofti_dirty_private_by(lofti_dirty_ops_pagemap(),
                                                     arena->base + chunk * LOFTI_CHUNK_BYTES,
                                                     LOFTI_CHUNK_BYTES, check_private, own),
                              0);
        }
    }
}

/* --- What the program does -------------------------------------------------------------------- */

static size_t any_size(oracle *own)
{
    switch (below(own, 16)) {
    case 0: return (size_t)below(own, below(own, 4) == 0 ? BLOCK_BYTES_MAX : 1 << 20) + 1;
    case 1:
    case 2:
    case 3: return (size_t)below(own, 300000) + 1;
    default: return (size_t)below(own, 6000) + 1;
    }
}

static void do_malloc_or_free(oracle *own)
{
    const uint64_t i = below(own, BLOCKS);
    blocks *now = &own->now;
    if (now->at[i] != NULL) {
        loft_arena_free(own->arena, now->at[i]);
        now->at[i] = NULL;
        now->live_bytes -= now->bytes[i];
        return;
    }
    const size_t bytes = any_size(own);
    if (now->live_bytes + bytes <= own->live_bytes_max) {
        now->at[i] = below(own, 2) == 0 ? loft_arena_calloc(own->arena, 1, bytes)
                                        : loft_arena_malloc(own->arena, bytes);
        LOFT_CHECK_NOT_NULL(now->at[i]);
        now->bytes[i] = bytes;
        now->live_bytes += bytes;
    }
}

/* A range of a live block, at most `limit` long; NULL: none is live. */
static uint8_t *any_range(oracle *own, size_t limit, size_t *bytes)
{
    for (int tries = 0; tries < BLOCKS; tries++) {
        const uint64_t i = below(own, BLOCKS);
        if (own->now.at[i] != NULL) {
            const size_t off = below(own, own->now.bytes[i]);
            const size_t room = own->now.bytes[i] - off;
            *bytes = below(own, room < limit ? room : limit) + 1;
            return own->now.at[i] + off;
        }
    }
    return NULL;
}

static void do_store(oracle *own)
{
    size_t bytes = 0;
    uint8_t *at = any_range(own, 200, &bytes);
    for (size_t i = 0; at != NULL && i < bytes; i++) {
        at[i] = (uint8_t)loft_test_random_next(&own->random);
    }
}

static void do_memset(oracle *own)
{
    size_t bytes = 0;
    uint8_t *at = any_range(own, 3 << 20, &bytes);
    if (at != NULL) {
        memset(at, (int)below(own, 3), bytes); /* often what is there already */
    }
}

/* The kernel stores. */
static void do_read(oracle *own)
{
    size_t bytes = 0;
    uint8_t *at = any_range(own, SOURCE_BYTES, &bytes);
    if (at != NULL) {
        LOFT_CHECK_EQ_INT(
            pread(own->source, at, bytes, (off_t)below(own, SOURCE_BYTES - bytes + 1)), bytes);
    }
}

static void do_load(oracle *own)
{
    size_t bytes = 0;
    const volatile uint8_t *at = any_range(own, 1 << 20, &bytes);
    for (size_t i = 0; at != NULL && i < bytes; i += LOFTI_PAGE_BYTES) {
        (void)at[i];
    }
}

/* A child that does something else; the parent stores while it lives. */
static void do_fork(oracle *own)
{
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        _exit(0);
    }
    do_store(own);
    do_memset(own);
    LOFT_CHECK_EQ_INT(waitpid(child, NULL, 0), child);
}

static void do_something(oracle *own)
{
    switch (below(own, 32)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
    case 5: do_malloc_or_free(own); break;
    case 6: do_memset(own); break;
    case 7:
    case 8:
    case 9: do_read(own); break;
    case 10: do_load(own); break;
    case 11:
        if (below(own, 8) == 0) {
            do_fork(own);
        }
        break;
    default: do_store(own); break;
    }
}

/* --- Commits and the like ----------------------------------------------------------------------- */

static void do_commit(oracle *own)
{
    LOFT_CHECK_OK(below(own, 24) == 0 ? loft_arena_commit(own->arena)
                                      : loft_arena_commit_async(own->arena, NULL));
    own->committed = own->now;
    own->commits++;
    check_all(own);
    LOFT_CHECK_OK(below(own, 8) == 0 ? lofti_chunk_verify(own->arena) : LOFT_OK);
}

/* The disk is full at some write; what was to be committed waits for the next commit. */
static void do_failing_commit(oracle *own)
{
    const fault_plan plan = {.action = below(own, 2) == 0 ? FAULT_FAIL : FAULT_PART_FAIL,
                             .kinds = FAULT_MASK(FAULT_PWRITE),
                             .first = below(own, 3) + 1,
                             .times = 1,
                             .error = ENOSPC};
    fault_fs_set(own->fault, &plan);
    const int code = loft_arena_commit_async(own->arena, NULL);
    fault_fs_set(own->fault, NULL);
    if (code == LOFT_OK || code == LOFT_EPENDING) {
        own->committed = own->now;
        own->commits++;
        check_all(own);
        return;
    }
    LOFT_CHECK_EQ_INT(code, LOFT_ENOSPC);
    own->failed++;
}

static void do_rollback(oracle *own)
{
    LOFT_CHECK_OK(loft_arena_rollback(own->arena));
    own->now = own->committed;
    own->rollbacks++;
    check_all(own);
}

static void open_again(oracle *own, unsigned flags)
{
    const loft_arena_options options = {.struct_bytes = sizeof options,
                                        .reserve_bytes = (uint64_t)256 << 20,
                                        .journal_limit_bytes = JOURNAL_LIMIT_BYTES};
    LOFT_CHECK_OK(loft_arena_open(own->path, flags, &options, &own->arena));
    if (own->arena->writable) {
        own->arena->store.file.ops = fault_fs_ops(own->fault);
    }
    if (below(own, 2) == 0) { /* maps clean chunks afresh at every commit */
        own->arena->cold.dear_ns = own->arena->cold.page_ns = 0;
        own->arena->cold.patience = 1;
    }
}

typedef struct content {
    const loft_arena *arena;
    uint64_t frontier, hash;
} content;

static int content_run(void *context, const loft_run *run)
{
    content *own = context;
    const uint64_t end = run->offset + run->bytes;
    for (uint64_t at = run->offset; at < end && at < own->frontier && run->kind != LOFT_RUN_FREE &&
                                    run->kind < LOFT_RUN_HEADER;
         at += LOFTI_PAGE_BYTES) {
        lofti_annotate_scratch scratch;
        const uint8_t *page = lofti_annotate_read(&scratch, own->arena->base + at);
        own->hash += lofti_hash(page, LOFTI_PAGE_BYTES, at);
    }
    return 0;
}

/* Of all but free pages, which a checkpoint may make holes of. */
static uint64_t content_hash(loft_arena *arena, uint64_t frontier)
{
    content own = {arena, frontier, 0};
    LOFT_CHECK_OK(loft_arena_each_run(arena, content_run, &own));
    return own.hash;
}

/* Another process reads what this one committed. */
static void do_reader(oracle *own)
{
    do_commit(own);
    const uint64_t frontier = own->arena->store.frontier;
    const uint64_t hash = content_hash(own->arena, frontier);
    fflush(NULL);
    const pid_t child = fork();
    LOFT_CHECK_SYS(child);
    if (child == 0) {
        /* Emulators give a child its parent's mapping: the address may be taken. */
        loft_arena *reader = open_arena(own->path, LOFT_RELOCATE);
        _exit(content_hash(reader, frontier) == hash ? 0 : 1);
    }
    int status = 0;
    LOFT_CHECK_EQ_INT(waitpid(child, &status, 0), child);
    LOFT_CHECK_EQ_INT(status, 0);
}

/* As after a crash, or in good order; the file holds the last commit. */
static void do_reopen(oracle *own)
{
    do_commit(own);
    const uint64_t frontier = own->arena->store.frontier;
    const uint64_t hash = content_hash(own->arena, frontier);
    if (below(own, 2) == 0) {
        do_something(own); /* lost, and rightly so */
        abandon_arena(own->arena);
    } else {
        close_arena(own->arena);
    }
    open_again(own, LOFT_WRITE);
    own->now = own->committed;
    LOFT_CHECK_EQ_UINT(content_hash(own->arena, frontier), hash);
    own->reopened++;
}

static void do_round(oracle *own)
{
    const uint64_t count = below(own, 8) + (below(own, 12) == 0 ? 60 : 0);
    for (uint64_t i = 0; i < count; i++) {
        do_something(own);
    }
    switch (below(own, 64)) {
    case 0:
    case 1: do_rollback(own); break;
    case 2:
    case 3:
    case 4: do_failing_commit(own); break;
    case 5: LOFT_CHECK_OK(loft_arena_checkpoint(own->arena)); break;
    case 6:
        if (below(own, 4) == 0) {
            do_reopen(own);
        }
        break;
    case 7:
        if (below(own, 4) == 0) {
            do_reader(own);
        }
        break;
    case 8:
        do_commit(own);
        LOFT_CHECK_OK(loft_arena_checkpoint(own->arena)); /* ranges go back to the file */
        check_all(own);
        break;
    default: do_commit(own); break;
    }
}

static void source_make(oracle *own)
{
    const char *path = loft_test_tmp_path("source");
    for (size_t i = 0; i < SOURCE_BYTES; i += 8) {
        const uint64_t word = loft_test_random_next(&own->random);
        memcpy(own->bulk + i, &word, 8);
    }
    file_write(path, own->bulk, SOURCE_BYTES);
    own->source = open(path, O_RDONLY | O_CLOEXEC);
    LOFT_CHECK_SYS(own->source);
}

void oracle_require(void)
{
    if (!lofti_dirty_self_test(lofti_dirty_ops_pagemap())) {
        LOFT_SKIP("/proc/self/pagemap does not show this process's pages");
    }
}

void oracle_run(const char *tracker, uint64_t commits, uint64_t seed)
{
    static oracle own; /* large */
    oracle_require();
    oracle_force(tracker);
    own.random.state = seed;
    own.whole_every = loft_test_stride(2, 64, 64); /* they take most of the time */
    own.bulk = malloc(LOFTI_CHUNK_BYTES);
    LOFT_CHECK_NOT_NULL(own.bulk);
    own.path = loft_test_tmp_path("arena");
    own.fault = fault_fs_create(lofti_file_ops_system());
    source_make(&own);
    while (own.commits < commits) {
        own.now = own.committed = (blocks){0};
        own.live_bytes_max = (size_t)LIVE_BYTES_MAX >> below(&own, LIVE_HALVINGS);
        open_again(&own, LOFT_CREATE | LOFT_EXCLUSIVE);
        for (uint64_t end = own.commits + ARENA_COMMITS; own.commits < end;) {
            do_round(&own);
        }
        check_arena(own.arena);
        close_arena(own.arena);
        LOFT_CHECK_SYS(unlink(own.path));
    }
    printf("%s: %llu commits, %llu failed, %llu rollbacks, %llu reopened, %llu pages compared\n",
           tracker, (unsigned long long)own.commits, (unsigned long long)own.failed,
           (unsigned long long)own.rollbacks, (unsigned long long)own.reopened,
           (unsigned long long)own.checked_pages);
    fault_fs_destroy(own.fault);
    free(own.bulk);
}
