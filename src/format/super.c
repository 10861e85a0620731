/*
 * format/super.c - judging superblocks. Pure: bytes in, verdict out.
 */
#include "format/super.h"

#include <string.h>

#include "base/arith.h"
#include "base/fault.h"
#include "base/hash.h"
#include "loft/error.h"

#define SUPER_VERDICT(code, field, reason)                                                         \
    ((lofti_verdict){(code), offsetof(lofti_super, field), (reason)})

static const lofti_verdict super_ok = {LOFT_OK, 0, NULL};

/* Base addresses that a file may ask for: above 4 GiB, and an arena of one reserve below 2^47. */
enum { SUPER_BASE_SHIFT_MIN = 32, SUPER_BASE_SHIFT_MAX = 47 };

static bool super_base_valid(uint64_t base)
{
    return base >= (uint64_t)1 << SUPER_BASE_SHIFT_MIN &&
           base < (uint64_t)1 << SUPER_BASE_SHIFT_MAX && base % LOFTI_CHUNK_BYTES == 0;
}

/* The first extent is the rest of chunk 0; the others are whole chunks behind it; none overlap. */
static lofti_verdict super_extents(const lofti_super *super)
{
    if (super->extent_count == 0 || super->extent_count > LOFTI_SUPER_EXTENTS_MAX) {
        return SUPER_VERDICT(LOFT_ECORRUPT, extent_count, "impossible number of journal extents");
    }
    uint64_t total_bytes = 0;
    for (uint32_t i = 0; i < super->extent_count; i++) {
        const lofti_extent *extent = &super->extents[i];
        const uint64_t off_min = i == 0 ? LOFTI_JOURNAL_OFF : LOFTI_CHUNK_BYTES;
        const uint64_t unit = i == 0 ? LOFTI_PAGE_BYTES : LOFTI_CHUNK_BYTES;
        if (extent->bytes == 0 || extent->off < off_min || extent->off % unit != 0 ||
            extent->bytes % unit != 0 ||
            !lofti_arith_inside(extent->off, extent->bytes, super->file_bytes) ||
            (i == 0 && extent->off + extent->bytes > LOFTI_CHUNK_BYTES)) {
            return SUPER_VERDICT(LOFT_ECORRUPT, extents, "impossible journal extent");
        }
        for (uint32_t k = 0; k < i; k++) {
            const lofti_extent *other = &super->extents[k];
            if (extent->off < other->off + other->bytes &&
                other->off < extent->off + extent->bytes) {
                return SUPER_VERDICT(LOFT_ECORRUPT, extents, "journal extents overlap");
            }
        }
        total_bytes += extent->bytes;
    }
    if (super->start % LOFTI_PAGE_BYTES != 0 || super->start > total_bytes) {
        return SUPER_VERDICT(LOFT_ECORRUPT, start, "journal start outside the journal");
    }
    return super_ok;
}

static lofti_verdict super_fields(const lofti_super *super)
{
    if (super->super_bytes != LOFTI_SUPER_BYTES || super->page_shift != LOFTI_PAGE_SHIFT ||
        super->chunk_shift != LOFTI_CHUNK_SHIFT) {
        return SUPER_VERDICT(LOFT_EVERSION, super_bytes, "unknown page or chunk size");
    }
    if (!super_base_valid(super->base)) {
        return SUPER_VERDICT(LOFT_ECORRUPT, base, "base address outside the permitted range");
    }
    const uint64_t file_bytes_max = (uint64_t)LOFTI_CHUNK_COUNT_MAX * LOFTI_CHUNK_BYTES;
    if (super->file_bytes % LOFTI_CHUNK_BYTES != 0 || super->file_bytes < LOFTI_CHUNK_BYTES ||
        super->file_bytes > file_bytes_max) {
        return SUPER_VERDICT(LOFT_ECORRUPT, file_bytes, "impossible file size");
    }
    if (super->frontier % LOFTI_PAGE_BYTES != 0 || super->frontier > super->file_bytes) {
        return SUPER_VERDICT(LOFT_ECORRUPT, frontier, "frontier outside the file");
    }
    return super_extents(super);
}

lofti_verdict lofti_super_validate(const lofti_super *super, bool writing)
{
    if (super->magic == __builtin_bswap64(LOFTI_SUPER_MAGIC)) {
        return SUPER_VERDICT(LOFT_EVERSION, magic, "written with the other byte order");
    }
    if (super->magic != LOFTI_SUPER_MAGIC) {
        return SUPER_VERDICT(LOFT_ECORRUPT, magic, "not a loft arena (no magic number)");
    }
    if (super->byte_order != LOFTI_SUPER_BYTE_ORDER) {
        if (super->byte_order == __builtin_bswap32(LOFTI_SUPER_BYTE_ORDER)) {
            return SUPER_VERDICT(LOFT_EVERSION, byte_order, "written with the other byte order");
        }
        return SUPER_VERDICT(LOFT_ECORRUPT, byte_order, "byte-order mark is damaged");
    }
    if (super->hash != lofti_hash(super, offsetof(lofti_super, hash), LOFTI_SUPER_SEED) &&
        !LOFTI_FAULT(SUPER_HASH_SKIPPED)) {
        return SUPER_VERDICT(LOFT_ECORRUPT, hash, "superblock checksum does not match");
    }
    if (super->version != LOFTI_SUPER_VERSION) {
        return SUPER_VERDICT(LOFT_EVERSION, version, "unknown format version");
    }
    if ((super->incompatible & ~(uint64_t)LOFTI_SUPER_INCOMPATIBLE_KNOWN) != 0) {
        return SUPER_VERDICT(LOFT_EVERSION, incompatible, "unknown features");
    }
    if (writing && (super->write_incompatible & ~(uint64_t)LOFTI_SUPER_WRITE_KNOWN) != 0) {
        return SUPER_VERDICT(LOFT_EVERSION, write_incompatible,
                             "features that only newer versions can write");
    }
    return super_fields(super);
}

lofti_verdict lofti_super_choose(const lofti_super slots[LOFTI_SUPER_SLOTS], bool writing,
                                 uint32_t *slot)
{
    lofti_verdict best = {LOFT_ECORRUPT, 0, NULL};
    bool found = false;
    uint64_t newest = 0;
    for (uint32_t i = 0; i < LOFTI_SUPER_SLOTS; i++) {
        lofti_verdict verdict = lofti_super_validate(&slots[i], writing);
        verdict.off += (uint64_t)i * LOFTI_SUPER_BYTES;
        if (verdict.code == LOFT_OK) {
            if (!found || slots[i].generation > newest) {
                found = true;
                newest = slots[i].generation;
                *slot = i;
            }
        } else if (best.reason == NULL ||
                   (best.code == LOFT_ECORRUPT && verdict.code == LOFT_EVERSION)) {
            best = verdict;
        }
    }
    return found && best.code != LOFT_EVERSION ? super_ok : best;
}

void lofti_super_seal(lofti_super *super)
{
    super->magic = LOFTI_SUPER_MAGIC;
    super->version = LOFTI_SUPER_VERSION;
    super->byte_order = LOFTI_SUPER_BYTE_ORDER;
    super->super_bytes = LOFTI_SUPER_BYTES;
    super->page_shift = LOFTI_PAGE_SHIFT;
    super->chunk_shift = LOFTI_CHUNK_SHIFT;
    super->hash = lofti_hash(super, offsetof(lofti_super, hash), LOFTI_SUPER_SEED);
}
