#include "boost_heap.h"

#include <new>

#include <boost/interprocess/managed_mapped_file.hpp>
#include <boost/interprocess/offset_ptr.hpp>

namespace bi = boost::interprocess;
using root_pointer = bi::offset_ptr<void>;

static bi::managed_mapped_file *of(void *heap)
{
    return static_cast<bi::managed_mapped_file *>(heap);
}

void *boost_heap_create(const char *path, size_t bytes)
{
    try {
        return new bi::managed_mapped_file(bi::create_only, path, bytes);
    } catch (const bi::interprocess_exception &) {
        return nullptr;
    }
}

void *boost_heap_open(const char *path)
{
    try {
        return new bi::managed_mapped_file(bi::open_only, path);
    } catch (const bi::interprocess_exception &) {
        return nullptr;
    }
}

void boost_heap_close(void *heap) { delete of(heap); }

void *boost_heap_alloc(void *heap, size_t bytes) { return of(heap)->allocate(bytes, std::nothrow); }

void boost_heap_free(void *heap, void *block) { of(heap)->deallocate(block); }

void boost_heap_set_root(void *heap, void *block)
{
    *of(heap)->find_or_construct<root_pointer>("root")() = block;
}

void *boost_heap_root(void *heap)
{
    root_pointer *root = of(heap)->find<root_pointer>("root").first;
    return root != nullptr ? root->get() : nullptr;
}
