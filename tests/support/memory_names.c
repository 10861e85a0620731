/* See memory_names.h. */
#include "support/memory_names.h"

#include <errno.h>
#include <string.h>

/* A target is stored one higher than nodes count, so that zeroed memory is an empty table. */
static int target_of(const memory_name *name) { return name->target - 1; }

static memory_name *entry_of(const memory_names *names, const char *path)
{
    for (int i = 0; i < MEMORY_FS_NAMES; i++) {
        const memory_name *name = &names->entries[i];
        if (target_of(name) != MEMORY_NAME_FREE && strcmp(name->path, path) == 0) {
            return (memory_name *)(uintptr_t)name;
        }
    }
    return NULL;
}

bool memory_names_folder_exists(const memory_names *names, const char *path)
{
    const char *slash = strrchr(path, '/');
    const size_t bytes = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    for (int i = 0; i < MEMORY_FS_NAMES; i++) {
        const memory_name *name = &names->entries[i];
        if (target_of(name) == MEMORY_NAME_FOLDER && strlen(name->path) == bytes &&
            memcmp(name->path, path, bytes) == 0) {
            return true;
        }
    }
    return false;
}

int memory_names_find(const memory_names *names, const char *path)
{
    const memory_name *name = entry_of(names, path);
    if (name == NULL) {
        return -ENOENT;
    }
    return target_of(name) == MEMORY_NAME_FOLDER ? -EISDIR : target_of(name);
}

static int name_store(memory_names *names, const char *path, int target)
{
    if (strlen(path) >= MEMORY_FS_PATH_BYTES) {
        return -ENAMETOOLONG;
    }
    if (entry_of(names, path) != NULL) {
        return -EEXIST;
    }
    for (int i = 0; i < MEMORY_FS_NAMES; i++) {
        memory_name *name = &names->entries[i];
        if (target_of(name) == MEMORY_NAME_FREE) {
            memcpy(name->path, path, strlen(path) + 1);
            name->target = target + 1;
            return 0;
        }
    }
    return -ENOSPC;
}

int memory_names_add(memory_names *names, const char *path, int node)
{
    return memory_names_folder_exists(names, path) ? name_store(names, path, node) : -ENOENT;
}

int memory_names_add_folder(memory_names *names, const char *path)
{
    return name_store(names, path, MEMORY_NAME_FOLDER);
}

int memory_names_rename(memory_names *names, const char *from, const char *to, int *replaced)
{
    *replaced = -1;
    memory_name *source = entry_of(names, from);
    memory_name *target = entry_of(names, to);
    if (source == NULL || !memory_names_folder_exists(names, to)) {
        return -ENOENT;
    }
    if (strlen(to) >= MEMORY_FS_PATH_BYTES) {
        return -ENAMETOOLONG;
    }
    if (target != NULL && target_of(target) == MEMORY_NAME_FOLDER) {
        return -EISDIR;
    }
    if (target != NULL && target_of(target) == target_of(source)) {
        return 0; /* two names of one file: rename does nothing */
    }
    if (target != NULL) {
        *replaced = target_of(target);
        target->target = source->target;
        source->target = MEMORY_NAME_FREE + 1;
    } else {
        memcpy(source->path, to, strlen(to) + 1);
    }
    return 0;
}

int memory_names_remove(memory_names *names, const char *path)
{
    memory_name *name = entry_of(names, path);
    if (name == NULL) {
        return -ENOENT;
    }
    const int node = target_of(name);
    if (node == MEMORY_NAME_FOLDER) {
        return -EISDIR;
    }
    name->target = MEMORY_NAME_FREE + 1;
    return node;
}

bool memory_names_lead_to(const memory_names *names, int node)
{
    for (int i = 0; i < MEMORY_FS_NAMES; i++) {
        if (target_of(&names->entries[i]) == node) {
            return true;
        }
    }
    return false;
}
