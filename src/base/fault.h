/*
 * base/fault.h - faults planted into the commit protocol, to prove that the tests would find them.
 *
 * Each names a place where the code would be wrong if the condition were true. In the library it is a
 * constant: nothing of it is compiled. The crash tests build the sources once more with LOFT_FAULTS=1, turn the
 * faults on one by one, and expect a violation. What each breaks, and what catches it: docs/durability.md,
 * "Planted faults".
 */
#ifndef LOFTI_BASE_FAULT_H
#define LOFTI_BASE_FAULT_H

#define LOFTI_FAULT_LIST(X)                                                                        \
    /* format: what recovery believes */                                                           \
    X(HASH_SKIPPED)                                                                                \
    X(CHAIN_SKIPPED)                                                                               \
    X(SALT_SKIPPED)                                                                                \
    X(SEQUENCE_SKIPPED)                                                                            \
    X(SUPER_HASH_SKIPPED)                                                                          \
    /* superblocks and flushes */                                                                  \
    X(SUPER_OVER_NEWEST)                                                                           \
    X(SUPER_OVER_BEFORE)                                                                           \
    X(GENERATION_KEPT)                                                                             \
    X(TRUST_SKIPPED)                                                                               \
    X(TORN_SLOT_KEPT)                                                                              \
    X(POISON_SKIPPED)                                                                              \
    /* commit */                                                                                   \
    X(IN_PLACE)                                                                                    \
    X(EMPTY_DELTA_DROPPED)                                                                         \
    X(DELTA_AGAINST_NEWEST)                                                                        \
    X(TORN_BASE_DELTA)                                                                             \
    X(DURABLE_EARLY)                                                                               \
    X(FRAME_UNALIGNED)                                                                             \
    X(LAST_EARLY)                                                                                  \
    X(DRAFT_NOT_BROKEN)                                                                            \
    /* pages in place */                                                                           \
    X(BULK_UNFLUSHED)                                                                              \
    X(BULK_TWICE)                                                                                  \
    X(DIRT_KEPT)                                                                                   \
    X(DIRT_UNFLUSHED)                                                                              \
    X(DIRT_FRAMED)                                                                                 \
    X(LEFTOVER_KEPT)                                                                               \
    /* the journal's growth */                                                                     \
    X(EXTEND_UNFLUSHED)                                                                            \
    X(EXTEND_UNNAMED)                                                                              \
    /* checkpoint */                                                                               \
    X(SEAL_SKIPPED)                                                                                \
    X(SEAL_UNFLUSHED)                                                                              \
    X(APPLY_UNFLUSHED)                                                                             \
    X(REWIND_EARLY)                                                                                \
    X(SALT_KEPT)                                                                                   \
    X(EPOCH_UNTOLD)                                                                                \
    X(LOCK_SKIPPED)                                                                                \
    X(PUNCH_UNFLUSHED)                                                                             \
    /* recovery */                                                                                 \
    X(COPY_SKIPPED)                                                                                \
    X(COPY_OVER_OLD)                                                                               \
    X(COPY_UNFLUSHED)                                                                              \
    X(START_KEPT)                                                                                  \
    X(PAGE_HASH_SKIPPED)                                                                           \
    /* arena */                                                                                    \
    X(SETTLED_EARLY)                                                                               \
    X(KNOWN_KEPT)                                                                                  \
    X(RETURN_CHANGED)                                                                              \
    X(REFRESH_CHANGED)                                                                             \
    X(OVERLAY_SKIPPED)                                                                             \
    X(ROLLBACK_DROPS)                                                                              \
    X(PUNCH_LIVE)                                                                                  \
    X(PUNCH_DURABLE)

enum lofti_fault {
    LOFTI_FAULT_NONE = 0,
#define LOFTI_FAULT_ENUM(name) LOFTI_FAULT_##name,
    LOFTI_FAULT_LIST(LOFTI_FAULT_ENUM)
#undef LOFTI_FAULT_ENUM
        LOFTI_FAULTS
};

#ifndef LOFT_FAULTS
#define LOFT_FAULTS 0
#endif

#if LOFT_FAULTS
extern enum lofti_fault lofti_fault_planted; /* NONE: the code is right */
extern const char *const lofti_fault_names[LOFTI_FAULTS];
#define LOFTI_FAULT(name) __builtin_expect(lofti_fault_planted == LOFTI_FAULT_##name, 0)
#else
#define LOFTI_FAULT(name) (LOFTI_FAULT_##name == LOFTI_FAULT_NONE)
#endif

#endif /* LOFTI_BASE_FAULT_H */
