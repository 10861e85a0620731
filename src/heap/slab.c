/*
 * heap/slab.c - slabs.
 *
 * Invariants
 *   S1  classes[u] is stored last when a slab is made and first when it ends: whoever looks at the image
 *       sees a whole slab or none
 *   S2  a slab is in a queue exactly if its state is QUEUED: its owner's for its class, or the heap's
 *   S3  every slab with an owner is in that owner's own list
 *   S4  `left` of a FULL slab is what it lacks to be worth a visit (lofti_slab_worth), of a QUEUED one the number
 *       of its live blocks (or NEVER, if it is empty and kept), so that one counter reaching 0 tells both
 *       events that a free can cause
 */
#include "heap/slab.h"

#include "heap/annotate.h"
#include "heap/chunk.h"
#include "heap/pages.h"
#include "heap/trim.h"

/* Below so many chunks (64 MiB) pages of slabs that ended go back as those of large blocks do. A larger heap makes and
 * ends slabs all the time, and has huge pages, of which none should be cut. */
#define SLAB_NOTE_CHUNKS 16u

uint32_t lofti_slab_count_free(const lofti_heap *heap, uint32_t unit)
{
    const uint64_t *bits = heap->units[unit].bits;
    const uint32_t words = lofti_slab_shape(heap, unit)->word_count;
    uint32_t count = 0;
    for (uint32_t i = 0; i < words; i++) {
        count += lofti_word_count(lofti_word_get(&bits[i]));
    }
    return count;
}

uint32_t lofti_slab_merge(const lofti_heap *heap, uint32_t unit)
{
    const lofti_class *shape = lofti_slab_shape(heap, unit);
    uint64_t *bits = heap->units[unit].bits;
    uint64_t *remote = lofti_slab_remote(bits, shape);
    uint32_t count = 0;
    for (uint32_t i = 0; i < shape->word_count; i++) {
        /* In one order with the flag that was cleared before (heap/remote.h): an acquire alone may be done before
         * that store is seen (ARM's LDAPR), and the free that finds the flag still set would be missed. */
        const uint64_t freed = __atomic_load_n(&remote[i], __ATOMIC_SEQ_CST);
        if (freed != 0) {
            const uint64_t old = lofti_word_get(&bits[i]);
            count += lofti_bits_count(freed & ~old);
            lofti_word_set(&bits[i], old | freed);
            lofti_image_order();
            (void)__atomic_fetch_and(&remote[i], ~freed, __ATOMIC_ACQ_REL);
        }
    }
    return count;
}

static void own_add(lofti_heap *heap, lofti_thread *thread, uint32_t unit)
{
    lofti_slab *slab = &heap->slabs[unit];
    slab->own_prev = 0;
    slab->own_next = thread->own_head;
    if (thread->own_head != 0) {
        heap->slabs[thread->own_head].own_prev = unit;
    }
    thread->own_head = unit;
}

static void own_drop(lofti_heap *heap, lofti_thread *thread, uint32_t unit)
{
    lofti_slab *slab = &heap->slabs[unit];
    if (slab->own_prev != 0) {
        heap->slabs[slab->own_prev].own_next = slab->own_next;
    } else {
        thread->own_head = slab->own_next;
    }
    if (slab->own_next != 0) {
        heap->slabs[slab->own_next].own_prev = slab->own_prev;
    }
    slab->own_next = slab->own_prev = 0;
}

static void slab_set_owner(lofti_heap *heap, uint32_t unit, uint32_t owner)
{
    const uint32_t units = lofti_slab_shape(heap, unit)->unit_count;
    for (uint32_t i = unit; i < unit + units; i++) {
        __atomic_store_n(&heap->units[i].owner, owner, __ATOMIC_RELEASE);
    }
}

/* Fills in units[] of a slab whose image is there or about to be; no owner yet. */
static void slab_enter(lofti_heap *heap, uint32_t unit, uint32_t class_idx)
{
    const lofti_class *shape = &heap->classes[class_idx];
    const uint32_t idx = lofti_unit_chunk(heap, unit);
    lofti_chunk_layout layout;
    lofti_image_layout(heap, idx, &layout);
    const uint32_t wide = shape->wide ? lofti_image_header(heap, idx)->wide_unit : 0;
    uint8_t *record =
        lofti_image_chunk(heap, idx) +
        lofti_record_local_off(&layout, heap->unit_shift, wide, lofti_unit_local(heap, unit));
    for (uint32_t i = unit; i < unit + shape->unit_count; i++) {
        lofti_unit *entry = &heap->units[i];
        entry->base = heap->base + ((uint64_t)unit << heap->unit_shift);
        entry->bits = (uint64_t *)(void *)record;
        entry->inverse = shape->inverse;
        entry->twos = shape->twos;
        entry->count = shape->block_count;
        __atomic_store_n(&entry->owner, 0, __ATOMIC_RELAXED); /* a free by any thread may look */
        __atomic_store_n(&entry->size, shape->size, __ATOMIC_RELEASE);
    }
    heap->slabs[unit].class_idx = (uint8_t)class_idx;
    heap->slabs[unit].state = LOFTI_SLAB_NONE;
}

