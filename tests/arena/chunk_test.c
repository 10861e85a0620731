/* The states of chunks: the table, the document, every move through the interface, and a checker that sees what is wrong. */
#include "arena/chunk.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena/arena.h"
#include "arena/arena_world.h"
#include "arena/oracle.h"
#include "os/map.h"

enum { CHUNK = LOFTI_CHUNK_BYTES, ANY_STATES = 5 };

static const uint8_t states[ANY_STATES] = {LOFTI_CHUNK_NONE, LOFTI_CHUNK_FILE,
                                           LOFTI_CHUNK_FILE | LOFTI_CHUNK_WATCHED, LOFTI_CHUNK_ANON,
                                           LOFTI_CHUNK_ANON | LOFTI_CHUNK_WATCHED};

/* --- The table ------------------------------------------------------------------------------------- */

/* The cells of a row of the document, without blanks around them. */
static unsigned row_cells(char *line, char *cells[LOFTI_CHUNK_EVENTS + 2])
{
    unsigned count = 0;
    char *rest = line + 1;
    for (char *end = strchr(rest, '|'); end != NULL && count < LOFTI_CHUNK_EVENTS + 2;
         end = strchr(rest, '|')) {
        *end = '\0';
        rest += strspn(rest, " ");
        for (char *last = end; last > rest && last[-1] == ' ';) {
            *--last = '\0';
        }
        cells[count++] = rest;
        rest = end + 1;
    }
    return count;
}

static bool find_section(FILE *page, char *line, int bytes)
{
    while (fgets(line, bytes, page) != NULL) {
        if (strcmp(line, "## States of a chunk\n") == 0) {
            return true;
        }
    }
    return false;
}

LOFT_TEST(chunk, the_document_has_the_table)
{
    FILE *page = fopen(LOFT_TEST_DURABILITY_PAGE, "r");
    char line[1024];
    unsigned rows = 0;
    LOFT_CHECK_NOT_NULL(page);
    LOFT_CHECK_TRUE(find_section(page, line, sizeof line));
    while (fgets(line, sizeof line, page) != NULL && line[0] != '#') {
        char *cells[LOFTI_CHUNK_EVENTS + 2];
        if (line[0] != '|' || strncmp(line, "|---", 4) == 0) {
            continue;
        }
        LOFT_CHECK_EQ_UINT(row_cells(line, cells), LOFTI_CHUNK_EVENTS + 1);
        for (unsigned event = 0; event < LOFTI_CHUNK_EVENTS; event++) {
            const char *wanted = lofti_chunk_event_name(event);
            if (rows > 0) {
                const uint8_t next = lofti_chunk_next(states[rows - 1], event);
                wanted = next == LOFTI_CHUNK_ILLEGAL ? "-" : lofti_chunk_state_name(next);
            }
            LOFT_CHECK_EQ_STR(cells[event + 1], wanted);
        }
        LOFT_CHECK_EQ_STR(cells[0], rows == 0 ? "state" : lofti_chunk_state_name(states[rows - 1]));
        rows++;
    }
    (void)fclose(page);
    LOFT_CHECK_EQ_UINT(rows, ANY_STATES + 1);
}

static bool is_state(unsigned value)
{
    for (unsigned i = 0; i < ANY_STATES; i++) {
        if (states[i] == value) {
            return true;
        }
    }
    return false;
}

LOFT_TEST(chunk, moves_lead_to_states_and_from_nowhere_else)
{
    for (unsigned value = 0; value <= UINT8_MAX; value++) {
        for (unsigned event = 0; event < LOFTI_CHUNK_EVENTS; event++) {
            const uint8_t next = lofti_chunk_next((uint8_t)value, event);
            LOFT_CHECK_TRUE(next == LOFTI_CHUNK_ILLEGAL || (is_state(value) && is_state(next)));
        }
        LOFT_CHECK_EQ_UINT(lofti_chunk_next((uint8_t)value, LOFTI_CHUNK_EVENTS),
                           LOFTI_CHUNK_ILLEGAL);
        LOFT_CHECK_EQ_INT(strcmp(lofti_chunk_state_name((uint8_t)value), "no state") == 0,
                          !is_state(value));
    }
}

typedef struct illegal_move {
    loft_arena *arena;
    uint64_t off;
    enum lofti_chunk_event event;
} illegal_move;

static void move_so(void *context)
{
    const illegal_move *move = context;
    lofti_chunk_move(move->arena, move->off, CHUNK, move->event);
}

