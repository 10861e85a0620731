/*
 * journal/store_page.c - the newest committed image of a page: its base image, and its newest record over it.
 *
 * Neighbouring pages are read with one call, and the records of pages that were committed together lie
 * together: they are read through windows (log_near.c). A page alone with a record of its own costs two calls.
 */
#include "base/fault.h"
#include "base/status.h"
#include "journal/log.h"

static int page_corrupt(const lofti_store *store, const lofti_index_entry *entry)
{
    return lofti_status_fail(
        LOFT_ECORRUPT, "read page", store->path,
        "page at offset %llu does not match its journal record at offset %llu",
        (unsigned long long)(entry->page_idx * LOFTI_PAGE_BYTES),
        (unsigned long long)lofti_log_file_off(&store->super, entry->position));
}

/* Lays the record's payload over `page`, which holds the base image. */
static int page_overlay(lofti_store *store, const lofti_index_entry *entry, uint8_t *page)
{
    if (entry->kind == LOFTI_RECORD_FULL) {
        return lofti_log_read_near(store, entry->position, page, LOFTI_PAGE_BYTES);
    }
    uint8_t *delta = store->scratch + LOFTI_PAGE_BYTES;
    const int code = lofti_log_read_near(store, entry->position, delta, entry->bytes);
    if (code != LOFT_OK) {
        return code;
    }
    /* Judged at the scan, but read from the file again: the bytes may be others now. */
    if (!lofti_delta_valid(delta, entry->bytes)) {
        return page_corrupt(store, entry);
    }
    lofti_delta_apply(page, delta, entry->bytes);
    return LOFT_OK;
}

static int page_bases(const lofti_store *store, uint64_t page_idx, void *out, uint64_t count)
{
    const int error = lofti_file_read_padded(&store->file, out, count * LOFTI_PAGE_BYTES,
                                             page_idx * LOFTI_PAGE_BYTES);
    return error == 0 ? LOFT_OK : lofti_status_system(error, "read page", store->path);
}

/* `page` holds the base image, unless the record is a full one. */
static int page_finish(lofti_store *store, const lofti_index_entry *entry, uint8_t *page)
{
    const int code = page_overlay(store, entry, page);
    if (code != LOFT_OK) {
        return code;
    }
    if (lofti_frame_page_hash(page, entry->page_idx, store->super.salt) != entry->hash &&
        !LOFTI_FAULT(PAGE_HASH_SKIPPED)) {
        return page_corrupt(store, entry);
    }
    return LOFT_OK;
}

int lofti_store_read_page(lofti_store *store, uint64_t page_idx, void *out)
{
    const lofti_index_entry *entry = lofti_index_find(&store->index, page_idx);
    const bool full = entry != NULL && entry->kind == LOFTI_RECORD_FULL;
    const int code = full ? LOFT_OK : page_bases(store, page_idx, out, 1);
    return code != LOFT_OK || entry == NULL ? code : page_finish(store, entry, out);
}

int lofti_store_read_pages(lofti_store *store, uint64_t page_idx, void *out, uint64_t count)
{
    uint8_t *pages = out;
    if (count == 1) {
        return lofti_store_read_page(store, page_idx, pages);
    }
    int code = page_bases(store, page_idx, pages, count);
    for (uint64_t i = 0; i < count && code == LOFT_OK; i++) {
        const lofti_index_entry *entry = lofti_index_find(&store->index, page_idx + i);
        if (entry != NULL) {
            code = page_finish(store, entry, pages + i * LOFTI_PAGE_BYTES);
        }
    }
    return code;
}
