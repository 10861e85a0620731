/*
 * cli/say.c - facts, numbers and errors as text.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cli.h"

enum {
    SAY_COLUMN = 16,  /* where a fact's value begins */
    SAY_COLUMNS = 80, /* of a terminal that does not say */
    SAY_ROWS = 24
};

const char *lofti_say_count(char out[LOFTI_SAY_BYTES], uint64_t count)
{
    char digits[24];
    const size_t length =
        (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    size_t at = 0;
    for (size_t i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0) {
            out[at++] = ',';
        }
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *lofti_say_bytes(char out[LOFTI_SAY_BYTES], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double number = (double)bytes;
    unsigned unit = 0;
    while (number >= 1024 && unit + 1 < sizeof units / sizeof units[0]) {
        number /= 1024;
        unit++;
    }
    /* Whole numbers stand without a fraction. */
    const bool whole = unit == 0 || (bytes & (((uint64_t)1 << (unit * 10)) - 1)) == 0;
    snprintf(out, LOFTI_SAY_BYTES, whole ? "%.0f %s" : "%.1f %s", number, units[unit]);
    return out;
}

const char *lofti_say_part(char out[LOFTI_SAY_BYTES], uint64_t part, uint64_t whole)
{
    if (whole == 0) {
        snprintf(out, LOFTI_SAY_BYTES, "-");
    } else {
        snprintf(out, LOFTI_SAY_BYTES, "%.1f %%", (double)part * 100 / (double)whole);
    }
    return out;
}

const char *lofti_say_period(char out[LOFTI_SAY_BYTES], double seconds)
{
    const unsigned long whole = (unsigned long)(seconds < 0 ? 0 : seconds > 1e9 ? 1e9 : seconds);
    snprintf(out, LOFTI_SAY_BYTES, "%lu:%02lu", whole / 60, whole % 60);
    return out;
}

const char *lofti_say_uuid(char out[LOFTI_SAY_BYTES], const uint8_t uuid[16])
{
    size_t at = 0;
    for (int i = 0; i < 16; i++) {
        at += (size_t)snprintf(out + at, LOFTI_SAY_BYTES - at, "%s%02x",
                               i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
    }
    return out;
}

const char *lofti_say_kind(uint32_t run_kind)
{
    static const char *const names[] = {"nothing", "free",     "metadata", "slab",   "span",
                                        "pool",    "internal", "header",   "journal"};
    return run_kind < sizeof names / sizeof names[0] ? names[run_kind] : "unknown";
}

void lofti_say_foreign(FILE *out, const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != 0;) {
        const unsigned length = lofti_utf8_bytes(at);
        /* U+0080 to U+009F control a terminal as the codes below 32 do. */
        const bool harmless = length > 2 || (length == 2 && (at[0] != 0xc2 || at[1] >= 0xa0)) ||
                              (length == 1 && *at >= ' ' && *at != 127);
        if (harmless) {
            fwrite(at, 1, length, out);
        } else {
            (void)putc('?', out);
        }
        at += length != 0 ? length : 1;
    }
}

void lofti_say_fact(const char *word, const char *format, ...)
{
    va_list arguments;
    printf("%-*s", SAY_COLUMN, word);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

static void say_both(bool json, int code, const char *text)
{
    fputs("loft: ", stderr);
    lofti_say_foreign(stderr, text);
    fputc('\n', stderr);
    if (json) {
        lofti_json value = {.out = stdout};
        lofti_json_open(&value, NULL, '{');
        lofti_json_open(&value, "error", '{');
        lofti_json_text(&value, "code", loft_error_name(code));
        lofti_json_text(&value, "text", text);
        lofti_json_close(&value, '}');
        lofti_json_close(&value, '}');
    }
}

int lofti_say_failure(bool json)
{
    say_both(json, loft_last_code(), loft_last_error());
    return LOFTI_CLI_FAILED;
}

int lofti_say_error(bool json, int code, const char *format, ...)
{
    char text[4600]; /* a path and a sentence */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    say_both(json, code, text);
    return LOFTI_CLI_FAILED;
}

/* --- The terminal ------------------------------------------------------------------------------------ */

void lofti_say_window(int fd, unsigned *columns, unsigned *rows)
{
    struct winsize size = {0};
    (void)ioctl(fd, TIOCGWINSZ, &size);
    *columns = size.ws_col != 0 ? size.ws_col : SAY_COLUMNS;
    *rows = size.ws_row != 0 ? size.ws_row : SAY_ROWS;
}

bool lofti_say_is_dumb(void)
{
    const char *kind = getenv("TERM");
    return kind != NULL && strcmp(kind, "dumb") == 0;
}