LOFT_TEST(chunk, a_move_that_the_table_does_not_have_ends_the_program)
{
    loft_arena *arena = new_arena("arena");
    for (unsigned i = 0; i < ANY_STATES; i++) {
        for (unsigned event = 0; event < LOFTI_CHUNK_EVENTS; event++) {
            if (lofti_chunk_next(states[i], event) != LOFTI_CHUNK_ILLEGAL) {
                continue;
            }
            illegal_move move = {arena, LOFTI_HEAP_OFF + CHUNK, event};
            _Atomic uint8_t *state = &arena->chunk_states[move.off / CHUNK];
            const uint8_t before = *state;
            *state = states[i];
            LOFT_CHECK_DEATH(move_so, &move, SIGABRT, "internal check failed");
            *state = before;
        }
    }
    close_arena(arena);
}

/* --- Every move through the interface ------------------------------------------------------------------ */

static uint8_t state_of(const loft_arena *arena, const void *at)
{
    return arena->chunk_states[(uint64_t)((const uint8_t *)at - arena->base) / CHUNK];
}

static void expect_state(loft_arena *arena, const void *at, unsigned kind)
{
    LOFT_CHECK_EQ_UINT(state_of(arena, at),
                       kind | (arena->tracker == LOFT_TRACKER_WP_ASYNC && kind != LOFTI_CHUNK_NONE
                                   ? (unsigned)LOFTI_CHUNK_WATCHED
                                   : 0u));
    LOFT_CHECK_OK(lofti_chunk_verify(arena));
}

static void live(const char *tracker)
{
    oracle_force(tracker);
    loft_arena *arena = new_arena("arena");
    char *block = loft_arena_malloc(arena, 6 * CHUNK); /* chunks of its own */
    LOFT_CHECK_NOT_NULL(block);
    char *middle = block + 2 * CHUNK;
    LOFT_CHECK_OK(loft_arena_set_root(arena, "block", block));
    expect_state(arena, middle, LOFTI_CHUNK_ANON); /* grown, armed */
    memset(middle, 1, 2 * CHUNK);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    expect_state(arena, middle, LOFTI_CHUNK_ANON);
    *middle = 2; /* changed since: not returned */
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    expect_state(arena, middle, LOFTI_CHUNK_ANON);
    LOFT_CHECK_EQ_UINT(state_of(arena, middle + CHUNK), LOFTI_CHUNK_FILE); /* nothing changed */
    LOFT_CHECK_OK(loft_arena_pin(arena, middle, 4096));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    expect_state(arena, middle, LOFTI_CHUNK_ANON); /* a device may write to it */
    LOFT_CHECK_OK(loft_arena_unpin(arena, middle, 4096));
    LOFT_CHECK_OK(loft_arena_commit(arena));
    *middle = 3;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    LOFT_CHECK_EQ_UINT(state_of(arena, middle), LOFTI_CHUNK_FILE); /* returned */
    LOFT_CHECK_OK(lofti_chunk_verify(arena));
    *middle = 4;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    expect_state(arena, middle, LOFTI_CHUNK_FILE); /* armed by its first private page */
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    LOFT_CHECK_EQ_UINT(state_of(arena, middle), LOFTI_CHUNK_FILE); /* returned again */
    char *more = loft_arena_malloc(arena, 6 * CHUNK);
    LOFT_CHECK_NOT_NULL(more);
    expect_state(arena, more + 4 * CHUNK, LOFTI_CHUNK_ANON);
    LOFT_CHECK_OK(loft_arena_rollback(arena));
    expect_state(arena, more + 4 * CHUNK, LOFTI_CHUNK_NONE); /* given up */
    check_arena(arena);
    close_arena(arena);
    arena = open_arena(loft_test_tmp_path("arena"), LOFT_WRITE);
    block = loft_arena_root(arena, "block");
    LOFT_CHECK_EQ_UINT(state_of(arena, block + 2 * CHUNK), LOFTI_CHUNK_FILE); /* opened */
    LOFT_CHECK_EQ_INT(block[2 * CHUNK], 4);
    check_arena(arena);
    close_arena(arena);
}

LOFT_TEST(chunk, a_life_by_comparison) { live("private"); }
LOFT_TEST(chunk, a_life_that_the_kernel_watches) { live("wp_async"); }

