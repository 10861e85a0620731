/* wordindex - a persistent index of text, from the command line. The index itself, plain structs in
 * a loft arena, is textindex.h; here are the files, the commits and what people see.
 *
 * Rules
 * 1. One file is one commit. Whatever kills the program, the arena holds whole files: every file
 *    that was reported as done, and at most the one in progress.
 * 2. Which files are done is in the same arena, and in the same commit as their words. A run after
 *    a crash goes on where the last commit ended.
 * 3. A file that fails half way is rolled back, and the next one goes on. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "loft/arena.h"
#include "loft/version.h"
#include "textindex.h"
#include "wordindex.h"

enum {
    BLOCK_BYTES = 1 << 16, /* read at once; more is not faster */
    FILE_WORK = 1 << 14    /* for the bar: a file's commit takes as long as so many bytes of text */
};

static const char usage[] =
    "usage: wordindex ARENA COMMAND [OPTION]...\n"
    "\n"
    "Keeps an index of text in the file ARENA: which words, how often, in which files.\n"
    "\n"
    "  add FILE...        index these files; makes ARENA if there is none\n"
    "      --from LIST    and those that LIST names, one a line\n"
    "      -              and those that standard input names\n"
    "      -0             the names end with a NUL, not with a line\n"
    "      -q             say nothing but what goes wrong\n"
    "  top [N]            the N most frequent words (10)\n"
    "  find WORD          how often the word occurs, and where\n"
    "  dump               every word, a tab, its count; in order of bytes\n"
    "  files [-0]         the files that are done, in the order of their coming\n"
    "  stat               figures of the index and of the arena\n"
    "  check              verify the arena and the index\n"
    "      -t             with any of these but add: how long it took, on standard error\n"
    "\n"
    "add commits after every file and may be killed at any moment: the same command again goes\n"
    "on with the first file that is not done. With a terminal on standard error it draws a bar;\n"
    "if standard output is none, a line 'done WORDS BYTES FILE' follows each commit.\n"
    "\n"
    "A word is a longest run of A-Z, a-z and 0-9, in lower case, of any length; all other bytes\n"
    "stand between words, and a word ends with its file. A file goes by the name it was given:\n"
    "'a' and './a' are two. A file that is done is left alone while its length and time of change\n"
    "are what they were; once they differ, its words are taken out and it is counted anew, in one\n"
    "commit. The words of a file that was removed stay. What cannot be read is named and skipped.\n"
    "\n"
    "Exit status: 0; 1 when a file was skipped, a word not found, a check failed; 2 otherwise.\n";

struct list { /* names of files */
    char **names;
    size_t count, room;
};

struct work { /* one run of add */
    struct index_writer writer;
    bool bar, lines;
    double begun, drawn; /* seconds */
    uint64_t work_total, work_done, file_total, file_done, read_bytes;
    uint64_t added, again, kept, skipped;
};

double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int complain(const char *what, const char *why)
{
    fprintf(stderr, "wordindex: %s%s%s\n", what, *what != '\0' ? ": " : "", why);
    return EXIT_BAD;
}

void print_name(FILE *out, const char *name, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        putc((unsigned char)name[i] < ' ' || name[i] == 127 ? '?' : name[i], out);
}

/* --- add ------------------------------------------------------------------------------------- */

static void bar_draw(struct work *work)
{
    static const char full[] = "==============================";
    double now = seconds_now(), spent = now - work->begun;
    if (!work->bar || now - work->drawn < 0.1) /* ten times a second looks smooth */
        return;
    work->drawn = now;
    double part = (double)work->work_done / (double)(work->work_total + 1);
    if (part > 1) /* a file may grow while it is read */
        part = 1;
    long left = (long)(spent / (part + 1e-9) - spent);
    fprintf(stderr, "\r[%-30.*s] %3.0f%%  %" PRIu64 " of %" PRIu64 " files  %.1f MB/s",
            (int)(part * 30), full, part * 100, work->file_done, work->file_total,
            spent > 0 ? (double)work->read_bytes / spent / 1e6 : 0);
    if (part > 0.01) /* earlier it would be a guess */
        fprintf(stderr, "  %ld:%02ld left", left / 60, left % 60);
    fputs("\033[K", stderr);
}

static void bar_clear(const struct work *work)
{
    if (work->bar)
        fputs("\r\033[K", stderr);
}

