/*
 * os/dirty_none.c - for systems that do not tell which pages a program has a copy of its own of, in a way that
 * holds for memory that was there before (Windows, POSIX). So every page counts as private, which os/dirty.c does
 * where there is no way to ask.
 */
#include "os/dirty.h"

const lofti_dirty_ops *lofti_dirty_ops_scan(void) { return NULL; }

const lofti_dirty_ops *lofti_dirty_ops_pagemap(void) { return NULL; }

bool lofti_dirty_self_test(const lofti_dirty_ops *ops)
{
    (void)ops;
    return false;
}
