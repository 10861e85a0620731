/*
 * base/fault.c - which fault is planted; in the crash tests' library alone.
 */
#include "base/fault.h"

#if !LOFT_FAULTS
#error "base/fault.c belongs to the library with planted faults"
#endif

enum lofti_fault lofti_fault_planted = LOFTI_FAULT_NONE;

const char *const lofti_fault_names[LOFTI_FAULTS] = {"NONE",
#define LOFTI_FAULT_NAME(name) #name,
                                                     LOFTI_FAULT_LIST(LOFTI_FAULT_NAME)
#undef LOFTI_FAULT_NAME
};
