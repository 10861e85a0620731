/* The recovery of the journal's scenarios; see journal_world.h. */
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "crash/journal_world.h"
#include "crash/salts.h"
#include "loft/error.h"

/* After a recovery, these pages are changed; scenarios use them in any case. */
enum { JOURNAL_GO_ON_PAGES = 4 };

/* --- Opening ------------------------------------------------------------------------------------ */

static int file_open(const lofti_file_ops *ops, lofti_file *file)
{
    *file = (lofti_file){.ops = ops};
    return ops->open(ops, JOURNAL_PATH, LOFTI_OPEN_WRITE, 0, &file->handle);
}

/* Opens and recovers; the store is closed unless the answer is LOFT_OK or LOFT_EPENDING. */
int journal_store_open(lofti_store *store, const lofti_file_ops *ops)
{
    lofti_file file;
    if (file_open(ops, &file) != 0) {
        return LOFT_ENOENT;
    }
    int code = lofti_store_open(store, &file, JOURNAL_PATH, true);
    if (code != LOFT_OK) {
        return code;
    }
    code = lofti_store_recover(store);
    if (code != LOFT_OK && code != LOFT_EPENDING) {
        lofti_store_close(store);
    }
    return code;
}

/* --- The model -------------------------------------------------------------------------------------- */

/* The first page that is not as the attempt left it, JOURNAL_PAGES if all are; -1: unreadable. */
static int64_t first_difference(const journal_model *model, lofti_store *store,
                                const journal_commit *commit)
{
    uint8_t bytes[LOFTI_PAGE_BYTES];
    for (uint32_t i = 0; i < model->used_count; i++) {
        const uint32_t page = model->used[i];
        const uint64_t page_idx = journal_page_idx(model, page);
        if (page_idx * LOFTI_PAGE_BYTES >= commit->frontier) {
            continue; /* not the heap's yet */
        }
        if (lofti_store_read_page(store, page_idx, bytes) != LOFT_OK) {
            return -1;
        }
        if (commit->versions[page] != JOURNAL_FREE &&
            lofti_hash(bytes, sizeof bytes, 0) != commit->hashes[page]) {
            return page;
        }
    }
    return JOURNAL_PAGES;
}

int64_t journal_attempt_found(const journal_model *model, lofti_store *store, char *why)
{
    int64_t page = -2;
    for (uint32_t attempt = model->attempts; attempt >= 1; attempt--) {
        if (model->commits[attempt].sequence == store->sequence) {
            page = first_difference(model, store, &model->commits[attempt]);
            if (page == JOURNAL_PAGES) {
                return attempt;
            }
        }
    }
    const char *reason = page == -2   ? "which was never begun"
                         : page == -1 ? loft_last_error()
                                      : "which has another page";
    (void)snprintf(why, CRASH_WHY_BYTES, "recovered sequence %llu, %s (page %lld)",
                   (unsigned long long)store->sequence, reason, (long long)page);
    return -1;
}

static int64_t scenario_recover(void *context, const lofti_file_ops *ops, char *why)
{
    lofti_store store;
    const int code = journal_store_open(&store, ops);
    if (code == LOFT_ENOENT) {
        return 0;
    }
    if (code != LOFT_OK) {
        (void)snprintf(why, CRASH_WHY_BYTES, "recovery: %s", loft_last_error());
        return -1;
    }
    const int64_t attempt = journal_attempt_found(context, &store, why);
    lofti_store_close(&store);
    return attempt;
}

/* --- In two parts ---------------------------------------------------------------------------------- */

static lofti_store opened; /* between open and finish */

/* All of the store but its addresses, and all of the index: what this leaves out, recovery may not use. */
static uint64_t store_number(const lofti_store *store)
{
    lofti_store bare = *store;
    memset(&bare.file, 0, sizeof bare.file);
    memset(&bare.flush_mutex, 0, sizeof bare.flush_mutex);
    memset(&bare.space_mutex, 0, sizeof bare.space_mutex);
    bare.path = NULL;
    bare.index.entries = NULL;
    bare.draft.entries = NULL;
    bare.frame = NULL;
    bare.scratch = NULL;
    uint64_t number = lofti_hash(&bare, sizeof bare, store->index.count);
    uint64_t left = store->index.count;
    for (uint64_t i = 0; i < store->index.capacity && left > 0; i++) {
        if (store->index.entries[i].page_idx != 0) {
            number = lofti_hash(&store->index.entries[i], sizeof *store->index.entries, number + i);
            left--;
        }
    }
    return number;
}