/* Indexes an open file. Returns: NULL, or what went wrong: the arena must then be rolled back. */
static const char *descriptor_add(struct work *work, const char *path, int descriptor)
{
    static unsigned char block[BLOCK_BYTES];
    struct stat found;
    if (fstat(descriptor, &found) != 0)
        return strerror(errno);
    if (!S_ISREG(found.st_mode))
        return S_ISDIR(found.st_mode) ? strerror(EISDIR) : "not a regular file";
    /* Of before the reading, so that a change meanwhile shows at the next add. */
    struct stamp stamp = {.seconds = found.st_mtim.tv_sec, .nanoseconds = found.st_mtim.tv_nsec};
    const char *wrong = index_begin(&work->writer, path, &stamp);
    ssize_t got = 0;
    while (wrong == NULL && (got = read(descriptor, block, sizeof block)) > 0) {
        wrong = index_text(&work->writer, block, (size_t)got);
        work->read_bytes += (uint64_t)got;
        work->work_done += (uint64_t)got;
        bar_draw(work);
    }
    if (got < 0)
        return strerror(errno);
    return wrong != NULL ? wrong : index_end(&work->writer);
}

/* In: what commit or close returned. Pending means safe, but still in the journal. */
static bool is_done(int code) { return code == 0 || code == LOFT_EPENDING; }

/* Out: *work_left, what adding it will take. Returns: true: it is in the index as it is now. */
static bool path_is_done(const struct work *work, const char *path, uint64_t *work_left)
{
    struct stat found;
    *work_left = FILE_WORK;
    if (stat(path, &found) != 0 || !S_ISREG(found.st_mode))
        return false;
    *work_left += (uint64_t)found.st_size;
    const struct entry *file = index_find(&work->writer.index->files, path, strlen(path));
    return file != NULL && file->stamp->bytes == found.st_size &&
           file->stamp->seconds == found.st_mtim.tv_sec &&
           file->stamp->nanoseconds == found.st_mtim.tv_nsec;
}

/* Indexes and commits a file, or leaves all as it was. Returns: false: the arena does not work. */
static bool path_add(struct work *work, const char *path)
{
    loft_arena *arena = work->writer.arena;
    bool again = index_find(&work->writer.index->files, path, strlen(path)) != NULL;
    /* O_NONBLOCK: or the open of a FIFO would wait; a regular file does not care. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    const char *wrong = descriptor < 0 ? strerror(errno) : descriptor_add(work, path, descriptor);
    if (wrong != NULL) {
        bar_clear(work);
        fputs("wordindex: ", stderr);
        print_name(stderr, path, strlen(path));
        fprintf(stderr, ": %s; skipped\n", wrong);
        work->skipped++;
    }
    if (descriptor >= 0)
        close(descriptor);
    if (wrong != NULL)
        return loft_arena_rollback(arena) == 0;

    if (!is_done(loft_arena_commit(arena)))
        return false;
    work->added += !again;
    work->again += again;
    if (work->lines) {
        const struct entry *file = work->writer.file;
        printf("done\t%" PRIu64 "\t%" PRId64 "\t", file->count, file->stamp->bytes);
        print_name(stdout, path, strlen(path));
        putchar('\n');
        fflush(stdout); /* whoever reads the line may rely on it */
    }
    return true;
}

/* Returns: an exit status. */
static int list_add(struct work *work, const struct list *list)
{
    uint64_t work_left;
    for (size_t i = 0; i < list->count; i++)
        if (!path_is_done(work, list->names[i], &work_left))
            work->work_total += work_left;
    work->file_total = list->count;
    work->begun = seconds_now();
    for (size_t i = 0; i < list->count; i++) {
        if (path_is_done(work, list->names[i], &work_left)) {
            work->kept++;
        } else if (path_add(work, list->names[i])) {
            work->work_done += FILE_WORK;
        } else {
            bar_clear(work);
            return complain("", loft_last_error());
        }
        work->file_done++;
        bar_draw(work);
    }
    bar_clear(work);
    return work->skipped > 0 ? EXIT_SOME : 0;
}

static void list_push(struct list *list, const char *name)
{
    if (list->count == list->room) {
        list->room = list->room * 2 + 64;
        list->names = realloc(list->names, list->room * sizeof *list->names);
    }
    char *copy = list->names != NULL ? strdup(name) : NULL;
    if (copy == NULL)
        exit(complain("", "out of memory"));
    list->names[list->count++] = copy;
}

static void list_free(struct list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->names[i]);
    free(list->names);
}

