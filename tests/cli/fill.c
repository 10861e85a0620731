/* Makes arenas for the tests of the `loft` command: the same at every run, but for the UUID.
 *
 *     cli_fill KIND PATH [COUNT]
 *
 *   small    some of everything at a fixed address; one commit
 *   more     changes some of what small made, in a second commit
 *   journal  changes some, commits, and dies: the journal waits
 *   slabs    one block in a long slab, and in the same chunk many short slabs of small blocks
 *   root     one block, with a root of the name that COUNT is instead of a number
 *   leaky    roots that reach some blocks and not others, and a pointer to nowhere
 *   wide     COUNT MiB of slabs, most of them partly free, and all but metadata holes
 *   large    COUNT MiB that are stored, one commit for each 16
 *   hold     opens PATH for change, says "ready" and waits for the end of its standard input
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loft/inspect.h"
#include "loft/pool.h"

enum { LIST_NODES = 40, MEBIBYTE = 1 << 20 };

struct node {
    struct node *next;
    char text[24];
};

static void need(int fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "cli_fill: %s: %s\n", what, loft_last_error());
        exit(1);
    }
}

static loft_arena *fill_open(const char *path, unsigned flags)
{
    loft_arena *arena = NULL;
    loft_arena_options options = LOFT_ARENA_OPTIONS_INIT;
    options.base = (flags & LOFT_CREATE) != 0 ? UINT64_C(0x7e8000000000) : 0;
    options.reserve_bytes = UINT64_C(4)
                            << 30; /* what every sanitizer, and an emulator, has room for */
    need(loft_arena_open(path, flags, &options, &arena) == 0, "open");
    return arena;
}

static void *take(loft_arena *arena, size_t bytes)
{
    void *block = loft_arena_malloc(arena, bytes);
    need(block != NULL, "malloc");
    return block;
}

/* Blocks of many sizes; of each, every third is freed. */
static void fill_sizes(loft_arena *arena)
{
    static const size_t sizes[] = {16, 32, 48, 100, 256, 1000, 4000, 20000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        void *blocks[90];
        for (int k = 0; k < 90; k++) {
            blocks[k] = take(arena, sizes[i]);
            memset(blocks[k], (int)('a' + i), sizes[i]);
        }
        for (int k = 0; k < 90; k += 3) {
            loft_arena_free(arena, blocks[k]);
        }
    }
}

static void fill_small(const char *path)
{
    loft_arena *arena = fill_open(path, LOFT_CREATE | LOFT_EXCLUSIVE);
    struct node *head = NULL;
    for (int i = 0; i < LIST_NODES; i++) {
        struct node *node = take(arena, sizeof *node);
        memset(node, 0, sizeof *node);
        snprintf(node->text, sizeof node->text, "node %d", i);
        node->next = head;
        head = node;
    }
    fill_sizes(arena);
    char *long_one = take(arena, 9 * MEBIBYTE);
    memset(long_one, 'L', 100);
    loft_pool *pool = loft_pool_create(arena, 0);
    need(pool != NULL && loft_pool_calloc(pool, 1, 30000) != NULL, "pool");
    need(loft_arena_set_root(arena, "list", head) == 0, "root");
    need(loft_arena_set_root(arena, "inside", head->text) == 0, "root");
    need(loft_arena_set_root(arena, "long", long_one) == 0, "root");
    need(loft_arena_set_root(arena, "pool", pool) == 0, "root");
    need(loft_arena_set_root(arena, "odd \"name\" <&>\n\xff\xc3\xa4", head) == 0, "root");
    need(loft_arena_close(arena) == 0, "close");
}

static void change(loft_arena *arena)
{
    struct node *head = loft_arena_root(arena, "list");
    need(head != NULL, "root");
    strcpy(head->text, "changed");
    for (int i = 0; i < 5; i++) {
        need(loft_arena_calloc(arena, 1, 100) != NULL, "calloc");
    }
    char *long_one = loft_arena_root(arena, "long");
    long_one[5 * MEBIBYTE] = 'x';
}

