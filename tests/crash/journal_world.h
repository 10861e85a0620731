/* A world for crash scenarios of the journal: a store (src/journal) over a recorded, failing,
 * in-memory file, and the model that every recovery is held against.
 *
 * The model is an array of pages. Each attempt at a commit has a number, from 1 (the empty store)
 * upward; an attempt that failed and the one after it have the same sequence in the store and are
 * told apart by their content. What a page holds follows from its number and version, so a model
 * is a table of small numbers, and of the hashes of the pages they stand for. */
#ifndef LOFT_TESTS_CRASH_JOURNAL_WORLD_H
#define LOFT_TESTS_CRASH_JOURNAL_WORLD_H

#include "crash/enumerate.h"
#include "journal/store.h"
#include "support/fault_fs.h"
#include "support/memory_fs.h"
#include "support/record_fs.h"

enum {
    JOURNAL_PAGES = 640,  /* that scenarios may use */
    JOURNAL_COMMITS = 80, /* attempts */
    JOURNAL_CHUNKS = 2,   /* heap chunks */
    JOURNAL_FAR = 320     /* this page and those after it lie in the second one */
};

/* The version of a page that nobody has in use: whatever it holds is right. */
#define JOURNAL_FREE UINT32_MAX

typedef struct journal_commit {
    uint64_t sequence;
    uint64_t frontier;
    uint32_t versions[JOURNAL_PAGES];
    uint64_t hashes[JOURNAL_PAGES];
} journal_commit;

typedef struct journal_model {
    uint32_t used[JOURNAL_PAGES]; /* pages that some attempt changed: what recovery compares */
    uint32_t used_count;
    uint32_t attempts; /* commits[1 .. attempts] */
    uint64_t chunk_off[JOURNAL_CHUNKS];
    uint32_t chunks;
    journal_commit commits[JOURNAL_COMMITS];
} journal_model;

typedef struct journal_world {
    memory_fs *memory;
    fault_fs *fault;
    record_fs *record;
    const lofti_file_ops *ops;
    journal_model model;
    lofti_store store;
    bool open;
    uint32_t based_on; /* the attempt whose content the program has */
    uint32_t next_version;
    uint64_t frontier;
} journal_world;

typedef struct journal_script {
    const char *name;
    void (*run)(journal_world *world);
    uint32_t costly; /* its recoveries move so many times more than others': fewer states */
} journal_script;

enum { JOURNAL_COARSE_BYTES = 64 * 1024 }; /* see crash_options */

extern const journal_script journal_scripts[];
extern const size_t journal_script_count;

/* Owns: the caller, until end. They are large. */
journal_world *journal_world_begin(void);
void journal_world_end(journal_world *world);

/* Building blocks of scripts; `must` ones abort the script when the store fails. */
void journal_must(int code, const char *what);
void journal_create(journal_world *world);
/* Gives the pages from first on, count of them, new versions, and commits. Returns: the code. */
int journal_commit_pages(journal_world *world, uint32_t first, uint32_t count);
/* The same with versions that change all of a page. */
int journal_commit_whole(journal_world *world, uint32_t first, uint32_t count);
/* The newest attempt, which failed, once more as it was. */
int journal_commit_again(journal_world *world, uint32_t first, uint32_t count);
/* The same with versions of the caller's choice: commits one page. */
int journal_commit_version(journal_world *world, uint32_t page, uint32_t version);
void journal_commit_well(journal_world *world, uint32_t first, uint32_t count);
/* The same as commit_pages, as many pages at once: those behind the frontier go to their own places. Every
 * seventh of them is zeros. */
int journal_commit_bulk(journal_world *world, uint32_t first, uint32_t count);
/* The same as commit_pages, without its flush; what journal_wait then makes durable. */
int journal_commit_async(journal_world *world, uint32_t first, uint32_t count);
int journal_wait(journal_world *world);
void journal_checkpoint_well(journal_world *world);
/* Commits page 0, and that the pages from `first` on are nobody's any more. */
void journal_commit_free(journal_world *world, uint32_t first, uint32_t count);
/* Makes holes of such pages; after a checkpoint. Returns: the code of the flush that follows. */
int journal_punch(journal_world *world, uint32_t first, uint32_t count);
/* Takes another heap chunk, for pages behind those there were. */
void journal_grow(journal_world *world);
/* Closes without more ado: the process dies, the machine does not. */
void journal_die(journal_world *world);
/* Opens and recovers. Returns: the code; the store is closed unless it is LOFT_OK, LOFT_EPENDING. */
int journal_restart(journal_world *world);
/* From now on: the nth call of these kinds fails, once. */
void journal_fail(journal_world *world, unsigned kinds, enum fault_action action, uint64_t n,
                  int error);
void journal_go_well(journal_world *world);

void journal_page_fill(uint8_t *bytes, uint32_t page, uint32_t version);
uint64_t journal_page_idx(const journal_model *model, uint32_t page);

/* The scenario whose recoveries are held against the model of `world`. */
crash_scenario journal_scenario(journal_world *world, const char *name);
/* Runs a script and enumerates its crashes. Returns: violations. */
uint64_t journal_enumerate(const journal_script *script, const crash_options *options,
                           crash_result *out);

/* --- Between journal_world.c and journal_recover.c ---------------------------------------------- */

#define JOURNAL_PATH "/arena"

/* Opens and recovers; the store is closed unless the answer is LOFT_OK or LOFT_EPENDING. */
int journal_store_open(lofti_store *store, const lofti_file_ops *ops);
/* The attempt that the store shows: the latest of its sequence whose pages are as the store's; -1 with the
 * reason. */
int64_t journal_attempt_found(const journal_model *model, lofti_store *store, char *why);
void journal_version_set(journal_commit *commit, uint32_t page, uint32_t version);

#endif
