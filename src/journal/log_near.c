/*
 * journal/log_near.c - small pieces of the journal, read one after another: through windows.
 *
 * Whoever reads the records of many pages in the order of the pages meets, for each commit among them, positions that
 * rise by little: several streams, taken by turns. A piece that follows closely on the one before it of some stream
 * fills that stream's window from there on; any other is read alone and begins a stream in place of the oldest.
 * So no order costs more calls than reading each piece alone.
 *
 * A window holds what the file held when it was filled. Writing over that part of the journal empties it; blocks are given
 * back and epochs change only where no record counts any more.
 */
#include <string.h>

#include "base/arith.h"
#include "base/check.h"
#include "base/status.h"
#include "journal/log.h"

/* A piece belongs to a stream if it begins no farther behind its end: other pages' records may lie between. */
#define NEAR_GAP_BYTES ((uint64_t)1 << 10)

static bool near_holds(const lofti_log_window *window, uint64_t position, uint64_t bytes)
{
    return position >= window->position && position + bytes <= window->end && window->held;
}

static bool near_follows(const lofti_log_window *window, uint64_t position)
{
    return window->end != 0 && position >= window->position &&
           position <= window->end + NEAR_GAP_BYTES;
}

int lofti_log_read_near(lofti_store *store, uint64_t position, void *data, uint64_t bytes)
{
    LOFTI_CHECK(bytes <= LOFTI_STORE_WINDOW_BYTES); /* a page at most */
    if (store->window_memory == NULL) {
        return lofti_log_read(store, position, data, bytes);
    }
    for (uint32_t i = 0; i < LOFTI_STORE_WINDOWS; i++) {
        lofti_log_window *window = &store->windows[i];
        uint8_t *held = store->window_memory + (size_t)i * LOFTI_STORE_WINDOW_BYTES;
        if (!near_holds(window, position, bytes)) {
            if (!near_follows(window, position)) {
                continue;
            }
            const uint64_t fill_bytes =
                lofti_arith_min(LOFTI_STORE_WINDOW_BYTES, store->total_bytes - position);
            *window = (lofti_log_window){0, 0, false};
            const int code = lofti_log_read(store, position, held, fill_bytes);
            if (code != LOFT_OK) {
                return code;
            }
            *window = (lofti_log_window){position, position + fill_bytes, true};
        }
        memcpy(data, held + (position - window->position), bytes);
        return LOFT_OK;
    }
    store->windows[store->window_next] = (lofti_log_window){position, position + bytes, false};
    store->window_next = (store->window_next + 1) % LOFTI_STORE_WINDOWS;
    return lofti_log_read(store, position, data, bytes);
}

void lofti_log_near_written(lofti_store *store, uint64_t position, uint64_t bytes)
{
    for (uint32_t i = 0; i < LOFTI_STORE_WINDOWS; i++) {
        lofti_log_window *window = &store->windows[i];
        if (position < window->end && window->position < position + bytes) {
            *window = (lofti_log_window){0, 0, false};
        }
    }
}
