/*
 * journal/copy_memory.c - a heap that has no file of its own, written as a store (journal/copy.h).
 *
 * The image's first byte goes to LOFTI_HEAP_OFF. Pages of zeros are left out, so that memory that was claimed and never
 * used takes no room.
 */
#include <string.h>

#include "base/arith.h"
#include "base/status.h"
#include "journal/copy.h"
#include "os/map.h"

enum {
    MEMORY_SCRATCH_BYTES = 64 << 10, /* a page of any system */
    MEMORY_BUFFER_BYTES = LOFTI_COPY_PIECE_BYTES + MEMORY_SCRATCH_BYTES
};

static bool page_is_zero(const uint8_t *page)
{
    uint64_t first;
    memcpy(&first, page, sizeof first);
    return first == 0 && memcmp(page, page + sizeof first, LOFTI_PAGE_BYTES - sizeof first) == 0;
}

/* Pages that wait to be written: neighbours, in the buffer. */
typedef struct memory_run {
    uint8_t *buffer;
    uint64_t off; /* in the image */
    uint64_t bytes;
} memory_run;

static int run_write(const lofti_copy *copy, memory_run *run)
{
    const uint64_t bytes = run->bytes;
    if (bytes == 0) {
        return LOFT_OK;
    }
    run->bytes = 0;
    const int error = lofti_file_write(copy->to, run->buffer, bytes, LOFTI_HEAP_OFF + run->off);
    if (error != 0) {
        return lofti_copy_failed(copy, error);
    }
    lofti_file_write_back(copy->to, LOFTI_HEAP_OFF + run->off, bytes);
    return LOFT_OK;
}

static int memory_pages(uint64_t bytes, lofti_copy_page_fn *page, void *context, lofti_copy *copy,
                        memory_run *run)
{
    uint8_t *scratch = run->buffer + LOFTI_COPY_PIECE_BYTES;
    int code = LOFT_OK;
    for (uint64_t off = 0; off < bytes && code == LOFT_OK; off += LOFTI_PAGE_BYTES) {
        const uint8_t *content = page(context, off, scratch);
        const bool zero = page_is_zero(content);
        if (zero || run->bytes == LOFTI_COPY_PIECE_BYTES) {
            code = run_write(copy, run);
        }
        if (!zero) {
            run->off = run->bytes == 0 ? off : run->off;
            memcpy(run->buffer + run->bytes, content, LOFTI_PAGE_BYTES);
            run->bytes += LOFTI_PAGE_BYTES;
        }
        code = code == LOFT_OK ? lofti_copy_advance(copy, LOFTI_PAGE_BYTES) : code;
    }
    return code == LOFT_OK ? run_write(copy, run) : code;
}

int lofti_copy_memory(uint64_t bytes, lofti_copy_page_fn *page, void *context, lofti_copy *copy)
{
    copy->way = LOFTI_COPY_WRITTEN;
    copy->done_bytes = 0;
    copy->total_bytes = bytes;
    void *buffer = NULL;
    const int error = lofti_map_place(MEMORY_BUFFER_BYTES, 0, LOFTI_MAP_WRITE, NULL, 0, &buffer);
    if (error != 0) {
        return lofti_copy_failed(copy, error);
    }
    memory_run run = {buffer, 0, 0};
    int code = lofti_copy_tell(copy);
    if (code == LOFT_OK) {
        code = memory_pages(bytes, page, context, copy, &run);
    }
    (void)lofti_map_release(buffer, MEMORY_BUFFER_BYTES);
    /* Whole chunks: what a heap that ends inside one leaves of it is zeros. */
    return code == LOFT_OK
               ? lofti_copy_head(copy, 1,
                                 lofti_arith_round_up(LOFTI_HEAP_OFF + bytes, LOFTI_CHUNK_BYTES))
               : code;
}
