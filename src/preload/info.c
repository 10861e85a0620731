/*
 * preload/info.c - what glibc's malloc.h offers beside malloc: figures, and knobs.
 *
 * Left to libc these would speak of its own heap, which is empty. Here the figures are the arena's, in the fields that
 * come nearest; what has no counterpart (bins, blocks of a mapping of their own) is 0. Each call visits every slab.
 * Called before there is an arena: zeros.
 */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>

#include "heap.h"
#include "report.h"

/* What glibc's mallopt accepts (malloc/malloc.c): 80 machine words, in quarters. */
#define INFO_MXFAST_MAX ((int)(80 * sizeof(size_t) / 4))

static loft_arena_statistics info_figures(void)
{
    loft_arena_statistics figures = {.struct_bytes = sizeof figures};
    if (lofti_preload_arena == NULL || loft_arena_stats(lofti_preload_arena, &figures) != LOFT_OK) {
        figures = (loft_arena_statistics){.struct_bytes = sizeof figures};
    }
    return figures;
}

/* The old struct's fields are ints: what is larger is told as the largest. */
static int info_clip(uint64_t number) { return number > INT_MAX ? INT_MAX : (int)number; }

#pragma GCC visibility push(default)

struct mallinfo2 mallinfo2(void)
{
    const loft_arena_statistics figures = info_figures();
    return (struct mallinfo2){.arena = figures.heap_bytes,
                              .uordblks = figures.live_bytes,
                              .fordblks = figures.free_bytes + figures.slab_free_bytes,
                              .keepcost = figures.free_run_bytes};
}

struct mallinfo mallinfo(void)
{
    const struct mallinfo2 wide = mallinfo2();
    return (struct mallinfo){.arena = info_clip(wide.arena),
                             .uordblks = info_clip(wide.uordblks),
                             .fordblks = info_clip(wide.fordblks),
                             .keepcost = info_clip(wide.keepcost)};
}

void malloc_stats(void) { lofti_preload_report_stats(); }

/* XML as glibc's, but with what this heap has: a line for each size class. */
static int info_class(void *out, const loft_class_statistics *figures)
{
    (void)fprintf(
        out, "<size block=\"%u\" live=\"%llu\" total=\"%llu\" slabs=\"%llu\" bytes=\"%llu\"/>\n",
        figures->block_bytes, (unsigned long long)figures->live_count,
        (unsigned long long)figures->block_count, (unsigned long long)figures->slab_count,
        (unsigned long long)figures->slab_bytes);
    return 0;
}

int malloc_info(int options, FILE *fp)
{
    if (options != 0) {
        return EINVAL;
    }
    const loft_arena_statistics figures = info_figures();
    (void)fprintf(fp, "<malloc version=\"loft-1\">\n<heap nr=\"0\">\n<sizes>\n");
    if (lofti_preload_arena != NULL) {
        (void)loft_arena_classes(lofti_preload_arena, info_class, fp);
    }
    (void)fprintf(fp,
                  "</sizes>\n<live count=\"%llu\" size=\"%llu\"/>\n<free size=\"%llu\"/>\n"
                  "<spans size=\"%llu\"/>\n<metadata size=\"%llu\"/>\n"
                  "<system type=\"current\" size=\"%llu\"/>\n</heap>\n</malloc>\n",
                  (unsigned long long)figures.live_blocks, (unsigned long long)figures.live_bytes,
                  (unsigned long long)(figures.free_bytes + figures.slab_free_bytes),
                  (unsigned long long)figures.span_bytes,
                  (unsigned long long)figures.metadata_bytes,
                  (unsigned long long)figures.heap_bytes);
    return ferror(fp) != 0 ? EIO : 0;
}

/* Nothing here has a knob of that name. The answers are glibc's: 1, or 0 for a value that it would refuse. */
int mallopt(int param, int val)
{
    return param != M_MXFAST || (val >= 0 && val <= INFO_MXFAST_MAX);
}
