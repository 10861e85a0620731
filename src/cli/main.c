/*
 * cli/main.c - the `loft` command: its table of subcommands, help, and how it ends.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

typedef struct main_command {
    const char *name;
    int (*run)(char **arguments);
    const char *operands; /* as in a usage line */
    const char *purpose;
} main_command;

static const main_command main_commands[] = {
    {"info", lofti_command_info, "FILE", "identity, sizes, last commit, roots, what is live"},
    {"check", lofti_command_check, "[--leaks] [--foreign] FILE",
     "verify every checksum and invariant"},
    {"stat", lofti_command_stat, "FILE", "size classes, spans, pools, fragmentation"},
    {"map", lofti_command_map,
     "[--by occupancy|class|changes] [--against SNAPSHOT]\n"
     "                [--svg OUT | --html OUT] FILE",
     "the heap as a picture"},
    {"roots", lofti_command_roots, "FILE", "the named roots and what they point to"},
    {"dump", lofti_command_dump, "FILE ADDRESS|ROOT [BYTES]", "bytes, and the block they are in"},
    {"create", lofti_command_create, "[--reserve SIZE] [--base ADDRESS] FILE",
     "make an empty arena"},
    {"snapshot", lofti_command_snapshot, "[--replace] [--quiet] FILE TO",
     "a complete copy of the last commit, while programs go on"},
    {"recover", lofti_command_recover, "FILE", "do what opening after a crash does, and tell it"},
    {"salvage", lofti_command_salvage, "FILE TO",
     "what is provably whole of a damaged arena, into a new one"},
};

enum { MAIN_COMMANDS = sizeof main_commands / sizeof main_commands[0] };

static void main_help(FILE *out)
{
    fputs("usage: loft COMMAND [OPTION]... OPERAND...\n\n"
          "Looks at persistent arenas, the files of the loft library.\n\n",
          out);
    for (int i = 0; i < MAIN_COMMANDS; i++) {
        fprintf(out, "  loft %s %s\n      %s\n", main_commands[i].name, main_commands[i].operands,
                main_commands[i].purpose);
    }
    fputs(
        "\nWith any of them: --json prints facts as JSON (dump and map: of what they show).\n"
        "loft --help, loft --version\n\n"
        "A file is only ever changed by create and recover. The others read the last\n"
        "commit; a program that writes the arena may go on meanwhile, only its checkpoints wait.\n\n"
        "Exit status: 0; 1 if what was looked at is bad (faults, leaks); 2 if the command\n"
        "line is wrong; 3 if it could not be done. Details: man loft.\n",
        out);
}

/* A page of the mapped file that cannot be had: the file was made shorter, or its disk fails. */
static void main_bus(int number)
{
    static const char text[] =
        "loft: the file cannot be read to its end: it was cut, or its disk failed\n";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(LOFTI_CLI_FAILED);
}

static int main_run(char **arguments)
{
    const char *name = arguments[0];
    if (name == NULL) {
        main_help(stderr);
        return LOFTI_CLI_USAGE;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        main_help(stdout);
        return LOFTI_CLI_FINE;
    }
    if (strcmp(name, "--version") == 0) {
        printf("loft %s\n", loft_version());
        return LOFTI_CLI_FINE;
    }
    for (int i = 0; i < MAIN_COMMANDS; i++) {
        if (strcmp(name, main_commands[i].name) != 0) {
            continue;
        }
        for (char **at = arguments + 1; *at != NULL && strcmp(*at, "--") != 0; at++) {
            if (strcmp(*at, "--help") == 0) {
                printf("usage: loft %s [--json] %s\n%s\n", name, main_commands[i].operands,
                       main_commands[i].purpose);
                return LOFTI_CLI_FINE;
            }
        }
        return main_commands[i].run(arguments + 1);
    }
    fprintf(stderr, "loft: there is no command '");
    lofti_say_foreign(stderr, name);
    fprintf(stderr, "'\nTry 'loft --help'.\n");
    return LOFTI_CLI_USAGE;
}

int main(int count, char **arguments)
{
    struct sigaction action = {.sa_handler = main_bus};
    (void)sigaction(SIGBUS, &action, NULL);
    int code = count > 0 ? main_run(arguments + 1) : LOFTI_CLI_USAGE;
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "loft: standard output: %s\n", strerror(errno != 0 ? errno : EIO));
        code = LOFTI_CLI_FAILED;
    }
    return code;
}