/* Somebody closed the descriptor: the next commit finds that no watch is left, and nobody can be asked for another. */
LOFT_TEST(chunk, unarmed_when_the_watch_is_lost)
{
    oracle_force("wp_async");
    loft_arena *arena = new_arena("arena");
    char *block = oracle_fill_large(arena, 1);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    expect_state(arena, block, LOFTI_CHUNK_ANON);
    lofti_watch_close(&arena->watch);
    LOFT_CHECK_ERR(lofti_chunk_verify(arena), LOFT_ECORRUPT);
    LOFT_CHECK_CONTAINS(loft_last_error(), "the kernel does not watch it");
    block[0] = 2;
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_EQ_UINT(state_of(arena, block), LOFTI_CHUNK_ANON);
    abandon_arena(arena);
}

/* --- The checker ------------------------------------------------------------------------------------------ */

static void expect_fault(loft_arena *arena, const char *sentence)
{
    LOFT_CHECK_ERR(lofti_chunk_verify(arena), LOFT_ECORRUPT);
    LOFT_CHECK_CONTAINS(loft_last_error(), sentence);
}

/* What is mapped can be compared where the system tells it; what lies in the arena's own figures, always. */
static bool tells_mappings(void) { return lofti_map_ops_system()->walk != NULL; }

static void plant_state(loft_arena *arena, uint64_t off, unsigned state, const char *sentence)
{
    _Atomic uint8_t *byte = &arena->chunk_states[off / CHUNK];
    const uint8_t before = *byte;
    *byte = (uint8_t)state;
    expect_fault(arena, sentence);
    *byte = before;
    LOFT_CHECK_OK(lofti_chunk_verify(arena));
}

LOFT_TEST(chunk, the_checker_sees_a_wrong_state)
{
    oracle_force("private");
    loft_arena *arena = new_arena("arena");
    char *block = oracle_fill_large(arena, 1);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    const uint64_t filed = (uint64_t)((uint8_t *)block - arena->base) / CHUNK * CHUNK + CHUNK;
    char *more = loft_arena_malloc(arena, 4 * CHUNK);
    LOFT_CHECK_NOT_NULL(more);
    const uint64_t anon = (uint64_t)((uint8_t *)more - arena->base) / CHUNK * CHUNK + CHUNK;
    LOFT_CHECK_EQ_UINT(arena->chunk_states[filed / CHUNK], LOFTI_CHUNK_FILE);
    LOFT_CHECK_EQ_UINT(arena->chunk_states[anon / CHUNK], LOFTI_CHUNK_ANON);
    if (tells_mappings()) {
        plant_state(arena, filed, LOFTI_CHUNK_ANON, "a file lies there");
    }
    plant_state(arena, filed, LOFTI_CHUNK_NONE, "the heap lies there");
    plant_state(arena, filed, LOFTI_CHUNK_FILE | LOFTI_CHUNK_WATCHED, "nothing watches");
    plant_state(arena, filed, LOFTI_CHUNK_FILE | LOFTI_CHUNK_HELD, "that is none");
    plant_state(arena, filed, LOFTI_CHUNK_KIND, "that is none");
    if (tells_mappings()) {
        plant_state(arena, anon, LOFTI_CHUNK_NONE, "memory lies there");
    }
    plant_state(arena, anon, LOFTI_CHUNK_FILE, "the file is shorter");
    plant_state(arena, 0, LOFTI_CHUNK_FILE, "the heap begins behind it");
    close_arena(arena);
}

LOFT_TEST(chunk, the_checker_sees_a_wrong_mapping)
{
    if (!tells_mappings()) {
        LOFT_SKIP("this system has no list of mappings");
    }
    oracle_force("private");
    loft_arena *arena = new_arena("arena");
    char *block = oracle_fill_large(arena, 1);
    LOFT_CHECK_OK(loft_arena_commit(arena));
    LOFT_CHECK_OK(loft_arena_checkpoint(arena));
    uint8_t *filed =
        arena->base + (uint64_t)((uint8_t *)block - arena->base) / CHUNK * CHUNK + CHUNK;
    LOFT_CHECK_EQ_UINT(state_of(arena, filed), LOFTI_CHUNK_FILE);
    const size_t page = lofti_map_page_bytes();
    LOFT_CHECK_EQ_INT(lofti_map_protect(filed + page, page, LOFTI_MAP_READ), 0);
    expect_fault(arena, "its memory has other rights");
    LOFT_CHECK_EQ_INT(lofti_map_over(filed + page, page, LOFTI_MAP_WRITE, NULL, 0), 0);
    expect_fault(arena, "no file lies there");
    LOFT_CHECK_EQ_INT(lofti_map_release(filed + page, page), 0);
    expect_fault(arena, "nothing is mapped there");
    uint8_t *behind = arena->base + arena->reserve_bytes - page;
    LOFT_CHECK_EQ_INT(lofti_map_over(filed + page, page, LOFTI_MAP_WRITE, &arena->store.file,
                                     (uint64_t)(filed + page - arena->base)),
                      0);
    LOFT_CHECK_OK(lofti_chunk_verify(arena));
    LOFT_CHECK_EQ_INT(lofti_map_protect(behind, page, LOFTI_MAP_WRITE), 0);
    expect_fault(arena, "memory lies there");
    LOFT_CHECK_EQ_INT(lofti_map_over(behind, page, LOFTI_MAP_RESERVE, NULL, 0), 0);
    LOFT_CHECK_OK(lofti_chunk_verify(arena));
    close_arena(arena);
}

