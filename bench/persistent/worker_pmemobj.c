/* The worker for PMDK's libpmemobj with its atomic allocations; built twice: as it comes, where each flush goes to
 * the device (BENCH_PMEMOBJ_DURABLE=1), and flushing processor caches only (PMEM_IS_PMEM_FORCE=1), which shows what
 * it costs beside the device. The library reads that variable when it is loaded, so
 * it is loaded by hand. Argument: the path of the file to make (removed at once). */
#include <dlfcn.h>
#define PMEMOBJ_DIRECT_NON_INLINE
#include <libpmemobj.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "heap_worker.h"

static PMEMobjpool *pool;
static struct {
    PMEMobjpool *(*create)(const char *path, const char *layout, size_t bytes, mode_t mode);
    int (*alloc)(PMEMobjpool *pool, PMEMoid *oid, size_t bytes, uint64_t type,
                 pmemobj_constr constructor, void *argument);
    void (*free)(PMEMoid *oid);
    void *(*direct)(PMEMoid oid);
    PMEMoid (*oid)(const void *address);
    void (*close)(PMEMobjpool *pool);
} library;

static inline void *heap_alloc(size_t bytes)
{
    PMEMoid oid = {0, 0};
    return library.alloc(pool, &oid, bytes, 1, NULL, NULL) == 0 ? library.direct(oid) : NULL;
}

static inline void heap_free(void *block)
{
    PMEMoid oid = library.oid(block);
    library.free(&oid);
}

#include "heap_loops.h"

#define HEAP_FILE_BYTES ((size_t)3 << 30) /* the largest work holds 0.7 GiB */

/* A function into a pointer to one: ISO C has no cast from what dlsym returns. */
static void find(void *handle, const char *name, void *out)
{
    void *const address = dlsym(handle, name);
    HEAP_MUST(address != NULL);
    memcpy(out, &address, sizeof address);
}

void heap_open(const char *argument)
{
    char path[800];
    (void)snprintf(path, sizeof path, "%s-%ld.pmemobj", argument, (long)getpid());
#if !BENCH_PMEMOBJ_DURABLE
    HEAP_MUST(setenv("PMEM_IS_PMEM_FORCE", "1", 1) == 0);
#endif
    void *handle = dlopen("libpmemobj.so.1", RTLD_NOW);
    HEAP_MUST(handle != NULL);
    find(handle, "pmemobj_create", &library.create);
    find(handle, "pmemobj_alloc", &library.alloc);
    find(handle, "pmemobj_free", &library.free);
    find(handle, "pmemobj_direct", &library.direct);
    find(handle, "pmemobj_oid", &library.oid);
    find(handle, "pmemobj_close", &library.close);
    pool = library.create(path, "bench", HEAP_FILE_BYTES, 0600);
    HEAP_MUST(pool != NULL);
    heap_note_file(path);
    HEAP_MUST(unlink(path) == 0);
}

/* Its file is mapped shared: what is stored is in it. */
void heap_settle(void) {}

void heap_close(void) { library.close(pool); }
