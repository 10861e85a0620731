/*
 * base/misuse.c - the misuse handler.
 */
#include "base/misuse.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/status.h"

enum { MISUSE_TEXT_BYTES = 512 }; /* one sentence with two addresses; longer ones are cut */

typedef struct misuse_handler {
    loft_misuse_fn *fn;
    void *context;
} misuse_handler;

static pthread_mutex_t handler_mutex = PTHREAD_MUTEX_INITIALIZER;
static misuse_handler handler_current;

static void misuse_abort(void *context, const loft_misuse *misuse)
{
    (void)context;
    (void)fprintf(stderr, "loft: misuse: %s\n", misuse->text);
    abort();
}

void loft_set_misuse_handler(loft_misuse_fn *fn, void *context)
{
    (void)pthread_mutex_lock(&handler_mutex);
    handler_current = (misuse_handler){fn, context};
    (void)pthread_mutex_unlock(&handler_mutex);
}

/* A copy, so that fn and context always belong together and no lock is held while it runs. */
static misuse_handler handler_copy(void)
{
    (void)pthread_mutex_lock(&handler_mutex);
    misuse_handler handler = handler_current;
    (void)pthread_mutex_unlock(&handler_mutex);
    if (handler.fn == NULL) {
        handler.fn = misuse_abort;
    }
    return handler;
}

void lofti_misuse_report(int kind, const void *address, const char *format, ...)
{
    char text[MISUSE_TEXT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    (void)lofti_status_fail(LOFT_EINVAL, NULL, NULL, "misuse: %s", text);
    const loft_misuse misuse = {sizeof misuse, kind, address, text};
    const misuse_handler handler = handler_copy();
    handler.fn(handler.context, &misuse);
}