static uint64_t scenario_open(void *context, const lofti_file_ops *ops)
{
    lofti_file file;
    (void)context;
    if (file_open(ops, &file) != 0 ||
        lofti_store_open(&opened, &file, JOURNAL_PATH, true) != LOFT_OK) {
        return 0;
    }
    const uint64_t number = store_number(&opened);
    return number != 0 ? number : 1;
}

static void scenario_drop(void *context)
{
    (void)context;
    lofti_store_close(&opened);
}

static int64_t scenario_finish(void *context, char *why)
{
    /* What the buffers hold is not part of the number, so it must not matter. */
    memset(opened.frame, 0xa5, LOFTI_FRAME_SIZE_MAX);
    memset(opened.scratch, 0xa5, 2 * LOFTI_PAGE_BYTES);
    int64_t attempt = -1;
    const int code = lofti_store_recover(&opened);
    if (code == LOFT_OK) {
        attempt = journal_attempt_found(context, &opened, why);
    } else {
        (void)snprintf(why, CRASH_WHY_BYTES, "recovery: %s", loft_last_error());
    }
    lofti_store_close(&opened);
    return attempt;
}

/* --- Going on --------------------------------------------------------------------------------------- */

/* Three commits, a checkpoint between them. */
static int go_on_commits(const journal_model *model, lofti_store *store, journal_commit *commit)
{
    uint8_t bytes[LOFTI_PAGE_BYTES];
    int code = LOFT_OK;
    for (uint32_t i = 0; code == LOFT_OK && i < 3; i++) {
        const uint32_t page = (uint32_t)(commit->sequence + i) % JOURNAL_GO_ON_PAGES;
        journal_version_set(commit, page, 100000 + i);
        journal_page_fill(bytes, page, commit->versions[page]);
        code = lofti_store_begin(store);
        code =
            code == LOFT_OK ? lofti_store_page(store, journal_page_idx(model, page), bytes) : code;
        code = code == LOFT_OK ? lofti_store_commit(store, commit->frontier) : code;
        code = code == LOFT_OK && i == 1 ? lofti_store_checkpoint(store) : code;
    }
    return code;
}

static int scenario_go_on(void *context, const lofti_file_ops *ops, uint64_t commit, char *why)
{
    const journal_model *model = context;
    lofti_store store;
    if (commit == 0) {
        return 0;
    }
    journal_commit next = model->commits[commit];
    int code = journal_store_open(&store, ops);
    if (code == LOFT_OK) {
        const uint64_t end = model->chunk_off[0] + LOFTI_CHUNK_BYTES;
        if (store.space_end < end) { /* the first commit, which claims the chunk, was lost */
            uint64_t off;
            code = lofti_store_claim(&store, 1, end, &off);
        }
        next.frontier = next.frontier > end ? next.frontier : end;
        code = code == LOFT_OK ? go_on_commits(model, &store, &next) : code;
        lofti_store_close(&store);
    }
    code = code == LOFT_OK ? journal_store_open(&store, ops) : code;
    if (code != LOFT_OK) {
        (void)snprintf(why, CRASH_WHY_BYTES, "going on after commit %llu: %s",
                       (unsigned long long)commit, loft_last_error());
        return -1;
    }
    const int64_t page = first_difference(model, &store, &next);
    const uint64_t sequence = store.sequence;
    lofti_store_close(&store);
    if (page != JOURNAL_PAGES || sequence != next.sequence + 3) {
        (void)snprintf(why, CRASH_WHY_BYTES,
                       "three commits after %llu: sequence %llu, page %lld differs",
                       (unsigned long long)commit, (unsigned long long)sequence, (long long)page);
        return -1;
    }
    return 0;
}

crash_scenario journal_scenario(journal_world *world, const char *name)
{
    return (crash_scenario){.name = name,
                            .context = &world->model,
                            .recover = scenario_recover,
                            .go_on = scenario_go_on,
                            .open = scenario_open,
                            .finish = scenario_finish,
                            .drop = scenario_drop};
}

uint64_t journal_enumerate(const journal_script *script, const crash_options *options,
                           crash_result *out)
{
    journal_world *world = journal_world_begin();
    /* The salts of each script are its own, so no two have a state in common. */
    crash_salts_begin(options->seed ^ lofti_hash(script->name, strlen(script->name), 0));
    script->run(world);
    const crash_scenario scenario = journal_scenario(world, script->name);
    const uint64_t violations =
        crash_enumerate(record_fs_log(world->record), &scenario, options, out);
    journal_world_end(world);
    return violations;
}