static void fill_leaky(const char *path)
{
    loft_arena *arena = fill_open(path, LOFT_CREATE | LOFT_EXCLUSIVE);
    struct node *head = take(arena, sizeof *head);
    struct node *second = take(arena, sizeof *second);
    memset(head, 0, sizeof *head);
    memset(second, 0, sizeof *second);
    head->next = second;
    /* Where a program's stack would be: no pointer that another process could follow. */
    second->next = (struct node *)(uintptr_t)UINT64_C(0x7ffc12345670);
    for (int i = 0; i < 3; i++) {
        memset(take(arena, 200), 0, 200); /* nobody will find them again */
    }
    need(loft_arena_set_root(arena, "list", head) == 0, "root");
    need(loft_arena_close(arena) == 0, "close");
}

static void fill_slabs(const char *path)
{
    loft_arena *arena = fill_open(path, LOFT_CREATE | LOFT_EXCLUSIVE);
    for (int i = 0; i < 60000; i++) {
        memset(take(arena, 32), 1, 32);
        if (i == 34000) { /* more than one MiB behind the metadata */
            memset(take(arena, 65536), 1, 65536);
        }
    }
    need(loft_arena_close(arena) == 0, "close");
}

static void fill_root(const char *path, const char *name)
{
    loft_arena *arena = fill_open(path, LOFT_CREATE | LOFT_EXCLUSIVE);
    need(loft_arena_set_root(arena, name, loft_arena_calloc(arena, 1, 64)) == 0, "root");
    need(loft_arena_close(arena) == 0, "close");
}

static void fill_wide(const char *path, unsigned long long mebibytes)
{
    loft_arena *arena = fill_open(path, LOFT_CREATE | LOFT_EXCLUSIVE);
    const unsigned long long most =
        mebibytes * (MEBIBYTE / 2048); /* were all blocks the smallest */
    void **blocks = malloc(most * sizeof *blocks);
    need(blocks != NULL, "table");
    unsigned long long taken = 0;
    unsigned long long count = 0;
    for (; taken < mebibytes * MEBIBYTE; count++) {
        const size_t bytes = (size_t)2048 << (count / 512 % 3);
        blocks[count] = take(arena, bytes);
        taken += bytes;
        if (count % 4096 == 0) {
            char name[32];
            snprintf(name, sizeof name, "root %llu", count / 4096);
            need(loft_arena_set_root(arena, name, blocks[count]) == 0, "root");
            blocks[count] = NULL;
        }
    }
    unsigned state = 1;
    for (unsigned long long i = 0; i < count; i++) {
        state = state * 1103515245u + 12345u;
        if (state >> 30 == 0) {
            loft_arena_free(arena, blocks[i]);
        }
    }
    free(blocks);
    need(loft_arena_close(arena) == 0, "close");
}

static void fill_large(const char *path, unsigned long long mebibytes)
{
    loft_arena *arena = fill_open(path, LOFT_CREATE | LOFT_EXCLUSIVE);
    for (unsigned long long i = 0; i < mebibytes; i++) {
        memset(take(arena, MEBIBYTE), (int)(i % 255) + 1, MEBIBYTE);
        need(i % 16 != 0 || loft_arena_commit(arena) == 0, "commit");
    }
    need(loft_arena_close(arena) == 0, "close");
}

int main(int count, char **arguments)
{
    if (count < 3) {
        fprintf(stderr, "usage: cli_fill KIND PATH [COUNT]\n");
        return 2;
    }
    const char *kind = arguments[1];
    const char *path = arguments[2];
    if (strcmp(kind, "small") == 0) {
        fill_small(path);
    } else if (strcmp(kind, "leaky") == 0) {
        fill_leaky(path);
    } else if (strcmp(kind, "slabs") == 0) {
        fill_slabs(path);
    } else if (strcmp(kind, "root") == 0) {
        fill_root(path, count > 3 ? arguments[3] : "root");
    } else if (strcmp(kind, "wide") == 0) {
        fill_wide(path, count > 3 ? strtoull(arguments[3], NULL, 10) : 64);
    } else if (strcmp(kind, "large") == 0) {
        fill_large(path, count > 3 ? strtoull(arguments[3], NULL, 10) : 64);
    } else {
        loft_arena *arena = fill_open(path, LOFT_WRITE);
        if (strcmp(kind, "hold") == 0) {
            printf("ready\n");
            fflush(stdout);
            (void)getchar();
            need(loft_arena_abandon(arena) == 0, "abandon");
            return 0;
        }
        change(arena);
        need(loft_arena_commit(arena) == 0, "commit");
        if (strcmp(kind, "journal") == 0) {
            raise(SIGKILL);
        }
        need(loft_arena_close(arena) == 0, "close");
    }
    return 0;
}
