/*
 * cli/args.c - command lines.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

int lofti_args_complain(const char *name, const char *format, ...)
{
    char text[4600]; /* an argument, and words around it */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "loft %s: ", name);
    lofti_say_foreign(stderr, text);
    fprintf(stderr, "\nTry 'loft --help'.\n");
    return LOFTI_CLI_USAGE;
}

/* The option that `argument` begins with, to its end or to '='; NULL: none. */
static const lofti_args_option *args_find(const lofti_args_option *options, const char *argument,
                                          const char **value)
{
    const size_t length = strcspn(argument, "=");
    *value = argument[length] == '=' ? argument + length + 1 : NULL;
    for (; options->name != NULL; options++) {
        if (strlen(options->name) == length && memcmp(options->name, argument, length) == 0) {
            return options;
        }
    }
    return NULL;
}

/* Takes one option, and its value from *arguments; leaves *arguments at the last that it used. */
static bool args_take(const char *name, char ***arguments, const lofti_args_option *options)
{
    const char *value = NULL;
    const char *argument = **arguments;
    const lofti_args_option *option = args_find(options, argument, &value);
    if (option == NULL) {
        (void)lofti_args_complain(name, "unknown option '%s'", argument);
        return false;
    }
    if (option->flag != NULL) {
        if (value != NULL) {
            (void)lofti_args_complain(name, "%s takes no value", option->name);
            return false;
        }
        *option->flag = true;
        return true;
    }
    if (value == NULL) {
        value = (*arguments)[1];
        if (value == NULL) {
            (void)lofti_args_complain(name, "%s wants a value", option->name);
            return false;
        }
        ++*arguments;
    }
    *option->value = value;
    return true;
}

bool lofti_args_parse(const char *name, char **arguments, const lofti_args_option *options,
                      const char **operands, int least, int most)
{
    int count = 0;
    bool only_operands = false;
    memset(operands, 0, (size_t)most * sizeof *operands);
    for (; *arguments != NULL; arguments++) {
        const char *argument = *arguments;
        if (!only_operands && argument[0] == '-' && argument[1] != '\0') {
            only_operands = strcmp(argument, "--") == 0;
            if (!only_operands && !args_take(name, &arguments, options)) {
                return false;
            }
        } else if (count == most) {
            (void)lofti_args_complain(name, "one operand too many: '%s'", argument);
            return false;
        } else {
            operands[count++] = argument;
        }
    }
    if (count < least) {
        (void)lofti_args_complain(name, count == 0 ? "which file?" : "an operand is missing");
        return false;
    }
    return true;
}

/* The shift that a unit stands for; -1: it is none. */
static int args_unit(const char *unit)
{
    static const char letters[] = "KMGT";
    if (*unit == '\0' || strcmp(unit, "B") == 0) {
        return 0;
    }
    const char *letter = strchr(letters, *unit >= 'a' ? *unit - 'a' + 'A' : *unit);
    const bool ends = unit[1] == '\0' || strcmp(unit + 1, "B") == 0 || strcmp(unit + 1, "iB") == 0;
    return letter != NULL && ends ? (int)(letter - letters + 1) * 10 : -1;
}

bool lofti_args_size(const char *text, uint64_t *out)
{
    char *end = NULL;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        *out = strtoull(text, &end, 16);
        return end > text + 2 && *end == '\0' && strlen(text) <= 18;
    }
    if (text[0] < '0' || text[0] > '9') {
        return false;
    }
    const double number = strtod(text, &end);
    const int shift = args_unit(end);
    if (shift < 0) {
        return false;
    }
    const double bytes = number * (double)((uint64_t)1 << shift);
    if (!(bytes >= 0 && bytes < 9e18)) {
        return false;
    }
    /* Whole bytes are exact, however many digits they have. */
    *out = shift == 0 && text[strcspn(text, ".eE")] == '\0' ? strtoull(text, NULL, 10)
                                                            : (uint64_t)bytes;
    return true;
}
