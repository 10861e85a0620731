/* Random life of an arena against a model: changes, commits, rollbacks, checkpoints, closing, abandoning,
 * reading beside. After every step the arena is as the model says. */
#include "arena/table_model.h"

typedef struct random_run {
    const char *path;
    uint64_t seed;
    loft_test_random random;
    loft_arena *arena;
    table_model committed, working;
} random_run;

static void reopen(random_run *run)
{
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    const uint64_t shift = loft_test_random_below(&run->random, 10);
    options.journal_limit_bytes = (uint64_t)4096 << (shift * 2);
    LOFT_CHECK_OK(loft_arena_open(run->path, LOFT_WRITE, &options, &run->arena));
    run->working = run->committed;
}

static void change(random_run *run)
{
    /* After a rollback or an abandon the same numbers come again, with other content. */
    const uint64_t seed = loft_test_random_next(&run->random) | 1;
    table_change(run->arena, table_of(run->arena), seed);
    table_model_change(&run->working, seed);
}

static void commit(random_run *run)
{
    LOFT_CHECK_OK(loft_arena_commit(run->arena));
    run->committed = run->working;
}

static void roll_back(random_run *run)
{
    LOFT_CHECK_OK(loft_arena_rollback(run->arena));
    run->working = run->committed;
}

static void read_beside(const random_run *run)
{
    /* At another address, so pointers need translating: the numbers must do here. */
    loft_arena *reader = NULL;
    LOFT_CHECK_OK(loft_arena_open(run->path, LOFT_RELOCATE, NULL, &reader));
    LOFT_CHECK_EQ_UINT(table_commit(reader), run->committed.commit);
    check_arena(reader);
    abandon_arena(reader);
}

static void step(random_run *run)
{
    switch (loft_test_random_below(&run->random, 20)) {
    case 0: LOFT_CHECK_OK(loft_arena_checkpoint(run->arena)); break;
    case 1:
        close_arena(run->arena);
        run->committed = run->working;
        reopen(run);
        break;
    case 2:
        abandon_arena(run->arena);
        reopen(run);
        break;
    case 3:
    case 4: roll_back(run); break;
    case 5: read_beside(run); break;
    case 6:
    case 7:
    case 8:
    case 9: commit(run); break;
    default: change(run); break;
    }
}

static void live(uint64_t steps, uint64_t part)
{
    random_run run = {.path = loft_test_tmp_path("data"), .seed = loft_test_seed() + part};
    run.random.state = run.seed;
    close_arena(new_arena("data"));
    reopen(&run);
    for (uint64_t i = 0; i < steps; i++) {
        step(&run);
        if (i % 8 == 0) {
            table_check(run.arena, &run.working);
        }
    }
    table_check(run.arena, &run.working);
    abandon_arena(run.arena);
    reopen(&run);
    table_check(run.arena, &run.committed);
    close_arena(run.arena);
}

LOFT_TEST(random, a_life_of_changes_one) { live(loft_test_scale(1500, 50000, 1000000), 1); }
LOFT_TEST(random, a_life_of_changes_two) { live(loft_test_scale(1500, 50000, 1000000), 2); }