LOFT_TEST(chunk, the_checker_sees_address_space_that_is_no_longer_held)
{
    if (!lofti_map_lists_held()) {
        LOFT_SKIP("this system does not list address space that is only held");
    }
    loft_arena *arena = new_arena("arena");
    const size_t page = lofti_map_page_bytes();
    uint8_t *const ends[] = {arena->base, arena->base + arena->reserve_bytes - page};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        LOFT_CHECK_EQ_INT(lofti_map_release(ends[i], page), 0);
        expect_fault(arena, "nothing is mapped there");
        LOFT_CHECK_EQ_INT(lofti_map_over(ends[i], page, LOFTI_MAP_RESERVE, NULL, 0), 0);
        LOFT_CHECK_OK(lofti_chunk_verify(arena));
    }
    close_arena(arena);
}

/* Extents of the journal lie among the heap's chunks. */
static void check_around_the_journal(void)
{
    oracle_force("private");
    loft_arena *arena = new_arena("arena");
    loft_test_random random = {loft_test_seed()};
    while (arena->store.super.extent_count < 2) { /* noise, in commits that go to the journal */
        uint64_t *block = loft_arena_malloc(arena, 1 << 20);
        LOFT_CHECK_NOT_NULL(block);
        for (size_t i = 0; i < (1 << 20) / sizeof *block; i++) {
            block[i] = loft_test_random_next(&random);
        }
        LOFT_CHECK_OK(loft_arena_commit_async(arena, NULL));
    }
    char *more = loft_arena_malloc(arena, 4 * CHUNK);
    LOFT_CHECK_NOT_NULL(more);
    LOFT_CHECK_OK(lofti_chunk_verify(arena));
    plant_state(arena, arena->store.super.extents[1].off, LOFTI_CHUNK_ANON,
                "the journal lies there");
    close_arena(arena);
}

LOFT_TEST(chunk, the_checker_knows_the_journal) { check_around_the_journal(); }

/* As qemu-user does: address space that is only held is listed where other mappings lie on both sides of it. */
typedef struct sparse_list {
    lofti_map_area before, held; /* held.end 0: none waits for what follows it */
    lofti_map_area_fn *fn;
    void *context;
} sparse_list;

static int sparse_visit(void *context, const lofti_map_area *area)
{
    sparse_list *list = context;
    int stop = 0;
    if (list->held.end != 0 && area->start == list->held.end && area->readable)
        stop = list->fn(list->context, &list->held);
    list->held = (lofti_map_area){0};
    if (stop == 0 && area->readable)
        stop = list->fn(list->context, area);
    else if (!area->readable && area->start == list->before.end && list->before.readable)
        list->held = *area;
    list->before = *area;
    list->before.name = list->held.name = "";
    return stop;
}

static int sparse_walk(lofti_map_area_fn *fn, void *context)
{
    sparse_list list = {.fn = fn, .context = context};
    return lofti_map_ops_system()->walk(sparse_visit, &list);
}

LOFT_TEST(chunk, the_checker_takes_a_list_without_all_that_is_held)
{
    static lofti_map_ops sparse;
    if (!tells_mappings()) {
        LOFT_SKIP("this system has no list of mappings");
    }
    sparse = *lofti_map_ops_system();
    sparse.walk = sparse_walk;
    lofti_map_ops_set(&sparse);
    LOFT_CHECK_FALSE(lofti_map_lists_held());
    check_around_the_journal();
}
