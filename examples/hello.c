#include <loft/arena.h>
#include <signal.h>
#include <stdio.h>

struct note {
    struct note *next;
    int number;
};

int main(void)
{
    loft_arena *arena;
    if (loft_arena_open("notes.loft", LOFT_CREATE, NULL, &arena) != 0)
        goto failed;
    struct note *newest = loft_arena_root(arena, "newest");
    for (struct note *note = newest; note != NULL; note = note->next)
        printf("found note %d at %p\n", note->number, (void *)note);

    struct note *note = loft_arena_malloc(arena, sizeof *note);
    if (note == NULL || loft_arena_set_root(arena, "newest", note) != 0)
        goto failed;
    *note = (struct note){.next = newest, .number = newest != NULL ? newest->number + 1 : 1};
    if (loft_arena_commit(arena) != 0)
        goto failed;
    printf("committed note %d\n", note->number);
    fflush(stdout);
    note->number = 999; /* never committed: no run will see it */
    raise(SIGKILL);
failed:
    fprintf(stderr, "%s\n", loft_last_error());
    return 1;
}