/* Adds the names in a file, or from standard input for "-". Returns: false: see errno. */
static bool list_read(struct list *list, const char *path, int separator)
{
    FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    char *line = NULL;
    size_t room = 0;
    ssize_t got;
    if (in == NULL)
        return false;
    while ((got = getdelim(&line, &room, separator, in)) > 0) {
        if (line[got - 1] == separator)
            line[got - 1] = '\0';
        if (line[0] != '\0')
            list_push(list, line);
    }
    bool whole = ferror(in) == 0;
    int error = errno;
    free(line);
    if (in != stdin)
        fclose(in);
    errno = error;
    return whole;
}

/* Returns: an exit status. */
static int command_add(const char *path, const struct list *list, bool quiet)
{
    struct work work = {.bar = !quiet && isatty(STDERR_FILENO) != 0,
                        .lines = !quiet && isatty(STDOUT_FILENO) == 0};
    loft_arena *arena;
    if (loft_arena_open(path, LOFT_CREATE, NULL, &arena) != 0)
        return complain("", loft_last_error());
    const char *wrong = index_open(arena, true, &work.writer.index);
    /* A new index is committed by itself, so that no rollback of a file takes it away. */
    if (wrong == NULL && !is_done(loft_arena_commit(arena)))
        wrong = loft_last_error();
    if (wrong != NULL) {
        complain(path, wrong);
        loft_arena_abandon(arena);
        return EXIT_BAD;
    }
    work.writer.arena = arena;
    int status = list_add(&work, list);
    free(work.writer.word);
    if (!quiet && status != EXIT_BAD)
        printf("%s%" PRIu64 " added, %" PRIu64 " counted anew, %" PRIu64 " done before, %" PRIu64
               " skipped; %" PRIu64 " files, %" PRIu64 " words in the index\n",
               work.lines ? "end\t" : "", work.added, work.again, work.kept, work.skipped,
               work.writer.index->files.entry_count, work.writer.index->word_count);
    if (status == EXIT_BAD) {
        loft_arena_abandon(arena);
        return status;
    }
    if (is_done(loft_arena_close(arena)))
        return status;
    complain("", loft_last_error());
    loft_arena_abandon(arena);
    return EXIT_BAD;
}

/* --- the command line ------------------------------------------------------------------------ */

/* In: the operands of add; from, the lists that options named. Returns: an exit status. */
static int operands_add(const char *arena, char **operands, int operand_count, struct list *from,
                        bool nul, bool quiet)
{
    struct list names = {0};
    for (int i = 0; i < operand_count; i++)
        list_push(strcmp(operands[i], "-") == 0 ? from : &names, operands[i]);
    if (names.count == 0 && from->count == 0)
        return complain("add", "which files? (--help)");
    int status = 0;
    for (size_t i = 0; status == 0 && i < from->count; i++)
        if (!list_read(&names, from->names[i], nul ? '\0' : '\n'))
            status = complain(from->names[i], strerror(errno));
    if (status == 0)
        status = command_add(arena, &names, quiet);
    list_free(&names);
    return status;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'V'},
                                            {"from", required_argument, NULL, 'f'},
                                            {NULL, 0, NULL, 0}};
    struct list from = {0};
    struct question question = {0};
    bool quiet = false;
    int status = -1; /* not yet known */
    for (int option; (option = getopt_long(argc, argv, "0qth", options, NULL)) != -1;) {
        switch (option) {
        case '0': question.nul = true; break;
        case 'q': quiet = true; break;
        case 't': question.times = true; break;
        case 'f': list_push(&from, optarg); break;
        case 'h': status = fputs(usage, stdout) < 0 ? EXIT_BAD : 0; break;
        case 'V': status = printf("loft %s\n", loft_version()) < 0 ? EXIT_BAD : 0; break;
        default: status = EXIT_BAD; break;
        }
    }
    if (status < 0 && argc - optind < 2)
        status = complain("", "an arena, and what to do with it? (--help)");
    if (status < 0) {
        question.arena = argv[optind];
        question.command = argv[optind + 1];
        question.operands = argv + optind + 2;
        question.operand_count = (size_t)(argc - optind - 2);
        status = strcmp(question.command, "add") != 0
                     ? wordindex_ask(&question)
                     : operands_add(question.arena, question.operands, argc - optind - 2, &from,
                                    question.nul, quiet);
    }
    list_free(&from);
    if (fflush(stdout) != 0 || ferror(stdout))
        status = complain("standard output", strerror(errno));
    return status;
}
