/* Boost.Interprocess' managed_mapped_file, for C. Its header is C++ and long; the calls through here cost a
 * nanosecond or two of its hundred and more. */
#ifndef LOFT_BENCH_BOOST_HEAP_H
#define LOFT_BENCH_BOOST_HEAP_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A new file of `bytes`, NULL: it could not be made. */
void *boost_heap_create(const char *path, size_t bytes);
void *boost_heap_open(const char *path);
void boost_heap_close(void *heap);
void *boost_heap_alloc(void *heap, size_t bytes); /* NULL: full */
void boost_heap_free(void *heap, void *block);
/* One block that is found again after the next open. */
void boost_heap_set_root(void *heap, void *block);
void *boost_heap_root(void *heap);

#ifdef __cplusplus
}
#endif

#endif
