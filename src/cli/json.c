/*
 * cli/json.c - JSON, member by member.
 */
#include <string.h>

#include "cli.h"

static void json_string(FILE *out, const char *text)
{
    (void)putc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at != 0;) {
        const unsigned length = lofti_utf8_bytes(at);
        if (length == 0) {
            fputs("\\ufffd", out);
            at++;
        } else if (*at < ' ' || *at == '"' || *at == '\\' || *at == '<' || *at == 127) {
            fprintf(out, "\\u%04x", *at++);
        } else {
            fwrite(at, 1, length, out);
            at += length;
        }
    }
    (void)putc('"', out);
}

/* The comma, the line and the key before a member. */
static void json_member(lofti_json *json, const char *key)
{
    if (json->some[json->depth]) {
        (void)putc(',', json->out);
    }
    if (!json->tight && json->depth > 0) {
        fprintf(json->out, "\n%*s", (int)json->depth * 2, "");
    }
    json->some[json->depth] = true;
    if (key != NULL) {
        json_string(json->out, key);
        fputs(json->tight ? ":" : ": ", json->out);
    }
}

void lofti_json_open(lofti_json *json, const char *key, char bracket)
{
    json_member(json, key);
    (void)putc(bracket, json->out);
    json->depth++;
    json->some[json->depth] = false;
}

void lofti_json_close(lofti_json *json, char bracket)
{
    const bool some = json->some[json->depth];
    json->depth--;
    if (some && !json->tight) {
        fprintf(json->out, "\n%*s", (int)json->depth * 2, "");
    }
    (void)putc(bracket, json->out);
    if (json->depth == 0 && !json->tight) {
        (void)putc('\n', json->out);
    }
}

void lofti_json_text(lofti_json *json, const char *key, const char *text)
{
    json_member(json, key);
    json_string(json->out, text);
}

void lofti_json_number(lofti_json *json, const char *key, uint64_t number)
{
    json_member(json, key);
    fprintf(json->out, "%llu", (unsigned long long)number);
}

void lofti_json_real(lofti_json *json, const char *key, double number)
{
    json_member(json, key);
    fprintf(json->out, "%.4f", number);
}

void lofti_json_truth(lofti_json *json, const char *key, bool truth)
{
    json_member(json, key);
    fputs(truth ? "true" : "false", json->out);
}

void lofti_json_null(lofti_json *json, const char *key)
{
    json_member(json, key);
    fputs("null", json->out);
}

void lofti_json_address(lofti_json *json, const char *key, uint64_t address)
{
    json_member(json, key);
    fprintf(json->out, "\"0x%llx\"", (unsigned long long)address);
}

void lofti_json_hex(lofti_json *json, const char *key, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    json_member(json, key);
    (void)putc('"', json->out);
    for (size_t i = 0; i < bytes; i++) {
        fprintf(json->out, "%02x", at[i]);
    }
    (void)putc('"', json->out);
}
