/*
 * os/watch_none.c - for systems without userfaultfd (Windows, POSIX): no range is ever watched (os/watch.h).
 */
#include <errno.h>

#include "os/watch.h"

bool lofti_watch_works(void) { return false; }

int lofti_watch_open(lofti_watch *out)
{
    out->handle = -1;
    return -EOPNOTSUPP;
}

void lofti_watch_close(lofti_watch *watch) { watch->handle = -1; }

int lofti_watch_add(const lofti_watch *watch, void *start, size_t bytes)
{
    (void)watch;
    (void)start;
    (void)bytes;
    return -EOPNOTSUPP;
}

/* What is not known counts as stored to. */
int lofti_watch_take(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context)
{
    return bytes != 0 ? fn(context, start, bytes) : 0;
}

int lofti_watch_look(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context)
{
    return lofti_watch_take(start, bytes, fn, context);
}

void lofti_watch_forget(void *start, size_t bytes)
{
    (void)start;
    (void)bytes;
}

int lofti_watch_peek(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context)
{
    return lofti_watch_take(start, bytes, fn, context);
}

int lofti_watch_missed(void *start, size_t bytes, lofti_dirty_run_fn *fn, void *context)
{
    return lofti_watch_take(start, bytes, fn, context);
}
