/*
 * heap/report.h - what checks have in common: faults are counted and told, until the caller has enough.
 */
#ifndef LOFTI_HEAP_REPORT_H
#define LOFTI_HEAP_REPORT_H

#include "base/status.h"
#include "loft/arena.h"

typedef struct lofti_report {
    loft_report_fn *fn; /* NULL: faults are only counted */
    void *context;
    uint64_t faults;
    int stopped; /* what fn returned, if it was not 0 */
} lofti_report;

/* A fault at `off` bytes from the heap's start. */
static inline void lofti_report_fault(lofti_report *report, uint64_t off, const char *text)
{
    report->faults++;
    if (report->fn != NULL && report->stopped == 0) {
        const loft_fault fault = {sizeof fault, LOFT_ECORRUPT, off, text};
        report->stopped = report->fn(report->context, &fault);
    }
}

/* Adds to *faults, which may be NULL. LOFT_OK, LOFT_ECORRUPT, or what fn returned if it stopped. `whose`: of the
 * sentence, "heap has". */
static inline int lofti_report_end(const lofti_report *report, const char *whose, uint64_t *faults)
{
    if (faults != NULL) {
        *faults += report->faults;
    }
    if (report->stopped != 0) {
        return report->stopped;
    }
    return report->faults == 0
               ? LOFT_OK
               : lofti_status_fail(LOFT_ECORRUPT, "check", "arena", "its %s %llu faults", whose,
                                   (unsigned long long)report->faults);
}

#endif /* LOFTI_HEAP_REPORT_H */
