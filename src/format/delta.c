/*
 * format/delta.c - the changed bytes of a page against its base image.
 *
 * A delta is a row of runs, each { u16 off, u16 bytes, bytes }, packed without padding, in rising
 * order. Runs nearer than a run's own header are written as one.
 */
#include <string.h>

#include "base/bits.h"
#include "format/frame.h"

enum {
    RUN_HEADER_BYTES = 4,
    /* A delta longer than this is written as a full page: it saves too little to be worth the base
     * image that reading it back needs. */
    DELTA_BYTES_MAX = LOFTI_PAGE_BYTES * 3 / 4
};

static uint16_t run_get(const uint8_t *from)
{
    return (uint16_t)(from[0] | (uint32_t)from[1] << 8);
}

static void run_put(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static uint64_t word_at(const uint8_t *from)
{
    uint64_t word;
    memcpy(&word, from, sizeof word);
    return word;
}

/* The first offset at or after `off` where the two differ;
 * LOFTI_PAGE_BYTES if there is none. */
static uint32_t scan_difference(const uint8_t *base, const uint8_t *page, uint32_t off)
{
    while (off % 8 != 0) {
        if (base[off] != page[off]) {
            return off;
        }
        off++;
    }
    for (; off < LOFTI_PAGE_BYTES; off += 8) {
        const uint64_t difference = word_at(base + off) ^ word_at(page + off);
        if (difference != 0) {
            return off + lofti_bits_lowest(difference) / 8; /* little-endian: lowest byte first */
        }
    }
    return LOFTI_PAGE_BYTES;
}

/* The end of the run that begins at `off`: it swallows equal stretches of up to a header's bytes. */
static uint32_t run_end(const uint8_t *base, const uint8_t *page, uint32_t off)
{
    uint32_t end = off + 1;
    for (uint32_t i = end; i < LOFTI_PAGE_BYTES && i - end <= RUN_HEADER_BYTES; i++) {
        if (base[i] != page[i]) {
            end = i + 1;
        }
    }
    return end;
}

uint32_t lofti_delta_encode(const uint8_t *base, const uint8_t *page, uint8_t *out)
{
    uint32_t used = 0;
    uint32_t off = scan_difference(base, page, 0);
    while (off < LOFTI_PAGE_BYTES) {
        const uint32_t bytes = run_end(base, page, off) - off;
        if (used + RUN_HEADER_BYTES + bytes > DELTA_BYTES_MAX) {
            return UINT32_MAX;
        }
        run_put(out + used, off);
        run_put(out + used + 2, bytes);
        memcpy(out + used + RUN_HEADER_BYTES, page + off, bytes);
        used += RUN_HEADER_BYTES + bytes;
        off = off + bytes < LOFTI_PAGE_BYTES ? scan_difference(base, page, off + bytes)
                                             : (uint32_t)LOFTI_PAGE_BYTES;
    }
    return used;
}

int lofti_delta_valid(const uint8_t *delta, uint32_t bytes)
{
    if (bytes > DELTA_BYTES_MAX) {
        return 0;
    }
    uint32_t page_off = 0;
    for (uint32_t at = 0; at < bytes;) {
        if (bytes - at < RUN_HEADER_BYTES) {
            return 0;
        }
        const uint32_t off = run_get(delta + at);
        const uint32_t run_bytes = run_get(delta + at + 2);
        at += RUN_HEADER_BYTES;
        if (run_bytes == 0 || run_bytes > bytes - at || off < page_off ||
            off + run_bytes > LOFTI_PAGE_BYTES) {
            return 0;
        }
        page_off = off + run_bytes;
        at += run_bytes;
    }
    return 1;
}

void lofti_delta_apply(uint8_t *page, const uint8_t *delta, uint32_t bytes)
{
    LOFTI_ASSERT(lofti_delta_valid(delta, bytes));
    for (uint32_t at = 0; at < bytes;) {
        const uint32_t off = run_get(delta + at);
        const uint32_t run_bytes = run_get(delta + at + 2);
        memcpy(page + off, delta + at + RUN_HEADER_BYTES, run_bytes);
        at += RUN_HEADER_BYTES + run_bytes;
    }
}