/* A unit for a slab with a wide record, in a chunk that has, or from now on has, a unit for these. */
static bool slab_take_wide(lofti_heap *heap, uint32_t *unit)
{
    const uint32_t last = heap->wide_chunk;
    if (last != 0 && heap->chunks[last - 1].state == LOFTI_CHUNK_HEAD &&
        lofti_image_header(heap, last - 1)->wide_unit != 0 &&
        lofti_pages_take_unit_in(heap, last - 1, unit)) {
        return true;
    }
    const uint32_t pages = lofti_unit_pages(heap);
    if (!lofti_pages_take_units(heap, 1, unit)) {
        return false;
    }
    uint32_t idx = lofti_unit_chunk(heap, *unit);
    uint32_t wide = 0;
    if (lofti_image_header(heap, idx)->wide_unit == 0 &&
        !lofti_pages_take_unit_in(heap, idx, &wide)) {
        lofti_pages_release(heap, (uint64_t)*unit * pages, pages);
        if (!lofti_pages_take_units(heap, 2, unit)) {
            return false;
        }
        idx = lofti_unit_chunk(heap, *unit);
        if (lofti_image_header(heap, idx)->wide_unit != 0) {
            lofti_pages_release(heap, (uint64_t)(*unit + 1) * pages, pages);
        } else {
            wide = *unit + 1;
        }
    }
    if (wide != 0) {
        lofti_annotate_live(heap->base + ((uint64_t)wide << heap->unit_shift),
                            (size_t)1 << heap->unit_shift);
        __atomic_store_n(&lofti_image_header(heap, idx)->wide_unit,
                         (uint8_t)lofti_unit_local(heap, wide), __ATOMIC_RELAXED);
        lofti_image_order();
    }
    heap->wide_chunk = idx + 1;
    return true;
}

static void slab_fill_bits(uint64_t *bits, const lofti_class *shape)
{
    uint64_t *remote = lofti_slab_remote(bits, shape);
    const uint32_t whole = shape->block_count / 64;
    for (uint32_t i = 0; i < shape->word_count; i++) {
        lofti_word_set(&bits[i], i < whole ? UINT64_MAX : lofti_bits_mask(shape->block_count % 64));
        lofti_word_set(&remote[i], 0);
    }
}

static uint8_t *slab_class_byte(const lofti_heap *heap, uint32_t unit)
{
    const uint32_t idx = lofti_unit_chunk(heap, unit);
    lofti_chunk_layout layout;
    lofti_image_layout(heap, idx, &layout);
    return lofti_image_classes(heap, idx, &layout) + lofti_unit_local(heap, unit);
}

uint32_t lofti_slab_create(lofti_heap *heap, lofti_thread *thread, uint32_t class_idx)
{
    const lofti_class *shape = &heap->classes[class_idx];
    uint32_t unit = 0;
    if (!(shape->wide ? slab_take_wide(heap, &unit)
                      : lofti_pages_take_units(heap, shape->unit_count, &unit))) {
        return 0;
    }
    slab_enter(heap, unit, class_idx);
    if (shape->wide) {
        heap->chunks[lofti_unit_chunk(heap, unit)].wide_slabs++;
    }
    slab_fill_bits(heap->units[unit].bits, shape);
    *lofti_slab_left(heap->units[unit].bits) = LOFTI_LEFT_NEVER;
    lofti_image_order();
    __atomic_store_n(slab_class_byte(heap, unit), (uint8_t)class_idx, __ATOMIC_RELAXED);
    own_add(heap, thread, unit);
    slab_set_owner(heap, unit, thread->id);
    return unit;
}

void lofti_slab_drop_wide(lofti_heap *heap, uint32_t idx)
{
    lofti_chunk_image *header = lofti_image_header(heap, idx);
    const uint32_t wide = header->wide_unit;
    if (wide == 0 || heap->chunks[idx].wide_slabs != 0) {
        return;
    }
    __atomic_store_n(&header->wide_unit, 0, __ATOMIC_RELAXED);
    lofti_image_order();
    const uint32_t pages = lofti_unit_pages(heap);
    const uint32_t unit = (idx << lofti_unit_shift_in_chunk(heap)) + wide;
    lofti_pages_release(heap, (uint64_t)unit * pages, pages);
}

