/* See table_model.h. */
#include "arena/table_model.h"

enum { OPS_MAX = 8 };

enum op_kind { OP_REPLACE, OP_FREE, OP_REWRITE, OP_TWEAK, OP_RESIZE, OP_KINDS };

typedef struct table_op {
    uint64_t kind, slot, stamp, bytes;
} table_op;

/* The operations of change `number`; returns how many. */
static uint64_t ops_make(uint64_t seed, uint64_t number, table_op ops[OPS_MAX])
{
    loft_test_random random = {seed * 31 + number};
    const uint64_t count = 1 + loft_test_random_below(&random, OPS_MAX);
    for (uint64_t i = 0; i < count; i++) {
        table_op *op = &ops[i];
        op->slot = loft_test_random_below(&random, TABLE_SLOTS);
        op->kind = loft_test_random_below(&random, OP_KINDS);
        op->stamp = loft_test_random_next(&random) | 1;
        op->bytes = 8 * loft_test_random_below(&random, TABLE_SMALL_BYTES / 8 >>
                                                            loft_test_random_below(&random, 12));
        if (op->slot == 0 && loft_test_random_below(&random, 16) == 0) {
            op->bytes = TABLE_LARGE_BYTES;
        }
    }
    return count;
}

static void entry_change(table_entry *entry, const table_op *op)
{
    if (op->kind == OP_FREE) {
        *entry = (table_entry){0, 0, 0};
    } else if (entry->stamp == 0 || op->kind == OP_REPLACE || op->kind == OP_RESIZE) {
        *entry = (table_entry){op->stamp, op->bytes, 0};
    } else if (op->kind == OP_REWRITE) {
        entry->stamp = op->stamp;
    } else {
        entry->tweak = op->stamp;
    }
}

void table_model_change(table_model *model, uint64_t seed)
{
    table_op ops[OPS_MAX];
    const uint64_t count = ops_make(seed, ++model->commit, ops);
    for (uint64_t i = 0; i < count; i++) {
        entry_change(&model->entries[ops[i].slot], &ops[i]);
    }
}

static uint64_t content_word(const table_entry *entry, uint64_t i)
{
    return (entry->stamp + i) * 0x9e3779b97f4a7c15u;
}

static void content_fill(table_block *block)
{
    for (uint64_t i = 0; i < block->entry.bytes / 8; i++) {
        block->content[i] = content_word(&block->entry, i);
    }
}

static void block_change(loft_arena *arena, table_image *image, const table_op *op)
{
    table_block **at = &image->blocks[op->slot];
    table_entry entry = *at != NULL ? (*at)->entry : (table_entry){0, 0, 0};
    entry_change(&entry, op);
    if (op->kind == OP_FREE || (op->kind == OP_REPLACE && *at != NULL)) {
        loft_arena_free(arena, *at);
        *at = NULL;
    }
    if (op->kind == OP_FREE) {
        return;
    }
    if (*at == NULL || op->kind == OP_RESIZE) {
        *at = loft_arena_realloc(arena, *at, sizeof **at + entry.bytes);
        LOFT_CHECK_NOT_NULL(*at);
    }
    const bool refill = (*at)->entry.stamp != entry.stamp || (*at)->entry.bytes != entry.bytes ||
                        op->kind == OP_REPLACE || op->kind == OP_RESIZE || op->kind == OP_REWRITE ||
                        entry.tweak == 0;
    (*at)->entry = entry;
    if (refill) {
        content_fill(*at);
    }
}

table_image *table_of(loft_arena *arena)
{
    table_image *image = loft_arena_root(arena, "table");
    if (image == NULL) {
        LOFT_CHECK_EQ_INT(loft_last_code(), LOFT_ENOENT);
        image = loft_arena_calloc(arena, 1, sizeof *image);
        LOFT_CHECK_NOT_NULL(image);
        LOFT_CHECK_OK(loft_arena_set_root(arena, "table", image));
    }
    return image;
}

void table_change(loft_arena *arena, table_image *image, uint64_t seed)
{
    table_op ops[OPS_MAX];
    const uint64_t count = ops_make(seed, image->commit + 1, ops);
    for (uint64_t i = 0; i < count; i++) {
        block_change(arena, image, &ops[i]);
    }
    image->commit++;
}

static int count_block(void *context, const loft_block *block)
{
    (void)block;
    ++*(uint64_t *)context;
    return 0;
}

static void block_check(const table_block *block, const table_entry *entry, uint64_t slot)
{
    LOFT_CHECK_EQ_INT(block != NULL, entry->stamp != 0);
    if (block == NULL) {
        return;
    }
    LOFT_CHECK_EQ_MEM(&block->entry, entry, sizeof *entry);
    for (uint64_t i = 0; i < entry->bytes / 8; i++) {
        if (block->content[i] != content_word(entry, i)) {
            LOFT_FAIL("slot %ju, word %ju of %ju", (uintmax_t)slot, (uintmax_t)i,
                      (uintmax_t)entry->bytes / 8);
        }
    }
}

void table_check(loft_arena *arena, const table_model *model)
{
    const table_image *image = loft_arena_root(arena, "table");
    uint64_t blocks = 0;
    uint64_t expected = 0;
    LOFT_CHECK_EQ_INT(image != NULL, model->commit != 0);
    if (image != NULL) {
        LOFT_CHECK_EQ_UINT(image->commit, model->commit);
        expected = 1;
        for (uint64_t i = 0; i < TABLE_SLOTS; i++) {
            block_check(image->blocks[i], &model->entries[i], i);
            expected += model->entries[i].stamp != 0;
        }
    }
    LOFT_CHECK_OK(loft_arena_walk(arena, count_block, &blocks));
    LOFT_CHECK_EQ_UINT(blocks, expected);
    check_arena(arena);
}

uint64_t table_commit(loft_arena *arena)
{
    const table_image *image = loft_arena_root(arena, "table");
    return image != NULL ? image->commit : 0;
}
