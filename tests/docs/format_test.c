/*
 * docs/format.md is true: every row of its tables that names a field has that field's offset and size, and
 * every field of every struct has a row.
 */
#include <stdio.h>
#include <stdlib.h>

#include "format/frame.h"
#include "format/pool.h"
#include "format/roots.h"
#include "format/super.h"
#include "support/test.h"

typedef struct doc_field {
    const char *name;
    unsigned long off;
    unsigned long bytes;
} doc_field;

#define DOC_FIELD(prefix, type, field)                                                             \
    {                                                                                              \
#prefix "." #field, offsetof(type, field), sizeof(((type *)NULL)->field)                   \
    }

static const doc_field doc_fields[] = {
    DOC_FIELD(super, lofti_super, magic),
    DOC_FIELD(super, lofti_super, version),
    DOC_FIELD(super, lofti_super, byte_order),
    DOC_FIELD(super, lofti_super, super_bytes),
    DOC_FIELD(super, lofti_super, page_shift),
    DOC_FIELD(super, lofti_super, chunk_shift),
    DOC_FIELD(super, lofti_super, reserved0),
    DOC_FIELD(super, lofti_super, incompatible),
    DOC_FIELD(super, lofti_super, write_incompatible),
    DOC_FIELD(super, lofti_super, compatible),
    DOC_FIELD(super, lofti_super, uuid),
    DOC_FIELD(super, lofti_super, generation),
    DOC_FIELD(super, lofti_super, base),
    DOC_FIELD(super, lofti_super, created_ns),
    DOC_FIELD(super, lofti_super, salt),
    DOC_FIELD(super, lofti_super, start),
    DOC_FIELD(super, lofti_super, sequence),
    DOC_FIELD(super, lofti_super, frontier),
    DOC_FIELD(super, lofti_super, file_bytes),
    DOC_FIELD(super, lofti_super, extent_count),
    DOC_FIELD(super, lofti_super, reserved1),
    DOC_FIELD(super, lofti_super, extents),
    DOC_FIELD(super, lofti_super, padding),
    DOC_FIELD(super, lofti_super, hash),
    DOC_FIELD(frame, lofti_frame, hash),
    DOC_FIELD(frame, lofti_frame, magic),
    DOC_FIELD(frame, lofti_frame, kind),
    DOC_FIELD(frame, lofti_frame, flags),
    DOC_FIELD(frame, lofti_frame, frame_bytes),
    DOC_FIELD(frame, lofti_frame, used_bytes),
    DOC_FIELD(frame, lofti_frame, position),
    DOC_FIELD(frame, lofti_frame, salt),
    DOC_FIELD(frame, lofti_frame, chain),
    DOC_FIELD(frame, lofti_frame, sequence),
    DOC_FIELD(frame, lofti_frame, frontier),
    DOC_FIELD(frame, lofti_frame, file_bytes),
    DOC_FIELD(frame, lofti_frame, record_count),
    DOC_FIELD(frame, lofti_frame, reserved),
    DOC_FIELD(record, lofti_record, page_idx),
    DOC_FIELD(record, lofti_record, kind),
    DOC_FIELD(record, lofti_record, reserved),
    DOC_FIELD(record, lofti_record, bytes),
    DOC_FIELD(record, lofti_record, page_hash),
    DOC_FIELD(roots, lofti_root_table, magic),
    DOC_FIELD(roots, lofti_root_table, capacity),
    DOC_FIELD(roots, lofti_root_table, used),
    DOC_FIELD(roots, lofti_root_table, live),
    {"roots.entries", offsetof(lofti_root_table, entries), 0},
    DOC_FIELD(root, lofti_root_entry, hash),
    DOC_FIELD(root, lofti_root_entry, offset),
    DOC_FIELD(root, lofti_root_entry, state),
    DOC_FIELD(root, lofti_root_entry, name_bytes),
    DOC_FIELD(root, lofti_root_entry, name),
    DOC_FIELD(pool, loft_pool, left),
    DOC_FIELD(pool, loft_pool, end),
    DOC_FIELD(pool, loft_pool, room),
    DOC_FIELD(pool, loft_pool, newest),
    DOC_FIELD(pool, loft_pool, magic),
    DOC_FIELD(pool, loft_pool, spare),
    DOC_FIELD(pool_block, lofti_pool_block, magic),
    DOC_FIELD(pool_block, lofti_pool_block, place),
    DOC_FIELD(pool_block, lofti_pool_block, bytes),
    DOC_FIELD(pool_block, lofti_pool_block, prev),
    DOC_FIELD(pool_block, lofti_pool_block, prev_left),
    DOC_FIELD(pool_block, lofti_pool_block, idx),
    DOC_FIELD(pool_block, lofti_pool_block, spare),
};

enum { DOC_FIELD_COUNT = sizeof doc_fields / sizeof doc_fields[0] };

static const doc_field *doc_find(const char *name)
{
    for (size_t i = 0; i < DOC_FIELD_COUNT; i++) {
        if (strcmp(doc_fields[i].name, name) == 0) {
            return &doc_fields[i];
        }
    }
    return NULL;
}

LOFT_TEST(docs, format_tables_are_the_structs)
{
    FILE *page = fopen(LOFT_TEST_FORMAT_PAGE, "r");
    char line[1024];
    char name[64];
    unsigned long off = 0;
    unsigned long bytes = 0;
    unsigned rows = 0;
    LOFT_CHECK_NOT_NULL(page);
    while (fgets(line, sizeof line, page) != NULL) {
        if (sscanf(line, "| `%63[a-z_0-9.]` | %lu | %lu |", name, &off, &bytes) != 3) {
            continue;
        }
        const doc_field *field = doc_find(name);
        if (field == NULL) {
            LOFT_FAIL("the page names %s, which is in no struct", name);
        } else if (field->off != off || field->bytes != bytes) {
            LOFT_FAIL("%s is at %lu, %lu bytes; the page says %lu, %lu", name, field->off,
                      field->bytes, off, bytes);
        }
        rows++;
    }
    (void)fclose(page);
    LOFT_CHECK_EQ_UINT(rows, DOC_FIELD_COUNT);
}