void lofti_slab_end(lofti_heap *heap, lofti_thread *thread, uint32_t unit)
{
    lofti_slab *slab = &heap->slabs[unit];
    const lofti_class *shape = lofti_slab_shape(heap, unit);
    const uint32_t idx = lofti_unit_chunk(heap, unit);
    LOFTI_ASSERT(slab->state != LOFTI_SLAB_QUEUED);
    __atomic_store_n(slab_class_byte(heap, unit), 0, __ATOMIC_RELAXED);
    lofti_image_order();
    if (thread != NULL) {
        own_drop(heap, thread, unit);
    }
    for (uint32_t i = unit; i < unit + shape->unit_count; i++) {
        lofti_unit *entry = &heap->units[i];
        __atomic_store_n(&entry->owner, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&entry->size, 0, __ATOMIC_RELEASE);
        entry->count = 0;
    }
    slab->state = LOFTI_SLAB_NONE;
    const uint32_t pages = lofti_unit_pages(heap);
    lofti_pages_release(heap, (uint64_t)unit * pages, shape->unit_count * pages);
    if (shape->wide) {
        heap->chunks[idx].wide_slabs--;
        lofti_slab_drop_wide(heap, idx);
    }
    lofti_chunk_released(heap, idx);
    if (heap->known_end < SLAB_NOTE_CHUNKS) {
        lofti_trim_note(heap, (uint64_t)unit * pages, (uint64_t)shape->unit_count * pages);
    }
}

/* A slab without an owner and in no queue goes where its free blocks say. */
static void slab_file_orphan(lofti_heap *heap, lofti_thread *owner, uint32_t unit)
{
    lofti_slab *slab = &heap->slabs[unit];
    const uint32_t free = lofti_slab_count_free(heap, unit);
    if (free == lofti_slab_shape(heap, unit)->block_count) {
        lofti_slab_end(heap, owner, unit);
        return;
    }
    if (owner != NULL) {
        own_drop(heap, owner, unit);
    }
    if (free != 0) {
        lofti_queue_push(heap, &heap->orphans[slab->class_idx], unit);
    } else {
        slab->state = LOFTI_SLAB_FULL;
    }
}

void lofti_slab_refresh_orphan(lofti_heap *heap, uint32_t unit)
{
    lofti_slab *slab = &heap->slabs[unit];
    if (heap->units[unit].size != 0 && lofti_slab_owner(heap, unit) == 0 &&
        slab->state == LOFTI_SLAB_FULL) {
        (void)lofti_slab_merge(heap, unit);
        slab_file_orphan(heap, NULL, unit);
    }
}

void lofti_slab_load(lofti_heap *heap, uint32_t unit, uint32_t class_idx)
{
    slab_enter(heap, unit, class_idx);
    (void)lofti_slab_merge(heap, unit);
    const lofti_class *shape = &heap->classes[class_idx];
    uint64_t *bits = heap->units[unit].bits;
    if (shape->block_count % 64 != 0) {
        /* Damage could have set bits beyond the last block: they are never handed out. */
        uint64_t *last = &bits[shape->word_count - 1];
        const uint64_t valid = lofti_bits_mask(shape->block_count % 64);
        if ((lofti_word_get(last) & ~valid) != 0) {
            lofti_word_set(last, lofti_word_get(last) & valid);
        }
    }
    lofti_annotate_slab(heap, unit);
    slab_file_orphan(heap, NULL, unit);
}

void lofti_slab_adopt(lofti_heap *heap, lofti_thread *thread, uint32_t unit)
{
    lofti_slab *slab = &heap->slabs[unit];
    LOFTI_ASSERT(lofti_slab_owner(heap, unit) == 0 && slab->state != LOFTI_SLAB_CURRENT);
    if (slab->state == LOFTI_SLAB_QUEUED) {
        lofti_queue_remove(heap, &heap->orphans[slab->class_idx], unit);
    }
    own_add(heap, thread, unit);
    slab_set_owner(heap, unit, thread->id);
    (void)lofti_slab_merge(heap, unit);
    const uint32_t blocks = lofti_slab_shape(heap, unit)->block_count;
    const uint32_t free = lofti_slab_count_free(heap, unit);
    uint32_t *left = lofti_slab_left(heap->units[unit].bits);
    if (free == 0) {
        slab->state = LOFTI_SLAB_FULL;
        *left = lofti_slab_worth(heap, lofti_slab_shape(heap, unit));
        return;
    }
    lofti_queue_push(heap, &thread->supplies[slab->class_idx].partly, unit);
    *left = free == blocks ? LOFTI_LEFT_NEVER : blocks - free;
}

void lofti_slab_disown(lofti_heap *heap, lofti_thread *thread, uint32_t unit)
{
    lofti_slab *slab = &heap->slabs[unit];
    if (slab->state == LOFTI_SLAB_QUEUED) {
        lofti_queue_remove(heap, &thread->supplies[slab->class_idx].partly, unit);
    }
    slab->state = LOFTI_SLAB_NONE;
    /* From here on remote frees find no owner and adopt; what came before is merged now. */
    slab_set_owner(heap, unit, 0);
    (void)lofti_slab_merge(heap, unit);
    slab_file_orphan(heap, thread, unit);
}
