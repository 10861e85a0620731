/*
 * heap_peers.c - who takes part in the heap benchmark, and in which version.
 */
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap_run.h"
#include "loft/version.h"

/* Where libraries lie on the systems that have one folder per architecture, and on the others. */
static const char *const library_folders[] = {"/usr/local/lib", "/usr/lib/*-linux-gnu*",
                                              "/usr/lib64", "/usr/lib"};

static bool find_in_folder(const char *folder, const char *name, char *out, size_t out_bytes)
{
    char pattern[256];
    glob_t found;
    bool done = false;
    (void)snprintf(pattern, sizeof pattern, "%s/%s", folder, name);
    if (glob(pattern, 0, NULL, &found) == 0) {
        done = (size_t)snprintf(out, out_bytes, "%s", found.gl_pathv[0]) < out_bytes;
        globfree(&found);
    }
    return done;
}

static bool find_library(const heap_peer *peer, char *out, size_t out_bytes)
{
    for (size_t i = 0; i < HEAP_PEER_LIBRARIES && peer->libraries[i] != NULL; i++) {
        const char *name = peer->libraries[i];
        if (name[0] == '/') {
            if (access(name, R_OK) == 0) {
                return (size_t)snprintf(out, out_bytes, "%s", name) < out_bytes;
            }
            continue;
        }
        for (size_t f = 0; f < sizeof library_folders / sizeof library_folders[0]; f++) {
            if (find_in_folder(library_folders[f], name, out, out_bytes)) {
                return true;
            }
        }
    }
    return false;
}

/* As Debian's package manager knows it: paragraphs of `Field: value` lines. */
static void find_version(const heap_peer *peer, char *out, size_t out_bytes)
{
    char line[1024];
    bool here = false;
    (void)snprintf(out, out_bytes, "%s", peer->is_loft ? LOFT_VERSION_TEXT : "");
    FILE *status = peer->package != NULL ? fopen("/var/lib/dpkg/status", "re") : NULL;
    if (status == NULL) {
        return;
    }
    while (fgets(line, sizeof line, status) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "Package: ", 9) == 0) {
            here = strcmp(line + 9, peer->package) == 0;
        } else if (here && strncmp(line, "Version: ", 9) == 0) {
            (void)snprintf(out, out_bytes, "%.40s %.50s", peer->package, line + 9);
            break;
        }
    }
    (void)fclose(status);
}

static void find_competitor(heap_run *run, const heap_peer *peer)
{
    heap_competitor *one = &run->competitors[run->count++];
    char worker[768];
    *one = (heap_competitor){.peer = peer};
    (void)snprintf(worker, sizeof worker, "%s/%s", run->workers, peer->worker);
    if (access(worker, X_OK) != 0) {
        (void)snprintf(one->absent, sizeof one->absent, "%s was not built", peer->worker);
    } else if (peer->libraries[0] != NULL &&
               !find_library(peer, one->library, sizeof one->library)) {
        (void)snprintf(one->absent, sizeof one->absent, "%s is not here (Debian: %s)",
                       peer->libraries[0], peer->package != NULL ? peer->package : "no package");
    }
    if (one->absent[0] == '\0') {
        find_version(peer, one->version, sizeof one->version);
    }
}

void heap_find_peers(heap_run *run)
{
    const size_t all = (size_t)(__stop_heap_peers - __start_heap_peers);
    /* The others first, loft behind them. */
    for (int loft = 0; loft < 2; loft++) {
        for (size_t i = 0; i < all && run->count < HEAP_COMPETITORS; i++) {
            if (__start_heap_peers[i]->is_loft == (loft != 0)) {
                find_competitor(run, __start_heap_peers[i]);
            }
        }
    }
}
