/* The names and folders of the in-memory file system: a small table of whole paths. */
#ifndef LOFT_TESTS_SUPPORT_MEMORY_NAMES_H
#define LOFT_TESTS_SUPPORT_MEMORY_NAMES_H

#include <stdbool.h>

#include "support/memory_fs.h"

enum { MEMORY_NAME_FREE = -1, MEMORY_NAME_FOLDER = -2 };

typedef struct memory_name {
    char path[MEMORY_FS_PATH_BYTES];
    int target; /* what it leads to: a node, or one of the two above, less one (0: free) */
} memory_name;

typedef struct memory_names { /* all zero: empty */
    memory_name entries[MEMORY_FS_NAMES];
} memory_names;

/* The folder that would hold `path` is there. */
bool memory_names_folder_exists(const memory_names *names, const char *path);
/* Returns: the node, -ENOENT, or -EISDIR for a folder. */
int memory_names_find(const memory_names *names, const char *path);
/* -EEXIST, -ENOENT (no such folder), -ENAMETOOLONG, -ENOSPC (table full). */
int memory_names_add(memory_names *names, const char *path, int node);
int memory_names_add_folder(memory_names *names, const char *path);
/* *replaced: the node that `to` led to before, or -1. */
int memory_names_rename(memory_names *names, const char *from, const char *to, int *replaced);
/* Returns: the node that the name led to, or a negative errno. */
int memory_names_remove(memory_names *names, const char *path);
/* Any name leads to node. */
bool memory_names_lead_to(const memory_names *names, int node);

#endif
