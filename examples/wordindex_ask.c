/* wordindex - the questions. None of them loads anything: the arena is mapped where it always is,
 * and the pointers in it are followed. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loft/arena.h"
#include "textindex.h"
#include "wordindex.h"

/* A question that is being answered. */
struct asked {
    const struct question *question;
    loft_arena *arena;
    const struct index *index;
};

static struct entry **list_of(const struct table *table, index_order *order)
{
    struct entry **list = index_list(table, order);
    if (list == NULL)
        exit(complain("", "out of memory"));
    return list;
}

static int answer_top(const struct asked *asked)
{
    const char *text = asked->question->operand_count > 0 ? asked->question->operands[0] : "10";
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0)
        return complain(text, "not a number");
    struct entry **words = list_of(&asked->index->words, index_by_count);
    for (uint64_t i = 0; i < asked->index->words.entry_count && i < n; i++) {
        printf("%10" PRIu64 "  ", words[i]->count);
        print_name(stdout, words[i]->name, words[i]->name_bytes);
        putchar('\n');
    }
    free(words);
    return 0;
}

static int by_posting(const void *left, const void *right)
{
    const struct posting *a = *(const struct posting *const *)left;
    const struct posting *b = *(const struct posting *const *)right;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return a->file->stamp->number < b->file->stamp->number ? -1 : 1;
}

static int answer_find(const struct asked *asked)
{
    const char *text = asked->question->operands[0];
    size_t bytes = strlen(text), files = 0;
    char *name = strdup(text);
    if (name == NULL)
        return complain("", "out of memory");
    for (size_t i = 0; i < bytes; i++) {
        name[i] = index_fold((unsigned char)name[i]);
        if (name[i] == '\0') {
            free(name);
            return complain(text, "a word has letters A-Z and digits only");
        }
    }
    const struct entry *word = index_find(&asked->index->words, name, bytes);
    free(name);
    if (word == NULL) {
        printf("%s: in no file\n", text);
        return EXIT_SOME;
    }
    for (const struct posting *at = word->postings; at != NULL; at = at->next)
        files++;
    const struct posting **list = malloc((files + 1) * sizeof(struct posting *));
    if (list == NULL)
        return complain("", "out of memory");
    files = 0;
    for (const struct posting *at = word->postings; at != NULL; at = at->next)
        list[files++] = at;
    qsort(list, files, sizeof(struct posting *), by_posting);
    printf("%s: %" PRIu64 " in %zu files\n", text, word->count, files);
    for (size_t i = 0; i < files; i++) {
        printf("%10" PRIu64 "  ", list[i]->count);
        print_name(stdout, list[i]->file->name, list[i]->file->name_bytes);
        putchar('\n');
    }
    free(list);
    return 0;
}

static int answer_dump(const struct asked *asked)
{
    struct entry **words = list_of(&asked->index->words, index_by_name);
    for (uint64_t i = 0; i < asked->index->words.entry_count; i++) {
        fwrite(words[i]->name, 1, words[i]->name_bytes, stdout);
        printf("\t%" PRIu64 "\n", words[i]->count);
    }
    free(words);
    return 0;
}

static int answer_files(const struct asked *asked)
{
    struct entry **files = list_of(&asked->index->files, index_by_number);
    for (uint64_t i = 0; i < asked->index->files.entry_count; i++) {
        if (asked->question->nul)
            fwrite(files[i]->name, 1, files[i]->name_bytes, stdout);
        else
            print_name(stdout, files[i]->name, files[i]->name_bytes);
        putchar(asked->question->nul ? '\0' : '\n');
    }
    free(files);
    return 0;
}

static int answer_stat(const struct asked *asked)
{
    loft_arena_info info = {.struct_bytes = sizeof info};
    loft_arena_statistics heap = {.struct_bytes = sizeof heap};
    if (loft_arena_describe(asked->arena, &info) != 0 || loft_arena_stats(asked->arena, &heap) != 0)
        return complain("", loft_last_error());
    const struct {
        const char *name;
        uint64_t value;
    } lines[] = {{"files", asked->index->files.entry_count},
                 {"text bytes", asked->index->text_bytes},
                 {"words", asked->index->word_count},
                 {"distinct words", asked->index->words.entry_count},
                 {"blocks", heap.live_blocks},
                 {"bytes in blocks", heap.live_bytes},
                 {"bytes of the arena", info.file_bytes},
                 {"bytes on the device", info.stored_bytes},
                 {"bytes in the journal", info.journal_bytes},
                 {"commits", info.sequence}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        printf("%-21s %14" PRIu64 "\n", lines[i].name, lines[i].value);
    printf("%-21s %#14" PRIx64 "\n", "address", info.base);
    return 0;
}

static int fault_print(void *context, const loft_fault *fault)
{
    (void)context;
    printf("at %#" PRIx64 ": %s\n", fault->offset, fault->text);
    return 0;
}

static int answer_check(const struct asked *asked)
{
    uint64_t faults = 0;
    int code = loft_arena_check(asked->arena, fault_print, NULL, &faults);
    if (code != 0) {
        printf("%" PRIu64 " faults in the arena: %s\n", faults, loft_last_error());
        return EXIT_SOME;
    }
    const char *wrong = index_check(asked->index);
    puts(wrong == NULL ? "the arena and the index are whole" : wrong);
    return wrong == NULL ? 0 : EXIT_SOME;
}

static const struct command {
    const char *name;
    int (*answer)(const struct asked *asked);
    size_t least, most; /* operands */
} commands[] = {{"top", answer_top, 0, 1},   {"find", answer_find, 1, 1},
                {"dump", answer_dump, 0, 0}, {"files", answer_files, 0, 0},
                {"stat", answer_stat, 0, 0}, {"check", answer_check, 0, 0}};

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int wordindex_ask(const struct question *question)
{
    const struct command *command = command_find(question->command);
    if (command == NULL)
        return complain(question->command, "no such command (--help)");
    if (question->operand_count < command->least || question->operand_count > command->most)
        return complain(question->command, "wrong number of operands (--help)");
    loft_arena *arena;
    struct index *index;
    double begun = seconds_now();
    if (loft_arena_open(question->arena, 0, NULL, &arena) != 0)
        return complain("", loft_last_error());
    const char *wrong = index_open(arena, false, &index);
    double opened = seconds_now();
    int status = wrong != NULL ? complain(question->arena, wrong)
                               : command->answer(&(struct asked){question, arena, index});
    fflush(stdout);
    if (question->times)
        fprintf(stderr, "opened in %.3f ms, answered in %.3f ms\n", (opened - begun) * 1e3,
                (seconds_now() - opened) * 1e3);
    loft_arena_abandon(arena); /* only read: there is nothing to lose */
    return status;
}
